"""An output in object storage: each command writes it there, or says in one line what to do."""

import dataclasses
import importlib
import re

import pytest

from signloom import cli, commands, importers
from signloom.commands.inputs import OUTPUTS
from signloom.errors import InputError

URL = "s3://bucket/folder"


def modules():
    """Each command, and each kind of import, with the module of its options; those that lack a package are left out."""
    for name in commands.COMMANDS:
        try:
            module = importlib.import_module(commands.module_of(name))
        except ModuleNotFoundError:
            continue
        kinds = getattr(module, "KINDS", None)
        if kinds is None:
            yield (name,), module
        for kind in kinds or ():
            yield (name, kind), importlib.import_module(importers.module_of(kind))


def outputs(options):
    """The options that name what a command writes."""
    return [item.name for item in dataclasses.fields(options) if item.name in OUTPUTS and "Path" in str(item.type)]


CASES = [(words, module, name) for words, module in modules() for name in outputs(module.Options)]
STORED = {(words, name) for words, module, name in CASES if name in getattr(module.Options, "urls", ())}


def required(options, *, without):
    """Words for every option that must be given."""
    words = []
    for item in dataclasses.fields(options):
        if item.default is item.default_factory is dataclasses.MISSING and item.name != without:
            words += ["x"] if item.name in getattr(options, "positionals", ()) else [f"--{item.name}", "x"]
    return words


@pytest.mark.parametrize(
    ("words", "module", "name"),
    [pytest.param(*case, id="-".join((*case[0], case[2]))) for case in CASES if (case[0], case[2]) not in STORED],
)
def test_a_command_that_cannot_write_there_says_so(words, module, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = [URL] if name in getattr(module.Options, "positionals", ()) else [f"--{name}", URL]
    with pytest.raises(InputError) as refused:
        cli.dispatch([*words, *required(module.Options, without=name), *given])
    assert re.fullmatch(
        rf"signloom {' '.join(words)}: (--{name}|{name.upper()}) is {URL}; needed a local file or folder: write it "
        "here, then copy it there",
        str(refused.value),
    )
    assert list(tmp_path.iterdir()) == []


def test_the_others_are_those_that_write_corpora_and_landmarks():
    # What they write there is tested with each of them.
    kinds = {("import", kind) for kind in importers.KINDS}
    expected = {(name,) for name in ("extract", "compose", "synth", "pack", "unpack")} | kinds
    assert {words for words, name in STORED} <= expected
    assert {("extract",), ("compose",), ("synth",), ("pack",), ("unpack",)} <= {words for words, name in STORED}
    assert {name for _, name in STORED} == {"output"}
