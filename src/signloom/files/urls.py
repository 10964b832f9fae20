"""URLs of object storage, used like paths: joined, compared and named, and never taken for a local file."""

from __future__ import annotations

import re
from pathlib import Path, PosixPath
from typing import Any

from signloom.errors import InputError

# What fsspec reads each kind of storage with. All of them replace an object as a whole or not at all. `memory` lasts as
# long as its process and is for tests.
PACKAGES = {"s3": "s3fs", "gs": "gcsfs", "memory": "fsspec"}
# A path of one letter and a colon is a drive of Windows. `Path` makes one slash of two.
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+")


class Url(PosixPath):
    """A place in object storage, such as s3://bucket/folder.

    Raises InputError where it is used as a local file: a command that does not know URLs says so.
    """

    def __str__(self) -> str:
        return _SCHEME.sub(r"\1://", super().__str__(), count=1)

    def __fspath__(self) -> str:
        raise InputError(f"{self}: is a URL; this needs a local file or folder: copy it here first")

    def __repr__(self) -> str:
        return f"Url({str(self)!r})"

    def resolve(self, strict: bool = False) -> Url:
        return self

    def absolute(self) -> Url:
        return self

    @property
    def scheme(self) -> str:
        return self.parts[0].removesuffix(":")


def is_url(value: Any) -> bool:
    """Returns whether a path or text names a place by URL, `file://` among them."""
    return isinstance(value, Url) or (isinstance(value, str | Path) and _SCHEME.match(str(value)) is not None)


def located(value: Path | str) -> Path:
    """Returns a path or URL as a `Url`, or as a local path, also for `file://`.

    Raises InputError for another kind of storage, for a URL without a bucket, and for one that holds a password.
    """
    if isinstance(value, Url):
        return value
    found = _SCHEME.match(str(value))
    if found is None:
        return Path(value)
    scheme, rest = found[1].lower(), str(value)[found.end() :]
    if scheme == "file":
        return Path("/" + rest)
    bucket = rest.partition("/")[0]
    if "@" in bucket:
        # Not quoted: what stands before the @ may be a password.
        raise InputError(
            f"a URL of {scheme}:// holds a user or a password; give them as your storage's tools take them"
        )
    if scheme not in PACKAGES:
        raise InputError(f"{scheme}://{rest}: unknown storage {scheme}://; needed s3://, gs:// or file://")
    if not bucket:
        raise InputError(f"{scheme}://: no bucket; needed {scheme}://BUCKET/FOLDER")
    return Url(f"{scheme}://{rest}")
