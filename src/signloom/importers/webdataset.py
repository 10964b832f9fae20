"""Imports other people's WebDataset shards of poses: tar archives in which the members of one key are one sample.

A sample has a member with points (.pose, .npz, .npy or .json) and one with glosses (.json, .gloss, .txt or .cls).
Lists of points are told apart by their number: 133 of COCO-WholeBody, 137, 134 or 130 of OpenPose, 86 of Isharah, 75 or
543 of MediaPipe Holistic. Arrays of Holistic's values (1,662 per frame and others) and signloom's landmark files are
read, too. Members .json may also say signer, split, frame rate and image size. Pickles (.pkl, .pyd, .pth) are never
loaded.

Splits are those of the .json members or of the archives' names (train-000000.tar); --split gives one to all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from signloom.corpus import check_split
from signloom.errors import Faults, InputError, listed
from signloom.files.arrays import names_of
from signloom.files.paths import files_of
from signloom.files.reading import CLIP, Kind, read_json, read_text
from signloom.hints import command
from signloom.importers import records
from signloom.importers.annotations import Annotation, check_annotations, cleaned, note_glosses, without_faulty
from signloom.importers.clip_arrays import POINT_KEYS, RATE_KEYS, SCORE_KEYS, SIZE_KEYS, Reader, landmarks_of
from signloom.importers.convert_landmarks import load_arrays
from signloom.importers.holistic import landmarks_from_frames
from signloom.importers.holistic_files import FORMS
from signloom.importers.keypoints import KeypointSettings, spread, with_shape
from signloom.importers.point_lists import (
    COCO_WHOLEBODY,
    HOLISTIC_75,
    HOLISTIC_543,
    ISHARAH_86,
    OPENPOSE,
    OPENPOSE_18,
    OPENPOSE_134,
)
from signloom.importers.pose import read_pose
from signloom.importers.tar_samples import SUFFIX, Sample, TarMember, samples_of
from signloom.importers.write_corpus import (
    LeftOut,
    NewUtterance,
    WriteOptions,
    leave_out_faults,
    write_corpus,
)
from signloom.landmarks import Landmarks
from signloom.text.gloss_fields import glosses_of

LISTS = (HOLISTIC_75, HOLISTIC_543, COCO_WHOLEBODY, OPENPOSE, OPENPOSE_134, OPENPOSE_18, ISHARAH_86)
_POINTS = ("pose", "npz", "npy", "json")
_GLOSSES = ("gloss", "glosses", "txt", "text", "cls")
_PICKLES = ("pkl", "pickle", "pyd", "pth", "pt")
_VIDEOS = ("mp4", "avi", "mov", "mkv", "webm")
_ANNOTATION = Kind("the annotation of a sample", 16_000_000)
# The shape of the image is estimated from so many clips.
_SAMPLED = 24


@dataclass(frozen=True, kw_only=True)
class Options(WriteOptions):
    """Options of `signloom import webdataset`."""

    positionals: ClassVar[tuple[str, ...]] = ("sources",)

    sources: list[Path]
    """Tar archives, or folders that contain them."""
    points: str | None = None
    """The member of a sample that holds its points: what follows the key's dot in its name, e.g. npy or pose.npz.
    Default: the only one that can."""
    glosses: str | None = None
    """The member of a sample that holds its glosses, e.g. txt. Default: the .json member if it has the key, else
    .gloss, .txt or .cls."""
    gloss_key: str | None = None
    """The key of the glosses in a .json member. Default: gloss, glosses, annotation, orth, label or sign."""
    signer_key: str | None = None
    """The key of the signer in a .json member. Default: signer, signer_id, speaker or participant."""
    class_names: Path | None = None
    """A text file with the name of a class per line, for .cls members that hold numbers from 0."""
    split: str | None = None
    """The split of all samples: train, dev or test. Default: what the .json members or the archives' names say."""
    image_size: str | None = None
    """Width x height of the video in pixels. Default: from the sample, else estimated as 'import openhands' does."""
    pixel_aspect: float | None = None
    """Width of a pixel divided by its height. Default: 1."""
    fps: float | None = None
    """Frames per second of the video. Default: from the sample, else 25."""
    min_score: float | None = None
    """Points with a lower score are missing. Default: the usual limit of the tool."""
    person: int = 0
    """The person to use from samples with several (0 is the first)."""
    licence: str | None = None
    """Licence of the data, recorded in the corpus."""
    skip_faulty: bool = False
    """Leave out invalid samples and list them in left_out.jsonl, instead of stopping."""


def run(options: Options) -> int:
    """Writes the corpus; returns exit status 0."""
    check_split(options.split)
    options.check_output()
    if options.person < 0:
        raise InputError(f"--person is {options.person}; needed 0 or more")
    reading = KeypointSettings.given(options.fps, options.image_size, options.pixel_aspect, min_score=options.min_score)
    names = [] if options.class_names is None else read_text(options.class_names).splitlines()
    faults = Faults("import webdataset")
    left_out: list[LeftOut] = []
    archives = find_archives(options.sources, faults)
    annotations, clips = [], []
    for path in archives:
        try:
            samples = samples_of(path, faults)
        except InputError as error:
            faults.add(str(error))
            continue
        for sample in samples:
            try:
                annotation, clip = read_sample(sample, options, names)
            except InputError as error:
                text = str(error) if str(error).startswith(str(path)) else f"{sample.place}: {error}"
                faults.add(text)
                faults.advice = "--skip_faulty leaves out invalid samples"
            else:
                annotations.append(annotation)
                clips.append(clip)
    if options.skip_faulty:
        leave_out_faults(faults, left_out)
    annotations = cleaned(annotations)
    wrong = check_annotations(annotations)
    without_faulty(annotations, wrong, faults, left_out if options.skip_faulty else None)
    sound = [number for number in range(len(annotations)) if number not in wrong]
    reader = Reader(LISTS, reading, options.person)
    sample_clips = [partial(clips[number].landmarks, reader) for number in spread(sound, _SAMPLED)]
    reader = replace(reader, reading=with_shape(reading, sample_clips, str(options.sources[0])))
    items = [_item(annotations[number], clips[number], reader) for number in sound]
    isolated = all(len(item.glosses) == 1 for item in items)
    status = write_corpus(
        items,
        options.output,
        {
            "name": options.output.name,
            "importer": "webdataset",
            "from": [path.name for path in archives],
            "licence": options.licence,
        },
        noun="clip" if isolated else "utterance",
        next_step=command("compose", options.output, output=f"{options.output}-sentences")
        if isolated
        else command("train", data_dir=options.output),
        faults=faults,
        left_out=left_out,
        skip_faulty=options.skip_faulty,
        advice="--skip_faulty leaves out invalid samples",
        overwrite=options.overwrite,
        dry_run=options.dry_run,
    )
    note_glosses(items)
    return status


def find_archives(sources: Sequence[Path], faults: Faults) -> list[Path]:
    """Returns the tar archives of files and folders; adds to `faults` sources without any."""
    archives: list[Path] = []
    for source in sources:
        found = [path for path in files_of(source, faults) if path == source or path.suffix.lower() == SUFFIX]
        if source.is_dir() and not found:
            faults.add(f"{source}: no files ending in {SUFFIX} in this folder")
        archives += found
    return list(dict.fromkeys(archives))


@dataclass(frozen=True)
class Clip:
    """The points of a sample, which are not read yet.

    member: where they are.  facts: what the .json member of the sample says of it: frame rate, image size.
    """

    member: TarMember
    facts: Mapping[str, Any]

    def landmarks(self, reader: Reader) -> Landmarks:
        """Returns the landmarks. Raises InputError for points that no importer reads."""
        content = self.member.read(CLIP)
        reading = reader.reading
        kind = self.member.name.lower().rpartition(".")[2]
        if kind == "pose":
            return read_pose(content, person=reader.person, fps=reading.fps, pixel_aspect=reading.pixel_aspect)
        if kind == "npz" and {"points", "visibility", "meta"} <= set(names_of(content)):
            return Landmarks.load(content)
        if kind == "json":
            entry = _arrays_of(read_json(content))
        else:
            entry = load_arrays(content, (*POINT_KEYS, *SCORE_KEYS, *SIZE_KEYS, *RATE_KEYS))
        values = next((entry[key] for key in POINT_KEYS if key in entry), None)
        if isinstance(values, np.ndarray) and values.ndim == 2 and values.shape[1] in FORMS:
            rate = reading.fps or next((float(self.facts[key]) for key in RATE_KEYS if key in self.facts), None)
            return landmarks_from_frames(values, replace(reading, fps=rate))
        return landmarks_of({**self.facts, **entry}, reader)


def read_sample(sample: Sample, options: Options, class_names: Sequence[str]) -> tuple[Annotation, Clip]:
    """Returns the annotation of a sample and its points.

    Raises InputError for a sample without points or glosses, with several members that could be either, and for a split
    that is none.
    """
    record = _record(sample)
    points = _points_member(sample, options.points, record)
    glosses = _glosses(sample, options, record, class_names)
    signer = _first(record, [options.signer_key] if options.signer_key else records.SIGNER_COLUMNS)
    split = options.split
    if split is None and (named := _first(record, records.SPLIT_COLUMNS)) is not None:
        split = records.split_named(str(named))
        if split is None:
            raise InputError(f"its split is {str(named)!r:.40}; needed train, dev or test, or pass --split")
    split = split or records.split_of_name(sample.archive.stem)
    if split is None:
        raise InputError("neither a .json member nor the archive's name says its split; pass --split")
    identity = record["id"] if isinstance(record.get("id"), str) and record["id"] else sample.key
    facts = {key: record[key] for key in (*SIZE_KEYS, *RATE_KEYS, "width", "height") if key in record}
    annotation = Annotation(identity, split, None if signer is None else str(signer), tuple(glosses), sample.place)
    return annotation, Clip(points, facts)


def _item(annotation: Annotation, clip: Clip, reader: Reader) -> NewUtterance:
    settings = {**asdict(reader.reading), **({"person": reader.person} if reader.person else {})}

    def read() -> Landmarks:
        landmarks = clip.landmarks(reader)
        return replace(landmarks, source={**landmarks.source, "importer": "webdataset", "settings": settings})

    return annotation.item(read, None, archive=clip.member.archive.name, member=clip.member.name)


def _record(sample: Sample) -> dict[str, Any]:
    """Returns the object in the .json member of a sample; empty if there is none, or it holds something else."""
    member = sample.members.get("json")
    content = read_json(member.read(CLIP)) if member is not None else {}
    return content if isinstance(content, dict) else {}


def _points_member(sample: Sample, wanted: str | None, record: Mapping[str, Any]) -> TarMember:
    """Returns the member with the points. Raises InputError unless there is one, and says which there are."""
    there = listed(sample.members, shown=8)
    if wanted is not None:
        wanted = wanted.lower().lstrip(".")
        if wanted.rpartition(".")[2] not in _POINTS:
            raise InputError(f"--points is {wanted!r}; needed a member that ends in {listed(_POINTS)}")
        if wanted not in sample.members:
            raise InputError(f"no member {wanted} with points; it has {there}")
        return sample.members[wanted]
    fitting = [name for name in sample.members if name.rpartition(".")[2] in _POINTS[:-1]]
    fitting += ["json"] if not fitting and any(key in record for key in POINT_KEYS) else []
    if len(fitting) == 1:
        return sample.members[fitting[0]]
    if fitting:
        raise InputError(f"several members could be the points: {listed(fitting)}; name one with --points")
    kinds = {name.rpartition(".")[2] for name in sample.members}
    reason = ""
    if kinds & {*_PICKLES}:
        reason = "; a pickle can run any program and is never loaded: write the points as .npy"
    elif kinds & {*_VIDEOS}:
        reason = "; for videos, unpack the archive and use: signloom extract"
    raise InputError(f"no member with points ({', '.join(f'.{kind}' for kind in _POINTS)}); it has {there}{reason}")


def _glosses(sample: Sample, options: Options, record: Mapping[str, Any], class_names: Sequence[str]) -> list[str]:
    """Returns the glosses of a sample. Raises InputError if there are none, or they are something else."""
    keys = [options.gloss_key] if options.gloss_key else records.GLOSS_COLUMNS
    name = options.glosses.lower().lstrip(".") if options.glosses else None
    if name in (None, "json") and (value := _first(record, keys)) is not None:
        return _words(value, class_names)
    if options.gloss_key:
        raise InputError(
            f"no key {options.gloss_key!r} in its .json member; it has {listed(record, shown=8) or 'none'}"
        )
    if name is None:
        # `gloss.txt` as well as `gloss`.
        fitting = [item for item in sample.members if item.partition(".")[0] in _GLOSSES and _is_text(item)]
        name = next(iter(fitting), None)
    if name is None or name not in sample.members:
        wanted = name or " or ".join(f".{item}" for item in _GLOSSES)
        raise InputError(
            f"no glosses: no member {wanted}, and no key {' or '.join(keys[:5])} in a .json member; it has "
            f"{listed(sample.members, shown=8)}; name the member with --glosses, or the key with --gloss_key"
        )
    member = sample.members[name].read(_ANNOTATION)
    if name.rpartition(".")[2] == "json":
        return _words(read_json(member, _ANNOTATION), class_names)
    text = read_text(member, _ANNOTATION).strip()
    if name.rpartition(".")[2] == "cls" and text.lstrip("-").isdecimal():
        return _words(int(text[:20]), class_names)
    return glosses_of(text)


def _is_text(name: str) -> bool:
    return name.rpartition(".")[2] in (*_GLOSSES, "json")


def _words(value: Any, class_names: Sequence[str]) -> list[str]:
    """Returns the glosses that a value of JSON says: words, a list of words, or numbers of classes."""
    if isinstance(value, str):
        return glosses_of(value)
    words = []
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, int) and not isinstance(item, bool):
            if class_names and not 0 <= item < len(class_names):
                raise InputError(f"class {item}; --class_names has 0 to {len(class_names) - 1}")
            item = class_names[item] if class_names else str(item)
        if not isinstance(item, str):
            raise InputError(f"its glosses are {value!r:.60}; needed text, or a list of texts")
        words.append("-".join(item.split()))
    return [word for word in words if word]


def _first(record: Mapping[str, Any], keys: Sequence[str]) -> Any:
    """Returns the value of the first of the keys that a record has and that is not empty; None without."""
    return next((record[key] for key in keys if record.get(key) not in (None, "", [])), None)


def _arrays_of(content: Any) -> dict[str, Any]:
    """Returns a JSON object with its lists of points and scores as arrays; a list alone is the points.

    Raises InputError for lists that are no arrays of numbers.
    """
    entry = dict(content) if isinstance(content, dict) else {POINT_KEYS[0]: content}
    for key in (*POINT_KEYS, *SCORE_KEYS):
        if key not in entry:
            continue
        try:
            # Null is missing.
            entry[key] = np.array(entry[key], dtype=np.float64)
        except (ValueError, TypeError, OverflowError) as error:
            raise InputError(f"{key} is no array of numbers ({error})") from None
    return {key: value for key, value in entry.items() if key in (*POINT_KEYS, *SCORE_KEYS, *SIZE_KEYS, *RATE_KEYS)}
