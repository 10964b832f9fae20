"""Fills short gaps: parts of the body that a tracker loses for a moment.

Shapes: B utterances, T frames, P points of a view, D coordinates.

A blurred hand is lost for a few frames, again and again, and what is left looks like another sign. Between the
last frame before a gap and the first one after it, a part moves along straight lines
(`benchmarks/figures/techniques.md`).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def fill_gaps(points: Tensor, parts: Mapping[str, slice], most_frames: int) -> Tensor:
    """Returns points `(B, T, P, D)` in which each part is filled where it is missing for at most `most_frames` frames.

    A part is missing where none of its points is known. Points that are unknown at either end of a gap stay so in it,
    and parts that are missing at the start or at the end of a clip stay missing.  parts: the points of each, in order.
    """
    if not most_frames:
        return points
    return torch.cat([_filled(points[:, :, part], most_frames) for part in parts.values()], dim=2)


def _filled(part: Tensor, most_frames: int) -> Tensor:
    known = torch.isfinite(part[..., 0]).any(2)
    num_frames = known.shape[1]
    frames = torch.arange(num_frames, device=part.device)
    # So far away that what has nothing before it, or behind it, is no short gap.
    before = torch.where(known, frames, -num_frames - most_frames).cummax(1).values
    after = torch.where(known, frames, 2 * num_frames + most_frames).flip(1).cummin(1).values.flip(1)
    clips, gaps = (~known & (after - before <= most_frames + 1)).nonzero(as_tuple=True)
    if not len(gaps):
        return part
    first, last = before[clips, gaps], after[clips, gaps]
    share = ((gaps - first) / (last - first)).to(part.dtype)[:, None, None]
    part, start = part.clone(), part[clips, first]
    part[clips, gaps] = start + share * (part[clips, last] - start)
    return part
