"""Fits the timing shift, the confidence calibration and the limit of confidence of a trained model.

`fit_spans` fits both on the corpus the model was trained on. The timing comes from clips of train and their sentences;
it needs no boundaries. The calibration comes from what the decoder predicts on dev, never on test. A model is right
more often on signers of its training than on others. If dev has such signers, confidences are therefore not
calibrated, which is closer to the truth for unseen signers (benchmarks/figures/decoding.md).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from signloom.corpus import Corpus, Utterance, spread
from signloom.ctc.collapse import frames_needed
from signloom.ctc.confidence import Calibration
from signloom.ctc.decoding import Decoder
from signloom.ctc.spans import INFO_KEY, SpanSettings, emission_seconds
from signloom.ctc.timing import AlignedClip, fit_timing
from signloom.ctc.viterbi import forced_alignment
from signloom.inference.limits import try_limits, with_limit
from signloom.inference.model import Model, load
from signloom.score.alignment import CORRECT, DELETION, align

log = logging.getLogger("signloom.inference.calibrate")

# The number of training clips for the timing; 100 give the same result within a quarter of a frame.
NUM_TIMING_CLIPS = 400


def with_spans(model: Model, settings: SpanSettings) -> Model:
    """Returns the model with these settings, which `Model.save` stores."""
    return replace(model, info={**model.info, INFO_KEY: settings.to_json()})


def fit_spans(
    model: Model,
    corpus: Corpus,
    *,
    advance: Callable[[int], object] = lambda count: None,
) -> SpanSettings:
    """Returns the settings of a model, fitted on train and dev of the corpus it was trained on.

    advance: called with the number of clips after each.

    The calibration is the default unless all signers of dev are known and none of them signs in train.
    """
    train, dev = (corpus.utterances.in_split(name) for name in ("train", "dev"))
    # Spread over the whole split, so that all signers are in it.
    timing = fit_timing(_aligned_clips(model, corpus, train.take(spread(len(train), NUM_TIMING_CLIPS)), advance))
    signers = dev.columns.signer_counts().keys()
    if not dev or None in signers or signers & train.columns.signer_counts().keys():
        return SpanSettings(timing)
    confidences: list[float] = []
    correct: list[bool] = []
    # Raw confidences, of all glosses.
    every = model.with_limits()
    decoder = Decoder(model.vocabulary, every.decoding, model.language_model)
    for item in dev:
        hypothesis = decoder.decode(model.emission(corpus.load_view(item, model.view)), timing=timing)
        confidences += [span.confidence for span in hypothesis.glosses]
        correct += correct_glosses(reference=item.glosses, hypothesis=hypothesis.words)
        advance(1)
    return SpanSettings(timing, Calibration.fit(confidences, correct))


def store_settings(path: Path, corpus: Corpus) -> Model:
    """Fits the settings of the model in a file, stores them in that file, and returns the model.

    Where dev shows idling or signs that are none of the model's, a limit of confidence is among them (`limits`).
    """
    model = load(path)
    settings = fit_spans(model, corpus)
    model = with_spans(model, settings)
    limits = try_limits(model, corpus)
    model = with_limit(model, limits)
    model.save(path)
    log.info(
        "signs lie %+.2f s from where the model emits them, %.2f s apart; confidences %s",
        settings.timing.shift_seconds,
        settings.timing.gloss_seconds,
        "not calibrated" if settings.calibration == Calibration() else "calibrated on dev",
    )
    if limits.chosen:
        log.info(
            "dev shows idling or other signs: glosses of an utterance are dropped unless one has a confidence of %g or "
            "more; 'signloom tune' shows what other limits cost",
            limits.chosen.sure,
        )
    return model


def correct_glosses(*, reference: Sequence[str], hypothesis: Sequence[str]) -> list[bool]:
    """Returns whether each gloss of the hypothesis is right, as sclite aligns it with the reference."""
    return [kind == CORRECT for kind in align(reference=reference, hypothesis=hypothesis).kinds if kind != DELETION]


def _aligned_clips(
    model: Model, corpus: Corpus, utterances: Iterable[Utterance], advance: Callable[[int], object]
) -> Iterator[AlignedClip]:
    """Yields each clip that CTC can align, with the times of its glosses; skips clips with unknown glosses."""
    for item in utterances:
        if model.vocabulary.unknown(item.glosses):
            continue
        landmarks = corpus.load(item)
        emission = model.emission(landmarks)
        ids = np.array(item.target(model.vocabulary))
        if frames_needed(ids) <= len(emission.log_probs):
            alignment = forced_alignment(emission.log_probs, ids)
            yield AlignedClip(landmarks, ids, emission_seconds(emission, ids, alignment))
        advance(1)
