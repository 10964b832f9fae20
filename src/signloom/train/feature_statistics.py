"""Statistics of the features that the body of a model receives, over a few clips.

Shapes: T frames, P points of the model's view, F features.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor

from signloom.corpus import spread
from signloom.model.frontend import CLAMP, MIN_STD, FrontEnd
from signloom.train.data import UtteranceDataset

# Training clips whose features are measured before the first step.
NUM_CLIPS = 32


class FeatureStatistics(NamedTuple):
    """Mean, deviation, least and greatest of the known feature values, the share of them at the clamp of the front end,
    and the share of the variance between clips. parts: the same of each modality; empty in those."""

    mean: float
    deviation: float
    low: float
    high: float
    clamped: float
    between: float
    parts: Mapping[str, FeatureStatistics] = MappingProxyType({})

    @property
    def largest(self) -> float:
        return max(-self.low, self.high)

    @property
    def figures(self) -> dict[str, float]:
        return {"mean": self.mean, "deviation": self.deviation, "least": self.low, "greatest": self.high}


def feature_statistics(
    frontend: FrontEnd, clips: Sequence[Tensor], features: Sequence[Tensor] | None = None
) -> FeatureStatistics:
    """Returns the statistics of the features of clips, `(1, T, P, 3)` each.

    features: what the body receives for each clip, `(T, F)`; by default what the front end gives.

    A feature that does not vary (of a part that is always, or never, present) is not counted.
    """
    count = torch.zeros(frontend.num_features, dtype=torch.float64)
    total, square, clamped = count.clone(), count.clone(), count.clone()
    low, high = torch.full_like(count, math.inf), torch.full_like(count, -math.inf)
    means, weights = [], []
    with torch.no_grad():
        for number, clip in enumerate(clips):
            known = torch.isfinite(frontend.raw_features(clip)[0])
            received = frontend(clip)[0] if features is None else features[number]
            values = received.double().where(known, torch.zeros((), dtype=torch.float64))
            count += known.sum(0)
            total += values.sum(0)
            square += values.square().sum(0)
            clamped += (values.abs() >= CLAMP).sum(0)
            low, high = torch.minimum(low, values.amin(0)), torch.maximum(high, values.amax(0))
            # Including the zeros of missing points, as a second normalisation would.
            means.append(received.double().mean(0))
            weights.append(len(received))
    mean = total / count.clamp(min=1)
    variance = (square / count.clamp(min=1) - mean.square()).clamp(min=0)
    counted = (count > 0) & (variance > MIN_STD**2)
    share = (torch.tensor(weights, dtype=torch.float64) / sum(weights))[:, None]
    middles = torch.stack(means)
    between = (share * (middles - (share * middles).sum(0)).square()).sum(0)

    def of(part: slice) -> FeatureStatistics:
        inside, least, greatest = counted[part], float(low[part].min()), float(high[part].max())
        if not bool(inside.any()):
            return FeatureStatistics(0.0, 0.0, least, greatest, 0.0, 0.0)
        return FeatureStatistics(
            mean=float(mean[part][inside].mean()),
            deviation=float(variance[part][inside].mean().sqrt()),
            low=least,
            high=greatest,
            clamped=float(clamped[part].sum() / count[part].sum()),
            between=float(between[part][inside].sum() / variance[part][inside].sum()),
        )

    parts = {name: of(part) for name, part in frontend.modality_slices().items()}
    return of(slice(None))._replace(parts=parts)


def training_statistics(frontend: FrontEnd, data: UtteranceDataset) -> FeatureStatistics:
    """Returns the statistics of NUM_CLIPS clips, spread evenly over `data`, as recorded: without augmentation."""
    chosen = spread(len(data), NUM_CLIPS).tolist()
    return feature_statistics(frontend, [torch.from_numpy(data.points(index))[None] for index in chosen])
