"""The model card of an exported model, in Markdown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from signloom.ctc.decoding_options import describe
from signloom.errors import plural
from signloom.inference.model_file import ModelFile

# The first line, by which a card is known as one that may be replaced.
MARK = "<!-- written by signloom export -->"
# Up to this many glosses are listed; all are in the file.
_NUM_GLOSSES = 100


def model_card(file: ModelFile) -> str:
    """Returns what a user of a model should know: what it recognises, from what it was trained, how well it does.

    What the model's record does not say is called unknown.
    """
    info, config, glosses = file.info, file.config, file.vocabulary.words[2:]
    corpus, exported = _part(info, "corpus"), _part(info, "export")
    listed = ", ".join(glosses[:_NUM_GLOSSES]) + (", ..." if len(glosses) > _NUM_GLOSSES else "")
    lines = [
        MARK,
        "# Model card",
        "",
        f"Recognises {plural(len(glosses), 'sign')} in landmarks of MediaPipe Holistic, with the time of each. Made by "
        f"signloom {info.get('signloom', 'unknown')}.",
        "",
        "| | |",
        "|---|---|",
        f"| network | {_part(info, 'model').get('preset', 'unknown')}, {config.kind}, {_precision(exported)} |",
        f"| input | view `{config.view}`, {config.fps:g} frames/s |",
        f"| output | one frame for {config.stride} of the input, {config.stride / config.fps:g} s |",
        f"| decoder | {describe(file.decoding, file.language_model)} |",
        f"| trained on | {corpus.get('name', 'unknown')}{', simulated signing' if corpus.get('synthetic') else ''} |",
        f"| licence of the corpus | {corpus.get('licence', 'unknown')} |",
        *_readable(_enrolled, _part(info, "enrolled")),
        *_store(file),
        *_readable(_splits, _part(corpus, "summary")),
        *_readable(_scores, info, exported),
        "",
        "The weights are made from the corpus: its licence says what may be done with them.",
        "",
        "## Limits",
        "",
        "- It knows the signs below and no others. Another sign, or another movement, may come out as one of them.",
        "- It was scored on the splits above. On other signers, cameras and languages it may do much worse.",
        "- It recognises signs, not sentences of a spoken language.",
    ]
    if corpus.get("synthetic"):
        lines.append("- It was trained on simulated signing: its figures say nothing about real signing.")
    return "\n".join([*lines, "", "## Glosses", "", listed, ""])


def _part(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = record.get(name)
    return part if isinstance(part, Mapping) else {}


def _readable(make: Callable[..., list[str]], *records: Mapping[str, Any]) -> list[str]:
    """Returns the lines that `make` makes of records, or none of records that signloom did not write."""
    try:
        return make(*records)
    except (KeyError, TypeError, ValueError):
        return []


def _precision(exported: Mapping[str, Any]) -> str:
    return str(exported.get("precision", "float32"))


def _splits(summary: Mapping[str, Any]) -> list[str]:
    return [
        f"| {name} | {plural(split.get('utterances', 0), 'utterance')}, {plural(split.get('signers', 0), 'signer')}, "
        f"{plural(split.get('distinct_glosses', 0), 'gloss')}, {split.get('hours', 0):.2f} hours |"
        for name in summary
        if (split := _part(summary, name))
    ]


def _enrolled(record: Mapping[str, Any]) -> list[str]:
    if not record:
        return []
    # A model of a version that knew no idling has no record of it.
    seconds = record.get("idle_seconds", 0)
    parts = [f"{seconds:.0f} s of idling"] if seconds else []
    new = ""
    if signs := len(record["glosses"]):
        parts.insert(0, f"{plural(record['clips'], 'clip')} of {plural(signs, 'sign')}")
        new = f"; {plural(len(record['new_glosses']), 'sign')} new"
    people = plural(record["signers"], "signer")
    lines = [
        f"| enrolled with | {' and '.join(parts)} by {people}, of {record['corpus']}{new} |",
        f"| licence of these clips | {record['licence']} |",
    ]
    if "idle_per_minute_after" in record:
        before, after = record["idle_per_minute_before"], record["idle_per_minute_after"]
        lines.append(
            f"| glosses per minute of this idling, left out in turn, greedy | {before:.1f} before, {after:.1f} after "
            "enrolment |"
        )
    for name, what in (("clips", "these clips, left out in turn"), ("old", "dev utterances of the store")):
        if f"{name}_wer_after" in record:
            before, after = 100 * record[f"{name}_wer_before"], 100 * record[f"{name}_wer_after"]
            lines.append(f"| WER on {what}, greedy | {before:.2f} % before, {after:.2f} % after enrolment |")
    return lines


def _store(file: ModelFile) -> list[str]:
    if file.store is None:
        return []
    return [
        f"| store for enrolments | features of {plural(len(file.store), 'utterance')}, {file.store.megabytes:.2f} MB: "
        "made from landmarks of the people in the corpus |"
    ]


def _scores(info: Mapping[str, Any], exported: Mapping[str, Any]) -> list[str]:
    lines = []
    dev = _part(info, "dev").get("dev_wer")
    if isinstance(dev, float):
        lines.append(f"| WER on dev, greedy, best epoch | {100 * dev:.2f} % |")
    tuned = _part(info, "tuned").get("wer")
    if isinstance(tuned, float):
        lines.append(f"| WER on dev, tuned on dev | {100 * tuned:.2f} % |")
    if "difference" in exported:
        lines.append(
            f"| largest difference to the run | {exported['difference']:.1e} in log-probability, "
            f"{plural(exported['num_clips'], 'clip')} |"
        )
        lines.append(f"| same greedy output as the run | {100 * exported['same_greedy']:.2f} % of these clips |")
    if exported.get("wer_after") is not None:
        lines.append(
            f"| WER on dev of {exported['corpus']}, {exported['decoder']} | {100 * exported['wer_before']:.2f} % "
            f"of the run, {100 * exported['wer_after']:.2f} % of this file |"
        )
    return lines
