"""Streams whose truth is known, for benchmarks/streaming.py: sentences of one signer with rest between them.

Shapes: T frames, P points of a view.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import common  # noqa: F401 - puts the checkout's own source on the path
import numpy as np

from signloom import layout
from signloom.compose.sentences import JOIN_FRAMES, retimed_positions
from signloom.corpus import Corpus, Utterance
from signloom.landmarks import ClipView, interpolate

VIEW = "compact"
# Idle between two sentences, in seconds.
IDLE_SECONDS = (1.5, 6.0)
# Hands that move from one simulated clip to the next.
MOVE_SECONDS = 0.5
# Frames at either end of a simulated clip in which its hands rest for certain.
REST_FRAMES = 4
# Noise that is added to a resting frame that is shown again, in units of image height: that of a tracker.
NOISE = 0.001


@dataclass(frozen=True)
class Sentence:
    """A sentence in a stream: its glosses, and the frames [start, end) of each."""

    glosses: tuple[str, ...]
    boundaries: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Stream:
    """Frames (T, P, 3) of one signer at an even rate, the sentences in them, and the frames [start, end) of each idle
    clip with its id."""

    points: np.ndarray
    fps: float
    sentences: tuple[Sentence, ...]
    idle: tuple[tuple[int, int, str], ...] = ()

    def idle_clip(self, seconds: float) -> str | None:
        """Returns the id of the idle clip that is shown at a moment, if there is one."""
        frame = seconds * self.fps
        return next((name for start, end, name in self.idle if start <= frame < end), None)

    def cut(self, sentence: Sentence) -> ClipView:
        """Returns the frames of a sentence alone, as a recogniser of whole clips gets them."""
        points = self.points[sentence.boundaries[0][0] : sentence.boundaries[-1][1]]
        return ClipView(VIEW, points, self.fps, np.arange(len(points)) / self.fps)


class _Reel:
    """Frames that are put one after another."""

    def __init__(self) -> None:
        self.pieces: list[np.ndarray] = []
        self.length = 0

    def add(self, points: np.ndarray) -> tuple[int, int]:
        """Returns the frames at which the new piece lies."""
        self.pieces.append(points)
        self.length += len(points)
        return self.length - len(points), self.length

    def move_to(self, frame: np.ndarray, count: int) -> None:
        """Adds `count` frames on the way from the last one to `frame`, which is not added."""
        if self.pieces:
            self.add(interpolate(np.stack([self.pieces[-1][-1], frame]), np.arange(1, count + 1) / (count + 1)))


def is_rest(points: np.ndarray) -> bool:
    """Returns whether both hands of an idle clip (T, P, 3) are out of view all the time."""
    groups = layout.subset_groups(VIEW)
    return not any(np.isfinite(points[:, groups[f"{side}_hand"], 0]).any() for side in ("left", "right"))


def composed(
    corpus: Corpus, signer: str, idle_gloss: str, *, minutes: float, fidgets: bool, sentences: bool, seed: int
) -> Stream:
    """Returns a stream of real clips of one signer: sentences of 3 to 8 signs, joined as `signloom compose` does, and
    between them stretches of idle clips.

    fidgets: idle clips of all kinds; else those with both hands out of view.
    sentences: leave them out for idling alone.
    """
    rng = np.random.default_rng([seed, fidgets, sentences])
    clips: dict[str, list[tuple[str, np.ndarray]]] = {}
    fps = 25.0
    for item in (item for item in corpus if item.signer == signer):
        clip = corpus.load_view(item, VIEW)
        fps = clip.fps
        clips.setdefault(item.glosses[0], []).append((item.id, clip.points.astype(np.float32)))
    idle = [(name, points) for name, points in clips.pop(idle_gloss) if fidgets or is_rest(points)]
    reel, made, idled = _Reel(), [], []

    def show(pool: Sequence[tuple[str, np.ndarray]]) -> tuple[int, int]:
        name, points = pool[rng.integers(len(pool))]
        points = interpolate(points, retimed_positions(len(points), rng))
        reel.move_to(points[0], int(rng.integers(*JOIN_FRAMES, endpoint=True)))
        place = reel.add(points)
        if pool is idle:
            idled.append((*place, name))
        return place

    while reel.length < minutes * 60 * fps:
        until = reel.length + rng.uniform(*IDLE_SECONDS) * fps
        while reel.length < until:
            show(idle)
        if sentences:
            glosses = rng.choice(sorted(clips), size=rng.integers(3, 8, endpoint=True)).tolist()
            made.append(Sentence(tuple(glosses), tuple(show(clips[gloss]) for gloss in glosses)))
    until = reel.length + IDLE_SECONDS[0] * fps
    while reel.length < until:
        show(idle)
    return Stream(np.concatenate(reel.pieces), fps, tuple(made), tuple(idled))


def simulated(corpus: Corpus, signer: str, *, minutes: float, sentences: bool, seed: int) -> Stream:
    """Returns a stream of simulated utterances of one signer, whose resting hands stay in place between them.

    sentences: leave them out for resting hands alone, that move from one place to the next.
    """
    rng = np.random.default_rng([seed, sentences])
    items = [item for item in corpus.split("test") if item.signer == signer]
    reel, made = _Reel(), []
    fps = items[0].fps

    def rest(frames: np.ndarray) -> None:
        count = round(rng.uniform(*IDLE_SECONDS) / 2 * fps)
        shown = frames[rng.integers(len(frames), size=count)]
        reel.add(shown + NOISE * rng.standard_normal(shown.shape).astype(np.float32))

    # None comes again before all were shown: an utterance that is missed once is missed each time.
    order: list[int] = []
    while reel.length < minutes * 60 * fps:
        order = order or rng.permutation(len(items)).tolist()
        item: Utterance = items[order.pop()]
        points = corpus.load_view(item, VIEW).points.astype(np.float32)
        reel.move_to(points[0], round(MOVE_SECONDS * fps))
        rest(points[:REST_FRAMES])
        if sentences:
            start, _ = reel.add(points)
            spans = tuple((start + first, start + end) for first, end in item.truth["boundaries"])
            made.append(Sentence(item.glosses, spans))
        else:
            reel.move_to(points[-1], round(MOVE_SECONDS * fps))
        rest(points[-REST_FRAMES:])
    return Stream(np.concatenate(reel.pieces), fps, tuple(made))
