"""Movements of signs: the paths of the hands and the local movements of wrist and fingers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

PhaseFunction = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Movement:
    """A path, given by functions of the phase (n,) in 0..1.

    path: (n, 3) in units of the movement's size, on the hand's own side.
    duration: relative to a plain stroke.
    closed: whether it ends where it began, so that a repetition needs no way back.
    repeatable: whether a sign may repeat it; a movement that goes to and fro is not repeated.
    touch: how firmly a sign with contact touches, (n,) in 0..1.
    """

    path: PhaseFunction | None = None
    duration: float = 1.0
    closed: bool = False
    repeatable: bool = True
    touch: PhaseFunction = np.ones_like


@dataclass(frozen=True)
class LocalMovement:
    """Movement of wrist and fingers, given by functions of the phase (n,) in 0..1.

    twist, nod: degrees about the fingers' axis and across the palm.
    fingers: `open` (from closed to the handshape), `close`, `wiggle` or None.
    duration: relative to a plain stroke.
    paths: the movements it can be combined with.
    """

    twist: PhaseFunction | None = None
    nod: PhaseFunction | None = None
    fingers: str | None = None
    duration: float = 1.0
    paths: tuple[str, ...] = ()


def _path(x: PhaseFunction | float, y: PhaseFunction | float, z: PhaseFunction | float = 0.0) -> PhaseFunction:
    def path(s: np.ndarray) -> np.ndarray:
        result = np.empty((len(s), 3))
        for axis, f in enumerate((x, y, z)):
            result[:, axis] = f(s) if callable(f) else f
        return result

    return path


def _at_the_start(s: np.ndarray) -> np.ndarray:
    return np.clip(1 - s / 0.35, 0, 1)


def _at_the_ends(s: np.ndarray) -> np.ndarray:
    return np.clip(1 - 1.6 * np.sin(np.pi * np.clip(s, 0, 1)), 0, 1)


def _between_taps(s: np.ndarray) -> np.ndarray:
    return np.clip(1 - 1.3 * np.sin(2 * np.pi * s) ** 2, 0, 1)


MOVEMENTS: dict[str, Movement] = {
    "hold": Movement(duration=0.85, repeatable=False),
    "up": Movement(_path(0, lambda s: 0.5 - s)),
    "down": Movement(_path(0, lambda s: s - 0.5)),
    "outward": Movement(_path(lambda s: 0.5 - s, 0)),
    "across": Movement(_path(lambda s: s - 0.5, 0)),
    "forward": Movement(_path(0, lambda s: 0.3 * (0.5 - s), lambda s: -1.2 * s), touch=_at_the_start),
    "arc": Movement(
        _path(lambda s: -0.5 * np.cos(np.pi * (1 - s)), lambda s: -0.6 * np.sin(np.pi * s)),
        duration=1.1,
        touch=_at_the_ends,
    ),
    "circle": Movement(
        _path(lambda s: -0.4 * np.sin(2 * np.pi * s), lambda s: -0.4 * np.cos(2 * np.pi * s)),
        duration=1.35,
        closed=True,
    ),
    "bounce": Movement(
        _path(0, lambda s: -0.45 * np.sin(2 * np.pi * s) ** 2),
        duration=1.35,
        closed=True,
        repeatable=False,
        touch=_between_taps,
    ),
    "tap": Movement(
        _path(0, lambda s: -0.12 * np.sin(2 * np.pi * s) ** 2, lambda s: -0.4 * np.sin(2 * np.pi * s) ** 2),
        duration=1.25,
        closed=True,
        repeatable=False,
        touch=_between_taps,
    ),
    "shake": Movement(_path(lambda s: 0.32 * np.sin(4 * np.pi * s), 0), duration=1.4, closed=True, repeatable=False),
    "zigzag": Movement(
        _path(lambda s: 0.35 * np.sin(3 * np.pi * s), lambda s: 1.1 * (s - 0.5)), duration=1.3, repeatable=False
    ),
}
_STRAIGHT = ("hold", "up", "down", "outward", "across", "forward", "arc")
LOCAL_MOVEMENTS: dict[str, LocalMovement] = {
    "none": LocalMovement(paths=tuple(MOVEMENTS)),
    "twist": LocalMovement(twist=lambda s: 42 * np.sin(4 * np.pi * s), duration=1.3, paths=_STRAIGHT),
    "nod": LocalMovement(nod=lambda s: 38 * np.sin(2 * np.pi * s) ** 2, duration=1.3, paths=_STRAIGHT),
    "open": LocalMovement(fingers="open", paths=_STRAIGHT),
    "close": LocalMovement(fingers="close", paths=_STRAIGHT),
    "wiggle": LocalMovement(fingers="wiggle", duration=1.3, paths=(*_STRAIGHT, "circle")),
}
# Length of a path of each size, metres.
SIZES = {"small": 0.095, "normal": 0.14, "large": 0.19}
# Duration of a stroke of each speed, relative to a plain one.
SPEEDS = {"slow": 1.25, "plain": 1.0, "quick": 0.85}
# Factor by which a repetition lengthens a stroke.
REPEAT_DURATION = 1.5


def minimum_jerk(time: np.ndarray) -> np.ndarray:
    """Returns the share of a path that is done at each share of its time, both 0..1 (Flash and Hogan 1985, equation
    9)."""
    return time**3 * (10 - 15 * time + 6 * time**2)


def phase_of(movement: Movement, repeats: int, time: np.ndarray) -> np.ndarray:
    """Returns the phase 0..1 of a path at each share (n,) of a stroke's time, made `repeats` (1 or 2) times."""
    if repeats == 1:
        return minimum_jerk(time)
    if movement.closed:
        return 2 * minimum_jerk(time) % 1.0
    # Forward, a quick way back, and forward again.
    there, back = minimum_jerk(np.clip(time / 0.36, 0, 1)), minimum_jerk(np.clip((time - 0.36) / 0.28, 0, 1))
    return there - back + minimum_jerk(np.clip((time - 0.64) / 0.36, 0, 1))
