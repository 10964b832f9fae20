"""What is in a folder: whether every file is whole, and its content without times and hosts."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from signloom.files.staging import STAGE

# What differs between two runs that are the same otherwise: times and speeds, and flags of how a run was continued.
TIMES = ("seconds", "frames_per_second", "training_seconds", "seconds_before", "resume", "overwrite")
# Logs that are only added to, files with their date of creation, and locks.
LOGS = re.compile(r"(^|/)(training\.log|tensorboard/.*|curves\.pdf|output\.txt|\..*\.lock(\.json)?)$")
_TEMPORARY = re.compile(r"(^|/)(\..*\.part|\.signloom-new(/.*)?)$")
_TIMES_IN_TEXT = re.compile(r"\b[0-9.,]+ (s|seconds|minutes|min|frames/s)\b")


def files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Returns the files below a folder, without logs, by name."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not LOGS.search(name):
            yield name, path


def temporaries(folder: Path) -> list[str]:
    """Returns what a killed process left: temporary files, and new content that is not in place."""
    return [path.name for path in sorted(folder.rglob("*")) if _TEMPORARY.search(path.relative_to(folder).as_posix())]


def content(folder: Path) -> dict[str, str]:
    """Returns a hash of each finished file below a folder. Raises ValueError for one that is not whole."""
    result = {}
    for name, path in files(folder):
        if STAGE in path.parts or _TEMPORARY.search(name):
            continue
        try:
            value = _read(path)
        except Exception as error:
            raise ValueError(f"{name} is not whole: {type(error).__name__}: {error}") from error
        result[name] = hashlib.sha256(value).hexdigest()[:16]
    return result


def _read(path: Path) -> bytes:
    """Returns the content of a file without times. Raises an error for one that is cut off."""
    data = path.read_bytes()
    if path.suffix == ".json":
        return _canonical(json.loads(data))
    if path.suffix == ".jsonl":
        return _canonical([json.loads(line) for line in data.splitlines()])
    if path.suffix in (".npz", ".npy"):
        arrays = np.load(path, allow_pickle=False)
        named = {"": arrays} if path.suffix == ".npy" else {name: arrays[name] for name in sorted(arrays.files)}
        return b"".join(name.encode() + str(array.shape).encode() + array.tobytes() for name, array in named.items())
    if path.suffix == ".safetensors":
        return _tensors(path)
    if path.name == "metrics.csv":
        rows = [line.split(",") for line in data.decode().splitlines()]
        kept = [number for number, column in enumerate(rows[0]) if column not in TIMES]
        return _canonical([[row[number] for number in kept] for row in rows])
    if path.suffix == ".html":
        _need(b"</html>" in data[-20:])
        return _TIMES_IN_TEXT.sub("", re.sub(r'"(resume|overwrite)": (true|false)', "", data.decode())).encode()
    if path.suffix == ".png":
        _need(data.endswith(b"IEND\xaeB`\x82"))
        return data
    if path.suffix == ".arpa":
        _need(data.rstrip().endswith(b"\\end\\"))
    return _TIMES_IN_TEXT.sub("", data.decode()).encode() if path.suffix == ".txt" else data


def _need(right: bool) -> None:
    if not right:
        raise ValueError("cut off")


def _tensors(path: Path) -> bytes:
    from safetensors import safe_open

    with safe_open(path, framework="np") as file:
        header = {
            name: json.loads(text) if text[:1] in "{[" else text for name, text in (file.metadata() or {}).items()
        }
        names = list(file.keys())
        tensors = {name: file.get_tensor(name) for name in names}
    parts = [f"{name}{value.shape}".encode() + value.tobytes() for name, value in tensors.items()]
    return _canonical(header) + b"".join(sorted(parts))


def _canonical(value: Any) -> bytes:
    return json.dumps(_without_times(value), sort_keys=True).encode()


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_times(item) for key, item in value.items() if key not in TIMES}
    if isinstance(value, list):
        # A training state has dicts as lists of pairs.
        pairs = [item for item in value if not (isinstance(item, list) and len(item) == 2 and _is_time(item[0]))]
        return [_without_times(item) for item in pairs]
    return value


def _is_time(key: Any) -> bool:
    return isinstance(key, str) and key in TIMES
