"""What the documentation tells people to type exists: commands, flags, Python, files, links."""

from __future__ import annotations

import dataclasses
import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest

from signloom import cli, importers
from signloom import commands as commands_table
from signloom.corpus import Corpus

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# Flags of the benchmarks and of other programs.
OTHER_FLAGS = {
    *("help", "config", "print_config", "output"),
    "write_json",
    *("standalone", "nnodes", "nproc_per_node", "rdzv_backend", "rdzv_endpoint"),
    *("nodes", "ntasks", "ntasks_per_node", "gres", "kill_on_bad_exit", "requeue", "open_mode", "signal"),
}


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.S | re.M)


def commands() -> list[str]:
    found = []
    for page in PAGES:
        for block in blocks(page, r"(?:sh|bash|console)?"):
            for line in block.replace("\\\n", " ").splitlines():
                found += [part.strip() for part in line.split("&&") if part.strip().startswith("signloom ")]
    return list(dict.fromkeys(found))


@pytest.mark.parametrize("line", commands())
def test_a_command_of_the_documentation_is_understood(line, monkeypatch, capsys):
    parsed = []

    def parse_only(module, program, arguments):
        parsed.append(cli.parse(module.Options, module.__doc__, program, arguments))
        return 0

    monkeypatch.setattr(cli, "run_module", parse_only)
    words = shlex.split(line, comments=True)[1:]
    if words[0] == "help" and len(words) > 1:
        with pytest.raises(SystemExit, match="^0$"):
            cli.dispatch(words)
        return
    assert cli.dispatch(words) == 0
    assert parsed or words[0] in ("help", "version")


def option_names() -> set[str]:
    modules = [
        *(import_module(commands_table.module_of(name)) for name in cli.COMMANDS if name != "import"),
        *(import_module(importers.module_of(kind)) for kind in importers.KINDS),
    ]
    names = set()
    for module in modules:
        for field in dataclasses.fields(module.Options):
            names.add(field.name)
            if dataclasses.is_dataclass(field.default_factory):
                names |= {f"{field.name}.{inner.name}" for inner in dataclasses.fields(field.default_factory)}
    return names


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_flag_of_the_documentation_exists(page):
    mentioned = re.findall(r"(?<![\w-])--([a-z][a-z_.-]*[a-z])", page.read_text(encoding="utf-8"))
    assert {name.replace("-", "_") for name in mentioned} - option_names() - OTHER_FLAGS == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_of_the_documentation_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith("http"):
            continue
        name, _, anchor = target.partition("#")
        other = page.parent / name if name else page
        assert other.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", other.read_text(encoding="utf-8"), flags=re.M)
            # GitHub's rule: lower case, punctuation dropped, spaces to dashes.
            anchors = [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]
            assert anchor in anchors, target


def test_the_python_of_the_documentation_runs(tmp_path, tiny_corpus, monkeypatch, capsys):
    pytest.importorskip("torch")
    from signloom.inference.model import Model
    from signloom.inference.torch_engine import TorchEngine
    from signloom.model.presets import preset
    from signloom.model.recognizer import Recognizer
    from signloom.vocabulary import Vocabulary

    corpus = Corpus.open(tiny_corpus)
    vocabulary = Vocabulary.from_glosses(item.glosses for item in corpus)
    Model(TorchEngine(Recognizer(preset("student"), len(vocabulary))), vocabulary).save(
        tmp_path / "runs/mine/model.safetensors"
    )
    Model(TorchEngine(Recognizer(preset("student"), len(vocabulary))), vocabulary).save(
        tmp_path / "runs/quickstart/model.safetensors"
    )
    (tmp_path / "corpus").symlink_to(tiny_corpus)
    monkeypatch.chdir(tmp_path)
    clip = tiny_corpus / corpus.utterances[0].landmarks
    (tmp_path / "landmarks").mkdir()
    (tmp_path / "landmarks/clip.npz").symlink_to(clip)
    # What needs the truth of simulated signing runs in test_synth_docs.py.
    pages = [page for page in PAGES if page.name != "simulated-signing.md"]
    sources = [source for page in pages for source in blocks(page, "python")]
    assert sources
    for source in sources:
        # A landmark file in the place of a video, which would need MediaPipe.
        exec(source.replace("clip.mp4", str(clip)), {})
    assert f"{corpus.split('dev')[0].id} {corpus.split('dev')[0].glosses}" in capsys.readouterr().out
