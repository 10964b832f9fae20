"""signloom score, typed as a user types it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from signloom import cli
from signloom.corpus import Corpus
from signloom.score.wer import read_score

STM = "u1 1 ann 0.0 1.79769e+308 __ON__ REGEN NORD\nu2 1 ben 0.0 1.79769e+308 SONNE\n"
CTM = "u1 1 0.00 0.01 __ON__\nu1 1 0.01 0.01 loc-NORD\nu2 1 0.00 0.01 SONNE\n"


@pytest.fixture
def files(tmp_path):
    (tmp_path / "ref.stm").write_text(STM, encoding="utf-8")
    (tmp_path / "hyp.ctm").write_text(CTM, encoding="utf-8")
    return tmp_path


def signloom(*arguments) -> int:
    with pytest.raises(SystemExit) as done:
        cli.main([str(argument) for argument in arguments])
    return done.value.code


def test_text(files, capsys):
    assert signloom("score", files / "ref.stm", files / "hyp.ctm", "--protocol", "phoenix2014") == 0
    shown = capsys.readouterr()
    assert "hyp.ctm against " in shown.out
    assert "WER 25.00 % by phoenix2014  (95% interval" in shown.out
    assert "0 substitutions + 1 deletion + 0 insertions = 1 error in 4 reference glosses" in shown.out
    assert "scoring rule 'phoenix2014': the official clean-up of PHOENIX-2014" in shown.out
    assert "REF  __ON__ REGEN NORD\n  HYP  __ON__ ***** NORD\n" in shown.out
    assert " --output score.json --html score.html  # where" in shown.err


def test_variants_change_number_and_name(files, capsys):
    assert signloom("score", files / "ref.stm", files / "hyp.ctm", "--without_on_off", "--worst", 0) == 0
    shown = capsys.readouterr().out
    assert "WER 66.67 % by plain+without_on_off" in shown
    assert "but, as variant without_on_off, __ON__ and __OFF__ are dropped from both sides" in shown


def test_json_is_what_compare_reads(files, capsys):
    arguments = ("score", files / "ref.stm", files / "hyp.ctm", "--protocol", "phoenix2014", "--merge_repeats")
    assert signloom(*arguments, "--format", "json", "--output", files / "out") == 0
    shown = capsys.readouterr()
    record = json.loads(shown.out)
    assert json.loads((files / "out/score.json").read_text(encoding="utf-8")) == record
    made = read_score(files / "out/score.json")
    assert (made.protocol, made.errors, made.reference_words) == ("phoenix2014+merge_repeats", 1, 4)
    assert list(made.by_signer) == ["ann", "ben"]
    assert record["hypothesis"] == str(files / "hyp.ctm")
    assert (record["missing"], record["extra"], record["notes"]) == ([], [], [])
    assert f"next: signloom compare {files / 'out/score.json'} OTHER.json" in shown.err
    assert signloom(*arguments, "--output", files / "mine.json", "--worst", 0) == 0
    assert read_score(files / "mine.json") == made
    assert signloom("compare", files / "mine.json", files / "out/score.json") == 0


def test_the_page(files, capsys):
    assert signloom("score", files / "ref.stm", files / "hyp.ctm", "--html", files / "score.html") == 0
    page = (files / "score.html").read_text(encoding="utf-8")
    assert "hyp.ctm against ref.stm" in page
    assert f"page: {files / 'score.html'}" in capsys.readouterr().err


def test_what_is_missing_is_told_and_kept(files, capsys):
    (files / "hyp.csv").write_text("id|gloss\nu1|REGEN\nx|A\n", encoding="utf-8")
    assert signloom("score", files / "ref.stm", files / "hyp.csv", "--format", "json") == 0
    shown = capsys.readouterr()
    record = json.loads(shown.out)
    assert (record["missing"], record["extra"]) == (["u2"], ["x"])
    assert (record["deletions"], record["substitutions"]) == (3, 0)
    assert "warning: no hypothesis for 1 of 2 utterances, scored as nothing recognised: u2" in shown.err
    assert "warning: no reference for 1 hypothesis, left out: x" in shown.err


def test_a_corpus_and_a_run_folder(tiny_corpus, tmp_path, capsys):
    rows = [f"{item.id}|{' '.join(item.glosses[:-1])}\n" for item in Corpus.open(tiny_corpus).split("dev")]
    (tmp_path / "hypotheses-dev.csv").write_text("id|gloss\n" + "".join(rows), encoding="utf-8")
    assert signloom("score", tiny_corpus, tmp_path, "--split", "dev", "--format", "json") == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["num_utterances"], record["deletions"], record["errors"]) == (6, 6, 6)
    assert list(record["signers"]) == ["A"]


def test_signers_from_ids(files, capsys):
    (files / "ref.txt").write_text("id|gloss\n02_1|A\n03_1|B\n", encoding="utf-8")
    (files / "hyp.csv").write_text("id,gloss\n02_1,A\n03_1,C\n", encoding="utf-8")
    assert signloom("score", files / "ref.txt", files / "hyp.csv", "--signer_pattern", r"^(\d+)_") == 0
    assert "03  WER 100.00 %" in capsys.readouterr().out
    assert signloom("score", files / "ref.txt", files / "hyp.csv", "--signer_pattern", r"^(x)_") == 2
    assert "finds no signer in 2 ids, such as '02_1'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--protocol", "phoenix"], "scoring rule 'phoenix' is not known; did you mean 'phoenix2014'"),
        (["--protocol", "isharah", "--sentence_cleanup"], "cleans nothing, so it has no variant sentence_cleanup"),
        (["--format", "xml"], "--format is 'xml'; needed text or json"),
        (["--worst", "few"], "--worst is 'few'; needed a whole number\n"),
        (["--output", "score.html"], "--output is score.html; needed a .json file or a folder (--html writes a page"),
        (["--worst", "-1"], "--worst is -1; needed 0 or more"),
        (["--split", "dev"], "--split dev needs a corpus folder as reference"),
        (["--sentence_clean_up"], "did you mean --sentence_cleanup?"),
        # No flag may be abbreviated, and a value is not taken for a misspelt flag (`plain` is near `split`).
        (["--protoc", "plain"], "--protoc plain; did you mean --protocol?\n"),
    ],
)
def test_misuse_is_told_without_a_traceback(files, capsys, arguments, message):
    assert signloom("score", files / "ref.stm", files / "hyp.ctm", *arguments) == 2
    assert message in capsys.readouterr().err


def test_what_cannot_be_written_is_named(files, capsys):
    assert signloom("score", files / "ref.stm", files / "hyp.ctm", "--html", files) == 2
    assert capsys.readouterr().err.endswith(f"signloom: error: {files}: is a folder; needed the name of a file\n")
    assert signloom("score", files / "ref.stm", files / "hyp.ctm", "--output", files / "ref.stm" / "a.json") == 2
    assert "a part of this path is a file; needed a folder" in capsys.readouterr().err


def test_files_that_do_not_fit_are_an_error_not_100_percent(files, capsys):
    (files / "hyp.csv").write_text("other|A\n", encoding="utf-8")
    assert signloom("score", files / "ref.stm", files / "hyp.csv") == 2
    shown = capsys.readouterr()
    assert "none of its ids (other) is in" in shown.err
    assert shown.out == ""


@pytest.mark.slow
def test_scoring_imports_no_heavy_package(files):
    code = (
        "import sys\nfrom signloom import cli\n"
        f"try: cli.main(['score', {str(files / 'ref.stm')!r}, {str(files / 'hyp.ctm')!r}])\nexcept SystemExit: pass\n"
        "print(sorted({'torch', 'lightning', 'mediapipe', 'matplotlib', 'cv2'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"


def test_words_that_only_look_like_those_of_the_references_are_told(tmp_path, capsys):
    (tmp_path / "ref.csv").write_text("id|gloss\nu1|\u00dcBER A\nu2|M\u00c4DCHEN MOR\n", encoding="utf-8")
    (tmp_path / "hyp.csv").write_text("id|gloss\nu1|U\u0308BER A\u200b\nu2|MA\u0308DCHEN \u041cOR\n", encoding="utf-8")
    assert signloom("score", tmp_path / "ref.csv", tmp_path / "hyp.csv", "--worst", 0) == 0
    shown = capsys.readouterr()
    assert "WER 100.00 %" in shown.out
    told = " ".join(shown.err.split())
    assert "4 words of the hypotheses (4 times) look like words of the references, but differ" in told
    assert "U+0308" in told
    assert "U+041C" in told
    assert "--normalise_unicode counts those as equal" in told
    assert signloom("score", tmp_path / "ref.csv", tmp_path / "hyp.csv", "--worst", 0, "--normalise_unicode") == 0
    assert "WER 25.00 % by plain+normalise_unicode" in capsys.readouterr().out
