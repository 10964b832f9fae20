"""Lists or prints the recipes: named sets of training options.

Without a name, lists the recipes and their purposes. With names, prints the recipes as YAML: a start for a file of
your own ('signloom recipes student > mine.yaml', then 'signloom train --config mine.yaml').
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from signloom.train.recipes import find, recipes


@dataclass
class Options:
    """Options of `signloom recipes`."""

    positionals: ClassVar[tuple[str, ...]] = ("names",)

    names: tuple[str, ...] = ()
    """recipes to print as YAML; default: list all"""


def run(options: Options) -> int:
    """Returns the exit status: 0 if every name is known."""
    if options.names:
        # Look up all of them before printing the first.
        print("\n".join(recipe.text.rstrip() for recipe in [find(name) for name in options.names]))
        return 0
    known = recipes()
    width = max(map(len, known)) + 2
    for recipe in known.values():
        print(f"{recipe.name:<{width}}{recipe.purpose}")
        print(f"{'':<{width}}  signloom {recipe.command} --recipe {recipe.name} ...")
    print("\n'signloom recipes NAME' prints one; flags override a recipe: --recipe teacher --epochs 5")
    return 0
