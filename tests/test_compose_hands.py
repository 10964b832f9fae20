"""Composed utterances whose hands come from rest and return to it, and one-handed signs by the other hand."""

from dataclasses import replace

import numpy as np
import pytest

from one_handed import one_handed_clip
from signloom import layout
from signloom.anatomy.idle_hands import trunk_of
from signloom.compose import ComposeOptions, compose, split_clips
from signloom.compose.leads import lead_in, lead_out
from signloom.compose.other_hand import by_other_hand, is_one_handed
from signloom.corpus import Corpus, CorpusWriter
from signloom.errors import InputError

SMALL = ComposeOptions(num_train=12, num_dev=3, num_test=3, seed=1)
LEFT, RIGHT = layout.GROUPS["left_hand"], layout.GROUPS["right_hand"]
HERTZ = {"A": 1.3, "B": 2.1}


def two_handed(clip):
    """The clip with a left hand that moves as the right one does."""
    points = clip.points.copy()
    points[:, LEFT] = points[:, RIGHT] * (-1, 1, 1) + np.array((1.2, 0, 0), dtype=np.float32)
    points[:, layout.index("pose.left_wrist")] = points[:, LEFT.start]
    return replace(clip, points=points)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Clips of two one-handed signs, A and B, and of C, made with two hands; one signer."""
    with CorpusWriter(tmp_path_factory.mktemp("hands") / "signs", {"name": "signs", "licence": "CC0"}) as writer:
        for k in range(8):
            for gloss, hertz in HERTZ.items():
                landmarks = one_handed_clip(hertz=hertz, seed=k)
                writer.add(f"{gloss}-{k}", split="train", signer="ann", glosses=[gloss], landmarks=landmarks)
            landmarks = two_handed(one_handed_clip(hertz=1.0, seed=k))
            writer.add(f"C-{k}", split="train", signer="ann", glosses=["C"], landmarks=landmarks)
    return Corpus.open(writer.root)


@pytest.mark.parametrize("seed", range(5))
def test_hands_come_up_from_rest_to_where_the_sign_begins(seed):
    sign = one_handed_clip(hertz=1.3)
    way = lead_in(sign, np.random.default_rng(seed))
    # Rest of 0 to 1 s, then 0.3 to 1.5 s.
    assert 0.3 * 25 - 1 <= len(way) <= 2.5 * 25
    wrist = way.points[:, layout.index("pose.right_wrist"), :2]
    target = sign.points[0, layout.index("pose.right_wrist"), :2]
    distance = np.linalg.norm(wrist - target, axis=1)
    assert distance[0] > 0.05
    # One more frame of a smooth way leads there.
    assert distance[-1] < 0.1 * distance[0]
    # Nobody's hand is seen below the picture, and the hand that the sign does not show is not shown, either.
    right = way.points[:, RIGHT]
    assert not (right[:, 0, 1] > 1).any()
    np.testing.assert_array_equal(np.isfinite(right[:, 0, 0]), np.isfinite(right).all((1, 2)))
    assert np.isfinite(right[-1]).all()
    assert np.isnan(way.points[:, LEFT]).all()
    nose = layout.index("pose.nose")
    np.testing.assert_array_equal(way.points[:, nose], np.repeat(sign.points[:1, nose], len(way), axis=0))


def test_ways_are_slow_or_fast_and_hands_rest_in_view_or_not():
    sign = one_handed_clip(hertz=1.3)
    ways = [lead_in(sign, np.random.default_rng(seed)) for seed in range(60)]
    lengths = [len(way) / 25 for way in ways]
    assert min(lengths) < 0.7
    assert max(lengths) > 1.8
    seen = np.mean([np.isfinite(way.points[0, RIGHT.start, 0]) for way in ways])
    # Three in ten, and some of the places "out of view" of a tall picture; a way without rest begins on its way.
    assert 0.1 < seen < 0.7


def test_the_way_out_is_a_way_in_backwards():
    sign = one_handed_clip(hertz=1.3, num_frames=13)
    backwards = replace(sign, points=sign.points[::-1], visibility=sign.visibility[::-1])
    out, into = lead_out(sign, np.random.default_rng(3)), lead_in(backwards, np.random.default_rng(3))
    np.testing.assert_array_equal(out.points, into.points[::-1])
    assert np.isfinite(out.points[0, RIGHT]).all()


def test_without_a_hand_or_a_body_there_is_no_way():
    sign = one_handed_clip(hertz=1.3)
    points = sign.points.copy()
    points[0, RIGHT] = np.nan
    assert lead_in(replace(sign, points=points), np.random.default_rng(0)) is None
    points = sign.points.copy()
    points[:, layout.GROUPS["pose"]] = np.nan
    assert lead_in(replace(sign, points=points), np.random.default_rng(0)) is None


def test_leads_stand_beside_the_first_and_the_last_sign(clips, tmp_path):
    plain = compose(clips, tmp_path / "plain", replace(SMALL, lead=0.0))
    led = compose(clips, tmp_path / "led", replace(SMALL, lead=1.0, idle=1.0))
    for before, after in zip(plain, led, strict=True):
        assert (before.glosses, before.truth["clips"]) == (after.glosses, after.truth["clips"])
        (start, up), (down, end) = after.truth["lead"]
        idle, signs = after.truth["idle"], after.truth["boundaries"]
        # Idle, hands up, signs, hands down, idle.
        assert idle[0][1] < start < up <= signs[0][0]
        assert signs[-1][1] <= down < end <= idle[-1][0]
        assert len(signs) == len(after.glosses)
    assert all("lead" not in item.truth for item in plain)


def test_half_of_the_utterances_begin_and_end_at_rest_unless_a_gloss_shows_rest(clips, tmp_path):
    made = compose(clips, tmp_path / "made", replace(SMALL, num_train=80))
    ends = [len(item.truth.get("lead", [])) for item in made.split("train")]
    assert 0.35 < sum(ends) / 160 < 0.65
    assert made.info["composed"]["lead"] == 0.5
    assert not [note for note in split_clips(clips, SMALL).notes if "--lead" in note]
    with CorpusWriter(tmp_path / "signs", {"name": "signs"}) as writer:
        for item in clips:
            gloss = "-" if item.glosses == ("B",) else item.glosses[0]
            writer.add(item.id, split="train", signer=item.signer, glosses=[gloss], landmarks=clips.load(item))
    rest = Corpus.open(writer.root)
    assert all("lead" not in item.truth for item in compose(rest, tmp_path / "rest", SMALL))
    assert [note for note in split_clips(rest, SMALL).notes if "--lead" in note] == [
        "no utterance begins or ends at rest (--lead): - seems to be the gloss of that"
    ]
    # What is asked for is done, and a gloss that is named as rest is none.
    for name, options in (("asked", {"lead": 1.0}), ("named", {"idle_glosses": ["-"]})):
        assert any("lead" in item.truth for item in compose(rest, tmp_path / name, replace(SMALL, **options)))


def test_one_handed_signs_are_known_by_the_hand_that_takes_no_part():
    clip = one_handed_clip(hertz=1.3)
    assert is_one_handed(clip)
    assert is_one_handed(clip.mirrored())
    assert not is_one_handed(two_handed(clip))
    # A hand that rests in the lap, in view, takes no part.
    rests = two_handed(clip)
    rests.points[:, LEFT] = rests.points[0, LEFT] + np.array((0, 0.4, 0), dtype=np.float32)
    assert is_one_handed(rests)
    # Nor is it one of a hand that holds still before the chest, beside the other: that one may be acted on.
    base = two_handed(clip)
    base.points[:, LEFT] = base.points[0, LEFT] + np.array((-0.25, 0.1, 0), dtype=np.float32)
    assert not is_one_handed(base)
    nobody = replace(clip, points=np.full_like(clip.points, np.nan))
    assert not is_one_handed(nobody)


def test_the_other_hand_signs_with_the_shoulders_where_they_were():
    clip = one_handed_clip(hertz=1.3)
    other = by_other_hand(clip)
    before, after = trunk_of(clip.points, "full"), trunk_of(other.points, "full")
    np.testing.assert_allclose((*after.middle, after.width), (*before.middle, before.width), atol=1e-5)
    assert after.left == before.left
    assert np.isnan(other.points[:, RIGHT]).all()
    # As far to the other side of the middle of the shoulders.
    np.testing.assert_allclose(
        other.points[:, LEFT, 0] - after.middle[0], before.middle[0] - clip.points[:, RIGHT, 0], atol=1e-5
    )
    np.testing.assert_allclose(other.points[:, LEFT, 1], clip.points[:, RIGHT, 1], atol=1e-6)
    np.testing.assert_allclose(by_other_hand(other).points, clip.points, atol=1e-5)


def test_one_handed_signs_of_train_alone_are_mirrored(clips, tmp_path):
    plain = compose(clips, tmp_path / "plain", SMALL)
    made = compose(clips, tmp_path / "mirrored", replace(SMALL, mirror_signs=1.0))
    for before, after in zip(plain, made, strict=True):
        assert (before.glosses, before.truth["boundaries"]) == (after.glosses, after.truth["boundaries"])
        one_handed = [number for number, gloss in enumerate(after.glosses) if gloss in HERTZ]
        assert after.truth.get("mirrored", []) == (one_handed if after.split == "train" else [])
        points = made.load(after).points
        for number, (start, end) in enumerate(after.truth["boundaries"]):
            shown = tuple(bool(np.isfinite(points[start:end, hand]).all()) for hand in (LEFT, RIGHT))
            assert shown == (
                (True, True) if number not in one_handed else (after.split == "train", after.split != "train")
            )
        if after.split != "train":
            np.testing.assert_array_equal(points, plain.load(before).points)
    half = compose(clips, tmp_path / "half", replace(SMALL, mirror_signs=0.5, num_train=60))
    mirrored = sum(len(item.truth.get("mirrored", [])) for item in half.split("train"))
    signs = sum(gloss in HERTZ for item in half.split("train") for gloss in item.glosses)
    # Some 220 signs: standard error 0.034.
    assert mirrored / signs == pytest.approx(0.5, abs=0.12)


def test_wrong_shares():
    with pytest.raises(InputError, match="--lead is 1.5; needed a probability from 0 to 1"):
        ComposeOptions(lead=1.5)
    with pytest.raises(InputError, match="--mirror_signs is -1"):
        ComposeOptions(mirror_signs=-1)
