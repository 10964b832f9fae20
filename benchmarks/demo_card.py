"""The card of the demo model and the notice of its sources, written from what `demo_model.py` measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import common
import demo_data
import strangers_data

from signloom.demo import INFO_KEY
from signloom.files.writing import write_text
from signloom.inference.model import Model
from signloom.inference.model_card import model_card
from signloom.inference.onnx_file import CARD, OnnxFile

# Figures of glosses that are sure enough, and of all.
KINDS = ("sure", "all")
MIT = """Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""


def table(results: Sequence[dict[str, Any]]) -> str:
    """Returns how each person who was left out is recognised, and what is named where there is nothing to name."""
    rows = [
        [
            result["person"],
            len(result["words"]),
            result["sure"]["signs"],
            *(f"{result[kind]['wer']:.1%}" for kind in KINDS),
            f"{result['camera']['sure']['wer']:.1%}",
            *(f"{result['alone'][kind]:.1%}" for kind in KINDS),
            *(_rate(result.get(part), kind) for part in ("others", "idle") for kind in KINDS),
        ]
        for result in results
    ]
    figures = ["WER", "(all)", "camera", "alone", "(all)", "other signs", "(all)", "idling", "(all)"]
    return common.table(["left out", "words", "signs", *figures], rows)


def _rate(part: dict[str, Any] | None, kind: str) -> str:
    return "" if part is None else f"{part[kind] / part['minutes']:.1f}"


def record_of(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Returns what the model file says of the test on people who were left out, each person counting alike."""
    rates = [result["sure"]["wer"] for result in results]
    return {
        "people": len(results),
        "wer": sum(rates) / len(rates),
        "best": min(rates),
        "worst": max(rates),
        "commit": common.commit(),
    }


def write(
    model: Model,
    clips: Sequence[strangers_data.Clip],
    results: Sequence[dict[str, Any]],
    target: Path,
    notice: Path,
) -> None:
    """Writes the model with its card to the folder `target`, and the notice of its sources."""
    model = replace(model, info={**model.info, INFO_KEY: record_of(results)})
    file = OnnxFile.of(model.engine.graph, model.file)  # type: ignore[attr-defined]
    start, _, end = model_card(model.file).partition("## Limits")
    text = "\n\n".join([start.rstrip(), *_sections(clips, results), "## Limits" + end])
    replace(file, metadata={**file.metadata, CARD: text}).write(target / "model.onnx")
    write_text(notice, notice_text())


def _sections(clips: Sequence[strangers_data.Clip], results: Sequence[dict[str, Any]]) -> list[str]:
    """Returns the parts of the card that only this model has."""
    signers = demo_data.signers_of(clips)
    people = {clip.person for clip in clips}
    alone = [word for word, counts in signers.items() if len(counts) == 1]
    words = [[word, len(counts), counts.total()] for word, counts in signers.items()]
    record = record_of(results)
    return [
        "## What it is for",
        "To try signloom at once, on a camera or a clip, without training. It knows "
        f"{len(signers)} words that {len(people)} people sign at their webcams. Most words are words of American Sign "
        "Language as learners sign them, one at a time. Do not use it for more: train on your own signers.",
        "## How wrong it is on strangers",
        f"{len(results)} people were left out one by one: a model was trained on the others in the same way, and "
        "tested on utterances composed of the clips of the one who was left out, of the words that somebody else "
        "signs, too. So few people say little about others. "
        f"The mean of their WER is {100 * record['wer']:.1f} %, from {100 * record['best']:.1f} to "
        f"{100 * record['worst']:.1f} %. The model in this file was trained on all of them, and for longer; for it "
        "there are no strangers left to test.",
        "The model drops glosses of which it is not sure, and all glosses of an utterance if it is sure of none; "
        "--min_confidence 0 shows them. In the table, *(all)* is without dropping any. *Camera* is the "
        "WER of utterances as a camera shows them: the hands come from rest and go back, and where the person's clips "
        "have no face there is that of somebody else. *Alone* is the share of the clips that are recognised if each is "
        "shown by itself. *Other signs* and *idling* count false glosses: those that the model names per minute of the "
        "person's signs that are none of its words, and of hands that move between signs. A minute holds some 50 to 70 "
        "of these. "
        "p5's other signs seem to be those of Indian Sign Language, signwish's are words that nobody else signs.",
        table(results),
        f"`python benchmarks/demo_model.py`, commit {record['commit']}; decoder and precision as above.",
        "## Words",
        f"One person alone signs {', '.join(alone)}: how strangers are recognised there is not known.",
        common.table(["word", "people", "clips"], words),
        "## Sources",
        "Landmarks of MediaPipe Holistic, published by their authors with these licences. None of them is in this "
        "file. The model has the licence of signloom, Apache-2.0.",
        "\n".join(f"- {source.repository} ({source.licence})" for source in demo_data.SOURCES),
    ]


def notice_text() -> str:
    """Returns the notice: which sources the demo model was trained on, with their licences."""
    lines = [
        "signloom",
        "",
        "signloom is licensed under the Apache License, version 2.0 (LICENSE).",
        "",
        "The demo model, src/signloom/demo/model.onnx, was trained on landmarks that others published on GitHub. No",
        "landmark is in the model or elsewhere in signloom. The model has the licence of signloom. Its sources, with",
        "their licences:",
        "",
    ]
    for source in demo_data.SOURCES:
        what = f"{source.licence}. {source.copyright}".rstrip(". ")
        lines.append(f"- https://github.com/{source.repository}: {what}")
    return "\n".join([*lines, "", "The text of the MIT licence:", "", MIT])
