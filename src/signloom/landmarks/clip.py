"""`Landmarks`, the points of one clip: writing and reading, selection of points, mirroring, resampling.

Shapes: T frames, P points. Coordinates are isotropic, in units of the image height: x to the right (0 is the left
edge), y down (0 is the top edge), z away from the camera. A point that was not detected is NaN, never (0, 0, 0).
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import structs

from signloom import frame_times, layout
from signloom.errors import InputError, plural
from signloom.files.reading import Member
from signloom.files.schemas import check, encode_json
from signloom.files.urls import located
from signloom.files.writing import atomic_write
from signloom.landmarks.format import (
    ARRAYS,
    FORMAT,
    VERSIONS,
    Facts,
    check_finite,
    check_shapes,
    file_header,
    header_in,
    is_simulated,
    named,
    opened,
)
from signloom.landmarks.view import ClipView, Timed, interpolate


@dataclass(frozen=True)
class Landmarks(Timed):
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
        check_shapes({"points": points.shape, "visibility": visibility.shape}, "landmarks")
        facts = {name: _builtin(getattr(self, name)) for name in Facts.__struct_fields__}
        for name, value in structs.asdict(check(Facts, facts, "landmarks")).items():
            object.__setattr__(self, name, value)
        seconds = frame_times.checked_times(self.seconds, len(points), self.fps)
        object.__setattr__(self, "seconds", seconds)

    def __repr__(self) -> str:
        size = "" if self.image_size is None else f", {self.image_size[0]}x{self.image_size[1]}"
        found = ", ".join(f"{name.replace('_', ' ')} {self.present(name).mean():.0%}" for name in layout.GROUPS)
        return (
            f"Landmarks({plural(len(self), 'frame')}, {self.duration_seconds:.2f} s, {self.fps:g} fps{size}; {found})"
        )

    def __getitem__(self, frames: slice) -> Landmarks:
        """Returns some of the frames as a clip that starts at 0: `clip[25:50]`, or every second one, `clip[::2]`.

        Raises InputError if there are none.
        """
        if not isinstance(frames, slice):
            raise TypeError(
                f"landmarks[{frames!r}]: needed a slice, such as landmarks[25:50]; see `points` for one frame"
            )
        start, stop, step = frames.indices(len(self))
        if step < 1 or start >= stop:
            raise InputError(
                f"landmarks: no frames in [{frames.start}:{frames.stop}:{frames.step}] of {len(self):,}; needed a "
                "slice that goes forward"
            )
        return self.part(slice(start, stop, step))

    @property
    def pose(self) -> np.ndarray:
        """The points of the body, (T, 33, 3)."""
        return self.points[:, layout.GROUPS["pose"]]

    @property
    def left_hand(self) -> np.ndarray:
        """The points of the signer's left hand, (T, 21, 3)."""
        return self.points[:, layout.GROUPS["left_hand"]]

    @property
    def right_hand(self) -> np.ndarray:
        """The points of the signer's right hand, (T, 21, 3)."""
        return self.points[:, layout.GROUPS["right_hand"]]

    @property
    def face(self) -> np.ndarray:
        """The points of the face, (T, 468, 3)."""
        return self.points[:, layout.GROUPS["face"]]

    def draw(self, *, frame: int | None = None, video: Path | str | None = None, height: int = 240) -> Any:
        """Returns a picture (PIL) of frames spread over the clip, or of one `frame`; over the pictures of `video`, if
        they were tracked in it.

        height: of each frame, in pixels. Raises MissingExtraError without Pillow.
        """
        return _pictures().draw(self, frame=frame, video=video, height=height)

    def plot(self) -> Any:
        """Returns a chart (axes of matplotlib) of where the hands are over time, and when each part was found.

        Raises MissingExtraError without matplotlib.
        """
        return _pictures().plot(self)

    @property
    def aspect(self) -> float:
        """The width of the image over its height; 1 if the image size is unknown."""
        return self.image_size[0] / self.image_size[1] * self.pixel_aspect if self.image_size else 1.0

    @property
    def simulated(self) -> bool:
        """Whether the source says that nobody was filmed: `signloom synth` made these points, or some of them."""
        return is_simulated(self.source)

    def present(self, group: str) -> np.ndarray:
        """Returns whether any point of a group was detected in each frame, (T,) bool."""
        return np.isfinite(self.points[:, layout.GROUPS[group], 0]).any(axis=1)

    def select(self, subset: str) -> np.ndarray:
        """Returns the points of a named subset of the layout, (T, P, 3) float32."""
        return self.points[:, layout.subset(subset)]

    def in_view(self, view: str) -> ClipView:
        """Returns the points of a named subset of the layout as the view of a model."""
        return ClipView(view, self.select(view), self.fps, self.seconds)

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
        positions = frame_times.resampled_positions(len(self), self.fps, fps, self.seconds)
        if positions is None:
            return self
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
        even = self.fps / (frames.step or 1)
        rate = even if self.has_even_times else frame_times.mean_rate(seconds) or even
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
    def load(cls, path: Path | Member) -> Landmarks:
        """Returns the clip that `save` wrote, from its file or a member of an archive.

        Raises InputError for a missing, damaged or other file, LayoutError for another point layout.
        """
        path = path if isinstance(path, Member) else located(path)
        with opened(path) as archive:
            header = header_in(archive, path)
            arrays = {name: archive.read(name, dtype) for name, dtype in ARRAYS.items() if name in archive.names}
        fields: dict[str, Any] = {**arrays, **{name: header[name] for name in Facts.__struct_fields__}}
        with named(path):
            result = cls(**fields)
        check_finite(result.points, "coordinates", path)
        check_finite(result.visibility, "visibility", path)
        return result


def _pictures() -> Any:
    """Returns the module that draws landmarks: by name, because it stands on a floor above this one."""
    return import_module("signloom.drawing.pictures")


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
