"""The doors of importers: tables, pickles, arrays, JSON, ELAN and other files of other tools, for every kind."""

from __future__ import annotations

import importlib.util
import pickle
import random
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from forging import npz
from forging.cases import Case, Expected, Payload, Plant, change, nothing_good, payload, swap, write
from forging.landmark_files import labelled
from forging.texts import ESCAPE

PAGE = Path(__file__).resolve().parents[2] / "docs" / "corpora.md"
PACKAGES = {"asl_signs": "pyarrow", "elan": "pympi", "pose": "pose_format", "glosl": "pose_format"}
# The files of each example (its importer and its source) that are spoilt.
VICTIMS: dict[tuple[str, str], tuple[str, ...]] = {
    ("phoenix2014", "manual"): ("annotations/manual/train.corpus.csv",),
    ("phoenix2014t", "manual"): ("annotations/manual/PHOENIX-2014-T.train.corpus.csv",),
    ("csl_daily", "sentence_label"): ("sentence_label/csl2020ct_v2.pkl", "sentence_label/split_1.txt"),
    ("glosl", "glosl-gsl"): ("glosl-gsl/annotations.csv", "glosl-gsl/poses/train_1.pose", "glosl-gsl/card.json"),
    ("isharah", "SI"): ("annotations/SI/train.csv",),
    ("elan", "eaf"): ("eaf/clip.eaf",),
    ("textgrid", "textgrids"): ("textgrids/clip.TextGrid",),
    ("subtitles", "subtitles"): ("subtitles/clip.srt",),
    ("holistic", "MP_Data"): ("MP_Data/hello/0/0.npy",),
    ("asl_signs", "asl-signs"): ("asl-signs/train.csv", "asl-signs/train_landmark_files/26734/1000035562.parquet"),
    ("spoter", "WLASL100_train_25fps.csv"): ("WLASL100_train_25fps.csv",),
    ("pose", "poses"): ("poses/clip.pose",),
    ("coco_wholebody", "pose_format"): ("pose_format/S000020_P0000_T00.pkl",),
    ("coco_wholebody", "Phoenix-2014T.train"): ("Phoenix-2014T.train",),
    ("isharah86", "pose_data_isharah1000_hands_lips_body.pkl"): ("pose_data_isharah1000_hands_lips_body.pkl",),
    ("openhands", "INCLUDE"): ("INCLUDE/Animals/1. Dog/MVI_2980.pkl",),
    ("openpose", "json"): ("openpose_output/json/clip1/clip1_000000000002_keypoints.json",),
    ("mediapipe_tasks", "recordings"): ("recordings/clip.json",),
    ("features6516", "data_dir"): ("data_dir/train/a-1.npz",),
    ("auto", "data"): ("data/clip1/clip1_000000000002_keypoints.json",),
}


def commands() -> dict[tuple[str, str], tuple[str, ...]]:
    """Returns the command of each example in docs/corpora.md, by importer and name of the source."""
    found = {}
    for text in re.findall(r"\| `signloom (import [^`]+)` \|", PAGE.read_text(encoding="utf-8")):
        words = shlex.split(text)
        source = words[2] if not words[2].startswith("--") else words[words.index("--annotations") + 1]
        found[words[1], Path(source).name] = tuple(words)
    return found


def cases() -> Iterator[Case]:
    known = commands()
    for (kind, source), paths in VICTIMS.items():
        if kind in PACKAGES and importlib.util.find_spec(PACKAGES[kind]) is None:
            continue
        command = known[kind, source]
        for path in paths:
            for what, plant, expected in _plants(kind, path):
                # OpenPose's importer names the clip, the one of Holistic's arrays the sign, others the file.
                names = (
                    Path(path).name,
                    *(part for part in (Path(path).stem, Path(path).parent.name) if part[1:]),
                    "hello",
                )
                for skip in (False, True) if kind in SKIPS and what in SKIPPED else (False,):
                    yield Case(
                        f"importers/{kind}/{_ending(path)}/{what}{'-skip' if skip else ''}",
                        (*command, *(["--skip_faulty"] if skip else [])),
                        (f"import-{kind}-{source}",),
                        plant,
                        names=names,
                        expected=expected,
                        planted=(ESCAPE,) if "escape" in what else (),
                        stdout="terminal" if "escape" in what else "file",
                        # MSKA's pickles also have the glosses, which become a table.
                        may_write=(r".*/left_out\.jsonl", r".*/failed\.jsonl", r"landmarks/.*\.train\.csv"),
                        hangs=True,
                    )


def _ending(path: str) -> str:
    return path.rpartition(".")[2].lower()


# Importers with --skip_faulty, and what they are to survive.
SKIPS = ("phoenix2014", "csl_daily", "isharah", "elan", "subtitles", "holistic", "asl_signs", "spoter")
SKIPPED = ("empty", "random-bytes", "fifo", "folder", "truncated-0.5", "pickle", "utf-16")


def _plants(kind: str, path: str) -> Iterator[tuple[str, Plant, Expected]]:
    suffix = Path(path).suffix
    is_text = suffix in (".csv", ".txt", ".eaf", ".TextGrid", ".srt", ".json")
    for what, plant in nothing_good(path):
        # A text may end anywhere, and a frame or a table that lies elsewhere or is missing is another matter.
        if not (is_text and what.startswith("truncated")) and what not in ("dangling", "loop", "dev-null"):
            # A folder in the place of a frame or a clip is a missing one.
            is_part = what == "folder" and kind in ("openpose", "openhands", "auto", "features6516")
            yield what, plant, "any" if is_part or path.endswith("card.json") else "refused"
    if path.endswith("card.json"):
        return
    if suffix in (".csv", ".txt"):
        yield from _tables(path, kind)
    elif suffix in (".pkl", ".train"):
        yield from _pickles(path)
    elif suffix == ".json":
        yield from _json(path)
    elif suffix == ".npy":
        yield from _arrays(path)
    elif suffix == ".npz":
        yield from _features(path)
    else:
        for what, plant in OTHERS.get(suffix, {}).items():
            # Invisible characters are taken out of glosses; a tier that is not read may be anything.
            # A point may be missing, and what follows the last frame is not read.
            harmless = (suffix, what) in (
                *((".TextGrid", "escape"), (".srt", "escape"), (".eaf", "parent-loop")),
                *((".pose", "nan"), (".pose", "longer")),
            )
            yield what, plant(path), "any" if harmless else "refused"


def _tables(path: str, kind: str) -> Iterator[tuple[str, Plant, Expected]]:
    yield "crlf", change(path, lambda data: data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")), "same"
    yield "bom", change(path, lambda data: b"\xef\xbb\xbf" + data), "same"
    yield "utf-16", change(path, lambda data: data.decode().encode("utf-16")), "either"
    yield "latin-1", change(path, lambda data: data + b"M\xdcNCHEN\n"), "refused"
    yield "nul", change(path, lambda data: data + b"a\0b\n"), "refused"
    yield "header-only", change(path, lambda data: data.splitlines()[0] + b"\n"), "refused"
    yield "header-renamed", change(path, lambda data: b"x" + data.replace(b"|", b"|x").replace(b",", b",x")), "refused"
    yield "line-twice", change(path, lambda data: data + data.splitlines()[-1] + b"\n"), "refused"
    yield "short-line", change(path, lambda data: data + b"abc\n"), "refused"
    yield "long-line", change(path, lambda data: data + b"A" * 20_000_000 + b"\n"), "refused"
    yield "escape", change(path, lambda data: data.replace(b"1", f"1{ESCAPE}".encode())), "refused"
    yield "path-outside", change(path, lambda data: data + _last_line_with(data, b"../../../etc/passwd")), "refused"
    if kind == "spoter":
        cells = ("nan", "inf", "[nan]", "[]", "x", "[" * 5000, "[1e400]", "[open('payload-ran', 'w')]")
        for name, value in labelled(cells):
            cell = change(path, lambda data, v=value: re.sub(rb'"\[[^"]*\]"', f'"{v}"'.encode(), data, count=1))
            yield f"cell-{name}", cell, "refused"


def _last_line_with(data: bytes, name: bytes) -> bytes:
    """Returns the last line of a table with another id."""
    line = data.splitlines()[-1]
    delimiter = b"|" if b"|" in line else b","
    return name + delimiter + line.partition(delimiter)[2] + b"\n"


def _pickles(path: str) -> Iterator[tuple[str, Plant, Expected]]:
    def content(edit: Callable[[Any], Any]) -> Plant:
        return change(path, lambda data: pickle.dumps(edit(pickle.loads(data))))

    yield "payload-inside", content(lambda value: _replaced(value, lambda _: Payload())), "refused"
    yield "payload-key", content(lambda value: {**value, "x": Payload()}), "refused"
    yield "protocol-0", write(path, b"cos\nsystem\n(S'touch payload-ran'\ntR."), "refused"
    yield "memo-bomb", write(path, _memo_bomb()), "refused"
    yield "deep", write(path, b"\x80\x04" + b"]" * 100_000 + b"a" * 99_999 + b"."), "refused"
    yield "claims-4-gb", write(path, b"\x80\x04B\xff\xff\xff\xff."), "refused"
    yield "claims-8-eb", write(path, b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f."), "refused"
    yield "no-end", change(path, lambda data: data[:-1]), "refused"
    yield "stack-empty", write(path, b"\x80\x04."), "refused"
    yield "unknown-code", write(path, b"\x80\x04\xfe."), "refused"
    yield "protocol-99", write(path, b"\x80\x63N."), "refused"
    yield "cycle", write(path, b"\x80\x04]q\x00h\x00a."), "refused"
    for name, value in {"none": None, "number": 5, "text": "a", "list": [], "dict": {}, "bytes": b"a"}.items():
        yield name, write(path, pickle.dumps(value)), "refused"
    for name, edit in {
        "nan": lambda a: np.full_like(a, np.nan),
        "infinite": lambda a: a + np.inf,
        "huge": lambda a: a * 0 + 1e300,
        "text": lambda a: a.astype("U8"),
        "complex": lambda a: a.astype(complex),
        "no-frames": lambda a: a[:0],
        "flat": lambda a: a.reshape(-1),
        "scalar": lambda a: np.array(1.0),
        "objects": lambda a: np.array([{}], dtype=object),
    }.items():
        yield f"array-{name}", content(lambda value, e=edit: _replaced(value, e)), "refused"
    yield "array-claims-shape", content(lambda value: _replaced(value, lambda _: _Claims())), "refused"


class _Claims:
    """An array that claims more values than it has."""

    def __reduce__(self) -> tuple[Any, ...]:
        make, arguments, state = np.zeros(3).__reduce__()
        version, _, dtype, fortran, data = state
        return make, arguments, (version, (10**9, 133, 2), dtype, fortran, data)


def _replaced(value: Any, edit: Callable[[np.ndarray], Any]) -> Any:
    """Returns nested content in which every array of floats is another; lists of glosses become a bare number."""
    if isinstance(value, np.ndarray):
        return edit(value)
    if isinstance(value, dict):
        return {key: _replaced(item, edit) for key, item in value.items()}
    if isinstance(value, list) and value and isinstance(value[0], np.ndarray | dict):
        return [_replaced(item, edit) for item in value]
    # A pickle without arrays: CSL-Daily's, of glosses.
    return edit(np.ones((2, 2))) if isinstance(value, list) else value


def _memo_bomb() -> bytes:
    """Returns a pickle of a list of ten lists of ten lists ..., ten billion in all, in a few hundred bytes."""
    code = b"\x80\x04]q\x00(K\x01K\x02e0"
    for level in range(1, 11):
        code += b"]" + b"q" + bytes([level]) + b"(" + (b"h" + bytes([level - 1])) * 10 + b"e0"
    return code + b"h\x0a."


def _json(path: str) -> Iterator[tuple[str, Plant, Expected]]:
    for what, text in {
        "list": "[]", "null": "null", "number": "5", "object": "{}", "broken": '{"a": ', "deep": "[" * 100_000,
        "deep-whole": "[" * 50_000 + "]" * 50_000, "digits": "9" * 100_000,
    }.items():  # fmt: skip
        yield what, write(path, text), "refused"
    yield "utf-16", change(path, lambda data: data.decode().encode("utf-16")), "either"
    for what, value in {"nan": "NaN", "infinite": "Infinity", "huge": "1e400", "digits-inside": "9" * 5000,
                        "text": '"x"', "null-inside": "null", "list-inside": "[[]]"}.items():  # fmt: skip
        yield what, change(path, lambda data, v=value: re.sub(rb"0\.\d+", v.encode(), data, count=7)), "refused"
    yield "key-twice", change(path, lambda data: b'{"people": [], "frames": [], ' + data.lstrip()[1:]), "refused"


def _arrays(path: str) -> Iterator[tuple[str, Plant, Expected]]:
    def array(edit: Callable[[np.ndarray], np.ndarray]) -> Plant:
        return change(path, lambda data: npz.npy(edit(npz.array_of(data))))

    for name, edit in ARRAYS.items():
        yield name, array(edit), "any" if name in ("all-missing",) else "refused"
    text = "{'descr': '<f8', 'fortran_order': False, 'shape': (%s,)}"
    yield "claims-shape", write(path, npz.npy_header(text % 10**12)), "refused"
    yield "negative-shape", write(path, npz.npy_header(text % -1)), "refused"
    yield "code", write(path, npz.npy_header(text % "open('payload-ran', 'w')")), "refused"


ARRAYS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "objects": lambda a: np.array([Payload()], dtype=object),
    "text": lambda a: a.astype("U8"),
    "complex": lambda a: a.astype(complex),
    "infinite": lambda a: a + np.inf,
    "all-missing": lambda a: np.full_like(a, np.nan),
    "huge": lambda a: a * 0 + 1e300,
    "one-less": lambda a: a[:-1],
    "two-axes": lambda a: np.stack([a, a]),
    "scalar": lambda a: np.array(1.0),
    "nothing": lambda a: a[:0],
}


def _features(path: str) -> Iterator[tuple[str, Plant, Expected]]:
    def forged(edit: Callable[[dict[str, bytes]], dict[str, bytes]]) -> Plant:
        def plant(folder: Path, rng: random.Random) -> None:
            (folder / path).write_bytes(npz.archive(edit(npz.members_of(folder / path)).items()))

        return plant

    for name, edit in ARRAYS.items():
        # A frame less is a shorter clip, and one without points a clip in which nobody is seen.
        expected: Expected = "any" if name in ("one-less", "all-missing") else "refused"
        yield name, forged(npz.with_array("features", lambda a, e=edit: e(a) if a.ndim else a)), expected
    yield "no-members", forged(lambda members: {}), "refused"
    yield "other-member", forged(lambda members: {"x.npy": members["features.npy"]}), "either"
    yield "member-pickle", forged(lambda members: {"features.npy": payload()}), "refused"
    text = "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000, 6516)}"
    yield "claims-shape", forged(lambda members: {"features.npy": npz.npy_header(text)}), "refused"


ENTITIES = "\n".join(
    ['<!DOCTYPE x [<!ENTITY a0 "REGEN">']
    + [f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12)]
    + ["]>\n<ANNOTATION_DOCUMENT"]
)
EXTERNAL = '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>\n<ANNOTATION_DOCUMENT'
OTHERS: dict[str, dict[str, Callable[[str], Plant]]] = {
    ".eaf": {
        "entity-bomb": lambda p: change(p, lambda d: d.replace(b"<ANNOTATION_DOCUMENT", ENTITIES.encode(), 1)
                                        .replace(b">REGEN<", b">&a11;<")),
        "external-entity": lambda p: change(p, lambda d: d.replace(b"<ANNOTATION_DOCUMENT", EXTERNAL.encode(), 1)
                                            .replace(b">REGEN<", b">&e;<")),
        "no-tier": lambda p: change(p, lambda d: d.replace(b'TIER_ID="gloss"', b'TIER_ID="other"')),
        "time-text": lambda p: swap(p, 'TIME_VALUE="80"', 'TIME_VALUE="x"'),
        "time-negative": lambda p: swap(p, 'TIME_VALUE="80"', 'TIME_VALUE="-80"'),
        "time-huge": lambda p: swap(p, 'TIME_VALUE="80"', f'TIME_VALUE="{10**30}"'),
        "time-digits": lambda p: swap(p, 'TIME_VALUE="80"', f'TIME_VALUE="{"9" * 5000}"'),
        "time-nan": lambda p: swap(p, 'TIME_VALUE="80"', 'TIME_VALUE="nan"'),
        "slot-missing": lambda p: swap(p, '<TIME_SLOT TIME_SLOT_ID="ts2" TIME_VALUE="0" />', ""),
        "slot-attribute-missing": lambda p: swap(p, 'TIME_SLOT_REF1="ts2"', ""),
        "parent-loop": lambda p: swap(p, 'PARENT_REF="gloss"', 'PARENT_REF="confidence"'),
        "cut": lambda p: change(p, lambda d: d[: len(d) // 2]),
        "deep": lambda p: write(p, "<a>" * 100_000 + "</a>" * 100_000),
        "html": lambda p: write(p, "<html><body>not found</body></html>"),
        "escape": lambda p: change(p, lambda d: d.replace(b'TIER_ID="gloss"', b'TIER_ID="&#x1b;gloss"')),
        "surrogate": lambda p: change(p, lambda d: d.replace(b">REGEN<", b">&#xd800;<")),
    },
    ".TextGrid": {
        "count-huge": lambda p: swap(p, "\n2\n", "\n99999999999\n"),
        "count-digits": lambda p: swap(p, "\n2\n", "\n" + "9" * 5000 + "\n"),
        "count-negative": lambda p: swap(p, "\n2\n", "\n-2\n"),
        "time-nan": lambda p: swap(p, "0.08", "nan"),
        "time-infinite": lambda p: swap(p, "0.08", "inf"),
        "time-text": lambda p: swap(p, "0.08", "x"),
        "time-backwards": lambda p: swap(p, "0.08", "-5"),
        "quote-open": lambda p: swap(p, '"REGEN"', '"REGEN'),
        "no-tier": lambda p: swap(p, '"Gloss"', '"Other"'),
        "cut": lambda p: change(p, lambda d: d[: len(d) // 2]),
        "escape": lambda p: change(p, lambda d: d.replace(b"REGEN", f"A{ESCAPE}".encode())),
        "html": lambda p: write(p, "<html><body>not found</body></html>"),
    },
    ".srt": {
        "time-backwards": lambda p: swap(p, "00:00:00,200", "-00:00:00,200"),
        "end-before-start": lambda p: swap(p, "00:00:00,000 -->", "00:00:09,000 -->"),
        "time-text": lambda p: swap(p, "00:00:00,200", "soon"),
        "time-huge": lambda p: swap(p, "00:00:00,200", "9" * 400 + ":00:00,200"),
        "time-digits": lambda p: swap(p, "00:00:00,200", "9" * 5000 + ":00:00,200"),
        "no-arrow": lambda p: swap(p, "-->", "->"),
        "no-cues": lambda p: write(p, "hello\n"),
        "escape": lambda p: change(p, lambda d: d.replace(b"REGEN", f"A{ESCAPE}".encode())),
        "html": lambda p: write(p, "<html><body>not found</body></html>"),
    },
    ".pose": {
        **{f"header-{at}": lambda p, at=at: change(p, lambda d: d[:at] + b"\xff" * 4 + d[at + 4 :])
           for at in (0, 4, 8, 10, 12, 40)},
        "nan": lambda p: change(p, lambda d: d[:-400] + b"\x00\x00\xc0\x7f" * 100),
        "longer": lambda p: change(p, lambda d: d + bytes(1000)),
        "cut-one": lambda p: change(p, lambda d: d[:-1]),
    },
    ".parquet": {
        "footer-huge": lambda p: change(p, lambda d: d[:-8] + b"\xff\xff\xff\x7fPAR1"),
        "footer-zero": lambda p: change(p, lambda d: d[:-8] + b"\0\0\0\0PAR1"),
        **{f"table-{name}": lambda p, name=name: _parquet(p, name)
           for name in ("no-columns", "frame-huge", "frame-negative", "type-unknown", "index-huge", "x-text",
                        "x-infinite", "no-rows", "frame-float", "twice")},
    },
}  # fmt: skip


def _parquet(path: str, fault: str) -> Plant:
    """Plants a table of asl-signs with one fault."""

    def plant(folder: Path, rng: random.Random) -> None:
        import pyarrow
        from pyarrow import parquet

        table = parquet.read_table(folder / path)
        columns = {name: table[name].to_pylist() for name in table.column_names}
        rows = len(columns["frame"])
        if fault == "no-columns":
            columns = {"a": [1, 2]}
        elif fault == "no-rows":
            columns = {name: [] for name in columns}
        elif fault == "twice":
            columns = {name: values + values[-1:] for name, values in columns.items()}
        else:
            column, value = {
                "frame-huge": ("frame", [2**31 - 1 if n == rows - 1 else f for n, f in enumerate(columns["frame"])]),
                "frame-negative": ("frame", [f - 5 for f in columns["frame"]]),
                "frame-float": ("frame", [f + 0.5 for f in columns["frame"]]),
                "type-unknown": ("type", ["foot"] * rows),
                "index-huge": ("landmark_index", [30_000] * rows),
                "x-text": ("x", ["a"] * rows),
                "x-infinite": ("x", [float("inf")] * rows),
            }[fault]
            columns[column] = value
        parquet.write_table(pyarrow.table(columns), folder / path)

    return plant
