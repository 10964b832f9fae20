"""The command line itself: what it says about packages that are not installed."""

import os
import signal
import subprocess
import sys
import tempfile
import time

import pytest

from signloom import cli
from signloom.errors import InputError, MissingExtraError, needs_extra
from signloom.hints import install_extra


@pytest.mark.slow
@pytest.mark.parametrize(
    ("missing", "arguments", "message"),
    [
        (
            "safetensors",
            "evaluate m.safetensors --data_dir .",
            "loading a model needs the package 'safetensors'; {model}",
        ),
        ("torch", "train --data_dir . --output run", "signloom train needs the package 'torch'; {train}"),
        ("lightning", "train --data_dir . --output run", "signloom train needs the package 'lightning'; {train}"),
        ("torch", "overfit --data_dir .", "signloom overfit needs the package 'torch'; {train}"),
        (
            "pympi",
            "import elan --annotations . --tier g --output out.csv",
            "an ELAN file needs the package 'pympi-ling' (no module",
        ),
    ],
)
def test_a_command_names_the_extra_that_it_misses(missing, arguments, message, tmp_path, monkeypatch):
    # The advice depends on the folder, which the process shares.
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.eaf").write_text("<ANNOTATION_DOCUMENT/>")
    code = f"import sys\nsys.modules[{missing!r}] = None\nfrom signloom import cli\ncli.main({arguments.split()})"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    install = {extra: f"install it with: {install_extra(extra)}\n" for extra in ("model", "train")}
    assert f"signloom: error: {message.format(**install)}" in result.stderr
    assert "Traceback" not in result.stderr
    assert result.returncode == 2


def test_a_submodule_that_an_installed_package_lacks_is_named():
    # MediaPipe 0.10.30 and newer have no Holistic solution; the extra installs a version that has.
    with (
        pytest.raises(MissingExtraError, match=r"'mediapipe' \(no module 'mediapipe.python'\); "),
        needs_extra("extraction"),
    ):
        raise ModuleNotFoundError("No module named 'mediapipe.python'", name="mediapipe.python")


@pytest.mark.parametrize("name", ["signloom.absent", "numpy", None])
def test_a_missing_module_that_no_extra_installs_keeps_its_traceback(name):
    with pytest.raises(ModuleNotFoundError, match="absent"), needs_extra("signloom train"):
        raise ModuleNotFoundError("absent", name=name)


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["score", "a.csv", "b.csv", "--worst", "9" * 400], "--worst is a number of 1,329 bits"),
        (["synth", "--output", "new", "--fps", "9" * 400], "--fps is a number of 400 digits"),
        (["synth", "--output", "new", f"--fps=-{'9' * 400}"], "--fps is a number of 401 digits"),
    ],
)
def test_no_command_gets_what_no_calculation_can_use(arguments, fault):
    with pytest.raises(InputError, match=fault + "; needed at most 18 digits"):
        cli.dispatch(arguments)


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["align", "a.npz", "--model", "run", "--glosses", "A", "--fps=1e400"], "--fps is inf; needed a finite number"),
        (["train", "--data_dir", "corpus", "--seed=-1"], "--seed is -1; needed at least 0"),
        (["compose", "corpus", "--output", "new", "--seed=-1"], "--seed is -1; needed at least 0"),
        (["verify", "--data_dir", "corpus", "--seed=-1"], "--seed is -1; needed at least 0"),
    ],
)
def test_numbers_that_are_none_are_refused(arguments, fault):
    with pytest.raises(InputError, match=fault):
        cli.dispatch(arguments)


def test_a_preset_that_does_not_exist_leaves_no_folder(tiny_corpus, tmp_path):
    with pytest.raises(InputError, match="no preset 'x'"):
        cli.dispatch(["train", "--data_dir", str(tiny_corpus), "--preset", "x", "--output", str(tmp_path / "run")])
    assert not (tmp_path / "run").exists()


def test_a_config_in_another_encoding_is_refused(tmp_path):
    (tmp_path / "a.yaml").write_bytes("output: new\n".encode("utf-16"))
    with pytest.raises(InputError, match="the file of --config is not UTF-8"):
        cli.dispatch(["synth", "--config", str(tmp_path / "a.yaml")])


def test_a_long_number_in_a_config_is_refused(tmp_path):
    (tmp_path / "a.yaml").write_text(f"output: new\nfps: {'9' * 400}\n")
    with pytest.raises(InputError, match="a number in the file of --config is too long"):
        cli.dispatch(["synth", "--config", str(tmp_path / "a.yaml")])


def test_a_signal_that_ends_a_command_leaves_no_temporary_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def work(arguments: list[str]) -> int:
        with tempfile.TemporaryDirectory(prefix="signloom-"):
            assert list(tmp_path.iterdir())
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(10)
        raise AssertionError("not ended")

    monkeypatch.setattr(cli, "dispatch", work)
    with pytest.raises(SystemExit) as ended:
        cli.main(["transcribe"])
    assert ended.value.code == 143
    assert capsys.readouterr().err == "signloom: terminated\n"
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_handler_of_sigterm_that_is_there_stays(monkeypatch):
    seen = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
    try:
        monkeypatch.setattr(cli, "dispatch", lambda arguments: os.kill(os.getpid(), signal.SIGTERM) or 0)
        with pytest.raises(SystemExit):
            cli.main([])
    finally:
        signal.signal(signal.SIGTERM, before)
    assert seen == [signal.SIGTERM]
