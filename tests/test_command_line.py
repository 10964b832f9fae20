"""How options are written: dashes, lists with commas, `help`, `version`, completion at the tab key."""

import io
import json
import subprocess
import sys
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import ClassVar

import argcomplete
import pytest

import signloom
from signloom import cli
from signloom.commands import COMMANDS, module_of
from signloom.commands.messages import is_list
from signloom.commands.parser import field_types
from signloom.importers import KINDS
from signloom.importers import module_of as importer_of

EVERY_COMMAND = [[name] for name in COMMANDS if name != "import"] + [["import", kind] for kind in KINDS]
HEAVY = ("torch", "lightning", "mediapipe", "matplotlib", "cv2", "av", "onnx", "onnxruntime", "pyarrow", "tensorboard")


@dataclass
class Inner:
    """Amounts."""

    big_step: float = 1.0
    """a step"""


@dataclass
class Options:
    """Options of a test."""

    positionals: ClassVar[tuple[str, ...]] = ("source",)

    source: Path
    """the source"""
    held_out: list[str] = field(default_factory=list)
    """names"""
    extra_files: tuple[Path, ...] = ()
    """files"""
    dry_run: bool = False
    """a flag"""
    num_steps: int = 1
    """a number"""
    amounts: Inner = field(default_factory=Inner)
    """a table"""


def parsed(*arguments: str) -> Options:
    return cli.parse(Options, "A test.", "signloom test", list(arguments))


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["--held_out", "anna,ben", "s"], ["anna", "ben"]),
        (["--held_out", "anna,", "ben", "--dry_run", "s"], ["anna", "ben"]),
        (["s", "--held_out", "anna", "ben"], ["anna", "ben"]),
        (["s", "--held_out=anna,ben"], ["anna", "ben"]),
        (["s", "--held_out=anna", "--held-out", "ben,carl"], ["anna", "ben", "carl"]),
        (["s", "--held_out", '["Smith, J", "ben"]'], ["Smith, J", "ben"]),
        (["--held_out", '["Smith, J"]', "--held_out", "ben", "--num_steps", "2", "s"], ["Smith, J", "ben"]),
        (["s", "--held_out", "anna, ben"], ["anna", "ben"]),
        (["s", "--held_out", "[x"], ["[x"]),
        # A word for the source is left, although it follows the list.
        (["--held_out", "anna", "s"], ["anna"]),
    ],
)
def test_a_list_is_written_with_commas_words_repeats_or_as_json(arguments, names):
    options = parsed(*arguments)
    assert options.held_out == names
    assert options.source == Path("s")


def test_a_file_with_a_comma_in_its_name_is_one_file(tmp_path):
    one = tmp_path / "a,b.csv"
    one.touch()
    other = tmp_path / "c.csv"
    assert parsed("s", "--extra_files", str(one), str(other)).extra_files == (one, other)
    assert parsed("s", "--extra_files", f"{other},{tmp_path}").extra_files == (other, tmp_path)


def test_dashes_in_the_name_of_an_option_are_underscores():
    options = parsed("s", "--dry-run", "--num-steps=3", "--amounts.big-step", "2.5")
    assert (options.dry_run, options.num_steps, options.amounts.big_step) == (True, 3, 2.5)
    # What follows a lone -- is no option.
    assert parsed("--num-steps", "2", "--", "--held-out").source == Path("--held-out")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["s", "--held-uot", "a"], "unrecognized arguments: --held-uot a; did you mean --held_out?"),
        (["s", "--amounts.big-stp", "1"], "; did you mean --amounts.big_step?"),
        (["s", "--num-steps"], "--num_steps needs a value"),
        (["s", "--held_out", "--dry_run"], "--held_out needs a value"),
        (["s", "--num-steps", "x"], "--num_steps is 'x'; needed a whole number"),
        (["s", "--amounts.big_step", "x"], "--amounts.big_step is 'x'; needed a number"),
        (["--held_out", "anna"], "the following arguments are required: source"),
    ],
)
def test_what_is_wrong_with_an_option_is_one_sentence(arguments, message, capsys):
    with pytest.raises(SystemExit) as stop:
        parsed(*arguments)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_a_text_in_a_file_of_options_is_no_list(tmp_path, capsys):
    (tmp_path / "a.yaml").write_text("held_out: anna,ben\n")
    with pytest.raises(SystemExit):
        parsed("s", "--config", str(tmp_path / "a.yaml"))
    needed = "held_out is anna,ben; needed a list: [A, B] in a file, --held_out A,B on the command line"
    assert needed in capsys.readouterr().err


def help_of(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert cli.dispatch(arguments) == 0
    return capsys.readouterr().out


def test_help_writes_options_as_they_are_accepted(capsys):
    with pytest.raises(SystemExit):
        parsed("--help")
    text = capsys.readouterr().out
    assert "usage: signloom test [options] SOURCE\n" in text
    assert "--held_out A,B,..." in text
    assert "--dry_run [{true,false}]" in text
    assert "[ITEM" not in text
    assert """'["A", "B,C"]'""" in " ".join(text.split())


@pytest.mark.parametrize("command", EVERY_COMMAND, ids=" ".join)
def test_every_list_of_every_command_takes_commas(command):
    module = import_module(importer_of(command[1]) if len(command) == 2 else module_of(command[0]))
    types = field_types(module.Options)
    positionals = getattr(module.Options, "positionals", ())
    for name in (name for name, kind in types.items() if is_list(kind) and name not in positionals):
        expected = ["x1", "y2"]
        written = cli.messages.spell_out([f"--{name.replace('_', '-')}", "x1,y2"], types)
        assert written == [f"--{name}={json.dumps(expected)}"]


def run_python(code: str, *arguments: str, **settings) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, **settings)


@pytest.mark.slow
def test_no_help_imports_a_heavy_package():
    code = f"""
import contextlib, io, sys
from signloom import cli
for command in {EVERY_COMMAND}:
    with contextlib.redirect_stdout(io.StringIO()) as text, contextlib.suppress(SystemExit):
        cli.main([*command, "--help"])
    assert text.getvalue().startswith("usage: signloom " + " ".join(command)), command
    heavy = sorted(set({HEAVY}) & set(sys.modules))
    assert not heavy, (command, heavy)
"""
    result = run_python(code)
    assert result.returncode == 0, result.stderr


def test_help_and_version_are_commands(capsys):
    everything = help_of(["help"], capsys)
    assert everything == help_of(["--help"], capsys)
    assert all(f"\n  {name} " in everything for name in (*COMMANDS, "help", "version"))
    assert help_of(["help", "import"], capsys) == help_of(["import", "--help"], capsys)
    assert help_of(["version"], capsys) == f"signloom {signloom.__version__}\n"
    texts = []
    for arguments in (["help", "recipes"], ["recipes", "--help"]):
        with pytest.raises(SystemExit) as stop:
            cli.dispatch(arguments)
        assert stop.value.code == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]
    assert texts[0].startswith("usage: signloom recipes")


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["trian"], "unknown command 'trian'; did you mean 'train'?"),
        (["help", "trian"], "unknown command 'trian'; did you mean 'train'?"),
        (["verison"], "unknown command 'verison'; did you mean 'version'?"),
        (["export-pos"], "unknown command 'export-pos'; did you mean 'export_pose'?"),
        (["import", "phoenix"], "unknown kind 'phoenix'; did you mean 'phoenix2014'?"),
    ],
)
def test_an_unknown_command_names_the_nearest(arguments, hint, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.dispatch(arguments)
    assert stop.value.code == 2
    assert hint in capsys.readouterr().err


def test_dashes_in_the_name_of_a_command_are_underscores(capsys):
    for arguments in (["export-pose", "--help"], ["import", "csl-daily", "--help"]):
        with pytest.raises(SystemExit) as stop:
            cli.dispatch(arguments)
        assert stop.value.code == 0
        assert "_" in capsys.readouterr().out.splitlines()[0]


def test_the_package_is_the_command():
    result = subprocess.run([sys.executable, "-m", "signloom", "version"], capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (0, f"signloom {signloom.__version__}\n")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("signloom tra", {"train", "transcribe"}),
        ("signloom ver", {"verify", "version"}),
        ("signloom help tra", {"train", "transcribe"}),
        ("signloom import phoenix", {"phoenix2014", "phoenix2014t"}),
        ("signloom train --ep", {"--epochs"}),
        ("signloom train --data-d", {"--data_dir"}),
        ("signloom train --augmentation.ji", {"--augmentation.jitter"}),
        ("signloom train --overwrite --ep", {"--epochs"}),
        ("signloom train --schedule ", {"onecycle", "plain", "cosine"}),
        ("signloom train --preset teacher_", {"teacher_compact", "teacher_original"}),
        ("signloom train --data_dir cor", {"corpus/"}),
        ("signloom train --epochs 3 --data_dir cor", {"corpus/"}),
        ("signloom train --epochs ", set()),
        ("signloom evaluate cor", {"corpus/"}),
        ("signloom import csl-daily --spl", {"--splits"}),
        ("signloom import clips cor", {"corpus/"}),
        ("signloom completion ", {"bash", "zsh", "fish"}),
        ("signloom version ", set()),
        ("signloom nonsense ", set()),
    ],
)
def test_the_tab_key_completes(line, expected, tmp_path, monkeypatch):
    (tmp_path / "corpus").mkdir()
    answer = io.StringIO()
    asked = {
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_SUPPRESS_SPACE": "1",
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
        "COMP_TYPE": "9",
    }
    for name, value in asked.items():
        monkeypatch.setenv(name, value)
    # It would end the process of the tests, and write to files that they may have opened.
    complete = partial(argcomplete.autocomplete, exit_method=sys.exit, output_stream=answer)
    monkeypatch.setattr(argcomplete, "autocomplete", complete)
    monkeypatch.setattr(argcomplete.CompletionFinder, "_init_debug_stream", lambda finder: None)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        cli.main([])
    assert set(filter(None, answer.getvalue().split("\013"))) == expected


def test_completion_prints_what_bash_needs(capsys):
    assert cli.dispatch(["completion", "bash"]) == 0
    lines = capsys.readouterr().out
    script = f"{lines}\ncomplete -p signloom"
    result = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
    assert "signloom" in result.stdout
    assert result.returncode == 0
