"""The demo model that comes with signloom: its file, its card, its sources, and `--demo`."""

import json
import re
import shutil
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import signloom
from conftest import random_landmarks
from signloom import cli
from signloom.demo import FOLDER, INFO_KEY, demo_model, in_short
from signloom.errors import InputError
from signloom.inference.onnx_file import CARD, OnnxFile
from without_packages import TORCH, run_without

ROOT = Path(__file__).resolve().parents[1]
# What the card may say of a source's licence.
LICENCES = {"MIT", "Apache-2.0"}
needs_onnxruntime = pytest.mark.skipif(find_spec("onnxruntime") is None, reason="needs onnxruntime")


@pytest.fixture(scope="module")
def file():
    return OnnxFile.read(demo_model())


@pytest.fixture(scope="module")
def card() -> str:
    return (FOLDER / "MODEL_CARD.md").read_text(encoding="utf-8")


@pytest.fixture
def clip(tmp_path) -> Path:
    path = tmp_path / "clip.npz"
    random_landmarks(60, seed=0).save(path)
    return path


def sources_of(text: str) -> dict[str, str]:
    """The licence of each source that a text names."""
    return dict(re.findall(r"^- (?:https://github.com/)?([\w.-]+/[\w.-]+)[ :(]+([\w.-]+?)[.)]*(?= |\)|$)", text, re.M))


def test_it_is_small_and_keeps_nobody(file):
    assert demo_model().stat().st_size < 1_500_000
    model = file.model_file(demo_model())
    assert model.store is None
    assert not [key for key in file.metadata if "store" in key]
    assert model.info["export"]["precision"] == "int8"
    assert 20 <= len(model.vocabulary) - 2 <= 40
    # Nothing of the machine that made it.
    assert not re.search(r"/(home|work|tmp|root)\b", json.dumps(dict(model.info)))


def test_the_card_is_the_one_in_the_file_and_names_every_word(file, card):
    assert file.metadata[CARD] == card
    words = file.model_file(demo_model()).vocabulary.words[2:]
    table = re.findall(r"^\| ([A-Z-]+) +\| +(\d+) \| +(\d+) \|$", card, re.M)
    assert sorted(word for word, _, _ in table) == sorted(words)
    assert all(int(people) >= 1 and int(clips) >= 3 for _, people, clips in table)
    alone = re.search(r"One person alone signs ([A-Z, -]+):", card)
    assert alone.group(1).split(", ") == [word for word, people, _ in table if people == "1"]


def test_the_card_says_how_wrong_it_is(file, card):
    record = file.model_file(demo_model()).info[INFO_KEY]
    assert record["best"] <= record["wer"] <= record["worst"]
    assert f"The mean of their WER is {100 * record['wer']:.1f} %" in card
    rows = re.findall(r"^\| \w+ +\| +\d+ \| +\d+ \| +([\d.]+)% \|", card, re.M)
    assert len(rows) == record["people"]
    assert np.mean([float(rate) for rate in rows]) == pytest.approx(100 * record["wer"], abs=0.06)
    assert "false glosses" in card


def test_card_and_notice_name_the_same_sources_with_free_licences(card):
    notice = sources_of((ROOT / "NOTICE").read_text(encoding="utf-8"))
    assert notice == sources_of(card)
    assert len(notice) >= 9
    assert set(notice.values()) <= LICENCES


def test_one_line_says_what_it_is_and_how_wrong():
    line = in_short(28, {INFO_KEY: {"people": 5, "wer": 0.314, "best": 0.1, "worst": 0.52}})
    assert line.startswith(
        "demo model: 28 words of American Sign Language. Of 5 people who were not in training it got 31 % of the words "
        "wrong (10 to 52 %)."
    )
    assert "\n" not in line


@pytest.mark.parametrize("command", ["transcribe", "align"])
def test_it_is_one_of_two_models(command, clip):
    words = [command, str(clip)] + (["--glosses", "HELLO"] if command == "align" else [])
    with pytest.raises(InputError, match="--model is missing; .* or --demo"):
        cli.dispatch(words)
    with pytest.raises(InputError, match="--model m.onnx and --demo are two models; leave out one"):
        cli.dispatch([*words, "--demo", "--model", "m.onnx"])


CODE = """
from signloom.cli import main
main(["transcribe", sys.argv[1], "--demo", "--format", "json"])
"""


@needs_onnxruntime
def test_a_landmark_file_is_transcribed_without_torch_and_mediapipe(clip):
    printed = run_without((*TORCH, "safetensors", "onnx", "mediapipe", "cv2", "av"), CODE, clip)
    assert json.loads(printed)["source"] == str(clip)


@needs_onnxruntime
def test_it_says_what_it_is(clip, capsys):
    assert cli.dispatch(["transcribe", str(clip), "--demo"]) == 0
    said = capsys.readouterr().err
    assert "demo model: " in said
    assert "MODEL_CARD.md" in said


@needs_onnxruntime
def test_it_names_words_that_it_knows(shared_data, tmp_path):
    """Of people who were in its training: this says that the file is whole, not how good it is."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    import strangers_data

    people = strangers_data.clips_of(shared_data / "people" / "people.npz")
    clips = [clip for clip in people if (clip.person, clip.word) in {("p4", "NAME"), ("p6", "THANKS")}]
    model = signloom.load(signloom.demo_model())
    corpus = strangers_data.import_clips(clips[::4], tmp_path / "signs")
    named = [item.glosses[0] in model.transcribe(corpus.load(item)).words for item in corpus]
    assert len(named) == 10
    assert sum(named) >= 7


@pytest.mark.slow
@needs_onnxruntime
def test_a_video_is_transcribed(shared_data, capsys):
    pytest.importorskip("mediapipe", exc_type=ImportError)
    video = shared_data / "video" / "test_video.mp4"
    assert cli.dispatch(["transcribe", str(video), "--demo", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["duration_seconds"] > 1


@pytest.mark.slow
def test_a_wheel_holds_model_card_and_notice(tmp_path):
    if find_spec("setuptools") is None:
        pytest.skip("needs setuptools")
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE", "MANIFEST.in"):
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    code = "from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"
    subprocess.run(
        [sys.executable, "-c", f"import sys; {code}", str(tmp_path)], cwd=tmp_path, check=True, capture_output=True
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {"signloom/demo/model.onnx", "signloom/demo/MODEL_CARD.md"} <= set(names)
    assert any(name.endswith("/licenses/NOTICE") for name in names)
