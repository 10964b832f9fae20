"""Imports arrays of MediaPipe Holistic values (258 or 1,662 per frame) as a corpus of clips for `signloom compose`.

The sources are folders `<sign>/<clip>/<frame>.npy` (often called MP_Data; `<sign>/<clip>.npy` with all frames of a
clip works too) or .npz archives with the arrays frames, start, length, label and, if known, group and path.
A frame has the pose (33 x x, y, z, visibility), with 1,662 values the face (468 x x, y, z), then the left and the right
hand (21 x x, y, z each); x and y are fractions of the image. A part that is all zero was not detected.

Every clip becomes an utterance of one gloss. The signer is the group in an archive, or the name given with --signer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from signloom import layout
from signloom.errors import Faults, InputError
from signloom.importers.convert_landmarks import CameraInfo, load_arrays
from signloom.importers.isolated import IsolatedClip, IsolatedOptions, write_clips
from signloom.landmarks import Landmarks

# The groups of a frame, by its number of values. Source: `extract_keypoints` of the tutorials that use this layout; it
# concatenates pose, (face,) left hand, right hand. Pose points have a fourth value, their visibility.
BLOCKS: dict[int, tuple[str, ...]] = {
    258: ("pose", "left_hand", "right_hand"),
    1662: ("pose", "face", "left_hand", "right_hand"),
}
# The layout records neither. Bone lengths of public collections fit 16:9 webcams, at 25 to 30 frames/s.
ASSUMED_FPS = 25.0
ASSUMED_IMAGE_SIZE = (1280, 720)
# x and y are fractions of the image; legs estimated below the image reach about 4. Pixels would be in the hundreds.
_LARGEST_FRACTION = 20.0


@dataclass(frozen=True, kw_only=True)
class Options(IsolatedOptions):
    """Options of `signloom import holistic`."""

    positionals: ClassVar[tuple[str, ...]] = ("sources",)

    sources: list[Path]
    """Folders <sign>/<clip>/<frame>.npy, or .npz archives."""
    signer: list[str] = field(default_factory=list)
    """The signer: one name for all sources, or one per source (--signer anna ben). Default: the group in an archive;
    unknown for a folder."""
    fps: float | None = None
    """Frames per second. Default: 25, recorded as assumed."""
    image_size: str | None = None
    """Size of the images in pixels, e.g. 640x480. Default: 1280x720, recorded as assumed."""
    pixel_aspect: float | None = None
    """Width of a pixel divided by its height, for anamorphic images. Default: 1."""


def run(options: Options) -> int:
    """Writes the corpus; returns exit status 0."""
    camera = CameraInfo.given(options.fps, options.image_size, options.pixel_aspect)
    faults = Faults("import holistic")
    clips = find_clips(options.sources, camera, signers=options.signer, faults=faults)
    return write_clips(clips, options, importer="holistic", sources=options.sources, faults=faults)


def read_clips(
    source: Path | str, camera: CameraInfo | None = None, *, signer: str | None = None
) -> Iterator[tuple[IsolatedClip, Landmarks]]:
    """Yields each clip of one source with its landmarks, in the order of the source.

    Raises InputError listing every fault of the source, and for the first clip that cannot be read.
    """
    faults = Faults(str(source))
    clips = find_clips([Path(source)], camera, signers=[signer] if signer else [], faults=faults)
    faults.raise_if_any()
    for clip in clips:
        yield clip, clip.read()


def find_clips(
    sources: Sequence[Path], camera: CameraInfo | None = None, *, signers: Sequence[str] = (), faults: Faults
) -> list[IsolatedClip]:
    """Returns the clips of folders and archives; adds faults of the sources to `faults`.

    signers: none, one for all sources, or one for each.
    """
    camera = camera or CameraInfo()
    if len(signers) not in (0, 1, len(sources)):
        faults.add(f"--signer names {len(signers)} signers for {len(sources)} sources; needed one, or one for each")
        return []
    names: list[str | None] = list(signers) if len(signers) == len(sources) else [*signers, None][:1] * len(sources)
    clips: list[IsolatedClip] = []
    for source, signer in zip(sources, names, strict=True):
        try:
            if source.is_file():
                clips += _in_archive(source, camera, signer)
            else:
                clips += _in_folders(source, camera, signer, faults)
        except InputError as error:
            faults.add(str(error))
    return clips


def landmarks_from_frames(
    frames: np.ndarray, camera: CameraInfo | None = None, *, source: dict[str, Any] | None = None
) -> Landmarks:
    """Returns the landmarks of frames of 258 or 1,662 values, (T, 258) or (T, 1662); all-zero parts are missing.

    Values that `camera` lacks are assumed (25 frames/s, 1280x720) and recorded as assumed.
    x and z are multiplied by width/height, so that all three coordinates are in units of the image height.

    Raises InputError for other widths, no frames, values that are not numbers or not fractions of an image, and
    clips in which nothing was detected.
    """
    camera = camera or CameraInfo()
    if frames.dtype.kind not in "fiu":
        raise InputError(f"values of type {frames.dtype}; needed numbers")
    if frames.ndim != 2 or frames.shape[1] not in BLOCKS:
        widths = " or ".join(f"{width:,}" for width in BLOCKS)
        raise InputError(f"an array of shape {frames.shape}; needed (frames, {widths})")
    if len(frames) == 0:
        raise InputError("no frames; needed at least 1")
    broken = np.flatnonzero(~np.isfinite(frames).all(axis=1))
    if len(broken):
        raise InputError(f"NaN or infinite values in {len(broken)} of {len(frames)} frames, first in frame {broken[0]}")
    width, height = camera.image_size or ASSUMED_IMAGE_SIZE
    pixel_aspect = camera.pixel_aspect or 1.0
    points = np.full((len(frames), layout.NUM_POINTS, 3), np.nan, dtype=np.float32)
    visibility = np.full((len(frames), layout.NUM_POSE_POINTS), np.nan, dtype=np.float32)
    column = 0
    for group in BLOCKS[frames.shape[1]]:
        part = layout.GROUPS[group]
        values_per_point = 4 if group == "pose" else 3
        end = column + (part.stop - part.start) * values_per_point
        block = frames[:, column:end].astype(np.float32)
        detected = (block != 0).any(axis=1)
        block = np.where(detected[:, None], block, np.nan).reshape(len(frames), -1, values_per_point)
        points[:, part] = block[..., :3]
        if group == "pose":
            visibility = block[..., 3]
        column = end
    if np.isnan(points).all():
        raise InputError(f"nothing was detected in any of its {len(frames)} frames")
    largest = np.nanmax(np.abs(points[..., :2]))
    if largest > _LARGEST_FRACTION:
        raise InputError(f"coordinates up to {largest:,.0f}; needed x and y as fractions of the image, not pixels")
    points *= np.array([width / height * pixel_aspect, 1, width / height * pixel_aspect], dtype=np.float32)
    return Landmarks(
        points,
        visibility,
        fps=camera.fps or ASSUMED_FPS,
        image_size=(width, height),
        pixel_aspect=pixel_aspect,
        assumed=camera.unknown("fps", "image_size"),
        source={"importer": "holistic", **(source or {})},
    )


def _read(frames: Callable[[], np.ndarray], camera: CameraInfo, origin: str) -> Landmarks:
    return landmarks_from_frames(frames(), camera, source={"clip": origin})


def _in_archive(path: Path, camera: CameraInfo, signer: str | None) -> list[IsolatedClip]:
    """Returns the clips of a .npz archive. Raises InputError if its arrays do not fit together."""
    needed = ("frames", "start", "length", "label")
    try:
        arrays = load_arrays(path, (*needed, "group", "path"))
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    missing = [key for key in needed if key not in arrays]
    if missing:
        raise InputError(f"{path}: no array {', '.join(missing)}; got {', '.join(arrays)}, needed {', '.join(needed)}")
    frames, start, length = arrays["frames"], arrays["start"], arrays["length"]
    shapes = {key: arrays[key].shape for key in arrays if key != "frames"}
    if len(set(shapes.values())) != 1 or start.ndim != 1:
        raise InputError(f"{path}: arrays of shapes {shapes}; needed one entry per clip in each")
    if start.dtype.kind not in "iu" or length.dtype.kind not in "iu":
        raise InputError(f"{path}: start and length of types {start.dtype}, {length.dtype}; needed whole numbers")
    if frames.ndim != 2 or frames.shape[1] not in BLOCKS:
        raise InputError(f"{path}: frames of shape {frames.shape}; needed (frames, 258) or (frames, 1662)")
    names = [entry.replace("\\", "/").rsplit("/", 1)[-1] for entry in map(str, arrays.get("path", []))]
    clips = []
    for number in range(len(start)):
        label = str(arrays["label"][number])
        group = signer or (str(arrays["group"][number]) if "group" in arrays else None)
        name = names[number] if names else str(number)
        origin = str(arrays["path"][number]) if names else f"clip {number}"
        place = f"{path} (clip {number}, {origin if names else label})"
        cut = partial(_slice, frames, int(start[number]), int(length[number]))
        origin = f"{path.name}: {origin}"
        clips.append(IsolatedClip(name, label, group or None, place, origin, partial(_read, cut, camera, origin)))
    return clips


def _slice(frames: np.ndarray, start: int, length: int) -> np.ndarray:
    if start < 0 or length < 0 or start + length > len(frames):
        raise InputError(f"frames {start} to {start + length} are outside the {len(frames)} of the archive")
    return frames[start : start + length]


def _in_folders(root: Path, camera: CameraInfo, signer: str | None, faults: Faults) -> list[IsolatedClip]:
    """Returns the clips of a folder `<sign>/<clip>/<frame>.npy` or `<sign>/<clip>.npy`."""
    if not root.is_dir():
        raise InputError(f"{root}: no such file or folder")
    signs = [path for path in _visible(root) if path.is_dir()]
    clips = []
    for sign in signs:
        entries = [path for path in _visible(sign) if path.is_dir() or path.suffix == ".npy"]
        if not entries:
            faults.add(f"{sign}: no clips in this folder; needed {sign.name}/<clip>/<frame>.npy")
        for entry in entries:
            frames = partial(_read_frames if entry.is_dir() else _load, entry)
            name = entry.name.removesuffix(".npy")
            origin = f"{root.resolve().name}/{sign.name}/{entry.name}"
            read = partial(_read, frames, camera, origin)
            clips.append(IsolatedClip(name, sign.name, signer, str(entry), origin, read))
    if not signs:
        raise InputError(f"{root}: no folders in it; needed one folder per sign: <sign>/<clip>/<frame>.npy")
    return clips


def _read_frames(folder: Path) -> np.ndarray:
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
    absent = [number for number in range(first if first <= 1 else 0, last + 1) if number not in numbered]
    if absent:
        shown = ", ".join(map(str, absent[:5])) + (", ..." if len(absent) > 5 else "")
        raise InputError(
            f"frames {shown} are missing ({len(absent)} of {last - min(first, 1) + 1}); needed every number"
        )
    frames: list[np.ndarray] = []
    for number in sorted(numbered):
        frame = _load(numbered[number]).reshape(-1)
        if len(frame) not in BLOCKS or (frames and len(frame) != len(frames[0])):
            wanted = f"{len(frames[0]):,} like the frames before" if frames else "258 or 1,662"
            raise InputError(f"{numbered[number].name} has {len(frame):,} values; needed {wanted}")
        frames.append(frame)
    return np.stack(frames)


def _load(path: Path) -> np.ndarray:
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        if "pickle" in str(error).lower():
            raise InputError(f"{path.name} is a pickled object or not an array; needed an array of numbers") from None
        raise InputError(f"{path.name} is not a readable array ({error})") from None
    if not isinstance(array, np.ndarray):
        raise InputError(f"{path.name} is an archive of several arrays; needed a single array of numbers")
    return array


def _visible(folder: Path) -> list[Path]:
    """Returns the entries of a folder without hidden ones, numbers in numeric order."""
    entries = [path for path in folder.iterdir() if not path.name.startswith(".")]
    return sorted(
        entries, key=lambda path: (not path.stem.isdecimal(), len(path.stem) * path.stem.isdecimal(), path.name)
    )
