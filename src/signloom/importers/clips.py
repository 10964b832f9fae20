"""Imports landmark files of isolated signs, one folder per sign, as a corpus of clips for `signloom compose`.

The tree is `<sign>/<clip>.npz`, as 'signloom extract' makes it from `<sign>/<clip>.mp4`; with --signer_from folder
it is `<signer>/<sign>/<clip>.npz`. Every clip becomes an utterance of one gloss: the name of its folder.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

from signloom.errors import Faults, InputError
from signloom.importers.isolated import IsolatedClip, IsolatedOptions, write_clips
from signloom.importers.landmark_files import extraction_failures
from signloom.importers.write_corpus import LeftOut, signer_in, signer_pattern
from signloom.landmarks import SUFFIX, Landmarks


@dataclass(frozen=True, kw_only=True)
class Options(IsolatedOptions):
    """Options of `signloom import clips`."""

    positionals: ClassVar[tuple[str, ...]] = ("source",)

    source: Path
    """Folder with a folder of landmark files for each sign."""
    signer_from: str = "none"
    """The signer: 'none' (unknown), 'folder' (the tree is signer/sign/clip), or a regular expression with one (group)
    that finds the signer in a clip's name, e.g. '_(P[0-9]+)' for hello_P03_2.npz."""


def run(options: Options) -> int:
    """Writes the corpus; returns exit status 0."""
    faults = Faults("import clips")
    clips = find_clips(options.source, options.signer_from, faults)
    left_out = [
        LeftOut(name, f"its extraction failed: {reason}") for name, reason in extraction_failures(options.source)
    ]
    return write_clips(
        clips, options, importer="clips", sources=[options.source.resolve()], faults=faults, left_out=left_out
    )


def find_clips(root: Path, signer_from: str, faults: Faults) -> list[IsolatedClip]:
    """Returns the clips of a tree; adds to `faults` clips at the wrong depth and clips without a signer.

    signer_from: `none`, `folder`, or a regular expression with one group that finds the signer in a clip's name.

    Raises InputError if the folder does not exist or has no landmark file.
    """
    if not root.is_dir():
        raise InputError(f"{root}: no such folder")
    pattern = None if signer_from in ("none", "folder") else signer_pattern(signer_from, "--signer_from")
    paths = sorted(path for path in root.rglob(f"*{SUFFIX}") if path.is_file() and not path.name.startswith("."))
    if not paths:
        raise InputError(_nothing_in(root))
    shape = "signer/sign/clip" if signer_from == "folder" else "sign/clip"
    clips = []
    for path in paths:
        *folders, file_name = path.relative_to(root).parts
        if len(folders) != shape.count("/"):
            other = f" or pass --signer_from folder for signer/sign/clip{SUFFIX}" if len(folders) == 2 else ""
            faults.add(f"{path}: is {len(folders)} folders deep; needed {shape}{SUFFIX}: move it{other}")
            continue
        name = file_name.removesuffix(SUFFIX)
        signer = folders[0] if signer_from == "folder" else signer_in(name, pattern)
        if pattern and not signer:
            faults.add(f"{path}: unknown signer; --signer_from {signer_from} finds none in {name!r}")
        origin = "/".join([root.resolve().name, *folders, file_name])
        clips.append(IsolatedClip(name, folders[-1], signer, str(path), origin, partial(Landmarks.load, path), path))
    return clips


def _nothing_in(root: Path) -> str:
    """Returns the error message for a tree without landmark files: what it has, and the command to run first."""
    suffixes = Counter(path.suffix.lower() for path in root.rglob("*") if path.is_file() and path.suffix)
    if not suffixes:
        return f"{root}: no files in it; needed sign/clip{SUFFIX}"
    (suffix, count) = suffixes.most_common(1)[0]
    landmarks = f"{root}-landmarks"
    if suffix == ".npy":
        step = f"for arrays of 258 or 1,662 values per frame use: signloom import holistic {root} --output CORPUS"
    elif suffix == ".pose":
        step = f"first run: signloom import pose {root} --output {landmarks}"
    else:
        step = f"first run: signloom extract {root} --output {landmarks}"
    again = "" if suffix == ".npy" else f", then: signloom import clips {landmarks} --output CORPUS"
    return f"{root}: no landmark files ({SUFFIX}) in it, but {count:,} {suffix} files; {step}{again}"
