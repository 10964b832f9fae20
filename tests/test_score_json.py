"""A score written as JSON is read back as it was, and nothing else is taken for one."""

import copy
import json

import pytest

from signloom.errors import InputError
from signloom.score.wer import Score, read_score, score

PAIRS = [("u1", ["A", "B", "Ä"], ["a", "X"]), ("u2", ["A"], []), ("u3", [], ["هو"])]
SIGNERS = {"u1": "ann", "u3": "ben"}


@pytest.fixture
def record():
    return json.loads(json.dumps(score(PAIRS, signers=SIGNERS).to_json()))


def test_reading_back_is_the_identity(record, tmp_path):
    assert Score.from_json(record) == score(PAIRS, signers=SIGNERS)
    path = tmp_path / "score.json"
    path.write_text(json.dumps(record), encoding="utf-8")
    assert read_score(path) == score(PAIRS, signers=SIGNERS)


def changed(record, *keys, value):
    record = copy.deepcopy(record)
    at = record
    for key in keys[:-1]:
        at = at[key]
    at[keys[-1]] = value
    return record


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (["protocol"], "plian", "did you mean 'plain'"),
        (["protocol"], None, "protocol must be a name"),
        (["utterances"], [], "no reference words in 0 utterances"),
        (["utterances", 0], "u1", "utterance 1: str 'u1'; needed an utterance"),
        (["utterances", 0, "id"], 7, "id 7 and signer 'ann'; needed strings"),
        (["utterances", 0, "reference"], "A B", r"utterance 1 \(u1\): reference is str 'A B'; needed a list of words"),
        (["utterances", 0, "hypothesis"], None, r"utterance 1 \(u1\): hypothesis is missing"),
        (["utterances", 0, "kinds"], None, r"kinds '\?'; needed one letter of C S D I"),
        (["utterances", 0, "kinds"], "CSS", r"have 3 hypothesis words, its list 2"),
        (["utterances", 0, "kinds"], "SSD", r"kind S for the words 'A' and 'a'"),
        (["utterances", 1, "id"], "u1", "utterance 2: the id 'u1' occurs twice"),
        (["deletions"], 0, "deletions is 0, but the utterances sum to 2"),
    ],
)
def test_what_is_no_score_is_told(record, keys, value, message):
    with pytest.raises(InputError, match=message):
        Score.from_json(changed(record, *keys, value=value))


def test_files_without_a_score(tmp_path):
    with pytest.raises(InputError, match=r"none.json: cannot be read \(No such file"):
        read_score(tmp_path / "none.json")
    path = tmp_path / "a.json"
    path.write_text('{"wer": 0.5,\n', encoding="utf-8")
    with pytest.raises(InputError, match=r"a.json:2: not JSON"):
        read_score(path)
    path.write_text('{"wer": 0.5}', encoding="utf-8")
    with pytest.raises(InputError, match="not a score with utterances; needed the output of 'signloom score --output'"):
        read_score(path)
    path.write_bytes(b"\xff{}")
    with pytest.raises(InputError, match="not UTF-8"):
        read_score(path)
