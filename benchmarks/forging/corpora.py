"""The door of corpora: manifests, headers, folders whose files lie elsewhere."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from forging.cases import Case, Expected, Plant, change, nothing_good, remove, special, write
from forging.landmark_files import HUGE, labelled
from forging.texts import BIDI, ESCAPE

MANIFEST, HEADER = "corpus/manifest.jsonl", "corpus/corpus.json"
LM = ("lm", "--data_dir", "corpus", "--output", "new.arpa")
# Commands that read a corpus; cases take turns.
DOORS: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("lm", LM, ("corpus",)),
    ("merge", ("import", "merge", "corpus", "signs", "--output", "new"), ("corpus", "signs")),
    ("doctor", ("doctor", "corpus", "--suite", "data"), ("corpus",)),
)
# Wrong values of each field of a manifest's line. Some stand for text that must not reach the terminal.
LINES: dict[str, tuple[Any, ...]] = {
    "id": (5, "", None, [], "../../x", "a/b/../../../c", "/etc/passwd", "A" * 100_000, f"a{ESCAPE}b", "a\0b", "a\nb",
           "\ud800", ".", "..", True),
    "split": ("validation", None, 5, "", []),
    "signer": (5, [], {}, f"a{ESCAPE}b", "\ud800", "A" * 100_000),
    "glosses": (None, [], "REGEN", [5], [None], [""], ["A B"], ["<blank>"], [[]], {}, [f"a{ESCAPE}b"], ["\ud800"],
                ["a\0b"], ["A" * 100_000], ["A"] * 1_000_000),
    "landmarks": (None, 5, "", "/etc/shadow", "../corpus/landmarks/train-00000.npz", "landmarks/../../x.npz",
                  "landmarks/none.npz", "landmarks", "a\0b", "landmarks\\train-00000.npz", "A" * 5000, "\ud800",
                  "corpus.json"),
    "num_frames": (0, -1, 1.5, "48", None, True, 10**12, HUGE, float("nan"), 47),
    "fps": (0, -25, float("nan"), float("inf"), "25", None, True, 1e9, HUGE, 1e-300, []),
    "source": (None, [], "x", 5),
    "truth": (None, [], "x", 5),
}  # fmt: skip
# Ids that look like paths.
PATHS = ("../../x", "a/b/../../../c", "/etc/passwd", ".", "..")
HEADERS: dict[str, tuple[Any, ...]] = {
    "format": ("signloom-landmarks", None, 5, []),
    "version": (99, "1", None, float("nan"), HUGE),
    "layout": ("other", None, 5),
    "layout_version": (99, "1", None),
    "name": (5, None, [], f"a{ESCAPE}b", "\ud800"),
    "licence": (5, [], f"a{ESCAPE}b"),
    "synthetic": ("yes", 5, None),
}  # fmt: skip


def cases() -> Iterator[Case]:
    for turn, (what, plant, expected, planted) in enumerate(_plants()):
        # All through the first command, and every third through one of the others in turn.
        others = (1 + turn // 3 % (len(DOORS) - 1),) if turn % 3 == 0 else ()
        for number in (0, *others):
            door, command, uses = DOORS[number]
            yield Case(
                f"corpora/{what}/{door}",
                command,
                uses,
                plant,
                names=("manifest.jsonl", "corpus.json", "train-00000", "corpus:"),
                expected=expected,
                planted=planted,
                stdout="terminal" if planted else "file",
                heavy=door == "doctor",
                hangs="fifo" in what or "dev" in what,
            )


def _plants() -> Iterator[tuple[str, Plant, Expected, tuple[str, ...]]]:
    for key, values in LINES.items():
        for name, value in labelled(values):
            planted = tuple(bad for bad in (ESCAPE,) if bad in str(value))
            # What a clip comes from is free, and an id is no path. Not every command looks at landmarks.
            expected: Expected = "refused"
            if (key in ("source", "truth", "signer") and value in (None, [])) or value in (*PATHS, "corpus.json", 47):
                expected = "any"
            yield f"line/{key}-{name}", line(lambda record, k=key, v=value: {**record, k: v}), expected, planted
        optional = key in ("source", "truth", "signer")
        without = line(lambda record, k=key: {name: v for name, v in record.items() if name != k})
        yield f"line/{key}-missing", without, "any" if optional else "refused", ()
    for key, values in HEADERS.items():
        for name, value in labelled(values):
            planted = tuple(bad for bad in (ESCAPE,) if bad in str(value))
            expected = "any" if key in ("licence", "synthetic") else "refused"
            yield (
                f"header/{key}-{name}",
                header(lambda record, k=key, v=value: {**record, k: v}),
                expected,
                planted,
            )
    for what, edit in TEXTS.items():
        yield f"manifest/{what}", change(MANIFEST, edit), "refused", ()
    for what, edit in SAME.items():
        yield f"manifest/{what}", change(MANIFEST, edit), "same", ()
    for what, text in {"list": "[]", "null": "null", "text": '"a"', "empty-object": "{}", "deep": "[" * 100_000,
                       "digits": '{"format": ' + "9" * 100_000 + "}"}.items():  # fmt: skip
        yield f"header/{what}", write(HEADER, text), "refused", ()
    for path in (MANIFEST, HEADER):
        for what, plant in nothing_good(path):
            yield f"{Path(path).stem}/{what}", plant, "refused", ()
        yield f"{Path(path).stem}/missing", remove(path), "refused", ()
    for kind in ("fifo", "loop", "dangling", "/dev/zero"):
        what = kind.strip("/").replace("/", "-")
        yield f"folder/landmark-{what}", special("corpus/landmarks/train-00000.npz", kind), "refused", ()
        yield f"folder/corpus-{what}", special("corpus", kind), "refused", ()
    yield "folder/landmark-missing", remove("corpus/landmarks/train-00000.npz"), "refused", ()
    yield "folder/landmarks-outside", _outside, "refused", ()


def line(edit: Callable[[dict[str, Any]], Any]) -> Plant:
    """Plants another first line of the manifest."""

    def edited(data: bytes) -> bytes:
        first, _, rest = data.partition(b"\n")
        return json.dumps(edit(json.loads(first))).encode() + b"\n" + rest

    return change(MANIFEST, edited)


def header(edit: Callable[[dict[str, Any]], Any]) -> Plant:
    """Plants another header."""
    return change(HEADER, lambda data: json.dumps(edit(json.loads(data))).encode())


def _outside(folder: Path, rng: random.Random) -> None:
    """The folder of landmark files is a link to another place."""
    (folder / "corpus/landmarks").rename(folder / "elsewhere")
    (folder / "corpus/landmarks").symlink_to("../elsewhere")


def _many(data: bytes) -> bytes:
    """Returns a manifest of 100,000 lines with one that is broken."""
    record = json.loads(data.splitlines()[0])
    record.pop("truth", None)
    lines = [json.dumps({**record, "id": f"x{number}"}) for number in range(100_000)]
    return "\n".join([*lines[:50_000], '{"id": "bad"', *lines[50_000:], ""]).encode()


def _first(edit: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    def edited(data: bytes) -> bytes:
        first, _, rest = data.partition(b"\n")
        return edit(first) + b"\n" + rest

    return edited


TEXTS: dict[str, Callable[[bytes], bytes]] = {
    "id-twice": lambda data: data + data.splitlines()[0] + b"\n",
    "no-lines": lambda data: b"\n\n",
    "list": _first(lambda text: b"[]"),
    "null": _first(lambda text: b"null"),
    "number": _first(lambda text: b"5"),
    "broken": _first(lambda text: text[:-5]),
    "two-on-a-line": lambda data: data.replace(b"\n", b" ", 1),
    "key-twice": _first(lambda text: text[:-1] + b', "split": "dev"}'),
    "nan-more": _first(lambda text: text[:-1] + b', "more": NaN}'),
    "deep": _first(lambda text: text[:-1] + b', "more": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "digits": _first(lambda text: text[:-1] + b', "more": ' + b"9" * 100_000 + b"}"),
    "latin-1": _first(lambda text: text.replace(b"ZAKE", b"M\xdcNCHEN")),
    "surrogate": _first(lambda text: text.replace(b"ZAKE", b"A\xed\xa0\x80B")),
    "nul": _first(lambda text: text.replace(b"ZAKE", b"A\0B")),
    "escape": _first(lambda text: text.replace(b"ZAKE", b"A\x1b[31mB")),
    "bidi-and-brackets": _first(lambda text: text.replace(b'"ZAKE"', f'"A{BIDI}'.encode())),
    "long-line": _first(lambda text: text[:-1] + b', "more": "' + b"A" * 300_000_000 + b'"}'),
    "one-bad-of-100000": _many,
    "utf-16": lambda data: data.decode().encode("utf-16"),
    "zeros": lambda data: data + bytes(1000),
}
SAME: dict[str, Callable[[bytes], bytes]] = {
    "crlf": lambda data: data.replace(b"\n", b"\r\n"),
    "blank-lines": lambda data: b"\n" + data.replace(b"\n", b"\n\n"),
    "no-last-line-end": lambda data: data.rstrip(b"\n"),
}
