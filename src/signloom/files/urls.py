"""URLs of object storage, used like paths: joined, compared and named, and never taken for a local file."""

from __future__ import annotations

import re
import sys
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from signloom.errors import InputError

if sys.platform == "win32":
    from pathlib import WindowsPath as SystemPath
else:
    from pathlib import PosixPath as SystemPath

if TYPE_CHECKING:
    _Path = PurePath
else:
    # A second path among the bases would hide the first.
    _Path = object

# What fsspec reads each kind of storage with. All of them replace an object as a whole or not at all. `memory` lasts as
# long as its process and is for tests.
PACKAGES = {"s3": "s3fs", "gs": "gcsfs", "memory": "fsspec"}
# A path of one letter and a colon is a drive of Windows. `Path` makes one slash of two.
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+")
_DRIVE = re.compile(r"[A-Za-z]:/")


class UrlText(_Path):
    """What a path of any system needs to be a URL: slashes, no local file, and names that differ by their case."""

    def __str__(self) -> str:
        # Windows joins with the other slash.
        return _SCHEME.sub(r"\1://", "/".join(self.parts), count=1)

    def __fspath__(self) -> str:
        raise InputError(f"{self}: is a URL; this needs a local file or folder: copy it here first")

    def __repr__(self) -> str:
        return f"Url({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        # Paths of Windows are equal whatever their case; objects are not.
        return isinstance(other, UrlText) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    @property
    def scheme(self) -> str:
        return self.parts[0].removesuffix(":")


class Url(UrlText, SystemPath):
    """A place in object storage, such as s3://bucket/folder.

    Raises InputError where it is used as a local file: a command that does not know URLs says so.
    """

    def resolve(self, strict: bool = False) -> Url:
        return self

    def absolute(self) -> Url:
        return self


def is_url(value: Any) -> bool:
    """Returns whether a path or text names a place by URL, `file://` among them."""
    return isinstance(value, str | PurePath) and _SCHEME.match(_text(value)) is not None


def _text(value: PurePath | str) -> str:
    """Returns a path or text with the slashes of a URL; in the name of a file of POSIX, another slash is a letter."""
    return value.as_posix() if isinstance(value, PurePath) else value


def located(value: PurePath | str) -> Path:
    """Returns a path or URL as a `Url`, or as a local path, also for `file://`.

    Raises InputError for another kind of storage, for a URL without a bucket, and for one that holds a password.
    """
    if isinstance(value, Url):
        return value
    text = _text(value)
    found = _SCHEME.match(text)
    if found is None:
        return Path(value)
    scheme, rest = found[1].lower(), text[found.end() :]
    if scheme == "file":
        # file:///C:/folder names a drive.
        return Path(rest if _DRIVE.match(rest) else "/" + rest)
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
