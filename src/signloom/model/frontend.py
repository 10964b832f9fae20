"""Raw landmarks to normalised features: the only place of signloom where anything is normalised.

Shapes: B utterances, T frames, P points of the view's subset, F features.

Two parts. Geometric: the body relative to the clip's mean shoulder centre, in units of its mean shoulder width; each
hand relative to its own wrist, and the face to its own centre, in every frame. Then one fixed affine per feature, with
the statistics of the training split, which lie in the model as buffers. The module is part of every model's graph, so
that training, evaluation and export cannot differ.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from signloom import layout
from signloom.errors import InputError

VIEWS = ("compact", "full")
# Healthy features lie within a few standard deviations; a glitch of the tracker must not dominate an utterance.
CLAMP = 10.0
# A feature that hardly varies in training (always 0, say) is not blown up by its tiny spread.
MIN_STD = 1e-3
# A shoulder width below this share of the image height is a detection error, not a signer.
MIN_SCALE = 1e-3


class FrontEnd(nn.Module):
    """Features `(B, T, F)` of raw landmarks `(B, T, P, 3)`.

    view: `compact` takes the 85 points of the subset of that name and yields, for each of pose, left hand, right hand
    and face: x and y, where the part itself is (hands, face), forward and backward differences, and whether the part
    was detected. `full` takes all 543 points and yields the 6,516 values of the older systems: pose 99, hands 126, face
    1,404, and 4,887 of motion, distances and angles.
    """

    mean: Tensor
    std: Tensor
    fitted: Tensor

    def __init__(self, view: str = "compact") -> None:
        super().__init__()
        if view not in VIEWS:
            raise InputError(f"front end: view {view!r}; needed one of {', '.join(VIEWS)}")
        self.view = view
        self.groups = layout.subset_groups(view)
        self.num_points = len(layout.subset(view))
        points = layout.subset(view).tolist()
        self._left_shoulder = points.index(layout.index("pose.left_shoulder"))
        self._right_shoulder = points.index(layout.index("pose.right_shoulder"))
        self.modalities = self._modalities()
        self.num_features = sum(self.modalities.values())
        self.register_buffer("mean", torch.zeros(self.num_features))
        self.register_buffer("std", torch.ones(self.num_features))
        self.register_buffer("fitted", torch.zeros((), dtype=torch.bool))

    def _modalities(self) -> dict[str, int]:
        """Features of each modality, in the order in which they are concatenated."""
        sizes = {name: part.stop - part.start for name, part in self.groups.items()}
        if self.view == "compact":
            return {name: 3 * (2 * size + (0 if name == "pose" else 2)) + 1 for name, size in sizes.items()}
        return {
            "pose": 3 * sizes["pose"],
            "hands": 3 * (sizes["left_hand"] + sizes["right_hand"]),
            "face": 3 * sizes["face"],
            "temporal": 9 * self.num_points,
        }

    def modality_slices(self) -> dict[str, slice]:
        """Where each modality lies in the features."""
        slices, start = {}, 0
        for name, size in self.modalities.items():
            slices[name] = slice(start, start + size)
            start += size
        return slices

    def forward(self, points: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Normalised features `(B, T, F)`; 0 where a point was missing and in padding, within +-10 elsewhere.

        points: `(B, T, P, 3)` in units of image height, NaN where missing.  lengths: `(B,)`, None if nothing is padded.
        """
        features, present = self.raw_features(points, lengths)
        normalised = ((features - self.mean) / self.std).clamp(-CLAMP, CLAMP)
        return normalised * present

    def raw_features(self, points: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Features before the affine `(B, T, F)`, and whether each is known, as 0 or 1 `(B, T, F)`."""
        if points.shape[2] != self.num_points:
            raise InputError(
                f"front end: {points.shape[2]} points a frame, the {self.view} view needs {self.num_points} "
                f"(Landmarks.select({self.view!r}))"
            )
        normalised, anchors, present = self.geometry(points, lengths)
        if self.view == "compact":
            return self._compact(normalised, anchors, present)
        return self._full(normalised, present)

    def geometry(self, points: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """Points relative to the roots of their groups, in shoulder widths; idempotent.

        Returns the points `(B, T, P, 3)` with 0 where missing, where the root of each hand and of the face itself
        lies relative to the body `(B, T, 3)` by group, and which points are present `(B, T, P, 1)` as 0 or 1.
        """
        present = torch.isfinite(points[..., :1])
        if lengths is not None:
            frames = torch.arange(points.shape[1], device=points.device)
            present = present & (frames < lengths[:, None])[:, :, None, None]
        points = torch.where(present, points, 0.0)
        present = present.to(points.dtype)
        root, scale = self._body_frame(points, present)
        normalised, anchors = [], {}
        for name, part in self.groups.items():
            group, known = points[:, :, part], present[:, :, part]
            if name == "pose":
                centre = root
            elif name == "face":
                centre = group.sum(2, keepdim=True) / known.sum(2, keepdim=True).clamp(min=1.0)
            else:
                centre = group[:, :, :1]
            normalised.append((group - centre) / scale * known)
            if name != "pose":
                anchors[name] = ((centre - root) / scale * known.amax(2, keepdim=True)).squeeze(2)
        return torch.cat(normalised, dim=2), anchors, present

    def _body_frame(self, points: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """The clip's root `(B, 1, 1, 3)` and scale `(B, 1, 1, 1)`: centre and width of the shoulders, mean over frames.

        A clip that never shows both shoulders (hands alone) is centred on the mean of all its points, in units of
        twice their mean distance from it.
        """
        left, right = points[:, :, self._left_shoulder], points[:, :, self._right_shoulder]
        both = present[:, :, self._left_shoulder] * present[:, :, self._right_shoulder]
        count = both.sum(1)
        some = count.clamp(min=1.0)
        shoulder_root = ((left + right) * 0.5 * both).sum(1) / some
        width = ((left - right)[..., :2].square().sum(-1, keepdim=True).sqrt() * both).sum(1) / some
        # The frames of a cloud of points without shoulders.
        total = present.sum((1, 2)).clamp(min=1.0)
        cloud_root = points.sum((1, 2)) / total
        spread = (points - cloud_root[:, None, None])[..., :2].square().sum(-1, keepdim=True).sqrt()
        cloud_width = 2 * (spread * present).sum((1, 2)) / total
        seen = count > 0
        root = torch.where(seen, shoulder_root, cloud_root)
        scale = torch.where(seen, width, cloud_width)
        scale = torch.where(scale > MIN_SCALE, scale, torch.ones_like(scale))
        return root[:, None, None], scale[:, None, None]

    def _compact(self, points: Tensor, anchors: dict[str, Tensor], present: Tensor) -> tuple[Tensor, Tensor]:
        features, known = [], []
        for name, part in self.groups.items():
            position = points[:, :, part, :2].flatten(2)
            known_position = present[:, :, part].expand(-1, -1, -1, 2).flatten(2)
            detected = present[:, :, part].amax(2)
            if name in anchors:
                position = torch.cat([position, anchors[name][..., :2]], -1)
                known_position = torch.cat([known_position, detected.expand(-1, -1, 2)], -1)
            step = position[:, 1:] - position[:, :-1]
            known_step = known_position[:, 1:] * known_position[:, :-1]
            none = torch.zeros_like(position[:, :1])
            features += [position, torch.cat([step, none], 1), torch.cat([none, step], 1), detected]
            known += [known_position, torch.cat([known_step, none], 1), torch.cat([none, known_step], 1)]
            known.append(torch.ones_like(detected))
        return torch.cat(features, -1), torch.cat(known, -1)

    def _full(self, points: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        position = points.flatten(2)
        known = present.expand(-1, -1, -1, 3).flatten(2)
        none = torch.zeros_like(position[:, :1])
        known_velocity = torch.cat([none, known[:, 1:] * known[:, :-1]], 1)
        velocity = torch.cat([none, position[:, 1:] - position[:, :-1]], 1) * known_velocity
        known_acceleration = torch.cat([none, known_velocity[:, 1:] * known_velocity[:, :-1]], 1)
        acceleration = torch.cat([none, velocity[:, 1:] - velocity[:, :-1]], 1) * known_acceleration
        x, y, z = points.unbind(-1)
        flat = (x.square() + y.square()).sqrt()
        polar = torch.stack([(flat.square() + z.square()).sqrt(), torch.atan2(y, x), torch.atan2(z, flat)], -1)
        # The roots themselves lie at distance 0, where no angle is defined; atan2 gives 0.
        features = torch.cat([position, velocity, acceleration, polar.flatten(2)], -1)
        return features, torch.cat([known, known_velocity, known_acceleration, known], -1)

    @torch.no_grad()
    def fit(self, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Sets the affine's statistics from the training split: `(points, lengths)` batches, not augmented.

        Mean and standard deviation are over the known values of each feature. Raises InputError without any value.
        """
        total = torch.zeros(self.num_features, dtype=torch.float64)
        square, count = total.clone(), total.clone()
        for points, lengths in batches:
            features, present = self.raw_features(points, lengths)
            valid = torch.arange(points.shape[1]) < lengths[:, None]
            features, present = features[valid].double(), present[valid].double()
            total += (features * present).sum(0)
            square += (features.square() * present).sum(0)
            count += present.sum(0)
        if not count.any():
            raise InputError("front end: no landmarks to take statistics from; the training split is empty")
        mean = total / count.clamp(min=1)
        variance = (square / count.clamp(min=1) - mean.square()).clamp(min=0)
        std = variance.sqrt()
        # A constant feature (never seen, or always the same) keeps scale 1: it normalises to 0.
        std = torch.where(std < MIN_STD, torch.ones_like(std), std)
        self.mean.copy_(mean)
        self.std.copy_(std)
        self.fitted.fill_(True)
