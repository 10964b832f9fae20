import json

import pytest

from conftest import drawn_curves
from signloom import cli

pytestmark = pytest.mark.slow


def test_the_whole_road_in_small(tmp_path, capsys):
    pytest.importorskip("lightning")
    run = tmp_path / "run"
    sizes = ["--num_signs", "6", "--num_train", "12", "--num_dev", "6", "--num_test", "6", "--epochs", "1"]
    with drawn_curves(), pytest.raises(SystemExit) as exited:
        cli.main(["quickstart", "--output", str(run), "--workers", "1", *sizes])
    assert exited.value.code == 0
    out = capsys.readouterr().out
    for number in range(1, 6):
        assert f"[{number}/5]" in out
    assert "unseen simulated signers" in out
    assert "signloom extract my_videos" in out
    evaluation = json.loads((run / "evaluation-test.json").read_text())
    assert evaluation["unseen_signers"] is True
    assert 0 <= evaluation["baseline"]["error_rate"] <= 1
    transcript = json.loads((run / "transcript.json").read_text())
    assert len(transcript["reference"]) == len(transcript["reference_spans"])
    record = json.loads((run / "run.json").read_text())
    assert record["corpus"]["synthetic"] is True
    assert record["training_seconds"] > 0
    page = (run / "report.html").read_text(encoding="utf-8")
    # The page is labelled, whatever its figures.
    assert "simulated" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    with pytest.raises(SystemExit) as exited:
        cli.main(["quickstart", "--output", str(run), "--workers", "1", *sizes])
    assert exited.value.code == 2
    assert "--overwrite" in capsys.readouterr().err
