"""The block of data of a score page: utterances and glosses as compact JSON that no gloss can break out of."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from signloom.score.wer import UtteranceScore


class Words:
    """Numbers words in the order of their first use, so that a page holds each word once."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def __getitem__(self, word: str) -> int:
        return self.numbers.setdefault(word, len(self.numbers))

    def all(self, words: Sequence[str]) -> list[int]:
        return [self[word] for word in words]


def utterance_rows(systems: Sequence[Sequence[UtteranceScore]], words: Words, signers: Words) -> list[list[Any]]:
    """Returns one row per utterance: id, number of its signer (-1: none), reference, hypothesis and kinds per system.

    systems: the same utterances of one or two systems. With one system whose scoring rule changed words, a last item
    holds the words as they were given.
    """
    rows: list[list[Any]] = []
    for same in zip(*systems, strict=True):
        first = same[0]
        row: list[Any] = [
            first.id,
            -1 if first.signer is None else signers[first.signer],
            words.all(first.alignment.reference),
            [[words.all(item.alignment.hypothesis), item.alignment.kinds] for item in same],
        ]
        given = [("reference", first.given_reference)] if len(same) == 1 else []
        given += [("hypothesis", first.given_hypothesis)] if len(same) == 1 else []
        if shown := [[name, words.all(changed)] for name, changed in given if changed is not None]:
            row.append(shown)
        rows.append(row)
    return rows


def block(record: dict[str, Any]) -> str:
    """Returns JSON for a `<script type="application/json">`: `<`, `>` and `&` are escaped."""
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text
