"""Options of `signloom train`: one dataclass for the defaults, the flags, YAML files and the record in a checkpoint.

No torch here: the command line imports this module for its help.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from signloom.errors import Faults, InputError, listed
from signloom.files.schemas import check, shown
from signloom.inference.store import MOST_MEGABYTES
from signloom.model.presets import ModelConfig, preset
from signloom.train.augmentation import AugmentationConfig
from signloom.train.recipes import with_recipe

# Peak of the schedule onecycle, in units of the base learning rate.
PEAK = 10.0


@dataclass
class Recipe:
    """Options of a training run."""

    # A run may take the place of the one that it starts from.
    in_place: ClassVar[tuple[str, ...]] = ("init",)
    writes_run: ClassVar[bool] = True

    data_dir: Path
    """the corpus: a folder made by 'signloom import', 'compose' or 'synth'"""
    recipe: str = "default"
    """a named set of options, listed by 'signloom recipes'; flags on the command line override it"""
    output: Path = Path("runs/student")
    """the run folder: model, curves, history, logs"""
    preset: str = "student"
    """the model to train: 'student', 'teacher' (all 543 points), 'teacher_compact' (the student's 85 points), or a
    reconstruction of an original: 'original_student' (14 M parameters), 'teacher_original' (stride 16 inside)"""
    frame_rate: bool = False
    """produce one output per input frame instead of one per four"""
    auxiliary_head: bool = True
    """also train a CTC classifier on the convolutional features; the saved model does not contain it"""
    auxiliary_weight: float = 1.0
    """weight of the auxiliary head's loss"""
    classifier: Literal["linear", "cosine"] | None = None
    """type of classifier: 'linear', or 'cosine' (weights and features have unit length, and the auxiliary head shares
    the weights); default: the preset's"""
    share_hands: bool = False
    """encode both hands with the right hand's encoder, the left hand mirrored (compact view only)"""
    attention: bool | None = None
    """teachers only: combine the modalities of a frame by attention (true) or by their mean (false); default: the
    preset's"""
    attention_clamp: float | None = None
    """teachers only: largest absolute value that attention may add; default: the preset's"""
    consistency: float = 2.0
    """weight of the consistency loss: each clip is masked in two different ways, and the two predictions should agree.
    Training takes about half as long again. 0: train on unmasked clips, without this loss"""
    epochs: int = 40
    """passes over the training split"""
    max_minutes: float | None = None
    """stop training after this many minutes; the learning-rate schedule still follows --epochs"""
    max_steps: int | None = None
    """stop training after this many optimiser steps; the learning-rate schedule follows them"""
    batch_size: int = 16
    """utterances per batch in each process"""
    frames_per_batch: int | None = None
    """largest number of frames per batch, padding included, to limit memory. Batches of long utterances are then
    smaller than --batch_size"""
    max_frames: int | None = None
    """leave out training utterances with more frames than this (at the model's frame rate) and list them; utterances
    are never cut"""
    accumulate: int = 1
    """batches per process whose gradients are averaged for one optimiser step"""
    checkpoint_activations: bool = False
    """recompute activations in the backward pass instead of storing them: less memory, more time, the same gradients"""
    learning_rate: float = 3e-4
    """base learning rate of AdamW; 'onecycle' peaks at ten times this value"""
    schedule: Literal["onecycle", "plain", "cosine"] = "onecycle"
    """learning-rate schedule. onecycle: rise to ten times the base rate in the first tenth, then fall along a cosine;
    plain: rise to the base rate during the warm-up, then stay constant; cosine: rise to the base rate during the
    warm-up, then fall to 0 along a cosine"""
    warmup_epochs: float = 5.0
    """length of the warm-up of 'plain' and 'cosine', in epochs"""
    weight_decay: float = 1e-4
    """decoupled weight decay of AdamW; biases and normalisation layers are exempt"""
    dropout: float | None = None
    """dropout rate everywhere in the model; default: the preset's"""
    fill_seconds: float | None = None
    """a model that recognises fills a hand, or another part, by straight lines where it is missing for at most so many
    seconds; 0: never. Default: the preset's, 0.48 for ours, or that of the model of --init"""
    gradient_clip: float = 5.0
    """largest norm of the gradient; larger gradients are scaled down"""
    patience: int | None = None
    """stop after this many epochs without a lower WER on dev; default: never"""
    num_train_samples: int | None = None
    """train on N training utterances only, drawn at random by --seed"""
    precision: Literal["32", "bf16"] = "32"
    """number format of training: single precision, or bfloat16 mixed precision where the hardware supports it"""
    seed: int = 0
    """seed for the initial weights, the order of the data and the augmentation"""
    skip_infeasible: bool = False
    """leave out training utterances that have too few frames for their glosses under CTC, instead of stopping with an
    error"""
    init: Path | None = None
    """start from the weights of this model; the classifier is rebuilt for the vocabulary of the corpus"""
    refit_statistics: bool = False
    """with --init: normalise by the mean and standard deviation of this corpus; default: those stored in the model,
    which its weights were trained with"""
    statistics_clips: int | None = None
    """training clips that the mean and standard deviation of the features are taken from, spread evenly over the split;
    0: all. Default: all of up to 10,000, else 2,000"""
    shard_window: int = 32
    """packed corpora: shards that are read at a time. Their utterances are shuffled together; which shards share a
    window is drawn anew in each epoch. A corpus of no more shards is shuffled as a whole, as a folder is"""
    save_every_minutes: float = 5.0
    """save the training state this often within an epoch, in minutes; it is also saved after every epoch"""
    save_every_steps: int | None = None
    """save the training state every N optimiser steps instead"""
    cache_gigabytes: float = 4.0
    """keep clips in memory once they are read, up to so many gigabytes on each machine; other clips are read again in
    every epoch"""
    store_megabytes: float = 0.0
    """keep features of training and dev utterances in the model file, up to so many megabytes (at most 2): 'signloom
    enrol' rehearses them and measures on them. They are made from landmarks of people, and whoever gets the model gets
    them too. 0: keep none"""
    resume: bool = False
    """continue the run in --output from its last saved state"""
    auto_resume: bool = False
    """continue the run in --output if it has a saved state, else begin it: for torchrun, SLURM and others that start
    the same command again"""
    overwrite: bool = False
    """replace an earlier run in --output"""
    augment: bool = True
    """change training clips at random; --augmentation sets the amounts"""
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    """amounts of the random changes to training clips"""
    threads: int = 1
    """CPU threads per process; for a model as small as the student more threads do not help"""
    devices: int = 1
    """processes on this machine that train together, one per GPU if there are GPUs; under torchrun or SLURM their
    number of processes is used"""
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    """device to compute on; 'auto' uses a GPU if there is one"""

    @property
    def peak_learning_rate(self) -> float:
        """The highest learning rate of the schedule."""
        return self.learning_rate * (PEAK if self.schedule == "onecycle" else 1)

    @classmethod
    def from_json(cls, record: Mapping[str, Any], place: str = "options") -> Self:
        """Returns the recipe with the options in `record`, where paths are text; `place` names it in errors.

        Missing options get their defaults; options that this class does not have are ignored. Raises InputError for a
        record without a corpus, with an option of another type, or with an unknown amount of augmentation.
        """
        names = {item.name for item in fields(cls)}
        values = {name: value for name, value in record.items() if name in names}
        amounts = values.get("augmentation", {})
        known = [item.name for item in fields(AugmentationConfig)]
        if isinstance(amounts, Mapping) and (unknown := sorted(set(amounts) - set(known))):
            raise InputError(
                f"{place}: augmentation has no {listed(map(shown, unknown))}; known are {', '.join(known)}"
            )
        return check(cls, values, place)

    def model_config(self, initial: ModelConfig | None = None) -> ModelConfig:
        """Returns the configuration of the model to train.

        initial: that of the model of `--init`; the preset's if None. Raises InputError for an option that the model
        does not have, or that changes what the weights of `--init` mean.
        """
        # Off counts as well as on: the model of --init may have a head.
        changes: dict[str, Any] = {"auxiliary_head": self.auxiliary_head}
        changes |= {name: True for name in ("frame_rate", "share_hands") if getattr(self, name)}
        optional = ("dropout", "fill_seconds", "classifier", "attention", "attention_clamp")
        changes |= {name: getattr(self, name) for name in optional if getattr(self, name) is not None}
        # Everywhere in the model, so in attention too.
        if self.dropout is not None and hasattr(initial or preset(self.preset), "attention_dropout"):
            changes["attention_dropout"] = self.dropout
        if initial is None:
            return preset(self.preset, **changes)
        faults = Faults(f"{self.init}: these options do not fit its weights")
        for name, value in changes.items():
            if not hasattr(initial, name):
                faults.add(f"--{name} is {value}, but a model of kind {initial.kind} has none; leave it out")
            elif name in ("share_hands", "classifier", "attention") and value != getattr(initial, name):
                faults.add(
                    f"--{name} is {value}, but {getattr(initial, name)} in that model; leave it out, or train without "
                    "--init"
                )
        faults.raise_if_any()
        return replace(initial, **changes)

    @staticmethod
    def expand(arguments: list[str]) -> list[str]:
        """Returns the command line arguments with the file of `--recipe NAME` inserted."""
        return with_recipe(arguments, "train")

    def check(self) -> None:
        """Raises InputError listing every invalid value."""
        faults = Faults("train options")
        faults.need_at_least(
            1, self, "epochs", "batch_size", "accumulate", "threads", "devices", "num_train_samples", "shard_window"
        )
        faults.need_at_least(1, self, "patience", "max_steps", "frames_per_batch", "max_frames", "save_every_steps")
        faults.need_at_least(0, self, "weight_decay", "auxiliary_weight", "warmup_epochs", "consistency", "seed")
        faults.need_at_least(0, self, "cache_gigabytes", "statistics_clips")
        if not 0 <= self.store_megabytes <= MOST_MEGABYTES:
            faults.add(f"--store_megabytes is {self.store_megabytes:g}; needed 0 to {MOST_MEGABYTES:g}")
        faults.need_above(0, self, "learning_rate", "gradient_clip", "max_minutes", "save_every_minutes")
        if self.dropout is not None and not 0 <= self.dropout < 1:
            faults.add(f"--dropout is {self.dropout}; needed 0 to below 1")
        if self.fill_seconds is not None and not 0 <= self.fill_seconds <= 10:
            faults.add(f"--fill_seconds is {self.fill_seconds}; needed 0 to 10")
        if self.refit_statistics and self.init is None:
            faults.add("--refit_statistics without --init; a new model always uses the statistics of this corpus")
        try:
            preset(self.preset)
        except InputError as error:
            faults.add(str(error))
        for name in ("resume", "auto_resume"):
            if getattr(self, name) and self.overwrite:
                faults.add(f"--{name} and --overwrite contradict each other")
        faults.raise_if_any()
