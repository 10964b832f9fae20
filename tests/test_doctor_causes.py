"""The doctor on trained runs with a planted fault: it names the cause; and on a healthy one, where it is silent.

One healthy run is trained for all; faults that show without training again are planted into a copy of it.
"""

import json
import math
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from conftest import QUICK_TEACHER, made_once, random_landmarks
from signloom import layout
from signloom.corpus import Corpus, CorpusWriter
from signloom.findings import checks_in
from signloom.health.checks import outputs
from signloom.health.checks.gloss_permutation import best_renaming
from signloom.health.checks.lost_hands import lost_hands
from signloom.health.checks.predictions import Prediction, Predictions, predict
from signloom.health.examine import examine
from signloom.health.subject import find_subject
from signloom.inference.evaluate import evaluate
from signloom.inference.model import Model, load
from signloom.inference.torch_engine import TorchEngine
from signloom.model import presets
from signloom.model.recognizer import Recognizer
from signloom.report.evaluation import write_evaluation
from signloom.run_folder import EpochRecord, History, Run
from signloom.synth.corpus import synthesise
from signloom.synth.options import SynthOptions
from signloom.train.fit import fit
from signloom.train.recipe import Recipe
from signloom.vocabulary import Vocabulary

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))
import causes_planted as planted

pytestmark = pytest.mark.slow

sys.path.pop(0)

CHECKS = {check.id: check for check in checks_in(outputs)}


@pytest.fixture(scope="module", autouse=True)
def small_presets():
    before = dict(presets.PRESETS)
    planted.add_presets()
    presets.PRESETS["clamped_teacher"] = replace(QUICK_TEACHER, attention_clamp=1e-3)
    yield
    presets.PRESETS.clear()
    presets.PRESETS.update(before)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    simulation = SynthOptions(
        preset="clean",
        num_signs=6,
        num_signers=3,
        num_test_signers=1,
        num_train=64,
        num_dev=20,
        num_test=2,
        min_glosses=2,
        max_glosses=4,
        zipf=0.0,
    )
    return Corpus.open(made_once(tmp_path_factory, "causes", lambda root: synthesise(simulation, root)))


@pytest.fixture(scope="module")
def healthy(corpus, tmp_path_factory):
    """The folder of a run that learnt most of its dev split."""

    def make(run):
        result = fit(
            Recipe(
                data_dir=corpus.root,
                output=run,
                preset="small_student",
                learning_rate=1e-3,
                augment=False,
                consistency=0.0,
                auxiliary_head=False,
                batch_size=4,
                epochs=16,
            )
        )
        # Before faults are planted into it.
        assert result.best.dev_wer < 0.4
        score = evaluate(result.model, corpus, "dev")
        write_evaluation(Run(run), score, model_path=run, corpus=corpus, split="dev", decoder="greedy")

    return made_once(tmp_path_factory, "healthy", make)


@pytest.fixture
def run(healthy, tmp_path):
    """A copy, to be spoilt."""
    return Path(shutil.copytree(healthy, tmp_path / "run"))


def named(run, *checks, data_dir=None):
    return [cause.id for cause in examine(find_subject(str(run), data_dir), checks=checks).causes]


def test_a_healthy_run_is_accused_of_nothing(healthy):
    diagnosis = examine(find_subject(str(healthy), None))
    assert diagnosis.causes == ()
    assert {finding.id for finding in diagnosis.findings if finding.level == "fail"} == set()
    suites = list(dict.fromkeys(finding.id.partition(".")[0] for finding in diagnosis.findings))
    assert suites == ["data", "run", "compatibility", "architecture"]


def test_words_that_were_renamed_are_a_broken_vocabulary(run, corpus):
    planted.CAUSES["vocabulary"](0).afterwards(run, corpus.root)
    assert named(run, "run") == ["vocabulary"]


def test_a_bias_of_blank_leaves_everything_blank(run):
    model = load(run)
    model.engine.recognizer.classifier.bias.data[0] += 20
    model.save(run / "model.safetensors")
    assert named(run, "run") == ["blank"]


def test_an_output_of_equal_chances_is_uniform(run):
    model = load(run)
    model.engine.recognizer.classifier.weight.data.zero_()
    model.engine.recognizer.classifier.bias.data.zero_()
    model.save(run / "model.safetensors")
    assert named(run, "run") == ["uniform"]


@pytest.mark.parametrize("way", [0, 2])
def test_time_that_is_pooled_is_named_whether_before_or_after_the_bilstm(way, run):
    with planted.CAUSES["time_pooled"](way).in_code():
        # Everything is blank as well where a model that learnt otherwise is pooled.
        assert named(run, "run.blank", "architecture.time")[0] == "time_pooled"


def test_dead_weights_are_not_called_a_pooling(run):
    model = load(run)
    for parameter in model.engine.recognizer.body.parameters():
        parameter.data.zero_()
    model.save(run / "model.safetensors")
    (finding,) = examine(find_subject(str(run), None), checks=("architecture.time",)).findings
    assert (finding.level, finding.figures["pooled"]) == ("fail", False)
    assert "because of the weights" in finding.headline


@pytest.mark.parametrize("way", [0, 1])
def test_a_model_that_normalises_twice_is_named(way, run):
    with planted.CAUSES["normalised_model"](way).in_code():
        assert named(run, "compatibility.normalised_once", "compatibility.methods") == ["normalised_model"]


def test_a_corpus_that_was_standardised_is_named(run, corpus, tmp_path):
    root = planted.CAUSES["normalised_corpus"](0).corpus(corpus.root, tmp_path / "c")
    assert named(run, "data", data_dir=root) == ["normalised_corpus"]


@pytest.mark.parametrize("way", [0, 2])
def test_annotations_that_slipped_are_named_by_lengths_and_by_what_the_model_reads(way, run, corpus, tmp_path):
    root = planted.CAUSES["annotations"](way).corpus(corpus.root, tmp_path / "c")
    diagnosis = examine(find_subject(str(run), root), checks=("data.pairing", "run.annotations"))
    assert [cause.id for cause in diagnosis.causes] == ["annotations"]
    assert [name for name, _ in diagnosis.causes[0].evidence] == ["data.pairing", "run.annotations"]
    # A clip has the annotation of the utterance after it, so its own is the one before.
    place = "1 before" if way == 0 else "1 after"
    assert place in diagnosis.findings[0].where[0]
    assert place in diagnosis.findings[1].headline


@pytest.mark.parametrize("utterances", [True, False])
def test_a_score_of_exchanged_arguments_is_named(utterances, run, corpus):
    path = run / "evaluation-dev.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    if record["deletions"] == record["insertions"]:
        pytest.skip("as many words were read as were signed: totals do not tell")
    record["reference_words"] += record["insertions"] - record["deletions"]
    record["deletions"], record["insertions"] = record["insertions"], record["deletions"]
    for one in record["utterances"]:
        one["reference"], one["hypothesis"] = one["hypothesis"], one["reference"]
    if not utterances:
        del record["utterances"]
    path.write_text(json.dumps(record), encoding="utf-8")
    assert named(run, "run") == ["score_order"]


def test_a_score_of_another_model_is_no_exchange(run):
    path = run / "history.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    for epoch in record["epochs"]:
        epoch["dev_wer"] += 0.03
    path.write_text(json.dumps(record), encoding="utf-8")
    (finding,) = examine(find_subject(str(run), None), checks=("run.scores",)).findings
    assert (finding.level, finding.figures["exchanged"]) == ("warn", False)
    assert named(run, "run") == []


def test_a_clamp_that_cuts_attention_off_is_named():
    assert named("clamped_teacher", "architecture") == ["attention_clamp"]
    assert named("teacher_compact", "architecture.attention") == []


def test_a_learning_rate_that_is_too_high_is_named(corpus, tmp_path):
    fit(
        Recipe(
            data_dir=corpus.root,
            output=tmp_path / "run",
            preset="small_student",
            learning_rate=1.0,
            augment=False,
            consistency=0.0,
            auxiliary_head=False,
            epochs=2,
        )
    )
    assert named(tmp_path / "run", "run")[0] == "high_rate"


def test_a_run_that_ended_before_a_model_was_kept_can_be_looked_at(run, corpus):
    for name in ("model.safetensors", "history.json", "evaluation-dev.json"):
        (run / name).unlink()
    found = {"place": "epoch 1, step 2", "what": "a loss is not finite", "cause": "body.head"}
    (run / "not-finite.json").write_text(json.dumps(found), encoding="utf-8")
    diagnosis = examine(find_subject(str(run), None), checks=("run", "architecture.time"))
    assert [cause.id for cause in diagnosis.causes] == ["high_rate"]
    assert "run.names" not in {finding.id for finding in diagnosis.findings}


# Checks of what a model reads, on predictions made up.


def predictions(sentences, *, steps=4000, train_sentences=None, epochs=(), watched=(), **fields):
    """Predictions of dev and train: of each utterance its glosses and those found, and its signer."""
    glosses = sorted({gloss for reference, found, *_ in sentences for gloss in (*reference, *found)})
    vocabulary = Vocabulary.from_glosses([glosses])

    def one(number, split, reference, found, signer="A"):
        item = Corpus.__dataclass_fields__  # looked at for its glosses, signer and id only
        item = type("Item", (), {"id": f"{split}{number}", "glosses": reference, "signer": signer, "split": split})
        values = {
            "blank": np.full(10, 0.5),
            "entropy": 0.3,
            "blank_share": 0.8,
            "own": -1.0,
            "others": np.full(4, -5.0),
            "neighbours": {1: -5.0},
        }
        ids = [tuple(vocabulary.encode(words)) for words in (reference, found)]
        return Prediction(item, *ids, **(values | fields))

    parts = {"train": train_sentences or sentences, "dev": sentences}
    made = {split: tuple(one(n, split, *words) for n, words in enumerate(part)) for split, part in parts.items()}
    last = EpochRecord(9, 1.0, 1.0, 0.5, 1e-3, 1.0, 1.0, steps)
    record = Run(history=History([*epochs, last]), monitors={"epochs": watched})
    return Predictions(None, vocabulary, made["train"], made["dev"], True, 60, record)


RIGHT = [((a, b), (a, b)) for a in "UVWXYZ" for b in "UVWXYZ"]


def test_what_is_read_rightly_is_healthy():
    found = {name: check(predictions(RIGHT)) for name, check in CHECKS.items()}
    assert {name: finding.level for name, finding in found.items()} == dict.fromkeys(CHECKS, "ok")


@pytest.mark.parametrize(
    ("check", "level", "faulty", "words"),
    [
        ("run.uniform", "fail", {"entropy": 0.99}, "every word is near log(1/8) = -2.08"),
        # Of two glosses a clip, 10 frames * 0.01 / 2 = 5 % are to be expected.
        ("run.blank", "fail", {"blank_share": 1.0, "blank": np.full(10, 0.99)}, "5 % of the annotated glosses"),
        # On the plateau, but after 4,000 steps.
        ("run.blank", "fail", {"blank_share": 1.0}, "healthy runs have left this by 3,000"),
        ("run.annotations", "fail", {"own": -6.0, "neighbours": {1: -1.0}}, "1 after it is more probable in 100 %"),
    ],
)
def test_faulty_outputs_are_named(check, level, faulty, words):
    found = CHECKS[check](predictions(RIGHT, **faulty))
    assert found.level == level
    assert words in found.headline
    assert found.advice


def test_the_plateau_of_an_early_run_and_uniform_first_steps_are_let_pass():
    assert CHECKS["run.blank"](predictions(RIGHT, steps=500, blank_share=1.0)).level == "note"
    assert CHECKS["run.uniform"](predictions(RIGHT, steps=50, entropy=0.99)).level == "ok"


def test_a_collapse_after_the_epoch_that_was_kept_is_seen_in_what_was_watched():
    watched = ({"epoch": 9, "blank_share": 1.0, "emitted": 0.1},)
    assert CHECKS["run.blank"](predictions(RIGHT, watched=watched)).level == "fail"


def test_annotations_that_dev_does_not_follow_from_are_named():
    sane = predictions(RIGHT)
    # Own annotations of dev are better than half of the others': chance.
    dev = tuple(replace(one, others=np.array([-5.0, 0.0])) for one in sane.dev)
    found = CHECKS["run.annotations"](replace(sane, dev=dev))
    assert (found.level, found.value) == ("fail", 0.5)
    # Of twenty clips that are known by heart nothing follows for others.
    assert CHECKS["run.annotations"](replace(sane, dev=dev, num_trained=20)).level == "ok"


def test_a_collapse_to_one_gloss_is_named():
    one = [((a, b), ("U",)) for a in "UVWXYZ" for b in "UVWXYZ"]
    found = CHECKS["run.one_gloss"](predictions(one))
    # U is 12 of the 72 words annotated.
    assert found.level == "fail"
    assert found.headline.startswith("U makes 100 % of 72 predicted glosses, 17 % of the annotations: ")
    assert CHECKS["run.one_gloss"](predictions(one, steps=200)).level == "note"


def test_glosses_that_are_never_read_are_listed():
    some = [((a, b), (a, b)) for a in "UV" for b in "UV"] * 9 + [((c,), ()) for c in "WXYZQ"]
    found = CHECKS["run.vocabulary"](predictions(some))
    assert (found.level, found.value, found.where) == ("warn", 2 / 7, tuple("QWXYZ"))


def test_a_gloss_that_nothing_in_the_clips_tells_is_named():
    # Half of the sentences end with R, and so do half of those that are read, but not the same ones.
    rest = [((*words, *"R" * (n % 2)), (*words, *"R" * (n // 2 % 2))) for n, (words, _) in enumerate(RIGHT)]
    found = CHECKS["run.glosses"](predictions(rest))
    assert (found.level, found.value, found.where) == ("warn", 0.0, ("R: 9 of 18 missed, 9 invented",))
    assert found.headline.startswith("R causes 18 of 18 errors on utterances of train")
    # Where other glosses are as hard, the model is at its beginning.
    poor = [(reference, found[:1]) for reference, found in rest]
    assert CHECKS["run.glosses"](predictions(poor)).level == "ok"


def test_signers_of_dev_are_compared_with_each_other_and_with_train():
    wrong = [(reference, tuple(reversed(found))) for reference, found in RIGHT if found[0] != found[1]]
    by = [(*pair, signer) for signer in "ABC" for pair in (wrong if signer == "C" else RIGHT)]
    found = CHECKS["run.signers"](predictions(by, train_sentences=[(*pair, "A") for pair in RIGHT]))
    assert found.level == "warn"
    assert "worse than most: C" in found.headline
    assert math.isclose(found.figures["signers"]["A"], 0.0)


def test_more_signers_are_not_advised_where_every_signer_of_dev_is_in_train():
    wrong = [(reference, tuple(reversed(found))) for reference, found in RIGHT]
    known = CHECKS["run.signers"](
        predictions([(*pair, "A") for pair in wrong], train_sentences=[(*pair, "A") for pair in RIGHT])
    )
    assert known.level == "warn"
    assert "every signer of dev is in train too" in known.headline
    assert "more signers will not help" in known.advice
    assert "data.presence" in known.advice
    new = CHECKS["run.signers"](
        predictions([(*pair, "B") for pair in wrong], train_sentences=[(*pair, "A") for pair in RIGHT])
    )
    assert (new.level, new.advice.startswith("use more signers")) == ("warn", True)


def lost_in(names, root, items):
    """The corpus of these predictions, whose clips `names` show each hand in every seventh frame only."""
    with CorpusWriter(root, {"name": "lost"}) as writer:
        for item in items:
            clip = random_landmarks(28)
            if item.id in names:
                clip.points[np.arange(28) % 7 > 0, layout.GROUPS["pose"].stop :] = np.nan
            writer.add(item.id, split=item.split, signer="A", glosses=item.glosses, landmarks=clip)
    return Corpus.open(root)


def test_errors_in_clips_whose_hands_were_lost_are_counted_by_split(tmp_path):
    wrong = [(("U", "V"), ("W",))] * 4 + [*RIGHT, (("U", "V"), ("U",))]
    made = predictions(wrong, train_sentences=RIGHT)
    items = [one.utterance for one in made.dev]
    test = type("Item", (), {"id": "t0", "glosses": ("U", "V"), "split": "test"})
    names = {f"dev{number}" for number in range(4)}
    corpus = lost_in(names, tmp_path / "c", [*items, test])
    scored = {"corpus": "lost", "utterances": [{"id": "t0", "substitutions": 1, "deletions": 1, "insertions": 0}]}
    made = replace(made, corpus=corpus, run=replace(made.run, evaluations={"test": scored}))
    found = lost_hands(made)
    assert found.level == "warn"
    # Four clips of two errors each; the ninth error is in a clip with hands.
    assert "8 of 9 errors of dev are in 4 of 41 clips with each hand in under 20 %" in found.headline
    assert found.where == ("dev: dev0 (2 errors), dev1 (2 errors), dev2 (2 errors), dev3 (2 errors)",)
    assert found.value == pytest.approx(8 / 9)
    assert found.figures["splits"]["test"] == {"clips": 0, "of clips": 1, "errors": 0, "of errors": 2}
    # Where the other clips have as many errors per gloss, the hands are not to blame.
    all_wrong = predictions([(("U", "V"), ("W",))] * 41, train_sentences=RIGHT)
    assert lost_hands(replace(all_wrong, corpus=corpus)).level == "note"


def test_a_renaming_is_found_from_what_was_read():
    names = dict(zip("UVWXYZ", "VWXYZU", strict=True))
    renamed = [(reference, tuple(names[word] for word in found)) for reference, found in RIGHT]
    found = CHECKS["run.names"](predictions(renamed))
    assert (found.level, found.value) == ("fail", 0.0)
    assert "U is predicted where Z was signed" in found.where
    # Words that are wrong in no order have no renaming.
    rng = np.random.default_rng(0)
    noise = [(reference, tuple(rng.choice(list("UVWXYZ"), 2))) for reference, _ in RIGHT]
    assert CHECKS["run.names"](predictions(noise)).level == "ok"


def test_a_renaming_gives_each_name_once():
    renaming = best_renaming([((2, 3), (3, 3)), ((2,), (3,))], 6)
    assert sorted(renaming) == list(range(6))
    assert renaming[3] == 2


def test_the_score_of_a_run_is_its_models():
    sane = predictions([(("U", "V"), ("U",)), (("V", "W"), ("V", "W"))] * 6)
    # One of four words deleted: 25 %; over the three words read it would be 33 %.
    for recorded, level, exchanged in ((0.25, "ok", False), (1 / 3, "fail", True), (0.5, "warn", False)):
        epoch = EpochRecord(9, 1.0, 1.0, recorded, 1e-3, 1.0, 1.0, 100)
        found = CHECKS["run.scores"](replace(sane, run=Run(history=History([epoch], 9))))
        assert (found.level, found.figures["exchanged"]) == (level, exchanged)


def test_readings_are_of_clips_that_were_trained_on(healthy, corpus):
    subject = find_subject(str(healthy), None)
    options = {**subject.run.options, "num_train_samples": 12}
    found = predict(replace(subject, run=replace(subject.run, info={**subject.run.info, "recipe": options})))
    assert len(found.train) == 12
    assert [one.utterance.id for one in found.dev] == [item.id for item in corpus.split("dev")]
    assert found.whole_dev
    torch.manual_seed(0)
    new = Model(TorchEngine(Recognizer(presets.preset("small_student"), len(found.vocabulary))), found.vocabulary)
    # A model that was never trained reads at chance.
    chance = predict(replace(subject, recognizer=new.engine.recognizer))
    assert abs(np.mean([one.wins for one in chance.dev]) - 0.5) < 0.15
    assert np.mean([one.wins for one in found.dev]) > 0.9
