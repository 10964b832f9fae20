"""Draws one hand: a palm and five fingers in the order of their depth, with nails on the back."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from signloom import layout
from signloom.drawing.brush import Brush, Colour, Part, lit, paint

# Colours of the signer's own left and right hand: orange and blue differ in any colour vision.
HAND_COLOURS: dict[str, Colour] = {"left_hand": (242, 156, 74), "right_hand": (96, 158, 222)}


def draw_hand(brush: Brush, hand: np.ndarray, name: str, *, width: float) -> None:
    """Draws the hand `left_hand` or `right_hand` (21, 3). width: of the shoulders, in pixels."""
    depths = np.nan_to_num(hand[:, 2])
    solid = np.column_stack([hand[:, :2], depths])
    # The palm is seen in full length from some side: along it or across it.
    palm = max(
        float(np.linalg.norm(solid[9] - solid[0])), 1.4 * float(np.linalg.norm(solid[5] - solid[17])), 4 * brush.line
    )
    palm = min(palm, 0.45 * width)
    colour = HAND_COLOURS[name]
    first, second = (hand[5] - hand[0])[:2], (hand[17] - hand[0])[:2]
    turn = float(first[0] * second[1] - first[1] * second[0]) / palm**2
    # When the palm of a right hand with raised fingers is seen, its thumb is on the right in the picture.
    back = -turn if name == "left_hand" else turn
    middle = float(depths[[0, *layout.KNUCKLES]].mean())

    def shade(depth: float) -> Colour:
        return lit(colour, min(max(0.45 * (middle - depth) / palm, -0.28), 0.28))

    parts: list[Part] = [(middle, lambda: _palm(brush, hand, palm, lit(colour, -0.08 if back > 0 else 0.12)))]
    for finger in range(5):
        joints = [4 * finger + joint for joint in range(1, 5)]
        radius = palm * (0.13, 0.115, 0.12, 0.11, 0.095)[finger]
        # The bones beyond the palm decide whether the finger is in front of it or behind.
        depth = float(depths[joints[1:]].mean())
        parts.append((depth, partial(_finger, brush, hand[joints], depths[joints], radius, shade, back)))
    paint(parts)


def _palm(brush: Brush, hand: np.ndarray, palm: float, colour: Colour) -> None:
    outline = [0, 1, *layout.KNUCKLES]
    edge = lit(colour, -0.45)
    radius = 0.12 * palm
    heel = hand[0, :2] + 0.22 * (hand[17, :2] - hand[0, :2]) + 0.12 * (hand[17, :2] - hand[5, :2])
    for grow, fill in ((brush.line, edge), (0.0, colour)):
        ring = [hand[number, :2] for number in outline] + [heel]
        for start, end in zip(ring, [*ring[1:], ring[0]], strict=True):
            brush.limb(start, end, (radius + grow, radius + grow), fill)
        brush.limb(hand[1], hand[2], (0.16 * palm + grow, 0.14 * palm + grow), fill)
        brush.polygon(ring, fill)


def _finger(
    brush: Brush,
    joints: np.ndarray,
    depths: np.ndarray,
    radius: float,
    shade: Callable[[float], Colour],
    back: float,
) -> None:
    radii = [radius, 0.96 * radius, 0.88 * radius, 0.76 * radius]
    edge = lit(shade(float(depths[1:].mean())), -0.5)
    bones = sorted(range(3), key=lambda bone: -(depths[bone] + depths[bone + 1]))
    for bone in bones:
        brush.limb(joints[bone], joints[bone + 1], (radii[bone] + brush.line, radii[bone + 1] + brush.line), edge)
    for bone in bones:
        fill = shade(float(depths[bone] + depths[bone + 1]) / 2)
        brush.limb(joints[bone], joints[bone + 1], (radii[bone], radii[bone + 1]), fill)
    if back > 0.15:
        # The nail, on the back of the hand.
        tip = joints[3] + 0.1 * (joints[3] - joints[2])
        brush.ball(tip, 0.42 * radius, lit(shade(float(depths[3])), 0.5))
