"""Runs MediaPipe Holistic on the frames of a clip and returns its `Landmarks`.

Shapes: T frames, H and W the height and width of a frame in pixels.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from signloom import layout
from signloom.errors import InputError, MissingExtraError
from signloom.extract.crop import MIN_SIDE, Crop
from signloom.extract.packages import needs_opencv
from signloom.extract.reading import ends_sha256, open_clip
from signloom.extract.sources import without_camera
from signloom.extract.stored import local_clip
from signloom.extract.time_stamps import DEFAULT_FPS
from signloom.files.schemas import check
from signloom.files.urls import Url, located
from signloom.landmarks import MAX_FRAMES, Fps, Landmarks, PixelAspect

EXTRACTOR = "mediapipe-holistic"
# Complexity 1 is the only pose model in the wheel; without iris refinement the face mesh has 468 points.
GRAPH_OPTIONS: dict[str, Any] = {
    "model_complexity": 1,
    "static_image_mode": False,
    "smooth_landmarks": True,
    "refine_face_landmarks": False,
    "min_detection_confidence": 0.5,
    "min_tracking_confidence": 0.5,
}

_WARM_UP_SIDE = 64
# Called after each frame with the number of frames done and expected (0: unknown).
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Settings:
    """How to read a clip.

    crop: the part of the image to use.
    pixel_aspect: width of a pixel over its height; None for the value in the video's header, else 1.
    fps: frame rate of sources without a usable rate; None for 25.
    """

    crop: Crop | None = None
    pixel_aspect: float | None = None
    fps: float | None = None

    def __post_init__(self) -> None:
        if self.pixel_aspect is not None:
            check(PixelAspect, self.pixel_aspect, name="pixel_aspect")
        if self.fps is not None:
            check(Fps, self.fps, name="fps")

    @property
    def assumed_fps(self) -> float:
        return DEFAULT_FPS if self.fps is None else self.fps

    def record(self) -> dict[str, Any]:
        """Returns what determines a clip's points beside its frames, as stored in `Landmarks.source`.

        Raises MissingExtraError without MediaPipe.
        """
        try:
            version = metadata.version("mediapipe")
        except metadata.PackageNotFoundError:
            raise MissingExtraError("mediapipe", "extraction") from None
        return {
            "extractor": EXTRACTOR,
            "extractor_version": version,
            "options": {
                **GRAPH_OPTIONS,
                "crop": None if self.crop is None else str(self.crop),
                "pixel_aspect": self.pixel_aspect,
            },
        }


class HolisticTracker:
    """MediaPipe Holistic, frame by frame. It tracks, so give frames in order and call `restart` before each clip."""

    def __init__(self) -> None:
        with needs_opencv("extraction"):
            from mediapipe.python.solutions.holistic import Holistic
        self._graph = Holistic(**GRAPH_OPTIONS)

    def restart(self) -> None:
        """Resets the tracking, so that the next frame is treated as the first one."""
        self._graph.reset()

    def warm_up(self) -> None:
        """Loads the models, which the first frame would otherwise wait for."""
        self(np.zeros((_WARM_UP_SIDE, _WARM_UP_SIDE, 3), dtype=np.uint8))
        self.restart()

    def close(self) -> None:
        self._graph.close()

    def __call__(self, frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the points (543, 3) and the pose visibility (33,) of one frame (H, W, 3) uint8 RGB.

        Values of parts that were not detected are NaN. x and y are fractions of the frame's width and height, z is in
        units of its width.
        """
        results = self._graph.process(frame)
        points = np.full((layout.NUM_POINTS, 3), np.nan, dtype=np.float32)
        visibility = np.full(layout.NUM_POSE_POINTS, np.nan, dtype=np.float32)
        for group, part in layout.GROUPS.items():
            detected = getattr(results, f"{group}_landmarks")
            if detected is not None:
                points[part] = [(point.x, point.y, point.z) for point in detected.landmark]
        if results.pose_landmarks is not None:
            visibility[:] = [point.visibility for point in results.pose_landmarks.landmark]
        return points, visibility


def extract_landmarks(
    path: Path | str,
    *,
    crop: Crop | str | None = None,
    pixel_aspect: float | None = None,
    fps: float | None = None,
    progress: Progress | None = None,
) -> Landmarks:
    """Returns the landmarks of one video file or one folder of frames, given by path or by URL.

    The arguments are those of `Settings`; a crop may be a string `x,y,width,height`. Values that the source does not
    give are listed in `Landmarks.assumed`.

    Raises InputError for a source that cannot be read, MissingExtraError without MediaPipe.
    """
    if isinstance(crop, str):
        crop = Crop.parse(crop)
    settings = Settings(crop, pixel_aspect, fps)
    path = located(path)
    if not isinstance(path, Url) and not path.exists():
        raise InputError(f"{path}: no such video file or frame folder")
    with quiet_stderr():
        tracker = HolisticTracker()
        try:
            return track_clip(tracker, path, settings, progress)
        finally:
            tracker.close()


def track_clip(tracker: HolisticTracker, path: Path, settings: Settings, progress: Progress | None = None) -> Landmarks:
    """Returns the landmarks of one clip; the tracker may have seen other clips before. See `extract_landmarks`."""
    with local_clip(path) as local:
        return _track(tracker, local, settings, progress)


def _track(tracker: HolisticTracker, path: Path, settings: Settings, progress: Progress | None) -> Landmarks:
    reader = open_clip(path)
    tracker.restart()
    points, visibility = _Rows(layout.NUM_POINTS, 3), _Rows(layout.NUM_POSE_POINTS)
    size = (0, 0)
    for frame in reader.frames():
        part = frame if settings.crop is None else _crop(settings.crop, frame, path)
        size = (part.shape[1], part.shape[0])
        if min(size) < MIN_SIDE:
            raise InputError(f"{path}: frames of {size[0]}x{size[1]} pixels; needed at least {MIN_SIDE}x{MIN_SIDE}")
        if len(points) == MAX_FRAMES:
            raise InputError(f"{path}: more than {MAX_FRAMES:,} frames; cut it into clips")
        frame_points, frame_visibility = tracker(np.ascontiguousarray(part))
        points.append(frame_points)
        visibility.append(frame_visibility)
        if progress is not None:
            progress(len(points), reader.expected_frames)
    times = reader.times(settings.assumed_fps)
    assumed = ["fps"] if times.assumed_fps else []
    if (aspect := settings.pixel_aspect or reader.pixel_aspect) is None:
        aspect = 1.0
        assumed.append("pixel_aspect")
    stacked = points.array()
    # Both in units of the image's width; isotropic coordinates are in units of its height.
    for axis in (0, 2):
        stacked[..., axis] *= np.float32(size[0] / size[1] * aspect)
    return Landmarks(
        points=stacked,
        visibility=visibility.array(),
        fps=times.fps,
        image_size=size,
        pixel_aspect=aspect,
        assumed=tuple(assumed),
        source={
            "name": without_camera(path.resolve()).name if path.is_dir() else path.name,
            "sha256": reader.sha256(),
            "size": reader.size,
            "ends_sha256": ends_sha256(path),
            **settings.record(),
            **({"assumed_fps": times.assumed_fps} if times.assumed_fps else {}),
            "frames": {**count_frames(stacked), "unread": reader.unread},
        },
        seconds=times.seconds,
    )


class _Rows:
    """An array that grows row by row. Large ones are enlarged in place, so that there are never two copies."""

    # At most so many rows are reserved.
    _STEP = 4096

    def __init__(self, *shape: int) -> None:
        self._rows = np.empty((256, *shape), dtype=np.float32)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def append(self, row: np.ndarray) -> None:
        if self._count == len(self._rows):
            self._resize(self._count + min(self._count, self._STEP))
        self._rows[self._count] = row
        self._count += 1

    def array(self) -> np.ndarray:
        """Returns the rows (T, ...) float32; no more can be appended."""
        self._resize(self._count)
        return self._rows

    def _resize(self, length: int) -> None:
        # Nothing else refers to the array yet.
        self._rows.resize((length, *self._rows.shape[1:]), refcheck=False)


def _crop(crop: Crop, frame: np.ndarray, path: Path) -> np.ndarray:
    try:
        return crop.of(frame)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def count_frames(points: np.ndarray) -> dict[str, int]:
    """Returns the number of frames, and in how many of them each group was detected; points: (T, 543, 3)."""
    detected = np.isfinite(points[..., 0])
    return {
        "total": len(points),
        **{group: int(detected[:, part].any(axis=1).sum()) for group, part in layout.GROUPS.items()},
    }


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Hides what C++ code prints to stderr; Python's own messages are still shown.

    MediaPipe and FFmpeg log dozens of lines per clip, and none of their options silences all of them.
    """
    sys.stderr.flush()
    try:
        is_terminal_stream = sys.stderr.fileno() == 2
    except (OSError, ValueError):
        is_terminal_stream = False
    saved = os.dup(2)
    stream = sys.stderr
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        if is_terminal_stream:
            sys.stderr = os.fdopen(os.dup(saved), "w", encoding=stream.encoding, errors=stream.errors, buffering=1)
        yield
    finally:
        if is_terminal_stream:
            sys.stderr.close()
            sys.stderr = stream
        os.dup2(saved, 2)
        os.close(saved)
