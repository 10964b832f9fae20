"""The static site of `signloom page`, its server, and its recogniser in TypeScript beside Python's."""

import base64
import hashlib
import http.client
import json
import os
import shutil
import subprocess
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import page_vectors
from conftest import TINY_STUDENT, random_landmarks, worn_norms
from scripted_signing import GLOSSES, scripted_model
from signloom import layout
from signloom.cli import dispatch
from signloom.corpus import Corpus
from signloom.errors import InputError
from signloom.inference.model import Model
from signloom.page import site as site_module
from signloom.page.examples import examples
from signloom.page.headers import POLICY
from signloom.page.model_record import model_record
from signloom.page.server import SiteServer, read_site
from signloom.page.site import FILES, PAGE, Site, check_output
from signloom.vocabulary import Vocabulary

WEB = Path(__file__).parents[1] / "web"
DEMO = Path(site_module.__file__).parents[1] / "demo" / "model.onnx"
BUILT = {"index.html": b"<!doctype html>", "sw.js": b"sw", "locales/en.json": b"{}", "locales/de.json": b"{}"}


@pytest.fixture
def built(monkeypatch):
    """Stands for what `make page` builds, which needs Node.js."""
    monkeypatch.setattr(site_module, "_built", lambda: iter(BUILT.items()))


def a_site(**more: bytes) -> Site:
    return Site({**BUILT, PAGE: b'{"version": "1"}', **more})


def file_list(site: Site) -> dict:
    text = site.files[FILES].decode()
    return json.loads(text.removeprefix("self.FILES = ").removesuffix(";\n"))


def test_the_list_has_the_hash_of_every_file_but_of_the_worker_itself():
    site = a_site()
    listed = file_list(site)["files"]
    assert listed.keys() == site.files.keys() - {"sw.js", FILES}
    for name, record in listed.items():
        assert base64.b64decode(record["sha256"]) == hashlib.sha256(site.files[name]).digest()
        assert record["bytes"] == len(site.files[name])


def test_a_site_is_written_whole_and_an_earlier_one_is_replaced(tmp_path):
    folder = tmp_path / "site"
    a_site(**{"assets/old.js": b"old"}).write(folder)
    assert (folder / "assets/old.js").read_bytes() == b"old"
    with pytest.raises(InputError, match="has a page already; .* pass --overwrite"):
        a_site().write(folder)
    site = a_site(**{"assets/new.js": b"new"})
    site.write(folder, overwrite=True)
    written = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {name for name in written if not name.startswith(".")} == set(site.files)
    assert read_site(folder).files == site.files


def test_a_folder_with_other_files_is_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match=r"has files that are no page of signloom \(thesis.txt\)"):
        check_output(tmp_path, overwrite=True)


def test_a_forged_list_of_an_earlier_site_removes_nothing_outside(tmp_path):
    outside = tmp_path / "precious.txt"
    outside.write_text("mine")
    folder = tmp_path / "site"
    a_site().write(folder)
    (folder / FILES).write_text('self.FILES = {"files": {"../precious.txt": {}}};')
    a_site().write(folder, overwrite=True)
    assert outside.exists()


def test_an_archive_has_the_same_files(tmp_path):
    site = a_site()
    site.write_zip(tmp_path / "site.zip")
    with zipfile.ZipFile(tmp_path / "site.zip") as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == site.files


def test_without_its_scripts_the_page_says_how_to_build_them(monkeypatch, tmp_path):
    monkeypatch.setattr(site_module.resources, "files", lambda package: tmp_path)
    with pytest.raises(InputError, match="run 'make page', which needs Node.js 20"):
        dict(site_module._built())


def test_the_command_says_what_is_no_model(built, tmp_path):
    (tmp_path / "a.onnx").write_bytes(b"no model")
    with pytest.raises(InputError, match="not an ONNX model"):
        dispatch(["page", str(tmp_path / "a.onnx"), "--output", str(tmp_path / "site")])
    assert not (tmp_path / "site").exists()


@pytest.mark.parametrize("option", [["--port", "70000"], ["--host", "nowhere.invalid", "--port", "0"]])
def test_serve_says_which_address_cannot_be_used(option, tmp_path):
    a_site().write(tmp_path / "site")
    with pytest.raises(InputError, match=option[0]):
        dispatch(["serve", str(tmp_path / "site"), *option])


def test_serve_names_the_files_that_a_site_lacks(tmp_path):
    a_site().write(tmp_path / "site")
    (tmp_path / "site" / "index.html").unlink()
    with pytest.raises(InputError, match=r"lacks index\.html"):
        dispatch(["serve", str(tmp_path / "site"), "--port", "0"])


def test_serve_says_that_an_archive_must_be_unpacked(tmp_path):
    a_site().write_zip(tmp_path / "site.zip")
    with pytest.raises(InputError, match="unpack it"):
        dispatch(["serve", str(tmp_path / "site.zip"), "--port", "0"])


@pytest.mark.parametrize("option", ["--examples", "--lexicon"])
def test_the_page_is_not_written_into_what_it_is_made_of(option, tmp_path):
    with pytest.raises(InputError, match=f"lies in {option}"):
        dispatch(["page", "model.onnx", option, str(tmp_path), "--output", str(tmp_path / "site")])


def test_a_corpus_with_none_of_the_models_signs_is_refused(built, tiny_corpus, tmp_path):
    pytest.importorskip("onnxruntime")
    with pytest.raises(InputError, match="none of the model's signs"):
        dispatch(["page", str(DEMO), "--examples", str(tiny_corpus), "--output", str(tmp_path / "site")])


@pytest.fixture
def ask():
    """Asks a server for a path and returns status, headers and content."""
    with SiteServer(a_site(), "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()

        def asked(path: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
            connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=10)
            connection.request(method, path)
            response = connection.getresponse()
            result = response.status, dict(response.getheaders()), response.read()
            connection.close()
            return result

        yield asked
        server.shutdown()
        thread.join()


def test_the_server_sends_files_with_types_and_a_policy(ask):
    status, headers, content = ask("/?a=b#c")
    assert (status, content) == (200, BUILT["index.html"])
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert headers["Content-Security-Policy"] == POLICY
    assert "unsafe-inline" not in POLICY
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert ask("/locales/en.json", "HEAD")[2] == b""


@pytest.mark.parametrize(
    "path", ["/../pyproject.toml", "/%2e%2e/pyproject.toml", "//etc/passwd", "/locales", "/nothing"]
)
def test_the_server_sends_nothing_but_the_files_of_the_site(ask, path):
    assert ask(path)[0] == 404


def test_the_page_and_the_server_have_the_same_policy():
    html = (WEB / "index.html").read_text()
    policy, _, framing = POLICY.rpartition("; ")
    assert f'content="{policy}"' in html
    assert framing.startswith("frame-ancestors")


def test_the_parts_of_a_frame_are_where_the_tracker_of_the_page_puts_them():
    script = (WEB / "src/workers/tracker.ts").read_text()
    starts = [layout.GROUPS[name].start for name in ("pose", "left_hand", "right_hand", "face")]
    assert (
        "poseLandmarks: {}, leftHandLandmarks: {}, rightHandLandmarks: {}, faceLandmarks: {}".format(*starts) in script
    )
    assert f"NUM_POINTS = {layout.NUM_POINTS};" in script


def test_all_languages_have_the_same_texts():
    texts = {path.stem: json.loads(path.read_text()) for path in (WEB / "public/locales").glob("*.json")}
    assert texts.keys() >= {"en", "de"}
    for language, own in texts.items():
        assert own.keys() == texts["en"].keys(), language


def test_examples_are_clips_of_one_sign_of_the_training_split(tiny_corpus):
    corpus = Corpus.open(tiny_corpus)
    glosses = sorted({gloss for item in corpus.split("train") for gloss in item.glosses})[:2]
    found, missing = examples(scripted_model([*glosses, "NOWHERE"]), corpus)
    # A sentence with a sign that the model does not know cannot be aligned.
    assert "NOWHERE" in missing
    assert sorted([*missing, *(example["gloss"] for example in found["examples"])]) == sorted([*glosses, "NOWHERE"])
    for example in found["examples"]:
        frames = np.frombuffer(base64.b64decode(example["frames"]), "<i2").reshape(-1, len(found["points"]), 2)
        assert len(frames) >= 1
        # Places are thousandths of the picture's height.
        assert np.median(frames[frames != -32768]) < 2000


def require_node() -> None:
    if shutil.which("node") is None:
        pytest.skip("no Node.js is installed")
    if not (WEB / "node_modules").is_dir():
        pytest.skip("the page's packages are not installed; run 'make page'")


def test_a_vector_is_a_stream_with_its_events():
    vector = page_vectors.stream(np.random.default_rng(1))
    assert len(vector["model"]["words"]) >= 2 + len(GLOSSES)
    assert vector["events"]
    assert vector["windows"]


def run_vitest(path: Path) -> None:
    """Runs the tests of `web/tests` with what Python computed, of which there must be something."""
    result = subprocess.run(
        ["npm", "test", "--silent"],
        cwd=WEB,
        capture_output=True,
        text=True,
        env={**os.environ, "SIGNLOOM_VECTORS": str(path)},
    )
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-2000:]


@pytest.mark.slow
def test_the_recogniser_in_typescript_makes_the_events_of_pythons(tmp_path):
    require_node()
    path = tmp_path / "vectors.json"
    page_vectors.write(path)
    run_vitest(path)


@pytest.mark.slow
@pytest.mark.parametrize("view", ["compact", "full"])
def test_onnx_runtime_web_computes_what_pythons_does(view, tmp_path):
    require_node()
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    from signloom.inference.export import exported
    from signloom.inference.torch_engine import TorchEngine
    from signloom.model.recognizer import Recognizer

    torch.manual_seed(0)
    widths = {"pose": 8, "hands": 8, "face": 8, "temporal": 8}
    config = TINY_STUDENT if view == "compact" else replace(TINY_STUDENT, view=view, encoder_widths=widths)
    vocabulary = Vocabulary.from_glosses([["UP", "DOWN"]])
    run = Model(TorchEngine(worn_norms(Recognizer(config, len(vocabulary)))), vocabulary)
    model, _ = exported(run, precision="float32", corpus=None)
    clips = []
    for num_frames in (1, 7, 40):
        points = np.asarray(model.points(random_landmarks(num_frames, seed=num_frames))[0:num_frames])
        points[2:5] = np.nan
        clips.append(
            {
                "frames": page_vectors.encoded(points),
                "num_frames": len(points),
                "log_probs": page_vectors.encoded(model.engine.log_probs(points[None])[0]),
                "features": page_vectors.encoded(model.engine.features(points[None])[0]),
            }
        )
    graph = base64.b64encode(model.engine.graph).decode("ascii")
    network = {"name": view, "record": model_record(model), "graph": graph, "clips": clips}
    path = tmp_path / "networks.json"
    path.write_text(json.dumps({"networks": [network]}))
    run_vitest(path)
