"""The order of the parts in a frame of MediaPipe Holistic values, recognised by anatomy.

A frame has the values of pose, face, left and right hand one after the other, in any order. Its number of values says
which parts there are; where they are, the points say: in the right order they are a person.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from signloom import layout
from signloom.anatomy import Measures, combined, faults_of, measure
from signloom.anatomy.measures import MAX_SHIFT
from signloom.errors import InputError, listed, plural

# The order of the tutorials, taken where the points do not tell.
USUAL_ORDER = ("pose", "face", "left_hand", "right_hand")
_HANDS = ("left_hand", "right_hand")
# The mesh with refined landmarks appends ten points of the irises to the 468.
NUM_REFINED_FACE_POINTS = 478


@dataclass(frozen=True)
class Form:
    """The parts of a frame, and how each is written.

    parts: those it has, in the usual order.  pose_values: 4 with visibility, else 3.  face_points: 468, or 478 with
    irises, which are left out.
    """

    parts: tuple[str, ...]
    pose_values: int = 3
    face_points: int = layout.NUM_FACE_POINTS

    def width(self, part: str) -> int:
        """Returns the number of values of a part in a frame."""
        if part == "pose":
            return layout.NUM_POSE_POINTS * self.pose_values
        return 3 * (self.face_points if part == "face" else layout.NUM_HAND_POINTS)

    @property
    def num_values(self) -> int:
        """The number of values of a frame."""
        return sum(self.width(part) for part in self.parts)


# By the number of values of a frame: 126, 225, 258, 1,629, 1,659, 1,662 and 1,692.
FORMS = {
    form.num_values: form
    for form in (
        Form(_HANDS),
        *(Form(("pose", *_HANDS), values) for values in (3, 4)),
        *(
            Form(USUAL_ORDER, values, points)
            for values in (3, 4)
            for points in (layout.NUM_FACE_POINTS, NUM_REFINED_FACE_POINTS)
        ),
    )
}
WIDTHS = listed((f"{width:,}" for width in sorted(FORMS)), shown=len(FORMS))


@dataclass(frozen=True)
class Order:
    """The parts of a frame in the order in which they are written.

    parts: a permutation of the form's parts.
    """

    form: Form
    parts: tuple[str, ...]

    def __str__(self) -> str:
        extra = {"pose": " with visibility" if self.form.pose_values == 4 else "", "face": ""}
        if self.form.face_points != layout.NUM_FACE_POINTS:
            extra["face"] = " with irises"
        return ", ".join(part.replace("_", " ") + extra.get(part, "") for part in self.parts)

    def blocks(self, frames: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Returns the values of each part in frames (T, D), (T, points, 3 or 4) each, NaN where it was not detected;
        and which frames are broken, (T,) bool: a part of them has NaN or infinite values beside others.

        A part is missing in a frame if all its values are 0, all are -1, or all are NaN.
        """
        result, start = {}, 0
        broken = np.zeros(len(frames), dtype=bool)
        for part in self.parts:
            end = start + self.form.width(part)
            # Too large for single precision is infinite, and named as such.
            with np.errstate(over="ignore"):
                block = frames[:, start:end].astype(np.float32)
            first = block[:, :1]
            empty = (first[:, 0] == 0) | (first[:, 0] == -1)
            # Where the first value is no sign of a missing part, the others need not be compared.
            empty[empty] = (block[empty] == first[empty]).all(axis=1)
            odd = ~np.isfinite(block.sum(axis=1))
            if odd.any():
                broken[odd] |= ~np.isnan(block[odd]).all(axis=1)
            block[empty] = np.nan
            result[part] = block.reshape(len(frames), -1, self.form.pose_values if part == "pose" else 3)
            start = end
        return result, broken

    def points(self, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the points of frames (T, D), (T, 543, 3), as fractions of the image, and their visibility (T, 33).

        Raises InputError for values that are not finite beside others of the same part, and for frames without any.
        """
        blocks, broken = self.blocks(frames)
        if broken.any():
            first = int(np.argmax(broken))
            raise InputError(
                f"NaN or infinite values in {int(broken.sum())} of {plural(len(frames), 'frame')}, first in frame "
                f"{first}"
            )
        points = np.empty((len(frames), layout.NUM_POINTS, 3), dtype=np.float32)
        visibility = np.full((len(frames), layout.NUM_POSE_POINTS), np.nan, dtype=np.float32)
        for part, to in layout.GROUPS.items():
            block = blocks.get(part)
            points[:, to] = np.nan if block is None else block[:, : to.stop - to.start, :3]
            if block is not None and block.shape[-1] == 4:
                visibility = block[..., 3]
        return points, visibility


def usual_order(width: int) -> Order:
    """Returns the order of the tutorials for frames of a known width."""
    form = FORMS[width]
    return Order(form, form.parts)


def given_order(text: str) -> tuple[str, ...]:
    """Returns the parts of the option --order, such as `pose,face,left_hand,right_hand`.

    Raises InputError for unknown or repeated parts.
    """
    parts = tuple(part.strip() for part in text.split(",") if part.strip())
    unknown = [part for part in parts if part not in layout.GROUPS]
    if unknown or len(set(parts)) != len(parts) or not parts:
        raise InputError(
            f"--order is {text!r}; needed each part that the frames have, once, of {', '.join(USUAL_ORDER)}, with "
            "commas between them"
        )
    return parts


def order_of(width: int, parts: Sequence[str]) -> Order:
    """Returns the order `parts` for frames of `width` values. Raises InputError if such frames have other parts."""
    form = FORMS[width]
    if sorted(parts) != sorted(form.parts):
        raise InputError(f"--order names {', '.join(parts)}; frames of {width:,} values have {', '.join(form.parts)}")
    return Order(form, tuple(parts))


# Frames that decide the order: the best in which everything was detected, and others from all over the clips.
_FRAMES_OF_ORDER = 48
# The next order must fit worse than the best by this, in units of `_misfit` (about a shoulder's width of one hand).
_CLEARLY = 0.25
# The best order of real people has a misfit of 0.2 to 0.8, the next one at least 1.5.
_NO_PERSON = 1.2
# How surely fingers must bend towards the palm of their side, -1..1, before hands alone show which is which.
_SURE_OF_HANDS = 0.15


def recognise(clips: Sequence[np.ndarray]) -> tuple[Order, str]:
    """Returns the order of the parts in some clips of one source, (T, D) each of the same D, and how sure it is.

    The second is empty where the points tell the order; otherwise it says why the usual order was taken.

    Raises InputError if the points of several orders are equally much a person, and none is the usual one; and if they
    are no person in any order, without a fault that has a name.
    """
    form = FORMS[clips[0].shape[1]]
    usual = Order(form, form.parts)
    if form.parts == _HANDS:
        return usual, _doubt_about_hands(clips)
    # Without NaN, a part that is missing in the right order is zero in part in the others.
    frames = np.nan_to_num(_telling_frames(clips))
    orders = [Order(form, parts) for parts in itertools.permutations(form.parts)]
    misfits = [_misfit(order, frames) for order in orders]
    likely = [order for order, misfit in zip(orders, misfits, strict=True) if misfit < min(misfits) + _CLEARLY]
    if min(misfits) > _NO_PERSON:
        if not faults_of(combined([measure(*usual.points(clip)) for clip in clips])):
            raise InputError(
                f"in no order of their parts are the {plural(form.num_values, 'value')} per frame a person"
            )
        return usual, "the usual order: in none are the points a person"
    if len(likely) == 1:
        return likely[0], ""
    if usual in likely:
        return usual, "the usual order: the points do not tell it from others"
    raise InputError(
        f"{plural(form.num_values, 'value')} per frame: {' and '.join(f'({order})' for order in likely[:4])} are "
        f"equally much a person; name the order, e.g. --order {','.join(likely[0].parts)}"
    )


def _doubt_about_hands(clips: Sequence[np.ndarray]) -> str:
    """Returns why it is not sure which of two hands without a pose is which; empty if it is.

    A hand bends its fingers to the side of its palm: in the right order like a hand of its own side. In recordings of
    twelve people this is so in the mean of a person's clips, in one of two clips of a rarely seen hand it is not.

    Raises InputError if they bend like hands of the other side.
    """
    order = usual_order(clips[0].shape[1])
    measured = combined([measure(*order.points(clip)) for clip in clips])
    counts = np.array([measured.frames[hand] for hand in _HANDS], dtype=np.float64)
    known = np.isfinite(measured.hand_sides) & (counts > 0)
    sure = float(np.average(measured.hand_sides[known], weights=counts[known])) if known.any() else 0.0
    if sure < -_SURE_OF_HANDS:
        raise InputError(
            f"the hands bend their fingers like hands of the other side ({sure:.2f} of -1 to 1): they are exchanged, "
            "or mirrored after tracking. Without a pose this cannot be told apart; if they are exchanged, pass --order "
            "right_hand,left_hand; if the values are right as they are, --order left_hand,right_hand"
        )
    return "" if sure > _SURE_OF_HANDS else "the usual order: without a pose, nothing tells which hand is which"


def evidence(measured: Measures) -> str:
    """Returns what shows that an order is right, for a message."""
    counts = np.array([measured.frames[hand] for hand in _HANDS], dtype=np.float64)
    if not counts.any():
        return "no hands to check it with"
    if not measured.frames["pose"]:
        return "the fingers bend like those of their side"
    own, other = measured.over_hands(measured.wrist_own_image), measured.over_hands(measured.wrist_other_image)
    return f"hands {own:.2f} of the image's height from their own wrist of the pose, {other:.2f} from the other"


def _telling_frames(clips: Sequence[np.ndarray]) -> np.ndarray:
    """Returns frames that show the order, (T, D): those with most values, and some from all over."""
    frames = np.concatenate(clips)
    detected = (np.isfinite(frames) & (frames != 0)).sum(axis=1)
    best = np.argsort(-detected, kind="stable")[: max(1, len(frames) // 2)]
    spread = best[:: max(1, len(best) // (_FRAMES_OF_ORDER // 2))]
    every = np.arange(len(frames))[:: max(1, len(frames) // (_FRAMES_OF_ORDER // 2))]
    return frames[np.unique(np.concatenate([spread, every]))]


def _misfit(order: Order, frames: np.ndarray) -> float:
    """Returns how little the points of an order are a person: 0 for a perfect one, around 2 for each part misplaced.

    Nothing in it depends on the direction of x and y: mirrored or turned people keep their order.
    """
    blocks, broken = order.blocks(frames)
    if broken.any() and not broken.all():
        # They are reported when their clip is imported.
        return _misfit(order, frames[~broken])
    points, visibility = order.points(frames)
    m = measure(points, visibility)
    costs = [
        # Wrists of hands and pose; sizes of hands; fingers in their order.
        2 * m.over_hands(np.minimum(m.wrist_own, 2)),
        m.over_hands(np.minimum(np.abs(np.log(np.maximum(m.hand_size, 1e-3) / 0.3)), 2)) / 2,
        m.over_hands(np.minimum(m.hand_order - 1, 1)),
        min(m.face_at_head, 2) if np.isfinite(m.face_at_head) else 0.0,
        min(max(m.face_order - 2, 0), 4) / 2 if np.isfinite(m.face_order) else 0.0,
        min(3 * max(float(m.shift_costs[MAX_SHIFT] / m.shift_costs.min()) - 1, 0), 2) if m.pose_shift else 0.0,
        2.0 if m.visibility_low < -0.01 or m.visibility_high > 1.01 else 0.0,
    ]
    # A block across the border of a part that was not detected is zero in part.
    for block in blocks.values():
        zeros = (block[..., 0] == 0).mean(axis=1)
        costs.append(4 * float((zeros > 0.1).mean()))
    return float(np.nansum(costs))
