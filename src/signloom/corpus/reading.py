"""Opens a corpus: every entry of its header and manifest is checked before anything believes it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from signloom.corpus.shards import SHARDS, Shards
from signloom.errors import Faults, InputError, plural
from signloom.files.paths import file_stem, inside
from signloom.files.reading import Kind, Member, open_file, read_bytes
from signloom.files.schemas import Name, check, decode_json, one_of, shown, text_of
from signloom.files.staging import settle
from signloom.landmarks import MAX_FRAMES, SUFFIX, ClipView, Fps, Landmarks, check_header, read_view
from signloom.vocabulary import BLANK, UNKNOWN, UNKNOWN_ID, Vocabulary, check_gloss

FORMAT = "signloom-corpus"
FORMAT_VERSION = 1
HEADER = "corpus.json"
MANIFEST = "manifest.jsonl"
LANDMARKS_FOLDER = "landmarks"
# What an importer left out, with the reasons; only where there is any.
LEFT_OUT = "left_out.jsonl"
SPLITS = ("train", "dev", "test")
# Entry of the header: the number of simulated utterances in a corpus that has others as well.
SYNTHETIC_UTTERANCES = "synthetic_utterances"
_HEADER_FILE = Kind("the header of a corpus", 16_000_000)
# A simulated utterance has kilobytes of ground truth.
_MOST_LINE_BYTES = 16_000_000


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
class Utterance:
    """One signed sentence: its glosses, its signer, and the path of its landmarks.

    id: unique in the corpus.  split: `train`, `dev` or `test`.  signer: None if the source does not say.
    glosses: the reference, in order.  landmarks: path of the landmark file, relative to the corpus folder.
    num_frames, fps: of the stored clip, before any resampling.
    source: provenance, for the record.  truth: facts known only in a simulation (gloss boundaries, dials).
    others: where signs stand that are none of the glosses, by the number of glosses before each, rising: a model learns
    to give them the unknown gloss, which it never names.
    """

    id: Name
    split: Annotated[str, one_of(*SPLITS)]
    signer: Name | None
    glosses: Annotated[tuple[str, ...], Meta(min_length=1, max_length=100_000)]
    landmarks: Annotated[str, text_of(4000)]
    num_frames: Annotated[int, Meta(ge=1, le=MAX_FRAMES)]
    fps: Fps
    source: Mapping[str, Any] = field(default_factory=dict)
    truth: Mapping[str, Any] = field(default_factory=dict)
    others: Annotated[tuple[Annotated[int, Meta(ge=0)], ...], Meta(max_length=100_000)] = ()

    def target(self, vocabulary: Vocabulary) -> list[int]:
        """Returns the ids that a model learns for this utterance: of its glosses, with the unknown one for `others`."""
        ids = vocabulary.encode(self.glosses)
        for place in reversed(self.others):
            ids.insert(place, UNKNOWN_ID)
        return ids

    @property
    def clips(self) -> tuple[str, ...]:
        """The isolated clips that a composed utterance was made of, one per gloss, each with its corpus; else empty."""
        names = self.truth.get("clips")
        if not isinstance(names, list) or len(names) != len(self.glosses):
            return ()
        return tuple(f"{self.source.get('corpus', '')}/{name}" for name in names)

    @property
    def duration_seconds(self) -> float:
        return self.num_frames / self.fps

    def to_json(self) -> dict[str, Any]:
        """Returns the record of one manifest line, without an empty source, truth or others."""
        record = {**vars(self), "glosses": list(self.glosses), "others": list(self.others)}
        return {name: value for name, value in record.items() if value or name not in ("source", "truth", "others")}

    @classmethod
    def from_json(cls, record: Any) -> Utterance:
        """Returns the utterance of one manifest line. Raises InputError saying what is wrong with it."""
        # Early versions left out an unknown signer.
        utterance = check(cls, {"signer": None, **record} if isinstance(record, dict) else record)
        for gloss in utterance.glosses:
            check_gloss(gloss, "glosses")
        if reserved := {BLANK, UNKNOWN}.intersection(utterance.glosses):
            raise InputError(f"gloss {min(reserved)!r} is reserved; rename it")
        if list(utterance.others) != sorted(utterance.others) or max(utterance.others, default=0) > len(
            utterance.glosses
        ):
            raise InputError(f"others {list(utterance.others)}; needed rising places, 0 to {len(utterance.glosses)}")
        # An id names files, here and in other folders.
        file_stem(utterance.id)
        return utterance


@dataclass(frozen=True)
class Corpus:
    """A corpus opened for reading.

    root: its folder.  info: the header: name, licence and other records.  utterances: in manifest order.
    shards: those of a packed corpus, which hold its landmark files.
    """

    root: Path
    info: Mapping[str, Any]
    utterances: tuple[Utterance, ...]
    shards: Shards | None = None

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
        faults = Faults(str(manifest_path))
        utterances: list[Utterance] = []
        seen: dict[str, int] = {}
        for number, line in manifest_lines(manifest_path):
            if line is None:
                faults.add(f"line {number}: more than {_MOST_LINE_BYTES:,} bytes; needed one utterance")
                continue
            try:
                record = decode_json(line, f"line {number}")
            except InputError as error:
                faults.add(str(error))
                continue
            try:
                utterance = Utterance.from_json(record)
                path = inside(root, utterance.landmarks)
                if path.suffix != SUFFIX:
                    raise InputError(f"landmarks is {shown(utterance.landmarks)}; needed the path of a {SUFFIX} file")
            except InputError as error:
                faults.add(f"line {number}: {error}")
                continue
            if utterance.id in seen:
                faults.add(f"line {number}: id {utterance.id!r} is already in line {seen[utterance.id]}")
            elif not packed and not path.is_file():
                faults.add(f"line {number} ({utterance.id}): landmark file {utterance.landmarks} is missing")
            seen.setdefault(utterance.id, number)
            utterances.append(utterance)
        if not utterances and not faults:
            faults.add("no utterances")
        faults.raise_if_any()
        shards = Shards.open(root, manifest_path, len(utterances)) if packed else None
        return cls(root, header, tuple(utterances), shards)

    @property
    def name(self) -> str:
        return str(self.info.get("name", self.root.name))

    def __len__(self) -> int:
        return len(self.utterances)

    def __iter__(self) -> Iterator[Utterance]:
        return iter(self.utterances)

    def split(self, name: str) -> list[Utterance]:
        """Returns the utterances of one split. Raises InputError if there are none."""
        chosen = [utterance for utterance in self.utterances if utterance.split == name]
        if not chosen:
            counts = Counter(utterance.split for utterance in self.utterances)
            others = ", ".join(f"{count:,} in {split}" for split, count in counts.items())
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
            chosen = [utterance for utterance in self.utterances if utterance.split == name]
            if chosen:
                table[name] = {
                    "utterances": len(chosen),
                    "signers": len({utterance.signer for utterance in chosen}),
                    "running_glosses": sum(len(utterance.glosses) for utterance in chosen),
                    "distinct_glosses": len({gloss for utterance in chosen for gloss in utterance.glosses}),
                    "hours": sum(utterance.duration_seconds for utterance in chosen) / 3600,
                }
        return table


def _check_same(path: Path | Member, clip: Landmarks | ClipView, utterance: Utterance) -> None:
    """Raises InputError unless the manifest says the same of a clip as its file."""
    if len(clip) != utterance.num_frames:
        raise InputError(f"{path}: {plural(len(clip), 'frame')}, the manifest says {utterance.num_frames}")
    if not math.isclose(clip.fps, utterance.fps, rel_tol=1e-6):
        raise InputError(f"{path}: {clip.fps:g} frames per second, the manifest says {utterance.fps:g}")


def manifest_lines(path: Path) -> Iterator[tuple[int, bytes | None]]:
    """Yields number and content of each line that is not blank; of a line that is too long, None as its content."""
    with open_file(path) as file:
        for number in count(1):
            line = file.readline(_MOST_LINE_BYTES + 1)
            if len(line) > _MOST_LINE_BYTES:
                while line and not line.endswith(b"\n"):
                    line = file.readline(_MOST_LINE_BYTES)
                yield number, None
            elif line.strip():
                yield number, line.strip()
            elif not line:
                return


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
