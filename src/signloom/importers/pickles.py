"""Reads arrays and plain containers from a pickle safely: no code in the pickle is ever run.

A pickle is a program: Python's own reader can run any command in it. But some data sets exist only as pickles. This
reader looks up every name in a short table of its own stand-ins (arrays of numbers, ordered dictionaries, sets, torch
tensors rebuilt from their bytes) and refuses any other name. The unpickling code of NumPy and torch never runs. Sizes
are checked against the bytes in the file before memory is allocated.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import re
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np

from signloom.errors import InputError, plural
from signloom.files.reading import PICKLE, most_unpacked, open_file, unpacked

_MAX_DEPTH = 50

_NUMBER = re.compile(r"[<>|=]?(b1|[iu][1248]|f[248])")
# Source: torch 2.6, torch/storage.py and torch/serialization.py (`_legacy_save`).
_TORCH_STORAGES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "|i1",
    "ByteStorage": "|u1",
    "BoolStorage": "|b1",
}
_TORCH_MAGIC = 0x1950A86A20F9469CFC6C
_TORCH_PROTOCOL = 1001


def load_pickle(path: Path) -> Any:
    """Returns the content of a pickle (plain or gzip): containers, strings, numbers and NumPy arrays of numbers.

    Torch tensors become NumPy arrays; torch is not needed.

    Raises InputError for any other content, naming it, and for damaged files.
    """
    with open_file(path, PICKLE) as file:
        start = file.read(4)
        size = file.seek(0, 2)
        file.seek(0)
        if start[:2] == b"PK":
            raise InputError(
                "a zip archive (torch.save or np.savez), not a pickle; save its arrays with np.savez and import those"
            )
        if start[:2] == b"\x1f\x8b":
            return _load(io.BytesIO(unpacked(file, path, most_unpacked(size))))
        return _load(file)


def _load(file: IO[bytes]) -> Any:
    try:
        value = _read_one(file)
        if file.read(1):
            raise InputError("more bytes after the end of the pickle; a torch.save file or several pickles in one")
    except InputError:
        raise
    except MemoryError:
        raise InputError("not a readable pickle (it claims to hold more than fits into memory)") from None
    except Exception as error:
        # pickle raises a dozen kinds of errors for damaged input.
        raise InputError(f"not a readable pickle ({type(error).__name__}: {error})") from None
    return _plain(value, {}, 0)


def _read_one(file: IO[bytes], storages: dict[str, _Storage] | None = None) -> Any:
    """Returns the next pickle of a stream, which still contains stand-ins; the stream is then at its end."""
    start = file.tell()
    _check_memo(file)
    file.seek(start)
    return _Unpickler(file, storages).load()


def _check_memo(file: IO[bytes]) -> None:
    """Raises InputError if a pickle numbers its memo with gaps: the reader would allocate memory for them."""
    for count, (opcode, argument, _) in enumerate(pickletools.genops(file)):
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and int(argument or 0) > count:
            raise InputError(
                f"a crafted pickle: item {argument} of its memo is set after {plural(count, 'step')}; refused"
            )


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: IO[bytes], storages: dict[str, _Storage] | None) -> None:
        # latin1 keeps the bytes of strings that Python 2 wrote.
        super().__init__(file, encoding="latin1")
        self._storages = storages

    def find_class(self, module: str, name: str) -> Any:
        maker = _MAKERS.get((module, name))
        if maker is not None:
            return _Maker(f"{module}.{name}", maker)
        if module == "torch" and name in _TORCH_STORAGES:
            return _Maker(name, _refuse_call)
        raise InputError(
            f"the pickle asks for {module}.{name}, which can run code; refused. Needed arrays, tensors and plain "
            "containers only: save those with np.savez where the file was made, or ask its authors"
        )

    def persistent_load(self, pid: Any) -> Any:
        if self._storages is None or not (isinstance(pid, tuple) and len(pid) in (5, 6) and pid[0] == "storage"):
            raise InputError("the pickle refers to data outside of it; needed a pickle that stands alone")
        kind, key, count = pid[1], pid[2], pid[4]
        if not (isinstance(kind, _Maker) and isinstance(key, str) and isinstance(count, int)):
            raise InputError("a torch storage of an unknown form; refused")
        dtype = _TORCH_STORAGES.get(kind.name)
        if dtype is None or (len(pid) == 6 and pid[5] is not None):
            raise InputError(f"a torch storage of kind {kind.name}; needed one of {', '.join(_TORCH_STORAGES)}")
        return self._storages.setdefault(key, _Storage(np.dtype(dtype), count))


class _Maker:
    """A callable that a pickle may only call; it has no state that could be set."""

    __slots__ = ("function", "name")

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self.name, self.function = name, function

    def __call__(self, *arguments: Any) -> Any:
        return self.function(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise InputError(f"a crafted pickle: it sets the state of {self.name}; refused")


class _DType:
    """Stand-in for `numpy.dtype`: a number type and its byte order."""

    __slots__ = ("code",)

    def __init__(self, code: Any, *flags: Any) -> None:
        if not (isinstance(code, str) and _NUMBER.fullmatch(code)):
            raise InputError(f"an array of type {code!r}; needed numbers (b1, i1 to i8, u1 to u8, f2 to f8)")
        self.code = code

    def __setstate__(self, state: Any) -> None:
        if not (isinstance(state, tuple) and len(state) in (8, 9) and state[1] in ("<", ">", "|", "=")):
            raise InputError("an array type of an unknown form; refused")
        if state[2:5] != (None, None, None):
            raise InputError("an array of records; needed plain numbers")
        self.code = f"{state[1]}{self.code.lstrip('<>|=')}"


class _Array:
    """Stand-in for `numpy.ndarray`; the state that follows in the pickle fills it."""

    __slots__ = ("value",)

    def __init__(self, *arguments: Any) -> None:
        self.value: np.ndarray | None = None

    def __setstate__(self, state: Any) -> None:
        if not (isinstance(state, tuple) and len(state) in (4, 5)):
            raise InputError("an array of an unknown form; refused")
        shape, dtype, fortran, content = state[-4:]
        self.value = _array(content, dtype, shape, "F" if fortran else "C")


class _Storage:
    """Stand-in for a torch storage: `count` numbers, whose bytes follow after the pickle that names it."""

    __slots__ = ("count", "dtype", "value")

    def __init__(self, dtype: np.dtype, count: int) -> None:
        self.dtype, self.count = dtype, count
        self.value: np.ndarray | None = None

    def __setstate__(self, state: Any) -> None:
        raise InputError("a crafted pickle: it sets the state of a torch storage; refused")


def _array(content: Any, dtype: Any, shape: Any, order: Any = "C") -> np.ndarray:
    if isinstance(content, str):
        content = content.encode("latin1")
    if not (isinstance(dtype, _DType) and isinstance(content, (bytes, bytearray)) and order in ("C", "F")):
        raise InputError("an array that is not plain numbers (perhaps of objects); needed numbers")
    sizes = _sizes(shape)
    kind = np.dtype(dtype.code)
    if math.prod(sizes) * kind.itemsize != len(content):
        raise InputError(
            f"an array of shape {sizes} and type {kind.str} in {plural(len(content), 'byte')}; the file is damaged"
        )
    return np.frombuffer(bytes(content), kind).reshape(sizes, order=order)


def _sizes(shape: Any) -> tuple[int, ...]:
    if not (isinstance(shape, tuple) and len(shape) <= 16 and all(type(n) is int and n >= 0 for n in shape)):
        raise InputError(f"an array of shape {shape!r:.60}; the file is damaged")
    return shape


def _refuse_call(*arguments: Any) -> Any:
    raise InputError("a crafted pickle: it calls a type; refused")


def _make_scalar(dtype: Any, content: Any) -> Any:
    return _array(content, dtype, ()).item()


def _make_encoded(text: Any, encoding: Any = "latin1") -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise InputError(f"text encoded as {encoding!r:.40}; needed latin1, as pickle writes bytes")
    return text.encode("latin1")


def _make_bytes(*arguments: Any) -> bytes:
    # bytes(10**12) would allocate that much memory.
    if any(not isinstance(item, (bytes, list)) for item in arguments):
        raise InputError("a crafted pickle: bytes made of something else; refused")
    return bytes(*arguments)


def _make_set(items: Any = ()) -> set[Any]:
    if not isinstance(items, (list, tuple, set)):
        raise InputError("a crafted pickle: a set made of something else; refused")
    return set(items)


def _make_size(items: Any = ()) -> tuple[int, ...]:
    return _sizes(tuple(items) if isinstance(items, (list, tuple)) else items)


def _make_tensor(storage: Any, offset: Any, size: Any, stride: Any, *rest: Any) -> np.ndarray:
    """Returns the array of a torch tensor: `size` numbers at `stride` from `offset` in its storage."""
    if not (isinstance(storage, _Storage) and storage.value is not None and type(offset) is int and offset >= 0):
        raise InputError("a torch tensor without its numbers; the file is damaged")
    sizes, steps = _sizes(size), _sizes(stride)
    # A tensor may repeat a number (stride 0); one larger than its storage is a trick to use up memory.
    needed = offset + 1 + sum((n - 1) * step for n, step in zip(sizes, steps, strict=True))
    if math.prod(sizes) > storage.count or (math.prod(sizes) > 0 and needed > storage.count):
        raise InputError(f"a torch tensor of shape {sizes} over {plural(storage.count, 'number')}; the file is damaged")
    if math.prod(sizes) == 0:
        return np.zeros(sizes, storage.dtype)
    step_bytes = [step * storage.dtype.itemsize for step in steps]
    return np.lib.stride_tricks.as_strided(storage.value[offset:], sizes, step_bytes, writeable=False).copy()


def _make_storage(content: Any) -> _Storage:
    """Returns the torch storage in `content`, in the older format of `torch.save` (five pickles, then the bytes)."""
    if not isinstance(content, bytes):
        raise InputError("a torch storage of an unknown form; refused")
    stream, storages = io.BytesIO(content), dict[str, _Storage]()
    if _read_one(stream) != _TORCH_MAGIC or _read_one(stream) != _TORCH_PROTOCOL:
        raise InputError("a torch storage of an unknown version; save its arrays with np.savez and import those")
    _read_one(stream)
    value, keys = _read_one(stream, storages), _read_one(stream)
    if not isinstance(value, _Storage) or keys != list(storages):
        raise InputError("a torch storage of an unknown form; refused")
    count = int.from_bytes(stream.read(8), "little")
    raw = stream.read()
    if len(storages) != 1 or count != value.count or len(raw) != count * value.dtype.itemsize:
        raise InputError(
            f"a torch storage of {plural(value.count, 'number')} in {plural(len(raw), 'byte')}; the file is damaged"
        )
    value.value = np.frombuffer(raw, value.dtype)
    return value


_MAKERS: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "ndarray"): _refuse_call,
    ("numpy", "dtype"): _DType,
    ("_codecs", "encode"): _make_encoded,
    ("collections", "OrderedDict"): dict,
    ("torch._utils", "_rebuild_tensor"): _make_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _make_tensor,
    ("torch.storage", "_load_from_bytes"): _make_storage,
    ("torch", "Size"): _make_size,
    **{
        (module, name): maker
        for core in ("numpy.core", "numpy._core")
        for module, name, maker in (
            (f"{core}.multiarray", "_reconstruct", _Array),
            (f"{core}.multiarray", "scalar", _make_scalar),
            (f"{core}.numeric", "_frombuffer", _array),
        )
    },
    **{
        (module, name): maker
        for module in ("builtins", "__builtin__")
        for name, maker in (("set", _make_set), ("frozenset", _make_set), ("bytes", _make_bytes))
    },
}


def _plain(value: Any, done: dict[int, Any], depth: int) -> Any:
    """Returns `value` with stand-ins replaced by their arrays; shared parts stay shared."""
    if value is None or isinstance(value, (str, bytes, bytearray, bool, int, float, complex, np.ndarray)):
        return value
    if isinstance(value, _Array) and value.value is not None:
        return value.value
    if depth > _MAX_DEPTH:
        raise InputError(f"containers nested more than {_MAX_DEPTH} deep, or holding themselves; refused")
    if id(value) in done:
        return done[id(value)]
    result: Any
    if isinstance(value, dict):
        result = {_key(key): _plain(item, done, depth + 1) for key, item in value.items()}
    elif isinstance(value, (list, tuple)):
        result = [_plain(item, done, depth + 1) for item in value]
        result = tuple(result) if isinstance(value, tuple) else result
    elif isinstance(value, (set, frozenset)):
        result = {_key(item) for item in value}
    else:
        raise InputError(f"a {type(value).__name__.lstrip('_').lower()} that is no array or plain container; refused")
    done[id(value)] = result
    return result


def _key(value: Any) -> Any:
    if value is None or isinstance(value, (str, bytes, bool, int, float)):
        return value
    if isinstance(value, tuple) and all(isinstance(item, (str, int)) for item in value):
        return value
    raise InputError(f"a key of type {type(value).__name__}; needed a string or a number")
