"""Checks what our own files hold against declared schemas: types, ranges, lengths.

A schema is a `msgspec.Struct` or a dataclass whose annotations say what a value may be, or one such annotation, e.g.
`Annotated[float, msgspec.Meta(ge=1, le=1000)]`. A description in the `Meta` replaces the words made from the type.
Only modules that read files import this one.
"""

from __future__ import annotations

import json
import math
import re
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from signloom.errors import InputError, plural
from signloom.files.reading import Kind, parse_json, read_bytes
from signloom.files.urls import located

T = TypeVar("T")
# The scores of every utterance of a large corpus.
_RECORD = Kind("a record of signloom", 500_000_000)

# A control character, or half of a surrogate pair: neither belongs into a name, and no terminal or file should get it.
NOT_PLAIN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def text_of(most: int, description: str = "") -> Meta:
    """Returns the bounds of a text of 1 to `most` characters without control characters."""
    return Meta(
        min_length=1,
        max_length=most,
        pattern=f"^[^{NOT_PLAIN.pattern[1:-1]}]*\\Z",
        description=description or f"text of 1 to {most:,} characters without control characters",
    )


def one_of(*values: str) -> Meta:
    """Returns the bounds of a text that is one of `values`."""
    return Meta(pattern=rf"^({'|'.join(map(re.escape, values))})\Z", description=f"one of {', '.join(values)}")


Name = Annotated[str, text_of(1000)]
"""A name: of an utterance, a signer, a corpus."""
Table = dict[str, Any]
"""An object whose content nothing here depends on."""


def decode_json(data: bytes, place: str, *, non_finite: bool = False) -> Any:
    """Returns what JSON in UTF-8 holds. Raises InputError for anything else and for a key that occurs twice.

    place: put before the message.  non_finite: also accept NaN and infinite numbers, as Python writes them.
    """

    def finite(text: str) -> float:
        if not math.isfinite(number := float(text)):
            raise InputError(f"{place}: a number is {shown(text)}; needed finite numbers")
        return number

    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{place}: not UTF-8 ({error.reason} at byte {error.start:,})") from None
    hooks = {} if non_finite else {"parse_float": finite, "parse_constant": finite}
    return parse_json(text, place, **hooks)


def encode_json(value: Any, place: str) -> bytes:
    """Returns a value as JSON in UTF-8. Raises InputError for what `decode_json` would refuse."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{place}: text that is not valid Unicode, {shown(error.object[error.start])}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{place}: cannot be written as JSON ({error})") from None


def check(kind: type[T], value: Any, place: str = "", *, name: str = "the content") -> T:
    """Returns decoded JSON `value` as an object of the schema `kind`. Raises InputError naming its first fault.

    place: put before the message.  name: of the value itself.
    """
    try:
        return msgspec.convert(value, kind, dec_hook=_path)
    except msgspec.ValidationError as error:
        fault = _explain(kind, value, str(error), name)
    except InputError as error:
        # Of a dataclass that checks more than its annotations can say.
        fault = str(error)
    except RecursionError:
        fault = "nested too deeply"
    raise InputError(f"{place}: {fault}" if place else fault)


def _path(kind: type, value: Any) -> Any:
    """Returns the path or URL that a text names, where a schema has one."""
    if kind is Path and isinstance(value, str | Path) and "\0" not in str(value):
        return located(value)
    raise ValueError(f"expected {kind.__name__}")


def read_record(path: Path, kind: type, *, non_finite: bool = False) -> dict[str, Any]:
    """Returns the object in a JSON file of ours, after checking it against the schema `kind`.

    Raises InputError naming the file as `decode_json` and `check` do, and for one that cannot be read.
    """
    record: dict[str, Any] = decode_json(read_bytes(path, _RECORD), str(path), non_finite=non_finite)
    check(kind, record, str(path))
    return record


def shown(value: Any) -> str:
    """Returns a value for a message: short, and in one line."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list | tuple):
        return f"a list of {len(value):,}"
    if isinstance(value, int) and value.bit_length() > 200:
        return "a number of over 60 digits"
    text = ascii(value) if isinstance(value, str) and NOT_PLAIN.search(value) else repr(value)
    return text if len(text) <= 60 else f"{text[:50]}... ({plural(len(text), 'character')})"


def _explain(kind: Any, value: Any, message: str, name: str) -> str:
    """Returns the fault that `msgspec` found, with place, value and what was needed.

    Of its message only the place and the names of missing and unknown fields are used: `... - at `$.a.b[0]``.
    """
    text, _, path = message.partition(" - at `")
    label = ""
    annotation = kind
    for step in re.findall(r"\.([^.\[`]+)|\[(\d+|\.\.\.)\]", path.partition("`")[0].removeprefix("$")):
        key, index = step
        if key:
            annotation, value = _fields(annotation)[key], value[key]
            label += f".{key}" if label else key
        elif index == "...":
            item = typing.get_args(_bare(annotation))[-1]
            key = next(key for key, entry in value.items() if not fits(item, entry))
            annotation, value = item, value[key]
            label += f"[{shown(key)}]"
        else:
            annotation, value = _item(annotation, int(index)), value[int(index)]
            label += f"[{index}]"
    prefix = f"{label}." if label else ""
    if missing := re.fullmatch(r"Object missing required field `(.+)`", text):
        return f"{prefix}{missing[1]} is missing; needed {described(_fields(annotation).get(missing[1], Any))}"
    if unknown := re.fullmatch(r"Object contains unknown field `(.+)`", text):
        return f"{prefix}{unknown[1]} is unknown; known are {', '.join(_fields(annotation))}"
    return f"{label or name} is {shown(value)}; needed {described(annotation)}"


def fits(annotation: Any, value: Any) -> bool:
    """Returns whether a value is what an annotation needs."""
    try:
        msgspec.convert(value, annotation, dec_hook=_path)
    except msgspec.ValidationError:
        return False
    return True


def _bare(annotation: Any) -> Any:
    """Returns an annotation without its bounds, and without None as an alternative."""
    if typing.get_origin(annotation) is Annotated:
        annotation = typing.get_args(annotation)[0]
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        (annotation, *_) = [_bare(part) for part in typing.get_args(annotation) if part is not type(None)]
    return annotation


def _fields(annotation: Any) -> dict[str, Any]:
    return typing.get_type_hints(_bare(annotation), include_extras=True)


def _item(annotation: Any, index: int) -> Any:
    """Returns the annotation of one item of a list or tuple."""
    kinds = typing.get_args(_bare(annotation))
    return kinds[0] if len(kinds) == 1 or kinds[-1] is Ellipsis else kinds[index]


def described(annotation: Any) -> str:
    """Returns what an annotation needs, in words."""
    bounds = Meta()
    if typing.get_origin(annotation) is Annotated:
        annotation, bounds = typing.get_args(annotation)[:2]
    if bounds.description:
        return bounds.description
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(described(part) for part in typing.get_args(annotation)))
    if typing.get_origin(annotation) is typing.Literal:
        return "one of " + ", ".join(map(str, typing.get_args(annotation)))
    if annotation in (int, float):
        return ("a whole number" if annotation is int else "a number") + _range(
            bounds.gt, bounds.ge, bounds.lt, bounds.le
        )
    if annotation is bool:
        return "true or false"
    if annotation in (None, type(None)):
        return "null"
    if annotation is Any:
        return "a value"
    if annotation is Path:
        return "a path"
    if annotation is str:
        return "text" + _range(None, bounds.min_length, None, bounds.max_length, " characters")
    origin = typing.get_origin(annotation) or annotation
    if origin in (list, tuple):
        kinds = [kind for kind in typing.get_args(annotation) if kind is not Ellipsis]
        fixed = len(kinds) if origin is tuple and typing.get_args(annotation)[-1] is not Ellipsis else None
        least, most = (fixed, fixed) if fixed else (bounds.min_length, bounds.max_length)
        return "a list" + _range(None, least, None, most, " entries")
    return "an object"


def _range(above: float | None, least: float | None, below: float | None, most: float | None, unit: str = "") -> str:
    low = f"above {above:,}" if above is not None else f"{least:,}" if least is not None else ""
    high = f"below {below:,}" if below is not None else f"{most:,}" if most is not None else ""
    if not low and not high:
        return ""
    if least is not None and least == most:
        return f" of {least:,}{unit}"
    if not high:
        return f" of at least {low}{unit}" if least is not None else f" {low}{unit}"
    if not low:
        return f" of at most {high}{unit}" if most is not None else f" {high}{unit}"
    return f" of {low} to {high}{unit}"
