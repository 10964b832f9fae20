"""The glosses of one utterance, found while its frames arrive.

Shapes: T frames of a window, P points of the model's view, T' output frames, V words, S glosses.

Every few frames the model computes a window: all frames that are not final yet, and some before them. An output frame
becomes final when the window reaches far enough beyond it, and then its values never change. Far enough is the
look-ahead, or one output frame less at the end of a gloss that the model is sure of. The *seam* between final frames
and others lies only before an output frame without a gloss, so that no gloss is cut. Decoding goes on behind it with
the probability that the last gloss is still emitted, as CTC merges repeats. So a gloss that the next window emits a
frame earlier or later, or more broadly, is neither lost nor doubled. One that slides along with the windows is two
(`stream_repeats`).

Where the model's decoding asks for one gloss of which it is sure (`Limits.sure`), it asks for one in each stretch of
glosses that follow one another closely. Those before it stay provisional, and are withdrawn if none comes.
"""

from __future__ import annotations

import math
import sys
from collections import deque
from dataclasses import dataclass, replace

import numpy as np

from signloom.ctc.confidence import confidences
from signloom.ctc.hypothesis import Emission, GlossSpan, named
from signloom.ctc.spans import SpanSettings, emission_seconds, spans
from signloom.ctc.viterbi import forced_alignment
from signloom.inference.model import Model
from signloom.inference.stream_options import StreamOptions, stream_limits
from signloom.inference.stream_repeats import RepeatFinder, Sighting
from signloom.vocabulary import BLANK_ID

# Where glosses follow one another without a free output frame between them, the seam lies elsewhere after so long.
_LONGEST_WAIT_SECONDS = 1.0
# A gloss of such a confidence becomes final an output frame before its look-ahead is over, and counts as signed if it
# slides along with the windows. Chosen on streams that are in no row of benchmarks/figures/streams.md.
_SURE = 0.9
# A gloss waits at most so long after its end for one of which the model is sure.
_LONGEST_HELD_SECONDS = 3.0


@dataclass(frozen=True)
class Reading:
    """What a window showed.

    finals: glosses that are final from now on, in order.  provisional: the glosses after them, as they look now. Both
    without those that are not sure enough.
    """

    finals: tuple[GlossSpan, ...] = ()
    provisional: tuple[GlossSpan, ...] = ()


class UtteranceWindow:
    """The newest frames of one utterance, and its glosses that are not final.

    start_seconds: the time of its first frame.  num_frames: how many there were so far.
    num_signed: how many of them there are up to the end of the last gloss that is shown, provisional or final.
    Memory does not grow with the length of the utterance.
    """

    def __init__(self, model: Model, options: StreamOptions, start_seconds: float) -> None:
        config, engine = model.engine.config, model.engine
        self._model = model
        self._settings = SpanSettings.of(model.info)
        self._limits = stream_limits(model.decoding)
        # Glosses that would be final if the model were sure of one; whether it was, in the last stretch of glosses; the
        # end of that stretch, and how soon another gloss belongs to it.
        self._held: tuple[GlossSpan, ...] = ()
        self._is_signing = False
        self._stretch_end = -math.inf
        self._longest_gap = options.rest_seconds
        self.start_seconds = start_seconds
        self._step_seconds = engine.step_seconds
        # Windows begin where the body's strides fall on the same frames as in the whole utterance.
        self._grid = math.prod(config.body_strides)
        self._outputs = self._grid // config.stride
        self._update = self._grid * max(1, round(options.update_seconds * config.fps / self._grid))
        self._lookahead = math.ceil(options.lookahead_seconds / self._step_seconds - 1e-6)
        self._context = math.ceil(options.context_seconds * config.fps / self._grid - 1e-6)
        self._longest_wait = math.ceil(_LONGEST_WAIT_SECONDS / self._step_seconds)
        self._frames: deque[np.ndarray] = deque()
        # The numbers of the first frame that is kept, in grid steps, and of the first output frame that is not final.
        self._first = 0
        self._seam = 0
        self.num_frames = 0
        self.num_signed = self._num_signed_finally = 0
        # The last final gloss: when it was emitted, its end, and the probability that it goes on behind the seam.
        self._emitted: float | None = None
        self._end = 0.0
        self._still_open = 0.0
        self._repeats = RepeatFinder(_SURE)
        order = model.language_model.order if model.language_model else 1
        self._history: deque[int] = deque(maxlen=max(1, order - 1))

    def push(self, points: np.ndarray) -> Reading | None:
        """Returns what a window over the newest frames shows, if it is time for one. points: (P, 3), the next frame."""
        self._frames.append(points)
        self.num_frames += 1
        return self._read() if self.num_frames % self._update == 0 else None

    def finish(self, num_frames: int) -> Reading:
        """Returns the last glosses of an utterance that has `num_frames`.

        The model sees later frames too, as it did before: without them, it could emit a gloss again elsewhere.
        """
        num_outputs = -(-num_frames // self._model.engine.config.stride)
        return self._read(num_outputs - self._seam) if num_outputs > self._seam else Reading()

    def _read(self, num_outputs: int | None = None) -> Reading:
        """Returns what a window shows. num_outputs: not final yet, if the utterance ends with them."""
        ends = num_outputs is not None
        log_probs = self._log_probs()[:num_outputs]
        ids = self._model.decoder.n_best(
            log_probs, history=tuple(self._history), still_open=self._still_open, ends=ends
        )[0].ids
        glosses, runs, emitted = self._located(log_probs, ids)
        trusted = len(log_probs) if ends else self._trusted(len(log_probs), glosses, runs)
        seam = trusted if ends else _seam(runs, len(log_probs), trusted, trusted > self._longest_wait)
        count = int((runs[:, 0] < seam).sum())
        if count:
            self._emitted, self._end = float(emitted[count - 1]), glosses[count - 1].end_seconds
            self._history.extend(ids[:count])
            self._still_open = 1.0
        if seam:
            start = min(int(runs[count - 1, 1]), seam) if count else 0
            self._still_open = self._open_after(log_probs[start:seam])
            self._seam += seam
            self._forget()
        sightings = [Sighting(*one) for one in zip(ids, emitted.tolist(), (g.confidence for g in glosses), strict=True)]
        if not ends and (earlier := self._repeats.found(sightings, count, self._seam * self._step_seconds)):
            glosses = self._with_earlier(earlier, glosses, emitted, count)
            count += 1
        # The others still take part in decoding and in times.
        finals, provisional = (named(part, self._limits.least) for part in (glosses[:count], glosses[count:]))
        finals = self._vouched(finals)
        provisional = () if ends else self._held + provisional
        if finals:
            self._num_signed_finally = self._num_frames_until(finals[-1].end_seconds)
        self.num_signed = (
            self._num_frames_until(provisional[-1].end_seconds) if provisional else self._num_signed_finally
        )
        return Reading(finals, provisional)

    def _vouched(self, finals: tuple[GlossSpan, ...]) -> tuple[GlossSpan, ...]:
        """Returns the glosses that are final now, of those that are held and the next ones; holds the others."""
        vouched: list[GlossSpan] = []
        for span in finals:
            if span.start_seconds - self._stretch_end > self._longest_gap:
                self._held, self._is_signing = (), False
            self._stretch_end = span.end_seconds
            self._is_signing = self._is_signing or span.confidence >= self._limits.sure
            self._held += (span,)
            if self._is_signing:
                vouched += self._held
                self._held = ()
        seen = self.start_seconds + self._seam * self._step_seconds
        if seen - self._stretch_end > self._longest_gap:
            self._held = ()
        self._held = tuple(span for span in self._held if seen - span.end_seconds <= _LONGEST_HELD_SECONDS)
        return tuple(vouched)

    def _trusted(self, length: int, glosses: tuple[GlossSpan, ...], runs: np.ndarray) -> int:
        """Returns how many of `length` output frames may become final: the window reaches far enough beyond them.

        It must reach `lookahead` frames beyond, and one less where a gloss ends that the model is sure of. So a gloss
        of which it is not sure keeps its whole look-ahead, whatever follows it.
        """
        trusted = length - self._lookahead
        sure = any(
            stop == trusted + 1 < length and gloss.confidence >= _SURE
            for gloss, stop in zip(glosses, runs[:, 1].tolist(), strict=True)
        )
        return trusted + sure

    def _num_frames_until(self, seconds: float) -> int:
        """Returns how many frames of the utterance begin before a moment of the stream."""
        count = math.ceil((seconds - self.start_seconds) * self._model.engine.config.fps - 1e-6)
        return min(count, self.num_frames)

    def _open_after(self, log_probs: np.ndarray) -> float:
        """Returns the probability that the last final gloss is still emitted after frames (n, V) without another."""
        if not self._history:
            return 0.0
        still_open, closed = self._still_open, 1.0 - self._still_open
        for blank, gloss in np.exp(log_probs[:, [BLANK_ID, self._history[-1]]].astype(np.float64)):
            still_open, closed = still_open * gloss, (still_open + closed) * blank
            total = max(still_open + closed, sys.float_info.min)
            still_open, closed = still_open / total, closed / total
        return still_open

    def _log_probs(self) -> np.ndarray:
        """Returns the log-probabilities of the output frames that are not final, (T', V)."""
        rows: np.ndarray = self._model.engine.log_probs(np.stack(self._frames)[None])[0][0]
        return rows[self._seam - self._first * self._outputs :]

    def _located(
        self, log_probs: np.ndarray, ids: tuple[int, ...]
    ) -> tuple[tuple[GlossSpan, ...], np.ndarray, np.ndarray]:
        """Returns glosses with their spans, their output frames (S, 2), and the times of their emission (S,)."""
        alignment = forced_alignment(log_probs, ids)
        offset = self._seam * self._step_seconds
        emission = Emission(log_probs, self._step_seconds, self._duration - offset)
        emitted = offset + emission_seconds(emission, ids, alignment)
        times = self._times(emitted)
        raw = confidences(log_probs, ids, alignment)
        glosses = tuple(
            GlossSpan(
                self._model.vocabulary.words[word],
                float(start),
                float(end),
                self._settings.calibration.apply(confidence),
            )
            for word, (start, end), confidence in zip(ids, times, raw.tolist(), strict=True)
        )
        return glosses, alignment.runs, emitted

    @property
    def _duration(self) -> float:
        return self.num_frames / self._model.engine.config.fps

    def _times(self, emitted: np.ndarray) -> np.ndarray:
        """Returns start and end of the glosses after the last final one, (S, 2), from when they were emitted, (S,)."""
        # The last final gloss is the neighbour of the first one here.
        before = [] if self._emitted is None else [self._emitted]
        times = spans(np.append(before, emitted), self._duration, self._settings.timing)[len(before) :]
        result: np.ndarray = np.maximum(times + self.start_seconds, max(self._end, self.start_seconds))
        return result

    def _with_earlier(
        self, earlier: Sighting, glosses: tuple[GlossSpan, ...], emitted: np.ndarray, count: int
    ) -> tuple[GlossSpan, ...]:
        """Returns the glosses of a window with one that was signed after the `count` final ones, and is final too."""
        (start, end), *times = self._times(np.append(earlier.emitted, emitted[count:])).tolist()
        gloss = GlossSpan(self._model.vocabulary.words[earlier.word], start, end, earlier.confidence)
        self._emitted, self._end = earlier.emitted, gloss.end_seconds
        self._history.append(earlier.word)
        self._still_open = 0.0
        later = (
            replace(one, start_seconds=start, end_seconds=end)
            for one, (start, end) in zip(glosses[count:], times, strict=True)
        )
        return (*glosses[:count], gloss, *later)

    def _forget(self) -> None:
        """Drops the frames that no later window needs."""
        first = max(self._first, self._seam // self._outputs - self._context)
        for _ in range((first - self._first) * self._grid):
            self._frames.popleft()
        self._first = first


def _seam(runs: np.ndarray, length: int, trusted: int, waited: bool) -> int:
    """Returns how many of `length` output frames become final: at most `trusted`, so that no gloss is cut.

    runs: the output frames of each gloss (S, 2).  waited: too long to go on looking for a frame without a gloss.
    """
    owner = np.full(length, -1)
    for number, (start, stop) in enumerate(runs):
        owner[start:stop] = number
    ends = range(trusted, 0, -1)
    free = next((end for end in ends if owner[end] < 0), 0)
    if free or not waited:
        return free
    return next((end for end in ends if owner[end - 1] != owner[end]), max(trusted, 0))
