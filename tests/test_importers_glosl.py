"""GloSL's folders, and CSL-Daily's own pickle: sentences with the right landmarks; what is missing is named."""

from __future__ import annotations

import os

import numpy as np
import pytest

from formats import TOLERANCE, csl_daily_pickle, glosl_folder, person, to_pickle
from signloom import cli
from signloom.corpus import Corpus
from signloom.errors import InputError


def run(kind, *arguments) -> int:
    return cli.dispatch(["import", kind, *map(str, arguments)])


def row(split="train", gloss="MORGEN REGEN", **more) -> dict[str, str]:
    given = {"text": "morgen, regnet es", "gloss_type": "manual", "signer": "Signer01", "fps": "25.0", "n_frames": "6"}
    return {"split": split, "gloss": gloss, **given, **more}


@pytest.fixture
def glosl(tmp_path):
    pytest.importorskip("pose_format")
    rows = {
        "a_1": row(start="12.5", end="12.74", pose_file="poses/0000/a_1.pose"),
        "a_2": row("val", "REGEN", pose_file="poses/0000/a_2.pose", signer=""),
        "only_text": row(gloss="", gloss_type=""),
    }
    clips = {"poses/0000/a_1.pose": person(), "poses/0000/a_2.pose": person(seed=1)}
    return glosl_folder(tmp_path / "glosl", rows, clips)


def test_a_glosl_folder_becomes_a_corpus(glosl, tmp_path, capsys):
    assert run("glosl", glosl, "--output", tmp_path / "out") == 0
    corpus = Corpus.open(tmp_path / "out")
    assert [(item.id, item.split, item.signer, item.glosses) for item in corpus] == [
        ("a_1", "train", "Signer01", ("MORGEN", "REGEN")),
        ("a_2", "dev", None, ("REGEN",)),
    ]
    # Start and end are times in the video that the sentence was cut from: the pose file is not cut again.
    for item, clip in zip(corpus, (person(), person(seed=1)), strict=True):
        read = corpus.load(item)
        np.testing.assert_allclose(read.points, clip.points, atol=TOLERANCE)
        assert read.fps == 25.0
    assert corpus.info["licence"] == "CC BY 4.0"
    assert "only_text: has a translation but no glosses" in capsys.readouterr().err


def test_rows_that_share_a_pose_file_are_cut(tmp_path):
    pytest.importorskip("pose_format")
    clip = person(20)
    rows = {
        "a": row(start="0", end="0.2", n_frames="5", pose_file="poses/v.pose"),
        "b": row(start="0.4", end="0.8", n_frames="10", pose_file="poses/v.pose"),
    }
    root = glosl_folder(tmp_path / "glosl", rows, {"poses/v.pose": clip}, card=False)
    assert run("glosl", root, "--output", tmp_path / "out") == 0
    corpus = Corpus.open(tmp_path / "out")
    first, second = (corpus.load(item).points for item in corpus)
    np.testing.assert_allclose(first, clip.points[:5], atol=TOLERANCE)
    np.testing.assert_allclose(second, clip.points[10:20], atol=TOLERANCE)


def test_the_pixel_aspect_widens_the_body(glosl, tmp_path):
    assert run("glosl", glosl, "--output", tmp_path / "out", "--pixel_aspect", "0.8667", "--splits", "train") == 0
    corpus = Corpus.open(tmp_path / "out")
    read = corpus.load(corpus.utterances[0])
    np.testing.assert_allclose(read.points[..., 0], 0.8667 * person().points[..., 0], atol=TOLERANCE)
    np.testing.assert_allclose(read.points[..., 1], person().points[..., 1], atol=TOLERANCE)
    assert read.pixel_aspect == 0.8667


def test_a_dry_run_writes_nothing(glosl, tmp_path, capsys):
    assert run("glosl", glosl, "--output", tmp_path / "out", "--dry_run", "true") == 0
    assert "dry run: nothing was written" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


def test_gloss_types_are_named_and_chosen(tmp_path, capsys):
    pytest.importorskip("pose_format")
    rows = {"a": row(), "b": row(gloss="X", gloss_type="automatic")}
    root = glosl_folder(tmp_path / "glosl", rows, {"poses/a.pose": person(), "poses/b.pose": person(seed=1)})
    assert run("glosl", root, "--output", tmp_path / "all") == 0
    assert "gloss_type has manual (1), automatic (1)" in capsys.readouterr().err
    assert run("glosl", root, "--output", tmp_path / "out", "--gloss_type", "manual") == 0
    assert [item.id for item in Corpus.open(tmp_path / "out")] == ["a"]
    with pytest.raises(InputError, match=r"glosses of type other; the table has manual \(1 row\), automatic \(1 row\)"):
        run("glosl", root, "--output", tmp_path / "none", "--gloss_type", "other")


def test_a_corpus_of_translations_only_says_so(tmp_path):
    pytest.importorskip("pose_format")
    root = glosl_folder(tmp_path / "glosl", {"a": row(gloss=""), "b": row(gloss="")}, {"poses/a.pose": person()})
    with pytest.raises(InputError, match=r"none of the 2 rows has glosses: .* signloom import pose .*poses --output"):
        run("glosl", root, "--output", tmp_path / "out")


def test_faults_of_a_glosl_table_are_listed_together(tmp_path):
    pytest.importorskip("pose_format")
    rows = {
        "a": row("other"),
        "b": row(pose_file="../b.pose"),
        "c": row(n_frames="many"),
        "d": row(pose_file="poses/x.pose"),
        "e": row(pose_file="poses/x.pose", start="1", end="0.5"),
        "f": row(),
        "g": row(),
    }
    root = glosl_folder(tmp_path / "glosl", rows, {"poses/f.pose": person()})
    (root / "poses/g.pose").write_bytes(b"damaged")
    with pytest.raises(InputError) as caught:
        run("glosl", root, "--output", tmp_path / "out")
    text = str(caught.value)
    for expected in (
        "split is 'other'; needed one of train, dev, test",
        "'../b.pose' leaves its folder",
        "n_frames is 'many'; needed a number",
        "2 rows have the pose file poses/x.pose, and this one has no start and end",
        "needed an end after the start",
        "not a readable .pose file",
    ):
        assert expected in text
    with pytest.raises(InputError, match=r"annotations\.csv: no such file; needed GloSL's table"):
        run("glosl", tmp_path, "--output", tmp_path / "out")


def test_missing_pose_files_are_named_or_left_out(glosl, tmp_path):
    (glosl / "poses/0000/a_2.pose").unlink()
    with pytest.raises(InputError, match=r"no pose file .*a_2\.pose(.|\n)*--skip_missing"):
        run("glosl", glosl, "--output", tmp_path / "out")
    assert run("glosl", glosl, "--output", tmp_path / "out", "--skip_missing", "true") == 0
    assert [item.id for item in Corpus.open(tmp_path / "out")] == ["a_1"]


def test_another_number_of_frames_is_a_note(tmp_path, capsys):
    pytest.importorskip("pose_format")
    root = glosl_folder(tmp_path / "glosl", {"a": row(n_frames="9")}, {"poses/a.pose": person()})
    assert run("glosl", root, "--output", tmp_path / "out") == 0
    assert "n_frames is not the number of frames in the pose file" in capsys.readouterr().err


# CSL-Daily.

NAMES = {"S000000_P0000_T00": ["他", "来"], "S000001_P0004_T00": ["什么"], "S000002_P0008_T00": ["来"]}


@pytest.fixture
def csl(tmp_path):
    folder = tmp_path / "sentence_label"
    csl_daily_pickle(folder / "csl2020ct_v2.pkl", NAMES)
    splits = zip(NAMES, ("train", "dev", "test"), strict=True)
    (folder / "split_1.txt").write_text("\n".join(["name|split", *map("|".join, splits), ""]))
    for name in NAMES:
        person().save(tmp_path / "landmarks" / f"{name}.npz")
    return folder, "--landmarks", tmp_path / "landmarks", "--output", tmp_path / "out"


def test_csl_dailys_pickle_stands_for_the_text_file(csl, tmp_path):
    folder, *options = csl
    assert run("csl_daily", "--annotations", folder, *options) == 0
    assert [(item.id, item.split, item.signer, item.glosses) for item in Corpus.open(tmp_path / "out")] == [
        ("S000000_P0000_T00", "train", "P0000", ("他", "来")),
        ("S000001_P0004_T00", "dev", "P0004", ("什么",)),
        ("S000002_P0008_T00", "test", "P0008", ("来",)),
    ]


def test_the_text_file_of_csl_daily_goes_before_the_pickle(csl, tmp_path):
    folder, *options = csl
    lines = ["index|name|length|gloss|char|word|postag", *(f"0|{name}|6|别|a|b|c" for name in NAMES), ""]
    (folder / "video_map.txt").write_text("\n".join(lines))
    assert run("csl_daily", "--annotations", folder, *options) == 0
    assert {item.glosses for item in Corpus.open(tmp_path / "out")} == {("别",)}


def test_missing_files_of_csl_daily_are_named(csl):
    folder, *options = csl
    (folder / "csl2020ct_v2.pkl").unlink()
    with pytest.raises(InputError) as caught:
        run("csl_daily", "--annotations", folder, *options)
    assert "no file video_map.txt or csl2020ct_v2.pkl in" in str(caught.value)
    # A split cannot be left out to mend this.
    assert "--splits" not in str(caught.value)
    csl_daily_pickle(folder / "csl2020ct_v2.pkl", NAMES)
    csl_daily_pickle(folder / "copy/csl2020ct_v2.pkl", NAMES)
    (folder / "split_1.txt").unlink()
    with pytest.raises(InputError, match=r"are all named csl2020ct_v2\.pkl; give the right file itself"):
        run("csl_daily", "--annotations", folder, *options)
    with pytest.raises(InputError, match=r"no file split_1\.txt in"):
        run("csl_daily", "--annotations", folder / "copy", *options)


class Calls:
    def __reduce__(self):
        return os.system, ("true",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1], "no list 'info'"),
        ({"info": []}, "no list 'info'"),
        ({"info": [{"name": "S000000_P0000_T00"}]}, r"entry 0 \(S000000_P0000_T00\): no name or no list label_gloss"),
        ({"info": [{"name": "S", "label_gloss": [1]}]}, "no name or no list label_gloss"),
        ({"info": Calls()}, "which can run code; refused"),
    ],
)
def test_other_pickles_in_csl_dailys_place_are_refused(csl, content, message):
    folder, *options = csl
    to_pickle(folder / "csl2020ct_v2.pkl", content)
    with pytest.raises(InputError, match=message):
        run("csl_daily", "--annotations", folder, *options)
