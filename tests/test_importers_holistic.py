"""Arrays of MediaPipe Holistic values: values, names, order of the parts, image, and each fault."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holistic_values import frames
from signloom import cli, layout
from signloom.corpus import Corpus
from signloom.errors import Faults, InputError
from signloom.importers import holistic
from signloom.importers.holistic import CameraInfo, landmarks_from_frames

WIDE = 1280 / 720


def mp_data(root, tree: dict[str, int], width: int = 258):
    """A folder <sign>/<clip>/<frame>.npy with the given numbers of frames."""
    for seed, (name, count) in enumerate(tree.items()):
        (root / name).mkdir(parents=True)
        for number, frame in enumerate(frames(count, width, seed=seed)):
            np.save(root / name / f"{number}.npy", frame)
    return root


def packing(path, *, drop: str = "", **changes):
    """An .npz packing of three clips, two signers, 4 + 3 + 5 frames."""
    arrays = {
        "frames": frames(12),
        "start": np.array([0, 4, 7]),
        "length": np.array([4, 3, 5], dtype=np.int32),
        "label": np.array(["hello", "good job", "hello"]),
        "group": np.array(["anna", "anna", "ben"]),
        "path": np.array(["MP_Data/hello/1", "MP_Data/good job/1", "MP_Data/hello/1"]),
        **changes,
    }
    arrays.pop(drop, None)
    np.savez(path, **arrays)
    return path


def options_for(tmp_path, *sources, **changes):
    return holistic.Options(sources=list(sources), output=tmp_path / "corpus", **changes)


def faults_of(run, options) -> str:
    with pytest.raises(InputError) as caught:
        run(options)
    assert not (options.output / "manifest.jsonl").exists()
    return str(caught.value)


def test_every_value_of_258_finds_its_point():
    # Value k of the frame is k + 1, so each point shows where it was read from.
    frame = np.arange(1, 259, dtype=np.float32)[None] / 100
    clip = landmarks_from_frames(frame, CameraInfo(25, (100, 100)))
    points = clip.points[0] * 100
    np.testing.assert_allclose(points[layout.index("pose.nose")], [1, 2, 3], rtol=1e-5)
    np.testing.assert_allclose(points[layout.index("pose.right_foot_index")], [129, 130, 131], rtol=1e-5)
    np.testing.assert_allclose(clip.visibility[0, [0, 32]] * 100, [4, 132], rtol=1e-5)
    np.testing.assert_allclose(points[layout.index("left_hand.wrist")], [133, 134, 135], rtol=1e-5)
    np.testing.assert_allclose(points[layout.index("left_hand.pinky_tip")], [193, 194, 195], rtol=1e-5)
    np.testing.assert_allclose(points[layout.index("right_hand.wrist")], [196, 197, 198], rtol=1e-5)
    np.testing.assert_allclose(points[layout.index("right_hand.pinky_tip")], [256, 257, 258], rtol=1e-5)
    assert not clip.present("face").any()


def test_every_value_of_1662_finds_its_point():
    frame = np.arange(1, 1663, dtype=np.float32)[None] / 100
    points = landmarks_from_frames(frame, CameraInfo(25, (100, 100))).points[0] * 100
    # The face follows the pose's 132 values, the hands the face's 1,404.
    np.testing.assert_allclose(points[layout.index("face.0")], [133, 134, 135], rtol=1e-5)
    np.testing.assert_allclose(points[layout.index("face.467")], [1534, 1535, 1536], rtol=1e-5)
    np.testing.assert_allclose(points[layout.index("left_hand.wrist")], [1537, 1538, 1539], rtol=1e-5)
    np.testing.assert_allclose(points[layout.index("right_hand.pinky_tip")], [1660, 1661, 1662], rtol=1e-5)


def test_coordinates_become_units_of_the_image_height():
    frame = np.full((1, 258), 0.5, dtype=np.float32)
    wide = landmarks_from_frames(frame, CameraInfo(30, (1280, 720)))
    # Half of the width of a 16:9 image is 0.889 of its height; z shares the scale of x.
    np.testing.assert_allclose(wide.points[0, 0], [0.5 * WIDE, 0.5, 0.5 * WIDE], rtol=1e-6)
    narrow = landmarks_from_frames(frame, CameraInfo(30, (210, 260), 260 / 300))
    # 210x260 shown as 210x300: width 0.7 of the height.
    np.testing.assert_allclose(narrow.points[0, 0], [0.35, 0.5, 0.35], rtol=1e-6)
    np.testing.assert_array_equal(wide.visibility, np.full((1, 33), 0.5, dtype=np.float32))


def test_what_is_not_given_is_recorded_as_assumed():
    clip = landmarks_from_frames(frames())
    assert (clip.fps, clip.image_size, clip.assumed) == (25.0, (1280, 720), ("fps", "image_size"))
    clip = landmarks_from_frames(frames(), CameraInfo(fps=30.0))
    assert (clip.fps, clip.assumed) == (30.0, ("image_size",))
    assert landmarks_from_frames(frames(), CameraInfo(25.0, (1280, 720))).assumed == ()


@given(
    detected=st.lists(
        st.tuples(*[st.booleans()] * 4).filter(any),
        min_size=1,
        max_size=6,
    )
)
def test_all_zero_parts_are_missing_and_no_others(detected):
    values = frames(len(detected), 1662)
    blocks = {
        "pose": slice(0, 132),
        "face": slice(132, 1536),
        "left_hand": slice(1536, 1599),
        "right_hand": slice(1599, 1662),
    }
    for row, parts in enumerate(detected):
        for (_, block), present in zip(blocks.items(), parts, strict=True):
            if not present:
                values[row, block] = 0
    clip = landmarks_from_frames(values)
    for column, group in enumerate(blocks):
        np.testing.assert_array_equal(clip.present(group), [parts[column] for parts in detected])
    np.testing.assert_array_equal(np.isfinite(clip.visibility).all(axis=1), [parts[0] for parts in detected])


def test_a_single_zero_coordinate_is_a_point_like_any_other():
    values = frames(1)
    values[0, :2] = 0
    np.testing.assert_array_equal(landmarks_from_frames(values).points[0, 0, :2], [0, 0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda good: good[:, :130], r"shape \(4, 130\); needed \(frames, values\) with 126, 225, 258, 1,629"),
        (lambda good: good[None], r"shape \(1, 4, 258\)"),
        (lambda good: good[:, :132].reshape(4, 33, 4), r"shape \(4, 33, 4\); needed"),
        (lambda good: good[:0], "no frames"),
        (
            lambda good: np.where((np.arange(4)[:, None] == 2) & (np.arange(258) == 7), np.nan, good),
            "NaN or infinite values in 1 of 4 frames, first in frame 2",
        ),
        (lambda good: np.where(np.arange(4)[:, None] > 1, np.inf, good), "in 2 of 4 frames"),
        (np.zeros_like, "nothing was detected in any of its 4 frames"),
        (lambda good: good * 640, r"coordinates up to [\d,]+; needed x and y as fractions of the image"),
        (lambda good: good.astype("U8"), "values of type <U8; needed numbers"),
    ],
)
def test_arrays_that_are_no_clip(change, message):
    with pytest.raises(InputError, match=message):
        landmarks_from_frames(change(frames(4)))


def test_a_folder_becomes_a_corpus(tmp_path, capsys):
    root = mp_data(tmp_path / "MP_Data", {"hello/2": 4, "hello/10": 3, "good job/0": 12})
    assert holistic.run(options_for(tmp_path, root, signer=["anna"], fps=30.0, image_size="640x480")) == 0
    corpus = Corpus.open(tmp_path / "corpus")
    assert [(u.id, u.split, u.signer, u.glosses, u.num_frames, u.fps) for u in corpus] == [
        ("anna_good-job_0", "train", "anna", ("good-job",), 12, 30.0),
        ("anna_hello_2", "train", "anna", ("hello",), 4, 30.0),
        ("anna_hello_10", "train", "anna", ("hello",), 3, 30.0),
    ]
    # Frame 10 comes after frame 9, not after frame 1.
    stored = corpus.load(corpus.utterances[0])
    expected = landmarks_from_frames(frames(12, seed=2), CameraInfo(30.0, (640, 480)))
    np.testing.assert_allclose(stored.points, expected.points, atol=1e-3)
    assert (stored.image_size, stored.assumed) == ((640, 480), ())
    assert stored.source == {"importer": "holistic", "clip": "MP_Data/good job/0"}
    out, err = capsys.readouterr()
    assert "renamed: label 'good job' becomes gloss good-job" in err
    assert "assumed" not in err
    assert "3 clips" in out
    assert "pose 100 %, left hand 100 %, right hand 100 %, face 0 %" in out
    assert "next: signloom compose" in out


def test_a_clip_may_be_one_array_and_frames_may_count_from_one(tmp_path):
    root = mp_data(tmp_path / "MP_Data", {"hello/a": 3}, width=1662)
    for number in (2, 1, 0):
        (root / "hello" / "a" / f"{number}.npy").rename(root / "hello" / "a" / f"{number + 1}.npy")
    np.save(root / "hello" / "b.npy", frames(6, 1662))
    holistic.run(options_for(tmp_path, root))
    assert [(u.id, u.signer, u.num_frames) for u in Corpus.open(tmp_path / "corpus")] == [
        ("hello_a", None, 3),
        ("hello_b", None, 6),
    ]


def test_a_packing_becomes_a_corpus(tmp_path):
    source = packing(tmp_path / "words.npz")
    holistic.run(options_for(tmp_path, source))
    corpus = Corpus.open(tmp_path / "corpus")
    assert [(u.id, u.signer, u.glosses, u.num_frames) for u in corpus] == [
        ("anna_hello_1", "anna", ("hello",), 4),
        ("anna_good-job_1", "anna", ("good-job",), 3),
        ("ben_hello_1", "ben", ("hello",), 5),
    ]
    expected = landmarks_from_frames(frames(12)[4:7])
    stored = corpus.load(corpus.utterances[1])
    np.testing.assert_allclose(stored.points, expected.points, atol=1e-3)
    assert stored.assumed == ("fps", "image_size")


def test_a_packing_without_groups_and_paths(tmp_path):
    source = packing(tmp_path / "words.npz", drop="group")
    with np.load(source) as arrays:
        np.savez(source, **{key: arrays[key] for key in ("frames", "start", "length", "label")})
    read = list(holistic.read_clips(source))
    assert [(clip.id, clip.gloss, clip.signer, len(points)) for clip, points in read] == [
        ("hello_0", "hello", None, 4),
        ("good-job_1", "good-job", None, 3),
        ("hello_2", "hello", None, 5),
    ]


def test_several_sources_and_their_signers(tmp_path):
    first = mp_data(tmp_path / "one", {"hello/0": 2})
    second = mp_data(tmp_path / "two", {"hello/0": 3})
    holistic.run(options_for(tmp_path, first, second, signer=["anna", "ben"]))
    assert [(u.id, u.signer) for u in Corpus.open(tmp_path / "corpus")] == [
        ("anna_hello_0", "anna"),
        ("ben_hello_0", "ben"),
    ]
    other = replace(options_for(tmp_path, first, second), output=tmp_path / "other")
    text = faults_of(holistic.run, other)
    assert f"{second / 'hello' / '0'}: {first / 'hello' / '0'} has the same id 'hello_0'" in text
    text = faults_of(holistic.run, replace(other, signer=["anna", "ben", "eva"]))
    assert "--signer names 3 signers for 2 sources; needed one, or one for each" in text


def test_all_faults_of_a_folder_are_shown_together(tmp_path):
    root = mp_data(
        tmp_path / "MP_Data", {f"hello/{name}": 3 for name in ("good", "gap", "width", "object", "nan", "odd", "text")}
    )
    hello = root / "hello"
    (hello / "gap" / "1.npy").unlink()
    np.save(hello / "width" / "2.npy", np.zeros(126))
    np.save(hello / "object" / "1.npy", np.array([{"a": 1}], dtype=object))
    np.save(hello / "nan" / "0.npy", np.where(np.arange(258) == 7, np.nan, frames(1)[0]))
    np.save(hello / "odd" / "last.npy", np.zeros(258))
    (hello / "text" / "0.npy").write_text("not an array")
    (hello / "empty").mkdir()
    (root / "bye").mkdir()
    (root / "good job" / "0").mkdir(parents=True)
    np.save(root / "good job" / "0" / "0.npy", frames(1)[0])
    (root / "good-job" / "1").mkdir(parents=True)
    np.save(root / "good-job" / "1" / "0.npy", frames(1)[0])
    options = options_for(tmp_path, root, tmp_path / "absent")
    text = faults_of(holistic.run, options)
    for expected in (
        f"{hello / 'gap'}: frames 1 are missing (1 of 3)",
        f"{hello / 'width'}: 2.npy has 126 values; needed 258 like the frames before",
        f"{hello / 'object'}/1.npy: not a readable NumPy file of numbers (an array of objects, which is a pickle",
        f"{hello / 'nan'}: NaN or infinite values in 1 of 3 frames, first in frame 0",
        f"{hello / 'odd'}: 'last.npy' is not a frame number",
        f"{hello / 'text'}/0.npy: not a readable NumPy file of numbers (the magic string is not correct",
        f"{hello / 'empty'}: no .npy frames in this folder",
        f"{root / 'bye'}: no clips in this folder",
        "labels 'good job', 'good-job' would all become gloss good-job",
        f"{tmp_path / 'absent'}: no such file or folder",
        "10 faults",
        "--skip_faulty leaves out invalid clips",
    ):
        assert expected in text


def test_faulty_clips_can_be_left_out(tmp_path, capsys):
    root = mp_data(tmp_path / "MP_Data", {"hello/0": 3, "hello/1": 3})
    np.save(root / "hello" / "1" / "1.npy", np.zeros(3))
    holistic.run(options_for(tmp_path, root, skip_faulty=True))
    assert [u.id for u in Corpus.open(tmp_path / "corpus")] == ["hello_0"]
    left_out = [json.loads(line) for line in (tmp_path / "corpus" / "left_out.jsonl").read_text().splitlines()]
    assert [item["id"] for item in left_out] == ["hello_1"]
    assert "1.npy has 3 values" in left_out[0]["reason"]
    assert "left out: 1" in capsys.readouterr().err
    # A second import with nothing to leave out takes the old list away.
    np.save(root / "hello" / "1" / "1.npy", frames(1)[0])
    holistic.run(options_for(tmp_path, root, overwrite=True))
    assert not (tmp_path / "corpus" / "left_out.jsonl").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"drop": "label"}, "no array label; got frames, start, length, group, path, needed frames"),
        ({"start": np.array([0, 4])}, "needed one entry per clip in each"),
        ({"start": np.array([0.0, 4.0, 7.0])}, "start and length of types float64, int32; needed whole numbers"),
        ({"frames": np.zeros((12, 130))}, r"frames: an array of shape \(12, 130\); needed"),
        ({"length": np.array([4, 3, 6])}, r"clip 2, MP_Data/hello/1\): frames 7 to 13 are outside the 12"),
        ({"length": np.array([4, 0, 5])}, r"clip 1, MP_Data/good job/1\): no frames"),
        ({"label": np.array(["hello", " ", "hello"])}, "the label is empty"),
        ({"label": np.array(["a", "b", {}], dtype=object)}, "not a readable NumPy file of numbers"),
        ({"group": np.array(["anna", "anna", "anna"])}, "has the same id 'anna_hello_1'"),
    ],
)
def test_packings_that_do_not_fit_together(tmp_path, changes, message):
    source = packing(tmp_path / "words.npz", **changes)
    with pytest.raises(InputError, match=message):
        holistic.run(options_for(tmp_path, source))


def test_options_out_of_range(tmp_path):
    source = packing(tmp_path / "words.npz")
    for change, message in (
        ({"fps": 0.0}, "--fps is 0.0"),
        ({"image_size": "wide"}, "--image_size is 'wide'"),
        ({"pixel_aspect": -1.0}, "--pixel_aspect is -1.0"),
    ):
        with pytest.raises(InputError, match=message):
            holistic.run(options_for(tmp_path, source, **change))


def test_as_a_command(tmp_path, capsys):
    first = mp_data(tmp_path / "one", {"hello/0": 2})
    second = mp_data(tmp_path / "two", {"hello/0": 3})
    words = f"import holistic {first} {second} --signer anna ben --fps 30 --output {tmp_path / 'corpus'} --overwrite"
    assert cli.dispatch(words.split()) == 0
    assert [(u.signer, u.fps) for u in Corpus.open(tmp_path / "corpus")] == [("anna", 30.0), ("ben", 30.0)]


@pytest.mark.slow
def test_real_asl_words(shared_data, tmp_path, capsys):
    source = shared_data / "asl_words" / "traduttore_asl.npz"
    faults = Faults("test")
    found = holistic.find_clips([source], faults=faults)
    assert not faults
    # Counts as the data's README gives them.
    assert len(found) == 1430
    assert len({clip.gloss for clip in found}) == 16
    assert {clip.signer for clip in found} == {"dmohazab", "TheCamNelson", "Alex"}
    assert len({clip.id for clip in found}) == 1430
    landmarks = [clip.read() for clip in found]
    assert {len(clip) for clip in landmarks} == {20}
    present = {group: np.mean([clip.present(group) for clip in landmarks]) for group in layout.GROUPS}
    assert 0.5 < present["left_hand"] < 0.6
    assert present["right_hand"] > 0.9
    assert present["pose"] > 0.99
    assert present["face"] == 0


def test_real_full_faces(shared_data):
    clip, landmarks = next(holistic.read_clips(shared_data / "asl_fullface" / "akashcodes_asl_full.npz"))
    assert (clip.label, len(landmarks)) == ("cat", 30)
    assert landmarks.present("face").any()
    # The chin lies below the forehead and between the cheeks, whatever the pose.
    frame = landmarks.points[landmarks.present("face")][0]
    chin, forehead, left, right = frame[layout.indices("face.152", "face.10", "face.454", "face.234")]
    assert chin[1] > forehead[1]
    assert min(left[0], right[0]) < chin[0] < max(left[0], right[0])


@pytest.mark.slow
def test_real_labels_of_two_words(shared_data, tmp_path, capsys):
    source = shared_data / "asl_words" / "signwish_asl.npz"
    holistic.run(options_for(tmp_path, source))
    corpus = Corpus.open(tmp_path / "corpus")
    assert len(corpus) == 440
    assert {"good-job", "i-love-you"} <= {u.glosses[0] for u in corpus}
    assert "label 'i love you' becomes gloss i-love-you" in capsys.readouterr().err
