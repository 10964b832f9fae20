"""Clips in object storage: found by a listing, fetched for as long as they are read."""

from __future__ import annotations

import errno
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from signloom.errors import InputError, SignloomError
from signloom.extract.clip import CAMERA_FOLDER, IMAGE_SUFFIXES, VIDEO_SUFFIXES, Clip, Listed, videos_and_images
from signloom.files import storage
from signloom.files.scratch import cache_folder, scratch
from signloom.files.urls import Url


def clips_at(url: Url, passed_over: Counter[str]) -> list[Clip]:
    """Returns the clips under a URL, as `extract.sources.clips_of` finds them in a local tree, with their sizes.

    passed_over: counts the objects that are no clips, by suffix.

    Raises InputError if there is no object, or one whose name no file could have.
    """
    objects = storage.listing(url)
    if not objects:
        raise InputError(f"{url}: no such object or folder; patterns cannot be given as URLs, give the folder")
    if "" in objects:
        if url.suffix.lower() in IMAGE_SUFFIXES:
            raise InputError(f"{url}: a single image; needed a video or the folder of a clip's frames")
        return [Clip(url, url.stem, Listed(objects[""].size, is_folder=False))]
    folders: defaultdict[PurePosixPath, list[Path]] = defaultdict(list)
    children: defaultdict[PurePosixPath, set[str]] = defaultdict(set)
    for name in objects:
        path = PurePosixPath(name)
        if str(path) != name or ".." in path.parts:
            raise InputError(f"{url}/{name}: no file could have this name; rename the object")
        if not any(part.startswith(".") for part in path.parts):
            folders[path.parent].append(url / name)
            for part in (path, *path.parents[:-1]):
                children[part.parent].add(part.name)
    clips = []
    for folder, files in folders.items():
        videos, images = videos_and_images(files)
        for video in videos:
            place = video.relative_to(url)
            clips.append(Clip(video, str(place.with_suffix("")), Listed(objects[str(place)].size, is_folder=False)))
        if images and not videos:
            alone = folder.name == CAMERA_FOLDER and children[folder.parent] == {CAMERA_FOLDER}
            target = url / (folder.parent if alone else folder)
            # A frame folder given as source has no path under the source; it keeps its own name.
            clip_name = str(target.relative_to(url)) if target != url else url.name
            clips.append(Clip(url / folder, clip_name, Listed(len(images), is_folder=True)))
        taken = {*(videos or images)}
        passed_over.update(path.suffix.lower() or path.name for path in files if path not in taken)
    return clips


@contextmanager
def local_clip(path: Path) -> Iterator[Path]:
    """Gives the local path of a clip while the block runs; one in object storage is fetched, and removed at the end.

    Its names are the same, and an InputError raised inside names its URL.

    Raises InputError for a clip that is not there any more, SignloomError if the local disk is full.
    """
    if not isinstance(path, Url):
        yield path
        return
    with scratch() as folder:
        try:
            local = _fetched(path, folder)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise SignloomError(
                f"{cache_folder()}: no space left on the disk for {path}; free some, or name a folder on another disk "
                "with SIGNLOOM_CACHE"
            ) from None
        try:
            yield local
        except InputError as error:
            raise InputError(str(error).replace(str(local), str(path))) from None


def _fetched(url: Url, folder: Path) -> Path:
    """Returns the local path of a clip after fetching it into `folder`."""
    if url.suffix.lower() in VIDEO_SUFFIXES or storage.stat(url) is not None:
        storage.fetch(url, folder / url.name)
        return folder / url.name
    names = [name for name in storage.listing(url) if PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES]
    local = folder / url.parent.name / url.name
    local.mkdir(parents=True)
    if url.name == CAMERA_FOLDER and _others_beside(url):
        # A folder `1` stands for its parent only where it is alone.
        (local.parent / "2").mkdir()
    direct = [name for name in names if "/" not in name and not name.startswith(".")]
    if not direct:
        raise storage.MissingObjectError(f"{url}: no such video or frame folder")
    storage.at_once(storage.fetch, [url / name for name in direct], [local / name for name in direct])
    return local


def _others_beside(url: Url) -> bool:
    names = {name.split("/")[0] for name in storage.listing(url.parent)}
    return any(name != url.name and not name.startswith(".") for name in names)
