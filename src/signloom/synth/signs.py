"""Signs as phonology: handshape, location, palm orientation and movement of one or two hands.

Angles are in degrees and lengths in metres. Positions and directions are on the signing hand's own side: x is negative
towards that side and positive across the body, y is down, z is away from the camera (a hand in front of the body has a
negative z). A left hand is the mirror image of a right one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from signloom.anatomy.hand_model import hand_axes
from signloom.errors import InputError
from signloom.synth.movements import LOCAL_MOVEMENTS, MOVEMENTS

Point = tuple[float, float, float]

# Joint angles of one hand, in order: four of the thumb, then three for each finger.
# Thumb: azimuth of the metacarpal in the plane of the palm (0 along the fingers, 90 away from them), its elevation
# towards the palm side, flexion of the mcp and ip joints. Fingers: spread, flexion of the mcp and pip joints; the dip
# joint follows the pip joint.
NUM_ANGLES = 16
# The flexion angles of the fingers.
FLEXION = np.array([5, 6, 8, 9, 11, 12, 14, 15])
# What a healthy hand can do, including the habits and variation of signers.
ANGLE_LIMITS = np.array(
    [(-25, 75), (-10, 80), (-15, 65), (-20, 80), *[(-30, 30), (-30, 95), (-5, 115)] * 4], dtype=np.float64
)

# Angles of the thumb.
_THUMBS = {"out": (60, 10, 0, 0), "side": (25, 8, 8, 10), "across": (18, 42, 45, 45), "opposed": (30, 58, 15, 25)}
# Flexion of the mcp and pip joints of a finger.
_FINGERS = {
    "e": (2, 4),  # extended
    "f": (85, 105),  # in the fist
    "c": (35, 50),  # curved
    "k": (8, 85),  # hooked at the pip joint
    "b": (78, 8),  # bent at the mcp joint
    "o": (52, 62),  # tip to the thumb
}
# Spread of the four fingers.
_SPREADS = {"wide": (18, 4, -9, -22), "vee": (15, -12, -4, -6), "none": (1, 0, -1, -2)}
# name: fingers from index to pinky, spread, thumb, and where the hand touches, as a share of the way to the finger
# tips.
HANDSHAPES = {
    "S": ("ffff", "none", "across", 0.55),
    "A": ("ffff", "none", "side", 0.55),
    "10": ("ffff", "none", "out", 0.55),
    "B": ("eeee", "none", "across", 0.8),
    "FLAT": ("eeee", "none", "side", 0.8),
    "5": ("eeee", "wide", "out", 0.8),
    "4": ("eeee", "wide", "across", 0.8),
    "BENT": ("bbbb", "none", "side", 0.55),
    "CLAW": ("kkkk", "wide", "out", 0.65),
    "C": ("cccc", "none", "opposed", 0.65),
    "O": ("oooo", "none", "opposed", 0.65),
    "1": ("efff", "none", "across", 0.9),
    "X": ("kfff", "none", "across", 0.65),
    "L": ("efff", "none", "out", 0.9),
    "G": ("bfff", "none", "opposed", 0.6),
    "V": ("eeff", "vee", "across", 0.9),
    "U": ("eeff", "none", "across", 0.9),
    "3": ("eeff", "vee", "out", 0.9),
    "BENT-V": ("kkff", "vee", "across", 0.65),
    "W": ("eeef", "wide", "across", 0.9),
    "Y": ("fffe", "none", "out", 0.55),
    "I": ("fffe", "none", "across", 0.8),
    "ILY": ("effe", "none", "out", 0.8),
    "F": ("oeee", "wide", "opposed", 0.65),
    "8": ("eoee", "wide", "opposed", 0.65),
}
# The handshape that a hand closes to and opens from.
CLOSED_HANDSHAPE = "O"
# Handshapes that can open or close.
_CAN_OPEN = ("5", "4", "B", "FLAT", "CLAW", "C", "V", "U", "1", "L", "3", "W")
# Handshapes whose fingers can wiggle.
_CAN_WIGGLE = ("5", "4", "B", "FLAT", "V", "3", "W")
# Handshapes of a weak hand that the strong hand acts on.
WEAK_BASES = ("S", "B", "5", "1", "C", "FLAT")


@dataclass(frozen=True)
class WeakArm:
    """How the weak arm is held out for the strong hand to act on.

    place: of its hand's touching point, metres from the middle of the shoulders, on the weak hand's own side.
    orientation: of its hand.  part: the part of the arm that the strong hand acts on.
    """

    place: Point
    orientation: str
    part: str


@dataclass(frozen=True)
class Location:
    """A place at the `head`, at the `trunk` or at the weak `arm` (its anchor).

    position: metres from the head's centre (for a head of average size), from the middle of the shoulders, or from the
    part of the weak arm.
    touchable: whether there is skin to touch.
    """

    anchor: str
    position: Point
    two_handed: bool = False
    touchable: bool = False
    weak: WeakArm | None = None


def _on_weak_arm(position: Point, weak_place: Point, orientation: str, part: str) -> Location:
    return Location("arm", position, touchable=True, weak=WeakArm(weak_place, orientation, part))


# Place of the weak hand when its arm lies across the body.
_ACROSS = (0.03, 0.22, -0.21)
LOCATIONS: dict[str, Location] = {
    "forehead": Location("head", (0.0, -0.065, -0.12), touchable=True),
    "temple": Location("head", (-0.062, -0.035, -0.09), two_handed=True, touchable=True),
    "eye": Location("head", (-0.032, -0.02, -0.115), two_handed=True, touchable=True),
    "ear": Location("head", (-0.115, 0.02, -0.04), two_handed=True),
    "cheek": Location("head", (-0.05, 0.03, -0.11), two_handed=True, touchable=True),
    "nose": Location("head", (0.0, 0.01, -0.14), touchable=True),
    "mouth": Location("head", (0.0, 0.044, -0.13), touchable=True),
    "chin": Location("head", (0.0, 0.074, -0.12), touchable=True),
    "neck": Location("trunk", (0.0, -0.03, -0.12)),
    "own-shoulder": Location("trunk", (-0.16, 0.03, -0.18), two_handed=True),
    "far-shoulder": Location("trunk", (0.13, 0.05, -0.13), touchable=True),
    "chest": Location("trunk", (0.0, 0.13, -0.17), touchable=True),
    "ribs": Location("trunk", (-0.13, 0.2, -0.16), two_handed=True, touchable=True),
    "belly": Location("trunk", (0.0, 0.29, -0.18), touchable=True),
    "space-middle": Location("trunk", (-0.06, 0.17, -0.33), two_handed=True),
    "space-side": Location("trunk", (-0.25, 0.13, -0.3), two_handed=True),
    "space-high": Location("trunk", (-0.24, -0.1, -0.27), two_handed=True),
    "space-low": Location("trunk", (-0.14, 0.28, -0.3), two_handed=True),
    "space-far": Location("trunk", (0.11, 0.18, -0.3)),
    "weak-palm": _on_weak_arm((0, -0.03, 0), (-0.07, 0.23, -0.32), "forward-up", "hand"),
    "weak-back": _on_weak_arm((0, -0.05, -0.02), (-0.02, 0.23, -0.3), "across-down", "hand"),
    "weak-side": _on_weak_arm((-0.02, -0.03, -0.03), (-0.06, 0.2, -0.32), "forward-across", "hand"),
    "wrist": _on_weak_arm((0, -0.04, -0.03), _ACROSS, "across-down", "wrist"),
    "forearm": _on_weak_arm((0, -0.04, -0.04), _ACROSS, "across-down", "forearm"),
    "elbow": _on_weak_arm((0, -0.01, -0.06), _ACROSS, "across-down", "elbow"),
    "upper-arm": _on_weak_arm((0, 0, -0.06), (-0.12, 0.33, -0.2), "across-down", "upper_arm"),
}

# Direction of the fingers and of the palm, on the hand's own side.
ORIENTATIONS: dict[str, tuple[Point, Point]] = {
    "up-out": ((0.15, -1, -0.1), (0, 0, -1)),
    "up-in": ((0.25, -1, 0.1), (0.1, 0, 1)),
    "up-across": ((0.1, -1, -0.1), (1, 0, -0.2)),
    "across-in": ((1, -0.25, 0), (0, 0, 1)),
    "across-down": ((1, -0.1, -0.35), (0, 1, 0)),
    "forward-down": ((0.25, -0.35, -0.9), (0, 1, 0)),
    "forward-across": ((0.15, -0.4, -0.9), (1, 0, 0)),
    "forward-up": ((0.15, 0.1, -0.95), (0, -1, 0)),
    "out-down": ((-0.6, -0.3, -0.75), (0, 1, 0)),
    "up-forward": ((-0.15, -0.75, -0.65), (0, 0.65, -0.75)),
}
# Orientations in which a hand points away from the body and cannot touch it well.
_AWAY = ("forward-down", "forward-across", "forward-up", "out-down", "up-forward")
# Orientations that are possible at the head.
_AT_THE_HEAD = ("up-out", "up-in", "up-across", "across-in", "across-down")
# Location and orientation of each pointing sign.
LOCI = (
    ("space-side", "out-down"),
    ("space-middle", "forward-down"),
    ("space-far", "across-down"),
    ("space-high", "up-forward"),
)

# Movements that two hands can make in turns.
_CAN_ALTERNATE = ("up", "down", "forward", "circle", "bounce")

# Blend weights of the mouth: opened, spread, rounded; 0..1.
MOUTHS: dict[str, Point] = {
    "closed": (0, 0, 0),
    "ah": (0.9, 0.2, 0),
    "ee": (0.25, 0.9, 0),
    "oo": (0.3, 0, 1),
    "eh": (0.5, 0.5, 0),
    "mm": (0, 0.4, 0),
}
# Blend weight of the brows.
BROWS = {"level": 0.0, "raised": 1.0, "furrowed": -1.0}


# Head movements: turn, nod and tilt in degrees, and how many times to and fro (0: once and back).
HEADS: dict[str, tuple[Point, int]] = {
    "still": ((0, 0, 0), 0),
    "nod": ((0, 7, 0), 2),
    "shake": ((9, 0, 0), 2),
    "tilt": ((0, 0, 7), 0),
}


@dataclass(frozen=True)
class Sign:
    """One entry of the lexicon; two signs of a lexicon differ in at least one manual parameter.

    kind: `one` hand; `both` hands as mirror images; `alternating`: the same, half a movement apart; `base`: the strong
    hand acts on the weak arm, which is held still; `rest`: the hands lie or hang idle.
    local: the local movement of wrist and fingers.  size, speed, repeats: how the movement is made.
    contact: whether the hand touches the skin of its location, or the weak arm.
    mouth, brow, head: the non-manual parameters.
    """

    gloss: str
    kind: str
    handshape: str
    location: str
    orientation: str
    movement: str
    weak_handshape: str | None = None
    local: str = "none"
    size: str = "normal"
    speed: str = "plain"
    repeats: int = 1
    contact: bool = False
    mouth: str = "closed"
    brow: str = "level"
    head: str = "still"

    @property
    def symmetric(self) -> bool:
        """Whether both hands make the sign, together or in turns."""
        return self.kind in ("both", "alternating")

    @property
    def manual(self) -> tuple[object, ...]:
        """The manual parameters, in the order of MANUAL_PARAMETERS; only they distinguish the signs of a lexicon."""
        movement = (self.movement, self.local, self.size, self.repeats)
        return (self.kind, self.handshape, self.location, self.orientation, movement, self.weak_handshape)

    def with_value(self, parameter: str, value: str) -> Sign:
        """Returns the sign with another value of one parameter, without contact if it cannot touch; it may be
        impossible."""
        changes: dict[str, Any] = {parameter: value}
        changed = replace(self, **changes)
        return changed if changed.can_touch() else replace(changed, contact=False)

    def can_touch(self) -> bool:
        """Returns whether there is something to touch and the hand can turn to it."""
        place = LOCATIONS[self.location]
        return place.touchable and (place.anchor == "arm" or self.orientation not in _AWAY)

    def possible(self) -> bool:
        """Returns whether a body can make the sign and an eye can recognise it."""
        if self.kind == "rest":
            return True
        place, movement = LOCATIONS[self.location], MOVEMENTS[self.movement]
        if place.anchor == "head" and self.orientation not in _AT_THE_HEAD:
            return False
        if self.local in ("open", "close") and self.handshape not in _CAN_OPEN:
            return False
        if self.local == "wiggle" and self.handshape not in _CAN_WIGGLE:
            return False
        if self.movement not in LOCAL_MOVEMENTS[self.local].paths or (self.contact and not self.can_touch()):
            return False
        # Nobody repeats a large movement, and a hand that stays has no size.
        if (self.repeats > 1 and (not movement.repeatable or self.size == "large")) or (
            movement.path is None and self.size != "normal"
        ):
            return False
        if self.symmetric and not place.two_handed:
            return False
        if self.kind == "alternating" and self.movement not in _CAN_ALTERNATE:
            return False
        if (self.kind == "base") != (place.anchor == "arm"):
            return False
        return self.weak_handshape in WEAK_BASES if self.kind == "base" else self.weak_handshape is None


# The names of the entries of `Sign.manual`.
MANUAL_PARAMETERS = ("kind", "handshape", "location", "orientation", "movement", "weak_handshape")


def rest_sign(gloss: str) -> Sign:
    """Returns a sign of idle hands, as corpora gloss the rest at the ends of a sentence (`__ON__`, `__OFF__`)."""
    return Sign(gloss, "rest", "C", "space-low", "across-in", "hold")


def pointing_sign(gloss: str, locus: int) -> Sign:
    """Returns the sign that points to place `locus`, 0 to 3, of the signing space.

    Raises InputError for another number.
    """
    if not 0 <= locus < len(LOCI):
        raise InputError(f"pointing sign {gloss!r}: locus is {locus}; needed 0 to {len(LOCI) - 1}")
    location, orientation = LOCI[locus]
    return Sign(gloss, "one", "1", location, orientation, "forward", size="small")


@cache
def handshape_angles(name: str) -> np.ndarray:
    """Returns the joint angles of a handshape in degrees, (16,)."""
    fingers, spread, thumb, _ = HANDSHAPES[name]
    angles: list[float] = list(_THUMBS[thumb])
    for finger, abduction in zip(fingers, _SPREADS[spread], strict=True):
        # Bent fingers lie together; only extended fingers are spread.
        angles += [abduction if finger in "eck" else 0.35 * abduction, *_FINGERS[finger]]
    result = np.array(angles, dtype=np.float64)
    result.setflags(write=False)
    return result


def touching_point(handshape: str) -> float:
    """Returns which point of the hand is brought to the location, as a share of the way from the wrist to the finger
    tips."""
    return HANDSHAPES[handshape][3]


@cache
def orientation_axes(name: str) -> np.ndarray:
    """Returns the rotation matrix (3, 3) of a hand; its columns are the fingers' direction, the palm's normal and the
    thumb's side."""
    axes = hand_axes(*(np.array(axis, dtype=np.float64) for axis in ORIENTATIONS[name]))
    axes.setflags(write=False)
    return axes
