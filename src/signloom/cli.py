"""The command line `signloom`: finds the command, parses its options and runs it.

The table of commands alone answers `signloom --help`; the module of a command, and the heavy packages that it needs,
are imported when it is called. Each field of its `Options` is an option of the same name, with the attribute docstring
as help text; fields in `Options.positionals` are positional. `--config FILE.yaml` reads options from a file.
"""

from __future__ import annotations

import difflib
import errno
import os
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from typing import Any, NoReturn

from signloom import __version__, commands, importers
from signloom.commands import COMMANDS, TRAINING, messages, unexpected
from signloom.commands.output import patient_output
from signloom.errors import InputError, SignloomError, StoppedError, needs_extra, signal_of
from signloom.signals import SignalWatch

# What Path.resolve raises as a RuntimeError, up to Python 3.12; later it is an OSError.
_LOOP = "Symlink loop from "
# Commands that need no module.
_OWN = {
    "help": "the same as --help: 'signloom help train' lists the options of train",
    "version": "the version of signloom",
}


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs one command and exits: 0 success, 1 a check failed, 2 misuse or invalid input, 70 an error that nobody
    foresaw, 128 + n for signal n.
    """
    # Waiting threads that spin make torch about ten times slower while other programs run (docs/design.md). OpenMP
    # reads this variable once, when torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    # A shell asks for completions: see commands/completion.py.
    if "_ARGCOMPLETE" in os.environ:
        import_module(commands.module_of("completion")).complete(_OWN)
    with SignalWatch(at_once=True).listening(), patient_output():
        status = _status(list(sys.argv[1:] if arguments is None else arguments))
    sys.exit(status)


def _status(arguments: list[str]) -> int:
    """Runs one command and returns its exit status; prints its errors."""
    try:
        return dispatch(arguments)
    except StoppedError as stop:
        if not stop.logged:
            print(f"signloom: {stop}", file=sys.stderr)
        return stop.exit_status
    except SignloomError as error:
        print(f"signloom: error: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt as interrupt:
        number = signal_of(interrupt)
        print(f"signloom: {'terminated' if number == signal.SIGTERM else 'interrupted'}", file=sys.stderr)
        return 128 + number
    except OSError as error:
        print(f"signloom: error: {_describe(error)}", file=sys.stderr)
        return 2
    except Exception as error:
        if str(error).startswith(_LOOP):
            print(f"signloom: error: {str(error).removeprefix(_LOOP)}: symbolic links lead in a loop", file=sys.stderr)
            return 2
        return unexpected.report(error, arguments)


def dispatch(arguments: list[str]) -> int:
    """Runs the command that `arguments` name and returns its exit status.

    Errors pass through; `main` prints them.
    """
    _check_text(arguments)
    if arguments[:1] == ["help"]:
        arguments = [*arguments[1:], "--help"]
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_table("signloom COMMAND [options]", {**COMMANDS, **_OWN}))
        return 0 if arguments else 2
    if arguments[0] in ("-V", "--version", "version"):
        print(f"signloom {__version__}")
        return 0
    name, rest = _known(arguments[0], COMMANDS, "command", others=_OWN), arguments[1:]
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


def _check_text(arguments: list[str]) -> None:
    """Raises InputError for an argument that is no text: no file that signloom writes could name it."""
    for number, argument in enumerate(arguments, 1):
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise InputError(
                f"argument {number}, {argument!r}, is not valid {sys.getfilesystemencoding().upper()}; rename the "
                "file, or set a UTF-8 locale, such as LC_ALL=C.UTF-8"
            ) from None


def run_module(module: Any, program: str, arguments: list[str]) -> int:
    """Parses `arguments` into the `Options` of a command's module, runs it and returns its exit status."""
    run: Callable[[Any], int] = module.run
    options = parse(module.Options, module.__doc__ or "", program, arguments)
    # Not before: --help needs neither.
    from signloom.commands.fetched import fetched_inputs
    from signloom.commands.inputs import protect_inputs
    from signloom.corpus import NoCorpusError
    from signloom.files.inputs import protected_inputs
    from signloom.files.urls import Url

    with protected_inputs(), fetched_inputs(options) as options:
        protect_inputs(options)
        try:
            return run(options)
        except NoCorpusError as error:
            from signloom.importers.recognise import hint

            stored = isinstance(error.folder, Url)
            raise InputError(f"{error}{'' if stored else hint(error.folder)}") from None


def parse(options: type, description: str, program: str, arguments: list[str]) -> Any:
    """Returns an instance of the dataclass `options`, from command line arguments and `--config` files."""
    from signloom.commands.parser import field_types, make_parser

    types = field_types(options)
    parser = make_parser(options, description, program)
    # A module can replace options that stand for others (`--recipe NAME`).
    expand: Callable[[list[str]], list[str]] = getattr(options, "expand", list)
    try:
        values = parser.parse_args(messages.spell_out(expand(arguments), parser.types, needs_word=parser.needs_word))
    except OverflowError:
        raise InputError(f"{program}: {messages.too_long(arguments)}") from None
    except UnicodeDecodeError as error:
        raise InputError(
            f"{program}: the file of --config is not UTF-8 ({error.reason} at byte {error.start:,}); save it as UTF-8"
        ) from None
    # Not before: --help needs no corpus.
    from signloom.commands.fetched import fetches
    from signloom.commands.inputs import locate

    values.pop("config", None)
    values = parser.instantiate(values)
    chosen = {name: values[name] for name in types}
    messages.check_numbers(chosen, program)
    locate(chosen, options, program, fetches=fetches(options))
    return options(**chosen)


def _known(name: str, table: Iterable[str], noun: str, *, others: Iterable[str] = ()) -> str:
    """Returns `name`, with underscores for dashes, if the table has it; otherwise exits with a message that names the
    nearest, also of `others`.
    """
    if (known := name.replace("-", "_")) not in table:
        everything = [*table, *others]
        near = difflib.get_close_matches(known, everything, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        print(f"signloom: error: unknown {noun} {name!r}{hint}\nKnown: {', '.join(everything)}", file=sys.stderr)
        raise SystemExit(2)
    return known


def _table(usage: str, table: dict[str, str]) -> str:
    width = max(map(len, table)) + 2
    rows = "\n".join(f"  {name:<{width}}{text}" for name, text in table.items())
    program = usage.split(" [")[0]
    return f"usage: {usage}\n\n{rows}\n\n'{program} --help' lists its options."


def _describe(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{where}no space left on the disk; no incomplete file was kept. Free some space and run this again"
    return f"{where}{error.strerror or error}"


if __name__ == "__main__":
    main()
