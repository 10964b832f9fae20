"""Greedy decoding: the best id of every output frame, collapsed into glosses.

Shapes: B utterances, T' output frames, V words.
"""

from __future__ import annotations

import numpy as np

from signloom.ctc.collapse import collapse_batch
from signloom.errors import InputError
from signloom.vocabulary import BLANK_ID


def greedy_ids(log_probs: np.ndarray, lengths: np.ndarray) -> list[list[int]]:
    """Returns the ids of the best paths of a batch, one list per utterance.

    log_probs: (B, T', V), or logits, which have the same maxima.  lengths: (B,) int; later frames are ignored.
    If you find the maxima on another device, `collapse_batch(maxima, lengths)` does the rest.
    Raises InputError for NaN within the lengths: NaN cannot be decoded.
    """
    log_probs = np.asarray(log_probs)
    if log_probs.ndim != 3:
        raise InputError(f"greedy decoding: log_probs of shape {log_probs.shape}, needed (B, T', V)")
    paths = log_probs.argmax(axis=2)
    ids = collapse_batch(paths, lengths)
    # argmax stops at a NaN, so a frame with NaN has NaN as its maximum.
    maxima = np.take_along_axis(log_probs, paths[..., None], axis=2)[..., 0]
    failed = np.isnan(maxima) & (np.arange(paths.shape[1]) < np.asarray(lengths)[:, None])
    if failed.any():
        row, frame = np.argwhere(failed)[0]
        raise InputError(f"greedy decoding: NaN in output frame {frame} of utterance {row} of the batch")
    return ids


class GreedySearch:
    """Greedy decoding of one utterance whose frames arrive in parts; where they are divided changes nothing.

    ids: of the best path so far, collapsed.  last: the id in the frame before, with which the first is collapsed.
    """

    def __init__(self, last: int = BLANK_ID) -> None:
        self.ids: list[int] = []
        self._last = last
        self._num_frames = 0

    def advance(self, log_probs: np.ndarray) -> None:
        """Decodes the next frames (n, V), or their logits. Raises InputError for NaN."""
        path = log_probs.argmax(axis=1)
        # argmax stops at a NaN, so a frame with NaN has NaN as its maximum.
        if (failed := np.isnan(np.take_along_axis(log_probs, path[:, None], axis=1)[:, 0])).any():
            raise InputError(f"greedy decoding: NaN in output frame {self._num_frames + int(failed.argmax())}")
        before = np.append(self._last, path)[:-1]
        self.ids += path[(path != before) & (path != BLANK_ID)].tolist()
        if len(path):
            self._last = int(path[-1])
        self._num_frames += len(path)
