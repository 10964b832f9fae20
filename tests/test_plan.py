import json

import pytest

from signloom import cli
from signloom.costs import EXTRACTION, LANDMARKS, Work, plan


def work(**changes) -> Work:
    values = {"hours": 1.0, "fps": 25.0, "clip_seconds": 6.0, "nodes": 1, "cores": 1, "epochs": 1, "processes": 1}
    values |= {"extract_speed": 10.0, "train_speed": 1000.0, "shard_megabytes": 100.0}
    return Work(**{**values, **changes})


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main(["plan", *arguments])
    return ended.value.code or 0


def test_an_hour_on_one_core():
    result = plan(work(), "compact")
    extract, train = result.stages
    assert (result.frames, result.utterances) == (90_000, 600)
    assert extract.core_seconds == 9000
    # The last clip is done while nothing else is.
    assert extract.seconds == 9000 + 15
    assert train.seconds == 90
    assert result.storage["landmark files"] == 90_000 * LANDMARKS.value
    assert result.memory == 90_000 * 85 * 3 * 2


def test_more_machines_take_less_time_and_as_much_work():
    one, twenty = plan(work(hours=100), "compact"), plan(work(hours=100, nodes=20, cores=8), "compact")
    assert twenty.stages[0].core_seconds == one.stages[0].core_seconds
    assert one.stages[0].seconds / twenty.stages[0].seconds == pytest.approx(160, rel=0.05)


def test_more_cores_than_clips_do_not_help():
    few, many = (plan(work(hours=0.01, cores=cores), "compact").stages[0].seconds for cores in (6, 600))
    assert few == many


def test_the_command_says_where_its_numbers_come_from(capsys):
    assert run("--hours", "1000", "--nodes", "20", "--cores", "64") == 0
    shown = capsys.readouterr().out
    assert "90,000,000 frames, 600,000 utterances" in shown
    assert "300.2 GB" in shown
    assert EXTRACTION.measured in shown
    assert run("--hours", "1", "--extract_speed", "20", "--format", "json") == 0
    record = json.loads(capsys.readouterr().out)
    assert record["plan"]["stages"][0]["core_seconds"] == 4500
    assert all("extraction.py, two workers" not in cost["measured"] for cost in record["measured"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--hours", "0"], "--hours is 0.0; needed above 0"),
        (["--hours", "1", "--nodes", "0"], "--nodes is 0; needed at least 1"),
        (["--hours", "1", "--preset", "original_student"], "its speed was not measured"),
        (["--hours", "1", "--preset", "nonsense", "--train_speed", "5"], "no preset 'nonsense'"),
    ],
)
def test_bad_options(options, message, capsys):
    assert run(*options) == 2
    assert message in capsys.readouterr().err
