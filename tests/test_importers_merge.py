"""Corpora joined into one: ids, signers, copies, licences, and tiers of one file that were imported apart."""

import json
from pathlib import Path

import numpy as np
import pytest

from conftest import random_landmarks
from elan_files import DIALOGUE, clip, eaf
from signloom import cli
from signloom.corpus import Corpus, CorpusWriter
from signloom.errors import InputError
from signloom.importers import merge


def make(folder: Path, *utterances: tuple, fps: float = 25.0, **info) -> Path:
    """A corpus of (id, split, signer, glosses, seed) utterances."""
    with CorpusWriter(folder, {"name": folder.name, **info}) as writer:
        for name, split, signer, glosses, seed in utterances:
            writer.add(
                name,
                split=split,
                signer=signer,
                glosses=glosses.split(),
                landmarks=random_landmarks(5 + seed, seed=seed, fps=fps),
                source={"importer": "test"},
                truth={"seed": seed},
            )
    return folder


@pytest.fixture
def pair(tmp_path):
    one = make(
        tmp_path / "one",
        ("u1", "train", "anna", "A B", 1),
        ("u2", "dev", "ben", "A", 2),
        licence="CC BY 4.0",
        citation="One 2024",
    )
    two = make(
        tmp_path / "two",
        ("u1", "train", "anna", "B C", 3),
        ("u3", "test", None, "C", 4),
        licence="research only",
        citation="Two 2025",
    )
    return [one, two]


def call(corpora, output: Path, **given) -> Corpus:
    assert merge.run(merge.Options(corpora=corpora, output=output, **given)) == 0
    return Corpus.open(output)


def rows(corpus: Corpus) -> list[tuple]:
    return [(item.id, item.split, item.signer, " ".join(item.glosses)) for item in corpus]


def test_ids_and_signers_stay_apart(pair, tmp_path, capsys):
    corpus = call(pair, tmp_path / "all")
    assert rows(corpus) == [
        ("one_u1", "train", "one_anna", "A B"),
        ("u2", "dev", "ben", "A"),
        ("two_u1", "train", "two_anna", "B C"),
        ("u3", "test", None, "C"),
    ]
    for index, seed in enumerate((1, 2, 3, 4)):
        utterance = corpus.utterances[index]
        expected = random_landmarks(5 + seed, seed=seed).points
        np.testing.assert_allclose(corpus.load(utterance).points, expected, atol=1e-3)
        assert utterance.truth == {"seed": seed}
    assert corpus.utterances[2].source == {"importer": "test", "corpus": "two", "corpus_id": "u1"}
    assert "distinct glosses: one 2, two 2; in all of them: 1" in capsys.readouterr().out
    # Links, not copies.
    assert (corpus.root / corpus.utterances[1].landmarks).samefile(pair[0] / "landmarks" / "u2.npz")


def test_licence_and_citation_of_each_corpus_are_kept(pair, tmp_path):
    info = call(pair, tmp_path / "all").info
    assert info["licence"] == "one: CC BY 4.0; two: research only"
    assert info["citation"] == "one: One 2024; two: Two 2025"
    assert [item["name"] for item in info["merged"]] == ["one", "two"]
    assert info["name"] == "all"
    # A merged corpus can be merged again.
    third = make(tmp_path / "third", ("v", "train", "carl", "D", 5), licence="CC BY 4.0")
    again = call([tmp_path / "all", third], tmp_path / "again")
    assert again.info["licence"] == "all: one: CC BY 4.0; two: research only; third: CC BY 4.0"
    assert len(again) == 5


@pytest.mark.parametrize(
    ("signers", "expected"),
    [
        (["same"], ["anna", "ben", "anna", None]),
        (["anna=Anna"], ["Anna", "ben", "Anna", None]),
        (["two/anna=eve"], ["anna", "ben", "eve", None]),
        (["one/anna=p1", "two/anna=p1", "ben=p2"], ["p1", "p2", "p1", None]),
    ],
)
def test_signers_are_mapped_as_given(pair, tmp_path, signers, expected, capsys):
    corpus = call(pair, tmp_path / "all", signers=signers)
    assert [item.signer for item in corpus] == expected


def test_signers_are_mapped_by_a_table(pair, tmp_path):
    table = tmp_path / "people.csv"
    table.write_text("corpus,signer,name\none,anna,p1\ntwo,anna,p2\n,ben,p2\n", encoding="utf-8")
    corpus = call(pair, tmp_path / "all", signers=[str(table)])
    assert [item.signer for item in corpus] == ["p1", "p2", "p2", None]


@pytest.mark.parametrize(
    ("signers", "message"),
    [
        (["carl=x"], "--signers names 'carl'; needed signers of the corpora: one/anna, one/ben, two/anna"),
        (["two/ben=x"], "--signers names 'two/ben'"),
        (["anna"], "--signers has 'anna'; needed same, OLD=NEW"),
    ],
)
def test_signers_that_nobody_has_are_faults(pair, tmp_path, signers, message):
    with pytest.raises(InputError, match=message):
        call(pair, tmp_path / "all", signers=signers)
    assert not (tmp_path / "all").exists()


def test_two_people_never_get_one_name_by_chance(tmp_path):
    one = make(tmp_path / "one", ("a", "train", "anna", "A", 1))
    two = make(tmp_path / "two", ("b", "train", "anna", "A", 2), ("c", "train", "one_anna", "A", 3))
    with pytest.raises(InputError, match="one/anna, two/one_anna would all be called one_anna; pass --signers"):
        call([one, two], tmp_path / "all")
    assert len(call([one, two], tmp_path / "all", signers=["one_anna=third"])) == 3


def test_copies_are_taken_once_even_from_another_split(pair, tmp_path, capsys):
    copy = make(tmp_path / "copy", ("u1", "test", "x", "A B", 1), ("u9", "dev", "x", "A B", 9))
    corpus = call([pair[0], copy], tmp_path / "all")
    assert [item.id for item in corpus] == ["u1", "u2", "u9"]
    assert "copy: the same clip with the same glosses is in one (train u1)" in capsys.readouterr().err
    # The same file under another id: it is linked.
    again = merge.Options(corpora=[tmp_path / "all", pair[0]], output=tmp_path / "again")
    assert merge.run(again) == 0
    assert len(Corpus.open(tmp_path / "again")) == 3
    (line,) = [line for line in (tmp_path / "again" / "left_out.jsonl").read_text().splitlines() if "u2" in line]
    assert json.loads(line)["id"] == "u2"


def test_one_clip_with_two_annotations_is_told(pair, tmp_path, capsys):
    other = make(tmp_path / "other", ("u1", "train", "anna", "X", 1))
    assert len(call([pair[0], other], tmp_path / "all")) == 3
    assert "note: 1 clip in two corpora with different glosses (one/u1 and other/u1)" in capsys.readouterr().err


def test_corpora_in_two_unicode_forms_share_their_glosses(tmp_path, capsys):
    # A corpus made before texts were cleaned.
    one = make(tmp_path / "one", ("a", "train", "ju\u0308rgen", "U\u0308BER", 1))
    two = make(tmp_path / "two", ("b", "dev", "jürgen", "ÜBER", 2))
    corpus = call([one, two], tmp_path / "all", signers=["same"])
    assert {(item.signer, item.glosses) for item in corpus} == {("jürgen", ("ÜBER",))}
    apart = call([one, two], tmp_path / "apart")
    assert [item.signer for item in apart] == ["one_jürgen", "two_jürgen"]
    assert "2 names or glosses were brought into one Unicode form" in capsys.readouterr().err


def test_corpora_of_one_name_are_told_apart_by_their_folders(tmp_path):
    for parent in ("x", "y"):
        make(tmp_path / parent, (f"{parent}1", "train", "anna", "A", len(parent)), ("u", "dev", "b", parent.upper(), 3))
        header = tmp_path / parent / "corpus.json"
        header.write_text(json.dumps({**json.loads(header.read_text()), "name": "corpus"}))
    corpus = call([tmp_path / "x", tmp_path / "y"], tmp_path / "all")
    assert [item.id for item in corpus] == ["x1", "x_u", "y1", "y_u"]


def test_what_cannot_be_merged(pair, tmp_path):
    with pytest.raises(InputError, match="1 corpus; needed at least two to merge"):
        call(pair[:1], tmp_path / "all")
    with pytest.raises(InputError, match="is given 2 times; needed different corpora"):
        call([pair[0], pair[0]], tmp_path / "all")
    with pytest.raises(InputError, match="is one of the corpora; choose another folder"):
        call(pair, pair[1], overwrite=True)
    with pytest.raises(InputError, match="gone: no such folder"):
        call([pair[0], tmp_path / "gone"], tmp_path / "all")
    (pair[1] / "landmarks" / "u3.npz").write_bytes(b"damaged")
    with pytest.raises(InputError, match="u3: .*not a readable landmark file"):
        call(pair, tmp_path / "all")


def test_notes_on_rates_signers_and_glosses(tmp_path, capsys):
    one = make(tmp_path / "one", ("a", "train", "anna", "A", 1))
    two = make(tmp_path / "two", ("b", "test", "anna", "B", 2), fps=50.0)
    call([one, two], tmp_path / "all", signers=["same"])
    err = capsys.readouterr().err
    assert "note: frame rates differ (one 25; two 50)" in err
    assert "note: 1 signer of test also in train: anna" in err
    assert "note: the corpora share no gloss" in err


def test_as_a_command_and_as_a_dry_run(pair, tmp_path, capsys):
    words = ["import", "merge", str(pair[0]), str(pair[1]), "--output", str(tmp_path / "all")]
    assert cli.dispatch([*words, "--dry_run"]) == 0
    assert not (tmp_path / "all").exists()
    assert "signers: ben (1 dev), one_anna (1 train), two_anna (1 train), unknown (1 test)" in capsys.readouterr().out
    assert cli.dispatch([*words, "--signers", "same"]) == 0
    with pytest.raises(InputError, match="already has a corpus"):
        cli.dispatch(words)


def test_signers_of_one_file_imported_apart(tmp_path):
    pytest.importorskip("pympi")
    from signloom.importers import elan

    media = ("12_a.mp4", "12_b.mp4")
    people = {"Sign_A": "Anna", "Sign_B": "Ben"}
    for name in ("monday", "tuesday"):
        eaf(tmp_path / "eaf" / name / "12.eaf", DIALOGUE, media, participants=people)
    for number, name in enumerate(media, 1):
        for day in ("monday", "tuesday"):
            clip(tmp_path / "lm" / day / f"{Path(name).stem}.npz", number)
    for letter in "AB":
        options = elan.Options(
            annotations=[str(tmp_path / "eaf")],
            tier=[f"Sign_{letter}"],
            segments=f"Text_{letter}",
            landmarks=tmp_path / "lm",
            output=tmp_path / letter,
        )
        elan.run(options)
    corpus = call([tmp_path / "A", tmp_path / "B"], tmp_path / "all")
    assert rows(corpus) == [
        ("A_monday/12_0001", "train", "Anna", "HOUSE"),
        ("A_tuesday/12_0001", "train", "Anna", "HOUSE"),
        ("B_monday/12_0001", "train", "Ben", "TREE"),
        ("B_tuesday/12_0001", "train", "Ben", "TREE"),
    ]
    # The other hand's tier of the same files: the same person, not somebody else of the name.
    elan.run(
        elan.Options(
            annotations=[str(tmp_path / "eaf")],
            tier=["Sign_A"],
            landmarks=tmp_path / "lm",
            output=tmp_path / "C",
        )
    )
    corpus = call([tmp_path / "A", tmp_path / "C"], tmp_path / "hands")
    assert {item.signer for item in corpus} == {"Anna"}
