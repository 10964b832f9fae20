"""Signs as phonology: handshape, location, palm orientation and movement of one or two hands.

Angles are in degrees and lengths in metres here. Positions and directions are on the signing hand's own side:
x is negative towards that hand's side and positive across the body, y is down, z is away from the camera (so a hand in
front of the body has a negative z). A left hand is the mirror image of a right one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

# Joint angles of one hand, in this order: four of the thumb, then three for each finger.
# Thumb: azimuth of the metacarpal in the plane of the palm (0 along the fingers, 90 away from them), its elevation
# towards the palm side, flexion at the mcp and ip joints. Fingers: spread, flexion at the mcp and pip joints; the
# dip joint follows the pip joint.
NUM_ANGLES = 16
THUMB = slice(0, 4)
FLEXION = np.array([5, 6, 8, 9, 11, 12, 14, 15])
# What a healthy hand can do, with the habits and variation of signers inside it.
ANGLE_LIMITS = np.array(
    [(-25, 75), (-10, 80), (-15, 65), (-20, 80), *[(-30, 30), (-30, 95), (-5, 115)] * 4], dtype=np.float64
)

_THUMBS = {"out": (60, 10, 0, 0), "side": (25, 8, 8, 10), "across": (18, 42, 45, 45), "opposed": (30, 58, 15, 25)}
_FINGERS = {
    "e": (2, 4),  # extended
    "f": (85, 105),  # in the fist
    "c": (35, 50),  # curved
    "k": (8, 85),  # hooked at the pip joint
    "b": (78, 8),  # bent at the mcp joint
    "o": (52, 62),  # tip to the thumb
}
_SPREADS = {"wide": (18, 4, -9, -22), "vee": (15, -12, -4, -6), "none": (1, 0, -1, -2)}
# name: fingers from index to pinky, spread, thumb, where on the way to the finger tips the hand touches.
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
# What the hand closes to and opens from, and which handshapes have fingers to do it with.
_CLOSED = "O"
_CAN_OPEN = ("5", "4", "B", "FLAT", "CLAW", "C", "V", "U", "1", "L", "3", "W")
_CAN_WIGGLE = ("5", "4", "B", "FLAT", "V", "3", "W")
WEAK_BASES = ("S", "B", "5", "1", "C", "FLAT")


@dataclass(frozen=True)
class Location:
    """A place: on the `head` (metres from its centre, for a head of average size) or by the `trunk` (metres from
    the middle of the shoulders)."""

    anchor: str
    position: tuple[float, float, float]
    two_handed: bool = False


LOCATIONS: dict[str, Location] = {
    "forehead": Location("head", (0.0, -0.075, -0.12)),
    "temple": Location("head", (-0.085, -0.04, -0.08), two_handed=True),
    "ear": Location("head", (-0.115, 0.02, -0.04), two_handed=True),
    "cheek": Location("head", (-0.055, 0.03, -0.11), two_handed=True),
    "nose": Location("head", (0.0, 0.01, -0.14)),
    "mouth": Location("head", (0.0, 0.05, -0.13)),
    "chin": Location("head", (0.0, 0.1, -0.12)),
    "neck": Location("trunk", (0.0, -0.03, -0.12)),
    "own-shoulder": Location("trunk", (-0.18, 0.02, -0.18), two_handed=True),
    "far-shoulder": Location("trunk", (0.15, 0.03, -0.13)),
    "chest": Location("trunk", (0.0, 0.13, -0.17)),
    "ribs": Location("trunk", (-0.13, 0.2, -0.16), two_handed=True),
    "belly": Location("trunk", (0.0, 0.29, -0.18)),
    "space-middle": Location("trunk", (-0.06, 0.17, -0.33), two_handed=True),
    "space-side": Location("trunk", (-0.25, 0.13, -0.3), two_handed=True),
    "space-high": Location("trunk", (-0.24, -0.1, -0.27), two_handed=True),
    "space-low": Location("trunk", (-0.14, 0.28, -0.3), two_handed=True),
    "space-far": Location("trunk", (0.11, 0.18, -0.3)),
}

# Where the fingers point and where the palm faces, on the hand's own side.
ORIENTATIONS: dict[str, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    "up-out": ((0.15, -1, -0.1), (0, 0, -1)),
    "up-in": ((0.25, -1, 0.1), (0.1, 0, 1)),
    "up-across": ((0.1, -1, -0.1), (1, 0, -0.2)),
    "across-in": ((1, -0.25, 0), (0, 0, 1)),
    "across-down": ((1, -0.1, -0.35), (0, 1, 0)),
    "forward-down": ((0.25, -0.35, -0.9), (0, 1, 0)),
    "forward-across": ((0.15, -0.4, -0.9), (1, 0, 0)),
    "forward-up": ((0.15, 0.1, -0.95), (0, -1, 0)),
}
_AT_THE_HEAD = ("up-out", "up-in", "up-across", "across-in", "across-down")


@dataclass(frozen=True)
class Movement:
    """What a hand does in a sign, as functions of the phase (n,) in 0..1.

    path: (n, 3) in units of the movement's size.  twist, nod: degrees about the fingers' axis and across the palm.
    fingers: `open` (from closed to the handshape), `close`, `wiggle` or None.  duration: relative to a plain stroke.
    """

    path: Callable[[np.ndarray], np.ndarray] | None = None
    twist: Callable[[np.ndarray], np.ndarray] | None = None
    nod: Callable[[np.ndarray], np.ndarray] | None = None
    fingers: str | None = None
    duration: float = 1.0


def _path(
    x: Callable[[np.ndarray], np.ndarray] | float,
    y: Callable[[np.ndarray], np.ndarray] | float,
    z: Callable[[np.ndarray], np.ndarray] | float = 0.0,
) -> Callable[[np.ndarray], np.ndarray]:
    def path(s: np.ndarray) -> np.ndarray:
        return np.stack([np.broadcast_to(f(s) if callable(f) else f, s.shape) for f in (x, y, z)], axis=-1)

    return path


def _triangle(s: np.ndarray) -> np.ndarray:
    """Three half-waves between -1 and 1, rounded."""
    return np.sin(3 * np.pi * s)


MOVEMENTS: dict[str, Movement] = {
    "hold": Movement(duration=0.85),
    "up": Movement(_path(0, lambda s: 0.5 - s)),
    "down": Movement(_path(0, lambda s: s - 0.5)),
    "outward": Movement(_path(lambda s: 0.5 - s, 0)),
    "across": Movement(_path(lambda s: s - 0.5, 0)),
    "forward": Movement(_path(0, lambda s: 0.3 * (0.5 - s), lambda s: -1.2 * s)),
    "arc": Movement(
        _path(lambda s: 0.5 * np.cos(np.pi * (1 - s)) * -1, lambda s: -0.6 * np.sin(np.pi * s)), duration=1.1
    ),
    "circle": Movement(
        _path(lambda s: -0.4 * np.sin(2 * np.pi * s), lambda s: -0.4 * np.cos(2 * np.pi * s)), duration=1.35
    ),
    "bounce": Movement(_path(0, lambda s: -0.45 * np.sin(2 * np.pi * s) ** 2), duration=1.35),
    "shake": Movement(_path(lambda s: 0.32 * np.sin(4 * np.pi * s), 0), duration=1.4),
    "zigzag": Movement(_path(lambda s: 0.35 * _triangle(s), lambda s: 1.1 * (s - 0.5)), duration=1.3),
    "twist": Movement(twist=lambda s: 42 * np.sin(4 * np.pi * s), duration=1.3),
    "nod": Movement(nod=lambda s: 38 * np.sin(2 * np.pi * s) ** 2, duration=1.3),
    "open": Movement(fingers="open"),
    "close": Movement(fingers="close"),
    "wiggle": Movement(fingers="wiggle", duration=1.3),
}
MOVEMENT_SIZE = 0.14

# `one` hand; `both` alike in the mirror; `alternating`: alike, half a movement apart; `base`: the strong hand acts
# on a still weak hand.
KINDS = ("one", "both", "alternating", "base")
_CAN_ALTERNATE = ("up", "down", "forward", "circle", "bounce", "twist")

# Mouth (opened, spread, rounded; 0..1) and brows (-1 furrowed, 1 raised) that go with a sign.
MOUTHS: dict[str, tuple[float, float, float]] = {
    "closed": (0, 0, 0),
    "ah": (0.9, 0.2, 0),
    "ee": (0.25, 0.9, 0),
    "oo": (0.3, 0, 1),
    "eh": (0.5, 0.5, 0),
    "mm": (0, 0.4, 0),
}
BROWS = {"level": 0.0, "raised": 1.0, "furrowed": -1.0}


@dataclass(frozen=True)
class Sign:
    """One entry of the lexicon; two signs of a lexicon differ in at least one manual parameter."""

    gloss: str
    kind: str
    handshape: str
    location: str
    orientation: str
    movement: str
    weak_handshape: str | None = None
    mouth: str = "closed"
    brow: str = "level"

    @property
    def manual(self) -> tuple[str | None, ...]:
        """The parameters of the hands, which alone tell the signs of a lexicon apart."""
        return (self.kind, self.handshape, self.location, self.orientation, self.movement, self.weak_handshape)

    def possible(self) -> bool:
        """Whether a body can make the sign and an eye can tell what is done."""
        place = LOCATIONS[self.location]
        if place.anchor == "head" and self.orientation not in _AT_THE_HEAD:
            return False
        if self.movement in ("open", "close") and self.handshape not in _CAN_OPEN:
            return False
        if self.movement == "wiggle" and self.handshape not in _CAN_WIGGLE:
            return False
        if self.kind in ("both", "alternating") and not place.two_handed:
            return False
        if self.kind == "alternating" and self.movement not in _CAN_ALTERNATE:
            return False
        if self.kind == "base":
            return self.location == "space-middle" and self.weak_handshape in WEAK_BASES
        return self.weak_handshape is None


@cache
def handshape_angles(name: str) -> np.ndarray:
    """The 16 joint angles of a handshape in degrees, (16,)."""
    fingers, spread, thumb, _ = HANDSHAPES[name]
    angles: list[float] = list(_THUMBS[thumb])
    for finger, abduction in zip(fingers, _SPREADS[spread], strict=True):
        # Bent fingers lie together: spread belongs to the extended ones.
        angles += [abduction if finger in "eck" else 0.35 * abduction, *_FINGERS[finger]]
    result = np.array(angles, dtype=np.float64)
    result.setflags(write=False)
    return result


def touching_point(handshape: str) -> float:
    """Which point of the hand is brought to the location, as a share of the way from the wrist to the finger tips."""
    return HANDSHAPES[handshape][3]


def closed_handshape() -> np.ndarray:
    """The joint angles that `open` starts from and `close` ends in, (16,)."""
    return handshape_angles(_CLOSED)


@cache
def orientation_axes(name: str) -> np.ndarray:
    """Rotation matrix (3, 3) of a hand: columns are the fingers' direction, the palm's normal and the thumb's side."""
    fingers, palm = (np.array(axis, dtype=np.float64) for axis in ORIENTATIONS[name])
    fingers /= np.linalg.norm(fingers)
    palm -= (palm @ fingers) * fingers
    palm /= np.linalg.norm(palm)
    axes = np.stack([fingers, palm, np.cross(fingers, palm)], axis=1)
    axes.setflags(write=False)
    return axes
