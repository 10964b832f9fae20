"""Live monitors: measure gradients, units and outputs during training, and report each fault once.

They change nothing. Most is measured in every EVERY_STEPS-th step, by forward hooks that exist in that step only; the
norm of the gradient and the losses, which every step has anyway, are checked in every step.
"""

from __future__ import annotations

import logging
import math
import statistics
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor, nn

from signloom.files.writing import write_json
from signloom.findings import Finding
from signloom.model.blocks import BiLSTM, InvertedResidual
from signloom.model.hooks import watched
from signloom.model.inception import Inception, InceptionBlock
from signloom.model.mobilenet import MobileNet
from signloom.model.modality_fusion import ModalityAttention, ModalityEncoder
from signloom.model.recognizer import Recognizer
from signloom.run_folder import Run
from signloom.train.callbacks import disk_space, step_done
from signloom.train.module import Losses
from signloom.train.monitor_rules import MonitorRules, RunFacts, SampledStep, StepFigures, not_finite
from signloom.train.non_finite import NotFiniteError
from signloom.train.schedule import slow_steps, warm_steps
from signloom.vocabulary import BLANK_ID

log = logging.getLogger("signloom.train")
# Steps from one full measurement to the next; benchmarks/monitor_cost.py measures what it costs.
EVERY_STEPS = 10
# Below this input, value and slope of a hard swish are 0.
HARDSWISH_ZERO = -3.0
RELU_ZERO = 0.0
LSTM_LIMIT = 0.99
PARTS = {
    "encoders": ("frontend.", "body.encoders.", "body.fusion."),
    "body": ("body.",),
    "recurrent layers": ("lstm.",),
    "classifier": ("",),
}


class Monitors(L.Callback):
    """Monitors a run in the process that writes files; in the others it does nothing.

    Findings go to the log; figures and findings go to TensorBoard under `monitors/`, and to `monitors.json`.
    """

    def __init__(self, run: Path, start: Sequence[Finding] = (), *, every_steps: int = EVERY_STEPS) -> None:
        """start: findings of before the first step; those that need action are reported when it comes."""
        self.run, self.every_steps = run, every_steps
        self.start = [finding for finding in start if finding.needs_action]
        self.rules = MonitorRules()
        self.epochs: list[dict[str, Any]] = []
        # Sampled steps of this epoch so far.
        self.samples: list[dict[str, Any]] = []
        self._lowest = math.inf
        # Of this step so far: the sum of the losses, that of a uniform output's, and glosses.
        self._sums = [0.0, 0.0, 0.0]
        self._full = False
        self._probe = LayerProbe()

    def state_dict(self) -> dict[str, Any]:
        return {"judge": self.rules.to_json(), "epochs": self.epochs, "samples": self.samples}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.rules.restore(state["judge"])
        self.epochs, self.samples = list(state["epochs"]), list(state["samples"])

    def on_train_start(self, trainer: L.Trainer, module: Any) -> None:
        planned = module.planned_steps()
        self.rules.run = RunFacts(
            warm_steps=warm_steps(module.recipe, *planned),
            slow_steps=slow_steps(module.recipe, *planned),
            num_words=module.recognizer.num_words,
        )
        if trainer.global_step and trainer.is_global_zero:
            # A run that was killed may have reported findings after it saved its state.
            self.rules.recall(Run.read(self.run).monitors.get("said", []))
        elif trainer.is_global_zero:
            self._tell(trainer, [finding for finding in self.start if self.rules.report(finding, 0, 1)], 0)

    def on_train_batch_start(self, trainer: L.Trainer, module: Any, batch: Any, batch_index: int) -> None:
        if not trainer.is_global_zero:
            return
        ends = step_done(trainer, batch_index)
        self._full = ends and trainer.global_step % self.every_steps == 0
        module.watch = self._watch
        if self._full:
            self._probe = LayerProbe()
            self._probe.hook(module.recognizer)

    def _watch(self, losses: Losses, target_lengths: Tensor) -> None:
        log_probs, lengths = losses.heads.log_probs, losses.heads.lengths
        views = len(log_probs) // len(target_lengths)
        ctc = losses.ctc.detach()
        figures = torch.stack([ctc.min(), ctc.sum(), lengths.sum() / views, target_lengths.sum()])
        lowest, loss, frames, glosses = figures.tolist()
        self._lowest = min(self._lowest, lowest)
        sums = (loss, frames * math.log(log_probs.shape[-1]), glosses)
        self._sums = [before + more for before, more in zip(self._sums, sums, strict=True)]
        if self._full:
            self._probe.unhook()
            self._probe.outputs(losses, target_lengths)

    def on_before_optimizer_step(self, trainer: L.Trainer, module: Any, optimizer: Any) -> None:
        if self._full:
            self._probe.gradient = gradient_norms(module.recognizer)

    def on_train_batch_end(self, trainer: L.Trainer, module: Any, outputs: Any, batch: Any, batch_index: int) -> None:
        if not trainer.is_global_zero or not step_done(trainer, batch_index):
            return
        step, epoch = trainer.global_step, trainer.current_epoch + 1
        loss, uniform, glosses = self._sums
        figures = StepFigures(step, epoch, module.gradient_norm, self._lowest, loss / glosses, uniform / glosses)
        findings = self.rules.step(figures)
        self._lowest, self._sums = math.inf, [0.0, 0.0, 0.0]
        if self._full:
            # The gradients are still there, after clipping.
            sample = self._probe.sample(step, epoch, clipped=gradient_norms(module.recognizer))
            findings += self.rules.sample(sample)
            self.samples.append(_figures(sample))
            if trainer.logger is not None:
                named = {f"monitors/{name}": value for name, value in self.samples[-1].items() if name != "epoch"}
                trainer.logger.log_metrics(named, step=step)
        self._tell(trainer, findings, step)

    def _tell(self, trainer: L.Trainer, findings: Sequence[Finding], step: int) -> None:
        if not findings:
            return
        for finding in findings:
            log.warning("%s", finding.sentences)
            if isinstance(trainer.logger, TensorBoardLogger):
                trainer.logger.experiment.add_text(f"monitors/{finding.id}", f"{finding.sentences}.", step)
        self._write()

    def on_train_epoch_end(self, trainer: L.Trainer, module: Any) -> None:
        if not trainer.is_global_zero:
            return
        if self.samples:
            names = [name for name in self.samples[0] if name != "epoch"]
            medians = {name: statistics.median(sample[name] for sample in self.samples) for name in names}
            self.epochs.append({"epoch": trainer.current_epoch + 1, **medians})
        self.samples = []
        self._write()

    def on_train_end(self, trainer: L.Trainer, module: Any) -> None:
        module.watch = None

    def on_exception(self, trainer: L.Trainer, module: Any, exception: BaseException) -> None:
        self._probe.unhook()
        module.watch = None
        if not isinstance(exception, NotFiniteError) or not trainer.is_global_zero:
            return
        finding = not_finite(exception.headline, exception.cause, exception.advice)
        self.rules.report(finding, trainer.global_step + 1, trainer.current_epoch + 1)
        # The user sees the error itself; here it is saved for the report.
        self._write()

    def _write(self) -> None:
        record = {
            "every_steps": self.every_steps,
            "said": [finding.to_json() for finding in self.rules.findings],
            "epochs": self.epochs,
        }
        with disk_space(self.run):
            write_json(Run(self.run).recorded.monitors_file, record)


class LayerProbe:
    """Measures layers, outputs and gradients in one training step."""

    def __init__(self) -> None:
        self.gradient: dict[str, float] = {}
        self._hooks = ExitStack()
        self._dead: dict[str, Tensor] = {}
        self._saturated: dict[str, Tensor] = {}
        self._outputs: dict[str, Tensor] = {}

    def hook(self, recognizer: Recognizer) -> None:
        norms, layers = rectified(recognizer), limited(recognizer)

        def dead(name: str, output: Tensor) -> None:
            self._dead[name] = (output.detach().amax(0) <= norms[name][1]).float().mean()

        def saturated(name: str, output: Any) -> None:
            values = output[0] if isinstance(output, tuple) else output
            self._saturated[name] = (values.detach().abs() >= layers[name][1]).float().mean()

        for parts, watch in ((norms, dead), (layers, saturated)):
            self._hooks.enter_context(watched({name: part for name, (part, _) in parts.items()}, watch))

    def unhook(self) -> None:
        self._hooks.close()

    @torch.no_grad()
    def outputs(self, losses: Losses, target_lengths: Tensor) -> None:
        """Measures the outputs; keeps nothing of the autograd graph."""
        log_probs, lengths = losses.heads.log_probs.detach(), losses.heads.lengths
        valid = torch.arange(log_probs.shape[1], device=lengths.device) < lengths[:, None]
        # Frames without padding.
        frames = log_probs[valid]
        probs = frames.exp()
        blank = probs[:, BLANK_ID]
        entropy = -(probs * frames).sum(-1).mean() / math.log(frames.shape[-1])
        views = len(log_probs) // len(target_lengths)
        glosses = target_lengths.sum()
        self._outputs = {
            "loss": losses.ctc.detach().sum() / glosses,
            "entropy": entropy,
            "blank": blank.mean(),
            "blank_share": (frames.argmax(-1) == BLANK_ID).float().mean(),
            "emitted": (1 - blank).sum() / (views * glosses),
        }

    def sample(self, step: int, epoch: int, *, clipped: dict[str, float]) -> SampledStep:
        return SampledStep(
            step=step,
            epoch=epoch,
            **_numbers(self._outputs),
            gradient=self.gradient,
            clipped=clipped,
            dead=_numbers(self._dead),
            saturated=_numbers(self._saturated),
        )


def rectified(recognizer: Recognizer) -> dict[str, tuple[nn.Module, float]]:
    """Returns, by name, the norms of the body whose activation gives 0 below a value, and that value."""

    def of(module: nn.Module) -> Iterator[tuple[str, float]]:
        names = [name for name, part in module.named_modules() if isinstance(part, nn.BatchNorm1d)]
        if isinstance(module, ModalityEncoder):
            yield from ((name, HARDSWISH_ZERO) for name in names)
        elif isinstance(module, InvertedResidual):
            yield from ((name, HARDSWISH_ZERO) for name in names if name != "project_norm")
        elif isinstance(module, MobileNet):
            yield from ((name, HARDSWISH_ZERO) for name in names if "." not in name)
        elif isinstance(module, InceptionBlock):
            yield from ((name, RELU_ZERO) for name in names)
        elif isinstance(module, Inception):
            yield from ((name, RELU_ZERO) for name in names if "." not in name)

    return {
        f"{outer}.{name}": (module.get_submodule(name), zero)
        for outer, module in recognizer.named_modules()
        for name, zero in of(module)
    }


def limited(recognizer: Recognizer) -> dict[str, tuple[nn.Module, float]]:
    """Returns, by name, the layers whose values have a limit, and that limit."""
    layers: dict[str, tuple[nn.Module, float]] = {}
    for name, module in recognizer.named_modules():
        if isinstance(module, ModalityAttention):
            layers[name] = (module, module.clamp)
        elif isinstance(module, BiLSTM):
            for number, layer in enumerate((*module.forward_layers, *module.backward_layers)):
                layers[f"{name}.{number}"] = (layer, LSTM_LIMIT)
    return layers


def gradient_norms(recognizer: Recognizer) -> dict[str, float]:
    """Returns the norm of the gradient by part of the model and of `all`, without parts that have no gradient."""
    by_part: dict[str, list[Tensor]] = {}
    for name, parameter in recognizer.named_parameters():
        if parameter.grad is not None:
            part = next(part for part, starts in PARTS.items() if name.startswith(starts))
            by_part.setdefault(part, []).append(torch.linalg.vector_norm(parameter.grad))
    norms = {part: torch.linalg.vector_norm(torch.stack(values)) for part, values in by_part.items()}
    if not norms:
        return {}
    norms["all"] = torch.linalg.vector_norm(torch.stack(list(norms.values())))
    return _numbers(norms)


def _numbers(values: dict[str, Tensor]) -> dict[str, float]:
    """Returns the values as floats, with one transfer from the device."""
    return dict(zip(values, torch.stack(list(values.values())).tolist(), strict=True)) if values else {}


def _figures(sample: SampledStep) -> dict[str, Any]:
    """Returns a sampled step as one flat row, with the worst layer only."""
    row = asdict(sample)
    for name in ("gradient", "clipped"):
        row |= {f"{name}/{part}": value for part, value in row.pop(name).items()}
    for name in ("dead", "saturated"):
        row[name] = max(row[name].values(), default=0.0)
    return row
