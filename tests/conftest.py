"""Shared by all tests: where outside data lies, and small clips the project makes itself."""

from __future__ import annotations

import ast
import gc
import os
import re
import shutil
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

# One process per core runs the tests; their models are too small to share cores, and threads that wait cost as much
# as threads that work. Read by NumPy and torch when they are imported, and by processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from filelock import FileLock
from hypothesis import settings

import buckets
from signloom import cli, layout
from signloom.corpus import CorpusWriter
from signloom.files.urls import Url
from signloom.landmarks import Landmarks
from signloom.model.presets import FILL_SECONDS, PRESETS, Block, InceptionModule, StudentConfig, TeacherConfig
from signloom.run_folder import History

# No test times anything: a loaded machine makes none of them wrong. `make check` tries fewer examples.
settings.register_profile("all", deadline=None)
settings.register_profile("fast", deadline=None, max_examples=20)

# A shell that runs the tests in the background makes them, and all they start, deaf to interrupts.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Test files that import torch, or a room that needs it, are left out where torch is not installed.
NEEDS_TORCH = re.compile(
    r"^(from|import) (torch|lightning|safetensors|signloom\.(train|model\.(recognizer|blocks)|health\.))\b", re.M
)
collect_ignore = [
    path.name
    for path in sorted(Path(__file__).parent.glob("test_*.py"))
    if find_spec("torch") is None and NEEDS_TORCH.search(path.read_text(encoding="utf-8"))
]


# `make check` leaves out slow tests: files that have no others need not be imported, nor Lightning with them.
ALL_SLOW = re.compile(r"^pytestmark = \[?pytest\.mark\.slow\b", re.M)


def pytest_configure(config: pytest.Config) -> None:
    """Chooses how many examples the tests of properties try, before they are imported."""
    settings.load_profile("fast" if config.option.markexpr == "not slow" else "all")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leaves out files of slow tests where no slow test is wanted."""
    if config.option.markexpr != "not slow" or collection_path.suffix != ".py":
        return None
    return True if ALL_SLOW.search(collection_path.read_text(encoding="utf-8")) else None


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Leaves what is imported out of garbage collection, which otherwise goes through all of it again and again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_report_header() -> str | None:
    return f"torch is not installed: {len(collect_ignore)} test files left out" if collect_ignore else None


PLOT = History.plot


@pytest.fixture(scope="session", autouse=True)
def no_curves() -> Iterator[None]:
    """Leaves the curves of training runs undrawn: drawing them takes longer than training a tiny model."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(History, "plot", lambda self, run: None)
        yield


@contextmanager
def drawn_curves() -> Iterator[None]:
    """Lets runs inside the block draw their curves as they do for users."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(History, "plot", PLOT)
        yield


def mostly_slow(values: Iterable, fast: Collection) -> list:
    """The values of a parametrised test, of which `make check` takes only those that `fast` names."""
    return [value if value in fast else pytest.param(value, marks=pytest.mark.slow) for value in values]


@pytest.fixture(scope="session")
def s3_server() -> Iterator[int]:
    """The port of a server of S3 on loopback."""
    with buckets.server() as port:
        yield port


@pytest.fixture
def bucket(s3_server, tmp_path, monkeypatch) -> Url:
    """A new bucket of S3; copies of what is in it go to a folder of the test."""
    for name, value in buckets.environment(s3_server, SIGNLOOM_CACHE=str(tmp_path / "cache")).items():
        monkeypatch.setenv(name, value)
    return buckets.put_bucket(s3_server)


@pytest.fixture
def run_command(capsys: pytest.CaptureFixture[str]) -> Callable[..., SimpleNamespace]:
    """Runs a command in this process, which has imported everything: exit `status`, and `out` and `err` as printed."""

    def run(*arguments: object) -> SimpleNamespace:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main(list(map(str, arguments)))
        told = capsys.readouterr()
        assert "Traceback" not in told.err
        return SimpleNamespace(status=ended.value.code, out=told.out, err=told.err)

    return run


SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real recordings that lies beside a developer's checkout; tests that need it skip without it."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"real recordings not found at {SHARED_DATA}")
    return SHARED_DATA


@cache
def parsed(path: Path) -> ast.Module:
    """The syntax tree of a module."""
    return ast.parse(path.read_text(encoding="utf-8"))


def dead_temporary(path: Path) -> Path:
    """A temporary file beside `path`, as a process leaves it that is killed while it writes `path`."""
    code = (
        "import os, pathlib, sys; from signloom.files.writing import atomic_write\n"
        "with atomic_write(pathlib.Path(sys.argv[1])) as file:\n"
        "    file.write(b'half'); file.flush(); os._exit(9)"
    )
    before = set(path.parent.iterdir()) if path.parent.is_dir() else set()
    subprocess.run([sys.executable, "-c", code, path], check=False)
    (made,) = set(path.parent.iterdir()) - before
    return made


def random_landmarks(num_frames: int = 20, *, seed: int = 0, fps: float = 25.0) -> Landmarks:
    """A clip of random but body-like points: shoulders apart, everything present."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(0.2, 0.8, (1, layout.NUM_POINTS, 3)) + rng.normal(0, 0.01, (num_frames, layout.NUM_POINTS, 3))
    points[:, layout.index("pose.left_shoulder"), :2] = (0.65, 0.4)
    points[:, layout.index("pose.right_shoulder"), :2] = (0.35, 0.4)
    return Landmarks(points, np.full((num_frames, 33), 0.9), fps=fps, image_size=(640, 480))


# A student that learns `tiny_corpus` in seconds.
TINY_STUDENT = StudentConfig(
    view="compact",
    encoder_widths={"pose": 8, "left_hand": 8, "right_hand": 16, "face": 8},
    stem_channels=32,
    blocks=(Block(3, 48, 32, 2),),
    head_channels=32,
    lstm_hidden=24,
    lstm_layers=1,
    dropout=0.0,
    fill_seconds=FILL_SECONDS,
)

# A teacher that sees all points, as small.
TINY_TEACHER = TeacherConfig(
    view="full",
    encoder_width=16,
    attention_heads=2,
    stem_channels=24,
    modules=(InceptionModule("3b", 8, (8, 12), (4, 8), 8),),
    lstm_hidden=24,
    lstm_layers=1,
    dropout=0.0,
    attention_dropout=0.0,
    fill_seconds=FILL_SECONDS,
)

# For tests of layers and shapes.
SMALL_STUDENT = StudentConfig(
    view="compact",
    encoder_widths={"pose": 8, "left_hand": 8, "right_hand": 8, "face": 8},
    stem_channels=16,
    blocks=(Block(3, 32, 16, 2), Block(5, 32, 16)),
    head_channels=16,
    lstm_hidden=8,
    fill_seconds=FILL_SECONDS,
)
SMALL_TEACHER = TeacherConfig(
    view="compact",
    encoder_width=8,
    attention_heads=2,
    stem_channels=12,
    modules=(InceptionModule("3b", 6, (4, 6), (3, 4), 4), InceptionModule("4b", 6, (4, 6), (3, 4), 4)),
    lstm_hidden=8,
    lstm_layers=1,
    fill_seconds=FILL_SECONDS,
)

# Learn a few utterances within the epochs of an overfit test.
QUICK_STUDENT = StudentConfig(
    view="compact",
    encoder_widths={"pose": 8, "left_hand": 8, "right_hand": 16, "face": 8},
    stem_channels=32,
    blocks=(Block(5, 64, 32, 2),),
    head_channels=32,
    lstm_hidden=32,
    lstm_layers=1,
)
QUICK_TEACHER = TeacherConfig(
    view="compact",
    encoder_width=16,
    attention_heads=2,
    stem_channels=32,
    modules=(InceptionModule("3b", 16, (16, 16), (8, 8), 8),),
    lstm_hidden=32,
    lstm_layers=1,
)

# Where the right hand goes in each gloss, relative to its rest, and how far its fingers are spread.
TINY_SIGNS = {"UP": (0.0, -0.3, 0.02), "DOWN": (0.0, 0.25, 0.05), "LEFT": (0.3, 0.0, 0.08), "RIGHT": (-0.2, -0.1, 0.0)}


def tiny_sentence(glosses: tuple[str, ...], *, seed: int, fps: float = 25.0) -> Landmarks:
    """A clip in which the right hand makes each gloss's movement in turn, 12 frames a gloss, with a little noise."""
    rng = np.random.default_rng(seed)
    points = np.repeat(random_landmarks(1, seed=0).points, 12 * len(glosses), axis=0)
    hand = layout.GROUPS["right_hand"]
    bend = np.sin(np.linspace(0, np.pi, 12))[:, None]
    for number, gloss in enumerate(glosses):
        x, y, spread = TINY_SIGNS[gloss]
        frames = slice(12 * number, 12 * number + 12)
        points[frames, hand, 0] += bend * x + bend * spread * np.arange(21)
        points[frames, hand, 1] += bend * y
    points[:, layout.index("pose.right_wrist")] = points[:, layout.index("right_hand.wrist")]
    points += rng.normal(0, 0.003, points.shape)
    return Landmarks(points, np.full((len(points), 33), 0.9), fps=fps, image_size=(640, 480))


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A copy, of this process, of a folder that `make` writes once for all processes that run the tests."""
    root = factory.getbasetemp().parent if "PYTEST_XDIST_WORKER" in os.environ else factory.getbasetemp()
    original = root / f"once-{name}"
    with FileLock(f"{original}.lock"):
        if not original.exists():
            part = root / f"part-{name}"
            make(part)
            part.rename(original)
    return Path(shutil.copytree(original, factory.mktemp(name) / name))


def finished(run: Path):
    """The result of the run in a folder, as `fit` returned it."""
    from signloom.inference.model import load
    from signloom.run_folder import Run
    from signloom.train.fit import RunResult

    history = Run.read(run).history
    return RunResult(run, history, history.best, 0.0, load(run))


@pytest.fixture(scope="session")
def tiny_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of 16 train, 6 dev and 4 test utterances of four signs, learnt by a small model in seconds."""
    root = tmp_path_factory.mktemp("tiny") / "corpus"
    rng = np.random.default_rng(0)
    with CorpusWriter(root, {"name": "tiny"}) as writer:
        for split, count in (("train", 16), ("dev", 6), ("test", 4)):
            for number in range(count):
                glosses = tuple(rng.choice(list(TINY_SIGNS), size=rng.integers(2, 5)).tolist())
                writer.add(
                    f"{split}-{number}",
                    split=split,
                    signer="B" if split == "test" else "A",
                    glosses=glosses,
                    landmarks=tiny_sentence(glosses, seed=100 * len(split) + number),
                )
    return root


@pytest.fixture
def tiny_presets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Presets `tiny` and `tiny_teacher`."""
    monkeypatch.setitem(PRESETS, "tiny", TINY_STUDENT)
    monkeypatch.setitem(PRESETS, "tiny_teacher", TINY_TEACHER)


@pytest.fixture(scope="session")
def teacher(tiny_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a teacher that had the time to learn the tiny corpus."""
    from distilling import TEACHING
    from signloom.train.fit import fit
    from signloom.train.recipe import Recipe

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PRESETS, "tiny_teacher", TINY_TEACHER)
        return made_once(tmp_path_factory, "teacher", lambda run: fit(Recipe(tiny_corpus, output=run, **TEACHING)))


def zscored(points, every):
    """By the statistics of `every`; where a point never moves there is no deviation to divide by."""
    with warnings.catch_warnings():
        # Of a part that was never found.
        warnings.simplefilter("ignore", RuntimeWarning)
        return (points - np.nanmean(every, 0)) / np.maximum(np.nanstd(every, 0), 1e-3)


def worn_norms(model):
    """`model` in evaluation mode, batch norms as after training: new ones would hide a mask's absence."""
    import torch

    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            torch.nn.init.uniform_(module.running_mean, -0.5, 0.5)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
            torch.nn.init.uniform_(module.bias, 0.1, 0.5)
    return model.eval()
