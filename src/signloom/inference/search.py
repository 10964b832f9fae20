"""Finds the clips to recognise: videos, folders of frames and landmark files, in files, folders, trees and globs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from signloom.errors import Faults
from signloom.extract.sources import IMAGE_SUFFIXES, VIDEO_SUFFIXES, Clip, clips_of, natural_key, with_camera
from signloom.landmarks import SUFFIX

_KNOWN = VIDEO_SUFFIXES | IMAGE_SUFFIXES | {SUFFIX}


@dataclass
class Found:
    """The result of a search.

    clips: each once, in the order of the sources; those of one source by their names.
    failed: the sources that are no clips and have none, with the reason.
    passed_over: number of other files in folders, by suffix.
    """

    clips: list[Clip] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    passed_over: Counter[str] = field(default_factory=Counter)

    def ignored(self) -> str:
        """Returns the files that are no clips, in words."""
        kinds = ", ".join(f"{count:,} {suffix}" for suffix, count in self.passed_over.most_common(6))
        return f" (ignored, not clips: {kinds})" if kinds else ""


def search(sources: Sequence[str]) -> Found:
    """Returns the clips of all sources; their names may clash."""
    result = Found()
    for source in sources:
        faults = Faults(source)
        path = Path(source)
        if path.is_file() and path.suffix.lower() not in _KNOWN:
            ending = f"unknown ending {path.suffix}" if path.suffix else "no ending"
            faults.add(
                f"{source}: {ending}; needed a video (.mp4, .mov, .webm, ...), a landmark file ({SUFFIX}) or a folder"
            )
        else:
            found = clips_of(source, faults, landmarks=True)
            result.clips += sorted(found.clips, key=lambda clip: natural_key(clip.name))
            result.passed_over += found.passed_over
            if not found.clips and not faults:
                others = Found(passed_over=found.passed_over).ignored()
                faults.add(
                    f"{source}: no clip in it{others}; needed videos, folders of frames or landmark files ({SUFFIX})"
                )
        if faults:
            result.failed[source] = "\n".join(faults.messages)
    return result


def is_single(sources: Sequence[str], clips: Sequence[Clip]) -> bool:
    """Returns whether the one source is itself a clip, not a folder or a pattern of clips."""
    if len(sources) != 1 or len(clips) != 1:
        return False
    path = Path(sources[0])
    return path.is_file() or (path.is_dir() and clips[0].path in (path, with_camera(path)))
