"""The simulated signer: bodies that could be, signs that can be told apart, corpora that repeat byte for byte."""

import filecmp
import json
from dataclasses import replace
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest

from signloom import layout
from signloom.anatomy.hand_model import hand_points
from signloom.cli import dispatch
from signloom.corpus import SPLITS, Corpus
from signloom.errors import InputError
from signloom.frame_times import spans
from signloom.synth import face, lexicon
from signloom.synth.body import WRIST_LIMIT, pose_body
from signloom.synth.corpus import make_clip, synthesise
from signloom.synth.dials import Dials, dial_names
from signloom.synth.lexicon import apart, citation_view, comfortable, make_lexicon, neighbours
from signloom.synth.movements import MOVEMENTS, minimum_jerk
from signloom.synth.options import SynthOptions
from signloom.synth.performance import perform
from signloom.synth.plans import lexicon_of, make_plans
from signloom.synth.proportions import Proportions
from signloom.synth.signer import make_signer
from signloom.synth.signs import ANGLE_LIMITS, HANDSHAPES, LOCATIONS, ORIENTATIONS, handshape_angles

pytestmark = pytest.mark.slow

DIALS = Dials(left_handed=0.0)
SMALL = SynthOptions(
    num_signs=12, num_signers=4, num_test_signers=1, num_train=12, num_dev=4, num_test=6, max_glosses=5
)


@pytest.fixture(scope="module")
def bodies():
    """Many sentences in three dimensions, before camera and tracker: (signer, performance, points) each."""
    made = []
    words = make_lexicon(60, seed=5, minimal_pairs=0.3)
    for number in range(30):
        rng = np.random.default_rng(number)
        signer = make_signer(number % 12, seed=5, dials=DIALS)
        signs = [words[int(place)] for place in rng.integers(len(words), size=6)]
        performance = perform(signs, signer, fps=25.0, dials=DIALS, rng=rng)
        made.append((signer, performance, pose_body(performance.motion, signer.proportions).astype(np.float64)))
    return made


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return synthesise(SMALL, tmp_path_factory.mktemp("synth") / "corpus")


# Body


@pytest.mark.slow
def test_bones_keep_their_lengths_in_every_frame(bodies):
    hand_bones = [(f"{side}_hand", a, b) for side in ("left", "right") for a, b in layout.HAND_BONES]
    arm = [
        (f"pose.{s}_{a}", f"pose.{s}_{b}")
        for s in ("left", "right")
        for a, b in (("shoulder", "elbow"), ("elbow", "wrist"))
    ]
    for signer, _, points in bodies:
        for hand, a, b in hand_bones:
            joints = points[:, layout.GROUPS[hand]]
            lengths = np.linalg.norm(joints[:, a] - joints[:, b], axis=1)
            # Single precision at one metre: a few times 1e-7.
            assert np.ptp(lengths) < 2e-6, (signer.key, hand, a, b)
        for name, (a, b) in zip(("upper_arm", "forearm") * 2, arm, strict=True):
            lengths = np.linalg.norm(points[:, layout.index(a)] - points[:, layout.index(b)], axis=1)
            np.testing.assert_allclose(lengths, getattr(signer.proportions, name), atol=2e-6)


def test_joints_stay_within_their_limits(bodies):
    for _, performance, points in bodies:
        for side, arm in (("right", performance.motion.right), ("left", performance.motion.left)):
            assert (arm.angles >= ANGLE_LIMITS[:, 0]).all()
            assert (arm.angles <= ANGLE_LIMITS[:, 1]).all()
            hand = points[:, layout.GROUPS[f"{side}_hand"]]
            forearm = hand[:, 0] - points[:, layout.index(f"pose.{side}_elbow")]
            # The hand's own axis runs from the wrist to the knuckle of the middle finger, within 3 degrees.
            bend = _angle(forearm, hand[:, 9] - hand[:, 0])
            assert bend.max() < WRIST_LIMIT + 3
            upper = points[:, layout.index(f"pose.{side}_shoulder")] - points[:, layout.index(f"pose.{side}_elbow")]
            elbow = _angle(upper, forearm)
            assert elbow.min() > 25
            assert elbow.max() < 175


def test_nothing_moves_faster_than_arms_do(bodies):
    # Unhurried signing peaks at 2 to 3 m/s; a thrown ball leaves a hand at 20. A jump of a hand would be far above.
    wrists, elbows = [], []
    for _, _, points in bodies:
        for side in ("left", "right"):
            wrists.append(_speeds(points[:, layout.index(f"{side}_hand.wrist")], 25.0))
            elbows.append(_speeds(points[:, layout.index(f"pose.{side}_elbow")], 25.0))
    assert np.quantile(np.concatenate(wrists), 0.99) < 3.0
    assert np.concatenate(wrists).max() < 5.5
    assert np.quantile(np.concatenate(elbows), 0.99) < 4.0
    assert np.concatenate(elbows).max() < 6.5


def test_hands_stay_out_of_the_head(bodies):
    for signer, _, points in bodies:
        centre = points[:, layout.GROUPS["face"]].mean(axis=1)
        for side in ("left", "right"):
            away = points[:, layout.GROUPS[f"{side}_hand"]] - centre[:, None]
            # An ellipsoid 3 cm inside the skin; the head's middle lies behind that of the face.
            size = np.array((0.045, 0.065, 0.055)) * signer.proportions.head
            assert (np.linalg.norm((away - np.array((0, 0, 0.06))) / size, axis=2) > 1).all()


def test_a_flat_hand_is_as_long_as_the_hand():
    stretched = handshape_angles("B").copy()
    stretched[[5, 6, 8, 9, 11, 12, 14, 15]] = 0
    hand = hand_points(stretched[None])[0]
    np.testing.assert_allclose(np.linalg.norm(hand[12] - hand[0]), 1.0, atol=0.02)
    # A fist's finger tips come back to the palm; a stretched hand's are in its plane.
    fist = hand_points(handshape_angles("S")[None])[0]
    assert np.linalg.norm(fist[12] - fist[0]) < 0.6
    assert abs(hand[12, 1]) < 1e-9 < fist[10, 1]


def test_handshapes_are_within_limits_and_distinct():
    for name in HANDSHAPES:
        assert (handshape_angles(name) >= ANGLE_LIMITS[:, 0]).all()
        assert (handshape_angles(name) <= ANGLE_LIMITS[:, 1]).all()
    for first, second in combinations(HANDSHAPES, 2):
        shapes = hand_points(np.stack([handshape_angles(first), handshape_angles(second)]))
        assert np.linalg.norm(shapes[0] - shapes[1], axis=1).max() > 0.1, (first, second)


def test_minimum_jerk_starts_and_ends_at_rest():
    time = np.linspace(0, 1, 1001)
    way = minimum_jerk(time)
    assert (way[0], way[500], way[-1]) == (0.0, pytest.approx(0.5), pytest.approx(1.0))
    speed = np.gradient(way, time)
    # The peak of the minimum-jerk profile is 15/8 of the mean speed.
    assert speed.max() == pytest.approx(1.875, rel=1e-3)
    assert speed[0] < 1e-3
    assert speed[-1] < 1e-3


# Face


def test_the_face_is_its_own_mirror_image():
    mirror = layout.mirror_map()[layout.GROUPS["face"]] - layout.GROUPS["face"].start
    points = face.neutral_face()
    assert np.isfinite(points).all()
    np.testing.assert_allclose(points[mirror] * (-1, 1, 1), points, atol=1e-7)
    # The signer's left is at positive x, below is at positive y, the nose in front of all.
    assert points[263, 0] > 0 > points[33, 0]
    assert points[10, 1] < points[105, 1] < points[159, 1] < points[4, 1] < points[13, 1] < points[152, 1]
    assert points[:, 2].argmin() in (1, 4, 5)


def test_an_open_mouth_lowers_the_lower_lip_alone():
    closed, opened = face.deform(np.array([[0, 0, 0, 0, 0], [1.0, 0, 0, 0, 0]]))
    moved = (opened - closed)[:, 1]
    assert moved[14] > 0.012
    assert moved[152] > 0.012
    assert abs(moved[13]) < 0.002
    assert np.abs(moved[[10, 33, 263, 105, 4]]).max() < 1e-4
    blink = face.deform(np.eye(5)[[4]])[0]
    assert abs(blink[159, 1] - blink[145, 1]) < 0.35 * abs(closed[159, 1] - closed[145, 1])


def test_other_face_points_lie_between_their_neighbours_in_the_mesh():
    connections = pytest.importorskip("mediapipe.python.solutions.face_mesh_connections")
    near = {}
    for a, b in connections.FACEMESH_TESSELATION:
        near.setdefault(a, set()).add(b)
        near.setdefault(b, set()).add(a)
    flat = face.neutral_face()[:, :2]
    table = Path(face.__file__).with_name("face_points.txt").read_text(encoding="utf-8")
    filled = np.loadtxt(table.partition("# All other points")[2].splitlines()[1:])[:, 0].astype(int)
    assert len(filled) == 152
    # The table is rounded to whole millimetres.
    for point in filled:
        assert np.abs(flat[list(near[point])].mean(axis=0) - flat[point]).max() < 0.0016


# Lexicon


@pytest.mark.slow
def test_a_lexicon_has_distinct_signs_that_a_camera_can_tell_apart():
    signs = make_lexicon(60, seed=1, minimal_pairs=0.95)
    assert len({sign.manual for sign in signs}) == len({sign.gloss for sign in signs}) == 60
    assert all(sign.possible() and comfortable(sign) for sign in signs)
    views = lexicon._SignViews.of(signs)
    for place in range(1, len(signs)):
        assert (views.distances(views.row(place))[:place] >= 1).all(), signs[place]
    assert apart(signs[0], signs[1])
    assert not apart(signs[0], replace(signs[0], mouth="ah"))


@pytest.mark.slow
def test_a_lexicon_depends_on_its_seed_alone():
    assert make_lexicon(20, seed=1, minimal_pairs=0.5) == make_lexicon(20, seed=1, minimal_pairs=0.5)
    assert make_lexicon(20, seed=1, minimal_pairs=0.5) != make_lexicon(20, seed=2, minimal_pairs=0.5)


@pytest.mark.slow
def test_families_are_minimal_pairs():
    signs = make_lexicon(40, seed=3, minimal_pairs=0.9)
    pairs = sum(
        any(sum(a != b for a, b in zip(sign.manual, other.manual, strict=True)) == 1 for other in signs)
        for sign in signs
    )
    assert pairs >= 36


def test_neighbours_are_the_most_alike():
    assert set(neighbours("location", "mouth")[:2]) == {"nose", "chin"}
    assert neighbours("handshape", "V")[0] in ("U", "3")
    for parameter, values in (
        ("handshape", HANDSHAPES),
        ("location", LOCATIONS),
        ("orientation", ORIENTATIONS),
        ("movement", MOVEMENTS),
    ):
        for value in values:
            assert sorted([value, *neighbours(parameter, value)]) == sorted(values)


@pytest.mark.slow
def test_a_lexicon_can_be_too_large(monkeypatch):
    with pytest.raises(
        InputError, match="lexicon: 1,000,000 signs; the phonology .*; lower --num_signs, or give --sent"
    ):
        make_lexicon(1_000_000, seed=0, minimal_pairs=0.5)
    for name in ("_APART_PLACE", "_APART_PLACE_AT_HEAD", "_APART_MOTION", "_APART_SHAPE"):
        monkeypatch.setattr(lexicon, name, 10.0)
    with pytest.raises(InputError, match="lexicon: 2 signs; after 1 the phonology of this seed has no further sign"):
        make_lexicon(2, seed=0, minimal_pairs=0.5)


@pytest.mark.slow
def test_the_place_of_a_sign_is_where_its_location_says():
    signs = make_lexicon(80, seed=7, minimal_pairs=0.0)
    head = [citation_view(sign)[:, 0, :, 1] for sign in signs if LOCATIONS[sign.location].anchor == "head"]
    low = [citation_view(sign)[:, 0, :, 1] for sign in signs if sign.location in ("belly", "space-low")]
    assert max(view[:, 0].mean() for view in head) < min(view[:, 0].mean() for view in low)
    assert head
    assert low


# Corpus


@pytest.mark.slow
def test_same_seed_same_bytes_whatever_the_number_of_workers(corpus, tmp_path):
    other = synthesise(SMALL, tmp_path / "corpus", num_workers=2)
    names = sorted(str(path.relative_to(corpus.root)) for path in corpus.root.rglob("*.*"))
    assert names == sorted(str(path.relative_to(other.root)) for path in other.root.rglob("*.*"))
    assert filecmp.cmpfiles(corpus.root, other.root, names, shallow=False) == (names, [], [])
    changed = make_clip(replace(SMALL, seed=1), make_plans(replace(SMALL, seed=1))[0])
    first = corpus.load(corpus.utterances[0])
    assert changed.landmarks.points.shape != first.points.shape or not np.array_equal(
        changed.landmarks.points, first.points, equal_nan=True
    )


def test_an_utterance_does_not_depend_on_how_many_there_are():
    few, many = (make_plans(replace(SMALL, num_test=count)) for count in (2, 6))
    assert [plan for plan in few if plan.split == "test"] == [plan for plan in many if plan.split == "test"][:2]


def test_boundaries_follow_one_another_and_hold_the_strokes(corpus):
    for utterance in corpus:
        boundaries, strokes = utterance.truth["boundaries"], utterance.truth["strokes"]
        assert len(boundaries) == len(strokes) == len(utterance.glosses)
        assert boundaries[0][0] >= 0
        assert boundaries[-1][1] <= utterance.num_frames
        for (_, end), (start, _) in pairwise(boundaries):
            assert end == start
        for (start, end), (first, last) in zip(boundaries, strokes, strict=True):
            assert start <= first < last <= end
        # Half of the way between two signs belongs to each.
        for (_, end), (_, last), (first, _) in zip(boundaries, strokes, strokes[1:], strict=False):
            assert abs((end - last) - (first - end)) <= 1


def test_splits_share_no_test_signer_and_no_sentence(corpus):
    signers = {split: {utterance.signer for utterance in corpus.split(split)} for split in SPLITS}
    assert signers["test"] == {"signer04"}
    assert signers["train"] == {"signer01", "signer02", "signer03"}
    assert signers["dev"] <= signers["train"]
    sentences = {split: {utterance.glosses for utterance in corpus.split(split)} for split in SPLITS}
    assert not sentences["train"] & (sentences["dev"] | sentences["test"])
    known = {gloss for sentence in sentences["train"] for gloss in sentence}
    assert {sign["gloss"] for sign in corpus.info["lexicon"]} <= known


def test_sentences_of_dev_and_test_are_new_where_there_is_room():
    # 8 signs make 64 sentences of two, of which training has at most 30: by chance many would be had twice.
    options = replace(SMALL, num_signs=8, num_train=30, num_dev=20, num_test=20, min_glosses=2, max_glosses=2)
    options = replace(options, rest_glosses=False, pointing=0.0, grammar=0.0, zipf=0.0)
    sentences = {split: set() for split in SPLITS}
    for plan in make_plans(options):
        sentences[plan.split].add(tuple(sign.gloss for sign in plan.signs))
    assert len(sentences["train"]) > 20
    assert not sentences["train"] & (sentences["dev"] | sentences["test"])


def test_the_truth_says_which_hands_are_missing_and_why(corpus):
    for utterance in corpus:
        landmarks = corpus.load(utterance)
        for part in ("left_hand", "right_hand", "face"):
            told = [span for why in ("lost", "out_of_view") for span in utterance.truth[why][part]]
            missing = np.zeros(len(landmarks), dtype=bool)
            for start, end in told:
                assert not missing[start:end].any()
                missing[start:end] = True
            np.testing.assert_array_equal(missing, ~landmarks.present(part))
        assert np.isfinite(landmarks.points[:, layout.GROUPS["pose"]]).all()
        assert landmarks.visibility.min() >= 0
        assert landmarks.visibility.max() <= 1
        # Feet are far below the picture, the nose is in it.
        assert landmarks.visibility[:, layout.index("pose.left_heel")].max() < 0.05
        assert landmarks.visibility[:, layout.index("pose.nose")].min() > 0.9


def test_the_header_says_that_it_is_synthetic(corpus):
    header = json.loads((corpus.root / "corpus.json").read_text())
    assert header["synthetic"] is True
    assert header["generator"] == "signloom synth"
    assert header["options"]["num_signs"] == 12
    assert [sign["gloss"] for sign in header["lexicon"]] == [sign.gloss for sign in lexicon_of(SMALL)]
    assert Corpus.open(corpus.root).utterances == corpus.utterances


@pytest.mark.slow
def test_no_clip_is_without_hands_even_when_most_are_lost():
    options = replace(SMALL, lost_hands=3.0, min_glosses=1, max_glosses=1, num_train=80, seed=4)
    for plan in make_plans(options):
        landmarks = make_clip(options, plan).landmarks
        assert (landmarks.present("left_hand") | landmarks.present("right_hand")).any()


def test_dials_at_zero_turn_their_factor_off():
    off = replace(SMALL, **dict.fromkeys(dial_names(), 0.0))
    plan = make_plans(off)[0]
    clip = make_clip(off, plan)
    assert not any(clip.truth["lost"].values())
    shoulders = clip.landmarks.points[:, layout.indices("pose.left_shoulder", "pose.right_shoulder"), :2]
    # Without noise, shoulders that only sway keep their distance but for the change of perspective.
    width = np.linalg.norm(shoulders[:, 0] - shoulders[:, 1], axis=1)
    assert np.ptp(width) / width.mean() < 0.02
    signers = [make_signer(number, seed=0, dials=Dials(preset="clean")) for number in range(2)]
    assert signers[0].proportions == signers[1].proportions == Proportions()
    noisy = make_clip(replace(off, tracker_noise=1.0), plan).landmarks.points[:, layout.GROUPS["pose"]]
    assert 0.0005 < np.std(noisy - clip.landmarks.points[:, layout.GROUPS["pose"]]) < 0.01


@pytest.mark.slow
def test_more_lost_hands_lose_more():
    shares = []
    for dial in (0.3, 1.0, 3.0):
        options = replace(SMALL, lost_hands=dial, num_train=12)
        truths = [make_clip(options, plan).truth["lost"] for plan in make_plans(options)]
        shares.append(
            sum(end - start for truth in truths for hand in ("left_hand", "right_hand") for start, end in truth[hand])
        )
    assert shares[0] < shares[1] < shares[2]


def test_left_handed_signers_are_mirror_images():
    options = replace(SMALL, left_handed=1.0, lost_hands=0.0)
    plan = next(
        plan for plan in make_plans(options) if all(sign.kind == "one" for sign in plan.signs) or plan.number > 3
    )
    right, left = (make_clip(replace(options, left_handed=share), plan) for share in (0.0, 1.0))
    assert (right.truth["strong_hand"], left.truth["strong_hand"]) == ("right_hand", "left_hand")

    def travel(clip, hand):
        wrist = clip.landmarks.points[:, layout.index(f"pose.{hand}_wrist"), :2]
        return np.linalg.norm(np.diff(wrist, axis=0), axis=1).sum()

    # The distances differ by jitter, perspective and the camera's angle only.
    assert travel(left, "left") == pytest.approx(travel(right, "right"), rel=0.15)
    assert travel(left, "right") == pytest.approx(travel(right, "left"), rel=0.15)


@pytest.mark.slow
@pytest.mark.parametrize("fps", [1.0, 12.5, 60.0])
def test_other_frame_rates_sign_as_long(fps):
    options = replace(SMALL, fps=fps, token_variation=0.0)
    clips = [make_clip(options, plan).landmarks for plan in make_plans(options)[:6]]
    usual = [make_clip(replace(options, fps=25.0), plan).landmarks for plan in make_plans(options)[:6]]
    assert all(clip.fps == fps for clip in clips)
    # Every stroke and way has at least one or two frames, which stretches signing at one frame a second.
    slack = 0.1 if fps > 10 else 8.0
    total, expected = sum(clip.duration_seconds for clip in clips), sum(clip.duration_seconds for clip in usual)
    assert expected * 0.9 < total < expected * (1 + slack)


def test_spans_are_the_runs_of_true():
    assert spans(np.array([1, 1, 0, 0, 1, 0, 1], dtype=bool)) == [(0, 2), (4, 5), (6, 7)]
    assert spans(np.zeros(3, dtype=bool)) == []


def test_the_head_is_where_the_face_is():
    signer = make_signer(0, seed=0, dials=Dials(preset="clean"))
    words = make_lexicon(5, seed=0, minimal_pairs=0.0)
    motion = perform(words, signer, fps=25.0, dials=DIALS, rng=np.random.default_rng(0)).motion
    rim = pose_body(motion, signer.proportions)[:, list(layout.FACE_CONTOURS["oval"])]
    middle = 0.5 * (rim.min(axis=1) + rim.max(axis=1)) - motion.sway
    # A head of 0.18 m that turns by up to 10 degrees.
    assert np.abs(middle - signer.proportions.head_centre)[:, :2].max() < 0.03


# Options and command


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_signs": 0}, "--num_signs is 0; needed at least 1"),
        ({"num_signers": 0, "num_test_signers": 0, "num_test": 0}, "--num_signers is 0; needed at least 1"),
        ({"num_signers": 2, "num_test_signers": 3}, "--num_test_signers is 3, --num_signers 2; needed 0 to 2"),
        (
            {"num_signers": 2, "num_test_signers": 2},
            "--num_test_signers is 2 of 2 signers, none is left for train",
        ),
        ({"num_test_signers": 0}, "--num_test is 120 but there are no test signers"),
        ({"num_signers": 1}, "needed 0 to 1; give --num_test_signers 0 --num_test 0 for one signer"),
        ({"num_train": -1}, "--num_train is -1; needed at least 0"),
        ({"num_train": 0, "num_dev": 0, "num_test": 0}, "the corpus would have no utterances"),
        ({"min_glosses": 0}, "--min_glosses 0 and --max_glosses 8; needed 1 <= min <= max"),
        ({"min_glosses": 9}, "--min_glosses 9 and --max_glosses 8; needed 1 <= min <= max"),
        ({"num_train": 3}, "3 training utterances of 3 or more signs may not show all 40 signs"),
        ({"fps": 0.0}, "--fps is 0; needed 1 to 240"),
        ({"fps": float("nan")}, "--fps is nan; needed 1 to 240"),
        ({"left_handed": 1.5}, "--left_handed is 1.5; needed a share from 0 to 1"),
        ({"lost_hands": -0.1}, "--lost_hands is -0.1; needed 0 to 3"),
        ({"seed": -1}, "--seed is -1; needed at least 0"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        SynthOptions(**options)


def test_all_faults_are_shown_together():
    with pytest.raises(InputError, match="synth: 3 faults"):
        SynthOptions(num_signs=0, fps=0.0, tracker_noise=9.0)


@pytest.mark.slow
def test_the_command_writes_a_corpus_and_a_preview(tmp_path, capsys):
    pytest.importorskip("PIL")
    output, preview = tmp_path / "corpus", tmp_path / "sheet.png"
    flags = "--num_signs 6 --num_signers 2 --num_test_signers 1 --num_train 4 --num_dev 1 --num_test 2 --max_glosses 3"
    arguments = ["synth", "--output", str(output), *flags.split(), "--preview", str(preview)]
    assert dispatch(arguments) == 0
    assert "7 utterances" in capsys.readouterr().out
    assert preview.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InputError, match="already has a corpus; choose another folder or pass --overwrite"):
        dispatch(arguments)
    assert dispatch([*arguments, "--overwrite"]) == 0


def test_the_command_refuses_what_it_cannot_do(tmp_path):
    with pytest.raises(InputError, match="--preview is .*sheet.jpg; needed a file name that ends in .png"):
        dispatch(["synth", "--output", str(tmp_path / "c"), "--preview", str(tmp_path / "sheet.jpg")])
    with pytest.raises(InputError, match="--workers is 0; needed at least 1"):
        dispatch(["synth", "--output", str(tmp_path / "c"), "--workers", "0"])
    assert not Path(tmp_path / "c").exists()


def _angle(first, second):
    cosine = (first * second).sum(axis=1) / np.linalg.norm(first, axis=1) / np.linalg.norm(second, axis=1)
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


def _speeds(place, fps):
    return np.linalg.norm(np.diff(place, axis=0), axis=1) * fps
