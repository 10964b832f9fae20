"""What a run starts from: the recogniser as the recipe has it, and the utterances that can be learnt from.

Without Lightning, which takes seconds to import: the quick checks of training health use it too.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from signloom.corpus import Corpus, Utterance
from signloom.ctc.collapse import frames_needed
from signloom.errors import Faults, InputError
from signloom.inference.model import load
from signloom.model.presets import ModelConfig, preset
from signloom.model.recognizer import AUXILIARY, Recognizer
from signloom.train.recipe import Recipe
from signloom.vocabulary import Vocabulary

log = logging.getLogger("signloom.train")


def build(recipe: Recipe, vocabulary: Vocabulary) -> tuple[Recognizer, str]:
    """A new recogniser, or one started from `--init`, and what it was started from."""
    changes: dict[str, Any] = {} if recipe.dropout is None else {"dropout": recipe.dropout}
    # Off as well as on: the model of --init may have one.
    changes["auxiliary_head"] = recipe.auxiliary_head
    for name in ("frame_rate", "share_hands"):
        if getattr(recipe, name):
            changes[name] = True
    for name in ("classifier", "attention", "attention_clamp"):
        if getattr(recipe, name) is not None:
            changes[name] = getattr(recipe, name)
    if recipe.init is None:
        return Recognizer(preset(recipe.preset, **changes), len(vocabulary)), ""
    donor = load(recipe.init)
    _check_same_weights(recipe, donor.recognizer.config, changes)
    recognizer = Recognizer(replace(donor.recognizer.config, **changes), len(vocabulary))
    own = recognizer.state_dict()
    # The auxiliary head starts anew: it matters only while the features are learnt.
    weights = {name: value for name, value in donor.recognizer.state_dict().items() if not name.startswith(AUXILIARY)}
    weights |= {name: value for name, value in own.items() if name.startswith(AUXILIARY)}
    shared = [word for word in vocabulary.words if word in donor.vocabulary]
    for name in [name for name in weights if name.startswith("classifier.")]:
        rows = own[name].clone()
        rows[vocabulary.encode(shared)] = weights.pop(name)[donor.vocabulary.encode(shared)]
        weights[name] = rows
    recognizer.load_state_dict(weights)
    new = [word for word in vocabulary.words if word not in donor.vocabulary]
    log.info(
        "started from %s: every weight but the classifier's rows of %d glosses it did not know%s; the front end %s",
        recipe.init,
        len(new),
        f" ({', '.join(new[:10])}{', ...' if len(new) > 10 else ''})" if new else "",
        "takes this corpus' statistics"
        if recipe.refit_statistics
        else "keeps the statistics the weights were trained with",
    )
    return recognizer, str(recipe.init)


def _check_same_weights(recipe: Recipe, config: ModelConfig, changes: Mapping[str, Any]) -> None:
    """Raises InputError for changes under which the weights of `--init` mean something else, or are missing."""
    faults = Faults(f"{recipe.init}: cannot be started from with other weights")
    for name, value in changes.items():
        has = getattr(config, name, None)
        if not hasattr(config, name):
            faults.add(f"--{name} is {value}, there is none in a model of kind {config.kind}; leave it out")
        elif name in ("share_hands", "classifier", "attention") and value != has:
            faults.add(f"--{name} is {value}, there it is {has}; leave it out, or train without --init")
    faults.raise_if_any()


def train_split(corpus: Corpus, recipe: Recipe) -> list[Utterance]:
    """The training utterances a run begins with: all of them, or as many as the recipe wants, drawn by its seed."""
    items = corpus.split("train")
    if recipe.num_train_samples:
        order = np.random.default_rng(recipe.seed).permutation(len(items))
        items = [items[at] for at in sorted(order[: recipe.num_train_samples])]
    return items


def not_too_long(items: list[Utterance], max_frames: int | None, fps: float) -> list[Utterance]:
    """The utterances of at most `max_frames` frames; what is left out is logged. None is cut: glosses would be lost."""
    if max_frames is None:
        return items
    lengths = [round(item.num_frames * fps / item.fps) for item in items]
    kept = [item for item, length in zip(items, lengths, strict=True) if length <= max_frames]
    long = sorted(
        ((length, item.id) for item, length in zip(items, lengths, strict=True) if length > max_frames), reverse=True
    )
    if long:
        log.warning(
            "left out: %d of %d training utterances, longer than %d frames: %s%s",
            len(long),
            len(items),
            max_frames,
            ", ".join(f"{name} ({length})" for length, name in long[:10]),
            ", ..." if len(long) > 10 else "",
        )
    if not kept:
        raise InputError(f"--max_frames is {max_frames}; the shortest training utterance has {min(lengths)} frames")
    return kept


def feasible(recognizer: Recognizer, items: list[Utterance], vocabulary: Vocabulary, *, skip: bool) -> list[Utterance]:
    """The utterances that CTC can align. Raises InputError naming the others, unless `skip`, which logs them."""
    faults = Faults("training utterances that CTC cannot align")
    kept = []
    for item in items:
        if fault := unalignable(recognizer, item, vocabulary):
            faults.add(fault)
        else:
            kept.append(item)
    if faults and not skip:
        faults.advice = "lower the model's stride with --frame_rate, or leave them out with --skip_infeasible"
        faults.raise_if_any()
    for message in faults.messages:
        log.warning("left out: %s", message)
    if not kept:
        raise InputError("no training utterance is left that CTC can align")
    return kept


def unalignable(recognizer: Recognizer, item: Utterance, vocabulary: Vocabulary) -> str:
    """Why CTC cannot align an utterance with the model's output, empty if it can."""
    num_frames = max(1, round(item.num_frames * recognizer.config.fps / item.fps))
    available = int(recognizer.output_lengths(torch.tensor(num_frames)))
    needed = frames_needed(vocabulary.encode(item.glosses))
    if needed <= available:
        return ""
    return (
        f"{item.id}: {len(item.glosses)} glosses need at least {needed} output frames, "
        f"the model yields {available} from {num_frames}"
    )
