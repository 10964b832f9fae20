"""Recognition of a stream: frames go in, glosses come out while people sign.

Shapes: n frames, P points of the model's view.

A stream is cut into utterances where the hands rest (`stream_rest`), where nobody is in view, and where frames stop.
Some signs are made where hands rest, and hardly move: a gloss that the model shows while hands in view rest puts off
the end. In an utterance glosses are provisional at first, and final when the model has seen enough of what follows
(`stream_window`). Time is counted in the stream's own seconds (`stream_clock`), so lost frames and other frame rates
move nothing.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from signloom import layout
from signloom.errors import InputError
from signloom.inference.model import Model
from signloom.inference.stream_clock import StreamClock
from signloom.inference.stream_events import Event, EventMaker
from signloom.inference.stream_options import StreamOptions
from signloom.inference.stream_rest import RestDetector
from signloom.inference.stream_window import UtteranceWindow

# Hands that move for a shorter time start no utterance: the tracker loses or swaps hands in single frames.
_ONSET_SECONDS = 0.12
# An utterance has so much of the rest before and after it: hands rise and sink.
_MARGIN_SECONDS = 0.2
# Hands that rest for so many times `rest_seconds` end an utterance whatever the model shows.
_LONGEST_RESTS = 1.5
# A frame that is late by more shows that the clock of the stream was set back.
_LATEST_SECONDS = 1.0


class StreamingRecognizer:
    """Recognises one stream. Its memory is constant, however long the stream is.

    model: any model of `signloom.load`.  options: when glosses become final and utterances end.
    Glosses with a lower confidence than the model's decoding asks for are never shown; where nobody chose limits
    (`Model.with_limits`), those of `stream_options` hold.
    num_late: frames that were left out so far, because they were not later than the frame before.
    """

    def __init__(self, model: Model, options: StreamOptions | None = None) -> None:
        self._model = model
        self._options = options or StreamOptions()
        self._fps = model.engine.config.fps
        self._points = layout.subset(model.view)
        self._onset, self._margin, self._rest = (
            max(1, round(seconds * self._fps))
            for seconds in (_ONSET_SECONDS, _MARGIN_SECONDS, self._options.rest_seconds)
        )
        self._events = EventMaker()
        self._window: UtteranceWindow | None = None
        # Frames of the rest, or of the pause, before the next utterance.
        self._waiting: deque[np.ndarray] = deque(maxlen=self._margin + self._onset)
        # For how many frames the hands have rested, and for how many they have not.
        self._num_resting = self._num_active = 0
        self._last_seconds: float | None = None
        self.num_late = 0
        self._restart()

    def push(self, points: np.ndarray, seconds: np.ndarray | float) -> list[Event]:
        """Returns what the next frames change.

        points: (n, 543, 3), or (n, P, 3) with the points of the model's view alone; units of image height, NaN where
        missing. A frame in which nobody was found is all NaN.  seconds: (n,), the times of the frames on any clock.
        A single frame may come without its first axis, (P, 3), with a number.

        Raises InputError for other shapes, infinite values, and frames over a second older than the last one. Then none
        of the frames counts.
        """
        points, times = self._checked(points, seconds)
        events: list[Event] = []
        for frame, moment in zip(points, times.tolist(), strict=True):
            events += self._frame(frame, moment)
        return events

    def finish(self) -> list[Event]:
        """Returns the last glosses when the stream ends, or stops for a while. Later frames may follow."""
        events: list[Event] = []
        for points, moment in self._clock.finish():
            events += self._advance(points, moment)
        events += self._end()
        self._restart()
        return events

    def _checked(self, points: np.ndarray, seconds: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
        """Returns the points of the model's view (n, P, 3) float32 and their times (n,)."""
        points, times = np.asarray(points, dtype=np.float32), np.asarray(seconds, dtype=np.float64)
        if points.ndim == 2 and times.ndim == 0:
            points, times = points[None], times[None]
        counts = (layout.NUM_POINTS, len(self._points))
        if points.ndim != 3 or points.shape[1] not in counts or points.shape[2] != 3 or times.shape != points.shape[:1]:
            raise InputError(
                f"stream: points of shape {points.shape}, seconds of shape {times.shape}; needed (n, {counts[0]}, 3) "
                f"or (n, {counts[1]}, 3), the points of the {self._model.view} view, and (n,)"
            )
        if not np.isfinite(times).all():
            raise InputError("stream: the time of a frame is NaN or infinite; needed seconds")
        if np.isinf(points).any():
            raise InputError("stream: a coordinate is infinite; needed numbers, or NaN for points that are missing")
        latest = np.maximum.accumulate(times if self._last_seconds is None else np.append(self._last_seconds, times))
        behind = latest[-len(times) :] - times if len(times) else times
        if (behind > _LATEST_SECONDS).any():
            at = int(np.argmax(behind > _LATEST_SECONDS))
            raise InputError(
                f"stream: a frame at {times[at]:.3f} s follows one at {times[at] + behind[at]:.3f} s; needed ascending "
                "times. Begin a new StreamingRecognizer where the clock was set back"
            )
        if points.shape[1] != counts[1]:
            points = points[:, self._points]
        return points, times

    def _frame(self, points: np.ndarray, seconds: float) -> list[Event]:
        """Returns what one frame of the stream changes."""
        last = self._last_seconds
        if last is not None and seconds <= last:
            self.num_late += 1
            return []
        events: list[Event] = []
        if last is not None and seconds - last > self._options.pause_seconds:
            events += self.finish()
        self._last_seconds = seconds
        for frame, moment in self._clock.push(points, seconds):
            events += self._advance(frame, moment)
        return events

    def _advance(self, points: np.ndarray, seconds: float) -> list[Event]:
        """Returns what one frame at the model's rate changes."""
        self._num_resting = self._detector.advance(points)
        window = self._window
        if window is None:
            self._waiting.append(points)
            self._num_active = 0 if self._num_resting else self._num_active + 1
            return self._begin(seconds) if self._num_active >= self._onset else []
        events = self._window_events(window, points)
        ended = self._num_idle(window) >= self._rest or self._num_resting >= _LONGEST_RESTS * self._rest
        return events + self._end() if ended else events

    def _num_idle(self, window: UtteranceWindow) -> int:
        """Returns for how many frames up to the last one hands have rested, and were not seen or no gloss was shown.

        Hands that are out of view sign nothing. A model that never saw them so shows glosses all the same.
        """
        return min(self._num_resting, max(window.num_frames - window.num_signed, self._detector.num_unseen))

    def _begin(self, seconds: float) -> list[Event]:
        """Begins an utterance with the frames that waited, the last of them at `seconds`."""
        self._window = window = UtteranceWindow(
            self._model, self._options, seconds - (len(self._waiting) - 1) / self._fps
        )
        waiting = list(self._waiting)
        self._waiting.clear()
        return [event for points in waiting for event in self._window_events(window, points)]

    def _window_events(self, window: UtteranceWindow, points: np.ndarray) -> list[Event]:
        reading = window.push(points)
        return [] if reading is None else self._events.changes(reading)

    def _end(self) -> list[Event]:
        """Ends the utterance, if there is one, shortly after the hands began to rest."""
        window, self._window, self._num_active = self._window, None, 0
        if window is None:
            return []
        num_frames = window.num_frames - max(0, self._num_idle(window) - self._margin)
        return self._events.end(window.finish(num_frames), window.start_seconds + num_frames / self._fps)

    def _restart(self) -> None:
        """Forgets the frames so far: what comes next does not continue them."""
        self._clock = StreamClock(self._fps)
        self._detector = RestDetector(self._model.view, self._fps)
        self._waiting.clear()
        self._num_resting = self._num_active = 0
