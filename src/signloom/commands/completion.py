"""Prints the lines that let a shell complete commands, options and files at the tab key.

Put them into the start file of the shell: eval "$(signloom completion bash)" in ~/.bashrc, eval "$(signloom completion
zsh)" in ~/.zshrc, signloom completion fish | source in ~/.config/fish/config.fish.
"""

from __future__ import annotations

import argparse
import os
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Literal

import argcomplete
from argcomplete.completers import FilesCompleter

from signloom import commands, importers
from signloom.commands.messages import is_list
from signloom.corpus import SPLITS
from signloom.model.presets import PRESETS
from signloom.score.protocols import PROTOCOLS
from signloom.train.recipes import recipes

# Set by a shell that asks for completions; its value is the number of words that name the program.
_ASKED = "_ARGCOMPLETE"


@dataclass
class Options:
    """Options of `signloom completion`."""

    positionals: ClassVar[tuple[str, ...]] = ("shell",)

    shell: Literal["bash", "zsh", "fish"]
    """the shell"""


def run(options: Options) -> int:
    """Returns the exit status: 0."""
    print(argcomplete.shellcode(["signloom"], shell=options.shell))
    return 0


def complete(own: Mapping[str, str]) -> None:
    """Answers a shell that asks how the command line can go on, and ends the process.

    own: the commands that have no module, with their texts.
    """
    words = _words_before_cursor()
    asks_help = words[:1] == ["help"]
    names = words[asks_help:]
    if not names:
        _choose(commands.COMMANDS if asks_help else {**commands.COMMANDS, **own}, len(words))
        return
    module = import_module(commands.module_of(names.pop(0))) if names[0] in commands.COMMANDS else None
    if hasattr(module, "KINDS"):
        if not names:
            _choose(importers.KINDS, len(words))
            return
        module = import_module(importers.module_of(names.pop(0))) if names[0] in importers.KINDS else None
    if module is None or asks_help:
        _choose({}, len(words))
    else:
        _complete_options(module.Options, len(words) - len(names))


def _words_before_cursor() -> list[str]:
    """Returns the words between the program and the word at the cursor; dashes in names become underscores, as in the
    word itself.
    """
    line, point = os.environ["COMP_LINE"], int(os.environ["COMP_POINT"])
    _, word, _, words, _ = argcomplete.split_line(line, point)
    if word.startswith("--") and "=" not in word and line[:point].endswith(word):
        os.environ["COMP_LINE"] = f"{line[: point - len(word)]}--{word[2:].replace('-', '_')}{line[point:]}"
    return [word if word.startswith("-") else word.replace("-", "_") for word in words[1:]]


def _choose(names: Mapping[str, str], num_words: int) -> None:
    """Completes one of `names`, each with its text, after `num_words` words."""
    parser = argparse.ArgumentParser(add_help=False)
    _add(parser, "name").completer = lambda **_: dict(names)
    _answer(parser, num_words)


def _complete_options(options: type, num_words: int) -> None:
    """Completes the options and arguments of a command, after `num_words` words."""
    from signloom.commands.parser import option_types

    types = option_types(options)
    positionals: tuple[str, ...] = getattr(options, "positionals", ())
    parser = argparse.ArgumentParser(allow_abbrev=False)
    _add(parser, "--config")
    for name, kind in types.items():
        if name in positionals:
            action = _add(parser, name, nargs="*" if is_list(kind) else None)
        else:
            action = _add(parser, f"--{name}", nargs="?" if kind is bool else None)
        action.completer = _completer(name, kind)
    _answer(parser, num_words)


def _add(parser: argparse.ArgumentParser, name: str, **settings: Any) -> Any:
    """Returns a new argument of a parser: argcomplete looks for its attribute `completer`."""
    return parser.add_argument(name, **settings)


def _completer(name: str, kind: Any) -> Callable[..., Iterable[str]]:
    """Returns the function that completes the values of an option."""
    parts = [kind, *typing.get_args(kind)]
    choices: Iterable[str]
    if name in ("preset", "baseline"):
        choices = PRESETS
    elif name in ("recipe", "names"):
        choices = recipes()
    elif name in ("split", "splits"):
        choices = SPLITS
    elif name == "protocol":
        choices = PROTOCOLS
    elif any(typing.get_origin(part) is Literal for part in parts):
        choices = [
            str(value) for part in parts if typing.get_origin(part) is Literal for value in typing.get_args(part)
        ]
    elif bool in parts:
        choices = ("true", "false")
    # Texts may name files, too.
    elif Path in parts or str in parts:
        files: Callable[..., Iterable[str]] = FilesCompleter()
        return files
    else:
        choices = ()
    return lambda **_: list(choices)


def _answer(parser: argparse.ArgumentParser, num_words: int) -> None:
    """Prints the completions for a shell; argcomplete takes `num_words` more words for the name of the program."""
    os.environ[_ASKED] = str(int(os.environ[_ASKED]) + num_words)
    argcomplete.autocomplete(parser, always_complete_options=False)
