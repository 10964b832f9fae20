"""Writes the scores of an evaluation into a run folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from signloom.corpus import Corpus
from signloom.errors import InputError
from signloom.files.records import Evaluation
from signloom.files.schemas import read_record
from signloom.files.writing import write_json, write_text
from signloom.inference.evaluate import evaluate
from signloom.inference.model import Model
from signloom.report.score_page import render_score_page
from signloom.report.sections import corpus_labels
from signloom.run_folder import Run
from signloom.score.wer import Score


def score_on_test(
    run: Run, model: Model, corpus: Corpus, *, protocol: str = "plain", baseline: Mapping[str, Any] | None = None
) -> Score:
    """Returns the score of a run's model on test, after writing it into the run folder; see `write_evaluation`."""
    result = evaluate(model, corpus, "test", protocol=protocol)
    write_evaluation(
        run,
        result,
        model_path=run.model_file,
        corpus=corpus,
        split="test",
        decoder=model.decoder_name,
        baseline=baseline,
    )
    return result


def write_evaluation(
    run: Run,
    result: Score,
    *,
    model_path: Path,
    corpus: Corpus,
    split: str,
    decoder: str,
    baseline: Mapping[str, Any] | None = None,
) -> Run:
    """Writes scores, hypotheses and the page of every utterance. Returns the folder they are in, see `Run.scores_on`.

    decoder: the decoder, as `signloom.ctc.decoding_options.describe` names it.
    baseline: the result of `signloom.synth.baseline` on the same split; if None, that of an earlier evaluation stays.
    """
    run = Run.read(run.path).scores_on(corpus) if run.path.is_dir() else run
    signers, trained = (corpus.utterances.in_split(name).columns.signer_counts().keys() for name in (split, "train"))
    record = {
        **result.to_json(),
        "split": split,
        "corpus": corpus.name,
        "labels": corpus_labels(corpus.info),
        "model": str(model_path),
        "decoder": decoder,
        "unseen_signers": None not in signers and not signers & trained,
    }
    if baseline := baseline or _baseline_in(run.evaluation_file(split), corpus):
        record["baseline"] = dict(baseline)
    lines = ["id|gloss", *(f"{item.id}|{' '.join(item.hypothesis_as_given)}" for item in result.utterances)]
    write_text(run.hypotheses_file(split), "\n".join(lines) + "\n")
    write_json(run.evaluation_file(split), record)
    page = render_score_page(
        result,
        title=f"{corpus.name}, {split} split",
        subtitle=f"model {model_path}, decoder {decoder}"
        + (", none of these signers in training" if record["unseen_signers"] else ""),
        labels=corpus_labels(corpus.info),
        link=("the run's report", run.report_page.name) if run.info_file.is_file() else None,
    )
    write_text(run.score_page(split), page)
    return run


def _baseline_in(path: Path, corpus: Corpus) -> Mapping[str, Any] | None:
    """Returns the baseline in an earlier evaluation of the same corpus, or None."""
    try:
        earlier = read_record(path, Evaluation, non_finite=True)
    except InputError:
        return None
    return earlier.get("baseline") if earlier.get("corpus") == corpus.name else None
