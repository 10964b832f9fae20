"""The command line itself: what it says about packages that are not installed."""

import subprocess
import sys

import pytest

from signloom.errors import MissingExtraError, needs_extra


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
def test_a_command_names_the_extra_that_it_misses(missing, arguments, message, tmp_path):
    (tmp_path / "a.eaf").write_text("<ANNOTATION_DOCUMENT/>")
    code = f"import sys\nsys.modules[{missing!r}] = None\nfrom signloom import cli\ncli.main({arguments.split()})"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    install = {extra: f"install it with: pip install 'signloom[{extra}]'\n" for extra in ("model", "train")}
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
