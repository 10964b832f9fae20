"""COCO-WholeBody arrays and the pickles they come in: which point goes where, and what no pickle may do."""

from __future__ import annotations

import collections
import gzip
import io
import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signloom import cli, layout
from signloom.errors import InputError
from signloom.importers import coco_wholebody as importer
from signloom.importers.clip_arrays import Reader, landmarks_of
from signloom.importers.keypoints import KeypointSettings
from signloom.importers.pickles import load_pickle
from signloom.importers.point_lists import COCO_WHOLEBODY
from signloom.landmarks import Landmarks

SOURCES = COCO_WHOLEBODY.sources
PHOENIX = KeypointSettings(image_size=(210, 260), pixel_aspect=260 / 300, fps=25.0)


def keypoints(num_frames=8, seed=0, size=(210, 260)) -> np.ndarray:
    """Keypoints (T, 133, 3) all over an image, every one found with a score of 0.9."""
    rng = np.random.default_rng(seed)
    values = rng.uniform(0.1, 0.9, (num_frames, 133, 3)) * (*size, 1)
    values[..., 2] = 0.9
    return values.astype(np.float32)


def to_landmarks(values: np.ndarray, reading: KeypointSettings) -> Landmarks:
    return landmarks_of(values, Reader((COCO_WHOLEBODY,), reading))


def command(*arguments) -> int:
    return cli.run_module(importer, "signloom import coco_wholebody", [str(argument) for argument in arguments])


def at(clip: Landmarks, name: str) -> np.ndarray:
    return clip.points[:, layout.index(name)]


def test_known_points_in_units_of_image_height():
    values = keypoints()
    values[:, 9] = (100, 130, 0.8)  # Left wrist of the body.
    values[:, 91 + 8] = (105, 26, 0.7)  # Tip of the left index finger.
    values[:, 112] = (21, 52, 0.6)  # Wrist of the right hand.
    clip = to_landmarks(values, PHOENIX)
    aspect = 260 / 300
    np.testing.assert_allclose(at(clip, "pose.left_wrist")[0], (100 * aspect / 260, 0.5, 0), rtol=1e-6)
    np.testing.assert_allclose(at(clip, "left_hand.index_tip")[0], (105 * aspect / 260, 0.1, 0), rtol=1e-6)
    np.testing.assert_allclose(at(clip, "right_hand.wrist")[0], (21 * aspect / 260, 0.2, 0), rtol=1e-6)
    assert clip.visibility[0, layout.index("pose.left_wrist")] == pytest.approx(0.8)
    assert np.isnan(clip.visibility[0, layout.index("pose.left_thumb")])
    assert (clip.fps, clip.image_size, clip.assumed) == (25.0, (210, 260), ("z",))


def test_names_and_sides_are_those_of_pose_formats_list_of_the_same_points():
    header = pytest.importorskip("pose_format.utils.cocowholebody133_header")
    names = [name for component in header.cocowholebody_components() for name in component.points]
    assert len(names) == 133
    same = {"left_big_toe": "left_foot_index", "right_big_toe": "right_foot_index"}
    for ours, places in SOURCES.items():
        if ours.startswith("pose."):
            (place,) = places
            assert same.get(names[place], names[place]) == ours.removeprefix("pose.")
        elif ours.startswith("face."):
            assert all(names[place].startswith("face-") for place in places)
    components = {component.name: component for component in header.cocowholebody_components()}
    assert list(components) == ["BODY", "FACE", "LEFT_HAND", "RIGHT_HAND"]
    assert SOURCES["left_hand.wrist"] == (len(components["BODY"].points) + len(components["FACE"].points),)
    assert SOURCES["right_hand.pinky_tip"] == (132,)


def test_left_and_right_of_the_face_mirror_each_other():
    # The mark-up's own mirror: jaw, brows, nose wings, eyes, lips. Source: iBUG 68 points, as every flip table has it.
    flip = [*range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, 35, 34, 33, 32, 31]
    flip += [45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40]
    flip += [54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65]
    mirror = layout.mirror_map()
    for name, places in SOURCES.items():
        partner = layout.POINT_NAMES[mirror[layout.index(name)]]
        if name.startswith("face."):
            assert sorted(23 + flip[place - 23] for place in places) == sorted(SOURCES[partner])
        else:
            assert partner in SOURCES


def test_every_point_of_the_compact_subset_is_given():
    assert {layout.POINT_NAMES[point] for point in layout.subset("compact")} <= set(SOURCES)


def test_the_middle_of_an_eyelid_is_that_of_its_two_points():
    values = keypoints()
    values[:, 23 + 37], values[:, 23 + 38] = (40, 50, 1), (44, 54, 1)
    clip = to_landmarks(values, KeypointSettings(image_size=(210, 260), pixel_aspect=1.0))
    np.testing.assert_allclose(at(clip, "face.159")[0], (42 / 260, 52 / 260, 0), rtol=1e-6)
    values[:, 23 + 38, 2] = 0.1
    clip = to_landmarks(values, PHOENIX)
    assert np.isnan(at(clip, "face.159")).all()
    assert np.isfinite(at(clip, "face.160")).all()


def test_low_scores_are_missing_and_never_the_origin():
    values = keypoints()
    values[3] = 0  # No person found in this frame.
    values[5, 91:112, 2] = 0.2
    clip = to_landmarks(values, PHOENIX)
    np.testing.assert_array_equal(clip.present("pose"), np.arange(8) != 3)
    np.testing.assert_array_equal(clip.present("left_hand"), ~np.isin(np.arange(8), (3, 5)))
    assert np.isnan(clip.points[3]).all()
    lower = to_landmarks(values, KeypointSettings(image_size=(210, 260), min_score=0.0))
    np.testing.assert_array_equal(lower.present("left_hand"), np.arange(8) != 3)


def test_arrays_without_scores_or_with_an_axis_for_one_person():
    values = keypoints()
    flat = to_landmarks(values[..., :2], PHOENIX)
    np.testing.assert_array_equal(flat.points, to_landmarks(values, PHOENIX).points)
    assert np.isnan(flat.visibility).all()
    for shaped in (values[:, None], values[None]):
        np.testing.assert_array_equal(to_landmarks(shaped, PHOENIX).points, flat.points)


def test_what_is_not_given_is_recorded_as_assumed():
    values = keypoints()
    values[0, 0] = (199.5, 250.2, 0.9)
    values[..., :2] = np.minimum(values[..., :2], (199.5, 250.2))
    clip = to_landmarks(values, KeypointSettings())
    assert set(clip.assumed) == {"z", "image_size", "pixel_aspect", "fps"}
    assert clip.image_size == (200, 251)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((5, 79, 3)), r"shape \(5, 79, 3\), needed \(T, 133, 2\)"),
        (np.zeros((5, 2, 2, 133, 3)), r"shape \(5, 2, 2, 133, 2\), needed"),
        (np.zeros((0, 133, 3)), "0 frames"),
        (np.zeros((5, 133, 3)), "nothing was detected in any frame"),
        (keypoints(size=(1920, 1080)), r"exceed an image of 210x260; give the size .* as --image_size"),
    ],
    ids=["width", "people", "empty", "undetected", "size"],
)
def test_wrong_arrays_are_refused(values, message):
    with pytest.raises(InputError, match=message):
        to_landmarks(values, PHOENIX)


def test_folders_of_arrays_are_converted(tmp_path, capsys):
    (tmp_path / "in" / "train").mkdir(parents=True)
    np.save(tmp_path / "in" / "train" / "a.npy", keypoints())
    np.savez(tmp_path / "in" / "b.npz", keypoints=keypoints()[..., :2], keypoint_scores=keypoints()[..., 2])
    np.save(tmp_path / "in" / "bad.npy", np.zeros((4, 17, 3)))
    np.savez(tmp_path / "in" / "other.npz", numbers=np.zeros(4))
    np.save(tmp_path / "in" / "objects.npy", np.array([{}], dtype=object))
    arguments = (tmp_path / "in", "--output", tmp_path / "out", "--image_size", "210x260", "--fps", "25")
    assert command(*arguments) == 1
    output = capsys.readouterr()
    assert "2 clips (2 converted), 16 frames converted" in output.out
    assert "bad.npy: an array of shape (4, 17, 3), needed (T, 133, 2)" in output.err
    assert "other.npz: no array named keypoints or" in output.err
    assert "objects.npy: not a readable NumPy file of numbers" in output.err
    assert "3 faults" in output.err
    clip = Landmarks.load(tmp_path / "out" / "train" / "a.npz")
    assert clip.source["importer"] == "coco_wholebody"
    assert clip.assumed == ("z", "pixel_aspect")
    np.testing.assert_array_equal(Landmarks.load(tmp_path / "out" / "b.npz").points, clip.points)


def mska(array=lambda values: values) -> dict:
    """A dictionary as MSKA's pickles have it: id -> name, gloss, text, num_frames, keypoint."""
    return {
        f"train/clip{number}": {
            "name": f"train/clip{number}",
            "signer": "Signer01",
            "gloss": ["MORGEN  REGEN", "ABEND"][number],
            "text": "morgen regnet es",
            "num_frames": 8,
            "keypoint": array(keypoints(seed=number)),
        }
        for number in range(2)
    }


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_a_pickle_of_many_clips_gives_landmarks_and_glosses(tmp_path, capsys, packed):
    content = pickle.dumps(mska())
    (tmp_path / "phoenix-2014.train").write_bytes(gzip.compress(content) if packed else content)
    arguments = (tmp_path, "--output", tmp_path / "out", "--image_size", "210x260")
    assert command(*arguments) == 0
    output = capsys.readouterr().out
    assert "2 annotations (id|gloss)" in output
    assert "signloom import isharah" in output
    table = (tmp_path / "out" / "phoenix-2014.train.csv").read_text()
    assert table == "id|gloss\ntrain/clip0|MORGEN REGEN\ntrain/clip1|ABEND\n"
    clip = Landmarks.load(tmp_path / "out" / "train" / "clip1.npz")
    expected = to_landmarks(keypoints(seed=1), KeypointSettings(image_size=(210, 260)))
    np.testing.assert_allclose(clip.points, expected.points, atol=1e-3)
    assert command(*arguments) == 0
    assert "0 converted, 2 already there" in capsys.readouterr().out


def test_one_bad_clip_of_a_pickle_does_not_lose_the_others(tmp_path, capsys):
    content = mska()
    content["train/clip0"]["keypoint"] = np.zeros((3, 5))
    content["../escape"] = keypoints()
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(content))
    assert command(tmp_path / "a.pkl", "--output", tmp_path / "out") == 1
    output = capsys.readouterr()
    assert "1 clip (1 converted)" in output.out
    assert "a.pkl (train/clip0): an array of shape (3, 5)" in output.err
    assert "a.pkl (../escape): path '../escape.npz' leaves its folder" in output.err
    assert not (tmp_path / "escape.npz").exists()


def test_torch_tensors_are_read_without_torch(tmp_path):
    torch = pytest.importorskip("torch")

    def tensor(values):
        # A view with strides and an offset: what permute and slicing leave behind.
        return torch.from_numpy(np.concatenate([values[:1], values]).transpose(2, 0, 1).copy()).permute(1, 2, 0)[1:]

    (tmp_path / "a.pkl").write_bytes(pickle.dumps(mska(tensor)))
    content = load_pickle(tmp_path / "a.pkl")
    np.testing.assert_array_equal(content["train/clip1"]["keypoint"], keypoints(seed=1))
    for kind in (torch.float64, torch.float16, torch.int64, torch.uint8, torch.bool):
        value = torch.tensor([[1, 0], [1, 1]]).to(kind)
        (tmp_path / "b.pkl").write_bytes(pickle.dumps(value))
        read = load_pickle(tmp_path / "b.pkl")
        np.testing.assert_array_equal(read, value.numpy())
        assert read.dtype == value.numpy().dtype


LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
PLAIN = st.recursive(
    LEAVES | st.binary(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4) | st.tuples(inner, inner)
    ),
    max_leaves=12,
)


@pytest.mark.slow
@settings(max_examples=60)
@given(value=PLAIN, protocol=st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_plain_containers_are_read_as_pickle_reads_them(tmp_path_factory, value, protocol):
    path = tmp_path_factory.mktemp("plain") / "a.pkl"
    path.write_bytes(pickle.dumps(value, protocol=protocol))
    assert load_pickle(path) == value


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_are_read_as_pickle_reads_them(tmp_path, protocol):
    arrays = [
        np.arange(24, dtype=np.float32).reshape(2, 3, 4),
        np.asfortranarray(np.arange(6, dtype=">i4").reshape(2, 3)),
        np.array([True, False]),
        np.zeros((0, 133, 3), np.float16),
        np.arange(10, dtype=np.int8)[::2],
        np.float32(2.5),
        np.array(7),
    ]
    value = {"list": arrays, "set": {1, 2}, "ordered": collections.OrderedDict(a=1), "same": arrays[0]}
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(value, protocol=protocol))
    read = load_pickle(tmp_path / "a.pkl")
    for mine, theirs in zip(read["list"], arrays, strict=True):
        np.testing.assert_array_equal(mine, theirs)
        assert np.asarray(mine).dtype == np.asarray(theirs).dtype or np.isscalar(mine)
    assert read["set"] == {1, 2}
    assert read["ordered"] == {"a": 1}
    assert read["same"] is read["list"][0]


class Calls:
    """Pickles as a call of `function`."""

    def __init__(self, function, *arguments):
        self.reduced = (function, arguments)

    def __reduce__(self):
        return self.reduced


@pytest.mark.parametrize(
    ("crafted", "name"),
    [
        (lambda mark: Calls(os.system, f"touch {mark}"), "posix.system|nt.system"),
        (lambda mark: {"a": [Calls(eval, f"open({str(mark)!r}, 'w')")]}, "eval, which can run code"),
        (lambda mark: Calls(getattr, "text", "join"), "getattr, which can run code"),
        (lambda mark: Calls(np.load, str(mark)), "numpy.*load"),
        (lambda mark: Calls(Path, str(mark)), "pathlib"),
        (lambda mark: Calls(np.zeros(1).__reduce__()[0], Calls(os.system, f"touch {mark}"), (0,), b"b"), "system"),
        (lambda mark: np.array([Calls(os.system, f"touch {mark}"), {}], dtype=object), "type 'O8'"),
        (lambda mark: np.zeros(2, dtype=[("a", "i4")]), "type 'V4'"),
        (lambda mark: np.array(["text"]), "type 'U4'"),
    ],
    ids=["system", "eval", "getattr", "load", "path", "nested", "objects", "records", "text"],
)
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_nothing_in_a_pickle_runs(tmp_path, crafted, name, protocol):
    mark = tmp_path / "ran"
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(crafted(mark), protocol=protocol))
    with pytest.raises(InputError, match=name):
        load_pickle(tmp_path / "a.pkl")
    assert not mark.exists()


def numpy_array_pickle(shape: bytes, content: bytes) -> bytes:
    """A pickle of a float32 array whose shape and bytes need not agree; opcodes by hand."""
    array = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntC\x01btR"
    dtype = b"cnumpy\ndtype\n(X\x02\x00\x00\x00f4I0\nI1\ntR(I3\nX\x01\x00\x00\x00<NNNI-1\nI-1\nI0\ntb"
    return array + b"(I1\n" + shape + dtype + b"I00\n" + b"B" + struct.pack("<I", len(content)) + content + b"tb."


def test_the_hand_made_array_is_read_when_it_is_right(tmp_path):
    (tmp_path / "a.pkl").write_bytes(numpy_array_pickle(b"(I2\nt", np.array([1, 2], "<f4").tobytes()))
    np.testing.assert_array_equal(load_pickle(tmp_path / "a.pkl"), [1, 2])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (numpy_array_pickle(b"(I1000000000\nI1000000000\nt", b"abcd"), r"in 4 bytes; the file is damaged"),
        (numpy_array_pickle(b"(I-1\nt", b"abcd"), r"shape \(-1,\)"),
        # A number of the memo far above the rest makes the reader take memory for all below it.
        (b"]r\xff\xff\xff\x7f.", "item 2147483647 of its memo is set after 1 step"),
        # A length without the bytes to go with it.
        (b"\x8e" + struct.pack("<Q", 2**60) + b"ab.", "not a readable pickle"),
        (b"cbuiltins\nbytes\n(I1000000000000\ntR.", "bytes made of something else"),
        # A list that holds itself, and one nested a thousand deep.
        (b"]q\x00h\x00a.", "nested more than 50 deep, or holding themselves"),
        (b"(l" * 1000 + b"a" * 999 + b".", "nested more than 50 deep"),
        # Giving a callable of ours new attributes.
        (b"c_codecs\nencode\n}X\x08\x00\x00\x00functionI1\nsb.", "sets the state of _codecs.encode"),
        (b"cnumpy\nndarray\n(tR.", "it calls a type"),
        (b"cnumpy\nndarray\n.", "no array or plain container"),
        (b"ctorch._utils\n_rebuild_tensor_v2\n(NI0\n(t(tI0\nNtR.", "a torch tensor without its numbers"),
        (b"X\x01\x00\x00\x00aQ.", "refers to data outside of it"),
        (b"]." + b"more", "more bytes after the end"),
        (b"\x80\x04}q", "not a readable pickle"),
        (b"", "not a readable pickle"),
        (b"PK\x03\x04 and so on", "a zip archive"),
        (b"\x1f\x8b not gzip", "a damaged gzip file"),
    ],
)
def test_crafted_and_damaged_pickles_are_refused(tmp_path, content, message):
    (tmp_path / "a.pkl").write_bytes(content)
    with pytest.raises(InputError, match=message):
        load_pickle(tmp_path / "a.pkl")


def test_a_gzip_bomb_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("signloom.files.reading._EXPANSION_SLACK", 1000)
    (tmp_path / "a.pkl").write_bytes(gzip.compress(pickle.dumps(bytes(1_000_000))))
    with pytest.raises(InputError, match="unpacks to more than"):
        load_pickle(tmp_path / "a.pkl")


def test_torch_tensors_that_show_more_than_they_hold_are_refused(tmp_path):
    torch = pytest.importorskip("torch")
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(torch.zeros(1).expand(1_000_000)))
    with pytest.raises(InputError, match=r"a torch tensor of shape \(1000000,\) over 1 number"):
        load_pickle(tmp_path / "a.pkl")
    buffer = io.BytesIO()
    torch.save({"a": torch.zeros(3)}, buffer)
    (tmp_path / "b.pkl").write_bytes(buffer.getvalue())
    with pytest.raises(InputError, match=r"torch\.save"):
        load_pickle(tmp_path / "b.pkl")


@settings(max_examples=100)
@given(place=st.integers(0, 10_000), value=st.integers(0, 255), cut=st.integers(0, 400))
def test_damaged_bytes_give_an_error_of_ours_or_a_value(tmp_path_factory, place, value, cut):
    content = bytearray(pickle.dumps({"a": [np.arange(4.0), {"b": 1}], "c": ("d", 2.5)}))
    content[place % len(content)] = value
    path = tmp_path_factory.mktemp("damaged") / "a.pkl"
    path.write_bytes(content[: len(content) - cut] if cut < len(content) else content)
    try:
        load_pickle(path)
    except InputError as error:
        message = str(error)
    else:
        message = "read"
    assert message
