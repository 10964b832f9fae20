"""Checks that landmarks and a model fit together: features, normalisation, values, gradients, batches, body parts."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from signloom import layout
from signloom.findings import Details, Outcome, check, fail, judge, note, ok
from signloom.health.checks.probe import Probe, first, loss_of, losses_of, mode
from signloom.model.frontend import CLAMP, MIN_STD
from signloom.model.hooks import watched
from signloom.train.feature_statistics import feature_statistics
from signloom.train.monitor_rules import EXPLODING, HEALTHY, STILL_TO_LEARN, VANISHING
from signloom.train.non_finite import first_cause
from signloom.train.start_rules import HIGH, LOW, MEAN, SLACK

NORMALISATION = "the requirements of normalisation, docs/health.md"
ARCHITECTURE = "the requirements of the architecture, docs/health.md"
# Largest feature, in absolute value.
RANGE = 15.0
# Share of the variance between clips: 0 after clip-by-clip normalisation, about a tenth in healthy corpora.
LEAST_BETWEEN = 1e-3
LARGEST_ACTIVATION = 1e4
# Sums of hundreds of single-precision numbers differ in the sixth digit, depending on their order.
TOLERANCE = 1e-3
# A body part whose removal changes log-probabilities by less has no effect.
LEAST_CHANGE = 1e-6
# Another normalisation fits trained weights better if its loss is at most this share of the model's own.
BETTER = 0.9


@check(
    "compatibility.statistics",
    threshold=f"mean within {MEAN:g} of 0, deviation {LOW:g} to {HIGH:g}, values within +-{RANGE:g} over a corpus; "
    f"a trained model may be off by {SLACK:g}, which is noted",
    source=NORMALISATION,
)
def statistics(probe: Probe) -> Outcome:
    """Mean, deviation and range of the features that the body of the model receives, of all and of each body part."""
    mean, deviation, low, high, *_ = result = feature_statistics(
        probe.recognizer.frontend, probe.clips, _features(probe)
    )
    off = max(abs(mean) - MEAN, LOW - deviation, deviation - HIGH, result.largest - RANGE)
    headline = f"features have mean {mean:.3f}, deviation {deviation:.3f}, range {low:.1f} to {high:.1f}"
    headline += "".join(
        f"; {name.replace('_', ' ')} {part.mean:.2f} +- {part.deviation:.2f}, {part.low:.1f} to {part.high:.1f}"
        for name, part in result.parts.items()
    )
    parts = {name: part.figures for name, part in result.parts.items()}
    measured = Details(value=mean, figures={**result.figures, "clips": len(probe.clips), "parts": parts})
    if off <= 0:
        return ok(headline, **measured)
    if off <= SLACK and probe.trained:
        return note(headline, **measured)
    if probe.trained and not probe.from_corpus:
        headline += ", of simulated signing: there is no corpus to measure them on"
        return note(headline, advice="give the corpus of the training with --data_dir", **measured)
    # One cause is reported once.
    if once(probe).level == "fail":
        return note(f"{headline}: see compatibility.normalised_once", **measured)
    advice = (
        "these landmarks differ from those the model's statistics were computed on: other units, another extractor, "
        "or normalised before. Run 'signloom doctor' on the corpus"
    )
    return fail(headline, advice=advice, **measured)


@check(
    "compatibility.normalised_once",
    threshold=f"at most {TOLERANCE:g} away, and at least {LEAST_BETWEEN:g} of the variance between clips",
    source=f"{NORMALISATION}; tolerance of single precision",
)
def once(probe: Probe) -> Outcome:
    """Distance between the features that the body receives and those that one normalisation gives."""
    frontend = probe.recognizer.frontend
    received = _features(probe)
    expected = []
    with mode(probe.recognizer, training=False), torch.no_grad():
        for clip in probe.clips:
            raw = frontend.raw_features(clip)
            expected.append(((raw - frontend.mean) / frontend.std).clamp(-CLAMP, CLAMP).nan_to_num(nan=0.0)[0])
    pairs = list(zip(received, expected, strict=True))
    distance, between = math.inf, math.nan
    if all(one.shape == other.shape for one, other in pairs):
        distance = max(float((one - other).abs().max()) for one, other in pairs)
        between = feature_statistics(frontend, probe.clips, received).between
    # A single clip has no variance between clips.
    clip_by_clip = len(probe.clips) > 1 and between < LEAST_BETWEEN
    measured = Details(value=distance, figures={"difference": distance, "variance between clips": between})
    if distance < TOLERANCE and not clip_by_clip:
        return ok(f"the body receives what one normalisation gives (within {distance:.1g})", **measured)
    how = "clip by clip, after the front end" if clip_by_clip else "after the front end"
    return fail(
        f"the features are normalised a second time, {how}: the body receives values up to {distance:.3g} away from "
        "what one normalisation gives",
        advice="remove the second normalisation: only the front end inside the model may normalise",
        **measured,
    )


@check(
    "compatibility.methods",
    unit="nats per gloss",
    threshold="with trained weights, no other normalisation has a loss a tenth lower, and a lower one in most clips",
    source="weights fit the normalisation they were trained with",
)
def methods(probe: Probe) -> Outcome:
    """Loss with the model's own normalisation, and with others: none, twice, again clip by clip."""
    recognizer, own = probe.recognizer, probe.recognizer.frontend
    changes: dict[str, Callable[[Tensor], Tensor]] = {
        "once, as the model does": lambda x: x,
        "not at all": lambda x: x * own.std + own.mean,
        "twice, by the same statistics": lambda x: (x - own.mean) / own.std,
        "again, clip by clip": lambda x: (x - x.mean(1, keepdim=True)) / x.std(1, keepdim=True).clamp(min=MIN_STD),
    }
    losses: dict[str, Tensor] = {}
    table: dict[str, dict[str, float]] = {}
    for name, change in changes.items():
        changed = own.register_forward_hook(partial(_change, change))
        with changed, mode(recognizer, training=False), torch.no_grad():
            result = feature_statistics(probe.recognizer.frontend, probe.clips, _features(probe))
            losses[name] = losses_of(recognizer, probe.compared)
        table[name] = {"mean": result.mean, "deviation": result.deviation, "range": result.largest}
        table[name]["loss"] = float(losses[name].mean())
    if probe.trained and statistics(probe).level != "ok":
        return note(
            "cannot be measured while the features differ from those of training: see compatibility.statistics",
            figures=table,
        )
    name, *others = table
    best = min(table, key=lambda key: table[key]["loss"])
    value, least = table[name]["loss"], table[best]["loss"]
    # With new weights no loss means more than another.
    in_most_clips = bool((losses[best] < losses[name]).float().mean() > 0.5)
    if probe.trained and best != name and in_most_clips and least < BETTER * value:
        return fail(
            f"the model recognises clips better when features are normalised {best} ({least:.2f} per gloss against "
            f"{value:.2f})",
            value=value,
            where=others,
            figures=table,
            advice=f"these weights were trained with features normalised {best}: train again with the model's own "
            "normalisation, or use the landmarks it was trained on",
        )
    shown = "; ".join(f"{key}: {row['mean']:.2f} +- {row['deviation']:.2f}" for key, row in table.items())
    headline = f"mean and deviation when normalised {shown}"
    advice = "the loss is not finite: see architecture.loss and compatibility.forward"
    return judge(headline, fail=not math.isfinite(value), value=value, figures=table, advice=advice)


@check(
    "compatibility.forward",
    threshold=f"all finite; at most {LARGEST_ACTIVATION:,.0f}, else warn",
    source="half precision ends at 65,504; values of a healthy model stay below a few hundred",
)
def forward(probe: Probe) -> Outcome:
    """The largest value of any module, and the range of the log-probabilities, in training and in evaluation mode."""
    recognizer, batch = probe.recognizer, probe.batch
    largest: dict[str, float] = {}
    least, greatest = math.inf, -math.inf

    def watch(name: str, output: object) -> None:
        if isinstance(output, Tensor):
            largest[name] = max(largest.get(name, 0.0), float(output.detach().abs().max()))

    cause = ""
    with watched({name: part for name, part in recognizer.named_modules() if name}, watch):
        for training in (False, True):
            with mode(recognizer, training=training), torch.no_grad():
                heads = recognizer.heads(batch.points, batch.lengths)
                log_probs = heads.log_probs
                inside = log_probs[torch.arange(log_probs.shape[1]) < heads.lengths[:, None]]
                least, greatest = min(least, float(inside.min())), max(greatest, float(inside.max()))
                if not bool(torch.isfinite(log_probs).all()):
                    cause = first_cause(recognizer, lambda: recognizer.heads(batch.points, batch.lengths))
                    break
    worst = max(largest, key=lambda name: largest[name], default="")
    value = largest.get(worst, 0.0)
    if cause:
        advice = "load an earlier checkpoint, or start again with a lower learning rate"
        return fail(f"the output is not finite, first made by {cause}", value=value, where=[cause], advice=advice)
    large = not value <= LARGEST_ACTIVATION
    headline = (
        f"all values are finite; the largest is {value:.3g}, in {worst}; log-probabilities are {least:.3g} to "
        f"{greatest:.3g}"
    )
    figures = {"largest": value, "least log-probability": least, "largest log-probability": greatest}
    advice = f"values in {worst} are very large: use a lower learning rate, or a norm before it"
    return judge(headline, warn=large, value=value, where=[worst] * large, figures=figures, advice=advice)


@check(
    "compatibility.gradients",
    threshold=f"finite; {VANISHING:g} (while the loss is above {STILL_TO_LEARN:g} per gloss) to {EXPLODING:g}, above "
    "which trained weights are a warning and new ones are noted",
    source=f"the live monitors' limits; {HEALTHY[0]:g} to {HEALTHY[1]:g} is the healthy range in training",
)
def gradients(probe: Probe) -> Outcome:
    """Norm of the gradient of the model, and of each part."""
    recognizer = probe.recognizer
    with mode(recognizer, training=True):
        loss = loss_of(recognizer, probe.batch, probe.auxiliary_weight)
        loss.backward()
        squares: dict[str, float] = {}
        for name, parameter in recognizer.named_parameters():
            if parameter.grad is not None:
                part = ".".join(name.split(".")[: 2 if name.startswith("body.") else 1])
                squares[part] = squares.get(part, 0.0) + float(parameter.grad.square().sum())
    norms = {part: math.sqrt(square) for part, square in squares.items()}
    total, value = math.sqrt(sum(squares.values())), float(loss.detach())
    wrong = [part for part, norm in norms.items() if not math.isfinite(norm)]
    measured = Details(value=total, where=wrong, figures=norms)
    headline = f"norm of the gradient {total:.3g} at a loss of {value:.2f} per gloss"
    if not math.isfinite(total):
        advice = "look at the first of these layers, and at clips that CTC cannot align (data.feasible)"
        return fail(headline, advice=advice, **measured)
    if total < VANISHING and value > STILL_TO_LEARN:
        advice = "no gradient reaches the weights: check the initialisation, saturated units and a clamp too tight"
        return fail(f"{headline}: vanishing while there is much to learn", advice=advice, **measured)
    if total > EXPLODING:
        # The first steps of new weights are always large; warm-up and clipping take care of them.
        advice = "clip the gradient (--gradient_clip 1) and lower the learning rate"
        return judge(f"{headline}: large", warn=probe.trained, note=True, advice=advice, **measured)
    return ok(headline, **measured)


@check("compatibility.batches", unit="sizes", threshold="finite with 1, 2 and 4 utterances", source=ARCHITECTURE)
def batches(probe: Probe) -> Outcome:
    """Batch sizes of a training step whose loss or gradient is not finite."""
    table: dict[str, dict[str, float]] = {}
    failed = []
    for size in (size for size in (1, 2, 4) if size <= len(probe.batch.ids)):
        batch = first(probe.batch, size)
        with mode(probe.recognizer, training=True):
            loss = loss_of(probe.recognizer, batch, probe.auxiliary_weight)
            loss.backward()
            norms = [p.grad.norm() for p in probe.recognizer.parameters() if p.grad is not None]
            row = {"loss": float(loss.detach()), "gradient": float(torch.stack(norms).norm())}
        table[str(size)] = row
        if not all(math.isfinite(number) for number in row.values()):
            failed.append(f"batch of {size}: {', '.join(batch.ids)}")
    measured = Details(value=len(failed), where=failed, figures=table)
    if failed:
        headline = f"loss or gradient is not finite with {len(failed)} of {len(table)} batch sizes"
        advice = "a norm over the batch needs more than one value, and CTC needs enough frames (data.feasible)"
        return fail(headline, advice=advice, **measured)
    shown = ", ".join(f"{size}: {row['loss']:.2f}" for size, row in table.items())
    return ok(f"loss per gloss by batch size: {shown}", **measured)


@check(
    "compatibility.modalities",
    threshold="finite with each body part alone; the output changes when it is missing",
    source=ARCHITECTURE,
)
def modalities(probe: Probe) -> Outcome:
    """Change of the log-probabilities when a body part is missing, the least over the parts."""
    recognizer, batch = probe.recognizer, probe.batch
    change: dict[str, float] = {}
    absent, faults = [], []
    with mode(recognizer, training=False), torch.no_grad():
        whole, lengths = recognizer(batch.points, batch.lengths)
        inside = torch.arange(whole.shape[1]) < lengths[:, None]
        for name in layout.GROUPS:
            part = recognizer.frontend.groups[name]
            if not bool(torch.isfinite(batch.points[:, :, part]).any()):
                absent.append(name)
                continue
            alone, without = torch.full_like(batch.points, torch.nan), batch.points.clone()
            alone[:, :, part] = batch.points[:, :, part]
            without[:, :, part] = torch.nan
            outputs = [recognizer(points, batch.lengths)[0][inside] for points in (alone, without)]
            if not all(bool(torch.isfinite(output).all()) for output in outputs):
                faults.append(f"{name}: the output is not finite when it is alone, or missing")
                continue
            change[name] = float((whole[inside] - outputs[1]).abs().max())
            if change[name] < LEAST_CHANGE:
                faults.append(f"{name}: the output is the same without it")
    measured = Details(value=min(change.values(), default=0.0), where=faults, figures=change)
    if faults:
        advice = "the encoder of that part is cut off, or its points never reach the front end"
        return fail("; ".join(faults), advice=advice, **measured)
    shown = ", ".join(f"{name.replace('_', ' ')} {value:.2g}" for name, value in change.items())
    headline = f"finite with each part alone; without it log-probabilities change by {shown}"
    if absent:
        return note(f"{headline}; not in these clips: {', '.join(absent)}", **measured)
    return ok(headline, **measured)


def _change(change: Callable[[Tensor], Tensor], part: nn.Module, inputs: object, output: Tensor) -> Tensor:
    return change(output)


def _features(probe: Probe) -> list[Tensor]:
    """Returns what the body of the model receives for each clip, `(T, F)`."""
    features: list[Tensor] = []
    # The body's input, not the front end's output: a second normalisation would be between them.
    hook = probe.recognizer.body.register_forward_pre_hook(lambda body, inputs: features.append(inputs[0][0].clone()))
    with hook, mode(probe.recognizer, training=False), torch.no_grad():
        for clip in probe.clips:
            probe.recognizer.features(clip)
    return features
