"""MediaPipe Tasks JSON, SPOTER tables and Kaggle's asl-signs: a known person comes back; damaged files are refused."""

from __future__ import annotations

import csv
import json
import re

import numpy as np
import pytest

from formats import SIZE, TOLERANCE, asl_signs_folder, fractions, person, spoter_table, tasks_frames
from signloom import cli, layout
from signloom.corpus import Corpus
from signloom.errors import InputError
from signloom.importers.spoter import POINTS
from signloom.landmarks import Landmarks


def run(kind, *arguments) -> int:
    return cli.dispatch(["import", kind, *map(str, arguments)])


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def read_tasks(tmp_path, content, *options) -> Landmarks:
    path = write(tmp_path / "in/clip.json", content)
    assert run("mediapipe_tasks", path, "--output", tmp_path / "out", "--image_size", "640x480", *options) == 0
    return Landmarks.load(tmp_path / "out/clip.npz")


@pytest.mark.parametrize("style", ["javascript", "python", "nested", "lists", "short"])
def test_tasks_results_of_all_landmarkers_come_back(tmp_path, style):
    clip = person()
    read = read_tasks(tmp_path, {"frames": tasks_frames(clip, style), "fps": 25})
    np.testing.assert_allclose(read.points, clip.points, atol=TOLERANCE)
    np.testing.assert_allclose(read.visibility, 0.75 if style != "lists" else np.nan, atol=1e-3)
    assert (read.fps, read.image_size, read.assumed) == (25.0, SIZE, ("pixel_aspect",))


def hand_frames(clip, *, labels=("Left", "Right"), pose=True) -> list[dict]:
    """Results of the hand landmarker, left hand first, under these labels; and of the pose landmarker."""
    values = fractions(clip)
    sets = [[{"x": x, "y": y, "z": z} for x, y, z in values[:, layout.GROUPS[side]][t].tolist()]
            for t in range(len(clip)) for side in ("left_hand", "right_hand")]  # fmt: skip
    frames = []
    for t in range(len(clip)):
        frame = {
            "landmarks": sets[2 * t : 2 * t + 2],
            "worldLandmarks": [sets[2 * t]],
            "handedness": [[{"score": 0.9, "index": 0, "categoryName": label}] for label in labels],
        }
        if pose:
            frame["poseLandmarks"] = [
                [{"x": x, "y": y, "z": z, "visibility": 0.5} for x, y, z in values[t, :33].tolist()]
            ]
        frames.append(frame)
    return frames


def test_hands_go_to_the_wrists_of_the_pose_whatever_handedness_says(tmp_path, capsys):
    clip = person()
    read = read_tasks(tmp_path, hand_frames(clip, labels=("Right", "Left")))
    np.testing.assert_allclose(read.points[:, :75], clip.points[:, :75], atol=TOLERANCE)
    assert "handedness names another hand than the nearer wrist of the pose does" in capsys.readouterr().err


def test_handedness_decides_without_a_pose(tmp_path, capsys):
    clip = person()
    frames = hand_frames(clip, pose=False)
    read = read_tasks(tmp_path, frames)
    np.testing.assert_allclose(read.points[:, 33:75], clip.points[:, 33:75], atol=TOLERANCE)
    assert "--swap_hands true" in capsys.readouterr().err
    read = read_tasks(tmp_path, frames, "--swap_hands", "true")
    np.testing.assert_allclose(read.points[:, 33:54], clip.points[:, 54:75], atol=TOLERANCE)
    # Two hands of one person that are both called right.
    read = read_tasks(tmp_path, hand_frames(clip, labels=("Right", "Right"), pose=False))
    assert read.present("left_hand").all()
    assert read.present("right_hand").all()


@pytest.mark.parametrize(
    ("unit", "key"), [(1.0, "timestamp"), (1e3, "timestampMs"), (1e3, "timestamp"), (1e6, "timestamp")]
)
def test_time_stamps_are_the_times_of_the_frames(tmp_path, unit, key):
    clip = person()
    times = np.array([5.0, 5.04, 5.08, 5.28, 5.32, 5.36])
    frames = [{**frame, key: time * unit} for frame, time in zip(tasks_frames(clip), times, strict=True)]
    read = read_tasks(tmp_path, frames)
    np.testing.assert_allclose(read.seconds, times - 5, atol=1e-6)
    assert "fps" not in read.assumed


def test_time_stamps_that_stand_still_need_a_frame_rate(tmp_path):
    frames = [
        {**frame, "timestamp": time} for frame, time in zip(tasks_frames(person(3)), (0, 0.04, 0.04), strict=True)
    ]
    write(tmp_path / "in/clip.json", frames)
    assert run("mediapipe_tasks", tmp_path / "in", "--output", tmp_path / "again") == 1
    assert read_tasks(tmp_path, frames, "--fps", "25").has_even_times


def test_parts_that_some_frames_lack_are_missing(tmp_path):
    frames = tasks_frames(person())
    frames[1]["leftHandLandmarks"] = []
    frames[2]["faceLandmarks"] = None
    del frames[3]["poseLandmarks"]
    frames[4] = {"timestamp": None}
    read = read_tasks(tmp_path, frames)
    np.testing.assert_array_equal(read.present("left_hand"), [True, False, True, True, False, True])
    np.testing.assert_array_equal(read.present("face"), [True, True, False, True, False, True])
    np.testing.assert_array_equal(read.present("pose"), [True, True, True, False, False, True])


def test_the_irises_of_a_refined_face_are_left_out(tmp_path):
    clip = person()
    frames = tasks_frames(clip)
    for frame in frames:
        frame["faceLandmarks"][0] += [{"x": 0.5, "y": 0.5, "z": 0.0}] * 10
    np.testing.assert_allclose(read_tasks(tmp_path, frames).points, clip.points, atol=TOLERANCE)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "0 frames"),
        ({"frames": 3}, "no list of frames"),
        ([[1, 2]], "no list of frames"),
        ([{"frame": 1}], "no landmarks in any frame"),
        ([{"landmarks": [[{"x": 0.1, "y": 0.2}] * 20]}], "frame 0: landmarks has 20 points; needed 21, 33, 468, 478"),
        ([{"landmarks": [[{"x": 0.1, "y": "a"}] * 21]}], "frame 0: a landmark"),
        ([{"landmarks": "text"}], "landmarks that are a str"),
        ([{"landmarks": [[{"x": 0.1, "y": 0.2}] * 21]}], "hands without handedness and without a pose"),
        ([{"landmarks": [[{"x": 0.1, "y": 0.2}] * 21], "handedness": []}], "hands without handedness"),
        (
            [{"landmarks": [[{"x": 0.1, "y": 0.2}] * 21], "handedness": [[{"categoryName": "Right"}]] * 2}],
            "1 hand, but 2 handednesses",
        ),
        (
            [{"landmarks": [[{"x": 0.1, "y": 0.2}] * 21], "handedness": [[{"categoryName": "A"}]]}],
            "needed Left or Right",
        ),
    ],
)
def test_other_json_is_refused_with_the_reason(tmp_path, capsys, content, message):
    path = write(tmp_path / "clip.json", content)
    assert run("mediapipe_tasks", path, "--output", tmp_path / "out") == 1
    error = capsys.readouterr().err
    assert re.search(message, error), error
    path.write_text("{")
    assert run("mediapipe_tasks", path, "--output", tmp_path / "out") == 1
    assert "clip.json: not JSON" in capsys.readouterr().err


# SPOTER.


def only(points) -> np.ndarray:
    covered = np.zeros(layout.NUM_POINTS, dtype=bool)
    covered[[layout.index(name) for name in points]] = True
    return covered


@pytest.mark.parametrize("upwards", [False, True], ids=["mediapipe", "vision"])
def test_a_spoter_table_becomes_a_corpus_of_clips(tmp_path, capsys, upwards):
    clips = {"book": person(), "3.0": person(seed=1)}
    table = spoter_table(tmp_path / "WLASL100_train.csv", clips, upwards=upwards)
    assert run("spoter", table, "--output", tmp_path / "out") == 0
    assert ("y counts upwards" in capsys.readouterr().err) == upwards
    corpus = Corpus.open(tmp_path / "out")
    assert [item.glosses for item in corpus] == [("book",), ("3",)]
    covered = only(POINTS.values())
    # 11 of the body and 21 of each hand.
    assert covered.sum() == 53
    for item, clip in zip(corpus, clips.values(), strict=True):
        read = corpus.load(item)
        assert np.isnan(read.points[:, ~covered]).all()
        np.testing.assert_allclose(read.points[:, covered, :2], clip.points[:, covered, :2], atol=TOLERANCE)
        assert (read.fps, read.image_size, read.assumed) == (25.0, SIZE, ("z", "pixel_aspect"))


def test_a_folder_of_spoter_tables_is_read_whole(tmp_path):
    (tmp_path / "tables").mkdir()
    for name in ("a", "b"):
        spoter_table(tmp_path / "tables" / f"{name}.csv", {name: person()})
    assert run("spoter", tmp_path / "tables", "--output", tmp_path / "out") == 0
    assert {item.glosses for item in Corpus.open(tmp_path / "out")} == {("a",), ("b",)}
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no .csv files in this folder"):
        run("spoter", tmp_path / "empty", "--output", tmp_path / "other")


def test_hands_of_spoters_loader_are_0_and_1(tmp_path):
    table = spoter_table(tmp_path / "a.csv", {"book": person()})
    table.write_text(re.sub("_(left|right)_", lambda side: f"_{['left', 'right'].index(side[1])}_", table.read_text()))
    assert run("spoter", table, "--output", tmp_path / "out") == 0
    read = next(iter(Corpus.open(tmp_path / "out")))
    points = Corpus.open(tmp_path / "out").load(read).points
    np.testing.assert_allclose(points[:, 33, :2], person().points[:, 33, :2], atol=TOLERANCE)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[1].__setitem__(0, "[0.1, 0.2"), r"row 1: .* is '\[0.1, 0.2'; needed a list of numbers"),
        (lambda rows: rows[1].__setitem__(0, "__import__('os')"), "needed a list of numbers"),
        (lambda rows: rows[1].__setitem__(0, "[0.1]"), "1 number in .*, 6 in others"),
        (lambda rows: rows[1].pop(), "row 1: another number of fields"),
        (lambda rows: rows[0].__setitem__(rows[0].index("labels"), "label"), "no column labels or no points"),
        (lambda rows: rows[0].__setitem__(0, "other"), "without the other coordinate"),
        (lambda rows: rows.pop(), "no rows below the column names"),
        (lambda rows: rows.clear(), "no column labels or no points; got nothing"),
    ],
    ids="bracket code length fields label pair rows empty".split(),
)
def test_damaged_spoter_tables_are_refused(tmp_path, change, message):
    path = spoter_table(tmp_path / "a.csv", {"book": person()})
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    change(rows)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    with pytest.raises(InputError, match=message):
        run("spoter", path, "--output", tmp_path / "out")
    assert not (tmp_path / "out").exists()


# Kaggle.


def test_asl_signs_become_a_corpus_of_clips(tmp_path):
    pytest.importorskip("pyarrow")
    clips = {("26734", "1000035562", "blow"): person(), ("28656", "1000106739", "wait"): person(seed=1)}
    root = asl_signs_folder(tmp_path / "asl-signs", clips, first_frame=20)
    assert run("asl_signs", root, "--output", tmp_path / "out", "--image_size", "640x480") == 0
    corpus = Corpus.open(tmp_path / "out")
    assert [(item.signer, *item.glosses) for item in corpus] == [("26734", "blow"), ("28656", "wait")]
    for item, clip in zip(corpus, clips.values(), strict=True):
        read = corpus.load(item)
        np.testing.assert_allclose(read.points, clip.points, atol=TOLERANCE)
        assert (read.fps, read.assumed) == (30.0, ("pixel_aspect", "fps"))


def test_the_shape_of_a_participants_images_is_estimated(tmp_path, capsys):
    pytest.importorskip("pyarrow")
    root = asl_signs_folder(tmp_path / "asl-signs", {("26734", "1000035562", "blow"): person(12)})
    assert run("asl_signs", root, "--output", tmp_path / "out") == 0
    assert "participant 26734: images of 4:3, estimated: face would be usual" in capsys.readouterr().err
    corpus = Corpus.open(tmp_path / "out")
    read = corpus.load(corpus.utterances[0])
    np.testing.assert_allclose(read.points, person(12).points, atol=TOLERANCE)
    assert read.image_size == (640, 480)


def test_missing_points_and_frames_of_asl_signs(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    import pyarrow.compute

    root = asl_signs_folder(tmp_path, {("1", "2", "wait"): person()})
    path = root / "train_landmark_files/1/2.parquet"
    table = parquet.read_table(path)
    frame, kind = table["frame"].to_numpy(), np.array(table["type"].to_pylist())
    gone = (kind == "left_hand") & (frame == 1)
    columns = {name: table[name].to_pylist() for name in table.column_names}
    for name in "xyz":
        columns[name] = [None if missing else value for missing, value in zip(gone, columns[name], strict=True)]
    parquet.write_table(pyarrow.table(columns).filter(pyarrow.array(frame != 3)), path)
    assert run("asl_signs", root, "--output", tmp_path / "out") == 0
    corpus = Corpus.open(tmp_path / "out")
    read = corpus.load(corpus.utterances[0])
    np.testing.assert_array_equal(read.present("left_hand"), [True, False, True, False, True, True])
    np.testing.assert_array_equal(read.present("pose"), np.arange(6) != 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("x"), "no column x"),
        (lambda c: [values.clear() for values in c.values()], "no rows"),
        (lambda c: c["type"].__setitem__(0, "foot"), "points of type foot; needed pose"),
        (lambda c: c["landmark_index"].__setitem__(0, 33), "row 0: pose has no point 33; needed 0 to 32"),
        (lambda c: c["landmark_index"].__setitem__(1, 0), "a point occurs twice in a frame"),
        (lambda c: c["frame"].__setitem__(0, 2_000_000), "frames with numbers from .* to 2000000; needed at most"),
        (lambda c: c["frame"].__setitem__(0, -1), "column frame has -1; needed whole numbers from 0"),
        (lambda c: c.update(frame=[0.5, *c["frame"][1:]]), "column frame has 0.5; needed whole numbers from 0"),
        (lambda c: c["landmark_index"].__setitem__(0, None), "column landmark_index has nan; needed whole numbers"),
        (lambda c: c.__setitem__("x", ["a"] * len(c["y"])), "not a readable parquet file of numbers"),
    ],
    ids="column rows type index twice frames negative fraction missing text".split(),
)
def test_damaged_parquet_files_are_refused(tmp_path, change, message):
    parquet = pytest.importorskip("pyarrow.parquet")
    import pyarrow

    root = asl_signs_folder(tmp_path, {("1", "2", "wait"): person(2)})
    path = root / "train_landmark_files/1/2.parquet"
    columns = parquet.read_table(path).to_pydict()
    change(columns)
    parquet.write_table(pyarrow.table(columns), path)
    with pytest.raises(InputError, match=message):
        run("asl_signs", root, "--output", tmp_path / "out")


def test_asl_signs_without_its_files(tmp_path):
    pytest.importorskip("pyarrow")
    with pytest.raises(InputError, match=r"train\.csv: no such file"):
        run("asl_signs", tmp_path, "--output", tmp_path / "out")
    root = asl_signs_folder(tmp_path, {("1", "2", "wait"): person(2)})
    path = root / "train_landmark_files/1/2.parquet"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(InputError, match=r"2\.parquet: not a readable parquet file"):
        run("asl_signs", root, "--output", tmp_path / "out")
    path.unlink()
    with pytest.raises(InputError, match=r"train\.csv:2 .*2\.parquet does not exist; unpack the landmark files"):
        run("asl_signs", root, "--output", tmp_path / "out")


def test_real_kinds_of_files(shared_data, tmp_path, capsys):
    others = shared_data / "door/others"
    assert run("mediapipe_tasks", others / "tasks", "--output", tmp_path / "tasks") == 0
    hand = Landmarks.load(tmp_path / "tasks/clip.npz")
    assert hand.present("right_hand").all()
    assert not hand.present("left_hand").any()
    assert run("spoter", others / "spoter/train.csv", "--output", tmp_path / "spoter") == 0
    corpus = Corpus.open(tmp_path / "spoter")
    assert corpus.utterances[0].glosses == ("3",)
    tip = corpus.load(corpus.utterances[0]).points[:, layout.index("left_hand.index_tip"), 1]
    np.testing.assert_allclose(tip, (0.1, 0.2), atol=1e-3)
    pytest.importorskip("pyarrow")
    # The sample's parquet file is a placeholder of 12 bytes.
    with pytest.raises(InputError, match=r"1000035562\.parquet: not a readable parquet file"):
        run("asl_signs", others / "kaggle", "--output", tmp_path / "kaggle")
