"""Commands that messages suggest: a shell reads them as they are meant, and pip installs what they name."""

import json
import shlex
import sys
from pathlib import Path

import pytest

from signloom import hints
from signloom.commands.messages import spell_out


def test_a_command_is_quoted_for_a_shell():
    text = hints.command(
        "evaluate", Path("my runs/a"), data_dir=Path("it's"), split="test", lm=None, seed=0, resume=True
    )
    words = ["signloom", "evaluate", "my runs/a", "--data_dir", "it's", "--split", "test", "--seed", "0", "--resume"]
    assert shlex.split(text) == words
    assert hints.command("train", overwrite=False, names=[]) == "signloom train"


@pytest.mark.parametrize(
    "items", [["a"], ["a", "b"], ["Smith, J", "b"], ["[x"], ["--x", "y"], [" a"], ["-"], ["ä", "b"]]
)
def test_a_list_is_read_as_it_is_written(items):
    spelled = spell_out(shlex.split(hints.command(names=items))[1:], {"names": list[str]})
    assert [json.loads(word.removeprefix("--names=")) for word in spelled] == [items]


def test_a_clone_is_installed_from_where_it_is(monkeypatch):
    clone = Path(hints.__file__).parents[2]
    monkeypatch.chdir("/")
    assert f"install -e '{clone}[train]'" in hints.install_extra("train")
    monkeypatch.chdir(clone)
    assert "install -e '.[train]'" in hints.install_extra("train")


@pytest.mark.parametrize(
    ("record", "advice"),
    [
        ({"url": "file://{folder}/signloom%20x.whl", "archive_info": {}}, "install '{folder}/signloom x.whl[pose]'"),
        ({"url": "file:///gone/signloom.whl", "archive_info": {}}, "install '.[pose]', in a clone of signloom"),
        (
            {"url": "https://example.org/signloom", "vcs_info": {"vcs": "git", "commit_id": "0"}},
            "install 'signloom[pose] @ git+https://example.org/signloom'",
        ),
        (None, "install '.[pose]', in a clone of signloom"),
    ],
)
def test_what_is_installed_is_installed_from_its_origin(record, advice, tmp_path, monkeypatch):
    class Distribution:
        def read_text(self, name):
            assert name == "direct_url.json"
            return None if record is None else json.dumps(record).replace("{folder}", str(tmp_path))

    (tmp_path / "signloom x.whl").touch()
    monkeypatch.setattr(hints, "__file__", str(tmp_path / "lib" / "site-packages" / "signloom" / "hints.py"))
    monkeypatch.setattr(hints, "distribution", lambda name: Distribution())
    assert hints.install_extra("pose").endswith(advice.replace("{folder}", str(tmp_path)))


def test_the_pip_is_that_of_the_python_that_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(hints.shutil, "which", lambda name: str(tmp_path / "pip"))
    assert hints.install_package("av") == f"{shlex.quote(sys.executable)} -m pip install av"
    monkeypatch.setattr(hints.shutil, "which", lambda name: str(Path(sys.executable).parent / "pip"))
    assert hints.install_package("av") == "pip install av"
