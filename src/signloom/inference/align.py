"""Forced alignment of a known sentence with a clip: a time span and a confidence for each gloss."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import numpy as np

from signloom.ctc.hypothesis import GlossSpan
from signloom.ctc.spans import SpanSettings, located
from signloom.ctc.viterbi import forced_alignment
from signloom.errors import InputError, listed
from signloom.inference.model import Model
from signloom.landmarks import ClipView, Landmarks


def aligned(model: Model, clip: Landmarks | ClipView, glosses: Sequence[str]) -> tuple[tuple[GlossSpan, ...], float]:
    """Returns the glosses of a known sentence with spans and confidences, and the log-probability of their best path.

    Raises InputError for an empty sentence, a gloss the model does not know, and more glosses than the clip can hold.
    """
    if not glosses:
        raise InputError("the annotation is empty; needed at least one gloss")
    check_known(glosses, model.vocabulary.words)
    emission, ids = model.emission(clip), model.vocabulary.encode(glosses)
    score = forced_alignment(emission.log_probs, ids).score
    settings = SpanSettings.of(model.info)
    spans = located(emission, ids, model.vocabulary, timing=settings.timing, calibration=settings.calibration)
    return spans, score


def check_known(glosses: Sequence[str], words: Sequence[str]) -> None:
    """Raises InputError naming every gloss that a model does not know, with the most similar one that it knows."""
    unknown = [gloss for gloss in dict.fromkeys(glosses) if gloss not in words[1:]]
    if not unknown:
        return
    folded = {word.casefold(): word for word in words[2:]}
    named = []
    for gloss in unknown:
        near = difflib.get_close_matches(gloss.casefold(), folded, n=1, cutoff=0.6)
        named.append(f"{gloss!r}" + (f" (did you mean {folded[near[0]]!r}?)" if near else ""))
    raise InputError(
        f"the model does not know {listed(named, shown=10)}; needed glosses of its training, {len(words) - 2:,} in all"
    )


def mean_confidence(spans: Sequence[GlossSpan]) -> float:
    """Returns the mean confidence of at least one gloss, 0 to 1."""
    return float(np.mean([span.confidence for span in spans]))
