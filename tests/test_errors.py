"""Messages for missing packages: the command that installs them, or why none does."""

from __future__ import annotations

import platform
import sys

import pytest

from signloom.errors import MissingExtraError


@pytest.mark.parametrize(
    ("version", "module", "advice"),
    [
        ((3, 12, 1), "mediapipe", "install it with: pip install 'signloom[extract]'"),
        ((3, 13, 0), "lightning", "install it with: pip install 'signloom[train]'"),
        ((3, 13, 0), "mediapipe", "it has no release for Python 3.13. Extract with Python 3.11 or 3.12: "),
        # OpenCV has releases for every Python: a preview as .mp4 works there.
        ((3, 13, 0), "cv2", "install it with: pip install opencv-contrib-python"),
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
