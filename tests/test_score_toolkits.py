"""References and hypotheses as other toolkits write them."""

import gzip
import json

import pytest

from signloom import cli
from signloom.errors import InputError
from signloom.score.formats import read_hypotheses, read_references


def sentences(file):
    return {item.id: item.glosses for item in file.sentences}


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("hyp.trn", "A B (u-1)\n(u-2)\n", {"u-1": ("A", "B"), "u-2": ()}),
        ("ref.trn", "A (B) C (spk_u1)\n", {"spk_u1": ("A", "(B)", "C")}),
        ("text", "u1 A B\nu2\n", {"u1": ("A", "B"), "u2": ()}),
        ("dev.text", "u1\tA B\n", {"u1": ("A", "B")}),
        ("dev.gls", "A B\n\nC\n", {"1": ("A", "B"), "2": (), "3": ("C",)}),
        ("recogs-dev-greedy.txt", "u1:\tref=['X']\nu1:\thyp=['A', 'B']\nu2:\tref=['Y']\nu2:\thyp=[]\n", {
            "u1": ("A", "B"), "u2": ()}),
        ("results.json", json.dumps({"u1": {"gls_hyp": "A B", "gls_ref": "X", "txt_hyp": "x"}}), {"u1": ("A", "B")}),
        ("results.json", json.dumps({"u1": {"ensemble_last_gls_hyp": "A", "rgb_gls_hyp": "B"}}), {"u1": ("A",)}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("packed", [False, True])
def test_every_form_is_read_as_it_is_and_packed(tmp_path, name, text, expected, packed):
    path = tmp_path / (name + ".gz" * packed)
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    assert sentences(read_hypotheses(path)) == expected


def test_one_file_holds_both_sides(tmp_path, capsys):
    path = tmp_path / "recogs-dev-greedy.txt"
    path.write_text("u1:\tref=['A', 'B']\nu1:\thyp=['A']\n")
    assert sentences(read_references(path)) == {"u1": ("A", "B")}
    results = tmp_path / "results.json"
    results.write_text(json.dumps({"u1": {"gls_ref": "A B", "gls_hyp": "A C"}}))
    for file in (path, results):
        with pytest.raises(SystemExit) as ended:
            cli.main(["score", str(file), str(file), "--worst", "0"])
        assert ended.value.code == 0
        assert "WER 50.00 %" in capsys.readouterr().out


@pytest.mark.parametrize("columns", ["0.9 lex spk1", "NA lex NA", "NA", "0.9"])
def test_further_columns_of_a_ctm_are_passed_over(tmp_path, columns):
    path = tmp_path / "a.ctm"
    path.write_text(f"u1 1 0.0 0.5 A {columns}\n")
    assert [word.word for word in read_hypotheses(path).timed] == ["A"]


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.trn", "A B\n", "does not end in an id"),
        ("a.trn", "A (u1)\nB (u1)\n", "u1"),
        ("recogs-x", "u1: hyp=['A', 2]\n", "needed lines id: ref="),
        ("recogs-x", "u1: hyp=__import__('os')\n", "needed lines id: ref="),
        ("recogs-x", "u1: hyp=" + "[" * 3000 + "]" * 3000 + "\n", "needed lines id: ref="),
        ("results.json", "[1, 2]", "needed an object with gls_ref and gls_hyp"),
        ("results.json", '{"u1": {"txt": "a"}}', "no gls_hyp or ensemble_last_gls_hyp; it has txt"),
        ("results.json", '{"u1": {"gls_hyp": 3}}', "gls_hyp is a int; needed a sentence"),
        ("results.json", "{", "not JSON"),
        ("a.gls", "", "no hypotheses in it"),
        ("a.xyz", "A", "unknown ending '.xyz'"),
    ],
)
def test_what_is_none_of_them_is_told_with_its_place(tmp_path, name, text, told):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(InputError, match="hypotheses") as raised:
        read_hypotheses(path)
    assert told in str(raised.value)


def test_a_damaged_packed_file_is_told(tmp_path):
    whole = gzip.compress(b"u1|A B\n" * 1000)
    (tmp_path / "a.csv.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="a damaged gzip file"):
        read_hypotheses(tmp_path / "a.csv.gz")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "id|gloss\n1|A\x1bB\n", r"a.csv:2: a control character, .x1b; remove it"),
        ("a.trn", "A\x08 (1)\n", r"a.trn:1: a control character, .x08"),
        (
            "a.jsonl",
            '{"id": "1", "glosses": ["A\\u001b"]}\n',
            r"a.jsonl:1 .*: a control character in the gloss 'A.x1b'",
        ),
        ("results.json", '{"1\\u0000": {"gls_hyp": "A"}}', "a control character in the id"),
        ("a.jsonl", '{"id": "1", "id": "2", "glosses": []}\n', "a.jsonl:1: key 'id' occurs twice"),
        ("results.json", '{"1": {"gls_hyp": "A"}, "1": {"gls_hyp": "B"}}', "results.json: key '1' occurs twice"),
        ("a.gls", "x" * 1001, "a.gls:1: 1,001 characters in one gloss"),
        ("a.stm", "rec A s 0 inf A\n", "start 0 and end inf; needed seconds"),
        ("a.stm", f"rec A s 0 1 {'{ ' * 500}A{' }' * 500}\n", "alternations nested too deeply"),
        ("a.trn", f"A {' ' * 100_000}(\n", "does not end in an id"),
        ("a.csv", "id|gloss\n1|" + "A" * 10_000_001, "a.csv:2: 10,000,003 characters in one line"),
    ],
)
def test_what_is_no_text_is_a_fault_of_its_line(tmp_path, name, text, message):
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        (read_references if name.endswith("stm") else read_hypotheses)(tmp_path / name)
