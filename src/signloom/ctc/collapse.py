"""Collapses CTC paths (merges repeats, drops blanks), and counts the frames that a gloss sentence needs.

Shapes: B utterances, T' output frames. Source: Graves et al. 2006, "Connectionist Temporal Classification", the
mapping of section 3.1 (their script B).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from signloom.corpus.columns import Ragged
from signloom.errors import InputError
from signloom.vocabulary import BLANK_ID


def collapse(path: Sequence[int] | np.ndarray) -> list[int]:
    """Returns the ids of one path, see `collapse_batch`."""
    (ids,) = collapse_batch(np.asarray(path, dtype=np.int64).reshape(1, -1))
    return ids


def collapse_batch(paths: np.ndarray, lengths: np.ndarray | None = None) -> list[list[int]]:
    """Returns the ids of paths (B, T') of one id per frame: repeats are merged first, then blanks are dropped.

    A blank separates repeats: `[A, blank, A]` becomes `[A, A]`, `[A, A]` becomes `[A]`.
    lengths: (B,), only so many frames of each path count (default: all).

    Raises InputError for shapes that do not fit, or a length outside 0..T'.
    """
    paths = np.asarray(paths)
    if paths.ndim != 2:
        raise InputError(f"collapse: paths of shape {paths.shape}, needed (B, T')")
    batch, frames = paths.shape
    kept = paths != BLANK_ID
    kept[:, 1:] &= paths[:, 1:] != paths[:, :-1]
    if lengths is not None:
        lengths = np.asarray(lengths)
        if lengths.shape != (batch,) or (batch and not 0 <= lengths.min() <= lengths.max() <= frames):
            raise InputError(f"collapse: lengths {lengths.tolist()!s:.80}, needed {batch} of them within 0..{frames}")
        kept &= np.arange(frames) < lengths[:, None]
    ends = np.cumsum(kept.sum(axis=1))
    ids = paths[kept].tolist()
    return [ids[start:end] for start, end in zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True)]


def frames_needed(ids: Sequence[int] | np.ndarray) -> int:
    """Returns the least number of output frames for `ids`: one per id, and a blank between equal neighbours.

    With fewer frames the CTC loss is infinite, whatever the model emits.
    """
    ids = np.asarray(ids)
    return len(ids) + int((ids[1:] == ids[:-1]).sum())


def frames_needed_each(targets: Ragged) -> np.ndarray:
    """Returns `frames_needed` of each list of ids, (N,)."""
    values, starts = targets.values, targets.starts
    # Of all values before a place, how many are equal to the next.
    equal = np.concatenate([[0], np.cumsum(values[1:] == values[:-1]), [0]])
    ends = np.maximum(starts[1:] - 1, starts[:-1])
    return targets.counts + equal[ends] - equal[starts[:-1]]
