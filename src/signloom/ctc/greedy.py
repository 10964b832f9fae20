"""Greedy decoding: the best id of every output frame, collapsed.

Shapes: B utterances, T' output frames, V words.
"""

from __future__ import annotations

import numpy as np

from signloom.ctc.collapse import collapse_batch
from signloom.ctc.confidence import Calibration
from signloom.ctc.hypothesis import Emission, Hypothesis
from signloom.ctc.spans import located
from signloom.ctc.timing import Timing
from signloom.errors import InputError
from signloom.vocabulary import Vocabulary


def greedy(
    emission: Emission,
    vocabulary: Vocabulary,
    *,
    timing: Timing | None = None,
    calibration: Calibration | None = None,
) -> Hypothesis:
    """Returns the words of the single most probable path, with a time span and a confidence for each (see `located`).

    `<unknown>` is a word as any other. The score is the log-probability of the path.
    Raises InputError when emission and vocabulary are not of one size.
    """
    (ids,) = collapse_batch(emission.log_probs.argmax(axis=1)[None])
    glosses = located(emission, ids, vocabulary, timing=timing, calibration=calibration)
    return Hypothesis(glosses, float(emission.log_probs.max(axis=1).astype(np.float64).sum()))


def greedy_ids(log_probs: np.ndarray, lengths: np.ndarray) -> list[list[int]]:
    """Returns the ids greedy decoding reads from a batch, a list an utterance.

    log_probs: (B, T', V), or logits, which have the same maxima.  lengths: (B,) int; frames past them are ignored.
    Where the maxima are found on another device, `collapse_batch(maxima, lengths)` is the rest of it.
    Raises InputError for NaN within the lengths: a NaN is no decision.
    """
    log_probs = np.asarray(log_probs)
    if log_probs.ndim != 3:
        raise InputError(f"greedy decoding: log_probs of shape {log_probs.shape}, needed (B, T', V)")
    paths = log_probs.argmax(axis=2)
    ids = collapse_batch(paths, lengths)
    # argmax stops at a NaN, so the maxima hold one wherever a frame does.
    maxima = np.take_along_axis(log_probs, paths[..., None], axis=2)[..., 0]
    sick = np.isnan(maxima) & (np.arange(paths.shape[1]) < np.asarray(lengths)[:, None])
    if sick.any():
        row, frame = np.argwhere(sick)[0]
        raise InputError(f"greedy decoding: NaN in output frame {frame} of utterance {row} of the batch")
    return ids
