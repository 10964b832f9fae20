"""What the documentation tells people to type exists: commands, flags, Python, files, links."""

from __future__ import annotations

import dataclasses
import re
import shlex
from importlib import import_module

import pytest

from doc_blocks import BENCHMARKS, FIGURES, PAGES, ROOT, SHELL, blocks
from signloom import cli, importers
from signloom import commands as commands_table

# Flags of the benchmarks and of other programs.
OTHER_FLAGS = {
    *("help", "config", "print_config", "output", "durations", "healthy"),
    "write_json",
    *("standalone", "nnodes", "max_restarts", "nproc_per_node", "rdzv_backend", "rdzv_endpoint"),
    *("nodes", "ntasks", "ntasks_per_node", "gres", "kill_on_bad_exit", "requeue", "open_mode", "signal"),
    *("head", "port", "array", "cpus_per_task", "mem_per_cpu", "time"),
}


def commands() -> list[str]:
    """Every command of signloom in the documentation, also of blocks that do not run."""
    found = [words for block in blocks() if block.language in SHELL for words in block.commands]
    return list(dict.fromkeys(shlex.join(words) for words in found if words[0] == "signloom"))


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


@pytest.mark.parametrize("page", [*PAGES, *FIGURES], ids=lambda page: page.relative_to(ROOT).as_posix())
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


def test_every_page_of_figures_is_in_the_table_and_on_the_website():
    pages = [f"figures/{page.name}" for page in sorted((BENCHMARKS / "figures").glob("*.md"))]
    table = (BENCHMARKS / "README.md").read_text(encoding="utf-8")
    website = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert pages
    assert [page for page in pages if f"({page}" not in table or f"benchmarks/{page}\n" not in website] == []


def test_no_page_has_what_a_merge_left():
    for page in (*PAGES, *FIGURES, ROOT / "CHANGELOG.md"):
        if page.exists():
            assert not re.findall(r"^(?:<{7}|>{7}) .*$", page.read_text(encoding="utf-8"), flags=re.M), page
