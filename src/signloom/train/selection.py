"""Selects the utterances that a run trains on.

Does not import Lightning, which takes seconds.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import numpy as np
import torch

from signloom.corpus import Corpus, Utterance, Utterances
from signloom.ctc.collapse import frames_needed_each
from signloom.errors import Faults, InputError, plural
from signloom.hints import command
from signloom.model.recognizer import Recognizer
from signloom.train.recipe import Recipe
from signloom.vocabulary import Vocabulary

log = logging.getLogger("signloom.train")


def train_split(corpus: Corpus, recipe: Recipe) -> Utterances:
    """Returns all training utterances, or `num_train_samples` of them, drawn by the seed of the recipe.

    Raises InputError for a corpus of isolated signs without dev, which is one to compose sentences of.
    """
    items = corpus.split("train")
    _check_sentences(corpus, items)
    if recipe.num_train_samples:
        if recipe.num_train_samples > len(items):
            log.warning(
                "--num_train_samples %d: train has only %s", recipe.num_train_samples, plural(len(items), "utterance")
            )
        order = np.random.default_rng(recipe.seed).permutation(len(items))
        items = items.take(np.sort(order[: recipe.num_train_samples]))
    return items


def _check_sentences(corpus: Corpus, items: Utterances) -> None:
    """Raises InputError if the clips show one sign each and none is in dev; logs a warning if some are."""
    if items.columns.glosses.counts.max() > 1:
        return
    made = corpus.root.with_name(f"{corpus.root.resolve().name}-sentences")
    compose = command("compose", corpus.root, output=made)
    if corpus.utterances.in_split("dev"):
        log.warning("every training utterance has one gloss; for sentences train on a corpus made by: %s", compose)
        return
    raise InputError(
        f"{corpus.root}: {plural(len(items), 'clip')} of isolated signs, and no dev split; continuous signing is "
        f"learnt from sentences. Compose them first: {compose}, then: {command('train', data_dir=made)}"
    )


def not_too_long(items: Utterances, max_frames: int | None, fps: float) -> Utterances:
    """Returns the utterances of at most `max_frames` frames at `fps`; logs the others.

    No utterance is cut, since that would lose glosses. Raises InputError if none is left.
    """
    if max_frames is None:
        return items
    lengths = items.columns.frames_at(fps)
    long = np.flatnonzero(lengths > max_frames)
    if not len(long):
        return items
    first = long[np.argsort(-lengths[long], kind="stable")[:10]].tolist()
    log.warning(
        "left out: %d of %s, longer than %s: %s%s",
        len(long),
        plural(len(items), "training utterance"),
        plural(max_frames, "frame"),
        ", ".join(f"{items[index].id} ({lengths[index]})" for index in first),
        ", ..." if len(long) > 10 else "",
    )
    if len(long) == len(items):
        raise InputError(
            f"--max_frames is {max_frames}; the shortest training utterance has {plural(int(lengths.min()), 'frame')}"
        )
    return items.take(lengths <= max_frames)


def feasible(recognizer: Recognizer, items: Utterances, vocabulary: Vocabulary, *, skip: bool) -> Utterances:
    """Returns the utterances that CTC can align with the model's output.

    Raises InputError listing the others, or logs them if `skip`; also raises if none is left.
    """
    reasons = unalignable_in(recognizer, items, vocabulary)
    if not reasons:
        return items
    faults = Faults("training utterances that CTC cannot align")
    for reason in reasons.values():
        faults.add(reason)
    if not skip:
        faults.advice = "lower the model's stride with --frame_rate, or leave them out with --skip_infeasible"
        faults.raise_if_any()
    for message in faults.messages:
        log.warning("left out: %s", message)
    if len(reasons) == len(items):
        raise InputError("no training utterance is left that CTC can align")
    return items.take(np.delete(np.arange(len(items)), list(reasons)))


def too_short(recognizer: Recognizer, items: Utterances, vocabulary: Vocabulary) -> np.ndarray:
    """Returns for each utterance whether CTC cannot align it with the model's output, (N,) bool."""
    _, available, needed = _outputs(recognizer, items, vocabulary)
    return needed > available


def unalignable_in(recognizer: Recognizer, items: Utterances, vocabulary: Vocabulary) -> dict[int, str]:
    """Returns the reasons why CTC cannot align utterances with the model's output, by their places."""
    num_frames, available, needed = _outputs(recognizer, items, vocabulary)
    ids, counts = items.columns.ids, items.columns.glosses.counts.tolist()
    return {
        place: f"{ids[place]}: {plural(counts[place], 'gloss needs', 'glosses need')} at least {needed[place]} "
        f"output frames, the model yields {available[place]} from {num_frames[place]}"
        for place in np.flatnonzero(needed > available).tolist()
    }


def unalignable(recognizer: Recognizer, item: Utterance, vocabulary: Vocabulary) -> str | None:
    """Returns the reason why CTC cannot align an utterance with the model's output, or None."""
    return unalignable_in(recognizer, Utterances.of([item]), vocabulary).get(0)


def _outputs(
    recognizer: Recognizer, items: Utterances, vocabulary: Vocabulary
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the frames of each utterance, the output frames that the model yields from them, and those needed."""
    num_frames = items.columns.frames_at(recognizer.config.fps)
    available = recognizer.output_lengths(torch.from_numpy(num_frames)).numpy()
    return num_frames, available, frames_needed_each(items.columns.targets(vocabulary))


def draw(
    items: Sequence[Utterance], count: int, seed: int, fault: Callable[[Utterance], str | None]
) -> tuple[list[Utterance], list[str]]:
    """Returns `count` utterances without a fault in an order drawn by the seed, or all; and the faults of others drawn.

    fault: returns the reason why an utterance cannot be used, or None.
    """
    chosen: list[Utterance] = []
    faults: list[str] = []
    for index in np.random.default_rng(seed).permutation(len(items)):
        if len(chosen) == count:
            break
        if reason := fault(items[index]):
            faults.append(reason)
        else:
            chosen.append(items[index])
    return chosen, faults
