"""The notebook of the documentation runs, and its stored output is clean."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from signloom import cli
from signloom.commands import quickstart
from signloom.corpus import Corpus
from signloom.vocabulary import Vocabulary

NOTEBOOK = Path(__file__).resolve().parents[1] / "docs" / "landmarks-and-glosses.ipynb"


def outputs(notebook: dict) -> list[dict]:
    return [output for cell in notebook["cells"] for output in cell.get("outputs", [])]


def test_the_stored_output_shows_what_happens_and_no_machine():
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    shown = outputs(notebook)
    assert {output["output_type"] for output in shown} <= {"execute_result", "display_data", "stream"}
    assert sum("image/png" in output.get("data", {}) for output in shown) == 3
    texts = json.dumps([{**output, "data": {**output.get("data", {}), "image/png": ""}} for output in shown])
    assert not re.search(r"/(home|root|tmp|work|Users)/", texts)
    # Small enough to be read on a page.
    assert NOTEBOOK.stat().st_size < 500_000


def test_its_links_lead_somewhere_and_its_command_is_understood():
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    text = "\n".join("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "markdown")
    links = re.findall(r"\]\(([^)#]+)\)", text)
    assert links
    assert [link for link in links if not (NOTEBOOK.parent / link).exists()] == []
    (line,) = re.findall(r"^signloom quickstart (.*)$", text, flags=re.M)
    options = cli.parse(quickstart.Options, "", "signloom quickstart", shlex.split(line))
    # Where the first cell looks for it, from docs/.
    assert options.output == Path("runs/quickstart")


@pytest.mark.slow
def test_it_runs(tmp_path, tiny_corpus):
    for package in ("torch", "PIL", "matplotlib", "ipykernel"):
        pytest.importorskip(package)
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    from signloom.inference.model import Model
    from signloom.inference.torch_engine import TorchEngine
    from signloom.model.presets import preset
    from signloom.model.recognizer import Recognizer

    # The place of a run of quickstart: an untrained model and a small corpus.
    run = tmp_path / "runs" / "quickstart"
    vocabulary = Vocabulary.from_glosses(item.glosses for item in Corpus.open(tiny_corpus))
    Model(TorchEngine(Recognizer(preset("student"), len(vocabulary))), vocabulary).save(run / "model.safetensors")
    (run / "corpus").symlink_to(tiny_corpus)
    (tmp_path / "docs").mkdir()
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path / "docs")}}).execute()
    shown = outputs(notebook)
    assert sum("image/png" in output.get("data", {}) for output in shown) == 3
    text = "".join(output["text"] for output in shown if output["output_type"] == "stream")
    assert "recognised:" in text
    assert "WER" in text
