"""The good files that bad inputs are made from: signloom makes them, small, in seconds."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from signloom import cli

TESTS = Path(__file__).resolve().parents[2] / "tests"
MADE = "made"

REFERENCES = "id|signer|gloss\nu1|anna|REGEN MORGEN\nu2|ben|SONNE\nu3|anna|WIND KALT REGEN\n"
HYPOTHESES = "id|gloss\nu1|REGEN\nu2|SONNE\nu3|WIND KALT WARM\n"
STM = "u1 1 anna 0.00 2.00 REGEN MORGEN\nu2 1 ben 0.00 1.00 SONNE\nu3 1 anna 0.00 3.00 WIND KALT REGEN\n"
CTM = "u1 1 0.00 0.50 REGEN\nu2 1 0.00 0.50 SONNE\nu3 1 0.00 0.50 WIND\nu3 1 0.60 0.50 KALT\nu3 1 1.20 0.50 WARM\n"
TEXTS = {
    "refs.csv": REFERENCES,
    "hyps.csv": HYPOTHESES,
    "refs.stm": STM,
    "hyps.ctm": CTM,
    "hyps.trn": "REGEN (u1)\nSONNE (u2)\nWIND KALT WARM (u3)\n",
    "text": "u1 REGEN\nu2 SONNE\nu3 WIND KALT WARM\n",
    "refs.gls": "REGEN MORGEN\nSONNE\nWIND KALT REGEN\n",
    "hyps.gls": "REGEN\nSONNE\nWIND KALT WARM\n",
    "hyps.jsonl": '{"id": "u1", "glosses": ["REGEN"]}\n{"id": "u2", "glosses": ["SONNE"]}\n'
    '{"id": "u3", "glosses": ["WIND", "KALT", "WARM"]}\n',
    "recogs-test.txt": "u1: ref=['REGEN', 'MORGEN']\nu1: hyp=['REGEN']\nu2: ref=['SONNE']\nu2: hyp=['SONNE']\n"
    "u3: ref=['WIND', 'KALT', 'REGEN']\nu3: hyp=['WIND', 'KALT', 'WARM']\n",
    "results.json": '{"u1": {"gls_ref": "REGEN MORGEN", "gls_hyp": "REGEN"}, "u2": {"gls_ref": "SONNE", "gls_hyp": '
    '"SONNE"}, "u3": {"gls_ref": "WIND KALT REGEN", "gls_hyp": "WIND KALT WARM"}}',
    "options.yaml": "data_dir: corpus\noutput: new.arpa\n",
    "recipe.yaml": "preset: student\n",
    "sentences.txt": "REGEN MORGEN\nSONNE REGEN\nWIND KALT REGEN\n",
}
SYNTH = (
    "--preset clean --num_signs 4 --num_signers 3 --num_test_signers 1 --num_train 6 --num_dev 2 --num_test 2 "
    "--min_glosses 2 --max_glosses 3"
).split()


def make(folder: Path, *, heavy: bool) -> None:
    """Makes the good files in `folder`, unless they are there: with a trained model if `heavy`.

    In a child: libraries then have no open files that the children of this process would share.
    """
    if (child := os.fork()) == 0:
        status = 1
        try:
            _make(folder, heavy=heavy)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    if os.waitpid(child, 0)[1]:
        raise RuntimeError("the good files could not be made; see above")


def _make(folder: Path, *, heavy: bool) -> None:
    sys.path.insert(0, str(TESTS))
    if not (folder / MADE).exists():
        # What a stopped run left may be half of something.
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        _once(folder, MADE, _light)
    if heavy:
        _once(folder, f"{MADE}-heavy", _heavy)


def _once(folder: Path, mark: str, build: Callable[[Path], None]) -> None:
    if (folder / mark).exists():
        return
    before = Path.cwd()
    os.chdir(folder)
    try:
        # Progress bars of what is made would mix with that of the benchmark.
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            build(folder)
    finally:
        os.chdir(before)
    (folder / mark).touch()


def run(*words: str) -> None:
    """Runs a command that must succeed."""
    if (status := cli.dispatch(list(words))) != 0:
        raise RuntimeError(f"signloom {' '.join(words)} ended with {status}")


def _light(folder: Path) -> None:
    for name, text in TEXTS.items():
        Path(name).write_text(text, encoding="utf-8")
    run("synth", "--output", "corpus", *SYNTH)
    shutil.copy2("corpus/landmarks/train-00000.npz", "clip.npz")
    for gloss in ("REGEN", "SONNE"):
        for number in range(2):
            target = Path("clips", gloss, f"{number}.npz")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(f"corpus/landmarks/train-0000{number + 2 * (gloss == 'SONNE')}.npz", target)
    run("import", "clips", "clips", "--output", "signs")
    run("lm", "--sentences", "sentences.txt", "--output", "lm.arpa")
    run("score", "refs.csv", "hyps.csv", "--output", "a.json")
    run("score", "refs.csv", "hyps.trn", "--output", "b.json")
    _importers(folder)
    _video(folder)


def _importers(folder: Path) -> None:
    """Makes the small data of every importer's example; a kind whose package is missing is left out."""
    from doc_examples import BUILDERS

    for (kind, source), build in BUILDERS.items():
        target = folder / f"import-{kind}-{Path(source).name}"
        with contextlib.suppress(ImportError):
            target.mkdir(exist_ok=True)
            build(target)


def _video(folder: Path) -> None:
    """Makes a film of ten frames, where there is PyAV."""
    with contextlib.suppress(ImportError):
        from films import even, write_film

        write_film(folder / "film.mp4", even(10))


def _heavy(folder: Path) -> None:
    run(
        "train", "--data_dir", "corpus", "--output", "run", "--max_steps", "2", "--epochs", "1", "--batch_size", "2",
        "--consistency", "0", "--overwrite",
    )  # fmt: skip
    run("evaluate", "run", "--data_dir", "corpus", "--split", "test")
