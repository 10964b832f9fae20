"""Imports arrays of MediaPipe Holistic values as a corpus of clips for `signloom compose`.

The sources are folders `<sign>/<clip>/<frame>.npy` (often called MP_Data; `<sign>/<clip>.npy` with all frames of a
clip and `<sign>/<clip>.npz` with an array per part work too) or .npz archives with the arrays frames, start, length,
label and, if known, group and path. A frame has the values of pose, face, left and right hand, in any order that the
points tell (`holistic_order`); x and y are fractions of the image. A part that is all zero was not detected.

Every clip becomes an utterance of one gloss. The signer is the group in an archive, or the name given with --signer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from signloom.anatomy import faults_of, measure_landmarks
from signloom.anatomy.aspect import AspectEstimate
from signloom.anatomy.quick import plainly_a_person
from signloom.errors import Faults, InputError, plural
from signloom.importers.convert_landmarks import CameraInfo
from signloom.importers.holistic_files import RawClip, as_frames, clips_of
from signloom.importers.holistic_order import Order, given_order, usual_order
from signloom.importers.holistic_survey import ASSUMED_FPS, ASSUMED_IMAGE_SIZE, Survey, survey
from signloom.importers.isolated import IsolatedClip, IsolatedOptions, write_clips
from signloom.landmarks import Landmarks

# x and y are fractions of the image; legs estimated below the image reach about 4. Pixels would be in the hundreds.
_LARGEST_FRACTION = 20.0
# Faults that a tracker's errors do not cause: none of 2,715 clips of webcams shows one by itself.
_FAULTS_OF_A_CLIP = (
    "hands_relative", "body_relative", "visibility", "shifted", "x_y_exchanged", "upside_down", "mirrored",
    "hands_exchanged", "hands_crop", "disordered_face", "disordered_hand",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Options(IsolatedOptions):
    """Options of `signloom import holistic`."""

    positionals: ClassVar[tuple[str, ...]] = ("sources",)

    sources: list[Path]
    """Folders <sign>/<clip>/<frame>.npy, or .npz archives."""
    signer: list[str] = field(default_factory=list)
    """The signer: one name for all sources, or one per source (--signer anna,ben). Default: the group in an archive;
    unknown for a folder."""
    fps: float | None = None
    """Frames per second. Default: 25, recorded as assumed."""
    image_size: str | None = None
    """Size of the images in pixels, e.g. 640x480. Default: the shape that makes faces and bodies usual, recorded as
    estimated; 1280x720, recorded as assumed, where they do not tell."""
    pixel_aspect: float | None = None
    """Width of a pixel divided by its height, for anamorphic images. Default: 1."""
    order: str | None = None
    """The parts of a frame in their order, e.g. pose,face,left_hand,right_hand. Default: the order in which the points
    are a person. With this option, points that are no person are noted, not refused."""


def run(options: Options) -> int:
    """Writes the corpus; returns exit status 0."""
    options.check_output()
    camera = CameraInfo.given(options.fps, options.image_size, options.pixel_aspect)
    order = given_order(options.order) if options.order else None
    faults = Faults("import holistic")
    clips = find_clips(options.sources, camera, signers=options.signer, order=order, faults=faults)
    return write_clips(clips, options, importer="holistic", sources=options.sources, faults=faults)


def read_clips(
    source: Path | str,
    camera: CameraInfo | None = None,
    *,
    signer: str | None = None,
    order: Sequence[str] | None = None,
) -> Iterator[tuple[IsolatedClip, Landmarks]]:
    """Yields each clip of one source with its landmarks, in the order of the source.

    Raises InputError listing every fault of the source, and for the first clip that cannot be read.
    """
    faults = Faults(str(source))
    clips = find_clips([Path(source)], camera, signers=[signer] if signer else [], order=order, faults=faults)
    faults.raise_if_any()
    for clip in clips:
        yield clip, clip.read()


def find_clips(
    sources: Sequence[Path],
    camera: CameraInfo | None = None,
    *,
    signers: Sequence[str] = (),
    order: Sequence[str] | None = None,
    faults: Faults,
) -> list[IsolatedClip]:
    """Returns the clips of folders and archives; adds faults of the sources to `faults`.

    signers: none, one for all sources, or one for each.  order: of the parts of a frame; recognised if None.
    """
    camera = camera or CameraInfo()
    if len(signers) not in (0, 1, len(sources)):
        faults.add(
            f"--signer names {plural(len(signers), 'signer')} for {plural(len(sources), 'source')}; needed one, or one "
            "for each"
        )
        return []
    names: list[str | None] = list(signers) if len(signers) == len(sources) else [*signers, None][:1] * len(sources)
    clips: list[IsolatedClip] = []
    for source, signer in zip(sources, names, strict=True):
        try:
            raw = clips_of(source, signer, faults)
        except InputError as error:
            faults.add(str(error))
            continue
        found = survey(raw, str(source), camera, given=order, faults=faults)
        clips += [_isolated(clip, camera, found) for clip in raw if clip.signer not in found.refused]
    return clips


def landmarks_from_frames(
    frames: np.ndarray,
    camera: CameraInfo | None = None,
    *,
    order: Order | None = None,
    image: AspectEstimate | None = None,
    source: dict[str, Any] | None = None,
) -> Landmarks:
    """Returns the landmarks of frames (T, D) or (T, points, 3); parts that are all zero are missing.

    order: of the parts in the D values, the usual one by default.  image: the estimated image, if `camera` has none.
    Values that neither has are assumed (25 frames/s, 1280x720). Estimated and assumed ones are recorded as assumed,
    estimated ones in the source as well. x and z are multiplied by width/height, so that all three coordinates are in
    units of the image height.

    Raises InputError for other widths, no frames, values that are not numbers or not fractions of an image, and
    clips in which nothing was detected.
    """
    camera = camera or CameraInfo()
    frames = as_frames(frames)
    order = order or usual_order(frames.shape[1])
    points, visibility = order.points(frames)
    # Missing points are NaN; z is smaller than x and y.
    largest = float(np.fmax.reduce(np.abs(points), axis=None))
    if np.isnan(largest):
        raise InputError(f"nothing was detected in any of its {plural(len(frames), 'frame')}")
    if largest > _LARGEST_FRACTION:
        raise InputError(f"coordinates up to {largest:,.0f}; needed x and y as fractions of the image, not pixels")
    estimated = image.image_size if image and not camera.image_size else None
    width, height = camera.image_size or estimated or ASSUMED_IMAGE_SIZE
    pixel_aspect = camera.pixel_aspect or 1.0
    aspect = width / height * pixel_aspect
    points *= np.array([aspect, 1, aspect], dtype=np.float32)
    origin: dict[str, Any] = {"importer": "holistic", **(source or {})}
    if estimated and image:
        origin["estimated"] = {"image_size": f"{image.name}: {image}"}
    return Landmarks(
        points,
        visibility,
        fps=camera.fps or ASSUMED_FPS,
        image_size=(width, height),
        pixel_aspect=pixel_aspect,
        assumed=camera.unknown("fps", "image_size"),
        source=origin,
    )


def _isolated(clip: RawClip, camera: CameraInfo, found: Survey) -> IsolatedClip:
    read = _Reader(clip, camera, found)
    return IsolatedClip(clip.name, clip.label, clip.signer, clip.place, clip.origin, read)


class _Reader:
    """Reads the landmarks of a clip; checks once that they are a person, like those of the other clips."""

    def __init__(self, clip: RawClip, camera: CameraInfo, found: Survey) -> None:
        self._clip, self._camera, self._found = clip, camera, found
        self._checked = not found.checked

    def __call__(self) -> Landmarks:
        """Returns the landmarks. Raises InputError if they are invalid or no person."""
        frames = self._clip.values()
        landmarks = landmarks_from_frames(
            frames,
            self._camera,
            order=self._found.order(frames.shape[1]),
            image=self._found.images.get(self._clip.signer),
            source={"clip": self._clip.origin},
        )
        if not self._checked and not plainly_a_person(landmarks.points, landmarks.visibility):
            named = [fault for fault in faults_of(measure_landmarks(landmarks)) if fault.name in _FAULTS_OF_A_CLIP]
            if named:
                raise InputError(f"unlike the other clips, {named[0]}")
        self._checked = True
        return landmarks
