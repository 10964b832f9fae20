"""One page of each kind, with long names, many rows and every section, as tests of pages need them."""

import json
from collections.abc import Callable
from pathlib import Path

from signloom.files.writing import write_text
from signloom.findings import Diagnosis, Finding
from signloom.report import write_report
from signloom.report.compare_page import render_compare_page
from signloom.report.health_page import render as render_health_page
from signloom.report.score_page import render_score_page
from signloom.score.compare import compare
from signloom.score.wer import Score, score

LONG = "VERY-LONG-GLOSS-OF-A-COMPOUND-THAT-NO-PHONE-SHOWS-ON-ONE-LINE"
GLOSSES = ("REGEN", "MORGEN", "NORD", LONG, "IX", "ABEND")
PATH = "/home/somebody/recordings/of-last-summer/with-a-name-that-does-not-end/corpus-of-all-signers"


def epochs(count, **fields):
    """Returns the records of so many epochs, as a run's history has them."""
    return [
        {
            "epoch": number,
            "train_loss": 40 / number,
            "dev_loss": 42 / number,
            "dev_wer": 1 / number,
            "learning_rate": 1e-3,
            "seconds": 2.5,
            "frames_per_second": 40_000.0,
            **fields,
        }
        for number in range(1, count + 1)
    ]


FINDING = Finding(
    id="compatibility.gradients_of_every_part",
    level="warn",
    headline=f"the gradient of {LONG} is 1234567.89, over 100 for three steps after the warm-up",
    value=None,
    unit="",
    threshold="at most 100 after the warm-up and 30 steps",
    source="benchmarks/monitor_cost.py --healthy",
    where=(f"recordings/{LONG}/{LONG}",),
    advice="lower --learning_rate to a third; look for clips with broken landmarks ('signloom doctor')",
    figures={"step": 120, "epoch": 3},
).to_json()


def _score(missed: int) -> Score:
    """40 utterances of two signers; every `missed`-th one lacks a gloss."""
    rows = []
    for number in range(40):
        words = [GLOSSES[(number + k) % len(GLOSSES)] for k in range(2 + number % 9)]
        rows.append((f"session-{number:02d}/{PATH}", words, words[1:] if number % missed == 0 else words))
    signers = {row[0]: ("anna", f"signer-{LONG}")[k % 2] for k, row in enumerate(rows)}
    return score(rows, signers=signers)


def _run(folder: Path, *, evaluated: bool) -> Path:
    spans = [
        {"gloss": gloss, "start_seconds": 0.4 * k, "end_seconds": 0.4 * k + 0.3, "confidence": 0.9}
        for k, gloss in enumerate(GLOSSES * 3)
    ]
    known = {"dev_is_known": True, "path": PATH, "composed": True}
    splits = ("train", "dev", "test")
    row = {"utterances": 12_345, "signers": 123, "running_glosses": 123_456, "distinct_glosses": 1234, "hours": 12.5}
    gradient = {f"gradient/{name}": 1.0 for name in ("all", "encoders", "body", "recurrent", "classifier")}
    files = {
        "run.json": {
            "recipe": {"data_dir": PATH, "learning_rate": 0.003, "augmentation": {"words": [LONG] * 3}},
            "model": {"parameters": 1_930_244, "preset": "student"},
            "corpus": {"name": f"corpus-{LONG}", "synthetic": True, "summary": dict.fromkeys(splits, row), **known},
            "environment": {"python": "3.11", "executable": f"{PATH}/bin/python"},
        },
        "history.json": {"epochs": epochs(30), "best_epoch": 27},
        "monitors.json": {
            "every_steps": 50,
            "said": [FINDING],
            "epochs": [{"epoch": k, "entropy": 1 / k, "blank": 0.5, "blank_share": 0.6, **gradient} for k in (1, 2, 3)],
        },
    }
    if evaluated:
        baseline = {"name": "nearest neighbour by DTW, isolated signs", "error_rate": 0.8, "note": "signs cut out"}
        scored = {**_score(2).to_json(), "split": "test", "corpus": "tiny", "unseen_signers": True}
        files["evaluation-test.json"] = {**scored, "model": f"{PATH}/model.safetensors", "baseline": baseline}
        files["transcript.json"] = {
            "id": f"session-01/{PATH}",
            "reference": list(GLOSSES),
            "reference_spans": [[0.4 * k, 0.4 * k + 0.35] for k in range(len(GLOSSES))],
            "hypothesis": spans,
            "duration_seconds": 8.0,
        }
    folder.mkdir()
    for name, record in files.items():
        write_text(folder / name, json.dumps(record))
    if evaluated:
        write_text(folder / "score-test.html", "")
    return write_report(folder)


def _doctor(path: Path) -> Path:
    strokes = [["body", 0.1, 0.5, 0.9, 0.5], ["head", 0.4, 0.1, 0.6, 0.3], ["left_hand", 0.8, 0.5, 0.9, 0.6]]
    findings = [FINDING, {**FINDING, "id": "data.fps", "level": "ok", "headline": "25 frames per second"}]
    record = Diagnosis(f"corpus {PATH}", tuple(map(Finding.from_json, findings)), 3.2).to_json()
    cause = {"headline": f"clips of {LONG} are broken", "evidence": [[FINDING["id"], FINDING["headline"]]]}
    record["causes"] = [{**cause, "advice": "extract them again"}]
    curve = [0.5 + 0.4 * (-1) ** k for k in range(200)]
    evidence = {
        "skeletons": {FINDING["id"]: [{"id": f"session-01/{PATH}", "frames": [strokes] * 8}]},
        "posterior": {
            "id": "clip",
            "step_seconds": 0.08,
            "blank": curve,
            "gloss": curve,
            "predicted": [[gloss, 30.0 * k] for k, gloss in enumerate(GLOSSES)],
            "reference": list(GLOSSES),
        },
    }
    return write_text(path, render_health_page(record, evidence, f"signloom doctor {PATH} --check"))


def _score_page(path: Path) -> Path:
    title = f"corpus-{LONG}, test split"
    return write_text(path, render_score_page(_score(2), title=title, subtitle=PATH, labels=["simulated"]))


def _compare_page(path: Path) -> Path:
    a, b = _score(2), _score(5)
    return write_text(path, render_compare_page(compare(a, b, name_a=f"{PATH}/a.ctm", name_b=f"{PATH}/b.ctm")))


PAGES: dict[str, Callable[[Path], Path]] = {
    "run": lambda folder: _run(folder / "run", evaluated=True),
    "trained": lambda folder: _run(folder / "trained", evaluated=False),
    "score": lambda folder: _score_page(folder / "score.html"),
    "compare": lambda folder: _compare_page(folder / "compare.html"),
    "doctor": lambda folder: _doctor(folder / "doctor.html"),
}
