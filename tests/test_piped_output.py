"""What commands print into a file or a pipe: a line per event, whole, without what only a terminal understands."""

import logging
import re

import pytest

from signloom import console
from signloom.console import progress_bar, say
from signloom.train.logs import logging_to

LONG = " ".join(f"word{number}" for number in range(60))


@pytest.fixture(autouse=True)
def narrow(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")


def test_the_log_of_a_training_is_a_line_per_record(tmp_path, capsys):
    with logging_to(tmp_path / "training.log"):
        logging.getLogger("signloom.train").info("epoch 1/2: %s", LONG)
        logging.getLogger("signloom.train").warning("left out: [bold]%s", LONG)
    lines = capsys.readouterr().err.splitlines()
    assert [re.sub(r"^\d\d:\d\d:\d\d ", "", line) for line in lines] == [
        f"epoch 1/2: {LONG}",
        f"left out: [bold]{LONG}",
    ]


def test_messages_and_tables_are_not_wrapped(capsys):
    say(LONG)
    console.console.print(LONG)
    assert capsys.readouterr().err.splitlines() == [LONG, LONG]


def test_progress_is_a_line_per_task_when_it_is_done(capsys):
    with progress_bar() as bar:
        first = bar.add_task("decoding test", total=3, unit="utterances")
        unused = bar.add_task("never begun", total=3)
        for _ in range(3):
            bar.advance(first)
        bar.update(unused, total=2)
        open_end = bar.add_task("reading", total=None, unit="frames", done=0)
        bar.update(open_end, advance=5, done=500)
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(",")[0] for line in lines] == ["decoding test: 3 of 3", "reading: 5"]
    assert lines[0].endswith(" utterances/s")


def test_long_work_has_a_line_now_and_then(capsys):
    with progress_bar() as bar:
        now = 0.0
        bar.get_time = lambda: now
        task = bar.add_task("extracting", total=10, unit="frames", done=0)
        for number in range(1, 11):
            now = 25.0 * number
            bar.update(task, completed=number, done=100 * number)
    lines = [line.partition(",")[0] for line in capsys.readouterr().err.splitlines()]
    assert lines == [f"extracting: {number} of 10" for number in (3, 6, 9, 10)]


def test_work_that_fails_tells_how_far_it_came(capsys):
    with pytest.raises(ValueError, match="broken"), progress_bar() as bar:
        bar.advance(bar.add_task("writing", total=4))
        raise ValueError("broken")
    assert capsys.readouterr().err.startswith("writing: 1 of 4")


def test_nothing_is_told_where_it_is_switched_off(capsys):
    with progress_bar(disable=True) as bar:
        bar.advance(bar.add_task("writing", total=1))
    assert capsys.readouterr().err == ""
