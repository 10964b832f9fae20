"""Runs and the command of distillation: what is learnt, which teachers are refused, what the result says."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from conftest import TINY_TEACHER
from distilling import SHORT, new_recognizer, recipe
from signloom import cli, layout
from signloom.commands import distill
from signloom.corpus import Corpus, CorpusWriter
from signloom.errors import InputError, LayoutError
from signloom.inference.model import Model, load
from signloom.inference.torch_engine import TorchEngine
from signloom.score.compare import compare
from signloom.score.wer import score
from signloom.train.distill.cached_emissions import fingerprint
from signloom.train.fit import fit
from signloom.train.module import RecognizerModule
from signloom.train.recipe import Recipe
from signloom.train.recipes import recipes
from signloom.vocabulary import Vocabulary

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("tiny_presets")]


def test_a_student_learns_from_its_teacher_and_the_run_says_from_whom(tiny_corpus, teacher, tmp_path):
    # By the teacher alone, with no reference at all, the student comes to recognise signs: 33 % when this was written.
    result = fit(recipe(tiny_corpus, teacher, tmp_path / "run", epochs=22, soft_weight=1.0, cache=True))
    assert result.best.dev_wer < 0.6
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["teacher"]["fingerprint"] == fingerprint(load(teacher))
    assert load(tmp_path / "run").info["teacher"]["dev"]["dev_wer"] < 0.3
    # Beside the teacher, where other students find it.
    assert len(list((teacher / "emissions").rglob("*.npy"))) == 16


class KilledError(Exception):
    pass


@pytest.mark.parametrize("cache", [False, True])
def test_a_run_resumed_within_an_epoch_has_the_losses_of_a_whole_one(
    tiny_corpus, teacher, tmp_path, monkeypatch, cache
):
    options = {"cache": cache, "augment": True, "epochs": 3}
    whole = fit(recipe(tiny_corpus, teacher, tmp_path / "whole", **options))
    calls = []
    original = RecognizerModule.training_losses

    def die_in_second_epoch(self, batch):
        calls.append(batch)
        if len(calls) == 7:
            raise KilledError
        return original(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(RecognizerModule, "training_losses", die_in_second_epoch)
        with pytest.raises(KilledError):
            fit(recipe(tiny_corpus, teacher, tmp_path / "cut", **options, save_every_steps=1))
    resumed = fit(recipe(tiny_corpus, teacher, tmp_path / "cut", **options, resume=True))
    # No dropout here, and chance drawn from (seed, epoch, utterance): equal to the last bits of single precision.
    for name in ("train_loss", "dev_loss"):
        expected = [getattr(record, name) for record in whole.history.epochs]
        found = [getattr(record, name) for record in resumed.history.epochs]
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_run_is_not_resumed_with_another_teacher(tiny_corpus, teacher, tmp_path):
    shutil.copytree(teacher, tmp_path / "teacher")
    options = recipe(tiny_corpus, tmp_path / "teacher", tmp_path / "run", epochs=1)
    fit(options)
    model = load(tmp_path / "teacher")
    with torch.no_grad():
        next(model.engine.recognizer.parameters()).view(-1)[0] += 1
    model.save(tmp_path / "teacher" / "model.safetensors")
    with pytest.raises(InputError, match="not the teacher that the run in .* began with"):
        fit(replace(options, resume=True))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"temperature": 0.0}, "--temperature is 0; needed above 0"),
        ({"temperature": float("nan")}, "--temperature is nan; needed above 0"),
        ({"soft_weight": 0.0}, "--soft_weight is 0; needed above 0 .* 'signloom train'"),
        ({"soft_weight": 1.5}, "--soft_weight is 1.5"),
        ({"emissions": "somewhere"}, "--emissions is a folder for what --cache saves"),
        ({"epochs": 0}, "--epochs is 0"),
    ],
)
def test_impossible_options_are_refused(tiny_corpus, tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        recipe(tiny_corpus, "teacher", tmp_path, **changes).check()


def as_teacher(model: Model, path, **info) -> None:
    Model(model.engine, model.vocabulary, {**model.info, **info}).save(path / "model.safetensors")


def run_distill(corpus, teacher, output, *flags) -> int:
    given = ["distill", "--teacher", str(teacher), "--data_dir", str(corpus), "--output", str(output)]
    return cli.dispatch([*given, "--preset", "tiny", "--epochs", "1", "--batch_size", "4", *flags])


def test_an_untrained_teacher_is_refused(tiny_corpus, teacher, tmp_path):
    model = load(teacher)
    Model(model.engine, model.vocabulary).save(tmp_path / "bare" / "model.safetensors")
    with pytest.raises(InputError, match="bare: cannot teach here.*\n.*untrained: its metadata has no score on dev"):
        run_distill(tiny_corpus, tmp_path / "bare", tmp_path / "run")
    as_teacher(model, tmp_path / "blank", dev={"dev_wer": 1.0})
    with pytest.raises(InputError, match="it has learnt nothing: its WER on dev was 100.0 %"):
        run_distill(tiny_corpus, tmp_path / "blank", tmp_path / "run")
    # The record says trained; the weights are not.
    fresh = new_recognizer(TINY_TEACHER, len(model.vocabulary), 0)
    with torch.no_grad():
        fresh.classifier.bias[0] += 20
    as_teacher(Model(TorchEngine(fresh), model.vocabulary, model.info), tmp_path / "liar")
    with pytest.raises(InputError, match=r"its WER on dev is .* now, where its record says"):
        run_distill(tiny_corpus, tmp_path / "liar", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_folder_that_holds_a_run_is_refused_before_anybody_is_scored(tiny_corpus, teacher, tmp_path, monkeypatch):
    def scored(*given):
        raise AssertionError("scored first")

    monkeypatch.setattr("signloom.commands.distill._scored_teacher", scored)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "history.json").write_text("{}")
    with pytest.raises(InputError, match="run: already holds a run"):
        run_distill(tiny_corpus, teacher, tmp_path / "run")


def test_a_teacher_of_other_glosses_is_refused(tiny_corpus, teacher, tmp_path):
    model = load(teacher)
    for words, message in (
        (
            ("<blank>", "<unknown>", "AWAY", *model.vocabulary.words[3:]),
            "only the teacher knows AWAY; only this",
        ),
        ((*model.vocabulary.words[:2], *model.vocabulary.words[:1:-1]), "same words in another order, from id 2 on"),
    ):
        other = Model(model.engine, Vocabulary(words), model.info)
        other.save(tmp_path / "other" / "model.safetensors")
        with pytest.raises(InputError, match=message):
            run_distill(tiny_corpus, tmp_path / "other", tmp_path / "run")
    with pytest.raises(InputError, match="--num_train_samples 1 may have removed words"):
        run_distill(tiny_corpus, teacher, tmp_path / "run", "--num_train_samples", "1")


def test_a_teacher_of_another_corpus_is_refused_unless_told_otherwise(tiny_corpus, teacher, tmp_path, capsys):
    model = load(teacher)
    with CorpusWriter(tmp_path / "corpus", {"name": "another"}) as writer:
        # Other names of the same clips, so that the teacher recognises them.
        for item in Corpus.open(tiny_corpus).split("train"):
            for split in ("train", "dev"):
                clip = tiny_corpus / item.landmarks
                writer.add(f"{split}-{item.id}", split=split, signer="A", glosses=item.glosses, landmarks=clip)
    with pytest.raises(InputError, match="it was trained on another corpus: 'tiny', this is 'another'"):
        run_distill(tmp_path / "corpus", teacher, tmp_path / "run")
    assert run_distill(tmp_path / "corpus", teacher, tmp_path / "run", "--other_corpus") == 0
    assert "teacher" in capsys.readouterr().out
    as_teacher(model, tmp_path / "older", corpus={**model.info["corpus"], "summary": {}})
    with pytest.raises(InputError, match="another corpus: 'tiny' with other utterances"):
        run_distill(tiny_corpus, tmp_path / "older", tmp_path / "new")


def test_a_teacher_of_another_layout_is_refused(tiny_corpus, teacher, tmp_path, monkeypatch):
    model = load(teacher)
    with monkeypatch.context() as patch:
        patch.setattr(layout, "VERSION", layout.VERSION + 1)
        model.save(tmp_path / "newer" / "model.safetensors")
    with pytest.raises(LayoutError, match="layout"):
        run_distill(tiny_corpus, tmp_path / "newer", tmp_path / "run")


def test_a_teacher_of_another_frame_rate_has_to_be_asked_once(tiny_corpus, teacher, tmp_path):
    model = load(teacher)
    slow = new_recognizer(replace(TINY_TEACHER, fps=12.5), len(model.vocabulary), 0)
    slow.load_state_dict(model.engine.recognizer.state_dict())
    as_teacher(Model(TorchEngine(slow), model.vocabulary, model.info), tmp_path / "slow")
    with pytest.raises(InputError, match=r"it works at 12.5 frames/s, the student at 25; .* Pass --cache"):
        fit(recipe(tiny_corpus, tmp_path / "slow", tmp_path / "run"))
    result = fit(recipe(tiny_corpus, tmp_path / "slow", tmp_path / "run", cache=True, epochs=1))
    assert np.isfinite(result.history.epochs[0].train_loss)


def test_the_command_compares_with_teacher_and_baseline(tiny_corpus, teacher, tmp_path, capsys):
    fit(Recipe(tiny_corpus, output=tmp_path / "alone", **{**SHORT, "epochs": 1}))
    assert run_distill(tiny_corpus, teacher, tmp_path / "run", "--baseline", str(tmp_path / "alone")) == 0
    out = capsys.readouterr().out
    assert "tiny, dev split, 6 utterances, greedy decoding, plain rule" in out
    assert "student minus teacher: +" in out
    assert "distilled minus alone: " in out
    record = json.loads((tmp_path / "run" / "distillation.json").read_text())
    assert [system["name"].split()[0] for system in record["systems"]] == ["teacher", "student,", "student"]
    gap = record["systems"][1]["wer"] - record["systems"][0]["wer"]
    assert record["comparisons"]["teacher"]["difference"] == pytest.approx(gap)
    assert "more than a point behind its teacher" in out


def system(name, wer, words=100):
    wrong = round(wer * words)
    pairs = ((f"{name}{at}", ("A",), ("B",) if at < wrong else ("A",)) for at in range(words))
    return distill.System(name, score((key.lstrip(name), *rest) for key, *rest in pairs), 1000)


def test_advice_follows_the_scores():
    def advice(teacher, student, alone=None, **known):
        a, b = system("teacher", teacher), system("student", student)
        c = None if alone is None else system("alone", alone)
        found = {"teacher": compare(a.score, b.score)}
        if c is not None:
            found["baseline"] = compare(c.score, b.score)
        return "\n".join(distill.advice(a, b, c, found, **known))

    assert advice(0.05, 0.055) == ""
    assert "The teacher is no better than the student (10.00 % against 5.00 % on dev)" in advice(0.10, 0.05)
    assert "no better than the student alone (10.00 % against 8.00 %" in advice(0.10, 0.05, 0.08)
    assert "--soft_weight 0.3" in advice(0.10, 0.05)
    assert "harder dev split" in advice(0.0, 0.0)
    assert "a dev split of other signers" in advice(0.10, 0.05, signers_known=True)
    assert "other signers" not in advice(0.10, 0.05)
    assert "more than a point behind" in advice(0.05, 0.20)
    assert "no difference that dev could show" in advice(0.05, 0.055, 0.06)
    assert advice(0.01, 0.02, 0.40) == ""


def test_the_shipped_recipe_is_one_of_this_command(tiny_corpus, teacher, tmp_path):
    assert recipes()["distill"].command == "distill"
    given = ["distill", "--recipe", "distill", "--data_dir", str(tiny_corpus), "--teacher", str(teacher)]
    assert cli.dispatch([*given, "--output", str(tmp_path / "run"), "--max_steps", "2", "--epochs", "1"]) == 0
    record = json.loads((tmp_path / "run" / "run.json").read_text())["recipe"]
    assert (record["temperature"], record["soft_weight"], record["leave_out_blank"]) == (3.0, 0.7, False)
    with pytest.raises(InputError, match="recipe 'distill' is one of 'signloom distill'"):
        cli.dispatch(["train", "--recipe", "distill", "--data_dir", str(tiny_corpus)])
