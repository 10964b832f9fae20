"""`make` says at once that a Python cannot run signloom, before it makes an environment."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def stand_in(folder: Path, name: str, version: tuple[int, int, int], *, can_make: bool = True) -> None:
    """Writes a Python that says to be another version, and notes whether it was to make an environment."""
    path = folder / name
    older = f"import sys; sys.version_info = {(*version, 'final', 0)}; exec(sys.argv[1])"
    path.write_text(
        "#!/bin/sh\n"
        f'case "$*" in *" venv "*) touch "{folder}/made"; exit 1;; *ensurepip*) exit {int(not can_make)};; esac\n'
        f'exec "{sys.executable}" -c "{older}" "$2"\n'
    )
    path.chmod(0o755)


def make(folder: Path, *, python: str = "python3") -> tuple[int, str]:
    command = ["make", "-f", str(ROOT / "Makefile"), f"PYTHON={python}", f"VENV={folder}/environment", "quickstart"]
    # Only what the stand-ins and make itself need.
    path = f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin"
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "PATH": path})
    return result.returncode, result.stderr


@pytest.mark.parametrize("version", [(3, 8, 10), (3, 10, 12), (2, 7, 18)])
def test_an_old_python_is_named_with_one_that_serves(version, tmp_path):
    stand_in(tmp_path, "python3", version)
    stand_in(tmp_path, "python3.12", (3, 12, 1))
    status, text = make(tmp_path)
    named = ".".join(map(str, version))
    assert f"signloom needs Python 3.11 or later; python3 is {named}; give another: make ... PYTHON=python3.12" in text
    assert status != 0
    assert not (tmp_path / "made").exists()
    assert not (tmp_path / "environment").exists()


def test_a_python_that_is_missing_is_named(tmp_path):
    assert "needs Python 3.11 or later; nopython does not run" in make(tmp_path, python="nopython")[1]


def test_a_python_that_cannot_make_environments_is_named(tmp_path):
    stand_in(tmp_path, "python3", (3, 11, 2), can_make=False)
    assert "python3 cannot make environments; on Debian and Ubuntu install python3-venv" in make(tmp_path)[1]


@pytest.mark.parametrize("version", [(3, 11, 0), (3, 13, 1), (3, 14, 0)])
def test_any_later_python_makes_the_environment(version, tmp_path):
    stand_in(tmp_path, "python3", version)
    assert "signloom needs" not in make(tmp_path)[1]
    assert (tmp_path / "made").exists()


def test_an_environment_of_an_old_python_is_named(tmp_path):
    (tmp_path / "environment" / "bin").mkdir(parents=True)
    stand_in(tmp_path / "environment" / "bin", "python", (3, 10, 1))
    text = make(tmp_path)[1]
    assert "signloom needs Python 3.11 or later" in text
    assert "python is 3.10.1" in text
