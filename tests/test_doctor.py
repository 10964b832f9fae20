"""The command `signloom doctor`: what it takes, what it prints, how it exits."""

import json
from dataclasses import replace

import numpy as np
import pytest

from conftest import tiny_sentence
from signloom import cli
from signloom.commands.doctor import Options, run
from signloom.corpus import CorpusWriter
from signloom.inference.model import Model
from signloom.inference.torch_engine import TorchEngine
from signloom.model.presets import preset
from signloom.model.recognizer import Recognizer
from signloom.synth.corpus import synthesise
from signloom.synth.options import SynthOptions
from signloom.vocabulary import Vocabulary

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    root = tmp_path_factory.mktemp("command") / "corpus"
    return synthesise(SynthOptions(preset="clean", num_train=12, num_dev=2, num_test=2, num_signs=6), root)


@pytest.fixture(scope="module")
def run_folder(corpus, tmp_path_factory):
    """The folder of a run, as training leaves it: the model and where its corpus lies."""
    folder = tmp_path_factory.mktemp("runs") / "mine"
    vocabulary = Vocabulary.from_glosses(item.glosses for item in corpus.split("train"))
    recognizer = Recognizer(preset("student"), len(vocabulary))
    Model(TorchEngine(recognizer), vocabulary).save(folder / "model.safetensors")
    (folder / "run.json").write_text(json.dumps({"recipe": {"data_dir": str(corpus.root)}}), encoding="utf-8")
    return folder


def answer(capsys, *words):
    with pytest.raises(SystemExit) as exited:
        cli.main(["doctor", *map(str, words)])
    return exited.value.code, capsys.readouterr()


def test_a_healthy_corpus_exits_0_and_says_what_was_measured(corpus, capsys):
    status, output = answer(capsys, corpus.root)
    assert status == 0
    assert "ok   data.units" in output.out
    assert "25 checks in" in output.out
    assert "to do:" not in output.out


def test_a_faulty_corpus_exits_1_with_advice_and_how_to_run_one_check_again(tmp_path, capsys):
    with CorpusWriter(tmp_path / "c", {"name": "twins"}) as writer:
        for split in ("train", "test"):
            clip = tiny_sentence(("UP", "DOWN"), seed=0)
            writer.add(split, split=split, signer=split, glosses=("UP", "DOWN"), landmarks=clip)
    status, output = answer(capsys, tmp_path / "c", "--check", "data.duplicates")
    assert status == 1
    assert "fail data.duplicates                 1 clip is in two splits" in output.out
    assert "- train (train) = test (test)" in output.out
    assert "to do: keep each clip once, in one split" in output.out
    assert f": signloom doctor {tmp_path / 'c'} --check data.duplicates" in output.out
    assert "data.units" not in output.out


def test_json_can_be_read_back(corpus, capsys):
    status, output = answer(capsys, corpus.root, "--suite", "data", "--format", "json")
    found = json.loads(output.out)
    assert status == 0
    assert (found["failed"], found["counts"]["fail"]) == (False, 0)
    assert {"id", "level", "headline", "value", "threshold", "source", "where", "advice"} <= set(found["findings"][0])


@pytest.mark.parametrize("words", [["student"], ["student", "--suite", "architecture"], ["teacher_compact"]])
def test_presets_and_recipes_can_be_tried_without_a_corpus(words, capsys):
    status, output = answer(capsys, *words)
    assert status == 0
    assert "architecture.gradient" in output.out
    assert ("compatibility.once" in output.out or "compatibility.normalised_once" in output.out) == (len(words) == 1)
    assert "data." not in output.out.replace("data_dir", "")


def test_a_recipe_file_names_its_corpus_and_its_model(corpus, tmp_path, capsys):
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(f"preset: student\nframe_rate: true\ndata_dir: {corpus.root}\n", encoding="utf-8")
    status, output = answer(capsys, recipe, "--check", "data.feasible", "architecture.shape")
    assert status == 0
    assert "than output frames of the recipe" in output.out
    assert "architecture.shape" in output.out


def test_a_run_is_tried_on_the_corpus_it_was_trained_on(run_folder, corpus, capsys):
    status, output = answer(capsys, run_folder, "--check", "compatibility.batches", "architecture")
    assert status == 0
    assert f"run {run_folder}, on {corpus.root} (16 utterances)" in output.out
    assert "architecture.size" in output.out
    status, output = answer(capsys, run_folder / "model.safetensors", "--suite", "architecture")
    assert status == 0
    assert f"model {run_folder / 'model.safetensors'}\n" in output.out


def test_a_model_that_cannot_run_is_a_finding(corpus, monkeypatch):
    from signloom.health.examine import examine
    from signloom.health.subject import find_subject

    subject = find_subject("teacher_compact", None)
    subject.recognizer.lstm.forward_layers[0].input_size = 3
    diagnosis = examine(subject, checks=("architecture.shape",))
    (finding,) = diagnosis.findings
    assert (finding.id, finding.level) == ("architecture.shape", "fail")
    assert finding.headline.startswith("the model cannot be tried: RuntimeError: input.size(-1) must be equal")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nothing"], "doctor: nothing: no such file; needed a corpus (corpus.json), a model (model.safetensors), a"),
        (["studnet"], "or a preset (student, original_student, teacher, teacher_compact, teacher_original); did you"),
        (["defualt"], "did you mean default?"),
        (["."], "doctor: .: a folder without corpus.json or model.safetensors; needed a corpus"),
        (["pyproject.toml"], "doctor: pyproject.toml: another kind of file; needed a corpus"),
        (["student", "--check", "data.fps"], "doctor: no check 'data.fps' for this; known are compatibility.stat"),
        (["student", "--suite", "data"], "student: no suite data for this; there are compatibility, architecture"),
        (["student", "--threads", "0"], "doctor: --threads is 0; needed at least 1"),
    ],
)
def test_what_cannot_be_is_refused(words, message, capsys):
    status, output = answer(capsys, *words)
    assert status == 2
    assert message in output.err


def test_a_recipe_without_attention_is_tried_without(tmp_path):
    from signloom.health.subject import find_subject

    path = tmp_path / "average.yaml"
    path.write_text("preset: teacher_compact\nattention: false\nattention_clamp: 3\n", encoding="utf-8")
    config = find_subject(str(path), None).recognizer.config
    assert (config.attention, config.attention_clamp) == (False, 3)


def test_a_recipe_that_is_none_is_refused(tmp_path, capsys):
    (tmp_path / "a.yaml").write_text("- 1\n", encoding="utf-8")
    status, output = answer(capsys, tmp_path / "a.yaml")
    assert (status, "a.yaml: the content is a list of 1; needed a table of options" in output.err) == (2, True)
    (tmp_path / "d.yaml").write_text("# nothing\n", encoding="utf-8")
    status, output = answer(capsys, tmp_path / "d.yaml")
    assert (status, "d.yaml: no options; needed at least one" in output.err) == (2, True)
    # Trained by this, the student would be the default one, and not what was meant.
    (tmp_path / "c.yaml").write_text("presett: teacher\nfrobnicate: 1\n", encoding="utf-8")
    status, output = answer(capsys, tmp_path / "c.yaml")
    assert status == 2
    assert "no option 'presett' of training; did you mean 'preset'?" in output.err
    assert "no option 'frobnicate' of training" in output.err
    (tmp_path / "b.yaml").write_text("preset: student\ndropout: 3\n", encoding="utf-8")
    status, output = answer(capsys, tmp_path / "b.yaml")
    assert (status, "b.yaml: model: dropout 3.0; needed 0 to below 1" in output.err) == (2, True)


def test_threads_are_as_they_were(corpus):
    import torch

    before = torch.get_num_threads()
    assert run(Options(str(corpus.root), check=("data.fps",), threads=2)) == 0
    assert torch.get_num_threads() == before


def test_the_page_shows_level_evidence_advice_and_how_to_run_it_again(run_folder, tmp_path, capsys):
    with CorpusWriter(tmp_path / "c", {"name": "still"}) as writer:
        for number, split in enumerate(("train", "train", "test")):
            clip = tiny_sentence(("UP", "DOWN"), seed=number)
            still = replace(clip, points=np.repeat(clip.points[:1], len(clip), axis=0))
            writer.add(f"<{number}>", split=split, signer=split, glosses=("UP", "DOWN"), landmarks=still)
    page = tmp_path / "page.html"
    status, output = answer(capsys, tmp_path / "c", "--html", page)
    text = page.read_text(encoding="utf-8")
    assert status == 1
    assert f"page: {page}" in output.err
    assert '<i class="light fail"' in text
    assert "the video was decoded or resampled badly" in text
    assert f"signloom doctor {tmp_path / 'c'} --check data.frozen" in text
    # Text is escaped, skeletons are drawn, and nothing is loaded.
    assert "&lt;0&gt;" in text
    assert "<0>" not in text
    assert '<path d="M' in text
    assert 'class="head"' in text
    assert "http://" not in text
    assert "https://" not in text
    assert "How sure the model is" not in text
    status, output = answer(capsys, run_folder, "--check", "compatibility.gradients", "--html", page)
    text = page.read_text(encoding="utf-8")
    assert status == 0
    assert "How sure the model is over time" in text
    # The first clip tried, with what its annotation says, and seconds below the curves.
    assert "Annotated: <bdi>" in text
    assert ">1 s</text>" in text
    assert f"Repeat one check: <code>signloom doctor {run_folder} --check CHECK" in text
    assert "body.encoders" in text
