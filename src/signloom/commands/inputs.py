"""Finds the inputs among the options of a command, and protects them from its outputs."""

from __future__ import annotations

import glob
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from signloom.commands.parser import CORPORA
from signloom.corpus import HEADER, LANDMARKS_FOLDER, LEFT_OUT, MANIFEST, shard_files
from signloom.errors import InputError
from signloom.files.inputs import check_no_input, protect
from signloom.files.urls import Url, is_url, located
from signloom.run_folder import Run

# Options that name what a command writes. All other paths are inputs, and so are texts that may name files or patterns.
OUTPUTS = ("output", "output_dir", "html", "save_landmarks", "preview", "srt", "vtt", "json", "record")
TEXTS = ("sources", "annotations", "evaluate", "model", "subject")


def locate(values: dict[str, Any], options: type, program: str, *, fetches: bool = False) -> None:
    """Puts URLs into the place of paths that name object storage, in the `values` of a command's options.

    Options named by the class attribute `urls` of `options`, and those in `CORPORA`, may be URLs; inputs may as well if
    the command `fetches` them.

    Raises InputError for a URL of another option, and for one of an unknown storage.
    """
    allowed = {*CORPORA, *getattr(options, "urls", ())}
    for name, value in values.items():
        items = value if isinstance(value, list | tuple) else [value]
        found = [item for item in items if isinstance(item, Path | str) and is_url(item)]
        places = [located(item) for item in found if isinstance(item, Path) or name in (*TEXTS, *allowed)]
        urls = [place for place in places if isinstance(place, Url)]
        if urls and name not in allowed and not (fetches and name not in OUTPUTS):
            word = name.upper() if name in getattr(options, "positionals", ()) else f"--{name}"
            advice = "write it here, then copy it there" if name in OUTPUTS else "copy it here first"
            raise InputError(f"{program}: {word} is {urls[0]}; needed a local file or folder: {advice}")
        if isinstance(value, Path) and places:
            values[name] = places[0]
        elif any(isinstance(item, Path) for item in found):
            values[name] = type(value)(located(item) if isinstance(item, Path) else item for item in items)


def protect_inputs(options: Any) -> None:
    """Protects the files that the options name as inputs, see `files.inputs`.

    Options named by the class attribute `in_place` are inputs that the command changes, as it says. `writes_run` says
    that the output is the folder of a run.

    Raises InputError if an output is an input.
    """
    urls: dict[Any, str] = {}
    names = [item.name for item in fields(options) if item.name not in (*OUTPUTS, *getattr(options, "in_place", ()))]
    for name in names:
        for path in _paths(name, getattr(options, name)):
            if isinstance(path, Url):
                urls[path] = f"{name} {path}"
                continue
            for file in _files(path):
                protect(file, f"{name} {path}")
    for name in OUTPUTS:
        output = getattr(options, name, None)
        if output in urls:
            raise InputError(f"--{name} {output}: is an input of this command ({urls[output]}); choose another place")
        if not isinstance(output, Path) or isinstance(output, Url):
            continue
        for path in (
            output,
            output / HEADER,
            *([Run(output).model_file] if getattr(options, "writes_run", False) else []),
        ):
            if not path.is_dir():
                _check(path, f"--{name} {output}")


def _check(path: Path, output: str) -> None:
    try:
        check_no_input(path)
    except InputError as error:
        raise InputError(f"{output}: would overwrite an input; {error}") from None


def _paths(name: str, value: Any) -> Iterator[Path]:
    """Returns the paths in the value of an option."""
    for item in value if isinstance(value, list | tuple) else [value]:
        if isinstance(item, Path):
            yield item
        elif isinstance(item, str) and name in TEXTS and is_url(item):
            yield located(item)
        elif isinstance(item, str) and name in TEXTS:
            yield from map(Path, glob.glob(item) if glob.has_magic(item) else [item])


def _files(path: Path) -> Iterator[Path]:
    """Returns the files and folders that an input consists of; none for a folder in which results may lie."""
    if not path.is_dir():
        yield path
    elif (path / HEADER).is_file():
        yield from (path / name for name in (HEADER, MANIFEST, LEFT_OUT, LANDMARKS_FOLDER, *shard_files(path)))
    elif Run(path).is_run:
        run = Run(path)
        yield from (run.model_file, run.state_file, run.info_file, run.history_file)
