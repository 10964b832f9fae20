"""The CTC loss of utterances and its gradient, in NumPy, for a classifier that learns without torch.

Shapes: B utterances, T' output frames of the longest, V words, S glosses of the longest, K = 2 S + 1 states.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from signloom.vocabulary import BLANK_ID


def ctc_gradient(
    log_probs: np.ndarray, lengths: np.ndarray, targets: Sequence[Sequence[int]]
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the CTC loss of each utterance (B,), and its gradient by the logits (B, T', V), 0 in the padding.

    log_probs: (B, T', V), normalised.  lengths: (B,), valid frames.  targets: glosses of each utterance, if any,
    which its frames must have room for.  The gradient is `exp(log_probs)` minus the probability, given the target,
    that a frame emits each word.
    Source: Graves et al. 2006, equations 5 to 16, in logarithms.
    """
    count, num_frames, _ = log_probs.shape
    num_states = 2 * np.array([len(target) for target in targets]) + 1
    states = np.full((count, int(num_states.max())), BLANK_ID)
    for row, target in zip(states, targets, strict=True):
        row[1 : 2 * len(target) : 2] = target
    exists = np.arange(states.shape[1]) < num_states[:, None]
    valid = np.arange(num_frames) < np.asarray(lengths)[:, None]
    rows = np.arange(count)[:, None, None]
    emitted = log_probs[rows, np.arange(num_frames)[:, None], states[:, None]].astype(np.float64)
    forward = _forward(emitted, states)
    # The same from the end: frames and states of each utterance in reverse.
    frame_order = _reversed_order(num_frames, lengths)
    state_order = _reversed_order(states.shape[1], num_states)
    flipped = emitted[rows, frame_order[:, :, None], state_order[:, None]]
    backward = _forward(flipped, np.take_along_axis(states, state_order, 1))
    backward = backward[rows, frame_order[:, :, None], state_order[:, None]]
    # Both have the emission of the frame itself.
    both = np.where(exists[:, None] & valid[:, :, None], forward + backward - emitted, -np.inf)
    totals = np.logaddexp.reduce(both, axis=2)
    losses = -totals[:, 0]
    posteriors = np.exp(both - np.where(valid, totals, 0.0)[:, :, None])
    gradient = np.exp(log_probs) * valid[:, :, None]
    for state in range(states.shape[1]):
        gradient[np.arange(count), :, states[:, state]] -= posteriors[:, :, state]
    return losses, gradient


def _forward(emitted: np.ndarray, states: np.ndarray) -> np.ndarray:
    """Returns the logarithms of the probabilities (B, T', K) of all paths that are in a state at a frame.

    emitted: log-probabilities (B, T', K) of the states' words (B, K).
    """
    # From one gloss to the next without a blank, if they differ.
    skips = np.full(states.shape, -np.inf)
    skips[:, 3::2] = np.where(states[:, 3::2] != states[:, 1:-2:2], 0.0, -np.inf)
    result = np.full(emitted.shape, -np.inf)
    result[:, 0, :2] = emitted[:, 0, :2]
    padded = np.full((len(states), states.shape[1] + 2), -np.inf)
    for frame in range(1, emitted.shape[1]):
        padded[:, 2:] = result[:, frame - 1]
        summed = np.logaddexp(padded[:, 2:], padded[:, 1:-1])
        result[:, frame] = np.logaddexp(summed, padded[:, :-2] + skips) + emitted[:, frame]
    return result


def _reversed_order(size: int, lengths: np.ndarray) -> np.ndarray:
    """Returns indices (B, size) that reverse the first `lengths` (B,) of so many, and keep the others."""
    index = np.arange(size)
    last = np.asarray(lengths)[:, None] - 1
    return np.where(index <= last, last - index, index)
