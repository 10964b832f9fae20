"""Consistency: a clip is seen twice, each time with other parts missing, and both times must be read alike.

Shapes: B utterances, T frames, P points of a view, T' output frames, V words.

A part that is missing here is there in the other view: what either knows must be carried by the other as well. So the
model leans on no single part, and each view teaches the other where in time a gloss is.

Sources: Jiao et al. 2023, "CoSign", which masks groups of the signer in complement; Yao et al. 2025, "CR-CTC",
equations 3 and 4, for how the two views are compared. How long a part is missing, and how often, is ours.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from signloom import layout
from signloom.model.recognizer import ctc_loss
from signloom.train.data import Batch
from signloom.train.module import Losses, RecognizerModule

# About the length of a gloss: longer ones take whole signs away, shorter ones can be bridged from both ends.
SEGMENT_FRAMES = 12
# How often a part is missing from one of the two views in a segment; else it is in both.
SHARE = 0.5


@cache
def _groups_of(view: str) -> tuple[Tensor, int]:
    """For each point of a view the number of its group, -1 for one that is never missing, `(P,)`; how many groups.

    The shoulders stay: they are the frame of reference of all other points.
    """
    groups = layout.subset_groups(view)
    numbers = torch.empty(len(layout.subset(view)), dtype=torch.long)
    for number, part in enumerate(groups.values()):
        numbers[part] = number
    points = layout.subset(view).tolist()
    for point in layout.indices("pose.left_shoulder", "pose.right_shoulder"):
        numbers[points.index(int(point))] = -1
    return numbers, len(groups)


def complementary_masks(batch_size: int, num_frames: int, view: str) -> tuple[Tensor, Tensor]:
    """What is taken out of the first and of the second view, two `(B, T, P)` bool that are nowhere both true.

    Time is cut into segments of SEGMENT_FRAMES, each clip's from its own start; in each segment every group, by itself,
    is taken out of one of the views with probability SHARE. Drawn by torch's generator of the CPU, on any device.
    """
    numbers, num_groups = _groups_of(view)
    start = torch.randint(SEGMENT_FRAMES, (batch_size, 1))
    segment = (torch.arange(num_frames) + start) // SEGMENT_FRAMES
    num_segments = (num_frames + SEGMENT_FRAMES - 2) // SEGMENT_FRAMES + 1
    # Below SHARE / 2 out of the first view, from there to SHARE out of the second.
    drawn = torch.rand(batch_size, num_segments, num_groups)
    # One more group, which is never taken out: index -1.
    drawn = torch.cat([drawn, torch.ones(batch_size, num_segments, 1)], -1)
    drawn = drawn[torch.arange(batch_size)[:, None], segment][..., numbers]
    return drawn < SHARE / 2, (drawn >= SHARE / 2) & (drawn < SHARE)


def two_views(points: Tensor, view: str) -> Tensor:
    """Clips `(B, T, P, 3)` twice, `(2 B, T, P, 3)`: all of them in the first view, then all in the second."""
    missing = torch.cat(complementary_masks(len(points), points.shape[1], view)).to(points.device)
    return points.repeat(2, 1, 1, 1).masked_fill(missing[..., None], torch.nan)


def consistency_loss(log_probs: Tensor, lengths: Tensor) -> Tensor:
    """How differently two views are read: `(B,)`, the mean over an utterance's valid frames; at least 0.

    `(KL(stop(b) || a) + KL(stop(a) || b)) / 2` of the words' distributions in each frame; 0 where they are equal. No
    gradient goes through the side that is compared with.

    log_probs: `(2 B, T', V)`, the first view of every utterance and then the second.  lengths: `(2 B,)`.
    Source: Yao et al. 2025, equation 4, but for the mean over frames, which there is a sum.
    """
    first, second = log_probs.chunk(2)
    lengths = lengths.chunk(2)[0]
    both = _divergence(second.detach(), first) + _divergence(first.detach(), second)
    valid = torch.arange(log_probs.shape[1], device=log_probs.device) < lengths[:, None]
    return (both / 2).masked_fill(~valid, 0.0).sum(1) / lengths


def _divergence(target: Tensor, log_probs: Tensor) -> Tensor:
    """KL(target || log_probs) in each frame, `(B, T')`, both log-probabilities."""
    # Rounding can make the divergence of equals a little negative.
    return (target.exp() * (target - log_probs)).sum(-1).clamp(min=0)


class ConsistencyModule(RecognizerModule):
    """Trains a recogniser by CTC, the mean of both views, and `consistency` times how differently they are read.

    The comparison is a mean over output frames, and CTC is divided by the number of glosses; so neither grows with the
    length of an utterance. An auxiliary head learns by CTC alone. A step takes twice the memory, and more time.
    """

    def training_losses(self, batch: Batch) -> Losses:
        view = self.recognizer.config.view
        heads = self.recognizer.heads(two_views(batch.points, view), batch.lengths.repeat(2))
        targets, target_lengths = batch.targets.repeat(2, 1), batch.target_lengths.repeat(2)

        def ctc(log_probs: Tensor) -> Tensor:
            first, second = ctc_loss(log_probs, heads.lengths, targets, target_lengths).chunk(2)
            return (first + second) / 2

        losses = ctc(heads.log_probs)
        # The step divides by the number of glosses: the comparison is to come out of that as it is.
        compared = consistency_loss(heads.log_probs, heads.lengths) * batch.target_lengths
        total = losses + self.recipe.consistency * compared
        if heads.auxiliary is not None:
            total = total + self.recipe.auxiliary_weight * ctc(heads.auxiliary)
        return Losses(total, losses, heads)
