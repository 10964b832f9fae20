"""A bounded queue between threads that drops its oldest item when it is full: what is late is worth less."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from typing import Generic, TypeVar

T = TypeVar("T")


class Ended(Exception):
    """The queue was closed, and all of its items were taken."""


class DroppingQueue(Generic[T]):
    """length: the most items that wait.  num_dropped: items that nobody took in time."""

    def __init__(self, length: int) -> None:
        self.num_dropped = 0
        self._items: deque[T] = deque()
        self._length = length
        self._is_closed = False
        self._changed = threading.Condition()

    def put(self, item: T) -> None:
        """Adds an item and never waits; a closed queue takes none."""
        with self._changed:
            if self._is_closed:
                return
            if len(self._items) == self._length:
                self._items.popleft()
                self.num_dropped += 1
            self._items.append(item)
            self._changed.notify()

    def __iter__(self) -> Iterator[T]:
        """Yields items when they come, until the queue was closed."""
        with suppress(Ended):
            while True:
                if (item := self.get(None)) is not None:
                    yield item

    def get(self, timeout_seconds: float | None) -> T | None:
        """Returns the oldest item, or None if none came in time. Raises Ended when none will come any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._is_closed, timeout_seconds)
            if self._items:
                return self._items.popleft()
            if self._is_closed:
                raise Ended
            return None

    def close(self) -> None:
        """Ends the queue after the items that wait."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
