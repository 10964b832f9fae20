"""Trees of clips: what each folder of a path says (`signer/sign/clip`, `split/sign/clip`, `category/sign/clip`)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from signloom.console import say
from signloom.errors import Faults, InputError, plural
from signloom.importers.records import split_named
from signloom.landmarks import SUFFIX

_LAST = "clip"
_WORD = re.compile(r"[a-z][a-z_]*")
# A number that only orders folders, as in `1. Dog`.
_NUMBERED = re.compile(r"\d+\.\s+(?=\S)")
EXAMPLES = "sign/clip, signer/sign/clip, split/sign/clip, category/sign/clip"


@dataclass(frozen=True)
class TreePath:
    """What the folders of a clip say; None or nothing where the tree does not have it.

    others: folders with another meaning, such as a category.
    """

    sign: str | None = None
    signer: str | None = None
    split: str | None = None
    others: tuple[str, ...] = ()


def parse_tree(text: str, *, needs_sign: bool) -> tuple[str, ...]:
    """Returns the meaning of each level of folders, without the clip.

    needs_sign: whether a folder must be the sign; else the signs are known otherwise.

    Raises InputError for a tree that is none.
    """
    *levels, last = text.strip("/").split("/")
    wrong = [word for word in levels if not _WORD.fullmatch(word)]
    once = [word for word in ("sign", "signer", "split") if levels.count(word) > 1]
    if last != _LAST or wrong or once or (needs_sign and "sign" not in levels):
        raise InputError(f"--tree is {text!r}; needed names of folders that end with the clip, such as {EXAMPLES}")
    return tuple(levels)


def guessed_tree(folders: Sequence[Sequence[str]]) -> tuple[str, ...] | None:
    """Returns the levels of a tree that needs no option, or None: sign/clip, or split/sign/clip with its usual names.

    folders: those of each clip.
    """
    depths = {len(parts) for parts in folders}
    if depths == {2} and all(split_named(parts[0]) for parts in folders):
        say("note: the folders are split/sign/clip: the first ones are named as splits (--tree overrides)")
        return ("split", "sign")
    return None if depths == {2} else ("sign",)


def read_path(path: Path, folders: Sequence[str], levels: Sequence[str], faults: Faults) -> TreePath | None:
    """Returns what the folders of a clip say; None, and a fault, if they do not fit the tree."""
    shape = "/".join([*levels, _LAST])
    if not folders and "sign" in levels:
        faults.add(f"{path}: lies in no folder of a sign; move it, or give a table of the labels with --labels")
        return None
    if len(folders) != len(levels):
        faults.add(
            f"{path}: is {plural(len(folders), 'folder')} deep; needed {shape}{SUFFIX}: move it, or say what the "
            f"folders are with --tree, such as {EXAMPLES}"
        )
        return None
    found = dict(zip(levels, folders, strict=True))
    split = found.get("split")
    if split is not None and split_named(split) is None:
        faults.add(f"{path}: folder {split!r} is no split; needed train, dev or test (the tree is {shape})")
        return None
    others = tuple(folder for level, folder in found.items() if level not in ("sign", "signer", "split"))
    return TreePath(found.get("sign"), found.get("signer"), split_named(split) if split else None, others)


def without_numbers(signs: Iterable[str]) -> dict[str, str]:
    """Returns the label of each sign's folder: without the number, if every folder is numbered (`1. Dog`)."""
    signs = set(signs)
    if signs and all(_NUMBERED.match(sign) for sign in signs):
        say(
            f"note: the numbers of the {plural(len(signs), 'sign folder')} (such as {min(signs)!r}) are not part of "
            "the glosses"
        )
        return {sign: _NUMBERED.sub("", sign, count=1) for sign in signs}
    return {sign: sign for sign in signs}
