"""Command-line options of the decoder, which override the settings stored with a model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from signloom.ctc.arpa import read_arpa
from signloom.ctc.decoding import Decoder, Decoding
from signloom.ctc.ngram import NGram
from signloom.errors import InputError, plural
from signloom.vocabulary import Vocabulary


@dataclass(kw_only=True)
class DecodingOptions:
    """Decoding options of a command. Options not given keep the values that 'signloom tune' stored with the model."""

    decoder: Literal["greedy", "beam"] | None = None
    """greedy, or beam for prefix beam search; default: the model's own, which is beam unless 'tune' chose another"""
    beam_size: int | None = None
    """number of prefixes to keep; default: 10, or the value that 'tune' stored"""
    lm: Path | None = None
    """ARPA language model to use instead of the model's own"""
    lm_weight: float | None = None
    """weight of the language model; 0 leaves it out"""
    insertion_bonus: float | None = None
    """bonus for each gloss of a hypothesis, added to the natural log-probability"""
    min_confidence: float | None = None
    """drop glosses with a confidence below this, 0 to 1: the sign may be another one, or none that the model knows.
    Default: what is stored with the model; if nothing is, 'live' takes 0.5, and the other commands drop nothing"""
    sure_confidence: float | None = None
    """drop all glosses of an utterance unless one of them has at least this confidence, 0 to 1: idling, and signs that
    the model does not know, make single glosses of which it is not sure. Default: as of --min_confidence; either of
    them overrides both"""

    def chosen(
        self, stored: Decoding, stored_model: NGram | None, vocabulary: Vocabulary
    ) -> tuple[Decoding, NGram | None]:
        """Returns the settings and the language model to use: the stored ones, overridden by the options given.

        Raises InputError for invalid or contradictory values, and for a language model of other glosses.
        """
        limits = {name: getattr(self, name) for name in ("min_confidence", "sure_confidence")}
        if all(value is None for value in limits.values()):
            limits = {name: getattr(stored, name) for name in limits}
        if self.decoder == "greedy":
            useless = [
                name
                for name in ("beam_size", "lm", "lm_weight", "insertion_bonus")
                if getattr(self, name) not in (None, 0)
            ]
            if useless:
                raise InputError(f"--decoder greedy does not use --{useless[0]}; leave out one of them")
            return Decoding(decoder="greedy", **limits), None
        given = {
            name: value
            for name in ("decoder", "beam_size", "lm_weight", "insertion_bonus")
            if (value := getattr(self, name)) is not None
        }
        if self.lm is not None or given.keys() - {"decoder"}:
            given["decoder"] = "beam"
        decoding = replace(stored, **given, **limits)
        model = read_arpa(self.lm) if self.lm is not None else stored_model
        if self.lm is not None and not decoding.lm_weight:
            raise InputError(
                f"--lm {self.lm} without a weight; give --lm_weight, or let 'signloom tune' find and store the best"
            )
        if not decoding.uses_language_model:
            return decoding, None
        # Raises an error if there is no language model, or one of other glosses.
        Decoder(vocabulary, decoding, model)
        return decoding, model


def describe(decoding: Decoding, model: NGram | None) -> str:
    """Returns the description of a decoder that is shown with every number it produced."""
    return f"{decoding} ({model})" if decoding.uses_language_model and model is not None else str(decoding)


def model_note(model: NGram, vocabulary: Vocabulary) -> str | None:
    """Returns a note on the glosses that a language model does not know, or None if it knows all."""
    glosses = vocabulary.words[2:]
    missing = [gloss for gloss in glosses if gloss not in model.glosses]
    if not missing:
        return None
    stands_for = "its <unk>" if model.knows_unknown else "its least probable word (it has no <unk>)"
    return (
        f"the language model does not know {len(missing):,} of the recogniser's {plural(len(glosses), 'gloss')} "
        f"({', '.join(missing[:5])}{', ...' if len(missing) > 5 else ''}); each has the probability of {stands_for}"
    )
