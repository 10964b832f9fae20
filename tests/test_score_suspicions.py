"""Faults of files that would change a score in silence: each is told, and healthy files are not accused."""

from __future__ import annotations

import gzip

import pytest

from signloom.errors import InputError
from signloom.score.formats import read_hypotheses, read_references
from signloom.score.match_ids import match_ids
from signloom.score.wer import score


@pytest.fixture
def matched(tmp_path):
    """Matches two files, given as their names and texts."""

    def match(reference: str, hypothesis: str, *, ref: str = "ref.csv", hyp: str = "hyp.csv"):
        for name, text in ((ref, reference), (hyp, hypothesis)):
            path = tmp_path / name
            path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
        return match_ids(read_references(tmp_path / ref), read_hypotheses(tmp_path / hyp))

    return match


def ctm(*rows: str) -> str:
    """Lines of a ctm: `u1 0.5 A` becomes a word of 0.2 seconds at 0.5."""
    return "".join("{} 1 {} 0.2 {}\n".format(*row.split()) for row in rows)


class TestTwiceInACtm:
    once = ("u1 0.0 A", "u1 0.5 B", "u2 0.0 A")

    @pytest.mark.parametrize(
        ("rows", "second"),
        [
            # The file was written twice, as by `>>`.
            ((*once, *once), 4),
            # Another system's words of the same utterance, later in the file, and right after it.
            ((*once, "u1 0.05 C", "u1 0.55 D"), 4),
            (("u1 0.0 A", "u1 0.5 B", "u1 0.0 A", "u1 0.5 B"), 3),
            # All times are zero, so only the other lines between tell.
            (("u1 0 A", "u2 0 B", "u1 0 A"), 3),
        ],
    )
    def test_both_places_are_told(self, rows, second, matched):
        with pytest.raises(InputError, match=rf"hyp.ctm:{second} \(u1\): words at times.*from \S*hyp.ctm:1 on; needed"):
            matched("u1 A B\nu2 A\n", ctm(*rows), ref="text", hyp="hyp.ctm")

    @pytest.mark.parametrize(
        "rows",
        [
            once,
            # Out of order, in one place and in two: the words lie beside each other.
            ("u1 0.5 B", "u1 0.0 A", "u2 0.0 A"),
            ("u1 0.0 A", "u2 0.0 A", "u1 0.5 B"),
            ("u1 0.0 A", "u1 1.0 C", "u1 0.5 B", "u1 1.5 D", "u2 0.0 A"),
            # Neighbours that overlap a little.
            ("u1 0.0 A", "u2 0.0 A", "u1 0.15 B"),
        ],
    )
    def test_words_that_are_only_out_of_order_are_sorted(self, rows, matched):
        result = matched("u1 A B C D\nu2 A\n", ctm(*rows), ref="text", hyp="hyp.ctm")
        assert result.utterances[0].hypothesis == tuple("ABCD")[: len(rows) - 1]

    def test_two_channels_of_one_recording_are_two(self, matched):
        stm = "u1 1 s 0 9 A B\nu1 2 s 0 9 A B\n"
        words = "u1 1 0.0 0.2 A\nu1 1 0.5 0.2 B\nu1 2 0.0 0.2 A\nu1 2 0.5 0.2 B\n"
        assert score(matched(stm, words, ref="ref.stm", hyp="hyp.ctm").triples).wer == 0


class TestGlossFields:
    @pytest.mark.parametrize("field", ["\"['A', 'B']\"", '"[""A"", ""B""]"', "['A' 'B']", '"[A, B]"'])
    def test_a_list_is_its_glosses(self, field, matched):
        result = matched("id|gloss\nu1|A B\n", f"id,gloss\nu1,{field}\n")
        assert result.utterances[0].hypothesis == ("A", "B")
        assert not result.notes

    def test_an_empty_list_is_empty_and_a_list_of_objects_is_a_fault(self, matched):
        assert matched("id|gloss\nu1|A\n", "id,gloss\nu1,[]\n").utterances[0].hypothesis == ()
        with pytest.raises(InputError, match=r"hyp.csv:2 \(u1\): glosses are .*needed words, or a list such as"):
            matched("id|gloss\nu1|A\n", "id|gloss\nu1|[{'gloss': 'A'}]\n")

    @pytest.mark.parametrize(
        ("hypotheses", "word", "count"),
        [
            ('u1,"A,B"\nu2,A\n', "A,B", 1),
            ("u1,A;B\nu2,A\n", "A;B", 1),
            ("u1,A|B\nu2,A\n", "A|B", 1),
            ('u1,"A, B"\nu2,A\n', "A,", 1),
            ("u1,'A' 'B'\nu2,A\n", "'A'", 2),
            ("u1,A-B\nu2,A-C-A\n", "A-B", 2),
        ],
    )
    def test_glosses_that_are_joined_are_told(self, hypotheses, word, count, matched):
        (note,) = matched("id|gloss\nu1|A B\nu2|A C\n", f"id,gloss\n{hypotheses}").notes
        assert note.startswith(f"{count} word{'s' * (count > 1)} of the hypotheses are glosses of the other side")
        assert f"such as {word!r} in u1" in note
        assert "separate glosses by spaces" in note

    def test_joined_references_are_told_too(self, matched):
        (note,) = matched('id,gloss\nu1,"A,B"\n', "id,gloss\nu1,A B\n").notes
        assert note.startswith("1 word of the references")

    def test_compound_glosses_of_either_side_are_not(self, matched):
        # One of three sentences has a compound whose parts are glosses; a model may know others than the references.
        assert not matched(
            "id|gloss\nu1|A B\nu2|WIE-AUSSEHEN\nu3|A,5 B\nu4|B\n",
            "id|gloss\nu1|A-B\nu2|WIE\nu3|A,5 loc-B\nu4|B\n",
        ).notes


class TestEmptyFields:
    @pytest.mark.parametrize("word", ["nan", "NaN", "None", "<NA>", "null"])
    def test_the_word_of_an_empty_field_is_told(self, word, matched):
        (note,) = matched("id|gloss\nu1|A B\nu2|A\n", f"id|gloss\nu1|{word}\nu2|A\n").notes
        assert note.startswith(f"1 hypothesis of the single word {word!r} (u1): programs write it for an empty field")
        (note,) = matched(f"id|gloss\nu1|{word}\nu2|A\n", "id|gloss\nu1|A B\nu2|A\n").notes
        assert note.startswith("1 reference of the single word")

    def test_a_gloss_of_that_name_is_a_gloss(self, matched):
        assert not matched("id|gloss\nu1|A NaN\nu2|NaN\n", "id|gloss\nu1|NaN\nu2|NaN\n").notes
        # NAN is bread.
        assert not matched("id|gloss\nu1|NAN\nu2|A\n", "id|gloss\nu1|NAN\nu2|A\n").notes


class TestIdsThatProgramsChange:
    @pytest.mark.parametrize("changed", ["1", "1.0", "01"])
    def test_ids_without_their_zeros_are_told(self, changed, matched):
        text = r"'{}' and '0001' differ only by leading zeros or a decimal point".format(changed.replace(".", r"\."))
        with pytest.raises(InputError, match=text):
            matched("id|gloss\n0001|A\n", f"id|gloss\n{changed}|A\n")
        # Where some ids match, it is a note.
        notes = matched("id|gloss\n0001|A\n1000|A\n", f"id|gloss\n{changed}|A\n1000|A\n").notes
        assert any("differ only by leading zeros" in note for note in notes)

    def test_other_numbers_are_not(self, matched):
        notes = matched("id|gloss\n10|A\n7|B\n", "id|gloss\n1|A\n7|B\n").notes
        assert notes
        assert not any("differ only" in note for note in notes)


def test_packed_files_are_read_as_what_they_hold(matched):
    words = ctm("u1 0.0 A", "u1 0.5 B")
    result = matched("u1 1 ann 0 9 A B\n", words, ref="ref.stm.gz", hyp="hyp.ctm.gz")
    assert score(result.triples).wer == 0


def test_a_signer_without_reference_glosses_stays_in_every_table(tmp_path):
    from signloom.report.score_page import render_score_page
    from signloom.score.compare import compare
    from signloom.score.compare_text import summary as difference
    from signloom.score.text import summary
    from signloom.score.wer import Score

    triples = [("u1", ["A", "B"], ["A"]), ("u2", [], ["C", "D"]), ("u3", [], [])]
    made = score(triples, signers={"u1": "ann", "u2": "ben", "u3": "ben"})
    assert made.errors == 3
    part = made.by_signer["ben"]
    assert (part.insertions, part.reference_words, part.wer != part.wer) == (2, 0, True)
    assert "  ben  WER no rate  S 0 D 0 I 2 of 0, 2 utterances" in summary(made)
    record = made.to_json()
    assert record["signers"]["ben"]["wer"] is None
    assert Score.from_json(record) == made
    assert "no rate" in render_score_page(made)
    # A comparison has them last, with no difference of rates.
    other = score([("u1", ["A", "B"], ["B", "A"]), *triples[1:]], signers={"u1": "ann", "u2": "ben", "u3": "ben"})
    comparison = compare(made, other)
    assert list(comparison.signers) == ["ann", "ben"]
    assert "ben   no rate ->  no rate" in difference(comparison)
    assert comparison.to_json()["signers"]["ben"]["difference"] is None
