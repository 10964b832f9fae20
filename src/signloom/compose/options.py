"""The options of composed corpora."""

from __future__ import annotations

from dataclasses import dataclass, field

from signloom.corpus.splits import AUTO, check_dev_signers
from signloom.errors import Faults, listed

# How often an utterance begins, and ends, with idling where there are clips of it; and with hands on their way from or
# to rest.
IDLE_SHARE = 0.5
LEAD_SHARE = 0.5


@dataclass(frozen=True, kw_only=True)
class ComposeOptions:
    """Options of composed corpora."""

    held_out: list[str] = field(default_factory=list)
    """groups (signers) that are used only for test: the unseen signers"""
    dev_signers: list[str] = field(default_factory=lambda: [AUTO])
    """groups (signers) that are used only for dev, so that dev shows how strangers are recognised: auto (one in six of
    those that are not held out, if there are six or more, so that train keeps every gloss and most clips), a number of
    them, their names, or known (dev gets a share of the clips of every group that trains)"""
    num_train: int = 1000
    """number of utterances in train"""
    num_dev: int = 150
    """number of utterances in dev"""
    num_test: int = 150
    """number of utterances in test"""
    min_glosses: int = 3
    """smallest number of signs per utterance"""
    max_glosses: int = 8
    """largest number of signs per utterance"""
    clips_per_gloss: int | None = None
    """largest number of training clips per gloss and group (default: all)"""
    idle_glosses: list[str] = field(default_factory=list)
    """glosses whose clips show no sign but idling, such as '-' or IDLE: they become stretches without a gloss"""
    idle: float | None = None
    """probability that an utterance begins, and that it ends, with an idle stretch; between two signs it is a quarter
    of that. A stretch is a clip of --idle_glosses of any signer, or 0.6 to 3 seconds of a longer one, maybe mirrored or
    backwards, placed where the signer is; without any, 0.4 to 2 seconds with the arms at rest. Default: 0.5 with
    --idle_glosses, else 0"""
    other_glosses: list[str] = field(default_factory=list)
    """glosses whose clips show signs that the model must not name: three fifths of --others are such clips, by the same
    signer or, if there are none, by another one of the split, placed where the signer is"""
    others: float = 0.0
    """probability, before each sign of an utterance and after the last one, of something that is none of the glosses: a
    clip of --other_glosses, a movement made up of two clips, or a hand that scratches, strokes or reaches. A model
    learns to give it the unknown gloss, which it never names. So signs that it does not know come out as no gloss"""
    no_sign: float | None = None
    """probability that an utterance shows no sign at all, only idling and others; a model that never saw such an
    utterance looks for a sign in everything. Default: 0.2 with --others, else 0"""
    resting_hand: float = 0.0
    """probability, for each hand of an utterance, that it rests in view where the clips show none"""
    lead: float | None = None
    """probability that an utterance begins with the hands coming up from rest, and that it ends with their going back,
    each in 0.3 to 1.5 seconds, with up to a second of rest. Rest has no gloss there. Default: 0.5, but 0 if a gloss is
    named like rest ('-', IDLE, ...) and is not in --idle_glosses"""
    mirror_signs: float = 0.0
    """probability, for each one-handed sign of train, that it is mirrored and so made by the other hand"""
    seed: int = 0
    """seed of every random draw: the same seed gives the same corpus"""

    def __post_init__(self) -> None:
        faults = Faults("compose")
        faults.need_at_least(0, self, "num_train", "num_dev", "num_test", "seed")
        faults.need_at_least(1, self, "clips_per_gloss")
        check_dev_signers(self.dev_signers, faults)
        if both := sorted(set(self.held_out) & set(self.dev_signers)):
            faults.add(f"{listed(both)} in --held_out and in --dev_signers; needed different groups for test and dev")
        for name in ("idle", "others", "no_sign", "resting_hand", "lead", "mirror_signs"):
            if (value := getattr(self, name)) is not None and not 0 <= value <= 1:
                faults.add(f"--{name} is {value}; needed a probability from 0 to 1")
        if self.no_sign and not self.others:
            faults.add("--no_sign without --others; needed both: an utterance without signs shows others")
        if self.num_train + self.num_dev + self.num_test == 0:
            faults.add("the corpus would have no utterances; raise --num_train, --num_dev or --num_test")
        if not 1 <= self.min_glosses <= self.max_glosses:
            faults.add(f"--min_glosses {self.min_glosses} and --max_glosses {self.max_glosses}; needed 1 <= min <= max")
        faults.raise_if_any()

    @property
    def idle_share(self) -> float:
        """The probability of an idle stretch at either end of an utterance."""
        return (IDLE_SHARE if self.idle_glosses else 0.0) if self.idle is None else self.idle

    @property
    def no_sign_share(self) -> float:
        """The probability of an utterance without a sign."""
        return (0.2 if self.others else 0.0) if self.no_sign is None else self.no_sign
