"""Inputs of importers in object storage: fetched before the command runs, and removed after it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import fields, replace
from pathlib import Path, PurePosixPath
from typing import Any

from signloom.commands.inputs import OUTPUTS, TEXTS
from signloom.console import progress_bar
from signloom.errors import InputError
from signloom.files import storage
from signloom.files.paths import inside
from signloom.files.scratch import cache_folder, scratch
from signloom.files.urls import Url, is_url, located

# Files fetched together, before the progress bar moves.
_FILES = 64


def fetches(options: type) -> bool:
    """Returns whether the inputs of a command may be URLs, and are fetched: those of `signloom import`."""
    return options.__module__.startswith("signloom.importers.")


@contextmanager
def fetched_inputs(options: Any) -> Iterator[Any]:
    """Gives the options of an importer with local paths in the place of URLs while the block runs.

    An InputError raised inside names the URL.

    Raises InputError for a URL under which there is nothing, or more than the disk has room for.
    """
    local: dict[Url, Path] = {}
    with ExitStack() as held:
        changes = {}
        for item in fields(options) if fetches(type(options)) else ():
            value = getattr(options, item.name)
            items = value if isinstance(value, list | tuple) else [value]
            if item.name in OUTPUTS or not any(_is_input(item.name, one) for one in items):
                continue
            for one in items:
                if _is_input(item.name, one) and isinstance(url := located(one), Url) and url not in local:
                    local[url] = _fetched(url, held.enter_context(scratch()))
            new = [_local(one, local) if _is_input(item.name, one) else one for one in items]
            changes[item.name] = type(value)(new) if isinstance(value, list | tuple) else new[0]
        try:
            yield replace(options, **changes) if changes else options
        except InputError as error:
            text = str(error)
            for url, path in local.items():
                text = text.replace(str(path), str(url))
            if text == str(error):
                raise
            raise InputError(text) from None


def _is_input(name: str, value: Any) -> bool:
    return is_url(value) and (isinstance(value, Path) or name in TEXTS)


def _local(value: Path | str, local: dict[Url, Path]) -> Path | str:
    place = located(value)
    path = local[place] if isinstance(place, Url) else place
    return path if isinstance(value, Path) else str(path)


def _fetched(url: Url, folder: Path) -> Path:
    """Returns the local path of what is under a URL, an object or a tree, after fetching it into `folder`."""
    objects = storage.listing(url)
    if not objects:
        raise InputError(f"{url}: no such object or folder")
    names = [name for name in objects if not _is_hidden(name)]
    size = sum(objects[name].size for name in names)
    free = shutil.disk_usage(folder).free
    if size > free:
        raise InputError(
            f"{url}: {size / 1e6:,.0f} MB, and {cache_folder()} has room for {free / 1e6:,.0f} MB; name a folder on "
            "another disk with SIGNLOOM_CACHE"
        )
    root = folder / url.name
    # A path of an object is checked as one of a manifest is: `a/../../b` is a name there.
    targets = [inside(root, name) if name else root for name in names]
    for parent in {target.parent for target in targets}:
        parent.mkdir(parents=True, exist_ok=True)
    with progress_bar() as bar:
        task = bar.add_task(f"fetching {url}", total=len(names), unit="MB", done=0)
        done = 0.0
        for start in range(0, len(names), _FILES):
            part = names[start : start + _FILES]
            places = [url / name if name else url for name in part]
            storage.at_once(storage.fetch, places, targets[start : start + _FILES])
            done += sum(objects[name].size for name in part) / 1e6
            bar.update(task, advance=len(part), done=done)
    return root


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") and part != ".." for part in PurePosixPath(name).parts)
