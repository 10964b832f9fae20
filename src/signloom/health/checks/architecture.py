"""Is the model built as a CTC recogniser has to be? Checks that hold for any weights, trained or new.

All of them use simulated signing in which every part is seen, so that a corpus without a face accuses no encoder.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import torch
from torch import Tensor

from signloom import layout
from signloom.findings import Finding
from signloom.health.checks.probe import Probe, loss_of, mode
from signloom.model.modality_fusion import ModalityAttention
from signloom.train.data import Batch
from signloom.train.monitor_rules import SATURATED
from signloom.vocabulary import BLANK, BLANK_ID, UNKNOWN, UNKNOWN_ID

SPEC = "the requirements of the architecture, docs/health.md"
# Sums of hundreds of single-precision numbers differ by their order in the sixth digit.
TOLERANCE = 1e-3
LENGTHS = (1, 2, 3, 5, 8, 17, 32, 50)
MAX_BYTES = 100_000_000
# A body whose output is the same in every frame has none; the least seen in a new model is 0.2.
LEAST_VARIATION = 1e-3


def time_kept(probe: Probe) -> Finding:
    """The length of the output follows that of the input, and the output is not the same in every frame."""
    recognizer, batch = probe.recognizer, probe.simulated
    wrong = []
    with mode(recognizer, training=False), torch.no_grad():
        for length in (length for length in LENGTHS if length <= batch.points.shape[1]):
            log_probs, lengths = recognizer(batch.points[:1, :length])
            expected = int(recognizer.output_lengths(torch.tensor(length)))
            if log_probs.shape[1] != expected or int(lengths) != expected:
                wrong.append(f"{length} frames: {log_probs.shape[1]} output frames, {expected} expected")
        # Before the BiLSTM: its first and last steps vary even where it is fed one frame over and over.
        varying = min(_variation(recognizer.features(batch.points[at : at + 1, :n])[0][0]) for at, n in _clips(batch))
        constant = varying < LEAST_VARIATION or all(
            _same(recognizer(batch.points[at : at + 1, :n])[0][0]) for at, n in _clips(batch)
        )
    # Units that are dead give the same in every frame as well: new weights tell the one from the other.
    pooled = constant and (not probe.trained or not _varies_anew(probe))
    sick = bool(wrong) or constant
    return Finding(
        "architecture.time",
        "fail" if sick else "ok",
        f"{len(wrong)} of {len(LENGTHS)} lengths come out wrong"
        if wrong
        else "the output is the same in every frame: time was pooled to one step"
        if pooled
        else "the output is the same in every frame, by its weights: with new ones it is not"
        if constant
        else f"every length comes out as predicted; {100 * varying:.0f} % of what the features are varies over time",
        varying,
        "deviation over time / root mean square",
        f"at least {LEAST_VARIATION:g}, and the predicted length for every input",
        SPEC,
        tuple(wrong),
        "no pooling over the whole sequence, and strides as the model's output_lengths has them"
        if wrong or pooled
        else "its units are dead or its output has collapsed: start anew, with a lower --learning_rate"
        if sick
        else "",
        {"pooled": pooled, "constant": constant},
    )


def _varies_anew(probe: Probe) -> bool:
    """Whether the features and the output of the same model with new weights vary over time."""
    recognizer, batch = copy.deepcopy(probe.recognizer), probe.simulated
    torch.manual_seed(0)
    with torch.no_grad():
        for module in recognizer.modules():
            if callable(reset := getattr(module, "reset_parameters", None)):
                reset()
        for parameter in recognizer.parameters():
            if not bool(torch.isfinite(parameter).all()) or not bool(parameter.any()):
                parameter.normal_(std=0.1)
    # By the statistics of the batch: those kept belong to the old weights.
    with mode(recognizer, training=True), torch.no_grad():
        recognizer.dropout.p = 0.0
        return any(
            _variation(recognizer.features(batch.points[at : at + 1, :n])[0][0]) >= LEAST_VARIATION
            and not _same(recognizer(batch.points[at : at + 1, :n])[0][0])
            for at, n in _clips(batch)
        )


def shape(probe: Probe) -> Finding:
    recognizer, batch = probe.recognizer, probe.simulated
    with mode(recognizer, training=False), torch.no_grad():
        log_probs, lengths = recognizer(batch.points, batch.lengths)
    frames = int(recognizer.output_lengths(batch.lengths).max())
    expected = (len(batch.ids), frames, len(probe.vocabulary))
    right = tuple(log_probs.shape) == expected and int(lengths.max()) == frames
    return Finding(
        "architecture.shape",
        "ok" if right else "fail",
        f"output of shape {tuple(log_probs.shape)} for {expected[0]} utterances, {frames} output frames and "
        f"{expected[2]} words",
        None,
        "",
        "(utterances, output frames, words of the vocabulary)",
        SPEC,
        (),
        "" if right else "the classifier has to have a row for each word, blank included, and time its own axis",
    )


def probabilities(probe: Probe) -> Finding:
    with mode(probe.recognizer, training=False), torch.no_grad():
        log_probs, _ = probe.recognizer(probe.simulated.points, probe.simulated.lengths)
    off = float((log_probs.exp().sum(-1) - 1).abs().max())
    right = bool(torch.isfinite(log_probs).all()) and off < TOLERANCE
    return Finding(
        "architecture.probabilities",
        "ok" if right else "fail",
        f"probabilities of a frame sum to 1 within {off:.2g}",
        off,
        "",
        f"within {TOLERANCE:g}, all finite",
        f"{SPEC}; tolerance of single precision",
        (),
        "" if right else "CTC takes log-probabilities: end the model with a log_softmax over the words, once",
    )


def vocabulary(probe: Probe) -> Finding:
    words = probe.vocabulary.words
    wrong = []
    for number, word in enumerate(words):
        back = probe.vocabulary.encode([word])[0]
        if back != number:
            wrong.append(f"{word}: id {number}, and back {back}")
    if (words[BLANK_ID], words[UNKNOWN_ID]) != (BLANK, UNKNOWN):
        wrong.append(f"ids {BLANK_ID} and {UNKNOWN_ID} are {words[BLANK_ID]} and {words[UNKNOWN_ID]}")
    if probe.recognizer.num_words != len(words):
        wrong.append(f"classifier of {probe.recognizer.num_words} words, vocabulary of {len(words)}")
    return Finding(
        "architecture.vocabulary",
        "fail" if wrong else "ok",
        f"{len(words):,} words, {len(wrong)} of which do not come back from their id"
        if wrong
        else f"{len(words):,} words, each the same after word, id, word",
        len(wrong),
        "words",
        "none",
        SPEC,
        tuple(wrong[:10]),
        "outputs are read as other glosses than were trained: use the vocabulary the model was trained with"
        if wrong
        else "",
    )


def loss(probe: Probe) -> Finding:
    with mode(probe.recognizer, training=False), torch.no_grad():
        value = float(loss_of(probe.recognizer, probe.simulated))
    right = 0 <= value < float("inf")
    return Finding(
        "architecture.loss",
        "ok" if right else "fail",
        f"CTC loss of {value:.3f} a gloss",
        value,
        "nats a gloss",
        "finite, at least 0",
        "minus the logarithm of a probability (Graves et al. 2006)",
        (),
        ""
        if right
        else "below zero: the model's output is no log-probability; infinite or NaN: too few output frames, or weights "
        "that are not finite",
    )


def size(probe: Probe) -> Finding:
    total = sum(value.numel() * value.element_size() for value in probe.recognizer.state_dict().values())
    right = total < MAX_BYTES
    return Finding(
        "architecture.size",
        "ok" if right else "fail",
        f"{probe.recognizer.num_parameters:,} parameters, {total / 1e6:.1f} MB",
        total / 1e6,
        "MB",
        f"below {MAX_BYTES / 1e6:g} MB",
        SPEC,
        (),
        "" if right else "narrower layers: the widths of the encoders cost most in the full view",
    )


def padding(probe: Probe) -> Finding:
    """An utterance gives the same alone and padded, in any company and any order."""
    recognizer, batch = copy.deepcopy(probe.recognizer), probe.simulated
    if not probe.trained:
        # New biases are 0, and padding of 0 then passes through a layer that does not mask it unseen.
        torch.manual_seed(0)
        with torch.no_grad():
            for parameter in recognizer.parameters():
                if parameter.ndim == 1:
                    parameter.add_(0.1 * torch.randn_like(parameter))
    order = torch.arange(len(batch.ids)).flip(0)
    with mode(recognizer, training=False), torch.no_grad():
        together, lengths = recognizer(batch.points, batch.lengths)
        turned, _ = recognizer(batch.points[order], batch.lengths[order])
        far = {}
        for at, length in _clips(batch):
            alone, _ = recognizer(batch.points[at : at + 1, :length])
            n = int(lengths[at])
            far[batch.ids[at]] = max(
                _far(alone[0, :n], together[at, :n]), _far(turned[order][at, :n], together[at, :n])
            )
    worst = max(far.values())
    right = worst < TOLERANCE
    return Finding(
        "architecture.padding",
        "ok" if right else "fail",
        f"log-probabilities alone and in a batch differ by at most {worst:.2g}",
        worst,
        "",
        f"at most {TOLERANCE:g}",
        f"{SPEC}; tolerance of single precision",
        () if right else tuple(name for name, value in far.items() if not value < TOLERANCE),
        "" if right else "mask padding before every convolution and norm, and pack sequences for the BiLSTM",
    )


def mirror(probe: Probe) -> Finding:
    """A mirrored clip gives the mirror image of the normalised points: left and right are treated alike."""
    frontend = probe.recognizer.frontend
    points = probe.simulated.points[:1, : int(probe.simulated.lengths[0])]
    swap = torch.from_numpy(layout.subset_mirror_map(frontend.view).copy())
    signs = torch.tensor([-1.0, 1.0, 1.0])
    with torch.no_grad():
        plain, _ = frontend.geometry(points)
        mirrored, _ = frontend.geometry(points[:, :, swap] * signs + torch.tensor([1.0, 0.0, 0.0]))
    worst = _far(plain[:, :, swap] * signs, mirrored)
    right = worst < TOLERANCE
    return Finding(
        "architecture.mirror",
        "ok" if right else "fail",
        f"the points of a mirrored clip are its mirror image within {worst:.2g} shoulder widths",
        worst,
        "shoulder widths",
        f"at most {TOLERANCE:g}",
        f"{SPEC}; tolerance of single precision",
        (),
        "" if right else "the front end takes a left point for a right one, or depends on where in the image one is",
    )


def gradient(probe: Probe) -> Finding:
    """Every parameter has a gradient: what has none does not learn."""
    recognizer = probe.recognizer
    with mode(recognizer, training=True):
        loss_of(recognizer, probe.simulated).backward()
        named = [(name, value) for name, value in recognizer.named_parameters() if value.requires_grad]
        dead = [name for name, value in named if value.grad is None or not bool(value.grad.abs().sum() > 0)]
        frozen = [name for name, value in recognizer.named_parameters() if not value.requires_grad]
    sick = dead + [f"{name} (frozen)" for name in frozen]
    return Finding(
        "architecture.gradient",
        "fail" if sick else "ok",
        f"{len(sick)} of {len(named) + len(frozen)} parameters get no gradient"
        if sick
        else f"the gradient reaches all {len(named)} parameters",
        len(sick),
        "parameters",
        "none without a gradient",
        SPEC,
        tuple(sick[:10]),
        "these layers are cut off from the loss: look for detach, a branch that is not used, or units that are dead"
        if sick
        else "",
    )


def attention(probe: Probe) -> Finding:
    """How much of what attention adds stands at its clamp, where no gradient passes."""
    shares: dict[str, float] = {}

    def watch(name: str, clamp: float) -> Callable[..., None]:
        def hook(part: object, inputs: object, output: Tensor) -> None:
            shares[name] = float((output.abs() >= clamp).float().mean())

        return hook

    layers = {name: part for name, part in probe.recognizer.named_modules() if isinstance(part, ModalityAttention)}
    handles = [part.register_forward_hook(watch(name, part.clamp)) for name, part in layers.items()]
    try:
        with mode(probe.recognizer, training=False), torch.no_grad():
            probe.recognizer(probe.simulated.points, probe.simulated.lengths)
    finally:
        for handle in handles:
            handle.remove()
    worst = max(shares, key=lambda name: shares[name], default="")
    share = shares.get(worst, 0.0)
    sick = share >= SATURATED
    clamp = layers[worst].clamp if worst else math.inf
    return Finding(
        "architecture.attention",
        "fail" if sick else "ok",
        f"{100 * share:.0f} % of what attention adds stands at its clamp of +-{clamp:g}"
        if layers
        else "there is no attention among the modalities",
        share,
        "share of values",
        f"below {100 * SATURATED:g} %",
        "the live monitors' limit: where values are cut off no gradient passes",
        (worst,) if sick else (),
        "widen --attention_clamp (10 is usual), and train again" if sick else "",
        {"clamp": clamp},
    )


def _clips(batch: Batch) -> list[tuple[int, int]]:
    return [(at, int(length)) for at, length in enumerate(batch.lengths)]


def _variation(features: Tensor) -> float:
    """Deviation over time `(T', C)` against the root mean square, over all channels."""
    return float(
        features.std(0, correction=0).square().mean().sqrt() / features.square().mean().sqrt().clamp(min=1e-12)
    )


def _same(log_probs: Tensor) -> bool:
    """Whether `(T', V)` are the same in every frame, to the last bit: new weights may make of an output little more."""
    return bool((log_probs == log_probs[:1]).all())


def _far(one: Tensor, other: Tensor) -> float:
    """The largest difference; NaN on both sides is none, on one side all."""
    if one.shape != other.shape or not torch.equal(torch.isnan(one), torch.isnan(other)):
        return float("inf")
    return float((one - other).abs().nan_to_num(0.0).max())


Check = Callable[[Probe], Finding]
CHECKS: dict[str, Check] = {
    "architecture.time": time_kept,
    "architecture.shape": shape,
    "architecture.probabilities": probabilities,
    "architecture.vocabulary": vocabulary,
    "architecture.loss": loss,
    "architecture.size": size,
    "architecture.padding": padding,
    "architecture.mirror": mirror,
    "architecture.gradient": gradient,
    "architecture.attention": attention,
}
