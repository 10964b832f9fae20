"""The outline of a head: the face where it was found, else an oval in the place that the pose gives."""

import numpy as np
import pytest

from signloom import layout
from signloom.drawing.head import head_outline


def frame(**pose: tuple[float, float]) -> np.ndarray:
    """A frame in which only these points of the pose were found."""
    points = np.full((layout.NUM_POINTS, 3), np.nan, dtype=np.float32)
    for name, place in pose.items():
        points[layout.index(f"pose.{name}")] = (*place, 0)
    return points


EARS = {"left_ear": (0.55, 0.2), "right_ear": (0.45, 0.2)}
SHOULDERS = {"left_shoulder": (0.7, 0.5), "right_shoulder": (0.3, 0.5)}


def test_a_face_gives_its_own_outline():
    points = frame(**EARS, **SHOULDERS)
    oval = list(layout.FACE_CONTOURS["oval"])
    points[layout.GROUPS["face"]] = np.random.default_rng(0).uniform(0.4, 0.6, (468, 3))
    np.testing.assert_array_equal(head_outline(points), points[oval, :2])
    points[oval[3]] = np.nan
    assert not np.array_equal(head_outline(points), points[oval, :2])


def test_a_pose_gives_an_oval_around_the_ears_as_wide_as_half_the_shoulders():
    outline = head_outline(frame(**EARS, **SHOULDERS))
    size = outline.max(0) - outline.min(0)
    # Half and 0.68 of the 0.4 between the shoulders.
    assert size == pytest.approx((0.2, 0.272), rel=0.01)
    assert outline.mean(0) == pytest.approx((0.5, 0.2), abs=0.01)


def test_a_head_lies_as_eyes_and_mouth_lie():
    lying = {"left_eye": (0.5, 0.24), "right_eye": (0.5, 0.16), "mouth_left": (0.6, 0.22), "mouth_right": (0.6, 0.18)}
    outline = head_outline(frame(**EARS, **SHOULDERS, **lying))
    assert outline.max(0) - outline.min(0) == pytest.approx((0.272, 0.2), rel=0.01)


@pytest.mark.parametrize(
    "pose", [EARS, {"left_eye": (0.52, 0.2), "right_eye": (0.48, 0.2)}, {"nose": (0.5, 0.2), **SHOULDERS}]
)
def test_few_points_are_enough(pose):
    outline = head_outline(frame(**pose))
    assert outline.mean(0) == pytest.approx((0.5, 0.2), abs=0.02)
    assert 0.05 < np.ptp(outline[:, 0]) < 0.3


@pytest.mark.parametrize("pose", [{}, {"nose": (0.5, 0.2)}, SHOULDERS, {"left_ear": (0.5, 0.2), **SHOULDERS}])
def test_without_a_place_or_a_scale_there_is_none(pose):
    assert head_outline(frame(**pose)) is None


def test_every_drawing_has_a_head_where_there_is_no_face():
    image = pytest.importorskip("PIL.Image")
    from signloom.drawing.person import BACKGROUND, draw_frame
    from signloom.drawing.tracked import COLOURS, draw_tracked

    points = frame(**EARS, **SHOULDERS)
    top = np.asarray(draw_frame(points, height=200))[10:60]
    assert (top != BACKGROUND).any()
    picture = image.new("RGB", (266, 200))
    draw_tracked(picture, points, np.ones(33), aspect=1.33)
    colours = np.abs(np.asarray(picture).astype(int) - COLOURS["pose"]).sum(axis=2)
    # The top of the oval, above all points.
    assert (colours[5:20] < 60).any()


def test_a_live_skeleton_has_a_head_only_where_its_points_are_seen():
    pytest.importorskip("cv2", exc_type=ImportError)
    from signloom.drawing.tracked import COLOURS
    from signloom.live.skeleton import draw_skeleton

    points = frame(**EARS, **SHOULDERS)
    for visibility, drawn in ((1.0, True), (0.2, False)):
        picture = np.zeros((200, 266, 3), dtype=np.uint8)
        draw_skeleton(picture, points, np.full(33, visibility), aspect=1.33)
        assert (np.abs(picture[5:20].astype(int) - COLOURS["pose"]).sum(axis=2) < 60).any() is np.bool_(drawn)
