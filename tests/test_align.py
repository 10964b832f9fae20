import io
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from conftest import dead_temporary
from signloom.corpus import Corpus
from signloom.ctc.confidence import Calibration
from signloom.ctc.hypothesis import GlossSpan
from signloom.errors import InputError
from signloom.subtitles import SUFFIXES, format_of, spans_text, write_spans
from signloom.vocabulary import Vocabulary

SPANS = (GlossSpan("REGEN", 0.32, 0.7204, 0.987), GlossSpan("<unknown>", 0.7204, 3661.5, 0.5))


def test_subrip_and_webvtt_by_their_formats():
    assert spans_text(SPANS, "srt") == (
        "1\n00:00:00,320 --> 00:00:00,720\nREGEN\n\n2\n00:00:00,720 --> 01:01:01,500\n<unknown>\n"
    )
    # WebVTT separates milliseconds by a point, and takes < for the start of a tag
    assert spans_text(SPANS, "vtt") == (
        "WEBVTT\n\n00:00:00.320 --> 00:00:00.720\nREGEN\n\n00:00:00.720 --> 01:01:01.500\n&lt;unknown&gt;\n"
    )
    assert spans_text((), "srt") == ""
    assert spans_text((), "vtt") == "WEBVTT\n"


def test_json_holds_the_record_and_the_glosses():
    found = json.loads(spans_text(SPANS, "json", record={"source": "ä.mp4"}))
    assert found["source"] == "ä.mp4"
    assert [item["gloss"] for item in found["glosses"]] == ["REGEN", "<unknown>"]


def test_text_is_the_sentence_and_a_line_a_gloss():
    first, second, third = spans_text(SPANS, "text").splitlines()
    assert first == "REGEN <unknown>"
    assert second.split() == ["0.32", "-", "0.72", "s", "99%", "REGEN"]
    assert "50%" in third
    assert spans_text((), "text") == "(no gloss recognised)\n"


def test_no_span_is_shorter_than_a_millisecond():
    assert GlossSpan("A", 0.5001, 0.5002, 1.0).interval[:2] == (500, 501)


def test_the_ending_of_the_output_tells_the_format_where_none_is_given():
    assert format_of(None, Path("clip.eaf")) == "eaf"
    assert format_of(None, Path("CLIP.SRT")) == "srt"
    assert format_of(None, Path("folder")) == format_of(None, None) == "text"
    assert format_of("vtt", Path("cues.txt")) == format_of("vtt", None) == "vtt"
    # A text under the name of an ELAN file could not be opened there.
    with pytest.raises(InputError, match=r"clip.eaf has the suffix of eaf, --format is text; use .txt"):
        format_of("text", Path("clip.eaf"))


def test_a_stream_and_a_file_get_the_same(tmp_path):
    stream = io.StringIO()
    write_spans(stream, SPANS, "vtt")
    write_spans(tmp_path / "sub" / "a.vtt", SPANS, "vtt")
    assert (tmp_path / "sub" / "a.vtt").read_text(encoding="utf-8") == stream.getvalue()
    assert [path.name for path in (tmp_path / "sub").iterdir()] == ["a.vtt"]


@pytest.fixture(scope="module")
def model_file(tiny_corpus, tmp_path_factory) -> Path:
    """An untrained model of the tiny corpus: what it finds is nonsense, how it is told is not."""
    pytest.importorskip("torch")
    from signloom.inference.model import Model
    from signloom.inference.torch_engine import TorchEngine
    from signloom.model.presets import preset
    from signloom.model.recognizer import Recognizer

    vocabulary = Vocabulary.from_glosses(item.glosses for item in Corpus.open(tiny_corpus))
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    Model(TorchEngine(Recognizer(preset("student"), len(vocabulary))), vocabulary).save(path)
    return path


def call(source, model_file, **given):
    from signloom.commands.align import Options, run

    return run(Options(source=Path(source), model=model_file, **given))


@pytest.fixture
def clip(tiny_corpus) -> Path:
    corpus = Corpus.open(tiny_corpus)
    return tiny_corpus / next(item.landmarks for item in corpus if len(item.glosses) >= 3)


def test_one_clip_goes_to_the_terminal(clip, model_file, capsys):
    assert call(clip, model_file, glosses="UP DOWN UP", format="json", min_confidence=0.0) == 0
    out = json.loads(capsys.readouterr().out)
    assert [item["gloss"] for item in out["glosses"]] == ["UP", "DOWN", "UP"]
    times = [time for item in out["glosses"] for time in (item["start_seconds"], item["end_seconds"])]
    assert times == sorted(times)
    assert times[-1] <= out["duration_seconds"]


def test_a_sentence_that_is_hardly_there_is_doubted(clip, model_file, capsys):
    call(clip, model_file, glosses="UP DOWN UP", min_confidence=1.0)
    assert re.search(
        r"mean confidence \d+%, below 100%; the clip probably shows other glosses", capsys.readouterr().err
    )


def test_one_clip_to_a_file_that_is_not_overwritten_unasked(clip, model_file, tmp_path):
    output = tmp_path / "out.srt"
    call(clip, model_file, glosses="UP", format="srt", output=output)
    assert "\nUP\n" in output.read_text(encoding="utf-8")
    with pytest.raises(InputError, match="exists already; choose another name or pass --overwrite"):
        call(clip, model_file, glosses="UP", format="srt", output=output)
    call(clip, model_file, glosses="DOWN", format="srt", output=output, overwrite=True)
    assert "\nDOWN\n" in output.read_text(encoding="utf-8")


def test_the_sentence_is_found_in_a_table_by_the_clips_name(clip, model_file, tmp_path, capsys):
    table = tmp_path / "sentences.csv"
    table.write_text(f"id|gloss\nother|UP\n{clip.stem}|LEFT UP\n", encoding="utf-8")
    call(clip, model_file, annotations=table, min_confidence=0.0)
    assert capsys.readouterr().out.startswith("LEFT UP\n")
    table.write_text("id|gloss\ntrain-99|UP\n", encoding="utf-8")
    with pytest.raises(InputError, match=rf"no row with id '{clip.stem}' \(there is 'train-99'\)"):
        call(clip, model_file, annotations=table)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"glosses": "UP Dwn QQQ"}, r"does not know 'Dwn' \(did you mean 'DOWN'\?\), 'QQQ'; .* 4 in all"),
        ({"glosses": "<blank>"}, "does not know '<blank>'"),
        ({"glosses": "  "}, "--glosses is empty"),
        ({}, "its sentence is missing; give --glosses"),
        ({"glosses": "UP " * 40}, r"40 glosses need at least 79 output frames, the model yields \d+"),
        ({"glosses": "UP", "split": "test"}, "--split needs a corpus"),
        ({"glosses": "UP", "annotations": Path("a.csv")}, "use one of them"),
        ({"glosses": "UP", "min_confidence": 2.0}, "needed a number from 0 to 1"),
    ],
)
def test_what_cannot_be_aligned_is_told(clip, model_file, given, message):
    with pytest.raises(InputError, match=message):
        call(clip, model_file, **given)


def test_a_corpus_is_aligned_into_a_folder_and_taken_up_again(tiny_corpus, model_file, tmp_path, capsys):
    output = tmp_path / "out"
    given = {"split": "test", "output": output, "format": "json", "min_confidence": 0.0}
    assert call(tiny_corpus, model_file, **given) == 0
    assert "4 of 4 clips aligned" in capsys.readouterr().out
    corpus = Corpus.open(tiny_corpus)
    for item in corpus.split("test"):
        found = json.loads((output / f"{item.id}.json").read_text(encoding="utf-8"))
        assert [span["gloss"] for span in found["glosses"]] == list(item.glosses)
    whole = (output / "test-2.json").read_bytes()
    (output / "test-2.json").unlink()
    unfinished = dead_temporary(output / "test-2.json")
    assert call(tiny_corpus, model_file, **given) == 0
    assert "1 of 4 clips aligned, 3 existed already" in capsys.readouterr().out
    assert (output / "test-2.json").read_bytes() == whole
    assert not unfinished.exists()
    with pytest.raises(InputError, match="has alignments made with another format"):
        call(tiny_corpus, model_file, **{**given, "format": "vtt"})


def test_old_alignments_stay_until_all_new_ones_are_there(tiny_corpus, model_file, tmp_path, capsys, monkeypatch):
    output = tmp_path / "out"
    given = {"split": "test", "output": output, "format": "json", "min_confidence": 0.0}
    call(tiny_corpus, model_file, **given)
    before = {path.name: path.read_bytes() for path in output.glob("*.json")}
    other = Path(shutil.copytree(tiny_corpus, tmp_path / "other"))
    manifest = other / "manifest.jsonl"
    manifest.write_text(manifest.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    write = write_spans

    def killed(path, *rest, **named):
        if "test-2" in path.name:
            raise KeyboardInterrupt
        write(path, *rest, **named)

    with monkeypatch.context() as patch:
        patch.setattr("signloom.commands.align.write_spans", killed)
        with pytest.raises(KeyboardInterrupt):
            call(other, model_file, **given, overwrite=True)
    assert {path.name: path.read_bytes() for path in output.glob("*.json")} == before
    with pytest.raises(InputError, match="has alignments made with another sentences"):
        call(other, model_file, **given)
    capsys.readouterr()
    assert call(other, model_file, **given, overwrite=True) == 0
    assert "2 of 4 clips aligned, 2 existed already" in capsys.readouterr().out
    after = {path.name: path.read_bytes() for path in output.glob("*.json")}
    assert [name for name in before if after[name] != before[name]] == ["align.json"]
    # Again means again.
    assert call(other, model_file, **given, overwrite=True) == 0
    assert "4 of 4 clips aligned" in capsys.readouterr().out


def test_clips_that_cannot_be_aligned_do_not_stop_the_others(tiny_corpus, model_file, tmp_path, capsys):
    folder = tmp_path / "landmarks"
    folder.mkdir()
    for name in ("test-0", "test-1", "test-2", "test-3"):
        shutil.copy(tiny_corpus / "landmarks" / f"{name}.npz", folder)
    (folder / "test-3.npz").write_bytes(b"broken")
    table = tmp_path / "table.csv"
    rows = ["test-0|UP DOWN", "test-1|UP REGEN", "test-2|" + "UP " * 60, "test-3|UP", "absent|UP", "empty|"]
    table.write_text("id|gloss\n" + "\n".join(rows) + "\n", encoding="utf-8")
    output = tmp_path / "out"
    assert call(folder, model_file, annotations=table, output=output, format="srt", min_confidence=0.0) == 1
    captured = capsys.readouterr()
    assert "1 of 6 clips aligned" in captured.out
    failed = [json.loads(line) for line in (output / "failed.jsonl").read_text(encoding="utf-8").splitlines()]
    reasons = {item["id"]: item["reason"] for item in failed}
    assert "does not know 'REGEN'" in reasons["test-1"]
    assert f"{table}:3 (test-1)" in reasons["test-1"]
    assert "60 glosses need at least 119 output frames" in reasons["test-2"]
    assert "not a readable landmark file" in reasons["test-3"]
    assert "no landmark file absent.npz" in reasons["absent"]
    assert reasons["test-1"] in captured.err
    assert set(reasons) == {"test-1", "test-2", "test-3", "absent", "empty"}


def test_many_clips_need_a_folder(tiny_corpus, model_file, tmp_path):
    with pytest.raises(InputError, match="has 26 clips; give a folder for the results with --output"):
        call(tiny_corpus, model_file)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file; needed a folder"):
        call(tiny_corpus, model_file, output=tmp_path / "file")
    with pytest.raises(InputError, match="is a corpus with its own sentences"):
        call(tiny_corpus, model_file, output=tmp_path / "out", glosses="UP")
    with pytest.raises(InputError, match="no such file or folder"):
        call(tmp_path / "absent.mp4", model_file, glosses="UP")


@pytest.mark.slow
def test_settings_are_fitted_on_train_and_dev_and_stay_with_the_model(tiny_corpus, model_file, tmp_path):
    from signloom.ctc.spans import SpanSettings
    from signloom.inference.calibrate import correct_glosses, fit_spans, store_settings, with_spans
    from signloom.inference.model import load

    model, told = load(model_file), []
    assert SpanSettings.of(model.info) == SpanSettings()
    corpus = Corpus.open(tiny_corpus)
    # dev has the signer of train, whom the model knows too well to say how often it is right
    assert fit_spans(model, corpus, advance=told.append).calibration == Calibration()
    assert sum(told) == 16
    others = replace(corpus, utterances=tuple(replace(item, signer=item.split) for item in corpus))
    settings = fit_spans(model, others, advance=told.append)
    assert settings.calibration != Calibration()
    assert sum(told) == 16 + 16 + 6
    with_spans(model, settings).save(tmp_path / "model.safetensors")
    kept = SpanSettings.of(load(tmp_path / "model.safetensors").info)
    assert kept.to_json() == settings.to_json()
    stored = store_settings(tmp_path / "model.safetensors", corpus)
    assert SpanSettings.of(stored.info).calibration == Calibration()
    assert SpanSettings.of(load(tmp_path / "model.safetensors").info) == SpanSettings.of(stored.info)
    assert correct_glosses(reference=["A", "B", "C"], hypothesis=["A", "X", "C", "D"]) == [True, False, True, False]


@pytest.mark.parametrize(("format", "head"), [("srt", ""), ("vtt", "WEBVTT\n"), ("eaf", "<?xml"), ("text", "")])
def test_transcribe_writes_the_same_formats(clip, model_file, tmp_path, capsys, format, head):
    if format == "eaf":
        pytest.importorskip("pympi")
    from signloom.commands.transcribe import Options, run

    run(Options(sources=[str(clip)], model=model_file, format=format))
    printed = capsys.readouterr().out
    run(Options(sources=[str(clip)], model=model_file, format=format, output=tmp_path / "out"))
    run(Options(sources=[str(clip)], model=model_file, output=tmp_path / f"named{SUFFIXES[format]}"))
    written = (tmp_path / "out").read_text(encoding="utf-8")
    assert written.startswith(head)
    assert (tmp_path / f"named{SUFFIXES[format]}").read_text(encoding="utf-8").startswith(head)
    # ELAN files hold the time at which they were made
    assert re.sub("DATE=\\S+", "", written) == re.sub("DATE=\\S+", "", printed)
    assert capsys.readouterr().out == ""
    with pytest.raises(InputError, match="is a folder; needed the name of a file"):
        run(Options(sources=[str(clip)], model=model_file, output=tmp_path))
