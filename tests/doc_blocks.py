"""The code blocks of the documentation, and how their commands are run with less work to do.

A block that cannot run has its reason in a comment above it: `<!-- not run: needs several machines -->`. Blocks of the
language `text` are no code. Everything else is run by `test_doc_blocks.py`, with small data in the place
of what a block names (`doc_inputs.py`), with smaller models, and with few epochs.
"""

from __future__ import annotations

import re
import shlex
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BENCHMARKS = ROOT / "benchmarks"
FIGURES = [*sorted(BENCHMARKS.glob("*.md")), *sorted((BENCHMARKS / "figures").glob("*.md"))]
SHELL, PYTHON, TEXT = ("", "sh", "bash", "console"), "python", "text"
FENCE = re.compile(r"(?:^<!-- not run: (?P<why>.*?) -->\n+)?^```(?P<language>\w*)\n(?P<code>.*?)^```$", re.S | re.M)
# Options that a command gets, also in the place of its own: less work.
SMALLER = {
    "train": {"--epochs": "1", "--warmup_epochs": "0"},
    "distill": {"--epochs": "1", "--warmup_epochs": "0"},
    "crossval": {"--epochs": "1", "--warmup_epochs": "0"},
    "overfit": {"--max_epochs": "2", "--bisect_epochs": "1", "--setting": "standard"},
    "synth": {
        "--num_signs": "4",
        "--num_train": "3",
        "--num_dev": "2",
        "--num_test": "2",
        "--min_glosses": "2",
        "--max_glosses": "3",
    },
    "compose": {"--num_train": "12", "--num_dev": "6", "--num_test": "6"},
    "quickstart": {
        "--num_signs": "4",
        "--num_train": "6",
        "--num_dev": "2",
        "--num_test": "2",
        "--epochs": "1",
    },
    "verify": {"--num_steps": "2"},
    # A recording in the place of the camera, and text in the place of a window.
    "live": {"--video": "clip.mp4", "--text": ""},
}
# For a model that must recognise something.
WELL = {"--epochs": "30", "--batch_size": "4", "--learning_rate": "2e-3", "--consistency": "0", "--augment": "false"}
# These have another status than 0 where they find a fault, and small data has some.
CHECKS = ("doctor", "overfit", "verify")
# Programs that set signloom up; what they are told must exist.
SET_UP = ("pip", "make", "git", "cd", ".ci/run")


@dataclass(frozen=True)
class Block:
    """A code block.  line: where it begins.  why_not: why it cannot run, or empty."""

    page: Path
    line: int
    language: str
    code: str
    why_not: str

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"

    @property
    def commands(self) -> list[list[str]]:
        """The words of each shell command."""
        found: list[list[str]] = []
        for line in self.code.replace("\\\n", " ").splitlines():
            found.append([])
            for word in shlex.split(line, comments=True):
                found.append([]) if word == "&&" else found[-1].append(word)
        return [words for words in found if words]


def blocks() -> list[Block]:
    """Every code block of the documentation."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in FENCE.finditer(text):
            line = text.count("\n", 0, match.start("language")) + 1
            found.append(Block(page, line, match["language"], match["code"], match["why"] or ""))
    return [block for block in found if block.language != TEXT]


def shortened(arguments: list[str], *, well: bool = False) -> list[str]:
    """The arguments of a command with less work to do, in one process. well: a model must recognise something."""
    result = list(arguments)
    small = WELL if well and arguments[0] == "train" else SMALLER.get(arguments[0], {})
    # Sentences that are cut out of a corpus are as many as it has.
    small = {} if "--from_alignment" in arguments else small
    for option, value in small.items():
        if option not in result:
            result += [option, *([value] if value else [])]
        elif value:
            result[result.index(option) + 1] = value
    if "--workers" in result:
        result[result.index("--workers") + 1] = "1"
    return result


def set_up(words: list[str]) -> None:
    """Fails the test if what a command of the set-up names does not exist."""
    if words[0] == "make":
        for target in words[1:]:
            assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M), target
    elif words[0] == "pip":
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        for extra in re.findall(r"\[(\w+)\]", words[-1]):
            assert extra in project["optional-dependencies"], extra
    elif words[0] == ".ci/run":
        assert (ROOT / words[0]).is_file()
