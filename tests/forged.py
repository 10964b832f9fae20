"""Helpers for tests of forged files: odd values, and how a reader must refuse."""

import json
import tracemalloc
from itertools import cycle, islice

import pytest

from signloom.errors import InputError

# What a reader may allocate for a small file, whatever its headers claim.
MOST_BYTES = 100_000_000


def refused(read, *told):
    """Asserts that `read` raises InputError naming all of `told`, in few bytes of memory and few lines."""
    tracemalloc.start()
    try:
        with pytest.raises(InputError) as caught:
            read()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    message = str(caught.value)
    for part in told:
        assert part in message
    assert peak < MOST_BYTES
    assert not any(ord(letter) < 32 and letter != "\n" for letter in message)
    return message


# Values that no field can have, or only some: each is put into each field.
ODD = [
    *(None, True, 0, -1, 10**400, 1.5, 1e308, float("nan"), float("inf"), "", "x", "\x1b[31mred", "\ud800"),
    *([], [[]], [None] * 3, {}, {"a": {"b": 1}}),
]


def places(record, path=()):
    """The path of every value in nested objects; of a list, that of its first item."""
    for key, value in record.items() if isinstance(record, dict) else enumerate(record[:1]):
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from places(value, (*path, key))


def changed(record, path, value):
    copy = json.loads(json.dumps(record))
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return copy


def each(places, count=6):
    """Every place with some of the odd values: each place gets others, and all of them in turn."""
    values = cycle(ODD)
    for place in places:
        for value in islice(values, count):
            yield place, value
