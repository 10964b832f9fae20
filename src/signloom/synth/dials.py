"""The dials of simulated signing: how noisy the tracker is, how much signers differ, and every other difficulty.

Each factor has one dial, and a preset sets all of them. 0 switches a factor off. In the preset `clean` all bodies and
tokens are equal and the tracker makes no errors. Some dials are shares and `zipf` is an
exponent; every other dial is about as strong as in recorded signing at 1. The preset `phoenix` sets those to 1, except
framing and frame rate, which vary less in PHOENIX-2014. `tracker.py` and `tracker_noise.py` apply the dials of the
tracker.
"""

from __future__ import annotations

from dataclasses import Field, dataclass, field, fields
from typing import Any, Literal

from signloom.errors import Faults

PRESETS = ("clean", "easy", "phoenix", "hard")
# The maximum of a dial that is no share; the minimum is 0.
_MAX_DIAL = 3.0


def _dial(clean: float, easy: float, phoenix: float, hard: float, *, largest_share: float | None = None) -> Any:
    """Returns the field of a dial with its values in the presets; largest_share: its maximum if it is a share."""
    return field(default=None, metadata={"presets": (clean, easy, phoenix, hard), "largest_share": largest_share})


@dataclass(frozen=True, kw_only=True)
class Dials:
    """The factors that make signing hard to recognise. The preset sets every dial that is not given."""

    preset: Literal["clean", "easy", "phoenix", "hard"] = "phoenix"
    """difficulty: sets every dial that is not given"""
    grammar: float = _dial(0, 0.5, 1, 1, largest_share=1.0)
    """share of the glosses, 0 to 1, that follow the grammar; the others are drawn by frequency alone"""
    zipf: float = _dial(0, 0.5, 1.15, 1.3)
    """exponent, 0 to 3, of the frequencies of the signs over their ranks; 0 makes all signs equally frequent"""
    pointing: float = _dial(0, 0, 0.03, 0.05, largest_share=0.5)
    """share of the glosses, 0 to 0.5, that point at a place in signing space (IX-1 to IX-4)"""
    repeats: float = _dial(0, 0, 0.06, 0.08, largest_share=0.5)
    """share of the glosses, 0 to 0.5, that repeat the gloss before them"""
    rest_glosses: bool = _dial(False, False, True, True)
    """begin sentences with __ON__ (the hands rise) and end them with __OFF__ (the hands sink) as often as PHOENIX-2014
    does; all other sentences then begin and end with raised hands, as if cut from a longer text"""
    signer_variation: float = _dial(0, 0.6, 1, 1.5)
    """dial, 0 to 3: how much signers differ in body, posture, tempo, amplitude, and habits of handshape and place"""
    dialect: float = _dial(0, 0, 0.02, 0.08, largest_share=1.0)
    """share of the signs, 0 to 1, that a signer makes differently from the lexicon"""
    left_handed: float = _dial(0, 0, 0, 0.2, largest_share=1.0)
    """share of left-handed signers, 0 to 1"""
    token_variation: float = _dial(0, 0.6, 1, 1.5)
    """dial, 0 to 3: how much two tokens of one sign by one signer differ in place, size, duration and handshape"""
    coarticulation: float = _dial(0, 0.6, 1, 1.7)
    """dial, 0 to 3: how much neighbouring signs influence each other, and how much fast signing lowers and weakens
    signs"""
    weak_hand: float = _dial(0, 0.6, 1, 1.5)
    """dial, 0 to 3: how often the weak hand stays up after a sign, or is dropped from a two-handed sign"""
    idling: float = _dial(0, 0, 0, 0)
    """dial, 0 to 3: how often signers idle before, between and after signs: the arms rest, or a hand goes to the face,
    the hair or the other arm. Idling has no gloss; in corpora of cut sentences nobody idles"""
    slow_leads: float = _dial(0, 0, 0, 0)
    """dial, 0 to 3: how slowly the hands come up before the first sign and go down after the last, each of a speed of
    its own; at 1 such a way takes twice as long as others on average. Where rest has glosses, this dial does nothing:
    sentences without them begin and end with raised hands"""
    camera_variation: float = _dial(0, 0.6, 1, 1.8)
    """dial, 0 to 3: how much the position, turn, roll and distance of the camera differ between recordings"""
    framing: float = _dial(0, 0, 0.3, 0.5)
    """dial, 0 to 3: how tightly the picture is cropped; elbows and low hands then leave it"""
    frame_rate_variation: float = _dial(0, 0, 0, 1)
    """dial, 0 to 3: how much frame rates differ between recordings, and the times between frames within one
    recording"""
    tracker_noise: float = _dial(0, 0.6, 1, 1.8)
    """dial, 0 to 3: how noisy the tracked points are in x and y"""
    depth_noise: float = _dial(0, 0.6, 1, 1.8)
    """dial, 0 to 3: how noisy the depth (z) of the tracked points is"""
    lost_hands: float = _dial(0, 0.4, 1, 2)
    """dial, 0 to 3: how often the tracker loses a hand that is in view"""
    swapped_hands: float = _dial(0, 0, 1, 2)
    """dial, 0 to 3: how often the tracker mistakes one hand for the other"""
    wrist_jumps: float = _dial(0, 0, 1, 2)
    """dial, 0 to 3: how often the wrist of the tracked pose jumps away from the hand"""
    lost_face: float = _dial(0, 0.4, 1, 2)
    """dial, 0 to 3: how often the tracker loses the face"""
    tracker_lag: float = _dial(0, 0.5, 1, 1.5)
    """dial, 0 to 3: how far the smoothing of the tracked pose lags behind the motion"""

    def __post_init__(self) -> None:
        """Fills in the dials that were not given. Raises InputError listing every invalid option."""
        column = PRESETS.index(self.preset) if self.preset in PRESETS else 0
        for dial in _dial_fields():
            given = getattr(self, dial.name)
            value = dial.metadata["presets"][column] if given is None else given
            object.__setattr__(self, dial.name, bool(value) if dial.name == "rest_glosses" else float(value))
        self._faults().raise_if_any()

    def _faults(self) -> Faults:
        """Returns every fault of the options."""
        faults = Faults("synth")
        if self.preset not in PRESETS:
            faults.add(f"--preset is {self.preset!r}; needed one of {', '.join(PRESETS)}")
        for dial in _dial_fields():
            value, share = getattr(self, dial.name), dial.metadata["largest_share"]
            if not 0 <= value <= (share or _MAX_DIAL):
                needed = f"a share from 0 to {share:g}" if share else f"0 to {_MAX_DIAL:g} (0 is off)"
                faults.add(f"--{dial.name} is {value:g}; needed {needed}")
        return faults


def _dial_fields() -> list[Field[Any]]:
    return [field for field in fields(Dials) if "presets" in field.metadata]


def dial_names() -> tuple[str, ...]:
    """Returns the names of all dials."""
    return tuple(dial.name for dial in _dial_fields())
