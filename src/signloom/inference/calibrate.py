"""What a trained model does not know of itself: when its signs lie around its emissions, and how often it is right.

`fit_spans` finds both on the corpus the model was trained on: the timing from clips of train and their sentences, no
boundaries needed; the calibration from what the decoder makes of dev, never of test. On signers it has learnt from a
model is right more often than on others: where dev has such signers, confidences stay as they are, which for unseen
signers is closer to the truth (benchmarks/README.md).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from signloom.corpus import Corpus, Utterance
from signloom.ctc.collapse import frames_needed
from signloom.ctc.confidence import Calibration
from signloom.ctc.hypothesis import Emission, Hypothesis
from signloom.ctc.spans import INFO_KEY, SpanSettings, emission_seconds
from signloom.ctc.timing import AlignedClip, Timing, fit_timing
from signloom.ctc.viterbi import forced_alignment
from signloom.inference.model import Model, load
from signloom.score.alignment import CORRECT, DELETION, align

log = logging.getLogger("signloom.inference.calibrate")

# Clips of train that the timing is found on: with 100 it is the same to a quarter of a frame.
NUM_TIMING_CLIPS = 400


def with_spans(model: Model, settings: SpanSettings) -> Model:
    """The model with these settings, which `Model.save` keeps."""
    return replace(model, info={**model.info, INFO_KEY: settings.to_json()})


def fit_spans(
    model: Model,
    corpus: Corpus,
    *,
    decode: Callable[[Emission, Timing], Hypothesis] | None = None,
    num_clips: int = NUM_TIMING_CLIPS,
    advance: Callable[[int], object] = lambda count: None,
) -> SpanSettings:
    """The settings of a model, fitted on train and dev of the corpus it was trained on.

    decode: the decoder whose confidences are calibrated; the model's own where not given. They must come as they are.
    advance: told the number of clips after each.

    Unless all signers of dev are known, and none of them signs in train, the calibration is the default.
    """
    train = [item for item in corpus if item.split == "train"]
    # Spread over the whole split, for all signers to have their share.
    chosen = [train[at] for at in np.linspace(0, len(train) - 1, min(num_clips, len(train))).round().astype(int)]
    timing = fit_timing(_located(model, corpus, chosen, advance))
    dev = [item for item in corpus if item.split == "dev"]
    signers = {item.signer for item in dev}
    if not dev or None in signers or signers & {item.signer for item in train}:
        return SpanSettings(timing)
    if decode is None:

        def decode(emission: Emission, timing: Timing) -> Hypothesis:
            return model.decoder.decode(emission, timing=timing)

    confidences: list[float] = []
    correct: list[bool] = []
    for item in dev:
        found = decode(model.emission(corpus.load(item)), timing)
        confidences += [span.confidence for span in found.glosses]
        correct += correct_glosses(reference=item.glosses, hypothesis=found.words)
        advance(1)
    return SpanSettings(timing, Calibration.fit(confidences, correct))


def store_spans(path: Path, corpus: Corpus) -> Model:
    """The model in a file, with the settings fitted to it stored in that file too."""
    model = load(path)
    settings = fit_spans(model, corpus)
    model = with_spans(model, settings)
    model.save(path)
    log.info(
        "signs lie %+.2f s from where the model emits them, %.2f s apart; confidences %s",
        settings.timing.shift_seconds,
        settings.timing.gloss_seconds,
        "as they are" if settings.calibration == Calibration() else "calibrated on dev",
    )
    return model


def correct_glosses(*, reference: Sequence[str], hypothesis: Sequence[str]) -> list[bool]:
    """Whether each gloss of the hypothesis is right, as sclite aligns it with the reference."""
    return [kind == CORRECT for kind in align(reference=reference, hypothesis=hypothesis).kinds if kind != DELETION]


def _located(
    model: Model, corpus: Corpus, utterances: Iterable[Utterance], advance: Callable[[int], object]
) -> Iterator[AlignedClip]:
    """The clips that CTC can align, each with where its own glosses are emitted; none with a gloss not learnt."""
    for item in utterances:
        if model.vocabulary.unknown(item.glosses):
            continue
        landmarks = corpus.load(item)
        emission = model.emission(landmarks)
        ids = np.array(model.vocabulary.encode(item.glosses))
        if frames_needed(ids) <= len(emission.log_probs):
            alignment = forced_alignment(emission.log_probs, ids)
            yield AlignedClip(landmarks, ids, emission_seconds(emission, ids, alignment))
        advance(1)
