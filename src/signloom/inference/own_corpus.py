"""Finds the corpus that a model was trained on, by what its run or model file recorded."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from signloom.corpus import Corpus
from signloom.errors import InputError, plural
from signloom.files.writing import as_json
from signloom.inference.model import Model
from signloom.inference.onnx_file import SUFFIX as ONNX_SUFFIX
from signloom.run_folder import Run


def corpus_for(model: Model, path: Path, data_dir: Path | None) -> Corpus:
    """Returns the corpus in `data_dir` or, without it, the one that the model at `path` was trained on.

    Raises InputError if that one is not recorded, is no longer there, or is no longer what the model was trained on.
    """
    if data_dir is not None:
        return Corpus.open(data_dir)
    if path.suffix == ONNX_SUFFIX:
        raise InputError(f"{path}: an exported model does not record the place of its corpus; give it with --data_dir")
    run = Run(path if path.is_dir() else path.parent)
    run = replace(run, info=model.info if not run.info_file.is_file() else Run.read(run.path).info)
    place = run.corpus_place
    if place is None:
        raise InputError(f"{path}: no corpus is recorded; give it with --data_dir")
    folder = run.find_corpus()
    if folder is None:
        raise InputError(
            f"{path}: its corpus {run.corpus.get('name', '')!r} is not at {place} any more; give the folder where it "
            "is now with --data_dir"
        )
    corpus = Corpus.open(folder)
    if change := change_of(run, corpus.name, as_json(corpus.summary())):
        as_it_is = f"--data_dir {shlex.quote(str(folder))}"
        raise InputError(f"{path}: {folder} is not what it was: {change}; {as_it_is} uses it as it is now")
    return corpus


def change_of(run: Run, name: str, summary: Mapping[str, Any]) -> str:
    """Returns how a corpus with this name and summary differs from the recorded one, in words; empty if it does not."""
    before = run.corpus.get("name"), run.corpus.get("summary")
    if None in before or before == (name, summary):
        return ""
    return f"the model was trained on {_words(*before)}, and there is {_words(name, summary)}"


def _words(name: object, summary: Any) -> str:
    rows = {split: row for split, row in summary.items() if isinstance(row, Mapping)}
    counts = ", ".join(f"{row.get('utterances', 0):,} {split}" for split, row in rows.items())
    glosses = sum(row.get("running_glosses", 0) for row in rows.values())
    return f"{name} ({counts} utterances, {plural(glosses, 'running gloss')})"
