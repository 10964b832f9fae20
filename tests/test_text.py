"""Names and glosses are cleaned at the door: one Unicode form, nothing invisible; look-alikes are shown."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signloom.text.clean import Cleaner, clean, code_points, look_alikes, told_apart


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("HAUS", "HAUS"),
        ("U\u0308BER", "ÜBER"),
        ("\ufeffHAUS", "HAUS"),
        ("HA\u00adUS\u200b", "HAUS"),
        ("HAUS\u00a0ROT", "HAUS ROT"),
        ("天気\u3000雨", "天気 雨"),
        ("\u200fسوال\u200e", "سوال"),
        ("A\x00B\x01", "AB"),
        ("A\tB", "A\tB"),
        # An emoji and its variation selector, a Hangul syllable in parts.
        ("❤\ufe0f", "❤"),
        (unicodedata.normalize("NFD", "한국"), "한국"),
    ],
)
def test_invisible_characters_go_and_one_form_stays(text, expected):
    assert clean(text) == expected


@given(st.text())
def test_cleaning_twice_changes_nothing(text):
    cleaned = clean(text)
    assert clean(cleaned) == cleaned
    assert unicodedata.is_normalized("NFC", cleaned)


def test_all_changes_are_told_in_one_message():
    cleaner = Cleaner()
    assert cleaner.words("HAUS \u200b ROT\u200b") == ("HAUS", "ROT")
    assert cleaner("U\u0308BER") == "ÜBER"
    assert cleaner.note() == (
        "invisible characters were removed: U+200B ZERO WIDTH SPACE (2); "
        "1 name or gloss was brought into one Unicode form (NFC)"
    )
    unchanged = Cleaner()
    assert unchanged("ÜBER") == "ÜBER"
    assert unchanged.note() is None


def test_characters_that_look_alike_are_shown_as_code_points():
    # Cyrillic and Latin A; Arabic and Persian yeh; a ligature. Case is told apart by every reader.
    assert look_alikes(["HAUS", "HАUS", "haus", "B"]) == [("HAUS", "HАUS", "haus")]
    assert look_alikes(["يد", "ید"]) == [("يد", "ید")]
    assert look_alikes(["A", "B"]) == []
    assert told_apart(["HAUS", "HАUS"]) == (
        "'HAUS' (U+0041 LATIN CAPITAL LETTER A), 'HАUS' (U+0410 CYRILLIC CAPITAL LETTER A)"
    )
    assert told_apart(["HAUS", "haus"]) == "'HAUS', 'haus'"
    assert code_points("fi") == "U+0066 U+0069"
