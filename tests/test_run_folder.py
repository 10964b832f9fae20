"""The run folder: one module names its files, and what it removes follows from their declarations."""

import ast
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

import signloom
from conftest import TINY_STUDENT, drawn_curves, parsed
from signloom import cli
from signloom.corpus import HEADER, Corpus
from signloom.errors import InputError
from signloom.files.staging import remove
from signloom.health.examine import examine
from signloom.health.subject import find_subject
from signloom.inference.model import Model
from signloom.inference.own_corpus import corpus_for
from signloom.inference.torch_engine import TorchEngine
from signloom.model.recognizer import Recognizer
from signloom.run_folder import EpochRecord, History, Run, corpus_record
from signloom.vocabulary import Vocabulary

ROOT = Path(signloom.__file__).parent
FILES = [file for file in vars(Run).values() if hasattr(file, "kept")]
# `*` stands for the split; folders are too short to be looked for ("emissions" is also a word).
NAMES = re.compile("|".join(re.escape(f.name).replace(r"\*", ".*") for f in FILES if "." in f.name))


def texts(tree):
    """The string constants of a module that are not docstrings; of an f-string, its constant parts joined by `*`."""
    nodes = [tree]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue
        if isinstance(node, ast.JoinedStr):
            yield "".join(part.value if isinstance(part, ast.Constant) else "*" for part in node.values)
            nodes += [part for part in node.values if not isinstance(part, ast.Constant)]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        else:
            nodes += list(ast.iter_child_nodes(node))


def test_no_other_module_names_a_file_of_a_run():
    named = []
    for path in sorted(ROOT.rglob("*.py")):
        if path.name == "run_folder.py":
            continue
        found = [text for text in texts(parsed(path)) if NAMES.search(text)]
        named += [f"{path.relative_to(ROOT)}: {text!r}" for text in found]
    assert named == []


def test_the_search_finds_what_it_should():
    code = (
        'def f(run):\n    """Writes run.json."""\n'
        '    return run / "run.json", f"evaluation-{run}.json", f"{run}: no model.safetensors"'
    )
    assert len([text for text in texts(ast.parse(code)) if NAMES.search(text)]) == 3


def test_everything_that_is_declared_is_replaced_but_the_logs(tmp_path):
    run = Run(tmp_path)
    for file in FILES:
        path = tmp_path / file.name.replace("*", "test")
        if path.suffix:
            path.write_text("x")
        else:
            (path / "inner").mkdir(parents=True)
    (tmp_path / "mine.txt").write_text("not ours")
    remove(tmp_path / name for name in run.files())
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"training.log", "tensorboard", "mine.txt"}
    assert run.evaluation_file("dev") == tmp_path / "evaluation-dev.json"
    assert Run.model_file.name == run.model_file.name == "model.safetensors"


def test_a_missing_folder_is_refused_and_an_empty_one_holds_nothing(tmp_path):
    with pytest.raises(InputError, match="no such folder; needed the folder of a run"):
        Run.read(tmp_path / "gone")
    assert not Run.read(tmp_path).is_run
    assert Run.read(tmp_path).find_corpus() is None


@pytest.fixture
def corpus(tiny_corpus, tmp_path):
    """A copy in the folder `data/tiny`, to be moved."""
    return Corpus.open(shutil.copytree(tiny_corpus, tmp_path / "data" / "tiny"))


def new_run(corpus, path, *, data_dir=None, older=False):
    """The folder of a run on `corpus`, with a model that learnt nothing. An older run does not record its path."""
    vocabulary = Vocabulary.from_glosses(item.glosses for item in corpus.split("train"))
    Model(TorchEngine(Recognizer(TINY_STUDENT, len(vocabulary))), vocabulary).save(path / "model.safetensors")
    info = {"recipe": {"data_dir": str(data_dir or corpus.root)}, "corpus": corpus_record(corpus)}
    if older:
        del info["corpus"]["path"]
    (path / "run.json").write_text(json.dumps(info), encoding="utf-8")
    return Run.read(path)


class TestCorpusOfARun:
    @pytest.fixture(autouse=True)
    def elsewhere(self, tmp_path, monkeypatch):
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")

    def test_it_is_found_from_any_working_directory(self, corpus, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        # The corpus was given by a relative path, as most users do.
        relative = Corpus.open("data/tiny")
        run = new_run(relative, tmp_path / "runs" / "one", data_dir="data/tiny")
        monkeypatch.chdir(tmp_path / "elsewhere")
        assert run.find_corpus() == corpus.root

    def test_of_an_older_run_it_is_found_from_here_and_from_above_the_run(self, corpus, tmp_path, monkeypatch):
        run = new_run(corpus, tmp_path / "runs" / "one", data_dir="data/tiny", older=True)
        assert run.find_corpus() == corpus.root
        away = new_run(corpus, tmp_path / "runs" / "two", data_dir="tiny", older=True)
        assert away.find_corpus() is None
        monkeypatch.chdir(tmp_path / "data")
        assert away.find_corpus() == Path("tiny")

    def test_moved_away_it_is_not_found(self, corpus, tmp_path):
        run = new_run(corpus, tmp_path / "run")
        assert run.find_corpus() == corpus.root
        shutil.move(corpus.root, tmp_path / "moved")
        assert run.find_corpus() is None
        assert run.examined_on(Corpus.open(tmp_path / "moved")).find_corpus() == tmp_path / "moved"

    def test_it_is_told_from_another_by_name_and_by_counts_or_place(self, corpus, tmp_path):
        run = new_run(corpus, tmp_path / "run")
        copy = Corpus.open(shutil.copytree(corpus.root, tmp_path / "copy"))
        renamed = replace(copy, info={**copy.info, "name": "other"})
        smaller = replace(copy, utterances=copy.utterances[:-1])
        assert run.is_own_corpus(copy)
        assert not run.is_own_corpus(renamed)
        assert not run.is_own_corpus(smaller)
        # Its annotations were corrected where it lies.
        assert run.is_own_corpus(replace(corpus, utterances=corpus.utterances[:-1]))
        assert run.scores_on(copy) == run
        # Two corpora of one name have two folders.
        others = {run.scores_on(one).path for one in (renamed, smaller)}
        assert len(others) == 2
        assert {path.parent for path in others} == {run.other_corpora}
        # Without a record there is nothing to tell by.
        assert Run(tmp_path).is_own_corpus(renamed)


class TestTheCorpusOfAModel:
    def of(self, run, path=None):
        return corpus_for(SimpleNamespace(info=run.info), path or run.path, None)

    def test_it_is_found_by_run_folder_and_by_model_file(self, corpus, tmp_path):
        run = new_run(corpus, tmp_path / "run")
        assert self.of(run).root == corpus.root
        assert self.of(run, run.model_file).root == corpus.root

    def test_another_can_be_given(self, corpus, tiny_corpus, tmp_path):
        run = new_run(corpus, tmp_path / "run")
        assert corpus_for(SimpleNamespace(info=run.info), run.path, tiny_corpus).root == tiny_corpus

    def test_moved_away_it_is_named(self, corpus, tmp_path):
        run = new_run(corpus, tmp_path / "run")
        shutil.move(corpus.root, tmp_path / "moved")
        with pytest.raises(InputError) as raised:
            self.of(run)
        told = f"{run.path}: its corpus 'tiny' is not at {corpus.root} any more; give the folder where it is now with"
        assert told in str(raised.value)

    def test_changed_both_are_named(self, corpus, tmp_path):
        run = new_run(corpus, tmp_path / "run")
        manifest = corpus.root / "manifest.jsonl"
        manifest.write_text("\n".join(manifest.read_text(encoding="utf-8").splitlines()[1:]) + "\n", encoding="utf-8")
        with pytest.raises(InputError) as raised:
            self.of(run)
        text = str(raised.value)
        assert f"{corpus.root} is not what it was: the model was trained on tiny (16 train, 6 dev, 4 test utt" in text
        assert "and there is tiny (15 train, 6 dev, 4 test utterances" in text
        assert f"--data_dir {corpus.root} uses it as it is now" in text

    def test_an_exported_model_says_that_it_records_none(self, corpus, tmp_path):
        info = dict(new_run(corpus, tmp_path / "run").info)
        with pytest.raises(InputError, match="model.onnx: an exported model does not record the place of its corpus"):
            corpus_for(SimpleNamespace(info=info), tmp_path / "model.onnx", None)


class TestEvaluateOnAnotherCorpus:
    def evaluate(self, run, corpus, *flags):
        with pytest.raises(SystemExit) as exited:
            cli.main(["evaluate", str(run), "--data_dir", str(corpus.root), *flags])
        assert exited.value.code == 0

    @pytest.fixture
    def other(self, tiny_corpus, tmp_path):
        root = shutil.copytree(tiny_corpus, tmp_path / "other")
        header = json.loads((root / HEADER).read_text(encoding="utf-8"))
        (root / HEADER).write_text(json.dumps({**header, "name": "other"}), encoding="utf-8")
        return Corpus.open(root)

    def test_the_own_scores_stay_with_their_baseline(self, corpus, other, tmp_path, capsys):
        run = new_run(corpus, tmp_path / "run")
        self.evaluate(run.path, corpus)
        assert "go into a folder of their own" not in capsys.readouterr().err
        file = run.evaluation_file("test")
        with_baseline = {**json.loads(file.read_text(encoding="utf-8")), "baseline": {"name": "b", "error_rate": 0.5}}
        file.write_text(json.dumps(with_baseline), encoding="utf-8")
        self.evaluate(run.path, other)
        said = capsys.readouterr().err
        assert f"not trained on {other.root}: its scores there go into a folder of their own" in said.replace("\n", " ")
        assert json.loads(file.read_text(encoding="utf-8")) == with_baseline
        (folder,) = run.other_corpora.iterdir()
        assert folder.name.startswith("other-")
        assert Run(folder).score_page("test").is_file()
        assert json.loads(Run(folder).evaluation_file("test").read_text(encoding="utf-8"))["corpus"] == "other"
        # The report and the doctor keep to the run's own.
        assert Run.read(run.path).evaluations["test"]["corpus"] == "tiny"
        # Again on its own corpus: the baseline is kept.
        self.evaluate(run.path, corpus)
        assert json.loads(file.read_text(encoding="utf-8"))["baseline"]["error_rate"] == 0.5

    def test_without_another_the_corpus_is_that_of_the_run(self, corpus, tmp_path, capsys):
        run = new_run(corpus, tmp_path / "run")
        with pytest.raises(SystemExit, match="^0$"):
            cli.main(["evaluate", str(run.path)])
        assert f"corpus: {corpus.root}" in capsys.readouterr().err
        assert run.evaluation_file("test").is_file()

    def test_two_systems_are_compared_on_it(self, corpus, other, tmp_path, capsys):
        runs = [new_run(corpus, tmp_path / name) for name in ("a", "b")]
        for run in runs:
            self.evaluate(run.path, other)
        folders = [str(run.scores_on(other).path) for run in runs]
        with pytest.raises(SystemExit) as exited:
            cli.main(["compare", *folders])
        assert exited.value.code == 0

    def test_a_folder_that_is_no_run_takes_any(self, corpus, other, tmp_path):
        run = new_run(corpus, tmp_path / "run")
        self.evaluate(run.path, other, "--output", str(tmp_path / "scores"))
        assert (tmp_path / "scores" / "evaluation-test.json").is_file()
        assert not run.other_corpora.exists()


@pytest.mark.slow
class TestDoctorWithoutTheCorpus:
    def examined(self, run):
        return {finding.id: finding for finding in examine(find_subject(str(run.path), None)).findings}

    def test_it_says_so_and_calls_nothing_broken(self, corpus, tmp_path, monkeypatch):
        run = new_run(corpus, tmp_path / "runs" / "one")
        monkeypatch.chdir(tmp_path / "runs")
        found = self.examined(run)
        assert found["run.corpus"].level == "ok"
        assert "data.fps" in found
        shutil.move(corpus.root, tmp_path / "moved")
        found = self.examined(run)
        assert (found["run.corpus"].level, found["run.corpus"].advice) == ("note", "give its folder with --data_dir")
        assert f"is not found in {corpus.root}:" in found["run.corpus"].headline
        # Statistics of training are not to be had from simulated signing.
        assert found["compatibility.statistics"].level == "note"
        assert [name for name, finding in found.items() if finding.level == "fail"] == []
        given = examine(find_subject(str(run.path), tmp_path / "moved"), checks=("run.corpus",)).findings
        assert given[0].level == "ok"


EPOCH = EpochRecord(1, 2.0, 2.5, 1.0, 1e-3, 1.0, 1.0, 4)


# The scale is logarithmic.
@pytest.mark.filterwarnings("ignore:.*non-positive.*", "ignore:.*cannot be log-scaled.*")
@pytest.mark.parametrize(
    ("epochs", "best"),
    [
        pytest.param([], 0, id="none", marks=pytest.mark.slow),
        pytest.param([EPOCH], 1, id="one", marks=pytest.mark.slow),
        pytest.param([EPOCH, replace(EPOCH, epoch=2, train_loss=0.1, dev_wer=0.3)], 2, id="two"),
        pytest.param(
            [replace(EPOCH, train_loss=-0.24, dev_loss=-0.2)], 1, id="losses below zero", marks=pytest.mark.slow
        ),
    ],
)
@pytest.mark.slow
def test_curves_are_drawn_of_any_history(epochs, best, tmp_path):
    pytest.importorskip("matplotlib")
    with drawn_curves():
        History(epochs, best).plot(Run(tmp_path))
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "curves.pdf").read_bytes().startswith(b"%PDF")
