import json
import re
from collections import Counter
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from browser import dumped
from signloom.corpus import Corpus
from signloom.files.writing import write_text
from signloom.report import write_report
from signloom.report.charts import Column, columns, difference
from signloom.report.compare_page import render_compare_page
from signloom.report.evaluation import write_evaluation
from signloom.report.score_page import render_score_page
from signloom.report.sections import right_to_left
from signloom.run_folder import Run
from signloom.score.alignment import Alignment
from signloom.score.analysis import by_gloss, by_length, confusions, part
from signloom.score.compare import compare
from signloom.score.wer import Score, UtteranceScore, score

# Hypothesis makes no lone surrogates; a test of its own does.
GLOSS = st.text(min_size=1)
EVIL = "</script><script>alert('x')</script>"
VOID = {"meta", "input"}

# u1: A and C right, B taken for X, D left out. u2: A right, X put in, b right (case). u3: nothing signed, X put in.
PAIRS = [("u1", ["A", "B", "C", "D"], ["A", "X", "C"]), ("u2", ["A", "B"], ["A", "X", "b"]), ("u3", [], ["X"])]
SIGNERS = {"u1": "ann", "u2": "ben & co", "u3": "ann"}


@pytest.fixture(scope="module")
def scored() -> Score:
    return score(PAIRS, signers=SIGNERS)


class Page(HTMLParser):
    """What a browser would make of the text: its visible words, addresses, tags, the block of data."""

    def __init__(self, text):
        super().__init__()
        self.open, self.words, self.addresses, self.tags, self.scripts = [], [], [], Counter(), []
        self.feed(text)
        self.close()
        self.text = " ".join(self.words)

    @property
    def data(self):
        return json.loads(self.scripts[0])

    def handle_starttag(self, tag, attributes):
        self.tags[tag] += 1
        values = dict(attributes)
        self.addresses += [values[key] for key in ("href", "src", "data") if values.get(key)]
        if tag == "script":
            self.scripts.append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts[-1] += data
        elif self.open and self.open[-1] != "style":
            self.words.append(" ".join(data.split()))


def page_of(scored, **options):
    page = Page(render_score_page(scored, **options))
    assert page.open == []
    return page


def rebuilt(data, side=0):
    """The alignments that the page's block of data holds."""
    words = data["words"]
    return [
        (row[0], Alignment(*(tuple(words[k] for k in part) for part in (row[2], row[3][side][0])), row[3][side][1]))
        for row in data["utterances"]
    ]


class TestAnalysis:
    def test_glosses_by_hand(self, scored):
        found = {item.gloss: item for item in by_gloss(scored)}
        assert set(found) == {"A", "B", "C", "D", "X"}
        b = found["B"]
        assert (b.occurrences, b.correct, b.substituted, b.deleted, b.missed, b.invented) == (2, 1, 1, 0, 1, 0)
        assert (found["D"].deleted, found["D"].missed_rate) == (1, 1.0)
        x = found["X"]
        # In the place of B once, put in twice; never signed, so that there is no rate of it.
        assert (x.occurrences, x.stands_for_another, x.inserted, x.invented, x.missed_rate) == (0, 1, 2, 3, None)
        assert [item.gloss for item in by_gloss(scored)] == ["B", "D", "X", "A", "C"]

    def test_confusions_by_hand(self, scored):
        (only,) = confusions(scored)
        assert (only.reference, only.hypothesis, only.count, only.occurrences, only.rate) == ("B", "X", 1, 2, 0.5)

    def test_a_part_is_counted_anew(self, scored):
        first = part(scored, scored.utterances[:1])
        assert (first.substitutions, first.deletions, first.insertions, first.reference_words) == (1, 1, 0, 4)

    def test_lengths_by_hand(self, scored):
        assert [(bucket.name, [u.id for u in bucket.utterances]) for bucket in by_length(scored.utterances)] == [
            ("0", ["u3"]),
            ("2", ["u2"]),
            ("4", ["u1"]),
        ]

    def test_a_few_long_utterances_share_an_open_bucket(self):
        lengths = [*range(1, 15)] * 10 + [60, 90]
        names = [bucket.name for bucket in by_length(utterances(lengths))]
        assert names == ["1-2", "3-4", "5-6", "7-8", "9-10", "11-12", "13-14", "15+"]

    @given(st.lists(st.integers(0, 120), min_size=1, max_size=60))
    def test_every_utterance_is_in_one_bucket(self, lengths):
        buckets = by_length(utterances(lengths))
        assert len(buckets) <= 9
        assert sorted(u.id for bucket in buckets for u in bucket.utterances) == sorted(
            u.id for u in utterances(lengths)
        )
        for bucket, following in zip(buckets, [*buckets[1:], None], strict=True):
            assert bucket.utterances
            high = float("inf") if bucket.high is None else bucket.high
            assert all(bucket.low <= u.reference_words <= high for u in bucket.utterances)
            assert following is None or high < following.low

    @pytest.mark.slow
    @given(
        st.lists(
            st.tuples(st.lists(st.sampled_from("abAB"), max_size=6), st.lists(st.sampled_from("abcA"), max_size=6)),
            min_size=1,
        ).filter(lambda pairs: any(reference for reference, _ in pairs))
    )
    def test_counts_of_glosses_sum_to_the_score(self, pairs):
        whole = score((f"u{k}", *pair) for k, pair in enumerate(pairs))
        glosses = by_gloss(whole)
        assert sum(item.occurrences for item in glosses) == whole.reference_words
        assert sum(item.substituted for item in glosses) == whole.substitutions
        assert sum(item.stands_for_another for item in glosses) == whole.substitutions
        assert sum(item.deleted for item in glosses) == whole.deletions
        assert sum(item.inserted for item in glosses) == whole.insertions
        assert sum(pair.count for pair in confusions(whole)) == whole.substitutions
        assert len({item.gloss.lower() for item in glosses}) == len(glosses)


def utterances(lengths):
    return [
        UtteranceScore(f"u{k}", None, Alignment(("A",) * length, ("A",) * length, "C" * length))
        for k, length in enumerate(lengths)
    ]


class TestPage:
    def test_says_the_number_its_interval_its_rule_and_its_counts(self, scored):
        page = page_of(scored, title="tiny, test split", subtitle="a.stm against b.ctm", labels=["simulated"])
        for words in ("tiny, test split", "a.stm against b.ctm", "simulated", "66.7 %", "95 % interval", "bootstrap"):
            assert words in page.text
        assert scored.rule in page.text
        # A rule other than the plain one stands beside the number itself.
        variant = score([("u1", ["A", "B"], ["A"])], protocol="phoenix2014+merge_repeats")
        assert "Word error rate by phoenix2014+merge_repeats" in page_of(variant).text
        assert re.search(r"4 +correct .*1 +substituted .*1 +deleted .*2 +inserted", page.text)
        assert "ben & co" in page.text

    def test_block_of_data_is_the_score(self, scored):
        page = page_of(scored)
        assert rebuilt(page.data) == [(u.id, u.alignment) for u in scored.utterances]
        assert [page.data["signers"][row[1]] for row in page.data["utterances"]] == ["ann", "ben & co", "ann"]

    @pytest.mark.slow
    @settings(max_examples=25)
    @given(st.lists(st.tuples(GLOSS, st.lists(GLOSS), st.lists(GLOSS)), max_size=4))
    def test_any_gloss_survives_and_none_becomes_a_tag(self, rows):
        whole = score(
            [("first", ["A", EVIL], ["<!--"]), *((f"{k} {name}", *words) for k, (name, *words) in enumerate(rows))]
        )
        page = page_of(whole)
        assert rebuilt(page.data) == [(u.id, u.alignment) for u in whole.utterances]
        assert page.tags["script"] == 2
        assert page.tags["html"] == page.tags["body"] == page.tags["main"] == 1

    def test_evil_names_are_only_text(self):
        whole = score([(EVIL, [EVIL], ["<b>x</b>"])], signers={EVIL: '"><img src=x onerror=alert(1)>'})
        page = page_of(whole, title=EVIL, subtitle=EVIL, labels=[EVIL], link=(EVIL, "report.html"))
        assert page.tags["script"] == 2
        assert not page.tags["img"]
        assert page.text.count(EVIL) >= 4

    def test_lone_surrogates_are_shown_as_something_else(self, tmp_path):
        path = write_text(tmp_path / "score.html", render_score_page(score([("u", ["\ud800A"], ["A"])])))
        assert page_of(score([("u", ["A"], ["A"])]))
        assert "?A" in path.read_text(encoding="utf-8")

    def test_loads_nothing(self, scored):
        text = render_score_page(scored)
        assert all(address.startswith("#") for address in Page(text).addresses)
        assert "default-src 'none'" in text
        assert not re.search(r"https?://(?!www\.w3\.org)|@import|url\(", text)

    def test_words_before_the_clean_up_are_kept(self):
        whole = score([("u", ["A"], ["loc-A"]), ("v", ["A"], ["A"])], protocol="phoenix2014")
        rows = page_of(whole).data["utterances"]
        words = page_of(whole).data["words"]
        assert [[name, [words[k] for k in given]] for name, given in rows[0][4]] == [["hypothesis", ["loc-A"]]]
        assert len(rows[1]) == 4

    def test_what_stands_for_no_gloss_is_explained_where_it_occurs(self):
        for hypothesis, said in ((["__PU__"], True), (["A"], False)):
            page = page_of(score([("u", ["A"], hypothesis)], protocol="phoenix2014"))
            assert ("puts [EMPTY] in the place of a hypothesis without glosses" in page.text) is said

    @pytest.mark.parametrize(
        ("pairs", "signers", "says", "not_said"),
        [
            ([("u", ["A"], ["A"])], {}, "0.00 % interval|100.0 %", "Signer|Confused"),
            ([("u", ["A"], ["A"])], {"u": "ann"}, "One signer made all utterances", "Confused"),
            ([("u", ["A"], []), ("v", [], [])], {}, "100.0 %", "Signer|Confused"),
            ([("u", ["A"], ["B"] * 4)], {}, "400.0 %", "Signer"),
        ],
    )
    def test_odd_scores(self, pairs, signers, says, not_said):
        page = page_of(score(pairs, signers=signers))
        assert re.search(says, page.text)
        assert not re.search(not_said, page.text)

    def test_of_many_signers_the_worst_are_shown_first(self):
        names = [f"s{k:02d}" for k in range(20)]
        whole = score(((name, ["A"] * 20, ["A"] * k) for k, name in enumerate(names)), signers={n: n for n in names})
        page = page_of(whole)
        assert "5 more signers, with fewer errors" in page.text
        assert page.text.index("s00") < page.text.index("s14") < page.text.index("5 more") < page.text.index("s19")

    @pytest.mark.slow
    def test_thousands_of_utterances_make_a_page_of_moderate_size(self):
        pairs = [(f"session{k % 40:02d}/utterance-{k:06d}", [f"G{(k * j) % 997}" for j in range(15)], ["G0"] * 14)
                 for k in range(5000)]  # fmt: skip
        assert len(render_score_page(score(pairs)).encode()) < 2_000_000

    def test_written_whole(self, scored, tmp_path):
        page = render_score_page(scored, link=("the run's report", "report.html"))
        path = write_text(tmp_path / "new" / "score.html", page)
        assert Page(path.read_text(encoding="utf-8")).addresses[0] == "report.html"
        assert [file.name for file in path.parent.iterdir()] == ["score.html"]


def test_an_evaluation_writes_its_page_and_the_report_links_to_it(tiny_corpus, tmp_path):
    corpus = Corpus.open(tiny_corpus)
    items = corpus.split("test")
    (tmp_path / "run.json").write_text("{}")
    result = score(
        ((item.id, item.glosses, item.glosses[1:]) for item in items), signers={u.id: u.signer for u in items}
    )
    write_evaluation(
        Run(tmp_path), result, model_path=tmp_path / "model.safetensors", corpus=corpus, split="test", decoder="greedy"
    )
    page = Page((tmp_path / "score-test.html").read_text(encoding="utf-8"))
    assert "tiny, test split" in page.text
    assert "none of these signers in training" in page.text
    assert "report.html" in page.addresses
    assert "score-test.html" in Page(write_report(tmp_path).read_text(encoding="utf-8")).addresses


def test_a_baseline_stays_where_the_same_corpus_is_scored_again(tiny_corpus, tmp_path):
    corpus = Corpus.open(tiny_corpus)
    result = score((item.id, item.glosses, item.glosses) for item in corpus.split("test"))
    about = {"model_path": tmp_path / "model.safetensors", "corpus": corpus, "split": "test", "decoder": "greedy"}

    def baseline(**given):
        path = write_evaluation(Run(tmp_path), result, **about, **given).evaluation_file("test")
        return json.loads(path.read_text(encoding="utf-8")).get("baseline"), path

    earlier, path = baseline(baseline={"name": "nearest neighbour", "error_rate": 0.5})
    assert baseline()[0] == earlier
    assert earlier["error_rate"] == 0.5
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), "corpus": "another"}))
    assert baseline()[0] is None


def test_right_to_left_is_told_by_the_first_letter():
    assert [right_to_left(text) for text in ("معلم", "__שלום", "HAUS", "1-ماء", "", "123")] == [
        True, True, False, True, False, False,
    ]  # fmt: skip


def test_a_column_of_a_chart_is_as_high_as_its_value():
    svg = columns([Column("1", 0.5, "half"), Column("2", 1.0, "all", 0.9, 1.0)], lambda rate: f"{rate:.0%}", axis="x")
    heights = [float(found) for found in re.findall(r'<rect x="[^"]*" y="[^"]*" width="46[^"]*" height="([^"]*)"', svg)]
    assert heights[0] == pytest.approx(heights[1] / 2, abs=0.2)
    assert "100%" in svg


@pytest.mark.parametrize(("low", "high", "none"), [(-0.02, 0.01, True), (0.01, 0.02, False), (-0.2, -0.1, False)])
def test_a_difference_that_may_be_none_is_drawn_pale(low, high, none):
    svg = difference((low + high) / 2, low, high, str, left="B", right="A")
    assert ('class="reach none"' in svg) is none


# What the script makes of the page, asked of a real browser: the list after the state in the address.

# Goes from address to address as its user would, and leaves what the page then shows as JSON.
WALK = """
<script>
const visits = %s.map(hash => {
  history.replaceState(null, "", "#" + hash);
  dispatchEvent(new HashChangeEvent("hashchange"));
  const text = node => node.textContent;
  const rows = id => [...document.querySelectorAll(`#${id} tbody tr`)].map(row => [...row.cells].map(text));
  const list = document.getElementById("list");
  return {ids: [...list.querySelectorAll(".head b bdi")].map(text), status: text(document.getElementById("status")),
    text: text(list), html: list.innerHTML, glosses: rows("glosses"), pairs: rows("pairs"),
    wanted: list.querySelectorAll(".wanted").length};
});
document.body.append(Object.assign(document.createElement("pre"), {id: "visits", textContent: JSON.stringify(visits)}));
</script>
"""


@pytest.fixture(scope="module")
def browse(tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser")

    def opened(path: Path, address: str = "") -> str:
        text = dumped(f"{path.resolve().as_uri()}#{address}", folder)
        assert '<html lang="en" class="ready">' in text, "the page's script did not run to its end"
        return text

    def visits(path: Path, *states: dict[str, str]) -> list[SimpleNamespace]:
        """What the page shows in each state; the first is in the address that the browser opens."""
        walked = path.with_name(f"walked-{path.name}")
        addresses = json.dumps([urlencode(state) for state in states])
        walked.write_text(path.read_text(encoding="utf-8") + WALK % addresses, encoding="utf-8")
        text = opened(walked, urlencode(states[0]))
        found = re.search('<pre id="visits">(.*?)</pre>', text, re.S)
        return [SimpleNamespace(**visit) for visit in json.loads(unescape(found[1]))]

    visits.opened = opened
    return visits


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """u1 to u3 of PAIRS, an Arabic utterance, 60 right ones, and one with an evil gloss."""
    arabic = ("u4", ["هو", "معلم"], ["هو", "لغه", "معلم"])
    right = [(f"z{k:02d}", ["A"], ["A"]) for k in range(60)]
    whole = score([*PAIRS, arabic, *right, ("u5", [EVIL, "B", "C", "D"], ["<!--"])], signers=SIGNERS)
    return write_text(tmp_path_factory.mktemp("page") / "score.html", render_score_page(whole))


class TestInABrowser:
    @pytest.mark.slow
    def test_opened_as_it_is_and_with_an_address(self, browse, page):
        shown = Page(browse.opened(page))
        assert EVIL in shown.text
        assert shown.tags["script"] == 2
        assert "65 of 65 utterances" in shown.text
        assert "1 of 65 utterances" in Page(browse.opened(page, "q=b+ann")).text

    @pytest.mark.slow
    def test_search_sorting_and_filters(self, browse, page):
        first, search, by_id, by_rate, signer, length, none = browse(
            page,
            {},
            {"q": "b ann"},
            {"only": "wrong", "sort": "id"},
            {"only": "wrong", "sort": "rate"},
            {"signer": "ben & co"},
            {"length": "3-4", "sort": "id", "only": "D"},
            {"q": "nobody"},
        )
        assert first.ids[:4] == ["u5", "u1", "u3", "u2"]
        assert 20 < len(first.ids) < 65
        assert first.glosses[0][:3] == ["B", "3", "2"]
        # D was left out once and misread once, B misread once of three: the higher share first.
        assert [row[:3] for row in first.pairs] == [["D", "<!--", "1"], ["B", "X", "1"]]
        assert search.ids == ["u1"]
        assert by_id.ids == ["u1", "u2", "u3", "u4", "u5"]
        assert by_rate.ids == ["u3", "u5", "u1", "u2", "u4"]
        assert signer.ids == ["u2"]
        assert length.ids == ["u1", "u5"]
        assert (none.ids, none.text, none.status) == ([], "No utterance matches.", "0 of 65 utterances")

    @pytest.mark.slow
    def test_utterances_of_a_missed_an_invented_and_a_confused_gloss(self, browse, page):
        missed, invented, confused, arabic = browse(
            page, {"ref": "b"}, {"hyp": "X", "glosses": "invented-"}, {"ref": "B", "hyp": "X"}, {"q": "معلم"}
        )
        assert missed.ids == ["u5", "u1"]
        assert sorted(invented.ids) == ["u1", "u2", "u3"]
        assert invented.wanted == 3
        assert invented.glosses[0][0] == "X"
        assert confused.ids == ["u1"]
        assert arabic.ids == ["u4"]
        assert 'class="aligned" dir="rtl"' in arabic.html
        assert re.search('لغه</bdi><i class="kind">I</i>', arabic.html)

    @pytest.mark.slow
    def test_comparison(self, browse, tmp_path):
        rows = [("u1", "A B", "A", "A B"), ("u2", "A", "A", "A Y Y"), ("u3", "C", "X", "Z"), ("u4", "C", "C", "C")]
        a, b = (score((row[0], row[1].split(), row[side].split()) for row in rows) for side in (2, 3))
        path = write_text(tmp_path / "compare.html", render_compare_page(compare(a, b)))
        first, better, same, improved = browse(
            path, {}, {"only": "better"}, {"only": "same"}, {"sort": "better", "only": "all"}
        )
        assert first.ids == ["u2", "u1", "u3"]
        assert "▼ worse by 2" in first.text
        assert "▲ better by 1" in first.text
        assert first.glosses[0][:2] == ["B", "+1"]
        assert better.ids == ["u1"]
        assert same.ids == ["u4"]
        assert improved.ids == ["u1", "u3", "u4", "u2"]
