"""Object storage: lists, reads, writes and removes objects by URL. Only this module knows fsspec.

It is imported with the first URL. An object is written as a whole or not at all: that is what S3 and Google Cloud
Storage promise. What a library says of an error is never shown: it may hold credentials.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from signloom.errors import InputError, needs_extra, plural
from signloom.files.urls import PACKAGES, Url
from signloom.hints import install_package

# Requests at a time: each waits for the network, not for a processor.
AT_A_TIME = 16
# Objects are read in blocks: small ones for the header of a clip, large ones for a manifest.
_BLOCK_BYTES, _MOST_BLOCK_BYTES, _BLOCKS = 1 << 17, 1 << 23, 32
_CREDENTIALS = (
    "no valid credentials; give them as the tools of your storage take them, for S3 as AWS_ACCESS_KEY_ID and "
    "AWS_SECRET_ACCESS_KEY, or a profile with AWS_PROFILE"
)
_REFUSED = "access is refused; credentials are wrong, or they do not permit this"
_UNREACHABLE = "the storage cannot be reached; check the network and the address (for S3, AWS_ENDPOINT_URL)"
# Causes by what the names of the libraries' exceptions hold.
_CAUSES = {
    "Credential": _CREDENTIALS,
    "TokenRetrieval": _CREDENTIALS,
    "SSO": _CREDENTIALS,
    "ProfileNotFound": _CREDENTIALS,
    "RefreshError": _CREDENTIALS,
    "Endpoint": _UNREACHABLE,
    "Connect": _UNREACHABLE,
    "Timeout": _UNREACHABLE,
    "ClientPayload": _UNREACHABLE,
    "IncompleteRead": _UNREACHABLE,
    "gaierror": _UNREACHABLE,
}


class MissingObjectError(InputError):
    """No object, or no bucket, has this URL."""


@dataclass(frozen=True)
class Stored:
    """An object: its size in bytes, and a text that changes with its content."""

    size: int
    version: str


def listing(url: Url) -> dict[str, Stored]:
    """Returns every object under a URL by its path from there, sorted; an object itself has an empty path.

    Empty if there is none. Raises InputError if the bucket does not exist, or the storage does not answer.
    """
    with _asked(url) as (files, path):
        found = files.find(path, detail=True)
    start = len(path.rstrip("/")) + 1
    return {name[start:]: _stored(record) for name, record in sorted(found.items()) if not name.endswith("/")}


def names(url: Url) -> list[str]:
    """Returns the names of the objects and folders directly under a URL."""
    try:
        with _asked(url) as (files, path):
            found = files.ls(path, detail=False)
    except MissingObjectError:
        return []
    return sorted(name.rstrip("/").rpartition("/")[2] for name in found)


def stat(url: Url) -> Stored | None:
    """Returns the size and version of an object, None if there is none."""
    try:
        with _asked(url) as (files, path):
            record = files.info(path)
    except MissingObjectError:
        return None
    return None if record.get("type") == "directory" else _stored(record)


def read(url: Url, most_bytes: int) -> bytes:
    """Returns the content of an object. Raises InputError if there is none, or it is larger."""
    _check_size(url, most_bytes)
    with _asked(url) as (files, path):
        content: bytes = files.cat_file(path)
    return content


def ends(url: Url, num_bytes: int) -> bytes:
    """Returns the first and last `num_bytes` of an object; all of one that is shorter than both.

    Raises InputError if there is none.
    """
    stored = stat(url)
    if stored is None:
        raise _missing(url)
    with _asked(url) as (files, path):
        if stored.size <= 2 * num_bytes:
            whole: bytes = files.cat_file(path)
            return whole
        first: bytes = files.cat_file(path, start=0, end=num_bytes)
        last: bytes = files.cat_file(path, start=stored.size - num_bytes, end=stored.size)
        return first + last


@contextmanager
def opened(url: Url, most_bytes: int) -> Iterator[IO[bytes]]:
    """Opens an object for reading parts of it. Raises InputError as `read` does, also inside the block."""
    block_size = min(max(_BLOCK_BYTES, _check_size(url, most_bytes) // _BLOCKS), _MOST_BLOCK_BYTES)
    with _asked(url) as (files, path), files.open(path, "rb", cache_type="blockcache", block_size=block_size) as file:
        yield file


def fetch(url: Url, target: Path) -> None:
    """Writes an object to the local file `target`; its caller removes a part of it after an error.

    Raises InputError if the object is missing or was not read as a whole, OSError for a full disk.
    """
    stored = stat(url)
    if stored is None:
        raise _missing(url)
    with _asked(url, target) as (files, path):
        files.get_file(path, str(target))
    if (size := target.stat().st_size) != stored.size:
        raise InputError(f"{url}: {plural(size, 'byte')} came, it had {stored.size:,}; was it replaced? Run this again")


def upload(path: Path, url: Url) -> None:
    """Writes a local file to an object. Until it is whole, the object is what it was."""
    with _asked(url) as (files, place):
        files.put_file(str(path), place)


def write(url: Url, content: bytes, *, new: bool = False) -> bool:
    """Writes an object; returns False, and writes nothing, if it must be `new` and is there already."""
    try:
        with _asked(url) as (files, path):
            files.pipe_file(path, content, mode="create" if new else "overwrite")
    except FileExistsError:
        return False
    return True


def remove(urls: Iterable[Url]) -> None:
    """Removes objects; one that is missing is fine."""

    def gone(url: Url) -> None:
        try:
            with _asked(url) as (files, path):
                files.rm_file(path)
        except MissingObjectError:
            pass

    at_once(gone, urls)


def at_once(do: Callable[..., Any], *items: Iterable[Any]) -> list[Any]:
    """Returns what `do` returns for each item, as `map` does, with several requests at a time."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(AT_A_TIME) as pool:
        futures = [pool.submit(do, *item) for item in zip(*items, strict=False)]
        try:
            return [future.result() for future in futures]
        finally:
            pool.shutdown(cancel_futures=True)


def _stored(record: dict[str, Any]) -> Stored:
    marks = (record.get(name) for name in ("ETag", "etag", "md5Hash", "LastModified", "mtime", "created"))
    return Stored(int(record["size"] or 0), str(next((mark for mark in marks if mark), "")).strip('"'))


def _check_size(url: Url, most_bytes: int) -> int:
    """Returns the size of an object in bytes. Raises InputError if there is none, or it is larger than it may be."""
    stored = stat(url)
    if stored is None:
        raise _missing(url)
    if stored.size > most_bytes:
        raise InputError(f"{url}: {plural(stored.size, 'byte')}; needed at most {most_bytes:,}")
    return stored.size


def _missing(url: Url) -> MissingObjectError:
    return MissingObjectError(f"{url}: no such object or bucket")


@contextmanager
def _asked(url: Url, target: Path | None = None) -> Iterator[tuple[Any, str]]:
    """Gives the file system of fsspec that holds a URL, and the path in it.

    target: a local file that is written meanwhile. What goes wrong inside becomes an error in our words.
    """
    package = PACKAGES[url.scheme]
    if package == "gcsfs":
        _need_gcsfs(url)
    with needs_extra(f"storage by {url.scheme}://"):
        import fsspec.core

        if package == "s3fs":
            import s3fs  # noqa: F401
    try:
        # Each call asks for the file system again: after a fork it must be a new one, and fsspec keeps those in use.
        yield fsspec.core.url_to_fs(str(url), use_listings_cache=False)
    except (InputError, FileExistsError):
        raise
    except FileNotFoundError:
        raise _missing(url) from None
    except PermissionError:
        raise InputError(f"{url}: {_REFUSED}") from None
    except Exception as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OSError(error.errno, error.strerror, str(target)) from None
        raise InputError(f"{url}: {_cause(error)}") from None


def _cause(error: BaseException) -> str:
    """Returns in our words why a request failed: by the names and codes of exceptions, never by their texts."""
    chain: list[BaseException] = []
    while error is not None and error not in chain:
        chain.append(error)
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    for link in chain:
        if isinstance(link, TimeoutError | ConnectionError):
            return _UNREACHABLE
        for part, cause in _CAUSES.items():
            if part in type(link).__name__:
                return cause
    code = next((code for link in chain if (code := _code(link))), type(chain[0]).__name__)
    return f"the storage refuses it ({code})"


def _code(error: BaseException) -> str:
    """Returns the code of S3 for an error, such as NoSuchBucket; empty if there is none."""
    response = getattr(error, "response", None)
    code = response.get("Error", {}).get("Code", "") if isinstance(response, dict) else ""
    return code if isinstance(code, str) and code.isalnum() and len(code) < 60 else ""


def _need_gcsfs(url: Url) -> None:
    try:
        import gcsfs  # noqa: F401
    except ModuleNotFoundError:
        raise InputError(f"{url}: needs the package 'gcsfs'; install it with: {install_package('gcsfs')}") from None
