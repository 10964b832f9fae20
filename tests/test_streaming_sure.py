"""Glosses that the model is sure of become final an output frame earlier: known answers from written emissions."""

from __future__ import annotations

from itertools import groupby

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripted_signing import GLOSSES, PLACES, ScriptedEngine
from signloom.inference.model import Model
from signloom.inference.stream_options import StreamOptions
from signloom.inference.stream_window import UtteranceWindow
from signloom.vocabulary import Vocabulary

VOCABULARY = Vocabulary.from_glosses([GLOSSES])
FRAMES_PER_OUTPUT = 4
# Of the default look-ahead, 0.64 s.
LOOKAHEAD = 4


class WrittenEngine(ScriptedEngine):
    """Emits what is written, a letter per output frame: a gloss, the same in small letters for a doubtful one, or "-".

    A sure gloss has the probability 0.98 in its frame, a doubtful one 0.8, which is its confidence, too.
    """

    def __init__(self, written: str) -> None:
        super().__init__(len(VOCABULARY))
        self.rows = np.full((len(written), self.num_words), 1e-6)
        for row, letter in zip(self.rows, written, strict=True):
            share = {"-": 0.0}.get(letter, 0.98 if letter.isupper() else 0.8)
            row[0] += 1 - share
            if letter != "-":
                row[VOCABULARY.words.index(letter.upper())] += share

    def log_probs(self, points: np.ndarray, lengths: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        # The first coordinate of a frame is its number.
        first = int(points[0, 0, 0, 0]) // FRAMES_PER_OUTPUT
        rows = self.rows[first : first + points.shape[1] // FRAMES_PER_OUTPUT]
        return np.log(rows / rows.sum(axis=1, keepdims=True)).astype(np.float32)[None], np.array([len(rows)])


def finals(written: str, options: StreamOptions | None = None) -> list[tuple[str, int]]:
    """The final glosses, each with how many output frames the window had reached."""
    window = UtteranceWindow(Model(WrittenEngine(written), VOCABULARY), options or StreamOptions(), 0.0)
    result = []
    for number in range(FRAMES_PER_OUTPUT * len(written)):
        reading = window.push(np.full((len(PLACES), 3), number, dtype=np.float32))
        if reading is not None:
            result += [(span.gloss, (number + 1) // FRAMES_PER_OUTPUT) for span in reading.finals]
    return result


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        # A ends with the third output frame: three more for a sure gloss, four for a doubtful one.
        ("--A-----", [("A", 3 + 3)]),
        ("--AA----", [("A", 4 + 3)]),
        ("--a-----", [("A", 3 + 4)]),
        # The doubtful A is not final before its whole look-ahead, and nothing behind it is.
        ("--a-B-----", [("A", 3 + 4), ("B", 5 + 3)]),
        ("--aB------", [("A", 4 + 3), ("B", 4 + 3)]),
        # No output frame is free behind A, so it waits for B.
        ("--AB------", [("A", 4 + 3), ("B", 4 + 3)]),
        ("--Ab------", [("A", 4 + 4), ("B", 4 + 4)]),
    ],
)
def test_a_sure_gloss_is_final_an_output_frame_earlier(written, expected):
    assert finals(written) == expected


# Output frames take 0.16 s. One frame must lie behind a gloss in any case: it shows that the gloss has ended.
@pytest.mark.parametrize(("lookahead_seconds", "frames"), [(0.16, 1), (0.32, 1), (0.48, 2), (0.8, 4)])
def test_a_free_output_frame_lies_behind_a_final_gloss(lookahead_seconds, frames):
    assert finals("--A-------", StreamOptions(lookahead_seconds=lookahead_seconds)) == [("A", 3 + frames)]


@given(
    st.lists(
        st.tuples(st.sampled_from(["A", "AA", "B", "CC", "a", "b", "c"]), st.sampled_from(["", "-", "--", "----"])),
        max_size=12,
    )
)
def test_all_glosses_become_final_once_in_order_and_doubtful_ones_after_their_lookahead(pieces):
    written = "".join(sign + pause for sign, pause in pieces) + "-" * LOOKAHEAD
    runs = [(letter, len(list(group))) for letter, group in groupby(written, key=str.upper)]
    ends = np.cumsum([length for _, length in runs]).tolist()
    signed = [(letter, end, length) for (letter, length), end in zip(runs, ends, strict=True) if letter != "-"]
    found = finals(written)
    assert [gloss for gloss, _ in found] == [letter for letter, _, _ in signed]
    for (_, moment), (_, end, length) in zip(found, signed, strict=True):
        doubtful = length == 1 and written[end - 1].islower()
        assert moment >= end + LOOKAHEAD - (not doubtful)
