"""The commands that are killed, and what each needs: small corpora, landmarks, a film, models."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import numpy as np

from signloom import layout
from signloom.landmarks import Landmarks
from signloom.model.presets import PRESETS, Block, StudentConfig

OUT = "out"
TINY = StudentConfig(
    view="compact",
    encoder_widths={"pose": 8, "left_hand": 8, "right_hand": 16, "face": 8},
    stem_channels=32,
    blocks=(Block(3, 48, 32, 2),),
    head_channels=32,
    lstm_hidden=24,
    lstm_layers=1,
    dropout=0.1,
)


@dataclass(frozen=True)
class Scenario:
    """A command that is killed.

    arguments: relative paths are below the folder of a trial, `{base}` is the folder of what all trials read.
    kind: of the output: a corpus, a run, a set of files that is replaced as one ("set") or one by one ("files").
    before: arguments whose result lies in the output before, or none; then the command has --overwrite.
    ends: the exit status of a command that nobody kills.
    share: of the trials.  copied: folders of the base that are copied into the folder of a trial, because they change.
    partial: files that the command writes with what it has when a signal stops it.
    """

    name: str
    arguments: str
    kind: str
    before: str = ""
    share: int = 10
    copied: tuple[str, ...] = ()
    needs: str = ""
    ends: int = 0
    partial: tuple[str, ...] = ()


TRAIN = "train --data_dir {base}/sentences --output out --preset tiny --epochs 2 --batch_size 4 --save_every_steps 2"
DISTILL = (
    "distill --teacher {base}/teacher --data_dir {base}/sentences --output out --preset tiny --epochs 2 --batch_size 4"
)
CROSSVAL = (
    "crossval --data_dir {base}/sentences --output out --preset tiny --epochs 1 --batch_size 4 --max_steps 2 "
    "--signers signer01 signer02"
)
SYNTH = (
    "synth --num_signs 3 --num_signers 2 --num_test_signers 1 --num_train 6 --num_dev 2 --num_test 2 --max_glosses 3"
)
COMPOSE = "compose {base}/clips --num_train 6 --num_dev 2 --num_test 2 --output out"
SCENARIOS = (
    Scenario("extract", "extract {base}/films --output out --workers 1", "files", share=2, needs="mediapipe"),
    Scenario(
        "extract over old",
        "extract {base}/films --output out --workers 1 --crop 0,0,0.9,1 --overwrite",
        "files",
        "extract {base}/films --output out --workers 1",
        share=2,
        needs="mediapipe",
    ),
    Scenario("import", "import clips {base}/landmarks --output out", "corpus", share=12),
    Scenario(
        "import over old",
        "import clips {base}/landmarks --output out --overwrite",
        "corpus",
        "import clips {base}/fewer --output out",
        share=14,
    ),
    Scenario("compose", f"{COMPOSE} --seed 1", "corpus", share=12),
    Scenario("compose over old", f"{COMPOSE} --seed 1 --overwrite", "corpus", f"{COMPOSE} --seed 2", share=14),
    Scenario("synth", f"{SYNTH} --output out --seed 1", "corpus", share=12),
    Scenario(
        "synth over old",
        f"{SYNTH} --output out --seed 1 --overwrite",
        "corpus",
        f"{SYNTH} --output out --seed 2",
        share=12,
    ),
    Scenario("train", f"{TRAIN} --seed 1", "run", share=14),
    Scenario("train over old", f"{TRAIN} --seed 1 --overwrite", "run", f"{TRAIN} --seed 2", share=16),
    Scenario("distill", f"{DISTILL} --seed 1", "run", share=6),
    Scenario("distill over old", f"{DISTILL} --seed 1 --overwrite", "run", f"{DISTILL} --seed 2", share=6),
    Scenario("crossval", f"{CROSSVAL} --seed 1", "folds", share=5),
    Scenario("crossval over old", f"{CROSSVAL} --seed 1 --overwrite", "folds", f"{CROSSVAL} --seed 2", share=5),
    Scenario("tune", "tune model --data_dir {base}/sentences --beam_size 2", "set", share=8, copied=("model",)),
    Scenario("enrol", "enrol {base}/teacher {base}/clips --output out --overwrite", "set", share=2),
    Scenario(
        "enrol over old",
        "enrol {base}/teacher {base}/clips --output out --overwrite",
        "set",
        "enrol {base}/teacher {base}/clips --output out --seed 2",
        share=3,
    ),
    Scenario("lm", "lm --data_dir {base}/sentences --output out/glosses.arpa", "files", share=8),
    Scenario(
        "lm over old",
        "lm --data_dir {base}/sentences --output out/glosses.arpa --order 3",
        "files",
        "lm --data_dir {base}/sentences --output out/glosses.arpa --order 2",
        share=8,
    ),
    Scenario("evaluate", "evaluate model --data_dir {base}/sentences --split dev", "set", share=8, copied=("model",)),
    Scenario(
        "overfit",
        "overfit --data_dir {base}/sentences --output out --model tiny --max_epochs 2 --num_samples 3 "
        "--setting relaxed --baseline none",
        "set",
        share=4,
        ends=1,
        partial=("overfit-tiny.json", "overfit-tiny.txt"),
    ),
    Scenario(
        "align",
        "align {base}/sentences --split test --model {base}/teacher --output out --format json --min_confidence 0",
        "files",
        share=8,
    ),
    Scenario(
        "align over old",
        "align {base}/sentences --split test --model {base}/teacher --output out --format json --min_confidence 0 "
        "--overwrite",
        "set",
        "align {base}/sentences --split test --model {base}/student --output out --format json --min_confidence 0",
        share=8,
    ),
    Scenario(
        "score",
        "score {base}/sentences {base}/hypotheses.csv --split test --output out --html out/score.html",
        "files",
        share=6,
    ),
    Scenario("export_pose", "export_pose {base}/landmarks --output out", "files", share=4, needs="pose_format"),
)


def why_not(scenario: Scenario) -> str:
    """Returns why a scenario cannot be run here; empty if it can."""
    if scenario.needs and find_spec(scenario.needs) is None:
        return f"{scenario.needs} is not installed"
    if scenario.needs == "mediapipe":
        return _waving().why_not()
    return ""


def make_base(base: Path, run: Callable[[str], None], scenarios: Sequence[Scenario]) -> None:
    """Makes what the trials of `scenarios` read, unless it is there: corpora, landmarks, models, a film.

    run: runs a command line, which must end well.
    """
    PRESETS["tiny"] = TINY
    text = " ".join(f"{item.arguments} {item.before} {' '.join(item.copied)} {item.needs}" for item in scenarios)
    for name, make, words in (
        ("corpora", _make_corpora, ("",)),
        ("models", _make_models, ("teacher", "student", "model", "hypotheses")),
        ("films", _make_films, ("mediapipe",)),
    ):
        if any(word in text for word in words) and not (base / f"{name}.done").exists():
            make(base, run)
            (base / f"{name}.done").touch()


def _make_corpora(base: Path, run: Callable[[str], None]) -> None:
    shutil.rmtree(base, ignore_errors=True)
    for number in range(18):
        gloss, signer = "ABC"[number % 3], "XY"[number % 2]
        clip = _clip(12, seed=number)
        clip.save(base / "landmarks" / gloss / f"{signer}_{number}.npz")
        if number % 2:
            clip.save(base / "fewer" / gloss / f"{signer}_{number}_old.npz")
    run(f"import clips {base}/landmarks --output {base}/clips --signer_from ^([XY])")
    run(f"{SYNTH.replace('--num_train 6', '--num_train 12')} --num_dev 3 --output {base}/sentences --seed 3")


def _make_models(base: Path, run: Callable[[str], None]) -> None:
    for name, seed in (("teacher", 5), ("student", 6)):
        # Long enough to have learnt something, which a teacher must.
        train = f"train --data_dir {base}/sentences --output {base / name} --preset tiny --epochs 14 --batch_size 4"
        run(f"{train} --augment false --consistency 0 --learning_rate 2e-3 --seed {seed} --overwrite")
    shutil.rmtree(base / "model", ignore_errors=True)
    shutil.copytree(base / "student", base / "model")
    run(f"evaluate {base}/student --data_dir {base}/sentences --split test")
    shutil.copy(base / "student" / "hypotheses-test.csv", base / "hypotheses.csv")


def _make_films(base: Path, run: Callable[[str], None]) -> None:
    for name, frames in (("a", 4), ("b", 6)):
        _waving().write_video(base / "films" / f"{name}.mp4", frames)


def _waving() -> ModuleType:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))
    import waving

    return waving


def _clip(frames: int, *, seed: int) -> Landmarks:
    rng = np.random.default_rng(seed)
    points = rng.uniform(0.2, 0.8, (1, layout.NUM_POINTS, 3)) + rng.normal(0, 0.01, (frames, layout.NUM_POINTS, 3))
    points[:, layout.index("pose.left_shoulder"), :2] = (0.65, 0.4)
    points[:, layout.index("pose.right_shoulder"), :2] = (0.35, 0.4)
    return Landmarks(points, np.full((frames, 33), 0.9), fps=25.0, image_size=(640, 480))
