"""Chooses the video that a tier belongs to, among the cameras that an annotation file links."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from signloom.errors import InputError, plural
from signloom.files.paths import resolved
from signloom.importers.landmark_files import LandmarkFiles
from signloom.text.clean import clean
from signloom.timed.annotations import Medium, TimedDocument

# The last word of a tier's name that says which hand it annotates, not which person or camera.
_HANDS = frozenset("r l rh lh right left d nd dh ndh dom nondom dominant gloss glosses sign signs".split())


def choose_medium(document: TimedDocument, path: Path, tiers: Sequence[str], media: str | None) -> Medium | None:
    """Returns the video whose body the tiers annotate; None if the file does not say it, or links no video.

    media: the name of the video, or a part of it that only one has (the option --media).
    Without it, a file with one video has no choice. Else the tier's name or its participant must name one of the
    videos: tier `Sign_B` belongs to `123_1b1.mp4` beside `123_1a1.mp4`, participant `ben` to `ben_front.mp4`.

    Raises InputError if no video, or several, have the name.
    """
    videos = document.videos
    if media is not None:
        wanted = clean(media).casefold()
        names = {video: clean(video.name).casefold() for video in videos}
        exact = [video for video in videos if wanted in (names[video], clean(video.stem).casefold())]
        matches = exact or [video for video in videos if wanted in names[video]]
        if len(matches) != 1 and not (not matches and wanted == clean(path.stem).casefold()):
            raise InputError(
                f"--media {media} names {len(matches) or 'none'} of its videos; needed a part of the name of one of "
                f"{', '.join(video.name for video in videos) or 'none (it links no video)'}"
            )
        return matches[0] if matches else None
    if len(videos) < 2:
        return videos[0] if videos else None
    named = {video for word in _words_of(document, tiers) for video in [_named(word, videos)] if video is not None}
    return named.pop() if len(named) == 1 else None


def find_landmarks(
    document: TimedDocument,
    path: Path,
    tiers: Sequence[str],
    media: str | None,
    files: LandmarkFiles,
    split: str,
) -> tuple[Path | None, Medium | None, list[str]]:
    """Returns the landmark file of the video that the tiers annotate, that video, and the names that were looked for.

    The file has the name of the video, or of the annotation file. Of several files with one name, the one is taken
    whose folders are most like those of the link or of the annotation file.

    Raises InputError if several videos have landmarks and nothing says which one is right.
    """
    own_folders = resolved(path).parent.parts

    def find(stem: str, folders: Sequence[str]) -> Path | None:
        return files.find(stem, split, near=[folders, own_folders])

    chosen = choose_medium(document, path, tiers, media)
    candidates = [chosen] if chosen is not None else [] if media is not None else list(document.videos)
    found: Mapping[Medium, Path] = {
        video: landmarks for video in candidates if (landmarks := find(video.stem, video.folders)) is not None
    }
    looked_for = list(dict.fromkeys([*(video.stem for video in candidates), path.stem]))
    unclear = len(candidates) > 1 and (len(set(found.values())) > 1 or len(_people(document)) > 1)
    if unclear:
        names = ", ".join(video.name for video in candidates)
        raise InputError(
            f"{path}: links {plural(len(candidates), 'video')} ({names}), and tier {tiers[0]!r} does not say which of "
            f"them it annotates; give a part of the video's name: --media {candidates[0].stem}"
        )
    if found:
        video = next(iter(found))
        return found[video], video, looked_for
    # With several people on several videos, a file with the name of the annotations could show any of them.
    shown = len(candidates) == 1 and len(document.videos) > 1 and len(_people(document)) > 1
    return (
        None if shown else find(path.stem, ()),
        chosen or (document.videos[0] if document.videos else None),
        looked_for,
    )


def people_in(document: TimedDocument, medium: Medium | None) -> set[str]:
    """Returns the people whose annotations the file has, if only one video could show all of them."""
    people = _people(document)
    return people if medium is not None and len(document.videos) == 1 and len(people) > 1 else set()


def _people(document: TimedDocument) -> set[str]:
    """Returns the people that a file's tiers annotate: the participants, else the letters that tier names end with."""
    people = {clean(name) for name in document.participants.values()}
    return people or {word for tier in document.tiers if (word := _last_word(tier)) in ("a", "b", "1", "2")}


def _words_of(document: TimedDocument, tiers: Sequence[str]) -> list[str]:
    """Returns the words that may name the video of the tiers: the last of their names, and their participants."""
    words = [_last_word(tier) for tier in tiers]
    words += [clean(document.participants[tier]).casefold() for tier in tiers if tier in document.participants]
    return [word for word in dict.fromkeys(words) if word and word not in _HANDS]


def _last_word(tier: str) -> str:
    words = re.split(r"[\W_]+", clean(tier).casefold())
    return next((word for word in reversed(words) if word), "")


def _named(word: str, videos: Sequence[Medium]) -> Medium | None:
    """Returns the one video that a word names: one of its words, or the letters in which its name differs."""
    stems = [clean(video.stem).casefold() for video in videos]
    start = len(os.path.commonprefix(stems))
    matches = [
        video
        for video, stem in zip(videos, stems, strict=True)
        if word in re.split(r"[\W_]+", stem) or word in (stem[start:], re.sub(r"[\W\d_]+", "", stem[start:]))
    ]
    return matches[0] if len(matches) == 1 else None
