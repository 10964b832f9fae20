"""The door of landmark files: forged headers, arrays that lie, damaged archives, other kinds of files."""

from __future__ import annotations

import json
import random
import struct
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from forging import npz
from forging.cases import Case, Expected, Payload, Plant, change, flip, nothing_good, payload, truncate, write

FILE = "clips/REGEN/0.npz"
# Commands that read landmark files, with the good files and the forged one. Cases take turns.
DOORS: tuple[tuple[str, tuple[str, ...], str, tuple[str, ...]], ...] = (
    ("clips", ("import", "clips", "clips", "--output", "new"), "clips/REGEN/0.npz", ("clips",)),
    ("clips-skip", ("import", "clips", "clips", "--output", "new", "--skip_faulty"), "clips/REGEN/0.npz", ("clips",)),
    ("compose", ("compose", "signs", "--output", "new", "--num_train", "12", "--num_dev", "0", "--num_test", "0"),
     "signs/landmarks/REGEN_1.npz", ("signs",)),
    ("show", ("show", "clip.npz", "--output", "new.png"), "clip.npz", ("clip.npz",)),
    ("transcribe", ("transcribe", "clip.npz", "--model", "run/model.safetensors"), "clip.npz", ("clip.npz", "run")),
)  # fmt: skip
HUGE = 10**400
Edit = Callable[[dict[str, bytes]], Mapping[str, bytes] | list[tuple[str, bytes]]]

META: dict[str, tuple[Any, ...]] = {
    "fps": (float("nan"), float("inf"), 0, -25, 1e9, "25", None, [], True, HUGE, 1e-300),
    "image_size": ([0, 0], [-640, 480], [10**9, 10**9], ["a", "b"], [640], [640, 480, 3], "640x480", {},
                   [float("nan"), 1], [640.5, 480], 640, [HUGE, 480], [[], []]),
    "pixel_aspect": (0, -1, float("nan"), "1", None, 1e9, [], 1e-9, HUGE),
    "assumed": (None, "fps", 5, ["fps", 5], {"fps": 1}, ["x"] * 100_000),
    "source": (None, [], "camera", 7, ["a", "b"]),
    "format": ("signloom-corpus", None, 5, []),
    "version": (99, "1", None, [], float("nan"), HUGE),
    "layout": ("other", None, 5),
    "layout_version": (99, "1", None),
}  # fmt: skip


def forged(path: str, edit: Edit, *, compressed: bool = False) -> Plant:
    """Plants a landmark file with other members."""

    def plant(folder: Path, rng: random.Random) -> None:
        new = edit(npz.members_of(folder / path))
        members = list(new.items()) if isinstance(new, Mapping) else new
        (folder / path).write_bytes(npz.archive(members, compressed=compressed))

    return plant


def cases() -> Iterator[Case]:
    """Yields the cases; each is fed to one or two commands."""
    for turn, (name, make, expected) in enumerate(_plants()):
        # All through the first command, and every third through one of the others in turn.
        others = (1 + turn // 3 % (len(DOORS) - 1),) if turn % 3 == 0 else ()
        for number in (0, *others):
            door, command, path, uses = DOORS[number]
            yield Case(
                f"landmarks/{name}/{door}",
                command,
                uses,
                make(path),
                names=("clip.npz", "REGEN/0", "REGEN_0", "REGEN_1"),
                expected=expected,
                # What was left out is listed even if nothing is left.
                may_write=(r"new/left_out\.jsonl",),
                heavy=door == "transcribe",
                hangs="fifo" in name or "zero" in name,
            )


def _plants() -> Iterator[tuple[str, Callable[[str], Plant], Any]]:
    yield from _meta()
    yield from _arrays()
    yield from _archives()
    for name in [name for name, _ in nothing_good("x")]:
        yield f"file/{name}", lambda path, name=name: dict(nothing_good(path))[name], _expected(name)
    for share in (0.01, 0.2, 0.4, 0.7, 0.9, 0.995):
        yield f"file/cut-{share:g}", lambda path, share=share: truncate(path, share), "refused"
    for number in range(8):
        yield f"file/flip-start-{number}", _flipped(number, 0, 200), "either"
        yield f"file/flip-end-{number}", _flipped(number, -420, -1), "either"
    for number in range(3):
        yield f"file/flip-data-{number}", _flipped(number, 300, 60_000), "refused"


def _expected(name: str) -> Expected:
    # A folder among the clips may hold clips.
    return "any" if name == "folder" else "refused"


def _flipped(number: int, first: int, last: int) -> Callable[[str], Plant]:
    def make(path: str) -> Plant:
        def plant(folder: Path, rng: random.Random) -> None:
            # Each number another bit, and the same bit whatever command reads it.
            flip(path, first, last)(folder, random.Random(f"{number} {first}"))

        return plant

    return make


def labelled(values: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    """Yields each value with a short name, for the ids of its cases; no name twice."""
    seen: Counter[str] = Counter()
    for value in values:
        text = "".join(c if c.isalnum() or c in "-.+" else "_" for c in json.dumps(value)[:60]).strip("_")[:24]
        kind = "" if isinstance(value, int | float) or value is None else type(value).__name__
        name = "-".join(part for part in (kind, text) if part)
        seen[name] += 1
        yield name if seen[name] == 1 else f"{name}-{seen[name]}", value


def _meta() -> Iterator[tuple[str, Callable[[str], Plant], Any]]:
    def edit(name: str, change_meta: Callable[[dict[str, Any]], Any], expected: str = "refused") -> Any:
        return f"meta/{name}", lambda path: forged(path, npz.with_meta(change_meta)), expected

    for key, values in META.items():
        for name, value in labelled(values):
            # A frame of 640.5 pixels might be rounded, but nobody wrote it.
            yield edit(f"{key}-{name}", lambda meta, key=key, value=value: {**meta, key: value})
        yield edit(f"{key}-missing", lambda meta, key=key: {k: v for k, v in meta.items() if k != key})
    yield edit("empty", lambda meta: b"")
    yield edit("list", lambda meta: [])
    yield edit("text", lambda meta: '"a"')
    yield edit("twice", lambda meta: json.dumps(meta)[:-1] + ', "fps": 50}')
    yield edit(
        "latin-1", lambda meta: json.dumps({**meta, "source": {"name": "\u00e9"}}, ensure_ascii=False).encode("latin-1")
    )
    yield edit("nul", lambda meta: json.dumps(meta).encode() + b"\0")
    yield edit("deep", lambda meta: json.dumps(meta)[:-1] + ', "x": ' + "[" * 100_000 + "]" * 100_000 + "}")
    yield edit("digits", lambda meta: json.dumps(meta)[:-1] + ', "x": ' + "9" * 100_000 + "}")
    yield edit("more", lambda meta: {**meta, "colour": "green"}, "either")


def _arrays() -> Iterator[tuple[str, Callable[[str], Plant], Any]]:
    def edit(name: str, array: str, change_array: Callable[[np.ndarray], np.ndarray], expected: str = "refused") -> Any:
        return f"arrays/{name}", lambda path: forged(path, npz.with_array(array, change_array)), expected

    yield edit("points-objects", "points", lambda a: np.array([Payload()], dtype=object))
    yield edit("points-text", "points", lambda a: a.astype("U8"))
    yield edit("points-complex", "points", lambda a: a.astype(complex))
    yield edit("points-integers", "points", lambda a: a.astype(np.int64))
    yield edit("points-bool", "points", lambda a: a > 0)
    yield edit("points-542", "points", lambda a: a[:, 1:])
    yield edit("points-flat", "points", lambda a: a.reshape(len(a), -1))
    yield edit("points-two-axes", "points", lambda a: a[:, :, :2])
    yield edit("points-no-frames", "points", lambda a: a[:0])
    yield edit("points-scalar", "points", lambda a: np.array(1, "<f2"))
    yield edit("points-infinite", "points", lambda a: np.where(np.arange(len(a))[:, None, None] == 2, np.inf, a))
    yield edit("points-all-missing", "points", lambda a: np.full_like(a, np.nan))
    yield edit("points-one-frame-more", "points", lambda a: np.concatenate([a, a[:1]]))
    yield edit("visibility-one-frame-less", "visibility", lambda a: a[1:])
    yield edit("visibility-34", "visibility", lambda a: np.concatenate([a, a[:, :1]], axis=1))
    yield edit("visibility-infinite", "visibility", lambda a: a + np.inf)
    yield edit("visibility-text", "visibility", lambda a: a.astype("U4"))
    yield edit("meta-floats", "meta", lambda a: a.astype(np.float64))
    yield edit("meta-two-axes", "meta", lambda a: a[None], "either")
    yield edit("meta-objects", "meta", lambda a: np.array([{}], dtype=object))
    yield edit("points-big-endian", "points", lambda a: a.astype(">f2"), "either")
    times: dict[str, Callable[[int], Any]] = {
        "short": lambda n: np.arange(n - 1) / 25,
        "missing": lambda n: np.full(n, np.nan),
        "descending": lambda n: np.arange(n)[::-1] / 25,
        "equal": lambda n: np.zeros(n),
        "infinite": lambda n: np.arange(n) * np.inf,
        "text": lambda n: np.arange(n).astype("U8"),
        "huge": lambda n: np.arange(n) * 1e300,
    }
    for name, make in times.items():
        yield f"arrays/seconds-{name}", lambda path, make=make: forged(path, _with_times(make)), "refused"
    for name, text in {
        "huge": "{'descr': '<f2', 'fortran_order': False, 'shape': (1000000000, 543, 3)}",
        "million": "{'descr': '<f2', 'fortran_order': False, 'shape': (1000000, 543, 3)}",
        "overflow": "{'descr': '<f2', 'fortran_order': False, 'shape': (4611686018427387904, 543, 3)}",
        "negative": "{'descr': '<f2', 'fortran_order': False, 'shape': (-1, 543, 3)}",
        "booleans": "{'descr': '<f2', 'fortran_order': False, 'shape': (True, 543, 3)}",
        "no-shape": "{'descr': '<f2', 'fortran_order': False}",
        "code": "{'descr': '<f2', 'fortran_order': False, 'shape': (open('payload-ran', 'w'),)}",
        "list": "[1, 2, 3]",
        "deep": "(" * 3000 + ")" * 3000,
        "descr": "{'descr': [('a', '<f2', (1000000000,))], 'fortran_order': False, 'shape': (40, 543, 3)}",
        "void": "{'descr': '|V1000000000', 'fortran_order': False, 'shape': (40,)}",
    }.items():
        for member in ("points", "visibility"):
            yield f"arrays/header-{name}-{member}", _with_header(member, text), "refused"
    yield "arrays/header-version-9", _with_header("points", "{}", (9, 0)), "refused"


def _with_times(make: Callable[[int], np.ndarray]) -> Edit:
    def edit(members: dict[str, bytes]) -> dict[str, bytes]:
        times = make(len(npz.array_of(members["points.npy"])))
        return {**npz.with_meta(lambda meta: {**meta, "version": 2})(members), "seconds.npy": npz.npy(times)}

    return edit


def _with_header(member: str, text: str, version: tuple[int, int] = (1, 0)) -> Callable[[str], Plant]:
    def edit(members: dict[str, bytes]) -> dict[str, bytes]:
        return {**members, f"{member}.npy": npz.npy_header(text, members[f"{member}.npy"][128:], version)}

    return lambda path: forged(path, edit)


def _archives() -> Iterator[tuple[str, Callable[[str], Plant], Any]]:
    def edit(name: str, change_members: Edit, expected: str = "refused", *, compressed: bool = False) -> Any:
        return f"archive/{name}", lambda path: forged(path, change_members, compressed=compressed), expected

    for member in ("points", "visibility", "meta"):
        yield edit(f"without-{member}", lambda m, member=member: {k: v for k, v in m.items() if k != f"{member}.npy"})
        yield edit(f"{member}-twice", lambda m, member=member: [*m.items(), (f"{member}.npy", m[f"{member}.npy"])])
        yield edit(f"{member}-empty", lambda m, member=member: {**m, f"{member}.npy": b""})
        yield edit(f"{member}-pickle", lambda m, member=member: {**m, f"{member}.npy": payload()})
        yield edit(f"{member}-cut", lambda m, member=member: {**m, f"{member}.npy": m[f"{member}.npy"][:-7]})
        yield edit(f"{member}-longer", lambda m, member=member: {**m, f"{member}.npy": m[f"{member}.npy"] + b"0" * 9})
    yield edit("no-members", lambda m: {})
    yield edit("10000-members", lambda m: [*m.items(), *((f"x{n}", b"") for n in range(10_000))], "either")
    yield edit("outside", lambda m: {**m, "../../outside.npy": m["meta.npy"]}, "either")
    yield edit("compressed", lambda m: m, "either", compressed=True)
    yield "archive/encrypted", lambda path: change(path, _encrypted), "refused"
    yield "archive/sizes-lie", lambda path: change(path, _with_sizes), "refused"
    yield "archive/comment", lambda path: change(path, lambda data: data[:-2] + b"\x05\x00hello"), "either"
    yield "archive/prefix", lambda path: change(path, lambda data: b"#!/bin/sh\n" + data), "either"
    yield "archive/bomb-alone", lambda path: write(path, _bomb), "refused"
    # 200,000 frames are a clip of two hours; time and memory count.
    yield "archive/bomb", lambda path: forged(path, _with_bomb, compressed=True), "any"
    yield "archive/npy", lambda path: write(path, lambda: npz.npy(np.zeros((40, 543, 3), "<f2"))), "refused"


def _encrypted(data: bytes) -> bytes:
    # The flag of encryption, in every header.
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = -1
        while (start := data.find(mark, start + 1)) >= 0:
            data = data[: start + place] + b"\x01\x00" + data[start + place + 2 :]
    return data


def _with_sizes(data: bytes) -> bytes:
    """Returns an archive whose directory says that each member has a terabyte."""
    start = -1
    while (start := data.find(b"PK\x01\x02", start + 1)) >= 0:
        data = data[: start + 20] + struct.pack("<II", 2**31, 2**31) + data[start + 28 :]
    return data


def _bomb() -> bytes:
    text = "{'descr': '<f2', 'fortran_order': False, 'shape': (3000000, 543, 3)}"
    return npz.bomb("points.npy", npz.npy_header(text), 3_000_000 * 543 * 3 * 2)


def _with_bomb(members: dict[str, bytes]) -> dict[str, bytes]:
    """Returns members that expand to some 700 MB; in single precision they fill twice as much."""
    frames = 200_000
    text = f"{{'descr': '<f2', 'fortran_order': False, 'shape': ({frames}, 543, 3)}}"
    return {
        **members,
        "points.npy": npz.npy_header(text, bytes(frames * 543 * 3 * 2)),
        "visibility.npy": npz.npy(np.zeros((frames, 33), "<f2")),
    }
