"""What `signloom train` is told: one dataclass for defaults, flags, YAML and the record in the checkpoint."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from signloom.errors import Faults
from signloom.train.augmentation import AugmentationConfig
from signloom.train.recipes import with_recipe

if TYPE_CHECKING:
    from signloom.model.recognizer import Recognizer
    from signloom.train.data import UtteranceDataset
    from signloom.train.method import Lessons
    from signloom.vocabulary import Vocabulary


@dataclass
class Recipe:
    """How a model is trained."""

    data_dir: Path
    """the corpus: a folder made by 'signloom import', 'compose' or 'synth'"""
    recipe: str = "default"
    """a named set of options, listed by 'signloom recipes'; flags given beside it go before it"""
    output: Path = Path("runs/student")
    """the run folder: model, curves, history, logs"""
    preset: str = "student"
    """what is trained: 'student', 'teacher' (all 543 points), 'teacher_compact' (the student's 85 points), or a
    reconstruction of an original: 'original_student' (14 M parameters), 'teacher_original' (stride 16 inside)"""
    frame_rate: bool = False
    """emit an output for every frame instead of every fourth"""
    auxiliary_head: bool = True
    """also train a CTC classifier on the convolutional features, which the kept model does without"""
    auxiliary_weight: float = 1.0
    """of the auxiliary head's loss"""
    classifier: Literal["linear", "cosine"] | None = None
    """linear, or cosine: weights and features of unit length, shared by the auxiliary head; the preset's own when not
    given"""
    share_hands: bool = False
    """let the left hand, mirrored, go through the right hand's encoder (compact view only)"""
    attention: bool | None = None
    """the teacher's: let the modalities of a frame attend to each other (true) or take their plain average (false); the
    preset's own when not given"""
    attention_clamp: float | None = None
    """the teacher's: largest absolute value of what attention adds; the preset's own when not given"""
    consistency: float = 2.0
    """train on two views of each clip, each with other parts missing, and add this many times how differently they are
    read; training takes about half as long again. 0: one view, nothing missing"""
    epochs: int = 40
    """passes over the training split"""
    max_minutes: float | None = None
    """stop after this many minutes of training; the schedule is fitted to the epochs, not to the minutes"""
    max_steps: int | None = None
    """stop after this many steps of the optimiser; the schedule is fitted to them"""
    batch_size: int = 16
    """utterances in a batch of each process"""
    frames_per_batch: int | None = None
    """at most this many frames in a batch, padding included: a bound of memory. Batches of long utterances are then
    smaller than --batch_size"""
    max_frames: int | None = None
    """leave out training utterances with more frames than this (at the model's rate), and say so; none is ever cut"""
    accumulate: int = 1
    """batches of each process over which a step's gradient is averaged before the weights change"""
    checkpoint_activations: bool = False
    """keep less in memory for the backward pass and compute it again: less memory, more time, the same gradients"""
    learning_rate: float = 3e-4
    """base learning rate of AdamW; 'onecycle' peaks at ten times this value"""
    schedule: Literal["onecycle", "plain", "cosine"] = "onecycle"
    """of the learning rate. onecycle: up to ten times the base in the first tenth, then down by a cosine; plain: up to
    the base over the warm-up, then constant; cosine: up to the base over the warm-up, then down to 0 by a cosine"""
    warmup_epochs: float = 5.0
    """length of the warm-up of 'plain' and 'cosine'"""
    weight_decay: float = 1e-4
    """decoupled weight decay of AdamW, on weights but not on biases and norms"""
    dropout: float | None = None
    """dropout everywhere in the model; the preset's own when not given"""
    gradient_clip: float = 5.0
    """largest norm of the gradient"""
    patience: int | None = None
    """stop after this many epochs without a better WER on dev; never when not given"""
    num_train_samples: int | None = None
    """use only the first N training utterances (by a shuffle of the seed)"""
    precision: Literal["32", "bf16"] = "32"
    """arithmetic of training: single precision, or bfloat16 where the hardware has it"""
    seed: int = 0
    """of weights, order and augmentation"""
    skip_infeasible: bool = False
    """leave out training utterances with more glosses than CTC can align in their frames, instead of refusing"""
    init: Path | None = None
    """start from this model's weights; the classifier is rebuilt for the corpus' vocabulary"""
    refit_statistics: bool = False
    """with --init: normalise by mean and spread of this corpus instead of the other model's, which its weights know"""
    save_every_minutes: float = 5.0
    """keep the state to resume from this often within an epoch; it is also kept after every epoch"""
    save_every_steps: int | None = None
    """keep the state this often instead, in steps of the optimiser"""
    resume: bool = False
    """go on with the run in --output from where its state was last kept"""
    overwrite: bool = False
    """replace an earlier run in --output"""
    augment: bool = True
    """change training clips at random; the amounts are the options of --augmentation"""
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    """how much training clips are changed"""
    threads: int = 1
    """CPU threads of each process; at the student's size more of them wait for each other longer than they compute"""
    devices: int = 1
    """processes on this machine that train together, one a GPU where there are GPUs; under torchrun or SLURM as many as
    these have started"""
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    """where to compute; 'auto' takes a GPU if there is one"""

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> Self:
        """The recipe whose fields, paths as text, are in `record`."""
        values = {**record, "augmentation": AugmentationConfig(**record["augmentation"])}
        for name in ("data_dir", "output", "init"):
            values[name] = None if values[name] is None else Path(values[name])
        return cls(**values)

    def lessons(self, train: UtteranceDataset, recognizer: Recognizer, vocabulary: Vocabulary) -> Lessons:
        """What is learnt from: here the training split and CTC. Another way to train overrides this."""
        from signloom.train.method import Lessons

        if self.consistency:
            from signloom.train.consistency import ConsistencyModule

            return Lessons(train, ConsistencyModule)
        return Lessons(train)

    @staticmethod
    def expand(arguments: list[str]) -> list[str]:
        """Command line arguments in which `--recipe NAME` is followed up by the recipe's file."""
        return with_recipe(arguments, "train")

    def check(self) -> None:
        """Raises InputError with every value that cannot be."""
        faults = Faults("train options")
        for name in ("epochs", "batch_size", "accumulate", "threads", "devices"):
            if getattr(self, name) < 1:
                faults.add(f"--{name} is {getattr(self, name)}; needed at least 1")
        optional = ("num_train_samples", "patience", "max_steps", "frames_per_batch", "max_frames", "save_every_steps")
        for name in optional:
            value = getattr(self, name)
            if value is not None and value < 1:
                faults.add(f"--{name} is {value}; needed at least 1")
        if not self.learning_rate > 0:
            faults.add(f"--learning_rate is {self.learning_rate}; needed above 0")
        for name in ("weight_decay", "auxiliary_weight", "warmup_epochs", "consistency"):
            if not getattr(self, name) >= 0:
                faults.add(f"--{name} is {getattr(self, name)}; needed 0 or above")
        if not self.gradient_clip > 0:
            faults.add(f"--gradient_clip is {self.gradient_clip}; needed above 0")
        if self.dropout is not None and not 0 <= self.dropout < 1:
            faults.add(f"--dropout is {self.dropout}; needed 0 to below 1")
        for name in ("max_minutes", "save_every_minutes"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                faults.add(f"--{name} is {value}; needed above 0")
        if self.refit_statistics and self.init is None:
            faults.add("--refit_statistics without --init; a new model always takes this corpus' statistics")
        if self.resume and self.overwrite:
            faults.add("--resume and --overwrite contradict each other")
        faults.raise_if_any()
