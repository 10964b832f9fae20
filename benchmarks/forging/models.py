"""The doors of models, training states and run folders: forged headers, weights that do not fit, damaged records."""

from __future__ import annotations

import json
import random
import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from forging.cases import Case, Expected, Plant, change, nothing_good, remove, swap, write
from forging.landmark_files import HUGE, labelled
from forging.texts import ESCAPE

MODEL, STATE = "run/model.safetensors", "run/last.safetensors"
TRANSCRIBE = ("transcribe", "clip.npz", "--model", MODEL)
# Commands that read a model; cases take turns.
DOORS: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("transcribe", TRANSCRIBE, ("clip.npz", "run")),
    ("evaluate", ("evaluate", MODEL, "--data_dir", "corpus", "--split", "test"), ("corpus", "run")),
    ("init", ("train", "--data_dir", "corpus", "--output", "new", "--init", MODEL, "--max_steps", "1", "--epochs", "1"),
     ("corpus", "run")),
    ("doctor", ("doctor", MODEL, "--suite", "architecture"), ("run",)),
)  # fmt: skip
RESUME = ("train", "--data_dir", "corpus", "--output", "run", "--resume", "--epochs", "1", "--max_steps", "3",
          "--batch_size", "2", "--consistency", "0")  # fmt: skip
TENSOR = "body.stem.weight"


def tensors_file(header: Any, data: bytes) -> bytes:
    """Returns a safetensors file with any header: JSON, or bytes as they are."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def parts(content: bytes) -> tuple[dict[str, Any], bytes]:
    """Returns the header of a safetensors file, and its data."""
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def header_with(path: str, edit: Callable[[dict[str, Any]], Any]) -> Plant:
    """Plants another safetensors header."""

    def edited(content: bytes) -> bytes:
        header, data = parts(content)
        return tensors_file(edit(header), data)

    return change(path, edited)


def record_with(edit: Callable[[dict[str, Any]], Any]) -> Plant:
    """Plants another record in a model's header: the JSON below `signloom`, or its text."""

    def edited(header: dict[str, Any]) -> dict[str, Any]:
        new = edit(json.loads(header["__metadata__"]["signloom"]))
        text = new if isinstance(new, str) else json.dumps(new)
        return {**header, "__metadata__": {**header["__metadata__"], "signloom": text}}

    return header_with(MODEL, edited)


def _put(record: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Returns a record in which the entry at `a.b.c` is another."""
    first, _, rest = path.partition(".")
    return {**record, first: _put(record.get(first) or {}, rest, value) if rest else value}


RECORDS: dict[str, tuple[Any, ...]] = {
    "format": ("signloom-corpus", None, 5),
    "version": (99, "1", None),
    "layout": ("other", None),
    "config": (None, [], "student", {}),
    "config.kind": ("other", None, 5, []),
    "config.view": ("other", None, 5, "full"),
    "config.frame_rate": ("yes", 5, None),
    "config.lstm_hidden": (0, -1, 1.5, "192", None, 10**9, HUGE, True),
    "config.lstm_layers": (0, -1, 10**6, None),
    "config.dropout": (float("nan"), -1, 1, "0.1", None),
    "config.fps": (0, float("nan"), float("inf"), -25, 1e-300, "25", None, 1e9),
    "config.classifier": ("other", None),
    "config.encoder_widths": (None, [], {}, {"pose": 32}, {"pose": -1}, {"pose": 10**9}, "x"),
    "config.blocks": (None, [], {}, [5], [{}], "x"),
    "config.stem_channels": (0, -1, 10**9, 1.5, HUGE),
    "config.stem_kernel": (0, 4, 10**9),
    "config.stem_stride": (0, -1, 10**9),
    "config.head_channels": (0, 10**9),
    "config.colour": ("green",),
    "vocabulary": (None, [], {}, "ABC", ["<blank>", "<unknown>"], ["<blank>", "<unknown>", "A", "A", "B", "C"],
                   ["A", "B", "C", "D", "E", "F"], ["<blank>", "<unknown>", 1, 2, 3, 4],
                   ["<blank>", "<unknown>", "A", "B", "C", "D", "E"], ["<blank>", "<unknown>", "", "B", "C", "D"],
                   ["<blank>", "<unknown>", "\ud800", "B", "C", "D"],
                   ["<blank>", "<unknown>", f"a{ESCAPE}", "B", "C", "D"]),
    "info": (None, [], "x"),
    "info.spans": (5, [], "x", {"shift_seconds": float("nan")}, {"shift_seconds": "x"}, {"shift_seconds": 1e300}),
    "info.calibration": (5, [], "x", {"x": float("nan")}),
    "decoding": ([], "x", {"decoder": "other"}, {"beam_size": 0}, {"beam_size": 10**9}, {"beam_size": 1.5},
                 {"beam_size": "10"}, {"lm_weight": float("nan")}, {"lm_weight": -1}, {"lm_weight": HUGE},
                 {"lm_weight": "x"}, {"insertion_bonus": float("inf")}, {"tokens_per_frame": 0}, {"colour": 5}),
    "language_model": ([], "x", {}, {"words": [], "order": 3}, {"words": ["A"], "order": HUGE},
                       {"words": ["A"], "order": -1}, {"words": 5, "order": 1}),
}  # fmt: skip
# A model whose record of where it comes from is odd may still recognise.
FREE = ("info", "info.spans", "info.calibration")


def cases() -> Iterator[Case]:
    yield from _models()
    yield from _states()
    yield from _runs()


def _models() -> Iterator[Case]:
    for turn, (what, plant, expected, planted) in enumerate(_plants()):
        # All through the first command, and every third through one of the others in turn.
        others = (1 + turn // 3 % (len(DOORS) - 1),) if turn % 3 == 0 else ()
        for number in (0, *others):
            door, command, uses = DOORS[number]
            yield Case(
                f"models/{what}/{door}",
                command,
                uses,
                plant,
                names=("model.safetensors", "run:"),
                expected=expected,
                planted=planted,
                stdout="terminal" if planted else "file",
                # The log says why.
                may_write=(r"new/(training\.log|\..*lock)",),
                heavy=True,
                hangs=True,
            )


def _plants() -> Iterator[tuple[str, Plant, Expected, tuple[str, ...]]]:
    for key, values in RECORDS.items():
        for name, value in labelled(values):
            planted = (ESCAPE,) if ESCAPE in str(value) else ()
            expected: Expected = "any" if key in FREE else "refused"
            plant = record_with(lambda record, k=key, v=value: _put(record, k, v))
            yield f"record/{key}-{name}", plant, expected, planted
    for key in ("config", "vocabulary", "format"):
        plant = record_with(lambda record, k=key: {name: v for name, v in record.items() if name != k})
        yield f"record/{key}-missing", plant, "refused", ()
    for what, text in {"list": "[]", "null": "null", "broken": "{", "deep": "[" * 100_000 + "]" * 100_000,
                       "digits": '{"format": ' + "9" * 100_000 + "}"}.items():  # fmt: skip
        yield f"record/{what}", record_with(lambda record, text=text: text), "refused", ()
    for what, edit in HEADERS.items():
        yield f"header/{what}", header_with(MODEL, edit), "refused", ()
    for what, content in FILES.items():
        yield f"file/{what}", write(MODEL, content), "refused", ()
    for what, plant in nothing_good(MODEL):
        yield f"file/{what}", plant, "refused", ()
    yield "file/landmarks", _instead("clip.npz"), "refused", ()
    yield "file/training-state", _instead(STATE), "refused", ()
    yield "weights/nan", _with_weights(b"\xff\xff\xff\xff"), "refused", ()
    yield "weights/infinite", _with_weights(struct.pack("<f", float("inf"))), "refused", ()
    yield "weights/huge", _with_weights(struct.pack("<f", 1e38)), "any", ()


def _tensor(header: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**header, TENSOR: {**header[TENSOR], **changes}}


def _without(header: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in header.items() if key != name}


HEADERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no-metadata": lambda header: _without(header, "__metadata__"),
    "other-metadata": lambda header: {**header, "__metadata__": {"a": "b"}},
    "metadata-number": lambda header: {**header, "__metadata__": {"signloom": 5}},
    "tensor-missing": lambda header: _without(header, TENSOR),
    "tensor-renamed": lambda header: {**_without(header, TENSOR), "other": header[TENSOR]},
    "shape-huge": lambda header: _tensor(header, shape=[10**9, 10**9]),
    "shape-turned": lambda header: _tensor(header, shape=header[TENSOR]["shape"][::-1]),
    "shape-negative": lambda header: _tensor(header, shape=[-1]),
    "dtype-f16": lambda header: _tensor(header, dtype="F16"),
    "dtype-i32": lambda header: _tensor(header, dtype="I32"),
    "dtype-other": lambda header: _tensor(header, dtype="X9"),
    "offsets-beyond": lambda header: _tensor(header, data_offsets=[0, 10**12]),
    "offsets-overlap": lambda header: _tensor(header, data_offsets=[0, 4]),
    "list": lambda header: [],
    "deep": lambda header: b"[" * 100_000 + b"]" * 100_000,
    "no-json": lambda header: b"{{{{",
    "empty": lambda header: b"",
}  # fmt: skip
FILES: dict[str, bytes] = {
    "header-length-huge": struct.pack("<Q", 2**62) + b"{}",
    "header-length-100-gb": struct.pack("<Q", 10**11) + b"{}",
    "header-length-0": struct.pack("<Q", 0),
    "text": b"this is no model\n" * 10,
    "torch-zip": b"PK\x03\x04" + bytes(1000),
    "onnx": b"\x08\x07\x12\x07pytorch" + bytes(100),
}


def _instead(name: str) -> Plant:
    def plant(folder: Path, rng: random.Random) -> None:
        if not (folder / name).exists():
            write(MODEL, b"PK\x03\x04" + bytes(100))(folder, rng)
            return
        (folder / MODEL).unlink()
        shutil.copy2(folder / name, folder / MODEL)

    return plant


def _with_weights(value: bytes) -> Plant:
    """Plants a model one of whose tensors has one value everywhere."""

    def edited(content: bytes) -> bytes:
        header, data = parts(content)
        start, end = header[TENSOR]["data_offsets"]
        return tensors_file(header, data[:start] + value * ((end - start) // len(value)) + data[end:])

    return change(MODEL, edited)


def _replaced(old: str, new: str) -> Callable[[dict[str, str]], dict[str, str]]:
    """Returns an edit of a state's tree. Raises ValueError where it has no such text."""

    def edit(meta: dict[str, str]) -> dict[str, str]:
        if old not in meta["tree"]:
            raise ValueError(f"the training state has no {old}")
        return {**meta, "tree": meta["tree"].replace(old, new, 1)}

    return edit


# A run's logs are kept, and a lock may be left.
LOGS = (r"run/(training\.log.*|.*\.lock|tensorboard/.*)",)


def _states() -> Iterator[Case]:
    plants: list[tuple[str, Plant]] = [(f"file/{what}", plant) for what, plant in nothing_good(STATE)]
    plants += [(f"file/{what}", write(STATE, content)) for what, content in FILES.items()]
    plants.append(("file/model", lambda folder, rng: shutil.copy2(folder / MODEL, folder / STATE) and None))
    for what, edit in {
        "format": lambda meta: {**meta, "format": "other"},
        "no-tree": lambda meta: {"format": meta["format"]},
        "tree-list": lambda meta: {**meta, "tree": "[]"},
        "tree-null": lambda meta: {**meta, "tree": "null"},
        "tree-broken": lambda meta: {**meta, "tree": meta["tree"][:-9]},
        "tree-deep": lambda meta: {**meta, "tree": "[" * 100_000 + "]" * 100_000},
        "tree-two-kinds": lambda meta: {**meta, "tree": '{"dict": [], "tuple": []}'},
        "tree-unknown-kind": lambda meta: {**meta, "tree": '{"object": []}'},
        "tree-empty": lambda meta: {**meta, "tree": '{"dict": []}'},
        "tensor-unknown": _replaced('{"tensor": "3"}', '{"tensor": "9999"}'),
        "tensors-exchanged": _replaced('{"tensor": "3"}', '{"tensor": "4"}'),
        "step-text": _replaced('["global_step", 2]', '["global_step", "x"]'),
        "step-negative": _replaced('["global_step", 2]', '["global_step", -5]'),
        "step-huge": _replaced('["global_step", 2]', f'["global_step", {HUGE}]'),
        "epoch-nan": _replaced('["epoch", 0]', '["epoch", NaN]'),
    }.items():  # fmt: skip
        plants.append((what, header_with(STATE, lambda h, e=edit: {**h, "__metadata__": e(h["__metadata__"])})))
    for what, plant in plants:
        names = ("last.safetensors", "run:")
        yield Case(
            f"states/{what}", RESUME, ("corpus", "run"), plant, names=names, may_write=LOGS, heavy=True, hangs=True
        )


DAMAGE: dict[str, str] = {
    "empty": "",
    "list": "[]",
    "null": "null",
    "text": '"x"',
    "number": "5",
    "broken": '{"a": ',
    "deep": "[" * 100_000 + "]" * 100_000,
    "digits": '{"epochs": ' + "9" * 100_000 + "}",
    "not-utf-8": "\udc80",
}
# Fields of the records in a run folder, with wrong values.
FIELDS: dict[str, dict[str, tuple[Any, ...]]] = {
    "run.json": {"recipe": (None, [], {}, "x"), "recipe.preset": (5, "other"), "recipe.batch_size": ("x", None),
                 "recipe.augmentation": ([], {"jitter": "x"}, {"colour": 1}), "corpus": ([], 5), "corpus.path": (5,),
                 "model": (5,), "environment": ([],)},
    "history.json": {"epochs": (None, {}, [5], [{}], "x", [{"epoch": "x", "train_loss": 1, "dev_loss": 1}],
                                [{"epoch": 1, "train_loss": "x", "dev_loss": None, "dev_wer": []}]),
                     "best_epoch": ("x", -1, 10**9, [])},
    "monitors.json": {"said": (5, [5], [{}]), "epochs": (5, [5], {}), "every_steps": ("x", 0)},
    "evaluation-test.json": {"counts": (5, []), "utterances": (5, [5], [{}])},
}  # fmt: skip


def _runs() -> Iterator[Case]:
    doctor = ("doctor", "run", "--suite", "run")
    compare = ("compare", "run", "run")
    for file, fields in FIELDS.items():
        command, uses = (compare, ("run",)) if file.startswith("evaluation") else (doctor, ("run", "corpus"))
        plants = [(what, write(f"run/{file}", text)) for what, text in DAMAGE.items() if what != "not-utf-8"]
        plants.append(("not-utf-8", write(f"run/{file}", b'{"a": "\xff\xfe\xfd"}')))
        plants += [
            (what, plant) for what, plant in nothing_good(f"run/{file}") if what in ("fifo", "dev-zero", "folder")
        ]
        for key, values in fields.items():
            for name, value in labelled(values):
                edit = change(f"run/{file}", lambda d, k=key, v=value: json.dumps(_put(json.loads(d), k, v)).encode())
                plants.append((f"{key}-{name}", edit))
        for what, plant in plants:
            # A record may lack what a check needs; the check then says so or is left out.
            yield Case(
                f"runs/{file}/{what}", command, uses, plant, names=(file, "run:"), heavy=True, hangs=True,
                expected="any" if file != "history.json" and what.split("-")[0] in fields else "refused",
            )  # fmt: skip
    for path in ("model.safetensors", "run.json", "history.json"):
        yield Case(
            f"runs/without/{path}", RESUME, ("corpus", "run"), remove(f"run/{path}"), names=("run",), heavy=True,
            may_write=(r"run/.*",), expected="any",
        )  # fmt: skip
    yield Case(
        "runs/other-preset", RESUME, ("corpus", "run"), swap("run/run.json", '"student"', '"teacher"'),
        names=("preset",), may_write=LOGS, heavy=True,
    )  # fmt: skip
