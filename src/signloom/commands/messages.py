"""Turns command lines into what jsonargparse accepts, and its error messages into readable ones."""

from __future__ import annotations

import difflib
import json
import math
import re
import typing
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import NoneType, UnionType
from typing import Any

from signloom.errors import Faults, plural

_MOST_DIGITS = "needed at most 18 digits"
# Our names of options that other training code calls otherwise.
_OTHER_NAMES = {
    "lr": "learning_rate",
    "early_stopping_patience": "patience",
    "early_stopping": "patience",
    "dynamic_truncation": "max_frames",
    "gradient_checkpointing": "checkpoint_activations",
    "accumulation_steps": "accumulate",
    "gradient_accumulation_steps": "accumulate",
    "grad_clip": "gradient_clip",
    "num_epochs": "epochs",
    "output_dir": "output",
    "save_dir": "output",
    "checkpoint": "init",
    "fp16": "precision",
    "amp": "precision",
}

# What an option of each type needs, in words.
_NEEDED: dict[Any, str] = {int: "a whole number", float: "a number", bool: "true or false"}


def spell_out(arguments: list[str], types: Mapping[str, Any], *, needs_word: bool = False) -> list[str]:
    """Returns `arguments` as jsonargparse accepts them.

    types: of the options, by name.  needs_word: whether the command needs a word that belongs to no option.

    Dashes in the name of an option become underscores. jsonargparse requires a value after a bool option and reads a
    list from a single JSON argument. So `--flag` becomes `--flag=true`, and `--names A,B` becomes `--names ["A", "B"]`,
    as do `--names A B` and `--names A --names B`. The last word after a list is the one that the command needs, if
    there is no other.
    """
    spelled: list[str] = []
    lists: dict[str, tuple[int, list[str]]] = {}
    loose: list[str] = []
    last = ""
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word == "--":
            loose += rest
            spelled += [word, *rest]
            break
        if not word.startswith("--"):
            loose.append(word)
            spelled.append(word)
            continue
        name, equals, value = word.removeprefix("--").partition("=")
        name = name.replace("-", "_") if name.replace("-", "_") in types else name
        kind = types.get(name)
        if is_list(kind):
            words = [value] if equals else _words_of_list(rest)
            last = name if len(words) > 1 else last
            place, before = lists.get(name, (len(spelled), []))
            if words:
                lists[name] = (place, [*before, *(item for text in words for item in _items(text))])
            spelled += [] if before else [f"--{name}"]
        elif kind is bool and not equals:
            given = bool(rest) and rest[0].lower() in ("true", "false")
            spelled.append(f"--{name}={rest.pop(0) if given else 'true'}")
        else:
            spelled.append(f"--{name}{equals}{value}")
            if not equals and rest and not rest[0].startswith("--"):
                spelled.append(rest.pop(0))
    if needs_word and not loose and last:
        spelled.append(lists[last][1].pop())
    for name, (place, items) in lists.items():
        spelled[place] = f"--{name}={json.dumps(items, ensure_ascii=False)}"
    return spelled


def _words_of_list(rest: list[str]) -> list[str]:
    """Removes the words of a list from the front of `rest`, and returns them: to the next option, or to the end of
    A,B.
    """
    words: list[str] = []
    while rest and not rest[0].startswith("--"):
        words.append(rest.pop(0))
        if len(_items(words[-1])) > 1 and not words[-1].endswith(","):
            break
    return words


def is_list(kind: Any) -> bool:
    """Returns whether an option of the type `kind` takes several values."""
    return typing.get_origin(kind) in (list, tuple)


def _items(text: str) -> list[str]:
    """Returns the items of a list as it is written on the command line: A,B or a JSON list.

    A text with commas that names a file is that file.
    """
    if text.startswith("["):
        with suppress(ValueError):
            return [str(item) for item in json.loads(text)]
    if "," not in text or Path(text).exists():
        return [text]
    return [item.strip() for item in text.split(",") if item.strip()]


def in_words(message: str, types: Mapping[str, Any]) -> str:
    """Returns a readable message for a value of the wrong type; any other message unchanged.

    jsonargparse says `Parser key "epochs":`, then, on further lines, every type that it tried and the value.
    """
    if match := re.match(r"argument (--[\w.]+)\S*: expected one argument", message):
        return f"{match[1]} needs a value"
    match = re.match(r'Parser key "([\w.]+)":.*[Vv]alue: (.*)', message, re.DOTALL)
    if not match:
        return message
    hint = types.get(match[1])
    if is_list(hint):
        return (
            f"{match[1]} is {match[2].strip()}; needed a list: [A, B] in a file, --{match[1]} A,B on the command line"
        )
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
    return f"--{match[1]} is {match[2].strip()!r}; needed {choice}"


def check_numbers(values: Mapping[str, Any], program: str) -> None:
    """Raises InputError listing the options that no command can use: numbers that are not finite, whole numbers too
    long for 64 bits, seeds below 0.
    """
    faults = Faults(program)
    for name, value in values.items():
        for item in value if isinstance(value, list | tuple) else (value,):
            if isinstance(item, int) and abs(item) >= 2**63:
                faults.add(f"--{name} is a number of {item.bit_length():,} bits; {_MOST_DIGITS}")
            elif isinstance(item, float) and not math.isfinite(item):
                faults.add(f"--{name} is {item}; needed a finite number")
            elif name == "seed" and isinstance(item, int) and item < 0:
                faults.add(f"--seed is {item}; needed at least 0")
    faults.raise_if_any()


def too_long(arguments: list[str]) -> str:
    """Returns the message about a whole number that no float can hold, naming its option if it is in the arguments."""
    before = ""
    for word in arguments:
        name, _, value = word.rpartition("=")
        if value.lstrip("+-").isdecimal() and len(value) > 18:
            return f"{name or before} is a number of {plural(len(value), 'digit')}; {_MOST_DIGITS}"
        before = word
    return f"a number in the file of --config is too long; {_MOST_DIGITS}"


def with_nearest(message: str, types: Mapping[str, Any]) -> str:
    """Returns `message` with the nearest option for every unknown one in it.

    jsonargparse lists unknown options of the command line ("unrecognized arguments") together with their values, and
    names unknown keys of a file ("not accepted", "No action"), but never proposes another name.
    """
    words = message.replace("'", " ").replace('"', " ").split()
    if "nrecognized" in message:
        words = [word for word in words if word.startswith("--")]
    elif not ("not accepted" in message or "No action" in message):
        words = []
    hints = []
    for word in words:
        name = word.strip(".,:()").lstrip("-").split("=")[0]
        name = name.replace("-", "_")
        same = [_OTHER_NAMES[name]] if _OTHER_NAMES.get(name) in types else []
        near = same or difflib.get_close_matches(name, types, n=1, cutoff=0.6)
        if name not in types and near:
            hints.append(f"; did you mean --{near[0]}?")
    return "".join([message.strip(), *dict.fromkeys(hints)])
