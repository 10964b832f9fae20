"""The dials of simulated signing: how noisy the tracker is, how much signers differ, and every other difficulty.

Each factor has one dial, and a preset sets all of them. 0 switches a factor off. Some dials are shares and `zipf` is an
exponent; every other dial is about as strong as in recorded signing at 1. The preset `phoenix` sets those to 1, except
framing and frame rate, which vary less in PHOENIX-2014. `tracker.py` and `tracker_noise.py` apply the dials of the
tracker.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from signloom.errors import Faults

# Presets clean, easy, phoenix, hard: the value of each dial. In clean all bodies and tokens are equal and the tracker
# makes no errors.
_PRESET_VALUES: dict[str, tuple[float, float, float, float]] = {
    "grammar": (0, 0.5, 1, 1),
    "zipf": (0, 0.5, 1.15, 1.3),
    "pointing": (0, 0, 0.03, 0.05),
    "repeats": (0, 0, 0.06, 0.08),
    "rest_glosses": (False, False, True, True),
    "signer_variation": (0, 0.6, 1, 1.5),
    "dialect": (0, 0, 0.02, 0.08),
    "left_handed": (0, 0, 0, 0.2),
    "token_variation": (0, 0.6, 1, 1.5),
    "coarticulation": (0, 0.6, 1, 1.7),
    "weak_hand": (0, 0.6, 1, 1.5),
    "camera_variation": (0, 0.6, 1, 1.8),
    "framing": (0, 0, 0.3, 0.5),
    "frame_rate_variation": (0, 0, 0, 1),
    "tracker_noise": (0, 0.6, 1, 1.8),
    "depth_noise": (0, 0.6, 1, 1.8),
    "lost_hands": (0, 0.4, 1, 2),
    "swapped_hands": (0, 0, 1, 2),
    "wrist_jumps": (0, 0, 1, 2),
    "lost_face": (0, 0.4, 1, 2),
    "tracker_lag": (0, 0.5, 1, 1.5),
}
PRESETS = {
    preset: {name: values[number] for name, values in _PRESET_VALUES.items()}
    for number, preset in enumerate(("clean", "easy", "phoenix", "hard"))
}
# The dials that are shares, each with its maximum.
_SHARES = {"grammar": 1.0, "pointing": 0.5, "repeats": 0.5, "dialect": 1.0, "left_handed": 1.0}
# The maximum of every other dial; the minimum is 0.
_MAX_DIAL = 3.0
# Default of a dial: the preset decides.
BY_PRESET: Any = None


@dataclass(frozen=True, kw_only=True)
class Dials:
    """The factors that make signing hard to recognise. The preset sets every dial that is not given."""

    preset: Literal["clean", "easy", "phoenix", "hard"] = "phoenix"
    """difficulty: sets every dial that is not given"""
    grammar: float = BY_PRESET
    """share of the glosses, 0 to 1, that follow the grammar; the others are drawn by frequency alone"""
    zipf: float = BY_PRESET
    """exponent, 0 to 3, of the frequencies of the signs over their ranks; 0 makes all signs equally frequent"""
    pointing: float = BY_PRESET
    """share of the glosses, 0 to 0.5, that point at a place in signing space (IX-1 to IX-4)"""
    repeats: float = BY_PRESET
    """share of the glosses, 0 to 0.5, that repeat the gloss before them"""
    rest_glosses: bool = BY_PRESET
    """begin sentences with __ON__ (the hands rise) and end them with __OFF__ (the hands sink) as often as PHOENIX-2014
    does; all other sentences then begin and end with raised hands, as if cut from a longer text"""
    signer_variation: float = BY_PRESET
    """dial, 0 to 3: how much signers differ in body, posture, tempo, amplitude, and habits of handshape and place"""
    dialect: float = BY_PRESET
    """share of the signs, 0 to 1, that a signer makes differently from the lexicon"""
    left_handed: float = BY_PRESET
    """share of left-handed signers, 0 to 1"""
    token_variation: float = BY_PRESET
    """dial, 0 to 3: how much two tokens of one sign by one signer differ in place, size, duration and handshape"""
    coarticulation: float = BY_PRESET
    """dial, 0 to 3: how much neighbouring signs influence each other, and how much fast signing lowers and weakens
    signs"""
    weak_hand: float = BY_PRESET
    """dial, 0 to 3: how often the weak hand stays up after a sign, or is dropped from a two-handed sign"""
    camera_variation: float = BY_PRESET
    """dial, 0 to 3: how much the position, turn, roll and distance of the camera differ between recordings"""
    framing: float = BY_PRESET
    """dial, 0 to 3: how tightly the picture is cropped; elbows and low hands then leave it"""
    frame_rate_variation: float = BY_PRESET
    """dial, 0 to 3: how much frame rates differ between recordings, and the times between frames within one
    recording"""
    tracker_noise: float = BY_PRESET
    """dial, 0 to 3: how noisy the tracked points are in x and y"""
    depth_noise: float = BY_PRESET
    """dial, 0 to 3: how noisy the depth (z) of the tracked points is"""
    lost_hands: float = BY_PRESET
    """dial, 0 to 3: how often the tracker loses a hand that is in view"""
    swapped_hands: float = BY_PRESET
    """dial, 0 to 3: how often the tracker mistakes one hand for the other"""
    wrist_jumps: float = BY_PRESET
    """dial, 0 to 3: how often the wrist of the tracked pose jumps away from the hand"""
    lost_face: float = BY_PRESET
    """dial, 0 to 3: how often the tracker loses the face"""
    tracker_lag: float = BY_PRESET
    """dial, 0 to 3: how far the smoothing of the tracked pose lags behind the motion"""

    def __post_init__(self) -> None:
        """Fills in the dials that were not given. Raises InputError listing every invalid option."""
        preset = PRESETS.get(self.preset, {})
        for name in dial_names():
            given = getattr(self, name)
            value = preset.get(name, 0) if given is None else given
            object.__setattr__(self, name, bool(value) if name == "rest_glosses" else float(value))
        self._faults().raise_if_any()

    def _faults(self) -> Faults:
        """Returns every fault of the options."""
        faults = Faults("synth")
        if self.preset not in PRESETS:
            faults.add(f"--preset is {self.preset!r}; needed one of {', '.join(PRESETS)}")
        for name in dial_names():
            value, most = getattr(self, name), _SHARES.get(name, _MAX_DIAL)
            if not 0 <= value <= most:
                needed = f"a share from 0 to {most:g}" if name in _SHARES else f"0 to {most:g} (0 is off)"
                faults.add(f"--{name} is {value:g}; needed {needed}")
        return faults


def dial_names() -> tuple[str, ...]:
    """Returns the names of all dials."""
    return tuple(_PRESET_VALUES)
