"""Examples of an enrolment: utterances composed of its clips, and what the layers of a model that stay make of them."""

from __future__ import annotations

from collections.abc import Sequence

from signloom.compose import ClipSplits, ComposeOptions, Drawn, drawn, drawn_idle, join
from signloom.compose.options import IDLE_SHARE
from signloom.ctc.collapse import frames_needed
from signloom.inference.model import Model
from signloom.inference.store import FeatureExample
from signloom.train.augmentation import AugmentationConfig, augment
from signloom.train.enrol.clips import Clips
from signloom.train.enrol.learner import Composed, Learner
from signloom.vocabulary import UNKNOWN_ID, Vocabulary

# Begins the seeds of utterances of idling alone, after the seed that signs have.
_ALONE = 1


def composed(
    learner: Learner,
    vocabulary: Vocabulary,
    clips: Clips,
    count: int,
    *,
    seed: Sequence[int],
    min_glosses: int,
    others: float = 0.0,
    augmentation: AugmentationConfig | None = None,
) -> list[FeatureExample]:
    """Returns `count` utterances of `min_glosses` to 8 signs of the clips, composed as `signloom compose` does, with
    idling where the clips show any, and as often from and to rest as the model was trained. There are none of clips
    without signs.

    vocabulary: with the signs of the clips.  others: see `ComposeOptions`; made up of the clips.
    Utterance k depends on `seed` and k alone. It has fewer signs where CTC could not align them with the output of the
    model.
    """
    if not clips.pool:
        return []
    idle = IDLE_SHARE if clips.idle else 0.0
    # A model that never saw hands on their way from or to rest would have to learn that as well, from a few clips.
    lead = learner.model.info.get("corpus", {}).get("lead", 0.0)
    options = ComposeOptions(min_glosses=min_glosses, idle=idle, others=others, lead=lead)
    shares = ClipSplits({"train": clips.pool}, {"train": clips.idle}, {"train": {}}, ())
    names_others = gives_unknown_gloss(learner.model)
    load = clips.landmarks.__getitem__
    made = (drawn(shares, "train", options, load, [*seed, k], names_others=names_others) for k in range(count))
    return learner.features([_utterance(learner.model, vocabulary, one, augmentation) for one in made])


def idling(
    learner: Learner,
    clips: Clips,
    count: int,
    *,
    seed: Sequence[int],
    augmentation: AugmentationConfig | None = None,
) -> list[FeatureExample]:
    """Returns `count` utterances of 3 to 8 stretches of the idling of the clips alone, without a target; none of clips
    without idling.

    Utterance k depends on `seed` and k alone.
    """
    if not clips.idle:
        return []
    model, options = learner.model, ComposeOptions()
    made = (drawn_idle(clips.idle, options, clips.landmarks.__getitem__, [*seed, _ALONE, k]) for k in range(count))
    return learner.features([_utterance(model, model.vocabulary, one, augmentation) for one in made])


def gives_unknown_gloss(model: Model) -> bool:
    """Returns whether a model learnt to give the unknown gloss to hands that sign nothing of its own (`signloom compose
    --others`), as far as its store shows; another model learns such hands as no gloss."""
    return model.store is not None and bool((model.store.targets == UNKNOWN_ID).any())


def _utterance(model: Model, vocabulary: Vocabulary, made: Drawn, augmentation: AugmentationConfig | None) -> Composed:
    """Returns an utterance of what was drawn, or of its first pieces, that CTC can align with the output of the model,
    in any case of its first piece."""
    config, rng = model.engine.config, made.rng
    pieces, kinds, glosses = list(made.pieces), list(made.kinds), list(made.glosses)
    while True:
        target = _target(vocabulary, glosses, kinds)
        needed = config.input_frames_needed(frames_needed(target))
        signed, _ = join(pieces, rng)
        frames = model.points(signed)
        points = frames[0 : len(frames)]
        if len(points) >= needed or len(pieces) == 1:
            break
        pieces.pop()
        if kinds.pop() == "sign":
            glosses.pop()
    if augmentation is not None:
        points, _ = augment(points, augmentation, rng, subset=model.view, min_frames=needed, fps=config.fps)
    return Composed(points, target)


def _target(vocabulary: Vocabulary, glosses: Sequence[str], kinds: Sequence[str]) -> list[int]:
    """Returns the ids of what is shown: of signs their glosses, of others the unknown gloss, of all else none."""
    ids = iter(vocabulary.encode(glosses))
    return [UNKNOWN_ID if kind == "other" else next(ids) for kind in kinds if kind in ("sign", "other")]
