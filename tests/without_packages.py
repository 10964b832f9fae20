"""Runs code where some packages cannot be imported, as on a machine that has not installed them."""

from __future__ import annotations

import subprocess
import sys

TORCH = ("torch", "lightning", "safetensors.torch")
_BLOCK = """
import sys

class Without:
    def find_spec(self, name, path=None, target=None):
        if any(name == blocked or name.startswith(blocked + ".") for blocked in {names!r}):
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Without())
"""


def run_without(names: tuple[str, ...], code: str, *arguments: object) -> str:
    """What the code prints, in a process of its own; `sys` is imported, with the arguments in `sys.argv`."""
    command = [sys.executable, "-c", _BLOCK.format(names=names) + code, *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout
