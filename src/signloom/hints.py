"""Commands that messages suggest: as a shell takes them, and as this installation can run them."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from collections.abc import Iterable
from dataclasses import MISSING, fields
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse


def command(*words: object, **options: Any) -> str:
    """Returns `signloom WORDS --option value`, quoted for a shell.

    An option that is None, false or an empty list is left out; true is a flag; a list is written with commas.
    """
    parts = ["signloom", *map(str, words)]
    for name, value in options.items():
        if value is True:
            parts.append(f"--{name}")
        elif isinstance(value, list | tuple):
            parts += [f"--{name}", item_list(value)] if value else []
        elif value is not None and value is not False:
            parts += [f"--{name}", str(value)]
    return shlex.join(parts)


def again(name: str, options: Any, *, leave_out: Iterable[str] = (), **changes: Any) -> str:
    """Returns the command `name` with the options that differ from their defaults, but for `leave_out`; `changes`
    override them.

    options: a dataclass; its attribute `positionals` names the arguments without a flag.
    """
    words: list[object] = []
    values: dict[str, Any] = {}
    for item in fields(options):
        value = changes.pop(item.name, getattr(options, item.name))
        default = item.default_factory() if item.default_factory is not MISSING else item.default
        if item.name in getattr(options, "positionals", ()):
            words += value if isinstance(value, list | tuple) else [value]
        elif value != default and item.name not in leave_out:
            values[item.name] = "false" if value is False else value
    return command(name, *words, **values, **changes)


def item_list(items: Iterable[object]) -> str:
    """Returns a list as the command line takes it: A,B, or JSON if an item has a comma."""
    texts = [str(item) for item in items]
    plain = all(
        text == text.strip() and text and "," not in text and not text.startswith(("[", "--")) for text in texts
    )
    return ",".join(texts) if plain else json.dumps(texts, ensure_ascii=False)


def install_extra(extra: str) -> str:
    """Returns the command that installs signloom again, with an extra, from where this installation comes.

    No package index has signloom, so it comes from a clone, from a folder, a wheel or a repository.
    """
    clone = Path(__file__).resolve().parents[2]
    if (clone / "pyproject.toml").is_file():
        place = "." if Path.cwd() == clone else str(clone)
        return f"{_pip()} install -e {shlex.quote(f'{place}[{extra}]')}"
    if origin := _origin(extra):
        return f"{_pip()} install {shlex.quote(origin)}"
    return f"{_pip()} install {shlex.quote(f'.[{extra}]')}, in a clone of signloom"


def install_package(package: str) -> str:
    """Returns the command that installs another package beside signloom."""
    return f"{_pip()} install {package}"


def _pip() -> str:
    """Returns the pip of the Python that runs: that of the shell may be another one's."""
    found = shutil.which("pip")
    if found and Path(found).parent == Path(sys.executable).parent:
        return "pip"
    return f"{shlex.quote(sys.executable)} -m pip"


def _origin(extra: str) -> str | None:
    """Returns what pip recorded as the origin of this installation (PEP 610), with an extra; None if it is not there
    any more.
    """
    try:
        record = json.loads(distribution("signloom").read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        return None
    url = str(record.get("url", ""))
    if "vcs_info" in record:
        return f"signloom[{extra}] @ {record['vcs_info'].get('vcs', 'git')}+{url}"
    path = Path(unquote(urlparse(url).path))
    return f"{path}[{extra}]" if url.startswith("file:") and path.exists() else None
