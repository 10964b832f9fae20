"""Finds the clips of MediaPipe Holistic values in folders and archives; reads the values of one clip."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from signloom import layout
from signloom.errors import Faults, InputError, plural
from signloom.files.arrays import ALONE, read_arrays
from signloom.files.paths import is_there
from signloom.importers.holistic_order import FORMS, NUM_REFINED_FACE_POINTS, USUAL_ORDER, WIDTHS
from signloom.landmarks import MAX_FRAMES

# The arrays of an archive, beside its values.
_TABLE = ("start", "length", "label")
# What the arrays of the parts are called, without case, separators and the ending below.
_PART_NAMES = {
    "pose": ("pose", "body"),
    "face": ("face", "facemesh"),
    "left_hand": ("lefthand", "handleft", "lefth", "lh", "left"),
    "right_hand": ("righthand", "handright", "righth", "rh", "right"),
}
# The numbers of points that each part may have.
_NUM_POINTS = {
    "pose": (layout.NUM_POSE_POINTS,),
    "face": (layout.NUM_FACE_POINTS, NUM_REFINED_FACE_POINTS),
    "left_hand": (layout.NUM_HAND_POINTS,),
    "right_hand": (layout.NUM_HAND_POINTS,),
}
_ENDING = re.compile(r"(landmarks?|keypoints?|points?|kps?|xyz)$")


@dataclass(frozen=True)
class RawClip:
    """One clip of one sign as the source has it.

    name, label, signer, place, origin: as in `IsolatedClip`.
    values: returns its frames, (T, D) with D one of `FORMS`; raises InputError if they are invalid.
    named: the source names the parts, and `values` puts them into the usual order.
    """

    name: str
    label: str
    signer: str | None
    place: str
    origin: str
    values: Callable[[], np.ndarray]
    named: bool = False


def clips_of(source: Path, signer: str | None, faults: Faults) -> list[RawClip]:
    """Returns the clips of a folder or archive; adds faults of single clips to `faults`.

    Raises InputError if there are none, or the arrays of the archive do not fit together.
    """
    if not source.is_dir() and is_there(source):
        return _in_archive(source, signer)
    return _in_folders(source, signer, faults)


def as_frames(array: np.ndarray) -> np.ndarray:
    """Returns the frames of one clip, (T, D), from (T, D) or (T, points, 3).

    Raises InputError for other shapes, no frames, and values that are not numbers.
    """
    if array.dtype.kind not in "fiu":
        raise InputError(f"values of type {array.dtype}; needed numbers")
    flat = array.reshape(len(array), -1) if array.ndim == 3 else array
    if flat.ndim != 2 or flat.shape[1] not in FORMS:
        raise InputError(
            f"an array of shape {array.shape}; needed (frames, values) with {WIDTHS} values, or (frames, points, 3)"
        )
    if len(flat) == 0:
        raise InputError("no frames; needed at least 1")
    return flat


def _in_archive(path: Path, signer: str | None) -> list[RawClip]:
    """Returns the clips of a .npz archive."""
    arrays = _arrays(path)
    parts = _parts(arrays)
    needed = (*(() if parts else ("frames",)), *_TABLE)
    missing = [key for key in needed if key not in arrays]
    if missing:
        raise InputError(
            f"{path}: no array {', '.join(missing)}; got {', '.join(arrays)}, needed frames (or pose, face, left_hand, "
            f"right_hand), {', '.join(_TABLE)}"
        )
    try:
        frames = _joined(parts) if parts else as_frames(arrays["frames"])
    except InputError as error:
        raise InputError(f"{path}: frames: {error}") from None
    start, length = arrays["start"], arrays["length"]
    shapes = {key: arrays[key].shape for key in (*_TABLE, "group", "path") if key in arrays}
    if len(set(shapes.values())) != 1 or start.ndim != 1:
        raise InputError(f"{path}: arrays of shapes {shapes}; needed one entry per clip in each")
    if start.dtype.kind not in "iu" or length.dtype.kind not in "iu":
        raise InputError(f"{path}: start and length of types {start.dtype}, {length.dtype}; needed whole numbers")
    names = [entry.replace("\\", "/").rsplit("/", 1)[-1] for entry in map(str, arrays.get("path", []))]
    clips = []
    for number in range(len(start)):
        label = str(arrays["label"][number])
        group = signer or (str(arrays["group"][number]) if "group" in arrays else None)
        origin = str(arrays["path"][number]) if names else f"clip {number}"
        clips.append(
            RawClip(
                name=names[number] if names else str(number),
                label=label,
                signer=group or None,
                place=f"{path} (clip {number}, {origin if names else label})",
                origin=f"{path.name}: {origin}",
                values=partial(_cut, frames, int(start[number]), int(length[number])),
                named=bool(parts),
            )
        )
    return clips


def _cut(frames: np.ndarray, start: int, length: int) -> np.ndarray:
    if start < 0 or length < 0 or start + length > len(frames):
        raise InputError(f"frames {start} to {start + length} are outside the {len(frames)} of the archive")
    return as_frames(frames[start : start + length])


def _in_folders(root: Path, signer: str | None, faults: Faults) -> list[RawClip]:
    """Returns the clips of a folder `<sign>/<clip>/<frame>.npy`, `<sign>/<clip>.npy` or `<sign>/<clip>.npz`."""
    if not root.is_dir():
        raise InputError(f"{root}: no such file or folder")
    signs = [path for path in _visible(root) if path.is_dir()]
    clips = []
    for sign in signs:
        entries = [path for path in _visible(sign) if path.is_dir() or path.suffix in (".npy", ".npz")]
        if not entries:
            faults.add(f"{sign}: no clips in this folder; needed {sign.name}/<clip>/<frame>.npy")
        for entry in entries:
            origin = f"{root.resolve().name}/{sign.name}/{entry.name}"
            read = _read_numbered if entry.is_dir() else _read_parts if entry.suffix == ".npz" else _read_clip
            name = entry.name if entry.is_dir() else entry.stem
            named = entry.suffix == ".npz" and not entry.is_dir()
            clips.append(RawClip(name, sign.name, signer, str(entry), origin, partial(read, entry), named))
    if not signs:
        raise InputError(f"{root}: no folders in it; needed one folder per sign: <sign>/<clip>/<frame>.npy")
    return clips


def _read_numbered(folder: Path) -> np.ndarray:
    """Returns the frames of one clip folder in the order of their numbers, (T, D).

    Raises InputError for no frames, names that are not numbers, gaps between the numbers, and odd shapes.
    """
    paths = [path for path in _visible(folder) if path.suffix == ".npy"]
    if not paths:
        raise InputError("no .npy frames in this folder")
    odd = [path.name for path in paths if not path.stem.isdecimal()]
    if odd:
        raise InputError(f"{odd[0]!r} is not a frame number; needed files such as 0.npy, 1.npy")
    numbered = {int(path.stem): path for path in paths}
    first, last = min(numbered), max(numbered)
    if len(numbered) != len(paths):
        raise InputError("two files with the same frame number, such as 1.npy and 01.npy; remove one")
    if last >= MAX_FRAMES:
        raise InputError(f"a frame has the number {last}; needed numbers below {MAX_FRAMES:,}")
    absent = [number for number in range(first if first <= 1 else 0, last + 1) if number not in numbered]
    if absent:
        shown = ", ".join(map(str, absent[:5])) + (", ..." if len(absent) > 5 else "")
        raise InputError(
            f"frames {shown} are missing ({len(absent)} of {last - min(first, 1) + 1}); needed every number"
        )
    frames: list[np.ndarray] = []
    for number in sorted(numbered):
        frame = _load(numbered[number]).reshape(-1)
        if len(frame) not in FORMS or (frames and len(frame) != len(frames[0])):
            wanted = f"{len(frames[0]):,} like the frames before" if frames else WIDTHS
            raise InputError(f"{numbered[number].name} has {plural(len(frame), 'value')}; needed {wanted}")
        frames.append(frame)
    return as_frames(np.stack(frames))


def _read_clip(path: Path) -> np.ndarray:
    return as_frames(_load(path))


def _read_parts(path: Path) -> np.ndarray:
    """Returns the frames of an archive of one clip, with an array for each part or one of all values."""
    arrays = _arrays(path)
    parts = _parts(arrays)
    if parts:
        return _joined(parts)
    if {"points", "visibility", "meta"} <= set(arrays):
        raise InputError("a landmark file of signloom; use: signloom import clips")
    if len(arrays) == 1:
        return as_frames(next(iter(arrays.values())))
    got = ", ".join(list(arrays)[:8]) or "nothing"
    raise InputError(f"no arrays of the parts; got {got}, needed some of pose, face, left_hand, right_hand")


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """Returns all arrays of numbers or text of an archive. Raises InputError if it cannot be read."""
    arrays = read_arrays(path)
    return {"frames": arrays[ALONE]} if ALONE in arrays else arrays


def _parts(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the arrays of the parts, by part; empty if none is named."""
    found = {}
    for name, array in arrays.items():
        plain = _ENDING.sub("", re.sub(r"[^a-z]", "", name.lower()))
        for part, names in _PART_NAMES.items():
            if plain in names:
                found[part] = array
    return found if any(part.endswith("hand") or part == "pose" for part in found) else {}


def _joined(parts: Mapping[str, np.ndarray]) -> np.ndarray:
    """Returns frames (T, D) with the parts in the usual order; a part that the source lacks is all zero.

    Raises InputError for arrays of other shapes than (T, points, 3 or 4) or (T, points * 3 or 4).
    """
    length = next(iter(parts.values())).shape[:1][0] if next(iter(parts.values())).ndim else 0
    blocks = {part: _block(part, array, length) for part, array in parts.items()}
    # Only the hands, or all but the face, may stand alone.
    wanted = [part for part in USUAL_ORDER if part in blocks or "face" in blocks or part.endswith("hand")]
    absent = {part: np.zeros((length, _NUM_POINTS[part][0], 3), dtype=np.float32) for part in wanted}
    flat = [blocks.get(part, absent[part]).reshape(length, -1) for part in wanted]
    return as_frames(np.concatenate(flat, axis=1, dtype=np.float32))


def _block(part: str, array: np.ndarray, length: int) -> np.ndarray:
    """Returns the values of one part, (T, points, 3), of the pose 3 or 4. Raises InputError for another shape."""
    for count in _NUM_POINTS[part]:
        for values in (3, 4):
            if array.dtype.kind in "fiu" and array.shape in ((length, count, values), (length, count * values)):
                return array.reshape(length, count, values)[..., : 4 if part == "pose" else 3]
    raise InputError(
        f"{part}: an array of {array.dtype} of shape {array.shape}; needed numbers of shape ({length}, "
        f"{' or '.join(map(str, _NUM_POINTS[part]))}, 3)"
    )


def _load(path: Path) -> np.ndarray:
    arrays = read_arrays(path)
    if ALONE not in arrays:
        raise InputError(f"{path.name} is an archive of several arrays; needed a single array of numbers")
    return arrays[ALONE]


def _visible(folder: Path) -> list[Path]:
    """Returns the entries of a folder without hidden ones, numbers in numeric order."""
    entries = [path for path in folder.iterdir() if not path.name.startswith(".")]
    return sorted(
        entries, key=lambda path: (not path.stem.isdecimal(), len(path.stem) * path.stem.isdecimal(), path.name)
    )
