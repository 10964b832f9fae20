"""Checks that a model is built as a CTC recogniser has to be, with any weights, trained or new.

All of them use simulated signing in which every body part is visible, so that a corpus without faces does not make an
encoder look unused.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from signloom import layout
from signloom.errors import plural
from signloom.findings import Details, Outcome, check, fail, judge, ok
from signloom.health.checks.probe import Probe, loss_of, mode
from signloom.model.hooks import watched
from signloom.model.modality_fusion import ModalityAttention
from signloom.text.counts import some_of
from signloom.train.data import Batch
from signloom.train.monitor_rules import SATURATED
from signloom.vocabulary import BLANK, BLANK_ID, UNKNOWN, UNKNOWN_ID

SPEC = "the requirements of the architecture, docs/health.md"
SINGLE_PRECISION = f"{SPEC}; tolerance of single precision"
# Sums of hundreds of single-precision numbers differ in the sixth digit, depending on their order.
TOLERANCE = 1e-3
# Input lengths to try, in frames.
LENGTHS = (1, 2, 3, 5, 8, 17, 32, 50)
MAX_BYTES = 100_000_000
# Features that are the same in every frame have no variation; the least seen in a new model is 0.2.
LEAST_VARIATION = 1e-3
SHOWN = 10


@check(
    "architecture.time",
    unit="deviation over time / root mean square",
    threshold=f"the predicted output length for every input; features that vary by at least {LEAST_VARIATION:g}; an "
    "output that is not the same in every frame",
    source=SPEC,
)
def time_kept(probe: Probe) -> Outcome:
    """Output lengths against the predicted ones; how much features and output vary over time."""
    recognizer, batch = probe.recognizer, probe.simulated
    wrong = []
    with mode(recognizer, training=False), torch.no_grad():
        for length in (length for length in LENGTHS if length <= batch.points.shape[1]):
            log_probs, lengths = recognizer(batch.points[:1, :length])
            expected = int(recognizer.output_lengths(torch.tensor(length)))
            if log_probs.shape[1] != expected or int(lengths) != expected:
                wrong.append(f"{plural(length, 'frame')}: {log_probs.shape[1]} output frames, {expected} expected")
        # Before the BiLSTM: its first and last steps vary even if its input is one frame, repeated.
        varying = min(_variation(recognizer.features(points)[0][0]) for points in _alone(batch))
        constant = varying < LEAST_VARIATION or all(_same(recognizer(points)[0][0]) for points in _alone(batch))
    # Dead units make all frames the same too; but then the output varies with new weights.
    pooled = constant and (not probe.trained or not _varies_anew(probe))
    measured = Details(value=varying, where=wrong, figures={"pooled": pooled, "constant": constant})
    advice = "do not pool over the whole sequence, and keep the strides that the model's output_lengths assumes"
    headline = f"every output length is as predicted; features vary over time by {100 * varying:.0f} % of their size"
    if wrong:
        headline = f"{some_of(len(wrong), len(LENGTHS), 'input length', 'gives', 'give')} a wrong output length"
    elif pooled:
        headline = "the output is the same in every frame: time was pooled to one step"
    elif constant:
        headline = "the output is the same in every frame because of the weights: with new weights it varies"
        advice = "units are dead or the output has collapsed: start again with a lower --learning_rate"
    return judge(headline, fail=bool(wrong) or pooled or constant, advice=advice, **measured)


def _varies_anew(probe: Probe) -> bool:
    """Returns whether features and output of the same model with new weights vary over time."""
    recognizer, batch = copy.deepcopy(probe.recognizer), probe.simulated
    torch.manual_seed(0)
    with torch.no_grad():
        for module in recognizer.modules():
            if callable(reset := getattr(module, "reset_parameters", None)):
                reset()
        for parameter in recognizer.parameters():
            if not bool(torch.isfinite(parameter).all()) or not bool(parameter.any()):
                parameter.normal_(std=0.1)
    # In training mode norms use the statistics of the batch: the running ones belong to the old weights.
    with mode(recognizer, training=True), torch.no_grad():
        recognizer.dropout.p = 0.0
        return any(
            _variation(recognizer.features(points)[0][0]) >= LEAST_VARIATION and not _same(recognizer(points)[0][0])
            for points in _alone(batch)
        )


@check("architecture.shape", threshold="(utterances, output frames, words of the vocabulary)", source=SPEC)
def shape(probe: Probe) -> Outcome:
    """Shape of the output."""
    recognizer, batch = probe.recognizer, probe.simulated
    with mode(recognizer, training=False), torch.no_grad():
        log_probs, lengths = recognizer(batch.points, batch.lengths)
    frames = int(recognizer.output_lengths(batch.lengths).max())
    expected = (len(batch.ids), frames, len(probe.vocabulary))
    headline = (
        f"output of shape {tuple(log_probs.shape)} for {expected[0]} utterances, {plural(frames, 'output frame')} and "
        f"{expected[2]} words"
    )
    wrong = tuple(log_probs.shape) != expected or int(lengths.max()) != frames
    advice = "give the classifier one row per word, blank included, and time an axis of its own"
    return judge(headline, fail=wrong, advice=advice)


@check("architecture.probabilities", threshold=f"sums of 1 within {TOLERANCE:g}, all finite", source=SINGLE_PRECISION)
def probabilities(probe: Probe) -> Outcome:
    """Distance from 1 of the sum of a frame's probabilities."""
    with mode(probe.recognizer, training=False), torch.no_grad():
        log_probs, _ = probe.recognizer(probe.simulated.points, probe.simulated.lengths)
    distance = float((log_probs.exp().sum(-1) - 1).abs().max())
    wrong = not bool(torch.isfinite(log_probs).all()) or not distance < TOLERANCE
    headline = f"the probabilities of a frame sum to 1 within {distance:.2g}"
    advice = "CTC takes log-probabilities: end the model with one log_softmax over the words"
    return judge(headline, fail=wrong, value=distance, advice=advice)


@check("architecture.vocabulary", unit="words", threshold="none that changes", source=SPEC)
def vocabulary(probe: Probe) -> Outcome:
    """Words that change when they are encoded to an id and decoded again."""
    words = probe.vocabulary.words
    wrong = []
    for number, word in enumerate(words):
        back = probe.vocabulary.encode([word])[0]
        if back != number:
            wrong.append(f"{word}: id {number}, encoded as {back}")
    if (words[BLANK_ID], words[UNKNOWN_ID]) != (BLANK, UNKNOWN):
        wrong.append(f"ids {BLANK_ID} and {UNKNOWN_ID} are {words[BLANK_ID]} and {words[UNKNOWN_ID]}")
    if probe.recognizer.num_words != len(words):
        wrong.append(f"the classifier has {plural(probe.recognizer.num_words, 'word')}, the vocabulary {len(words)}")
    if wrong:
        return fail(
            f"{plural(len(words), 'word')}, {plural(len(wrong), 'mismatch', 'mismatches')} between words and ids",
            value=len(wrong),
            where=wrong[:SHOWN],
            advice="outputs stand for other glosses than were trained: use the vocabulary the model was trained with",
        )
    return ok(f"{plural(len(words), 'word')}, each the same after encoding and decoding", value=0)


@check(
    "architecture.loss",
    unit="nats per gloss",
    threshold="finite, at least 0",
    source="minus the logarithm of a probability (Graves et al. 2006)",
)
def loss(probe: Probe) -> Outcome:
    """CTC loss per gloss."""
    with mode(probe.recognizer, training=False), torch.no_grad():
        value = float(loss_of(probe.recognizer, probe.simulated, probe.auxiliary_weight))
    advice = (
        "below zero: the model's output is no log-probability; infinite or NaN: there are too few output frames, or "
        "weights are not finite"
    )
    wrong = not 0 <= value < float("inf")
    return judge(f"CTC loss of {value:.3f} per gloss", fail=wrong, value=value, advice=advice)


@check("architecture.size", unit="MB", threshold=f"below {MAX_BYTES / 1e6:g} MB", source=SPEC)
def size(probe: Probe) -> Outcome:
    """Size of the weights."""
    total = sum(value.numel() * value.element_size() for value in probe.recognizer.state_dict().values())
    headline = f"{plural(probe.recognizer.num_parameters, 'parameter')}, {total / 1e6:.1f} MB"
    advice = "use narrower layers: the widths of the encoders cost most in the full view"
    return judge(headline, fail=total >= MAX_BYTES, value=total / 1e6, advice=advice)


@check("architecture.padding", threshold=f"at most {TOLERANCE:g}", source=SINGLE_PRECISION)
def padding(probe: Probe) -> Outcome:
    """Difference between the log-probabilities of an utterance alone, and in batches of two different orders."""
    recognizer, batch = copy.deepcopy(probe.recognizer), probe.simulated
    if not probe.trained:
        # New biases are 0: zero padding would pass through an unmasked layer without a trace.
        torch.manual_seed(0)
        with torch.no_grad():
            for parameter in recognizer.parameters():
                if parameter.ndim == 1:
                    parameter.add_(0.1 * torch.randn_like(parameter))
    order = torch.arange(len(batch.ids)).flip(0)
    with mode(recognizer, training=False), torch.no_grad():
        together, lengths = recognizer(batch.points, batch.lengths)
        reversed_, _ = recognizer(batch.points[order], batch.lengths[order])
        differences = {}
        for index, points in enumerate(_alone(batch)):
            frames = int(lengths[index])
            expected = together[index, :frames]
            differences[batch.ids[index]] = max(
                _difference(recognizer(points)[0][0, :frames], expected),
                _difference(reversed_[order][index, :frames], expected),
            )
    worst = max(differences.values())
    headline = f"log-probabilities alone and in a batch differ by at most {worst:.2g}"
    where = [name for name, value in differences.items() if not value < TOLERANCE]
    advice = "mask padding before every convolution and norm, and pack sequences for the BiLSTM"
    return judge(headline, fail=bool(where), value=worst, where=where, advice=advice)


@check("architecture.mirror", unit="shoulder widths", threshold=f"at most {TOLERANCE:g}", source=SINGLE_PRECISION)
def mirror(probe: Probe) -> Outcome:
    """Distance between the normalised points of a mirrored clip and the mirror image of those of the clip."""
    frontend = probe.recognizer.frontend
    points = probe.simulated.points[:1, : int(probe.simulated.lengths[0])]
    swap = torch.from_numpy(layout.subset_mirror_map(frontend.view).copy())
    signs = torch.tensor([-1.0, 1.0, 1.0])
    with torch.no_grad():
        normalised, _ = frontend.geometry(points)
        mirrored, _ = frontend.geometry(points[:, :, swap] * signs + torch.tensor([1.0, 0.0, 0.0]))
    worst = _difference(normalised[:, :, swap] * signs, mirrored)
    headline = f"the points of a mirrored clip are its mirror image within {worst:.2g} shoulder widths"
    advice = "the front end confuses a left point with a right one, or depends on the position in the image"
    return judge(headline, fail=not worst < TOLERANCE, value=worst, advice=advice)


@check("architecture.gradient", unit="parameters", threshold="none without a gradient", source=SPEC)
def gradient(probe: Probe) -> Outcome:
    """Parameters without a gradient, which cannot learn."""
    recognizer = probe.recognizer
    with mode(recognizer, training=True):
        loss_of(recognizer, probe.simulated, probe.auxiliary_weight).backward()
        parameters = dict(recognizer.named_parameters())
        frozen = [f"{name} (frozen)" for name, value in parameters.items() if not value.requires_grad]
        learning = {name: value for name, value in parameters.items() if value.requires_grad}
        missing = [name for name, p in learning.items() if p.grad is None or not bool(p.grad.abs().sum() > 0)] + frozen
    if not missing:
        return ok(f"the gradient reaches all {plural(len(parameters), 'parameter')}", value=0)
    headline = f"{some_of(len(missing), len(parameters), 'parameter', 'gets', 'get')} no gradient"
    advice = "these layers are cut off from the loss: look for detach, an unused branch, or dead units"
    return fail(headline, value=len(missing), where=missing[:SHOWN], advice=advice)


@check(
    "architecture.attention",
    unit="share of values",
    threshold=f"below {100 * SATURATED:g} %",
    source="the live monitors' limit: no gradient passes through a clamped value",
)
def attention(probe: Probe) -> Outcome:
    """Share of the values that attention among modalities adds which are at its clamp."""
    shares: dict[str, float] = {}
    layers = {name: part for name, part in probe.recognizer.named_modules() if isinstance(part, ModalityAttention)}

    def watch(name: str, output: Tensor) -> None:
        shares[name] = float((output.abs() >= layers[name].clamp).float().mean())

    with watched(layers, watch), mode(probe.recognizer, training=False), torch.no_grad():
        probe.recognizer(probe.simulated.points, probe.simulated.lengths)
    if not shares:
        return ok("there is no attention among the modalities", value=0.0)
    worst = max(shares, key=lambda name: shares[name])
    share, clamp = shares[worst], layers[worst].clamp
    measured = Details(value=share, where=[worst] * (share >= SATURATED), figures={"clamp": clamp})
    headline = f"{100 * share:.0f} % of the values that attention adds are at its clamp of +-{clamp:g}"
    advice = "widen --attention_clamp (10 is usual), and train again"
    return judge(headline, fail=share >= SATURATED, advice=advice, **measured)


def _alone(batch: Batch) -> list[Tensor]:
    """Returns the points of each utterance without padding, `(1, T, P, 3)`."""
    return [batch.points[index : index + 1, :length] for index, length in enumerate(batch.lengths.tolist())]


def _variation(features: Tensor) -> float:
    """Returns the deviation over time of `(T', C)` relative to the root mean square, over all channels."""
    return float(
        features.std(0, correction=0).square().mean().sqrt() / features.square().mean().sqrt().clamp(min=1e-12)
    )


def _same(log_probs: Tensor) -> bool:
    """Returns whether all frames of `(T', V)` are equal to the last bit: with new weights they may differ by little."""
    return bool((log_probs == log_probs[:1]).all())


def _difference(one: Tensor, other: Tensor) -> float:
    """Returns the largest difference; infinity for other shapes or NaN on one side only."""
    if one.shape != other.shape or not torch.equal(torch.isnan(one), torch.isnan(other)):
        return float("inf")
    return float((one - other).abs().nan_to_num(0.0).max())
