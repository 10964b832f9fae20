"""Idling in composed utterances: where it is, what it is made of, and that signs do not depend on it."""

from dataclasses import replace

import numpy as np
import pytest

from one_handed import one_handed_clip
from signloom import layout
from signloom.anatomy.idle_hands import trunk_of
from signloom.compose import ComposeOptions, compose, split_clips
from signloom.compose.idle import idle_places, rest_beside, varied, with_resting_hands
from signloom.compose.placing import placed_like
from signloom.corpus import Corpus, CorpusWriter
from signloom.errors import InputError

SMALL = ComposeOptions(num_train=12, num_dev=2, num_test=2, seed=1)
HERTZ = {"A": 1.3, "B": 2.1, "-": 0.0}
LEFT, RIGHT = layout.GROUPS["left_hand"], layout.GROUPS["right_hand"]


def clip(gloss, seed=0, num_frames=30):
    return one_handed_clip(hertz=HERTZ[gloss], seed=seed, num_frames=num_frames)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Two signers with clips of two signs, their left hand out of view; ann has clips of idling as well."""
    with CorpusWriter(tmp_path_factory.mktemp("idle") / "signs", {"name": "signs", "licence": "CC0"}) as writer:
        for signer in ("ann", "ben"):
            for gloss in HERTZ:
                for k in range(4 if gloss != "-" or signer == "ann" else 0):
                    name = f"{signer}-{'idle' if gloss == '-' else gloss}-{k}"
                    landmarks = clip(gloss, seed=k)
                    writer.add(name, split="train", signer=signer, glosses=[gloss], landmarks=landmarks)
    return Corpus.open(writer.root)


def test_places_are_the_ends_and_a_quarter_as_often_between():
    assert idle_places(3, 0.0, np.random.default_rng(0)) == []
    counts = np.bincount([place for seed in range(500) for place in idle_places(3, 0.8, np.random.default_rng(seed))])
    # Standard error 0.02.
    np.testing.assert_allclose(counts / 500, (0.8, 0.2, 0.2, 0.8), atol=0.08)
    ends = idle_places(2, 1.0, np.random.default_rng(0))
    assert {0, 2} <= set(ends)


def test_idle_clips_become_stretches_without_a_gloss(clips, tmp_path):
    made = compose(clips, tmp_path / "c", replace(SMALL, idle_glosses=["-"], idle=1.0))
    for utterance in made:
        assert "-" not in utterance.glosses
        assert len(utterance.truth["boundaries"]) == len(utterance.glosses)
        idle = utterance.truth["idle"]
        assert idle[0][0] == 0
        assert idle[-1][1] == utterance.num_frames
        points = made.load(utterance).points
        # Ann's idle clips show a hand that keeps still, all signs a right hand that moves. Ben, who has no idle clips,
        # gets hers. Mirrored ones show a left hand.
        hands = [[points[start:stop, hand.start, 0] for hand in (LEFT, RIGHT)] for start, stop in idle]
        shown = [[wrist for wrist in wrists if np.isfinite(wrist).all()] for wrists in hands]
        assert all(len(wrists) == 1 and np.ptp(wrists) < 1e-3 for wrists in shown)
        wrists = points[:, RIGHT.start, 0]
        assert all(np.ptp(wrists[start:stop]) > 0.05 for start, stop in utterance.truth["boundaries"])
    assert {utterance.signer for utterance in made} == {"ann", "ben"}


def test_idle_clips_are_shown_either_way_round():
    original = clip("A", num_frames=12)
    rng = np.random.default_rng(0)
    found = {}
    for _ in range(40):
        one = varied(original, rng)
        left = bool(np.isfinite(one.points[:, LEFT]).any())
        hand = one.points[:, (LEFT if left else RIGHT).start]
        again = one.mirrored() if left else one
        backwards = not np.allclose(again.points[:, RIGHT], original.points[:, RIGHT])
        found[left, backwards] = True
        np.testing.assert_allclose(again.points[:: -1 if backwards else 1, RIGHT], original.points[:, RIGHT], atol=1e-6)
        assert len(one) == 12
        assert np.isfinite(hand).all()
    assert len(found) == 4


def test_a_clip_of_another_person_stands_where_the_signer_does():
    signer = clip("B")
    other = clip("A", seed=1)
    other = replace(other, points=(other.points * 1.7 + np.array((0.3, -0.2, 0), dtype=np.float32)))
    placed = placed_like(other, signer)
    trunk, like = trunk_of(placed.points, "full"), trunk_of(signer.points, "full")
    np.testing.assert_allclose((*trunk.middle, trunk.width), (*like.middle, like.width), atol=1e-5)
    # The movement stays what it is beside the body: clips A and B have the same body, so it comes back.
    np.testing.assert_allclose(placed.points, clip("A", seed=1).points, atol=1e-5)
    nobody = replace(other, points=np.full_like(other.points, np.nan))
    assert placed_like(nobody, signer) is nobody
    assert placed_like(other, nobody) is other


def test_idling_changes_neither_the_glosses_nor_the_clips_that_are_drawn(clips, tmp_path):
    signs = [compose(clips, tmp_path / name, replace(SMALL, idle_glosses=["-"], idle=share))
             for name, share in (("without", 0.0), ("with", 1.0))]  # fmt: skip
    without, with_idle = ([(item.glosses, item.truth["clips"]) for item in corpus] for corpus in signs)
    assert without == with_idle
    assert all("idle" not in item.truth for item in signs[0])
    shares = split_clips(clips, replace(SMALL, idle_glosses=["-"]))
    pools = [{item.id for item in shares.idle[split]} for split in ("train", "dev", "test")]
    assert [len(pool) for pool in pools] == [2, 1, 1]
    assert len(set.union(*pools)) == 4
    assert compose(clips, tmp_path / "off", SMALL).info["composed"]["idle_glosses"] == []


def test_without_idle_clips_the_arms_rest():
    pieces = [clip("A"), clip("B")]
    for place, frame, piece in ((0, 0, pieces[0]), (1, 0, pieces[1]), (2, -1, pieces[1])):
        rest = rest_beside(pieces, place, np.random.default_rng(place))
        assert 10 <= len(rest) <= 50
        # The body holds still where the sign begins or ends; neither hand stays where it signed.
        nose = layout.index("pose.nose")
        np.testing.assert_array_equal(rest.points[:, nose], np.broadcast_to(piece.points[frame, nose], (len(rest), 3)))
        signing = piece.points[frame, RIGHT.start, :2]
        way = np.linalg.norm(rest.points[:, layout.index("pose.right_wrist"), :2] - signing, axis=1)
        assert way.min() > 0.05
    nobody = replace(pieces[0], points=np.full_like(pieces[0].points, np.nan))
    assert np.isnan(rest_beside([nobody], 0, np.random.default_rng(0)).points).all()


def test_a_hand_out_of_view_rests_in_view():
    signed = clip("A")
    rested = with_resting_hands(signed, 1.0, np.random.default_rng(0))
    assert np.isfinite(rested.points[:, LEFT]).all()
    np.testing.assert_array_equal(rested.points[:, RIGHT], signed.points[:, RIGHT])
    wrist = layout.index("pose.left_wrist")
    assert (rested.visibility[:, wrist] == 1).all()
    assert with_resting_hands(signed, 0.0, np.random.default_rng(0)) is signed


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"idle_glosses": ["idel"]}, "no gloss 'idel'; known: -, A, B"),
        ({"idle_glosses": ["A", "B", "-"]}, "leaves no gloss"),
    ],
)
def test_wrong_idle_glosses(clips, settings, message):
    with pytest.raises(InputError, match=message):
        split_clips(clips, replace(SMALL, **settings))


def test_wrong_shares():
    with pytest.raises(InputError, match="--idle is 2"):
        ComposeOptions(idle=2)
    with pytest.raises(InputError, match="--resting_hand is -1"):
        ComposeOptions(resting_hand=-1)


def test_glosses_that_may_be_idling_are_named(clips):
    assert any(note.startswith("- may be no sign; with --idle_glosses - ") for note in split_clips(clips, SMALL).notes)
    named = replace(SMALL, idle_glosses=["-"])
    assert not any("may be no sign" in note for note in split_clips(clips, named).notes)
