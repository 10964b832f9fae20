"""Examples of an enrolment: utterances composed of its clips, and what the body of a model makes of them.

The body stays as it is in an enrolment, so its features are computed once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from signloom.compose import ComposeOptions, draw, join
from signloom.ctc.collapse import frames_needed
from signloom.inference.model import Model
from signloom.inference.store import FeatureExample
from signloom.inference.torch_engine import recognizer_of
from signloom.model.recognizer import Recognizer
from signloom.train.augmentation import AugmentationConfig, augment
from signloom.train.data import Example, collate
from signloom.train.enrol.clips import Clips
from signloom.vocabulary import Vocabulary

_BATCH = 32


def composed(
    model: Model,
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
    recognizer = recognizer_of(model.engine)
    options = ComposeOptions(min_glosses=min_glosses)
    examples = []
    for k in range(count):
        rng = np.random.default_rng([*seed, k])
        _, glosses, chosen = draw(clips.pool, options, rng)
        while True:
            target = vocabulary.encode(glosses)
            needed = recognizer.input_frames_needed(frames_needed(target))
            signed, _ = join([clips.landmarks[clip.id] for clip in chosen], rng)
            frames = model.points(signed)
            points = frames[0 : len(frames)]
            if len(points) >= needed or len(glosses) == 1:
                break
            glosses, chosen = glosses[:-1], chosen[:-1]
        if augmentation is not None:
            fps = model.engine.config.fps
            points, _ = augment(points, augmentation, rng, subset=model.view, min_frames=needed, fps=fps)
        examples.append(Example(points, np.array(target), f"composed-{k:05d}"))
    return body_features(recognizer, examples)


@torch.inference_mode()
def body_features(recognizer: Recognizer, examples: Sequence[Example]) -> list[FeatureExample]:
    """Returns what the layers after the body take of each example, in the same order."""
    recognizer.eval()
    result: dict[int, FeatureExample] = {}
    order = sorted(range(len(examples)), key=lambda index: len(examples[index].points))
    for start in range(0, len(order), _BATCH):
        indices = order[start : start + _BATCH]
        batch = collate([examples[index] for index in indices])
        features, _ = recognizer.features(batch.points, batch.lengths)
        lengths = recognizer.output_lengths(batch.lengths)
        for index, rows, length in zip(indices, features.float().numpy(), lengths.tolist(), strict=True):
            # A copy: a view would keep the whole padded batch in memory.
            result[index] = FeatureExample(rows[:length].copy(), examples[index].target.tolist())
    return [result[index] for index in range(len(examples))]
