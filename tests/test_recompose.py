"""New sentences from aligned ones. A stand-in for a model reads from each clip what it emits, so all is known."""

import hashlib
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from conftest import TINY_STUDENT, random_landmarks
from signloom import layout
from signloom.cli import main
from signloom.corpus import Corpus, CorpusWriter
from signloom.ctc.kneser_ney import kneser_ney
from signloom.ctc.spans import INFO_KEY, SpanSettings
from signloom.ctc.timing import Timing
from signloom.errors import InputError
from signloom.inference.model import Model
from signloom.landmarks import Landmarks
from signloom.recompose import CutSentences, Drawer, Part, RecomposeOptions, cut_sentences, recompose, splice
from signloom.recompose.cuts import NOT_RECOGNISED, ODD_LENGTH, UNSURE
from signloom.recompose.draw import log_probs_between
from signloom.vocabulary import Vocabulary

GLOSSES = tuple("ABCDEF")
VOCABULARY = Vocabulary.from_glosses([GLOSSES])
# A sign takes 12 frames, three output frames; the middle one emits it.
FRAMES, STEP = 12, 4


def signed(glosses, number=0, frames=FRAMES) -> Landmarks:
    """A clip that says what a model emits: x is the id emitted in a frame; y the clip's number; z the frame."""
    emitted = [[0] * STEP + [id] * STEP + [0] * (frames - 2 * STEP) for id in VOCABULARY.encode(glosses)]
    points = np.empty((frames * len(glosses), layout.NUM_POINTS, 3), dtype=np.float32)
    points[..., 0] = np.concatenate(emitted)[:, None]
    points[..., 1] = number
    points[..., 2] = np.arange(len(points))[:, None]
    return Landmarks(points, np.ones((len(points), 33)), fps=25.0)


class Stated:
    """An engine that emits what a clip of `signed` states: with 97 %, or 40 %, where another gloss has 36 %."""

    config = TINY_STUDENT
    step_seconds = STEP / 25
    num_words = len(VOCABULARY)

    def __init__(self, unsure=""):
        self.unsure = VOCABULARY.encode(unsure)

    def log_probs(self, points, lengths=None):
        (path,) = points[:, ::STEP, 0, 0].round().astype(int)
        probs = np.full((len(path), self.num_words), 0.03 / (self.num_words - 1))
        probs[np.arange(len(path)), path] = 0.97
        for id in self.unsure:
            probs[path == id] = 0.24 / (self.num_words - 2)
            probs[path == id, id] = 0.4
            probs[path == id, 2 if id != 2 else 3] = 0.36
        return np.log(probs / probs.sum(1, keepdims=True))[None].astype(np.float32), np.array([len(path)])


def model(**options) -> Model:
    timing = Timing(gloss_seconds=FRAMES / 25)
    return Model(Stated(**options), VOCABULARY, info={INFO_KEY: SpanSettings(timing).to_json()})


def written(root: Path, sentences, **annotations) -> Corpus:
    """A corpus of (split, signer, glosses) rows; `annotations`, by id, are glosses that differ from what clips show."""
    with CorpusWriter(root, {"name": "sentences", "licence": "CC0"}) as writer:
        for number, (split, signer, glosses) in enumerate(sentences):
            name = f"{split}{number}"
            glosses_given = annotations.get(name, glosses)
            writer.add(name, split=split, signer=signer, glosses=glosses_given, landmarks=signed(glosses, number))
    return Corpus.open(root)


TRAIN = [("train", "ann", "ABCD"), ("train", "ann", "CADB"), ("train", "ben", "BADE"), ("train", "ben", "EDAB")]
OTHERS = [("dev", "ann", "ABF"), ("test", "cyd", "FAB")]


@pytest.fixture
def corpus(tmp_path):
    return written(tmp_path / "corpus", TRAIN + OTHERS)


def cut_of(corpus, **options) -> CutSentences:
    return cut_sentences(model(**options), corpus, corpus.split("train"))


class TestCuts:
    def test_signs_are_cut_half_way_between_their_emissions(self, corpus):
        cuts = cut_of(corpus).by_sentence["train0"]
        # The middle of every emission is the middle of its 12 frames.
        edges = [(round(25 * cut.start_seconds), round(25 * cut.end_seconds)) for cut in cuts]
        assert edges == [(0, 12), (12, 24), (24, 36), (36, 48)]
        assert [(cut.gloss, cut.position, cut.doubt) for cut in cuts] == [(g, n, "") for n, g in enumerate("ABCD")]

    def test_a_wrong_annotation_makes_itself_and_its_neighbours_doubtful(self, tmp_path):
        corpus = written(tmp_path / "c", TRAIN, train0="ABED")
        doubts = [cut.doubt for cut in cut_of(corpus).by_sentence["train0"]]
        assert doubts == ["", NOT_RECOGNISED, NOT_RECOGNISED, NOT_RECOGNISED]

    def test_an_unsure_sign_makes_itself_and_its_neighbours_doubtful(self, corpus):
        cuts = cut_of(corpus, unsure="C").by_sentence
        assert [cut.doubt for cut in cuts["train0"]] == ["", UNSURE, UNSURE, UNSURE]
        assert [cut.doubt for cut in cuts["train1"]] == [UNSURE, UNSURE, "", ""]
        assert not any(cut.doubt for cut in cuts["train2"])

    def test_a_cut_far_longer_than_the_others_of_its_gloss_is_doubtful(self, tmp_path):
        with CorpusWriter(tmp_path / "c", {"name": "c"}) as writer:
            for number in range(4):
                writer.add(f"s{number}", split="train", signer="a", glosses="AB", landmarks=signed("AB", number))
            long = signed("AB", 4, frames=40)
            writer.add("s4", split="train", signer="a", glosses="AB", landmarks=long)
        corpus = Corpus.open(tmp_path / "c")
        # A typical sign is 2 s long here, so that the reach of a sign does not hide the long one.
        slow = replace(model(), info={INFO_KEY: SpanSettings(Timing(gloss_seconds=2.0)).to_json()})
        cuts = cut_sentences(slow, corpus, corpus.split("train")).by_sentence
        assert {cut.doubt for cut in cuts["s4"]} == {ODD_LENGTH}
        assert {cut.doubt for name in ("s0", "s1", "s2", "s3") for cut in cuts[name]} == {""}

    def test_sentences_that_cannot_be_aligned_fail_as_a_whole(self, tmp_path):
        corpus = written(tmp_path / "c", TRAIN, train0="ABXD", train3="EDAB" * 4)
        cut = cut_of(corpus)
        assert "does not know 'X'" in cut.failed["train0"]
        assert "too short" in cut.failed["train3"]
        assert set(cut.by_sentence) == {"train1", "train2"}

    def test_glosses_that_lose_all_cuts_are_named(self, corpus):
        cut = cut_of(corpus, unsure="E")
        assert cut.lost_glosses == ["E"]
        assert cut.doubts == Counter({UNSURE: 4})


class TestSplice:
    def test_parts_that_follow_each_other_become_what_they_were(self):
        clip = random_landmarks(40)
        joined = splice([Part(clip, 0, 11), Part(clip, 11, 25), Part(clip, 25, 26), Part(clip, 26, 40)])
        np.testing.assert_allclose(joined.points, clip.points, atol=1e-6)

    def test_a_join_passes_gradually_from_one_part_to_the_next(self):
        low, high = signed("AA", 0), signed("AA", 6)
        joined = splice([Part(low, 0, 10), Part(high, 4, 14)]).points[:, 0, 1]
        assert len(joined) == 20
        assert joined[:7] == pytest.approx(0)
        assert joined[7:13] == pytest.approx([0.5, 1.5, 2.5, 3.5, 4.5, 5.5])
        assert joined[13:] == pytest.approx(6)

    def test_both_parts_go_on_beyond_the_join(self):
        # z is the frame: at steady speed in both clips, and so in the join, whose slope is theirs and the distance's.
        first, second = signed("AAAA", 0), signed("AAAA", 1)
        joined = splice([Part(first, 0, 20), Part(second, 20, 40)]).points[:, 0, 2]
        assert joined == pytest.approx(np.arange(40))

    def test_a_point_that_one_part_lacks_is_that_of_the_part_that_has_the_frame(self):
        whole, lost = signed("AA", 0), signed("AA", 6)
        lost.points[:, 5] = np.nan
        joined = splice([Part(whole, 0, 10), Part(lost, 4, 14)]).points[:, 5, 1]
        assert np.isfinite(joined).tolist() == [True] * 10 + [False] * 10

    def test_short_parts_have_short_joins(self):
        clips = [signed("A", number) for number in (0, 4, 8)]
        joined = splice([Part(clips[0], 0, 4), Part(clips[1], 0, 1), Part(clips[2], 0, 2)]).points[:, 0, 1]
        assert joined == pytest.approx([0, 0, 0, 0, 4, 8, 8])


class TestDrawer:
    def test_cuts_change_places_within_a_signer_and_doubtful_ones_stay(self, corpus):
        cut = cut_of(corpus, unsure="C")
        signers = {item.id: item.signer for item in corpus}
        drawer = Drawer(corpus.split("train"), cut)
        for number in range(200):
            new = drawer.draw(np.random.default_rng(number))
            assert len({signers[one.utterance] for one in new}) == 1
            doubtful = [one for one in new if one.doubt]
            assert all(new[one.position] == one for one in doubtful)
            assert all(
                set(doubtful) == {old for old in cut.by_sentence[one.utterance] if old.doubt} for one in doubtful
            )

    def test_every_new_sentence_differs_from_its_own(self, corpus):
        cut = cut_of(corpus)
        drawer = Drawer(corpus.split("train"), cut)
        old = set(cut.by_sentence.values())
        assert all(drawer.draw(np.random.default_rng(number)) not in old for number in range(200))

    def test_signs_that_fit_between_their_neighbours_are_drawn_more_often(self, tmp_path):
        # After A comes B in 20 sentences and C in one; D begins all others.
        corpus = written(tmp_path / "c", [("train", "a", "AB")] * 20 + [("train", "a", "AC"), ("train", "a", "DA")])
        drawer = Drawer(corpus.split("train"), cut_of(corpus))
        new = [drawer.draw(np.random.default_rng(number)) for number in range(600)]
        after_a = Counter(second.gloss for first, second in new if first.gloss == "A")
        assert after_a["B"] > 5 * after_a["C"] > 0
        assert after_a["B"] > 5 * after_a["D"]

    def test_probabilities_between_neighbours_are_those_of_the_bigram_model(self):
        language = kneser_ney(["ABCA", "CAB", "BDA"], order=2).model
        for before in (language.start_id, language.id_of("A"), language.id_of("D")):
            for after in (language.end_id, language.id_of("B"), language.id_of("D")):
                expected = [
                    language.log_prob([before], word) + language.log_prob([word], after)
                    for word in range(len(language.words))
                ]
                assert log_probs_between(language, before, after) == pytest.approx(expected)

    def test_a_signer_with_a_single_trusted_cut_makes_no_new_sentence(self, corpus):
        cut = cut_of(corpus)
        lonely = {
            name: tuple(replace(one, doubt="" if (name, one.position) == ("train2", 0) else UNSURE) for one in cuts)
            if name in ("train2", "train3")
            else cuts
            for name, cuts in cut.by_sentence.items()
        }
        drawer = Drawer(corpus.split("train"), CutSentences(lonely, {}))
        assert set(drawer.signers) == {"train0", "train1"}


def digest(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


class TestRecompose:
    def test_old_sentences_stay_and_new_ones_show_only_train(self, corpus, tmp_path):
        made, _ = recompose(corpus, tmp_path / "new", model(), RecomposeOptions(new_per_sentence=5))
        old = {item.id: item for item in corpus}
        for item in list(made)[: len(corpus)]:
            assert replace(item, landmarks="") == replace(old[item.id], landmarks="")
            np.testing.assert_array_equal(made.load(item).points, corpus.load(old[item.id]).points)
        new = list(made)[len(corpus) :]
        assert len(new) == 20
        train = {number for number, row in enumerate(TRAIN) if row[0] == "train"}
        for item in new:
            assert item.split == "train"
            # y is the number of the clip; between two numbers only in a join.
            shown = made.load(item).points[:, 0, 1]
            assert set(shown[shown == shown.round()]) <= train
            # What is emitted is what the sentence says: its signs are whole.
            assert [VOCABULARY.words[id] for id in _emitted(made.load(item))] == list(item.glosses)
            assert len(item.source["cuts"]) == len(item.glosses)

    def test_the_same_seed_gives_the_same_bytes_and_more_sentences_change_none(self, corpus, tmp_path):
        few = RecomposeOptions(new_per_sentence=1, seed=3)
        for name in ("one", "two"):
            recompose(corpus, tmp_path / name, model(), few)
        one, two = digest(tmp_path / "one"), digest(tmp_path / "two")
        one.pop("corpus.json"), two.pop("corpus.json")
        assert one == two
        recompose(corpus, tmp_path / "more", model(), replace(few, new_per_sentence=2))
        more = digest(tmp_path / "more")
        assert {name: more[name] for name in one if name.startswith("landmarks")} == {
            name: value for name, value in one.items() if name.startswith("landmarks")
        }
        recompose(corpus, tmp_path / "other", model(), replace(few, seed=4))
        assert digest(tmp_path / "other")["manifest.jsonl"] != one["manifest.jsonl"]

    def test_other_frame_rates_are_resampled(self, tmp_path):
        with CorpusWriter(tmp_path / "c", {"name": "c"}) as writer:
            for number in range(4):
                clip = signed("AB", number)
                writer.add(
                    f"s{number}",
                    split="train",
                    signer="a",
                    glosses="AB",
                    landmarks=clip if number else clip.resampled(50.0),
                )
        made, cut = recompose(Corpus.open(tmp_path / "c"), tmp_path / "new", model())
        assert not cut.failed
        assert {item.fps for item in list(made)[4:]} == {25.0}

    def test_a_model_of_other_glosses_is_refused_and_names_them(self, tmp_path):
        corpus = written(tmp_path / "c", [("train", "a", "AB")] * 2, train0="XY", train1="YX")
        with pytest.raises(InputError, match=r"no training sentence; it does not know 2 of 2 glosses \(X, Y\)"):
            recompose(corpus, tmp_path / "new", model())
        assert not (tmp_path / "new").exists()

    def test_sentences_too_short_for_their_glosses_are_refused_with_the_reasons(self, tmp_path):
        corpus = written(tmp_path / "c", TRAIN, **{f"train{number}": "ABCD" * 4 for number in range(4)})
        with pytest.raises(InputError, match=r"no training sentence could be aligned: 4 faults\n  train0: .*too short"):
            recompose(corpus, tmp_path / "new", model())
        assert not (tmp_path / "new").exists()

    def test_a_model_that_does_not_recognise_the_sentences_is_refused(self, tmp_path):
        wrong = {f"train{number}": "FEDC" for number in range(4)}
        corpus = written(tmp_path / "c", TRAIN, **wrong)
        with pytest.raises(
            InputError, match=r"0 of 16 cuts \(0%\) can be trusted; needed at least 30%.*Train the model"
        ):
            recompose(corpus, tmp_path / "new", model())
        assert not (tmp_path / "new").exists()

    def test_isolated_clips_are_refused(self, tmp_path):
        corpus = written(tmp_path / "c", [("train", "a", "A"), ("train", "a", "B")])
        with pytest.raises(InputError, match="isolated clips, one gloss each; needed sentences"):
            recompose(corpus, tmp_path / "new", model())

    def test_new_sentences_are_not_cut_again(self, corpus, tmp_path):
        made, _ = recompose(corpus, tmp_path / "new", model())
        with pytest.raises(InputError, match="has 8 new sentences already; needed the corpus that it was made of"):
            recompose(made, tmp_path / "again", model())

    def test_the_corpus_itself_and_a_finished_one_are_not_overwritten(self, corpus, tmp_path):
        with pytest.raises(InputError, match="this folder holds the sentences"):
            recompose(corpus, corpus.root, model(), overwrite=True)
        recompose(corpus, tmp_path / "new", model())
        with pytest.raises(InputError, match="already has a corpus"):
            recompose(corpus, tmp_path / "new", model())

    @pytest.mark.parametrize(
        ("options", "message"), [({"new_per_sentence": 0}, "needed above 0"), ({"seed": -1}, "needed at least 0")]
    )
    def test_invalid_options_are_named(self, options, message):
        with pytest.raises(InputError, match=message):
            RecomposeOptions(**options)


def _emitted(clip: Landmarks) -> list[int]:
    """The ids that a clip of `signed` states, without those that a join passes through."""
    values = clip.points[:, 0, 0]
    ids = [0, *(int(value) if value == round(value) else 0 for value in values.tolist())]
    return [id for before, id in pairwise(ids) if id and id != before]


class TestCommand:
    def test_it_says_what_was_cut_and_what_comes_next(self, corpus, tmp_path, monkeypatch, capsys):
        monkeypatch.setattr("signloom.inference.model.load", lambda path: model(unsure="E"))
        monkeypatch.chdir(tmp_path)
        with pytest.raises(SystemExit, match="0"):
            main(["compose", "corpus", "--output", "new", "--from_alignment", "run"])
        out, err = capsys.readouterr()
        assert "4 training sentences aligned and cut into 16 signs\n       12 used (75.0%)" in out
        assert f"4 not used: {UNSURE}" in out
        assert "new: 6 utterances as they were, 8 new in train, seed 0\nnext: signloom train --data_dir new" in out
        assert "note: no cut can be trusted of E; only their own sentences show them" in err

    @pytest.mark.parametrize(
        ("flags", "message"),
        [
            (["--from_alignment", "run", "--held_out", "ann"], "--held_out cannot be used with --from_alignment"),
            (["--from_alignment", "run", "--num_train", "5"], "set the number of new sentences by --new_per_sentence"),
            (["--new_per_sentence", "3"], "give --from_alignment RUN, or --num_train"),
            (["--from_alignment", "run"], "run: no such model"),
        ],
    )
    def test_options_that_do_not_fit_are_refused(self, corpus, tmp_path, monkeypatch, capsys, flags, message):
        if message == "run: no such model":
            pytest.importorskip("safetensors")
        monkeypatch.chdir(tmp_path)
        with pytest.raises(SystemExit, match="2"):
            main(["compose", "corpus", "--output", "new", *flags])
        assert message in capsys.readouterr().err
        assert not (tmp_path / "new").exists()


@pytest.mark.slow
def test_a_trained_model_cuts_its_sentences_where_the_signs_meet(request, tiny_corpus, tmp_path):
    pytest.importorskip("lightning")
    from signloom.inference.model import load

    corpus = Corpus.open(tiny_corpus)
    made, cut = recompose(corpus, tmp_path / "new", load(request.getfixturevalue("teacher")))
    assert len(cut.trusted) > 0.8 * len(cut.cuts)
    edges = 25 * np.array([[one.start_seconds, one.end_seconds] for one in cut.trusted])
    truth = np.array([[12 * one.position, 12 * one.position + 12] for one in cut.trusted])
    # Half an output frame; the model makes one of four frames.
    assert np.median(abs(edges - truth)) <= 2
    assert len(made.split("train")) == 3 * len(corpus.split("train"))
