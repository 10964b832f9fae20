"""What the clips of one source share, decided from some of them: the order of the parts, and each signer's image.

Every signer has a camera of their own. A signer whose points are no person is reported once, with what was measured.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from signloom.anatomy import Measures, combined, faults_of, measure
from signloom.anatomy.aspect import AspectEstimate, estimate_aspect
from signloom.console import say
from signloom.errors import Faults, InputError, listed
from signloom.importers.convert_landmarks import CameraInfo
from signloom.importers.holistic_files import RawClip
from signloom.importers.holistic_order import Order, evidence, order_of, recognise, usual_order

# The layout records neither; most webcams give 16:9, at 25 to 30 frames/s.
ASSUMED_FPS = 25.0
ASSUMED_IMAGE_SIZE = (1280, 720)
# Clips that are looked at: of all for the order, of each signer for the image.
_CLIPS_OF_ORDER = 24
_CLIPS_OF_SIGNER = 10
# In real recordings of right-handed people the right hand is seen 0.9 to 2.7 times as often as the left.
_LEFT_HANDED = 1.3
# Faults that are noted, not refused: a fault of time may be mended, and signs of the alphabet hardly move.
_NOTED = ("hands_late", "frozen")
# A given image is doubted if the estimated one is this many times as wide or as narrow; usual shapes differ by 1.33.
_DOUBTED = 1.25


@dataclass(frozen=True)
class Survey:
    """What the clips of a source share.

    orders: by number of values per frame.  images: by signer, the estimated image; empty if the image is given.
    refused: signers whose points are no person.  checked: whether clips are held to the anatomy of a person.
    """

    orders: Mapping[int, Order] = field(default_factory=dict)
    images: Mapping[str | None, AspectEstimate] = field(default_factory=dict)
    refused: frozenset[str | None] = frozenset()
    checked: bool = True

    def order(self, width: int) -> Order:
        """Returns the order of frames of `width` values; of a width that was not surveyed the usual one."""
        return self.orders.get(width) or usual_order(width)


def survey(
    clips: Sequence[RawClip], place: str, camera: CameraInfo, *, given: Sequence[str] | None, faults: Faults
) -> Survey:
    """Returns what the clips of one source share, and says what was found.

    place: the source, for messages.  given: the order of the parts, if the user names it; faults of the body are then
    only noted.

    Adds to `faults`: an order that cannot be told, and each signer whose points are no person, with what was measured.
    """
    samples = _samples(clips)
    orders, doubts = {}, {}
    try:
        for width in sorted({frames.shape[1] for _, frames in samples}):
            of_width = [(clip, frames) for clip, frames in samples if frames.shape[1] == width]
            orders[width], doubts[width] = _order(of_width, width, given)
    except InputError as error:
        faults.add(f"{place}: {error}")
        return Survey(refused=frozenset(clip.signer for clip in clips))
    images: dict[str | None, AspectEstimate] = {}
    refused, left_handed = set(), []
    by_width: defaultdict[int, list[Measures]] = defaultdict(list)
    for signer in dict.fromkeys(clip.signer for clip, _ in samples):
        own = _with_points([frames for clip, frames in samples if clip.signer == signer], orders)
        if not own:
            continue
        images[signer] = estimate_aspect(np.concatenate([fractions for _, fractions, _ in own]))
        aspect = _aspect(camera, images[signer])
        scale = np.array([aspect, 1, aspect], dtype=np.float32)
        measures = [measure(fractions * scale, visibility, aspect=aspect) for _, fractions, visibility in own]
        for (width, _, _), measured in zip(own, measures, strict=True):
            by_width[width].append(measured)
        # A few clips of one signer are judged together, like many.
        together = combined(measures)
        for fault in faults_of(together):
            text = f"{place}{f' ({signer})' if signer else ''}: {fault}"
            if given is None and fault.name not in _NOTED:
                faults.add(text)
                refused.add(signer)
            else:
                say(f"note: {text}")
        if _is_left_handed(together):
            left_handed.append(signer)
    for width, order in orders.items():
        how = doubts[width] or (evidence(combined(by_width[width])) if by_width[width] else "nothing was detected")
        say(f"{place}: {width:,} values per frame are {order} ({how})")
    _say_images(place, camera, {signer: image for signer, image in images.items() if signer not in refused})
    if left_handed:
        who = listed([signer for signer in left_handed if signer], shown=10)
        say(
            f"note: {place}: the left hand is seen more than the right{f' of {who}' if who else ''}: a left-handed "
            "signer, or a video that was mirrored before tracking"
        )
    return Survey(orders, {} if camera.image_size else images, frozenset(refused), given is None)


def _order(samples: Sequence[tuple[RawClip, np.ndarray]], width: int, given: Sequence[str] | None) -> tuple[Order, str]:
    """Returns the order of clips of one width, and what it rests on; empty if on the points. Raises InputError if it
    cannot be told."""
    if given is not None:
        return order_of(width, given), "as given"
    if all(clip.named for clip, _ in samples):
        return usual_order(width), "as named in the source"
    step = max(1, len(samples) // _CLIPS_OF_ORDER)
    return recognise([frames for _, frames in samples[::step]])


def _with_points(clips: Sequence[np.ndarray], orders: Mapping[int, Order]) -> list[tuple[int, np.ndarray, np.ndarray]]:
    """Returns width, points and visibility of each clip; without those that have broken values, which are reported
    when they are imported."""
    result = []
    for frames in clips:
        try:
            result.append((frames.shape[1], *orders[frames.shape[1]].points(frames)))
        except InputError:
            continue
    return result


def _is_left_handed(measured: Measures) -> bool:
    """Returns whether the left hand is seen much more often than the right: the other one may be out of the picture."""
    left, right = measured.frames["left_hand"], measured.frames["right_hand"]
    return measured.num_clips > 2 and left > _LEFT_HANDED * max(right, 1)


def _aspect(camera: CameraInfo, image: AspectEstimate) -> float:
    width, height = camera.image_size or image.image_size or ASSUMED_IMAGE_SIZE
    return width / height * (camera.pixel_aspect or 1.0)


def _samples(clips: Sequence[RawClip]) -> list[tuple[RawClip, np.ndarray]]:
    """Returns some clips of each signer with their frames, (T, D), without those that cannot be read."""
    by_signer: defaultdict[str | None, list[RawClip]] = defaultdict(list)
    for clip in clips:
        by_signer[clip.signer].append(clip)
    count = _CLIPS_OF_SIGNER if len(by_signer) > 1 else _CLIPS_OF_ORDER
    samples = []
    for own in by_signer.values():
        chosen = np.unique(np.linspace(0, len(own) - 1, min(count, len(own))).round().astype(int))
        for index in chosen:
            try:
                frames = own[index].values()
            except InputError:
                # Reported when the clip itself is imported.
                continue
            if np.nan_to_num(frames).any():
                samples.append((own[index], frames))
    return samples


def _say_images(place: str, camera: CameraInfo, images: Mapping[str | None, AspectEstimate]) -> None:
    """Says which images were estimated, or that a given one does not fit."""
    by_shape: defaultdict[str | None, list[tuple[str | None, AspectEstimate]]] = defaultdict(list)
    for signer, image in images.items():
        by_shape[image.name].append((signer, image))
    for shape, found in by_shape.items():
        names = listed([signer for signer, _ in found if signer], shown=10)
        who = f" for {names}" if names else ""
        examples = str(found[0][1])
        if camera.image_size:
            ratio = float(np.median([image.ratio for _, image in found])) / _aspect(camera, found[0][1])
            if shape and not 1 / _DOUBTED < ratio < _DOUBTED:
                width, height = camera.image_size
                say(f"note: {place}: images of {width}x{height} do not fit{who}: {examples}. Is --image_size right?")
        elif shape:
            say(f"{place}: images of {shape}{who}, estimated: {examples}")
        else:
            width, height = ASSUMED_IMAGE_SIZE
            say(
                f"{place}: the shape of the images{who} cannot be told: {examples}. {width}x{height} is assumed; pass "
                "--image_size if it is another"
            )
