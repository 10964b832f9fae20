"""ELAN files as corpora of dialogues have them: several cameras and signers, offsets, both hands, alike names."""

import json
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from elan_files import DIALOGUE, STEP, clip, eaf
from signloom import cli
from signloom.corpus import LEFT_OUT, Corpus
from signloom.errors import InputError
from signloom.importers.elan import Options, run
from signloom.importers.timed_sentences import merged
from signloom.timed.annotations import Medium, TimedAnnotation
from signloom.timed.eaf import read_eaf

pytest.importorskip("pympi")


def origin_of(corpus: Corpus, index: int = 0) -> tuple[int, int, int]:
    """The number of the clip that an utterance comes from, its first frame there, and its number of frames."""
    x = corpus.load(corpus.utterances[index]).points[:, 0, 0].astype(float)
    return int(x[0]), round((x[0] - int(x[0])) / STEP), len(x)


def call(tmp_path, **given) -> Corpus:
    defaults = {"annotations": [str(tmp_path / "eaf")], "landmarks": tmp_path / "lm", "output": tmp_path / "corpus"}
    options = Options(**{**defaults, "tier": ["Gloss"], "overwrite": True, **given})
    assert run(options) == 0
    return Corpus.open(options.output)


@pytest.mark.parametrize(
    ("media", "participants"),
    [
        # As the DGS corpus names its cameras, by a word of the name, by the participant.
        (("12_1a1.mp4", "12_1b1.mp4", "12_1c.mp4"), {}),
        (("talk_cam_A.mp4", "talk_cam_B.mp4"), {}),
        (("anna_front.mp4", "ben_front.mp4", "total.mp4"), {"Sign_A": "Anna", "Sign_B": "Ben"}),
    ],
)
def test_a_tier_is_cut_from_its_own_camera(tmp_path, media, participants):
    eaf(tmp_path / "eaf" / "12.eaf", DIALOGUE, media, participants=participants)
    for number, name in enumerate(media, 1):
        clip(tmp_path / "lm" / f"{Path(name).stem}.npz", number)
    corpus = call(tmp_path, tier=["Sign_B"], segments="Text_B")
    assert corpus.utterances[0].glosses == ("TREE",)
    assert origin_of(corpus) == (2, 100, 50)
    assert origin_of(call(tmp_path, tier=["Sign_A"], segments="Text_A")) == (1, 0, 25)
    # Its own camera's landmarks are missing: another body is no replacement, nor is a file of the dialogue's name.
    (tmp_path / "lm" / f"{Path(media[1]).stem}.npz").rename(tmp_path / "lm" / "12.npz")
    with pytest.raises(InputError, match=f"no landmark file {Path(media[1]).stem}.npz"):
        call(tmp_path, tier=["Sign_B"], segments="Text_B")


def test_the_camera_is_asked_for_where_nothing_says_it(tmp_path):
    tiers = {"Gloss": [(0, 1000, "HOUSE")]}
    eaf(tmp_path / "eaf" / "x.eaf", tiers, ("front.mp4", "side.mp4", "front.wav"))
    clip(tmp_path / "lm" / "front.npz", 1)
    # One signer, and landmarks of one camera: nothing to choose.
    assert origin_of(call(tmp_path))[0] == 1
    clip(tmp_path / "lm" / "side.npz", 2)
    with pytest.raises(
        InputError, match=r"x.eaf: links 2 videos \(front.mp4, side.mp4\), and tier 'Gloss' does not say"
    ):
        call(tmp_path)
    assert origin_of(call(tmp_path, media="side"))[0] == 2
    with pytest.raises(
        InputError, match="--media top names none of its videos; needed a part of the name of one of front"
    ):
        call(tmp_path, media="top")
    with pytest.raises(InputError, match="--media e names 1|--media .mp4 names 2"):
        call(tmp_path, media=".mp4")
    # Two signers and two cameras, landmarks of one: they may be the other's.
    eaf(
        tmp_path / "eaf" / "x.eaf",
        {**tiers, "Other": []},
        ("p.mp4", "q.mp4"),
        participants={"Gloss": "M", "Other": "N"},
    )
    clip(tmp_path / "lm" / "p.npz", 3)
    with pytest.raises(InputError, match="links 2 videos"):
        call(tmp_path)
    assert origin_of(call(tmp_path, media="p"))[0] == 3


def test_a_hand_is_not_a_camera(tmp_path):
    eaf(tmp_path / "eaf" / "x.eaf", {"Gloss_L": [(0, 1000, "A")]}, ("x_l.mp4", "x_r.mp4"))
    for number, name in enumerate(("x_l", "x_r")):
        clip(tmp_path / "lm" / f"{name}.npz", number)
    with pytest.raises(InputError, match="does not say which"):
        call(tmp_path, tier=["Gloss_L"])


@pytest.mark.parametrize(
    ("origin", "times", "expected"), [(3000, (1000, 2000), 100), (-500, (1000, 2000), 12), (None, (1000, 2000), 25)]
)
def test_the_offset_of_a_medium_moves_its_sentences(tmp_path, origin, times, expected):
    tiers = {"Gloss": [(*times, "A")], "Satz": [(*times, "x")]}
    eaf(tmp_path / "eaf" / "s.eaf", tiers, ["s.mp4" if origin is None else ("s.mp4", origin)])
    clip(tmp_path / "lm" / "s.npz", 0)
    corpus = call(tmp_path, segments="Satz")
    assert origin_of(corpus)[1] == expected
    assert corpus.utterances[0].source["gloss_ms"] == [[0, 1000]]
    # A whole file is not cut: its glosses begin later in the video.
    whole = call(tmp_path)
    assert whole.utterances[0].source["gloss_ms"] == [[time + (origin or 0) for time in times]]


def test_the_offset_is_that_of_the_chosen_camera(tmp_path):
    eaf(tmp_path / "eaf" / "12.eaf", DIALOGUE, ("12_a.mp4", ("12_b.mp4", 800)))
    for number, name in enumerate(("12_a", "12_b"), 1):
        clip(tmp_path / "lm" / f"{name}.npz", number)
    assert origin_of(call(tmp_path, tier=["Sign_B"], segments="Text_B")) == (2, 120, 50)


@pytest.mark.parametrize(
    ("units", "expected"),
    [
        # 25 frames/s: 40 ms each; 30000/1001 frames/s: 25 of them take 834 ms.
        ("PAL-frames", (1000, 2000)),
        ("PAL-50-frames", (500, 1000)),
        ("NTSC-frames", (834, 1668)),
        ("milliseconds", (25, 50)),
    ],
)
def test_times_in_frames_become_milliseconds(tmp_path, units, expected):
    path = eaf(tmp_path / "a.eaf", {"Gloss": [(25, 50, "A")]}, units=units)
    assert read_eaf(path).tiers["Gloss"] == (TimedAnnotation(*expected, "A"),)


def test_an_unknown_unit_and_an_invalid_offset_are_refused(tmp_path):
    path = eaf(tmp_path / "a.eaf", {"Gloss": []}, units="hours")
    with pytest.raises(InputError, match="TIME_UNITS is 'hours'; needed one of milliseconds, PAL-frames"):
        read_eaf(path)
    path = eaf(tmp_path / "a.eaf", {"Gloss": []}, [("a.mp4", "soon")])
    with pytest.raises(InputError, match="TIME_ORIGIN is 'soon'"):
        read_eaf(path)


@pytest.mark.parametrize(
    ("link", "name", "folders"),
    [
        ("file:///C:/Users/x/a.mp4", "a.mp4", ("Users", "x")),
        ("../monday/what? #1.mp4", "what? #1.mp4", ("monday",)),
        ("./12:30.mp4", "12:30.mp4", ()),
        ("D:\\data\\b c.mov", "b c.mov", ("data",)),
        ("file:///x/b%20c%23.mov", "b c#.mov", ("x",)),
    ],
)
def test_names_of_media_may_have_any_sign(link, name, folders):
    assert Medium.linked(link) == Medium(name, folders)
    assert Medium.linked("") is None


def test_both_hands_are_merged_in_order_and_count_once(tmp_path):
    right = [(0, 400, "HOUSE"), (500, 900, "TREE"), (1000, 1400, "TREE")]
    left = [(20, 380, "HOUSE"), (600, 800, "BIRD"), (950, 1450, "TREE"), (1600, 1900, "HOUSE")]
    tiers = {"R": right, "L": left}
    eaf(tmp_path / "eaf" / "x.eaf", tiers)
    clip(tmp_path / "lm" / "x.npz", 0)
    words = ["import", "elan", "--annotations", str(tmp_path / "eaf"), "--landmarks", str(tmp_path / "lm")]
    assert cli.dispatch([*words, "--tier", "R", "--tier", "L", "--output", str(tmp_path / "corpus")]) == 0
    (utterance,) = Corpus.open(tmp_path / "corpus")
    assert utterance.glosses == ("HOUSE", "TREE", "BIRD", "TREE", "HOUSE")
    # The same with both names after one option.
    assert cli.dispatch([*words, "--tier", "R", "L", "--output", str(tmp_path / "again")]) == 0
    assert Corpus.open(tmp_path / "again").utterances[0].glosses == utterance.glosses
    with pytest.raises(InputError, match="--tier is R,R; needed one tier, or several different ones"):
        call(tmp_path, tier=["R", "R"])


def test_merging_keeps_repetitions_of_the_dominant_hand():
    repeated = [TimedAnnotation(0, 200, "A"), TimedAnnotation(250, 500, "A")]
    held = [TimedAnnotation(0, 500, "A")]
    assert [item.value for item in merged([repeated, held])] == ["A", "A"]
    assert [item.value for item in merged([held, repeated])] == ["A"]
    assert merged([[], held]) == held


@pytest.mark.parametrize(
    ("signer_from", "expected"),
    [
        ("participant", "Anna"),
        ("tier", "A"),
        ("file", "p07_talk"),
        ("none", None),
        ("file+tier", "p07_talk_A"),
        ("file:^(p[0-9]+)", "p07"),
        ("tier:_(.)$", "A"),
    ],
)
def test_the_signer_is_found_where_it_is(tmp_path, signer_from, expected):
    eaf(tmp_path / "eaf" / "p07_talk.eaf", {"Gloss_A": [(0, 500, "X")]}, participants={"Gloss_A": "Anna"})
    clip(tmp_path / "lm" / "p07_talk.npz", 0)
    assert call(tmp_path, tier=["Gloss_A"], signer_from=signer_from).utterances[0].signer == expected


def test_signers_that_cannot_be_found_are_told(tmp_path):
    eaf(tmp_path / "eaf" / "x.eaf", {"R": [], "L": []}, participants={"R": "Anna", "L": "Ben"})
    (tmp_path / "lm").mkdir()
    with pytest.raises(InputError, match="'R', 'L' have the participants Anna, Ben; needed tiers of one person"):
        call(tmp_path, tier=["R", "L"])
    with pytest.raises(InputError, match="finds no signer in 'x'"):
        call(tmp_path, tier=["R"], signer_from="file:(p[0-9])")
    with pytest.raises(InputError, match="--signer_from is 'folder'; needed participant, tier, file"):
        call(tmp_path, signer_from="folder")


def test_two_people_in_one_video_are_told(tmp_path, capsys):
    eaf(tmp_path / "eaf" / "x.eaf", DIALOGUE, ["x.mp4"])
    clip(tmp_path / "lm" / "x.npz", 0)
    call(tmp_path, tier=["Sign_A"], segments="Text_A")
    assert "annotations of several people and one video (e.g. " in capsys.readouterr().err


def test_recordings_of_one_name_in_several_folders(tmp_path):
    for number, day in enumerate(("monday", "tuesday", "wednesday"), 1):
        eaf(tmp_path / "eaf" / day / "rec1.eaf", {"Gloss": [(0, 500, f"G{number}")]}, ["rec1.mp4"])
        clip(tmp_path / "lm" / "2024" / day / "rec1.npz", number)
    eaf(tmp_path / "eaf" / "monday" / "rec2.eaf", {"Gloss": [(0, 500, "G4")]})
    clip(tmp_path / "lm" / "2024" / "monday" / "rec2.npz", 4)
    corpus = call(tmp_path)
    assert [(item.id, item.glosses[0], origin_of(corpus, index)[0]) for index, item in enumerate(corpus)] == [
        ("monday/rec1", "G1", 1),
        ("rec2", "G4", 4),
        ("tuesday/rec1", "G2", 2),
        ("wednesday/rec1", "G3", 3),
    ]


def test_faulty_files_and_sentences_can_be_left_out(tmp_path, capsys):
    sentences = [(0, 1000, "s"), (1000, 2000, "s"), (2000, 3000, "s"), (9000, 9500, "s")]
    glosses = [(0, 400, "A"), (1100, 1500, "B C"), (2100, 2500, "D"), (9100, 9400, "E")]
    eaf(tmp_path / "eaf" / "good.eaf", {"Gloss": glosses, "Satz": sentences})
    eaf(tmp_path / "eaf" / "other.eaf", {"gloss": []})
    (tmp_path / "eaf" / "broken.eaf").write_text("<a", encoding="utf-8")
    clip(tmp_path / "lm" / "good.npz", 0)
    with pytest.raises(InputError, match="--skip_faulty leaves out invalid files and utterances"):
        call(tmp_path, segments="Satz")
    corpus = call(tmp_path, segments="Satz", skip_faulty=True)
    assert [item.glosses for item in corpus] == [("A",), ("D",)]
    lines = (corpus.root / LEFT_OUT).read_text(encoding="utf-8").splitlines()
    left_out = {record["id"]: record["reason"] for record in map(json.loads, lines)}
    assert set(left_out) == {"broken", "other", "good_0002", "good_0004"}
    assert "gloss 'B C' has spaces" in left_out["good_0002"]
    assert "good.npz at 8.000 s" in left_out["good_0004"]


def test_a_tier_of_whole_sentences(tmp_path):
    eaf(tmp_path / "eaf" / "x.eaf", {"Gloss": [(0, 1000, "HOUSE RED"), (2000, 3000, "TREE")]})
    clip(tmp_path / "lm" / "x.npz", 0)
    corpus = call(tmp_path, each="sentence")
    assert [(item.id, item.glosses) for item in corpus] == [("x_0001", ("HOUSE", "RED")), ("x_0002", ("TREE",))]
    assert origin_of(corpus, 1) == (0, 50, 25)
    with pytest.raises(InputError, match="--each sentence needs one --tier and no --segments"):
        call(tmp_path, each="sentence", segments="Satz")


def test_a_table_of_elan_files_is_imported_as_a_table(tmp_path):
    from signloom.importers import isharah

    eaf(tmp_path / "eaf" / "12.eaf", DIALOGUE, ("12_a.mp4", ("12_b.mp4", 800)))
    clip(tmp_path / "lm" / "12_b.npz", 2)
    table = tmp_path / "table.csv"
    options = Options(
        annotations=[str(tmp_path / "eaf")], tier=["Sign_B"], segments="Text_B", output=table, dry_run=True
    )
    assert run(options) == 0
    assert not table.exists()
    run(Options(annotations=[str(tmp_path / "eaf")], tier=["Sign_B"], segments="Text_B", output=table))
    isharah.run(
        isharah.Options(
            annotations=[str(table)], landmarks=tmp_path / "lm", output=tmp_path / "corpus", signer_pattern="none"
        )
    )
    corpus = Corpus.open(tmp_path / "corpus")
    assert [item.id for item in corpus] == ["12_0001"]
    assert origin_of(corpus)[:2] == (2, 120)
    with pytest.raises(InputError, match="links 2 videos"):
        tiers = {"Gloss": [(0, 500, "A")]}
        eaf(tmp_path / "eaf" / "12.eaf", tiers, ("front.mp4", ("side.mp4", 500)))
        run(Options(annotations=[str(tmp_path / "eaf")], tier=["Gloss"], output=tmp_path / "b.csv"))


@pytest.mark.parametrize(("of_file", "given"), [("NFD", "NFC"), ("NFC", "NFD")])
def test_tiers_are_found_in_either_form(tmp_path, of_file, given):
    tier, sentences, person = (unicodedata.normalize(of_file, text) for text in ("Hände", "Sätze", "Jürgen"))
    tiers = {tier: [(0, 500, unicodedata.normalize(of_file, "MÄDCHEN"))], sentences: [(0, 1000, "x")]}
    eaf(tmp_path / "eaf" / "x.eaf", tiers, participants={tier: person})
    clip(tmp_path / "lm" / "x.npz", 0)
    tier, sentences = (unicodedata.normalize(given, text) for text in ("Hände", "Sätze"))
    (utterance,) = call(tmp_path, tier=[tier], segments=sentences)
    assert (utterance.signer, utterance.glosses) == ("Jürgen", ("MÄDCHEN",))


def test_a_dry_run_writes_nothing(tmp_path, capsys):
    eaf(tmp_path / "eaf" / "x.eaf", {"Gloss": [(0, 1000, "HOUSE")]}, participants={"Gloss": "Anna"})
    clip(tmp_path / "lm" / "x.npz", 0)
    options = Options(
        annotations=[str(tmp_path / "eaf")],
        tier=["Gloss"],
        landmarks=tmp_path / "lm",
        output=tmp_path / "corpus",
        dry_run=True,
    )
    assert run(options) == 0
    assert not (tmp_path / "corpus").exists()
    out = capsys.readouterr().out
    assert "signers: Anna (1 train)" in out
    assert "dry run: nothing was written" in out


@pytest.mark.parametrize("tier", ["Lexeme_Sign_r_B", "Lexeme_Sign_r_A"])
def test_the_dialogue_at_the_door(shared_data, tmp_path, tier):
    folder = shared_data / "door" / "elan_two_cameras"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    options = Options(
        annotations=[str(folder / "eaf")], tier=[tier], landmarks=folder / "lm", output=tmp_path / "corpus"
    )
    run(options)
    (utterance,) = Corpus.open(tmp_path / "corpus")
    assert utterance.source["video"] == ("123_1b1" if tier.endswith("B") else "123_1a1")


def test_the_offset_at_the_door(shared_data, tmp_path):
    folder = shared_data / "door" / "elan_time_origin"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    options = Options(
        annotations=[str(folder / "eaf")],
        tier=["Gloss"],
        segments="Sentence",
        landmarks=folder / "lm",
        output=tmp_path / "corpus",
    )
    run(options)
    corpus = Corpus.open(tmp_path / "corpus")
    from signloom.landmarks import Landmarks

    part = corpus.load(corpus.utterances[0])
    assert part.source["cut_ms"] == [4000, 5000]
    np.testing.assert_array_equal(part.points, Landmarks.load(folder / "lm" / "s.npz").points[100:125])
