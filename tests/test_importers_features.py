"""The older files of 6,516 values: the landmarks in them, what was not detected, and what cannot be undone."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from signloom import cli, layout
from signloom.errors import InputError
from signloom.importers import features6516 as importer
from signloom.importers.features6516 import Picture, read_features, why_standardised
from signloom.landmarks import Landmarks

WEBCAM = Picture((1280, 720), 1.0, 30.0, ())


def person(num_frames=20, seed=0, shift=0.0) -> np.ndarray:
    """A simple person (T, 543, 3) in shares of the image: rigid face and palms that move, arms that bend."""
    rng = np.random.default_rng(seed)
    points = np.zeros((num_frames, 543, 3))
    # A cloud of face points around the middle, with the few that have a name where a face has them.
    face = rng.uniform(-0.5, 0.5, (468, 3)) * (0.1, 0.15, 0.02)
    for vertex, place in {234: (-0.05, 0), 454: (0.05, 0), 10: (0, -0.08), 152: (0, 0.08), 33: (-0.033, -0.02),
                          263: (0.033, -0.02), 61: (-0.02, 0.04), 291: (0.02, 0.04)}.items():  # fmt: skip
        face[vertex, :2] = place
    hand = rng.uniform(-0.04, 0.04, (21, 3))
    sway = 0.01 * np.sin(np.arange(num_frames) / 3)[:, None, None]
    points[:, layout.GROUPS["face"]] = face + np.array([0.5 + shift, 0.3, 0]) + sway
    points[:, layout.GROUPS["pose"]] = rng.uniform(0.3, 0.7, (33, 3)) + sway
    for group, x in (("left_hand", 0.65), ("right_hand", 0.35)):
        path = np.cumsum(rng.normal(0, 0.01, (num_frames, 1, 3)), axis=0)
        points[:, layout.GROUPS[group]] = hand + np.array([x + shift, 0.6, 0]) + path
    return points


def features(points: np.ndarray) -> np.ndarray:
    """The (T, 6516) of points: the rest is whatever the extractor derived."""
    flat = points.reshape(len(points), -1)
    return np.concatenate([flat, np.random.default_rng(0).normal(size=(len(points), 4887))], axis=1).astype(np.float32)


def command(*arguments) -> int:
    return cli.run_module(importer, "signloom import features6516", [str(argument) for argument in arguments])


def test_the_first_1629_values_are_the_landmarks_in_our_order(tmp_path):
    points = person()
    flat = features(points)
    # Columns by the specification's table: pose 99, left hand 63, right hand 63, face 1,404.
    flat[:, 3:6] = (0.11, 0.12, 0.13)
    flat[:, 99:102] = (0.21, 0.22, 0.23)
    flat[:, 162:165] = (0.31, 0.32, 0.33)
    flat[:, 225 + 3 * 13 : 225 + 3 * 14] = (0.41, 0.42, 0.43)
    np.savez(tmp_path / "a.npz", features=flat, detection_masks=np.ones((20, 543)), metadata=np.zeros(1))
    clip = read_features(tmp_path / "a.npz", WEBCAM)
    wide = 1280 / 720
    for name, expected in {
        "pose.left_eye_inner": (0.11, 0.12, 0.13),
        "left_hand.wrist": (0.21, 0.22, 0.23),
        "right_hand.wrist": (0.31, 0.32, 0.33),
        "face.13": (0.41, 0.42, 0.43),
    }.items():
        np.testing.assert_allclose(
            clip.points[0, layout.index(name)], np.multiply(expected, (wide, 1, wide)), rtol=1e-5
        )
    assert np.isfinite(clip.points).all()
    assert np.isnan(clip.visibility).all()
    assert (clip.fps, clip.image_size, clip.assumed) == (30.0, (1280, 720), ())


def test_without_options_the_picture_of_phoenix_is_assumed(tmp_path):
    np.save(tmp_path / "a.npy", features(person()))
    clip = read_features(tmp_path / "a.npy", Picture.of(None, None, None))
    assert clip.image_size == (210, 260)
    assert clip.assumed == ("image_size", "pixel_aspect", "fps")
    # Shown as 210 x 300: a share of the width is 210/300 of a share of the height.
    np.testing.assert_allclose(clip.points[..., 0], person()[..., 0] * 210 / 300, atol=1e-6)
    assert Picture.of("640x480", None, 24).pixel_aspect == 1.0


def test_what_the_mask_says_was_not_detected_is_missing(tmp_path):
    points, mask = person(), np.ones((20, 543), bool)
    points[4:7, layout.GROUPS["left_hand"]] = 0
    mask[4:7, layout.GROUPS["left_hand"]] = False
    mask[10, layout.index("pose.nose")] = False
    np.savez(tmp_path / "a.npz", features=features(points), detection_masks=mask)
    clip = read_features(tmp_path / "a.npz", WEBCAM)
    np.testing.assert_array_equal(clip.present("left_hand"), ~np.isin(np.arange(20), (4, 5, 6)))
    assert np.isnan(clip.points[10, layout.index("pose.nose")]).all()
    assert np.isfinite(clip.points[11, layout.index("pose.nose")]).all()


def test_without_a_mask_a_part_that_is_all_zero_is_missing(tmp_path):
    points = person()
    points[4, layout.GROUPS["face"]] = 0
    points[5, layout.index("face.13")] = 0  # A single zero among others is a value.
    np.save(tmp_path / "a.npy", features(points))
    clip = read_features(tmp_path / "a.npy", WEBCAM)
    np.testing.assert_array_equal(clip.present("face"), np.arange(20) != 4)
    assert (clip.points[5, layout.index("face.13")] == 0).all()


def test_a_mask_that_claims_zeros_is_noted_and_an_upside_down_one_refused(tmp_path):
    points = person()
    points[4, layout.GROUPS["left_hand"]] = 0
    np.savez(tmp_path / "a.npz", features=features(points), detection_masks=np.ones((20, 543)))
    outcome = importer.Conversion("test", tmp_path)
    assert not read_features(tmp_path / "a.npz", WEBCAM, outcome=outcome).present("left_hand")[4]
    assert any("all zero were treated as missing" in note for note in outcome.notes)
    np.savez(tmp_path / "b.npz", features=features(person()), detection_masks=np.zeros((20, 543)))
    with pytest.raises(InputError, match="detection_masks is inverted"):
        read_features(tmp_path / "b.npz", WEBCAM)


def scalings(clips: list[np.ndarray]) -> dict[str, list[np.ndarray]]:
    """What other pipelines do to a corpus of clips: each value by the statistics of all, or of its own clip."""
    everything = np.concatenate(clips)
    mean, std = np.nanmean(everything, axis=0), np.nanstd(everything, axis=0) + 1e-6
    center, spread = np.nanmean(everything), np.nanstd(everything)
    low, high = np.nanmin(everything, axis=0), np.nanmax(everything, axis=0) + 1e-6
    return {
        "z-score of the corpus": [(clip - mean) / std for clip in clips],
        "z-score of the clip": [(clip - np.nanmean(clip, axis=0)) / (np.nanstd(clip, axis=0) + 1e-6) for clip in clips],
        "range of the corpus": [(clip - low) / (high - low) for clip in clips],
        "one z-score for all": [(clip - center) / spread for clip in clips],
    }


@pytest.mark.parametrize("kind", ["z-score of the corpus", "z-score of the clip", "one z-score for all"])
def test_standardised_features_are_refused_and_plain_ones_are_not(tmp_path, kind):
    clips = [person(seed=seed, shift=0.03 * seed) for seed in range(6)]
    assert [why_standardised(clip) for clip in clips] == [None] * 6
    found = [bool(why_standardised(clip)) for clip in scalings(clips)[kind]]
    assert np.mean(found) >= 0.8
    for number, clip in enumerate(scalings(clips)[kind]):
        np.save(tmp_path / f"{number}.npy", features(clip))
    with pytest.raises(InputError, match=r"of 6 sampled files have standardised features"):
        command(tmp_path, "--output", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_corpus_of_one_standardised_file_is_a_fault_of_that_file(tmp_path, capsys):
    clip = scalings([person(), person(seed=1)])["z-score of the clip"][0]
    np.save(tmp_path / "a.npy", features(clip))
    assert command(tmp_path / "a.npy", "--output", tmp_path / "out") == 1
    assert "these features were standardised, which cannot be undone" in capsys.readouterr().err


def real_clips(folder) -> list[np.ndarray]:
    """Real full-face recordings, (T, 543, 3) with NaN where a part was not detected."""
    clips = []
    for path in sorted((folder / "asl_fullface").glob("*.npz")):
        with np.load(path) as data:
            frames, starts, lengths = data["frames"].astype(np.float64), data["start"], data["length"]
        for start, length in zip(starts, lengths, strict=True):
            rows = frames[start : start + length]
            pose = rows[:, :132].reshape(-1, 33, 4)[..., :3]
            face, hands = rows[:, 132:1536].reshape(-1, 468, 3), rows[:, 1536:].reshape(-1, 42, 3)
            points = np.concatenate([pose, hands, face], axis=1)
            for group in layout.GROUPS.values():
                points[(points[:, group] == 0).all(axis=(1, 2)), group] = np.nan
            clips.append(points)
    return clips


@pytest.mark.slow
def test_real_recordings_pass_and_are_recognised_once_standardised(shared_data):
    clips = real_clips(shared_data)
    assert len(clips) == 105
    assert [reason for reason in map(why_standardised, clips) if reason] == []
    # One scale for all keeps every shape: only the range of values tells. The sample of the corpus does the rest.
    expected = {
        "z-score of the corpus": 0.9,
        "z-score of the clip": 1.0,
        "range of the corpus": 0.6,
        "one z-score for all": 0.4,
    }
    with warnings.catch_warnings():
        # A hand that is missing throughout a clip has no mean.
        warnings.simplefilter("ignore", RuntimeWarning)
        scaled = scalings(clips)
    for kind, share in expected.items():
        assert np.mean([bool(why_standardised(clip)) for clip in scaled[kind]]) >= share, kind


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"features": np.zeros((5, 1662))}, r"features of shape \(5, 1662\), needed \(T, 6516\)"),
        ({"features": np.zeros((0, 6516))}, "0 frames"),
        ({"features": np.zeros((5, 6516), int)}, "needed floating point numbers"),
        ({"landmarks": np.zeros((5, 6516))}, "no array named features or detection_masks; got landmarks"),
        ({"detection_masks": np.ones((5, 543))}, "no array named features"),
        ({"features": features(person()), "detection_masks": np.ones((20, 75))}, r"needed \(20, 543\)"),
        ({"features": np.array([{}], dtype=object)}, "not a readable NumPy file of numbers"),
        ({"features": np.full((5, 6516), np.inf)}, "infinite values"),
    ],
    ids=["width", "empty", "integers", "key", "only-mask", "mask", "objects", "infinite"],
)
def test_wrong_files_are_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(InputError, match=message):
        read_features(tmp_path / "a.npz", WEBCAM)


def test_a_data_folder_is_converted_and_a_pickled_metadata_never_loaded(tmp_path, capsys):
    for number, split in enumerate(("train", "dev", "test")):
        (tmp_path / "in" / split).mkdir(parents=True)
        metadata = np.array([{"id": split}], dtype=object)
        np.savez(
            tmp_path / "in" / split / f"clip{number}.npz",
            features=features(person(seed=number)),
            detection_masks=np.ones((20, 543)),
            metadata=metadata,
        )
    (tmp_path / "in" / "train" / "broken.npz").write_bytes(b"PK\x03\x04 half a file")
    arguments = (tmp_path / "in", "--output", tmp_path / "out", "--fps", "25")
    assert command(*arguments) == 1
    output = capsys.readouterr()
    assert "3 clips (3 converted), 60 frames converted" in output.out
    assert "broken.npz: not a readable NumPy file of numbers" in output.err
    assert "assumed, not given by the source: image_size (3 clips)" in output.err
    clip = Landmarks.load(tmp_path / "out" / "dev" / "clip1.npz")
    assert clip.source["settings"]["fps"] == 25
    (tmp_path / "in" / "train" / "broken.npz").unlink()
    assert command(*arguments) == 0
    assert "0 converted, 3 already there" in capsys.readouterr().out
    # Other settings make them anew.
    assert command(*arguments[:-1], "30") == 0
    assert Landmarks.load(tmp_path / "out" / "dev" / "clip1.npz").fps == 30


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--image_size", "wide"), "needed width x height in pixels, e.g. 210x260"),
        (("--pixel_aspect", "9"), "needed a pixel's width divided by its height"),
        (("--fps", "0"), "--fps is 0.0; needed a number of 1 to 1,000"),
    ],
)
def test_impossible_options_are_refused(tmp_path, flags, message):
    np.save(tmp_path / "a.npy", features(person()))
    with pytest.raises(InputError, match=message):
        command(tmp_path, "--output", tmp_path / "out", *flags)
