"""Do these landmarks and this model fit together? Features, normalisation, forward, gradients, batches, modalities."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from signloom import layout
from signloom.findings import Finding, worse
from signloom.health.checks.probe import Probe, first, loss_of, losses_of, mode
from signloom.model.frontend import CLAMP, MIN_STD
from signloom.train.non_finite import first_cause

SPEC = "the requirements of normalisation, docs/health.md"
MEAN, LOW, HIGH, RANGE = 0.1, 0.9, 1.1, 15.0
# A few dozen clips tell the statistics of a corpus this well.
SLACK = 0.15
# Of features that were standardised clip by clip nothing lies between clips; a tenth does in healthy ones.
LEAST_BETWEEN = 1e-3
LARGEST_ACTIVATION = 1e4
EXPLODING, VANISHING, HEALTHY_LOSS = 100.0, 1e-3, 1.0
TOLERANCE = 1e-3


def statistics(probe: Probe) -> Finding:
    """Mean, deviation and range of what the body of the model is given."""
    mean, deviation, low, high, _ = _statistics(probe, _features(probe))
    off = max(abs(mean) - MEAN, LOW - deviation, deviation - HIGH, max(-low, high) - RANGE)
    level = "ok" if off <= 0 else "note" if off <= SLACK and probe.trained else "fail"
    twice = level == "fail" and once(probe).level == "fail"
    # One cause, one accusation.
    level, see = ("note", ": see compatibility.normalised_once") if twice else (level, "")
    return Finding(
        "compatibility.statistics",
        level,
        f"features have mean {mean:.3f}, deviation {deviation:.3f}, range {low:.1f} to {high:.1f}{see}",
        mean,
        "",
        f"mean within {MEAN:g} of 0, deviation {LOW:g} to {HIGH:g}, values within +-{RANGE:g} over a corpus",
        SPEC,
        (),
        "these landmarks are not like those the statistics of the model are of: other units, another extractor, or "
        "normalised before. Run 'signloom doctor' on the corpus"
        if level == "fail"
        else "",
        {"mean": mean, "deviation": deviation, "least": low, "greatest": high, "clips": len(probe.clips)},
    )


def once(probe: Probe) -> Finding:
    """Whether the body gets what the front end's one affine makes, and not that normalised again."""
    frontend = probe.recognizer.frontend
    given = _features(probe)
    expected = []
    with torch.no_grad():
        for clip in probe.clips:
            raw = frontend.raw_features(clip)
            expected.append(((raw - frontend.mean) / frontend.std).clamp(-CLAMP, CLAMP).nan_to_num(nan=0.0)[0])
    same_shape = all(one.shape == other.shape for one, other in zip(given, expected, strict=True))
    far = max(float((a - b).abs().max()) for a, b in zip(given, expected, strict=True)) if same_shape else math.inf
    between = _statistics(probe, given)[4] if same_shape else math.nan
    # A single clip has nothing between clips.
    alike = len(probe.clips) > 1 and between < LEAST_BETWEEN
    sick = not far < TOLERANCE or alike
    how = "clip by clip, after the front end" if alike else "after the front end"
    return Finding(
        "compatibility.normalised_once",
        "fail" if sick else "ok",
        f"the features are normalised a second time, {how}: the body gets values up to {far:.3g} away from what one "
        "normalisation gives"
        if sick
        else f"the body gets what one normalisation gives (within {far:.1g})",
        far,
        "",
        f"at most {TOLERANCE:g} away, and at least {LEAST_BETWEEN:g} of the variance between clips",
        f"{SPEC}; tolerance of single precision",
        (),
        "take the second normalisation out: the front end inside the model is the only place" if sick else "",
        {"difference": far, "variance between clips": between},
    )


def methods(probe: Probe) -> Finding:
    """Other ways to normalise beside the model's own: its own must be healthy, and what a trained model fits best."""
    table: dict[str, dict[str, float]] = {}
    own = probe.recognizer.frontend
    changes: dict[str, Callable[[Tensor], Tensor] | None] = {
        "once, as the model does": None,
        "not at all": lambda x: x * own.std + own.mean,
        "twice, by the same statistics": lambda x: (x - own.mean) / own.std,
        "again, clip by clip": lambda x: (x - x.mean(1, keepdim=True)) / x.std(1, keepdim=True).clamp(min=MIN_STD),
    }
    losses: dict[str, Tensor] = {}
    for name, change in changes.items():
        with _changed(own, change), mode(probe.recognizer, training=False), torch.no_grad():
            mean, deviation, low, high, _ = _statistics(probe, _features(probe))
            losses[name] = losses_of(probe.recognizer, probe.compared)
            loss = float(losses[name].mean())
            table[name] = {"mean": mean, "deviation": deviation, "range": max(-low, high), "loss": loss}
    name, *others = table
    if probe.trained and statistics(probe).level != "ok":
        return Finding(
            "compatibility.methods",
            "note",
            "cannot be told while the features are not like those of training: see compatibility.statistics",
            figures=table,
        )
    best = min(table, key=lambda key: table[key]["loss"])
    # Of new weights every loss is as good as another.
    most = bool((losses[best] < losses[name]).float().mean() > 0.5)
    wrong = probe.trained and best != name and most and table[best]["loss"] < 0.9 * table[name]["loss"]
    broken = not math.isfinite(table[name]["loss"])
    level = "fail" if broken or wrong else "ok"
    shown = "; ".join(f"{key}: {row['mean']:.2f} +- {row['deviation']:.2f}" for key, row in table.items())
    return Finding(
        "compatibility.methods",
        level,
        f"the model reads clips better when features are normalised {best} ({table[best]['loss']:.2f} a gloss against "
        f"{table[name]['loss']:.2f})"
        if wrong
        else f"mean and deviation when normalised {shown}",
        table[name]["loss"],
        "nats a gloss",
        "no other way has a loss a tenth lower, and lower in most clips, with trained weights",
        "weights fit the normalisation they were trained with",
        tuple(others) if wrong else (),
        f"these weights were trained with features normalised {best}: train again with the model's own, or give it the "
        "landmarks it was trained on"
        if level == "fail"
        else "",
        table,
    )


def forward(probe: Probe) -> Finding:
    """Finite and moderate values in every part of the model, in training and in evaluation."""
    recognizer, batch = probe.recognizer, probe.batch
    largest: dict[str, float] = {}

    def watch(name: str) -> Callable[..., None]:
        def hook(part: nn.Module, inputs: object, output: object) -> None:
            if isinstance(output, Tensor):
                largest[name] = max(largest.get(name, 0.0), float(output.detach().abs().max()))

        return hook

    handles = [part.register_forward_hook(watch(name)) for name, part in recognizer.named_modules() if name]
    cause = ""
    try:
        for training in (False, True):
            with mode(recognizer, training=training), torch.no_grad():
                log_probs = recognizer.heads(batch.points, batch.lengths).log_probs
                if not bool(torch.isfinite(log_probs).all()):
                    cause = first_cause(recognizer, lambda: recognizer.heads(batch.points, batch.lengths))
                    break
    finally:
        for handle in handles:
            handle.remove()
    worst = max(largest, key=lambda name: largest[name], default="")
    value = largest.get(worst, 0.0)
    level = "fail" if cause else "ok" if value <= LARGEST_ACTIVATION else "warn"
    advice = {
        "ok": "",
        "warn": f"{worst} makes very large values: a lower learning rate, or a norm before it",
        "fail": "load an earlier checkpoint, or start again with a lower learning rate",
    }[level]
    return Finding(
        "compatibility.forward",
        level,
        f"output is not finite, first made by {cause}"
        if cause
        else f"all values finite; the largest is {value:.3g}, in {worst}",
        value,
        "",
        f"all finite; at most {LARGEST_ACTIVATION:g}",
        "half precision ends at 65,504; values of a healthy model stay below a few hundred",
        (cause or worst,) if level != "ok" else (),
        advice,
    )


def gradients(probe: Probe) -> Finding:
    """The norm of the gradient, of the whole and of each part."""
    recognizer = probe.recognizer
    with mode(recognizer, training=True):
        value = loss_of(recognizer, probe.batch)
        value.backward()
        squares: dict[str, float] = {}
        for name, parameter in recognizer.named_parameters():
            if parameter.grad is not None:
                part = ".".join(name.split(".")[: 2 if name.startswith("body.") else 1])
                squares[part] = squares.get(part, 0.0) + float(parameter.grad.square().sum())
    norms = {part: math.sqrt(square) for part, square in squares.items()}
    total, loss = math.sqrt(sum(squares.values())), float(value.detach())
    level, what, advice = "ok", "", ""
    where: tuple[str, ...] = ()
    if not math.isfinite(total):
        where = tuple(part for part, norm in norms.items() if not math.isfinite(norm))
        level, advice = "fail", "look at the first of these layers, and at clips that CTC cannot align (data.feasible)"
    elif total < VANISHING and loss > HEALTHY_LOSS:
        level, what = "fail", ": vanishing while there is much to learn"
        advice = "nothing reaches the weights: check the initialisation, saturated units and a clamp too tight"
    elif total > EXPLODING:
        # Of weights that nobody trained the first steps are always large; warm-up and clipping are for them.
        level, what = ("warn" if probe.trained else "note"), ": large"
        advice = "clip the gradient (--gradient_clip 1) and lower the learning rate"
    return Finding(
        "compatibility.gradients",
        level,
        f"norm of the gradient {total:.3g} at a loss of {loss:.2f} a gloss{what}",
        total,
        "",
        f"{VANISHING:g} (while the loss is above {HEALTHY_LOSS:g} a gloss) to {EXPLODING:g}",
        "the live monitors' limits; 0.1 to 5 is the healthy range in training",
        where,
        advice,
        norms,
    )


def batches(probe: Probe) -> Finding:
    """A step of training with 1, 2 and 4 utterances."""
    table, sick = {}, []
    for size in (1, 2, 4):
        if size > len(probe.batch.ids):
            continue
        batch = first(probe.batch, size)
        with mode(probe.recognizer, training=True):
            value = loss_of(probe.recognizer, batch)
            value.backward()
            norms = [p.grad.norm() for p in probe.recognizer.parameters() if p.grad is not None]
            table[str(size)] = {"loss": float(value.detach()), "gradient": float(torch.stack(norms).norm())}
        if not all(math.isfinite(number) for number in table[str(size)].values()):
            sick.append(f"batch of {size}: {', '.join(batch.ids)}")
    return Finding(
        "compatibility.batches",
        "fail" if sick else "ok",
        f"loss or gradient is not finite in {len(sick)} of {len(table)} sizes of batch"
        if sick
        else "loss a gloss in batches of " + ", ".join(f"{size}: {row['loss']:.2f}" for size, row in table.items()),
        len(sick),
        "sizes",
        "finite for 1, 2 and 4 utterances",
        "the requirements of the architecture, docs/health.md",
        tuple(sick),
        "a norm over the batch needs more than one value, and CTC enough frames (data.feasible)" if sick else "",
        table,
    )


def modalities(probe: Probe) -> Finding:
    """Each part of the body alone: finite, and heard."""
    recognizer, batch = probe.recognizer, probe.batch
    groups = recognizer.frontend.groups
    change, levels, where = {}, ["ok"], []
    with mode(recognizer, training=False), torch.no_grad():
        whole, lengths = recognizer(batch.points, batch.lengths)
        inside = torch.arange(whole.shape[1]) < lengths[:, None]
        for name in layout.GROUPS:
            part = groups[name]
            if not bool(torch.isfinite(batch.points[:, :, part]).any()):
                continue
            alone, left_out = torch.full_like(batch.points, torch.nan), batch.points.clone()
            alone[:, :, part] = batch.points[:, :, part]
            left_out[:, :, part] = torch.nan
            output, _ = recognizer(alone, batch.lengths)
            without, _ = recognizer(left_out, batch.lengths)
            if not bool(torch.isfinite(output[inside]).all() and torch.isfinite(without[inside]).all()):
                levels.append("fail")
                where.append(f"{name}: output is not finite when it is alone, or missing")
                continue
            change[name] = float((whole - without)[inside].abs().max())
            if change[name] < 1e-6:
                levels.append("fail")
                where.append(f"{name}: the output is the same without it")
    absent = [name for name in layout.GROUPS if name not in change and not any(text.startswith(name) for text in where)]
    return Finding(
        "compatibility.modalities",
        worse([*levels, "note" if absent else "ok"]),
        "; ".join(where)
        or "finite with each part alone; without it log-probabilities change by "
        + ", ".join(f"{name.replace('_', ' ')} {value:.2g}" for name, value in change.items())
        + (f"; not in these clips: {', '.join(absent)}" if absent else ""),
        min(change.values(), default=0.0),
        "",
        "finite with each part alone; missing, each changes the output",
        "the requirements of the architecture, docs/health.md",
        tuple(where),
        "the encoder of that part is cut off, or its points never reach the front end" if where else "",
        change,
    )


@contextmanager
def _changed(part: nn.Module, change: Callable[[Tensor], Tensor] | None) -> Iterator[None]:
    """The part's output passed through `change` within the block."""
    if change is None:
        yield
        return
    handle = part.register_forward_hook(lambda module, inputs, output: change(output))
    try:
        yield
    finally:
        handle.remove()


def _features(probe: Probe) -> list[Tensor]:
    """What the body is given of each clip, `(T, F)`."""
    found: list[Tensor] = []
    # What the body gets, not what the front end gives: a second normalisation would be between them.
    handle = probe.recognizer.body.register_forward_pre_hook(lambda body, inputs: found.append(inputs[0][0].clone()))
    try:
        with mode(probe.recognizer, training=False), torch.no_grad():
            for clip in probe.clips:
                probe.recognizer.features(clip)
    finally:
        handle.remove()
    return found


def _statistics(probe: Probe, features: list[Tensor]) -> tuple[float, float, float, float, float]:
    """Mean, deviation, least and greatest of the known values, and the share of the variance between clips.

    A feature that does not vary (a part that is always, or never, there) is not counted.
    """
    frontend = probe.recognizer.frontend
    count = torch.zeros(frontend.num_features, dtype=torch.float64)
    total, square = count.clone(), count.clone()
    means, weights, low, high = [], [], math.inf, -math.inf
    with torch.no_grad():
        for clip, given in zip(probe.clips, features, strict=True):
            known = torch.isfinite(frontend.raw_features(clip)[0])
            values = given.double().where(known, torch.zeros((), dtype=torch.float64))
            frames = known.sum(0)
            count += frames
            total += values.sum(0)
            square += values.square().sum(0)
            low, high = min(low, float(values.min())), max(high, float(values.max()))
            # With the zeros of what is missing: so would a second normalisation see a clip.
            means.append(given.double().mean(0))
            weights.append(len(given))
    mean = total / count.clamp(min=1)
    variance = (square / count.clamp(min=1) - mean.square()).clamp(min=0)
    counted = (count > 0) & (variance > MIN_STD**2)
    if not bool(counted.any()):
        return 0.0, 0.0, low, high, 0.0
    share = (torch.tensor(weights, dtype=torch.float64) / sum(weights))[:, None]
    middles = torch.stack(means)
    between = (share * (middles - (share * middles).sum(0)).square()).sum(0)
    return (
        float(mean[counted].mean()),
        float(variance[counted].mean().sqrt()),
        low,
        high,
        float(between[counted].sum() / variance[counted].sum()),
    )


Check = Callable[[Probe], Finding]
CHECKS: dict[str, Check] = {
    "compatibility.statistics": statistics,
    "compatibility.normalised_once": once,
    "compatibility.methods": methods,
    "compatibility.forward": forward,
    "compatibility.gradients": gradients,
    "compatibility.batches": batches,
    "compatibility.modalities": modalities,
}
