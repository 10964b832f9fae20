"""A real browser for tests of pages: Debian's chromium, without a window."""

import shutil
import subprocess
from pathlib import Path

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def dumped(address: str, profile: Path, *flags: str) -> str:
    """What a page has become after its scripts ran, as HTML. profile: a folder for the browser's own files."""
    if CHROMIUM is None:
        pytest.skip("no chromium is installed to open the page")
    own = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        f"--user-data-dir={profile}",
        "--virtual-time-budget=2000",
    ]
    done = subprocess.run(
        [CHROMIUM, *own, *flags, "--dump-dom", address], capture_output=True, timeout=120, check=True, encoding="utf-8"
    )
    return done.stdout
