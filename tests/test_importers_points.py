"""Point lists of other tools: a known person, drawn in each format, comes back; damaged files are refused."""

from __future__ import annotations

import gzip
import json
import re
import shutil
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from formats import (
    SIZE,
    TOLERANCE,
    expect_same,
    in_list,
    openpose_json,
    person,
    to_pickle,
    with_scores,
    write_openpose_frame,
)
from signloom import cli, layout
from signloom.errors import InputError
from signloom.importers import point_lists
from signloom.importers.convert_landmarks import SourceClip, convert, report_conversion
from signloom.importers.keypoints import KeypointSettings, one_person, to_landmarks, with_shape
from signloom.importers.point_lists import COCO_WHOLEBODY, HOLISTIC_75, HOLISTIC_543, ISHARAH_86, OPENPOSE
from signloom.landmarks import Landmarks

LISTS = [value for value in vars(point_lists).values() if isinstance(value, point_lists.PointList)]
GIVEN = KeypointSettings(fps=25.0, image_size=SIZE)


def run(kind, *arguments) -> int:
    return cli.dispatch(["import", kind, *map(str, arguments)])


def at(clip: Landmarks, name: str) -> np.ndarray:
    return clip.points[:, layout.index(name)]


@pytest.mark.parametrize("points", LISTS, ids=lambda points: str(points.num_points))
def test_every_list_is_consistent(points):
    used = [part for parts in points.sources.values() if len(parts) == 1 for part in parts]
    assert len(used) == len(set(used)), "a point of the list stands for two of ours"
    assert all(0 <= part < points.num_points for parts in points.sources.values() for part in parts)
    assert all(layout.POINT_NAMES[layout.index(name)] == name for name in points.sources)


@pytest.mark.parametrize("points", LISTS, ids=lambda points: str(points.num_points))
@pytest.mark.parametrize("unit", ["pixels", "fractions"])
def test_a_person_in_any_list_comes_back(points, unit):
    clip = person()
    values = in_list(points, clip) / (SIZE if unit == "fractions" else 1)
    read = to_landmarks(values, points, GIVEN, scores=np.full(values.shape[:2], 0.75))
    expect_same(read, clip, points)
    assert np.nanmax(read.visibility) == np.nanmin(read.visibility) == 0.75
    assert (read.image_size, read.fps, read.assumed) == (SIZE, 25.0, ("z", "pixel_aspect"))


def test_openpose_points_are_where_pose_formats_list_has_them():
    openpose = pytest.importorskip("pose_format.utils.openpose")
    joint = {"BigToe": "foot_index", **{name: name.lower() for name in "Shoulder Elbow Wrist Hip Knee Ankle".split()}}
    joint |= {name: name.lower() for name in ("Eye", "Ear", "Heel")}
    for place, name in enumerate(openpose.BODY_POINTS):
        side = {"L": "left_", "R": "right_"}[name[0]] if name != "Nose" and name[1:] in joint else ""
        ours = f"pose.{side}{joint[name[1:]]}" if side else f"pose.{name.lower()}"
        assert OPENPOSE.sources.get(ours) == ((place,) if side or name == "Nose" else None)
    # 25 body, 70 face, 21 points per hand.
    assert OPENPOSE.sources["face.127"] == (25,)
    assert OPENPOSE.sources["left_hand.wrist"] == (95,)
    assert OPENPOSE.sources["right_hand.pinky_tip"] == (136,)


def test_isharahs_order_is_right_hand_left_hand_lips_and_body():
    # Counted by hand from the baseline's slices: 0-20, 21-41, 42-60, 61-85.
    expected = {"right_hand.wrist": 0, "right_hand.pinky_tip": 20, "left_hand.wrist": 21, "left_hand.index_tip": 29}
    # The fourth and the last of the sorted lip points.
    expected |= {"face.0": 42, "face.17": 43, "face.39": 45, "face.405": 60}
    expected |= {"pose.nose": 61, "pose.left_shoulder": 72, "pose.right_wrist": 77, "pose.right_hip": 85}
    assert {name: ISHARAH_86.sources[name] for name in expected} == {name: (at,) for name, at in expected.items()}
    assert not {"pose.left_knee", "face.409", "face.78"} & ISHARAH_86.sources.keys()


def test_depth_is_in_units_of_image_height():
    clip = person()
    order = [layout.index(name) for name in HOLISTIC_75.sources]
    # MediaPipe: x by the width, y by the height, z by the width.
    values = clip.points[:, order].astype(np.float64) / (4 / 3, 1, 4 / 3)
    read = to_landmarks(values, HOLISTIC_75, GIVEN)
    expect_same(read, clip, HOLISTIC_75, depth=True)
    assert "z" not in read.assumed


def test_missing_points_are_zeros_minus_ones_or_nan_without_scores_and_low_scores_with_them():
    values = in_list(ISHARAH_86, person())
    values[0, :21], values[1, :21], values[2, :21] = 0, -1, np.nan
    read = to_landmarks(values, ISHARAH_86, GIVEN)
    np.testing.assert_array_equal(read.present("right_hand"), np.arange(6) > 2)
    assert read.present("left_hand").all()
    scores = np.full(values.shape[:2], 0.9)
    scores[3, :21], scores[4, 21:42] = 0, np.nan
    read = to_landmarks(np.nan_to_num(values), ISHARAH_86, replace(GIVEN, min_score=0.5), scores=scores)
    assert not read.present("right_hand")[3]
    np.testing.assert_array_equal(read.present("left_hand"), np.arange(6) != 4)


def test_what_is_not_given_is_assumed_and_recorded():
    values = in_list(COCO_WHOLEBODY, person())
    pixels = to_landmarks(values, COCO_WHOLEBODY, KeypointSettings())
    assert pixels.assumed == ("z", "pixel_aspect", "fps", "image_size")
    assert pixels.image_size == tuple(np.ceil(values.max(axis=(0, 1))))
    shares = to_landmarks(values / SIZE, COCO_WHOLEBODY, KeypointSettings())
    assert (shares.image_size, shares.fps) == ((1280, 720), 25.0)
    assert to_landmarks(in_list(ISHARAH_86, person()), ISHARAH_86, KeypointSettings()).fps == 30.0


def relative_to(values: np.ndarray, place: int) -> np.ndarray:
    return values - values[:, place : place + 1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v[:, :79], r"shape \(6, 79, 2\), needed \(T, 133, 2\): the points of COCO-WholeBody"),
        (lambda v: v[:0], "0 frames"),
        (lambda v: np.zeros_like(v), "nothing was detected in any frame"),
        (lambda v: v.astype(str), "needed numbers"),
        (lambda v: list(v), "keypoints are a list"),
        (lambda v: relative_to(v, 0), "relative to a point of the body, or were normalised"),
        (lambda v: relative_to(v, 0) / 120, "relative to a point of the body, or were normalised"),
        (lambda v: (v - v.mean((0, 1))) / v.std((0, 1)), "relative to a point of the body, or were normalised"),
        (lambda v: 2 + v / 480, "are above 1.5: they are relative"),
        (lambda v: 20 + v / 200, "too little for pixels, too much for fractions"),
        (lambda v: 3 * v, "exceed an image of 640x480; give the size .* as --image_size"),
    ],
    ids="width empty nothing text list nose nose_scaled zscore offset small large".split(),
)
def test_what_are_no_keypoints_of_an_image_is_refused(change, message):
    with pytest.raises(InputError, match=message):
        to_landmarks(change(in_list(COCO_WHOLEBODY, person())), COCO_WHOLEBODY, GIVEN)


def test_low_scores_name_the_option():
    values = in_list(COCO_WHOLEBODY, person())
    with pytest.raises(InputError, match=r"score of 0\.3 or more; lower --min_score"):
        to_landmarks(values, COCO_WHOLEBODY, GIVEN, scores=np.full(values.shape[:2], 0.2))
    with pytest.raises(InputError, match="scores of shape"):
        to_landmarks(values, COCO_WHOLEBODY, GIVEN, scores=np.ones(5))


# People: three frames, one signer in the middle, a smaller passer-by who is listed first now and then.
def two_people() -> tuple[np.ndarray, np.ndarray]:
    signer = with_scores(in_list(OPENPOSE, person()))
    passer = with_scores(in_list(OPENPOSE, person(seed=1)))
    passer[..., :2] = passer[..., :2] * 0.3 + (10, 200)
    return signer, passer


def test_the_largest_person_is_followed_whatever_the_order():
    signer, passer = two_people()
    frames = [np.stack([signer[t], passer[t]][:: (-1) ** t]) for t in range(6)]
    frames[2] = passer[2:3]
    frames[4] = np.zeros((0, 137, 3))
    first, several = one_person(frames)
    second, _ = one_person(frames, person=1)
    np.testing.assert_array_equal(first[[0, 1, 3, 5]], signer[[0, 1, 3, 5]])
    np.testing.assert_array_equal(second[[0, 1, 2, 3, 5]], passer[[0, 1, 2, 3, 5]])
    assert not first[[2, 4]].any()
    assert not second[4].any()
    assert several == 4
    with pytest.raises(InputError, match=r"2 people were found in its 6 frames; --person is 2"):
        one_person(frames, person=2)
    with pytest.raises(InputError, match="nobody was found"):
        one_person([np.zeros((0, 137, 3))] * 3)


def test_a_person_lost_for_a_while_stays_one_person():
    signer, _ = two_people()
    moved = signer.copy()
    moved[4:, :, 0] += 250
    frames = [moved[t : t + 1] if t != 3 else np.zeros((0, 137, 3)) for t in range(6)]
    found, several = one_person(frames)
    np.testing.assert_array_equal(found[[0, 1, 2, 4, 5]], moved[[0, 1, 2, 4, 5]])
    assert several == 0


# Files.


def test_pickles_of_one_clip_as_uni_sign_and_rtmlib_write_them(tmp_path, capsys):
    clip = person()
    values = in_list(COCO_WHOLEBODY, clip)
    scores = np.full(values.shape[:2], 0.75)
    frames, frame_scores = [frame[None] for frame in values / SIZE], [score[None] for score in scores]
    to_pickle(tmp_path / "in/unisign.pkl", {"keypoints": frames, "scores": frame_scores})
    pixels = [frame[None] for frame in values]
    to_pickle(tmp_path / "in/sized.pkl", {"keypoints": pixels, "scores": frame_scores, "w_h": SIZE, "fps": 30})
    to_pickle(tmp_path / "in/arrays.pkl", {"keypoints": values, "scores": scores})
    to_pickle(tmp_path / "in/train/plain.pickle", with_scores(values))
    arguments = (tmp_path / "in", "--output", tmp_path / "out", "--image_size", "640x480", "--fps", "25")
    assert run("coco_wholebody", *arguments) == 0
    names = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.npz")}
    assert names == {"unisign.npz", "sized.npz", "arrays.npz", "train/plain.npz"}
    for name in names:
        expect_same(Landmarks.load(tmp_path / "out" / name), clip, COCO_WHOLEBODY)
    assert run("coco_wholebody", *arguments) == 0
    assert "0 converted, 4 already there" in capsys.readouterr().out
    # Without options, what the file says holds.
    assert run("coco_wholebody", tmp_path / "in/sized.pkl", "--output", tmp_path / "own") == 0
    own = Landmarks.load(tmp_path / "own/sized.npz")
    assert (own.image_size, own.fps, own.assumed) == (SIZE, 30.0, ("z", "pixel_aspect"))


def test_several_people_in_a_pickle(tmp_path, capsys):
    clip = person()
    signer = in_list(COCO_WHOLEBODY, clip)
    other = signer * 0.3 + (10, 200)
    frames = [np.stack([other[t], signer[t]]) for t in range(6)]
    to_pickle(tmp_path / "lists.pkl", {"keypoints": frames, "scores": [np.full((2, 133), 0.9)] * 6})
    np.savez(tmp_path / "array.npz", keypoints=np.stack(frames))
    options = ("--image_size", "640x480", "--fps", "25")
    assert run("coco_wholebody", tmp_path, "--output", tmp_path / "out", *options) == 0
    assert "several people in some frames; the largest was followed (another: --person 1) (2 times)" in (
        capsys.readouterr().err
    )
    for name in ("lists", "array"):
        expect_same(Landmarks.load(tmp_path / "out" / f"{name}.npz"), clip, COCO_WHOLEBODY)
    second = ("--output", tmp_path / "second", "--person", "1", *options)
    assert run("coco_wholebody", tmp_path / "lists.pkl", *second) == 0
    nose = at(Landmarks.load(tmp_path / "second/lists.npz"), "pose.nose")[:, :2]
    np.testing.assert_allclose(nose, other[:, 0] / 480, atol=TOLERANCE)
    assert run("coco_wholebody", tmp_path / "lists.pkl", "--output", tmp_path / "x", "--person", "2") == 1
    assert "lists.pkl: 2 people were found in its 6 frames" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"keypoints": [], "scores": []}, "0 frames"),
        ({"keypoints": [None, None]}, "nobody was found in any frame"),
        ({"keypoints": [np.ones((1, 133, 2)), np.ones((1, 17, 2))]}, "frames of different shapes"),
        ({"keypoints": [np.ones((1, 133, 2))] * 2, "scores": [np.ones((1, 133))]}, "2 frames of keypoints, but 1 of"),
        ({"keypoints": [np.ones((1, 133, 2))] * 2, "scores": [np.ones((1, 5))] * 2}, "scores of shape"),
        (
            {"keypoints": np.ones((4, 17, 3))},
            r"\(4, 17, 3\), needed \(T, 133, 2\) or \(T, 134, 2\): 133 points of COCO",
        ),
        ({"keypoints": np.ones((4, 133, 5))}, "needed 133 points of 2 to 3 values each"),
        ({"keypoints": np.ones((4, 133, 2)) * 9, "w_h": (640,)}, r"image size \(640,\); needed width and height"),
        ({"keypoints": np.ones((4, 133, 2)) * 9, "fps": 0}, "frame rate 0; needed frames per second"),
        ("text", "a pickle of a str; needed a dictionary of clips"),
        ({}, "a pickle of a dict; needed a dictionary of clips"),
        ({"a": {"numbers": np.ones(3)}}, r"\(a\): holds numbers; needed keypoints"),
    ],
)
def test_pickles_of_other_things_are_refused_with_the_reason(tmp_path, capsys, content, message):
    to_pickle(tmp_path / "a.pkl", content)
    assert run("coco_wholebody", tmp_path / "a.pkl", "--output", tmp_path / "out") == 1
    error = capsys.readouterr().err
    assert re.search(message, error), error


def test_isharah_pickles(tmp_path, capsys):
    clips = {"01_0001": person(), "02_0001": person(seed=1)}
    content = {name: {"keypoints": in_list(ISHARAH_86, clip).astype(np.float32)} for name, clip in clips.items()}
    path = to_pickle(tmp_path / "pose_data_isharah1000_hands_lips_body.pkl", content)
    (tmp_path / "packed.pkl.gz").write_bytes(gzip.compress(path.read_bytes()))
    for source in (path, tmp_path / "packed.pkl.gz"):
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        assert run("isharah86", source, "--output", tmp_path / "out", "--image_size", "640x480") == 0
        assert "signloom import isharah --annotations ANNOTATIONS --landmarks" in capsys.readouterr().out
        for name, clip in clips.items():
            expect_same(Landmarks.load(tmp_path / "out" / f"{name}.npz"), clip, ISHARAH_86)
    assert Landmarks.load(tmp_path / "out/01_0001.npz").assumed == ("z", "pixel_aspect", "fps")
    to_pickle(tmp_path / "other.pkl", {"a": {"keypoints": np.ones((3, 133, 2))}})
    assert run("isharah86", tmp_path / "other.pkl", "--output", tmp_path / "out") == 1
    assert "(a): an array of shape (3, 133, 2), needed (T, 86, 2): 86 points of Isharah" in capsys.readouterr().err


def test_openhands_pickles_and_arrays(tmp_path, capsys):
    clip = person()
    fractions = clip.points.astype(np.float64) / (4 / 3, 1, 4 / 3)
    kept = fractions[:, [layout.index(name) for name in HOLISTIC_75.sources]]
    confidences = np.full(kept.shape[:2], 0.75)
    kept[2, 33:54], confidences[2, 33:54] = 0, 0
    to_pickle(tmp_path / "in/Animals/Dog/MVI_1.pkl", {"keypoints": kept, "confidences": confidences})
    every = fractions[:, [layout.index(name) for name in HOLISTIC_543.sources]]
    np.save(tmp_path / "in/all.npy", with_scores(every))
    assert run("openhands", tmp_path / "in", "--output", tmp_path / "out", "--image_size", "640x480") == 0
    assert f"signloom import clips {tmp_path / 'out'}" in capsys.readouterr().out
    read = Landmarks.load(tmp_path / "out/Animals/Dog/MVI_1.npz")
    np.testing.assert_array_equal(read.present("left_hand"), np.arange(6) != 2)
    np.testing.assert_allclose(read.points[0, :75], clip.points[0, :75], atol=TOLERANCE)
    np.testing.assert_allclose(read.visibility, 0.75)
    expect_same(Landmarks.load(tmp_path / "out/all.npz"), clip, HOLISTIC_543, depth=True)


def test_a_third_column_with_negative_values_is_no_score(tmp_path):
    values = in_list(ISHARAH_86, person())
    depth = np.linspace(-0.5, 0.5, values.shape[0] * 86).reshape(-1, 86, 1)
    to_pickle(tmp_path / "a.pkl", {"01_0001": np.concatenate([values, depth], axis=-1)})
    assert run("isharah86", tmp_path / "a.pkl", "--output", tmp_path / "out", "--image_size", "640x480") == 0
    expect_same(Landmarks.load(tmp_path / "out/01_0001.npz"), person(), ISHARAH_86)


def test_zeros_are_missing_whatever_their_score(tmp_path):
    values = in_list(COCO_WHOLEBODY, person())
    values[2, 91:112] = 0
    read = to_landmarks(values, COCO_WHOLEBODY, GIVEN, scores=np.ones(values.shape[:2]))
    np.testing.assert_array_equal(read.present("left_hand"), np.arange(6) != 2)


def test_openpose_frames_with_the_person_without_a_list(tmp_path):
    folder = openpose_json(tmp_path / "clip1", with_scores(in_list(OPENPOSE, person())))
    for path in folder.iterdir():
        content = json.loads(path.read_text())
        path.write_text(json.dumps({**content, "people": content["people"][0]}))
    assert run("openpose", folder, "--output", tmp_path / "out", "--image_size", "640x480") == 0
    expect_same(Landmarks.load(tmp_path / "out/clip1.npz"), person(), OPENPOSE)


def test_openpose_folders(tmp_path, capsys):
    clip = person()
    values = with_scores(in_list(OPENPOSE, clip))
    openpose_json(tmp_path / "in/clip1", values)
    # Two clips in a folder, one of them counted from 1; a clip in a folder of another name.
    openpose_json(tmp_path / "in/flat", values, clip="a", first=1)
    openpose_json(tmp_path / "in/flat", values, clip="b_2", first=120)
    options = ("--image_size", "640x480", "--fps", "25")
    assert run("openpose", tmp_path / "in", "--output", tmp_path / "out", *options) == 0
    names = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.npz")}
    assert names == {"clip1.npz", "flat/a.npz", "flat/b_2.npz"}
    for name in names:
        expect_same(Landmarks.load(tmp_path / "out" / name), clip, OPENPOSE)
    # The folder of a clip is named like the clip.
    assert run("openpose", tmp_path / "in/clip1", "--output", tmp_path / "out", *options) == 0
    assert "0 converted, 1 already there" in capsys.readouterr().out
    # A changed frame is seen.
    write_openpose_frame(tmp_path / "in/clip1/clip1_000000000003_keypoints.json", [])
    assert run("openpose", tmp_path / "in", "--output", tmp_path / "out", *options) == 0
    assert "3 clips (1 converted, 2 already there)" in capsys.readouterr().out
    np.testing.assert_array_equal(Landmarks.load(tmp_path / "out/clip1.npz").present("pose"), np.arange(6) != 3)


def test_openpose_people_and_gaps(tmp_path, capsys):
    signer, passer = two_people()
    folder = openpose_json(tmp_path / "clip1", signer)
    write_openpose_frame(folder / "clip1_000000000001_keypoints.json", [passer[1], signer[1]])
    (folder / "clip1_000000000004_keypoints.json").unlink()
    assert run("openpose", folder, "--output", tmp_path / "out", "--image_size", "640x480") == 0
    error = capsys.readouterr().err
    assert "note: several people in some frames; the largest was followed" in error
    assert "note: a frame between the others has no file; kept as a frame without points" in error
    read = Landmarks.load(tmp_path / "out/clip1.npz")
    assert len(read) == 6
    np.testing.assert_array_equal(read.present("pose"), np.arange(6) != 4)
    np.testing.assert_allclose(read.points[1, 0, :2], person().points[1, 0, :2], atol=TOLERANCE)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "clip1_000000000002_keypoints.json: not JSON"),
        ("[]", "no list 'people'"),
        ('{"people": [], "people": []}', "key 'people' occurs twice"),
        (json.dumps({"people": [3]}), "a person that is a int"),
        (json.dumps({"people": [{"pose_keypoints_2d": [1.0] * 51}]}), "has 51 numbers; needed 75 or 54"),
        (json.dumps({"people": [{"pose_keypoints_2d": ["x"] * 75}]}), "has 0 numbers; needed 75 or 54"),
        (
            json.dumps({"people": [{"hand_left_keypoints_2d": [1.0]}]}),
            "hand_left_keypoints_2d has 1 number; needed 63",
        ),
    ],
)
def test_damaged_openpose_files_are_refused(tmp_path, capsys, text, message):
    folder = openpose_json(tmp_path / "clip1", with_scores(in_list(OPENPOSE, person())))
    (folder / "clip1_000000000002_keypoints.json").write_text(text)
    assert run("openpose", folder, "--output", tmp_path / "out") == 1
    error = capsys.readouterr().err
    assert message in error
    assert f"{folder}" in error


def test_openpose_sources_without_frames_or_with_two_of_one_number(tmp_path):
    (tmp_path / "empty").mkdir()
    folder = openpose_json(tmp_path / "clip1", with_scores(in_list(OPENPOSE, person())))
    shutil.copy(folder / "clip1_000000000002_keypoints.json", folder / "clip1_2_keypoints.json")
    with pytest.raises(InputError) as caught:
        run("openpose", tmp_path / "empty", folder, tmp_path / "none", "--output", tmp_path / "out")
    assert "empty: no frames <clip>_<number>_keypoints.json" in str(caught.value)
    assert "two files of frame 2 of clip1" in str(caught.value)
    assert "none: no such file or folder" in str(caught.value)


def test_a_dry_run_shows_what_it_would_write_and_writes_nothing(tmp_path, capsys):
    clip = person()
    for number in range(7):
        to_pickle(tmp_path / f"in/c{number}.pkl", {"keypoints": in_list(COCO_WHOLEBODY, clip)})
    to_pickle(tmp_path / "in/bad.pkl", {"keypoints": np.ones((4, 17, 3))})
    output = tmp_path / "out"
    assert run("coco_wholebody", tmp_path / "in", "--output", output, "--dry_run") == 1
    shown = capsys.readouterr()
    assert f"{output}: 7 clips would be written, 42 frames" in shown.out
    assert "c0.npz: 6 frames from" in shown.out
    assert "and 2 more" in shown.out
    assert "dry run: nothing was written" in shown.out
    assert "bad.pkl: an array of shape (4, 17, 3)" in shown.err
    assert "assumed, not given by the source: fps (7 clips)" in shown.err
    assert not output.exists()
    assert run("coco_wholebody", tmp_path / "in/c0.pkl", "--output", output) == 0
    before = {path: path.stat().st_mtime_ns for path in output.rglob("*")}
    capsys.readouterr()
    assert run("coco_wholebody", tmp_path / "in/c0.pkl", tmp_path / "in/c1.pkl", "--output", output, "--dry_run") == 0
    assert "1 clip would be written, 1 already there" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in output.rglob("*")} == before


@pytest.mark.parametrize(
    ("kind", "source", "clips"),
    [
        ("coco_wholebody", "unisign", 2),
        ("coco_wholebody", "perclip", 2),
        ("isharah86", "pose_data_isharah.pkl", 2),
        ("openhands", "openhands", 1),
        ("openpose", "openpose", 1),
    ],
)
def test_real_kinds_of_files(shared_data, tmp_path, kind, source, clips):
    assert run(kind, shared_data / "door/pickles" / source, "--output", tmp_path) == 0
    read = [Landmarks.load(path) for path in tmp_path.rglob("*.npz")]
    assert len(read) == clips
    assert all(clip.present("pose").all() and clip.present("right_hand").all() for clip in read)


def test_the_shape_of_the_image_is_estimated_from_fractions(tmp_path, capsys):
    clips = [person(30, seed) for seed in range(2)]
    order = [layout.index(name) for name in HOLISTIC_75.sources]
    for number, clip in enumerate(clips):
        values = clip.points[:, order].astype(np.float64) / (4 / 3, 1, 4 / 3)
        to_pickle(tmp_path / f"in/{number}.pkl", {"keypoints": values, "confidences": np.ones(values.shape[:2])})
    assert run("openhands", tmp_path / "in", "--output", tmp_path / "out", "--fps", "25") == 0
    error = capsys.readouterr().err
    assert "images of 4:3, estimated: head and trunk would be usual in an image of" in error
    assert "estimated, not given by the source: image_size (2 clips)" in error
    read = Landmarks.load(tmp_path / "out/1.npz")
    expect_same(read, clips[1], HOLISTIC_75, depth=True)
    assert (read.image_size, read.source["estimated"]) == ((640, 480), {"image_size": "4:3"})
    assert "image_size" in read.assumed
    # A given size is taken as it is.
    options = ("--output", tmp_path / "given", "--fps", "25", "--image_size", "1280x720")
    assert run("openhands", tmp_path / "in", *options) == 0
    assert Landmarks.load(tmp_path / "given/1.npz").image_size == (1280, 720)


def test_a_pickle_with_another_content_under_the_same_path_is_read_again(tmp_path):
    for seed in (0, 1):
        path = to_pickle(tmp_path / "a.pkl", {"keypoints": in_list(COCO_WHOLEBODY, person(seed=seed))})
        assert run("coco_wholebody", path, "--output", tmp_path / "out", "--image_size", "640x480") == 0
        expect_same(Landmarks.load(tmp_path / "out/a.npz"), person(seed=seed), COCO_WHOLEBODY)


@pytest.mark.slow
def test_the_shapes_of_real_peoples_images(shared_data):
    # Six of the seven had cameras of 640x480, p6 one of 1280x720. Points of the pose only.
    with np.load(shared_data / "people" / "people.npz") as data:
        frames, start, length, group = (data[name] for name in ("frames", "start", "length", "group"))
    for name in sorted(set(group.tolist())):
        sample = []
        for clip in np.flatnonzero(group == name)[:8]:
            pose = frames[start[clip] : start[clip] + length[clip], :132].astype(np.float64).reshape(-1, 33, 4)
            values = np.concatenate([pose[..., :3], np.zeros((len(pose), 42, 3))], axis=1)
            sample.append(partial(to_landmarks, values, HOLISTIC_75, KeypointSettings()))
        assert with_shape(KeypointSettings(), sample, name).shape in ("16:9" if name == "p6" else "4:3", None)


@pytest.mark.parametrize("points", LISTS, ids=lambda points: str(points.num_points))
def test_no_list_of_a_healthy_person_is_warned_of(points, tmp_path, capsys):
    clip = person(30)
    read = to_landmarks(in_list(points, clip), points, GIVEN)
    outcome = convert(
        [(tmp_path / "a", "a")], tmp_path / "out", lambda path, _: [SourceClip(None, lambda: read)],
        importer="test", settings={}, digest=lambda path: "",
    )  # fmt: skip
    with_shape(GIVEN, [lambda: read], "a")
    report_conversion(outcome)
    assert "warning" not in capsys.readouterr().err


def test_what_is_no_person_is_warned_of(tmp_path, capsys):
    values = in_list(COCO_WHOLEBODY, person(30))
    turned = values.copy()
    turned[..., 1] = 1000 - turned[..., 1]
    to_pickle(tmp_path / "turned.pkl", {"keypoints": turned})
    assert run("coco_wholebody", tmp_path / "turned.pkl", "--output", tmp_path / "out") == 0
    assert "warning: these points are no person (the body is upside down" in capsys.readouterr().err
    # x by the height of the image and y by its width, as OpenHands' script for arrays does.
    exchanged = in_list(HOLISTIC_75, person(30)) / SIZE * SIZE[::-1]
    to_pickle(tmp_path / "exchanged.pkl", {"keypoints": exchanged})
    assert run("openhands", tmp_path / "exchanged.pkl", "--output", tmp_path / "out") == 0
    assert "exchanged.pkl: the points are stretched: a pose would be usual if it were 1." in capsys.readouterr().err
