"""The CTC forward algorithm: the probability of gloss sequences summed over all their paths, many at once.

Shapes: T' output frames, V words, K sequences, S glosses of the longest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from signloom.vocabulary import BLANK_ID

# Probabilities are rescaled after this many frames; within so few frames they stay in the range of a double.
_RESCALE_FRAMES = 16
# Probabilities that are read at once, in double precision (4 MB).
_VALUES = 500_000


def log_forward(probs: np.ndarray, sequences: Sequence[Sequence[int]]) -> np.ndarray:
    """Returns the natural logarithm of the sum over all paths of each sequence, (K,) float64; -inf without a path.

    probs: (T', V), column 0 is blank; a row may have any scale, which scales the result.
    Source: Graves et al. 2006, equations 5 to 8.
    """
    return log_forward_of_parts([probs], sequences)


def log_forward_of_parts(parts: Iterable[np.ndarray], sequences: Sequence[Sequence[int]]) -> np.ndarray:
    """Returns the same as `log_forward`, for probabilities given as parts of at least one frame, in order.

    Memory beside the parts does not depend on the number of frames.
    """
    longest = max(map(len, sequences))
    states = np.full((len(sequences), 2 * longest + 1), BLANK_ID)
    for row, ids in zip(states, sequences, strict=True):
        row[1 : 2 * len(ids) : 2] = ids
    # From one gloss to the next without a blank, if they differ; the padding of shorter sequences is never used.
    skips = np.zeros(states.shape)
    skips[:, 3::2] = states[:, 3::2] != states[:, 1:-2:2]
    # Two zero columns before the first state, so that every state has two predecessors.
    forward = np.zeros((len(sequences), states.shape[1] + 2))
    # Before the first frame, all paths are in the first blank.
    forward[:, 2] = 1.0
    logs = np.zeros(len(sequences))
    before, one_before, two_before = forward[:, 2:], forward[:, 1:-1], forward[:, :-2]
    summed = np.empty(states.shape)
    frame = 0
    block_frames = max(1, _VALUES // states.size)
    for part in parts:
        for start in range(0, len(part), block_frames):
            for emitted in part[start : start + block_frames, states].astype(np.float64):
                np.multiply(two_before, skips, out=summed)
                summed += one_before
                summed += before
                np.multiply(summed, emitted, out=before)
                if frame and not frame % _RESCALE_FRAMES:
                    largest = before.max(axis=1)
                    largest[largest == 0.0] = 1.0
                    before /= largest[:, None]
                    logs += np.log(largest)
                frame += 1
    last = 2 * np.array([len(ids) for ids in sequences]) + 2
    rows = np.arange(len(sequences))
    # A sequence without glosses has one state; the column before it is zero.
    total = forward[rows, last] + forward[rows, last - 1]
    with np.errstate(divide="ignore"):
        result: np.ndarray = np.log(total) + logs
    return result
