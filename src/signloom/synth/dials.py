"""How hard simulated signing is: one dial for each factor, and presets that set them all.

At 0 a factor is off. Shares are plain shares and `zipf` is an exponent; any other dial has at 1 about the strength of
recorded signing. The preset `phoenix` sets those to 1, but for framing and frame rate, in which PHOENIX varies less.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal

from signloom.errors import Faults

PRESETS: dict[str, dict[str, float]] = {
    # Every body alike, every token alike, a tracker that never errs.
    "clean": {},
    "easy": {
        "grammar": 0.5,
        "zipf": 0.5,
        "signer_variation": 0.6,
        "token_variation": 0.6,
        "coarticulation": 0.6,
        "weak_hand": 0.6,
        "camera_variation": 0.6,
        "tracker_noise": 0.6,
        "depth_noise": 0.6,
        "lost_hands": 0.4,
        "lost_face": 0.4,
        "tracker_lag": 0.5,
    },
    "phoenix": {
        "grammar": 1.0,
        "zipf": 1.15,
        "pointing": 0.03,
        "repeats": 0.06,
        "rest_glosses": True,
        "signer_variation": 1.0,
        "dialect": 0.02,
        "token_variation": 1.0,
        "coarticulation": 1.0,
        "weak_hand": 1.0,
        "camera_variation": 1.0,
        "framing": 0.3,
        "tracker_noise": 1.0,
        "depth_noise": 1.0,
        "lost_hands": 1.0,
        "swapped_hands": 1.0,
        "wrist_jumps": 1.0,
        "lost_face": 1.0,
        "tracker_lag": 1.0,
    },
    "hard": {
        "grammar": 1.0,
        "zipf": 1.3,
        "pointing": 0.05,
        "repeats": 0.08,
        "rest_glosses": True,
        "signer_variation": 1.5,
        "dialect": 0.08,
        "left_handed": 0.2,
        "token_variation": 1.5,
        "coarticulation": 1.7,
        "weak_hand": 1.5,
        "camera_variation": 1.8,
        "framing": 0.5,
        "frame_rate_variation": 1.0,
        "tracker_noise": 1.8,
        "depth_noise": 1.8,
        "lost_hands": 2.0,
        "swapped_hands": 2.0,
        "wrist_jumps": 2.0,
        "lost_face": 2.0,
        "tracker_lag": 1.5,
    },
}
# The dials that are shares of something, and the largest; the others go from 0 to _MOST.
_SHARES = {"grammar": 1.0, "pointing": 0.5, "repeats": 0.5, "dialect": 1.0, "left_handed": 1.0}
_MOST = 3.0
# What a dial that is not given is set to: what the preset says.
BY_PRESET: Any = None


@dataclass(frozen=True, kw_only=True)
class Dials:
    """The factors that make signing hard to recognise. A dial that is not given is as `preset` sets it."""

    preset: Literal["clean", "easy", "phoenix", "hard"] = "phoenix"
    """sets every dial that is not given itself"""
    grammar: float = BY_PRESET
    """share of the glosses, 0 to 1, that obey the grammar; the others are drawn by their frequency alone"""
    zipf: float = BY_PRESET
    """exponent, 0 to 3, by which frequencies of signs fall over their ranks; 0 makes all equally frequent"""
    pointing: float = BY_PRESET
    """share of the glosses, 0 to 0.5, that point at a place in signing space (IX-1 to IX-4)"""
    repeats: float = BY_PRESET
    """share of the glosses, 0 to 0.5, that repeat the one before"""
    rest_glosses: bool = BY_PRESET
    """let sentences begin with __ON__ and end with __OFF__ (the hands rise from rest and sink) as often as PHOENIX's;
    other sentences then begin and end with hands that are up, as if cut out of a longer text"""
    signer_variation: float = BY_PRESET
    """dial, 0 to 3: how much bodies, posture, tempo, amplitude and habits of handshape and place differ by signer"""
    dialect: float = BY_PRESET
    """share of the signs, 0 to 1, that a signer makes in another way than the lexicon says"""
    left_handed: float = BY_PRESET
    """share of left-handed signers, 0 to 1"""
    token_variation: float = BY_PRESET
    """dial, 0 to 3: how much two tokens of one sign by one signer differ in place, size, duration and grip"""
    coarticulation: float = BY_PRESET
    """dial, 0 to 3: how much neighbouring signs pull at each other, and fast signing lowers and weakens signs"""
    weak_hand: float = BY_PRESET
    """dial, 0 to 3: how often the weak hand holds on after a sign, or drops out of a two-handed one"""
    camera_variation: float = BY_PRESET
    """dial, 0 to 3: how much position, turn, roll and distance of the camera differ between recordings"""
    framing: float = BY_PRESET
    """dial, 0 to 3: how closely the picture is cropped; elbows and low hands leave it"""
    frame_rate_variation: float = BY_PRESET
    """dial, 0 to 3: how much frame rates differ between recordings, and the time between frames within one"""
    tracker_noise: float = BY_PRESET
    """dial, 0 to 3: jitter of the tracked points in the image"""
    depth_noise: float = BY_PRESET
    """dial, 0 to 3: jitter of their z"""
    lost_hands: float = BY_PRESET
    """dial, 0 to 3: how often the tracker loses a hand that is in view"""
    swapped_hands: float = BY_PRESET
    """dial, 0 to 3: how often it takes one hand for the other"""
    wrist_jumps: float = BY_PRESET
    """dial, 0 to 3: how often the pose's wrist jumps away from the hand"""
    lost_face: float = BY_PRESET
    """dial, 0 to 3: how often it loses the face"""
    tracker_lag: float = BY_PRESET
    """dial, 0 to 3: how far its smoothing trails behind the motion"""

    def __post_init__(self) -> None:
        """Sets what was not given. Raises InputError with every fault."""
        preset = PRESETS.get(self.preset, {})
        for name in dial_names():
            given = getattr(self, name)
            value = preset.get(name, 0) if given is None else given
            object.__setattr__(self, name, bool(value) if name == "rest_glosses" else float(value))
        self._faults().raise_if_any()

    def _faults(self) -> Faults:
        """What is wrong with the options."""
        faults = Faults("synth")
        if self.preset not in PRESETS:
            faults.add(f"--preset is {self.preset!r}; needed one of {', '.join(PRESETS)}")
        for name in dial_names():
            value, most = getattr(self, name), _SHARES.get(name, _MOST)
            if not 0 <= value <= most:
                needed = f"a share from 0 to {most:g}" if name in _SHARES else f"0 to {most:g} (0 is off)"
                faults.add(f"--{name} is {value:g}; needed {needed}")
        return faults


def dial_names() -> tuple[str, ...]:
    return tuple(field.name for field in fields(Dials) if field.name != "preset")
