"""A person's own idling in an enrolment: stretches of it, what a model learns there, and that it names less of it."""

import contextlib
import io
from dataclasses import replace

import numpy as np
import pytest
import torch

import conftest
from conftest import TINY_STUDENT, tiny_sentence
from enrolling import NEW_SIGNS, clips_corpus, learnt_corpus, learnt_run
from one_handed import one_handed_clip
from signloom import cli
from signloom.compose import ComposeOptions, drawn_idle
from signloom.compose.idle import cut_out, idle_stretch
from signloom.corpus import Corpus, CorpusWriter
from signloom.errors import InputError
from signloom.inference.evaluate import evaluate
from signloom.inference.model import Model, load
from signloom.inference.model_card import model_card
from signloom.inference.store import FeatureExample, Store
from signloom.inference.torch_engine import TorchEngine, recognizer_of
from signloom.model.recognizer import Recognizer
from signloom.train.enrol import adapt as adapting
from signloom.train.enrol import classifier as learning
from signloom.train.enrol.adapt import adapt, log_probs
from signloom.train.enrol.clips import Clips, read_clips
from signloom.train.enrol.enrol import _Trainer
from signloom.train.enrol.examples import composed, gives_unknown_gloss, idling
from signloom.train.enrol.learner import Lesson
from signloom.train.enrol.torch_learner import TorchLearner
from signloom.vocabulary import UNKNOWN_ID, Vocabulary

VOCABULARY = Vocabulary.from_glosses([["DOWN", "LEFT", "RIGHT", "UP"]])
OTHERS = Store.of([FeatureExample(np.ones((4, 32), np.float32), [2, UNKNOWN_ID])], [])


def a_model(store=None):
    torch.manual_seed(0)
    return Model(TorchEngine(Recognizer(TINY_STUDENT, len(VOCABULARY))), VOCABULARY, store=store)


def idle_corpus(folder, clips, *, signs=None):
    """Clips of idling of one signer, by name, and of signs: number of clips by gloss."""
    some = clips_corpus(folder / "signs", signs) if signs else None
    with CorpusWriter(folder / "corpus", {"name": "own-idling"}) as writer:
        for name, landmarks in clips.items():
            writer.add(name, split="train", signer="C", glosses=["IDLE"], landmarks=landmarks)
        for item in some or ():
            writer.add(item.id, split="train", signer="C", glosses=item.glosses, landmarks=some.load(item))
    return Corpus.open(folder / "corpus")


def up(num_frames=30, seed=0):
    """A hand that is in view at the shoulder: it is up."""
    return one_handed_clip(hertz=0.7, seed=seed, num_frames=num_frames)


def down(num_frames=30):
    """Both hands out of view."""
    clip = up(num_frames)
    return replace(clip, points=np.where(np.isin(np.arange(543), range(33, 75))[:, None], np.nan, clip.points))


class TestStretches:
    def test_of_a_long_clip_a_part_is_shown_of_a_short_one_all(self):
        rng, untouched = np.random.default_rng(0), np.random.default_rng(0)
        short = up(75)
        assert cut_out(short, rng) is short
        # No draw: corpora composed of short clips stay what they were.
        assert rng.random() == untouched.random()
        long = up(750)
        # The number of each frame.
        long.points[:, 0, 2] = np.arange(750)
        places = []
        for _ in range(60):
            numbers = cut_out(long, rng).points[:, 0, 2]
            assert 15 <= len(numbers) <= 75
            np.testing.assert_array_equal(np.diff(numbers), 1)
            places.append(numbers[0])
        assert min(places) < 100
        assert max(places) > 600

    @pytest.mark.parametrize(
        ("clip", "names_others", "kind"), [(up(), True, "other"), (up(), False, "idle"), (down(), True, "idle")]
    )
    def test_hands_that_are_up_are_others_for_a_model_that_names_others(self, clip, names_others, kind):
        for beside in (None, up(seed=3)):
            shown, found = idle_stretch(clip, np.random.default_rng(0), beside=beside, names_others=names_others)
            assert (found, len(shown)) == (kind, 30)

    def test_a_person_idles_alone_in_utterances_that_a_seed_decides(self, tmp_path):
        corpus = idle_corpus(tmp_path, {"a": up(), "b": down(), "long": up(750)})
        clips = {item.id: corpus.load(item) for item in corpus}

        def made(*seed):
            return drawn_idle(list(corpus), ComposeOptions(), clips.__getitem__, seed)

        for number in range(8):
            first, again, other = made(0, number), made(0, number), made(1, number)
            assert first.kinds == again.kinds
            assert all(
                np.array_equal(a.points, b.points, True) for a, b in zip(first.pieces, again.pieces, strict=True)
            )
            assert [len(piece) for piece in first.pieces] != [len(piece) for piece in other.pieces]
            assert 3 <= len(first.pieces) <= 8
            assert first.kinds == ["idle"] * len(first.pieces)
            assert not first.glosses


class TestClips:
    def test_a_long_recording_is_left_out_in_parts_that_are_all_of_it(self, tmp_path):
        long = up(750)
        clips = read_clips(idle_corpus(tmp_path, {"long": long}), VOCABULARY, idle_glosses=["IDLE"])
        # Thirty seconds are six parts of five.
        assert [len(clips.landmarks[part.id]) for part in clips.idle] == [125] * 6
        whole = np.concatenate([clips.landmarks[part.id].points for part in clips.idle])
        # Half precision on the disk.
        np.testing.assert_allclose(whole, long.points, atol=5e-4)
        assert (clips.num_folds, clips.idle_seconds, clips.glosses, clips.num_signers) == (3, 30.0, [], 1)
        out = []
        for number in range(3):
            kept, left = clips.fold(number)
            assert len(left.idle) == 2
            assert {clip.id for clip in [*kept.idle, *left.idle]} == {clip.id for clip in clips.idle}
            out += [clip.id for clip in left.idle]
        assert sorted(out) == sorted(clip.id for clip in clips.idle)

    def test_one_short_clip_is_not_left_out(self, tmp_path):
        clips = read_clips(idle_corpus(tmp_path, {"short": up(200)}), VOCABULARY, idle_glosses=["IDLE"])
        assert (len(clips.idle), clips.num_folds) == (1, 0)
        assert Clips({"C": {"UP": ["a"]}}, {}, clips.idle).num_folds == 0

    def test_signs_and_idling_are_told_apart(self, tmp_path):
        corpus = idle_corpus(tmp_path, {"a": up(), "b": down()}, signs={"UP": 2, "LEFT": 1})
        clips = read_clips(corpus, VOCABULARY, idle_glosses=["IDLE"])
        assert clips.glosses == ["LEFT", "UP"]
        assert [clip.id for clip in clips.idle] == ["a", "b"]
        kept, out = clips.fold(0)
        assert [clip.id for clip in out.idle] == ["a"]
        assert [clip.id for clip in kept.idle] == ["b"]
        # The same glosses without the option are signs.
        assert read_clips(corpus, VOCABULARY).glosses == ["IDLE", "LEFT", "UP"]

    def test_glosses_that_cannot_be_idling_are_refused(self, tmp_path):
        corpus = idle_corpus(tmp_path, {"a": up()}, signs={"UP": 1})
        with pytest.raises(InputError, match=r"(?s)enrol: --idle_glosses, .*no gloss 'IDEL'; did you mean 'IDLE'\?"):
            read_clips(corpus, VOCABULARY, idle_glosses=["IDEL"])
        with pytest.raises(InputError, match="--idle_glosses: 'UP' is a sign of the model, which names it"):
            read_clips(corpus, VOCABULARY, idle_glosses=["IDLE", "UP"])


class TestExamples:
    @pytest.fixture
    def clips(self, tmp_path):
        corpus = idle_corpus(tmp_path, {"a": up(), "b": down(), "long": up(250)}, signs={"UP": 2, "LEFT": 1})
        return read_clips(corpus, VOCABULARY, idle_glosses=["IDLE"])

    def test_idling_alone_has_no_target_and_a_seed_decides(self, clips):
        learner = TorchLearner(a_model(OTHERS))
        made, again = (idling(learner, clips, count, seed=(0,)) for count in (6, 3))
        assert all(example.target == [] for example in made)
        for first, second in zip(made, again, strict=False):
            np.testing.assert_allclose(first.features, second.features, atol=1e-4)

    def test_only_a_model_whose_store_has_others_learns_the_unknown_gloss(self, clips):
        for store in (OTHERS, None):
            model = a_model(store)
            assert gives_unknown_gloss(model) is (store is not None)
            made = composed(TorchLearner(model), VOCABULARY, clips, 12, seed=(0,), min_glosses=1)
            assert any(UNKNOWN_ID in example.target for example in made) is (store is not None)

    def test_idling_stands_among_signs_and_changes_none_of_them(self, clips):
        learner, signs = TorchLearner(a_model(OTHERS)), replace(clips, idle=())
        with_idle, without = (
            composed(learner, VOCABULARY, some, 24, seed=(0,), min_glosses=1) for some in (clips, signs)
        )
        told = [[word for word in example.target if word != UNKNOWN_ID] for example in with_idle]
        assert told == [example.target for example in without]
        more = [len(a.features) > len(b.features) for a, b in zip(with_idle, without, strict=True)]
        # Either end idles in half of them: a quarter has none of it, but for the places between signs.
        assert 12 <= sum(more) < 24
        assert any(UNKNOWN_ID in example.target for example in with_idle)

    def test_others_stand_among_signs_and_change_none_of_them(self, clips):
        learner, signs = TorchLearner(a_model(OTHERS)), replace(clips, idle=())
        plain, made = (
            composed(learner, VOCABULARY, signs, 40, seed=(0,), min_glosses=1, others=share) for share in (0.0, 0.5)
        )
        shown = [[word for word in example.target if word != UNKNOWN_ID] for example in made]
        # Some utterances show no sign at all.
        assert 2 <= sum(not glosses for glosses in shown) <= 16
        for before, glosses in zip(plain, shown, strict=True):
            assert UNKNOWN_ID not in before.target
            assert glosses in ([], before.target)

    @pytest.mark.parametrize("store", [OTHERS, None])
    def test_a_model_learns_signs_among_others_if_it_did_before(self, store, clips, monkeypatch):
        lessons = []
        monkeypatch.setattr(TorchLearner, "adapted", lambda self, vocabulary, lesson: lessons.append(lesson))
        trainer = _Trainer(TorchLearner(a_model(store)), VOCABULARY, 0, lambda: None)
        trainer.adapted(replace(clips, idle=()), seed=(0,))
        share = np.mean([UNKNOWN_ID in example.target for example in lessons[0].new])
        assert share > 0.5 if store else share == 0

    def test_hands_come_from_rest_as_often_as_in_the_models_training(self, clips):
        shown = {}
        for lead in (None, 0.5):
            model = replace(a_model(), info={} if lead is None else {"corpus": {"lead": lead}})
            made = composed(TorchLearner(model), VOCABULARY, replace(clips, idle=()), 24, seed=(0,), min_glosses=1)
            shown[lead] = [(example.target, len(example.features)) for example in made]
        (plain, lengths), (same, longer) = (zip(*shown[lead], strict=True) for lead in (None, 0.5))
        assert plain == same
        assert 12 <= sum(a < b for a, b in zip(lengths, longer, strict=True)) < 24

    def test_there_are_none_of_what_the_clips_do_not_show(self, clips):
        learner = TorchLearner(a_model())
        assert composed(learner, VOCABULARY, replace(clips, pool={}), 4, seed=(0,), min_glosses=1) == []
        assert idling(learner, replace(clips, idle=()), 4, seed=(0,)) == []


def test_a_model_learns_to_be_silent_in_whichever_way_it_likes(monkeypatch):
    recognizer = recognizer_of(a_model().engine)
    rng = np.random.default_rng(0)
    silent = [FeatureExample(rng.normal(3, 1, (length, 32)).astype(np.float32), []) for length in (9, 5, 12, 9)]
    monkeypatch.setattr(adapting, "STEPS", 60)
    before = [rows.exp() for rows in log_probs(recognizer, silent)]
    adapted = adapt(recognizer, Lesson(silent, [], seed=0), num_known=len(VOCABULARY))
    for old, rows in zip(before, log_probs(adapted, silent), strict=True):
        new = rows.exp()
        assert (new[:, 2:].sum(1) < 0.3 * old[:, 2:].sum(1)).all()


def test_the_loss_of_silence_by_hand_and_its_gradient():
    """Frames with 0.7 and 0.9 of blank and the unknown gloss; then a frame of padding. The gradient is its slope."""
    probs = np.array([[0.5, 0.2, 0.3], [0.1, 0.8, 0.1], [0.0001, 0.0001, 0.9998]])
    log_probs_, lengths = torch.tensor(np.log(probs))[None], torch.tensor([2])
    example = FeatureExample(np.zeros((2, 1), np.float32), [])
    logits = torch.tensor(np.log(probs[:2]), requires_grad=True)
    loss = adapting._loss_per_gloss(log_probs_, lengths, [example])
    assert loss.tolist() == pytest.approx([-np.log(0.7) - np.log(0.9)])
    adapting._loss_per_gloss(logits.log_softmax(-1)[None], lengths, [example]).sum().backward()
    np.testing.assert_allclose(learning._silence_gradient(np.log(probs[:2])), logits.grad, atol=1e-9)


class TestCommand:
    """Refusals come before any work; nothing is written."""

    @pytest.mark.parametrize(
        ("idle_glosses", "told"),
        [
            ("IDLE", "keeps no store, and all clips of .* show idling: it would forget its signs; add clips of them"),
            ("-", "no gloss '-'; known: IDLE"),
        ],
    )
    def test_it_refuses(self, idle_glosses, told, tmp_path):
        a_model().save(tmp_path / "m" / "model.safetensors")
        corpus = idle_corpus(tmp_path, {"a": up()})
        told_to = ["enrol", str(tmp_path / "m"), str(corpus.root), "--output", str(tmp_path / "new")]
        with pytest.raises(InputError, match=told):
            cli.dispatch([*told_to, "--idle_glosses", idle_glosses])
        assert not (tmp_path / "new").exists()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return learnt_run(learnt_corpus(tmp_path_factory), tmp_path_factory)


def wide(seconds):
    """A signer, who sits elsewhere, moves a hand as in none of the signs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conftest, "TINY_SIGNS", NEW_SIGNS)
        clip = tiny_sentence(("WIDE",) * round(seconds * 25 / 12), seed=7)
    return replace(clip, points=clip.points * 1.15 + np.float32(0.03))


@pytest.fixture(scope="module")
def enrolled(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("idling")
    corpus = idle_corpus(folder, {"half-a-minute": wide(30)})
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        told = ["enrol", str(run), str(corpus.root), "--idle_glosses", "IDLE", "--output", str(folder / "new")]
        assert cli.dispatch(told) == 0
    return folder, output.getvalue()


@pytest.mark.slow
class TestEnrolled:
    """A model that has learnt the tiny corpus meets somebody who idles with a hand up."""

    def test_it_names_less_and_keeps_its_signs(self, enrolled, run, tmp_path_factory):
        folder, report = enrolled
        old, model = load(run), load(folder / "new")
        record = model.info["enrolled"]
        assert model.vocabulary.words == old.vocabulary.words
        assert record["idle_per_minute_before"] > 20
        assert record["idle_per_minute_after"] < 0.3 * record["idle_per_minute_before"]
        assert record["old_wer_after"] <= record["old_wer_before"] + 0.05
        dev = Corpus.open(learnt_corpus(tmp_path_factory))
        assert evaluate(model, dev, "dev").wer <= evaluate(old, dev, "dev").wer + 0.05
        # Signs are as sure as before: their confidences still hold.
        assert model.info["spans"] == old.info["spans"]
        assert (record["clips"], record["glosses"], record["idle_seconds"]) == (0, [], pytest.approx(30, abs=0.5))
        assert "30 s of idling of 1 signer" in report
        assert "idling left out in turn: " in report
        assert "utterances of clips left out in turn" not in report

    def test_the_card_says_it(self, enrolled):
        model = load(enrolled[0] / "new")
        card = (enrolled[0] / "new" / "MODEL_CARD.md").read_text()
        assert card == model_card(model.file)
        assert "| enrolled with | 30 s of idling by 1 signer, of own-idling |" in card
        assert "| glosses per minute of this idling, left out in turn, greedy | " in card

    def test_signs_and_idling_are_learnt_together_and_a_seed_decides(self, run, tmp_path, monkeypatch, capsys):
        monkeypatch.setattr(adapting, "STEPS", 4)
        corpus = idle_corpus(tmp_path, {"a": wide(12)}, signs={"UP": 2, "LEFT": 2})
        files = []
        for name, seed in (("a", 0), ("b", 0), ("c", 1)):
            path = tmp_path / f"{name}.safetensors"
            told = ["enrol", str(run), str(corpus.root), "--idle_glosses", "IDLE", "--seed", str(seed)]
            assert cli.dispatch([*told, "--output", str(path)]) == 0
            files.append(path.read_bytes())
        assert files[0] == files[1] != files[2]
        printed = capsys.readouterr().out
        assert "2 signs, 2 clips each, 12 s of idling of 1 signer; " in printed
        assert "utterances of clips left out in turn: WER" in printed
        assert "idling left out in turn: " in printed

    def test_a_name_that_says_idling_is_noted(self, run, tmp_path, monkeypatch, capsys):
        monkeypatch.setattr(adapting, "STEPS", 2)
        corpus = idle_corpus(tmp_path, {"a": wide(3)}, signs={"UP": 1})
        told = ["enrol", str(run), str(corpus.root), "--output", str(tmp_path / "new.safetensors")]
        assert cli.dispatch(told) == 0
        assert "IDLE may be no sign; with --idle_glosses IDLE" in capsys.readouterr().err
        assert cli.dispatch([*told, "--overwrite", "--idle_glosses", "IDLE"]) == 0
        assert "3 s of idling in one clip: too short to leave a part out" in capsys.readouterr().err
