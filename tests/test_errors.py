"""Messages for missing packages, the command that installs them or why none does; and bounds of options."""

from __future__ import annotations

import platform
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import signloom
from signloom.errors import Faults, MissingExtraError, plural


@pytest.mark.parametrize(
    ("version", "module", "advice"),
    [
        ((3, 12, 1), "mediapipe", "[extract]"),
        ((3, 13, 0), "lightning", "[train]"),
        ((3, 13, 0), "mediapipe", "it has no release for Python 3.13. Extract with Python 3.11 or 3.12: "),
        # OpenCV has releases for every Python: a preview as .mp4 works there.
        ((3, 13, 0), "cv2", "pip install opencv-contrib-python"),
    ],
)
def test_the_advice_fits_the_python_that_runs(monkeypatch, version, module, advice):
    monkeypatch.setattr(sys, "version_info", version)
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    assert advice in str(MissingExtraError(module, "this"))


def test_on_arm_linux_the_advice_names_another_tracker(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 12, 1))
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    message = str(MissingExtraError("mediapipe", "this"))
    assert "it has no release for ARM Linux" in message
    assert "'signloom import coco_wholebody'" in message


@pytest.mark.parametrize("value", [float("inf"), 10**400, 2e12])
def test_no_option_is_endless(value):
    faults = Faults("options")
    faults.need_at_least(1, SimpleNamespace(count=value), "count")
    faults.need_above(0, SimpleNamespace(count=value), "count")
    assert len(faults.messages) == 2
    assert all("--count is " in message and "at most 1,000,000,000,000" in message for message in faults.messages)
    assert max(map(len, faults.messages)) < 100


def test_large_numbers_and_options_that_are_not_given_are_fine():
    faults = Faults("options")
    faults.need_at_least(1, SimpleNamespace(count=10**12, other=None), "count", "other")
    faults.need_above(0, SimpleNamespace(count=1e6, other=None), "count", "other")
    assert not faults


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((1, "gloss"), "1 gloss"),
        ((0, "gloss"), "0 glosses"),
        ((1234, "utterance"), "1,234 utterances"),
        ((2, "training process"), "2 training processes"),
        ((1, "hypothesis", "hypotheses"), "1 hypothesis"),
        ((3, "clip is", "clips are"), "3 clips are"),
    ],
)
def test_a_count_agrees_with_its_noun(arguments, text):
    assert plural(*arguments) == text


def test_no_message_counts_without_it():
    counted = re.compile(r"\{len\([^{}]*\)(?::,)?\} (?!is\b)[a-z]+s\b")
    files = sorted(Path(signloom.__file__).parent.rglob("*.py"))
    assert [(path.name, found) for path in files for found in counted.findall(path.read_text(encoding="utf-8"))] == []
