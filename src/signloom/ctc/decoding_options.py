"""What the flags of a command say of the decoder, and what the model says where they do not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from signloom.ctc.arpa import read_arpa
from signloom.ctc.decoding import Decoding
from signloom.ctc.lm_fusion import check_shared
from signloom.ctc.ngram import NGram
from signloom.errors import InputError
from signloom.vocabulary import Vocabulary


@dataclass(kw_only=True)
class DecodingOptions:
    """The flags of every command that decodes. What is not given is as 'signloom tune' stored it with the model."""

    decoder: Literal["greedy", "beam"] | None = None
    """greedy, or prefix beam search; the model's own when not given, which is beam unless 'tune' found another"""
    beam_size: int | None = None
    """prefixes that are kept; 10 unless 'tune' stored another"""
    lm: Path | None = None
    """an ARPA language model in the place of the model's own"""
    lm_weight: float | None = None
    """weight of the language model; 0 leaves it out"""
    insertion_bonus: float | None = None
    """natural logarithm, added for each gloss of a hypothesis"""

    def chosen(
        self, stored: Decoding, stored_model: NGram | None, vocabulary: Vocabulary
    ) -> tuple[Decoding, NGram | None]:
        """Settings and language model to decode with: those stored with a recogniser, changed by what was given.

        Raises InputError for values that cannot be or contradict each other, and a language model of other glosses.
        """
        if self.decoder == "greedy":
            useless = [
                name
                for name in ("beam_size", "lm", "lm_weight", "insertion_bonus")
                if getattr(self, name) not in (None, 0)
            ]
            if useless:
                raise InputError(f"--decoder greedy has no use for --{useless[0]}; leave out one of them")
            return Decoding(decoder="greedy"), None
        given = {
            name: value
            for name in ("decoder", "beam_size", "lm_weight", "insertion_bonus")
            if (value := getattr(self, name)) is not None
        }
        if self.lm is not None or given.keys() - {"decoder"}:
            given["decoder"] = "beam"
        decoding = replace(stored, **given)
        model = read_arpa(self.lm) if self.lm is not None else stored_model
        if self.lm is not None and not decoding.lm_weight:
            raise InputError(
                f"--lm {self.lm} without a weight; give --lm_weight, or let 'signloom tune' find and store the best"
            )
        if not decoding.uses_language_model:
            return decoding, None
        if model is None:
            raise InputError(
                f"--lm_weight is {decoding.lm_weight:g} and there is no language model; give one with --lm, or let "
                "'signloom tune' store one with the model"
            )
        check_shared(model, vocabulary)
        return decoding, model


def describe(decoding: Decoding, model: NGram | None) -> str:
    """Returns the decoder as it is named beside every number it made."""
    return f"{decoding} ({model})" if decoding.uses_language_model and model is not None else str(decoding)


def model_note(model: NGram, vocabulary: Vocabulary) -> str:
    """Returns what to tell of the glosses that a language model does not know; empty where it knows all."""
    glosses = vocabulary.words[2:]
    missing = [gloss for gloss in glosses if gloss not in model.glosses]
    if not missing:
        return ""
    stands_for = "its <unk>" if model.knows_unknown else "its least probable word (it has no <unk>)"
    return (
        f"the language model does not know {len(missing):,} of the recogniser's {len(glosses):,} glosses "
        f"({', '.join(missing[:5])}{', ...' if len(missing) > 5 else ''}); each has the probability of {stands_for}"
    )
