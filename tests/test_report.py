import json
import re
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from page_examples import epochs
from signloom.errors import InputError
from signloom.report import write_report
from signloom.report.charts import Span, curves, timeline
from signloom.report.html import Html, element
from signloom.score.wer import score

EVIL = "<script>alert('x')</script>"


def evaluation(**fields):
    pairs = [("u1", ["A", EVIL, "C"], ["A", "B"]), ("u2", ["B"], ["B", "C"]), ("u3", ["C"], ["C"])]
    scored = score(pairs, signers={"u1": "ann", "u2": "ben & co", "u3": "ann"}).to_json()
    return {**scored, "split": "test", "corpus": "tiny", "model": "model.safetensors", **fields}


RUN = {
    "recipe": {"learning_rate": 0.003, "note": EVIL},
    "model": {"parameters": 1_930_244, "preset": "student"},
    "corpus": {
        "name": "tiny",
        "synthetic": True,
        "summary": {
            "train": {"utterances": 800, "signers": 6, "running_glosses": 4000, "distinct_glosses": 40, "hours": 0.5}
        },
    },
    "environment": {"python": "3.11"},
    "seed": 7,
}
TRANSCRIPT = {
    "id": "u9",
    "reference": ["A", "B"],
    "reference_spans": [[0.1, 0.6], [0.8, 1.4]],
    "hypothesis": [
        {"gloss": "A", "start_seconds": 0.3, "end_seconds": 0.4, "confidence": 0.91},
        {"gloss": EVIL, "start_seconds": 1.0, "end_seconds": 1.2, "confidence": 0.4},
    ],
    "duration_seconds": 1.6,
}


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "my run"
    folder.mkdir()
    files = {
        "run.json": RUN,
        "history.json": {"epochs": epochs(4), "best_epoch": 3},
        "evaluation-test.json": evaluation(
            unseen_signers=True,
            baseline={"name": "DTW", "error_rate": 0.8, "interval": {"low": 0.7, "high": 0.9}, "note": "signs cut out"},
        ),
        "transcript.json": TRANSCRIPT,
    }
    for name, record in files.items():
        (folder / name).write_text(json.dumps(record), encoding="utf-8")
    return folder


VOID = {"meta", "img"}


class Page(HTMLParser):
    """What a browser would make of the page: its visible words, tags left open, and addresses it would load."""

    def __init__(self, text):
        super().__init__()
        self.open, self.words, self.loads, self.tags = [], [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.loads += [value for name, value in attrs if name in ("src", "href", "srcset", "action")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def test_a_whole_run(run):
    path = write_report(run)
    assert path == run / "report.html"
    page = Page(path.read_text(encoding="utf-8"))
    assert page.open == []
    for expected in (
        "my run",
        "simulated signing: these figures say nothing about real signers",
        # 3 errors (substitution, deletion, insertion) in 5 glosses
        "Word error rate on unseen signers 60.0 %",
        "DTW 80.0 % signs cut out",
        "Scoring rule “plain”: glosses as they stand",
        "Of 5 signed glosses, 1 came out as another gloss (substituted) and 1 did not come out (deleted); 1 came out",
        "1.93 M weights, preset student",
        "10 s 4 epochs",
        "kept: epoch 3",
        "u9 of the test split, 1.6 s",
        "ben & co 100.0 % 0 0 1 1 1",
        "all 60.0 % 1 1 1 5 3",
        "1 of 3 utterances of test without any error",
        "2 errors in 3 glosses",
        "train 800 6 4,000 40 30.0 min",
        "seed 7",
        "signloom transcribe",
    ):
        assert expected in page.text, expected


def test_nothing_is_loaded_from_elsewhere_and_nothing_runs(run):
    text = write_report(run).read_text(encoding="utf-8")
    page = Page(text)
    assert page.loads == []
    assert "script" not in page.tags
    assert EVIL in page.text
    assert not re.search(r"url\(|@import|https?://", text)


def test_a_mixed_corpus_and_a_composed_one_are_labelled(run):
    mixed = {**RUN, "corpus": {**RUN["corpus"], "synthetic_utterances": 12, "composed": True}}
    (run / "run.json").write_text(json.dumps(mixed))
    text = Page(write_report(run).read_text()).text
    assert "partly simulated signing (12 utterances)" in text
    assert "composed of isolated signs" in text


def test_a_dev_split_of_known_signers_is_told_with_the_command_that_measures_strangers(run):
    assert "new people" not in Page(write_report(run).read_text()).text
    (run / "run.json").write_text(json.dumps({**RUN, "corpus": {**RUN["corpus"], "dev_is_known": True, "path": "/c"}}))
    text = Page(write_report(run).read_text()).text
    assert "Dev does not show how well new people are recognised" in text
    assert "signloom crossval --data_dir /c --nested" in text


def test_a_real_corpus_carries_no_label_of_simulation(run):
    real = {**RUN, "corpus": {**RUN["corpus"], "synthetic": False}}
    (run / "run.json").write_text(json.dumps(real))
    assert "simulated" not in Page(write_report(run).read_text()).text


def test_what_is_not_there_is_left_out_or_proposed(run):
    (run / "evaluation-test.json").unlink()
    (run / "transcript.json").unlink()
    page = Page(write_report(run).read_text())
    assert "not measured yet" in page.text
    assert "1.93 M" in page.text
    assert "Utterances with the most errors" not in page.text
    (run / "history.json").unlink()
    (run / "curves.png").write_bytes(b"\x89PNG")
    page = Page(write_report(run).read_text())
    assert page.loads == ["data:image/png;base64,iVBORw=="]


def test_the_headline_is_test_and_dev_stands_below(run):
    (run / "evaluation-dev.json").write_text(json.dumps(evaluation(split="dev")))
    text = Page(write_report(run).read_text()).text
    assert "Word error rate on unseen signers" in text
    assert "Signers of the test split, none of them in training" in text
    assert "Signers of the dev split" in text


def test_an_evaluation_without_signers_or_errors(run):
    perfect = score([("a", ["A"], ["A"])]).to_json()
    (run / "evaluation-test.json").write_text(json.dumps({**perfect, "split": "test"}))
    text = Page(write_report(run).read_text()).text
    assert "Word error rate on the test split 0.00 %" in text
    assert "1 of 1 utterance of test without any error" in text


def test_a_transcript_without_times_of_the_reference_and_with_nothing_recognised(run):
    silent = {**TRANSCRIPT, "hypothesis": []}
    del silent["reference_spans"]
    (run / "transcript.json").write_text(json.dumps(silent))
    text = Page(write_report(run).read_text()).text
    assert "recognised" in text
    assert "A deleted" not in text
    # the reference is still there, in the alignment
    assert "recognised, not signed above: what was signed (reference); below: what was recognised A B" in text


def test_history_with_gaps_and_nan(run):
    broken = epochs(3)
    broken[1]["dev_loss"] = float("nan")
    del broken[2]["dev_wer"]
    (run / "history.json").write_text(json.dumps({"epochs": broken, "best_epoch": None}))
    text = write_report(run).read_text()
    assert "nan" in Page(text).text
    assert "kept: epoch" not in text


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("history.json", "{", r"history\.json: not JSON"),
        ("history.json", "[]", r"history\.json: the content is a list of 0; needed an object"),
        ("history.json", "{}", r"history\.json: epochs is missing; needed a list"),
        ("evaluation-test.json", '{"wer": 1}', r"evaluation-test\.json: protocol is missing; needed text"),
        ("transcript.json", '{"id": "x"}', r"transcript\.json: not what signloom writes"),
    ],
)
def test_files_that_are_not_what_they_should_be_are_named(run, name, content, message):
    (run / name).write_text(content)
    with pytest.raises(InputError, match=message):
        write_report(run)
    assert not (run / "report.html").exists()


def test_a_folder_that_is_no_run(tmp_path):
    with pytest.raises(InputError, match="nothing to report"):
        write_report(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        write_report(tmp_path / "gone")


def test_elements_escape_text_and_attributes():
    assert element("p", "<b>", Html("<i></i>"), title='"&') == '<p title="&quot;&amp;">&lt;b&gt;<i></i></p>'


def points(svg):
    return [[tuple(map(float, p.split(","))) for p in line.split()] for line in re.findall(r'points="([^"]+)"', svg)]


def test_curves_rise_where_values_rise_and_break_at_gaps():
    svg = curves([1, 2, 3, 4, 5], {"a": [1, 2, float("nan"), 3, 5]}, best_epoch=4, show=str)
    first, second = points(svg)
    # SVG's y axis points down: a rising value has a falling y; x grows evenly with the epoch
    assert first[0][1] > first[1][1] > second[0][1] > second[1][1]
    assert second[0][0] - first[1][0] == pytest.approx(2 * (first[1][0] - first[0][0]), abs=0.2)
    assert curves([1], {"a": [None]}, best_epoch=None, show=str) is None
    assert "circle" in curves([1], {"a": [0.0]}, best_epoch=1, show=str)


def test_a_curve_over_decades_is_logarithmic():
    (line,) = points(curves([1, 2, 3], {"a": [100, 10, 1]}, best_epoch=None, show=str))
    # equal factors, equal steps
    assert line[1][1] - line[0][1] == pytest.approx(line[2][1] - line[1][1], abs=0.2)


def test_labels_on_the_timeline_do_not_overlap():
    spans = [Span("A-LONG-GLOSS", 1.0 + k / 10, 1.05 + k / 10, "") for k in range(6)]
    svg = timeline({"recognised": spans}, 3.0)
    labels = re.findall(r'<text x="([\d.]+)" y="([\d.]+)" text-anchor="middle">A-LONG', svg)
    assert len(labels) == 6
    rows: dict[str, list[float]] = {}
    for x, y in labels:
        rows.setdefault(y, []).append(float(x))
    width = len("A-LONG-GLOSS") * 7
    assert all(b - a > width for xs in rows.values() for a, b in pairwise(xs))
