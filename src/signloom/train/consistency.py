"""Consistency training: the model sees two views of each clip with different parts masked, and must agree on them.

Shapes: B utterances, T frames, P points of a view, T' output frames, V words.

A part that is masked in one view is present in the other. So the model cannot rely on a single part, and each view
teaches the other where in time a gloss is.

Sources: Jiao et al. 2023, "CoSign", which masks complementary groups of points; Yao et al. 2025, "CR-CTC", equations 3
and 4, for the comparison of the views. The length and the frequency of the masks are our choice.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from signloom import layout
from signloom.model.recognizer import Recognizer, ctc_of_heads
from signloom.train.data import Batch
from signloom.train.losses import Losses

# About the length of a gloss: longer masks hide whole signs, shorter ones can be interpolated from both ends.
SEGMENT_FRAMES = 12
# Probability that a part is masked in one of the two views during a segment; otherwise it is in both.
MASK_PROBABILITY = 0.5


@cache
def _groups_of(view: str) -> tuple[Tensor, int]:
    """Returns the number of the group of each point of a view, `(P,)`, -1 for never masked, and the number of groups.

    The shoulders are never masked: all other points are relative to them.
    """
    groups = layout.subset_groups(view)
    numbers = torch.empty(len(layout.subset(view)), dtype=torch.long)
    for number, part in enumerate(groups.values()):
        numbers[part] = number
    for side in ("left", "right"):
        numbers[layout.subset_index(view, f"pose.{side}_shoulder")] = -1
    return numbers, len(groups)


def complementary_masks(batch_size: int, num_frames: int, view: str) -> tuple[Tensor, Tensor]:
    """Returns the masks of the first and the second view, `(B, T, P)` bool each, True where a point is masked.

    The two are never true together. Time is divided into segments of SEGMENT_FRAMES, with a random start in each clip;
    in each segment each group of points is masked in one of the views with probability MASK_PROBABILITY. Drawn from
    torch's CPU generator.
    """
    numbers, num_groups = _groups_of(view)
    start = torch.randint(SEGMENT_FRAMES, (batch_size, 1))
    segment = (torch.arange(num_frames) + start) // SEGMENT_FRAMES
    num_segments = (num_frames + SEGMENT_FRAMES - 2) // SEGMENT_FRAMES + 1
    # Below MASK_PROBABILITY / 2 masked in the first view, from there to MASK_PROBABILITY in the second.
    drawn = torch.rand(batch_size, num_segments, num_groups)
    # One more group, with index -1, which is never masked.
    drawn = torch.cat([drawn, torch.ones(batch_size, num_segments, 1)], -1)
    drawn = drawn[torch.arange(batch_size)[:, None], segment][..., numbers]
    return drawn < MASK_PROBABILITY / 2, (drawn >= MASK_PROBABILITY / 2) & (drawn < MASK_PROBABILITY)


def two_views(points: Tensor, view: str) -> Tensor:
    """Returns the two masked views of clips `(B, T, P, 3)`: all first views, then all second ones, `(2 B, T, P, 3)`."""
    missing = torch.cat(complementary_masks(len(points), points.shape[1], view)).to(points.device)
    return points.repeat(2, 1, 1, 1).masked_fill(missing[..., None], torch.nan)


def consistency_loss(log_probs: Tensor, lengths: Tensor) -> Tensor:
    """Returns how much the predictions for two views differ, `(B,)`: the mean over valid frames; at least 0.

    In each frame `(KL(stop(b) || a) + KL(stop(a) || b)) / 2` of the distributions over words; 0 if they are equal.
    The target side gets no gradient.

    log_probs: `(2 B, T', V)`, the first view of every utterance and then the second.  lengths: `(2 B,)`.
    Source: Yao et al. 2025, equation 4, but with the mean over frames instead of the sum.
    """
    first, second = log_probs.chunk(2)
    lengths = lengths.chunk(2)[0]
    both = _divergence(second.detach(), first) + _divergence(first.detach(), second)
    valid = torch.arange(log_probs.shape[1], device=log_probs.device) < lengths[:, None]
    return (both / 2).masked_fill(~valid, 0.0).sum(1) / lengths


def _divergence(target: Tensor, log_probs: Tensor) -> Tensor:
    """Returns KL(target || log_probs) in each frame, `(B, T')`, of two tensors of log-probabilities."""
    # Rounding can make the divergence of equal distributions slightly negative.
    return (target.exp() * (target - log_probs)).sum(-1).clamp(min=0)


def consistency_losses(recognizer: Recognizer, batch: Batch, *, weight: float, auxiliary_weight: float) -> Losses:
    """Returns the CTC losses of a batch, the mean of both views, plus `weight` times the consistency loss.

    CTC is divided by the number of glosses later; the consistency loss, a mean over output frames, is not. So neither
    grows with the length of an utterance. The auxiliary head learns by CTC alone. A step takes twice the memory of a
    plain one, and more time.
    """
    heads = recognizer.heads(two_views(batch.points, recognizer.config.view), batch.lengths.repeat(2))
    both_views = ctc_of_heads(
        heads, batch.targets.repeat(2, 1), batch.target_lengths.repeat(2), auxiliary_weight=auxiliary_weight
    )
    total, ctc = (losses.view(2, -1).mean(0) for losses in both_views)
    # Cancels the division by the number of glosses.
    consistency = consistency_loss(heads.log_probs, heads.lengths) * batch.target_lengths
    return Losses(total + weight * consistency, ctc, heads)
