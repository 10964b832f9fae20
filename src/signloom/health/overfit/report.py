"""The report of an overfit test: measurements and verdicts as text, JSON and curves."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from signloom.errors import plural
from signloom.files.writing import atomic_write, write_json, write_text
from signloom.findings import plain
from signloom.health.overfit.bisection import Bisection, helps, unblocks
from signloom.health.overfit.training import Iterations, OverfitRun
from signloom.health.overfit.verdict import LEVELS, Verdict, level, outcome

COLOURS = ("#5b7fa6", "#c8553d", "#6a994e", "#8e6c8a", "#b08d57", "#4f9d9d")
TITLE_WIDTH = 120


@dataclass(frozen=True)
class OverfitReport:
    """The results of an overfit test.

    runs: one per regime.  baseline: the runs of the model it is compared with, with the same regimes.
    """

    runs: tuple[OverfitRun, ...]
    verdict: Verdict
    baseline: tuple[OverfitRun, ...] = ()
    bisection: Bisection | None = None

    def text(self) -> str:
        """Returns a block per run, the comparison, the tries of the bisection, then the verdict and what to do."""
        first = self.runs[0]
        lines = [
            f"overfit test: {first.model}, {first.parameters:,} parameters, vocabulary of {first.vocabulary_size} "
            f"words, {plural(len(first.ids), 'utterance')}",
            f"levels: {', '.join(f'under {100 * limit:.0f} % {name}' for limit, name in reversed(LEVELS[1:]))}, "
            f"{100 * LEVELS[0][0]:.0f} % {LEVELS[0][1]}",
        ]
        for run in self.runs:
            lines += ["", *_run_lines(run)]
        if self.baseline:
            lines += ["", *_comparison_lines(self.runs, self.baseline)]
        if self.bisection is not None:
            lines += ["", *_bisection_lines(self.bisection)]
        left_out = dict.fromkeys(f"  {reason}" for run in self.runs for reason in run.left_out)
        if left_out:
            lines += ["", f"left out, since CTC cannot align them: {len(left_out)}", *left_out]
        return "\n".join([*lines, "", *_verdict_lines(self.verdict)])


def _run_lines(run: OverfitRun) -> list[str]:
    final, norms = run.final, run.gradient_norms
    reached = f"no, in {_extent(run)}"
    if run.zero_epoch:
        reached = f"epoch {run.zero_epoch}, after {run.zero_seconds:.1f} s (of at most {run.max_epochs} epochs)"
        reached += "" if run.passed else f", but not for {run.hold} epochs"
    return [
        f"{run.setting.name}: {'passed' if run.passed else 'failed'} ({run.description})",
        f"  final WER            {f'{100 * final.wer:.2f} % ({level(final.wer)})' if final else 'none'}",
        f"  0 % reached          {reached}",
        f"  NaN or Inf           {f'yes: {run.failure}' if run.failure else 'no'}",
        f"  final loss           {f'{final.loss:.4f} per gloss' if final else 'none'}",
        f"  gradient norms       {f'min {norms[0]:.4g}, max {norms[1]:.4g}' if norms else 'none'}",
        f"  log-probabilities    {'least {:.4g}, largest {:.4g}'.format(*final.log_probs) if final else 'none'}",
    ]


def _extent(run: OverfitRun) -> str:
    over = "; stopped" if run.stopped else "; the time ran out" if run.out_of_time else ""
    return f"{len(run.epochs)} of at most {run.max_epochs} epochs ({run.seconds:.1f} s{over})"


def _comparison_lines(runs: Sequence[OverfitRun], baseline: Sequence[OverfitRun]) -> list[str]:
    same = len({run.ids for run in (*runs, *baseline)}) == 1
    utterances = "the same utterances" if same else "other utterances (CTC cannot align the same)"
    lines = [
        f"compared with {baseline[0].model} on {utterances}:",
        f"  {'setting':<12}{'model':<20}{'final WER':>10}{'0 % from epoch':>17}{'seconds':>10}",
    ]
    # A test that was stopped has fewer runs of the other model.
    for run, beside in zip(runs, baseline, strict=False):
        for one in (run, beside):
            wer = f"{100 * one.final.wer:.2f} %" if one.final else "none"
            lines.append(
                f"  {one.setting.name:<12}{one.model:<20}{wer:>10}{one.zero_epoch or 'never':>17}"
                f"{one.zero_seconds or one.seconds:>10.1f}"
            )
    return lines


def _bisection_lines(bisection: Bisection) -> list[str]:
    most = max((one.run.max_epochs for one in bisection.tries), default=0)
    lines = [f"what unblocks {bisection.base.setting.name}, at most {most} epochs per try:"]
    if not bisection.complete:
        lines[0] += " (ended before all changes were tried)"
    width = max((len(one.name) for one in bisection.tries), default=0)
    for one in bisection.tries:
        result = "passes" if one.run.passed else "learns" if unblocks(one.run, bisection.base) else "fails"
        note = "; helps" if result == "fails" and not one.run.failure and helps(one.run, bisection.base) else ""
        lines.append(f"  {one.name:<{width}}  {result}: {outcome(one.run)}{note}")
    return lines


def iterations_text(measured: Iterations, verdict: Verdict) -> str:
    """Returns one line per step, then the verdict."""
    lines = [
        f"verify: {measured.model}, {measured.parameters:,} parameters, one batch of "
        f"{plural(len(measured.ids), 'utterance')}, learning rate {measured.learning_rate:g}",
        "step   loss per gloss   gradient norm",
    ]
    lines += [
        f"{number:4}   {step.loss:14.4f}   {step.gradient_norm:13.4g}" for number, step in enumerate(measured.steps, 1)
    ]
    return "\n".join([*lines, "", *_verdict_lines(verdict)])


def write_overfit(report: OverfitReport, folder: Path) -> dict[str, Path]:
    """Writes `overfit-MODEL.txt`, `.json` and `.png` into `folder`. Returns the paths by suffix."""
    paths = {suffix: folder / f"overfit-{report.runs[0].model}.{suffix}" for suffix in ("txt", "json", "png")}
    write_text(paths["txt"], report.text() + "\n")
    write_json(paths["json"], plain(asdict(report)))
    draw_overfit(report, paths["png"])
    return paths


def draw_overfit(report: OverfitReport, path: Path) -> None:
    """Draws WER and loss over the epochs: solid the runs, dashed those of the other model, dotted tries that learn."""
    from matplotlib.figure import Figure

    first, *_ = report.runs
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    title = f"{first.model} on {plural(len(first.ids), 'utterance')}: {report.verdict.headline}"
    figure.suptitle("\n".join(textwrap.wrap(title, TITLE_WIDTH)), fontsize=11)
    wer, loss = figure.subplots(1, 2)
    lines = [(run, run.setting.name, "-") for run in report.runs]
    lines += [(run, f"{run.model}, {run.setting.name}", "--") for run in report.baseline]
    if report.bisection is not None:
        lines += [
            (one.run, one.name, ":") for one in report.bisection.tries if unblocks(one.run, report.bisection.base)
        ]
    for number, (run, name, style) in enumerate(lines):
        colour = COLOURS[number % len(COLOURS)]
        numbers = [epoch.number for epoch in run.epochs]
        label = name + (f": 0 % from epoch {run.zero_epoch}" if run.zero_epoch else "")
        wer.plot(numbers, [100 * epoch.wer for epoch in run.epochs], style, color=colour, label=label)
        loss.plot(numbers, [epoch.loss for epoch in run.epochs], style, color=colour)
        if run.zero_epoch:
            wer.plot(run.zero_epoch, 0, "o", color=colour, clip_on=False)
    wer.set(title="word error rate on the training utterances", xlabel="epoch", ylabel="%", ylim=(0, None))
    loss.set(title="CTC loss per gloss", xlabel="epoch")
    # A loss below zero, a bug, must stay visible: the logarithmic axis clips it instead of leaving it out.
    if any(epoch.loss > 0 for run, *_ in lines for epoch in run.epochs):
        loss.set_yscale("log", nonpositive="clip")
    for axes in (wer, loss):
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    with atomic_write(path) as file:
        figure.savefig(file, format="png", dpi=120)


def _verdict_lines(verdict: Verdict) -> list[str]:
    lines = [f"verdict: {verdict.headline}"]
    if len(verdict.advice) == 1:
        lines.append(f"to do: {verdict.advice[0]}")
    elif verdict.advice:
        lines += ["to check, in this order:", *(f"  {number}. {item}" for number, item in enumerate(verdict.advice, 1))]
    if verdict.commands:
        lines += [f"with the settings that {'pass' if verdict.passed else 'let it learn'}:", *verdict.commands]
    return lines
