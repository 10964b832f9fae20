"""What a bad input is: the command, the good files it starts from, how they are spoilt, and what must come of it."""

from __future__ import annotations

import os
import random
import shutil
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

# Spoils the good files in a folder, with random numbers of its own.
Plant = Callable[[Path, random.Random], None]
# refused: exit status 1 or 2 and a message that names the fault; or success with such a message.
# same: success, and on the terminal exactly what the good files give.
# either: one of the two, where a random change may hit a byte that means nothing.
# accepted: success, for the reason that the case gives.
# any: what a command does with it is its decision; only the other faults count.
Expected = Literal["refused", "same", "either", "accepted", "any"]


@dataclass(frozen=True)
class Case:
    """One bad input.

    id: stable, `door/what/how`.  command: the words after `signloom`, run in a folder with copies of the parts `uses`
    of the good files.  names: a message must have one of these.  reason: why the input is accepted.
    planted: text that must not reach the terminal as it stands.  may_write: patterns of files that may appear or change
    although the command fails.  environment: variables to set, or to remove if None.  process: needs an interpreter of
    its own.  stdout: `file`, `terminal`, `closed` (nobody reads it) or `full` (a full disk).
    compared: whether the same command must succeed with the good files.
    heavy: needs torch.  hangs: may hang, so that it needs the limits of a process.
    """

    id: str
    command: tuple[str, ...]
    uses: tuple[str, ...] = ()
    plant: Plant | None = None
    names: tuple[str, ...] = ()
    expected: Expected = "refused"
    reason: str = ""
    planted: tuple[str, ...] = ()
    may_write: tuple[str, ...] = ()
    environment: Mapping[str, str | None] = field(default_factory=dict)
    process: bool = False
    stdout: Literal["file", "terminal", "closed", "full"] = "file"
    compared: bool = True
    heavy: bool = False
    hangs: bool = False

    @property
    def kind(self) -> str:
        """The door: the first part of the id."""
        return self.id.partition("/")[0]

    def prepare(self, good: Path, folder: Path, seed: int) -> None:
        """Copies the good files into `folder` and spoils them."""
        folder.mkdir(parents=True)
        for name in self.uses:
            source = good / name
            for item in sorted(source.iterdir()) if name.startswith("import-") else [source]:
                if item.is_dir():
                    shutil.copytree(item, folder / item.name, symlinks=True)
                else:
                    shutil.copy2(item, folder / item.name)
        if self.plant is not None:
            self.plant(folder, random.Random(f"{seed} {self.id}"))


def write(path: str, content: bytes | str | Callable[[], bytes]) -> Plant:
    """Plants a file."""

    def plant(folder: Path, rng: random.Random) -> None:
        data = content() if callable(content) else content
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        target.write_bytes(data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass"))

    return plant


def change(path: str, edit: Callable[[bytes], bytes]) -> Plant:
    """Plants what `edit` makes of a good file."""

    def plant(folder: Path, rng: random.Random) -> None:
        (folder / path).write_bytes(edit((folder / path).read_bytes()))

    return plant


def swap(path: str, old: str, new: str | bytes) -> Plant:
    """Plants other text in a file, at its first place. Raises ValueError where the file does not have it."""
    data = new if isinstance(new, bytes) else new.encode("utf-8", "surrogatepass")

    def edit(content: bytes) -> bytes:
        if old.encode() not in content:
            raise ValueError(f"{path} has no {old!r}")
        return content.replace(old.encode(), data, 1)

    return change(path, edit)


def truncate(path: str, share: float) -> Plant:
    """Plants a file that ends early."""
    return change(path, lambda data: data[: int(len(data) * share)])


def noise(path: str, size: int = 4096) -> Plant:
    """Plants random bytes."""

    def plant(folder: Path, rng: random.Random) -> None:
        (folder / path).write_bytes(rng.randbytes(size))

    return plant


def flip(path: str, first: int, last: int) -> Plant:
    """Plants one wrong bit in a stretch of bytes; negative numbers count from the end."""

    def plant(folder: Path, rng: random.Random) -> None:
        data = bytearray((folder / path).read_bytes())
        stretch = range(len(data))[slice(first, last)]
        data[rng.choice(stretch)] ^= 1 << rng.randrange(8)
        (folder / path).write_bytes(data)

    return plant


def special(path: str, kind: str) -> Plant:
    """Plants something that is no regular file at `path`."""

    def plant(folder: Path, rng: random.Random) -> None:
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_dir() and not target.is_symlink():
            shutil.rmtree(target)
        target.unlink(missing_ok=True)
        if kind == "folder":
            target.mkdir()
        elif kind == "fifo":
            os.mkfifo(target)
        elif kind == "socket":
            # A socket's path may be no longer than 107 bytes.
            here = os.open(target.parent, os.O_DIRECTORY)
            with socket.socket(socket.AF_UNIX) as made:
                made.bind(f"/proc/self/fd/{here}/{target.name}")
            os.close(here)
        elif kind == "loop":
            target.symlink_to(target.name)
        elif kind == "dangling":
            target.symlink_to("nowhere")
        else:
            target.symlink_to(kind)

    return plant


SPECIAL = ("folder", "fifo", "socket", "loop", "dangling", "/dev/zero", "/dev/null", "/proc/self/mem")


def remove(path: str) -> Plant:
    """Plants the absence of a file or folder."""

    def plant(folder: Path, rng: random.Random) -> None:
        shutil.rmtree(folder / path) if (folder / path).is_dir() else (folder / path).unlink()

    return plant


def all_of(*plants: Plant) -> Plant:
    """Plants several things in turn."""

    def plant(folder: Path, rng: random.Random) -> None:
        for one in plants:
            one(folder, rng)

    return plant


def nothing_good(path: str) -> Iterable[tuple[str, Plant]]:
    """Returns what may lie in the place of any file, with the name of each: other content and other kinds of files."""
    yield "empty", write(path, b"")
    yield "random-bytes", noise(path)
    for share in (0.1, 0.5, 0.98):
        yield f"truncated-{share:g}", truncate(path, share)
    yield "picture", write(path, b"\x89PNG\r\n\x1a\n" + bytes(64))
    yield "pickle", write(path, payload)
    for kind in SPECIAL:
        yield kind.strip("/").replace("/", "-"), special(path, kind)


# What a payload leaves in the folder where the command ran, if anybody runs it.
PAYLOAD_RAN = "payload-ran"


class Payload:
    """What runs when it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return (open, (PAYLOAD_RAN, "w"))


def payload() -> bytes:
    """Returns a pickle that writes a file when it is loaded."""
    import pickle

    return pickle.dumps(Payload())
