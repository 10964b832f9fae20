"""Every code block of README and docs/ runs, or says above it why it cannot."""

from __future__ import annotations

import re
import shlex
import shutil
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from doc_blocks import CHECKS, PYTHON, SET_UP, SHELL, Block, blocks, set_up, shortened
from signloom import cli

pytest.importorskip("lightning")
pytest.importorskip("av", reason="videos need PyAV (the extra 'extract')")

from doc_inputs import INPUTS, MADE, stand_ins

pytestmark = pytest.mark.slow

# Commands that take seconds, and make the same of the same.
MADE_ONCE = ("train", "export", "lm", "distill")


class Runner:
    """Runs a block in a folder.

    made: what commands of other blocks have made, by their words, in the folder `keep`; it is copied.
    own: what this block has made.
    """

    def __init__(self, block: Block, folder: Path, made: dict[tuple[str, ...], Path], keep: Path) -> None:
        self.block, self.folder, self.made, self.keep = block, folder, made, keep
        self.own: set[str] = set()

    def run(self) -> None:
        if self.block.language == PYTHON:
            for name in re.findall(r'"([\w./]+)"', self.block.code):
                self.build(name)
            exec(compile(self.block.code, str(self.block), "exec"), {"__name__": "__main__"})
            return
        assert self.block.language in SHELL, f"{self.block.language!r} is neither shell, python nor text"
        for words in self.block.commands:
            if words[0] in SET_UP:
                set_up(words)
                continue
            assert words[0] == "signloom", f"{words[0]} is not run here; say why: <!-- not run: ... -->"
            self.signloom(shortened(words[1:], well=self.is_teacher(words)))

    def is_teacher(self, words: list[str]) -> bool:
        """Whether later commands learn from the model that this one makes, which must then know something."""
        return any(
            option in ("--from_alignment", "--teacher") and value in words
            for other in self.block.commands
            for option, value in pairwise(other)
        )

    def signloom(self, arguments: list[str]) -> None:
        """Runs a command of signloom, after building what it names."""
        index = arguments.index("--output") + 1 if "--output" in arguments else 0
        output = arguments[index] if index else None
        # What the block makes itself may differ from what another block has under the same name.
        key = tuple(arguments[:index] + arguments[index + 1 :])
        same = arguments[0] in MADE_ONCE and not self.own & set(key)
        if output is not None and same and key in self.made:
            made = self.made[key]
            shutil.copytree(made, output) if made.is_dir() else shutil.copy(made, output)
        else:
            for word in arguments:
                if word != output or "--resume" in arguments:
                    self.build(word)
            try:
                status = cli.dispatch(arguments)
            except SystemExit as error:
                status = error.code
            fine = (0, 1) if arguments[0] in CHECKS else (0,)
            assert status in fine, f"signloom {shlex.join(arguments)}: exit status {status}"
            if output is not None and same:
                kept = self.made[key] = self.keep / str(len(self.made))
                made = Path(output)
                shutil.copytree(made, kept) if made.is_dir() else shutil.copy(made, kept)
        if output is not None:
            self.own.add(output)

    def build(self, name: str) -> None:
        """Builds what is not there under a name, if it is a name of some data."""
        path = self.folder / name
        if path.exists() or name.startswith("-"):
            return
        for pattern, words in MADE:
            if re.fullmatch(pattern, name):
                self.prepared([name if word == "OUT" else word for word in words.split()[1:]])
                return
        if re.fullmatch(r"runs/\w+", name):
            self.run_folder(name)
            return
        where = f"{self.block.page.name}\n{self.block.code}"
        for context, pattern, builder in INPUTS:
            if re.fullmatch(pattern, name) and re.search(context, where, re.S):
                builder(path)
                assert list(self.folder.glob(name)), f"the builder of {name} made something else"
                return

    def run_folder(self, name: str) -> None:
        """Makes a trained run with its scores on dev and test, or copies it."""
        key, data = ("a run",), "si5" if "si5" in name else "corpus"
        if data == "corpus" and "corpus" not in self.own and key in self.made:
            shutil.copytree(self.made[key], name)
            return
        self.prepared(["train", "--data_dir", data, "--output", name])
        for split in ("dev", "test"):
            self.prepared(["evaluate", name, "--data_dir", data, "--split", split])
        if data == "corpus" and "corpus" not in self.own:
            self.made[key] = Path(shutil.copytree(name, self.keep / "run"))

    def prepared(self, arguments: list[str]) -> None:
        """Runs a command that prepares data for the block; what it makes is not the block's own."""
        own = set(self.own)
        self.signloom(shortened(arguments))
        self.own = own


@pytest.fixture(scope="module")
def runner(tmp_path_factory):
    """A runner of a block in a folder; models and tracker are small stand-ins."""
    with stand_ins():
        yield partial(Runner, made={}, keep=tmp_path_factory.mktemp("made"))


RUN = [pytest.param(block, id=str(block)) for block in blocks() if not block.why_not]


@pytest.mark.parametrize("block", RUN)
def test_a_block_runs(block, runner, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runner(block, tmp_path).run()


def test_a_block_that_is_not_run_needs_what_a_test_cannot_have():
    reasons = {str(block): block.why_not for block in blocks() if block.why_not}
    assert {place: why for place, why in reasons.items() if not why.startswith("needs ")} == {}
