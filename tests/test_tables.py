"""Tables with named columns: what separates them, quotes, and faults with their line."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signloom.errors import Faults
from signloom.text.tables import delimiter_of, read_lines, read_table


def read(tmp_path, text, needed=("id", "gloss"), **options):
    path = tmp_path / "a.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    faults = Faults("test")
    return read_table(path, needed, faults, **options), [message.removeprefix(str(path)) for message in faults.messages]


@pytest.mark.parametrize(
    ("line", "delimiter"),
    [
        ("id|gloss", "|"),
        ("1|A", "|"),
        ("id\tgloss", "\t"),
        ('"id", "gloss"', ","),
        ("id, gloss|x", "|"),
        ("id", None),
        ("GEH , id", ","),
        ("1,A", None),
        ("A B C", None),
    ],
)
def test_the_delimiter_is_told_by_the_first_line(line, delimiter):
    assert delimiter_of(line, ("id", "gloss")) == delimiter


@pytest.mark.parametrize("delimiter", ["|", "\t", ","])
@pytest.mark.parametrize(("start", "end"), [("", "\n"), ("\ufeff", "\r\n"), ("\n \n", "\r")])
def test_rows_are_read_whatever_separates_them(tmp_path, delimiter, start, end):
    lines = [
        delimiter.join(row) for row in (("more", "id", " gloss "), ("", "1", " A  B "), ("", "", ""), ("", "2", ""))
    ]
    rows, messages = read(tmp_path, start + end.join([*lines, ""]), delimiter=None)
    assert messages == []
    assert [(row["id"], row["gloss"]) for row in rows] == [("1", "A  B"), ("2", "")]
    assert rows[0].first(("name", "gloss", "id")) == "A  B"
    assert rows[0].first(("name",)) == ""


def test_a_quoted_field_may_hold_commas_and_line_ends(tmp_path):
    text = 'id,gloss,text\n1,A,"one, and\n\ntwo"\n2,B,"said ""no"""\n3\n'
    rows, messages = read(tmp_path, text, delimiter=None)
    assert [row["text"].split() for row in rows] == [["one,", "and", "two"], ["said", '"no"']]
    assert [row.place.rpartition("/")[2] for row in rows] == ["a.csv:2 (1)", "a.csv:5 (2)"]
    assert messages == [":6 (3): 1 field; needed 3, as in the first line"]


def test_a_quote_left_open_does_not_take_the_rest_of_the_table(tmp_path):
    _, messages = read(tmp_path, 'id,gloss\n1,A\n2,"B C\n3,D\n', delimiter=",")
    assert [message.split(";")[0] for message in messages] == [":3: unexpected end of data"]
    rows, messages = read(tmp_path, 'id,gloss\n1,"A" B\n2,C\n', delimiter=",")
    assert [row["id"] for row in rows] == ["2"]
    assert re.fullmatch(r":2: .*expected.*; in a table with commas, quote a whole field .*", messages[0])
    rows, messages = read(tmp_path, '"id" x,gloss\n1,A\n', delimiter=",")
    assert rows == []
    assert [message[:4] for message in messages] == [":1: "]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ": empty; needed a first line with the columns id|gloss"),
        (
            " \n|\n1|A\n",
            ":2: no column id, no column gloss, column without a name occurs twice; got |, needed id|gloss",
        ),
        ("id|words\n1|A\n", ":1: no column gloss; got id|words, needed id|gloss as the first line"),
        ("id|gloss\n|\n", ": no rows below the column names"),
        ("id|gloss\n1|A\n\n|B\n", ":4: the id is empty"),
        (b"id|gloss\n1|A\n2|\xdc\n", ":3: not UTF-8 (invalid continuation byte); save the file as UTF-8"),
    ],
)
def test_faults_name_their_line(tmp_path, text, message):
    _, messages = read(tmp_path, text)
    assert [text.startswith(message) for text in messages] == [True]


def test_a_column_may_have_several_names(tmp_path):
    # The id is the first of the names, not the first of the columns.
    rows, messages = read(tmp_path, "name|id|orth\nx|1|A\n", (("id", "name"), ("gloss", "orth")))
    assert messages == []
    assert rows[0].place.endswith("a.csv:2 (1)")
    _, messages = read(tmp_path, "name|words\nx|A\n", (("id", "name"), ("gloss", "orth")))
    assert messages == [":1: no column gloss or orth; got name|words, needed id|gloss as the first line"]


def test_a_file_that_cannot_be_read_is_a_fault(tmp_path):
    faults = Faults("test")
    assert read_lines(tmp_path / "none.csv", faults) is None
    assert faults.messages == [
        f"{tmp_path / 'none.csv'}: cannot be read (No such file or directory); needed a text file"
    ]


@given(text=st.text(alphabet='id,"\n\r|A ', max_size=60), delimiter=st.sampled_from(["|", ",", None]))
def test_there_are_rows_or_faults(tmp_path_factory, text, delimiter):
    rows, messages = read(tmp_path_factory.getbasetemp(), f"id,gloss\n{text}", delimiter=delimiter)
    assert rows or messages
