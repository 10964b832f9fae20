"""Opens a corpus: every entry of its header and manifest is checked before anything believes it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import UNSET, Struct, UnsetType

from signloom.corpus.manifest import read_manifest
from signloom.corpus.shards import SHARDS, Shards
from signloom.corpus.utterance import SPLITS, Utterance
from signloom.corpus.utterances import Utterances
from signloom.errors import InputError, plural
from signloom.files.paths import inside
from signloom.files.reading import Kind, Member, read_bytes
from signloom.files.schemas import Name, check, decode_json
from signloom.files.staging import settle
from signloom.landmarks import ClipView, Landmarks, check_header, read_view

FORMAT = "signloom-corpus"
FORMAT_VERSION = 1
HEADER = "corpus.json"
MANIFEST = "manifest.jsonl"
LANDMARKS_FOLDER = "landmarks"
# What an importer left out, with the reasons; only where there is any.
LEFT_OUT = "left_out.jsonl"
# Entry of the header: the number of simulated utterances in a corpus that has others as well.
SYNTHETIC_UTTERANCES = "synthetic_utterances"
_HEADER_FILE = Kind("the header of a corpus", 16_000_000)


class NoCorpusError(InputError):
    """A folder holds something else than a corpus."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        super().__init__(
            f"{folder}: not a finished corpus; needed {HEADER} and {MANIFEST}. "
            "Make one with 'signloom import', 'signloom compose' or 'signloom synth'"
        )


class Info(Struct):
    """What the header of a corpus says, as far as something depends on it."""

    name: Name | UnsetType = UNSET
    importer: str = ""
    synthetic: bool = False
    synthetic_utterances: int | None = None


@dataclass(frozen=True)
class Corpus:
    """A corpus opened for reading.

    root: its folder.  info: the header: name, licence and other records.  utterances: in manifest order; any sequence
    becomes `Utterances`.  shards: those of a packed corpus, which hold its landmark files.
    """

    root: Path
    info: Mapping[str, Any]
    utterances: Utterances
    shards: Shards | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "utterances", Utterances.of(self.utterances))

    @classmethod
    def open(cls, root: Path | str) -> Corpus:
        """Returns the corpus in the folder `root`, after checking the whole manifest.

        The corpus may be packed (`signloom pack`): its landmark files are then in shards.

        Raises InputError listing every fault: unreadable lines, duplicate ids, missing landmark files, paths that leave
        the folder; and for shards that are missing, damaged or another corpus'.
        """
        root = Path(root)
        settle(root)
        header_path, manifest_path = root / HEADER, root / MANIFEST
        if not root.is_dir():
            raise InputError(f"{root}: no such folder; needed a corpus (a folder with {HEADER} and {MANIFEST})")
        if not header_path.is_file() or not manifest_path.is_file():
            raise NoCorpusError(root)
        header = decode_json(read_bytes(header_path, _HEADER_FILE), str(header_path))
        check_header(header, header_path, FORMAT, FORMAT_VERSION)
        check(Info, header, str(header_path))
        packed = (root / SHARDS).is_file()
        utterances = read_manifest(manifest_path, packed=packed)
        shards = Shards.open(root, manifest_path, len(utterances)) if packed else None
        return cls(root, header, utterances, shards)

    @property
    def name(self) -> str:
        return str(self.info.get("name", self.root.name))

    def __len__(self) -> int:
        return len(self.utterances)

    def __iter__(self) -> Iterator[Utterance]:
        return iter(self.utterances)

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
        """Returns the landmark file of an utterance: its path, or its content as it is in a shard.

        Raises InputError for a path that leaves the folder and for a damaged shard.
        """
        if self.shards is not None:
            return self.shards.landmarks(utterance.id)
        return inside(self.root, utterance.landmarks)

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
