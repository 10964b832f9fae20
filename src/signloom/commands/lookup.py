"""Looks up a sign by signing it: the nearest of a folder of example clips, by what a model sees in them.

The model need not know the signs of the folder; it does better if it learnt many signs of the same language. --lexicon
is a folder of landmark files, one sign each, named by their signs: `signloom extract` makes them from videos.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from signloom.console import progress_bar
from signloom.errors import InputError


@dataclass(kw_only=True)
class Options:
    """Options of `signloom lookup`."""

    positionals: ClassVar[tuple[str, ...]] = ("clip",)

    clip: Path
    """a video, a folder of frames or a landmark file (.npz) that shows one sign"""
    model: Path
    """a run folder with a model, a model file, or an exported model (.onnx)"""
    lexicon: Path
    """a folder of landmark files, one sign each"""
    count: int = 5
    """how many signs to show"""
    format: Literal["text", "json"] = "text"
    """text for people, json for programs"""


def run(options: Options) -> int:
    """Returns the exit status 0 when signs were found."""
    from signloom.inference.lookup import embedding, nearest, read_lexicon
    from signloom.inference.model import load, read_landmarks

    if options.count < 1:
        raise InputError(f"--count {options.count}: needed at least 1")
    model = load(options.model)
    query = embedding(model, read_landmarks(options.clip, view=model.view))
    with progress_bar() as bar:
        task = bar.add_task("lexicon", total=None, unit="clips")
        lexicon = read_lexicon(model, options.lexicon, advance=lambda count: bar.advance(task, count))
    matches = nearest(query, lexicon, options.count)
    if options.format == "json":
        found = [{"sign": each.entry.name, "similarity": round(each.similarity, 4)} for each in matches]
        print(json.dumps({"clip": options.clip.name, "nearest": found}, ensure_ascii=False, indent=1))
    else:
        for number, each in enumerate(matches, 1):
            print(f"{number:2d}  {each.similarity:6.3f}  {each.entry.name}")
    return 0
