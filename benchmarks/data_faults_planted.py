"""The faults that `data_faults.py` plants in the landmarks of a corpus, and what the doctor must say of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

# Changes one clip. The generator is the corpus' own.
Change = Callable[[Any, np.random.Generator], Any]
# Parts of a corpus in which a fault is planted.
ALL, DEV, SIGNER, SOME = "all", "dev", "one signer", "some clips"
EVERYWHERE = (ALL, DEV, SIGNER, SOME)
LEFT, RIGHT, HANDS, BODY = slice(33, 54), slice(54, 75), slice(33, 75), slice(0, 75)


@dataclass(frozen=True)
class Fault:
    """A fault.

    change: of a clip.  check, words: the check that must warn or fail, and a pattern that its headline must match.
    where: parts of a corpus in which it is planted.
    """

    name: str
    change: Change
    check: str
    words: str
    where: tuple[str, ...] = EVERYWHERE


def _points(change: Callable[[np.ndarray, Any, np.random.Generator], np.ndarray]) -> Change:
    def apply(clip: Any, rng: np.random.Generator) -> Any:
        return replace(clip, points=change(clip.points.copy(), clip, rng).astype(np.float32))

    return apply


def _axis(number: int, factor: float, shift: Callable[[Any], float] = lambda clip: 0.0) -> Change:
    def change(points: np.ndarray, clip: Any, rng: np.random.Generator) -> np.ndarray:
        points[..., number] = shift(clip) + factor * points[..., number]
        return points

    return _points(change)


@_points
def x_y_exchanged(points: np.ndarray, clip: Any, rng: np.random.Generator) -> np.ndarray:
    return points[..., [1, 0, 2]]


@_points
def turned(points: np.ndarray, clip: Any, rng: np.random.Generator) -> np.ndarray:
    return np.stack([1 - points[..., 1], points[..., 0], points[..., 2]], axis=-1)


@_points
def hands_exchanged(points: np.ndarray, clip: Any, rng: np.random.Generator) -> np.ndarray:
    points[:, LEFT], points[:, RIGHT] = points[:, RIGHT].copy(), points[:, LEFT].copy()
    return points


def _rolled(part: slice, by: int) -> Change:
    def change(points: np.ndarray, clip: Any, rng: np.random.Generator) -> np.ndarray:
        points[:, part] = np.roll(points[:, part], by, axis=1)
        return points

    return _points(change)


@_points
def hand_points_shifted(points: np.ndarray, clip: Any, rng: np.random.Generator) -> np.ndarray:
    for hand in (LEFT, RIGHT):
        points[:, hand] = np.roll(points[:, hand], 1, axis=1)
    return points


def _late(part: slice, frames: int) -> Change:
    def change(points: np.ndarray, clip: Any, rng: np.random.Generator) -> np.ndarray:
        points[:, part] = points[np.maximum(np.arange(len(points)) - frames, 0)][:, part]
        return points

    return _points(change)


@_points
def hands_in_crops(points: np.ndarray, clip: Any, rng: np.random.Generator) -> np.ndarray:
    """Each hand as fractions of the square around it."""
    for hand in (LEFT, RIGHT):
        part = points[:, hand, :2]
        low, high = part.min(1, keepdims=True), part.max(1, keepdims=True)
        points[:, hand, :2] = (part - low) / np.maximum((high - low).max(-1, keepdims=True), 1e-3)
    return points


@_points
def body_in_boxes(points: np.ndarray, clip: Any, rng: np.random.Generator) -> np.ndarray:
    """Each frame as fractions of the box around its points."""
    body = points[:, BODY, :2]
    with np.errstate(all="ignore"):
        low, high = np.nanmin(body, 1, keepdims=True), np.nanmax(body, 1, keepdims=True)
    points[..., :2] = (points[..., :2] - low) / (high - low)
    return points


@_points
def hands_at_wrists(points: np.ndarray, clip: Any, rng: np.random.Generator) -> np.ndarray:
    for hand in (LEFT, RIGHT):
        points[:, hand] -= points[:, hand][:, :1].copy()
    return points


@_points
def hands_at_means(points: np.ndarray, clip: Any, rng: np.random.Generator) -> np.ndarray:
    for hand in (LEFT, RIGHT):
        points[:, hand] -= points[:, hand].mean(1, keepdims=True)
    return points


@_points
def body_at_nose(points: np.ndarray, clip: Any, rng: np.random.Generator) -> np.ndarray:
    return points - points[:, :1]


def _nearly_frozen(noise: float) -> Change:
    def change(points: np.ndarray, clip: Any, rng: np.random.Generator) -> np.ndarray:
        middle = points[len(points) // 2]
        return middle + rng.normal(0, noise, points.shape)

    return _points(change)


@_points
def nearly_frozen_after_a_moment(points: np.ndarray, clip: Any, rng: np.random.Generator) -> np.ndarray:
    held = points[np.minimum(np.arange(len(points)), len(points) // 8)]
    return held + rng.normal(0, 1e-4, points.shape)


def _missing_as(value: float) -> Change:
    def change(points: np.ndarray, clip: Any, rng: np.random.Generator) -> np.ndarray:
        scale = np.array([clip.aspect, 1, clip.aspect])
        return np.where(np.isfinite(points), points, value * scale)

    return _points(change)


def _infinite(part: str) -> Change:
    def change(clip: Any, rng: np.random.Generator) -> Any:
        values = getattr(clip, part).copy()
        values[len(values) // 2, 0] = np.inf
        return replace(clip, **{part: values})

    return change


def _scaled(factor: float) -> Change:
    return _points(lambda points, clip, rng: points * factor)


@_points
def without_hands(points: np.ndarray, clip: Any, rng: np.random.Generator) -> np.ndarray:
    points[:, HANDS] = np.nan
    return points


@_points
def reversed_in_time(points: np.ndarray, clip: Any, rng: np.random.Generator) -> np.ndarray:
    return points[::-1]


def rate_doubled(clip: Any, rng: np.random.Generator) -> Any:
    return replace(clip, fps=2 * clip.fps, seconds=None)


def every_second_frame(clip: Any, rng: np.random.Generator) -> Any:
    return replace(clip, points=clip.points[::2], visibility=clip.visibility[::2], seconds=None)


def _visibility(change: Callable[[np.ndarray], np.ndarray]) -> Change:
    return lambda clip, rng: replace(clip, visibility=change(clip.visibility).astype(np.float32))


def _jitter(noise: float) -> Change:
    return _points(lambda points, clip, rng: points + rng.normal(0, noise, points.shape))


@_points
def face_mirrored(points: np.ndarray, clip: Any, rng: np.random.Generator) -> np.ndarray:
    face = points[:, 75:]
    face[..., 0] = 2 * face[:, 1:2, 0] - face[..., 0]
    return points


@_points
def resting_hand(points: np.ndarray, clip: Any, rng: np.random.Generator) -> np.ndarray:
    """A left hand where there is none: still at the wrist of the pose."""
    seen = np.isfinite(points[:, RIGHT, 0]).all(1)
    absent = ~np.isfinite(points[:, LEFT, 0]).any(1)
    if not seen.any():
        return points
    shape = points[int(seen.argmax()), RIGHT] - points[int(seen.argmax()), RIGHT][:1]
    shape[:, 0] *= -1
    points[absent, LEFT] = points[absent][:, 15:16] + shape
    return points


@_points
def hand_held(points: np.ndarray, clip: Any, rng: np.random.Generator) -> np.ndarray:
    """The right hand keeps its first place, where it was seen."""
    seen = np.isfinite(points[:, RIGHT, 0]).all(1)
    if seen.any():
        points[seen, RIGHT] = points[int(seen.argmax()), RIGHT]
    return points


def cut_to_a_half(clip: Any, rng: np.random.Generator) -> Any:
    return clip.part(slice(0, max(1, len(clip) // 2)))


FAULTS: tuple[Fault, ...] = (
    Fault("upside down, 1 - y", _axis(1, -1, lambda clip: 1.0), "data.body", "upside down"),
    Fault("upside down, -y", _axis(1, -1), "data.body", "upside down"),
    Fault("mirrored after tracking", _axis(0, -1, lambda clip: clip.aspect), "data.body", "mirrored"),
    Fault("x and y exchanged", x_y_exchanged, "data.body", "x and y are exchanged"),
    Fault("turned by a quarter", turned, "data.body", "lies on its side"),
    Fault("hands exchanged", hands_exchanged, "data.body", "left and the right hand are exchanged"),
    Fault("all points shifted by one", _rolled(slice(0, 543), 1), "data.body", "shifted in their order"),
    Fault("pose shifted by one", _rolled(slice(0, 33), -1), "data.body", "shifted in their order"),
    Fault("hands shifted by one", hand_points_shifted, "data.body", "within a hand are not in their order"),
    Fault("hands 3 frames late", _late(HANDS, 3), "data.body", "not of the same moment"),
    Fault("hands 6 frames late", _late(HANDS, 6), "data.body", "not of the same moment"),
    Fault("hands in crops", hands_in_crops, "data.body", "relative to a crop"),
    Fault("body in boxes", body_in_boxes, "data.body", "relative to the box"),
    Fault("hands relative to their wrists", hands_at_wrists, "data.body", "relative to a point of their own"),
    Fault("hands relative to their means", hands_at_means, "data.body", "relative to a point of their own"),
    Fault("body relative to the nose", body_at_nose, "data.body", "relative to a point of its own"),
    Fault("nearly frozen, noise 0.0005", _nearly_frozen(5e-4), "data.frozen", "nearly frozen"),
    Fault("nearly frozen after a moment", nearly_frozen_after_a_moment, "data.frozen", "nearly frozen"),
    Fault("missing written as -1", _missing_as(-1), "data.zeros", "missing ones were written so"),
    Fault("missing written as 0", _missing_as(0), "data.zeros", "missing ones were written so"),
    Fault("infinite points", _infinite("points"), "data.readable", "infinite"),
    Fault("infinite visibility", _infinite("visibility"), "data.", "outside 0 to 1|infinite"),
    Fault("pixels", _scaled(480), "data.units", "too large"),
    Fault("no hands", without_hands, "data.hands", "no hands"),
    Fault("frame rate doubled in the file", rate_doubled, "data.pace", "too fast", (DEV, SIGNER, SOME)),
    Fault("every second frame dropped", every_second_frame, "data.pace", "too fast", (DEV, SIGNER, SOME)),
    Fault("reversed", reversed_in_time, "data.direction", "reversed", (DEV, SOME)),
    Fault("scaled by 2.5", _scaled(2.5), "data.", "as large|outside the picture", (DEV, SIGNER)),
    Fault("scaled by 0.3", _scaled(0.3), "data.alike", "as large", (DEV, SIGNER)),
    Fault("no depth", _axis(2, 0), "data.alike", "no depth", (DEV, SIGNER, SOME)),
    Fault("visibility in percent", _visibility(lambda values: 100 * values), "data.visibility", "outside 0 to 1"),
    Fault("visibility as logits", _visibility(lambda values: 4 * values - 3), "data.visibility", "outside 0 to 1"),
    Fault("jitter of 0.02", _jitter(0.02), "data.jitter", "jitter"),
    Fault("a resting hand in view", resting_hand, "data.presence", "left hand", (DEV,)),
    Fault("depth reversed", _axis(2, -1), "data.body", "depth is reversed"),
    Fault("width doubled", _axis(0, 2), "data.alike", "stretched|as high for its width", (ALL, DEV, SIGNER)),
    Fault("a hand held", hand_held, "data.frozen", "a hand stays the same"),
    Fault("cut to a half", cut_to_a_half, "data.pace", "shorter or longer", (SOME,)),
    Fault("face mirrored", face_mirrored, "data.body", "face is mirrored"),
)


def planted(root: Path, folder: Path, fault: Fault, where: str, seed: int) -> Path:
    """Returns the folder of a copy of a corpus with a fault in part of it."""
    from signloom.corpus import Corpus, CorpusWriter

    corpus = Corpus.open(root)
    rng = np.random.default_rng(seed)
    concerned = chosen(list(corpus), where, rng)
    infinite: dict[str, dict[str, np.ndarray]] = {}
    with CorpusWriter(folder, {"name": corpus.name}, overwrite=True) as writer:
        for item in corpus:
            clip = corpus.load(item)
            if item.id in concerned:
                clip = fault.change(clip, rng)
            arrays = {"points": clip.points, "visibility": clip.visibility}
            sound = {name: np.where(np.isinf(array), 0, array) for name, array in arrays.items()}
            written = writer.add(
                item.id,
                split=item.split,
                signer=item.signer,
                glosses=item.glosses,
                landmarks=replace(clip, **sound),
            )
            if any(np.isinf(array).any() for array in arrays.values()):
                infinite[written.landmarks] = arrays
    for name, arrays in infinite.items():
        # `save` refuses such a clip; other programs write them.
        with np.load(folder / name) as saved:
            parts = dict(saved)
        parts |= {part: array.astype(np.float16) for part, array in arrays.items()}
        with (folder / name).open("wb") as file:
            np.savez(file, **parts)
    return folder


def chosen(items: list[Any], where: str, rng: np.random.Generator) -> set[str]:
    """Returns the ids of the clips of a part of a corpus: a fifth of them for SOME."""
    if where == ALL:
        return {item.id for item in items}
    if where == DEV:
        return {item.id for item in items if item.split == "dev"}
    if where == SIGNER:
        signer = str(rng.choice(sorted({str(item.signer) for item in items})))
        return {item.id for item in items if str(item.signer) == signer}
    share = rng.uniform(0.12, 0.3)
    return {item.id for item in items if rng.random() < share}
