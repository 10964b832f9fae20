"""The door of configs: YAML files of options, for a command and as a recipe that the doctor reads."""

from __future__ import annotations

from collections.abc import Iterator

from forging.cases import Case, Expected, Plant, nothing_good, write
from forging.texts import ESCAPE

LM = ("lm", "--config", "options.yaml")
DOCTOR = ("doctor", "recipe.yaml", "--suite", "architecture")
BOMB = "\n".join(
    ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
)

# For each content: what a command must do with it. {} stands for a good option.
TEXTS: dict[str, str] = {
    "list": "- a\n- b\n",
    "text": "hello\n",
    "number": "5\n",
    "broken": "a: [1, 2\n",
    "tab": "a:\n\tb: 5\n",
    "unknown-key": "{}colour: green\n",
    "near-key": "{}oder: 3\n",
    "key-twice": "{}order: 2\norder: 3\n",
    "key-number": "{}5: 3\n",
    "key-list": "{}? [a, b]\n: 3\n",
    "key-null": "{}null: 3\n",
    "value-list": "{}order: [1]\n",
    "value-mapping": "{}order: {a: 1}\n",
    "value-text": "{}order: many\n",
    "value-nan": "{}order: .nan\n",
    "value-infinite": "{}order: .inf\n",
    "value-negative": "{}order: -3\n",
    "value-huge": "{}order: 1" + "0" * 400 + "\n",
    "value-digits": "{}order: " + "9" * 10_000 + "\n",
    "value-date": "{}order: 2026-11-29\n",
    "value-null": "{}data_dir: null\n",
    "tag-python": "{}order: !!python/object/apply:builtins.open [payload-ran, w]\n",
    "tag-unknown": "{}order: !other 3\n",
    "tag-binary": "{}order: !!binary aGVsbG8=\n",
    "alias-bomb": BOMB + "\n{}order: *a11\n",
    "alias-bomb-data": BOMB + "\n{}data_dir: *a11\n",
    "alias-unknown": "{}order: *none\n",
    "alias-loop": "{}order: &a [*a]\n",
    "merge-loop": "a: &a\n  <<: *a\n{}",
    "deep": "{}order: " + "[" * 20_000 + "]" * 20_000 + "\n",
    "deep-mappings": "{}order: " + "{a: " * 5_000 + "1" + "}" * 5_000 + "\n",
    "two-documents": "{}---\norder: 3\n",
    "nul": "{}order: 2\0\n",
    "escape": "{}order: \"\x1b[31m\"\n",
    "escape-escaped": "{}order: \"\\e]0;owned\\a\\e[31m\"\n",
    "config-inside": "{}config: options.yaml\n",
    "help-inside": "{}help: true\n",
    "print-config-inside": "{}print_config: true\n",
}  # fmt: skip
SAME: dict[str, str] = {"comment": "# a comment\n{}", "json": '{"data_dir": "corpus", "output": "new.arpa"}'}


def cases() -> Iterator[Case]:
    good = "data_dir: corpus\noutput: new.arpa\n"
    for what, plant, expected in _plants("options.yaml", good):
        yield Case(
            f"configs/options/{what}", LM, ("options.yaml", "corpus"), plant,
            names=("options.yaml", "--", "order", "oder"), expected=expected,
            planted=("\x1b[31m", ESCAPE) if "escape" in what else (),
            stdout="terminal" if "escape" in what else "file", hangs=True,
        )  # fmt: skip
    for what, plant, expected in _plants("recipe.yaml", "preset: student\n", option="dropout"):
        yield Case(
            f"configs/recipe/{what}", DOCTOR, ("recipe.yaml",), plant, names=("recipe.yaml", "dropout"),
            expected=expected, planted=("\x1b[31m", ESCAPE) if "escape" in what else (), heavy=True,
            stdout="terminal" if "escape" in what else "file", hangs=True,
        )  # fmt: skip


def _plants(path: str, good: str, option: str = "order") -> Iterator[tuple[str, Plant, Expected]]:
    for what, text in TEXTS.items():
        # Of a recipe, a value that is left out is the default's.
        expected: Expected = "any" if what in ("value-null", "help-inside", "print-config-inside") else "refused"
        yield what, write(path, text.replace("{}", good, 1).replace("order", option)), expected
    if option == "order":
        for what, text in SAME.items():
            yield what, write(path, text.replace("{}", good, 1)), "same"
        yield "bom", write(path, b"\xef\xbb\xbf" + good.encode()), "same"
        yield "utf-16", write(path, good.encode("utf-16")), "either"
    yield "latin-1", write(path, good.encode() + b"# M\xdcNCHEN\n"), "refused"
    for what, plant in nothing_good(path):
        if not what.startswith("truncated"):
            yield what, plant, "refused"
