"""Signs that a model must not name, in composed utterances: where they stand, what they are made of."""

from dataclasses import replace

import numpy as np
import pytest

from one_handed import one_handed_clip
from signloom import layout
from signloom.anatomy.idle_hands import trunk_of
from signloom.compose import ComposeOptions, compose, split_clips
from signloom.compose.others import made_up, other_places
from signloom.corpus import Corpus, CorpusWriter
from signloom.errors import InputError
from signloom.importers import merge
from signloom.train.data import UtteranceDataset
from signloom.vocabulary import UNKNOWN_ID, Vocabulary

SMALL = ComposeOptions(num_train=12, num_dev=2, num_test=2, seed=1)
HERTZ = {"A": 1.3, "B": 2.1, "X": 0.0}
LEFT, RIGHT = layout.GROUPS["left_hand"], layout.GROUPS["right_hand"]


def clip(gloss, seed=0, num_frames=30):
    return one_handed_clip(hertz=HERTZ[gloss], seed=seed, num_frames=num_frames)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Two signers with clips of two signs; ann has clips of a third as well, in which her hand keeps still."""
    with CorpusWriter(tmp_path_factory.mktemp("others") / "signs", {"name": "signs", "licence": "CC0"}) as writer:
        for signer in ("ann", "ben"):
            for gloss in HERTZ:
                for k in range(4 if gloss != "X" or signer == "ann" else 0):
                    writer.add(
                        f"{signer}-{gloss}-{k}", split="train", signer=signer, glosses=[gloss], landmarks=clip(gloss, k)
                    )
    return Corpus.open(writer.root)


def test_places_are_before_every_sign_and_after_the_last():
    assert other_places(3, 0.0, np.random.default_rng(0)) == []
    assert other_places(3, 1.0, np.random.default_rng(0)) == [0, 1, 2, 3]


def test_others_are_no_glosses_and_a_model_learns_the_unknown_gloss_there(clips, tmp_path):
    made = compose(clips, tmp_path / "c", replace(SMALL, other_glosses=["X"], others=0.5))
    vocabulary = Vocabulary.from_glosses([["A", "B"]])
    for utterance in made:
        assert "X" not in utterance.glosses
        truth = utterance.truth
        assert len(truth["boundaries"]) == len(utterance.glosses)
        spans = sorted([(start, "sign") for start, _ in truth["boundaries"]]
                       + [(start, "other") for start, _ in truth.get("other", [])])  # fmt: skip
        target = utterance.target(vocabulary)
        assert [word == UNKNOWN_ID for word in target] == [kind == "other" for _, kind in spans]
        assert vocabulary.decode(target) == list(utterance.glosses)
    assert any(utterance.others for utterance in made)
    examples = UtteranceDataset(made, made.utterances, vocabulary, view="compact", fps=25.0)
    assert [target.tolist() for target in examples.targets] == [item.target(vocabulary) for item in made]


def test_some_utterances_show_no_sign_at_all(clips, tmp_path):
    made = compose(clips, tmp_path / "c", replace(SMALL, num_train=200, others=0.3, idle=0.5))
    # One in five unless told otherwise; standard error 0.03.
    silent = [item for item in made.split("train") if not item.glosses]
    assert len(silent) / 200 == pytest.approx(0.2, abs=0.1)
    vocabulary = Vocabulary.from_glosses([["A", "B"]])
    for item in silent:
        assert set(item.target(vocabulary)) == {UNKNOWN_ID}
        assert 1 <= len(item.others) == len(item.truth["other"])
        assert item.truth["boundaries"] == item.truth["clips"] == []
    assert any("idle" in item.truth for item in silent)
    assert [item for item in made if item not in made.with_glosses.utterances] == [*silent, *(
        item for split in ("dev", "test") for item in made.split(split) if not item.glosses)]  # fmt: skip
    assert all(item.glosses for item in compose(clips, tmp_path / "none", replace(SMALL, idle=0.5)))


def test_idle_clips_with_hands_up_are_none_of_the_glosses_either(clips, tmp_path):
    # The hand of X keeps still at the shoulder: it is up.
    settings = replace(SMALL, idle_glosses=["X"], idle=1.0, no_sign=0.0)
    for others, kinds in ((0.0, {"idle"}), (1e-9, {"other"})):
        made = compose(clips, tmp_path / f"{others}", replace(settings, others=others))
        of_ann = [item for item in made if item.signer == "ann"]
        assert {kind for item in of_ann for kind in ("idle", "other") if kind in item.truth} == kinds
        assert all((len(item.others) >= 2) == (kinds == {"other"}) for item in of_ann)


def test_merged_corpora_keep_them(clips, tmp_path):
    parts = [compose(clips, tmp_path / name, replace(SMALL, others=0.8, seed=seed)).root
             for seed, name in enumerate(("one", "two"))]  # fmt: skip
    merge.run(merge.Options(corpora=parts, output=tmp_path / "both", signers=["same"]))
    both = sorted(item.others for item in Corpus.open(tmp_path / "both"))
    assert both == sorted(item.others for part in parts for item in Corpus.open(part))
    assert any(both)


def test_others_change_neither_the_glosses_nor_the_clips_that_are_drawn(clips, tmp_path):
    shares = ({"others": 0.0}, {"others": 0.8, "no_sign": 0.0}, {"others": 0.8, "no_sign": 0.4})
    some = [compose(clips, tmp_path / str(number), replace(SMALL, other_glosses=["X"], **settings))
            for number, settings in enumerate(shares)]  # fmt: skip
    without, with_others, also_alone = ([(item.glosses, item.truth["clips"]) for item in corpus] for corpus in some)
    assert without == with_others
    pairs = list(zip(without, also_alone, strict=True))
    assert all(alone in (signed, ((), [])) for signed, alone in pairs)
    assert 0 < sum(signed == alone for signed, alone in pairs) < len(pairs)
    assert all(item.others == () for item in some[0])


def test_clips_of_other_signs_are_split_like_all_and_lent_to_signers_without_any(clips):
    shares = split_clips(clips, replace(SMALL, other_glosses=["X"]))
    pools = [{item.id for item in shares.others_of(split, "ann")} for split in ("train", "dev", "test")]
    assert [len(pool) for pool in pools] == [2, 1, 1]
    assert len(set.union(*pools)) == 4
    assert {item.id for item in shares.others_of("train", "ben")} == pools[0]
    held_out = split_clips(clips, replace(SMALL, other_glosses=["X"], held_out=["ann"]))
    assert held_out.others_of("train", "ben") == []
    assert len(held_out.others_of("test", "ann")) == 4


def test_a_made_up_movement_has_the_body_of_one_clip_and_the_hands_of_another():
    body, hands = clip("A", 1), clip("B", 2)
    trunk = trunk_of(body.points, "full")
    for seed in range(20):
        made = made_up(body, hands, np.random.default_rng(seed))
        assert len(made) == len(body)
        # The hand that is out of view stays out of view; the head stays.
        assert np.isnan(made.points[:, LEFT]).all()
        head = layout.GROUPS["face"]
        np.testing.assert_array_equal(made.points[:, head], body.points[:, head])
        # Distances from the wrist are those of the second clip's hand, which turning does not change.
        lengths = [np.linalg.norm(one.points[:, RIGHT] - one.points[:, [RIGHT.start]], axis=2) for one in (made, hands)]
        np.testing.assert_allclose(lengths[0], lengths[1], atol=1e-5)
        # The wrist is elsewhere, and the pose's wrist goes along.
        way = made.points[:, RIGHT.start] - body.points[:, RIGHT.start]
        assert np.linalg.norm(way, axis=1).max() > 0.05 * trunk.width
        wrist = layout.index("pose.right_wrist")
        np.testing.assert_allclose(made.points[:, wrist] - body.points[:, wrist], way, atol=1e-5)


def test_nobody_makes_nothing_up():
    nobody = replace(clip("A"), points=np.full_like(clip("A").points, np.nan))
    assert made_up(nobody, clip("B"), np.random.default_rng(0)) is nobody
    made = made_up(clip("A"), nobody, np.random.default_rng(0))
    assert np.isfinite(made.points[:, RIGHT]).all()


def test_wrong_settings(clips):
    with pytest.raises(InputError, match="--others is 2"):
        ComposeOptions(others=2)
    with pytest.raises(InputError, match="--no_sign without --others"):
        ComposeOptions(no_sign=0.1)
    with pytest.raises(InputError, match="no gloss 'Y'; known: A, B, X"):
        split_clips(clips, replace(SMALL, other_glosses=["Y"]))
    with pytest.raises(InputError, match="--other_glosses leaves no gloss"):
        split_clips(clips, replace(SMALL, other_glosses=["A", "B", "X"]))
