"""Imports landmark files of isolated signs as a corpus of clips for `signloom compose`.

The tree is `<sign>/<clip>.npz`, as 'signloom extract' makes it from `<sign>/<clip>.mp4`. --tree says what other folders
are: signer/sign/clip, split/sign/clip, category/sign/clip. Where folders do not name the sign, --labels is a table of
clip and label (AUTSL, WLASL, MS-ASL), or --label_from finds the label in a clip's name (LSA64). Every clip becomes an
utterance of one gloss.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import ClassVar

from signloom.console import say
from signloom.errors import Faults, InputError, plural
from signloom.files.paths import is_hidden
from signloom.importers import spans
from signloom.importers.isolated import SPLIT, IsolatedClip, IsolatedOptions, write_clips
from signloom.importers.label_tables import Label, class_key, read_labels, read_names
from signloom.importers.landmark_files import LandmarkFiles, extraction_failures
from signloom.importers.recognise import recognise
from signloom.importers.trees import EXAMPLES, TreePath, guessed_tree, parse_tree, read_path, without_numbers
from signloom.importers.write_corpus import LeftOut
from signloom.landmarks import SUFFIX, Landmarks
from signloom.text.patterns import UserPattern, found_in

# What names of videos have beside the names in a table of labels: AUTSL's signer0_sample1 is signer0_sample1_color.mp4.
_ENDINGS = ("", "_color", "_rgb")
_TABLES = frozenset((".json", ".csv", ".tsv", ".txt"))
_VIDEOS = frozenset(".mp4 .avi .mov .mkv .webm .mpg .mpeg .wmv .m4v .gif .mts .flv .3gp".split())


@dataclass(frozen=True, kw_only=True)
class Options(IsolatedOptions):
    """Options of `signloom import clips`."""

    positionals: ClassVar[tuple[str, ...]] = ("source",)

    source: Path
    """Folder with the landmark files, for example one folder of them per sign."""
    tree: str | None = None
    """What the folders are: sign/clip (the default), signer/sign/clip, split/sign/clip, category/sign/clip or others.
    Only sign, signer and split have a meaning; a split is train, dev (val) or test."""
    labels: list[Path] = field(default_factory=list)
    """Tables of clip and label, or JSON such as WLASL's; columns split, signer, start and end are used."""
    label_from: str | None = None
    """A regular expression with one (group) that finds the label in a clip's name, e.g. '^([0-9]+)_' for LSA64."""
    label_names: Path | None = None
    """A table of the names of numbered labels, such as AUTSL's ClassId,TR,EN."""
    signer_from: str = "none"
    """The signer: 'none' (unknown), 'folder' (the tree is signer/sign/clip), or a regular expression with one (group)
    that finds the signer in a clip's name, e.g. '_(P[0-9]+)' for hello_P03_2.npz."""


def run(options: Options) -> int:
    """Writes the corpus; returns exit status 0."""
    options.check_output()
    faults = Faults("import clips")
    left_out = [
        LeftOut(name, f"its extraction failed: {reason}") for name, reason in extraction_failures(options.source)
    ]
    if not options.labels and options.tree is None and options.label_from is None:
        _refuse_unused_labels(options.source)
    find = labelled_clips if options.labels else find_clips
    clips = find(options, faults, left_out)
    return write_clips(
        clips, options, importer="clips", sources=[options.source.resolve()], faults=faults, left_out=left_out
    )


def find_clips(options: Options, faults: Faults, left_out: list[LeftOut]) -> list[IsolatedClip]:
    """Returns the clips of a tree; adds to `faults` clips at the wrong depth, without a label, or without a signer.

    Raises InputError if the folder does not exist or has no landmark file, and if its tree is not clear.
    """
    signer = None if options.signer_from in ("none", "folder") else UserPattern(options.signer_from, "--signer_from")
    label = UserPattern(options.label_from, "--label_from") if options.label_from is not None else None
    paths = _landmark_files(options.source)
    folders = [path.relative_to(options.source).parts[:-1] for path in paths]
    levels = _levels(options, folders, needs_sign=label is None)
    names = read_names(options.label_names, faults) if options.label_names is not None else {}
    found = [
        (path, parts, place)
        for path, parts in zip(paths, folders, strict=True)
        if (place := read_path(path, parts, levels, faults)) is not None
    ]
    labels = without_numbers(place.sign for _, _, place in found if place.sign is not None)
    clips = []
    for path, parts, place in found:
        name = path.name.removesuffix(SUFFIX)
        text = labels[place.sign] if place.sign is not None else ""
        if label is not None and not (text := found_in(name, label) or ""):
            faults.add(f"{path}: unknown sign; --label_from {options.label_from} finds none in {name!r}")
            continue
        if names and text:
            if (key := class_key(text)) not in names:
                faults.add(f"{path}: class {text!r} is not in {options.label_names}")
                continue
            text = names[key]
        person = place.signer or found_in(name, signer)
        if signer and not person:
            faults.add(f"{path}: unknown signer; --signer_from {options.signer_from} finds none in {name!r}")
            continue
        origin = "/".join([options.source.resolve().name, *parts, path.name])
        clips.append(_clip(path, name, text, person, origin, place))
    return clips


def labelled_clips(options: Options, faults: Faults, left_out: list[LeftOut]) -> list[IsolatedClip]:
    """Returns the clips of tables of labels; adds to `faults` labels without a clip, or to `left_out` if the options
    say so.
    """
    signer = None if options.signer_from == "none" else UserPattern(options.signer_from, "--signer_from")
    paths = _landmark_files(options.source)
    names = read_names(options.label_names, faults) if options.label_names is not None else {}
    labels = read_labels(options.labels, names, faults)
    files = LandmarkFiles(options.source)
    load = spans.cached_loader()
    found = []
    for label in labels:
        try:
            matches = [files.find(f"{label.clip}{ending}", label.split or "") for ending in _ENDINGS]
        except InputError as error:
            faults.add(f"{label.place}: {error}")
            continue
        path = next((match for match in matches if match is not None), None)
        if path is not None:
            found.append((label, path))
        elif options.skip_faulty:
            left_out.append(LeftOut(label.clip, f"{label.place}: {files.why_missing(label.clip)}"))
        else:
            faults.add(f"{label.place}: {files.why_missing(label.clip)}")
            faults.advice = "--skip_faulty leaves out invalid clips"
    unit = _unit(found, load)
    if unlabelled := len(set(paths) - {path for _, path in found}):
        say(f"note: {plural(unlabelled, 'landmark file')} of {len(paths):,} without a label, left out")
    shared = Counter(path for _, path in found)
    counts = Counter[Path]()
    clips = []
    for label, path in found:
        counts[path] += 1
        name = path.name.removesuffix(SUFFIX)
        origin = f"{options.source.resolve().name}/{path.relative_to(options.source).as_posix()}"
        place = TreePath(split=label.split)
        if label.span is None:
            clips.append(_clip(path, name, label.label, label.signer or found_in(name, signer), origin, place))
            continue
        name = f"{name}_{counts[path]:04d}" if shared[path] > 1 else name
        part = spans.Span(label.span.start, label.span.end, label.span.unit or unit)
        read = partial(spans.part_of, load, path, part)
        person = label.signer or found_in(name, signer)
        clips.append(_clip(path, name, label.label, person, f"{origin} ({part})", place, read))
    return clips


def _clip(
    path: Path,
    name: str,
    label: str,
    signer: str | None,
    origin: str,
    place: TreePath,
    read: Callable[[], Landmarks] | None = None,
) -> IsolatedClip:
    """Returns a clip; read: returns a part of its file, None for the whole."""
    folders = ((place.split,) if place.split else ()) + place.others
    return IsolatedClip(
        name,
        label,
        signer,
        str(path),
        origin,
        read or partial(Landmarks.load, path),
        path if read is None else None,
        place.split or SPLIT,
        folders,
    )


def _unit(found: Sequence[tuple[Label, Path]], load: Callable[[Path], Landmarks]) -> spans.Unit | None:
    """Returns the unit of the parts that do not name it. Raises InputError if it is not clear."""
    unknown = [(label.span, 1, path) for label, path in found if label.span is not None and label.span.unit is None]
    return spans.unit_of(unknown, load) if unknown else None


def _levels(options: Options, folders: Sequence[Sequence[str]], *, needs_sign: bool) -> tuple[str, ...]:
    """Returns the meaning of the folders. Raises InputError if the options contradict each other or do not say it."""
    by_folder = options.signer_from == "folder"
    if options.tree is not None:
        levels = parse_tree(options.tree, needs_sign=needs_sign)
        if by_folder and "signer" not in levels:
            raise InputError(f"--signer_from folder needs a folder for the signer; --tree {options.tree} has none")
        return levels
    if by_folder:
        return ("signer", "sign")
    if not needs_sign:
        depths = {len(parts) for parts in folders}
        return tuple(f"folder_{chr(97 + level)}" for level in range(depths.pop())) if len(depths) == 1 else ()
    if (guessed := guessed_tree(folders)) is None:
        first = "/".join(folders[0])
        raise InputError(
            f"{options.source}: clips lie two folders deep ({first}/...); say what the folders are with --tree: "
            f"{EXAMPLES.partition(', ')[2]}"
        )
    return guessed


def _refuse_unused_labels(root: Path) -> None:
    """Raises InputError for a table beside the clips that has labels for most of them, where nothing says to use it.

    Otherwise the names of folders, such as `landmarks` or `videos`, would become the signs.
    """
    stems = {path.name.removesuffix(SUFFIX).removesuffix(end) for path in _landmark_files(root) for end in _ENDINGS}
    for table in sorted(path for path in root.iterdir() if path.suffix.lower() in _TABLES and path.is_file()):
        labels = read_labels([table], {}, ignored := Faults(str(table)))
        known = stems & {Path(label.clip).stem for label in labels}
        if labels and not ignored and 2 * len(known) >= len(stems) / len(_ENDINGS):
            raise InputError(
                f"{table}: has labels for {plural(len(known), 'clip')} beside it; pass --labels {table} to use them, "
                "or --tree sign/clip if the folders name the signs"
            )


def _landmark_files(root: Path) -> list[Path]:
    """Returns the landmark files of a folder. Raises InputError if there are none."""
    if not root.is_dir():
        raise InputError(f"{root}: no such folder")
    # A pipe or a broken link of this name is refused when it is read.
    paths = sorted(path for path in root.rglob(f"*{SUFFIX}") if not path.is_dir() and not is_hidden(path, root))
    if not paths:
        raise InputError(_nothing_in(root))
    return paths


def _nothing_in(root: Path) -> str:
    """Returns the error message for a tree without landmark files: what it has, and the command to run first."""
    suffixes = Counter(path.suffix.lower() for path in root.rglob("*") if path.is_file() and path.suffix)
    if not suffixes:
        return f"{root}: no files in it; needed sign/clip{SUFFIX}"
    (suffix, count) = suffixes.most_common(1)[0]
    landmarks = f"{root}-landmarks"
    again = f", then: signloom import clips {landmarks} --output CORPUS"
    if suffix == ".npy":
        step = f"for arrays of MediaPipe Holistic use: signloom import holistic {root} --output CORPUS"
    elif suffix == ".pose":
        step = f"first run: signloom import pose {root} --output {landmarks}{again}"
    elif suffix in _VIDEOS:
        step = f"first run: signloom extract {root} --output {landmarks}{again}"
    else:
        step = str(recognise(root) or "'signloom import --help' lists the formats that become landmark files")
    return f"{root}: no landmark files ({SUFFIX}) in it, but {count:,} {suffix} files; {step}"
