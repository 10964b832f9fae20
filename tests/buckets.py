"""A server of S3 on loopback (moto), for tests of object storage."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import count
from typing import Any

import pytest

from signloom.files.urls import Url

NEEDED = ("s3fs", "moto", "flask", "flask_cors")
MISSING = [name for name in NEEDED if find_spec(name) is None]
needs_s3 = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)} (extras storage and dev)")
# Known to the server by these tests alone.
SECRET = "a-secret-that-nobody-may-print"
_numbers = count(1)


def environment(port: int, **others: str) -> dict[str, str]:
    """What a program needs to know to use the server."""
    return {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "somebody",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        # Else credentials are looked for at the address of Amazon's machines.
        "AWS_EC2_METADATA_DISABLED": "true",
        **others,
    }


@contextmanager
def server(**settings: str) -> Iterator[int]:
    """A running server; gives its port.  settings: its environment variables."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = "from moto.server import main; import sys; main(sys.argv[1:])"
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code, "-H", "127.0.0.1", "-p", str(port)],
        env={**os.environ, **settings},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(600):
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert process.poll() is None, "the server ended"
                time.sleep(0.1)
        yield port
    finally:
        process.kill()
        process.wait()


def put_bucket(port: int) -> Url:
    """Makes a new bucket, and returns its URL."""
    name = f"bucket-{os.getpid()}-{next(_numbers)}"
    request = urllib.request.Request(f"http://127.0.0.1:{port}/{name}", method="PUT")
    urllib.request.urlopen(request, timeout=10).close()
    return Url(f"s3://{name}")


def record(port: int, path: str, body: Any = None) -> Any:
    """Asks the server's own interface, which is beside S3."""
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/moto-api/{path}", data=data, timeout=10) as answer:
        return json.loads(answer.read() or b"null")
