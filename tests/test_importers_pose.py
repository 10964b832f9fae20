"""`.pose` files both ways: parity with pose-format's own reader, and everything that must be refused."""

from __future__ import annotations

import contextlib
import io
import struct
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import random_landmarks
from formats import SIZE, expect_same, in_list, person
from signloom import cli, layout
from signloom.commands import export_pose
from signloom.errors import InputError, MissingExtraError
from signloom.importers import point_lists
from signloom.importers import pose as importer
from signloom.importers.pose import read_pose
from signloom.importers.pose_writing import pose_format_name, write_pose
from signloom.landmarks import Landmarks

pose_format = pytest.importorskip("pose_format")


def make_pose(components, data, *, fps=25.0, size=(640, 480), confidence=None, version=0.2) -> bytes:
    """A `.pose` file with the given (name, point names) components and data (T, people, N, D)."""
    from pose_format.numpy import NumPyPoseBody
    from pose_format.pose_header import PoseHeader, PoseHeaderComponent, PoseHeaderDimensions

    data = np.asarray(data, dtype=np.float32)
    form = "XYZC"[: data.shape[-1]] + "C" if data.shape[-1] < 3 else "XYZC"
    parts = [PoseHeaderComponent(name, list(points), [], [], form) for name, points in components]
    if confidence is None:
        confidence = np.ones(data.shape[:3], dtype=np.float32)
    buffer = io.BytesIO()
    header = PoseHeader(version, PoseHeaderDimensions(*size, 0), parts)
    pose_format.Pose(header, NumPyPoseBody(fps, data, np.asarray(confidence, np.float32))).write(buffer)
    return buffer.getvalue()


def moving(num_frames=10, people=1, num_points=3, dims=3, seed=0) -> np.ndarray:
    """Points in pixels that wander about a 640 x 480 image; z a share of the width."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(100, 400, (num_frames, people, num_points, dims))
    if dims > 2:
        points[..., 2] = rng.normal(0, 0.1, points.shape[:3])
    return points


def with_gaps(seed: int) -> Landmarks:
    """A clip in which each part is missing in some frames, with visibilities from 0 to 1."""
    rng = np.random.default_rng(seed)
    clip = random_landmarks(num_frames=6, seed=seed, fps=29.97)
    points = clip.points.copy()
    for group in layout.GROUPS.values():
        points[rng.random(6) < 0.4, group] = np.nan
    points[0, layout.index("pose.nose")] = (0.5, 0.5, -0.1)
    return replace(clip, points=points, visibility=rng.uniform(0, 1, (6, 33)))


@settings(max_examples=20)
@given(
    seed=st.integers(0, 1000),
    size=st.sampled_from([(640, 480), (210, 260), (1920, 1080)]),
    pixel_aspect=st.sampled_from([1.0, 260 / 300]),
)
def test_writing_and_reading_back_is_the_identity(tmp_path_factory, seed, size, pixel_aspect):
    path = tmp_path_factory.mktemp("pose") / "clip.pose"
    clip = replace(with_gaps(seed), image_size=size, pixel_aspect=pixel_aspect)
    write_pose(clip, path)
    back = read_pose(path)
    # Pixels are held in single precision: 1e-6 of a few units.
    np.testing.assert_allclose(back.points, clip.points, atol=1e-5)
    present = np.isfinite(clip.points[:, :33, 0])
    np.testing.assert_allclose(back.visibility[present], clip.visibility[present], atol=1e-5)
    assert (back.visibility[~present] == 0).all()
    assert back.fps == pytest.approx(29.97)
    assert back.assumed == ()
    # Square pixels in the file: the picture has the width it is shown at.
    assert back.image_size == (round(size[0] * pixel_aspect), size[1])


def test_a_point_of_visibility_zero_is_still_there_after_a_round_trip(tmp_path):
    clip = replace(random_landmarks(3), visibility=np.zeros((3, 33)))
    write_pose(clip, tmp_path / "clip.pose")
    back = read_pose(tmp_path / "clip.pose")
    assert np.isfinite(back.points).all()
    np.testing.assert_allclose(back.visibility, 0, atol=1e-5)


def test_the_file_says_to_pose_format_what_the_clip_says(tmp_path):
    clip = replace(with_gaps(1), image_size=(640, 480))
    write_pose(clip, tmp_path / "clip.pose")
    pose = pose_format.Pose.read((tmp_path / "clip.pose").read_bytes())
    assert [component.name for component in pose.header.components] == [
        "POSE_LANDMARKS",
        "FACE_LANDMARKS",
        "LEFT_HAND_LANDMARKS",
        "RIGHT_HAND_LANDMARKS",
    ]
    assert (pose.header.dimensions.width, pose.header.dimensions.height) == (640, 480)
    assert pose.body.fps == pytest.approx(29.97)
    nose = pose.header.get_point_index("POSE_LANDMARKS", "NOSE")
    # (0.5, 0.5) heights of an image 480 pixels high; z -0.1 heights is a share of 640 pixels of width.
    np.testing.assert_allclose(pose.body.data[0, 0, nose], (240, 240, -0.1 * 480 / 640), rtol=1e-5)
    tip = pose.header.get_point_index("RIGHT_HAND_LANDMARKS", "INDEX_FINGER_TIP")
    ours = clip.points[:, layout.index("right_hand.index_tip")]
    missing = np.isnan(ours[:, 0])
    np.testing.assert_array_equal(np.ma.getmaskarray(pose.body.data)[:, 0, tip, 0], missing)
    np.testing.assert_allclose(pose.body.data[~missing, 0, tip, :2].filled(), ours[~missing, :2] * 480, rtol=1e-5)


@pytest.mark.slow
def test_point_names_and_order_are_those_of_pose_formats_holistic_layout(tmp_path):
    pytest.importorskip("mediapipe")
    from pose_format.utils.holistic import holistic_components

    write_pose(random_landmarks(2), tmp_path / "clip.pose")
    written = pose_format.Pose.read((tmp_path / "clip.pose").read_bytes()).header.components
    expected = [part for part in holistic_components() if part.name != "POSE_WORLD_LANDMARKS"]
    assert [(part.name, part.points) for part in written] == [(part.name, list(part.points)) for part in expected]
    assert {frozenset(limb) for limb in written[0].limbs} == {frozenset(limb) for limb in expected[0].limbs}


def test_partial_layouts_map_by_name_whatever_their_order(tmp_path):
    data = moving(num_points=4)
    (tmp_path / "a.pose").write_bytes(
        make_pose(
            [("LEFT_HAND_LANDMARKS", ["INDEX_FINGER_TIP", "WRIST"]), ("POSE_LANDMARKS", ["RIGHT_WRIST", "NOSE"])], data
        )
    )
    clip = read_pose(tmp_path / "a.pose")
    names = ("left_hand.index_tip", "left_hand.wrist", "pose.right_wrist", "pose.nose")
    expected = data[:, 0] * (1 / 480, 1 / 480, 640 / 480)
    np.testing.assert_allclose(clip.points[:, layout.indices(*names)], expected, rtol=1e-5)
    assert np.isfinite(clip.points[..., 0]).sum() == 4 * len(data)
    assert np.isnan(clip.visibility[:, layout.index("pose.left_wrist")]).all()
    assert (clip.visibility[:, layout.index("pose.nose")] == 1).all()


def test_zero_confidence_is_missing_and_never_the_origin(tmp_path):
    data, confidence = moving(), np.ones((10, 1, 3))
    data[4], confidence[4] = 0, 0
    (tmp_path / "a.pose").write_bytes(
        make_pose([("RIGHT_HAND_LANDMARKS", ["WRIST", "THUMB_TIP", "PINKY_TIP"])], data, confidence=confidence)
    )
    clip = read_pose(tmp_path / "a.pose")
    np.testing.assert_array_equal(clip.present("right_hand"), np.arange(10) != 4)


def test_two_dimensions_have_a_flat_z_that_is_marked_as_assumed(tmp_path):
    (tmp_path / "a.pose").write_bytes(
        make_pose([("POSE_LANDMARKS", ["NOSE", "LEFT_EAR"])], moving(num_points=2, dims=2))
    )
    clip = read_pose(tmp_path / "a.pose")
    assert "z" in clip.assumed
    assert (clip.points[:, layout.index("pose.nose"), 2] == 0).all()


def test_an_offset_of_z_is_taken_away_where_the_hips_tell_it(tmp_path):
    data = moving()
    data[..., 2] = (625.0, 625.0, 624.7)
    (tmp_path / "a.pose").write_bytes(make_pose([("POSE_LANDMARKS", ["LEFT_HIP", "RIGHT_HIP", "NOSE"])], data))
    clip = read_pose(tmp_path / "a.pose")
    assert clip.assumed == ("z_origin",)
    np.testing.assert_allclose(clip.points[:, layout.index("pose.nose"), 2], -0.3 * 640 / 480, rtol=1e-3)


def test_iris_and_world_points_are_left_out(tmp_path):
    data = moving(num_points=4)
    (tmp_path / "a.pose").write_bytes(
        make_pose([("FACE_LANDMARKS", ["13", "14", "470"]), ("POSE_WORLD_LANDMARKS", ["NOSE"])], data)
    )
    clip = read_pose(tmp_path / "a.pose")
    assert np.isfinite(clip.points[0, :, 0]).sum() == 2


def test_one_of_several_persons_is_taken_and_said(tmp_path):
    data = moving(people=2)
    points = [("POSE_LANDMARKS", ["NOSE", "LEFT_EAR", "RIGHT_EAR"])]
    (tmp_path / "a.pose").write_bytes(make_pose(points, data))
    outcome = importer.Conversion("test", tmp_path)
    clip = read_pose(tmp_path / "a.pose", person=1, outcome=outcome)
    np.testing.assert_allclose(clip.points[:, 0, :2], data[:, 1, 0, :2] / 480, rtol=1e-5)
    assert any("2 persons" in note for note in outcome.notes)
    with pytest.raises(InputError, match=r"--person is 2, but the file has 2 persons"):
        read_pose(tmp_path / "a.pose", person=2)


def test_version_0_0_files_are_read(tmp_path):
    # Version 0.0 lists the persons of each frame, each with a number; written by hand, for no library writes it now.
    def text(word):
        return struct.pack("<H", len(word)) + word.encode()

    rng = np.random.default_rng(0)
    values = rng.uniform(50, 400, (6, 2, 3)).astype(np.float32)
    values[..., 2] = 0.9
    content = struct.pack("<f3HH", 0.0, 640, 480, 0, 1) + text("POSE_LANDMARKS") + text("XYC")
    content += struct.pack("<3H", 2, 0, 0) + text("NOSE") + text("LEFT_WRIST") + struct.pack("<2H", 30, 6)
    for frame in values:
        content += struct.pack("<Hh", 1, 0) + frame.tobytes()
    (tmp_path / "old.pose").write_bytes(content)
    clip = read_pose(tmp_path / "old.pose")
    assert clip.fps == 30
    np.testing.assert_allclose(clip.points[:, layout.index("pose.left_wrist"), :2], values[:, 1, :2] / 480, rtol=1e-5)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda: b"", "an empty file"),
        (lambda: b"this is a text file named .pose" * 30, r"not a readable \.pose file"),
        (
            lambda: make_pose([("pose_keypoints_2d", ["Nose", "Neck", "RShoulder"])], moving(dims=2)),
            r"OpenPose layout; got components pose_keypoints_2d \(3 points\), needed at least one of POSE_LANDMARKS",
        ),
        (
            lambda: make_pose([("POSE_LANDMARKS", ["NOSE", "NECK", "LEFT_EAR"])], moving()),
            r"1 point that MediaPipe Holistic does not have: POSE_LANDMARKS/NECK",
        ),
        (
            lambda: make_pose([("POSE_LANDMARKS", ["NOSE", "LEFT_EAR", "LEFT_WRIST"])], moving() / 480),
            r"the points span 0\.\d+ in an image 480 pixels high, so they are not in pixels",
        ),
        (
            lambda: make_pose([("POSE_LANDMARKS", ["NOSE", "LEFT_EAR", "LEFT_WRIST"])], moving(), size=(0, 0)),
            "an image of 0x0",
        ),
        (
            lambda: make_pose([("POSE_LANDMARKS", ["NOSE", "LEFT_EAR", "LEFT_WRIST"])], moving(), fps=0),
            "needed a rate above 0: pass --fps",
        ),
        (
            lambda: make_pose(
                [("POSE_LANDMARKS", ["NOSE", "LEFT_EAR", "LEFT_WRIST"])], moving(), confidence=np.zeros((10, 1, 3))
            ),
            "no point was detected in any frame",
        ),
        (
            lambda: make_pose(
                [("LEFT_HAND_LANDMARKS", ["WRIST", "THUMB_TIP", "PINKY_TIP"])],
                np.where(np.arange(3)[None, None, :, None] == 0, 200.0, moving()),
            ),
            "each frame was normalised by itself",
        ),
    ],
    ids=["empty", "text", "openpose", "name", "normalised", "size", "fps", "nobody", "still"],
)
def test_what_cannot_be_used_is_refused(tmp_path, content, message):
    (tmp_path / "a.pose").write_bytes(content())
    with pytest.raises(InputError, match=message):
        read_pose(tmp_path / "a.pose")


@settings(max_examples=60)
@given(cut=st.integers(0, 2000), flip=st.integers(0, 2000), value=st.integers(0, 255))
def test_damaged_files_never_show_a_traceback(tmp_path_factory, cut, flip, value):
    content = bytearray(make_pose([("POSE_LANDMARKS", ["NOSE", "LEFT_EAR", "LEFT_WRIST"])], moving(num_frames=4)))
    content[flip % len(content)] = value
    path = tmp_path_factory.mktemp("damaged") / "a.pose"
    path.write_bytes(content[: max(0, len(content) - cut)] if cut < len(content) else content)
    # Whatever was damaged: either it reads, or it is an InputError; any other error fails the test.
    with contextlib.suppress(InputError):
        assert len(read_pose(path, fps=25.0)) > 0


def test_fps_given_is_used_only_where_the_file_has_none(tmp_path):
    points = [("POSE_LANDMARKS", ["NOSE", "LEFT_EAR", "LEFT_WRIST"])]
    (tmp_path / "none.pose").write_bytes(make_pose(points, moving(), fps=0))
    (tmp_path / "some.pose").write_bytes(make_pose(points, moving(), fps=50))
    assert (read_pose(tmp_path / "none.pose", fps=24).fps, read_pose(tmp_path / "some.pose", fps=24).fps) == (24, 50)
    assert read_pose(tmp_path / "none.pose", fps=24).assumed == ("fps",)


def command(module, *arguments) -> int:
    return cli.run_module(module, "signloom test", [str(argument) for argument in arguments])


def test_a_tree_is_converted_and_bad_files_are_listed(tmp_path, capsys):
    write_pose(random_landmarks(5), tmp_path / "in" / "sub" / "good.pose")
    (tmp_path / "in" / "bad.pose").write_text("not a pose")
    assert command(importer, tmp_path / "in", "--output", tmp_path / "out") == 1
    output = capsys.readouterr()
    assert "1 clip (1 converted), 5 frames converted" in output.out
    assert "left hand 100 %" in output.out
    assert "next: " in output.out
    assert "bad.pose: not a readable .pose file" in output.err
    assert len(Landmarks.load(tmp_path / "out" / "sub" / "good.npz")) == 5


def test_a_second_run_makes_only_what_is_missing_or_out_of_date(tmp_path, capsys):
    for name in "ab":
        write_pose(random_landmarks(5), tmp_path / "in" / f"{name}.pose")
    run = [tmp_path / "in", "--output", tmp_path / "out"]
    assert command(importer, *run) == 0
    stamp = (tmp_path / "out" / "a.npz").stat().st_mtime_ns
    (tmp_path / "out" / "b.npz").unlink()
    assert command(importer, *run) == 0
    assert "1 converted, 1 already there" in capsys.readouterr().out
    assert (tmp_path / "out" / "a.npz").stat().st_mtime_ns == stamp
    write_pose(random_landmarks(7), tmp_path / "in" / "a.pose")
    assert command(importer, *run) == 0
    assert len(Landmarks.load(tmp_path / "out" / "a.npz")) == 7


def test_files_of_another_maker_are_not_replaced(tmp_path, capsys):
    write_pose(random_landmarks(5), tmp_path / "in" / "a.pose")
    replace(random_landmarks(4), source={"extractor": "mediapipe"}).save(tmp_path / "out" / "a.npz")
    assert command(importer, tmp_path / "in", "--output", tmp_path / "out") == 1
    assert "was made by mediapipe; choose another --output or remove it" in capsys.readouterr().err
    assert len(Landmarks.load(tmp_path / "out" / "a.npz")) == 4


def test_sources_that_are_not_there_or_clash_are_named(tmp_path):
    for folder in "ab":
        write_pose(random_landmarks(2), tmp_path / folder / "clip.pose")
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        InputError, match=r"3 faults(.|\n)*would both be written(.|\n)*no such file(.|\n)*no files ending"
    ):
        command(importer, *(tmp_path / name for name in ("a", "b", "gone", "empty")), "--output", tmp_path / "out")


def test_export_writes_a_tree_and_lists_what_is_no_landmark_file(tmp_path, capsys):
    random_landmarks(4).save(tmp_path / "in" / "train" / "a.npz")
    replace(random_landmarks(4), image_size=None).save(tmp_path / "in" / "b.npz")
    np.savez(tmp_path / "in" / "other.npz", numbers=np.zeros(3))
    assert command(export_pose, tmp_path / "in", "--output", tmp_path / "out") == 1
    output = capsys.readouterr()
    assert "2 .pose files, 8 frames" in output.out
    assert "not a landmark file of signloom" in output.err
    assert "1000 x 1000 was written" in output.err
    stored = Landmarks.load(tmp_path / "in" / "train" / "a.npz")
    np.testing.assert_allclose(read_pose(tmp_path / "out" / "train" / "a.pose").points, stored.points, atol=1e-5)
    (tmp_path / "in" / "other.npz").unlink()
    assert command(export_pose, tmp_path / "in", "--output", tmp_path / "out") == 0
    assert "2 more exist already" in capsys.readouterr().out


def test_without_the_library_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pose_format", None)
    with pytest.raises(MissingExtraError, match=r"pip install -e .*\[pose\]"):
        write_pose(random_landmarks(2), tmp_path / "a.pose")
    with pytest.raises(MissingExtraError, match=r"pip install -e .*\[pose\]"):
        command(importer, tmp_path, "--output", tmp_path / "out")


@pytest.mark.parametrize(("name", "num_frames"), [("mediapipe", 170), ("mediapipe_long", 278)])
def test_real_files_agree_with_pose_formats_own_reader(shared_data, name, num_frames):
    path = shared_data / "pose_files" / f"{name}.pose"
    clip = read_pose(path)
    pose = pose_format.Pose.read(path.read_bytes())
    assert len(clip) == num_frames
    assert clip.image_size == (1250, 1250)
    start = checked = 0
    for component in pose.header.components:
        for offset, point in enumerate(component.points):
            theirs = pose.body.data[:, 0, start + offset]
            group = importer.COMPONENTS[component.name]
            ours = next(p for p in layout.POINT_NAMES[layout.GROUPS[group]] if pose_format_name(p) == point)
            mine = clip.points[:, layout.index(ours)]
            np.testing.assert_allclose(mine[:, :2], np.ma.filled(theirs[:, :2] / 1250, np.nan), rtol=1e-5)
            checked += 1
        start += len(component.points)
    assert checked == 178
    assert np.isfinite(clip.points[..., 0]).any(axis=0).sum() == 178 - 21  # The left hand was never found.
    # Around its origin, MediaPipe's z is a fraction of the image: not the hundreds that the file holds.
    assert np.nanmax(np.abs(clip.points[..., 2])) < 3


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mediapipe_hand_normalized", "each frame was normalised by itself"),
    ],
)
def test_real_files_that_cannot_be_used_are_refused(shared_data: Path, name, message):
    with pytest.raises(InputError, match=message):
        read_pose(shared_data / "pose_files" / f"{name}.pose")


@pytest.mark.parametrize("points", [point_lists.OPENPOSE, point_lists.COCO_WHOLEBODY], ids=["openpose", "coco"])
def test_whole_lists_of_other_estimators_are_read(tmp_path: Path, points):
    clip = person()
    values = in_list(points, clip)
    names = next(names for names, listed in importer._LISTS.items() if listed is points)
    components = [(name, [f"{name}_{number}" for number in range(count)]) for name, count in names]
    confidence = np.full((len(clip), 1, points.num_points), 0.75)
    confidence[2, 0, -21:] = 0
    (tmp_path / "a.pose").write_bytes(make_pose(components, values[:, None], confidence=confidence, size=SIZE, fps=0))
    read = read_pose(tmp_path / "a.pose", fps=25.0)
    np.testing.assert_array_equal(read.present("right_hand"), np.arange(len(clip)) != 2)
    confidence[:] = 0.75
    (tmp_path / "a.pose").write_bytes(make_pose(components, values[:, None], confidence=confidence, size=SIZE, fps=30))
    read = read_pose(tmp_path / "a.pose")
    expect_same(read, clip, points)
    assert (read.fps, read.image_size, read.assumed) == (30.0, SIZE, ("z", "pixel_aspect"))


@pytest.mark.parametrize("name", ["example", "openpose"])
def test_real_openpose_files_are_read(shared_data: Path, name):
    read = read_pose(shared_data / "pose_files" / f"{name}.pose")
    assert read.present("pose").all()
    nose, left, right = (
        read.points[:, layout.index(f"pose.{part}")] for part in ("nose", "left_shoulder", "right_shoulder")
    )
    # The signer faces the camera: the nose is above the shoulders, the left shoulder on the right of the image.
    assert np.nanmedian(nose[:, 1]) < np.nanmedian(left[:, 1])
    assert np.nanmedian(left[:, 0]) > np.nanmedian(right[:, 0])
