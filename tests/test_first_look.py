"""A first look at a corpus: train and verify say before the first step what the doctor says of the landmarks."""

import json
import logging
from dataclasses import replace

import pytest

from conftest import zscored
from signloom import cli
from signloom.corpus import Corpus, CorpusWriter
from signloom.errors import InputError
from signloom.health import first_look as looking
from signloom.health.checks.figures import measure_corpus
from signloom.health.checks.landmarks import normalised
from signloom.health.first_look import first_look
from signloom.synth.corpus import synthesise
from signloom.synth.options import SynthOptions


@pytest.fixture(scope="module")
def healthy(tmp_path_factory):
    options = SynthOptions(preset="clean", num_train=6, num_dev=1, num_test=1, num_signs=6, max_glosses=4)
    return synthesise(options, tmp_path_factory.mktemp("healthy") / "corpus")


def changed(corpus, root, change):
    with CorpusWriter(root, {"name": "changed"}) as writer:
        for item in corpus:
            clip = corpus.load(item)
            clip = replace(clip, points=change(clip.points))
            writer.add(item.id, split=item.split, signer=item.signer, glosses=item.glosses, landmarks=clip)
    return Corpus.open(root)


@pytest.fixture(scope="module")
def standardised(healthy, tmp_path_factory):
    return changed(healthy, tmp_path_factory.mktemp("z") / "corpus", lambda points: zscored(points, points))


def relative_to_wrists(points):
    from signloom import layout

    points = points.copy()
    for side in ("left", "right"):
        hand = layout.GROUPS[f"{side}_hand"]
        points[:, hand] -= points[:, hand.start : hand.start + 1].copy()
    return points


def test_a_healthy_corpus_is_left_alone(healthy):
    assert first_look(healthy) == []


def test_it_finds_what_the_doctor_finds_in_its_words(standardised):
    (finding,) = first_look(standardised)
    whole = normalised(measure_corpus(standardised, unalignable=lambda items: {}, model=""))
    assert (finding.headline, finding.advice, finding.level) == (whole.headline, whole.advice, whole.level)
    assert "these landmarks were standardised before" in finding.headline


def test_hands_relative_to_their_wrists(healthy, tmp_path):
    (finding,) = first_look(changed(healthy, tmp_path / "c", relative_to_wrists))
    assert (finding.id, finding.level) == ("data.body", "fail")
    assert "import the hands in coordinates of the image" in finding.advice


def test_few_clips_are_read_and_of_a_long_one_its_middle(standardised, monkeypatch):
    read, sizes = [], []
    load, measure = Corpus.load, looking.measure_clip
    monkeypatch.setattr(Corpus, "load", lambda self, item: read.append(item) or load(self, item))
    monkeypatch.setattr(looking, "measure_clip", lambda item, clip: sizes.append(len(clip)) or measure(item, clip))
    monkeypatch.setattr(looking, "NUM_CLIPS", 4)
    monkeypatch.setattr(looking, "MOST_FRAMES", 20)
    first_look(standardised)
    # Spread over the splits.
    assert sorted(item.split for item in read) == ["dev", "train", "train", "train"]
    assert sizes == [20] * 4


def test_clips_that_cannot_be_read_are_left_to_training(healthy, monkeypatch):
    def broken(self, item):
        raise InputError("broken")

    monkeypatch.setattr(Corpus, "load", broken)
    assert first_look(healthy) == []


@pytest.mark.slow
def test_train_warns_before_the_first_step(standardised, tmp_path, tiny_presets, caplog):
    arguments = f"train --data_dir {standardised.root} --output {tmp_path / 'run'} --preset tiny --epochs 1"
    arguments += " --max_steps 1"
    assert cli.dispatch(arguments.split()) == 0
    (said,) = json.loads((tmp_path / "run" / "monitors.json").read_text())["said"]
    assert (said["id"], said["figures"]["step"]) == ("data.normalised", 0)
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    (warned,) = [text for text in warnings if "these landmarks were standardised before" in text]
    assert "Import the landmarks as the extractor gave them" in warned
    # A second look would say it twice.
    arguments += " --resume"
    caplog.clear()
    assert cli.dispatch(arguments.replace("steps 1", "steps 2").split()) == 0
    assert "standardised" not in caplog.text


@pytest.mark.slow
def test_verify_says_it_too(standardised, capsys, tiny_presets):
    assert cli.dispatch(f"verify --data_dir {standardised.root} --model tiny --num_steps 3".split()) == 0
    out, err = capsys.readouterr()
    assert "these landmarks were standardised before" in " ".join(err.split())
    assert f"next: signloom doctor {standardised.root}" in out


@pytest.mark.slow
def test_verify_judges_its_learning_rate(healthy, capsys, tiny_presets):
    cli.dispatch(f"verify --data_dir {healthy.root} --model tiny --num_steps 2 --learning_rate 0.5".split())
    assert "The learning rate peaks at 0.5 (--learning_rate 0.5), over 0.02" in " ".join(
        capsys.readouterr().err.split()
    )


def test_utterances_without_a_gloss_are_no_part_of_it(healthy):
    first = replace(healthy.utterances[0], glosses=(), others=(0,))
    assert first_look(replace(healthy, utterances=(first, *healthy.utterances[1:]))) == []
