"""Which frames of a teacher match those of a student, and the examples that both are given."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import TINY_STUDENT
from distilling import new_recognizer, recipe
from signloom import layout
from signloom.corpus import Corpus
from signloom.ctc.collapse import frames_needed
from signloom.ctc.greedy import greedy_ids
from signloom.errors import InputError
from signloom.inference.model import load
from signloom.train.augmentation import AugmentationConfig, augment, retiming
from signloom.train.data import ClipCache, UtteranceDataset
from signloom.train.distill.losses import at_student_frames
from signloom.train.distill.targets import DistillDataset, frame_edges, matching, wide_view
from signloom.train.method import method_of
from signloom.vocabulary import Vocabulary


def test_matches_by_hand():
    # A student at every fourth frame, a teacher at every frame: four of its frames each, and the two that are left.
    edges = frame_edges(np.arange(10), 10, stride=4, num_outputs=3)
    assert edges.tolist() == [0, 4, 8, 10]
    found = matching(edges, 1.0, 10)
    assert found.astype(int).tolist() == [[1] * 4 + [0] * 6, [0] * 4 + [1] * 4 + [0] * 2, [0] * 8 + [1] * 2]
    # The other way round: each student frame lies in one teacher frame.
    back = matching(frame_edges(np.arange(10), 10, stride=1, num_outputs=10), 4.0, 3)
    assert back.sum(1).tolist() == [1] * 10
    assert back.argmax(1).tolist() == [0] * 4 + [1] * 4 + [2] * 2
    # Steps that do not fit: a third of the first step lies in the second frame, which is enough; a tenth is not.
    assert matching(np.array([0.0, 2, 4]), 3.0, 2).tolist() == [[True, False], [True, True]]
    assert matching(np.array([0.0, 2.7, 4]), 3.0, 2).tolist() == [[True, False], [False, True]]
    # A clip made faster: two steps in one frame. One made slower: the same step again where none lies most.
    assert matching(np.array([0.0, 8, 12]), 4.0, 3).tolist() == [[True, True, False], [False, False, True]]
    assert matching(np.array([0.0, 1, 3, 4]), 4.0, 1).tolist() == [[True]] * 3


@pytest.mark.parametrize("stride", [1, 4])
def test_equal_strides_and_no_change_of_tempo_are_the_identity(stride):
    for frames in range(1, 14):
        outputs = -(-frames // stride)
        found = matching(frame_edges(np.arange(frames), frames, stride, outputs), stride, outputs)
        np.testing.assert_array_equal(found, np.eye(outputs, dtype=bool))


tempos = given(
    st.integers(1, 60),
    st.sampled_from([1, 2, 4]),
    st.sampled_from([1.0, 2.0, 4.0, 3.3]),
    st.integers(0, 1000),
    st.booleans(),
)


def retimed(frames, stride, step, seed, strong):
    """Edges of output frames of a clip that was re-timed at random, and the teacher's frames."""
    config = AugmentationConfig(retime=0.5 if strong else 0.25, drop_frames=0.25)
    positions = retiming(frames, config, np.random.default_rng(seed), min_frames=1, fps=25.0)
    edges = frame_edges(positions, frames, stride, -(-len(positions) // stride))
    return edges, max(1, int(np.ceil(frames / step)))


@settings(max_examples=60)
@tempos
def test_every_frame_has_its_match_whatever_the_tempo(frames, stride, step, seed, strong):
    edges, num_steps = retimed(frames, stride, step, seed, strong)
    found = matching(edges, step, num_steps)
    assert (np.diff(edges) >= 0).all()
    assert edges[0] == 0
    assert edges[-1] == frames
    # No step is lost, and time does not run backwards.
    assert found.any(1).all()
    assert found.any(0).all()
    first, last = found.argmax(1), num_steps - 1 - found[:, ::-1].argmax(1)
    assert (first[1:] >= last[:-1]).all()
    assert (found.sum(1) == last - first + 1).all()


@settings(max_examples=60)
@tempos
def test_no_gloss_is_lost_by_another_tempo_or_stride(frames, stride, step, seed, strong):
    """What a teacher says in single frames, its blanks between them, is what the student is told to say."""
    edges, num_steps = retimed(frames, stride, step, seed, strong)
    matches = torch.from_numpy(matching(edges, step, num_steps))[None]
    # So far apart that no two of them fall into one frame. Neighbours differ: where a clip becomes almost three times
    # as fast, the frames of two equal ones may touch, and CTC would merge them.
    apart = 2 + int(np.ceil(4 * stride / step))
    glosses = [1 + number % 3 for number in range(len(range(0, num_steps, apart)))]
    said = torch.zeros(1, num_steps, dtype=torch.long)
    said[0, ::apart] = torch.tensor(glosses)
    teacher = torch.log_softmax(8.0 * torch.nn.functional.one_hot(said, 4).float(), -1)
    told = at_student_frames(teacher, matches)
    assert greedy_ids(told.numpy(), np.array([told.shape[1]])) == [glosses]


def test_impossible_frames_are_refused():
    with pytest.raises(InputError, match="1 edge, 3 steps of 4.0"):
        matching(np.array([0.0]), 4.0, 3)


def test_a_retimed_clip_is_compared_with_the_emission_of_the_same_moment(tiny_corpus):
    """The numbers of the frames that match are where augmentation took the frame from."""
    corpus = Corpus.open(tiny_corpus)
    items = corpus.split("train")
    vocabulary = Vocabulary.from_glosses(item.glosses for item in items)
    config = AugmentationConfig(retime=0.4, warp=0.3, drop_frames=0.2)
    plain = UtteranceDataset(corpus, items, vocabulary, view="compact", fps=25.0)
    # The x of one point that only changes with time tells which frame is where.
    clips = {at: np.zeros((len(plain.points(at)), 85, 3), dtype=np.float16) for at in range(len(plain))}
    for clip in clips.values():
        clip[:] = np.arange(len(clip))[:, None, None] / 64
    still = replace(config, rotate_degrees=0, yaw_degrees=0, stretch=0, proportions=0, place=0, hand_rotate_degrees=0)
    still = replace(still, jitter=0, drop_hand=0, drop_face=0)
    cache = ClipCache()
    data = UtteranceDataset(corpus, items, vocabulary, view="compact", fps=25.0, augmentation=still, cache=cache)
    for at, clip in clips.items():
        cache.add("compact", items[at].id, clip)
    distill_data = DistillDataset(
        data,
        student_outputs=lambda frames: frames,
        stride=1,
        teacher_step=1.0,
        teacher_outputs=lambda frames: frames,
        teacher_view="full",
        emission=lambda index: np.zeros((len(clips[index]), 4), dtype=np.float32),
    )
    for epoch in (0, 1):
        distill_data.epoch = epoch
        for index in range(4):
            example = distill_data[index]
            read = 64 * example.points[:, 0, 0]
            told = example.matches @ np.arange(example.matches.shape[1]) / example.matches.sum(1)
            assert len(read) == len(told)
            # Half a frame is where neighbours in a clip meet; at most two of them were dropped in a row or so.
            assert np.abs(read - told).max() < 3
            assert np.abs(read - told).mean() < 0.5


def test_a_view_that_holds_both():
    assert wide_view("compact", "full") == wide_view("full", "compact") == "full"
    assert wide_view("compact", "compact") == "compact"


@pytest.mark.slow
def test_the_teacher_sees_the_clip_that_the_student_sees(tiny_corpus, teacher, tmp_path):
    model = load(teacher)
    corpus = Corpus.open(tiny_corpus)
    student = new_recognizer(TINY_STUDENT, len(model.vocabulary))
    data = UtteranceDataset(
        corpus,
        corpus.split("train"),
        model.vocabulary,
        view="compact",
        fps=25.0,
        augmentation=AugmentationConfig(),
        frames_needed=lambda ids: student.input_frames_needed(frames_needed(ids)),
    )
    examples = method_of(recipe(tiny_corpus, teacher, tmp_path), data, student, model.vocabulary).train
    examples.epoch = 3
    example = examples[2]
    full = UtteranceDataset(corpus, corpus.split("train"), model.vocabulary, view="full", fps=25.0).points(2)
    changed, _ = augment(
        full,
        AugmentationConfig(),
        np.random.default_rng((0, 3, 2)),
        subset="full",
        min_frames=data.frames_needed(data.targets[2].tolist()),
        fps=25.0,
    )
    # Files hold half precision, and so does the memory of the data set.
    np.testing.assert_allclose(example.teacher_points, changed, atol=2e-3)
    np.testing.assert_array_equal(example.points, example.teacher_points[:, layout.subset("compact")])
