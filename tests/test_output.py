"""What the command line writes: plain on a terminal, exact in a file, whole in any encoding; and what if it fails."""

from __future__ import annotations

import io
import json
import logging
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from rich.progress import Progress

from signloom import cli, commands
from signloom.commands import unexpected
from signloom.commands.output import patient_output
from signloom.console import PlainConsole, progress_bar, say

EVIL = "A\x1b]0;owned\x9c\x1b[2J\u202eB\x9b31m"
SHOWN = "A\\x1b]0;owned\\x9c\\x1b[2J\\u202eB\\x9b31m"


class Terminal(io.TextIOWrapper):
    def __init__(self, encoding: str = "utf-8") -> None:
        super().__init__(io.BytesIO(), encoding=encoding, newline="\n")

    def isatty(self) -> bool:
        return True

    def text(self) -> str:
        self.flush()
        return self.buffer.getvalue().decode(self.encoding)  # type: ignore[attr-defined]


class Pipe(Terminal):
    def isatty(self) -> bool:
        return False


@pytest.mark.parametrize(("stdout", "result"), [(Terminal, SHOWN), (Pipe, EVIL)])
def test_text_is_plain_on_a_terminal_and_a_result_exact_in_a_file(monkeypatch, stdout, result):
    out, err = stdout(), Pipe()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    with patient_output():
        print(EVIL)
        print(EVIL, file=sys.stderr)
        say(f"[bold]{EVIL}")
    assert out.text() == f"{result}\n"
    assert err.text() == f"{SHOWN}\n[bold]{SHOWN}\n"


def test_a_console_draws_but_its_text_cannot(monkeypatch):
    err = Terminal()
    monkeypatch.setattr(sys, "stderr", err)
    monkeypatch.setenv("TERM", "xterm")
    with patient_output():
        console = PlainConsole(stderr=True, force_terminal=True, color_system="standard", width=200)
        console.print(f"{EVIL} [b]", style="red", markup=False)
        with Progress(*progress_bar().columns, console=console) as bar:
            bar.add_task(f"[red]{EVIL}", total=2)
            print(EVIL)
            print(EVIL, file=sys.stderr)
    text = err.text()
    assert f"\x1b[31m{SHOWN} [b]\x1b[0m" in text
    # rich decodes the colours of what is printed beside a progress bar; all else of it is left out or shown.
    assert f"[red]{SHOWN[:12]}" in text
    assert "\x1b]0;" not in text
    assert "\x1b[2J" not in text
    assert "\x9c" not in text
    assert "\u202e" not in text


def test_the_log_of_a_run_is_plain(tmp_path):
    from signloom.train.logs import logging_to

    with logging_to(tmp_path / "training.log"):
        logging.getLogger("signloom.train").info("epoch of %s", EVIL)
    assert (tmp_path / "training.log").read_text(encoding="utf-8").endswith(f"epoch of {SHOWN}\n")


def test_an_encoding_that_lacks_a_character_gets_its_escape_as_json_has_it(monkeypatch):
    out, text = Pipe("ascii"), {"gloss": "GRÜẞE \U0001f600"}
    monkeypatch.setattr(sys, "stdout", out)
    with patient_output():
        print(json.dumps(text, ensure_ascii=False))
        print("half \ud800")
    first, second = out.text().splitlines()
    assert json.loads(first) == text
    assert second == "half \\ud800"


def test_closed_streams_are_no_error(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    with patient_output():
        print("lost")
        say("lost")


class Broken:
    """A command that fails as nobody foresaw."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __call__(self, arguments: list[str]) -> int:
        raise self.error


def fails_with(error: Exception, monkeypatch) -> int:
    monkeypatch.setattr(cli, "dispatch", Broken(error))
    with pytest.raises(SystemExit) as caught:
        cli.main(["score", EVIL])
    return caught.value.code


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (KeyError("x"), "unexpected KeyError: 'x'. This is a fault of signloom"),
        (ValueError(f"bad\n{EVIL}"), f"unexpected ValueError: bad {SHOWN}. This is"),
        (ValueError("x" * 10**6), "x" * 300 + ". This is"),
        (AssertionError(), "unexpected AssertionError. This is"),
        (RecursionError("deep"), "nested too deeply (RecursionError: deep)"),
        (MemoryError(), "not enough memory (MemoryError); give it less at a time"),
        (UnicodeEncodeError("ascii", "ü", 0, 1, "no"), "a character that the encoding ascii of this terminal lacks"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no"), "text that is not valid Unicode"),
        (ImportError("libtorch.so"), "a package that signloom needs is broken or of another version"),
    ],
    ids=lambda item: type(item).__name__,
)
def test_an_error_that_nobody_foresaw_is_short_and_its_traceback_is_kept(error, message, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.delenv(unexpected.VARIABLE, raising=False)
    assert fails_with(error, monkeypatch) == 70
    text = capsys.readouterr().err
    assert message in text
    assert "Traceback" not in text
    assert len(text) < 1500
    (kept,) = tmp_path.glob("signloom-traceback-*.txt")
    assert str(kept) in text
    assert "signloom doctor PATH --format json" in text
    record = kept.read_text(encoding="utf-8")
    assert "Traceback (most recent call last)" in record
    assert "in __call__" in record
    assert "arguments: ['score', " in record


@pytest.mark.parametrize("reason", ["asked", "nowhere"])
def test_a_traceback_is_shown_if_it_is_asked_for_or_cannot_be_kept(reason, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / ("" if reason == "asked" else "absent")))
    monkeypatch.setenv(unexpected.VARIABLE, "1" if reason == "asked" else "")
    assert fails_with(KeyError(EVIL), monkeypatch) == 70
    text = capsys.readouterr().err
    assert "Traceback (most recent call last)" in text
    assert "\x1b" not in text
    assert not list(tmp_path.iterdir())


def test_developers_see_the_error_itself(monkeypatch):
    monkeypatch.setitem(commands.COMMANDS, "broken", "")
    monkeypatch.setattr(cli, "import_module", Broken(KeyError("x")))
    with pytest.raises(KeyError, match="x"):
        cli.dispatch(["broken"])


def test_an_argument_that_is_no_text_is_refused(capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["score", os.fsdecode(b"caf\xe9.csv"), "b.csv"])
    assert caught.value.code == 2
    assert "argument 2, 'caf\\udce9.csv', is not valid UTF-8; rename the file" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a pseudo-terminal")
def test_a_real_terminal_gets_no_escapes_of_a_table(tmp_path):
    # Readers refuse the older control characters, but not all of Unicode's.
    evil = "A\x9b31mB"
    (tmp_path / "ref.csv").write_text(f"id|gloss\n{evil}|{evil} C\n", encoding="utf-8")
    (tmp_path / "hyp.csv").write_text(f"id|gloss\n{evil}|{evil} D\n", encoding="utf-8")
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "signloom.cli", "score", "ref.csv", "hyp.csv"]
    done = subprocess.run(command, stdout=slave, stderr=slave, cwd=tmp_path, check=False)
    os.close(slave)
    text = os.read(master, 10**6).decode()
    os.close(master)
    assert done.returncode == 0
    assert "A\\x9b31mB" in text
    assert not {"\x9b", "\x1b"} & set(text)


@pytest.mark.slow
def test_an_ascii_locale_works(tmp_path):
    (tmp_path / "a.csv").write_text("id|gloss\n1|GRÜẞE\n", encoding="utf-8")
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "", "PYTHONCOERCECLOCALE": "0"}
    words = "score a.csv a.csv --format json --output s.json --html s.html".split()
    done = subprocess.run(
        [sys.executable, "-m", "signloom.cli", *words],
        capture_output=True,
        cwd=tmp_path,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout.decode("ascii"))
    assert record == json.loads((tmp_path / "s.json").read_text(encoding="utf-8"))
    assert "GRÜẞE" in (tmp_path / "s.html").read_text(encoding="utf-8")
    assert not list(Path(tmp_path).glob("*.part"))
