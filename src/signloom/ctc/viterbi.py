"""Forced alignment (Viterbi): the most probable CTC path of a given word sequence, and the frames of each word.

Shapes: T' output frames, V words, S words in the sequence. The lattice has 2 S + 1 states: a blank before, between and
after the words. Source: Graves et al. 2006, section 4.1 and figure 3, with the maximum instead of the sum.

Memory is O(sqrt(T') S) beside the log-probabilities: the scores before every sqrt(T')-th frame are kept, and the moves
of one block of frames at a time are found again from them, only for the states that the path can have come through.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from signloom.ctc.collapse import frames_needed
from signloom.errors import InputError, plural
from signloom.vocabulary import BLANK_ID

# A lattice of at most this many cells is one block (36 MB: scores in double precision, moves in bytes).
_CELLS = 4_000_000


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
    if log_probs.ndim != 2 or not len(log_probs) or ids.ndim != 1:
        raise InputError(f"alignment: log_probs of shape {log_probs.shape}, ids {ids.shape}; needed (T', V) and (S,)")
    if len(ids) and not 0 < ids.min() <= ids.max() < log_probs.shape[1]:
        raise InputError(f"alignment: ids {ids.min()} to {ids.max()}; needed 1 to {log_probs.shape[1] - 1}, no blank")
    num_frames, needed = len(log_probs), frames_needed(ids)
    if needed > num_frames:
        raise InputError(
            f"alignment: {plural(len(ids), 'gloss needs', 'glosses need')} at least {needed} output frames, the model "
            f"yields {num_frames}; the clip is too short for them, or shows other glosses"
        )
    states = np.full(2 * len(ids) + 1, BLANK_ID)
    states[1::2] = ids
    # From one word to the next without a blank, if the two differ.
    skips = np.zeros(len(states), dtype=bool)
    skips[3::2] = ids[1:] != ids[:-1]
    # Before the first frame, a path is in the first blank.
    best = np.full(len(states), -np.inf)
    best[0] = 0.0
    blocks = _blocks(num_frames, len(states))
    before = []
    for block in blocks:
        emitted = log_probs[block][:, states].astype(np.float64)
        if np.isnan(emitted).any():
            raise InputError("alignment: log_probs hold NaN")
        before.append(best)
        # Of all blocks but the last one, no move is kept.
        moves = np.empty(emitted.shape, dtype=np.int8) if block is blocks[-1] else None
        best = _advanced(best, emitted, skips, moves)
    state = len(states) - 1
    if len(ids) and best[-2] >= best[-1]:
        state -= 1
    score = float(best[state])
    if np.isinf(score):
        raise InputError("alignment: every path of these glosses has probability 0")
    path = np.empty(num_frames, dtype=np.int64)
    lowest = 0
    for block, column in zip(reversed(blocks), reversed(before), strict=True):
        if moves is None:
            # A path passes two states per frame at most. Scores near the lower end of this band lack predecessors,
            # but those that the path can have come through do not.
            lowest = max(0, state - 2 * (block.stop - block.start))
            band = slice(lowest, state + 1)
            moves = np.empty((block.stop - block.start, state + 1 - lowest), dtype=np.int8)
            _advanced(column[band], log_probs[block][:, states[band]].astype(np.float64), skips[band], moves)
        for frame in range(block.stop - 1, block.start - 1, -1):
            path[frame] = state
            if frame:
                state -= int(moves[frame - block.start, state - lowest])
        moves = None
    words = 2 * np.arange(len(ids)) + 1
    runs = np.stack([np.searchsorted(path, words), np.searchsorted(path, words, side="right")], axis=1)
    return ForcedAlignment(runs, score)


def _blocks(num_frames: int, num_states: int) -> list[slice]:
    """Returns the frames of each block: all in one if the lattice is small, else about sqrt(T') blocks."""
    size = num_frames if num_frames * num_states <= _CELLS else math.isqrt(num_frames)
    return [slice(start, min(start + size, num_frames)) for start in range(0, num_frames, size)]


def _advanced(best: np.ndarray, emitted: np.ndarray, skips: np.ndarray, moves: np.ndarray | None) -> np.ndarray:
    """Returns the scores of the best paths to each state after some frames, from those before, (2 S + 1,).

    emitted: log-probability of each state in each frame.  moves: filled, if given, with how many states the best path
    to each state advanced in each frame.
    """
    choices = np.full((3, len(best)), -np.inf)
    columns = np.arange(len(best))
    for frame, row in enumerate(emitted):
        choices[0] = best
        choices[1, 1:] = best[:-1]
        choices[2, 2:] = np.where(skips[2:], best[:-2], -np.inf)
        if moves is None:
            best = choices.max(axis=0)
            best += row
        else:
            moves[frame] = choices.argmax(axis=0)
            best = choices[moves[frame], columns] + row
    return best
