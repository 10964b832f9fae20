"""The front end: raw landmarks to normalised features. All normalisation in signloom happens here.

Shapes: B utterances, T frames, P points of the view's subset, F features.

Three steps. Short gaps of a part are filled, but not in training mode. Geometry: the body relative to the clip's mean
shoulder centre, in units of its mean shoulder width; each hand relative to its own wrist and the face to its own
centre, in every frame. Then one fixed affine map per feature, with the statistics of the training split, which are
buffers of the model. The module is part of every model, so that evaluation and export cannot differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from signloom import layout
from signloom.errors import InputError
from signloom.model.filling import fill_gaps
from signloom.model.presets import VIEWS

# Largest absolute value of a feature, in standard deviations: a glitch of the tracker must not dominate an utterance.
CLAMP = 10.0
# Smallest standard deviation that is divided by: features that hardly vary (always 0, say) keep their scale.
MIN_STD = 1e-3
# Standard deviation of a feature that no training clip shows: it stays as good as 0 whatever a tracker finds later.
UNSEEN_STD = 1e9
# Smallest shoulder width, in units of image height; a smaller one is a detection error.
MIN_SCALE = 1e-3
# Feature values per step of the statistics, 64 MB in double precision: a batch of long clips in the full view would
# take a gigabyte.
FIT_VALUES = 8_000_000


class BodyFrame(NamedTuple):
    """Origin and unit of a clip: root `(B, 1, 1, D)` and scale `(B, 1, 1, 1)`, in units of image height."""

    root: Tensor
    scale: Tensor


def cloud_frame(points: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the mean of all points of a clip, `(B, D)`, and twice their mean distance from it, `(B, 1)`.

    points: `(B, T, P, D)`.
    """
    root = points.flatten(1, 2).nanmean(1)
    spread = (points - root[:, None, None])[..., :2].square().sum(-1).sqrt()
    return root, 2 * spread.flatten(1).nanmean(1, keepdim=True)


class FrontEnd(nn.Module):
    """Features `(B, T, F)` of raw landmarks `(B, T, P, 3)`.

    view: `compact` takes the 85 points of the subset of that name and yields, for each of pose, left hand, right hand
    and face: x and y, where the part itself is (hands, face), forward and backward differences, and whether the part
    was detected. `full` takes all 543 points and yields the 6,516 values of the older systems: pose 99, hands 126, face
    1,404, and 4,887 of motion, distances and angles.

    share_hands: one set of statistics for both hands, the left one mirrored (compact view only). A hand's features are
    then, by `mirror_signs`, exactly those of the other hand in a mirrored clip.

    fill_frames: a part that is missing for at most so many frames is filled in evaluation mode, see `fill_gaps`; 0:
    none.
    """

    mean: Tensor
    std: Tensor
    fitted: Tensor

    def __init__(self, view: str = "compact", *, share_hands: bool = False, fill_frames: int = 0) -> None:
        super().__init__()
        if view not in VIEWS:
            raise InputError(f"front end: view {view!r}; needed one of {', '.join(VIEWS)}")
        self.view = view
        self.share_hands = share_hands
        self.fill_frames = fill_frames
        self.groups = layout.subset_groups(view)
        self.num_points = len(layout.subset(view))
        self._left_shoulder, self._right_shoulder = (
            layout.subset_index(view, f"pose.{side}_shoulder") for side in ("left", "right")
        )
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

    @property
    def reach(self) -> int:
        """The input frames before and after a frame that its features depend on, the body's frame of reference apart:
        two for differences of differences, and those of a gap.
        """
        return 2 + self.fill_frames

    def mirror_signs(self) -> Tensor:
        """Returns the factor of each feature in a mirrored clip, `(F,)`: -1 for x and its differences, else 1.

        In addition, parts and points change sides. Raises InputError for the full view: its angles do not change by a
        factor.
        """
        if self.view != "compact":
            raise InputError(f"front end: the {self.view} view has no signs to mirror it by; needed compact")
        signs = torch.ones(self.num_features)
        for part in self.modality_slices().values():
            # x and y alternate in positions and differences; the last feature is whether the part was detected.
            signs[part.start : part.stop - 1 : 2] = -1
        return signs

    def modality_slices(self) -> dict[str, slice]:
        """Returns the slice of the features of each modality."""
        slices, start = {}, 0
        for name, size in self.modalities.items():
            slices[name] = slice(start, start + size)
            start += size
        return slices

    def forward(self, points: Tensor, lengths: Tensor | None = None, body_frame: BodyFrame | None = None) -> Tensor:
        """Returns normalised features `(B, T, F)`: 0 for missing points and in padding, within +-10 elsewhere.

        points: `(B, T, P, 3)` in units of image height, NaN where missing.  lengths: `(B,)`, None if nothing is padded.
        body_frame: that of the whole clip, where the points are a part of one.
        """
        features = self.raw_features(points, lengths, body_frame)
        return features.sub_(self.mean).mul_(1 / self.std).clamp_(-CLAMP, CLAMP).nan_to_num_(nan=0.0)

    def raw_features(
        self, points: Tensor, lengths: Tensor | None = None, body_frame: BodyFrame | None = None
    ) -> Tensor:
        """Returns features before the affine map, `(B, T, F)`, NaN where unknown."""
        if points.shape[2] != self.num_points:
            raise InputError(
                f"front end: {points.shape[2]} points per frame, the {self.view} view needs {self.num_points} "
                f"(Landmarks.select({self.view!r}))"
            )
        points = self.used(points)
        if lengths is not None:
            padding = torch.arange(points.shape[1], device=points.device) >= lengths[:, None]
            points = points.masked_fill(padding[:, :, None, None], torch.nan)
        normalised, anchors = self._groups(points, body_frame)
        if self.view == "full":
            return self._full(torch.cat(list(normalised.values()), dim=2))
        features = self._compact(normalised, anchors)
        return features if lengths is None else features.masked_fill_(padding[:, :, None], torch.nan)

    def used(self, points: Tensor) -> Tensor:
        """Returns the coordinates that the view uses, `(..., D)`: the compact view has no z.

        It is noisy, and without it half of the work is saved.
        """
        return points[..., :2] if self.view == "compact" else points

    def geometry(self, points: Tensor, body_frame: BodyFrame | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns points `(B, T, P, D)` relative to the roots of their groups, in shoulder widths; idempotent.

        Missing points are NaN. Also returns, by group, the position of the root of each hand and of the face relative
        to the body, `(B, T, D)`.
        """
        normalised, anchors = self._groups(points, body_frame)
        return torch.cat(list(normalised.values()), dim=2), anchors

    def _groups(self, points: Tensor, body_frame: BodyFrame | None) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Returns the same as `geometry`, with the points of each group separately."""
        if body_frame is None:
            body_frame = self.body_frame(self.shoulders(points), lambda: cloud_frame(points))
        root, scale = body_frame
        # Not in training: gaps of real trackers teach more than lines in their place.
        points = points if self.training else fill_gaps(points, self.groups, self.fill_frames)
        body = (points - root).mul_(1 / scale)
        normalised, anchors = {}, {}
        for name, part in self.groups.items():
            group = body[:, :, part]
            if name != "pose":
                centre = group.nanmean(2, keepdim=True) if name == "face" else group[:, :, :1]
                anchors[name] = centre.squeeze(2)
                group = group - centre
            normalised[name] = group
        return normalised, anchors

    def shoulders(self, points: Tensor) -> Tensor:
        """Returns the left and the right shoulder, `(B, T, 2, D)`, of points `(B, T, P, D)`."""
        return points[:, :, [self._left_shoulder, self._right_shoulder]]

    def body_frame(self, shoulders: Tensor, cloud: Callable[[], tuple[Tensor, Tensor]]) -> BodyFrame:
        """Returns the clip's root and scale: mean centre and width of the shoulders `(B, T, 2, D)`.

        A clip that never shows both shoulders (only hands) has those that `cloud` returns; see `cloud_frame`.
        """
        left, right = shoulders.unbind(2)
        root = ((left + right) * 0.5).nanmean(1)
        # Without depth: it would add more noise than it corrects the shrinking of a signer who turns.
        scale = (left - right)[..., :2].square().sum(-1, keepdim=True).sqrt().nanmean(1)
        if torch.jit.is_tracing() or not torch.isfinite(scale).all():
            cloud_root, cloud_scale = cloud()
            seen = torch.isfinite(scale)
            root = torch.nan_to_num(torch.where(seen, root, cloud_root))
            scale = torch.nan_to_num(torch.where(seen, scale, cloud_scale))
        scale = torch.where(scale > MIN_SCALE, scale, torch.ones_like(scale))
        return BodyFrame(root[:, None, None], scale[:, None, None])

    def _compact(self, groups: dict[str, Tensor], anchors: dict[str, Tensor]) -> Tensor:
        features = []
        unknown = torch.full_like(groups["pose"][:, :1, 0, :1], torch.nan)
        for name, points in groups.items():
            position = points.flatten(2)
            if name in anchors:
                position = torch.cat([position, anchors[name]], -1)
            none = unknown.expand(-1, -1, position.shape[-1])
            step = torch.cat([none, position[:, 1:] - position[:, :-1], none], 1)
            # A part was detected if any of its points was: single points of the pose can be missing.
            detected = torch.isfinite(points[..., 0]).any(2, keepdim=True).to(points.dtype)
            features += [position, step[:, 1:], step[:, :-1], detected]
        return torch.cat(features, -1)

    def _full(self, points: Tensor) -> Tensor:
        position = points.flatten(2)
        none = torch.full_like(position[:, :1], torch.nan)
        velocity = torch.cat([none, position[:, 1:] - position[:, :-1]], 1)
        acceleration = torch.cat([none, velocity[:, 1:] - velocity[:, :-1]], 1)
        x, y, z = points.unbind(-1)
        flat = (x.square() + y.square()).sqrt()
        # The roots are at distance 0, where angles are undefined; atan2 returns 0.
        polar = torch.stack([(flat.square() + z.square()).sqrt(), torch.atan2(y, x), torch.atan2(z, flat)], -1)
        return torch.cat([position, velocity, acceleration, polar.flatten(2)], -1)

    @torch.no_grad()
    def fit(self, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Sets the statistics of the affine map from `(points, lengths)` batches of the training split, not augmented.

        Mean and standard deviation are over the known values of each feature. A part that no clip shows (faces that
        were not stored, say) is ignored from then on. Raises InputError if there are no values.
        """
        training = self.training
        # As training sees the clips.
        self.train()
        total = torch.zeros(self.num_features, dtype=torch.float64)
        square, count = total.clone(), total.clone()
        seen = torch.zeros(self.num_points, dtype=torch.bool)
        for points, lengths in batches:
            rows = max(1, FIT_VALUES // (points.shape[1] * self.num_features))
            for some, their_lengths in zip(points.split(rows), lengths.split(rows), strict=True):
                features = self.raw_features(some, their_lengths).flatten(0, 1).double()
                total += features.nansum(0)
                square += features.square().nansum(0)
                count += torch.isfinite(features).sum(0)
                inside = torch.arange(some.shape[1]) < their_lengths[:, None]
                seen |= torch.isfinite(some[inside][..., 0]).any(0)
        if self.share_hands:
            left, right = (self.modality_slices()[name] for name in ("left_hand", "right_hand"))
            signs = self.mirror_signs().double()
            for sums, factors in ((total, signs), (square, signs.square()), (count, signs.square())):
                sums[right] += factors[left] * sums[left]
                sums[left] = factors[right] * sums[right]
        if not count.any():
            raise InputError("front end: no landmarks to take statistics from; the training split is empty")
        mean = total / count.clamp(min=1)
        variance = (square / count.clamp(min=1) - mean.square()).clamp(min=0)
        std = variance.sqrt()
        # A feature that is always the same keeps scale 1 and normalises to 0.
        std = torch.where(std < MIN_STD, torch.ones_like(std), std)
        # Nothing trains the weights of one that was never seen: it must stay 0. What was seen on one side may come on
        # the other one, by mirrored clips or a hand that is put in.
        seen |= seen[layout.subset_mirror_map(self.view).tolist()]
        std[self._unseen(seen)] = UNSEEN_STD
        self.mean.copy_(mean)
        self.std.copy_(std)
        self.fitted.fill_(True)
        self.train(training)

    def _unseen(self, seen: Tensor) -> Tensor:
        """Returns which features are 0 or unknown wherever the points lie that were seen, `(F,)` of `(P,)` bool."""
        points = torch.rand(1, 3, self.num_points, 3, generator=torch.Generator().manual_seed(0))
        features = self.raw_features(points.masked_fill(~seen[:, None], torch.nan))
        return (features.nan_to_num(nan=0.0) == 0).all(1)[0]

    def unseen_parts(self) -> list[str]:
        """Returns the parts of the body that no training clip showed, which the model ignores, e.g. `face`."""
        parts = {name: self.std[part] for name, part in self.modality_slices().items()}
        return [name.replace("_", " ") for name, std in parts.items() if bool((std == UNSEEN_STD).all())]
