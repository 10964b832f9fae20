"""Greedy decoding: the best id of every output frame, collapsed.

Shapes: B utterances, T' output frames, V words.
"""

from __future__ import annotations

import numpy as np

from signloom.ctc.collapse import collapse_batch, runs
from signloom.ctc.hypothesis import Emission, GlossSpan, Hypothesis
from signloom.errors import InputError
from signloom.vocabulary import BLANK_ID, Vocabulary


def greedy(emission: Emission, vocabulary: Vocabulary) -> Hypothesis:
    """The words of the single most probable path, with a time span and a confidence for each.

    The span is the run of frames on which the word is the most probable one; models trained with CTC make it a spike
    somewhere inside the sign, so it says where a sign is, not how long it lasts. The confidence is the mean of the
    word's probability over that run. `<unknown>` is a word as any other. The score is the log-probability of the path.
    Raises InputError when emission and vocabulary are not of one size.
    """
    log_probs = emission.log_probs
    if log_probs.shape[1] != len(vocabulary):
        raise InputError(
            f"greedy decoding: an emission over {log_probs.shape[1]} words and a vocabulary of {len(vocabulary)}; "
            "needed the vocabulary the model was trained with"
        )
    path = log_probs.argmax(axis=1)
    best = log_probs.max(axis=1).astype(np.float64)
    starts = np.flatnonzero(runs(path[None])[0])
    stops = np.append(starts[1:], len(path))
    spans = tuple(
        GlossSpan(
            gloss=vocabulary.words[path[start]],
            start_seconds=min(start * emission.step_seconds, emission.duration_seconds),
            end_seconds=min(stop * emission.step_seconds, emission.duration_seconds),
            confidence=min(1.0, float(np.exp(best[start:stop]).mean())),
        )
        for start, stop in zip(starts.tolist(), stops.tolist(), strict=True)
        if path[start] != BLANK_ID
    )
    return Hypothesis(spans, float(best.sum()))


def greedy_ids(log_probs: np.ndarray, lengths: np.ndarray) -> list[list[int]]:
    """The ids greedy decoding reads from a batch, a list an utterance.

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
