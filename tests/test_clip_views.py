"""The points of a model's view, read from a landmark file without all others."""

import tracemalloc
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import random_landmarks
from signloom import layout
from signloom.corpus import Corpus, CorpusWriter
from signloom.errors import InputError, LayoutError
from signloom.landmarks import Landmarks, read_view


def gappy(num_frames, *, seed=0, fps=25.0, even=True):
    rng = np.random.default_rng(seed)
    clip = random_landmarks(num_frames, seed=seed, fps=fps)
    clip.points[rng.random(clip.points.shape[:2]) < 0.2] = np.nan
    if even:
        return clip
    # Uneven times with a pause of a second.
    steps = rng.uniform(0.5, 1.5, num_frames) / fps
    steps[num_frames // 2] += 1.0
    seconds = np.cumsum(steps)
    return replace(clip, seconds=seconds, fps=num_frames / (seconds[-1] - seconds[0] + np.median(np.diff(seconds))))


@pytest.fixture(scope="module", params=["even", "uneven"])
def file(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("view") / "clip.npz"
    gappy(150, even=request.param == "even").save(path)
    return path


@pytest.mark.parametrize("view", ["compact", "full"])
@pytest.mark.parametrize("fps", [25.0, 10.0, 30.0])
def test_a_view_of_a_file_is_that_of_all_its_points(file, view, fps):
    whole = Landmarks.load(file)
    expected = whole.resampled(fps).select(view)
    for clip in (read_view(file, view), whole.in_view(view)):
        assert (len(clip), clip.fps) == (len(whole), whole.fps)
        assert clip.duration_seconds == whole.duration_seconds
        assert clip.start_seconds == whole.start_seconds
        frames = clip.at(fps)
        assert len(frames) == len(expected)
        points = frames[0 : len(frames)]
        assert points.dtype == np.float32
        np.testing.assert_array_equal(points, expected)
        for group in layout.GROUPS:
            if view == "full" or group.endswith("hand"):
                np.testing.assert_array_equal(clip.present(group), whole.present(group))


@given(st.integers(0, 500), st.integers(8, 40), st.sampled_from([12.5, 25.0, 29.97, 60.0]), st.integers(1, 15))
@settings(max_examples=40, deadline=None)
def test_frames_computed_in_parts_are_those_computed_at_once(seed, num_frames, fps, part_frames):
    clip = gappy(num_frames, seed=seed, even=seed % 2 == 0)
    frames = clip.in_view("compact").at(fps)
    parts = [frames[start : start + part_frames] for start in range(0, len(frames), part_frames)]
    np.testing.assert_array_equal(np.concatenate(parts), clip.resampled(fps).select("compact"))


def test_a_view_takes_the_memory_of_its_points(tmp_path):
    random_landmarks(2_000).save(tmp_path / "clip.npz")
    tracemalloc.start()
    try:
        clip = read_view(tmp_path / "clip.npz", "compact")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert clip.points.dtype == np.float16
    # 1.02 MB in half precision and parts of 0.5 MB; all points have 6.5 MB in the file and 13 MB in single precision.
    assert peak < 3_000_000


def save_damaged(name, path):
    """Writes a landmark file of 400 frames with a fault."""
    random_landmarks(400).save(path)
    with np.load(path) as saved:
        arrays = dict(saved)
    if name == "infinite point of another view":
        arrays["points"][300, layout.index("face.13")] = np.inf
    elif name == "infinite visibility":
        arrays["visibility"][300, 5] = np.inf
    elif name == "half of the points":
        arrays["points"] = arrays["points"][:, :100]
    elif name == "other kind of numbers":
        arrays["points"] = np.zeros(arrays["points"].shape, np.int8)
    np.savez(path, **arrays)
    data = bytearray(path.read_bytes())
    if name == "flipped bit":
        data[400_000] ^= 4
    elif name == "cut off":
        del data[400_000:]
    path.write_bytes(data)


@pytest.mark.parametrize(
    "name",
    [
        "infinite point of another view",
        "infinite visibility",
        "half of the points",
        "other kind of numbers",
        "flipped bit",
        "cut off",
    ],
)
def test_a_faulty_file_is_refused_as_it_is_when_read_as_a_whole(name, tmp_path):
    path = tmp_path / "clip.npz"
    save_damaged(name, path)
    with pytest.raises((InputError, LayoutError)) as whole:
        Landmarks.load(path)
    with pytest.raises(type(whole.value)) as view:
        read_view(path, "compact")
    assert str(view.value) == str(whole.value)
    assert str(path) in str(view.value)


def test_compressed_files_and_other_precisions_are_read(tmp_path):
    clip = gappy(200)
    clip.save(tmp_path / "saved.npz")
    with np.load(tmp_path / "saved.npz") as saved:
        arrays = dict(saved)
    np.savez_compressed(tmp_path / "compressed.npz", **arrays)
    single = {**arrays, "points": np.asfortranarray(clip.points), "visibility": clip.visibility}
    np.savez(tmp_path / "single.npz", **single)
    for name, dtype in (("compressed", np.float16), ("single", np.float32)):
        path = tmp_path / f"{name}.npz"
        view = read_view(path, "compact")
        assert view.points.dtype == dtype
        np.testing.assert_array_equal(view.points, Landmarks.load(path).select("compact").astype(dtype))


def test_a_corpus_checks_a_view_against_its_manifest(tmp_path):
    with CorpusWriter(tmp_path / "corpus", {"name": "views"}) as writer:
        writer.add("one", split="train", signer="A", glosses=("UP",), landmarks=random_landmarks(20))
    corpus = Corpus.open(tmp_path / "corpus")
    (item,) = corpus.utterances
    np.testing.assert_array_equal(corpus.load_view(item, "compact").points, corpus.load(item).select("compact"))
    for changed, message in (({"num_frames": 21}, "20 frames, the manifest says 21"), ({"fps": 24.0}, "says 24")):
        with pytest.raises(InputError, match=message):
            corpus.load_view(replace(item, **changed), "compact")


def test_a_zip_of_something_else_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "other.npz", "w") as archive:
        archive.writestr("a.npy", b"x")
    for path, message in ((tmp_path / "other.npz", "not a landmark file"), (tmp_path / "none.npz", "no such")):
        with pytest.raises(InputError, match=message):
            read_view(path, "compact")
