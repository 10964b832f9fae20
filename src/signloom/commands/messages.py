"""Turns command lines into what jsonargparse accepts, and its error messages into readable ones."""

from __future__ import annotations

import difflib
import json
import math
import re
import typing
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any

from signloom.errors import Faults

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


def spell_out(arguments: list[str], types: Mapping[str, Any]) -> list[str]:
    """Returns `arguments` as jsonargparse accepts them; types: of the options, by name.

    jsonargparse requires a value after a bool option and reads a list from a single JSON argument. So `--flag` becomes
    `--flag=true`, and `--names a b` becomes `--names ["a", "b"]`, as does `--names a --names b`.
    """
    spelled: list[str] = []
    lists: dict[str, tuple[int, list[str]]] = {}
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        kind = types.get(word.removeprefix("--")) if word.startswith("--") else None
        values = []
        while rest and not rest[0].startswith("--"):
            values.append(rest.pop(0))
        if kind is bool and (not values or values[0].lower() not in ("true", "false")):
            word = f"{word}=true"
        elif str(kind).startswith(("list[str", "list[pathlib", "tuple[")) and values and not values[0].startswith("["):
            place, before = lists.get(word, (len(spelled) + 1, []))
            lists[word] = (place, [*before, *values])
            values = [json.dumps([*before, *values], ensure_ascii=False)]
            if before:
                spelled[place] = values[0]
                continue
        spelled += [word, *values]
    return spelled


def in_words(message: str, types: Mapping[str, Any]) -> str:
    """Returns a readable message for a value of the wrong type; any other message unchanged.

    jsonargparse says `Parser key "epochs":`, then, on further lines, every type that it tried and the value.
    """
    match = re.match(r'Parser key "(\w+)":.*[Vv]alue: (.*)', message, re.DOTALL)
    if not match:
        return message
    hint = types.get(match[1])
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
            return f"{name or before} is a number of {len(value):,} digits; {_MOST_DIGITS}"
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
            hints.append(f"did you mean --{near[0]}?")
    return " ".join([message.strip(), *dict.fromkeys(hints)])
