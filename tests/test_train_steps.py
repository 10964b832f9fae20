"""One step of training: the same gradient however it is computed, its learning rate, and what is not finite."""

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from conftest import SMALL_STUDENT, SMALL_TEACHER
from signloom.corpus import Corpus
from signloom.errors import InputError, TrainingError
from signloom.model import presets
from signloom.model.recognizer import Recognizer
from signloom.train.activation_checkpointing import checkpoint_activations
from signloom.train.data import UtteranceDataset, collate
from signloom.train.fit import fit
from signloom.train.losses import plain_losses
from signloom.train.module import RecognizerModule
from signloom.train.recipe import Recipe
from signloom.train.sampling import BucketSampler, StepSampler
from signloom.train.schedule import factor, schedule
from signloom.vocabulary import Vocabulary

pytestmark = pytest.mark.slow


# With everything that activation checkpointing and gradients of parts must get right.
STUDENT = replace(SMALL_STUDENT, squeeze_excite=True, dropout=0.2, lstm_layers=1)
TEACHER = replace(SMALL_TEACHER, encoder_width=16, stem_channels=16, auxiliary_head=True, dropout=0.2)


@pytest.fixture
def data(tiny_corpus):
    corpus = Corpus.open(tiny_corpus)
    items = corpus.split("train")
    vocabulary = Vocabulary.from_glosses(item.glosses for item in items)
    return UtteranceDataset(corpus, items, vocabulary, view="compact", fps=25.0), vocabulary


def module_of(config, vocabulary) -> RecognizerModule:
    torch.manual_seed(0)
    losses = partial(plain_losses, auxiliary_weight=1.0)
    return RecognizerModule(Recognizer(config, len(vocabulary)), vocabulary, Recipe(data_dir=""), {}, losses)


def gradients(module, batches) -> dict[str, torch.Tensor]:
    module.recognizer.zero_grad()
    for batch in batches:
        losses = module.training_losses(batch)
        (batch.mean_per_gloss(losses.total) / len(batches)).backward()
    return {name: parameter.grad.clone() for name, parameter in module.recognizer.named_parameters()}


@pytest.mark.parametrize(("accumulate", "processes"), [(2, 1), (5, 1), (1, 2), (2, 3)])
def test_parts_have_the_gradient_of_the_whole_step(data, accumulate, processes):
    dataset, vocabulary = data
    module = module_of(STUDENT, vocabulary)
    # In evaluation mode: batch norm's statistics are those of a part in training, and dropout draws anew.
    module.recognizer.eval()
    # 13 utterances: the parts have unequal sizes, and where there are six, some process repeats one at no weight.
    steps = BucketSampler(dataset.lengths[:13], 13, seed=0)
    whole = gradients(module, [collate([dataset[at] for at in next(iter(steps))])])
    batches = [
        collate([dataset[pick] for pick in batch])
        for rank in range(processes)
        for batch in StepSampler(steps, accumulate=accumulate, num_processes=processes, rank=rank)
    ]
    assert len(batches) == accumulate * processes
    for name, found in gradients(module, batches).items():
        # Single precision, summed in another order.
        torch.testing.assert_close(found, whole[name], rtol=1e-3, atol=1e-5, msg=name)


@pytest.mark.parametrize("config", [STUDENT, TEACHER], ids=["student", "teacher"])
def test_activations_computed_again_give_the_same_loss_gradients_and_statistics(data, config):
    dataset, vocabulary = data
    batch = collate([dataset[at] for at in range(6)])

    def step(checkpointed):
        module = module_of(config, vocabulary)
        module.recognizer.train()
        if checkpointed:
            assert checkpoint_activations(module.recognizer) >= 3
        torch.manual_seed(1)
        loss = module.training_losses(batch).total
        found = gradients_of(module, loss)
        return loss.detach(), found, dict(module.recognizer.named_buffers())

    def gradients_of(module, loss):
        loss.sum().backward()
        return {name: parameter.grad for name, parameter in module.recognizer.named_parameters()}

    plain, again = step(False), step(True)
    assert torch.equal(plain[0], again[0])
    for name, value in plain[1].items():
        assert torch.equal(value, again[1][name]), name
    # The second forward pass must not move batch norm's running statistics a second time.
    for name, value in plain[2].items():
        assert torch.equal(value, again[2][name]), name


def test_activations_computed_again_keep_less(data):
    dataset, vocabulary = data
    batch = collate([dataset[at] for at in range(8)])

    def kept(checkpointed):
        module = module_of(TEACHER, vocabulary)
        module.recognizer.train()
        if checkpointed:
            checkpoint_activations(module.recognizer)
        sizes = []

        def keep(tensor):
            sizes.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            module.losses(batch)
        return sum(sizes)

    assert kept(True) < 0.75 * kept(False)


class TestSchedule:
    def test_plain_warms_up_linearly_and_stays(self):
        at = factor("plain", warm_steps=4, total_steps=20)
        assert [at(step) for step in range(6)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])
        assert at(19) == 1

    def test_cosine_goes_down_to_nothing(self):
        at = factor("cosine", warm_steps=0, total_steps=10)
        assert [at(0), at(5)] == pytest.approx([1.0, 0.5])
        assert 0 < at(9) < 0.03
        assert at(10) == pytest.approx(0)

    def test_onecycle_peaks_at_ten_times_the_base_after_a_tenth(self):
        recipe = Recipe(data_dir="", learning_rate=1e-3)
        optimizer = torch.optim.AdamW([nn.Parameter(torch.zeros(1))], lr=recipe.learning_rate)
        made = schedule(optimizer, recipe, total_steps=101, steps_per_epoch=10)
        rates = []
        for _ in range(101):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            made.step() if len(rates) < 101 else None
        assert max(rates) == pytest.approx(1e-2, rel=1e-2)
        assert np.argmax(rates) in (9, 10)
        # A cosine from the peak down: half of it half-way.
        assert rates[55] == pytest.approx(5e-3, rel=0.05)
        assert rates[-1] < 1e-5

    @pytest.mark.parametrize("total", [*range(1, 24), 100])
    def test_onecycle_fits_a_run_of_any_length(self, total):
        optimizer = torch.optim.AdamW([nn.Parameter(torch.zeros(1))], lr=1e-3)
        made = schedule(optimizer, Recipe(data_dir="", learning_rate=1e-3), total_steps=total, steps_per_epoch=1)
        for step in range(total):
            assert 0 < optimizer.param_groups[0]["lr"] < 1.0001e-2
            optimizer.step()
            if step < total - 1:
                made.step()

    def test_warm_up_is_counted_in_epochs_and_fits_into_a_short_run(self):
        optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
        schedule(optimizer, Recipe(data_dir="", schedule="plain", learning_rate=1.0), total_steps=3, steps_per_epoch=9)
        assert optimizer.param_groups[0]["lr"] == pytest.approx(1 / 3)


class TestNotFinite:
    """A planted fault in one part of the model; the run must name it, and keep the batch."""

    @pytest.fixture(autouse=True)
    def tiny_preset(self, monkeypatch):
        monkeypatch.setitem(presets.PRESETS, "tiny", STUDENT)

    def run(self, corpus, output, **changes):
        values = {"epochs": 2, "batch_size": 4, "preset": "tiny", "augment": False, **changes}
        return fit(Recipe(data_dir=corpus, output=output, **values))

    def test_the_first_part_is_named_and_the_batch_kept(self, tiny_corpus, tmp_path, monkeypatch):
        forward = nn.LSTM.forward
        calls = []

        def faulty(self, *inputs):
            output, state = forward(self, *inputs)
            calls.append(self.training)
            # From the third step on, in training: two directions a step.
            return (output / 0 if self.training and sum(calls) > 4 else output), state

        monkeypatch.setattr(nn.LSTM, "forward", faulty)
        run = tmp_path / "run"
        with pytest.raises(TrainingError) as raised:
            self.run(tiny_corpus, run)
        text = str(raised.value)
        assert "epoch 1, step 3: the loss of" in text
        assert "first made by lstm" in text
        assert "(LSTM)" in text
        assert str(run / "not-finite.npz") in text
        record = json.loads((run / "not-finite.json").read_text())
        assert record["not_finite"] == record["ids"]
        assert len(record["ids"]) == 4
        assert record["cause"] in text
        with np.load(run / "not-finite.npz") as arrays:
            assert arrays["points"].shape[:2] == (4, arrays["lengths"].max())
            by_id = {item.id: item for item in Corpus.open(tiny_corpus)}
            assert arrays["lengths"].tolist() == [by_id[name].num_frames for name in record["ids"]]

    def test_weights_gone_wrong_in_an_earlier_step_are_named(self, tiny_corpus, tmp_path, monkeypatch):
        from signloom.train import callbacks

        def spoil(self, trainer, module, outputs, batch, batch_index):
            if batch_index == 1:
                with torch.no_grad():
                    module.recognizer.classifier.bias[2] = torch.nan

        monkeypatch.setattr(callbacks.Stop, "on_train_batch_end", spoil)
        with pytest.raises(
            TrainingError, match="step 3: .* first made by the weights classifier.bias, no longer finite"
        ):
            self.run(tiny_corpus, tmp_path / "run")

    def test_a_gradient_that_is_not_finite_stops_before_the_weights_change(self, tiny_corpus, tmp_path, monkeypatch):
        losses = RecognizerModule.training_losses

        class Faulty(torch.autograd.Function):
            @staticmethod
            def forward(context, x):
                return x.clone()

            @staticmethod
            def backward(context, gradient):
                return gradient * torch.inf

        def faulty(self, batch):
            found = losses(self, batch)
            return found._replace(total=Faulty.apply(found.total))

        monkeypatch.setattr(RecognizerModule, "training_losses", faulty)
        with pytest.raises(
            TrainingError, match="step 1: a gradient is not finite though every loss was; first made by"
        ):
            self.run(tiny_corpus, tmp_path / "run")
        assert (tmp_path / "run" / "not-finite.npz").exists()

    def test_a_healthy_run_leaves_no_such_file(self, tiny_corpus, tmp_path):
        self.run(tiny_corpus, tmp_path / "run", max_steps=2)
        assert not list((tmp_path / "run").glob("not-finite*"))


def test_long_utterances_are_left_out_and_named(tiny_corpus, tmp_path, monkeypatch, caplog):
    monkeypatch.setitem(presets.PRESETS, "tiny", STUDENT)
    recipe = Recipe(
        data_dir=tiny_corpus, output=tmp_path / "run", preset="tiny", epochs=1, max_frames=36, frames_per_batch=120
    )
    with caplog.at_level("INFO"):
        fit(recipe)
    corpus = Corpus.open(tiny_corpus)
    long = [item for item in corpus.split("train") if item.num_frames > 36]
    assert long
    # The longest first, in the order of the manifest.
    first = max(long, key=lambda item: item.num_frames)
    listed = f"{first.id} ({first.num_frames})"
    assert f"left out: {len(long)} of 16 training utterances, longer than 36 frames: {listed}" in caplog.text
    assert f"{16 - len(long)} train and 6 dev" in caplog.text
    recipe.max_frames, recipe.overwrite = 5, True
    with pytest.raises(InputError, match="--max_frames is 5; the shortest training utterance has 24 frames"):
        fit(recipe)
