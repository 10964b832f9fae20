"""The page in a real Chromium: captions equal to Python's, no request after its load, no serious finding of axe."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import waving
from conftest import TINY_STUDENT, random_landmarks, worn_norms
from signloom import layout
from signloom.ctc.decoding import Decoding
from signloom.ctc.kneser_ney import kneser_ney
from signloom.inference.model import Model
from signloom.inference.stream_events import GlossEvent
from signloom.inference.streaming import StreamingRecognizer
from signloom.timed.eaf import read_eaf
from signloom.vocabulary import Vocabulary

torch = pytest.importorskip("torch")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")
av = pytest.importorskip("av")

pytest.importorskip("mediapipe")

from signloom.extract import extract_landmarks  # noqa: E402
from signloom.inference.export import exported  # noqa: E402
from signloom.inference.torch_engine import TorchEngine  # noqa: E402
from signloom.model.recognizer import Recognizer  # noqa: E402
from signloom.page.examples import lexicon  # noqa: E402
from signloom.page.site import Site  # noqa: E402

WEB = Path(__file__).parents[1] / "web"
NUM_FRAMES = 24
pytestmark = pytest.mark.slow


def why_not() -> str:
    if shutil.which("node") is None:
        return "no Node.js is installed"
    if not (WEB / "node_modules").is_dir():
        return "the page's packages are not installed; run 'make page'"
    if next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None) is None:
        return "no Chromium is installed"
    return waving.why_not()


@pytest.fixture(scope="module")
def model() -> Model:
    """A model of random weights with a language model, which recognises something in every movement."""
    torch.manual_seed(0)
    vocabulary = Vocabulary.from_glosses([["UP", "DOWN", "LEFT", "<img/src=x>", "مرحبا"]])
    recognizer = worn_norms(Recognizer(TINY_STUDENT, len(vocabulary)))
    torch.nn.init.normal_(recognizer.classifier.weight, std=4.0)
    language_model = kneser_ney([("UP", "DOWN"), ("LEFT", "UP", "DOWN"), ("DOWN",)], 2).model
    run = Model(TorchEngine(recognizer), vocabulary, {}, Decoding(lm_weight=0.5), language_model)
    return exported(run, precision="float32", corpus=None)[0]


def write_video(path: Path, codec: str, pixels: str, num_frames: int = NUM_FRAMES, *, person: bool = True) -> None:
    # With its index at the start, a part of the file is a video too.
    options = {"movflags": "faststart"} if path.suffix == ".mp4" else {}
    with av.open(str(path), "w", options=options) as file:
        stream = file.add_stream(codec, rate=int(waving.FPS))
        stream.width, stream.height, stream.pix_fmt = waving.WIDTH, waving.HEIGHT, pixels
        for picture in waving.frames(num_frames, person=person):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")))
        file.mux(stream.encode())


@pytest.fixture(scope="module")
def visit(model, tmp_path_factory) -> Path:
    """The folder in which the tests of `web/browser` left what the page did."""
    if reason := why_not():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("visit")
    write_video(folder / "video.mp4", "libx264", "yuv420p")
    (folder / "lexicon").mkdir()
    extract_landmarks(folder / "video.mp4").save(folder / "lexicon" / "WAVE.npz")
    for number in range(5):
        random_landmarks(20, seed=number).save(folder / "lexicon" / f"OTHER-{number}.npz")
    site = Site.of(model, title="<script>planted = 1</script>", lexicon=lexicon(model, folder / "lexicon"))
    site.write(folder / "site")
    Site.of(model, title="Another title").write(folder / "site2")
    damaged = {name: content for name, content in site.files.items() if name != "files.js"}
    Site({**damaged, "data/model.onnx": damaged["data/model.onnx"][:2000]}).write(folder / "damaged")
    write_video(folder / "camera.mjpeg", "mjpeg", "yuvj420p")
    write_video(folder / "nobody.mp4", "libx264", "yuv420p", 4, person=False)
    whole = (folder / "video.mp4").read_bytes()
    (folder / "cut_off.mp4").write_bytes(whole[: len(whole) // 2])
    environment = {"SIGNLOOM_BROWSER": str(folder), "SIGNLOOM_FRAMES": str(NUM_FRAMES)}
    result = subprocess.run(
        ["npm", "run", "--silent", "browser"],
        cwd=WEB,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )
    assert result.returncode == 0, result.stdout[-6000:] + result.stderr[-2000:]
    return folder


@pytest.mark.parametrize("name", ["kept.json", "camera.json"])
def test_the_captions_are_those_of_pythons_recogniser_on_the_same_landmarks(model, visit, name):
    session = json.loads((visit / name).read_text())
    points = np.array(session["points"], dtype=np.float32).reshape(len(session["seconds"]), -1, 3)
    recognizer = StreamingRecognizer(model)
    events = recognizer.push(points, np.array(session["seconds"])) + recognizer.finish()
    wanted = [event.span for event in events if isinstance(event, GlossEvent) and event.kind == "final"]
    assert [span["gloss"] for span in session["finals"]] == [span.gloss for span in wanted]
    assert wanted or name == "camera.json"
    for found, span in zip(session["finals"], wanted, strict=True):
        # The two builds of ONNX Runtime round differently.
        assert found["startSeconds"] == pytest.approx(span.start_seconds, abs=1e-3)
        assert found["endSeconds"] == pytest.approx(span.end_seconds, abs=1e-3)
        assert found["confidence"] == pytest.approx(span.confidence, abs=1e-3)


@pytest.mark.parametrize(
    ("group", "tolerance"), [("pose", 0.03), ("left_hand", 0.01), ("right_hand", 0.01), ("face", 0.01)]
)
def test_the_landmarks_are_those_of_pythons_mediapipe(visit, group, tolerance):
    """The same networks, on pictures that the browser decoded and scaled itself: 95 % of the points are that near, in
    units of the picture's height. Only points of the compact view: legs are guessed outside the picture.
    """
    session = json.loads((visit / "kept.json").read_text())
    points = np.array(session["points"], dtype=np.float32).reshape(NUM_FRAMES, -1, 3)[:, layout.subset("compact")]
    wanted = extract_landmarks(visit / "video.mp4").in_view("compact").points
    part = layout.subset_groups("compact")[group]
    far = np.linalg.norm((points - wanted)[:, part, :2], axis=2)
    assert np.isfinite(far).mean() > 0.9
    assert np.nanpercentile(far, 95) < tolerance


def test_transcripts_are_files_that_python_reads(visit):
    session = json.loads((visit / "kept.json").read_text())
    glosses = [span["gloss"] for span in session["finals"]]
    assert [span["gloss"] for span in json.loads((visit / "transcript.json").read_text())["glosses"]] == glosses
    assert (visit / "transcript.txt").read_text().splitlines()[0] == " ".join(glosses)
    assert (visit / "transcript.srt").read_text().count(" --> ") == len(glosses)
    pytest.importorskip("pympi")
    assert [item.value for item in read_eaf(visit / "transcript.eaf").tiers["gloss"]] == glosses
