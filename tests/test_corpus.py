import errno
import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import random_landmarks
from signloom.corpus import Corpus, CorpusWriter, Utterance
from signloom.errors import InputError, LayoutError
from signloom.files.locks import LockedError
from signloom.files.paths import inside
from signloom.files.writing import atomic_write
from signloom.vocabulary import BLANK, UNKNOWN, UNKNOWN_ID, Vocabulary


@pytest.fixture
def corpus(tmp_path):
    with CorpusWriter(tmp_path / "corpus", {"name": "tiny"}) as writer:
        for number, split in enumerate(["train", "train", "dev", "test"]):
            writer.add(
                f"clip-{number}",
                split=split,
                signer="A",
                glosses=["HELLO", "ÄPFEL"],
                landmarks=random_landmarks(5 + number),
            )
    return tmp_path / "corpus"


def test_written_and_read_back(corpus):
    opened = Corpus.open(corpus)
    assert opened.name == "tiny"
    assert [utterance.id for utterance in opened.split("train")] == ["clip-0", "clip-1"]
    assert opened.split("dev")[0].glosses == ("HELLO", "ÄPFEL")
    assert len(opened.load(opened.split("test")[0])) == 8
    assert opened.summary()["train"]["running_glosses"] == 4


def test_a_moved_corpus_is_the_same_corpus(corpus):
    moved = corpus.rename(corpus.parent / "elsewhere")
    opened = Corpus.open(moved)
    assert len(opened.load(opened.utterances[0])) == 5


def test_all_faults_of_a_manifest_are_shown_together(corpus):
    lines = (corpus / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    records[1]["id"] = "clip-0"
    records[2]["landmarks"] = "../../etc/passwd"
    records[3]["glosses"] = []
    gone = dict(records[0], id="gone", landmarks="landmarks/gone.npz")
    text = "\n".join(json.dumps(record) for record in [*records, gone]) + "\n{broken\n"
    (corpus / "manifest.jsonl").write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as raised:
        Corpus.open(corpus)
    message = str(raised.value)
    assert "5 faults" in message
    assert "line 2: id 'clip-0' is already in line 1" in message
    assert "line 3: path '../../etc/passwd' leaves its folder" in message
    assert "line 4: no glosses; needed at least one, or others" in message
    assert "line 5 (gone): landmark file landmarks/gone.npz is missing" in message
    assert "line 6: " in message


def test_a_killed_writer_leaves_no_corpus_and_can_be_run_again(tmp_path):
    def write(fail):
        with CorpusWriter(tmp_path / "c", {}) as writer:
            writer.add("a", split="train", signer=None, glosses=["X"], landmarks=random_landmarks(3))
            if fail:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(True)
    with pytest.raises(InputError, match="not a finished corpus"):
        Corpus.open(tmp_path / "c")
    write(False)
    assert len(Corpus.open(tmp_path / "c")) == 1
    with pytest.raises(InputError, match="already has a corpus"):
        write(False)


def test_two_writers_do_not_mix_their_corpora(tmp_path):
    """Two `compose` of other seeds into one folder both ended well, and left utterances of both."""
    clip = random_landmarks(3)
    with CorpusWriter(tmp_path / "c", {"name": "first"}) as first:
        first.add("a", split="train", signer=None, glosses=["X"], landmarks=clip)
        for overwrite in (False, True):
            second = CorpusWriter(tmp_path / "c", {"name": "second"}, overwrite=overwrite)
            with pytest.raises(LockedError, match=f"another process writes here \\(process {os.getpid()} on"), second:
                pass
        late = CorpusWriter(tmp_path / "c", {"name": "late"})
        first.add("b", split="train", signer=None, glosses=["X"], landmarks=clip)
    assert [item.id for item in Corpus.open(tmp_path / "c")] == ["a", "b"]
    # Begun before the first was whole, entered after: it would have replaced it without being asked.
    with pytest.raises(InputError, match="already has a corpus"), late:
        pass
    assert Corpus.open(tmp_path / "c").name == "first"


def test_an_old_corpus_stays_until_the_new_one_is_whole(corpus):
    before = {path: path.read_bytes() for path in corpus.rglob("*.*") if path.is_file()}
    with pytest.raises(OSError, match="No space"), CorpusWriter(corpus, {}, overwrite=True) as writer:
        writer.add("clip-0", split="train", signer="B", glosses=["NEW"], landmarks=random_landmarks(9))
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert {path: path.read_bytes() for path in corpus.rglob("*.*") if path.is_file()} == before
    with CorpusWriter(corpus, {}, overwrite=True) as writer:
        writer.add("clip-0", split="train", signer="B", glosses=["NEW"], landmarks=random_landmarks(9))
    assert [item.glosses for item in Corpus.open(corpus)] == [("NEW",)]
    # Files of the old corpus go, and only those.
    assert [path.name for path in (corpus / "landmarks").iterdir()] == ["clip-0.npz"]


def test_ids_that_look_alike_as_file_names_have_files_of_their_own(tmp_path):
    # Characters that a file system refuses become `_`, and some file systems do not know case.
    ids = ["a/b", "a_b", "a:b", "A_B", "a?b"]
    with CorpusWriter(tmp_path / "c", {}) as writer:
        for frames, name in enumerate(ids, 1):
            writer.add(name, split="train", signer=None, glosses=["X"], landmarks=random_landmarks(frames))
    corpus = Corpus.open(tmp_path / "c")
    assert [(item.id, len(corpus.load(item))) for item in corpus] == [(name, n) for n, name in enumerate(ids, 1)]
    assert corpus.utterances[0].landmarks == "landmarks/a_b.npz"
    assert len({item.landmarks.casefold() for item in corpus}) == 5


def test_landmarks_given_as_a_file_are_taken_over(tmp_path, corpus):
    with CorpusWriter(tmp_path / "second", {}) as writer:
        writer.add("a", split="train", signer=None, glosses=["X"], landmarks=corpus / "landmarks" / "clip-0.npz")
    opened = Corpus.open(tmp_path / "second")
    assert len(opened.load(opened.utterances[0])) == 5


def test_another_layout_version_is_refused(corpus):
    header = json.loads((corpus / "corpus.json").read_text())
    (corpus / "corpus.json").write_text(json.dumps({**header, "layout_version": 7}))
    with pytest.raises(LayoutError, match="version 7, this signloom has"):
        Corpus.open(corpus)


def test_a_symbolic_link_out_of_the_corpus_is_refused(corpus, tmp_path):
    (corpus / "landmarks" / "link.npz").symlink_to(tmp_path / "outside.npz")
    with pytest.raises(InputError, match="through a symbolic link"):
        inside(corpus, "landmarks/link.npz")


def test_atomic_write_keeps_the_old_file_on_an_error(tmp_path):
    (tmp_path / "a").write_text("old")
    with pytest.raises(RuntimeError), atomic_write(tmp_path / "a", "w") as file:
        file.write("new")
        raise RuntimeError
    assert (tmp_path / "a").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_what_cannot_be_written_is_named_as_it_was_asked_for(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a folder; needed the name of a file"), atomic_write(tmp_path):
        pass
    with pytest.raises(InputError, match="a part of this path is a file"), atomic_write(tmp_path / "file" / "a"):
        pass
    # As a full disk does it, where the error of a write names no file.
    with pytest.raises(OSError, match="No space") as caught, atomic_write(tmp_path / "a"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(tmp_path / "a"))
    # Another file's error keeps that file's name.
    with pytest.raises(FileNotFoundError) as caught, atomic_write(tmp_path / "a"):
        (tmp_path / "missing").read_bytes()
    assert caught.value.filename == str(tmp_path / "missing")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/null")], ids=["pipe", "device"])
def test_no_file_takes_the_place_of_a_pipe_or_device(make, tmp_path):
    make(tmp_path / "out")
    with pytest.raises(InputError, match="out: is a device, a pipe or a socket"), atomic_write(tmp_path / "out"):
        pass
    assert not (tmp_path / "out").is_file()
    assert len(list(tmp_path.iterdir())) == 1


GLOSS = st.text(st.characters(exclude_categories=("Z", "C")), min_size=1, max_size=12).filter(
    lambda gloss: gloss not in (BLANK, UNKNOWN)
)


@given(st.lists(st.lists(GLOSS, max_size=4), min_size=1, max_size=8))
def test_word_id_word_is_the_identity(sentences):
    if not any(sentences):
        with pytest.raises(InputError, match="no glosses"):
            Vocabulary.from_glosses(sentences)
        return
    vocabulary = Vocabulary.from_glosses(sentences)
    ids = [number for number in range(len(vocabulary)) if number != UNKNOWN_ID]
    assert vocabulary.encode(vocabulary.decode(ids)) == ids
    assert vocabulary.words[0] == BLANK
    for sentence in sentences:
        assert vocabulary.decode(vocabulary.encode(sentence)) == list(sentence)


def test_an_unknown_gloss_becomes_unknown_and_is_never_named():
    vocabulary = Vocabulary.from_glosses([["A", "B"]])
    assert vocabulary.encode(["A", "NEVER", "B"]) == [2, UNKNOWN_ID, 3]
    assert vocabulary.decode([UNKNOWN_ID, 2]) == [vocabulary.words[2]]
    assert vocabulary.unknown(["A", "NEVER"]) == {"NEVER"}


def test_unknown_glosses_are_told_with_their_words():
    vocabulary = Vocabulary.from_glosses([["A", "B"]])
    assert vocabulary.unknown_note("dev", [["A"], ["B", "A"]]) is None
    assert vocabulary.unknown_note("dev", [["A", "NEVER"], ["NEVER", "[EVER]"]]) == (
        "dev has 2 glosses that are not in the training split (NEVER, [EVER]); "
        "they stay in the reference and count as errors, 3 of 4 words"
    )
    assert "G18, G19 and 5 more)" in vocabulary.unknown_note("dev", [[f"G{number:02}"] for number in range(25)])


def test_no_utterance_has_a_reserved_gloss():
    record = {"id": "a", "split": "train", "glosses": [BLANK], "landmarks": "a.npz", "num_frames": 3, "fps": 25.0}
    with pytest.raises(InputError, match="gloss '<blank>' is reserved"):
        Utterance.from_json(record)


def test_bad_vocabularies_are_refused():
    with pytest.raises(InputError, match="reserved"):
        Vocabulary.from_glosses([[BLANK]])
    with pytest.raises(InputError, match="occur twice: A"):
        Vocabulary((BLANK, UNKNOWN, "A", "A"))
    with pytest.raises(InputError, match="has white space"):
        Vocabulary.from_glosses([["GOOD JOB"]])
    with pytest.raises(InputError, match="id 9 outside"):
        Vocabulary.from_glosses([["A"]]).decode([9])


def test_a_clip_without_anybody_has_no_group_present(tmp_path):
    clip = random_landmarks(4)
    clip.points[:] = float("nan")
    clip.save(tmp_path / "empty.npz")
    assert not any(clip.present(group).any() for group in ("pose", "face"))
