"""The doors of outputs and of the environment: where results cannot go, and machines that lack what is usual."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

from forging.cases import Case, Expected, Plant, change, special, write
from forging.good import SYNTH

SCORE = ("score", "refs.csv", "hyps.csv")
FILES = ("refs.csv", "hyps.csv")
IMPORT = ("import", "clips", "clips", "--output")
# Commands that write one file, up to the name of the output.
INTO_FILE: dict[str, tuple[tuple[str, ...], tuple[str, ...], str, bool]] = {
    "score": ((*SCORE, "--output"), FILES, "new.json", False),
    "score-html": ((*SCORE, "--html"), FILES, "new.html", False),
    "lm": (("lm", "--sentences", "sentences.txt", "--output"), ("sentences.txt",), "new.arpa", False),
    "show": (("show", "clip.npz", "--output"), ("clip.npz",), "new.png", False),
    "transcribe": (("transcribe", "clip.npz", "--model", "run", "--output"), ("clip.npz", "run"), "new.srt", True),
}
# Commands that write a folder.
INTO_FOLDER: dict[str, tuple[tuple[str, ...], tuple[str, ...], bool]] = {
    "import": (IMPORT, ("clips",), False),
    "synth": (("synth", *SYNTH, "--output"), (), False),
    "compose": (("compose", "signs", "--num_train", "4", "--num_dev", "0", "--num_test", "0", "--output"), ("signs",),
                False),
    "train": (("train", "--data_dir", "corpus", "--epochs", "1", "--max_steps", "1", "--consistency", "0", "--output"),
              ("corpus",), True),
}  # fmt: skip
# Outputs that are inputs of the same command.
ONTO_INPUT: dict[str, tuple[tuple[str, ...], tuple[str, ...], str]] = {
    "score-html-references": ((*SCORE, "--html", "refs.csv"), FILES, "refs.csv"),
    "score-html-hypotheses": ((*SCORE, "--html", "./hyps.csv"), FILES, "hyps.csv"),
    "score-jsonl": (("score", "refs.csv", "results.json", "--output", "results.json"), ("refs.csv", "results.json"),
                    "results.json"),
    "compare-html": (("compare", "a.json", "b.json", "--html", "a.json"), ("a.json", "b.json"), "a.json"),
    "lm": (("lm", "--sentences", "sentences.txt", "--output", "sentences.txt"), ("sentences.txt",), "sentences.txt"),
    "lm-arpa": (("lm", "--arpa", "lm.arpa", "--output", "lm.arpa"), ("lm.arpa",), "lm.arpa"),
    "lm-corpus": (("lm", "--data_dir", "corpus", "--output", "corpus/manifest.jsonl"), ("corpus",), "manifest.jsonl"),
    "show": (("show", "clip.npz", "--output", "clip.npz"), ("clip.npz",), "clip.npz"),
    "compose": (("compose", "signs", "--output", "signs", "--overwrite"), ("signs",), "signs"),
    "import": ((*IMPORT, "clips"), ("clips",), "clips"),
    "import-below": ((*IMPORT, "clips/REGEN", "--overwrite"), ("clips",), "clips"),
    "merge": (("import", "merge", "corpus", "signs", "--output", "corpus", "--overwrite"), ("corpus", "signs"),
              "corpus"),
    "export-pose": (("export_pose", "clips", "--output", "clips"), ("clips",), "clips"),
    "synth-sentences": (("synth", "--sentences", "sentences.txt", "--output", "sentences.txt"), ("sentences.txt",),
                        "sentences.txt"),
}  # fmt: skip


# New files beside or below the old ones change none of them.
BESIDE = ("export-pose", "import", "import-below")


def cases() -> Iterator[Case]:
    yield from _outputs()
    yield from _environment()


def _outputs() -> Iterator[Case]:
    for name, (command, uses, path, heavy) in INTO_FILE.items():
        for what, plant in _places(path).items():
            expected: Expected = "any" if what in ("dangling", "loop") else "refused"
            yield Case(f"outputs/{name}/{what}", (*command, path), uses, plant, names=(path,), expected=expected,
                       heavy=heavy, hangs=True)  # fmt: skip
        below = write("file", "not a folder")
        yield Case(
            f"outputs/{name}/below-a-file", (*command, f"file/{path}"), uses, below, names=("file",), heavy=heavy
        )
        for what, place in {"proc": f"/proc/{path}", "long": "a" * 300 + path[3:]}.items():
            yield Case(
                f"outputs/{name}/{what}", (*command, place), uses, names=(place, "--output", "--html"), heavy=heavy
            )
    for name, (command, uses, heavy) in INTO_FOLDER.items():
        for what in ("file", "fifo", "loop", "socket"):
            plant = write("new", "a file") if what == "file" else special("new", what)
            yield Case(
                f"outputs/{name}/{what}", (*command, "new"), uses, plant, names=("new",), heavy=heavy, hangs=True
            )
        yield Case(f"outputs/{name}/proc", (*command, "/proc/new"), uses, names=("/proc/new",), heavy=heavy)
        yield Case(f"outputs/{name}/long", (*command, "a" * 300), uses, names=("a" * 300,), heavy=heavy)
        below = write("file", "not a folder")
        yield Case(f"outputs/{name}/below-a-file", (*command, "file/new"), uses, below, names=("file",), heavy=heavy)
    for name, (command, uses, named) in ONTO_INPUT.items():
        # There is no good input to compare with: the output is what is wrong.
        yield Case(f"outputs/onto-input/{name}", command, uses, names=(named,), hangs=True,
                   expected="any" if name in BESIDE else "refused")  # fmt: skip


def _places(path: str) -> dict[str, Plant]:
    # A link that leads nowhere may be replaced. Real devices are left alone: this may run as root.
    return {what: special(path, what) for what in ("folder", "loop", "fifo", "socket", "dangling")}


def _environment() -> Iterator[Case]:
    unicode_ids = {"refs.csv": "id|gloss\nü1|MÜNCHEN ΑΒΓ\nu2|东京\n", "hyps.csv": "id|gloss\nü1|MÜNCHEN\nu2|东京\n"}

    def plant(folder: Path, rng: random.Random) -> None:
        for name, text in unicode_ids.items():
            (folder / name).write_text(text, encoding="utf-8")

    ascii_locale = {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    settings: dict[str, tuple[dict[str, str | None], Expected]] = {
        "ascii-locale": ({**ascii_locale, "PYTHONIOENCODING": "ascii"}, "accepted"),
        "ascii-locale-strict": ({**ascii_locale, "PYTHONIOENCODING": "ascii:strict"}, "accepted"),
        "c-locale": (ascii_locale, "accepted"),
        "latin-1": ({"PYTHONIOENCODING": "latin-1"}, "accepted"),
        "unknown-locale": ({"LC_ALL": "xx_YY.UTF-8"}, "same"),
        "no-home": ({"HOME": None}, "same"),
        "home-nowhere": ({"HOME": "/nowhere"}, "same"),
        "no-path": ({"PATH": None}, "same"),
        "columns-0": ({"COLUMNS": "0"}, "same"),
        "columns-text": ({"COLUMNS": "wide"}, "same"),
        "columns-1": ({"COLUMNS": "1"}, "same"),
        "term-dumb": ({"TERM": "dumb"}, "same"),
        "term-unknown": ({"TERM": "nothing"}, "same"),
        "no-tmp": ({"TMPDIR": "/nowhere"}, "same"),
        "threads-text": ({"OMP_NUM_THREADS": "many"}, "same"),
        "warnings-as-errors": ({"PYTHONWARNINGS": "error"}, "same"),
    }
    for what, (environment, wanted) in settings.items():
        yield Case(f"environment/{what}/score", SCORE, FILES, plant, environment=environment, process=True,
                   expected="accepted", reason="what a terminal cannot show is escaped")  # fmt: skip
        yield Case(f"environment/{what}/import", (*IMPORT, "new"), ("clips",), environment=environment, process=True,
                   expected=wanted, reason="results are the same")  # fmt: skip
    for name, (command, uses) in {
        "score": (SCORE, FILES),
        "import": ((*IMPORT, "new"), ("clips",)),
        "lm": (("lm", "--sentences", "sentences.txt"), ("sentences.txt",)),
        "help": (("score", "--help"), ()),
        "version": (("--version",), ()),
    }.items():
        for process in (False, True):
            own = "-process" if process else ""
            yield Case(f"environment/stdout-closed{own}/{name}", command, uses, stdout="closed", process=process,
                       expected="any", reason="nobody reads; the status is that of the work")  # fmt: skip
            yield Case(f"environment/stdout-full{own}/{name}", command, uses, stdout="full", process=process,
                       expected="any", may_write=(r".*",))  # fmt: skip
    yield Case("environment/output-read-only/score", (*SCORE, "--output", "/proc/sys/new.json"), FILES,
               names=("/proc/sys/new.json",))  # fmt: skip
    yield Case("environment/input-unreadable/score", ("score", "/proc/self/mem", "hyps.csv"), FILES,
               names=("/proc/self/mem",), hangs=True)  # fmt: skip
    long_ids = change("refs.csv", lambda data: data.replace(b"u1", b"u" * 10**6))
    yield Case("environment/long-ids/score", SCORE, FILES, long_ids, names=("refs.csv",))
