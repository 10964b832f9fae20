"""The parser of a command: each field of its `Options` is an option, with the attribute docstring as help text."""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
import typing
from copy import copy
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import docstring_parser
import jsonargparse

from signloom.commands import messages
from signloom.files.cache import DEFAULT_GB
from signloom.files.cache import VARIABLE as CACHE_GB
from signloom.files.options_file import read_options
from signloom.files.scratch import VARIABLE as CACHE

# Options that name a corpus, which may lie in object storage.
CORPORA = ("data_dir", "corpus")
_ON_URLS = (
    "A corpus, and what says so above, may be a URL: s3://BUCKET/FOLDER, gs://BUCKET/FOLDER. What is read of a corpus "
    f"there is copied to ${CACHE} (~/.cache/signloom), up to ${CACHE_GB} gigabytes "
    f"({DEFAULT_GB:g})."
)
_ON_LISTS = 'A list is written A,B. If an item has a comma, write the list as JSON: \'["A", "B,C"]\'.'


class Parser(jsonargparse.ArgumentParser):
    """Exits with status 2 and one sentence where arguments are wrong."""

    # The type of each option by name, the names of positional arguments, and whether one of these is required.
    types: dict[str, Any]
    positionals: tuple[str, ...]
    needs_word: bool

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        text = messages.with_nearest(messages.in_words(message, self.types), self.types)
        for name in self.positionals:
            text = text.replace(f"--{name} is", f"{name.upper()} is")
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
        text = text.replace(", default: null)", ")")
        text = text.replace(", default: [])", ")").replace(", default: ())", ")")
        # As it is written on the command line.
        return re.sub(r"(?<=default: )[\[(].*[\])](?=\)$)", lambda match: re.sub(r"[\[\]()' ]", "", match[0]), text)

    def _format_action_invocation(self, action: Any) -> str:
        return super()._format_action_invocation(_shown(action))


def _shown(action: Any) -> Any:
    """Returns an option as it is written: a list with commas, without jsonargparse's `--name+`; a flag alone."""
    shown = copy(action)
    if action.metavar == "[ITEM,...]":
        shown.option_strings = [option for option in action.option_strings if not option.endswith("+")]
        shown.metavar = "A,B,..."
    elif action.metavar == "{true,false}":
        shown.metavar = "[{true,false}]"
    return shown


class _ConfigFile(jsonargparse.ActionConfigFile):
    def __call__(self, parser: Any, cfg: Any, values: Any, option_string: str | None = None) -> None:
        # Whatever YAML allows beyond a table of options is refused before jsonargparse reads it.
        read_options(Path(values))
        super().__call__(parser, cfg, values, option_string)


def field_types(options: type) -> dict[str, Any]:
    """Returns the type of each field of a dataclass, in their order."""
    hints = typing.get_type_hints(options)
    return {field.name: hints[field.name] for field in dataclasses.fields(options)}


def _in_usage(name: str, kind: Any) -> str:
    return f"{name.upper()}{' ...' if messages.is_list(kind) else ''}"


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is field.default_factory is dataclasses.MISSING


def option_types(options: type) -> dict[str, Any]:
    """Returns the type of each option of a command by its name; amounts of a table have the names `table.amount`."""
    types = field_types(options)
    for name, kind in list(types.items()):
        if dataclasses.is_dataclass(kind) and isinstance(kind, type):
            types |= {f"{name}.{part}": hint for part, hint in option_types(kind).items()}
    return types


def _epilog(options: type, types: dict[str, Any], positionals: tuple[str, ...]) -> str:
    has_lists = any(messages.is_list(types[name]) for name in {*types} - {*positionals})
    has_urls = bool({*CORPORA, *getattr(options, "urls", ())} & {*types})
    return "\n\n".join([_ON_LISTS] * has_lists + [_ON_URLS] * has_urls)


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
        usage=" ".join([program, "[options]", *(_in_usage(name, types[name]) for name in positionals)]),
        description=description.strip(),
        epilog=_epilog(options, types, positionals),
        formatter_class=_Formatter,
        exit_on_error=True,
        allow_abbrev=False,
    )
    parser.types = option_types(options)
    parser.positionals = positionals
    parser.needs_word = any(_is_required(fields[name]) for name in positionals)
    parser.add_argument("--config", action=_ConfigFile, help="a YAML file with any of the options below")
    texts = {item.arg_name: item.description or "" for item in docstring_parser.parse_from_object(options).params}
    for name in positionals:
        many = messages.is_list(types[name])
        # argparse takes the type of one item, even for several.
        kind = typing.get_args(types[name])[0] if many else types[name]
        number = ("+" if _is_required(fields[name]) else "*") if many else None
        parser.add_argument(name, type=kind, help=inspect.cleandoc(texts.get(name, "")), nargs=number)
    parser.add_class_arguments(options, skip=set(positionals), sub_configs=False)
    # jsonargparse takes the docstring of the class as the title; a dataclass without one has its signature there.
    for group in parser._action_groups:
        if group.title and group.title.startswith(
            (f"{options.__name__}(", (options.__doc__ or "?").split("\n")[0][:20])
        ):
            group.title = f"options of {program}"
    return parser
