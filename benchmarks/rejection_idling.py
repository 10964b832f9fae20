"""For `rejection.py`: half of a person's idle clips, and a few of signs, are enrolled into a model; the other half is
streamed, also between sentences.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import common
import numpy as np
import streaming
import streams_made

# Between the sentences: with both hands out of view, or of all kinds.
BETWEEN = {"rest": False, "any idling": True}


def halves(signs: Any, person: str, idle_gloss: str, seed: int) -> tuple[list[Any], list[Any]]:
    """Returns the idle clips of a person to enrol, and those to stream: a half, drawn by the seed, of those with both
    hands out of view, and of the others."""
    rng = np.random.default_rng(seed)
    kinds: dict[bool, list[Any]] = {True: [], False: []}
    for item in signs:
        if item.signer == person and item.glosses == (idle_gloss,):
            kinds[streams_made.is_rest(signs.load_view(item, streams_made.VIEW).points)].append(item)
    learnt, streamed = [], []
    for items in kinds.values():
        order = rng.permutation(len(items))
        learnt += [items[index] for index in order[: len(items) // 2]]
        streamed += [items[index] for index in order[len(items) // 2 :]]
    return learnt, streamed


def some_of_each(signs: Any, person: str, glosses: set[str], count: int, seed: int) -> list[Any]:
    """Returns so many clips of each of some signs of a person, drawn by the seed."""
    rng = np.random.default_rng([seed, count])
    result = []
    for gloss in sorted(glosses):
        items = [item for item in signs if item.signer == person and item.glosses == (gloss,)]
        result += [items[index] for index in rng.permutation(len(items))[:count]]
    return result


def without(signs: Any, items: list[Any]) -> Any:
    """Returns a corpus without some utterances."""
    gone = {item.id for item in items}
    return replace(signs, utterances=tuple(item for item in signs if item.id not in gone))


def enrolled(signs: Any, learnt: list[Any], idle_gloss: str, run: Path, folder: Path, seed: int) -> Any:
    """Returns the model of a run after `signloom enrol` of clips of signs, of idling, or of both, made if it is not
    there."""
    from signloom.commands import enrol
    from signloom.corpus import CorpusWriter
    from signloom.inference.model import load

    output = folder / "model.safetensors"
    if not output.exists():
        with CorpusWriter(folder / "clips", {"name": "idling"}, overwrite=True) as writer:
            for item in learnt:
                landmarks = signs.load(item)
                writer.add(item.id, split="train", signer=item.signer, glosses=item.glosses, landmarks=landmarks)
        idle = [idle_gloss] if any(item.glosses == (idle_gloss,) for item in learnt) else []
        options = enrol.Options(model=run, clips=folder / "clips", output=output, idle_glosses=idle, seed=seed)
        enrol.run(options)
    return load(output)


def sentence_figures(
    models: Mapping[str, Any], signs: Any, person: str, idle_gloss: str, *, minutes: float, seed: int
) -> dict[str, Any]:
    """The figures of `streaming.py` of streams of a person's sentences, with rest or any idling between them, by what
    is between and by model; each with the limits that streams have."""
    from signloom.inference.stream_options import StreamOptions

    result: dict[str, Any] = {}
    for name, fidgets in BETWEEN.items():
        stream = streams_made.composed(
            signs, person, idle_gloss, minutes=minutes, fidgets=fidgets, sentences=True, seed=seed
        )
        result[name] = {row: streaming.figures(model, stream, StreamOptions()) for row, model in models.items()}
    return result


def table(results: Mapping[str, Mapping[str, Any]]) -> str:
    """The streams of sentences as a table. results: what `sentence_figures` returned, by the name of the run."""
    rows = []
    for run, streams in results.items():
        for between, by_row in streams.items():
            for row, figures in by_row.items():
                offline, stream = figures["offline"]["wer"], figures["stream"]["wer"]
                kinds = [str(figures["stream"][kind]) for kind in "SDI"]
                delays = [f"{figures[key]:.2f}" for key in ("final_median", "final_95")]
                wers = [f"{offline:.1%}", f"{stream:.1%}", f"{100 * (stream - offline):+.1f}"]
                rows.append([f"{run}, {between}", row, str(figures["glosses"]), *wers, *kinds, *delays])
    head = ["stream", "model", "glosses", "offline WER", "stream WER", "difference", "S", "D", "I"]
    return common.table([*head, "final, median s", "final, 95 % s"], rows)
