"""`signloom transcribe` of many sources: what its results are called, what stays, what fails, and what it says."""

import csv
import json
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from conftest import random_landmarks, tiny_sentence
from signloom import cli
from signloom.errors import InputError, StoppedError
from signloom.extract.sources import Clip
from signloom.inference import read_clips as reading
from signloom.inference.search import search
from signloom.subtitles import SUFFIXES
from signloom.transcripts.folder import RECORD, TranscriptFolder
from signloom.transcripts.names import distinct_names


@pytest.fixture(scope="module")
def model_file(tmp_path_factory) -> Path:
    """An untrained model: what it finds is nonsense, where that goes is not."""
    pytest.importorskip("torch")
    return saved_model(tmp_path_factory.mktemp("model") / "model.safetensors")


def saved_model(path: Path, corpus: dict | None = None, glosses: Iterable[str] = ("DOWN", "UP"), seed: int = 1) -> Path:
    import torch

    from conftest import TINY_STUDENT
    from signloom.inference.model import Model
    from signloom.inference.torch_engine import TorchEngine
    from signloom.model.recognizer import Recognizer
    from signloom.vocabulary import Vocabulary

    torch.manual_seed(seed)
    vocabulary = Vocabulary.from_glosses([tuple(glosses)])
    info = {} if corpus is None else {"corpus": corpus}
    Model(TorchEngine(Recognizer(TINY_STUDENT, len(vocabulary))), vocabulary, info).save(path)
    return path


@pytest.fixture
def clips(tmp_path, monkeypatch) -> Path:
    """Landmark files of equal names in two folders, and other files beside them."""
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("clips/a", "clips/b10", "clips/b9", "clips/deep/a")):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        tiny_sentence(("UP", "DOWN"), seed=number).save(Path(f"{name}.npz"))
    Path("clips/notes.txt").write_text("not a clip")
    return tmp_path / "clips"


def call(*arguments: object) -> int:
    return cli.dispatch(["transcribe", *map(str, arguments)])


def files(folder: Path | str) -> list[str]:
    """What is in a folder tree, without hidden files."""
    paths = (path.relative_to(folder) for path in Path(folder).rglob("*") if path.is_file())
    return sorted(str(path) for path in paths if not path.name.startswith("."))


class TestNames:
    def named(self, *paths: str, known: dict[str, Path] | None = None, root: Path = Path("/v")) -> list[str]:
        clips = [Clip(root / path, Path(path).stem) for path in paths]
        return [clip.name for clip in distinct_names(clips, known or {})]

    def test_equal_names_get_the_folders_that_tell_them_apart(self):
        assert self.named("x/a.mp4", "y/a.mp4", "y/b.mp4") == ["x/a", "y/a", "b"]
        assert self.named("x/1/a.mp4", "y/1/a.mp4") == ["x/1/a", "y/1/a"]
        # File systems that ignore case would make one file of them.
        assert self.named("x/a.mp4", "y/A.mp4") == ["x/a", "y/A"]

    def test_a_video_and_its_landmarks_get_their_endings(self):
        assert self.named("x/a.mp4", "x/a.npz", "x/b.mp4") == ["a.mp4", "a.npz", "b"]
        assert self.named("x/a.mp4", "x/a.npz", "y/a.mp4") == ["a.mp4", "a.npz", "a"]

    def test_a_clip_named_twice_is_one(self, tmp_path):
        (tmp_path / "a.mp4").touch()
        (tmp_path / "link.mp4").symlink_to("a.mp4")
        assert self.named("a.mp4", "./a.mp4", "link.mp4", root=tmp_path) == ["a"]

    def test_earlier_results_keep_their_names(self):
        known = {"a": Path("/v/x/a.mp4")}
        assert self.named("y/a.mp4", known=known) == ["y/a"]
        assert self.named("y/a.mp4", "x/a.mp4", known=known) == ["y/a", "a"]

    def test_names_are_distinct_for_any_paths(self):
        paths = [f"{folder}{name}.{ending}" for folder in ("", "a/", "a/b/", "A/") for name in "aAb"
                 for ending in ("mp4", "npz")]  # fmt: skip
        names = self.named(*paths)
        assert len({name.casefold() for name in names}) == len(paths)


def test_a_tree_is_mirrored_and_other_files_are_passed_over(clips, model_file, capsys):
    assert call("clips", "--model", model_file, "--output_dir", "out") == 0
    assert files("out") == ["a.txt", "b10.txt", "b9.txt", "deep/a.txt", RECORD]
    shown = capsys.readouterr()
    assert re.search(r"^out: 4 of 4 clips transcribed \(\d+ glosses\)$", shown.out, flags=re.M)
    assert "next: " in shown.out
    assert "4 to transcribe (ignored, not clips: 1 .txt)" in shown.err


def test_every_format_of_every_clip(clips, model_file):
    pytest.importorskip("pympi")
    assert call("clips/a.npz", "clips/deep", "--model", model_file, "--output_dir", "out", "--format", "all") == 0
    stems = ["clips/a", "deep/a"]
    assert files("out") == sorted([*(stem + suffix for stem in stems for suffix in SUFFIXES.values()), RECORD])
    whole = json.loads(Path("out/clips/a.json").read_text())
    assert whole["source"] == "clips/a.npz"
    assert whole["glosses"]
    for name, delimiter in (("csv", ","), ("tsv", "\t")):
        with Path(f"out/clips/a.{name}").open(newline="") as file:
            rows = list(csv.DictReader(file, delimiter=delimiter))
        assert [(row["gloss"], float(row["start_seconds"])) for row in rows] == [
            (sign["gloss"], sign["start_seconds"]) for sign in whole["glosses"]
        ]
        assert {row["source"] for row in rows} == {"clips/a.npz"}


def test_a_second_run_does_only_what_is_missing(clips, model_file, monkeypatch, capsys):
    arguments = ("clips", "--model", model_file, "--output_dir", "out")
    call("clips/b9.npz", *arguments[1:])
    before = Path("out/b9.txt").read_text()
    Path("out/b9.txt").write_text("corrected by hand")
    read = []
    load = reading.read_view
    monkeypatch.setattr(reading, "read_view", lambda path, view: read.append(path) or load(path, view))
    assert call(*arguments) == 0
    assert sorted(str(path) for path in read) == ["clips/a.npz", "clips/b10.npz", "clips/deep/a.npz"]
    assert "3 of 4 clips transcribed" in (shown := capsys.readouterr().out)
    assert "1 existed already" in shown
    assert Path("out/b9.txt").read_text() == "corrected by hand"
    read.clear()
    # Another format, and a file that somebody removed, come from the record.
    Path("out/b9.txt").unlink()
    assert call(*arguments, "--format", "srt") == call(*arguments) == 0
    assert read == []
    assert Path("out/b9.txt").read_text() == before
    assert "-->" in Path("out/deep/a.srt").read_text()
    assert call(*arguments, "--overwrite") == 0
    assert len(read) == 4


def test_a_changed_clip_is_done_again(clips, model_file):
    arguments = ("clips/a.npz", "--model", model_file, "--output_dir", "out", "--format", "json")
    call(*arguments)
    tiny_sentence(("UP", "DOWN", "UP", "LEFT"), seed=7).save(Path("clips/a.npz"))
    call(*arguments)
    assert json.loads(Path("out/a.json").read_text())["duration_seconds"] == 4 * 12 / 25
    assert len(Path("out", RECORD).read_text().splitlines()) == 2
    # The record is rewritten without the old line when it is read next.
    TranscriptFolder(Path("out"))
    assert len(Path("out", RECORD).read_text().splitlines()) == 1


def test_results_of_another_model_are_neither_kept_nor_replaced_unasked(clips, model_file, tmp_path):
    call("clips", "--model", model_file, "--output_dir", "out")
    other = saved_model(tmp_path / "other.safetensors", seed=2)
    with pytest.raises(InputError, match=r"out: has results made with another model .* pass --overwrite"):
        call("clips", "--model", other, "--output_dir", "out")
    with pytest.raises(InputError, match="made with another decoder"):
        call("clips", "--model", model_file, "--output_dir", "out", "--decoder", "greedy")
    assert call("clips", "--model", other, "--output_dir", "out", "--overwrite") == 0
    assert call("clips", "--model", other, "--output_dir", "out") == 0


def test_a_file_that_is_no_result_is_kept(clips, model_file, capsys):
    Path("out").mkdir()
    Path("out/a.srt").write_text("by hand")
    arguments = ("clips", "--model", model_file, "--output_dir", "out", "--format", "srt")
    assert call(*arguments) == 1
    assert Path("out/a.srt").read_text() == "by hand"
    assert "out/a.srt: exists, and no run of transcribe wrote it; --overwrite replaces it" in capsys.readouterr().err
    assert files("out") == ["a.srt", "b10.srt", "b9.srt", "deep/a.srt", "failed.jsonl", RECORD]
    assert call(*arguments, "--overwrite") == 0
    assert Path("out/a.srt").read_text() != "by hand"
    assert "failed.jsonl" not in files("out")


def test_one_failure_does_not_stop_the_rest(clips, model_file, capsys):
    data = Path("clips/b10.npz").read_bytes()
    Path("clips/b10.npz").write_bytes(data[: len(data) // 2])
    assert call("clips", "gone.mp4", "--model", model_file, "--output_dir", "out") == 1
    assert files("out") == ["a.txt", "b9.txt", "deep/a.txt", "failed.jsonl", RECORD]
    failed = [json.loads(line) for line in Path("out/failed.jsonl").read_text().splitlines()]
    assert {entry["source"] for entry in failed} == {"gone.mp4", "clips/b10.npz"}
    assert "no such file or folder" in (shown := capsys.readouterr().err)
    assert "clips/b10.npz" in shown
    Path("clips/b10.npz").write_bytes(data)
    assert call("clips", "--model", model_file, "--output_dir", "out") == 0
    assert "failed.jsonl" not in files("out")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "clips/notes.txt",
            r"clips/notes.txt: unknown ending .txt; needed a video \(.mp4, .mov, .webm, ...\), a landm",
        ),
        ("nothing.mp4", "nothing.mp4: no such file or folder"),
        ("clips/*.mov", r"clips/\*.mov: the pattern matches nothing"),
        ("empty", "empty: no clip in it; needed videos, folders of frames or landmark files"),
        ("texts", r"texts: no clip in it \(ignored, not clips: 1 .txt\)"),
    ],
)
def test_a_source_without_a_clip_is_refused_or_fails_beside_others(clips, model_file, capsys, source, message):
    Path("empty").mkdir()
    Path("texts").mkdir()
    Path("texts/a.txt").touch()
    with pytest.raises(InputError, match=message):
        call(source, "--model", model_file)
    assert call(source, "clips/a.npz", "--model", model_file) == 1
    assert "clips/a.npz: " in capsys.readouterr().out
    with pytest.raises(InputError, match=message):
        call(source, "--model", model_file, "--output_dir", "out")
    assert not Path("out").exists()


def test_without_a_folder_each_result_has_its_source(clips, model_file, capsys):
    model = ("--model", model_file)
    assert call("clips/deep", "clips/b*.npz", *model) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if not line.startswith(" ")]
    # In the order of the sources; those of a source in natural order.
    assert [line.partition(": ")[0] for line in lines] == ["clips/deep/a.npz", "clips/b9.npz", "clips/b10.npz"]
    assert call("clips", *model, "--format", "json") == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [record["source"] for record in records] == [f"clips/{name}.npz" for name in ("a", "b9", "b10", "deep/a")]
    assert all(record["text"] == " ".join(sign["gloss"] for sign in record["glosses"]) for record in records)
    assert call("clips", *model, "--output", "all.csv") == 0
    with Path("all.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == sum(len(record["glosses"]) for record in records)
    assert capsys.readouterr().out == ""


def test_options_that_cannot_be(clips, model_file):
    model = ("--model", model_file)
    with pytest.raises(InputError, match="--format srt is a file per clip; needed a folder for them, --output_dir"):
        call("clips", *model, "--format", "srt")
    with pytest.raises(InputError, match="--format all .* --output_dir"):
        call("clips/a.npz", *model, "--format", "all")
    with pytest.raises(InputError, match="--draw .* --output_dir"):
        call("clips/a.npz", *model, "--draw")
    with pytest.raises(InputError, match="two places"):
        call("clips", *model, "--output", "x.csv", "--output_dir", "out")
    with pytest.raises(InputError, match=r"x.docx: unknown ending .docx; needed one of .txt, .json"):
        call("clips/a.npz", *model, "--output", "x.docx")
    with pytest.raises(InputError, match="--crop is for videos and frames; all sources are landmark files"):
        call("clips", *model, "--crop", "0,0,1,1")
    with pytest.raises(InputError, match="--workers 0"):
        call("clips", *model, "--workers", 0)
    with pytest.raises(InputError, match="is a file; needed a folder for several clips"):
        call("clips", *model, "--save_landmarks", "x.npz")
    with pytest.raises(InputError, match="clips is a source too"):
        call("clips", *model, "--save_landmarks", "clips")
    Path("file").touch()
    with pytest.raises(InputError, match="--output_dir file is a file; needed a folder"):
        call("clips", *model, "--output_dir", "file")


def test_the_record_is_scored_like_any_hypotheses(clips, model_file, capsys):
    call("clips", "--model", model_file, "--output_dir", "out")
    Path("references.csv").write_text("id|gloss\na|UP\nb9|UP\nb10|UP\ndeep/a|UP\n")
    capsys.readouterr()
    assert cli.dispatch(["score", "references.csv", f"out/{RECORD}"]) == 0
    assert "WER" in capsys.readouterr().out


def test_a_line_that_a_kill_tore_costs_its_clip_only(clips, model_file, capsys):
    call("clips", "--model", model_file, "--output_dir", "out")
    record = Path("out", RECORD)
    text = record.read_text()
    record.write_text(text[:-40])
    # Its files are written after its line.
    Path("out/deep/a.txt").unlink()
    assert call("clips", "--model", model_file, "--output_dir", "out") == 0
    assert "1 of 4 clips transcribed" in capsys.readouterr().out
    assert sorted(record.read_text().splitlines()) == sorted(text.splitlines())
    record.write_text("{}\n" + text)
    with pytest.raises(InputError, match=rf"{RECORD}:1: .* is missing.*choose another --output_dir"):
        call("clips", "--model", model_file, "--output_dir", "out")


def test_an_interrupt_keeps_what_is_done_and_says_how_to_go_on(clips, model_file, monkeypatch, capsys):
    load = reading.read_view

    def interrupted(path, view):
        if path.name == "b10.npz":
            raise KeyboardInterrupt
        return load(path, view)

    monkeypatch.setattr(reading, "read_view", interrupted)
    with pytest.raises(StoppedError, match="interrupted after 2 of 4 clips; .* The same command goes on from there"):
        call("clips", "--model", model_file, "--output_dir", "out")
    assert files("out") == ["a.txt", "b9.txt", RECORD]
    monkeypatch.setattr(reading, "read_view", load)
    assert call("clips", "--model", model_file, "--output_dir", "out") == 0
    assert "2 of 4 clips transcribed" in capsys.readouterr().out


def test_a_result_moves_with_its_clips(clips, model_file, capsys):
    call("clips", "--model", model_file, "--output_dir", "clips/results")
    clips.rename(clips.with_name("moved"))
    assert call("moved", "--model", model_file, "--output_dir", "moved/results") == 0
    assert "4 existed already" in capsys.readouterr().out


class TestModelsSayWhatTheyAre:
    def said(self, capsys, model: Path, *sources: object) -> str:
        capsys.readouterr()
        call(*sources, "--model", model)
        return capsys.readouterr().err

    def test_few_signs(self, clips, model_file, tmp_path, capsys):
        assert "note: the model knows 2 signs: DOWN, UP; any other sign" in self.said(capsys, model_file, "clips")
        many = saved_model(tmp_path / "many.safetensors", glosses=[f"G{number}" for number in range(40)])
        assert "the model knows" not in self.said(capsys, many, "clips")

    def test_simulated_signs_and_real_signing(self, clips, tmp_path, capsys):
        pytest.importorskip("torch")
        clip = tiny_sentence(("UP",), seed=0)
        replace(clip, source={"extractor": "signloom synth"}).save(tmp_path / "made.npz")
        made = saved_model(tmp_path / "made.safetensors", {"name": "x", "synthetic": True})
        text = self.said(capsys, made, "made.npz", "clips")
        assert text.count("warning") == 1
        assert "clips/a.npz shows real signing, but the model was trained on simulated signing" in text
        assert "warning" not in self.said(capsys, made, "made.npz")
        for number, corpus in enumerate(
            ({"name": "x", "synthetic": False}, {"synthetic": True, "synthetic_utterances": 3})
        ):
            other = saved_model(tmp_path / f"{number}.safetensors", corpus)
            assert "warning" not in self.said(capsys, other, "clips")

    def test_no_signer_in_view(self, clips, model_file, tmp_path, capsys):
        clip = random_landmarks(20)
        clip.points[:, 33:] = np.nan
        clip.save(tmp_path / "nobody.npz")
        text = self.said(capsys, model_file, "nobody.npz", "clips/a.npz")
        assert "nobody.npz: a hand was found in only 0% of the frames; is a signer in view?" in text
        assert "a.npz: a hand" not in text


def test_the_search_finds_frames_videos_and_landmarks(tmp_path):
    for name in ("t/f/1.png", "t/f/2.png", "t/v.mp4", "t/v.npz", "t/x.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = search([str(tmp_path / "t")])
    assert [(clip.name, clip.is_landmarks) for clip in found.clips] == [("f", False), ("v", False), ("v", True)]
    assert found.passed_over == {".csv": 1}


@pytest.mark.slow
class TestVideos:
    """With MediaPipe, in processes of their own, as users run it."""

    @pytest.fixture
    def videos(self, tmp_path, monkeypatch) -> Path:
        for package in ("cv2", "mediapipe", "av"):
            pytest.importorskip(package, exc_type=ImportError)
        import waving

        monkeypatch.chdir(tmp_path)
        for name in ("videos/a", "videos/deep/a"):
            waving.write_video(Path(f"{name}.mp4"), 6, person=False)
        data = Path("videos/a.mp4").read_bytes()
        Path("videos/cut.mp4").write_bytes(data[: len(data) // 3])
        tiny_sentence(("UP", "DOWN"), seed=0).save(Path("videos/made.npz"))
        return tmp_path / "videos"

    def test_videos_and_landmarks_with_a_damaged_one_among_them(self, videos, model_file, capsys):
        arguments = ("videos", "--model", model_file, "--workers", 1, "--output_dir", "out", "--save_landmarks", "kept")
        assert call(*arguments) == 1
        assert files("out") == ["a.txt", "deep/a.txt", "failed.jsonl", "made.txt", RECORD]
        assert files("kept") == ["a.npz", "deep/a.npz"]
        (failed,) = [json.loads(line) for line in Path("out/failed.jsonl").read_text().splitlines()]
        assert failed["source"] == "videos/cut.mp4"
        assert "failed: videos/cut.mp4: " in capsys.readouterr().err
        Path("videos/cut.mp4").unlink()
        # Kept landmarks are used again, also for films.
        before = {path: path.stat().st_mtime_ns for path in Path("kept").rglob("*.npz")}
        pytest.importorskip("PIL")
        assert call(*arguments, "--draw", "--format", "srt") == 0
        assert {path: path.stat().st_mtime_ns for path in Path("kept").rglob("*.npz")} == before
        assert call(*arguments, "--draw", "--overwrite") == 0
        assert {path: path.stat().st_mtime_ns for path in Path("kept").rglob("*.npz")} == before
        with pytest.raises(InputError, match="kept: 2 clips of 2 extracted with other options .*crop"):
            call(
                "videos",
                "--model",
                model_file,
                "--output_dir",
                "other",
                "--save_landmarks",
                "kept",
                "--crop",
                "0,0,1,1",
            )
        drawn = ["a.drawn.mp4", "deep/a.drawn.mp4", "made.drawn.mp4"]
        assert [name for name in files("out") if name.endswith(".mp4")] == drawn
        import av

        with av.open("out/a.drawn.mp4") as film, av.open("videos/a.mp4") as video:
            pictures = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
            assert len(pictures) == sum(1 for _ in video.decode(video=0))
            height, width = film.streams.video[0].height, film.streams.video[0].width
            # Below the picture there is room for the captions.
            assert width == video.streams.video[0].width
            assert height > video.streams.video[0].height
        # A film is a result, no clip.
        assert call("videos", "out", *arguments[1:]) == 0

    def test_python_gives_what_the_command_writes(self, videos, model_file):
        import signloom

        call("videos/a.mp4", "--model", model_file, "--output", "a.json")
        model = signloom.load(model_file)
        written = json.loads(Path("a.json").read_text())
        assert model.transcribe("videos/a.mp4").to_dict()["glosses"] == written["glosses"]
        results = model.transcribe(["videos/a.mp4", "videos/cut.mp4", "videos/made.npz"], workers=1, errors="return")
        assert [type(result).__name__ for result in results] == ["Hypothesis", "InputError", "Hypothesis"]
        assert results[0].to_dict()["glosses"] == written["glosses"]
