"""The CTC loss and its gradient in NumPy: against the forward algorithm, and against differences of the loss."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signloom.ctc.collapse import frames_needed
from signloom.ctc.forward_score import log_forward
from signloom.ctc.gradient import ctc_gradient

NUM_WORDS = 5


def normalised(logits):
    return logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)


@st.composite
def batches(draw):
    """Logits (B, T, V), lengths and targets that fit, maybe without a gloss; repeated glosses are as likely."""
    targets = draw(st.lists(st.lists(st.integers(1, NUM_WORDS - 1), max_size=4), min_size=1, max_size=3))
    lengths = np.array([max(1, frames_needed(target) + draw(st.integers(0, 4))) for target in targets])
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    return rng.normal(0, 3, (len(targets), lengths.max(), NUM_WORDS)), lengths, targets


@given(batches())
def test_the_loss_is_that_of_the_forward_algorithm(batch):
    logits, lengths, targets = batch
    log_probs = normalised(logits)
    losses, _ = ctc_gradient(log_probs, lengths, targets)
    for rows, length, target, loss in zip(log_probs, lengths, targets, losses, strict=True):
        assert loss == pytest.approx(-log_forward(np.exp(rows[:length]), [target])[0])


@given(batches(), st.integers(0, 1000))
def test_the_gradient_is_the_slope_of_the_loss(batch, seed):
    logits, lengths, targets = batch
    _, gradient = ctc_gradient(normalised(logits), lengths, targets)
    direction = np.random.default_rng(seed).normal(size=logits.shape)
    step = 1e-5
    sides = [ctc_gradient(normalised(logits + sign * step * direction), lengths, targets)[0] for sign in (1, -1)]
    assert (gradient * direction).sum() == pytest.approx((sides[0] - sides[1]).sum() / (2 * step), abs=1e-5, rel=1e-5)


def test_padding_has_no_gradient_and_changes_nothing():
    rng = np.random.default_rng(0)
    log_probs = normalised(rng.normal(size=(2, 9, NUM_WORDS)))
    losses, gradient = ctc_gradient(log_probs, np.array([9, 4]), [[1, 2, 2], [3]])
    alone, of_alone = ctc_gradient(log_probs[1:, :4], np.array([4]), [[3]])
    assert losses[1] == pytest.approx(alone[0])
    np.testing.assert_allclose(gradient[1, :4], of_alone[0], atol=1e-12)
    assert not gradient[1, 4:].any()


def test_one_frame_and_one_gloss_by_hand():
    """One path: the loss is -log p of the gloss, the gradient p - 1 there and p elsewhere."""
    log_probs = np.log(np.array([[[0.5, 0.2, 0.3]]]))
    losses, gradient = ctc_gradient(log_probs, np.array([1]), [[2]])
    assert losses[0] == pytest.approx(-np.log(0.3))
    np.testing.assert_allclose(gradient[0, 0], [0.5, 0.2, -0.7])


def test_a_target_that_is_nearly_impossible_has_a_finite_loss():
    log_probs = np.full((1, 40, 3), -2000.0)
    log_probs[:, :, 1] = 0.0
    losses, gradient = ctc_gradient(log_probs, np.array([40]), [[2, 2, 2]])
    assert np.isfinite(losses).all()
    assert np.isfinite(gradient).all()
    assert losses[0] > 10_000
