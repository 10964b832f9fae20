"""The parser of a command: each field of its `Options` is an option, with the attribute docstring as help text."""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
import typing
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import docstring_parser
import jsonargparse

from signloom.commands import messages
from signloom.files.options_file import read_options


class Parser(jsonargparse.ArgumentParser):
    """Exits with status 2 and one sentence where arguments are wrong."""

    types: dict[str, Any]

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        text = messages.with_nearest(messages.in_words(message, self.types), self.types)
        print(f"{self.prog}: error: {text}\nSee '{self.prog} --help'.", file=sys.stderr)
        raise SystemExit(2)


class _Formatter(jsonargparse.DefaultHelpFormatter):
    def _get_type_str(self, action: Any) -> str | None:
        name = super()._get_type_str(action)
        name = name and name.replace("<class 'Path'>", "path").replace("Path", "path").replace(" | null", "")
        return re.sub(r"^Optional\[(.*)\]$", r"\1", name) if name else name

    def _expand_help(self, action: Any) -> str:
        text = super()._expand_help(action)
        # jsonargparse calls every positional required.
        text = text.replace("(required, ", "(") if action.nargs == "*" else text
        # The help text of an optional option says itself what holds without it.
        return text.replace(", default: null)", ")")


class _ConfigFile(jsonargparse.ActionConfigFile):
    def __call__(self, parser: Any, cfg: Any, values: Any, option_string: str | None = None) -> None:
        # Whatever YAML allows beyond a table of options is refused before jsonargparse reads it.
        read_options(Path(values))
        super().__call__(parser, cfg, values, option_string)


def field_types(options: type) -> dict[str, Any]:
    """Returns the type of each field of a dataclass, in their order."""
    hints = typing.get_type_hints(options)
    return {field.name: hints[field.name] for field in dataclasses.fields(options)}


@cache
def make_parser(options: type, description: str, program: str) -> Parser:
    """Returns the parser of a command with the dataclass `options`.

    It is made once: docstrings of attributes are found in the source text, which takes most of the time of a call.
    """
    types = field_types(options)
    fields = {field.name: field for field in dataclasses.fields(options)}
    # jsonargparse resolves the annotations of one parent class, but not of two.
    typing.cast(Any, options).__init__.__annotations__.update(types)
    jsonargparse.set_parsing_settings(docstring_parse_attribute_docstrings=True)
    positionals: tuple[str, ...] = getattr(options, "positionals", ())
    parser = Parser(
        prog=program,
        usage=" ".join([program, "[options]", *(name.upper() for name in positionals)]),
        description=description.strip(),
        formatter_class=_Formatter,
        exit_on_error=True,
        allow_abbrev=False,
    )
    parser.types = types
    parser.add_argument("--config", action=_ConfigFile, help="a YAML file with any of the options below")
    texts = {item.arg_name: item.description or "" for item in docstring_parser.parse_from_object(options).params}
    for name in positionals:
        many = str(types[name]).startswith(("list", "tuple"))
        # argparse takes the type of one item, even for several.
        kind = typing.get_args(types[name])[0] if many else types[name]
        number = ("+" if fields[name].default is dataclasses.MISSING else "*") if many else None
        parser.add_argument(name, type=kind, help=inspect.cleandoc(texts.get(name, "")), nargs=number)
    parser.add_class_arguments(options, skip=set(positionals), sub_configs=False)
    # jsonargparse takes the docstring of the class as the title; a dataclass without one has its signature there.
    for group in parser._action_groups:
        if group.title and group.title.startswith(
            (f"{options.__name__}(", (options.__doc__ or "?").split("\n")[0][:20])
        ):
            group.title = f"options of {program}"
    return parser
