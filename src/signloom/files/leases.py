"""Locks of places in object storage, which has none: an object that its holder renews while it lives.

Who finds a lock waits whether it is renewed. One that is not, for `STALE_SECONDS` on the clock of who waits, was left
by a dead process and is taken over, at once if that process was on this machine. Of two that take over the same lock
within milliseconds both may believe that they hold it.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from signloom.errors import InputError
from signloom.files import storage
from signloom.files.locks import LOCK, LockedError, in_words, locked, this_process
from signloom.files.temporary import machine, process_lives
from signloom.files.urls import Url

BEAT_SECONDS = 10.0
STALE_SECONDS = 60.0
_POLL_SECONDS = 1.0
_MOST_BYTES = 10_000


@contextmanager
def held(
    folder: Path, name: str = "", *, wait_seconds: float = 0, tell: Callable[[str], None] = lambda text: None
) -> Iterator[None]:
    """Locks a local folder, see `files.locks.locked`, or a place in object storage, while the block runs.

    tell: is called with a message when it takes a while.

    Raises LockedError naming the process that holds the lock; at the end of the block too, if another process took the
    lock over because this one could not renew it.
    """
    if not isinstance(folder, Url):
        with locked(folder, name, wait_seconds=wait_seconds):
            yield
        return
    lease = _Lease(folder / (f".signloom.{name}.lock" if name else LOCK))
    lease.acquire(tell)
    beat = threading.Thread(target=lease.renew, daemon=True)
    beat.start()
    try:
        yield
        lease.check()
    finally:
        lease.ended.set()
        beat.join()
        lease.release()


class _Lease:
    def __init__(self, url: Url) -> None:
        self.url, self.token = url, uuid4().hex
        self.ended = threading.Event()
        self._beats = 0
        self._lost = False

    def acquire(self, tell: Callable[[str], None]) -> None:
        seen, since = None, time.monotonic()
        told = False
        while not storage.write(self.url, self._content(), new=True):
            content = self._there()
            if content is None:
                continue
            if content != seen:
                if seen is not None:
                    raise LockedError(
                        f"{self.url.parent}: another process writes here ({_holder(content)}); wait for it, stop it, "
                        "or give another --output"
                    )
                seen, since = content, time.monotonic()
            if _is_dead(content) or time.monotonic() - since > STALE_SECONDS:
                storage.remove([self.url])
                continue
            if not told:
                tell(f"{self.url.parent}: locked ({_holder(content)}); waiting {STALE_SECONDS:.0f} s whether it lives")
                told = True
            time.sleep(_POLL_SECONDS)

    def renew(self) -> None:
        while not self.ended.wait(BEAT_SECONDS):
            # A network that fails for a moment is no reason to end: others wait longer than a beat.
            with suppress(InputError):
                content = self._there()
                if content is not None and _record(content).get("token") != self.token:
                    self._lost = True
                    return
                self._beats += 1
                storage.write(self.url, self._content())

    def check(self) -> None:
        if self._lost:
            raise LockedError(
                f"{self.url.parent}: another process took over the lock, since this one could not renew it in time; "
                "run this again when the other has ended"
            )

    def release(self) -> None:
        with suppress(InputError):
            content = self._there()
            if content is not None and _record(content).get("token") == self.token:
                storage.remove([self.url])

    def _there(self) -> bytes | None:
        try:
            return storage.read(self.url, _MOST_BYTES)
        except storage.MissingObjectError:
            return None

    def _content(self) -> bytes:
        record = {**this_process(), "machine": machine(), "token": self.token, "beats": self._beats}
        return json.dumps(record).encode()


def _record(content: bytes) -> dict[str, object]:
    try:
        record = json.loads(content)
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}


def _holder(content: bytes) -> str:
    return in_words(_record(content))


def _is_dead(content: bytes) -> bool:
    """Returns whether a lock was left by a process of this machine that has ended."""
    record = _record(content)
    number = record.get("pid")
    same = record.get("machine") == machine() and isinstance(number, int)
    return same and number != os.getpid() and not process_lives(number)  # type: ignore[arg-type]
