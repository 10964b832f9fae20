"""Opens a corpus: every entry of its header and manifest is checked before anything believes it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from signloom.corpus.manifest import read_manifest
from signloom.corpus.names import FORMAT, FORMAT_VERSION, HEADER, HEADER_FILE, MANIFEST, SYNTHETIC_UTTERANCES, Info
from signloom.corpus.shards import SHARDS, Shards
from signloom.corpus.stored import check_landmarks, content_of, copied
from signloom.corpus.utterance import SPLITS, Utterance
from signloom.corpus.utterances import Utterances
from signloom.errors import InputError, plural
from signloom.files.copies import Copied
from signloom.files.paths import inside
from signloom.files.reading import CLIP, Member, read_bytes
from signloom.files.schemas import check, decode_json
from signloom.files.staging import settle
from signloom.files.urls import Url, located
from signloom.landmarks import ClipView, Landmarks, check_header, read_view


class NoCorpusError(InputError):
    """A folder holds something else than a corpus."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        what = "no such bucket, or no finished corpus there" if isinstance(folder, Url) else "not a finished corpus"
        super().__init__(
            f"{folder}: {what}; needed {HEADER} and {MANIFEST}. "
            "Make one with 'signloom import', 'signloom compose' or 'signloom synth'"
        )


@dataclass(frozen=True)
class Corpus:
    """A corpus opened for reading.

    root: its folder or URL.  info: the header: name, licence and other records.  utterances: in manifest order; any
    sequence becomes `Utterances`.  shards: those of a packed corpus, which hold its landmark files.  copied: of a
    corpus in object storage, the local folder to which its files are copied when they are read.
    """

    root: Path
    info: Mapping[str, Any]
    utterances: Utterances
    shards: Shards | None = None
    copied: Copied | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "utterances", Utterances.of(self.utterances))

    @classmethod
    def open(cls, root: Path | str) -> Corpus:
        """Returns the corpus in the folder or at the URL `root`, after checking the whole manifest.

        The corpus may be packed (`signloom pack`): its landmark files are then in shards.

        Raises InputError listing every fault: unreadable lines, duplicate ids, missing landmark files, paths that leave
        the folder; and for shards that are missing, damaged or another corpus'.
        """
        root = located(root)
        stored = copied(root) if isinstance(root, Url) else None
        if isinstance(root, Url) and stored is None:
            raise NoCorpusError(root)
        folder = stored.folder if stored else root
        settle(folder)
        header_path, manifest_path = folder / HEADER, folder / MANIFEST
        if not folder.is_dir():
            raise InputError(f"{root}: no such folder; needed a corpus (a folder with {HEADER} and {MANIFEST})")
        if not header_path.is_file():
            raise NoCorpusError(root)
        content = read_bytes(header_path, HEADER_FILE)
        if not manifest_path.is_file():
            # A copy of a corpus that was uploaded: its header names the folder that holds it.
            if not (inner := content_of(content, str(header_path))):
                raise NoCorpusError(root)
            return cls.open(root / inner)
        header = decode_json(content, str(header_path))
        check_header(header, header_path, FORMAT, FORMAT_VERSION)
        check(Info, header, str(header_path))
        packed = (folder / SHARDS).is_file()
        utterances = read_manifest(manifest_path, packed=packed or stored is not None)
        if stored and stored.sizes and not packed:
            check_landmarks(stored, utterances.columns.landmarks)
        shards = Shards.open(folder, manifest_path, len(utterances), stored) if packed else None
        return cls(root, header, utterances, shards, stored)

    @property
    def name(self) -> str:
        return str(self.info.get("name", self.root.name))

    @property
    def folder(self) -> Path:
        """The local folder that holds header and manifest: `root`, or that of the copies."""
        return self.copied.folder if self.copied else self.root

    def __len__(self) -> int:
        return len(self.utterances)

    def __iter__(self) -> Iterator[Utterance]:
        return iter(self.utterances)

    @property
    def with_glosses(self) -> Corpus:
        """The corpus without the utterances that show others alone."""
        return replace(self, utterances=self.utterances.take(self.utterances.columns.glosses.counts > 0))

    def split(self, name: str) -> Utterances:
        """Returns the utterances of one split. Raises InputError if there are none."""
        chosen = self.utterances.in_split(name)
        if not chosen:
            counts = {split: len(self.utterances.in_split(split)) for split in SPLITS}
            others = ", ".join(f"{count:,} in {split}" for split, count in counts.items() if count)
            raise InputError(
                f"{self.root}: split {name!r} has no utterances; needed at least 1, got {others or 'none'}"
            )
        return chosen

    def load(self, utterance: Utterance) -> Landmarks:
        """Returns the landmarks of an utterance. Raises InputError if the file is damaged or is another clip's."""
        file = self.file(utterance)
        landmarks = Landmarks.load(file)
        _check_same(file, landmarks, utterance)
        return landmarks

    def load_view(self, utterance: Utterance, view: str) -> ClipView:
        """Returns the points of a view of an utterance, which takes less memory. Raises InputError as `load` does."""
        file = self.file(utterance)
        clip = read_view(file, view)
        _check_same(file, clip, utterance)
        return clip

    def file(self, utterance: Utterance) -> Path | Member:
        """Returns the landmark file of an utterance: its path, or its content if it is in a shard or has a URL.

        Raises InputError for a path that leaves the folder, for a damaged shard, and for an object that is not there.
        """
        if self.shards is not None:
            return self.shards.landmarks(utterance.id)
        if self.copied is not None:
            return self.copied.member(utterance.landmarks, CLIP)
        return inside(self.root, utterance.landmarks)

    def path(self, utterance: Utterance) -> Path | None:
        """Returns the path of an utterance's landmark file; None if it is in a shard or has a URL."""
        return None if self.shards or self.copied else inside(self.root, utterance.landmarks)

    def summary(self) -> dict[str, dict[str, Any]]:
        """Returns for each non-empty split the numbers of utterances, signers, running and distinct glosses, hours."""
        table = {}
        for name in SPLITS:
            columns = self.utterances.in_split(name).columns
            if len(columns):
                table[name] = {
                    "utterances": len(columns),
                    "signers": len(np.unique(columns.signers)),
                    "running_glosses": len(columns.glosses.values),
                    "distinct_glosses": len(np.unique(columns.glosses.values)),
                    # One after the other, as records of runs have it to the bit.
                    "hours": sum(columns.seconds.tolist()) / 3600,
                }
        return table


def _check_same(path: Path | Member, clip: Landmarks | ClipView, utterance: Utterance) -> None:
    """Raises InputError unless the manifest says the same of a clip as its file."""
    if len(clip) != utterance.num_frames:
        raise InputError(f"{path}: {plural(len(clip), 'frame')}, the manifest says {utterance.num_frames}")
    if not math.isclose(clip.fps, utterance.fps, rel_tol=1e-6):
        raise InputError(f"{path}: {clip.fps:g} frames per second, the manifest says {utterance.fps:g}")


def landmark_file(path: Path) -> Path | Member:
    """Returns the landmark file at a path, which may lead into a packed corpus as it led into the folder that was
    packed: `shards/landmarks/clip.npz`.
    """
    packed = next((folder for folder in path.parents if (folder / SHARDS).is_file()), None)
    if packed is None or path.exists():
        return path
    corpus = Corpus.open(packed)
    name = path.relative_to(packed).as_posix()
    row = next((row for row, text in enumerate(corpus.utterances.columns.landmarks) if text == name), None)
    if row is None:
        raise InputError(f"{path}: no landmark file of this name in the packed corpus {packed}")
    return corpus.file(corpus.utterances[row])


def check_split(name: str | None) -> None:
    """Raises InputError if the option --split is given and names no split."""
    if name is not None and name not in SPLITS:
        raise InputError(f"--split is {name!r}; needed one of {', '.join(SPLITS)}")


def simulated_label(info: Mapping[str, Any]) -> str:
    """Returns the warning that belongs beside every rate on a corpus with simulated signing, else an empty text.

    info: the header of the corpus, or a run's record of it.
    """
    if not info.get("synthetic"):
        return ""
    if count := info.get(SYNTHETIC_UTTERANCES):
        return f"partly simulated signing ({plural(count, 'utterance')}): these figures say little about real signers"
    return "simulated signing: these figures say nothing about real signers"
