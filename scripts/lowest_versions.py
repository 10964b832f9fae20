"""Prints the lowest versions that pyproject.toml allows of the direct dependencies, as constraints for pip.

Usage: python scripts/lowest_versions.py [EXTRA ...] > constraints.txt; the package's own dependencies are always in it.
Every dependency needs a lower bound, or one version, and an upper bound; the script fails where one is missing, except
for packages that are versioned by date.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
# The number of a release is its date and announces no change, so a bound would say nothing.
VERSIONED_BY_DATE = ("regex", "fsspec", "s3fs")


def requirements(project: dict, extras: Sequence[str]) -> Iterator[Requirement]:
    """Yields the requirements of the project and of extras, those of extras of the project itself included."""
    optional = project["optional-dependencies"]
    pending = [Requirement(text) for text in project["dependencies"]]
    pending += [Requirement(text) for extra in extras for text in optional[extra]]
    while pending:
        requirement = pending.pop()
        if requirement.name == project["name"]:
            pending += [Requirement(text) for extra in requirement.extras for text in optional[extra]]
        else:
            yield requirement


def lowest(requirement: Requirement) -> Version:
    """Returns the lowest version that a requirement allows. Raises SystemExit where it has no bounds."""
    bounds = {part.operator: Version(part.version) for part in requirement.specifier}
    if "==" in bounds:
        return bounds["=="]
    if ">=" not in bounds:
        raise SystemExit(f"pyproject.toml: {requirement}: no lower bound; needed >= or ==")
    if "<" not in bounds and requirement.name not in VERSIONED_BY_DATE:
        raise SystemExit(f"pyproject.toml: {requirement}: no upper bound; needed < the next major version")
    return bounds[">="]


def constraints(extras: Sequence[str]) -> list[str]:
    """Returns the lowest versions for this Python, sorted; of several bounds of a package the highest counts."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found: dict[str, Version] = {}
    caps: set[str] = set()
    for requirement in requirements(project, extras):
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        if [part.operator for part in requirement.specifier] == ["<"]:
            # A further cap of a package that has its lower bound elsewhere.
            caps.add(requirement.name)
            continue
        version = lowest(requirement)
        found[requirement.name] = max(version, found.get(requirement.name, version))
    if without := caps - found.keys():
        raise SystemExit(f"pyproject.toml: no lower bound of {', '.join(sorted(without))}; needed >= or ==")
    return [f"{name}=={version}" for name, version in sorted(found.items())]


if __name__ == "__main__":
    print("\n".join(constraints(sys.argv[1:])))
