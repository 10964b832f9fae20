"""Cuts sentences into signs where a model's forced alignment puts them, and says which cuts can be trusted."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

from signloom.corpus import Corpus, Utterance
from signloom.ctc.collapse import collapse
from signloom.ctc.hypothesis import Emission
from signloom.ctc.spans import SpanSettings, located
from signloom.errors import InputError
from signloom.inference.align import check_known
from signloom.inference.model import Model
from signloom.score.alignment import CORRECT, INSERTION, align

# The reasons for doubt, as the command shows them.
NOT_RECOGNISED = "the model does not recognise the sign or a neighbour"
UNSURE = "the model is not sure of the sign or a neighbour"
ODD_LENGTH = "far longer or shorter than most cuts of the gloss"

# Least confidence of a trusted cut and its neighbours. The checks together trust 3 of 142 cuts that a wrong annotation
# puts at another sign, and 141 of 255 right ones in the same sentences (benchmarks/figures/techniques.md).
MIN_CONFIDENCE = 0.5
# Length of a trusted cut, relative to the median of its gloss: signers vary their tempo by less.
LENGTHS = (0.5, 2.0)
# A gloss with fewer cuts has no median of its own; that of all cuts replaces it.
_MIN_CUTS = 3


@dataclass(frozen=True)
class Cut:
    """One sign of a sentence, as aligned.

    utterance: id of the sentence.  position: of the gloss in the sentence, from 0.
    start_seconds, end_seconds: from the first frame of the sentence's clip.
    doubt: why the cut is not trusted; empty if it is.
    """

    utterance: str
    position: int
    gloss: str
    start_seconds: float
    end_seconds: float
    confidence: float
    doubt: str = ""

    @property
    def duration_seconds(self) -> float:
        return self.end_seconds - self.start_seconds


@dataclass(frozen=True)
class CutSentences:
    """Sentences cut into signs.

    by_sentence: the cuts of each sentence that could be aligned, one per gloss, by its id.
    failed: why the others could not be aligned, by id.
    """

    by_sentence: Mapping[str, tuple[Cut, ...]]
    failed: Mapping[str, str]

    @property
    def cuts(self) -> list[Cut]:
        return [cut for cuts in self.by_sentence.values() for cut in cuts]

    @property
    def trusted(self) -> list[Cut]:
        return [cut for cut in self.cuts if not cut.doubt]

    @property
    def doubts(self) -> Counter[str]:
        """How many cuts are not trusted, by reason."""
        return Counter(cut.doubt for cut in self.cuts if cut.doubt)

    @property
    def lost_glosses(self) -> list[str]:
        """The glosses that have cuts, but none to trust."""
        return sorted({cut.gloss for cut in self.cuts} - {cut.gloss for cut in self.trusted})


def cut_sentences(
    model: Model,
    corpus: Corpus,
    sentences: Sequence[Utterance],
    *,
    advance: Callable[[int], object] = lambda count: None,
) -> CutSentences:
    """Returns sentences of a corpus cut into signs by a model's forced alignment.

    A cut is trusted if the model's greedy result, which does not know the sentence, has the gloss and its neighbours at
    their places; if the confidences of all three are high enough; and if the cut is about as long as others of its
    gloss. The neighbours count because the ends of a cut are theirs as well. A sentence with a gloss that the model
    does not know, or with too few frames, fails as a whole.

    advance: called with 1 after each sentence.
    """
    by_sentence: dict[str, tuple[Cut, ...]] = {}
    failed: dict[str, str] = {}
    for item in sentences:
        clip = corpus.load_view(item, model.view)
        try:
            check_known(item.glosses, model.vocabulary.words)
            by_sentence[item.id] = _cuts(model, item, model.emission(clip))
        except InputError as error:
            failed[item.id] = str(error)
        advance(1)
    return CutSentences(_with_lengths_judged(by_sentence), failed)


def _cuts(model: Model, item: Utterance, emission: Emission) -> tuple[Cut, ...]:
    """Returns the cuts of one sentence, judged by what the model recognises and how sure it is."""
    settings = SpanSettings.of(model.info)
    ids = model.vocabulary.encode(item.glosses)
    spans = located(emission, ids, model.vocabulary, timing=settings.timing, calibration=settings.calibration)
    greedy = model.vocabulary.decode(collapse(emission.log_probs.argmax(axis=1)))
    kinds = align(reference=item.glosses, hypothesis=greedy).kinds
    recognised = [kind == CORRECT for kind in kinds if kind != INSERTION]
    sure = [span.confidence >= MIN_CONFIDENCE for span in spans]
    cuts = []
    for position, span in enumerate(spans):
        around = slice(max(0, position - 1), position + 2)
        doubt = NOT_RECOGNISED if not all(recognised[around]) else UNSURE if not all(sure[around]) else ""
        start, end = span.start_seconds - emission.start_seconds, span.end_seconds - emission.start_seconds
        cuts.append(Cut(item.id, position, span.gloss, start, end, span.confidence, doubt))
    return tuple(cuts)


def _with_lengths_judged(by_sentence: Mapping[str, tuple[Cut, ...]]) -> dict[str, tuple[Cut, ...]]:
    """Returns the cuts with a doubt about those whose length is far from the median of their gloss."""
    lengths: defaultdict[str, list[float]] = defaultdict(list)
    for cuts in by_sentence.values():
        for cut in cuts:
            lengths[cut.gloss].append(cut.duration_seconds)
    general = median([length for values in lengths.values() for length in values] or [0.0])
    typical = {gloss: median(v) if len(v) >= _MIN_CUTS else general for gloss, v in lengths.items()}

    def judged(cut: Cut) -> Cut:
        least, most = (share * typical[cut.gloss] for share in LENGTHS)
        return cut if cut.doubt or least <= cut.duration_seconds <= most else replace(cut, doubt=ODD_LENGTH)

    return {name: tuple(map(judged, cuts)) for name, cuts in by_sentence.items()}
