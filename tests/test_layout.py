import numpy as np
import pytest

from signloom import layout
from signloom.errors import InputError


def test_groups_cover_every_point_once():
    covered = np.concatenate([np.arange(part.start, part.stop) for part in layout.GROUPS.values()])
    assert covered.tolist() == list(range(543))
    assert len(set(layout.POINT_NAMES)) == 543


@pytest.mark.parametrize(
    ("name", "position"),
    # Positions by MediaPipe's own numbering plus the start of the group.
    [
        ("pose.nose", 0),
        ("pose.right_shoulder", 12),
        ("left_hand.wrist", 33),
        ("right_hand.pinky_tip", 74),
        ("face.0", 75),
    ],
)
def test_known_positions(name, position):
    assert layout.index(name) == position


def test_unknown_name_is_refused():
    with pytest.raises(InputError, match="no point named 'pose.tail'"):
        layout.index("pose.tail")


def test_mirror_is_its_own_inverse_and_swaps_sides():
    mirror = layout.mirror_map()
    assert (mirror[mirror] == np.arange(543)).all()
    assert mirror[layout.index("pose.mouth_left")] == layout.index("pose.mouth_right")
    assert mirror[layout.index("left_hand.thumb_tip")] == layout.index("right_hand.thumb_tip")
    assert mirror[layout.index("face.33")] == layout.index("face.263")
    assert mirror[layout.index("face.1")] == layout.index("face.1")


@pytest.mark.slow
def test_face_mirror_maps_mediapipes_named_contours_onto_each_other():
    connections = pytest.importorskip("mediapipe.python.solutions.face_mesh_connections")
    start = layout.GROUPS["face"].start

    def points(edges):
        return {point for edge in edges for point in edge}

    def mirrored(edges):
        return {int(layout.mirror_map()[start + point]) - start for point in points(edges)}

    assert mirrored(connections.FACEMESH_LEFT_EYE) == points(connections.FACEMESH_RIGHT_EYE)
    assert mirrored(connections.FACEMESH_LEFT_EYEBROW) == points(connections.FACEMESH_RIGHT_EYEBROW)
    assert mirrored(connections.FACEMESH_LIPS) == points(connections.FACEMESH_LIPS)
    assert mirrored(connections.FACEMESH_FACE_OVAL) == points(connections.FACEMESH_FACE_OVAL)
    # Our own outlines are those of the mesh: all of its points, and neighbours in it are neighbours here.
    names = {"oval": "FACE_OVAL", "left_eye": "LEFT_EYE", "right_eye": "RIGHT_EYE"}
    for name, theirs in names.items():
        ring = np.array(layout.FACE_CONTOURS[name]) - start
        edges = {frozenset(map(int, edge)) for edge in zip(ring, np.roll(ring, -1), strict=True)}
        assert edges == {frozenset(edge) for edge in getattr(connections, f"FACEMESH_{theirs}")}
    lips = {*layout.FACE_CONTOURS["lips"], *layout.FACE_CONTOURS["mouth"]}
    assert {point - start for point in lips} == points(connections.FACEMESH_LIPS)
    for side in ("left", "right"):
        brow = {point - start for point in layout.FACE_CONTOURS[f"{side}_brow"]}
        assert brow == points(getattr(connections, f"FACEMESH_{side.upper()}_EYEBROW"))
    # The mesh itself is symmetric but for six diagonals of its quadrilaterals.
    mesh = {frozenset(edge) for edge in connections.FACEMESH_TESSELATION}
    mirror = layout.mirror_map()[start:] - start
    assert sum(frozenset(int(mirror[point]) for point in edge) not in mesh for edge in mesh) == 6


@pytest.mark.slow
def test_left_and_right_agree_with_mediapipe():
    pose = pytest.importorskip("mediapipe.python.solutions.pose")
    assert [f"pose.{point.name.lower()}" for point in pose.PoseLandmark] == list(layout.POINT_NAMES[:33])


@pytest.mark.parametrize(("name", "count"), [("full", 543), ("compact", 85)])
def test_subsets(name, count):
    points = layout.subset(name)
    assert len(points) == len(set(points.tolist())) == count
    mirror = layout.subset_mirror_map(name)
    assert (points[mirror] == layout.mirror_map()[points]).all()
    groups = layout.subset_groups(name)
    assert sum(part.stop - part.start for part in groups.values()) == count
    assert groups["left_hand"].stop - groups["left_hand"].start == 21


def test_joints_of_a_hand_are_found_by_name():
    assert layout.hand_joints("wrist", "thumb_tip", "pinky_mcp").tolist() == [0, 4, 17]
    names = [name.removeprefix("right_hand.") for name in layout.POINT_NAMES[layout.GROUPS["right_hand"]]]
    assert [names[joint] for joint in layout.KNUCKLES] == ["index_mcp", "middle_mcp", "ring_mcp", "pinky_mcp"]
    assert all(names[joint].endswith("_tip") for joint in layout.FINGER_TIPS)
    with pytest.raises(InputError, match="no point named 'left_hand.tail'"):
        layout.hand_joints("tail")


def test_contours_begin_at_their_corners():
    face = layout.GROUPS["face"].start
    for side, outer, upper, inner, lower in (("right", 33, 159, 133, 145), ("left", 263, 386, 362, 374)):
        rim = layout.FACE_CONTOURS[f"{side}_eye"]
        assert [rim[place] - face for place in (0, 4, 8, 12)] == [outer, upper, inner, lower]
    assert [layout.FACE_CONTOURS[name][0] - face for name in ("oval", "lips", "mouth")] == [10, 61, 78]
