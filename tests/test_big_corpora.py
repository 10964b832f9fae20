"""Corpora of many utterances: arrays and lines in the place of objects, and the index that is kept of a manifest."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import zlib
from collections import Counter
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conftest import random_landmarks
from signloom.cli import dispatch
from signloom.corpus import SPLITS, Corpus, CorpusWriter, Utterance, Utterances, num_sampled, spread
from signloom.corpus.columns import Ragged, columns_of, starts_of
from signloom.corpus.index import _DTYPES, _head_bytes, _read_head, read_index
from signloom.corpus.splits import dev_is_known
from signloom.corpus.utterances import MANIFEST_INDEX
from signloom.ctc.collapse import frames_needed, frames_needed_each
from signloom.errors import InputError, plural
from signloom.files.paths import Listing
from signloom.health.checks.manifest import FASTEST_GLOSS_SECONDS, REPEATS, SLOWEST_GLOSS_SECONDS, _unusual
from signloom.train.fit import fit
from signloom.train.recipe import Recipe
from signloom.vocabulary import BLANK, UNKNOWN, Vocabulary

WORD = st.text(st.characters(exclude_categories=("Z", "C")), min_size=1, max_size=5).filter(
    lambda word: word not in (BLANK, UNKNOWN)
)
NAME = st.text(st.characters(exclude_categories=("C",)), min_size=1, max_size=9)


@st.composite
def records(draw):
    """Lines of a manifest: names and glosses in any script, few or none of the optional entries."""
    lines = []
    for number in range(draw(st.integers(1, 7))):
        glosses = draw(st.lists(WORD, min_size=1, max_size=5))
        record = {
            "id": f"{draw(NAME)}{number}",
            "split": draw(st.sampled_from(SPLITS)),
            "signer": draw(st.none() | st.sampled_from(["A", "B", "Zoë"])),
            "glosses": glosses,
            "landmarks": draw(st.sampled_from(["landmarks/a.npz", "b.npz", "landmarks/ö.npz"])),
            "num_frames": draw(st.integers(1, 10**6)),
            "fps": draw(st.floats(1, 1000)),
        }
        if places := sorted(draw(st.lists(st.integers(0, len(glosses)), max_size=3))):
            record["others"] = places
        if draw(st.booleans()):
            record["source"] = {"video": "a.mp4", "text": draw(NAME)}
        lines.append(record)
    return lines


@pytest.fixture
def root(tmp_path):
    """A corpus whose landmark files are only looked for."""
    with CorpusWriter(tmp_path / "corpus", {"name": "big"}) as writer:
        for number in range(9):
            writer.add(
                f"clip-{number}",
                split="dev" if number == 4 else "train",
                signer="A" if number % 2 else None,
                glosses=["HELLO", "ÄPFEL", f"G{number}"][: 1 + number % 3],
                landmarks=random_landmarks(5 + number),
            )
    for name in ("landmarks/a.npz", "b.npz", "landmarks/ö.npz"):
        (tmp_path / "corpus" / name).write_bytes(b"")
    return tmp_path / "corpus"


@pytest.fixture
def kept(root, monkeypatch):
    """The same, large enough for an index, which has been made."""
    monkeypatch.setattr("signloom.corpus.manifest.MOST_OBJECTS", 0)
    Corpus.open(root)
    assert (root / MANIFEST_INDEX).is_file()
    return root


def write(root: Path, lines: list[dict]) -> None:
    # Blank lines, indentation and both ends of lines: places in the file are not what they would be otherwise.
    text = "\n\n".join(f"  {json.dumps(line, ensure_ascii=number % 2 == 0)}" for number, line in enumerate(lines))
    (root / "manifest.jsonl").write_bytes(text.replace("\n\n", "\r\n", 1).encode())


def refuse_to_read(*_):
    raise AssertionError("the manifest was read line by line")


@given(records())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_corpus_is_the_same_as_objects_as_lines_and_through_its_index(root, lines):
    write(root, lines)
    small = Corpus.open(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("signloom.corpus.manifest.MOST_OBJECTS", 0)
        first = Corpus.open(root)
        patch.setattr("signloom.corpus.manifest._checked", refuse_to_read)
        again = Corpus.open(root)
    expected = [Utterance.from_json(line) for line in lines]
    for corpus in (small, first, again):
        assert list(corpus) == expected
        assert [corpus.utterances[at] for at in range(-len(lines), 0)] == expected
        assert corpus.summary() == small.summary()
        for name in SPLITS:
            assert list(corpus.utterances.in_split(name)) == [item for item in expected if item.split == name]
    assert first == again == small
    assert again.utterances[1:] == expected[1:]
    assert not isinstance(again.utterances._source, tuple)


@given(records())
def test_columns_say_what_the_utterances_say(lines):
    items = [Utterance.from_json(line) for line in lines]
    utterances = Utterances.of(items)
    columns = utterances.columns
    assert list(columns.ids) == [item.id for item in items]
    assert list(columns.landmarks) == [item.landmarks for item in items]
    assert list(columns.sentences()) == [item.glosses for item in items]
    assert columns.seconds.tolist() == [item.duration_seconds for item in items]
    assert columns.frames_at(25).tolist() == [max(1, round(item.num_frames * 25 / item.fps)) for item in items]
    assert columns.gloss_counts() == Counter(gloss for item in items for gloss in item.glosses)
    assert list(columns.gloss_counts()) == list(dict.fromkeys(gloss for item in items for gloss in item.glosses))
    assert columns.signer_counts() == Counter(item.signer for item in items)
    assert all(columns.agrees(row, item) for row, item in enumerate(items))
    # Glosses of a vocabulary that lacks some of them.
    vocabulary = Vocabulary.from_glosses([sorted(columns.words_used())[::2]])
    targets = columns.targets(vocabulary)
    assert [ids.tolist() for ids in targets] == [item.target(vocabulary) for item in items]
    assert frames_needed_each(targets).tolist() == [frames_needed(item.target(vocabulary)) for item in items]
    signers = {name: {item.signer for item in items if item.split == name} for name in SPLITS}
    known = bool(signers["dev"]) and None not in signers["dev"] and signers["dev"] <= signers["train"]
    assert dev_is_known(utterances) == known


@given(records(), st.data())
def test_some_utterances_are_those_that_were_chosen_in_their_order(lines, data):
    items = [Utterance.from_json(line) for line in lines]
    chosen = data.draw(st.lists(st.integers(0, len(items) - 1), max_size=9))
    some = Utterances.of(items).take(chosen)
    assert list(some) == [items[at] for at in chosen]
    assert columns_of(some).targets is not None
    assert list(some.columns.ids) == [items[at].id for at in chosen]
    assert list(some.columns.sentences()) == [items[at].glosses for at in chosen]
    assert some[1:] == [items[at] for at in chosen][1:]
    flags = np.array(data.draw(st.lists(st.booleans(), min_size=len(chosen), max_size=len(chosen))), dtype=bool)
    assert list(some.take(flags)) == [item for item, flag in zip(some, flags, strict=True) if flag]


def test_columns_that_differ_do_not_agree():
    item = Utterance("a", "train", "A", ("X", "Y"), "a.npz", 9, 25.0, others=(1,))
    columns = columns_of([item])
    changes = {
        "id": "b",
        "split": "dev",
        "signer": None,
        "glosses": ("X", "Z"),
        "landmarks": "b.npz",
        "num_frames": 8,
        "fps": 24.0,
        "others": (0,),
    }
    assert columns.agrees(0, item)
    for name, value in changes.items():
        other = replace(item, **{name: value})
        assert not columns_of([item, other]).agrees(0, other), name


def test_a_small_corpus_gets_no_index(root):
    before = {path.name for path in root.iterdir()}
    assert len(Corpus.open(root)) == 9
    assert {path.name for path in root.iterdir()} == before


def test_the_manifest_is_checked_once(kept, monkeypatch):
    monkeypatch.setattr("signloom.corpus.manifest._checked", refuse_to_read)
    assert Corpus.open(kept).split("train").columns.words_used() == ["HELLO", "ÄPFEL", "G2", "G5", "G8"]
    # In a copy too, and whatever the time that the file has.
    copy = kept.rename(kept.with_name("moved"))
    (copy / "manifest.jsonl").touch()
    assert len(Corpus.open(copy)) == 9


@pytest.mark.parametrize("change", [b'"clip-3"', b"HELLO", b"train"])
def test_a_changed_manifest_is_read_again(kept, change):
    manifest = kept / "manifest.jsonl"
    text = manifest.read_bytes()
    # As long as before, at the same time: only the content tells.
    times = manifest.stat()
    other = {b'"clip-3"': b'"clip-x"', b"HELLO": b"HOLLE", b"train": b"test "}[change]
    changed = text.replace(change, other).replace(b'"test "', b'"test" ')
    assert len(changed) == len(text)
    manifest.write_bytes(changed)
    os.utime(manifest, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert list(Corpus.open(kept)) == [Utterance.from_json(json.loads(line)) for line in changed.splitlines()]
    assert read_index(kept / MANIFEST_INDEX, manifest) is not None


def test_faults_are_told_as_without_an_index(kept):
    (kept / "landmarks" / "clip-2.npz").unlink()
    with pytest.raises(InputError, match=r"1 fault\n  line 3 \(clip-2\): landmark file \S+ is missing"):
        Corpus.open(kept)


def test_a_damaged_index_is_made_again(kept):
    path = kept / MANIFEST_INDEX
    good = path.read_bytes()
    expected = list(Corpus.open(kept))
    rng = np.random.default_rng(0)
    cases = [good[:size] for size in (0, 1, 30, 700, len(good) - 1)] + [good + b"\0"]
    for place in [*range(0, 40, 3), *rng.integers(0, len(good), 60).tolist()]:
        cases.append(good[:place] + bytes([good[place] ^ 0x11]) + good[place + 1 :])
    for case in cases:
        path.write_bytes(case)
        assert list(Corpus.open(kept)) == expected
        assert path.read_bytes() == good


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("splits", [7]),
        ("signers", [9]),
        ("signers", [-2]),
        ("num_frames", [0]),
        ("fps", [float("nan")]),
        ("glosses", [10**6]),
        ("glosses", [-1]),
        ("starts", [-5]),
        ("starts", [2**62]),
        ("lengths", [2**31 - 1]),
        ("lengths", [0]),
        ("ids.starts", [0, 2**40]),
        ("glosses.starts", [0, 0]),
        ("words", [0x20, 0x20]),
        ("words", [0xFF]),
        ("ids", [0xFF]),
        ("landmarks", [0x80]),
        ("words.starts", [0, 6]),
    ],
)
def test_no_number_of_a_forged_index_leads_out_of_its_arrays(kept, name, values):
    path = kept / MANIFEST_INDEX
    good = path.read_bytes()
    path.write_bytes(forged(good, name, values))
    assert read_index(path, kept / "manifest.jsonl") is None
    assert len(list(Corpus.open(kept))) == 9
    assert path.read_bytes() == good


def forged(good: bytes, name: str, values: list) -> bytes:
    """Returns an index whose array `name` begins with other values, with the checksum of that."""
    head, place = _read_head(good[:10_000])
    data = bytearray(good)
    start = place
    for array, kind in _DTYPES.items():
        if array == name:
            new = np.array(values, kind).tobytes()
            data[start : start + len(new)] = new
        start += -(-head.sizes[array] * np.dtype(kind).itemsize // 64) * 64
    head.crc32 = zlib.crc32(data[place:])
    text = _head_bytes(head)
    return text + bytes(data[place:])


def test_an_index_is_believed_no_more_than_the_manifest(kept):
    # Sound in itself: what a test split says it is, the lines say otherwise.
    path = kept / MANIFEST_INDEX
    path.write_bytes(forged(path.read_bytes(), "splits", [2]))
    corpus = Corpus.open(kept)
    with pytest.raises(InputError, match=f"another utterance than when the corpus was opened.*remove {MANIFEST_INDEX}"):
        corpus.split("test")[0]
    assert corpus.utterances[1].id == "clip-1"


def test_a_manifest_that_is_replaced_meanwhile_changes_nothing(kept):
    corpus = Corpus.open(kept)
    expected = list(corpus)
    new = kept / "new.jsonl"
    new.write_text("{}\n")
    new.replace(kept / "manifest.jsonl")
    assert list(corpus) == expected


def test_a_manifest_that_is_written_over_is_noticed(kept):
    corpus = Corpus.open(kept)
    path = kept / "manifest.jsonl"
    path.write_bytes(b"x" * 100)
    with pytest.raises(InputError, match="byte 0 has another utterance than when the corpus was opened; open it again"):
        corpus.utterances[0]
    with pytest.raises(InputError, match="open it again"):
        corpus.utterances[8]


def test_a_corpus_that_cannot_be_written_is_read(root, monkeypatch):
    def refused(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("signloom.corpus.manifest.MOST_OBJECTS", 0)
    monkeypatch.setattr("signloom.corpus.manifest.write_index", refused)
    assert [item.id for item in Corpus.open(root)] == [f"clip-{number}" for number in range(9)]
    assert not (root / MANIFEST_INDEX).exists()


def test_a_new_corpus_in_the_folder_removes_the_index(kept):
    with CorpusWriter(kept, {}, overwrite=True) as writer:
        writer.add("new", split="train", signer="B", glosses=["NEW"], landmarks=random_landmarks(9))
    assert not (kept / MANIFEST_INDEX).exists()


def test_utterances_of_a_manifest_go_to_another_process(kept):
    some = Corpus.open(kept).split("train")[2:5]
    assert list(pickle.loads(pickle.dumps(some))) == list(some)


@pytest.mark.slow
def test_several_processes_open_a_large_corpus_at_once(root):
    code = (
        "import sys, signloom.corpus.manifest as manifest; manifest.MOST_OBJECTS = 0\n"
        "from signloom.corpus import Corpus\n"
        "for _ in range(20): print(*(item.id for item in Corpus.open(sys.argv[1])))\n"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code, str(root)], stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    expected = " ".join(f"clip-{number}" for number in range(9))
    for process in running:
        out, _ = process.communicate(timeout=120)
        assert process.returncode == 0
        assert out.splitlines() == [expected] * 20
    assert read_index(root / MANIFEST_INDEX, root / "manifest.jsonl") is not None
    assert not [path for path in root.iterdir() if path.name.endswith(".part")]


def test_a_listing_finds_what_the_system_finds(tmp_path):
    root = tmp_path / "root"
    (root / "a").mkdir(parents=True)
    (tmp_path / "outside.npz").write_bytes(b"")
    for name in ("a/x.npz", "y.npz", "a/back\\slash.npz"):
        (root / name).write_bytes(b"")
    (root / "a" / "link.npz").symlink_to("x.npz")
    (root / "a" / "out.npz").symlink_to(tmp_path / "outside.npz")
    (root / "a" / "broken.npz").symlink_to("nothing.npz")
    (root / "b").symlink_to("a")
    (root / "away").symlink_to(tmp_path)
    (root / "folder.npz").mkdir()
    listing = Listing(root)
    for name in ("a/x.npz", "y.npz", "a/link.npz", "b/x.npz", "./y.npz", "a//x.npz"):
        assert listing.has(name), name
    for name in ("a/z.npz", "z.npz", "c/x.npz", "folder.npz", "a/broken.npz"):
        assert not listing.has(name), name
    refused = ("a/out.npz", "away/outside.npz", "../outside.npz", "a/../y.npz", "a/back\\slash.npz", f"{root}/y.npz")
    for name in refused:
        with pytest.raises(InputError, match="leaves its folder|leads out of its folder"):
            listing.has(name)


def test_lists_of_no_length_are_lists():
    lists = ragged([[], [1, 2], [], [3]])
    assert [part.tolist() for part in lists] == [[], [1, 2], [], [3]]
    assert [part.tolist() for part in lists.take(np.array([3, 0, 1]))] == [[3], [], [1, 2]]
    assert frames_needed_each(ragged([[], [1, 1], [], [1, 1, 1], [1]])).tolist() == [0, 3, 0, 5, 1]
    assert len(ragged([])) == 0


@pytest.mark.parametrize(
    ("total", "wanted", "count"), [(9, None, 9), (10_001, None, 2000), (10_001, 0, 10_001), (9, 4, 4), (9, 99, 9)]
)
def test_a_sample_stands_for_many_clips_and_all_are_read_on_request(total, wanted, count):
    chosen = spread(total, num_sampled(total, wanted))
    assert len(set(chosen.tolist())) == count
    assert (chosen[0], chosen[-1]) == (0, total - 1)


def test_the_doctor_says_whose_landmarks_it_measured(tiny_corpus, capsys):
    main = ["doctor", str(tiny_corpus), "--suite", "data", "--format", "json"]
    dispatch([*main, "--clips", "6"])
    some = json.loads(capsys.readouterr().out)
    assert "26 utterances" in some["subject"]
    assert "landmarks of 6 clips spread over it are measured (all with --clips 0)" in some["subject"]
    headlines = {finding["id"]: finding["headline"] for finding in some["findings"]}
    assert headlines["data.readable"] == "all 6 landmark files can be read"
    assert headlines["data.duplicates"].endswith("among the 6 measured clips")
    dispatch(main)
    whole = json.loads(capsys.readouterr().out)
    assert "measured" not in whole["subject"]
    # Annotations are checked as a whole either way.
    for name in ("data.balance", "data.lengths", "data.signers", "data.annotations"):
        (one,), (two,) = ([item for item in every["findings"] if item["id"] == name] for every in (some, whole))
        assert one == two
    with pytest.raises(InputError, match="--clips is -1; needed at least 0"):
        dispatch([*main, "--clips", "-1"])


@pytest.mark.slow
def test_a_run_on_a_large_corpus_is_the_same_as_on_objects(tiny_corpus, tmp_path, tiny_presets, monkeypatch):
    def losses(name, **options):
        recipe = Recipe(tiny_corpus, output=tmp_path / name, preset="tiny", epochs=2, **options)
        return [(epoch.train_loss, epoch.dev_loss, epoch.dev_wer) for epoch in fit(recipe).history.epochs]

    # One reads from lines, and keeps no landmarks.
    small = losses("small")
    monkeypatch.setattr("signloom.corpus.manifest.MOST_OBJECTS", 0)
    assert losses("large", cache_gigabytes=0) == small
    assert losses("sample", statistics_clips=4) != small
    (tiny_corpus / MANIFEST_INDEX).unlink()


@given(
    st.lists(
        st.tuples(st.lists(st.sampled_from("AB"), min_size=1, max_size=9), st.integers(1, 900)), min_size=1, max_size=6
    )
)
def test_repeats_and_paces_are_found_in_columns_as_in_sentences(drawn):
    items = [
        Utterance(f"u{number}", "train", None, tuple(glosses), "a.npz", frames, 25.0)
        for number, (glosses, frames) in enumerate(drawn)
    ]
    expected = []
    for item in items:
        runs = ["".join(group) for _, group in groupby(item.glosses)]
        if max(map(len, runs)) >= REPEATS:
            expected.append(f"{item.id}: one gloss {REPEATS} or more times in a row")
        pace = item.num_frames / 25 / len(item.glosses)
        if not FASTEST_GLOSS_SECONDS <= pace <= SLOWEST_GLOSS_SECONDS:
            expected.append(f"{item.id}: {plural(len(item.glosses), 'gloss')} in {item.num_frames / 25:.2f} seconds")
    count, told = _unusual(columns_of(items))
    assert count == len(expected)
    assert told == expected


def ragged(lists):
    values = np.array([value for part in lists for value in part], dtype=np.int32)
    return Ragged(values, starts_of(np.array([len(part) for part in lists], dtype=np.int64)))
