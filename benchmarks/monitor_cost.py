"""What the live monitors cost, and how far healthy runs stay from what they speak of.

python benchmarks/monitor_cost.py [--data_dir CORPUS] [--preset student] [--every 10] [--rounds 12]
python benchmarks/monitor_cost.py --healthy [--data_dir CORPUS]

Cost: one run of `signloom.train.fit` in which the monitors are there in every other block of ten steps (or of
`--every`, where that is more), each of which has a full look in it; CPU seconds of a step on one thread, a frame, since
batches differ. A round is four blocks:
without, with, with, without. A corpus of the quickstart's kind is simulated where none is given.

Healthy: short runs of several recipes; the last step at which blank was the likeliest word in all frames, the least and
largest of each figure, and what was said, which should be nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import common

HEALTHY: dict[str, dict[str, Any]] = {
    "quickstart": {"epochs": 10},
    "40 utterances": {"epochs": 60, "num_train_samples": 40, "batch_size": 8},
    "plain, batch 4, dropout 0.3": {
        "epochs": 40,
        "num_train_samples": 200,
        "schedule": "plain",
        "batch_size": 4,
        "dropout": 0.3,
        "max_steps": 1500,
    },
    "two views": {"epochs": 8, "num_train_samples": 300, "consistency": 0.2},
    "teacher_compact": {"preset": "teacher_compact", "num_train_samples": 200, "batch_size": 4, "max_minutes": 0.7},
    "original_student": {"preset": "original_student", "num_train_samples": 400, "max_minutes": 0.7},
}


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--data_dir", type=Path, help="a corpus; one is simulated when not given")
    parser.add_argument("--preset", default="student")
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--every", type=int, help="steps from one full look to the next; as shipped when not given")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--healthy", action="store_true", help="look at healthy runs instead of the cost")
    parser.add_argument("--only", help="healthy runs whose name has this in it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        corpus = options.data_dir or simulate(Path(folder) / "corpus")
        found = healthy(corpus, Path(folder), options) if options.healthy else cost(corpus, Path(folder), options)
    common.finish(options, found)


def simulate(root: Path) -> Path:
    from signloom.synth.corpus import synthesise
    from signloom.synth.options import SynthOptions

    synthesise(SynthOptions(num_signs=40, num_train=400, num_dev=40, num_test=10, grammar=0.0, zipf=0.0), root)
    return root


def cost(corpus: Path, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    import torch

    from signloom.train import trainer
    from signloom.train.fit import fit
    from signloom.train.monitors import EVERY_STEPS, Monitors
    from signloom.train.recipe import Recipe

    torch.set_num_threads(1)
    every = options.every or EVERY_STEPS
    length = max(every, EVERY_STEPS)
    # Of each block: whether it was watched, CPU seconds, frames.
    blocks: list[tuple[bool, float, int]] = []

    class Switched(Monitors):
        """Watches every other block of steps, in the order without, with, with, without, so that no drift counts."""

        watching = False
        seconds, frames, begun = 0.0, 0, 0.0

        def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, batch_index: int) -> None:
            if trainer.global_step % length == 0:
                if trainer.global_step:
                    blocks.append((self.watching, self.seconds, self.frames))
                self.watching = trainer.global_step // length % 4 in (1, 2)
                self.seconds, self.frames, module.watch = 0.0, 0, None
            self.begun = time.process_time()
            if self.watching:
                super().on_train_batch_start(trainer, module, batch, batch_index)

        def on_before_optimizer_step(self, trainer: Any, module: Any, optimizer: Any) -> None:
            if self.watching:
                super().on_before_optimizer_step(trainer, module, optimizer)

        def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_index: int) -> None:
            if self.watching:
                super().on_train_batch_end(trainer, module, outputs, batch, batch_index)
            self.seconds += time.process_time() - self.begun
            self.frames += batch.num_frames

    trainer.Monitors = lambda *given: Switched(*given, every_steps=every)  # type: ignore[assignment, misc]
    recipe = Recipe(
        data_dir=corpus,
        output=folder / "run",
        preset=options.preset,
        batch_size=options.batch_size,
        epochs=1000,
        # Two more blocks on each side than are counted: the first reads files and warms up, the last is not closed.
        max_steps=length * 4 * (options.rounds + 1) + 1,
    )
    with contextlib.redirect_stderr(io.StringIO()):
        fit(recipe)
    ratios, per_step = [], {True: [], False: []}
    for at in range(4, len(blocks), 4):
        four = blocks[at : at + 4]
        rate = {}
        for side in (True, False):
            chosen = [block for block in four if block[0] == side]
            rate[side] = sum(block[1] for block in chosen) / sum(block[2] for block in chosen)
            per_step[side].append(1000 * sum(block[1] for block in chosen) / (len(chosen) * length))
        ratios.append(rate[True] / rate[False] - 1)
    results = {
        "every": every,
        "ms_a_step_without": statistics.median(per_step[False]),
        "ms_a_step_with": statistics.median(per_step[True]),
        "more_a_frame": statistics.median(ratios),
        "over_rounds": sorted(ratios),
    }
    print(
        f"{options.preset}, batch {options.batch_size}, a look every {every} steps: "
        f"{results['ms_a_step_without']:.1f} CPU ms a step without, {results['ms_a_step_with']:.1f} with; "
        f"{results['more_a_frame']:+.2%} a frame, the median of {len(ratios)} rounds "
        f"({min(ratios):+.2%} to {max(ratios):+.2%})"
    )
    return results


def healthy(corpus: Path, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    import torch

    from signloom.train.fit import fit
    from signloom.train.monitor_rules import MonitorRules
    from signloom.train.monitors import Monitors
    from signloom.train.recipe import Recipe

    torch.set_num_threads(1)
    results: dict[str, Any] = {}
    kept: list[dict[str, Any]] = []
    # The largest loss of a step of each run, relative to that of a uniform output.
    ratios: list[float] = []
    look, judge = Monitors.on_train_batch_end, MonitorRules.step

    def judging(self: Any, figures: Any) -> Any:
        ratios.append(figures.loss / figures.uniform_loss)
        return judge(self, figures)

    def keeping(self: Any, *arguments: Any) -> None:
        before = len(self.samples)
        look(self, *arguments)
        kept.extend(self.samples[before:])

    Monitors.on_train_batch_end = keeping  # type: ignore[method-assign]
    MonitorRules.step = judging  # type: ignore[method-assign]
    for number, (name, row) in enumerate(HEALTHY.items()):
        if options.only and options.only not in name:
            continue
        kept.clear()
        ratios.clear()
        run = folder / str(number)
        with contextlib.redirect_stderr(io.StringIO()):
            best = fit(Recipe(data_dir=corpus, output=run, **{"consistency": 0.0, "auxiliary_head": False, **row})).best
        late = [sample for sample in kept if sample["step"] > 100]
        learning = [sample for sample in kept if sample["loss"] > 1]
        results[name] = {
            "steps": kept[-1]["step"],
            "dev_wer": best.dev_wer,
            "last_all_blank": max((s["step"] for s in kept if s["blank_share"] >= 0.995), default=0),
            "last_uniform": max((s["step"] for s in kept if s["entropy"] > 0.95), default=0),
            "largest_loss": max(ratios),
            "least_emitted": min((sample["emitted"] for sample in late), default=None),
            "least_gradient": min(min(v for k, v in s.items() if k.startswith("gradient/")) for s in learning),
            "largest_gradient": max(sample["gradient/all"] for sample in kept if sample["step"] > 10),
            "dead": max(sample["dead"] for sample in kept),
            "saturated": max(sample["saturated"] for sample in kept),
            "said": [one["id"] for one in json.loads((run / "monitors.json").read_text())["said"]],
        }
        print(f"{name}: {results[name]}", flush=True)
    head = ["run", "steps", "dev WER", "all blank until", "uniform until", "largest loss / uniform",
            "least glosses expected", "gradient", "dead", "saturated", "said"]  # fmt: skip
    rows = [
        [
            name,
            row["steps"],
            f"{row['dev_wer']:.1%}",
            row["last_all_blank"],
            row["last_uniform"],
            f"{row['largest_loss']:.2f}",
            "none looked at" if row["least_emitted"] is None else f"{row['least_emitted']:.0%}",
            f"{row['least_gradient']:.2g} to {row['largest_gradient']:.3g}",
            f"{row['dead']:.0%}",
            f"{row['saturated']:.0%}",
            ", ".join(row["said"]) or "nothing",
        ]
        for name, row in results.items()
    ]
    print("\n" + common.table(head, rows))
    return results


if __name__ == "__main__":
    main()
