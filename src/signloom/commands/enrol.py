"""Adapts a trained model to a new signer, or teaches it new signs, from one to five clips of each sign.

The clips are a corpus of isolated signs, as `signloom import` makes it, of idling (--idle_glosses), or of both. A model
that learnt how somebody idles names less of it. Utterances are composed of the clips, and the layers after the
convolutional body learn them, in less than a minute and without the corpus of the training. Of that, the model's store
is rehearsed, if training kept one (`signloom train --store_megabytes 2`); what the old signers lose is measured on the
part of it that is not rehearsed. Of an exported model that has a store (`signloom export --store`), the classifier
alone learns, without torch.

What enrolment does for the new signer is measured, too: clips are left out in turn, the others are learnt, and
utterances of those left out are recognised before and after; in idling left out, named glosses are counted. Then all
clips are learnt. A gloss that the model does not know becomes a new sign of it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from signloom.compose import likely_idle
from signloom.console import progress_bar, say
from signloom.corpus import Corpus
from signloom.ctc.decoding_options import model_note
from signloom.ctc.spans import SpanSettings
from signloom.errors import Faults, InputError, listed, plural
from signloom.files.locks import locked
from signloom.files.staging import Stage, settle_locked
from signloom.files.writing import write_text
from signloom.hints import command
from signloom.inference.model import Model, load
from signloom.inference.model_card import model_card
from signloom.inference.model_file import SUFFIX
from signloom.inference.onnx_file import CARD_NAME, check_card
from signloom.inference.onnx_file import SUFFIX as ONNX_SUFFIX
from signloom.run_folder import Run
from signloom.score.text import percent

if TYPE_CHECKING:
    from signloom.train.enrol.clips import Clips
    from signloom.train.enrol.enrol import Change, Enrolment
    from signloom.train.enrol.learner import Learner

# A loss of old signers above this many points is told as a warning.
_MOST_LOST = 0.005


@dataclass
class Options:
    """Options of `signloom enrol`."""

    positionals: ClassVar[tuple[str, ...]] = ("model", "clips")
    writes_run: ClassVar[bool] = True

    model: Path
    """a run folder with a model, a model file, or an exported model with a store (.onnx), which needs no torch"""
    clips: Path
    """a corpus of isolated clips with one gloss each; of several splits only train is learnt"""
    output: Path
    """the enrolled model: a folder for it, or the name of a file of the model's kind, .safetensors or .onnx. A model
    card is written beside it"""
    idle_glosses: list[str] = field(default_factory=list)
    """glosses whose clips show no sign but idling, such as '-' or IDLE. A clip may be one long recording. There may be
    no other glosses, if the model has a store"""
    new_signs: bool = False
    """learn glosses as new signs also where the model knows one that is spelled almost like them"""
    seed: int = 0
    """seed of every random draw"""
    threads: int = 1
    """CPU threads of torch; for a model as small as the student more threads do not help"""
    overwrite: bool = False
    """replace an existing --output"""


def run(options: Options) -> int:
    """Returns the exit status: 0 when the enrolled model was written."""
    faults = Faults("enrol")
    faults.need_at_least(0, options, "seed")
    faults.need_at_least(1, options, "threads")
    faults.raise_if_any()
    from signloom.train.enrol.clips import read_clips
    from signloom.train.enrol.learners import learner_of

    path = _output(options)
    started = time.perf_counter()
    if path.suffix == SUFFIX:
        import torch

        torch.set_num_threads(options.threads)
    model, corpus = load(options.model), Corpus.open(options.clips)
    # A model that cannot learn is refused before anything is made.
    learner = learner_of(model)
    clips = read_clips(corpus, model.vocabulary, new_signs=options.new_signs, idle_glosses=options.idle_glosses)
    if not clips.pool and (model.store is None or not model.store.num_train):
        raise InputError(
            f"{options.model}: keeps no store, and all clips of {corpus.root} show idling: it would forget its signs; "
            "add clips of them, or train it with --store_megabytes 2"
        )
    for note in _notes_before(options, model, corpus, clips):
        say(f"note: {note}")
    with locked(path.parent):
        settle_locked(path.parent)
        result = _enrolled(learner, clips, corpus, options.seed)
        _write(result.model, path)
    print(_report(clips, result, time.perf_counter() - started))
    for note in _notes_after(model, result):
        say(f"note: {note}")
    say(f"written: {path}, with its model card")
    say(f"next: {command('transcribe', 'CLIP', model=options.output)}")
    return 0


def _enrolled(learner: Learner, clips: Clips, corpus: Corpus, seed: int) -> Enrolment:
    """Returns the enrolment, made with a progress bar."""
    from signloom.train.enrol.enrol import enrol, num_steps

    with progress_bar() as bar:
        task = bar.add_task("enrolling", total=num_steps(learner, clips), unit="steps")
        return enrol(learner, clips, seed=seed, record=_record(corpus, clips), advance=lambda: bar.advance(task))


def _output(options: Options) -> Path:
    """Returns the file to write. Raises InputError for one that exists, without --overwrite, and for a run folder."""
    run = Run(options.output)
    suffix = ONNX_SUFFIX if options.model.suffix == ONNX_SUFFIX else SUFFIX
    other = SUFFIX if suffix == ONNX_SUFFIX else ONNX_SUFFIX
    path = options.output if options.output.suffix == suffix else run.model_file.with_suffix(suffix)
    reason = ""
    if options.output.suffix == other:
        reason = (
            "'signloom export' makes such a file of the enrolled model"
            if other == ONNX_SUFFIX
            else "an exported model stays one"
        )
    elif path != options.output and (run.state_file.exists() or run.history_file.exists()):
        reason = "holds a training run"
    if reason:
        raise InputError(f"--output {options.output}: {reason}; needed another folder, or a file named *{suffix}")
    if path.exists() and not options.overwrite:
        raise InputError(f"--output {options.output}: {path} exists already; choose another name or pass --overwrite")
    check_card(path)
    return path


def _write(model: Model, path: Path) -> None:
    """Writes the model and, beside it, its model card: both or none."""
    stage = Stage(path.parent)
    stage.clear()
    try:
        stage.path.mkdir()
        model.save(stage.path / path.name)
        write_text(stage.path / CARD_NAME, model_card(model.file))
        stage.commit([path.name, CARD_NAME])
    finally:
        stage.clear()


def _record(corpus: Corpus, clips: Clips) -> dict[str, Any]:
    """Returns what the enrolled model records of the clips; it does not name their signers."""
    return {
        "corpus": corpus.name,
        "licence": corpus.info.get("licence", "unknown"),
        "signers": clips.num_signers,
        "glosses": clips.glosses,
        "clips": sum(clips.counts),
        "clips_per_sign": [min(clips.counts, default=0), max(clips.counts, default=0)],
        "idle_seconds": round(clips.idle_seconds, 1),
    }


def _notes_before(options: Options, model: Model, corpus: Corpus, clips: Clips) -> list[str]:
    """Returns what the user should know of the clips, and of the model, before they are learnt."""
    notes = []
    if others := sum(item.split != "train" for item in corpus):
        notes.append(f"not learnt: {plural(others, 'clip')} of other splits than train")
    notes += likely_idle(clips.glosses)
    if len(clips.glosses) == 1 and not clips.idle:
        notes.append(f"all clips show {clips.glosses[0]!r}; the model cannot learn what it differs from in these clips")
    single = sum(count == 1 for count in clips.counts)
    if clips.pool and single == len(clips.counts):
        notes.append("no sign has two clips: what enrolment does cannot be measured; add a clip of each sign")
    elif single:
        notes.append(f"{plural(single, 'sign')} with one clip only: not in the measurement")
    if len(clips.idle) == 1:
        notes.append(
            f"{clips.idle_seconds:.0f} s of idling in one clip: too short to leave a part out, so what the model names "
            "in it cannot be measured; record half a minute"
        )
    if model.store is None:
        notes.append(
            f"{options.model} keeps no store: nothing of its training is rehearsed, and what the old signers lose "
            "cannot be measured. Train with --store_megabytes 2 to keep one"
        )
    return notes


def _notes_after(model: Model, result: Enrolment) -> list[str]:
    """Returns what of the model before is not true of the enrolled one."""
    notes = []
    if result.new_glosses and model.language_model is not None:
        unknown = model_note(model.language_model, result.model.vocabulary)
        notes.append(f"{unknown}; estimate it again with 'signloom tune'")
    before, after = SpanSettings.of(model.info), SpanSettings.of(result.model.info)
    if before.calibration != after.calibration:
        notes.append("confidences are not calibrated any more: that was done for the model before")
    decodings = model.decoding, result.model.decoding
    limits = {"min_confidence": "the least confidence of a gloss", "sure_confidence": "the confidence of one gloss"}
    for name, limit in limits.items():
        chosen, kept = (getattr(decoding, name) for decoding in decodings)
        if chosen != kept:
            notes.append(
                f"{limit}, {chosen:g}, is not kept: it was chosen for the model before. Choose one with --{name}"
            )
    return notes


def _report(clips: Clips, result: Enrolment, seconds: float) -> str:
    """Returns what was learnt, and what that changed."""
    new = result.new_glosses
    lines = [f"{_learnt(clips, new)}; {seconds:.0f} s"]
    if result.clips is not None:
        lines.append(f"utterances of clips left out in turn: {_change(result.clips)}")
        known = [gloss for gloss in clips.glosses if gloss not in new]
        for name, glosses in (("signs it knew", known), ("new signs", new)) if known and new else ():
            before, after = result.clips.recognised(glosses)
            lines.append(f"  {name}: {percent(before)} recognised before, {percent(after)} after")
    if result.idle is not None:
        before, after = result.idle.per_minute
        lines.append(
            f"idling left out in turn: {before:.1f} glosses per minute named before, {after:.1f} after "
            f"({result.idle.minutes:.1f} minutes composed of it, greedy)"
        )
    if result.old is not None:
        lost = result.old.after.wer - result.old.before.wer
        lines.append(f"old signers, dev utterances of the store: {_change(result.old)}, {100 * lost:+.2f} points")
        if lost > _MOST_LOST:
            lines.append(f"  more than {100 * _MOST_LOST:g} points: keep the model before for them, or give more clips")
    return "\n".join(lines)


def _learnt(clips: Clips, new: Sequence[str]) -> str:
    """Returns what the clips are. new: the signs that the model did not know."""
    counts, parts = clips.counts, []
    people = plural(clips.num_signers, "signer")
    if counts:
        most = plural(max(counts), "clip")
        number = most if min(counts) == max(counts) else f"{min(counts)} to {most}"
        parts.append(f"{plural(len(clips.glosses), 'sign')}, {number} each")
    if clips.idle:
        parts.append(f"{clips.idle_seconds:.0f} s of idling")
    known = f", {len(new)} new to the model: {listed(new, shown=10)}" if new else ""
    return f"{', '.join(parts)} of {people}{known}"


def _change(change: Change) -> str:
    before, after = change.before, change.after
    return (
        f"WER {percent(before.wer)} before, {percent(after.wer)} after ({plural(after.reference_words, 'gloss')} in "
        f"{plural(len(after.utterances), 'utterance')}, greedy)"
    )
