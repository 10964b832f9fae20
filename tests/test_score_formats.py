"""What each file format may hold, and what every fault in one is told as."""

from __future__ import annotations

import json

import pytest

from signloom.errors import InputError
from signloom.score.alternations import Alternation
from signloom.score.formats import read_hypotheses, read_references
from signloom.score.match_ids import match_ids
from signloom.score.nist import parse_transcript, parse_word


@pytest.fixture
def write(tmp_path):
    def write(name: str, text: str | bytes):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def glosses(source) -> dict[str, tuple[str, ...]]:
    return {item.id: item.glosses for item in source.sentences}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("bar.csv", "id|gloss\nu1|A B\nu2|\nu3|Ä هو\n"),
        ("bar.txt", "u1|A B\nu2|\nu3|Ä هو\n"),
        ("comma.csv", "id,gloss\nu1,A B\nu2,\nu3,Ä هو\n"),
        ("bare.csv", "u1,A B\nu2,\nu3,Ä هو\n"),
        ("tab.tsv", "id\tgloss\nu1\tA B\nu2\t\nu3\tÄ هو\n"),
        ("windows.csv", b"\xef\xbb\xbfid|gloss\r\nu1|A  B\r\nu2|\r\nu3|" + "Ä هو".encode() + b"\r\n\r\n"),
        ("capitals.csv", "ID,Gloss\nu1,A B\nu2,\nu3,Ä هو\n"),
        ("more.csv", "id|folder|signer|annotation\nu1|f|S1|A B\nu2|f|S1|\nu3|f|S2|Ä هو\n"),
        ("translation.csv", "name|video|start|end|speaker|orth|translation\nu1|v|-1|-1|S1|A B|x\nu2|v|-1|-1|S1||x\n"
         "u3|v|-1|-1|S2|Ä هو|x y\n"),
        ("map.txt", "index|name|length|gloss|char|word|postag\n1|u1|9|A B|a|w|p\n2|u2|9||a|w|p\n3|u3|9|Ä هو|a|w|p\n"),
        ("list.jsonl", '{"id": "u1", "glosses": ["A", "B"]}\n{"id": "u2", "glosses": []}\n'
         '{"id": "u3", "glosses": ["Ä", "هو"]}\n'),
        ("text.jsonl", '{"name": "u1", "gloss": "A B"}\n\n{"name": "u2", "gloss": ""}\n'
         '{"name": "u3", "gloss": "Ä هو"}'),
        ("spans.jsonl", '{"id": "u1", "glosses": [{"gloss": "A", "confidence": 0.5}, {"gloss": "B"}]}\n'
         '{"id": "u2", "glosses": []}\n{"id": "u3", "glosses": [{"gloss": "Ä"}, {"gloss": "هو"}]}\n'),
    ],
)  # fmt: skip
def test_sentences_of_every_form_of_table(write, name, text):
    expected = {"u1": ("A", "B"), "u2": (), "u3": ("Ä", "هو")}
    assert glosses(read_hypotheses(write(name, text))) == expected
    assert glosses(read_references(write(name, text))) == expected


def test_signers_are_read_where_a_table_names_them(write):
    source = read_references(write("a.csv", "id|folder|signer|annotation\nu1|f|Signer05|A\n"))
    assert [item.signer for item in source.sentences] == ["Signer05"]
    source = read_references(write("a.jsonl", '{"id": "u1", "glosses": ["A"], "signer": 5}\n'))
    assert [item.signer for item in source.sentences] == ["5"]


def test_a_corpus_split_is_a_reference(tiny_corpus):
    source = read_references(tiny_corpus, split="dev")
    assert len(source.sentences) == 6
    assert {item.signer for item in source.sentences} == {"A"}
    with pytest.raises(InputError, match="is a corpus; choose the split to score against: --split train or dev"):
        read_references(tiny_corpus)


def test_a_run_folder_is_a_hypothesis(write, tmp_path):
    with pytest.raises(InputError, match=r"no hypotheses-SPLIT.csv; needed one such file"):
        read_hypotheses(tmp_path)
    write("hypotheses-test.csv", "id|gloss\nu1|A\n")
    assert glosses(read_hypotheses(tmp_path)) == {"u1": ("A",)}
    write("hypotheses-dev.csv", "id|gloss\nu1|B\n")
    assert glosses(read_hypotheses(tmp_path, split="dev")) == {"u1": ("B",)}
    with pytest.raises(InputError, match="hypotheses-dev.csv, hypotheses-test.csv; needed one such file"):
        read_hypotheses(tmp_path)


def test_an_stm_file_and_all_that_may_stand_in_it(write):
    text = (
        "\ufeff;; a comment\r\n"
        "rec-1 1 Signer01 0.0 1.79769e+308 __ON__ A;tag  B\\;C D* *\r\n"
        '  ;; CATEGORY "0" "" ""\r\n'
        "rec-2\t1\tSigner02\t0.5 2.5 <O,WA> { UM / @ / { A B / C } D } E\r\n"
        "rec-3 1 Signer02 0 2\r\n"
        "rec-3 1 Signer02 2 3 IGNORE_TIME_SEGMENT_IN_SCORING\r\n"
        "\r\n"
    )
    first, second, third, fourth = read_references(write("a.stm", text)).segments
    assert first.items == ("__ON__", "A", "B;C", "D", "*")
    assert (first.recording, first.channel, first.signer, first.start) == ("rec-1", "1", "Signer01", 0.0)
    assert second.items == (Alternation((("UM",), (None,), (Alternation((("A", "B"), ("C",))), "D"))), "E")
    assert (third.items, third.ignored) == ((), False)
    assert (fourth.items, fourth.ignored) == ((), True)


def test_a_ctm_file_and_all_that_may_stand_in_it(write):
    text = (
        ";; a comment\n"
        "rec-1 1 0.00 0.01 A;t 0.5\n"
        "rec-1 1 0.01 0.01 @\n"
        "rec-1 1 * * <ALT_BEGIN>\nrec-1 1 0.02 0.04 B\nrec-1 1 * * <ALT>\nrec-1 1 * * <ALT_END>\n"
        "rec-2 1 0.00 0.01\n"
    )
    words = read_hypotheses(write("a.ctm", text)).timed
    assert [word.word for word in words] == ["A", None, Alternation((("B",), (None,))), None]
    assert [word.middle for word in words] == [0.005, 0.015, 0.04, 0.005]


def test_words_and_wordings():
    assert parse_word("A\\;B;x;y") == "A;B"
    assert parse_word("@") is None
    assert parse_transcript("A @ B") == ("A", "B")
    assert parse_transcript("A/B } ( C )") == ("A/B", "}", "(", "C", ")")
    assert parse_transcript("{A/B}C") == (Alternation((("A",), ("B",))), "C")
    assert parse_transcript("{ / A }") == (Alternation((("A",),)),)


FAULTS = [
    ("a.stm", "r 1 S 0.0 2 {A / B\n", r"a.stm:1 \(r\): the alternation '{A / B' is not closed"),
    ("a.stm", "r 1 S 0.0 2 A{B / C}\n", r"a.stm:1 \(r\): a brace within the word 'A{B'"),
    ("a.stm", "r 1 S 0.0 2 { / }\n", r"a.stm:1 \(r\): an alternation without words"),
    ("a.stm", "r 1 S 0.0 2 A ;x\n", r"a.stm:1 \(r\): the word ';x' has only tags"),
    ("a.stm", "\nr 1 S 0.0\n", r"a.stm:2: 4 fields; needed recording channel signer start end"),
    ("a.stm", "r 1 S zero 2 A\n", r"start zero and end 2; needed seconds"),
    ("a.stm", "r 1 S 3 2 A\n", r"start 3 and end 2; needed seconds, start before end"),
    ("a.stm", "r 1 S nan 2 A\n", r"start nan and end 2; needed seconds"),
    ("a.ctm", "r 1 0.0\n", r"a.ctm:1: 3 fields; needed recording channel start duration word"),
    ("a.ctm", "r 1 0.0 -1 A\n", r"a.ctm:1 \(r\): start 0.0 and duration -1; needed seconds"),
    ("a.ctm", "r 1 0.0 1 WIE AUSSEHEN\n", r"a.ctm:1 \(r\): 'AUSSEHEN' is not a confidence"),
    ("a.ctm", "r 1 * * <ALT>\n", r"a.ctm:1: <ALT> out of place"),
    ("a.ctm", "r 1 * * <ALT_BEGIN>\nr 1 0 1 A\n", r"a.ctm:1: <ALT_BEGIN> without <ALT_END>"),
    ("a.csv", "id|gloss\nu1|A\nu1|B\n", r"a.csv:3 \(u1\): its id already occurs at .*a.csv:2 \(u1\)"),
    ("a.csv", "id|gloss\nu1|A|B\n", r"a.csv:2 \(u1\): 3 fields; needed 2"),
    ("a.csv", "id|gloss\n|A\n", r"a.csv:2: the id is empty"),
    ("a.csv", "Id,Sentence\nu1,A\n", r"a.csv:1: columns 'Id,Sentence' without a gloss column"),
    ("a.csv", "A sentence without anything\n", r"neither bar, tab nor comma in 'A sentence"),
    ("a.csv", "", r"a.csv: no hypotheses in it"),
    ("a.csv", b"id|gloss\nu1|\xff\n", r"a.csv:2: not UTF-8"),
    ("a.jsonl", '{"id": "u1"}\n', r"a.jsonl:1 \(u1\): no glosses; needed gloss or glosses"),
    ("a.jsonl", '{"glosses": []}\n', r"a.jsonl:1: no id"),
    ("a.jsonl", "[]\n", r"a.jsonl:1: a list; needed an object"),
    ("a.jsonl", "{\n", r"a.jsonl:1: not JSON"),
    ("a.sgml", "A B (u1)\n", r"unknown ending '.sgml'; needed .stm, .ctm, .trn"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "message"), FAULTS)
def test_a_fault_is_told_with_its_place(write, name, text, message):
    with pytest.raises(InputError, match=message):
        read_hypotheses(write(name, text))


def test_all_faults_of_a_file_are_told_together(write):
    with pytest.raises(InputError, match=r"hypotheses: 2 faults\n.*a.ctm:1.*\n.*a.ctm:3"):
        read_hypotheses(write("a.ctm", "r 1 x 1 A\nr 1 0 1 A\nr 1\n"))
    with pytest.raises(InputError, match=r"none.stm: cannot be read"):
        read_references(write("a.csv", "u1|A").parent / "none.stm")


STM = (
    "u2 1 S1 0.0 1.79769e+308 A B\nu1 1 S2 0.0 1.79769e+308 C\nu3 1 S2 0.0 1.79769e+308 D E F\n"
)  # fmt: skip


def paired(write, reference: tuple[str, str], hypothesis: tuple[str, str]):
    return match_ids(read_references(write(*reference)), read_hypotheses(write(*hypothesis)))


def test_missing_and_extra_utterances_are_told_and_have_a_result(write):
    made = paired(write, ("ref.stm", STM), ("hyp.csv", "id,gloss\nu3,D E\nx1,A\nu2,\n"))
    assert made.triples == [("u2", ("A", "B"), ()), ("u1", ("C",), ()), ("u3", ("D", "E", "F"), ("D", "E"))]
    # An empty hypothesis is one; only u1 has none.
    assert (made.missing, made.extra) == (("u1",), ("x1",))
    assert made.notes == (
        "no hypothesis for 1 of 3 utterances, scored as nothing recognised: u1",
        "no reference for 1 hypothesis, left out: x1",
    )
    assert made.signers == {"u2": "S1", "u1": "S2", "u3": "S2"}


def test_the_order_of_the_files_does_not_matter(write):
    rows = ["u1 1 0.00 0.10 C\n", "u2 1 0.00 0.10 A\n", "u2 1 0.10 0.10 B\n", "u3 1 0.00 0.10 D\n"]
    sorted_made = paired(write, ("ref.stm", STM), ("hyp.ctm", "".join(rows)))
    shuffled = paired(
        write, ("ref.stm", "".join(sorted(STM.splitlines(True)))), ("hyp.ctm", "".join(rows[i] for i in (3, 1, 0, 2)))
    )
    assert sorted(sorted_made.triples) == sorted(shuffled.triples)
    assert (sorted_made.notes, shuffled.notes) == ((), ())


def test_words_of_a_recording_are_put_in_order_of_time_as_numbers(write):
    ctm = "u1 1 9.5 0.1 C\nu1 1 10.5 0.1 X\nu2 1 2.0 1 B\nu2 1 1.0 1 A\nu3 1 0 1 D\n"
    made = paired(write, ("ref.stm", STM), ("hyp.ctm", ctm))
    assert [found for _, _, found in made.triples] == [("A", "B"), ("C", "X"), ("D",)]
    assert "words not in order of time in 1 recording (first: u2)" in made.notes[0]
    assert "start times that do not sort as text in 1 recording (first: u1)" in made.notes[1]


def test_no_common_id_is_an_error_and_not_100_percent(write):
    with pytest.raises(InputError, match=r"none of its ids \(x1\) is in .*ref.stm \(u2, u1, u3\)"):
        paired(write, ("ref.stm", STM), ("hyp.csv", "x1|A\n"))
    with pytest.raises(InputError, match=r"'dev/u1.npz' and 'u1' differ only by case, folder or ending"):
        paired(write, ("ref.stm", STM), ("hyp.csv", "dev/u1.npz|A\n"))


@pytest.mark.parametrize(
    ("reference", "hypothesis", "sign"),
    [
        (("a.ctm", "u1 1 0 1 A\n"), ("b.stm", STM), "a.ctm, given as reference, is a ctm"),
        (("a.csv", "u1|A\n"), ("b.stm", STM), "b.stm, given as hypothesis, is an stm"),
        (("a.csv", "u1|A\n"), ("b.csv", "id|folder|signer|annotation\nu1|f|S|A\n"), "has a column annotation, as"),
        (("a.csv", "id,prediction\nu1,A\n"), ("b.csv", "u1|A\n"), "a.csv, given as reference, has a column prediction"),
        (("a.csv", "u1|A\nu2|\n"), ("b.csv", "u1|A\nu2|B\n"), "1 reference without a gloss, and no such hypothesis"),
        (("x.hyp.csv", "u1|A\n"), ("b.csv", "u1|A\n"), "the reference is named x.hyp.csv"),
        (("a.csv", "u1|A\n"), ("x.ref.txt", "u1|A\n"), "the hypothesis is named x.ref.txt"),
    ],
)
def test_swapped_files_are_told(write, reference, hypothesis, sign):
    notes = paired(write, reference, hypothesis).notes
    assert any("look swapped" in note and sign in note for note in notes)


def test_files_in_their_places_are_not_called_swapped(write):
    for reference, hypothesis in (("dev.corpus.csv", "hyp.ctm"), ("ref.csv", "hypotheses-dev.csv"), ("a.csv", "b.csv")):
        made = paired(
            write,
            (reference, "id|annotation\nu1|A\n"),
            (hypothesis, "u1 1 0 1 A\n" if "ctm" in hypothesis else "u1|A\n"),
        )
        assert made.notes == ()


def test_words_belong_to_the_segment_in_which_their_middle_lies(write):
    stm = "r a S 1 2 A\nr a S 2 3 IGNORE_TIME_SEGMENT_IN_SCORING\nr a S 4 5 B\n"
    # before the first; in it; its middle on the border; out of bounds; in a gap: to the next; after the last
    ctm = "r A 0.1 .2 X1\nr A 1.1 .2 X2\nr A 1.9 .2 X3\nr A 2.4 .2 X4\nr A 3.4 .2 X5\nr A 7 .2 X6\n"
    made = paired(write, ("ref.stm", stm), ("hyp.ctm", ctm))
    assert made.triples == [("r a 1-2", ("A",), ("X1", "X2")), ("r a 4-5", ("B",), ("X5", "X6"))]
    assert "1 segment marked IGNORE_TIME_SEGMENT_IN_SCORING" in made.notes[0]


def test_channels(write):
    two = "r a S 0 9 A\nr b S 0 9 B\n"
    made = paired(write, ("ref.stm", two), ("hyp.ctm", "r A 1 1 A\nr B 1 1 B\n"))
    assert made.triples == [("r a", ("A",), ("A",)), ("r b", ("B",), ("B",))]
    made = paired(write, ("ref.stm", "r 1 S 0 9 A\n"), ("hyp.ctm", "r A 1 1 A\n"))
    assert made.triples == [("r", ("A",), ("A",))]
    assert "another channel in the hypotheses for 1 recording (r: 1 and a)" in made.notes[0]
    with pytest.raises(InputError, match=r"r: words on 2 channels \(A, B\)"):
        paired(write, ("ref.csv", "r|A\n"), ("hyp.ctm", "r A 1 1 A\nr B 1 1 B\n"))


def test_segments_that_cannot_be_told_apart(write):
    ctm = ("hyp.ctm", "r 1 1 1 A\n")
    with pytest.raises(InputError, match=r"ref.stm:2 \(r\): starts at 0 s like the segment at .*ref.stm:1;"):
        paired(write, ("ref.stm", "r 1 S 0 9 A\nr 1 S 0.0 8 B\n"), ctm)
    with pytest.raises(InputError, match=r"ref.stm:2: R 1 differs from .*ref.stm:1 only in case"):
        paired(write, ("ref.stm", "r 1 S 0 9 A\nR 1 S 9 10 B\n"), ctm)
    with pytest.raises(InputError, match=r"r: 2 segments of one recording; hypotheses without times"):
        paired(write, ("ref.stm", "r 1 S 0 9 A\nr 1 S 9 10 B\n"), ("hyp.csv", "r|A\n"))


def test_manifest_lines_are_json_lines(tiny_corpus):
    path = tiny_corpus / "manifest.jsonl"
    first = json.loads(path.read_text().splitlines()[0])
    assert read_references(path).sentences[0].glosses == tuple(first["glosses"])
