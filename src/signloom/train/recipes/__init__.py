"""Recipes: named sets of options that ship with the package, one YAML file each.

The first line of a file is a comment with the purpose of the recipe. An optional second comment, `# command: NAME`,
names the command that its options belong to; the default is `train`.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from signloom.errors import InputError


@dataclass(frozen=True)
class NamedRecipe:
    """A recipe: its name, its purpose, the command that its options belong to, its file and its text."""

    name: str
    purpose: str
    command: str
    path: Path
    text: str


def recipes() -> dict[str, NamedRecipe]:
    """Returns all recipes by name."""
    folder = Path(str(files(__name__)))
    return {path.stem: _read(path) for path in sorted(folder.glob("*.yaml"))}


def find(name: str) -> NamedRecipe:
    """Returns a recipe by its name. Raises InputError for an unknown name, with the most similar one."""
    known = recipes()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}? " if near else ""
        raise InputError(
            f"no recipe {name!r}; {hint}known are {', '.join(known)}. "
            "For options in a file of your own pass --config FILE.yaml"
        )
    return known[name]


def with_recipe(arguments: list[str], command: str) -> list[str]:
    """Returns `arguments` with the file of the recipe named by `--recipe`, if any, first: flags override it.

    Raises InputError for an unknown recipe, or one of another command.
    """
    names = [
        word.partition("=")[2] if "=" in word else following
        for word, following in zip(arguments, [*arguments[1:], ""], strict=True)
        if word == "--recipe" or word.startswith("--recipe=")
    ]
    if not names:
        return arguments
    recipe = find(names[-1])
    if recipe.command != command:
        raise InputError(
            f"recipe {recipe.name!r} is one of 'signloom {recipe.command}'; "
            f"'signloom {recipe.command} --recipe {recipe.name}' uses it"
        )
    return ["--config", str(recipe.path), *arguments]


def _read(path: Path) -> NamedRecipe:
    text = path.read_text(encoding="utf-8")
    comments = [line.removeprefix("#").strip() for line in text.splitlines() if line.startswith("#")]
    command = next((line.partition(":")[2].strip() for line in comments if line.startswith("command:")), "train")
    return NamedRecipe(path.stem, comments[0], command, path, text)
