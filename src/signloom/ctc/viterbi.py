"""Forced alignment (Viterbi): the most probable CTC path of a given word sequence, and the frames of each word.

Shapes: T' output frames, V words, S words in the sequence. The lattice has 2 S + 1 states: a blank before, between and
after the words. Source: Graves et al. 2006, section 4.1 and figure 3, with the maximum instead of the sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from signloom.ctc.collapse import frames_needed
from signloom.errors import InputError
from signloom.vocabulary import BLANK_ID


@dataclass(frozen=True)
class ForcedAlignment:
    """The frames of each word on the best path.

    runs: (S, 2) int, the first output frame of each word and the frame after its last; runs never overlap.
    score: natural logarithm of the path's probability.
    """

    runs: np.ndarray
    score: float


def forced_alignment(log_probs: np.ndarray, ids: Sequence[int] | np.ndarray) -> ForcedAlignment:
    """Returns the most probable path that collapses to `ids` (S,), none of them blank.

    log_probs: (T', V).  Among equally probable paths the one with the earliest words. An empty sequence is all blank.

    Raises InputError for ids outside 1..V-1, for NaN, and for more words than the frames can hold.
    """
    log_probs, ids = np.asarray(log_probs), np.asarray(ids, dtype=np.int64)
    if log_probs.ndim != 2 or ids.ndim != 1:
        raise InputError(f"alignment: log_probs of shape {log_probs.shape}, ids {ids.shape}; needed (T', V) and (S,)")
    if len(ids) and not 0 < ids.min() <= ids.max() < log_probs.shape[1]:
        raise InputError(f"alignment: ids {ids.min()} to {ids.max()}; needed 1 to {log_probs.shape[1] - 1}, no blank")
    num_frames, needed = len(log_probs), frames_needed(ids)
    if needed > num_frames:
        raise InputError(
            f"alignment: {len(ids)} glosses need at least {needed} output frames, the model yields {num_frames}; "
            "the clip is too short for them, or shows other glosses"
        )
    states = np.full(2 * len(ids) + 1, BLANK_ID)
    states[1::2] = ids
    emitted = log_probs[:, states].astype(np.float64)
    if np.isnan(emitted).any():
        raise InputError("alignment: log_probs hold NaN")
    # From one word to the next without a blank, if the two differ.
    skips = np.zeros(len(states), dtype=bool)
    skips[3::2] = ids[1:] != ids[:-1]
    moves = np.empty(emitted.shape, dtype=np.int8)
    best = np.full(len(states), -np.inf)
    best[:2] = emitted[0, :2]
    choices = np.full((3, len(states)), -np.inf)
    columns = np.arange(len(states))
    for frame in range(1, num_frames):
        choices[0] = best
        choices[1, 1:] = best[:-1]
        choices[2, 2:] = np.where(skips[2:], best[:-2], -np.inf)
        moves[frame] = choices.argmax(axis=0)
        best = choices[moves[frame], columns] + emitted[frame]
    state = len(states) - 1
    if len(ids) and best[-2] >= best[-1]:
        state -= 1
    score = float(best[state])
    path = np.empty(num_frames, dtype=np.int64)
    for frame in range(num_frames - 1, -1, -1):
        path[frame] = state
        if frame:
            state -= int(moves[frame, state])
    words = 2 * np.arange(len(ids)) + 1
    runs = np.stack([np.searchsorted(path, words), np.searchsorted(path, words, side="right")], axis=1)
    if np.isinf(score):
        raise InputError("alignment: every path of these glosses has probability 0")
    return ForcedAlignment(runs, score)
