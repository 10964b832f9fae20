"""The command `signloom`: a table of commands, each a module with a dataclass `Options` and a function `run`.

The table alone answers `signloom --help`; a command's module, and whatever heavy packages it needs, is imported
when it is called. A field of `Options` is a flag of the same name, its attribute docstring the help text; fields
named in `Options.positionals` are positional. `--config FILE.yaml` reads any of them from a file.
"""

from __future__ import annotations

import difflib
import errno
import os
import re
import sys
import typing
from collections.abc import Callable, Sequence
from importlib import import_module
from types import NoneType, UnionType
from typing import Any, NoReturn

from signloom import __version__, commands, importers
from signloom.commands import COMMANDS, TRAINING
from signloom.errors import SignloomError, needs_extra


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs one command and exits: 0 fine, 1 a check failed, 2 misuse or unusable input, 130 interrupted."""
    status = 0
    # Threads that spin while they wait make torch about ten times slower as soon as anything else runs on the machine
    # (docs/design.md). OpenMP reads this once, when torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        status = dispatch(list(sys.argv[1:] if arguments is None else arguments))
    except SignloomError as error:
        print(f"signloom: error: {error}", file=sys.stderr)
        status = error.exit_status
    except KeyboardInterrupt:
        print("signloom: interrupted", file=sys.stderr)
        status = 130
    except BrokenPipeError:
        # The reader of our output went away (`| head`): nothing more to say, not even at interpreter exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        print(f"signloom: error: {_describe(error)}", file=sys.stderr)
        status = 2
    sys.exit(status)


def dispatch(arguments: list[str]) -> int:
    """The exit status of the command that `arguments` name."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_table("signloom COMMAND [options]", COMMANDS))
        return 0 if arguments else 2
    if arguments[0] in ("-V", "--version"):
        print(f"signloom {__version__}")
        return 0
    name, rest = _known(arguments[0], COMMANDS, "command"), arguments[1:]
    program = f"signloom {name}"
    with needs_extra(program, trains=name in TRAINING):
        module = import_module(commands.module_of(name))
        if hasattr(module, "KINDS"):
            if not rest or rest[0] in ("-h", "--help"):
                print(_table(f"{program} KIND [options]", module.KINDS))
                return 0 if rest else 2
            kind = _known(rest[0], module.KINDS, "kind")
            module, program, rest = import_module(importers.module_of(kind)), f"{program} {kind}", rest[1:]
        return run_module(module, program, rest)


def run_module(module: Any, program: str, arguments: list[str]) -> int:
    """Parses `arguments` into the module's `Options` and runs it."""
    run: Callable[[Any], int] = module.run
    return run(parse(module.Options, module.__doc__ or "", program, arguments))


def parse(options: type, description: str, program: str, arguments: list[str]) -> Any:
    """An instance of the dataclass `options` from command line arguments and `--config` files."""
    import dataclasses

    import jsonargparse

    jsonargparse.set_parsing_settings(docstring_parse_attribute_docstrings=True)

    class Parser(jsonargparse.ArgumentParser):
        def error(self, message: str, ex: Exception | None = None) -> NoReturn:
            print(
                f"{program}: error: {_with_nearest(_in_words(message, options), options)}\nSee '{program} --help'.",
                file=sys.stderr,
            )
            raise SystemExit(2)

    class Formatter(jsonargparse.DefaultHelpFormatter):
        def _get_type_str(self, action: Any) -> str | None:
            name = super()._get_type_str(action)
            name = name and name.replace("<class 'Path'>", "path").replace("Path", "path").replace(" | null", "")
            return re.sub(r"^Optional\[(.*)\]$", r"\1", name) if name else name

        def _expand_help(self, action: Any) -> str:
            # An option that need not be given says in its own words what holds without it.
            return super()._expand_help(action).replace(", default: null)", ")")

    positionals: tuple[str, ...] = getattr(options, "positionals", ())
    parser = Parser(
        prog=program,
        usage=" ".join([program, "[options]", *(name.upper() for name in positionals)]),
        description=description.strip(),
        formatter_class=Formatter,
        exit_on_error=True,
        allow_abbrev=False,
    )
    parser.add_argument("--config", action="config", help="a YAML file with any of the options below")
    types = _field_types(options)
    fields = {field.name: field for field in dataclasses.fields(options)}
    for name in positionals:
        many = str(types[name]).startswith(("list", "tuple"))
        # argparse asks for the type of one item where there are many.
        kind = typing.get_args(types[name])[0] if many else types[name]
        fewest = "+" if fields[name].default is dataclasses.MISSING else "*"
        parser.add_argument(name, type=kind, help=_docstring(options, name), nargs=fewest if many else None)
    parser.add_class_arguments(options, skip=set(positionals), sub_configs=False)
    for group in parser._action_groups:
        if group.title and group.title.startswith(
            (f"{options.__name__}(", (options.__doc__ or "?").split("\n")[0][:20])
        ):
            group.title = f"options of {program}"
    # Options that stand for others (`--recipe NAME`) are told by the module.
    expand: Callable[[list[str]], list[str]] = getattr(options, "expand", list)
    values = parser.parse_args(_spelled_out(expand(arguments), types))
    values.pop("config", None)
    values = parser.instantiate(values)
    return options(**{name: values[name] for name in types})


def _spelled_out(arguments: list[str], types: dict[str, Any]) -> list[str]:
    """`arguments` as the parser reads them: `--flag` for `--flag true`, `--names a b` for `--names ["a", "b"]`."""
    import json

    spelled: list[str] = []
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        spelled.append(word)
        kind = types.get(word.removeprefix("--")) if word.startswith("--") else None
        following = []
        while rest and not rest[0].startswith("--"):
            following.append(rest.pop(0))
        if kind is bool and (not following or following[0].lower() not in ("true", "false")):
            spelled[-1] = f"{word}=true"
        elif (
            str(kind).startswith(("list[str", "list[pathlib", "tuple["))
            and following
            and not following[0].startswith("[")
        ):
            following = [json.dumps(following, ensure_ascii=False)]
        spelled += following
    return spelled


def _field_types(options: type) -> dict[str, Any]:
    import dataclasses
    import typing

    hints = typing.get_type_hints(options)
    return {field.name: hints[field.name] for field in dataclasses.fields(options)}


def _docstring(options: type, name: str) -> str:
    import inspect

    import docstring_parser

    parsed = docstring_parser.parse_from_object(options)
    described = {param.arg_name: param.description or "" for param in parsed.params}
    return inspect.cleandoc(described.get(name, ""))


# What an option of each type needs, in words.
_NEEDED: dict[Any, str] = {int: "a whole number", float: "a number", bool: "true or false"}


def _in_words(message: str, options: type) -> str:
    """What jsonargparse says of a value of the wrong type, put as other errors are; any other message as it is."""
    found = re.match(r'Parser key "(\w+)":.*[Vv]alue: (.*)', message, re.DOTALL)
    if not found:
        return message
    hint = _field_types(options).get(found[1])
    kinds = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, UnionType) else (hint,)
    needed: list[str] = []
    for kind in kinds:
        if typing.get_origin(kind) is typing.Literal:
            needed += typing.get_args(kind)
        elif kind in _NEEDED:
            needed.append(_NEEDED[kind])
        elif kind is not NoneType:
            return message
    choice = f"{', '.join(needed[:-1])} or {needed[-1]}" if len(needed) > 1 else "".join(needed)
    return f"--{found[1]} is {found[2].strip()!r}; needed {choice}"


def _with_nearest(message: str, options: type) -> str:
    """`message`, with the nearest known option named for every unknown one it speaks of."""
    known = list(_field_types(options))
    hints = []
    words = message.replace("'", " ").replace('"', " ").split()
    if "nrecognized" in message:
        # The values of unknown flags are named too; only the flags themselves are misspelt.
        words = [word for word in words if word.startswith("--")]
    for word in words:
        name = word.strip(".,:()").lstrip("-").split("=")[0]
        if (
            name
            and name not in known
            and ("nrecognized" in message or "not accepted" in message or "No action" in message)
        ):
            near = difflib.get_close_matches(name.replace("-", "_"), known, n=1, cutoff=0.6)
            if near:
                hints.append(f"did you mean --{near[0]}?")
    return " ".join([message.strip(), *dict.fromkeys(hints)])


def _known(name: str, table: dict[str, str], noun: str) -> str:
    """Returns `name` where the table has it; otherwise exits, naming the nearest."""
    if name not in table:
        near = difflib.get_close_matches(name, table, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        print(f"signloom: error: unknown {noun} {name!r}{hint}\nKnown: {', '.join(table)}", file=sys.stderr)
        raise SystemExit(2)
    return name


def _table(usage: str, table: dict[str, str]) -> str:
    width = max(map(len, table)) + 2
    rows = "\n".join(f"  {name:<{width}}{text}" for name, text in table.items())
    program = usage.split(" [")[0]
    return f"usage: {usage}\n\n{rows}\n\n'{program} --help' tells a command's options."


def _describe(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{where}no space left on the disk; nothing half-written was kept. Free some space and run this again"
    return f"{where}{error.strerror or error}"


if __name__ == "__main__":
    main()
