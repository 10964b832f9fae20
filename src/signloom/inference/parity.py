"""Whether an exported model computes what its run computes: on made clips of every kind, and on real ones.

Shapes: B clips, T frames, P points of a view, T' output frames, V words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from signloom import layout
from signloom.corpus import Corpus, Utterance
from signloom.ctc.greedy import greedy_ids
from signloom.errors import CheckFailedError, plural
from signloom.inference.engine import Engine
from signloom.inference.model import Model
from signloom.score.wer import score

# The largest difference in log-probability in float32. Sums in another order differ by 1e-6 to 1e-5; two sentences that
# a decoder has to choose from rarely by less than 0.01.
TOLERANCE = 1e-3
# By how much the word error rate on dev may rise. Rounding may cost so many glosses, which are always allowed: on a
# small dev split two are more than 0.3 points.
MOST_WORSE = {"float32": 0.001, "int8": 0.003}
ALWAYS_ALLOWED = {"float32": 1, "int8": 3}
# Lengths of clips in frames: around every stride, and shorter and longer than what is signed in one go.
LENGTHS = (1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 31, 64, 127, 200, 403, 1500)
# A shift of a clip by these, in image heights, changes its features by rounding alone.
_SHIFTS = (0.125, 0.25, 0.5, 1.0)


@dataclass
class Parity:
    """What a comparison found.

    difference: the largest one in log-probability.  num_clips, num_same: clips compared, and those of them with the
    same greedy output.  rounding: clips whose angles are a matter of rounding: the run itself differs as much when
    such a clip is moved.  failed: what is wrong with the first clip that differs too much.
    wer_before, wer_after: of the run and of the exported model on dev, with the model's own decoder; None without one.
    """

    difference: float = 0.0
    num_clips: int = 0
    num_same: int = 0
    rounding: int = 0
    failed: str = ""
    corpus: str = ""
    decoder: str = ""
    reference_words: int = 0
    wer_before: float | None = None
    wer_after: float | None = None

    @property
    def same_greedy(self) -> float:
        return self.num_same / max(self.num_clips, 1)

    def check(self, precision: str) -> None:
        """Raises CheckFailedError if an exported model of this precision differs too much from its run."""
        wrong = self.failed
        if not wrong and self.wer_before is not None and self.wer_after is not None:
            rounding = (ALWAYS_ALLOWED[precision] + 0.01) / max(self.reference_words, 1)
            allowed = max(MOST_WORSE[precision], rounding)
            if not self.wer_after - self.wer_before <= allowed:
                wrong = (
                    f"WER on dev is {100 * self.wer_after:.2f} %, that of the run {100 * self.wer_before:.2f} %; "
                    f"needed at most {100 * allowed:.2f} points more"
                )
        if wrong:
            advice = "; export it with --precision float32" if precision != "float32" else ""
            raise CheckFailedError(
                f"export: the exported model differs from its run: {wrong}; nothing was written{advice}"
            )

    def add(
        self, place: str, before: np.ndarray, after: np.ndarray, moved: Callable[[float], np.ndarray] | None
    ) -> None:
        """Adds the log-probabilities (T', V) of one clip, by the run and by the exported model.

        moved: returns those of the run for the clip moved by so much; None where the difference is only recorded.
        """
        self.num_clips += 1
        if before.shape != after.shape:
            self.failed = f"{place}: output of shape {after.shape}; needed {before.shape}"
            return
        if not np.isfinite(after).all():
            self.failed = f"{place}: output that is not finite"
            return
        difference = float(np.abs(before - after).max())
        self.num_same += _greedy(before) == _greedy(after)
        self.difference = max(self.difference, difference)
        if difference <= TOLERANCE or moved is None:
            return
        own = max(float(np.abs(moved(shift) - before).max()) for shift in _SHIFTS)
        if difference <= 2 * own:
            self.rounding += 1
        else:
            self.failed = f"{place}: log-probabilities differ by up to {difference:.2g}; needed at most {TOLERANCE:g}"


def compare(
    before: Model,
    after: Model,
    corpus: Corpus | None,
    *,
    exact: bool,
    advance: Callable[[int], object] = lambda count: None,
) -> Parity:
    """Returns how an exported model differs from its run, on made clips and on the dev split of a corpus.

    Ends with the first clip that differs too much.

    exact: whether differences in log-probability over the tolerance are faults; else they are recorded.
    advance: called with the number of dev utterances after each.
    """
    parity = Parity(decoder=before.decoder_name)
    for points, lengths in made_clips(before.engine.config.view):
        _add_batch(parity, before.engine, after.engine, points, lengths, exact=exact)
        if parity.failed:
            return parity
    dev = dev_utterances(corpus)
    if corpus is None or not dev:
        return parity
    parity.corpus = corpus.name
    hypotheses: list[tuple[list[str], ...]] = []
    order: list[Utterance] = []
    both = zip(before.emissions(corpus, dev), after.emissions(corpus, dev), strict=True)
    for (item, log_probs), (_, others) in both:

        def moved(shift: float, item: Utterance = item) -> np.ndarray:
            points = before.points(corpus.load_view(item, before.view))[:]
            return before.engine.log_probs(points[None] + np.float32(shift))[0][0]

        parity.add(item.id, log_probs, others, moved if exact else None)
        if parity.failed:
            return parity
        order.append(item)
        ids = before.decoder.all_ids([log_probs, others])
        hypotheses.append(tuple(before.vocabulary.decode(sentence) for sentence in ids))
        advance(1)
    was, now = (
        score((item.id, item.glosses, words) for item, words in zip(order, sentences, strict=True))
        for sentences in zip(*hypotheses, strict=True)
    )
    parity.wer_before, parity.wer_after, parity.reference_words = was.wer, now.wer, was.reference_words
    return parity


def dev_utterances(corpus: Corpus | None) -> Sequence[Utterance]:
    """Returns the dev split of a corpus, which may be empty."""
    return corpus.utterances.in_split("dev") if corpus is not None else []


def made_clips(view: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields batches (B, T, P, 3) of body-like points and their lengths (B,).

    Every length of `LENGTHS` is there with every kind of missing part: a group of points, one shoulder, a shoulder now
    and then, all but the hands, single points, whole frames, everything. A hand is lost for a frame, for two, for three
    and so on. Other clips of a batch are shorter.
    """
    rng = np.random.default_rng(0)
    groups = layout.subset_groups(view)
    names = layout.subset(view).tolist()
    left, right = (layout.subset_index(view, f"pose.{side}_shoulder") for side in ("left", "right"))
    for num_frames in LENGTHS:
        # Of long clips, two kinds are enough.
        num_clips = len(groups) + 7 if num_frames < 100 else 2
        start = rng.uniform(0.2, 0.8, (num_clips, 1, len(names), 3))
        start[:, :, left, :2], start[:, :, right, :2] = (0.65, 0.41), (0.35, 0.39)
        walk = rng.normal(0, 0.01, (num_clips, num_frames, len(names), 3)).cumsum(1) / np.sqrt(num_frames)
        points = (start + walk + rng.normal(0, 0.003, walk.shape)).astype(np.float32)
        scattered = rng.random(points.shape[1:3]) < 0.3
        points[0, scattered] = np.nan
        found = np.cumsum(np.arange(1, num_frames + 1)) - 1
        points[0, ~np.isin(np.arange(num_frames), found), groups["left_hand"]] = np.nan
        if num_clips > 2:
            for row, part in zip(points[1:], groups.values(), strict=False):
                row[:, part] = np.nan
            rest = points[1 + len(groups) :]
            rest[0, :, left] = np.nan
            rest[1, ::2, right] = np.nan
            rest[2, :, groups["pose"]] = np.nan
            rest[2, :, groups["face"]] = np.nan
            rest[3, rng.random(num_frames) < 0.5] = np.nan
            rest[4] = np.nan
        lengths = rng.integers(1, num_frames + 1, num_clips)
        lengths[[0, -1]] = num_frames
        yield points, lengths
        yield points[1:2], np.array([num_frames])


def _add_batch(
    parity: Parity, before: Engine, after: Engine, points: np.ndarray, lengths: np.ndarray, *, exact: bool
) -> None:
    log_probs, output_lengths = before.log_probs(points, lengths)
    others, other_lengths = after.log_probs(points, lengths)
    for row, length in enumerate(lengths.tolist()):

        def moved(shift: float, row: int = row, length: int = length) -> np.ndarray:
            return before.log_probs(points[row : row + 1, :length] + np.float32(shift))[0][0]

        parity.add(
            f"clip {row + 1} of a batch of {len(points)}, {plural(length, 'frame')}",
            log_probs[row, : output_lengths[row]],
            others[row, : other_lengths[row]],
            moved if exact else None,
        )
        if parity.failed:
            return


def _greedy(log_probs: np.ndarray) -> list[int]:
    return greedy_ids(log_probs[None], np.array([len(log_probs)]))[0]
