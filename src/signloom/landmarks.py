"""`Landmarks`, the points of one clip: landmark files (.npz), selection of points, mirroring, resampling.

Shapes: T frames, P points. Coordinates are isotropic, in units of the image height: x to the right (0 is the left
edge), y down (0 is the top edge), z away from the camera. A point that was not detected is NaN, never (0, 0, 0).
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Protocol

import numpy as np
from msgspec import Meta, Struct, structs

from signloom import frame_times, layout
from signloom.errors import InputError, LayoutError, listed
from signloom.files.arrays import Archive, open_archive
from signloom.files.reading import CLIP
from signloom.files.schemas import Name, Table, check, decode_json, described, encode_json
from signloom.files.writing import atomic_write

FORMAT = "signloom-landmarks"
# Version 1 has no times: its frames are evenly spaced from 0 on. Version 2 has the time of every frame.
VERSIONS = (1, 2)
SUFFIX = ".npz"
# The extractor of simulated signing.
SIMULATOR = "signloom synth"
_ARRAYS: dict[str, type[np.floating]] = {"points": np.float32, "visibility": np.float32, "seconds": np.float64}
MAX_FRAMES = 1_000_000
Fps = Annotated[float, Meta(ge=1, le=1000)]
Pixels = Annotated[int, Meta(ge=16, le=32_768)]
PixelAspect = Annotated[float, Meta(ge=0.2, le=5, description="a pixel's width divided by its height, from 0.2 to 5")]
# The header of a simulated clip holds its ground truth, kilobytes per sentence.
_MOST_META_BYTES = 16_000_000


class Facts(Struct):
    """What a landmark file says of a clip; the fields of `Landmarks` of the same names."""

    fps: Fps
    image_size: tuple[Pixels, Pixels] | None
    pixel_aspect: PixelAspect
    assumed: Annotated[tuple[Name, ...], Meta(max_length=20)]
    source: Table


class Frames(Protocol):
    """The points of a clip, which need not be in memory: an array (T, P, 3), or what yields parts of one."""

    def __len__(self) -> int:
        """Returns T."""

    def __getitem__(self, frames: slice, /) -> np.ndarray:
        """Returns the points of some frames, (n, P, 3) float32, NaN where missing."""


@dataclass(frozen=True)
class Landmarks:
    """The points of one clip.

    points: (T, 543, 3) float32, units of image height, NaN where a point was not detected.
    visibility: (T, 33) float32 in 0..1, MediaPipe's estimate that a pose point is visible; NaN if unknown.
    fps: frames per second, as a float (29.97 stays 29.97); the mean rate where frames are not evenly spaced.
    image_size: (width, height) in pixels, or None if unknown.
    pixel_aspect: width of a pixel divided by its height; 1.0 for square pixels.
    assumed: names of the fields above that the source did not give; their values were assumed.
    source: origin of the points (name, sha256, extractor, extractor version), for the record.
    seconds: (T,) float64, the time of every frame on the clock of its file, as players and ELAN count; ascending.
    Without them, frames are evenly spaced from 0 on.
    """

    points: np.ndarray
    visibility: np.ndarray
    fps: float
    image_size: tuple[int, int] | None = None
    pixel_aspect: float = 1.0
    assumed: tuple[str, ...] = ()
    source: dict[str, Any] = field(default_factory=dict)
    seconds: np.ndarray = None  # type: ignore[assignment]  # never None after __post_init__

    def __post_init__(self) -> None:
        points = np.asarray(self.points, dtype=np.float32)
        visibility = np.asarray(self.visibility, dtype=np.float32)
        object.__setattr__(self, "points", points)
        object.__setattr__(self, "visibility", visibility)
        _check_shapes({"points": points.shape, "visibility": visibility.shape}, "landmarks")
        facts = {name: _builtin(getattr(self, name)) for name in Facts.__struct_fields__}
        for name, value in structs.asdict(check(Facts, facts, "landmarks")).items():
            object.__setattr__(self, name, value)
        if self.seconds is None:
            object.__setattr__(self, "seconds", frame_times.even_times(len(points), self.fps))
        else:
            object.__setattr__(self, "seconds", np.asarray(self.seconds, dtype=np.float64))
            frame_times.check_times(self.seconds, len(points))

    def __len__(self) -> int:
        return len(self.points)

    @property
    def duration_seconds(self) -> float:
        """The time from the start of the first frame to the end of the last one."""
        return len(self) / self.fps

    @property
    def start_seconds(self) -> float:
        """The time of the first frame; 0 unless the video track begins later than its file."""
        return float(self.seconds[0])

    @property
    def has_even_times(self) -> bool:
        """Whether the frames are evenly spaced from 0 on."""
        return frame_times.are_even(self.seconds, self.fps)

    @property
    def aspect(self) -> float:
        """The width of the image over its height; 1 if the image size is unknown."""
        return self.image_size[0] / self.image_size[1] * self.pixel_aspect if self.image_size else 1.0

    @property
    def simulated(self) -> bool:
        """Whether the source says that nobody was filmed: `signloom synth` made these points, or some of them."""
        return self.source.get("extractor") == SIMULATOR or self.source.get("simulated") is True

    def present(self, group: str) -> np.ndarray:
        """Returns whether any point of a group was detected in each frame, (T,) bool."""
        return np.isfinite(self.points[:, layout.GROUPS[group], 0]).any(axis=1)

    def select(self, subset: str) -> np.ndarray:
        """Returns the points of a named subset of the layout, (T, P, 3) float32."""
        return self.points[:, layout.subset(subset)]

    def mirrored(self) -> Landmarks:
        """Returns the mirrored clip: x is reflected at the middle of the image, left and right are swapped."""
        mirror = layout.mirror_map()
        points = self.points[:, mirror].copy()
        points[..., 0] = self.aspect - points[..., 0]
        return replace(self, points=points, visibility=self.visibility[:, mirror[: layout.NUM_POSE_POINTS]])

    def resampled(self, fps: float) -> Landmarks:
        """Returns the clip at another frame rate, evenly spaced from its first frame on, by linear interpolation.

        See `frame_times.resample_positions`.
        """
        if (even := self.has_even_times) and math.isclose(self.fps, fps, rel_tol=1e-6):
            return self
        positions = frame_times.resample_positions(len(self), self.fps, fps, None if even else self.seconds)
        return replace(
            self,
            points=interpolate(self.points, positions),
            visibility=interpolate(self.visibility, positions),
            fps=fps,
            seconds=self.start_seconds + frame_times.even_times(len(positions), fps),
        )

    def between(self, start_seconds: float, end_seconds: float) -> Landmarks:
        """Returns the frames that are on the screen between two moments of the file, as a clip that starts at 0.

        Raises InputError if there are none.
        """
        frames = frame_times.frames_between(self.seconds, start_seconds, end_seconds)
        end = self.start_seconds + self.duration_seconds
        if start_seconds >= end or len(self.seconds[frames]) == 0:
            raise InputError(
                f"landmarks: no frames from {start_seconds:.3f} to {end_seconds:.3f} s; the clip is from "
                f"{self.start_seconds:.3f} to {end:.3f} s"
            )
        return self.part(frames)

    def part(self, frames: slice) -> Landmarks:
        """Returns some of the frames, at least one, as a clip that starts at 0."""
        seconds = self.seconds[frames]
        rate = self.fps if self.has_even_times else frame_times.mean_rate(seconds) or self.fps
        return replace(
            self,
            points=self.points[frames],
            visibility=self.visibility[frames],
            fps=rate,
            seconds=seconds - seconds[0],
        )

    def save(self, path: Path) -> None:
        """Writes an uncompressed .npz of half-precision arrays (3.3 kB per frame), whole or not at all.

        The times of evenly spaced frames are not written (version 1 of the format), those of others are (version 2).
        """
        times = {} if self.has_even_times else {"seconds": self.seconds}
        meta = {
            **file_header(FORMAT, VERSIONS[bool(times)]),
            "fps": self.fps,
            "image_size": self.image_size,
            "pixel_aspect": self.pixel_aspect,
            "assumed": self.assumed,
            "source": self.source,
        }
        # Written to memory first: a zip archive cut off by a full disk would raise again when it is deleted.
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            if not (
                _write_half(archive, "points", self.points) and _write_half(archive, "visibility", self.visibility)
            ):
                raise InputError(
                    f"{path}: coordinates up to {np.nanmax(np.abs(self.points)):.0f}, too large for half precision; "
                    "needed units of image height (a few units at most)"
                )
            text = np.frombuffer(encode_json(meta, f"{path}: header"), dtype=np.uint8)
            for name, array in {**times, "meta": text}.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, array)
        with atomic_write(path) as file:
            file.write(buffer.getbuffer())

    @classmethod
    def load(cls, path: Path) -> Landmarks:
        """Returns the clip that `save` wrote.

        Raises InputError for a missing, damaged or other file, LayoutError for another point layout.
        """
        path = Path(path)
        with _opened(path) as archive:
            header = _header_in(archive, path)
            if wrong := [name for name in _ARRAYS if name in archive.names and archive.kind(name) != "f"]:
                raise InputError(f"{path}: {' and '.join(wrong)} are no floating-point numbers")
            arrays = {name: archive.read(name, dtype) for name, dtype in _ARRAYS.items() if name in archive.names}
        fields: dict[str, Any] = {**arrays, **{name: header[name] for name in Facts.__struct_fields__}}
        try:
            result = cls(**fields)
        except InputError as error:
            raise type(error)(f"{path}: {str(error).removeprefix('landmarks: ')}") from None
        for what, values in (("coordinates", result.points), ("visibility", result.visibility)):
            if np.isinf(values).any():
                raise InputError(f"{path}: infinite {what}; extract or import it again")
        return result


def read_header(path: Path) -> dict[str, Any]:
    """Returns the header of a landmark file without its points: its format, and the fields of `Facts`.

    Raises InputError or LayoutError as `Landmarks.load` does.
    """
    with _opened(path) as archive:
        return _header_in(archive, path)


@contextmanager
def _opened(path: Path) -> Iterator[Archive]:
    """Opens a landmark file for reading. Raises InputError for anything else, also where it is damaged inside."""
    if not path.exists():
        raise InputError(f"{path}: no such landmark file")
    what, advice = "a readable landmark file", "extract or import it again"
    with open_archive(path, CLIP, what=what, advice=advice) as archive:
        if not {"points", "visibility", "meta"} <= set(archive.names):
            raise InputError(f"{path}: not a landmark file of signloom; it has {listed(archive.names, shown=5)}")
        yield archive


def _header_in(archive: Archive, path: Path) -> dict[str, Any]:
    """Returns the header of an open landmark file, after comparing it and the sizes of the arrays with the format."""
    if (size := archive.num_bytes("meta")) > _MOST_META_BYTES:
        raise InputError(f"{path}: a header of {size:,} bytes; needed at most {_MOST_META_BYTES:,}")
    shapes = {name: archive.shape(name) for name in _ARRAYS if name in archive.names}
    header = decode_json(archive.read("meta").tobytes(), f"{path}: header")
    check_header(header, path, FORMAT, *VERSIONS)
    check(Facts, header, str(path))
    _check_shapes(shapes, str(path))
    if ("seconds" in shapes) != (header["version"] == 2):
        got = "with" if "seconds" in shapes else "without"
        raise InputError(f"{path}: version {header['version']} {got} the times of its frames (seconds); make it again")
    return header


def _check_shapes(shapes: Mapping[str, tuple[int, ...]], place: str) -> None:
    """Raises InputError or LayoutError unless the shapes of points, visibility and times (if any) fit together."""
    points = shapes["points"]
    if len(points) != 3 or points[1:] != (layout.NUM_POINTS, 3):
        raise LayoutError(f"{place}: points of shape {points}, needed (T, {layout.NUM_POINTS}, 3)")
    if not 0 < points[0] <= MAX_FRAMES:
        raise InputError(f"{place}: {points[0] or 'no'} frames; needed 1 to {MAX_FRAMES:,}")
    if shapes["visibility"] != (points[0], layout.NUM_POSE_POINTS):
        raise LayoutError(
            f"{place}: visibility of shape {shapes['visibility']}, needed ({points[0]}, {layout.NUM_POSE_POINTS})"
        )
    if shapes.get("seconds", points[:1]) != points[:1]:
        raise InputError(f"{place}: seconds of shape {shapes['seconds']}, needed ({points[0]},), a time for each frame")


def _builtin(value: Any) -> Any:
    """Returns Python's own number for one of NumPy's, also inside a pair."""
    if isinstance(value, tuple | list):
        return tuple(_builtin(item) for item in value)
    return value.item() if isinstance(value, np.generic) else value


def _write_half(archive: zipfile.ZipFile, name: str, values: np.ndarray) -> bool:
    """Adds an array to a .npz in half precision, part by part, so that a long clip is not held again as a whole.

    Returns whether all values are small enough.
    """
    header = {"descr": "<f2", "fortran_order": False, "shape": values.shape}
    fits = True
    with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
        np.lib.format.write_array_header_1_0(member, header)
        for start in range(0, len(values), 1000):
            with np.errstate(over="ignore"):
                half = values[start : start + 1000].astype("<f2")
            fits &= not np.isinf(half).any()
            member.write(half.tobytes())
    return fits


# In this time a signing hand moves much further than the tracker's noise; a resting hand does not.
_STEP_SECONDS = 0.2
# In signs with the same movement of both hands, one hand moves further by chance: in every tenth real clip of such
# words the left hand moves 1.4 times as far. Over a sentence this averages out.
_AHEAD = 1.5


def leading_hand(landmarks: Landmarks) -> str:
    """Returns the dominant hand, `left` or `right`; `right`, the most frequent, if neither is clearly dominant.

    The left hand is dominant if it moves more than 1.5 times as far as the right hand. The movement is the sum over the
    clip of the distance between a hand's middle and its position a fifth of a second before. An undetected hand does
    not move, so presence counts as well. If both hands move equally far, the number of frames in which each was
    detected is compared in the same way.
    """
    lag = max(1, round(_STEP_SECONDS * landmarks.fps))
    ways, frames = {}, {}
    for side in ("left", "right"):
        hand = landmarks.points[:, layout.GROUPS[f"{side}_hand"], :2]
        middle = hand.mean(1)
        steps = np.linalg.norm(middle[lag:] - middle[:-lag], axis=1)
        ways[side] = float(np.nansum(steps))
        frames[side] = int(landmarks.present(f"{side}_hand").sum())
    measure = ways if ways["left"] != ways["right"] else frames
    return "left" if measure["left"] > _AHEAD * measure["right"] else "right"


def file_header(format: str, version: int) -> dict[str, Any]:
    """Returns the entries that every file's header starts with; `check_header` reads them."""
    return {"format": format, "version": version, "layout": layout.NAME, "layout_version": layout.VERSION}


def check_header(header: Any, path: Path, expected_format: str, *versions: int) -> None:
    """Raises InputError or LayoutError unless a file's header has this format, one of `versions` and our layout."""
    if not isinstance(header, dict) or header.get("format") != expected_format:
        got = header.get("format") if isinstance(header, dict) else type(header).__name__
        raise InputError(f"{path}: format {got!r}, needed {expected_format!r}")
    if header.get("version") not in versions or isinstance(header["version"], bool):
        raise InputError(
            f"{path}: version {header.get('version')!r} of {expected_format}, this signloom reads "
            f"{' and '.join(map(str, versions))}; "
            "make the file again or install the signloom that wrote it"
        )
    name, version = header.get("layout"), header.get("layout_version")
    if (name, version) != (layout.NAME, layout.VERSION) or isinstance(version, bool):
        raise LayoutError(
            f"{path}: made for point layout {name!r} version {version!r}, this signloom has "
            f"{layout.NAME!r} version {layout.VERSION}; use data and model of the same layout"
        )


def parse_image_size(text: str) -> tuple[int, int]:
    """Returns (width, height) in pixels from `210x260`. Raises InputError for anything else."""
    width, _, height = text.lower().partition("x")
    try:
        return check(tuple[Pixels, Pixels], (int(width), int(height)))
    except (ValueError, InputError):
        raise InputError(
            f"--image_size is {text[:40]!r}; needed width x height in pixels, e.g. 210x260; each {described(Pixels)}"
        ) from None


def interpolate(values: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Returns `values` (T, ...) read at fractional frame `positions` (T',) in 0..T-1, by linear interpolation, (T',
    ...).

    Between two frames a value is NaN where either is NaN; exactly on a frame it is that frame's.
    """
    lower = np.floor(positions).astype(np.int64)
    weight = (positions - lower).astype(values.dtype).reshape(-1, *[1] * (values.ndim - 1))
    upper = np.minimum(lower + 1, len(values) - 1)
    start = values[lower]
    result = values[upper]
    result -= start
    result *= weight
    result += start
    # A missing next frame with weight 0 must not turn the value into NaN.
    exact = positions == lower
    result[exact] = start[exact]
    return result
