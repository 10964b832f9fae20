"""Word error rate of a model on a split of a corpus: substitutions, deletions, insertions, the worst utterances.

The decoder is the model's own (beam search, with the language model that `signloom tune` stored) unless flags say
otherwise, and it is named beside the number. Glosses that the model never saw in training stay in the reference and
count as errors. The result is also written as `evaluation-SPLIT.json`, `hypotheses-SPLIT.csv` (id|gloss) and the page
`score-SPLIT.html` (every aligned utterance, errors by gloss, signer and length) into the model's folder; where that is
a run folder, its report page is made anew.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from signloom.console import progress_bar, say
from signloom.corpus import SPLITS, Corpus
from signloom.ctc.decoding_options import DecodingOptions, describe, model_note
from signloom.errors import InputError
from signloom.files import atomic_write
from signloom.inference.evaluate import evaluate
from signloom.inference.model import load
from signloom.report import REPORT_PAGE, score_page_name
from signloom.score.protocols import protocol_named
from signloom.score.text import summary, worst_utterances
from signloom.score.wer import Score


@dataclass(kw_only=True)
class Options(DecodingOptions):
    """What `signloom evaluate` is told."""

    positionals: ClassVar[tuple[str, ...]] = ("model",)

    model: Path
    """a model file, or a run folder that holds model.safetensors"""
    data_dir: Path
    """the corpus"""
    split: str = "test"
    """train, dev or test"""
    protocol: str = "plain"
    """the scoring rule, e.g. plain or phoenix2014; variants go with its name: phoenix2014+without_on_off"""
    batch_size: int = 32
    """utterances decoded at once"""
    workers: int = 1
    """processes that decode side by side; the network itself runs in one"""
    worst: int = 5
    """how many of the worst utterances are shown"""
    output: Path | None = None
    """folder of the written result; the model's own folder when not given"""


def run(options: Options) -> int:
    """The exit status: 0 when the split was scored."""
    if options.split not in SPLITS:
        raise InputError(f"--split is {options.split!r}; needed one of {', '.join(SPLITS)}")
    # Before an hour of decoding, not after it.
    protocol_named(options.protocol)
    if options.batch_size < 1 or options.workers < 1 or options.worst < 0:
        raise InputError("--batch_size and --workers need at least 1, --worst at least 0")
    model, corpus = load(options.model), Corpus.open(options.data_dir)
    decoding, language_model = options.chosen(model.decoding, model.language_model, model.vocabulary)
    if language_model is not None and (note := model_note(language_model, model.vocabulary)):
        say(f"note: {note}")
    with progress_bar() as bar:
        task = bar.add_task(f"decoding {options.split}", total=len(corpus.split(options.split)), unit="utterances")
        result = evaluate(
            model,
            corpus,
            options.split,
            protocol=options.protocol,
            batch_size=options.batch_size,
            decoding=decoding,
            language_model=language_model,
            workers=options.workers,
            advance=lambda count: bar.advance(task, count),
        )
    unknown = model.vocabulary.unknown_note(options.split, [item.glosses for item in corpus.split(options.split)])
    if unknown:
        say(f"note: {unknown}")
    folder = options.output or (options.model if options.model.is_dir() else options.model.parent)
    decoder = describe(decoding, language_model)
    path = write_evaluation(
        folder, result, model_path=options.model, corpus=corpus, split=options.split, decoder=decoder
    )
    print(f"{corpus.name}, {options.split} split; decoder: {decoder}")
    print(summary(result))
    if options.worst:
        print("\n" + worst_utterances(result, options.worst))
    say(f"written: {path}")
    say(f"every utterance, gloss and signer: {folder / score_page_name(options.split)}")
    if (folder / "run.json").is_file():
        from signloom.report import write_report

        say(f"report: {write_report(folder)}")
    say(f"next: signloom transcribe CLIP --model {options.model}")
    return 0


def write_evaluation(
    folder: Path,
    result: Score,
    *,
    model_path: Path,
    corpus: Corpus,
    split: str,
    decoder: str,
    baseline: Mapping[str, Any] | None = None,
) -> Path:
    """The path of the `evaluation-SPLIT.json` it writes, beside `hypotheses-SPLIT.csv` and `score-SPLIT.html`.

    decoder: what decoded, as `signloom.ctc.decoding_options.describe` names it.
    baseline: what `signloom.synth.baseline` made of the same split; where not given, an earlier evaluation's stays.
    """
    from signloom.report.score_page import write_score_page
    from signloom.report.sections import corpus_labels

    signers = {item.signer for item in corpus.split(split)}
    trained = {item.signer for item in corpus.utterances if item.split == "train"}
    record = {
        **result.to_json(),
        "split": split,
        "corpus": corpus.name,
        "model": str(model_path),
        "decoder": decoder,
        "unseen_signers": None not in signers and not signers & trained,
    }
    path = folder / f"evaluation-{split}.json"
    if baseline := baseline or _baseline_of(path, corpus):
        record["baseline"] = dict(baseline)
    with atomic_write(folder / f"hypotheses-{split}.csv", "w") as file:
        file.write("id|gloss\n")
        for utterance in result.utterances:
            file.write(f"{utterance.id}|{' '.join(utterance.hypothesis_as_given)}\n")
    with atomic_write(path, "w") as file:
        json.dump(record, file, indent=1, ensure_ascii=False)
    write_score_page(
        result,
        folder / score_page_name(split),
        title=f"{corpus.name}, {split} split",
        subtitle=f"model {model_path}, decoder {record['decoder']}"
        + (", none of these signers in training" if record["unseen_signers"] else ""),
        labels=corpus_labels(corpus.info),
        link=("the run's report", REPORT_PAGE) if (folder / "run.json").is_file() else None,
    )
    return path


def _baseline_of(path: Path, corpus: Corpus) -> Mapping[str, Any] | None:
    """The baseline in an earlier evaluation of the same corpus; None where there is none."""
    try:
        earlier = json.loads(path.read_text(encoding="utf-8"))
        return earlier["baseline"] if earlier["corpus"] == corpus.name else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
