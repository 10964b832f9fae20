"""The door of options: numbers that are none, names of nothing, patterns that never end."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec

from forging.cases import Case, Expected, all_of, write
from forging.good import SYNTH
from forging.landmark_files import labelled
from signloom import commands, importers

# A short good command of each, and the good files that it needs.
BASES: dict[str, tuple[tuple[str, ...], tuple[str, ...], bool]] = {
    "synth": (("synth", "--output", "new", *SYNTH), (), False),
    "compose": (("compose", "signs", "--output", "new", "--num_train", "4", "--num_dev", "0", "--num_test", "0"),
                ("signs",), False),
    "lm": (("lm", "--data_dir", "corpus"), ("corpus",), False),
    "score": (("score", "refs.csv", "hyps.csv"), ("refs.csv", "hyps.csv"), False),
    "compare": (("compare", "a.json", "b.json"), ("a.json", "b.json"), False),
    "show": (("show", "clip.npz", "--output", "new.png"), ("clip.npz",), False),
    "import openpose": (("import", "openpose", "openpose_output/json", "--output", "new"), ("import-openpose-json",),
                        False),
    "import holistic": (("import", "holistic", "MP_Data", "--output", "new"), ("import-holistic-MP_Data",), False),
    "transcribe": (("transcribe", "clip.npz", "--model", "run"), ("clip.npz", "run"), True),
    "align": (("align", "clip.npz", "--model", "run", "--glosses", "ZAKE"), ("clip.npz", "run"), True),
    "evaluate": (("evaluate", "run", "--data_dir", "corpus"), ("corpus", "run"), True),
    "tune": (("tune", "run", "--data_dir", "corpus", "--output", "new.safetensors"), ("corpus", "run"), True),
    "enrol": (("enrol", "run", "signs", "--output", "new"), ("run", "signs"), True),
    "train": (("train", "--data_dir", "corpus", "--output", "new", "--epochs", "1", "--max_steps", "1",
               "--consistency", "0"), ("corpus",), True),
    "overfit": (("overfit", "--data_dir", "corpus", "--output", "new", "--max_epochs", "1"), ("corpus",), True),
    "verify": (("verify", "--data_dir", "corpus", "--num_steps", "1"), ("corpus",), True),
}  # fmt: skip
NUMBERS = ("nan", "inf", "-inf", "-1", "1e400", "9" * 400, "x", "", "1,5")
# Numbers that mean something: no clipping, no limit of time, any seed, the part before the start.
MEANINGFUL = ("gradient_clip", "max_minutes", "save_every_minutes", "seed", "start", "end", "attention_clamp",
              "insertion_bonus", "warmup_epochs", "max_epochs", "patience", "attention_dropout")  # fmt: skip


def cases() -> Iterator[Case]:
    yield from _numbers()
    yield from _words()
    yield from _patterns()


def _numeric(command: str) -> list[str]:
    """Returns the options of a command that are numbers."""
    name, _, kind = command.partition(" ")
    module = import_module(importers.module_of(kind) if kind else commands.module_of(name))
    hints = typing.get_type_hints(module.Options)
    numbers = []
    for item in dataclasses.fields(module.Options):
        kinds = set(typing.get_args(hints[item.name]) or [hints[item.name]])
        if kinds & {int, float} and not kinds - {int, float, type(None)}:
            numbers.append(item.name)
    return numbers


def _numbers() -> Iterator[Case]:
    for name, (command, uses, heavy) in BASES.items():
        if heavy and find_spec("torch") is None:
            continue
        for number, option in enumerate(_numeric(name)):
            for turn, value in enumerate(NUMBERS):
                # All options are tried with what is no number, and each with some of the others.
                if value != "nan" and (number + turn) % (5 if heavy else 3):
                    continue
                # Of a landmark file nobody asks how long a frame is.
                means = (option in MEANINGFUL or (name, option) == ("show", "fps")) and value not in (
                    "nan",
                    "x",
                    "",
                    "1,5",
                )
                expected: Expected = "any" if means else "refused"
                yield Case(
                    f"options/{name.replace(' ', '-')}/{option}/{value[:6] or 'empty'}",
                    (*_without(command, f"--{option}"), f"--{option}={value}"),
                    uses,
                    names=(option,),
                    expected=expected,
                    may_write=(r"new/(training\.log|\..*lock|tensorboard/.*)",),
                    heavy=heavy,
                    hangs=True,
                )


def _without(command: tuple[str, ...], option: str) -> tuple[str, ...]:
    """Returns a command without an option and its value."""
    if option not in command:
        return command
    place = command.index(option)
    return (*command[:place], *command[place + 2 :])


def _words() -> Iterator[Case]:
    score, files = ("score", "refs.csv", "hyps.csv"), ("refs.csv", "hyps.csv")
    lm = ("lm", "--data_dir", "corpus")
    long = "a" * 5000
    for what, command, uses, names in (
        ("unknown-command", ("trian",), (), ("trian",)),
        ("unknown-kind", ("import", "elann"), (), ("elann",)),
        ("unknown-option", (*score, "--colour", "green"), files, ("colour",)),
        ("option-without-value", (*score, "--worst"), files, ("worst",)),
        ("positional-more", (*score, "more.csv"), files, ("more.csv",)),
        ("positional-missing", ("score", "refs.csv"), files, ("hypothesis",)),
        ("protocol-unknown", (*score, "--protocol", "other"), files, ("protocol", "other")),
        ("protocol-variants", (*score, "--protocol", "plain+plain"), files, ("variant",)),
        ("format-unknown", (*score, "--format", "xml"), files, ("format",)),
        ("split-of-file", (*score, "--split", "test"), files, ("--split",)),
        ("split-unknown", ("score", "corpus", "hyps.csv", "--split", "x"), ("corpus", "hyps.csv"), ("split",)),
        ("no-such-file", ("score", "none.csv", "hyps.csv"), files, ("none.csv",)),
        ("long-name", ("score", long, "hyps.csv"), files, ("a" * 50,)),
        ("empty-name", ("score", "", "hyps.csv"), files, ("reference", "'.'", "folder", "corpus")),
        ("nul-name", ("score", "a\0b", "hyps.csv"), files, ("a\\x00b", "a\\0b")),
        ("not-utf-8-name", ("score", "a\udcff.csv", "hyps.csv"), files, ("a\\xff.csv", "a\\udcff.csv", "a\ufffd.csv")),
        ("evaluate-unknown", (*lm, "--evaluate", "none.txt"), ("corpus",), ("none.txt",)),
        ("config-missing", ("lm", "--config", "none.yaml"), (), ("none.yaml", "config")),
        ("image-size", ("synth", "--output", "new", "--image_size", "640"), (), ("image_size",)),
        ("image-size-huge", ("synth", "--output", "new", "--image_size", "99999x99999"), (), ("image_size",)),
        ("preset-unknown", ("synth", "--output", "new", "--preset", "other"), (), ("preset",)),
        ("extract-nothing", ("extract", "none/*.mp4", "--output", "new"), (), ("none/*.mp4",)),
        ("extract-bracket", ("extract", "[", "--output", "new"), (), ("[",)),
        ("extract-text", ("extract", "refs.csv", "--output", "new"), ("refs.csv",), ("refs.csv",)),
        ("extract-shard", ("extract", "film.mp4", "--output", "new", "--shard", "3/2"), (), ("shard", "film.mp4")),
        ("crop", ("show", "clip.npz", "--output", "new.png", "--crop", "1,2,nan,4"), ("clip.npz",), ("crop",)),
        ("recipe-unknown", ("train", "--data_dir", "corpus", "--recipe", "other"), ("corpus",), ("recipe", "other")),
        ("doctor-unknown-check", ("doctor", "corpus", "--check", "other"), ("corpus",), ("other",)),
        ("model-preset", ("train", "--data_dir", "corpus", "--preset", "x", "--output", "n"), ("corpus",), ("preset",)),
    ):  # fmt: skip
        heavy = command[0] in commands.TRAINING
        # Of a landmark file nobody asks where the signer is.
        expected: Expected = "any" if what == "crop" else "refused"
        yield Case(f"options/words/{what}", command, uses, names=names, expected=expected, heavy=heavy, hangs=True,
                   may_write=(r"new/.*lock", r"new/failed\.jsonl"))  # fmt: skip
    for name, value in labelled(("../x", "/", "a/b", "..", "a\0b", "\x1b[31m")):
        yield Case(f"options/words/film-{name}", ("transcribe", value, "--model", "run"), ("run",),
                   names=(value, repr(value)[1:-1]), planted=(value,) if "\x1b" in value else (),
                   stdout="terminal" if "\x1b" in value else "file", heavy=True)  # fmt: skip


def _patterns() -> Iterator[Case]:
    endless = "id|gloss\n" + "u" * 40 + "|REGEN\nu2|SONNE\n"
    for what, pattern in {
        "backtracking": "((u+)+)+x",
        "alternatives": "(u|u|uu)*x(y)?",
        "nested": "^(([a-z])+.)+[A-Z]([a-z])+$",
        "bracket-open": "(u",
        "bad-repeat": "*u",
        "no-group": "u",
        "two-groups": "(u)(.)",
        "lookbehind": "(?<=u+)(x)",
        "huge-repeat": "(u{1,99999999})x",
        "deep": "(" * 5000 + "u" + ")" * 5000,
        "recursion": "((?R)x)",
        "empty": "",
        "finds-nothing": "(q)",
    }.items():
        yield Case(
            f"options/patterns/score-{what}",
            ("score", "refs.csv", "hyps.csv", "--signer_pattern", pattern),
            ("refs.csv", "hyps.csv"),
            all_of(write("refs.csv", endless), write("hyps.csv", endless)),
            names=("signer_pattern",),
            # The pattern is what is bad.
            compared=False,
            hangs=True,
        )
        yield Case(
            f"options/patterns/isharah-{what}",
            ("import", "isharah", "--annotations", "annotations/SI", "--landmarks", "landmarks", "--output", "new",
             "--signer_pattern", pattern, "--skip_missing"),
            ("import-isharah-SI",),
            write("annotations/SI/train.csv", endless),
            names=("signer_pattern",),
            # The pattern is what is bad.
            compared=False,
            hangs=True,
        )  # fmt: skip
