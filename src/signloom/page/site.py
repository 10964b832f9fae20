"""Writes the page as a static site: its scripts, which `make page` builds, and a model.

Every file is listed with its hash in `files.js`. The service worker keeps what the list names, and another list makes
another worker: so a page that is published again replaces the one that browsers keep.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zipfile
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Any

from signloom.drawing.tracked import CHAINS, COLOURS, VISIBLE
from signloom.errors import InputError
from signloom.files.locks import locked
from signloom.files.paths import inside
from signloom.files.staging import Stage, settle_locked
from signloom.files.writing import atomic_write
from signloom.inference.model import Model
from signloom.inference.model_card import model_card
from signloom.inference.onnx_engine import OnnxEngine
from signloom.page.model_record import model_record

# The list of the files, which the service worker reads; the files that a site must have.
FILES, PAGE = "files.js", "data/page.json"
EXAMPLES, LEXICON = "data/examples.json", "data/lexicon.json"
_LOCALES = "locales"
# The language of who has none of the page's languages.
_FIRST_LANGUAGE = "en"


class Site:
    """The files of a site by their paths, POSIX and relative."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = {**files, FILES: _list_of(files)}

    @classmethod
    def of(
        cls,
        model: Model,
        *,
        title: str,
        examples: Mapping[str, Any] | None = None,
        lexicon: Mapping[str, Any] | None = None,
    ) -> Site:
        """Returns the site of an exported model.

        examples, lexicon: what `page.examples` made; None: there is none.
        Raises InputError if the page is not built, or the model is not an exported one.
        """
        if not isinstance(model.engine, OnnxEngine):
            raise InputError("page: the model of a run; needed an exported one")
        files = dict(_built())
        languages = sorted(
            (PurePosixPath(name).stem for name in files if name.startswith(f"{_LOCALES}/")),
            key=lambda language: (language != _FIRST_LANGUAGE, language),
        )
        page = {
            "title": title,
            "model": model_record(model),
            "card": model_card(model.file),
            "languages": languages,
            "drawing": {
                "lines": CHAINS,
                "colours": {part: "#" + bytes(colour).hex() for part, colour in COLOURS.items()},
                "visible": VISIBLE,
            },
        }
        files["data/model.onnx"] = model.engine.graph
        none: dict[str, list[Any]] = {"points": [], "examples": []}
        files[EXAMPLES], files[LEXICON] = _json(examples or none), _json(lexicon or none)
        # The page asks its worker for the version, to know whether another one was published.
        files[PAGE] = _json({**page, "version": _hash(_json([page, _listed(files)]))[:16]})
        return cls(files)

    @property
    def num_bytes(self) -> int:
        return sum(map(len, self.files.values()))

    def write(self, folder: Path, *, overwrite: bool = False) -> None:
        """Writes the site into a folder, whole or not at all; of an earlier site there no file stays.

        Raises InputError for a folder that has other files, or an earlier site and not `overwrite`.
        """
        check_output(folder, overwrite=overwrite)
        with locked(folder):
            settle_locked(folder)
            check_output(folder, overwrite=overwrite)
            stage = Stage(folder)
            stage.clear()
            try:
                for name, content in self.files.items():
                    path = inside(stage.path, name)
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(content)
                stage.commit(self.files, remove=listed_in(folder))
            finally:
                stage.clear()

    def write_zip(self, path: Path) -> None:
        """Writes the site as a zip archive, whole or not at all."""
        with atomic_write(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in self.files.items():
                archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)


def check_output(folder: Path, *, overwrite: bool) -> None:
    """Raises InputError if no site can be written into a folder: it is a file, or has files that are not ours."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--output {folder}: is a file; needed a folder, choose another name")
    there = [path.name for path in folder.iterdir() if not path.name.startswith(".")] if folder.is_dir() else []
    if not there:
        return
    if not is_site(folder):
        raise InputError(
            f"--output {folder}: has files that are no page of signloom ({', '.join(sorted(there)[:3])}); "
            "choose another folder"
        )
    if not overwrite:
        raise InputError(f"--output {folder}: has a page already; choose another folder or pass --overwrite")


def is_site(folder: Path) -> bool:
    """Returns whether a folder holds a site that `Site.write` wrote."""
    return (folder / FILES).is_file() and (folder / PAGE).is_file()


def listed_in(folder: Path) -> list[str]:
    """Returns the files that the list of an earlier site names; of a damaged list none."""
    try:
        text = (folder / FILES).read_text(encoding="utf-8")
        names = json.loads(text[text.index("{") : text.rindex("}") + 1])["files"]
        return [name for name in names if inside(folder, name)]
    except (OSError, ValueError, KeyError, TypeError, InputError):
        return []


def _built() -> Iterator[tuple[str, bytes]]:
    """Yields what `make page` built. Raises InputError if it did not."""
    root = resources.files("signloom.page") / "site"
    if not (root / "index.html").is_file():
        raise InputError(
            "page: its scripts are not built. In a clone, run 'make page', which needs Node.js 20; released wheels "
            "have them"
        )

    def walk(folder: Any, prefix: str) -> Iterator[tuple[str, bytes]]:
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
            if entry.is_dir():
                yield from walk(entry, f"{prefix}{entry.name}/")
            else:
                yield prefix + entry.name, entry.read_bytes()

    yield from walk(root, "")


def _list_of(files: Mapping[str, bytes]) -> bytes:
    """Returns the list of files for the service worker. Raises InputError for a damaged page."""
    try:
        version = str(json.loads(files[PAGE])["version"])
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{PAGE}: damaged; make the page again with 'signloom page'") from None
    return b"self.FILES = " + _json({"version": version, "files": _listed(files)}) + b";\n"


def _listed(files: Mapping[str, bytes]) -> dict[str, dict[str, Any]]:
    """Returns hash and size of each file, without the service worker, which does not keep itself."""
    return {
        name: {"sha256": _hash(content), "bytes": len(content)}
        for name, content in sorted(files.items())
        if name != "sw.js"
    }


def _hash(content: bytes) -> str:
    return base64.b64encode(hashlib.sha256(content).digest()).decode("ascii")


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
