"""Prefix beam search: the gloss sequences with the largest probability, summed over all their CTC paths.

Shapes: T' output frames, V words.

In each frame, every prefix in the beam first continues unchanged (a blank, or its last gloss again). Once the beam is
full, a new prefix is kept only if it exceeds the lowest of the best scores so far. Tokens and prefixes are tried in
order of probability, until none can exceed it. This pruning saves work and never changes the result: the beam is the
same as if all were tried.

Source: Graves, "Supervised Sequence Labelling with Recurrent Neural Networks", 2008, section 7.5.2; Hannun et al. 2014,
"First-Pass Large Vocabulary Continuous Speech Recognition using Bi-Directional Recurrent DNNs", algorithm 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from heapq import heapify, heappushpop
from operator import attrgetter, itemgetter
from typing import NamedTuple

import numpy as np

from signloom.ctc.forward_score import log_forward_of_parts
from signloom.ctc.lm_fusion import LanguageState, NGramFusion
from signloom.errors import InputError
from signloom.vocabulary import BLANK_ID

BEAM_SIZE = 10
TOKENS_PER_FRAME = 20
# Scores are probabilities, divided by the best one whenever it leaves this range. One frame shrinks the best by 1 / V
# and the language model's factor (`SMALLEST_FACTOR` in lm_fusion.py) at most. So only scores far below the best can
# reach a double's limit of 1e-308.
_RANGE = (1e-60, 1e60)
# Sequences whose scores (natural logarithms) are this close to the best may win if all their paths are counted.
_CLOSE = 1.0
# At most this many close sequences are scored again, to save time.
_MAX_CLOSE = 4
# A row of probabilities may differ from 1 by this much: single precision over thousands of words is off by up to 1e-5.
SUM_TOLERANCE = 1e-3
# Prefixes that left the beam are forgotten after this many frames.
_PRUNE_FRAMES = 256
# Probabilities that are held at once (32 MB in single precision).
_VALUES = 8_000_000


class Candidate(NamedTuple):
    """A gloss sequence and its score.

    score: natural logarithm of the probability of all its paths that the beam kept, plus the weighted score of the
    language model if there is one.
    """

    ids: tuple[int, ...]
    score: float


class _Prefix:
    """A node of the trie of prefixes. Outside the beam, all its probabilities are 0.

    blank, gloss: probability of the paths that end in a blank, and in the last gloss.  total: their sum.
    """

    __slots__ = ("blank", "children", "depth", "factor", "gloss", "last", "parent", "repeats", "state", "total")

    def __init__(self, parent: _Prefix | None, last: int, factor: float, state: LanguageState | None) -> None:
        self.blank = self.gloss = self.total = 0.0
        self.last = last
        self.parent = self if parent is None else parent
        self.repeats = parent is not None and parent.last == last
        self.depth: int = 0 if parent is None else parent.depth + 1
        self.factor = factor
        self.state = state
        self.children: dict[int, _Prefix] = {}

    def ids(self) -> tuple[int, ...]:
        ids = []
        node = self
        while node.depth:
            ids.append(node.last)
            node = node.parent
        return tuple(reversed(ids))


def prefix_beam(
    log_probs: np.ndarray,
    *,
    beam_size: int = BEAM_SIZE,
    tokens_per_frame: int = TOKENS_PER_FRAME,
    fusion: NGramFusion | None = None,
    history: Sequence[int] = (),
    still_open: float = 0.0,
    ends: bool = True,
    complete: bool = True,
) -> list[Candidate]:
    """Returns the gloss sequences left in the beam after the last frame, best first: at most `beam_size`, at least one.

    log_probs: (T', V), column 0 is blank; the exponentials of each row sum to 1.
    tokens_per_frame: each frame extends a prefix by at most this many of its most probable tokens, blank included.
    fusion: a language model.
    history: glosses of the sentence before these frames, which the result does not repeat; for the language model.
    still_open: probability that the last of them goes on in the first frame, rather than a blank.
    ends: whether the sentence ends with these frames, for the language model.
    complete: rank the best sequences (up to four with close scores) by all their paths, as CTC defines it, not only by
    the paths that the beam kept; not where a gloss is still open.

    All other scores lack the paths that the beam dropped. Among equal scores the one found first comes first.
    Raises InputError for a beam size below 1, NaN, and rows that do not sum to 1.
    """
    log_probs = np.asarray(log_probs)
    if log_probs.ndim != 2 or not len(log_probs) or log_probs.shape[1] < 2:
        raise InputError(
            f"beam search: log_probs of shape {log_probs.shape}, needed (T', V) with T' of at least 1, V of at least 2"
        )
    size = max(1, _VALUES // log_probs.shape[1])
    search = BeamSearch(
        beam_size=beam_size,
        tokens_per_frame=tokens_per_frame,
        fusion=fusion,
        history=history,
        still_open=still_open,
        ends=ends,
    )
    for start in range(0, len(log_probs), size):
        frames = FrameProbs(log_probs[start : start + size], start)
        search.advance(frames)
    if still_open or not complete:
        return search.candidates()

    def parts() -> Iterator[np.ndarray]:
        """Yields the probabilities once more; those of a clip of one part are still there."""
        for start in range(0, len(log_probs), size):
            yield (frames if len(log_probs) <= size else FrameProbs(log_probs[start : start + size], start)).probs

    return _completed(parts(), search)


class FrameProbs:
    """The probabilities of some frames of an emission, divided by the largest of each frame.

    first: the number of the first frame.
    probs: (T', V).  flat: the same values, frame after frame.  highest: the largest of each frame, blank excluded.
    largest: logarithm of the divisor of each frame, (T',).
    Raises InputError for NaN and for rows that do not sum to 1.
    """

    def __init__(self, log_probs: np.ndarray, first: int = 0) -> None:
        if log_probs.dtype not in (np.float32, np.float64):
            log_probs = log_probs.astype(np.float32)
        largest = log_probs.max(axis=1, keepdims=True)
        if not np.isfinite(largest).all():
            frame = int(np.flatnonzero(~np.isfinite(largest[:, 0]))[0])
            worst = float(largest[frame, 0])
            kind = "NaN" if math.isnan(worst) else "infinity" if worst > 0 else "nothing above -inf"
            raise InputError(f"beam search: {kind} in output frame {first + frame}; needed log-probabilities")
        probs = np.ascontiguousarray(log_probs - largest)
        # In place, because allocating another array of this size takes longer than filling it.
        np.exp(probs, out=probs)
        self.largest = largest[:, 0].astype(np.float64)
        # The exponential of large logits would overflow; any such sum is wrong anyway.
        sums = probs.sum(axis=1) * np.exp(np.minimum(self.largest, 700.0))
        if (wrong := np.abs(sums - 1.0) > SUM_TOLERANCE).any():
            frame = int(np.flatnonzero(wrong)[0])
            raise InputError(
                f"beam search: the probabilities of output frame {first + frame} sum to {sums[frame]:.4g}, needed 1; "
                "give log-probabilities (log_softmax of logits, natural logarithm)"
            )
        self.flat = probs.reshape(-1).data
        self.highest = probs[:, BLANK_ID + 1 :].max(axis=1).tolist()
        self.probs = probs

    def tokens(self, frame: int, floor: float, count: int) -> list[tuple[int, float]]:
        """Returns the `count` most probable words of a frame above `floor`, best first, each with its probability;
        without blank.
        """
        row = self.probs[frame]
        # Slightly lower, because the comparison has the precision of the emission.
        chosen = np.flatnonzero(row > floor * (1 - 1e-6))
        if len(chosen) > count:
            chosen = np.argpartition(row, -count)[-count:]
        values = row[chosen]
        order = (-values).argsort()
        pairs = zip(chosen[order].tolist(), values[order].tolist(), strict=True)
        return [pair for pair in pairs if pair[0] != BLANK_ID]


def _completed(parts: Iterator[np.ndarray], search: BeamSearch) -> list[Candidate]:
    """Returns the candidates of a search, best first, after scoring those close to the best by all their paths.

    parts: the probabilities of all its frames.
    """
    nodes = [node for _, node in search.scored()]
    candidates = search.candidates()
    bound = candidates[0].score - _CLOSE
    close = [index for index, candidate in enumerate(candidates[:_MAX_CLOSE]) if candidate.score > bound]
    exact = log_forward_of_parts(parts, [candidates[index].ids for index in close]) + search.log_largest
    for index, score in zip(close, exact.tolist(), strict=True):
        node = nodes[index]
        if node.state is not None:
            score += math.log(search.ending(node))
            while node.depth:
                score += math.log(node.factor)
                node = node.parent
        # The sum over all paths is at least that of the kept ones, except for rounding and underflow.
        candidates[index] = Candidate(candidates[index].ids, max(score, candidates[index].score))
    return sorted(candidates, key=lambda candidate: -candidate.score)


class BeamSearch:
    """A search over frames that arrive in parts; where they are divided changes nothing, to the last bit.

    Its memory grows with the number of glosses, not with that of frames.
    history, still_open, ends: as those of `prefix_beam`.
    log_largest: sum of the logarithms of the divisors of all frames so far.
    Raises InputError for a beam size below 1.
    """

    def __init__(
        self,
        *,
        beam_size: int = BEAM_SIZE,
        tokens_per_frame: int = TOKENS_PER_FRAME,
        fusion: NGramFusion | None = None,
        history: Sequence[int] = (),
        still_open: float = 0.0,
        ends: bool = True,
    ) -> None:
        if beam_size < 1:
            raise InputError(f"beam search: beam_size is {beam_size}; needed at least 1 (1 is not greedy decoding)")
        if tokens_per_frame < 1:
            raise InputError(f"beam search: tokens_per_frame is {tokens_per_frame}; needed at least 1")
        self._beam_size, self._tokens_per_frame = beam_size, tokens_per_frame
        self._largest_factor = fusion.largest_factor if fusion else 1.0
        self._ends = ends
        sentinel = _Prefix(None, BLANK_ID, 0.0, None)
        last = history[-1] if still_open else BLANK_ID
        root = _Prefix(sentinel, last, 0.0, fusion.after(history) if fusion else None)
        root.depth, root.repeats = 0, False
        root.gloss, root.blank, root.total = still_open, 1.0 - still_open, 1.0
        # Longest prefix first.
        self._beam = [root]
        self.log_largest = 0.0
        # The logarithm of the divisor of the beam's probabilities, beside those of the frames.
        self._log_scale = 0.0
        # The greatest probability in the beam before the last frame.
        self._most = 1.0
        self._unpruned_frames = 0

    def advance(self, frames: FrameProbs) -> None:
        """Searches the next frames."""
        by_depth = attrgetter("depth")
        beam, beam_size, largest_factor, most = self._beam, self._beam_size, self._largest_factor, self._most
        flat, highest = frames.flat, frames.highest
        num_words = frames.probs.shape[1]
        count = min(self._tokens_per_frame, num_words)
        base = -num_words
        smallest, largest = _RANGE
        for frame in range(len(highest)):
            base += num_words
            if not smallest < most < largest:
                scale = max(node.total for node in beam)
                self._log_scale += math.log(scale)
                for node in beam:
                    node.blank /= scale
                    node.gloss /= scale
                    node.total /= scale
            # The values before this frame, which new prefixes need below.
            before = [(node.total, node.blank, node) for node in beam]
            blank_prob = flat[base]
            least = math.inf
            most = 0.0
            # Longest first: a prefix needs the value that its parent had before this frame.
            for total, _, node in before:
                parent = node.parent
                node.gloss = gloss = (
                    node.gloss + (parent.blank if node.repeats else parent.total) * node.factor
                ) * flat[base + node.last]
                node.blank = blank = total * blank_prob
                node.total = now = blank + gloss
                if now < least:
                    least = now
                if total > most:
                    most = total
            if len(beam) < beam_size:
                least = 0.0
            elif most * highest[frame] * largest_factor <= least:
                continue
            tokens = frames.tokens(frame, least / (most * largest_factor), count)
            if grown := _grow(tokens, before, beam_size, largest_factor):
                beam = _kept(beam, grown, beam_size)
                beam.sort(key=by_depth, reverse=True)
        self._beam, self._most = beam, most
        # One after another, so that the sum does not depend on where frames are divided into parts.
        self.log_largest = float(np.add.accumulate(np.append(self.log_largest, frames.largest))[-1])
        self._unpruned_frames += len(highest)
        if self._unpruned_frames >= _PRUNE_FRAMES:
            self._prune()

    def candidates(self) -> list[Candidate]:
        """Returns the gloss sequences in the beam, best first, as sentences that end here."""
        return [Candidate(node.ids(), score) for score, node in self.scored()]

    def ending(self, node: _Prefix) -> float:
        """Returns the language model's factor for a sentence that ends with a prefix; 1 where it goes on."""
        return node.state.ending() if node.state is not None and self._ends else 1.0

    def _prune(self) -> None:
        """Forgets the prefixes that no prefix in the beam begins with."""
        alive: set[_Prefix] = set()
        for node in self._beam:
            while node not in alive:
                alive.add(node)
                node = node.parent
        for node in alive:
            if not alive.issuperset(node.children.values()):
                node.children = {token: child for token, child in node.children.items() if child in alive}
        self._unpruned_frames = 0

    def scored(self) -> list[tuple[float, _Prefix]]:
        """Returns the prefixes of `candidates` with their scores."""
        log_scale = self.log_largest + self._log_scale
        result = []
        for node in self._beam:
            ending = self.ending(node)
            if node.total > 0 and ending > 0:
                result.append((math.log(node.total) + math.log(ending), node))
        result.sort(key=itemgetter(0), reverse=True)
        return [(score + log_scale, node) for score, node in result]


def _grow(
    tokens: list[tuple[int, float]],
    before: list[tuple[float, float, _Prefix]],
    beam_size: int,
    largest_factor: float,
) -> list[tuple[float, _Prefix, int]]:
    """Returns new prefixes of this frame that may be among the best of the beam: (score, parent, token).

    before: total, blank, prefix for each prefix of the beam, before this frame.  The prefixes have the new values.
    """
    grown: list[tuple[float, _Prefix, int]] = []
    # A heap of the best scores so far, the lowest first: a score that does not exceed it cannot be among the best.
    best = [0.0] * (beam_size - len(before)) + [node.total for _, _, node in before]
    heapify(best)
    bound = best[0] / largest_factor
    before = sorted(before, key=itemgetter(0), reverse=True)
    most = before[0][0]
    for token, prob in tokens:
        if most * prob <= bound:
            break
        for total, blank, node in before:
            score = total * prob
            if score <= bound:
                break
            if token == node.last:
                score = blank * prob
                if score <= bound:
                    continue
            child = node.children.get(token)
            if child is not None and child.total > 0.0:
                continue
            if node.state is not None:
                factor = node.state.factors.get(token)
                score *= node.state.factor(token) if factor is None else factor
                if score <= best[0]:
                    continue
            grown.append((score, node, token))
            heappushpop(best, score)
            bound = best[0] / largest_factor
    return grown


def _kept(beam: list[_Prefix], grown: list[tuple[float, _Prefix, int]], beam_size: int) -> list[_Prefix]:
    """Returns the best of the old and new prefixes; sets the probabilities of the dropped ones to 0."""
    pool: list[tuple[float, _Prefix, int]] = [(node.total, node, -1) for node in beam]
    pool += grown
    pool.sort(key=itemgetter(0), reverse=True)
    for _, node, token in pool[beam_size:]:
        if token < 0:
            node.blank = node.gloss = node.total = 0.0
    kept = []
    for score, node, token in pool[:beam_size]:
        if token >= 0:
            child = node.children.get(token)
            if child is None:
                state = node.state
                child = node.children[token] = (
                    _Prefix(node, token, 1.0, None)
                    if state is None
                    else _Prefix(node, token, state.factors[token], state.following(token))
                )
            child.gloss = child.total = score
            node = child
        kept.append(node)
    return kept
