"""The word error rate of a model on a split of a corpus."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from signloom.corpus import Corpus
from signloom.ctc.decoding import Decoding, decode_all
from signloom.inference.model import Model
from signloom.score.wer import Score, score


def evaluate(
    model: Model,
    corpus: Corpus,
    split: str,
    *,
    protocol: str = "plain",
    batch_size: int = 32,
    decoding: Decoding | None = None,
    workers: int = 1,
    advance: Callable[[int], object] = lambda count: None,
) -> Score:
    """Returns the score of a model on a split, of what it names: glosses that it drops are not there.

    decoding: default: the model's own, with its language model.
    workers: processes that decode; the result does not depend on their number.
    advance: called after each batch with its number of utterances.
    """
    if decoding is not None:
        model = replace(model, decoding=decoding, language_model=None)
    utterances = corpus.split(split)
    order: list[str] = []

    def emissions() -> Iterator[np.ndarray]:
        for item, log_probs in model.emissions(corpus, utterances, batch_size=batch_size):
            order.append(item.id)
            yield log_probs

    sentences = decode_all(
        emissions(),
        model.vocabulary,
        model.decoding,
        model.language_model,
        model.calibration,
        workers=workers,
        chunk=batch_size,
        advance=advance,
    )
    hypotheses = {name: model.vocabulary.decode(kept.ids) for name, kept in zip(order, sentences, strict=True)}
    scored = score(
        ((item.id, item.glosses, hypotheses[item.id]) for item in utterances),
        protocol=protocol,
        signers={item.id: item.signer for item in utterances if item.signer is not None},
        clips={item.id: item.clips for item in utterances},
    )
    return replace(scored, num_dropped=sum(kept.num_dropped for kept in sentences))
