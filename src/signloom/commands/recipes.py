"""The recipes that ship: named sets of training options.

Without a name, what there is and what it is for; with one, its YAML, to read or to start a file of your own from
('signloom recipes student > mine.yaml', then 'signloom train --config mine.yaml').
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from signloom.train.recipes import find, recipes


@dataclass
class Options:
    """What `signloom recipes` is told."""

    positionals: ClassVar[tuple[str, ...]] = ("names",)

    names: tuple[str, ...] = ()
    """recipes to print as YAML; all are listed when none is named"""


def run(options: Options) -> int:
    """The exit status: 0 when every name is known."""
    if options.names:
        # All of them are looked up before the first is printed.
        print("\n".join(recipe.text.rstrip() for recipe in [find(name) for name in options.names]))
        return 0
    known = recipes()
    width = max(map(len, known)) + 2
    for recipe in known.values():
        print(f"{recipe.name:<{width}}{recipe.purpose}")
        print(f"{'':<{width}}  signloom {recipe.command} --recipe {recipe.name} ...")
    print("\n'signloom recipes NAME' prints one; flags beside --recipe go before it, as in --recipe teacher --epochs 5")
    return 0
