"""Writes a corpus as one: what the folder held before stays until the new corpus is whole."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, Self

from signloom.corpus.manifest import manifest_lines
from signloom.corpus.names import (
    FORMAT,
    FORMAT_VERSION,
    HEADER,
    LANDMARKS_FOLDER,
    LEFT_OUT,
    MANIFEST,
    SYNTHETIC_UTTERANCES,
    Info,
)
from signloom.corpus.shards import shard_files
from signloom.corpus.stored import local_folder, locked_for_writing, publish
from signloom.corpus.utterance import Utterance
from signloom.corpus.utterances import MANIFEST_INDEX
from signloom.errors import InputError
from signloom.files import storage
from signloom.files.paths import file_stem, inside
from signloom.files.reading import Member, open_file
from signloom.files.schemas import check, decode_json, encode_json
from signloom.files.staging import Stage
from signloom.files.urls import Url, located
from signloom.files.writing import atomic_write, write_json, write_json_lines
from signloom.landmarks import SUFFIX, Landmarks, file_header


def check_output(root: Path | str, *, overwrite: bool = False) -> None:
    """Raises InputError if no corpus can be written: `root` is a file, or already has a corpus and not `overwrite`, or
    is the URL of a storage that refuses it.
    """
    root = located(root)
    if isinstance(root, Url):
        if not overwrite and storage.stat(root / HEADER) is not None:
            raise InputError(f"{root}: already has a corpus; choose another URL or pass --overwrite")
        return
    there = next(path for path in (root.absolute(), *root.absolute().parents) if path.exists())
    if not there.is_dir():
        raise InputError(f"{root}: {there} is a file; needed a folder for the corpus, choose another name")
    if (root / HEADER).exists() and not overwrite:
        raise InputError(f"{root}: already has a corpus; choose another folder or pass --overwrite")


class CorpusWriter:
    """Writes a corpus as one: until it is whole, the folder holds what it held before, also after a kill.

    A context manager. It locks the folder; leaving it without an error finishes the corpus. A folder with a finished
    corpus is refused unless `overwrite`. All files are written into `folder`, a hidden one, and moved at the end; then
    the old corpus' landmark files that the new one does not have are removed. A corpus for a URL is written into a
    local folder and uploaded at the end.

    resumable: keep the files of a run that was interrupted, for the next one.

    Raises InputError on entry if another process writes into the folder.
    """

    def __init__(
        self, root: Path | str, info: Mapping[str, Any], *, overwrite: bool = False, resumable: bool = False
    ) -> None:
        self.root = located(root)
        self.info = dict(info)
        check(Info, self.info, str(root))
        self._overwrite, self._resumable = overwrite, resumable
        self._stage = Stage(local_folder(self.root))
        self._utterances: dict[str, Utterance] = {}
        self._simulated = 0
        self._files: dict[str, str] = {}
        self._old: set[str] = set()
        self._left_out: list[Mapping[str, Any]] = []
        self._held = ExitStack()
        check_output(self.root, overwrite=overwrite)

    def __enter__(self) -> Self:
        with self._held as held:
            held.enter_context(locked_for_writing(self.root))
            self._old = set(files_of_corpus(self._stage.folder))
            # Another process may have finished a corpus since.
            check_output(self.root, overwrite=self._overwrite)
            if not self._resumable:
                self._stage.clear()
            self._held = held.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._held:
            try:
                if error is None:
                    self._finish()
            finally:
                if not self._resumable:
                    self._stage.clear()

    @property
    def folder(self) -> Path:
        """The hidden folder in which the corpus is written."""
        return self._stage.path

    def landmarks_path(self, utterance_id: str) -> str:
        """Returns the path of an utterance's landmarks in the corpus.

        Ids that would have the same file name (`a/b` and `a_b`, `A` and `a`) are told apart by a part of their hash.
        """
        stem = file_stem(utterance_id)
        if self._files.setdefault(stem.casefold(), utterance_id) != utterance_id:
            stem = f"{stem}-{hashlib.sha256(utterance_id.encode()).hexdigest()[:8]}"
            self._files.setdefault(stem.casefold(), utterance_id)
        return f"{LANDMARKS_FOLDER}/{stem}{SUFFIX}"

    def add(
        self,
        utterance_id: str,
        *,
        split: str,
        signer: str | None,
        glosses: Sequence[str],
        landmarks: Landmarks | Path | Member,
        source: Mapping[str, Any] | None = None,
        truth: Mapping[str, Any] | None = None,
        others: Sequence[int] = (),
    ) -> Utterance:
        """Adds an utterance and returns it. Landmarks are written; a landmark file is linked, else copied; one of a
        packed corpus is copied.
        """
        if utterance_id in self._utterances:
            raise InputError(f"{self.root}: utterance id {utterance_id!r} occurs twice")
        relative = self.landmarks_path(utterance_id)
        path = inside(self.folder, relative)
        if relative not in self._old and (self._stage.folder / relative).exists():
            raise InputError(
                f"{self.root / relative}: is no file of an earlier corpus there and would be replaced; choose another "
                "folder for the corpus, or move the file"
            )
        clip = landmarks if isinstance(landmarks, Landmarks) else Landmarks.load(landmarks)
        record: dict[str, Any] = {
            "id": utterance_id,
            "split": split,
            "signer": signer,
            "glosses": list(glosses),
            "landmarks": relative,
            "num_frames": len(clip),
            "fps": clip.fps,
            "source": dict(source or {}),
            "truth": dict(truth or {}),
            "others": list(others),
        }
        try:
            utterance = Utterance.from_json(record)
            encode_json(record, "its record")
        except InputError as error:
            raise InputError(f"utterance {utterance_id!r}: {error}") from None
        if isinstance(landmarks, Landmarks):
            landmarks.save(path)
        elif isinstance(landmarks, Member):
            with atomic_write(path) as file:
                file.write(landmarks.content)
        else:
            _link_or_copy(Path(landmarks), path)
        self._utterances[utterance_id] = utterance
        self._simulated += clip.simulated
        return utterance

    def leave_out(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Lists what the source has and the corpus has not, in a file of the corpus."""
        self._left_out = list(records)

    def _finish(self) -> None:
        """Puts the corpus in its place. Raises InputError if no utterance was added."""
        if not self._utterances:
            raise InputError(f"{self.root}: no utterances to write; the corpus was not made")
        header = {**file_header(FORMAT, FORMAT_VERSION), **self.info}
        # The landmark files say what they are; a composed corpus may have others of them than its source.
        header.pop(SYNTHETIC_UTTERANCES, None)
        if self._simulated:
            header["synthetic"] = True
        if 0 < self._simulated < len(self._utterances):
            header[SYNTHETIC_UTTERANCES] = self._simulated
        write_json_lines(self.folder / LEFT_OUT, self._left_out)
        write_json_lines(self.folder / MANIFEST, [utterance.to_json() for utterance in self._utterances.values()])
        write_json(self.folder / HEADER, header)
        files = [utterance.landmarks for utterance in self._utterances.values()]
        files += [*([LEFT_OUT] if self._left_out else []), MANIFEST, HEADER]
        self._stage.commit(files, remove=self._old)
        publish(self.root, files)


def files_of_corpus(root: Path) -> list[str]:
    """Returns the files that a corpus in a folder has beside its header and manifest, as far as it can be read."""
    listed = [LEFT_OUT, MANIFEST_INDEX]
    if (root / MANIFEST).is_file():
        with open_file(root / MANIFEST) as file:
            for line in manifest_lines(file):
                try:
                    name = decode_json(line.content or b"", "line")["landmarks"]
                    inside(root, name)
                except (KeyError, TypeError, AttributeError, InputError):
                    continue
                if PurePosixPath(name).parts[0] == LANDMARKS_FOLDER:
                    listed.append(name)
    return [*listed, *shard_files(root)]


def _link_or_copy(source: Path, target: Path) -> None:
    """Makes `target` a hard link to `source`, or a copy if the file system cannot link.

    Landmark files are never changed in place (see `atomic_write`), so a linked file cannot change. A symbolic link is
    followed: it might lead elsewhere from the folder of `target`, or change what it names.
    """
    source = source.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists() and target.samefile(source):
        return
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        with source.open("rb") as original, atomic_write(target) as copy:
            shutil.copyfileobj(original, copy)
