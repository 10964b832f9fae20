"""Converts files of another landmark format into landmark files: shared by the importers pose, coco_wholebody, ...

An importer supplies a function from one file to its clips. `convert` runs it over files and folder trees and writes
`<output>/<name>.npz` for each clip. A second run makes only the missing clips and those whose source file or settings
changed. Every fault is listed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from signloom import layout
from signloom.anatomy import Measures, combined, faults_of, measure_landmarks
from signloom.console import progress_bar, say
from signloom.errors import Faults, InputError, plural
from signloom.files.arrays import ALONE, names_of, read_arrays
from signloom.files.paths import file_stem, files_of, inside, is_hidden, resolved
from signloom.files.reading import Member, sha256_of
from signloom.files.schemas import check
from signloom.files.temporary import remove_temporary
from signloom.files.writing import as_json
from signloom.hints import command
from signloom.importers.recognise import hint
from signloom.importers.write_corpus import not_given, report_points, with_place
from signloom.landmarks import SUFFIX, Fps, Landmarks, PixelAspect, parse_image_size

# The anatomy of so many clips is measured.
_NUM_MEASURED = 24
# Faults of a whole conversion: the points are another list than the file seemed to have, or were changed after
# tracking. Not `shifted`: it needs all points of the pose, and most lists have fewer.
_FAULTS_OF_A_LIST = (
    "hands_relative", "body_relative", "body_crop", "x_y_exchanged", "upside_down", "turned", "mirrored",
    "face_mirrored", "face_apart", "disordered_face", "hands_exchanged", "hands_crop", "hands_apart", "disordered_hand",
)  # fmt: skip
# A dry run shows this many of the clips that it would write.
_NUM_EXAMPLES = 5


@dataclass(frozen=True, kw_only=True)
class ConvertOptions:
    """Options of all importers that convert landmarks."""

    positionals: ClassVar[tuple[str, ...]] = ("sources",)

    sources: list[Path]
    """files, or folders that contain such files"""
    output: Path
    """folder for the landmark files: <output>/<path below the source>.npz"""
    dry_run: bool = False
    """show what was found and what would be written, and write nothing"""


@dataclass(frozen=True)
class SourceClip:
    """One clip of a source file.

    name: relative to the folder of the file (it may have slashes); None for the name of the file.
    landmarks: returns its landmarks.
    """

    name: str | None
    landmarks: Callable[[], Landmarks]


@dataclass
class Conversion:
    """The result of a conversion.

    dry_run: nothing is written; `written` then counts the clips that would be.
    written, kept: clips.  frames: in written clips.  detected: frames in which each group is present.
    assumed: clips, by what `not_given` returned.  notes: remarks, and how often each occurred.
    owners: the source of each landmark file of this conversion.  examples: the first clips, in words.
    measures: of the anatomy of the first clips.
    """

    importer: str
    output: Path
    dry_run: bool = False
    written: int = 0
    kept: int = 0
    frames: int = 0
    detected: Counter[str] = field(default_factory=Counter)
    assumed: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    owners: dict[Path, Path] = field(default_factory=dict)
    examples: list[str] = field(default_factory=list)
    measures: list[Measures] = field(default_factory=list)
    faults: Faults = field(default_factory=lambda: Faults("not converted", shown=50))

    def own(self, target: Path, path: Path) -> None:
        """Records that `target` is made from the file `path`. Raises InputError if another file made it."""
        owner = self.owners.setdefault(target, path)
        if owner != path:
            raise InputError(f"{target} was already written from {owner}; convert them to different folders")


def one_clip(read: Callable[..., Landmarks]) -> Callable[[Path, Conversion], list[SourceClip]]:
    """Returns the reader for `convert` of files with one clip each.

    read: returns the landmarks of a path; its argument `outcome` is the conversion, to add notes.
    """
    return lambda path, outcome: [SourceClip(None, partial(read, path, outcome=outcome))]


def find_files(
    sources: Iterable[Path], suffixes: tuple[str, ...], output: Path, *, strip: tuple[str, ...] | None = None
) -> list[tuple[Path, str]]:
    """Returns the files to convert and the name of each: its path below the source folder, without the suffix.

    A source that is a file may have any suffix. Hidden files and files in `output` are left out.
    strip: the suffixes to remove from names; all of `suffixes` by default.

    Raises InputError if a source does not exist, two files would get the same name, or nothing is found.
    """
    path_of: dict[str, Path] = {}
    faults = Faults("sources")
    results = resolved(output)
    for source in sources:
        named = [
            (path, path.relative_to(source if path != source else path.parent)) for path in files_of(source, faults)
        ]
        if source.is_dir():
            named = [
                (path, name)
                for path, name in named
                if name.suffix.lower() in suffixes
                and not is_hidden(path, source)
                and not resolved(path).is_relative_to(results)
            ]
            if not named:
                faults.add(f"{source}: no files ending in {' or '.join(suffixes)} in this folder{hint(source)}")
        for path, relative in named:
            known = relative.suffix.lower() in (suffixes if strip is None else strip)
            name = (relative.with_suffix("") if known else relative).as_posix()
            if path_of.setdefault(name, path) != path:
                faults.add(f"{path} and {path_of[name]} would both be written to {name}{SUFFIX}; convert them apart")
    faults.raise_if_any()
    return [(path, name) for name, path in path_of.items()]


def convert(
    files: list[tuple[Path, str]],
    output: Path,
    read: Callable[[Path, Conversion], Iterable[SourceClip]],
    *,
    importer: str,
    settings: Mapping[str, Any],
    dry_run: bool = False,
    digest: Callable[[Path], str] = sha256_of,
) -> Conversion:
    """Writes a landmark file for every clip of `files`; returns the result, with the faults of failed clips.

    read: returns the clips of one file; an InputError from it, or from a clip, is a fault of that file or clip only.
    settings: the options that affect the result, recorded with every clip.
    dry_run: reads and checks every clip, but writes nothing.
    digest: returns a hash of the content of a path of `files`, which may stand for several files (a folder of frames).
    """
    if not dry_run:
        output.mkdir(parents=True, exist_ok=True)
        remove_temporary(output)
    outcome = Conversion(importer, output, dry_run)
    total = len(files)
    with progress_bar() as progress:
        task = progress.add_task(f"import {importer}", total=total, unit="frames", done=0)
        for path, name in files:
            try:
                source = {
                    "importer": importer,
                    "file": path.name,
                    "sha256": digest(path),
                    "settings": as_json(settings),
                }
                # Whether a file has one clip of its own name, or several of other names, is known only when it is read.
                if _up_to_date(_target(output, name), source):
                    outcome.own(_target(output, name), path)
                    outcome.kept += 1
                    continue
                clips = list(read(path, outcome))
                total += len(clips) - 1
                progress.update(task, total=total)
                for clip in clips:
                    _convert_clip(clip, path, name, source, outcome)
                    progress.update(task, advance=1, done=outcome.frames)
                progress.update(task, advance=-1)
            except InputError as error:
                outcome.faults.add(with_place(str(path), error))
            finally:
                progress.update(task, advance=1, done=outcome.frames)
    return outcome


def _convert_clip(clip: SourceClip, path: Path, name: str, source: dict[str, Any], outcome: Conversion) -> None:
    place = str(path)
    if clip.name is not None:
        name, place, source = clip.name, f"{path} ({clip.name})", {**source, "clip": clip.name}
    try:
        target = _target(outcome.output, name)
        outcome.own(target, path)
        if _up_to_date(target, source):
            outcome.kept += 1
            return
        landmarks = clip.landmarks()
        landmarks = replace(landmarks, source={**landmarks.source, **source})
        if not outcome.dry_run:
            landmarks.save(target)
    except InputError as error:
        outcome.faults.add(with_place(place, error))
        return
    outcome.written += 1
    outcome.frames += len(landmarks)
    if len(outcome.measures) < _NUM_MEASURED:
        outcome.measures.append(measure_landmarks(landmarks))
    if len(outcome.examples) < _NUM_EXAMPLES:
        outcome.examples.append(f"{target.relative_to(outcome.output)}: {plural(len(landmarks), 'frame')} from {place}")
    outcome.assumed.update(not_given(landmarks))
    outcome.detected.update({group: int(landmarks.present(group).sum()) for group in layout.GROUPS})


def report_conversion(outcome: Conversion, *, join_with: str = "phoenix2014", next_step: str | None = None) -> int:
    """Prints a summary of the conversion to stdout and its faults to stderr; returns the exit status.

    join_with: the importer of annotations to suggest as next step.  next_step: another command to suggest.
    """
    clips = outcome.written + outcome.kept
    kept = f", {outcome.kept:,} already there" if outcome.kept else ""
    if outcome.dry_run:
        print(
            f"{outcome.output}: {plural(outcome.written, 'clip')} would be written{kept}, "
            f"{plural(outcome.frames, 'frame')}"
        )
        for example in outcome.examples:
            print(f"  {example}")
        if outcome.written > len(outcome.examples) > 0:
            print(f"  and {outcome.written - len(outcome.examples):,} more")
    else:
        print(
            f"{outcome.output}: {plural(clips, 'clip')} ({outcome.written:,} converted{kept}), "
            f"{plural(outcome.frames, 'frame')} converted"
        )
    report_points(outcome.detected, outcome.frames, outcome.assumed, "clip")
    for note, count in outcome.notes.items():
        say(f"note: {note} ({count:,} times)" if count > 1 else f"note: {note}")
    for fault in faults_of(combined(outcome.measures)) if outcome.measures else ():
        if fault.name in _FAULTS_OF_A_LIST:
            say(f"warning: these points are no person ({fault}); look at them with signloom show, and see the options")
    if outcome.dry_run:
        print("dry run: nothing was written")
    elif clips:
        joined = command("import", join_with, annotations="ANNOTATIONS", landmarks=outcome.output, output="CORPUS")
        print(f"next: {next_step or f'{joined}  # or another kind of annotations'}")
    if outcome.faults:
        say(f"signloom import {outcome.importer}: {outcome.faults}")
    return 1 if outcome.faults else 0


@dataclass(frozen=True)
class CameraInfo:
    """Frame rate and image of the original recording; None if unknown.

    fps: frames per second.  image_size: (width, height) in pixels.  pixel_aspect: width of a pixel over its height.
    """

    fps: float | None = None
    image_size: tuple[int, int] | None = None
    pixel_aspect: float | None = None

    @classmethod
    def given(cls, fps: float | None, image_size: str | None, pixel_aspect: float | None, **others: Any) -> Self:
        """Returns the values of the options --fps, --image_size (such as 640x480) and --pixel_aspect.

        Raises InputError for an invalid value.
        """
        if fps is not None:
            check(Fps, fps, name="--fps")
        if pixel_aspect is not None:
            check(PixelAspect, pixel_aspect, name="--pixel_aspect")
        return cls(fps, parse_image_size(image_size) if image_size else None, pixel_aspect, **others)

    def unknown(self, *names: str) -> tuple[str, ...]:
        """Returns those of the named values that are None."""
        return tuple(name for name in names if getattr(self, name) is None)


def load_arrays(path: Path | Member, keys: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Returns the arrays of a .npz file named in `keys`, or the array of a .npy file under the first key.

    Pickled objects are never loaded: an array of objects is refused if `keys` name it, and ignored otherwise.

    Raises InputError for an unreadable file, and for an archive without any of `keys`.
    """
    arrays = read_arrays(path, keys)
    if ALONE in arrays:
        return {keys[0]: arrays[ALONE]}
    if not arrays:
        got = ", ".join(names_of(path)[:8]) or "nothing"
        raise InputError(f"no array named {' or '.join(keys)}; got {got}; rename the one with the points")
    return arrays


def _target(output: Path, name: str) -> Path:
    parts = name.split("/")
    return inside(output, "/".join([*parts[:-1], file_stem(parts[-1]) + SUFFIX]))


def _up_to_date(target: Path, source: dict[str, Any]) -> bool:
    """Returns whether `target` exists and was made from this source with these settings.

    Raises InputError if another tool made it: this importer must not replace it.
    """
    if not target.exists():
        return False
    recorded = Landmarks.load(target).source
    if recorded.get("importer") != source["importer"]:
        maker = recorded.get("importer") or recorded.get("extractor") or "something else"
        raise InputError(f"{target} was made by {maker}; choose another --output or remove it")
    return all(recorded.get(key) == source.get(key) for key in ("sha256", "settings", "clip"))
