"""What `signloom train` is told: one dataclass for defaults, flags, YAML and the record in the checkpoint."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from signloom.errors import Faults
from signloom.train.augmentation import AugmentationConfig


@dataclass
class Recipe:
    """How a model is trained."""

    data_dir: Path
    """the corpus: a folder made by 'signloom import', 'compose' or 'synth'"""
    output: Path = Path("runs/student")
    """the run folder: model, curves, history, logs"""
    preset: str = "student"
    """what is trained: 'student', 'teacher' (all 543 points), 'teacher_compact' (the student's 85 points), or a
    reconstruction of an original: 'original_student' (14 M parameters), 'teacher_original' (stride 16 inside)"""
    frame_rate: bool = False
    """emit an output for every frame instead of every fourth"""
    auxiliary_head: bool = False
    """also train a CTC classifier on the convolutional features, which is not used after training"""
    auxiliary_weight: float = 1.0
    """of the auxiliary head's loss"""
    epochs: int = 40
    """passes over the training split"""
    max_minutes: float | None = None
    """stop after this many minutes of training; the schedule is fitted to the epochs, not to the minutes"""
    batch_size: int = 16
    """utterances in a step"""
    accumulate: int = 1
    """steps whose gradients are summed before the weights change"""
    learning_rate: float = 3e-4
    """base learning rate of AdamW; the schedule peaks at ten times this value"""
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
    resume: bool = False
    """go on with the run in --output from its last finished epoch"""
    overwrite: bool = False
    """replace an earlier run in --output"""
    augment: bool = True
    """change training clips at random; the amounts are the options of --augmentation"""
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    """how much training clips are changed"""
    threads: int = 1
    """CPU threads; at the student's size more of them wait for each other longer than they compute"""

    def check(self) -> None:
        """Raises InputError with every value that cannot be."""
        faults = Faults("train options")
        for name in ("epochs", "batch_size", "accumulate", "threads"):
            if getattr(self, name) < 1:
                faults.add(f"--{name} is {getattr(self, name)}; needed at least 1")
        for name in ("num_train_samples", "patience"):
            value = getattr(self, name)
            if value is not None and value < 1:
                faults.add(f"--{name} is {value}; needed at least 1")
        if not self.learning_rate > 0:
            faults.add(f"--learning_rate is {self.learning_rate}; needed above 0")
        for name in ("weight_decay", "auxiliary_weight"):
            if getattr(self, name) < 0:
                faults.add(f"--{name} is {getattr(self, name)}; needed 0 or above")
        if not self.gradient_clip > 0:
            faults.add(f"--gradient_clip is {self.gradient_clip}; needed above 0")
        if self.dropout is not None and not 0 <= self.dropout < 1:
            faults.add(f"--dropout is {self.dropout}; needed 0 to below 1")
        if self.max_minutes is not None and not self.max_minutes > 0:
            faults.add(f"--max_minutes is {self.max_minutes}; needed above 0")
        if self.resume and self.overwrite:
            faults.add("--resume and --overwrite contradict each other")
        faults.raise_if_any()
