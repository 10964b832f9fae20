"""The doctor on a corpus: each check has a planted fault that it must name and healthy corpora it stays silent on."""

import dataclasses
import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from conftest import tiny_sentence, zscored
from signloom import layout
from signloom.corpus import Corpus, CorpusWriter, Utterance
from signloom.errors import InputError
from signloom.findings import Finding, chosen
from signloom.health.checks.figures import measure_clip, measure_corpus
from signloom.health.evidence import skeletons
from signloom.health.examine import DATA_CHECKS
from signloom.landmarks import Landmarks
from signloom.synth.corpus import synthesise
from signloom.synth.options import SynthOptions

pytestmark = pytest.mark.slow

SPLITS = ("train",) * 6 + ("dev",) * 2 + ("test",) * 2


@pytest.fixture(scope="module", params=["clean", "hard"])
def simulated(request, tmp_path_factory):
    """Simulated signing with its own bones: the tiny clips of the other tests have random ones."""
    root = tmp_path_factory.mktemp("simulated") / request.param
    return synthesise(SynthOptions(preset=request.param, num_train=24, num_dev=4, num_test=4, num_signs=8), root)


def changed(corpus, root, change=lambda clip, number: clip, rename=lambda item, number: {}):
    """A copy of a corpus with every clip and utterance passed through a fault."""
    with CorpusWriter(root, {"name": "changed"}) as writer:
        for number, item in enumerate(corpus):
            fields = {"split": item.split, "signer": item.signer, "glosses": item.glosses}
            fields |= rename(item, number)
            name = fields.pop("id", item.id)
            writer.add(name, landmarks=change(corpus.load(item), number), **fields)
    return Corpus.open(root)


def examine(corpus, unalignable=lambda items: {}):
    figures = measure_corpus(corpus, unalignable=unalignable, model="a model")
    return {check.id: check(figures) for check in DATA_CHECKS}


def loud(findings):
    return {name: finding.level for name, finding in findings.items() if finding.level in ("warn", "fail")}


def with_points(clip, points):
    return replace(clip, points=points)


def standardised(clip, number):
    return with_points(clip, zscored(clip.points, clip.points))


def test_healthy_simulated_corpora_are_left_alone(simulated):
    findings = examine(simulated)
    assert loud(findings) == {}
    assert all(finding.source and finding.threshold for finding in findings.values())


def test_clips_standardised_one_by_one_are_named(simulated, tmp_path):
    findings = examine(changed(simulated, tmp_path / "c", standardised))
    assert findings["data.normalised"].level == "fail"
    assert "standardised before, each clip by itself" in findings["data.normalised"].headline
    assert findings["data.normalised"].value > 0.9
    assert set(loud(findings)) == {"data.normalised"}


def test_a_corpus_standardised_by_its_own_statistics_is_named(simulated, tmp_path):
    every = np.concatenate([simulated.load(item).points for item in simulated])
    findings = examine(
        changed(simulated, tmp_path / "c", lambda clip, n: with_points(clip, zscored(clip.points, every)))
    )
    assert findings["data.normalised"].level == "fail"
    assert "standardised before, by the statistics of the corpus" in findings["data.normalised"].headline


def test_one_scale_and_place_for_all_points_is_no_second_normalisation(simulated, tmp_path):
    # Centring and scaling a clip as a whole keeps its bones, and the model undoes it.
    findings = examine(changed(simulated, tmp_path / "c", lambda clip, n: with_points(clip, (clip.points - 0.5) * 3)))
    assert findings["data.normalised"].level == "ok"


def test_some_standardised_clips_among_others_are_named_by_id(simulated, tmp_path):
    def some(clip, number):
        return standardised(clip, number) if number < 6 else clip

    corpus = changed(simulated, tmp_path / "c", some)
    finding = examine(corpus)["data.normalised"]
    assert finding.level == "warn"
    planted = {item.id for item in list(corpus)[:6]}
    assert len(set(finding.where) & planted) >= 4
    assert set(finding.where) <= planted


def test_clips_in_which_each_hand_is_seldom_seen_are_named(simulated, tmp_path):
    """A hand in 15 % of the frames and the other in 10 %, in other frames: seen in 25 % in all, each in under 20 %."""
    planted = [item.id for number, item in enumerate(simulated) if number % 11 == 0]

    def change(clip, number):
        if number % 11:
            return clip
        points = clip.points.copy()
        count = len(points)
        points[round(0.15 * count) :, layout.GROUPS["left_hand"]] = np.nan
        points[: round(0.9 * count), layout.GROUPS["right_hand"]] = np.nan
        return with_points(clip, points)

    corpus = changed(simulated, tmp_path / "c", change)
    finding = examine(corpus)["data.hands"]
    assert finding.level == "warn"
    assert sorted(finding.figures["clips"]) == sorted(planted)
    lines = dict(line.split(": ") for line in finding.where)
    for item in corpus:
        assert (f"{item.id} (left " in lines.get(item.split, "")) == (item.id in planted)
    assert len(skeletons([finding], corpus)["data.hands"]) == 3
    assert finding.figures["splits"] == dict(Counter(item.split for item in corpus if item.id in planted))
    assert finding.figures["signers"] == dict(Counter(item.signer for item in corpus if item.id in planted))
    assert (
        "0 of 32 clips have no hands (0.0 %); in 3 clips each hand is in under 20 % of the frames: " in finding.headline
    )
    for split, number in finding.figures["splits"].items():
        assert f"{number} in {split}" in finding.headline
    for signer, number in finding.figures["signers"].items():
        assert f"{number} by signer {signer}" in finding.headline
    assert "extract them again" in finding.advice

    # One hand that is seen is enough: half of the signs of a language have only one.
    def one_hand(clip, number):
        less, _ = sorted(("left_hand", "right_hand"), key=lambda hand: clip.present(hand).mean())
        return without(less)(clip, number)

    assert examine(changed(simulated, tmp_path / "one", one_hand))["data.hands"].level == "ok"


def scaled(factor):
    return lambda clip, number: with_points(clip, clip.points * factor)


def without(*groups, every=1):
    def change(clip, number):
        points = clip.points.copy()
        for group in groups:
            if number % every == 0:
                points[:, layout.GROUPS[group]] = np.nan
        return with_points(clip, points)

    return change


def zeroed(clip, number):
    points = clip.points.copy()
    points[:, layout.GROUPS["left_hand"]] = 0
    return with_points(clip, points)


def held(clip, number):
    """Every second frame is the one before it, as when a video is brought from 12.5 to 25 frames a second."""
    return with_points(clip, clip.points[np.arange(len(clip)) // 2 * 2])


def frozen(clip, number):
    return with_points(clip, clip.points[np.minimum(np.arange(len(clip)), 3)])


def swapped(clip, number):
    points = clip.points.copy()
    left, right = layout.GROUPS["left_hand"], layout.GROUPS["right_hand"]
    points[5::4, left], points[5::4, right] = clip.points[5::4, right], clip.points[5::4, left]
    return with_points(clip, points)


def jumping(clip, number):
    points = clip.points.copy()
    points[4::7, layout.GROUPS["right_hand"]] += 2.0
    return with_points(clip, points)


@pytest.mark.parametrize(
    ("check", "level", "change", "words"),
    [
        ("data.units", "fail", scaled(480), "coordinates up to"),
        ("data.missing", "warn", without("pose", every=2), "pose in 50"),
        ("data.hands", "fail", without("left_hand", "right_hand"), "32 of 32 clips have no hands"),
        ("data.hands", "warn", without("left_hand", "right_hand", every=8), "4 of 32 clips"),
        ("data.zeros", "fail", zeroed, r"% of the known points lie exactly at \(0, 0, 0\)"),
        ("data.frozen", "fail", held, "% of the frames repeat the frame before"),
        ("data.frozen", "fail", frozen, "32 clips stand still"),
        ("data.motion", "fail", swapped, "the hands swap places"),
        ("data.motion", "fail", jumping, "a hand moves faster than anyone can"),
    ],
)
def test_a_fault_of_the_landmarks_is_named(check, level, change, words, simulated, tmp_path):
    found = examine(changed(simulated, tmp_path / "c", change))[check]
    assert found.level == level
    assert found.advice
    assert re.search(words, found.headline)


def test_swaps_and_jumps_are_told_apart(simulated, tmp_path):
    if simulated.name == "hard":
        pytest.skip("hands that are lost half of the time hide most of the planted frames")
    swaps = examine(changed(simulated, tmp_path / "s", swapped))["data.motion"].figures
    jumps = examine(changed(simulated, tmp_path / "j", jumping))["data.motion"].figures
    assert swaps["swaps"] > 10 * max(1, swaps["jumps"])
    assert jumps["jumps"] > 10 * max(1, jumps["swaps"])


def test_signers_whose_hands_are_seldom_found_are_named(simulated, tmp_path):
    first = simulated.utterances[0].signer
    lost = {number for number, item in enumerate(simulated) if item.signer == first}

    def hide(clip, number):
        return without("left_hand", "right_hand")(clip, 0) if number in lost else clip

    found = examine(changed(simulated, tmp_path / "c", hide))["data.missing"]
    assert (found.level, found.where) == ("warn", (first,))
    assert first in found.advice


def test_odd_frame_rates_are_named(simulated, tmp_path):
    found = examine(changed(simulated, tmp_path / "c", lambda clip, n: replace(clip, fps=5.0)))["data.fps"]
    assert found.level == "fail"
    assert "frames per second: 5 (32 clips); 32 clips have an invalid rate" in found.headline


def test_assumed_frame_rates_are_noted(simulated, tmp_path):
    found = examine(changed(simulated, tmp_path / "c", lambda clip, n: replace(clip, assumed=("fps",))))["data.fps"]
    assert found.level == "note"
    assert "assumed, not known, for 32" in found.headline


def test_a_damaged_file_is_named_and_the_rest_still_measured(simulated, tmp_path):
    corpus = changed(simulated, tmp_path / "c")
    (corpus.root / corpus.utterances[3].landmarks).write_bytes(b"nothing")
    findings = examine(corpus)
    assert findings["data.readable"].level == "fail"
    assert findings["data.readable"].where[0].startswith(corpus.utterances[3].id)
    assert set(loud(findings)) == {"data.readable"}


def small(root, *, glosses=lambda n: ("UP", "DOWN"), seed=lambda n: n, signer=lambda n: "AB"[n >= 8], seconds=1.0):
    """Ten clips: six of train and two of dev by A, two of test by B."""
    with CorpusWriter(root, {"name": "small"}) as writer:
        for number, split in enumerate(SPLITS):
            clip = tiny_sentence(("UP", "DOWN"), seed=seed(number))
            clip = Landmarks(clip.points, clip.visibility, fps=clip.fps / seconds)
            writer.add(f"u{number}", split=split, signer=signer(number), glosses=glosses(number), landmarks=clip)
    return Corpus.open(root)


def test_a_small_healthy_manifest_is_left_alone(tmp_path):
    findings = examine(small(tmp_path / "c"))
    names = ("duplicates", "signers", "annotations", "unknown", "feasible", "lengths", "balance")
    # Dev is by A, who trains.
    levels = dict.fromkeys(names, "ok") | {"signers": "note"}
    assert {name: findings[f"data.{name}"].level for name in names} == levels


def test_a_clip_in_two_splits_is_named_whatever_it_is_called(tmp_path):
    found = examine(small(tmp_path / "c", seed=lambda n: 0 if n in (0, 9) else n))["data.duplicates"]
    assert (found.level, found.where) == ("fail", ("u0 (train) = u9 (test)",))
    found = examine(small(tmp_path / "d", seed=lambda n: 0 if n in (0, 1) else n))["data.duplicates"]
    assert (found.level, found.where) == ("warn", ("u0 (train) = u1 (train)",))


def test_a_signer_who_trains_and_is_tested_is_named(tmp_path):
    # Three of the four test clips are by B, who is new; C is in train and in test.
    with CorpusWriter(tmp_path / "c", {"name": "leak"}) as writer:
        for number, (split, signer) in enumerate(
            [*[("train", "A")] * 3, ("train", "C"), *[("test", "B")] * 3, ("test", "C")]
        ):
            clip = tiny_sentence(("UP",), seed=number)
            writer.add(f"u{number}", split=split, signer=signer, glosses=("UP",), landmarks=clip)
    found = examine(Corpus.open(tmp_path / "c"))["data.signers"]
    assert (found.level, found.where) == ("fail", ("C (1 clip in test, also in train)",))


def test_a_corpus_of_known_signers_is_only_noted(tmp_path):
    found = examine(small(tmp_path / "c", signer=lambda n: "A"))["data.signers"]
    assert found.level == "note"
    assert "Dev does not show how well new people are recognised" in found.headline
    assert "crossval --nested" in found.headline
    strangers = examine(small(tmp_path / "d", signer=lambda n: "B" if n >= 6 else "A"))["data.signers"]
    assert (strangers.level, "Dev cannot" in strangers.headline) == ("ok", False)


LOOK_ALIKES = (
    "glosses that differ in spelling only: 'DOWN' (U+004F LATIN CAPITAL LETTER O), 'D\u041eWN' "
    "(U+041E CYRILLIC CAPITAL LETTER O)"
)


@pytest.mark.parametrize(
    ("glosses", "level", "words"),
    [
        (
            lambda n: ("UP", "Down" if n == 3 else "DOWN"),
            "warn",
            "glosses that differ in spelling only: 'DOWN', 'Down'",
        ),
        (lambda n: ("UP", "D\u041eWN" if n == 3 else "DOWN"), "warn", LOOK_ALIKES),
        (lambda n: ("UP",) * (4 if n == 3 else 2), "warn", "u3: one gloss 4 or more times in a row"),
        (lambda n: ("UP", "DOWN") * (10 if n == 3 else 1), "warn", "u3: 20 glosses in 0.96 seconds"),
    ],
)
def test_faults_of_annotation_are_named(glosses, level, words, tmp_path):
    found = examine(small(tmp_path / "c", glosses=glosses))["data.annotations"]
    assert (found.level, found.where) == (level, (words,))


def test_the_same_clip_with_other_glosses_is_a_fault_of_annotation(tmp_path):
    corpus = small(tmp_path / "c", seed=lambda n: n % 9, glosses=lambda n: ("UP", "UP" if n == 9 else "DOWN"))
    found = examine(corpus)["data.annotations"]
    assert (found.level, found.where) == ("fail", ("u0 and u9: the same clip with different glosses",))


def paired(root, *, slip=0, frames=None):
    """24 clips of one to four glosses, each with the glosses of the one `slip` places after it."""
    words = [("UP", "DOWN", "LEFT", "RIGHT")[: 1 + (3 * number + number // 4) % 4] for number in range(24)]
    with CorpusWriter(root, {"name": "paired"}) as writer:
        for number in range(24):
            clip = tiny_sentence(words[number], seed=number)
            points = np.resize(clip.points, (frames or len(clip), *clip.points.shape[1:]))
            clip = Landmarks(points, np.resize(clip.visibility, (len(points), 33)), fps=25.0)
            glosses = words[(number + slip) % 24]
            writer.add(f"u{number}", split="train", signer="A", glosses=glosses, landmarks=clip)
    return examine(Corpus.open(root))["data.pairing"]


def test_annotations_that_slipped_are_named_with_where_they_came_from(tmp_path):
    # Twelve frames a gloss: lengths follow the annotation exactly.
    assert (paired(tmp_path / "right").level, paired(tmp_path / "r").value) == ("ok", pytest.approx(1))
    found = paired(tmp_path / "slipped", slip=1)
    assert found.level == "fail"
    assert "with the glosses of the utterance 1 before it 1.00" in found.where[0]


def test_clips_that_are_all_as_long_tell_nothing_of_their_annotations(tmp_path):
    found = paired(tmp_path / "c", frames=60)
    assert (found.level, found.value) == ("ok", None)
    assert "too alike in length" in found.headline


def test_glosses_that_training_never_had_are_counted(tmp_path):
    found = examine(small(tmp_path / "c", glosses=lambda n: ("UP", "NEW" if n >= 8 else "DOWN")))["data.unknown"]
    # One of the two glosses of each test clip.
    assert (found.level, found.value, found.where) == ("fail", 0.5, ("NEW (2)",))


def test_utterances_that_ctc_cannot_align_are_listed(tmp_path):
    findings = examine(small(tmp_path / "c"), lambda items: {2: f"{items[2].id}: too short"})
    found = findings["data.feasible"]
    assert (found.level, found.value, found.where) == ("fail", 0.1, ("u2: too short",))
    assert "1 of train" in found.headline


def test_an_odd_pace_is_named(tmp_path):
    assert examine(small(tmp_path / "c", seconds=12.0))["data.lengths"].level == "warn"


def test_one_gloss_that_is_nearly_all_is_named(tmp_path):
    found = examine(small(tmp_path / "c", glosses=lambda n: ("UP", "UP", "UP", "DOWN", "LEFT")))["data.balance"]
    assert (found.level, found.value) == ("warn", 0.6)


def test_real_signing_is_left_alone(shared_data, tmp_path):
    from signloom.compose import ComposeOptions, compose
    from signloom.importers import holistic

    source = shared_data / "asl_words" / "traduttore_asl.npz"
    holistic.run(holistic.Options(sources=[source], output=tmp_path / "signs"))
    recipe = ComposeOptions(held_out=["dmohazab"], num_train=40, num_dev=8, num_test=10)
    corpus = compose(Corpus.open(tmp_path / "signs"), tmp_path / "c", recipe)
    assert loud(examine(corpus)) == {}


def test_a_clip_of_nothing_is_measured():
    clip = tiny_sentence(("UP",), seed=0)
    item = Utterance("u", "train", None, ("UP",), "landmarks/u.npz", len(clip), clip.fps)
    figures = measure_clip(item, with_points(clip, np.full_like(clip.points, np.nan)))
    assert figures.without_hands == 1
    assert np.isnan(figures.hand_bones)


def test_findings_keep_their_promises():
    with pytest.raises(InputError, match="finding a.b: level 'bad'; needed one of ok, note, warn, fail"):
        Finding(id="a.b", level="bad", headline="x")
    with pytest.raises(InputError, match="finding a.b: level fail without advice"):
        Finding(id="a.b", level="fail", headline="x")
    finding = Finding(id="a.b", level="ok", headline="x", value=float("nan"), figures={"k": (1, float("inf"))})
    assert finding.to_json() == {
        **{field.name: "" for field in dataclasses.fields(Finding)},
        "id": "a.b",
        "level": "ok",
        "headline": "x",
        "value": "nan",
        "where": [],
        "figures": {"k": [1, "inf"]},
    }


def test_checks_are_chosen_by_name_or_by_suite():
    ids = ["data.fps", "data.units", "model.size"]
    assert chosen(ids, []) == ids
    assert chosen(ids, ["data"]) == ids[:2]
    assert chosen(ids, ["model.size", "data.fps"]) == ["data.fps", "model.size"]
    with pytest.raises(InputError, match="doctor: no check 'data.fp' for this; known are data.fps, data.units"):
        chosen(ids, ["data.fp"])
