"""Short gaps of a part of the body are filled in the front end, the same way everywhere."""

from itertools import pairwise

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from signloom import layout
from signloom.model.filling import fill_gaps
from signloom.model.frontend import BodyFrame, FrontEnd
from signloom.model.presets import PRESETS, ModelConfig, preset

PARTS = {"body": slice(0, 2), "hand": slice(2, 5)}


def by_hand(points: np.ndarray, most_frames: int) -> np.ndarray:
    """The rule, frame by frame."""
    result = points.copy()
    for clip in range(len(points)):
        for part in PARTS.values():
            known = np.flatnonzero(np.isfinite(points[clip, :, part, 0]).any(1))
            for before, after in pairwise(known):
                if 0 < after - before - 1 <= most_frames:
                    for frame in range(before + 1, after):
                        share = np.float32((frame - before) / (after - before))
                        first, last = points[clip, before, part], points[clip, after, part]
                        result[clip, frame, part] = first + share * (last - first)
    return result


@given(st.integers(0, 10_000), st.integers(1, 3), st.integers(1, 30), st.integers(0, 6), st.floats(0, 1))
@settings(max_examples=100)
def test_gaps_are_filled_by_straight_lines(seed, num_clips, num_frames, most_frames, lost):
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(num_clips, num_frames, 5, 2)).astype(np.float32)
    points[rng.random(points.shape[:3]) < 0.1] = np.nan
    for part in PARTS.values():
        for clip in points:
            clip[rng.random(num_frames) < lost, part] = np.nan
    filled = fill_gaps(torch.from_numpy(points), PARTS, most_frames).numpy()
    np.testing.assert_allclose(filled, by_hand(points, most_frames), rtol=1e-5, atol=1e-6)


def test_nothing_else_changes():
    points = torch.full((1, 12, 5, 3), torch.nan)
    points[0, 2:5], points[0, 8:11] = 1.0, 5.0
    points[0, 4, 3] = torch.nan
    given_points = points.clone()
    filled = fill_gaps(points, PARTS, 3)
    torch.testing.assert_close(points, given_points, equal_nan=True, atol=0, rtol=0)
    # Before the first frame and after the last one, in longer gaps, and where a point is unknown at one end.
    assert filled[0, [0, 1, 11]].isnan().all()
    assert filled[0, 5:8, [0, 1, 2, 4], 0].tolist() == [[2.0] * 4, [3.0] * 4, [4.0] * 4]
    assert filled[0, 4:8, 3].isnan().all()
    assert fill_gaps(points, PARTS, 2)[0, 5:8].isnan().all()
    assert fill_gaps(points, PARTS, 0) is points


def test_features_of_a_part_of_a_clip_are_those_of_the_whole_within_reach():
    front = FrontEnd(fill_frames=12).eval()
    rng = np.random.default_rng(0)
    points = torch.rand(1, 400, len(layout.subset("compact")), 3)
    for part in front.groups.values():
        for start in rng.integers(400, size=40):
            points[0, start : start + rng.integers(1, 15), part] = torch.nan
    frame = BodyFrame(torch.zeros(1, 1, 1, 2), torch.ones(1, 1, 1, 1))
    whole = front(points, None, frame)

    def differs(reach: int) -> bool:
        parts = (front(points[:, at - reach : at + 20 + reach], None, frame) for at in range(40, 340, 20))
        pairs = zip(parts, range(40, 340, 20), strict=True)
        return any(not torch.allclose(part[:, reach : reach + 20], whole[:, at : at + 20]) for part, at in pairs)

    assert not differs(front.reach)
    assert differs(2)


def test_a_hand_that_flickers_has_the_features_of_one_that_does_not():
    # It moves evenly, so that straight lines are what was lost.
    points = torch.rand(1, 1, 85, 3).expand(1, 40, 85, 3) + torch.arange(40)[None, :, None, None] * 0.01
    flickering = points.clone()
    front, unfilled = FrontEnd(fill_frames=12).eval(), FrontEnd().eval()
    hand = front.groups["right_hand"]
    flickering[:, 3::4, hand] = torch.nan
    flickering[:, 20:30, hand] = torch.nan
    flickering[:, 39, hand] = points[:, 39, hand]
    torch.testing.assert_close(front(flickering), front(points), atol=1e-4, rtol=0)
    assert (unfilled(flickering) - unfilled(points)).abs().max() > 0.1
    # Training sees the gaps as they are, and so do the statistics.
    lengths = torch.tensor([40])
    for one in (front, unfilled):
        one.fit([(flickering, lengths)])
    assert front.mean.equal(unfilled.mean)
    assert not front.training
    torch.testing.assert_close(front.train()(flickering), unfilled.train()(flickering), atol=0, rtol=0)


def test_models_of_before_fill_nothing():
    record = PRESETS["student"].to_json()
    del record["fill_seconds"]
    assert ModelConfig.from_json(record).fill_frames == 0
    assert PRESETS["student"].fill_frames == PRESETS["teacher"].fill_frames == 12
    assert preset("student", fps=50.0).fill_frames == 24
    # What is compared with other systems stays as these were.
    assert PRESETS["original_student"].fill_frames == PRESETS["teacher_original"].fill_frames == 0
