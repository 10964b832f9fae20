"""The simulated signer's phonology and body: signs that touch, large lexicons, what no body does over many frames."""

from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytest

from signloom import layout
from signloom.errors import InputError
from signloom.synth import skin
from signloom.synth.body import WRIST_LIMIT, pose_arms, pose_body
from signloom.synth.dials import Dials
from signloom.synth.lexicon import apart, comfortable, confusability, make_lexicon, touches, touching_gap
from signloom.synth.movements import LOCAL_MOVEMENTS, MOVEMENTS, SPEEDS, phase_of
from signloom.synth.performance import Performance, perform
from signloom.synth.proportions import Proportions
from signloom.synth.rotations import head_rotation
from signloom.synth.signer import Signer, make_signer
from signloom.synth.signs import (
    ANGLE_LIMITS,
    HANDSHAPES,
    LOCATIONS,
    MANUAL_PARAMETERS,
    ORIENTATIONS,
    Sign,
    pointing_sign,
    rest_sign,
)
from signloom.synth.stroke import citation_form
from signloom.synth.variants import signs_as_signed

pytestmark = pytest.mark.slow

PLAIN = Sign("X", "one", "B", "chest", "across-in", "hold")
CLEAN = Dials(preset="clean")


@cache
def lexicon():
    return make_lexicon(100, seed=5, minimal_pairs=0.5)


class Body(NamedTuple):
    """A sentence in three dimensions.

    points: (T, 543, 3).  arms: elbow (T, 3) and hand (T, 21, 3) of the strong and of the weak arm, each on its own
    side, and the forearm that the other hand may come near.
    """

    fps: float
    signer: Signer
    performance: Performance
    points: np.ndarray
    arms: tuple


@cache
def body(preset, fps, number):
    """The sentence of a number, posed once for all tests."""
    dials = Dials(preset=preset, left_handed=0.0)
    rng = np.random.default_rng(number)
    signer = make_signer(number, seed=5, dials=dials)
    signs = [lexicon()[int(place)] for place in rng.integers(len(lexicon()), size=7)]
    performance = perform(signs, signer, fps=fps, dials=dials, rng=rng)
    motion = performance.motion
    points = pose_body(motion, signer.proportions).astype(np.float64)
    arms = pose_arms(motion.right, motion.left, signer.proportions, head_rotation(motion.head), fps=motion.fps)
    return Body(fps, signer, performance, points, arms)


def bodies(preset, fps, *, num_sentences, num_frames):
    made = [body(preset, fps, number) for number in range(num_sentences)]
    assert sum(len(one.points) for one in made) > num_frames
    return made


@pytest.fixture(params=[25.0, 50.0])
def hard_bodies(request):
    return bodies("hard", request.param, num_sentences=20 if request.param == 25.0 else 10, num_frames=1500)


# Every limit is tightest at the hardest preset; the others have fewer sentences.
@pytest.fixture(params=["clean", "easy", "phoenix", "hard"])
def preset_bodies(request):
    if request.param == "hard":
        return bodies("hard", 25.0, num_sentences=20, num_frames=1900)
    return bodies(request.param, 25.0, num_sentences=10, num_frames=900)


def speeds(place, fps):
    return np.linalg.norm(np.diff(place, axis=0), axis=1) * fps


# Phonology


def test_the_phonology_is_as_large_as_asked():
    assert len(HANDSHAPES) >= 24
    assert len(LOCATIONS) >= 20
    assert {place.anchor for place in LOCATIONS.values()} == {"head", "trunk", "arm"}
    assert {"forearm", "elbow", "upper-arm", "wrist", "weak-back"} <= set(LOCATIONS)
    assert sum(movement.path is not None for movement in MOVEMENTS.values()) >= 10
    assert set(LOCAL_MOVEMENTS) == {"none", "twist", "nod", "open", "close", "wiggle"}
    assert len(ORIENTATIONS) >= 8


def test_a_repeated_path_is_done_twice():
    time = np.linspace(0, 1, 400)
    there, again = (phase_of(MOVEMENTS["down"], repeats, time) for repeats in (1, 2))
    assert (np.diff(there) >= 0).all()
    # Up to the end, back to the beginning, and up to the end again.
    turns = np.flatnonzero(np.diff(np.sign(np.diff(again)))).size
    assert (again[0], again.max(), again[-1]) == (0, pytest.approx(1), pytest.approx(1))
    assert turns >= 2
    assert again[200] < 0.5
    # A closed path goes around without turning back.
    around = np.unwrap(2 * np.pi * phase_of(MOVEMENTS["circle"], 2, time[:-1])) / (2 * np.pi)
    assert (np.diff(around) >= -1e-9).all()
    assert around[-1] == pytest.approx(2, abs=1e-3)


def test_size_speed_and_repetition_show():
    signer = make_signer(0, seed=0, dials=CLEAN)
    moving = replace(PLAIN, location="space-middle", movement="down")

    def reach(sign):
        return np.ptp(citation_form(sign, signer, 30)[0].place[:, 1])

    assert reach(replace(moving, size="small")) < reach(moving) < reach(replace(moving, size="large"))

    def frames(sign):
        performance = perform([sign], signer, fps=100.0, dials=CLEAN, rng=np.random.default_rng(0))
        return performance.strokes[0][1] - performance.strokes[0][0]

    assert frames(replace(moving, speed="quick")) < frames(moving) < frames(replace(moving, speed="slow"))
    assert frames(replace(moving, repeats=2)) > 1.3 * frames(moving)
    assert set(SPEEDS) == {"slow", "plain", "quick"}


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "base"},
        {"location": "forearm"},
        {"location": "space-far", "contact": True},
        {"orientation": "forward-up", "contact": True},
        {"local": "wiggle", "handshape": "S"},
        {"local": "open", "movement": "shake", "handshape": "5"},
        {"movement": "shake", "repeats": 2},
        {"movement": "down", "repeats": 2, "size": "large"},
        {"size": "small"},
        {"weak_handshape": "S"},
        {"kind": "both", "location": "belly"},
        {"location": "nose", "orientation": "forward-down"},
    ],
)
def test_what_no_body_does_is_not_possible(change):
    assert PLAIN.possible()
    assert not replace(PLAIN, **change).possible()


def test_pointing_signs_point_to_four_places_that_differ():
    signs = [pointing_sign(f"IX{locus}", locus) for locus in range(4)]
    assert all(sign.possible() and comfortable(sign) for sign in signs)
    assert all(apart(a, b) for place, a in enumerate(signs) for b in signs[:place])
    with pytest.raises(InputError, match="pointing sign 'IX': locus is 4; needed 0 to 3"):
        pointing_sign("IX", 4)
    others = make_lexicon(40, seed=2, minimal_pairs=0.9, apart_from=signs)
    assert all(apart(sign, other) for sign in signs for other in others)


# Lexicon


def test_lexicons_hold_minimal_pairs_in_every_parameter():
    table = confusability(lexicon())
    assert {"handshape", "location", "orientation", "movement"} <= {pair[2] for pair in table["minimal_pairs"]}
    by_gloss = {sign.gloss: sign for sign in lexicon()}
    for first, second, parameter in table["minimal_pairs"]:
        different = [
            name
            for name, a, b in zip(MANUAL_PARAMETERS, by_gloss[first].manual, by_gloss[second].manual, strict=True)
            if a != b
        ]
        assert different == [parameter]


def test_the_nearest_sign_is_the_nearest():
    few = lexicon()[:12]
    nearest = confusability(few)["nearest"]
    for sign in few:
        other, distance = nearest[sign.gloss]
        assert other != sign.gloss
        # Signs of a lexicon are apart: one threshold or more.
        assert distance >= 1
        alone = [confusability([sign, one])["nearest"][sign.gloss][1] for one in few if one != sign]
        assert distance == pytest.approx(min(alone), abs=2e-3)
    # Idle hands look like no sign.
    assert confusability([*few, rest_sign("__ON__")])["nearest"]["__ON__"][1] > 1
    assert confusability(few[:1]) == {"minimal_pairs": [], "nearest": {few[0].gloss: None}}


def test_signs_with_contact_touch_and_stay_outside():
    touching = [sign for sign in lexicon() if sign.contact]
    assert {LOCATIONS[sign.location].anchor for sign in touching} == {"head", "trunk", "arm"}
    body = Proportions()
    for sign in touching:
        assert touches(sign)
        assert touching_gap(sign) <= 0.015, sign
        (_, hand), _, _ = pose_arms(*citation_form(sign, make_signer(0, seed=0, dials=CLEAN), 12), body)
        # The surface lies a finger's half thickness in front of the skin: no joint comes behind the skin itself by more
        # than the corner of a pixel.
        depth = skin.depth(hand, body, None)
        assert depth.max() < skin.FINGER + 0.004, sign
    # Without contact many of the same signs stay away.
    loose = [touching_gap(replace(sign, contact=False)) for sign in touching]
    assert np.mean(np.array(loose) > 0.015) > 0.2


def test_contact_is_lost_where_there_is_nothing_to_touch():
    touching = replace(PLAIN, contact=True)
    assert touching.with_value("location", "belly").contact
    assert not touching.with_value("location", "space-far").contact
    assert not touching.with_value("orientation", "forward-up").contact


# Performance


def test_hands_are_up_where_a_sentence_without_a_gloss_of_rest_is_cut_out_of_a_text():
    """What is glossed can be seen: a sentence that begins with __ON__ begins lower than one that does not."""
    higher = []
    for number in range(40):
        signer = make_signer(number % 8, seed=1, dials=Dials())
        heights = {}
        for glossed in (False, True):
            performance = perform(
                lexicon()[:3], signer, fps=25.0, dials=Dials(), rng=np.random.default_rng(number), rest_glossed=glossed
            )
            place = performance.motion.right.place
            heights[glossed] = place[[0, -1], 1]
            # Nothing but the ends is another: the strokes have the same lengths.
            lengths = [end - start for start, end in performance.strokes]
            assert lengths == heights.setdefault("lengths", lengths)
            assert performance.boundaries[0][0] > 0
            assert performance.boundaries[-1][1] < len(place)
        # y points down.
        higher += list(heights[False] - heights[True])
    assert min(higher) > 0.0
    assert np.median(higher) > 0.1
    # Where rest is glossed it is as it was.
    words = [rest_sign("__ON__"), *lexicon()[:3], rest_sign("__OFF__")]
    signer = make_signer(0, seed=1, dials=Dials())
    one, other = (
        perform(words, signer, fps=25.0, dials=Dials(), rng=np.random.default_rng(0), rest_glossed=glossed)
        for glossed in (False, True)
    )
    np.testing.assert_array_equal(one.motion.right.place, other.motion.right.place)


def test_rest_signs_are_the_rest_at_the_ends():
    signer = make_signer(0, seed=0, dials=CLEAN)
    words = [rest_sign("__ON__"), *lexicon()[:3], rest_sign("__OFF__")]
    performance = perform(words, signer, fps=25.0, dials=Dials(), rng=np.random.default_rng(0))
    assert performance.boundaries[0][0] == performance.strokes[0][0] == 0
    assert performance.boundaries[-1][1] == performance.strokes[-1][1] == len(performance.motion)
    assert all(end == start for (_, end), (start, _) in pairwise(performance.boundaries))
    start, end = performance.strokes[0]
    hands = pose_body(performance.motion, signer.proportions)[start + 1 : end - 2, layout.index("right_hand.wrist")]
    # Below the belly, still but for the body's sway.
    assert hands[:, 1].min() > 0.25
    assert speeds(hands, 25.0).max() < 0.5
    inside = perform(
        [lexicon()[0], rest_sign("PAUSE"), lexicon()[1]], signer, fps=25.0, dials=Dials(), rng=np.random.default_rng(0)
    )
    assert len(inside.boundaries) == 3
    alone = perform([rest_sign("__ON__")], signer, fps=25.0, dials=Dials(), rng=np.random.default_rng(0))
    assert alone.boundaries == ((0, len(alone.motion)),)


def test_idling_is_outside_of_the_glosses_and_changes_nothing_where_it_is_off():
    signs = lexicon()[:4]
    signer = make_signer(0, seed=0, dials=Dials())
    never, often = (
        [
            perform(signs, signer, fps=25.0, dials=Dials(idling=dial), rng=np.random.default_rng(number))
            for number in range(20)
        ]
        for dial in (0.0, 3.0)
    )
    assert not any(performance.idle for performance in never)
    between = 0
    for performance in often:
        glossed = np.zeros(len(performance.motion), dtype=bool)
        for start, end in performance.boundaries:
            assert not glossed[start:end].any()
            glossed[start:end] = True
        for start, end in performance.idle:
            assert not glossed[start:end].any()
            assert 15 <= end - start <= 75
            between += performance.boundaries[0][0] < start < performance.boundaries[-1][1]
        # At 0.4 times 3 it always idles at the ends.
        assert performance.idle[0][0] == 0
        assert performance.idle[-1][1] == len(performance.motion)
        arms = performance.motion.right, performance.motion.left
        assert max(np.linalg.norm(np.diff(arm.place, axis=0), axis=1).max() for arm in arms) * 25 < 6
    # 60 gaps, each with a probability of 0.24.
    assert 5 <= between <= 27


def test_glosses_last_as_long_as_on_phoenix():
    frames = glosses = 0
    for number in range(60):
        rng = np.random.default_rng(number)
        signs = [lexicon()[int(place)] for place in rng.integers(len(lexicon()), size=9)]
        words = [rest_sign("__ON__"), *signs, rest_sign("__OFF__")]
        signer = make_signer(number, seed=0, dials=Dials())
        frames += len(perform(words, signer, fps=25.0, dials=Dials(), rng=rng).motion)
        glosses += len(words)
    # PHOENIX-2014 multisigner: 799,006 frames for 65,227 words of train, 12.2 each.
    assert 11.7 < frames / glosses < 13.5


def test_the_weak_hand_dial_holds():
    both = next(sign for sign in lexicon() if sign.kind == "both" and sign.movement != "hold")
    one = next(sign for sign in lexicon() if sign.kind == "one")
    signer = make_signer(0, seed=0, dials=CLEAN)

    def held(dial):
        """How high the weak hand is in one-handed signs after two-handed ones, mean over tokens."""
        heights = []
        for seed in range(40):
            performance = perform(
                [both, one], signer, fps=25.0, dials=replace(CLEAN, weak_hand=dial), rng=np.random.default_rng(seed)
            )
            start, end = performance.strokes[1]
            heights.append(-performance.motion.left.place[start:end, 1].mean())
        return np.array(heights)

    off, on = held(0.0), held(2.0)
    assert np.ptp(off) < 0.1
    assert on.mean() > off.mean() + 0.02


def test_the_weak_hand_dial_drops_out_of_two_handed_signs():
    both = next(sign for sign in lexicon() if sign.kind == "both" and sign.movement == "down")
    signer = make_signer(0, seed=0, dials=CLEAN)

    def dropped(dial):
        """In how many tokens the weak hand stays down, of 100."""
        heights = []
        for seed in range(100):
            dials = replace(CLEAN, weak_hand=dial)
            motion = perform([both], signer, fps=25.0, dials=dials, rng=np.random.default_rng(seed)).motion
            heights.append(motion.left.place[:, 1].min() - motion.right.place[:, 1].min())
        return int((np.array(heights) > 0.08).sum())

    # 0.06 at dial 1: 18 expected at 3, standard deviation 4.
    assert dropped(0.0) == 0
    assert 6 <= dropped(3.0) <= 32


def test_coarticulation_weakens_the_weak_hand_of_two_handed_signs():
    both = next(sign for sign in lexicon() if sign.kind == "both" and sign.movement == "down")
    signer = make_signer(0, seed=0, dials=CLEAN)

    def share(dial):
        """How far the weak hand goes, of how far the strong one does."""
        ways = []
        for seed in range(20):
            dials = replace(CLEAN, coarticulation=dial)
            performance = perform([both], signer, fps=25.0, dials=dials, rng=np.random.default_rng(seed))
            start, end = performance.strokes[0]
            motion = performance.motion
            ways.append(np.ptp(motion.left.place[start:end, 1]) / np.ptp(motion.right.place[start:end, 1]))
        return np.mean(ways)

    assert share(0.0) > share(1.0) + 0.05 > share(2.0) + 0.1


def test_fingers_begin_a_sign_a_little_as_they_ended_the_last():
    signer = make_signer(0, seed=0, dials=CLEAN)
    fist, spread = (Sign(shape, "one", shape, "space-low", "across-in", "hold") for shape in ("S", "5"))

    def flexion(signs, dial):
        dials = replace(CLEAN, coarticulation=dial)
        performance = perform(signs, signer, fps=100.0, dials=dials, rng=np.random.default_rng(0))
        start, end = performance.strokes[-1]
        # A fifth into the sign: what the smoothing over its edge brings along is over.
        return performance.motion.right.angles[start + (end - start) // 5, 5]

    alone, after = (flexion(signs, 1.0) for signs in ([spread], [fist, spread]))
    assert flexion([fist, spread], 0.0) == pytest.approx(flexion([spread], 0.0), abs=0.5)
    assert after > alone + 2


def test_mouth_brows_and_head_go_with_their_sign_and_eyes_blink():
    signer = make_signer(0, seed=0, dials=CLEAN)
    telling = replace(PLAIN, mouth="oo", brow="raised", head="nod")

    def shown(sign):
        performance = perform([PLAIN, sign, PLAIN], signer, fps=50.0, dials=CLEAN, rng=np.random.default_rng(0))
        start, end = performance.strokes[1]
        motion = performance.motion
        return motion.expression[start:end], motion.head[start:end, 1], motion.expression[: start - 20]

    (face, nod, before), (plain_face, plain_nod, _) = shown(telling), shown(PLAIN)
    # Rounded lips and raised brows, and not before: blend weights about 1, blurred over the stroke's ends.
    assert face[:, 2].max() > 0.7
    assert face[:, 3].max() > 0.7
    assert np.abs(before[:, [2, 3]]).max() < 0.1
    assert np.abs(plain_face[:, :4]).max() < 0.1
    # A nod of seven degrees there and back; the head's own sway is the same in both.
    assert np.ptp(nod - plain_nod) > 5
    blinks = expected = 0
    for seed in range(8):
        motion = perform([PLAIN] * 40, signer, fps=25.0, dials=CLEAN, rng=np.random.default_rng(seed)).motion
        closed = motion.expression[:, 4] > 0.7
        blinks += np.count_nonzero(closed[1:] & ~closed[:-1])
        expected += len(motion) / 25 / 2.5
    # One in 2.5 s on average, some of them in one another: about 40, three standard deviations are 19.
    assert 0.5 * expected < blinks < 1.5 * expected


def test_coarticulation_draws_signs_together_and_prepares_the_fingers():
    signer = make_signer(0, seed=0, dials=CLEAN)
    fist = Sign("A", "one", "S", "forehead", "up-out", "hold")
    spread = Sign("B", "one", "5", "space-low", "across-in", "hold")

    def end_of_first(dial):
        performance = perform(
            [fist, spread], signer, fps=50.0, dials=replace(CLEAN, coarticulation=dial), rng=np.random.default_rng(0)
        )
        last = performance.strokes[0][1] - 1
        arm = performance.motion.right
        return arm.angles[last, 5], arm.place[performance.strokes[0][0] : last + 1, 1].mean()

    flexions, heights = zip(*(end_of_first(dial) for dial in (0.0, 1.0, 3.0)), strict=True)
    assert flexions[0] > flexions[1] > flexions[2]
    assert heights[0] < heights[1] < heights[2]


def test_tokens_of_one_sign_differ_as_their_dial_says():
    signer = make_signer(0, seed=0, dials=CLEAN)
    moving = replace(PLAIN, location="space-middle", movement="down")

    def spread(dial):
        """Standard deviations over tokens: of the hand's place, its way, its turn, its fingers and its time."""
        rows = []
        for seed in range(40):
            dials = replace(CLEAN, token_variation=dial)
            performance = perform([moving], signer, fps=50.0, dials=dials, rng=np.random.default_rng(seed))
            start, end = performance.strokes[0]
            arm = performance.motion.right
            place, turn, angles = arm.place[start:end], arm.rotation[start:end], arm.angles[start:end]
            rows.append(
                (*place.mean(axis=0), np.ptp(place[:, 1]), *turn.mean(axis=0), *angles.mean(axis=0), end - start)
            )
        values = np.std(rows, axis=0)
        return np.array([values[:3].mean(), values[3], values[4:8].mean(), values[8:24].mean(), values[24]])

    none, one, three = (spread(dial) for dial in (0.0, 1.0, 3.0))
    assert (none < 0.5 * one).all()
    assert (one < three).all()


def test_signers_differ_in_everything_as_far_as_their_dial_says():
    def traits(dials):
        rows = [make_signer(number, seed=0, dials=dials) for number in range(30)]
        single = ("tempo", "amplitude", "holding", "expressiveness", "smoothness", "unsteadiness")
        arrays = ("space", "shift", "rest", "carriage", "lean")
        tables = ("places", "grips", "turns", "shapes")
        bones = ("shoulder_half_width", "upper_arm", "forearm", "hand", "neck", "head", "trunk")
        found = {name: [getattr(row, name) for row in rows] for name in (*single, *arrays)}
        found |= {name: [np.concatenate([*getattr(row, name).values()]) for row in rows] for name in tables}
        return found | {name: [getattr(row.proportions, name) for row in rows] for name in bones}

    for name, values in traits(Dials(preset="phoenix")).items():
        assert (np.std(values, axis=0) > 1e-6).all(), name
    for name, values in traits(CLEAN).items():
        np.testing.assert_array_equal(values, np.broadcast_to(values[0], np.shape(values)), err_msg=name)


def test_signers_have_a_dialect_and_habits_of_their_own():
    dials = Dials(dialect=0.3)
    signers = [make_signer(number, seed=0, dials=dials) for number in range(12)]
    shares = []
    for signer in signers:
        forms, positions = signs_as_signed(lexicon(), signer)
        assert (forms, positions) == signs_as_signed(lexicon(), signer)
        assert [form.gloss for form in forms] == [sign.gloss for sign in lexicon()]
        assert all(form.possible() for form in forms)
        assert all(forms[place].manual != lexicon()[place].manual for place in positions)
        changed = sum(form.manual != sign.manual for form, sign in zip(forms, lexicon(), strict=True))
        shares.append((len(positions) / len(lexicon()), (changed - len(positions)) / len(lexicon())))
    dialect, habits = np.mean(shares, axis=0)
    # 12 x 150 draws of 0.3: three standard errors are 0.03.
    assert abs(dialect - 0.3) < 0.035
    assert 0.005 < habits < 0.12
    plain = make_signer(3, seed=0, dials=CLEAN)
    assert signs_as_signed(lexicon(), plain) == (lexicon(), ())
    performance = perform(lexicon()[:20], signers[0], fps=25.0, dials=dials, rng=np.random.default_rng(0))
    assert performance.dialect == tuple(place for place in signs_as_signed(lexicon(), signers[0])[1] if place < 20)


def test_posture_leans_the_trunk_about_the_hips():
    signer = make_signer(0, seed=0, dials=CLEAN)
    motion = perform(lexicon()[:2], signer, fps=25.0, dials=CLEAN, rng=np.random.default_rng(0)).motion
    straight = pose_body(motion, signer.proportions)
    leaning = pose_body(replace(motion, lean=np.array((0.0, 0.0, 5.0))), signer.proportions)
    hips = layout.indices("pose.left_hip", "pose.right_hip")
    np.testing.assert_array_equal(straight[:, hips], leaning[:, hips])
    nose = layout.index("pose.nose")
    # Five degrees of about 0.65 m from the hips to the nose.
    assert 0.04 < abs(leaning[:, nose, 0] - straight[:, nose, 0]).mean() < 0.075


def test_a_dial_at_zero_leaves_the_other_draws_alone():
    signer = make_signer(1, seed=0, dials=CLEAN)
    words = lexicon()[:5]

    def spans(**changes):
        dials = replace(Dials(), **changes)
        return perform(words, signer, fps=25.0, dials=dials, rng=np.random.default_rng(3)).strokes

    assert [end - start for start, end in spans()] == [end - start for start, end in spans(weak_hand=0.0)]
    assert [end - start for start, end in spans()] == [end - start for start, end in spans(coarticulation=0.0)]


# Bodies at the hardest preset


def test_bones_and_joints_hold_at_the_hardest_preset(hard_bodies):
    for _, signer, performance, points, _ in hard_bodies:
        for side, arm in (("right", performance.motion.right), ("left", performance.motion.left)):
            hand = points[:, layout.GROUPS[f"{side}_hand"]]
            for a, b in layout.HAND_BONES:
                assert np.ptp(np.linalg.norm(hand[:, a] - hand[:, b], axis=1)) < 2e-6
            shoulder, elbow = (points[:, layout.index(f"pose.{side}_{name}")] for name in ("shoulder", "elbow"))
            forearm = hand[:, 0] - elbow
            np.testing.assert_allclose(
                np.linalg.norm(elbow - shoulder, axis=1), signer.proportions.upper_arm, atol=2e-6
            )
            np.testing.assert_allclose(np.linalg.norm(forearm, axis=1), signer.proportions.forearm, atol=2e-6)
            assert (arm.angles >= ANGLE_LIMITS[:, 0]).all()
            assert (arm.angles <= ANGLE_LIMITS[:, 1]).all()
            assert angle(forearm, hand[:, 9] - hand[:, 0]).max() < WRIST_LIMIT + 3
            assert angle(shoulder - elbow, forearm).min() > 25
            assert angle(shoulder - elbow, forearm).max() < 175


def test_nothing_jumps_at_the_hardest_preset(hard_bodies):
    for fps, _, _, points, _ in hard_bodies:
        for side in ("left", "right"):
            # Unhurried signing peaks at 2 to 3 m/s.
            assert speeds(points[:, layout.index(f"{side}_hand.wrist")], fps).max() < 6.0
            # A finger tip is turned by the wrist as well.
            assert speeds(points[:, layout.GROUPS[f"{side}_hand"]][:, 12], fps).max() < 12.0
            # An elbow swings around a hand that passes near the shoulder; a higher frame rate catches the peak of it.
            assert speeds(points[:, layout.index(f"pose.{side}_elbow")], fps).max() < 6.4
        assert speeds(points[:, layout.index("pose.nose")], fps).max() < 1.0


def test_hands_pass_through_nothing_at_the_hardest_preset(hard_bodies):
    depths, clearances = [], []
    for _, signer, performance, _, arms in hard_bodies:
        body, head = signer.proportions, head_rotation(performance.motion.head)
        (_, strong), (_, weak), limb = arms
        flip = np.array((-1.0, 1.0, 1.0))
        for hand, turn in ((strong, head), (weak, flip[:, None] * head * flip)):
            depths.append(skin.depth(hand, body, turn))
        clearances.append(limb.nearest(strong)[0])
    depth, clearance = np.concatenate(depths) - skin.FINGER, np.concatenate(clearances)
    # Behind the skin: never by as much as a finger is thick; the other hand: not by more than both are soft.
    assert depth.max() < 0.018
    assert np.quantile(depth, 0.999) < 0.002
    assert (clearance < -0.005).mean() < 0.01
    assert clearance.min() > -0.03


# Bodies at every preset


def test_forearms_stay_out_of_the_trunk(preset_bodies):
    inside = []
    for _, signer, _, _, arms in preset_bodies:
        for elbow, hand in arms[:2]:
            middle = 0.5 * (elbow + hand[:, 0])
            # An ellipse that is narrower than any chest.
            wide, deep = 0.82 * signer.proportions.shoulder_half_width, 0.077
            inside.append(((middle[:, 0] / wide) ** 2 + (middle[:, 2] / deep) ** 2 < 1) & (middle[:, 1] > 0.02))
    assert np.concatenate(inside).mean() < 0.001


def test_elbows_neither_snap_nor_go_behind_the_back(preset_bodies):
    fast, behind, across = [], [], []
    for fps, _, _, points, arms in preset_bodies:
        for side in ("left", "right"):
            fast.append(speeds(points[:, layout.index(f"pose.{side}_elbow")], fps))
        for elbow, _ in arms[:2]:
            behind.append(elbow[:, 2])
            across.append(elbow[:, 0])
    fast, behind, across = (np.concatenate(values) for values in (fast, behind, across))
    assert fast.max() < 6.2
    assert np.quantile(fast, 0.995) < 4.5
    # Only a hand that touches the ribs needs the elbow there.
    assert behind.max() < 0.25
    assert (behind > 0.12).mean() < 0.005
    # An upper arm is not folded across the chest.
    assert across.max() < 0.06
    assert (across > 0).mean() < 0.01


def test_elbows_hang_and_hands_lie_apart_at_rest():
    low = []
    for number in range(40):
        signer = make_signer(number, seed=5, dials=Dials())
        performance = perform([rest_sign("__ON__")], signer, fps=25.0, dials=Dials(), rng=np.random.default_rng(number))
        body = signer.proportions
        (strong, weak, limb) = pose_arms(performance.motion.right, performance.motion.left, body, fps=25.0)
        for elbow, hand in (strong, weak):
            # Beside the trunk: not as far out as an elbow that is set akimbo.
            assert (elbow[:, 0] > -body.shoulder_half_width - 0.16).all()
            assert (elbow[:, 1] > 0.15).all()
            assert (hand[:, 0, 1] > elbow[:, 1] - 0.06).all()
        assert limb.nearest(strong[1])[0].min() > -0.006
        low.append(signer.rest[0, 1] > 0.47)
    # Some clasp their hands, some let them hang.
    assert 0.1 < np.mean(low) < 0.6


def test_forearms_pass_over_each_other(preset_bodies):
    gaps = []
    for *_, arms in preset_bodies:
        (elbow, hand), (other_elbow, other_hand) = arms[:2]
        flip = np.array((-1.0, 1.0, 1.0))
        share = np.linspace(0, 1, 9)[:, None]
        mine = elbow[:, None] + share * (hand[:, 0] - elbow)[:, None]
        other = (other_elbow[:, None] + share * (other_hand[:, 0] - other_elbow)[:, None]) * flip
        gaps.append(np.linalg.norm(mine[:, :, None] - other[:, None], axis=-1).min(axis=(1, 2)))
    gaps = np.concatenate(gaps)
    assert (gaps < 0.035).mean() < 0.003


def angle(first, second):
    cosine = (first * second).sum(axis=1) / np.linalg.norm(first, axis=1) / np.linalg.norm(second, axis=1)
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))
