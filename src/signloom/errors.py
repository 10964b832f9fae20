"""Errors that a user can cause. A message says what is wrong, where, and what to do.

The command line prints them without a traceback and exits with their `exit_status`.
"""

from __future__ import annotations

import platform
import re
import signal
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from signloom.hints import install_extra, install_package

# The extra and the distribution that install each optional package, by the name that Python imports.
_EXTRAS = {
    "torch": ("model", "torch"),
    "safetensors": ("model", "safetensors"),
    "onnx": ("export", "onnx"),
    "onnxruntime": ("live", "onnxruntime"),
    "lightning": ("train", "lightning"),
    "tensorboard": ("train", "tensorboard"),
    "matplotlib": ("train", "matplotlib"),
    "PIL": ("train", "Pillow"),
    "mediapipe": ("extract", "mediapipe"),
    "cv2": ("extract", "opencv-contrib-python"),
    "av": ("extract", "av"),
    "pose_format": ("pose", "pose-format"),
    "pympi": ("elan", "pympi-ling"),
    "pyarrow": ("parquet", "pyarrow"),
    "fsspec": ("storage", "fsspec"),
    "s3fs": ("storage", "s3fs"),
    "ray": ("cluster", "ray"),
}


# Characters that a terminal obeys, or that nothing can write: control characters but line ends and tabs, marks that
# turn the direction of text round (Unicode's Bidi_Control, but for those that occur in names), other line ends, and
# halves of characters.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """Returns `text` with every character that a terminal would obey as its code: `\\x1b`, `\\u202e`."""
    if text.isascii() and text.isprintable():
        return text
    return _UNPRINTABLE.sub(_as_code, text)


def _as_code(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


class SignloomError(Exception):
    """Base class of all errors caused by a user's input or environment; its message can be shown anywhere."""

    exit_status = 2

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


class InputError(SignloomError):
    """Invalid input: a file, an option or a corpus."""


class LayoutError(InputError):
    """Landmarks, a corpus or a checkpoint belong to another point layout."""


# The first Python for which the extra "extract" installs no tracker: MediaPipe 0.10.21 has no release for it.
NO_EXTRACTION_FROM = (3, 13)
_OTHER_TRACKER = "or track with rtmlib and use 'signloom import coco_wholebody'"


class StoppedError(SignloomError):
    """A signal stopped the work; what was done is kept, and the message says how to go on.

    logged: whether the log has shown the message already.
    """

    def __init__(self, message: str, signal_number: int, *, logged: bool = False) -> None:
        super().__init__(message)
        # As a shell reports a program that a signal ended.
        self.exit_status = 128 + signal_number
        self.logged = logged


class Terminated(KeyboardInterrupt):
    """SIGTERM, which `timeout`, containers and SLURM send: it ends a command as Ctrl-C does, so that it tidies up."""

    def __init__(self) -> None:
        super().__init__("terminated")


def signal_of(interrupt: KeyboardInterrupt) -> signal.Signals:
    """Returns the signal that has interrupted a command: SIGTERM or SIGINT."""
    return signal.SIGTERM if isinstance(interrupt, Terminated) else signal.SIGINT


class MissingExtraError(SignloomError):
    """An optional package that this part of signloom needs is not installed.

    `module` is one of `_EXTRAS`, or inside one. `trains` names the extra `train`, which includes `model`.
    """

    def __init__(self, module: str, purpose: str, *, trains: bool = False) -> None:
        extra, package = _EXTRAS[module.partition(".")[0]]
        if trains and extra == "model":
            extra = "train"
        advice = f"install it with: {install_extra(extra)}"
        if extra == "extract" and sys.version_info >= NO_EXTRACTION_FROM:
            advice = f"install it with: {install_package(package)}"
            if package == "mediapipe":
                advice = (
                    f"it has no release for Python {sys.version_info[0]}.{sys.version_info[1]}. Extract with Python "
                    f"3.11 or 3.12: every Python that signloom supports can use the landmark files; {_OTHER_TRACKER}"
                )
        elif package == "mediapipe" and sys.platform == "linux" and platform.machine() == "aarch64":
            advice = (
                f"it has no release for ARM Linux. Extract on another machine: its landmark files can be used here; "
                f"{_OTHER_TRACKER}"
            )
        detail = "" if module == package else f" (no module {module!r})"
        super().__init__(f"{purpose} needs the package {package!r}{detail}; {advice}")


@contextmanager
def needs_extra(purpose: str, *, trains: bool = False) -> Iterator[None]:
    """Raises MissingExtraError when code inside it imports an optional package that is not installed.

    A missing module that no extra installs is a bug, or a broken installation: its ModuleNotFoundError passes.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in _EXTRAS:
            raise
        raise MissingExtraError(error.name, purpose, trains=trains) from None


class CheckFailedError(SignloomError):
    """The command ran, but some items or a check failed."""

    exit_status = 1


class TrainingError(SignloomError):
    """Training cannot continue: NaN, or no data to learn from."""

    exit_status = 1


def plural(count: int, one: str, many: str | None = None) -> str:
    """Returns a count with its noun, e.g. `1 error`, `2 errors`, `2 glosses`."""
    many = many or f"{one}{'es' if one.endswith('ss') else 's'}"
    return f"{count:,} {one if count == 1 else many}"


def listed(items: Iterable[str], *, shown: int = 20) -> str:
    """Returns the first items of a list, and the number of the others, for a message."""
    items = list(items)
    more = f" and {len(items) - shown:,} more" if len(items) > shown else ""
    return ", ".join(items[:shown]) + more


# What differs between faults of one kind: places, names in quotes or parentheses, file names and numbers.
_VARIABLE = re.compile(r"'[^']*'|\"[^\"]*\"|\([^()]*\)|\S*[/\\]\S*|\S+\.\w+|[+-]?\d[\d.,:]*")
# No number of anything, and no duration, is larger; work for more would never end.
_MOST = 10**12
# Of each kind of fault, so many are printed where there are too many to print all.
_SHOWN_PER_KIND = 3
# Characters of a message that are kept.
_LONGEST = 1000


def kind_of(message: str) -> str:
    """Returns what faults of one kind have in common: the message without places, names and numbers."""
    _, colon, text = message.partition(": ")
    return " ".join(_VARIABLE.sub("*", text if colon else message).split())


@dataclass
class Faults:
    """Collects all faults of a manifest or configuration, to raise them together.

    shown: up to this many are printed in full. More are printed by kind: its count, and its first faults.
    advice: last line of the message.
    """

    subject: str
    shown: int = 20
    messages: list[str] = field(default_factory=list)
    advice: str = ""

    def add(self, message: str) -> None:
        # A message quotes its input, which may be a line of megabytes.
        if len(message) > _LONGEST:
            message = f"{message[:_LONGEST]}... ({plural(len(message), 'character')})"
        self.messages.append(printable(message))

    def need_at_least(self, least: float, options: object, *names: str) -> None:
        """Adds a fault for each of the named options below `least` or endless; None, an option not given, is valid."""
        for name in names:
            value = getattr(options, name)
            if value is not None and not value >= least:
                self.add(f"--{name} is {value}; needed at least {least}")
            self._need_an_end(name, value)

    def need_above(self, bound: float, options: object, *names: str) -> None:
        """Adds a fault for each of the named options at or below `bound`, or endless; None is valid."""
        for name in names:
            value = getattr(options, name)
            if value is not None and not value > bound:
                self.add(f"--{name} is {value}; needed above {bound}")
            self._need_an_end(name, value)

    def _need_an_end(self, name: str, value: float | None) -> None:
        if value is not None and value > _MOST:
            self.add(f"--{name} is {str(value)[:20]}{'...' if value > 1e20 else ''}; needed at most {_MOST:,}")

    def add_repeated_ids(self, places: Iterable[tuple[str, str]]) -> None:
        """Adds a fault for every id that occurs again; places: id and place of each entry."""
        first: dict[str, str] = {}
        for name, place in places:
            if name in first:
                self.add(f"{place}: its id already occurs at {first[name]}; ids must be unique")
            first.setdefault(name, place)

    def __bool__(self) -> bool:
        return bool(self.messages)

    def raise_if_any(self) -> None:
        """Raises InputError listing the faults, if there are any."""
        if self.messages:
            raise InputError(str(self))

    def __str__(self) -> str:
        lines = self._by_kind() if len(self.messages) > self.shown else [f"  {message}" for message in self.messages]
        if self.advice:
            lines.append(self.advice)
        return "\n".join([f"{self.subject}: {plural(len(self.messages), 'fault')}", *lines])

    def _by_kind(self) -> list[str]:
        """Returns the first faults of each kind and how many more there are, frequent kinds first."""
        kinds: defaultdict[str, list[str]] = defaultdict(list)
        for message in self.messages:
            kinds[kind_of(message)].append(message)
        ordered = sorted(kinds.values(), key=len, reverse=True)
        lines = []
        for messages in ordered[: self.shown]:
            shown = min(len(messages), _SHOWN_PER_KIND if len(ordered) > 1 else self.shown)
            lines += [f"  {message}" for message in messages[:shown]]
            if len(messages) > shown:
                lines.append(f"  ... and {len(messages) - shown:,} more of this kind ({len(messages):,} in all)")
        if len(ordered) > self.shown:
            hidden = sum(len(messages) for messages in ordered[self.shown :])
            lines.append(f"  ... and {plural(hidden, 'fault')} of {len(ordered) - self.shown:,} other kinds")
        return lines
