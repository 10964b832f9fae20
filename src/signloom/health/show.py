"""Measurements and verdicts as text, JSON and pictures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from signloom.files import atomic_write
from signloom.health.judgement import Verdict, level
from signloom.health.learning import Iterations, OverfitRun

COLOURS = ("#5b7fa6", "#c8553d", "#6a994e", "#8e6c8a")


def overfit_text(runs: Sequence[OverfitRun], verdict: Verdict) -> str:
    """The report: a block for each run, then the verdict and what to do."""
    first = runs[0]
    lines = [
        f"overfit test: {first.model}, {first.parameters:,} parameters, vocabulary of {first.vocabulary_size} words, "
        f"{len(first.ids)} utterances",
    ]
    for run in runs:
        setting, final, norms = run.setting, run.final, run.gradient_norms
        lines += [
            "",
            f"{setting.name}: learning rate {setting.learning_rate:g}, dropout {setting.dropout:g}, weight decay "
            f"{setting.weight_decay:g}, augmentation {'on' if setting.augment else 'off'}, attention clamp "
            f"{setting.attention_clamp:g}",
            f"  result               {'passed' if run.passed else 'failed'}",
            f"  final WER            {f'{100 * final.wer:.2f} % ({level(final.wer)})' if final else 'none'}",
            f"  0 % reached          {f'epoch {run.zero_epoch}' if run.zero_epoch else 'no'}",
            f"  NaN or Inf           {f'yes: {run.failure}' if run.failure else 'no'}",
            f"  final loss           {f'{final.loss:.4f} a gloss' if final else 'none'}",
            f"  gradient norms       {f'{norms[0]:.4g} to {norms[1]:.4g}' if norms else 'none'}",
            f"  epochs               {len(run.epochs)} of at most {run.max_epochs}, {run.seconds:.1f} s",
        ]
    left_out = dict.fromkeys(fault for run in runs for fault in run.left_out)
    if left_out:
        lines += [
            "",
            f"passed over, since CTC cannot align them: {len(left_out)}",
            *(f"  {fault}" for fault in left_out),
        ]
    return "\n".join([*lines, "", *_verdict_lines(verdict)])


def iterations_text(measured: Iterations, verdict: Verdict) -> str:
    """A line a step, then the verdict."""
    lines = [
        f"verify: {measured.model}, {measured.parameters:,} parameters, one batch of {len(measured.ids)} utterances, "
        f"learning rate {measured.learning_rate:g}",
        "step   loss a gloss   gradient norm",
    ]
    lines += [
        f"{number:4}   {step.loss:12.4f}   {step.gradient_norm:13.4g}" for number, step in enumerate(measured.steps, 1)
    ]
    return "\n".join([*lines, "", *_verdict_lines(verdict)])


def write_overfit(runs: Sequence[OverfitRun], verdict: Verdict, folder: Path) -> dict[str, Path]:
    """Writes `overfit-MODEL.txt`, `.json` and `.png` into `folder`; the paths by suffix."""
    paths = {suffix: folder / f"overfit-{runs[0].model}.{suffix}" for suffix in ("txt", "json", "png")}
    with atomic_write(paths["txt"], "w") as file:
        file.write(overfit_text(runs, verdict) + "\n")
    with atomic_write(paths["json"], "w") as file:
        json.dump({"verdict": asdict(verdict), "runs": [asdict(run) for run in runs]}, file, indent=1)
    draw_overfit(runs, verdict, paths["png"])
    return paths


def draw_overfit(runs: Sequence[OverfitRun], verdict: Verdict, path: Path) -> None:
    """WER and loss over epochs, a line for each run."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    figure.suptitle(f"{runs[0].model} on {len(runs[0].ids)} utterances: {verdict.headline}", fontsize=11)
    wer, loss = figure.subplots(1, 2)
    for colour, run in zip(COLOURS, runs, strict=False):
        numbers = [epoch.number for epoch in run.epochs]
        label = run.setting.name + (f", 0 % from epoch {run.zero_epoch}" if run.zero_epoch else "")
        wer.plot(numbers, [100 * epoch.wer for epoch in run.epochs], color=colour, label=label)
        loss.plot(numbers, [epoch.loss for epoch in run.epochs], color=colour, label=run.setting.name)
        if run.zero_epoch:
            wer.plot(run.zero_epoch, 0, "o", color=colour, clip_on=False)
    wer.set(title="word error rate on the training utterances", xlabel="epoch", ylabel="%", ylim=(0, None))
    loss.set(title="CTC loss per gloss", xlabel="epoch", yscale="log")
    for axes in (wer, loss):
        axes.legend(frameon=False)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    with atomic_write(path) as file:
        figure.savefig(file, format="png", dpi=120)


def _verdict_lines(verdict: Verdict) -> list[str]:
    lines = [f"verdict: {verdict.headline}"]
    if len(verdict.advice) == 1:
        lines.append(f"to do: {verdict.advice[0]}")
    elif verdict.advice:
        lines += ["to check, in this order:", *(f"  {number}. {item}" for number, item in enumerate(verdict.advice, 1))]
    return lines
