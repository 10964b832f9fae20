"""Enrolment: the store that a model keeps, clips left out in turn, and what is learnt without losing the rest."""

import contextlib
import io
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import conftest
from conftest import TINY_STUDENT, tiny_sentence
from enrolling import NEW_SIGNS, clips_corpus, learnt_corpus, learnt_run
from forged import refused
from signloom import cli
from signloom.corpus import Corpus, CorpusWriter
from signloom.ctc.confidence import Calibration
from signloom.ctc.spans import SpanSettings
from signloom.errors import InputError
from signloom.inference.calibrate import with_spans
from signloom.inference.evaluate import evaluate
from signloom.inference.model import Model, load
from signloom.inference.model_card import model_card
from signloom.inference.model_file import ModelFile
from signloom.inference.store import FeatureExample, Store
from signloom.inference.torch_engine import TorchEngine, recognizer_of
from signloom.model.recognizer import Recognizer
from signloom.run_folder import Run
from signloom.train.enrol import adapt as adapting
from signloom.train.enrol.adapt import adapt, extended, log_probs
from signloom.train.enrol.clips import read_clips, respelled
from signloom.train.enrol.enrol import enrol
from signloom.train.enrol.examples import composed
from signloom.train.enrol.keep import make_store
from signloom.train.enrol.learner import Lesson
from signloom.train.enrol.torch_learner import TorchLearner
from signloom.train.recipe import Recipe
from signloom.vocabulary import Vocabulary

VOCABULARY = Vocabulary.from_glosses([["DOWN", "LEFT", "RIGHT", "UP"]])


def examples(lengths, num_features=5, seed=0):
    rng = np.random.default_rng(seed)
    return [
        FeatureExample(rng.normal(3, 10, (length, num_features)).astype(np.float32), [2 + index % 4] * (1 + index % 2))
        for index, length in enumerate(lengths)
    ]


def a_model(store=None, config=TINY_STUDENT):
    torch.manual_seed(0)
    return Model(TorchEngine(Recognizer(config, len(VOCABULARY))), VOCABULARY, store=store)


def contents(folder):
    """The files in a folder but for the locks."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"}


class TestStore:
    def test_features_are_kept_within_half_a_level_and_in_their_halves(self):
        train, dev = examples([7, 1, 30]), examples([4, 9], seed=1)
        store = Store.of(train, dev)
        values = np.concatenate([example.features for example in train + dev])
        half_a_level = (values.max(0) - values.min(0)) / 255 / 2
        for kept, given_ in zip([*store.train, *store.dev], train + dev, strict=True):
            assert (np.abs(kept.features - given_.features) <= 1.001 * half_a_level).all()
            assert kept.target == given_.target
        assert (len(store.train), len(store.dev)) == (3, 2)

    def test_a_feature_that_never_varies_is_kept(self):
        constant = FeatureExample(np.full((6, 2), 1.5, np.float32), [2])
        np.testing.assert_array_equal(Store.of([constant], []).train[0].features, constant.features)

    def test_a_model_file_keeps_its_store_and_the_weights_without_it(self, tmp_path):
        store = Store.of(examples([7, 8]), examples([5]))
        a_model(store).save(tmp_path / "model.safetensors")
        model = load(tmp_path / "model.safetensors")
        assert model.store.tensors().keys() == store.tensors().keys()
        for name, tensor in store.tensors().items():
            np.testing.assert_array_equal(model.store.tensors()[name], tensor)
        # Whatever writes the model again keeps it: tuning, fitting of spans.
        model.save(tmp_path / "again.safetensors")
        assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "model.safetensors").read_bytes()
        a_model().save(tmp_path / "none.safetensors")
        assert load(tmp_path / "none.safetensors").store is None

    @pytest.mark.parametrize(
        ("change", "told"),
        [
            ({"features": np.zeros((20, 5), np.float32)}, "features is float32 of shape (20, 5)"),
            ({"features": np.zeros((20, 4), np.uint8)}, "4 features, but ranges of 5 and 5"),
            ({"features": np.zeros((19, 5), np.uint8)}, "19 output frames, but utterances of 20"),
            ({"low": np.full(5, np.nan, np.float32)}, "ranges of features that are not finite"),
            ({"step": np.full(5, -1, np.float32)}, "ranges of features that are not finite, or end before they start"),
            ({"lengths": np.array([2**31 - 1, 2**31 - 1, 22], np.int32)}, "but utterances of 4294967316"),
            ({"lengths": np.array([20, 0, 0], np.int32)}, "20 output frames, but utterances of 20"),
            ({"lengths": np.zeros(0, np.int32), "target_lengths": np.zeros(0, np.int32)}, "0 utterances"),
            ({"targets": np.array([2, 3, 3, 0], np.int32)}, "glosses with ids of 0 to 3"),
            ({"targets": np.array([2, 3, 3, 6], np.int32)}, "glosses with ids of 2 to 6; there are 6"),
            ({"target_lengths": np.array([1, 2], np.int32)}, "3 utterances, 2 of them with glosses"),
        ],
    )
    def test_a_forged_store_is_refused_by_name(self, change, told, tmp_path):
        store = Store.of(examples([7, 8]), examples([5]))
        path = tmp_path / "model.safetensors"
        a_model(replace(store, **change)).save(path)
        refused(lambda: ModelFile.read(path), f"{path}: its store is damaged", told)

    def test_it_may_hold_signs_that_are_none_of_the_glosses(self, tmp_path):
        """Utterances with `others` teach the unknown gloss, and an enrolment rehearses it."""
        store = replace(Store.of(examples([7, 8]), examples([5])), targets=np.array([2, 1, 3, 1], np.int32))
        a_model(store).save(tmp_path / "model.safetensors")
        kept = ModelFile.read(tmp_path / "model.safetensors").store
        assert [example.target for example in kept.train] == [[2], [1, 3]]

    def test_a_store_that_is_too_large_or_lacks_a_part_is_refused(self, tmp_path):
        store = Store.of(examples([7, 8]), examples([5]))
        many = np.zeros((410_000, 5), np.uint8)
        large = replace(store, features=many, lengths=np.array([409_998, 1, 1], np.int32))
        path = tmp_path / "model.safetensors"
        a_model(large).save(path)
        refused(lambda: ModelFile.read(path), "its store is damaged (2.1 MB; needed at most 2)")
        a_model(replace(store, num_train=4)).save(path)
        refused(lambda: ModelFile.read(path), "4 for training")

    def test_a_made_store_has_every_gloss_fits_and_holds_dev_apart(self, tiny_corpus):
        model, corpus = a_model(), Corpus.open(tiny_corpus)
        store = make_store(model, corpus, 0.004, seed=0)
        assert 0.7 * 0.004 < store.megabytes <= 0.004
        sentences = {
            split: {tuple(VOCABULARY.encode(item.glosses)) for item in corpus.split(split)}
            for split in ("train", "dev")
        }
        assert {tuple(example.target) for example in store.train} <= sentences["train"]
        assert {tuple(example.target) for example in store.dev} <= sentences["dev"]
        assert {word for example in store.train for word in example.target} == set(range(2, len(VOCABULARY)))
        assert make_store(model, corpus, 1e-4, seed=0) is None

    def test_stored_features_give_the_emissions_of_the_clips(self, tiny_corpus):
        model, corpus = a_model(), Corpus.open(tiny_corpus)
        store = make_store(model, corpus, 1.0, seed=0)
        assert len(store.dev) == len(corpus.split("dev"))
        whole = {len(rows): rows for _, rows in model.emissions(corpus, corpus.split("dev"), batch_size=1)}
        for example, rows in zip(store.dev, log_probs(recognizer_of(model.engine), store.dev), strict=True):
            assert len(rows) == len(example.features)
            assert len(rows) in whole

    @pytest.mark.parametrize("megabytes", [-1, 2.5, float("nan")])
    def test_sizes_that_no_store_has_are_refused(self, megabytes):
        with pytest.raises(InputError, match="--store_megabytes is .*; needed 0 to 2"):
            Recipe("corpus", store_megabytes=megabytes).check()

    def test_the_model_card_names_the_store(self):
        store = Store.of(examples([7, 8]), examples([5]))
        assert "people" in model_card(ModelFile(TINY_STUDENT, VOCABULARY, store=store))
        assert "store" not in model_card(ModelFile(TINY_STUDENT, VOCABULARY))


class TestClips:
    @given(st.dictionaries(st.sampled_from("ABCDE"), st.integers(1, 7), min_size=1))
    def test_each_clip_is_left_out_once_but_the_only_one_of_a_sign(self, counts):
        from signloom.train.enrol.clips import Clips

        pool = {"A": {gloss: [f"{gloss}{n}" for n in range(count)] for gloss, count in counts.items()}}
        clips = Clips(pool, {})
        assert clips.num_folds == (0 if max(counts.values()) == 1 else min(3, max(counts.values())))
        everything = {clip for of_gloss in pool["A"].values() for clip in of_gloss}
        out = []
        for number in range(clips.num_folds):
            kept, left = clips.fold(number)
            kept, left = ([c for of in part.pool.get("A", {}).values() for c in of] for part in (kept, left))
            assert set(kept) | set(left) == everything
            assert not set(kept) & set(left)
            assert {clip[0] for clip in kept} == set(counts)
            out += left
        assert sorted(out) == sorted(clip for clip in everything if clips.num_folds and counts[clip[0]] > 1)

    def test_short_clips_sentences_and_other_spellings_are_refused_together(self, tmp_path):
        corpus = clips_corpus(tmp_path / "a", {"UP": 2})
        with CorpusWriter(tmp_path / "b", {"name": "b"}) as writer:
            writer.add(
                "short",
                split="train",
                signer="C",
                glosses=["UP"],
                landmarks=tiny_sentence(("UP",), seed=0).part(slice(0, 3)),
            )
            writer.add("spelled", split="train", signer="C", glosses=["Up"], landmarks=tiny_sentence(("UP",), seed=0))
        with pytest.raises(InputError) as caught:
            read_clips(Corpus.open(tmp_path / "b"), VOCABULARY)
        assert "short: 3 frames; needed at least 8" in str(caught.value)
        assert "gloss 'Up' is new to the model; did you mean 'UP'?" in str(caught.value)
        with pytest.raises(InputError, match="not a corpus of isolated clips"):
            read_clips(replace(corpus, utterances=(replace(corpus.utterances[0], glosses=("UP", "DOWN")),)), VOCABULARY)

    def test_another_spelling_may_be_another_sign(self, tmp_path):
        corpus = clips_corpus(tmp_path / "a", {"UP": 2})
        other = replace(corpus, utterances=tuple(replace(item, glosses=("up",)) for item in corpus))
        assert read_clips(other, VOCABULARY, new_signs=True).glosses == ["up"]

    def test_only_unknown_glosses_are_respelled(self):
        vocabulary = Vocabulary.from_glosses([["THANK-YOU", "HOUSE"]])
        assert respelled(["THANK-YOU", "TREE"], vocabulary) == []
        assert respelled(["thank_you", "Houses"], vocabulary) == [("Houses", "HOUSE"), ("thank_you", "THANK-YOU")]

    def test_only_clips_of_train_are_read(self, tmp_path):
        corpus = clips_corpus(tmp_path / "a", {"UP": 2})
        first, second = corpus.utterances
        clips = read_clips(replace(corpus, utterances=(first, replace(second, split="test"))), VOCABULARY)
        assert list(clips.landmarks) == [first.id]
        with pytest.raises(InputError, match="no clips in its train split"):
            read_clips(replace(corpus, utterances=(replace(first, split="test"),)), VOCABULARY)


class TestAdapting:
    def test_new_words_change_nothing_among_the_old_ones(self):
        recognizer = recognizer_of(a_model().engine)
        new = examples([9, 4], num_features=recognizer.body.out_channels)
        larger = extended(recognizer, len(VOCABULARY) + 2)
        for before, after in zip(log_probs(recognizer, new), log_probs(larger, new), strict=True):
            old = after[:, : len(VOCABULARY)].log_softmax(-1)
            torch.testing.assert_close(old, before, atol=1e-4, rtol=0)
            assert after.shape[1] == len(VOCABULARY) + 2

    @pytest.mark.parametrize("stored", [False, True], ids=["no store", "store"])
    def test_only_the_layers_after_the_body_are_trained_and_a_seed_decides(self, stored, monkeypatch):
        monkeypatch.setattr(adapting, "STEPS", 6)
        recognizer = recognizer_of(a_model().engine)
        new = examples([12, 10, 14], num_features=recognizer.body.out_channels)
        kept = examples([15, 11], num_features=recognizer.body.out_channels, seed=3) if stored else []
        before = {name: value.clone() for name, value in recognizer.state_dict().items()}
        results = []
        for seed in (1, 1, 2):
            adapted = adapt(extended(recognizer, 6), Lesson(new, kept, seed), num_known=6)
            results.append(adapted.state_dict())
        changed = {name for name, value in results[0].items() if not torch.equal(value, before[name])}
        assert {name.partition(".")[0] for name in changed} == {"lstm", "classifier"}
        assert all(torch.equal(results[0][name], results[1][name]) for name in before)
        assert not torch.equal(results[0]["classifier.weight"], results[2]["classifier.weight"])

    def test_composed_utterances_hold_the_clips_and_can_be_aligned(self, tmp_path):
        from signloom.ctc.collapse import frames_needed

        model = a_model()
        clips = read_clips(clips_corpus(tmp_path / "a", {"UP": 2, "LEFT": 1}, fps=30.0), VOCABULARY)
        made = composed(TorchLearner(model), VOCABULARY, clips, 12, seed=(0, 1), min_glosses=1)
        again = composed(TorchLearner(model), VOCABULARY, clips, 5, seed=(0, 1), min_glosses=1)
        for example in made:
            assert set(example.target) <= set(VOCABULARY.encode(["UP", "LEFT"]))
            assert frames_needed(example.target) <= len(example.features)
        for first, second in zip(made, again, strict=False):
            assert first.target == second.target
            np.testing.assert_allclose(first.features, second.features, atol=1e-4)

    def test_a_store_of_another_body_is_refused(self, tmp_path):
        clips = read_clips(clips_corpus(tmp_path / "a", {"UP": 2}), VOCABULARY)
        with pytest.raises(InputError, match="its store holds 5 features a frame, the layers that learn take 32"):
            enrol(TorchLearner(a_model(Store.of(examples([7]), []))), clips, record={})


class TestCommand:
    """Refusals come before any work; nothing is written."""

    @pytest.fixture
    def folder(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "m").mkdir()
        a_model().save(tmp_path / "m" / "model.safetensors")
        clips_corpus(tmp_path / "clips", {"UP": 1})
        return tmp_path

    @pytest.mark.parametrize(
        ("flags", "told"),
        [
            (["m", "clips", "--output", "m", "--overwrite"], "would overwrite an input"),
            (["m", "clips", "--output", "m/model.safetensors", "--overwrite"], "would overwrite an input"),
            (["m", "clips", "--output", "old"], "exists already; choose another name or pass --overwrite"),
            (["m", "clips", "--output", "old/model.safetensors"], "exists already"),
            (["m", "clips", "--output", "run", "--overwrite"], "holds a training run"),
            (["m", "clips", "--output", "a.onnx"], "needed another folder, or a file named *.safetensors"),
            (["m", "m", "--output", "new"], "not a finished corpus"),
            (["none", "clips", "--output", "new"], "no such model"),
            (["m", "clips", "--output", "new", "--seed", "-1"], "--seed is -1; needed at least 0"),
            (["m", "clips", "--output", "new", "--threads", "0"], "--threads is 0; needed at least 1"),
        ],
    )
    def test_it_refuses(self, folder, flags, told):
        for name in ("old", "run"):
            shutil.copytree(folder / "m", folder / name)
        Run(folder / "run").history_file.write_text("{}")
        before = contents(folder)
        with pytest.raises(InputError) as caught:
            cli.dispatch(["enrol", *flags])
        assert told in str(caught.value)
        assert contents(folder) == before
        assert not (folder / "new").exists()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return learnt_corpus(tmp_path_factory)


@pytest.fixture(scope="module")
def run(corpus, tmp_path_factory):
    return learnt_run(corpus, tmp_path_factory)


@pytest.fixture(scope="module")
def enrolled(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("enrolled")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conftest, "TINY_SIGNS", NEW_SIGNS)
        clips_corpus(folder / "clips", {"UP": 3, "LEFT": 3, "WIDE": 3})
    # Limits have been chosen for the model that is enrolled.
    load(run).with_limits(0.3, sure=0.4).save(folder / "before" / "model.safetensors")
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        command = ["enrol", str(folder / "before"), str(folder / "clips"), "--output", str(folder / "new")]
        assert cli.dispatch(command) == 0
    return folder, output.getvalue()


@pytest.mark.slow
class TestEnrolled:
    """A model that has learnt the tiny corpus meets a signer who sits elsewhere, and a sign that it does not know."""

    def test_the_new_sign_is_learnt_and_the_old_signers_lose_little(self, enrolled, run, corpus):
        folder, report = enrolled
        model = load(folder / "new")
        record = model.info["enrolled"]
        assert record["new_glosses"] == ["WIDE"]
        assert record["clips_per_sign"] == [3, 3]
        card = (folder / "new" / "MODEL_CARD.md").read_text()
        assert "| enrolled with | 9 clips of 3 signs by 1 signer, of clips; 1 sign new |" in card
        assert "| WER on these clips, left out in turn, greedy | " in card
        assert "| store for enrolments | features of 60 utterances" in card
        assert record["clips_wer_after"] < 0.5 * record["clips_wer_before"]
        assert record["old_wer_after"] <= record["old_wer_before"] + 0.05
        assert model.vocabulary.words == (*load(run).vocabulary.words, "WIDE")
        assert "3 signs, 3 clips each of 1 signer, 1 new to the model: WIDE" in report
        assert "new signs: 0.00 % recognised before" in report
        before, after = (evaluate(item, Corpus.open(corpus), "dev").wer for item in (load(run), model))
        assert after <= before + 0.05

    def test_what_was_true_of_the_model_before_only_is_dropped(self, enrolled, run):
        old, new = load(run).info, load(enrolled[0] / "new").info
        assert "dev" in old
        assert "dev" not in new
        assert new["corpus"] == old["corpus"]
        assert new["spans"]["timing"] == old["spans"]["timing"]
        assert new["spans"]["calibration"] == {"slope": 1.0, "offset": 0.0}
        assert load(enrolled[0] / "new").decoding.min_confidence is None
        assert "the least confidence of a gloss, 0.3, is not kept" in enrolled[1]

    @pytest.mark.parametrize(("slope", "kept"), [(1.0, 0.4), (0.5, None)])
    def test_a_limit_is_kept_if_confidences_mean_the_same(
        self, slope, kept, run, enrolled, tmp_path, monkeypatch, capsys
    ):
        monkeypatch.setattr(adapting, "STEPS", 4)
        model = load(run)
        spans = replace(SpanSettings.of(model.info), calibration=Calibration(slope, 0.0))
        path, output = tmp_path / "model.safetensors", tmp_path / "new.safetensors"
        with_spans(model, spans).with_limits(sure=0.4).save(path)
        assert cli.dispatch(["enrol", str(path), str(enrolled[0] / "clips"), "--output", str(output)]) == 0
        assert load(output).decoding.sure_confidence == kept
        said = capsys.readouterr()
        assert ("the confidence of one gloss, 0.4, is not kept" in said.out + said.err) == (kept is None)

    def test_the_enrolled_model_is_evaluated_and_enrolled_again(self, enrolled, corpus, tmp_path):
        folder, _ = enrolled
        model = str(folder / "new")
        assert (
            cli.dispatch(["evaluate", model, "--data_dir", str(corpus), "--split", "dev", "--output", str(tmp_path)])
            == 0
        )
        again = tmp_path / "again.safetensors"
        assert cli.dispatch(["enrol", model, str(folder / "clips"), "--output", str(again)]) == 0
        assert load(again).store is not None
        assert "WIDE" in load(again).vocabulary

    def test_the_same_seed_gives_the_same_file(self, run, enrolled, tmp_path, monkeypatch):
        monkeypatch.setattr(adapting, "STEPS", 4)
        files = []
        for name in "ab":
            path = tmp_path / f"{name}.safetensors"
            assert cli.dispatch(["enrol", str(run), str(enrolled[0] / "clips"), "--output", str(path)]) == 0
            files.append(path.read_bytes())
        assert files[0] == files[1]

    def test_without_store_or_second_clips_it_says_what_it_cannot_measure(self, run, tmp_path, monkeypatch, capsys):
        monkeypatch.setattr(adapting, "STEPS", 4)
        clips_corpus(tmp_path / "clips", {"UP": 1})
        replace(load(run), store=None).save(tmp_path / "model.safetensors")
        output = tmp_path / "new.safetensors"
        flags = [str(tmp_path / "model.safetensors"), str(tmp_path / "clips"), "--output", str(output)]
        assert cli.dispatch(["enrol", *flags]) == 0
        said = capsys.readouterr()
        assert "what the old signers lose cannot be measured. Train with --store_megabytes" in said.err
        assert "no sign has two clips: what enrolment does cannot be measured" in said.err
        assert "all clips show 'UP'" in said.err
        assert "WER" not in said.out
        assert not {"clips_wer_before", "old_wer_before"} & load(output).info["enrolled"].keys()
