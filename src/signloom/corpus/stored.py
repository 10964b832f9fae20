"""A corpus in object storage: header and manifest are copied when it is opened, landmarks when they are read.

Its header names a folder beside it that holds the corpus, by a hash of all its files. A corpus is uploaded into such a
folder, and then its header is written, as one object: a reader sees the old corpus or the new one. An upload that was
stopped goes on with what is missing.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from signloom.console import say
from signloom.corpus.names import CONTENT, HEADER, HEADER_FILE, LEFT_OUT, MANIFEST
from signloom.corpus.shards import INDEX, SHARDS
from signloom.errors import Faults, InputError, plural
from signloom.files import storage
from signloom.files.cache import cached, copies_folder, trim
from signloom.files.copies import Copied
from signloom.files.leases import held
from signloom.files.locks import locked
from signloom.files.reading import read_bytes, sha256_of
from signloom.files.schemas import decode_json
from signloom.files.scratch import cache_folder
from signloom.files.staging import remove, settle_locked
from signloom.files.urls import Url

_CONTENT = re.compile(r"version-[0-9a-f]{32}")
# While a corpus is opened, another may take its place.
_TRIES = 3
_UPLOADS = 64
_SECONDS_BETWEEN_LINES = 10


def copied(url: Url) -> Copied | None:
    """Returns the corpus at a URL, with local copies of its header and manifest; None if there is none.

    Of a corpus that other tools copied there, everything is listed: its landmark files must be there, and one that
    changed is another.
    """
    for _ in range(_TRIES):
        try:
            header = storage.read(url / HEADER, HEADER_FILE.most_bytes)
        except storage.MissingObjectError:
            return None
        content = content_of(header, str(url / HEADER))
        if content:
            found = Copied(url / content, _folder(url, content))
        else:
            objects = storage.listing(url)
            if MANIFEST not in objects:
                return None
            state = hashlib.sha256(repr(list(objects.items())).encode()).hexdigest()
            sizes = {name: stored.size for name, stored in objects.items()}
            found = Copied(url, _folder(url, state), sizes)
        try:
            for name in (MANIFEST, HEADER):
                cached(found.origin / name, found.folder / name)
            for name in (SHARDS, INDEX, LEFT_OUT):
                _fetch_if_there(found, name)
        except storage.MissingObjectError:
            # Another corpus has taken its place.
            continue
        if (found.folder / SHARDS).exists() and not found.sizes:
            sizes = {name: stored.size for name, stored in storage.listing(found.origin).items()}
            found = Copied(found.origin, found.folder, sizes)
        return found
    raise InputError(f"{url}: its header names a corpus that is not there; upload or write it again")


def content_of(header: bytes, place: str) -> str:
    """Returns the folder that a header says the corpus is in, empty if it lies beside the header."""
    record = decode_json(header, place)
    content = record.get(CONTENT, "") if isinstance(record, dict) else ""
    if content and not (isinstance(content, str) and _CONTENT.fullmatch(content)):
        raise InputError(f"{place}: {CONTENT} is {str(content)[:80]!r}; needed version- and 32 hexadecimal digits")
    return content


def check_landmarks(found: Copied, names: Iterable[str]) -> None:
    """Raises InputError listing the landmark files that a listing did not find."""
    faults = Faults(str(found.origin / MANIFEST))
    for name in names:
        if name not in found.sizes:
            faults.add(f"landmark file {name} is missing")
    faults.raise_if_any()


def _folder(url: Url, state: str) -> Path:
    """Returns the local folder for copies of a corpus in a certain state."""
    digest = hashlib.sha256(f"{url} {state}".encode()).hexdigest()[:16]
    return copies_folder() / f"{re.sub('[^A-Za-z0-9._-]', '_', url.name)[:60]}-{digest}"


def _fetch_if_there(found: Copied, name: str) -> None:
    try:
        if not found.sizes or name in found.sizes:
            cached(found.origin / name, found.folder / name)
    except storage.MissingObjectError:
        return


def local_folder(output: Path) -> Path:
    """Returns the folder in which a corpus for `output` is written: `output` itself, or one that is uploaded."""
    if not isinstance(output, Url):
        return output
    return cache_folder() / "building" / hashlib.sha256(str(output).encode()).hexdigest()[:16]


@contextmanager
def locked_for_writing(output: Path) -> Iterator[None]:
    """Locks the place of a new corpus, and its local folder, and finishes what a killed process began there."""
    folder = local_folder(output)
    local: AbstractContextManager[None] = nullcontext() if folder == output else locked(folder)
    with held(output, tell=say), local:
        settle_locked(folder)
        if folder != output:
            # A corpus that was not uploaded as a whole; what is there of it is known by its content.
            remove(path for path in folder.iterdir() if not path.name.startswith("."))
        yield


def publish(output: Path, files: Sequence[str]) -> None:
    """Uploads the corpus in the local folder of `output` and then removes the folder; does nothing for a local one.

    files: of the corpus, beside its header.  The local folder becomes the copy from which the corpus is read here.

    Raises InputError if the storage refuses it or does not answer: the old corpus stays, and what was uploaded is used
    by the next run.
    """
    if not isinstance(output, Url):
        return
    folder = local_folder(output)
    names = sorted({*files, HEADER})
    header = read_bytes(folder / HEADER, HEADER_FILE)
    digest = hashlib.sha256()
    for name in names:
        digest.update(f"{name} {sha256_of(folder / name)}\n".encode())
    content = f"version-{digest.hexdigest()[:32]}"
    # The names hold the content, so what is there was uploaded by a run that was stopped.
    there = storage.listing(output / content)
    sizes = {name: (folder / name).stat().st_size for name in names}
    _upload(folder, output / content, {name: sizes[name] for name in names if _size(there, name) != sizes[name]})
    record = {**json.loads(header), CONTENT: content}
    # From here on, the corpus is the new one.
    storage.write(output / HEADER, json.dumps(record, indent=1, ensure_ascii=False).encode())
    _remove_others(output, content)
    _keep(folder, _folder(output, content))


def _size(objects: Mapping[str, storage.Stored], name: str) -> int | None:
    return objects[name].size if name in objects else None


def _upload(folder: Path, url: Url, sizes: Mapping[str, int]) -> None:
    """Uploads files, and says how far it is. Their commands may have a progress bar of their own.  sizes: in bytes."""
    total, done = sum(sizes.values()), 0
    say(f"uploading {plural(len(sizes), 'file')}, {total / 1e6:,.1f} MB, to {url.parent}")
    started = told = time.monotonic()
    names = list(sizes)
    for start in range(0, len(names), _UPLOADS):
        part = names[start : start + _UPLOADS]
        storage.at_once(storage.upload, [folder / name for name in part], [url / name for name in part])
        done += sum(sizes[name] for name in part)
        now = time.monotonic()
        if now - told > _SECONDS_BETWEEN_LINES:
            told, rate = now, done / (now - started)
            left = f"; {(total - done) / rate:,.0f} s left" if rate else ""
            say(f"uploaded: {done / 1e6:,.1f} of {total / 1e6:,.1f} MB, {rate / 1e6:,.1f} MB/s{left}")


def _remove_others(output: Url, content: str) -> None:
    """Removes what other corpora and stopped uploads left."""
    old = [name for name in storage.names(output) if _CONTENT.fullmatch(name) and name != content]
    for name in old:
        storage.remove([output / name / path for path in storage.listing(output / name)])


def _keep(folder: Path, copies: Path) -> None:
    """Makes the local folder of a corpus that was uploaded the folder of its copies."""
    if copies.exists():
        remove(path for path in folder.iterdir() if not path.name.startswith(".signloom"))
        return
    copies.mkdir(parents=True)
    for path in list(folder.iterdir()):
        if not path.name.startswith("."):
            shutil.move(path, copies / path.name)
    trim()
