"""Nearest neighbour by DTW: the distance against a plain one, the baseline on easy and on hard corpora."""

from dataclasses import replace

import numpy as np
import pytest

from conftest import random_landmarks
from signloom import layout
from signloom.corpus import Corpus, CorpusWriter
from signloom.errors import InputError
from signloom.landmarks import Landmarks
from signloom.synth.baseline import dtw_distances, features, mean_pose_distances, nearest_neighbour
from signloom.synth.corpus import synthesise
from signloom.synth.options import SynthOptions

pytestmark = pytest.mark.slow

EASY = SynthOptions(
    num_signs=8,
    num_signers=3,
    num_test_signers=1,
    num_train=20,
    num_dev=0,
    num_test=12,
    max_glosses=4,
    minimal_pairs=0.0,
    preset="clean",
    tracker_noise=0.2,
)


def plain_dtw(query, reference, reach):
    """The same recursion, one cell at a time."""
    length = len(query)
    cost = np.linalg.norm(query[:, None] - reference[None], axis=2)
    table = np.full((length + 1, length + 1), np.inf)
    table[0, 0] = 0
    for i in range(length):
        for j in range(max(0, i - reach), min(length, i + reach + 1)):
            table[i + 1, j + 1] = min(
                table[i, j] + 2 * cost[i, j], table[i, j + 1] + cost[i, j], table[i + 1, j] + cost[i, j]
            )
    return table[length, length] / (2 * length)


def test_distances_are_those_of_the_plain_recursion():
    rng = np.random.default_rng(0)
    queries, references = (rng.normal(size=(count, 12, 5)).astype(np.float32) for count in (3, 4))
    for band in (0.1, 0.25, 1.0):
        expected = [[plain_dtw(q, r, max(1, round(12 * band))) for r in references] for q in queries]
        np.testing.assert_allclose(dtw_distances(queries, references, band=band), expected, rtol=1e-4)


def test_a_sign_is_at_no_distance_from_itself_and_near_its_own_warping():
    time = np.linspace(0, 1, 16)
    wave = np.stack([np.sin(5 * time), np.cos(5 * time)], axis=1).astype(np.float32)
    late = np.stack([np.sin(5 * time**1.3), np.cos(5 * time**1.3)], axis=1).astype(np.float32)
    distances = dtw_distances(wave[None], np.stack([wave, late, -wave]))[0]
    # The squares of equal vectors cancel up to single precision.
    assert distances[0] < 2e-3
    assert distances[1] < 0.5 * np.linalg.norm(wave - late, axis=1).mean()
    assert distances[1] < 0.2 * distances[2]


def test_features_do_not_depend_on_where_the_camera_stands():
    clip = random_landmarks(12)
    moved = Landmarks(clip.points * 0.6 + np.float32(0.13), clip.visibility, fps=25.0)
    np.testing.assert_allclose(features(moved), features(clip), atol=2e-4)


def test_a_missing_hand_is_filled_between_its_neighbours():
    clip = random_landmarks(12)
    points = clip.points.copy()
    points[:, layout.GROUPS["left_hand"]] = points[:1, layout.GROUPS["left_hand"]]
    gap = points.copy()
    gap[4:7, layout.GROUPS["left_hand"]] = np.nan
    whole, filled = (features(Landmarks(p, clip.visibility, fps=25.0)) for p in (points, gap))
    np.testing.assert_allclose(filled, whole, atol=1e-6)
    gap[:, layout.GROUPS["left_hand"]] = np.nan
    assert np.isfinite(features(Landmarks(gap, clip.visibility, fps=25.0))).all()


def test_alike_signers_are_recognised_and_the_answer_repeats(tmp_path):
    corpus = synthesise(EASY, tmp_path / "easy")
    # Cut at the strokes: the ways to other signs are the only difference between two tokens here.
    assert nearest_neighbour(corpus, boundaries="strokes").error_rate < 0.1
    result = nearest_neighbour(corpus)
    assert result.error_rate < 0.4
    assert result.num_queries == sum(len(utterance.glosses) for utterance in corpus.split("test"))
    assert result.num_references <= 8 * 2 * 2
    assert result == nearest_neighbour(corpus)
    assert "errors" in str(result)
    assert nearest_neighbour(corpus, max_queries=5).num_queries == 5


def test_different_signers_and_alike_signs_are_hard(tmp_path):
    hard = replace(EASY, num_signs=24, num_train=40, num_test=24, minimal_pairs=0.95)
    hard = replace(hard, signer_variation=1.0, token_variation=1.0, tracker_noise=1.0, lost_hands=1.0)
    result = nearest_neighbour(synthesise(hard, tmp_path / "hard"))
    low, high = result.error_interval
    assert 0.2 < result.error_rate < 0.9
    assert low < result.error_rate < high
    assert sum(count for _, _, count in result.confusions) <= result.num_errors
    assert all(truth != given for truth, given, _ in result.confusions)
    assert set(result.signers) == {"signer03"}


def test_the_mean_pose_tells_less_than_warping(tmp_path):
    options = replace(EASY, num_signs=24, num_train=40, num_test=24, minimal_pairs=0.95)
    corpus = synthesise(options, tmp_path / "easy")
    mean = nearest_neighbour(corpus, method="mean_pose", boundaries="strokes")
    assert mean.error_rate > nearest_neighbour(corpus, boundaries="strokes").error_rate
    assert str(mean).startswith("nearest neighbour by mean pose")
    clips = np.random.default_rng(0).normal(size=(4, 6, 3)).astype(np.float32)
    expected = np.linalg.norm(clips[:, None].mean(axis=2) - clips[None].mean(axis=2), axis=2)
    np.testing.assert_allclose(mean_pose_distances(clips, clips), expected, atol=1e-3)


def test_an_unknown_method_is_refused(tiny_corpus):
    with pytest.raises(InputError, match="nearest neighbour: method 'cosine'; needed one of dtw, mean_pose"):
        nearest_neighbour(Corpus.open(tiny_corpus), method="cosine")


def test_a_corpus_without_boundaries_is_refused(tmp_path):
    with CorpusWriter(tmp_path / "plain", {}) as writer:
        for split in ("train", "test"):
            writer.add(split, split=split, signer="a", glosses=["X", "Y"], landmarks=random_landmarks())
    with pytest.raises(InputError, match="the truth has no 'boundaries' for its 2 glosses; the baseline needs"):
        nearest_neighbour(Corpus.open(tmp_path / "plain"))
