"""Every recipe that ships has the figures it is named for, and trains; the command that lists them; crossval."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import yaml

from conftest import TINY_SIGNS, tiny_sentence
from signloom import cli
from signloom.commands import crossval
from signloom.corpus import Corpus, CorpusWriter
from signloom.errors import InputError
from signloom.health.subject import find_subject
from signloom.train.build import build_recognizer
from signloom.train.distill.recipe import DistillRecipe
from signloom.train.recipe import Recipe
from signloom.train.recipes import recipes
from signloom.vocabulary import Vocabulary

TRAINING = [recipe.name for recipe in recipes().values() if recipe.command == "train"]


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as exited:
        cli.main([str(argument) for argument in arguments])
    return exited.value.code


def parsed(*arguments: str) -> Recipe:
    return cli.parse(Recipe, "", "signloom train", ["--data_dir", "corpus", *arguments])


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAINING)
def test_every_recipe_trains(name, tiny_corpus, tmp_path, capsys):
    # Two steps of it; the schedule knows, and the run ends with a score on dev and a model.
    flags = ["--data_dir", tiny_corpus, "--output", tmp_path / "run", "--max_steps", 2, "--recipe", name]
    assert run("train", *flags) == 0
    record = json.loads((tmp_path / "run" / "run.json").read_text())["recipe"]
    for key, value in yaml.safe_load(recipes()[name].text).items():
        assert record[key] == value, key
    assert json.loads((tmp_path / "run" / "history.json").read_text())["epochs"][-1]["steps"] == 2


# The table of the original notes.
FIGURES = {
    "student": {"learning_rate": 3e-4, "warmup_epochs": 5, "schedule": "plain", "weight_decay": 1e-4, "batch_size": 4},
    "student_optimised": {
        "learning_rate": 3e-4,
        "schedule": "onecycle",
        "gradient_clip": 5.0,
        "weight_decay": 1e-5,
        "dropout": 0.05,
        "batch_size": 8,
    },
    "teacher": {"learning_rate": 5e-4, "gradient_clip": 1.0, "dropout": 0.1, "batch_size": 2, "preset": "teacher"},
}


@pytest.mark.parametrize("name", FIGURES)
def test_recipes_of_the_original_notes_have_their_figures(name):
    found = asdict(parsed("--recipe", name))
    assert {key: found[key] for key in FIGURES[name]} == FIGURES[name]
    assert found["recipe"] == name
    if name == "student":
        assert 0.1 <= found["dropout"] <= 0.3


def test_the_default_recipe_is_what_holds_without_one():
    assert parsed("--recipe", "default") == parsed()


def test_flags_override_a_recipe_wherever_they_stand(tmp_path):
    assert parsed("--batch_size", "7", "--recipe", "teacher").batch_size == 7
    found = parsed("--recipe=teacher", "--augmentation.mirror", "0.5", "--epochs", "3")
    assert (found.preset, found.epochs, found.augmentation.mirror) == ("teacher", 3, 0.5)
    own = tmp_path / "own.yaml"
    own.write_text("batch_size: 5\n")
    found = parsed("--recipe", "teacher", "--config", str(own))
    assert (found.batch_size, found.preset) == (5, "teacher")


@pytest.mark.parametrize(
    "options",
    [
        # Dropout 0 is a value, not the absence of one.
        {"dropout": 0.0},
        # Without an option its default holds: the default of the recipe, not of the preset.
        {},
        {"auxiliary_head": False, "preset": "teacher", "attention": False, "attention_clamp": 3.0},
        {"frame_rate": True, "share_hands": True, "classifier": "cosine"},
    ],
    ids=lambda options: ",".join(options) or "defaults",
)
def test_the_doctor_examines_the_model_that_is_trained(options, tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump(options) if options else "preset: student\n")
    vocabulary = Vocabulary.from_glosses([["A", "B"]])
    trained, _ = build_recognizer(Recipe(tmp_path, **options), vocabulary)
    assert find_subject(str(path), None).recognizer.config == trained.config
    assert trained.config.auxiliary_head == options.get("auxiliary_head", True)
    assert trained.config.dropout == options.get("dropout", 0.1)


def test_a_record_of_distillation_has_the_options_of_training(tmp_path):
    record = {"data_dir": "corpus", "teacher": "runs/teacher", "temperature": 2.0, "emissions": None, "epochs": 3}
    assert Recipe.from_json(record) == Recipe(Path("corpus"), epochs=3)
    distilled = DistillRecipe.from_json(record)
    assert (distilled.teacher, distilled.temperature, distilled.emissions) == (Path("runs/teacher"), 2.0, None)
    assert DistillRecipe.from_json(json.loads(json.dumps(asdict(distilled), default=str))) == distilled


def test_the_command_lists_them_and_prints_one_to_start_from(tmp_path, capsys):
    assert run("recipes") == 0
    listed = capsys.readouterr().out
    for recipe in recipes().values():
        assert f"{recipe.name} " in listed
        assert recipe.purpose in listed
        assert f"signloom {recipe.command} --recipe {recipe.name}" in listed
    assert run("recipes", "teacher") == 0
    own = tmp_path / "own.yaml"
    own.write_text(capsys.readouterr().out)
    assert replace(parsed("--config", str(own)), data_dir="") == replace(parsed("--recipe", "teacher"), data_dir="")


@pytest.mark.parametrize(
    ("given", "ours"),
    [
        ("lr", "learning_rate"),
        ("early-stopping-patience", "patience"),
        ("dynamic_truncation", "max_frames"),
        ("gradient_checkpointing", "checkpoint_activations"),
        ("accumulation_steps", "accumulate"),
        ("output_dir", "output"),
    ],
)
def test_an_option_of_other_training_code_is_told_by_our_name(given, ours, capsys):
    assert run("train", "--data_dir", "x", "--output", "y", f"--{given}", "1") == 2
    assert f"did you mean --{ours}?" in capsys.readouterr().err


def test_an_unknown_recipe_is_told_with_the_nearest(capsys):
    assert run("train", "--data_dir", "x", "--recipe", "techer") == 2
    assert "no recipe 'techer'; did you mean teacher?" in capsys.readouterr().err
    assert run("recipes", "student", "nothing") == 2
    found = capsys.readouterr()
    assert "known are default" in found.err
    assert found.out == ""


class TestLeavingOneSignerOut:
    @pytest.fixture(scope="module")
    @classmethod
    def corpus(cls, tmp_path_factory):
        """Three signers; only A and B in dev."""
        root = tmp_path_factory.mktemp("signers") / "corpus"
        with CorpusWriter(root, {"name": "three"}) as writer:
            for number in range(18):
                signer = "ABC"[number % 3]
                split = "dev" if number % 9 in (0, 1) else "test" if number > 14 else "train"
                glosses = list(TINY_SIGNS)[number % 4], list(TINY_SIGNS)[number % 3]
                writer.add(
                    f"{split}-{number}",
                    split=split,
                    signer=signer,
                    glosses=glosses,
                    landmarks=tiny_sentence(glosses, seed=number),
                )
        return root

    def test_nobody_is_scored_on_who_trained(self, corpus):
        whole = Corpus.open(corpus)
        for signer in "ABC":
            fold = crossval.leave_out(whole, signer, dev_share=0.25, seed=0)
            assert {item.signer for item in fold.corpus.split("test")} == {signer}
            assert len(fold.corpus.split("test")) == 6
            assert signer not in {item.signer for name in ("train", "dev") for item in fold.corpus.split(name)}
            assert len(fold.corpus) == len(whole)
            assert {item.id for item in fold.corpus.split("dev")} <= {
                item.id for item in whole.split("dev") if item.signer != signer
            }

    def test_without_a_dev_split_of_others_a_share_of_training_takes_its_place(self, corpus):
        whole = Corpus.open(corpus)
        others = tuple(item for item in whole if item.split != "dev" or item.signer == "A")
        fold = crossval.leave_out(replace(whole, utterances=others), "A", dev_share=0.25, seed=0)
        assert fold.dev_from == "25% of the training utterances"
        assert len(fold.corpus.split("dev")) == round(0.25 * sum(item.signer != "A" for item in others))

    def test_a_nested_fold_chooses_its_epoch_on_a_stranger_who_rotates(self, corpus):
        whole = Corpus.open(corpus)
        chosen = {}
        for signer in "ABC":
            fold = crossval.leave_two_out(whole, signer)
            signers = {name: {item.signer for item in fold.corpus.split(name)} for name in ("train", "dev", "test")}
            assert signers["test"] == {signer}
            (chosen[signer],) = signers["dev"]
            assert signers["train"] == set("ABC") - {signer, chosen[signer]}
            assert {item.id for item in fold.corpus} == {item.id for item in whole}
            assert len(fold.corpus.split("dev")) == 6
            assert fold.dev_from == f"all by {chosen[signer]}, unseen"
        assert chosen == {"A": "B", "B": "C", "C": "A"}

    def test_nobody_chooses_epochs_whose_glosses_nobody_else_signs(self, corpus):
        whole = Corpus.open(corpus)
        utterances = tuple(replace(item, glosses=("ALONE",)) if item.signer == "B" else item for item in whole)
        fourth = tuple(replace(item, id=f"{item.id}-D", signer="D") for item in whole if item.signer == "C")
        fold = crossval.leave_two_out(replace(whole, utterances=utterances + fourth), "A")
        assert {item.signer for item in fold.corpus.split("dev")} == {"C"}
        assert {item.signer for item in fold.corpus.split("train")} == {"B", "D"}

    def test_on_whom_the_epochs_were_chosen_is_told(self, corpus):
        whole = Corpus.open(corpus)
        nested, plain = crossval.leave_two_out(whole, "A"), crossval.leave_out(whole, "A", dev_share=0.25, seed=0)
        assert "chosen on another unseen signer" in crossval.selection([nested], nested=True)
        assert "chosen on signers of train; with --nested" in crossval.selection([plain], nested=False)
        strangers = replace(
            whole, utterances=tuple(replace(u, split="dev" if u.signer == "B" else "train") for u in whole)
        )
        fold = crossval.leave_out(strangers, "A", dev_share=0.25, seed=0)
        assert "by signers who are not in its train" in crossval.selection([fold], nested=False)

    @pytest.mark.slow
    def test_the_nested_command_names_the_strangers(self, corpus, tmp_path, capsys):
        flags = ["--data_dir", corpus, "--output", tmp_path / "cv", "--epochs", 1, "--signers", "C"]
        assert run("crossval", *flags, "--nested") == 0
        shown = capsys.readouterr()
        assert "chosen on another unseen signer" in shown.out
        assert "without C: 6 train and 6 dev utterances (all by A, unseen), 6 to score" in shown.err
        record = json.loads((tmp_path / "cv" / "crossval.json").read_text())
        assert record["folds"]["C"]["dev_from"] == "all by A, unseen"
        assert record["options"]["nested"] is True
        assert run("crossval", *flags) == 2
        assert "--nested was True, now False" in capsys.readouterr().err

    @pytest.mark.slow
    def test_the_command_makes_a_table_and_keeps_finished_folds(self, corpus, tmp_path, capsys, monkeypatch):
        from signloom.train import fit

        trained = []
        original = fit.fit

        def counted(recipe, **kept):
            trained.append((recipe.output.name, recipe.resume))
            return original(recipe, **kept)

        monkeypatch.setattr(fit, "fit", counted)
        flags = ["--data_dir", corpus, "--output", tmp_path / "cv", "--epochs", 2, "--signers", "C", "A"]
        assert run("crossval", *flags) == 0
        out = capsys.readouterr().out
        rows = [line.split() for line in out.splitlines()]
        assert [row[0] for row in rows[2:5]] == ["A", "C", "all"]
        assert "score-test.html" in out
        record = json.loads((tmp_path / "cv" / "crossval.json").read_text())
        assert set(record["folds"]) == {"A", "C"}
        for name in ("substitutions", "deletions", "insertions", "reference_words"):
            assert record["pooled"][name] == sum(fold[name] for fold in record["folds"].values())
        assert record["pooled"]["reference_words"] == 24
        # C's fold is lost but for the state it had come to; A's is finished.
        (tmp_path / "cv" / "C" / "evaluation-test.json").unlink()
        assert run("crossval", *flags) == 0
        assert trained == [("A", False), ("C", False), ("C", True)]
        assert json.loads((tmp_path / "cv" / "crossval.json").read_text()) == record
        capsys.readouterr()
        assert run("crossval", *flags, "--learning_rate", 1) == 2
        assert "--learning_rate was 0.0003, now 1.0" in capsys.readouterr().err

    def test_what_it_needs_is_told(self, corpus, tiny_corpus, tmp_path, capsys):
        whole = Corpus.open(corpus)
        with pytest.raises(InputError, match="--signers: no D in .*; there are A, B, C"):
            crossval.chosen_signers(whole, ("A", "D"))
        nameless = replace(whole, utterances=(replace(whole.utterances[0], signer=None), *whole.utterances[1:]))
        with pytest.raises(InputError, match="1 of 18 utterances has no signer"):
            crossval.chosen_signers(nameless, ())
        alone = replace(whole, utterances=tuple(item for item in whole if item.signer == "A"))
        with pytest.raises(InputError, match="one signer, A; needed at least 2"):
            crossval.chosen_signers(alone, ())
        two = replace(whole, utterances=tuple(item for item in whole if item.signer != "B"))
        with pytest.raises(InputError, match="2 signers, A, C; --nested needs at least 3: one to score"):
            crossval.chosen_signers(two, (), nested=True)
        assert run("crossval", "--data_dir", corpus, "--dev_share", 1, "--devices", 2, "--resume") == 2
        assert "3 faults" in capsys.readouterr().err
