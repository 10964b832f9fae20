"""Simulated signing is marked wherever its landmarks go: importers, merging, composing, runs, scores, pages."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from conftest import random_landmarks
from signloom import cli
from signloom.compose import ComposeOptions, compose
from signloom.corpus import Corpus, CorpusWriter
from signloom.landmarks import Landmarks
from signloom.report.evaluation import write_evaluation
from signloom.run_folder import Run, corpus_record
from signloom.score.wer import score

REAL = {"extractor": "mediapipe"}
SIMULATED = {"extractor": "signloom synth"}
EVERY = "simulated signing: these figures say nothing about real signers"


def clip(number: int, source: dict[str, str]) -> Landmarks:
    return replace(random_landmarks(12, seed=number), source=source)


def corpus_of(root: Path, sources: list[dict[str, str]]) -> Corpus:
    with CorpusWriter(root, {"name": root.name}) as writer:
        for number, source in enumerate(sources):
            gloss = "AB"[number % 2]
            writer.add(f"u{number}", split="train", signer="ann", glosses=[gloss], landmarks=clip(number, source))
    return Corpus.open(root)


def mark(corpus: Corpus) -> tuple[object, object]:
    return corpus.info.get("synthetic"), corpus.info.get("synthetic_utterances")


@pytest.mark.parametrize(
    ("sources", "expected"),
    [([REAL] * 2, (None, None)), ([SIMULATED] * 2, (True, None)), ([REAL, SIMULATED, SIMULATED], (True, 2))],
)
def test_the_landmark_files_say_it(tmp_path, sources, expected):
    corpus = corpus_of(tmp_path / "c", sources)
    assert mark(corpus) == expected
    record = corpus_record(corpus)
    assert (record["synthetic"], record["synthetic_utterances"]) == (bool(expected[0]), expected[1])


def test_import_clips(tmp_path, capsys):
    for number, (gloss, source) in enumerate([("A", REAL), ("B", SIMULATED)]):
        (tmp_path / "in" / gloss).mkdir(parents=True)
        clip(number, source).save(tmp_path / "in" / gloss / f"{number}.npz")
    cli.dispatch(f"import clips {tmp_path / 'in'} --output {tmp_path / 'out'}".split())
    assert mark(Corpus.open(tmp_path / "out")) == (True, 1)
    assert "note: partly simulated signing (1 utterance)" in " ".join(capsys.readouterr().err.split())


def test_merged(tmp_path):
    corpus_of(tmp_path / "real", [REAL] * 2)
    corpus_of(tmp_path / "made", [SIMULATED] * 3)
    cli.dispatch(f"import merge {tmp_path / 'real'} {tmp_path / 'made'} --output {tmp_path / 'out'}".split())
    assert mark(Corpus.open(tmp_path / "out")) == (True, 3)


def test_parts_and_other_rates_of_a_simulated_clip(tmp_path):
    made = clip(0, SIMULATED)
    for derived in (made.mirrored(), made.resampled(30.0), made.part(slice(2, 5)), made.between(0.0, 0.2)):
        assert derived.simulated
    made.save(tmp_path / "c.npz")
    assert Landmarks.load(tmp_path / "c.npz").simulated


def test_composed_of_simulated_and_of_both(tmp_path):
    options = ComposeOptions(num_train=8, num_dev=0, num_test=0, min_glosses=1, max_glosses=2)
    made = compose(corpus_of(tmp_path / "made", [SIMULATED] * 6), tmp_path / "a", options)
    assert mark(made) == (True, None)
    assert made.load(made.utterances[0]).simulated
    sources = [REAL, SIMULATED] * 3
    mixed = compose(corpus_of(tmp_path / "both", sources), tmp_path / "b", options)
    # Gloss A is real, gloss B simulated: an utterance is simulated if one of its signs is.
    count = sum("B" in item.glosses for item in mixed)
    assert 0 < count < len(mixed)
    assert mark(mixed) == (True, count)
    # The part of it that is real only is not marked after its source.
    real = compose(corpus_of(tmp_path / "real", [REAL] * 6), tmp_path / "c", options)
    assert mark(real) == (None, None)


def test_scores_and_their_page(tmp_path):
    corpus = corpus_of(tmp_path / "made", [SIMULATED] * 2)
    result = score([("u0", ["A"], ["A"]), ("u1", ["B"], ["A"])])
    run = write_evaluation(
        Run(tmp_path / "run"), result, model_path=tmp_path / "m", corpus=corpus, split="train", decoder="greedy"
    )
    assert json.loads(run.evaluation_file("train").read_text())["labels"] == [EVERY]
    assert EVERY in run.score_page("train").read_text()
