"""Live recognition as threads with bounded queues between them: a slow part drops old frames and delays no other.

    source -> capture -> tracker -> recogniser -> captions and their files
                 |          `-> display (the caller's thread)
                 `-> recorder

MediaPipe, FFmpeg, OpenCV and the engines release Python's lock while they work, so the threads share the cores.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np

from signloom import layout
from signloom.errors import plural
from signloom.files.growing import GrowingFile
from signloom.inference.streaming import StreamingRecognizer
from signloom.live.caption_files import CaptionFile
from signloom.live.captions import Captions
from signloom.live.dropping_queue import DroppingQueue, Ended
from signloom.live.figures import Figures
from signloom.live.frames import Frame, Source, State
from signloom.live.recorder import Recorder

# A frame that waits is a frame late: the tracker takes the newest but one, so that it never idles.
_FRAMES = 2
# The display shows the newest frame.
_SHOWN = 1
# The recogniser waits for files and for its own model now and then, and is much faster in between.
_POINTS = 250
# A frame of full HD takes 6 MB.
_RECORDED = 16
# A source that gives nothing for so long is a state of its own.
_SILENT_SECONDS = 2.0
# Somebody who leaves the picture for less has not left.
_NOBODY_SECONDS = 1.0
# Below this rate signs have too few frames: a gloss takes about half a second.
_FEW_FRAMES_PER_SECOND = 12.0
# A thread that waits for a dead camera does not hold up the end.
_END_SECONDS = 3.0


class Tracker(Protocol):
    """See `extract.HolisticTracker`."""

    def __call__(self, frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]: ...


class Counter(Protocol):
    """See `live.people.PeopleCounter`."""

    def __call__(self, picture: np.ndarray, seconds: float) -> int: ...


@dataclass(frozen=True, eq=False)
class Tracked:
    """A frame with what was found in it.

    points: (543, 3) in units of the picture's height, NaN where missing.  visibility: of the pose, (33,).
    """

    frame: Frame
    points: np.ndarray
    visibility: np.ndarray


class Pipeline:
    """Runs live recognition until its source ends or `stop` is called. Use it as a context manager.

    captions, figures, state: for the display.  shown: the newest tracked frame, for the display alone.
    num_tracked: frames so far.
    """

    def __init__(
        self,
        source: Source,
        recognizer: StreamingRecognizer,
        tracker: Tracker,
        count_people: Counter,
        *,
        pause_seconds: float,
        files: Sequence[CaptionFile] = (),
        recorder: Recorder | None = None,
    ) -> None:
        self.captions = Captions()
        self.figures = Figures()
        self.shown: DroppingQueue[Tracked] = DroppingQueue(_SHOWN)
        self.num_tracked = 0
        self._source, self._recognizer, self._recorder = source, recognizer, recorder
        self._tracker, self._count_people = tracker, count_people
        self._pause_seconds = pause_seconds
        self._files = files
        self._stopping = threading.Event()
        self._errors: list[BaseException] = []
        self._frames: DroppingQueue[Frame] = DroppingQueue(_FRAMES)
        self._points: DroppingQueue[tuple[np.ndarray, float]] = DroppingQueue(_POINTS)
        self._recorded: DroppingQueue[Frame] = DroppingQueue(_RECORDED)
        # What the source says, when it gave the last frame, when somebody was last in view, and how many were.
        self._source_state = ""
        self._last_frame = self._last_body = time.monotonic()
        self._num_people = 0
        works: list[tuple[str, Callable[[], None], tuple[DroppingQueue, ...]]] = [
            ("capture", self._capture, (self._frames, self._recorded)),
            ("tracker", self._track, (self._points,)),
            ("recogniser", self._recognise, (self.shown,)),
        ]
        if recorder is not None:
            works.append(("recorder", partial(self._record, recorder), ()))
        self._threads = [
            threading.Thread(target=self._guarded, args=(work, feeds), name=name, daemon=True)
            for name, work, feeds in works
        ]

    def __enter__(self) -> Pipeline:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stops; the last glosses become final, and files get their last pieces."""
        self.stop()
        deadline = time.monotonic() + _END_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def stop(self) -> None:
        """Ends the capture; what was captured is still recognised. Never waits, not even for a camera that hangs."""
        self._stopping.set()
        self._frames.close()
        self._recorded.close()

    def raise_error(self) -> None:
        """Raises the error that ended a thread, if there is one."""
        if self._errors:
            raise self._errors[0]

    @property
    def num_dropped(self) -> int:
        """Frames that the tracker was too slow for."""
        return self._frames.num_dropped

    @property
    def growing_files(self) -> list[GrowingFile]:
        """The files that are written."""
        recorded = [] if self._recorder is None else [self._recorder.file]
        return [*(each.file for each in self._files), *recorded]

    def notes(self) -> list[str]:
        """Returns what people should know now, the most important first; empty when all is well."""
        now = time.monotonic()
        notes = [file.fault for file in self.growing_files if file.fault is not None]
        if self._source_state:
            return [self._source_state, *notes]
        if now - self._last_frame > _SILENT_SECONDS:
            return [f"no picture from {self._source.name} for {now - self._last_frame:.0f} s", *notes]
        if now - self._last_body > _NOBODY_SECONDS:
            notes.insert(0, "nobody in view")
        elif self._num_people > 1:
            notes.insert(0, f"{plural(self._num_people, 'person', 'people')} in view: only one is tracked")
        rate = self.figures.snapshot().frames_per_second
        if self.num_tracked > _FEW_FRAMES_PER_SECOND and rate < _FEW_FRAMES_PER_SECOND:
            notes.append(f"only {rate:.0f} frames per second: fast signs may be missed")
        if self._recorded.num_dropped:
            notes.append(f"the recording lost {plural(self._recorded.num_dropped, 'frame')}: this computer is too busy")
        return notes

    def _guarded(self, work: Callable[[], None], feeds: Sequence[DroppingQueue]) -> None:
        """Runs the work of a thread, and closes the queues that it feeds, so that the next one ends, too."""
        try:
            work()
        # The caller's thread raises it.
        except BaseException as error:
            self._errors.append(error)
            self._stopping.set()
        finally:
            for queue in feeds:
                queue.close()

    def _capture(self) -> None:
        for item in self._source.items(self._stopping):
            if isinstance(item, State):
                self._source_state = item.text
                continue
            self._source_state, self._last_frame = "", time.monotonic()
            self._frames.put(item)
            if self._recorder is not None:
                self._recorded.put(item)
            if self._stopping.is_set():
                return

    def _track(self) -> None:
        pose = layout.GROUPS["pose"]
        for frame in self._frames:
            begin = time.monotonic()
            points, visibility = self._tracker(frame.picture)
            # x is a fraction of the width, and z is in units of it.
            points[:, (0, 2)] *= np.float32(frame.aspect)
            self._num_people = self._count_people(frame.picture, frame.seconds)
            tracked = Tracked(frame, points, visibility)
            now = time.monotonic()
            if np.isfinite(points[pose]).any():
                self._last_body = now
            self.num_tracked += 1
            self.figures.add_frame(now - frame.arrived, now - begin)
            self._points.put((points, frame.seconds))
            self.shown.put(tracked)

    def _recognise(self) -> None:
        num_since_pause = 0
        try:
            while True:
                found = self._points.get(self._pause_seconds)
                begin = time.monotonic()
                if found is not None:
                    events = self._recognizer.push(*found)
                    num_since_pause += 1
                elif num_since_pause:
                    # Captions become final also when the camera is gone.
                    events, num_since_pause = self._recognizer.finish(), 0
                else:
                    continue
                self.figures.add_recognised(time.monotonic() - begin)
                self._publish(events)
        except Ended:
            self._publish(self._recognizer.finish())

    def _publish(self, events: Sequence) -> None:
        self.captions.update(events)
        for each in self._files:
            each.update(events)

    def _record(self, recorder: Recorder) -> None:
        try:
            for frame in self._recorded:
                recorder.add(frame)
        finally:
            recorder.close()
