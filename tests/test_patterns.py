"""Regular expressions of users: as Python's own, but none can take longer than its time."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signloom.errors import InputError
from signloom.text.patterns import UserPattern, found_in

PATTERNS = [r"^(\d+)_", "_(P[0-9]+)", r"(?i)signer(\w+?)_", r"(a|b)?c", "(?P<name>x+)y", r"\A(.*?)-\d{2,}\Z", "()"]


@given(st.sampled_from(PATTERNS), st.text("abc_P019xySigner-", max_size=12))
def test_patterns_find_what_re_finds(pattern, name):
    match = re.search(pattern, name)
    assert UserPattern(pattern, "--signer_pattern").find(name) == (None if match is None else match[1] or "")
    assert found_in(name, None) is None


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(", r"--signer_from '\(' is not a regular expression \("),
        ("a+", "'a.' has 0 groups; needed one"),
        ("(a)(b)", "has 2 groups; needed one"),
        ("(" * 400 + ")" * 399, "is not a regular expression"),
        ("(a)" + "b" * 998, "has 1,001 characters; needed at most 1,000"),
        (r"(\d{1,99999999999999999999})", "is not a regular expression"),
        ("(a)*?+**", "is not a regular expression"),
    ],
)
def test_what_is_no_pattern_is_told_with_its_option(pattern, message):
    with pytest.raises(InputError, match=message):
        UserPattern(pattern, "--signer_from")


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", "^((a|b|ab|ba)+)+$".replace("((", "(?:(")])
def test_a_pattern_without_end_is_stopped(pattern, monkeypatch):
    monkeypatch.setattr("signloom.text.patterns._MOST_SECONDS", 0.05)
    compiled = UserPattern(pattern, "--label_from")
    with pytest.raises(InputError, match=r"--label_from '.*' takes longer than 0.05 s \(at 'aaaa"):
        compiled.find("a" * 5000 + "!")


def test_the_time_is_that_of_all_texts_together(monkeypatch):
    monkeypatch.setattr("signloom.text.patterns._MOST_SECONDS", 0.2)
    compiled = UserPattern("(a|aa)+$", "--label_from")
    with pytest.raises(InputError, match="takes longer than 0.2 s"):
        for _ in range(10_000):
            compiled.find("a" * 18 + "!")
