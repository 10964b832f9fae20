"""Starts Ray on this machine, or joins a cluster of it; says in plain words why that cannot be."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from typing import Any

from signloom.errors import InputError, needs_extra
from signloom.files.temporary import process_lives
from signloom.signals import SignalWatch

CONNECT_SECONDS = 5.0
# Nothing is shared between processes; this is about the least that Ray takes.
_OBJECT_STORE_BYTES = 100 * 2**20
# Ray reads these when it is imported. Reports of usage go to its makers.
_ALWAYS = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DISABLE_IMPORT_WARNING": "1"}
# A Ray of our own. It listens on the loopback device alone: the variable's name is about the systems where that is the
# default. Its processes are as urgent as those of the local backend.
_OWN = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_worker_niceness": "0", "RAY_AUTH_MODE": "token"}
_QUIET: dict[str, Any] = {"log_to_driver": False, "logging_level": "CRITICAL"}
_FOLDER = "signloom-ray-"
_JOIN = "run signloom on a machine of the cluster, with --address HOST:PORT of its head node, or --address auto"


@contextmanager
def ray_cluster(address: str | None, workers: int, purpose: str) -> Iterator[tuple[Any, SignalWatch]]:
    """Yields the module `ray`, connected to the cluster at `address`, or to one of this machine alone that ends with
    the block, with `workers` CPUs; and the signals that ask for the end.

    Raises MissingExtraError without Ray, InputError if there is no such cluster, or one of other versions.
    """
    os.environ.update(_ALWAYS)
    if address is None:
        os.environ.update(_OWN)
        # Ray reads it once per process.
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        os.environ.pop("RAY_ADDRESS", None)
    else:
        _check_address(address)
    with needs_extra(f"{purpose} --backend ray"):
        import ray
    folder = None
    # An error that a signal raises inside a call of Ray is lost, so the signals wait.
    # Ray prints there what it hears of deaths; nothing of ours goes there before the block ends.
    with SignalWatch().listening() as signals, Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        try:
            if address is None:
                folder = _new_folder()
                _start(ray, folder, workers)
            else:
                _join(ray, address)
            # Ray has set its own handlers.
            signals.listen()
            signals.raise_if_ending()
            yield ray, signals
        finally:
            _shut_down(ray, folder)


def _new_folder() -> str:
    """Returns a new folder for the files of our Ray, after removing those of processes that were killed."""
    # Its sockets lie there, and their paths may have 107 bytes.
    parent = tempfile.gettempdir() if len(tempfile.gettempdir()) < 20 else "/tmp"
    for old in Path(parent).glob(f"{_FOLDER}*"):
        process = old.name.removeprefix(_FOLDER).partition("-")[0]
        if process.isdecimal() and not process_lives(int(process)):
            shutil.rmtree(old, ignore_errors=True)
    return tempfile.mkdtemp(prefix=f"{_FOLDER}{os.getpid()}-", dir=parent)


def _start(ray: Any, folder: str, workers: int) -> None:
    try:
        ray.init(
            num_cpus=workers,
            num_gpus=0,
            include_dashboard=False,
            object_store_memory=_OBJECT_STORE_BYTES,
            _node_ip_address="127.0.0.1",
            _temp_dir=folder,
            **_QUIET,
        )
    except Exception as error:
        raise InputError(f"Ray cannot be started on this machine: {_first_line(error)}") from None


def _join(ray: Any, address: str) -> None:
    try:
        ray.init(address=address, **_QUIET)
    except Exception as error:
        text = " ".join(str(error).split())
        if "ersion mismatch" in text:
            raise InputError(
                f"--address {address}: the cluster has another Python or Ray than this machine, which has Python "
                f"{sys.version.split()[0]} and Ray {ray.__version__}; all machines need the same ({text[:400]})"
            ) from None
        raise InputError(f"--address {address}: cannot join a Ray cluster there; {_JOIN} ({text[:300]})") from None


def _check_address(address: str) -> None:
    """Raises InputError if nothing answers at the address within some seconds: Ray itself waits for minutes."""
    if address == "auto":
        return
    if "://" in address:
        raise InputError(f"--address {address}: needed HOST:PORT or auto; {_JOIN}")
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise InputError(f"--address {address}: needed HOST:PORT, such as 10.0.0.1:6379, or auto")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        reason = (
            f"no answer within {CONNECT_SECONDS:g} s" if isinstance(error, TimeoutError) else error.strerror or error
        )
        raise InputError(
            f"--address {address}: no Ray cluster answers there ({reason}); start one with 'ray start --head', which "
            "prints its address"
        ) from None


def _shut_down(ray: Any, folder: str | None) -> None:
    """Leaves the cluster; ends it if it is ours."""
    with suppress(Exception):
        ray.shutdown()
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:400] or type(error).__name__
