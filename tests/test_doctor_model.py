"""The doctor on models: each check has a planted fault that it must name and healthy models it stays silent on."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from conftest import QUICK_STUDENT, QUICK_TEACHER, tiny_sentence, zscored
from signloom.corpus import Corpus, CorpusWriter
from signloom.findings import checks_in
from signloom.health.checks import architecture, compatibility
from signloom.health.checks.probe import make_probe
from signloom.health.subject import find_subject
from signloom.inference.model import Model
from signloom.inference.torch_engine import TorchEngine
from signloom.model import presets
from signloom.model.blocks import BiLSTM
from signloom.model.frontend import FrontEnd
from signloom.model.recognizer import Recognizer
from signloom.synth.corpus import synthesise
from signloom.synth.options import SynthOptions

pytestmark = pytest.mark.slow

CHECKS = checks_in(compatibility, architecture)


@pytest.fixture(autouse=True)
def tiny_presets(monkeypatch):
    monkeypatch.setitem(presets.PRESETS, "tiny_student", QUICK_STUDENT)
    monkeypatch.setitem(presets.PRESETS, "tiny_teacher", QUICK_TEACHER)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    root = tmp_path_factory.mktemp("doctor") / "corpus"
    return synthesise(SynthOptions(preset="phoenix", num_train=32, num_dev=2, num_test=2, num_signs=8), root)


def train(corpus, path, *, normalise=True):
    """A model of a few dozen steps: enough to read clips that it was trained on better than any others."""
    torch.manual_seed(0)
    subject = find_subject("student", corpus.root)
    probe = make_probe(replace(subject, recognizer=Recognizer(QUICK_STUDENT, len(subject.vocabulary))))
    # All that its normalisation will be judged by.
    probe = replace(probe, compared=make_probe(replace(subject, trained=True)).compared)
    frontend = probe.recognizer.frontend
    statistics = frontend.mean.clone(), frontend.std.clone()
    if not normalise:
        frontend.mean.zero_()
        frontend.std.fill_(1)
    optimizer = torch.optim.AdamW(probe.recognizer.parameters(), lr=1e-2)
    probe.recognizer.train()
    for _ in range(60):
        optimizer.zero_grad()
        loss = compatibility.loss_of(probe.recognizer, probe.compared, 1.0)
        loss.backward()
        nn.utils.clip_grad_norm_(probe.recognizer.parameters(), 1.0)
        optimizer.step()
    assert loss.item() < 1.5
    frontend.mean.copy_(statistics[0])
    frontend.std.copy_(statistics[1])
    Model(TorchEngine(probe.recognizer), subject.vocabulary).save(path)
    return path


@pytest.fixture(scope="module")
def trained_file(corpus, tmp_path_factory):
    return train(corpus, tmp_path_factory.mktemp("trained") / "model.safetensors")


def probe_of(name, corpus=None, change=lambda recognizer: None):
    probe = make_probe(find_subject(str(name), corpus.root if corpus else None))
    change(probe.recognizer)
    return probe


def loud(probe, checks=CHECKS):
    findings = {check.id: check(probe) for check in checks}
    assert all(finding.source for finding in findings.values() if finding.level in ("warn", "fail"))
    return {name for name, finding in findings.items() if finding.level in ("warn", "fail")}


@pytest.mark.parametrize("name", [*presets.PRESETS, "tiny_student", "tiny_teacher"])
def test_every_preset_is_healthy_on_simulated_signing(name):
    probe = probe_of(name)
    assert loud(probe, checks_in(architecture)) == set()


@pytest.mark.parametrize("name", ["student", "teacher_compact", "tiny_student", "tiny_teacher"])
def test_presets_fit_a_corpus(name, corpus):
    assert loud(probe_of(name, corpus), checks_in(compatibility)) == set()


@pytest.mark.parametrize(
    "changes", [{"share_hands": True}, {"frame_rate": True}, {"classifier": "cosine", "auxiliary_head": True}]
)
def test_variants_of_the_student_are_healthy(changes, corpus, monkeypatch):
    monkeypatch.setitem(presets.PRESETS, "variant", presets.preset("student", **changes))
    assert loud(probe_of("variant", corpus)) == set()


def test_a_trained_model_is_healthy_on_its_corpus(trained_file, corpus):
    assert loud(probe_of(trained_file, corpus)) == set()


def test_checks_leave_the_model_as_it_was(trained_file, corpus):
    probe = probe_of(trained_file, corpus)
    before = copy.deepcopy(probe.recognizer.state_dict())
    loud(probe)
    after = probe.recognizer.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not probe.recognizer.training
    assert all(parameter.grad is None for parameter in probe.recognizer.parameters())


# Planted faults: what is done to a healthy model, and the checks that must speak; no others may.


class PooledBody(nn.Module):
    """Time pooled to one step and repeated: what the month of the notes was lost to."""

    def __init__(self, body):
        super().__init__()
        self.body = body
        self.stride, self.out_channels, self.output_lengths = body.stride, body.out_channels, body.output_lengths

    def forward(self, features, lengths):
        x = self.body(features, lengths)
        return x.mean(1, keepdim=True).expand_as(x)


def pool_time(recognizer):
    recognizer.body = PooledBody(recognizer.body)


class Longer(nn.Module):
    """Gives one frame more than its strides make."""

    def __init__(self, body):
        super().__init__()
        self.body, self.stride, self.out_channels = body, body.stride, body.out_channels

    def output_lengths(self, lengths):
        return self.body.output_lengths(lengths)

    def forward(self, features, lengths):
        x = self.body(features, lengths)
        return torch.cat([x, x[:, -1:]], dim=1)


class TwiceFrontEnd(FrontEnd):
    """Normalises again what it has normalised, by `again`."""

    again = None

    def forward(self, points, lengths=None):
        return type(self).again(super().forward(points, lengths), self)


def twice(again):
    def change(recognizer):
        recognizer.frontend.__class__ = type("Twice", (TwiceFrontEnd,), {"again": staticmethod(again)})

    return change


def clip_by_clip(features, frontend):
    return (features - features.mean(1, keepdim=True)) / features.std(1, keepdim=True).clamp(min=1e-3)


def same_statistics(features, frontend):
    return (features - frontend.mean) / frontend.std


@pytest.mark.parametrize("again", [clip_by_clip, same_statistics])
@pytest.mark.parametrize("name", ["tiny_student", "tiny_teacher"])
def test_a_model_that_normalises_twice_is_named(again, name, corpus):
    probe = probe_of(name, corpus, twice(again))
    finding = compatibility.once(probe)
    assert finding.level == "fail"
    assert "normalised a second time" in finding.headline
    assert ("clip by clip" in finding.headline) == (again is clip_by_clip)
    assert compatibility.statistics(probe).level in ("ok", "note")


def test_the_statistics_of_another_corpus_are_named(trained_file, corpus):
    def shift(recognizer):
        recognizer.frontend.mean += 3 * recognizer.frontend.std

    finding = compatibility.statistics(probe_of(trained_file, corpus, shift))
    assert finding.level == "fail"
    assert finding.value < -2


def test_a_trained_model_without_statistics_is_named(trained_file, corpus):
    def forget(recognizer):
        recognizer.frontend.mean.zero_()
        recognizer.frontend.std.fill_(1)

    assert compatibility.statistics(probe_of(trained_file, corpus, forget)).level == "fail"


def test_a_standardised_corpus_does_not_fit_the_statistics_of_a_model(trained_file, corpus, tmp_path):
    with CorpusWriter(tmp_path / "c", {"name": "standardised"}) as writer:
        for item in corpus:
            clip = corpus.load(item)
            landmarks = replace(clip, points=zscored(clip.points, clip.points))
            writer.add(item.id, split=item.split, signer=item.signer, glosses=item.glosses, landmarks=landmarks)
    probe = probe_of(trained_file, Corpus.open(tmp_path / "c"))
    # Named once: neither the model nor its weights are to blame.
    assert loud(probe, checks_in(compatibility)) == {"compatibility.statistics"}


def test_weights_of_another_normalisation_are_named(corpus, tmp_path):
    """A model trained on features that were not normalised: the statistics came in afterwards."""
    path = train(corpus, tmp_path / "model.safetensors", normalise=False)
    finding = compatibility.methods(probe_of(path, corpus))
    assert finding.level == "fail"
    assert "when features are normalised not at all" in finding.headline


def test_values_that_are_not_finite_are_named_with_their_module(corpus):
    def overflow(recognizer):
        with torch.no_grad():
            recognizer.body.head.weight.fill_(float("inf"))

    finding = compatibility.forward(probe_of("tiny_student", corpus, overflow))
    assert finding.level == "fail"
    assert "the weights body.head.weight" in finding.headline


def test_very_large_values_are_named_with_their_module(corpus):
    def enlarge(recognizer):
        with torch.no_grad():
            recognizer.body.stem.weight.mul_(1e6)

    finding = compatibility.forward(probe_of("tiny_student", corpus, enlarge))
    assert (finding.level, finding.where) == ("warn", ("body.stem",))


def vanish(recognizer):
    # A cut that lets the forward pass through.
    recognizer.lstm.register_full_backward_hook(
        lambda module, inputs, outputs: tuple(0 * x for x in inputs if x is not None)
    )
    for parameter in [*recognizer.classifier.parameters(), *recognizer.lstm.parameters()]:
        parameter.register_hook(lambda gradient: gradient * 1e-9)


def test_a_vanishing_gradient_is_named(corpus):
    finding = compatibility.gradients(probe_of("tiny_student", corpus, vanish))
    assert finding.level == "fail"
    assert "vanishing while there is much to learn" in finding.headline


def test_an_exploding_gradient_of_a_trained_model_is_named(trained_file, corpus):
    def explode(recognizer):
        for parameter in recognizer.parameters():
            parameter.register_hook(lambda gradient: gradient * 1e6)

    finding = compatibility.gradients(probe_of(trained_file, corpus, explode))
    assert finding.level == "warn"
    assert finding.headline.endswith(": large")


def test_a_gradient_that_is_not_finite_is_named_with_its_part(corpus):
    def break_it(recognizer):
        recognizer.body.head.weight.register_hook(lambda gradient: gradient * float("nan"))

    finding = compatibility.gradients(probe_of("tiny_student", corpus, break_it))
    assert (finding.level, finding.where) == ("fail", ("body.head",))


class AcrossTheBatch(nn.Module):
    """Divides by the deviation between utterances, of which one alone has none."""

    def forward(self, x):
        return x / (x - x.mean(0, keepdim=True)).square().mean(0, keepdim=True)


def test_a_norm_that_one_utterance_breaks_is_named(corpus):
    def change(recognizer):
        recognizer.dropout = AcrossTheBatch()

    finding = compatibility.batches(probe_of("tiny_student", corpus, change))
    assert finding.level == "fail"
    assert finding.where[0].startswith("batch of 1: train-")


def deaf(recognizer):
    """The right hand's features never reach the body."""
    part = recognizer.frontend.modality_slices()["right_hand"]

    def silence(module, inputs, output):
        output[..., part] = 0
        return output

    recognizer.frontend.register_forward_hook(silence)


def test_figures_are_shown_of_each_part(corpus, trained_file):
    """A shift of one part's features is seen in its own figures, not in those of the others."""

    def shift(recognizer):
        part = recognizer.frontend.modality_slices()["left_hand"]
        recognizer.frontend.mean[part] += 3 * recognizer.frontend.std[part]

    plain = compatibility.statistics(probe_of(trained_file, corpus))
    shifted = compatibility.statistics(probe_of(trained_file, corpus, shift))
    assert list(plain.figures["parts"]) == ["pose", "left_hand", "right_hand", "face"]
    for name, figures in shifted.figures["parts"].items():
        moved = figures["mean"] - plain.figures["parts"][name]["mean"]
        assert moved == pytest.approx(-3 if name == "left_hand" else 0, abs=0.1)
        assert f"{name.replace('_', ' ')} {figures['mean']:.2f} +- {figures['deviation']:.2f}" in shifted.headline
    # Least and greatest of all are those of some part.
    assert plain.figures["least"] == min(part["least"] for part in plain.figures["parts"].values())


def test_the_range_of_the_log_probabilities_is_shown(corpus):
    finding = compatibility.forward(probe_of("tiny_student", corpus))
    least, largest = (finding.figures[f"{name} log-probability"] for name in ("least", "largest"))
    assert least < largest <= 0
    assert f"log-probabilities are {least:.3g} to {largest:.3g}" in finding.headline


def test_a_part_that_is_not_heard_is_named(corpus):
    finding = compatibility.modalities(probe_of("tiny_student", corpus, deaf))
    assert (finding.level, finding.where) == ("fail", ("right_hand: the output is the same without it",))


@pytest.mark.parametrize("name", ["tiny_student", "tiny_teacher"])
def test_time_pooled_to_one_step_is_named(name):
    finding = architecture.time_kept(probe_of(name, change=pool_time))
    assert finding.level == "fail"
    assert finding.headline == "the output is the same in every frame: time was pooled to one step"


def test_a_wrong_length_is_named():
    def change(recognizer):
        recognizer.body = Longer(recognizer.body)

    finding = architecture.time_kept(probe_of("tiny_student", change=change))
    assert finding.level == "fail"
    assert finding.where[0] == "1 frame: 2 output frames, 1 expected"


def test_a_classifier_of_other_words_is_named():
    def change(recognizer):
        recognizer.classifier = nn.Linear(2 * QUICK_STUDENT.lstm_hidden, 7)

    probe = probe_of("tiny_student", change=change)
    finding = architecture.shape(probe)
    assert finding.level == "fail"
    assert "7)" in finding.headline


class Logits(Recognizer):
    def _classify(self, features, lengths):
        return self.classifier(self.lstm(self.dropout(features), lengths))


def as_logits(recognizer):
    recognizer.__class__ = Logits


def test_outputs_that_are_no_probabilities_are_named():
    probe = probe_of("tiny_student", change=as_logits)
    assert architecture.probabilities(probe).level == "fail"


def test_a_loss_below_zero_is_named():
    def change(recognizer):
        as_logits(recognizer)
        with torch.no_grad():
            recognizer.classifier.bias.fill_(10.0)

    finding = architecture.loss(probe_of("tiny_student", change=change))
    assert finding.level == "fail"
    assert finding.value < 0
    assert "no log-probability" in finding.advice


def test_a_broken_vocabulary_is_named():
    probe = probe_of("tiny_student")
    words = probe.vocabulary.words
    broken = copy.copy(probe.vocabulary)
    # Two words have changed places on one way only.
    object.__setattr__(broken, "_ids", {**probe.vocabulary._ids, words[2]: 3, words[3]: 2})
    finding = architecture.vocabulary(replace(probe, vocabulary=broken))
    assert (finding.level, finding.value) == ("fail", 2)
    assert finding.where[0] == f"{words[2]}: id 2, encoded as 3"


def test_a_model_over_its_size_is_named():
    def change(recognizer):
        recognizer.classifier = nn.Linear(64, 500_000)

    finding = architecture.size(probe_of("tiny_student", change=change))
    assert finding.level == "fail"
    assert finding.value > 100


class UnmaskedLSTM(BiLSTM):
    def forward(self, x, lengths):
        return super().forward(x, None)


def test_padding_that_leaks_is_named():
    def change(recognizer):
        recognizer.lstm.__class__ = UnmaskedLSTM

    finding = architecture.padding(probe_of("tiny_student", change=change))
    assert finding.level == "fail"
    assert finding.where


def test_a_left_point_taken_for_a_right_one_is_named():
    def change(recognizer):
        recognizer.frontend._left_shoulder = 0

    assert architecture.mirror(probe_of("tiny_student", change=change)).level == "fail"


def test_parameters_without_a_gradient_are_named():
    def change(recognizer):
        recognizer.body.head.weight.requires_grad_(False)
        recognizer.unused = nn.Linear(2, 2)

    finding = architecture.gradient(probe_of("tiny_student", change=change))
    assert finding.level == "fail"
    assert set(finding.where) == {"unused.weight", "unused.bias", "body.head.weight (frozen)"}


def test_a_corpus_without_a_face_accuses_nobody(tmp_path):
    with CorpusWriter(tmp_path / "c", {"name": "faceless"}) as writer:
        for number in range(6):
            clip = tiny_sentence(("UP", "DOWN"), seed=number)
            points = clip.points.copy()
            points[:, 75:] = np.nan
            writer.add(
                f"u{number}", split="train", signer="A", glosses=("UP", "DOWN"), landmarks=replace(clip, points=points)
            )
    probe = probe_of("tiny_student", Corpus.open(tmp_path / "c"))
    assert loud(probe) == set()
    assert "not in these clips: face" in compatibility.modalities(probe).headline
