"""Losses of distillation: the soft loss, what it is compared with, and its sum with the loss of the reference."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import TINY_STUDENT
from distilling import new_recognizer, recipe, teacher_log_probs
from signloom.corpus import Corpus
from signloom.errors import InputError
from signloom.inference.model import load
from signloom.model.presets import preset
from signloom.train.data import UtteranceDataset, collate
from signloom.train.distill.losses import Teacher, at_student_frames, distillation_losses, soft_loss
from signloom.train.method import loss_function, method_of
from signloom.train.module import RecognizerModule
from signloom.vocabulary import Vocabulary

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("tiny_presets")]


def log_probs(*shape: int, seed: int = 0, spread: float = 3.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.log_softmax(spread * torch.randn(*shape, generator=generator), dim=-1)


def same_frames(frames: int, size: int = 1) -> torch.Tensor:
    return torch.eye(frames, dtype=torch.bool).expand(size, -1, -1)


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


def test_of_several_frames_the_least_blank_is_taken_as_it_is():
    teacher = torch.tensor([[[0.8, 0.2], [0.2, 0.8], [0.6, 0.4]]]).log()
    matches = torch.tensor([[[True, True, False], [False, False, True], [True, False, True]]])
    found = at_student_frames(teacher, matches)
    np.testing.assert_allclose(found.exp()[0], [[0.2, 0.8], [0.6, 0.4], [0.6, 0.4]], rtol=1e-6)


def test_a_teacher_learns_nothing(tiny_corpus, teacher, tmp_path):
    corpus = Corpus.open(tiny_corpus)
    items = corpus.split("train")
    model = load(teacher)
    student = new_recognizer(TINY_STUDENT, len(model.vocabulary))
    data = UtteranceDataset(corpus, items, model.vocabulary, view="compact", fps=25.0)
    options = recipe(tiny_corpus, teacher, tmp_path)
    method = method_of(options, data, student, model.vocabulary)
    references = {item.id: item.glosses for item in items}
    module = RecognizerModule(student, model.vocabulary, options, references, method.losses)
    own = method.losses.keywords["teacher"].recognizer
    before = {name: value.clone() for name, value in own.state_dict().items()}
    module.train()
    batch = method.train.collate([method.train[index] for index in range(4)])
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
    student = new_recognizer(TINY_STUDENT, len(model.vocabulary)).eval()
    data = UtteranceDataset(corpus, items, model.vocabulary, view="compact", fps=25.0)
    losses = {}
    for weight in (0.25, 1.0):
        method = method_of(recipe(tiny_corpus, teacher, tmp_path, soft_weight=weight), data, student, model.vocabulary)
        batch = method.train.collate([method.train[index] for index in (0, 1, 2)])
        losses[weight] = method.losses(student, batch)
    log_probs, lengths = student(batch.points, batch.lengths)
    soft = soft_loss(log_probs, lengths, teacher_log_probs(method, batch), batch.matches)
    # The training step divides each utterance's loss by its glosses.
    np.testing.assert_allclose((losses[1.0].total / batch.target_lengths).tolist(), soft.tolist(), rtol=1e-4)
    expected = 0.25 * soft * batch.target_lengths + 0.75 * losses[0.25].ctc
    np.testing.assert_allclose(losses[0.25].total.tolist(), expected.tolist(), rtol=1e-4)


def test_each_of_two_views_is_compared_with_the_teacher(tiny_corpus, teacher, tmp_path):
    model, corpus = load(teacher), Corpus.open(tiny_corpus)
    student = new_recognizer(preset("tiny", auxiliary_head=True), len(model.vocabulary))
    data = UtteranceDataset(corpus, corpus.split("train"), model.vocabulary, view="compact", fps=25.0)
    options = recipe(tiny_corpus, teacher, tmp_path, consistency=2.0, soft_weight=1.0)
    options.check()
    method = method_of(options, data, student, model.vocabulary)
    batch = method.train.collate([method.train[index] for index in (0, 1, 2)])
    torch.manual_seed(0)
    soft = method.losses(student, batch)
    assert len(soft.heads.log_probs) == 6
    theirs = teacher_log_probs(method, batch)
    first, second = (
        soft_loss(rows, soft.heads.lengths[:3], theirs, batch.matches) for rows in soft.heads.log_probs.chunk(2)
    )
    assert not torch.allclose(first, second)
    expected = (first + second) / 2 * batch.target_lengths
    np.testing.assert_allclose(soft.total.tolist(), expected.tolist(), rtol=1e-5)
    # With a little weight for the rest, that of two views comes in: CTC, the auxiliary head's and the comparison.
    mixed = method_of(replace(options, soft_weight=0.75), data, student, model.vocabulary)
    torch.manual_seed(0)
    both = mixed.losses(student, batch)
    torch.manual_seed(0)
    hard = loss_function(options)(student, batch)
    np.testing.assert_allclose(both.total.tolist(), (0.75 * soft.total + 0.25 * hard.total).tolist(), rtol=1e-5)


def test_a_batch_without_its_teacher_is_refused(tiny_corpus):
    corpus = Corpus.open(tiny_corpus)
    vocabulary = Vocabulary.from_glosses(item.glosses for item in corpus.split("train"))
    data = UtteranceDataset(corpus, corpus.split("train"), vocabulary, view="compact", fps=25.0)
    student = new_recognizer(TINY_STUDENT, len(vocabulary))
    weights = {"soft_weight": 0.7, "temperature": 3.0, "leave_out_blank": False}
    hard = loss_function(recipe(tiny_corpus, "none", "none"))
    with pytest.raises(InputError, match="the batch has no data of the teacher"):
        distillation_losses(student, collate([data[0]]), hard=hard, teacher=None, **weights)


def test_a_teacher_is_put_to_rest_at_once():
    asked = Teacher(new_recognizer(TINY_STUDENT, 6).train())
    assert not asked.recognizer.training
    assert not any(parameter.requires_grad for parameter in asked.recognizer.parameters())
