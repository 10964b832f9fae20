"""Losses of distillation, what a teacher says at the student's frames, emissions kept on disk, and the command."""

import errno
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import TINY_STUDENT
from signloom import cli
from signloom.commands import distill
from signloom.corpus import Corpus, CorpusWriter
from signloom.ctc.collapse import frames_needed
from signloom.ctc.greedy import greedy_ids
from signloom.errors import InputError, LayoutError
from signloom.inference.model import Model, load
from signloom.inference.torch_engine import TorchEngine
from signloom.model import presets
from signloom.model.presets import InceptionModule, TeacherConfig, preset
from signloom.model.recognizer import Recognizer
from signloom.train.augmentation import AugmentationConfig, augment, retiming
from signloom.train.consistency import ConsistencyModule
from signloom.train.data import UtteranceDataset, collate
from signloom.train.distill import module as distillation
from signloom.train.distill.cached_emissions import fingerprint, keep_emissions
from signloom.train.distill.module import DistillationModule, Teacher, at_student_frames, lessons, soft_loss
from signloom.train.distill.recipe import DistillRecipe
from signloom.train.distill.targets import TaughtDataset, frame_edges, matching, wide_view
from signloom.train.fit import fit
from signloom.train.recipe import Recipe
from signloom.train.recipes import recipes
from signloom.vocabulary import Vocabulary

pytestmark = pytest.mark.slow

TINY_TEACHER = TeacherConfig(
    view="full",
    encoder_width=16,
    attention_heads=2,
    stem_channels=24,
    modules=(InceptionModule("3b", 8, (8, 12), (4, 8), 8),),
    lstm_hidden=24,
    lstm_layers=1,
    dropout=0.0,
    attention_dropout=0.0,
)


@pytest.fixture(autouse=True)
def tiny_presets(monkeypatch):
    monkeypatch.setitem(presets.PRESETS, "tiny", TINY_STUDENT)
    monkeypatch.setitem(presets.PRESETS, "tiny_teacher", TINY_TEACHER)


# Of a few seconds, and good enough on dev to be worth imitating.
TEACHING = {"epochs": 40, "batch_size": 4, "preset": "tiny_teacher", "augment": False, "learning_rate": 2e-3}
SHORT = {"epochs": 2, "batch_size": 4, "preset": "tiny", "augment": False, "threads": 1, "learning_rate": 1e-3}


@pytest.fixture(scope="module")
def teacher(tiny_corpus, tmp_path_factory):
    """The run folder of a teacher that had the time to learn the tiny corpus."""
    presets.PRESETS["tiny_teacher"] = TINY_TEACHER
    try:
        output = tmp_path_factory.mktemp("teacher") / "run"
        return fit(Recipe(tiny_corpus, output=output, **TEACHING)).run
    finally:
        del presets.PRESETS["tiny_teacher"]


def recipe(corpus, teacher, output, **changes) -> DistillRecipe:
    return DistillRecipe(data_dir=corpus, teacher=teacher, output=output, **{**SHORT, **changes})


def log_probs(*shape: int, seed: int = 0, spread: float = 3.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.log_softmax(spread * torch.randn(*shape, generator=generator), dim=-1)


def same_frames(frames: int, size: int = 1) -> torch.Tensor:
    return torch.eye(frames, dtype=torch.bool).expand(size, -1, -1)


# Losses


def test_soft_loss_of_one_frame_and_two_words_by_hand():
    # At temperature 2 odds become their square roots: the teacher's 9 to 1 becomes 3 to 1, the student's 1 to 1 stays.
    teacher = torch.tensor([[[0.9, 0.1]]]).log()
    student = torch.tensor([[[0.5, 0.5]]]).log()
    expected = 4 * (0.75 * np.log(0.75 / 0.5) + 0.25 * np.log(0.25 / 0.5))
    found = soft_loss(student, torch.tensor([1]), teacher, same_frames(1), temperature=2.0)
    assert found.tolist() == pytest.approx([expected], rel=1e-6)


def test_soft_loss_is_the_mean_over_frames_that_are_not_padding():
    teacher, student = log_probs(1, 3, 5, seed=1), log_probs(1, 3, 5, seed=2)
    single = [
        soft_loss(student[:, at : at + 1], torch.tensor([1]), teacher[:, at : at + 1], same_frames(1))[0].item()
        for at in range(3)
    ]
    found = soft_loss(student, torch.tensor([2]), teacher, same_frames(3))
    assert found.item() == pytest.approx((single[0] + single[1]) / 2, rel=1e-5)


@pytest.mark.parametrize("leave_out_blank", [False, True])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_soft_loss_is_zero_where_the_student_says_what_the_teacher_says(temperature, leave_out_blank):
    same = log_probs(2, 6, 7, spread=8.0)
    options = {"temperature": temperature, "leave_out_blank": leave_out_blank}
    found = soft_loss(same, torch.tensor([6, 4]), same, same_frames(6, 2), **options)
    # A sum of seven products of single precision near 1, times T^2.
    assert found.tolist() == pytest.approx([0.0, 0.0], abs=1e-5)
    assert (found >= 0).all()
    other = soft_loss(log_probs(2, 6, 7, seed=3), torch.tensor([6, 4]), same, same_frames(6, 2), **options)
    assert (other > 0.01).all()


@settings(max_examples=30)
@given(st.integers(1, 6), st.integers(0, 5), st.integers(0, 100), st.booleans())
def test_padding_changes_neither_the_loss_nor_its_gradient(frames, padding, seed, leave_out_blank):
    teacher, student = log_probs(1, frames, 4, seed=seed), log_probs(1, frames, 4, seed=seed + 1).requires_grad_()
    lengths = torch.tensor([frames])
    alone = soft_loss(student, lengths, teacher, same_frames(frames), leave_out_blank=leave_out_blank)
    (gradient,) = torch.autograd.grad(alone.sum(), student)

    def padded(values, fill):
        return torch.cat([values, torch.full((1, padding, 4), fill)], dim=1)

    matches = torch.zeros(1, frames + padding, frames + padding, dtype=torch.bool)
    matches[:, :frames, :frames] = torch.eye(frames, dtype=torch.bool)
    longer = padded(student.detach(), -1.3).requires_grad_()
    found = soft_loss(longer, lengths, padded(teacher, 0.0), matches, leave_out_blank=leave_out_blank)
    (theirs,) = torch.autograd.grad(found.sum(), longer)
    assert found.item() == pytest.approx(alone.item(), rel=1e-5, abs=1e-7)
    assert torch.allclose(theirs[:, :frames], gradient, atol=1e-6)
    assert not theirs[:, frames:].any()


def test_t_squared_keeps_gradients_of_one_order():
    # Hinton et al. 2015: where logits are small against the temperature, the gradient of T^2 * KL no longer depends on
    # it: it is the difference of the logits over the number of words.
    teacher, logits = log_probs(1, 8, 10, spread=0.5), torch.randn(1, 8, 10, generator=torch.manual_seed(5)) * 0.5
    norms = []
    for temperature in (4.0, 8.0, 16.0):
        student = logits.clone().requires_grad_()
        soft_loss(
            torch.log_softmax(student, -1), torch.tensor([8]), teacher, same_frames(8), temperature=temperature
        ).sum().backward()
        norms.append(student.grad.norm().item())
    # Without T^2 each would be a quarter of the one before.
    assert norms[1] == pytest.approx(norms[0], rel=0.1)
    assert norms[2] == pytest.approx(norms[1], rel=0.05)


def test_the_loss_with_blank_is_the_loss_without_it_and_that_of_blank_alone():
    # Chain rule of KL: blank or not, then, as often as it is not, which word. Checked for one frame at temperature 1,
    # where the weight of the frame is the very share that the teacher leaves to words.
    teacher, student = log_probs(1, 1, 6, seed=1), log_probs(1, 1, 6, seed=2)
    lengths = torch.tensor([1])
    whole = soft_loss(student, lengths, teacher, same_frames(1), temperature=1.0)
    words = soft_loss(student, lengths, teacher, same_frames(1), temperature=1.0, leave_out_blank=True)
    q, p = teacher[0, 0, 0].exp(), student[0, 0, 0].exp()
    blank = q * (q / p).log() + (1 - q) * ((1 - q) / (1 - p)).log()
    assert whole.item() == pytest.approx((blank + words).item(), rel=1e-4)


def test_without_blank_a_frame_counts_by_what_the_teacher_leaves_to_words():
    teacher = torch.tensor([[[0.999, 0.0009, 0.0001], [0.001, 0.9, 0.099]]]).log()
    student = log_probs(1, 2, 3)
    silent, signed = (
        soft_loss(
            student[:, at : at + 1], torch.tensor([1]), teacher[:, at : at + 1], same_frames(1), leave_out_blank=True
        )
        for at in (0, 1)
    )
    both = soft_loss(student, torch.tensor([2]), teacher, same_frames(2), leave_out_blank=True)
    # Weights 0.001 and 0.999, which sum to one frame.
    assert both.item() == pytest.approx((silent + signed).item(), rel=1e-5)
    assert silent < 0.01


# Frames of one in the time of the other


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
    # So far apart that no two of them come into one frame of a clip twice as fast.
    apart = 2 + int(np.ceil(4 * stride / step))
    glosses = [1 + at % 3 for at in range(0, num_steps, apart)]
    said = torch.zeros(1, num_steps, dtype=torch.long)
    said[0, ::apart] = torch.tensor(glosses)
    teacher = torch.log_softmax(8.0 * torch.nn.functional.one_hot(said, 4).float(), -1)
    told = at_student_frames(teacher, matches)
    assert greedy_ids(told.numpy(), np.array([told.shape[1]])) == [glosses]


def test_impossible_frames_are_refused():
    with pytest.raises(InputError, match="1 edges, 3 steps of 4.0"):
        matching(np.array([0.0]), 4.0, 3)


def test_of_several_frames_the_least_blank_is_taken_as_it_is():
    teacher = torch.tensor([[[0.8, 0.2], [0.2, 0.8], [0.6, 0.4]]]).log()
    matches = torch.tensor([[[True, True, False], [False, False, True], [True, False, True]]])
    found = at_student_frames(teacher, matches)
    np.testing.assert_allclose(found.exp()[0], [[0.2, 0.8], [0.6, 0.4], [0.6, 0.4]], rtol=1e-6)


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
    data = UtteranceDataset(corpus, items, vocabulary, view="compact", fps=25.0, augmentation=still)
    data._cache = clips
    taught = TaughtDataset(
        data,
        student_outputs=lambda frames: frames,
        stride=1,
        teacher_step=1.0,
        teacher_outputs=lambda frames: frames,
        teacher_view="full",
        emission=lambda index: np.zeros((len(clips[index]), 4), dtype=np.float32),
    )
    for epoch in (0, 1):
        taught.epoch = epoch
        for index in range(4):
            example = taught[index]
            read = 64 * example.points[:, 0, 0]
            told = example.matches @ np.arange(example.matches.shape[1]) / example.matches.sum(1)
            assert len(read) == len(told)
            # Half a frame is where neighbours in a clip meet; at most two of them were dropped in a row or so.
            assert np.abs(read - told).max() < 3
            assert np.abs(read - told).mean() < 0.5


# A teacher that is asked


def small(config, words: int, seed: int) -> Recognizer:
    torch.manual_seed(seed)
    return Recognizer(config, words)


def test_a_teacher_learns_nothing(tiny_corpus, teacher, tmp_path):
    corpus = Corpus.open(tiny_corpus)
    items = corpus.split("train")
    model = load(teacher)
    student = small(TINY_STUDENT, len(model.vocabulary), 0)
    data = UtteranceDataset(corpus, items, model.vocabulary, view="compact", fps=25.0)
    taught = lessons(recipe(tiny_corpus, teacher, tmp_path), data, student, model.vocabulary)
    references = {item.id: item.glosses for item in items}
    module = taught.module(student, model.vocabulary, recipe(tiny_corpus, teacher, tmp_path), references)
    assert isinstance(module, DistillationModule)
    own = module.teacher.recognizer
    before = {name: value.clone() for name, value in own.state_dict().items()}
    module.train()
    batch = taught.train.collate([taught.train[at] for at in range(4)])
    losses = module.training_losses(batch)
    losses.total.sum().backward()
    # Batch norm would have moved its running statistics, and dropout its outputs, had the mode been another.
    assert not any(part.training for part in own.modules())
    assert all(torch.equal(value, before[name]) for name, value in own.state_dict().items())
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in own.parameters())
    assert all(parameter.grad is not None for parameter in student.parameters())
    assert not any("teacher" in name for name, _ in module.named_parameters())
    assert not any("teacher" in name for name in module.state_dict())


def test_the_loss_is_weighed_as_the_recipe_says(tiny_corpus, teacher, tmp_path):
    model = load(teacher)
    corpus = Corpus.open(tiny_corpus)
    items = corpus.split("train")
    student = small(TINY_STUDENT, len(model.vocabulary), 0).eval()
    data = UtteranceDataset(corpus, items, model.vocabulary, view="compact", fps=25.0)
    found = {}
    for weight in (0.25, 1.0):
        options = recipe(tiny_corpus, teacher, tmp_path, soft_weight=weight)
        taught = lessons(options, data, student, model.vocabulary)
        module = taught.module(student, model.vocabulary, options, {})
        batch = taught.train.collate([taught.train[at] for at in (0, 1, 2)])
        found[weight] = module.training_losses(batch)
    log_probs, lengths = student(batch.points, batch.lengths)
    soft = soft_loss(log_probs, lengths, module.teacher_log_probs(batch), batch.matches)
    # The training step divides each utterance's loss by its glosses.
    np.testing.assert_allclose((found[1.0].total / batch.target_lengths).tolist(), soft.tolist(), rtol=1e-4)
    expected = 0.25 * soft * batch.target_lengths + 0.75 * found[0.25].ctc
    np.testing.assert_allclose(found[0.25].total.tolist(), expected.tolist(), rtol=1e-4)


def test_each_of_two_views_is_compared_with_the_teacher(tiny_corpus, teacher, tmp_path):
    model, corpus = load(teacher), Corpus.open(tiny_corpus)
    student = small(preset("tiny", auxiliary_head=True), len(model.vocabulary), 0)
    data = UtteranceDataset(corpus, corpus.split("train"), model.vocabulary, view="compact", fps=25.0)
    options = recipe(tiny_corpus, teacher, tmp_path, consistency=2.0, soft_weight=1.0)
    options.check()
    taught = lessons(options, data, student, model.vocabulary)
    module = taught.module(student, model.vocabulary, options, {})
    batch = taught.train.collate([taught.train[at] for at in (0, 1, 2)])
    torch.manual_seed(0)
    found = module.training_losses(batch)
    assert len(found.heads.log_probs) == 6
    theirs = module.teacher_log_probs(batch)
    first, second = (
        soft_loss(rows, found.heads.lengths[:3], theirs, batch.matches) for rows in found.heads.log_probs.chunk(2)
    )
    assert not torch.allclose(first, second)
    expected = (first + second) / 2 * batch.target_lengths
    np.testing.assert_allclose(found.total.tolist(), expected.tolist(), rtol=1e-5)
    # With a little weight for the rest, that of two views comes in: CTC, the auxiliary head's and the comparison.
    module.recipe = replace(options, soft_weight=0.75)
    torch.manual_seed(0)
    both = module.training_losses(batch)
    torch.manual_seed(0)
    alone = ConsistencyModule.training_losses(module, batch)
    np.testing.assert_allclose(both.total.tolist(), (0.75 * found.total + 0.25 * alone.total).tolist(), rtol=1e-5)


@pytest.mark.parametrize(("student", "frame_rate"), [("tiny", False), ("tiny", True), ("tiny_teacher", False)])
def test_kept_emissions_are_those_of_the_teacher_asked_where_nothing_is_changed(
    tiny_corpus, teacher, tmp_path, student, frame_rate
):
    model = load(teacher)
    corpus = Corpus.open(tiny_corpus)
    recognizer = small(preset(student, frame_rate=frame_rate), len(model.vocabulary), 1).eval()
    data = UtteranceDataset(corpus, corpus.split("train"), model.vocabulary, view=recognizer.config.view, fps=25.0)
    losses = {}
    for cache in (False, True):
        options = recipe(
            tiny_corpus, teacher, tmp_path, cache=cache, emissions=tmp_path / "emissions" if cache else None
        )
        taught = lessons(options, data, recognizer, model.vocabulary)
        module = taught.module(recognizer, model.vocabulary, options, {})
        assert (module.teacher is None) == cache
        batch = taught.train.collate([taught.train[at] for at in range(5)])
        assert (batch.teacher_log_probs is None) != cache
        log_probs, lengths = recognizer(batch.points, batch.lengths)
        assert batch.matches.shape[:2] == log_probs.shape[:2]
        losses[cache] = soft_loss(log_probs, lengths, module.teacher_log_probs(batch), batch.matches)
    # Half precision: log-probabilities near -10 are good to 0.004, a third of that at temperature 3, and errors cancel.
    np.testing.assert_allclose(losses[True].tolist(), losses[False].tolist(), rtol=2e-3, atol=1e-5)


def test_a_view_that_holds_both():
    assert wide_view("compact", "full") == wide_view("full", "compact") == "full"
    assert wide_view("compact", "compact") == "compact"


def test_the_teacher_sees_the_clip_that_the_student_sees(tiny_corpus, teacher, tmp_path):
    model = load(teacher)
    corpus = Corpus.open(tiny_corpus)
    student = small(TINY_STUDENT, len(model.vocabulary), 0)
    data = UtteranceDataset(
        corpus,
        corpus.split("train"),
        model.vocabulary,
        view="compact",
        fps=25.0,
        augmentation=AugmentationConfig(),
        frames_needed=lambda ids: student.input_frames_needed(frames_needed(ids)),
    )
    taught = lessons(recipe(tiny_corpus, teacher, tmp_path), data, student, model.vocabulary)
    taught.train.epoch = 3
    example = taught.train[2]
    full = UtteranceDataset(corpus, corpus.split("train"), model.vocabulary, view="full", fps=25.0).points(2)
    changed = augment(
        full,
        AugmentationConfig(),
        np.random.default_rng((0, 3, 2)),
        subset="full",
        min_frames=data.frames_needed(data.targets[2].tolist()),
        fps=25.0,
    )
    # Files hold half precision, and so does the memory of the data set.
    np.testing.assert_allclose(example.teacher_points, changed, atol=2e-3)
    from signloom import layout

    np.testing.assert_array_equal(example.points, example.teacher_points[:, layout.subset("compact")])


# Emissions on disk


def test_emissions_lose_nothing_that_a_soft_loss_sees():
    # 1,118 words, as PHOENIX has: of a frame the most probable 32 are most, and at temperature 3 little.
    teacher = log_probs(1, 40, 1118, spread=3.0)
    exact = torch.softmax(teacher.double() / 3, -1)
    stored = torch.softmax(torch.from_numpy(teacher.numpy().astype(np.float16)).double() / 3, -1)
    lost = (exact * (exact / stored).log()).sum(-1).max()
    # Half precision rounds logarithms between 8 and 16 by up to 2^-8, a third of that at temperature 3; what is lost is
    # half the variance of such errors, of uniform ones a third of their square: (2^-8 / 3)^2 / 6 = 2.8e-7.
    assert 0 < lost < 1e-6
    assert exact.topk(32, dim=-1).values.sum(-1).mean() == pytest.approx(0.18, abs=0.01)
    assert teacher.exp().topk(32, dim=-1).values.sum(-1).mean() == pytest.approx(0.82, abs=0.01)


def test_emissions_go_on_where_a_killed_run_was(tiny_corpus, teacher, tmp_path, monkeypatch):
    corpus, model = Corpus.open(tiny_corpus), load(teacher)
    items = corpus.split("train")
    computed = []
    original = Corpus.load

    def dying(corpus, item):
        if len(computed) >= 6:
            raise KeyboardInterrupt
        computed.append(item.id)
        return original(corpus, item)

    monkeypatch.setattr(Corpus, "load", dying)
    with pytest.raises(KeyboardInterrupt):
        keep_emissions(model, corpus, items, tmp_path, batch_size=3)
    assert len(list(tmp_path.rglob("*.npy"))) == 6
    # What a process that is killed while it writes leaves behind is no emission.
    folder = next(tmp_path.iterdir())
    (folder / ".half.npy.part").write_bytes(b"half")
    first = set(computed)
    computed.clear()
    monkeypatch.setattr(Corpus, "load", lambda corpus, item: (computed.append(item.id), original(corpus, item))[1])
    told = []
    kept = keep_emissions(model, corpus, items, tmp_path, batch_size=3, advance=told.append)
    assert not first & set(computed)
    assert len(computed) == len(items) - 6
    assert sum(told) == len(items)
    expected = {item.id: log_probs for item, log_probs in model.emissions(corpus, items)}
    for item in items:
        np.testing.assert_allclose(kept.read(item), expected[item.id], atol=0.02)
    # A copy of the corpus has the same clips; another process begins elsewhere and finds everything.
    shutil.copytree(tiny_corpus, tmp_path / "copy")
    computed.clear()
    keep_emissions(model, Corpus.open(tmp_path / "copy"), items, tmp_path, start=7)
    assert not computed


def test_processes_that_begin_at_different_places_make_the_same(tiny_corpus, teacher, tmp_path):
    corpus, model = Corpus.open(tiny_corpus), load(teacher)
    items = corpus.split("train")
    one = keep_emissions(model, corpus, items, tmp_path / "one", start=0)
    other = keep_emissions(model, corpus, items, tmp_path / "other", start=9, batch_size=2)
    for item in items:
        np.testing.assert_allclose(one.read(item), other.read(item), atol=0.02)


def test_a_damaged_emission_is_named(tiny_corpus, teacher, tmp_path):
    corpus, model = Corpus.open(tiny_corpus), load(teacher)
    item = corpus.split("train")[0]
    kept = keep_emissions(model, corpus, [item], tmp_path)
    kept.path(item).write_bytes(kept.path(item).read_bytes()[:100])
    with pytest.raises(InputError, match=r"\.npy: cannot be read as a kept emission .* delete it"):
        kept.read(item)
    np.save(kept.path(item), np.zeros((3, 2), dtype=np.float16))
    with pytest.raises(InputError, match=r"float16 values of shape \(3, 2\)"):
        kept.read(item)


def test_emissions_beside_a_teacher_that_is_somebody_elses(tiny_corpus, teacher, tmp_path, monkeypatch):
    def read_only(*given, **options):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(distillation, "keep_emissions", read_only)
    with pytest.raises(InputError, match=r"run/emissions: emissions cannot be kept there \(Read-only .* --emissions"):
        fit(recipe(tiny_corpus, teacher, tmp_path, cache=True))


def test_another_teacher_or_clip_has_other_emissions(tiny_corpus, teacher, tmp_path):
    model = load(teacher)
    key = fingerprint(model)
    assert fingerprint(load(teacher)) == key
    # What is said of a model is no part of it.
    assert fingerprint(Model(model.engine, model.vocabulary, {"note": 1})) == key
    with torch.no_grad():
        next(model.engine.recognizer.parameters()).view(-1)[0] += 1
    assert fingerprint(model) != key
    corpus = Corpus.open(tiny_corpus)
    names = keep_emissions(load(teacher), corpus, corpus.split("dev"), tmp_path).names
    assert len(set(names.values())) == len(names)


# Runs


def test_a_student_learns_from_its_teacher_and_the_run_says_from_whom(tiny_corpus, teacher, tmp_path):
    # By the teacher alone, with no reference at all, the student comes to recognise signs: 33 % when this was written.
    result = fit(recipe(tiny_corpus, teacher, tmp_path / "run", epochs=30, soft_weight=1.0, cache=True))
    assert result.best.dev_wer < 0.6
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["teacher"]["fingerprint"] == fingerprint(load(teacher))
    assert load(tmp_path / "run").info["teacher"]["dev"]["dev_wer"] < 0.3
    # Beside the teacher, where other students find it.
    assert len(list((teacher / "emissions").rglob("*.npy"))) == 16


class KilledError(Exception):
    pass


@pytest.mark.parametrize("cache", [False, True])
def test_a_run_resumed_within_an_epoch_has_the_losses_of_a_whole_one(
    tiny_corpus, teacher, tmp_path, monkeypatch, cache
):
    options = {"cache": cache, "augment": True, "epochs": 3}
    whole = fit(recipe(tiny_corpus, teacher, tmp_path / "whole", **options))
    calls = []
    original = DistillationModule.training_losses

    def die_in_second_epoch(self, batch):
        calls.append(batch)
        if len(calls) == 7:
            raise KilledError
        return original(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(DistillationModule, "training_losses", die_in_second_epoch)
        with pytest.raises(KilledError):
            fit(recipe(tiny_corpus, teacher, tmp_path / "cut", **options, save_every_steps=1))
    resumed = fit(recipe(tiny_corpus, teacher, tmp_path / "cut", **options, resume=True))
    # No dropout here, and chance drawn from (seed, epoch, utterance): equal to the last bits of single precision.
    for name in ("train_loss", "dev_loss"):
        expected = [getattr(record, name) for record in whole.history.epochs]
        found = [getattr(record, name) for record in resumed.history.epochs]
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_run_is_not_resumed_with_another_teacher(tiny_corpus, teacher, tmp_path):
    shutil.copytree(teacher, tmp_path / "teacher")
    options = recipe(tiny_corpus, tmp_path / "teacher", tmp_path / "run", epochs=1)
    fit(options)
    model = load(tmp_path / "teacher")
    with torch.no_grad():
        next(model.engine.recognizer.parameters()).view(-1)[0] += 1
    model.save(tmp_path / "teacher" / "model.safetensors")
    with pytest.raises(InputError, match="not the teacher that the run in .* began with"):
        fit(replace(options, resume=True))


# What is refused


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"temperature": 0.0}, "--temperature is 0; needed above 0"),
        ({"temperature": float("nan")}, "--temperature is nan; needed above 0"),
        ({"soft_weight": 0.0}, "--soft_weight is 0; needed above 0 .* 'signloom train'"),
        ({"soft_weight": 1.5}, "--soft_weight is 1.5"),
        ({"emissions": "somewhere"}, "--emissions is a folder for what --cache keeps"),
        ({"epochs": 0}, "--epochs is 0"),
    ],
)
def test_impossible_options_are_refused(tiny_corpus, tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        recipe(tiny_corpus, "teacher", tmp_path, **changes).check()


def as_teacher(model: Model, path, **info) -> None:
    Model(model.engine, model.vocabulary, {**model.info, **info}).save(path / "model.safetensors")


def run_distill(corpus, teacher, output, *flags) -> int:
    given = ["distill", "--teacher", str(teacher), "--data_dir", str(corpus), "--output", str(output)]
    return cli.dispatch([*given, "--preset", "tiny", "--epochs", "1", "--batch_size", "4", *flags])


def test_an_untrained_teacher_is_refused(tiny_corpus, teacher, tmp_path):
    model = load(teacher)
    Model(model.engine, model.vocabulary).save(tmp_path / "bare" / "model.safetensors")
    with pytest.raises(InputError, match="bare: cannot teach here.*\n.*untrained: its record has no score on dev"):
        run_distill(tiny_corpus, tmp_path / "bare", tmp_path / "run")
    as_teacher(model, tmp_path / "blank", dev={"dev_wer": 1.0})
    with pytest.raises(InputError, match="it has learnt nothing: its WER on dev was 100.0 %"):
        run_distill(tiny_corpus, tmp_path / "blank", tmp_path / "run")
    # The record says trained; the weights are not.
    fresh = small(TINY_TEACHER, len(model.vocabulary), 0)
    with torch.no_grad():
        fresh.classifier.bias[0] += 20
    as_teacher(Model(TorchEngine(fresh), model.vocabulary, model.info), tmp_path / "liar")
    with pytest.raises(InputError, match=r"its WER on dev is .* now, where its record says"):
        run_distill(tiny_corpus, tmp_path / "liar", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_folder_that_holds_a_run_is_refused_before_anybody_is_scored(tiny_corpus, teacher, tmp_path, monkeypatch):
    def scored(*given):
        raise AssertionError("scored first")

    monkeypatch.setattr("signloom.commands.distill._scored_teacher", scored)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "history.json").write_text("{}")
    with pytest.raises(InputError, match="run: already holds a run"):
        run_distill(tiny_corpus, teacher, tmp_path / "run")


def test_a_teacher_of_other_glosses_is_refused(tiny_corpus, teacher, tmp_path):
    model = load(teacher)
    for words, message in (
        (("<blank>", "<unknown>", "AWAY", *model.vocabulary.words[3:]), "only the teacher knows AWAY; only training"),
        ((*model.vocabulary.words[:2], *model.vocabulary.words[:1:-1]), "same words in another order, from id 2 on"),
    ):
        other = Model(model.engine, Vocabulary(words), model.info)
        other.save(tmp_path / "other" / "model.safetensors")
        with pytest.raises(InputError, match=message):
            run_distill(tiny_corpus, tmp_path / "other", tmp_path / "run")
    with pytest.raises(InputError, match="--num_train_samples 1 may be what takes words away"):
        run_distill(tiny_corpus, teacher, tmp_path / "run", "--num_train_samples", "1")


def test_a_teacher_of_another_corpus_is_refused_unless_told_otherwise(tiny_corpus, teacher, tmp_path, capsys):
    model = load(teacher)
    with CorpusWriter(tmp_path / "corpus", {"name": "another"}) as writer:
        # Other names of the same clips, so that the teacher recognises them.
        for item in Corpus.open(tiny_corpus).split("train"):
            for split in ("train", "dev"):
                clip = tiny_corpus / item.landmarks
                writer.add(f"{split}-{item.id}", split=split, signer="A", glosses=item.glosses, landmarks=clip)
    with pytest.raises(InputError, match="it was trained on another corpus: 'tiny', here is 'another'"):
        run_distill(tmp_path / "corpus", teacher, tmp_path / "run")
    assert run_distill(tmp_path / "corpus", teacher, tmp_path / "run", "--other_corpus") == 0
    assert "teacher" in capsys.readouterr().out
    as_teacher(model, tmp_path / "older", corpus={**model.info["corpus"], "summary": {}})
    with pytest.raises(InputError, match="another corpus: 'tiny' of other utterances"):
        run_distill(tiny_corpus, tmp_path / "older", tmp_path / "new")


def test_a_teacher_of_another_layout_is_refused(tiny_corpus, teacher, tmp_path, monkeypatch):
    from signloom import layout

    model = load(teacher)
    with monkeypatch.context() as patch:
        patch.setattr(layout, "VERSION", layout.VERSION + 1)
        model.save(tmp_path / "newer" / "model.safetensors")
    with pytest.raises(LayoutError, match="layout"):
        run_distill(tiny_corpus, tmp_path / "newer", tmp_path / "run")


def test_a_teacher_of_another_frame_rate_has_to_be_asked_once(tiny_corpus, teacher, tmp_path):
    model = load(teacher)
    slow = small(replace(TINY_TEACHER, fps=12.5), len(model.vocabulary), 0)
    slow.load_state_dict(model.engine.recognizer.state_dict())
    as_teacher(Model(TorchEngine(slow), model.vocabulary, model.info), tmp_path / "slow")
    with pytest.raises(InputError, match=r"it reads 12.5 frames/s, the student 25; .* Pass --cache"):
        fit(recipe(tiny_corpus, tmp_path / "slow", tmp_path / "run"))
    result = fit(recipe(tiny_corpus, tmp_path / "slow", tmp_path / "run", cache=True, epochs=1))
    assert np.isfinite(result.history.epochs[0].train_loss)


# The command


def test_the_command_compares_with_teacher_and_baseline(tiny_corpus, teacher, tmp_path, capsys):
    fit(Recipe(tiny_corpus, output=tmp_path / "alone", **{**SHORT, "epochs": 1}))
    assert run_distill(tiny_corpus, teacher, tmp_path / "run", "--baseline", str(tmp_path / "alone")) == 0
    out = capsys.readouterr().out
    assert "tiny, dev split, 6 utterances, greedy decoding, plain rule" in out
    assert "student less teacher: +" in out
    assert "distilled less alone: " in out
    record = json.loads((tmp_path / "run" / "distillation.json").read_text())
    assert [system["name"].split()[0] for system in record["systems"]] == ["teacher", "student,", "student"]
    gap = record["systems"][1]["wer"] - record["systems"][0]["wer"]
    assert record["comparisons"]["teacher"]["difference"] == pytest.approx(gap)
    assert "more than a point behind its teacher" in out


def system(name, wer, words=100):
    from signloom.score.wer import score

    wrong = round(wer * words)
    pairs = ((f"{name}{at}", ("A",), ("B",) if at < wrong else ("A",)) for at in range(words))
    return distill.System(name, score((key.lstrip(name), *rest) for key, *rest in pairs), 1000)


def test_advice_follows_the_scores():
    from signloom.score.compare import compare

    def advice(teacher, student, alone=None, **known):
        a, b = system("teacher", teacher), system("student", student)
        c = None if alone is None else system("alone", alone)
        found = {"teacher": compare(a.score, b.score)}
        if c is not None:
            found["baseline"] = compare(c.score, b.score)
        return "\n".join(distill.advice(a, b, c, found, **known))

    assert advice(0.05, 0.055) == ""
    assert "The teacher is no better than the student (10.00 % against 5.00 % on dev)" in advice(0.10, 0.05)
    assert "no better than the student alone (10.00 % against 8.00 %" in advice(0.10, 0.05, 0.08)
    assert "--soft_weight 0.3" in advice(0.10, 0.05)
    assert "harder dev split" in advice(0.0, 0.0)
    assert "a dev split of other signers" in advice(0.10, 0.05, dev_is_known=True)
    assert "other signers" not in advice(0.10, 0.05)
    assert "more than a point behind" in advice(0.05, 0.20)
    assert "no difference that dev could show" in advice(0.05, 0.055, 0.06)
    assert advice(0.01, 0.02, 0.40) == ""


def test_the_shipped_recipe_is_one_of_this_command(tiny_corpus, teacher, tmp_path):
    assert recipes()["distill"].command == "distill"
    given = ["distill", "--recipe", "distill", "--data_dir", str(tiny_corpus), "--teacher", str(teacher)]
    assert cli.dispatch([*given, "--output", str(tmp_path / "run"), "--max_steps", "2", "--epochs", "1"]) == 0
    record = json.loads((tmp_path / "run" / "run.json").read_text())["recipe"]
    assert (record["temperature"], record["soft_weight"], record["leave_out_blank"]) == (3.0, 0.7, False)
    with pytest.raises(InputError, match="recipe 'distill' is one of 'signloom distill'"):
        cli.dispatch(["train", "--recipe", "distill", "--data_dir", str(tiny_corpus)])


def test_a_batch_without_its_teacher_is_refused(tiny_corpus):
    corpus = Corpus.open(tiny_corpus)
    vocabulary = Vocabulary.from_glosses(item.glosses for item in corpus.split("train"))
    data = UtteranceDataset(corpus, corpus.split("train"), vocabulary, view="compact", fps=25.0)
    options = recipe(tiny_corpus, "none", "none")
    module = DistillationModule(small(TINY_STUDENT, len(vocabulary), 0), vocabulary, options, {}, teacher=None)
    with pytest.raises(InputError, match="a batch without its teacher's part"):
        module.training_losses(collate([data[0]]))


def test_a_teacher_is_put_to_rest_at_once():
    asked = Teacher(small(TINY_STUDENT, 6, 0).train())
    assert not asked.recognizer.training
    assert not any(parameter.requires_grad for parameter in asked.recognizer.parameters())
