"""Counts in messages: the noun and the verb agree with the number before them."""

import ast
import re
from pathlib import Path

import pytest

import signloom
from conftest import parsed
from signloom.errors import plural
from signloom.text.counts import some_of

# What somebody does who is no single thing: "1 clip have" is wrong.
VERBS = "have|are|were|do|get|give|look|run|lie|show|need|hold|repeat|differ|lack|contain"


@pytest.mark.parametrize(
    ("count", "total", "expected"),
    [
        (0, 5, "0 of 5 clips have"),
        (1, 5, "1 of 5 clips has"),
        (2, 5, "2 of 5 clips have"),
        (1, 1, "1 of 1 clip has"),
        (0, 1, "0 of 1 clip have"),
        (0, 0, "0 of 0 clips have"),
        (1234, 5678, "1,234 of 5,678 clips have"),
    ],
)
def test_the_verb_agrees_with_the_part_and_the_noun_with_the_whole(count, total, expected):
    assert some_of(count, total, "clip", "has", "have") == expected


def test_a_noun_may_have_another_plural():
    assert some_of(1, 2, "gloss", "is", "are") == "1 of 2 glosses is"
    assert some_of(2, 3, "clip that moves", "runs", "run", nouns="clips that move") == "2 of 3 clips that move run"
    assert [plural(count, "file is", "files are") for count in (1, 2)] == ["1 file is", "2 files are"]


def disagreeing(module: ast.Module) -> list[str]:
    """The messages of a module in which the verb after a count is always that of a plural."""
    found = []
    for node in ast.walk(module):
        if isinstance(node, ast.JoinedStr):
            # A count with its noun is N; `plural` with three arguments holds the verb, too.
            text = "".join(
                part.value if isinstance(part, ast.Constant) else "N" if counts_noun(part.value) else "X"
                for part in node.values
            )
            found += [match[0] for match in re.finditer(rf"N( that)? ({VERBS})\b", text)]
    return found


def counts_noun(value: ast.expr) -> bool:
    called = isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "plural"
    return called and len(value.args) == 2


@pytest.mark.parametrize(
    ("code", "number"),
    [
        ("f\"{bad} of {plural(n, 'clip')} have no hands\"", 1),
        ("f\"{plural(n, 'clip')} are empty\"", 1),
        ("f\"{plural(n, 'clip')} that show a hand\"", 1),
        ("f\"{plural(n, 'clip is', 'clips are')} empty\"", 0),
        ("f\"{some_of(k, n, 'clip', 'has', 'have')} no hands\"", 0),
        ("f\"done: {plural(n, 'clip')}\"", 0),
    ],
)
def test_a_verb_that_never_agrees_is_found(code, number):
    assert len(disagreeing(ast.parse(code))) == number


def test_the_verbs_of_all_messages_agree():
    root = Path(signloom.__file__).parent
    found = {str(path.relative_to(root)): disagreeing(parsed(path)) for path in sorted(root.rglob("*.py"))}
    assert {name: messages for name, messages in found.items() if messages} == {}
