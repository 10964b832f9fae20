"""Lightning's trainer for a recipe: device, precision, processes, callbacks, and the batches of each process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import lightning as L
import numpy as np
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.strategies import DDPStrategy

from signloom.findings import Finding
from signloom.run_folder import History, Run
from signloom.train.callbacks import EpochEnd, LastState, ProgressBar, Start, Stop
from signloom.train.checkpoint_io import SafeCheckpointIO
from signloom.train.data import UtteranceDataset
from signloom.train.distributed import World
from signloom.train.monitors import Monitors
from signloom.train.recipe import Recipe
from signloom.train.replacement import Replacement
from signloom.train.sampling import BucketSampler, StepSampler


def make_trainer(
    recipe: Recipe,
    run: Run,
    world: World,
    history: History,
    info: Mapping[str, Any],
    stop: Stop,
    findings: Sequence[Finding] = (),
) -> L.Trainer:
    """Returns Lightning's trainer for a recipe, on one process or many.

    info: goes into the run's record and model.  stop: what may end the run early.  findings: of before the first step.
    """
    replacement = Replacement(run, resume=recipe.resume)
    callbacks: list[L.Callback] = [
        Start(replacement, info),
        EpochEnd(run, history, info),
        # Before LastState: the saved state holds their findings.
        Monitors(run.path, findings),
        stop,
        LastState(
            replacement,
            stop,
            every_minutes=recipe.save_every_minutes,
            every_steps=recipe.save_every_steps,
        ),
    ]
    if world.rank == 0:
        callbacks.append(ProgressBar())
    strategy: Any = "auto"
    if world.size > 1:
        strategy = DDPStrategy(
            # Batch norm's running statistics are averaged when they are needed, not exchanged in every step.
            broadcast_buffers=False,
            gradient_as_bucket_view=True,
            # Every step uses every weight, in the same order.
            static_graph=True,
        )
    return L.Trainer(
        accelerator=recipe.accelerator,
        devices=recipe.devices,
        num_nodes=world.num_nodes,
        strategy=strategy,
        precision="bf16-mixed" if recipe.precision == "bf16" else "32-true",
        max_epochs=recipe.epochs,
        accumulate_grad_batches=recipe.accumulate,
        # The module clips the gradient itself, since it checks the norm.
        gradient_clip_val=recipe.gradient_clip,
        callbacks=callbacks,
        plugins=[SafeCheckpointIO()],
        logger=TensorBoardLogger(run.path, name="", version=run.tensorboard.name),
        log_every_n_steps=1 if recipe.max_steps and recipe.max_steps < 10 else 10,
        num_sanity_val_steps=0,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )


def train_sampler(data: UtteranceDataset, recipe: Recipe, world: World) -> StepSampler:
    """Returns the batches of this process in each epoch: its part of steps of batch_size * accumulate * processes."""
    # Augmentation may slow a clip down: the slowest version must fit into the frames per batch.
    slowest = 1 + recipe.augmentation.retime if recipe.augment and recipe.frames_per_batch else 1
    steps = BucketSampler(
        np.ceil(slowest * data.lengths).astype(np.int64),
        recipe.batch_size * recipe.accumulate * world.size,
        seed=recipe.seed,
        frames_per_batch=recipe.frames_per_batch,
        parts_per_step=recipe.accumulate * world.size,
        shards=data.shards,
        window=recipe.shard_window,
    )
    return StepSampler(steps, accumulate=recipe.accumulate, num_processes=world.size, rank=world.rank)


def dev_sampler(data: UtteranceDataset, recipe: Recipe, world: World) -> StepSampler:
    """Returns the batches of dev of this process; they are larger, since there is no backward pass."""
    steps = BucketSampler(
        data.lengths,
        4 * recipe.batch_size * world.size,
        shuffle=False,
        frames_per_batch=recipe.frames_per_batch,
        parts_per_step=world.size,
    )
    return StepSampler(steps, num_processes=world.size, rank=world.rank)
