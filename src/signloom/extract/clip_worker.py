"""Extracts clips one after the other with one tracker: what each process of any backend does."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from signloom.errors import InputError, SignloomError
from signloom.extract.holistic import HolisticTracker, Progress, Settings, track_clip
from signloom.extract.sources import Clip


@dataclass(frozen=True)
class ClipResult:
    """The result of one clip.

    status: `done`; `failed` (only this clip); `stop` (the run cannot continue: a full disk, a missing package);
    `interrupted` (the run was stopped from outside).
    frames: the result of `count_frames` for a finished clip.  message, error_number: for the others.
    """

    clip: Clip
    status: Literal["done", "failed", "stop", "interrupted"]
    frames: dict[str, int] | None = None
    message: str = ""
    error_number: int = 0


class InterruptedRunError(Exception):
    """The run was stopped while a clip was in flight."""


class Backend(Protocol):
    """Extracts many clips: in processes of this machine (`parallel.extract_all`), or on a cluster."""

    def __call__(
        self,
        clips: Sequence[Clip],
        output: Path,
        settings: Settings,
        *,
        on_outcome: Callable[[ClipResult], None],
        on_progress: Callable[[float, int], None],
    ) -> None:
        """Extracts `clips` into the folder `output`, and reports each when it ends.

        A clip that fails, or whose worker dies, is reported like any other. `on_progress` is called several times per
        second with the number of clips done (clips in progress count as fractions) and the number of frames done.

        Raises OSError if the output cannot be written (a full disk), SignloomError if no clip can be extracted (a
        missing package, workers that die one after the other); clips in progress are then dropped.
        """


class ClipWorker:
    """Extracts clips with one tracker, which it makes for the first of them."""

    def __init__(self) -> None:
        self._tracker: HolisticTracker | None = None

    def prepare(self) -> HolisticTracker:
        """Returns the tracker. Raises SignloomError if a package or a system library is missing."""
        if self._tracker is None:
            self._tracker = HolisticTracker()
        return self._tracker

    def extract(self, clip: Clip, output: Path, settings: Settings, report: Progress) -> ClipResult:
        """Returns the result of one clip. Never raises, because an exception may not survive being sent to the parent.

        report: called after each frame; it may raise InterruptedRunError.
        """
        try:
            tracker = self.prepare()
        except SignloomError as error:
            return ClipResult(clip, "stop", message=str(error))
        try:
            landmarks = track_clip(tracker, clip.path, settings, report)
        except InterruptedRunError:
            return ClipResult(clip, "interrupted")
        except InputError as error:
            return ClipResult(clip, "failed", message=str(error))
        except SignloomError as error:
            return ClipResult(clip, "stop", message=str(error))
        except Exception as error:
            # Any error that a damaged file causes in a decoder or in the graph is a fault of that file; restart the
            # graph.
            self._tracker = None
            return ClipResult(clip, "failed", message=f"{clip.path}: {type(error).__name__}: {error}")
        path = clip.output(output)
        try:
            landmarks.save(path)
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                return ClipResult(clip, "failed", message=f"{path}: the file name is too long; rename the clip")
            return ClipResult(clip, "stop", message=str(path), error_number=error.errno or errno.EIO)
        except InputError as error:
            return ClipResult(clip, "failed", message=str(error))
        return ClipResult(clip, "done", frames=landmarks.source["frames"])
