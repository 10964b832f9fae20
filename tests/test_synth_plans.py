"""What is planned and what a run leaves: sentences, splits, presets, runs that were killed."""

import filecmp
import json
import multiprocessing
from collections import Counter
from dataclasses import fields, replace

import numpy as np
import pytest

from signloom.cli import dispatch
from signloom.corpus import SPLITS, Corpus
from signloom.errors import CheckFailedError, InputError
from signloom.landmarks import Landmarks
from signloom.synth import corpus as module
from signloom.synth.corpus import make_clip, synthesise
from signloom.synth.dials import PRESETS, Dials, dial_names
from signloom.synth.grammar import SPECIAL_GLOSSES
from signloom.synth.options import SynthOptions
from signloom.synth.plans import Plan, lexicon_of, make_plans

pytestmark = pytest.mark.slow

SMALL = SynthOptions(
    num_signs=10, num_signers=3, num_test_signers=1, num_train=10, num_dev=2, num_test=4, max_glosses=5
)
SENTENCES = """id|folder|signer|annotation
a1|a1/1/*.png|Signer01|__ON__ WETTER  morgen __OFF__
a2|a2/1/*.png|Signer02|morgen REGEN cl-KOMMEN
a3|a3/1/*.png|Signer01|طقس REGEN
"""


@pytest.fixture
def sentences(tmp_path):
    train, test = tmp_path / "train.csv", tmp_path / "test.csv"
    train.write_text(SENTENCES, encoding="utf-8")
    test.write_text("id|folder|signer|annotation\nb1|b1/1/*.png|Signer05|REGEN NEU\n", encoding="utf-8")
    return train, test


# Dials


def test_a_preset_sets_every_dial_that_is_not_given():
    hard = Dials(preset="hard", lost_hands=0.0)
    assert hard.lost_hands == 0.0
    assert hard.wrist_jumps == 2.0
    assert not any(getattr(Dials(preset="clean"), name) for name in dial_names())
    for easier, harder in (("clean", "easy"), ("easy", "phoenix"), ("phoenix", "hard")):
        low, high = Dials(preset=easier), Dials(preset=harder)
        assert all(getattr(low, name) <= getattr(high, name) for name in dial_names()), (easier, harder)
    assert {field.name for field in fields(Dials)} == {"preset", *dial_names()}


def test_dials_out_of_their_range_are_refused_together():
    with pytest.raises(InputError, match="synth: 3 faults") as error:
        Dials(lost_hands=3.1, dialect=1.2, pointing=float("nan"))
    assert "--lost_hands is 3.1; needed 0 to 3 (0 is off)" in str(error.value)
    assert "--dialect is 1.2; needed a share from 0 to 1" in str(error.value)
    assert "--pointing is nan; needed a share from 0 to 0.5" in str(error.value)
    with pytest.raises(InputError, match="--preset is 'harder'; needed one of clean, easy, phoenix, hard"):
        Dials(preset="harder")


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_signs_and_tells_its_dials(preset):
    options = replace(SMALL, **dict.fromkeys(dial_names()), preset=preset)
    plan = make_plans(options)[0]
    clip = make_clip(options, plan)
    assert len(clip.truth["boundaries"]) == len(plan.signs)
    assert clip.truth["boundaries"][-1][1] <= len(clip.landmarks)
    assert clip.truth["dials"] == {name: getattr(options, name) for name in dial_names()}
    assert json.loads(json.dumps(clip.truth)) == clip.truth


def test_frame_rates_vary_by_signer_when_asked():
    options = replace(SMALL, num_signers=12, frame_rate_variation=1.0, num_train=11)
    rates = {plan.signer: make_clip(options, plan).landmarks.fps for plan in make_plans(options)[:11]}
    assert len(set(rates.values())) > 1
    assert set(rates.values()) <= {25.0, 30.0, 20.0, 15.0}
    still = replace(options, frame_rate_variation=0.0)
    assert {make_clip(still, plan).landmarks.fps for plan in make_plans(still)[:6]} == {25.0}


def test_frames_come_twice_where_frame_rates_vary():
    def repeated(dial):
        options = replace(SMALL, **dict.fromkeys(dial_names()), preset="clean")
        options = replace(options, frame_rate_variation=dial)
        clips = [make_clip(options, plan).landmarks.points[:, 0, :2] for plan in make_plans(options)]
        return sum(int((nose[1:] == nose[:-1]).all(axis=1).sum()) for nose in clips)

    # Heads always sway a little; a fiftieth of about 1,200 frames.
    assert repeated(0.0) == 0
    assert 5 < repeated(1.0) < 60


# Sentences


def test_sentences_begin_and_end_at_rest_and_point():
    options = replace(SMALL, num_train=200, pointing=0.2, rest_glosses=True)
    plans = make_plans(options)
    glosses = Counter(sign.gloss for plan in plans for sign in plan.signs)
    assert set(SPECIAL_GLOSSES.values()) <= set(glosses)
    assert {sign.gloss for sign in lexicon_of(options)} <= set(glosses)
    for plan in plans:
        words = [sign.gloss for sign in plan.signs]
        assert "__ON__" not in words[1:]
        assert "__OFF__" not in words[:-1]


def test_the_sentences_of_a_corpus_are_signed_by_its_signers(sentences, tmp_path):
    options = SynthOptions(sentences=sentences, seed=3)
    corpus = synthesise(options, tmp_path / "corpus")
    by_id = {utterance.id: utterance for utterance in corpus}
    assert by_id["a1"].glosses == ("__ON__", "WETTER", "morgen", "__OFF__")
    assert by_id["a3"].glosses == ("طقس", "REGEN")
    assert {name: (item.split, item.signer) for name, item in by_id.items()} == {
        "a1": ("train", "Signer01"),
        "a2": ("train", "Signer02"),
        "a3": ("train", "Signer01"),
        "b1": ("test", "Signer05"),
    }
    assert {sign["gloss"] for sign in corpus.info["lexicon"]} == {
        "WETTER",
        "morgen",
        "REGEN",
        "cl-KOMMEN",
        "طقس",
        "NEU",
    }
    assert set(corpus.info["options"]["sentences"]) == {"train.csv", "test.csv"}
    assert str(tmp_path) not in (corpus.root / "corpus.json").read_text()


def test_sentences_without_splits_and_signers_get_them(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_text("\n".join(f"A{n % 7} B{n % 5} C{n % 3}" for n in range(40)) + "\n")
    plans = make_plans(SynthOptions(sentences=(path,), num_signers=4, num_test_signers=1))
    assert Counter(plan.split for plan in plans) == {"train": 32, "dev": 4, "test": 4}
    assert {plan.signer_name for plan in plans if plan.split == "test"} == {"signer04"}
    assert {plan.signer_name for plan in plans if plan.split != "test"} == {"signer01", "signer02", "signer03"}
    assert [plan.split for plan in plans] == sorted((plan.split for plan in plans), key=SPLITS.index)
    assert len({plan.id for plan in plans}) == 40


def test_the_real_sentences_can_be_signed(shared_data, tmp_path):
    some = []
    for table in sorted((shared_data / "phoenix" / "si5").glob("*.csv")):
        head, *lines = table.read_text(encoding="utf-8").splitlines()
        # A lexicon for all 4,667 takes long; with every fortieth of them it is much smaller.
        some.append(tmp_path / table.name)
        some[-1].write_text("\n".join([head, *lines[::40]]), encoding="utf-8")
    options = SynthOptions(sentences=tuple(some), minimal_pairs=0.5)
    plans = make_plans(options)
    assert sum(plan.split == "train" for plan in plans) == 110
    assert {plan.signer_name for plan in plans if plan.split == "test"} == {"Signer05"}
    truth = make_clip(options, plans[-1]).truth
    assert (truth["signer"], len(truth["boundaries"])) == ("Signer05", len(plans[-1].signs))


# Runs that were killed


def files_of(root):
    return sorted(path for path in root.rglob("*.npz"))


def test_a_killed_run_is_continued_and_ends_in_the_same_bytes(tmp_path, monkeypatch):
    whole = synthesise(SMALL, tmp_path / "whole")
    made: list[str] = []

    def dies(options: SynthOptions, plan: Plan):
        if len(made) == 7:
            raise KeyboardInterrupt
        made.append(plan.id)
        return make_clip(options, plan)

    monkeypatch.setattr(module, "make_clip", dies)
    with pytest.raises(KeyboardInterrupt):
        synthesise(SMALL, tmp_path / "killed")
    assert not (tmp_path / "killed" / "corpus.json").exists()
    assert len(files_of(tmp_path / "killed")) == 7
    (damaged,) = (tmp_path / "killed").rglob(f"{made[0]}.npz")
    damaged.write_bytes(b"cut off")
    first = made.copy()
    made.clear()
    monkeypatch.setattr(module, "make_clip", lambda options, plan: (made.append(plan.id), make_clip(options, plan))[1])
    again = synthesise(SMALL, tmp_path / "killed")
    # Made anew: the damaged one and those that were missing.
    assert set(made) == {utterance.id for utterance in whole} - set(first[1:])
    names = [str(path.relative_to(whole.root)) for path in files_of(whole.root)] + ["manifest.jsonl"]
    assert filecmp.cmpfiles(whole.root, again.root, names, shallow=False) == (names, [], [])


def test_a_process_that_dies_is_told_and_what_was_done_is_kept(tmp_path):
    def kill(frames: int) -> None:
        for process in multiprocessing.active_children():
            process.kill()

    with pytest.raises(CheckFailedError, match="a process died .* are kept. Run the same command again"):
        synthesise(replace(SMALL, num_train=60), tmp_path / "killed", num_workers=2, progress=kill)
    assert files_of(tmp_path / "killed")
    assert not (tmp_path / "killed" / "corpus.json").exists()


def test_clips_made_with_other_options_are_replaced(tmp_path):
    synthesise(SMALL, tmp_path / "corpus")
    (tmp_path / "corpus" / "corpus.json").unlink()
    other = replace(SMALL, seed=1)
    corpus = synthesise(other, tmp_path / "corpus")
    fresh = make_clip(other, make_plans(other)[0]).landmarks.points
    np.testing.assert_array_equal(corpus.load(corpus.utterances[0]).points, fresh.astype(np.float16).astype(np.float32))


def test_every_file_tells_its_own_truth(tmp_path):
    corpus = synthesise(SMALL, tmp_path / "corpus")
    for utterance in Corpus.open(corpus.root):
        source = Landmarks.load(corpus.root / utterance.landmarks).source
        assert source["truth"] == utterance.truth
        assert source["utterance"] == utterance.id


# Command


def test_the_command_signs_sentences_at_a_preset(sentences, tmp_path, capsys):
    train, test = sentences
    words = ["synth", "--output", str(tmp_path / "c"), "--preset", "easy", "--dialect", "0.5"]
    assert dispatch([*words, "--sentences", str(train), str(test)]) == 0
    told = capsys.readouterr().out
    assert "4 utterances" in told
    assert "6 signs" in told
    truth = Corpus.open(tmp_path / "c").utterances[0].truth
    assert (truth["dials"]["dialect"], truth["dials"]["lost_hands"]) == (0.5, Dials(preset="easy").lost_hands)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": "wide"}, "--image_size is 'wide'; needed width x height in pixels"),
        ({"fps": 0.0}, "--fps is 0; needed 1 to 240"),
        ({"minimal_pairs": -1}, "--minimal_pairs is -1; needed a share from 0 to 1"),
    ],
)
def test_other_options_out_of_range_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        SynthOptions(**options)


def test_one_signer_is_enough_without_a_test_split():
    plans = make_plans(SynthOptions(num_signs=5, num_signers=1, num_test_signers=0, num_train=4, num_dev=1, num_test=0))
    assert {plan.signer_name for plan in plans} == {"signer01"}
