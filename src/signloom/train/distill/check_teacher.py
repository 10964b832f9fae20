"""Checks that a model can teach: it is trained, on the same glosses, on this corpus, and has learnt something."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import zip_longest
from typing import Any

from signloom.corpus import Corpus
from signloom.errors import Faults, listed, plural
from signloom.inference.model import Model
from signloom.train.distill.recipe import DistillRecipe
from signloom.vocabulary import Vocabulary

# From this word error rate on, a model has learnt nothing: predicting only blank gives 100 %.
UNTRAINED_WER = 0.95


def check_teacher(teacher: Model, recipe: DistillRecipe, corpus: Corpus, vocabulary: Vocabulary) -> None:
    """Raises InputError listing every reason why `teacher` cannot teach a student of `vocabulary` on `corpus`."""
    faults = Faults(f"{recipe.teacher}: cannot teach here")
    if fault := untrained(teacher.info):
        faults.add(fault)
    if teacher.vocabulary.words != vocabulary.words:
        faults.add(_other_words(teacher.vocabulary, vocabulary, corpus, recipe))
    before = teacher.info.get("corpus", {})
    name, summary = before.get("name"), before.get("summary")
    if not recipe.other_corpus and name is not None and (name, summary) != (corpus.name, corpus.summary()):
        what = f"{name!r}, this is {corpus.name!r}" if name != corpus.name else f"{name!r} with other utterances"
        faults.add(
            f"it was trained on another corpus: {what}. It may have seen clips of this dev or test split, and scores "
            "would then be too good. If it has not, pass --other_corpus; else train a teacher on this corpus"
        )
    faults.raise_if_any()


def untrained(info: Mapping[str, Any]) -> str | None:
    """Returns the reason why a model with this metadata has nothing to teach, or None."""
    wer = info.get("dev", {}).get("dev_wer")
    if wer is None:
        return "it is untrained: its metadata has no score on dev. Train it with 'signloom train --preset teacher'"
    if not wer < UNTRAINED_WER:
        return (
            f"it has learnt nothing: its WER on dev was {100 * wer:.1f} % when it was trained. Train it longer, and "
            "check with 'signloom overfit' whether it can learn at all"
        )
    return None


def _other_words(teacher: Vocabulary, own: Vocabulary, corpus: Corpus, recipe: DistillRecipe) -> str:
    only_teacher = [word for word in teacher.words if word not in own]
    only_own = [word for word in own.words if word not in teacher]
    text = f"its vocabulary differs: {plural(len(teacher), 'word')}, this training has {len(own):,}"
    if only_teacher:
        text += f"; only the teacher knows {listed(only_teacher, shown=5)}"
    if only_own:
        text += f"; only this training has {listed(only_own, shown=5)}"
    if not only_teacher and not only_own:
        pairs = zip_longest(teacher.words, own.words)
        index, (one, other) = next((index, pair) for index, pair in enumerate(pairs) if pair[0] != pair[1])
        text += f"; the same words in another order, from id {index} on: {one!r} there, {other!r} here"
    if recipe.num_train_samples:
        text += f"; --num_train_samples {recipe.num_train_samples} may have removed words"
    return text + f". Needed the same words with the same ids: train a teacher on {corpus.root}"
