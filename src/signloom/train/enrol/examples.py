"""Examples of an enrolment: utterances composed of its clips, and what the layers of a model that stay make of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from signloom.compose import ComposeOptions, draw, join
from signloom.ctc.collapse import frames_needed
from signloom.inference.store import FeatureExample
from signloom.train.augmentation import AugmentationConfig, augment
from signloom.train.enrol.clips import Clips
from signloom.train.enrol.learner import Composed, Learner
from signloom.vocabulary import Vocabulary


def composed(
    learner: Learner,
    vocabulary: Vocabulary,
    clips: Clips,
    count: int,
    *,
    seed: Sequence[int],
    min_glosses: int,
    augmentation: AugmentationConfig | None = None,
) -> list[FeatureExample]:
    """Returns `count` utterances of `min_glosses` to 8 of the clips, composed as `signloom compose` does.

    vocabulary: with the signs of the clips.  Utterance k depends on `seed` and k alone. It has fewer signs where CTC
    could not align them with the output of the model.
    """
    model = learner.model
    config = model.engine.config
    options = ComposeOptions(min_glosses=min_glosses)
    utterances = []
    for k in range(count):
        rng = np.random.default_rng([*seed, k])
        _, glosses, chosen = draw(clips.pool, options, rng)
        while True:
            target = vocabulary.encode(glosses)
            needed = config.input_frames_needed(frames_needed(target))
            signed, _ = join([clips.landmarks[clip.id] for clip in chosen], rng)
            frames = model.points(signed)
            points = frames[0 : len(frames)]
            if len(points) >= needed or len(glosses) == 1:
                break
            glosses, chosen = glosses[:-1], chosen[:-1]
        if augmentation is not None:
            points, _ = augment(points, augmentation, rng, subset=model.view, min_frames=needed, fps=config.fps)
        utterances.append(Composed(points, target))
    return learner.features(utterances)
