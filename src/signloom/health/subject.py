"""What the doctor is asked to look at, found by what it is: a corpus, a model, a run, a recipe or a preset."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from signloom.corpus import HEADER, SPLITS, Corpus, Utterance, Utterances, num_sampled, spread
from signloom.errors import Faults, InputError, plural
from signloom.files.options_file import read_options
from signloom.files.urls import Url, located
from signloom.inference.model import load
from signloom.inference.model_file import SUFFIX
from signloom.inference.torch_engine import recognizer_of
from signloom.model.presets import PRESETS, ModelConfig, preset
from signloom.model.recognizer import Recognizer
from signloom.run_folder import Run, has_corpus
from signloom.train.distill.recipe import DistillRecipe
from signloom.train.recipe import Recipe
from signloom.train.recipes import find, recipes
from signloom.train.selection import unalignable, unalignable_in
from signloom.vocabulary import Vocabulary

# Of a model that is tried without a corpus.
MADE_UP_WORDS = 40


@dataclass(frozen=True)
class Subject:
    """What the doctor examines.

    name: as the user gave it.  kind: corpus, model, run, recipe or preset.  model_name: in words.  corpus: None if
    there is none.  trained: whether the weights were trained; otherwise they are new.  run: the record of a run.
    auxiliary_weight: of the auxiliary head's loss.  num_clips: of the corpus whose landmarks are measured, as
    `num_sampled` takes it.
    """

    name: str
    kind: str
    model_name: str
    recognizer: Recognizer
    vocabulary: Vocabulary
    corpus: Corpus | None
    trained: bool
    seed: int
    run: Run | None = None
    auxiliary_weight: float = Recipe.auxiliary_weight
    num_clips: int | None = None

    @property
    def examine_data(self) -> bool:
        """Whether to check the corpus itself: it does not only serve to try a model on."""
        return self.corpus is not None and self.kind in ("corpus", "recipe", "run")

    @property
    def examine_model(self) -> bool:
        return self.kind != "corpus"

    @property
    def examine_predictions(self) -> bool:
        """Whether there are a trained model and the corpus of its run, which it can predict."""
        return self.run is not None and self.trained and self.corpus is not None

    @property
    def description(self) -> str:
        of = f", on {self.corpus.root} ({plural(len(self.corpus), 'utterance')})" if self.corpus is not None else ""
        if self.kind == "corpus":
            of = f": {plural(len(self.corpus or ()), 'utterance')}, for {self.model_name}"
        if self.corpus is not None and self.examine_data:
            count = len(self.measured(self.corpus))
            if count < len(self.corpus):
                of += f"; landmarks of {plural(count, 'clip')} spread over it are measured (all with --clips 0)"
        return f"{self.kind} {self.name}{of}"

    def measured(self, corpus: Corpus) -> Utterances:
        """Returns the utterances whose landmarks are measured: all, or some of every split, spread evenly."""
        total = num_sampled(len(corpus), self.num_clips)
        if total == len(corpus):
            return corpus.utterances
        splits = [np.flatnonzero(corpus.utterances.columns.splits == number) for number in range(len(SPLITS))]
        *others, largest = sorted(splits, key=len)
        # A small split gives more than its share: a sixth of the clips, so that they tell something.
        counts = [min(len(rows), max(total // 6, total * len(rows) // len(corpus))) for rows in others]
        counts.append(total - sum(counts))
        chosen = [rows[spread(len(rows), count)] for rows, count in zip((*others, largest), counts, strict=True)]
        return corpus.utterances.take(np.sort(np.concatenate(chosen)))

    def unalignable(self, utterance: Utterance) -> str | None:
        """Returns the reason why CTC cannot align an utterance with the model's output, or None."""
        return unalignable(self.recognizer, utterance, self.vocabulary)

    def unalignable_in(self, utterances: Utterances) -> dict[int, str]:
        """Returns the same for those of many utterances that have a reason, by their places."""
        return unalignable_in(self.recognizer, utterances, self.vocabulary)


def find_subject(name: str, data_dir: Path | None, seed: int = 0) -> Subject:
    """Returns what `name` stands for, with those utterances of its corpus that have glosses.

    Raises InputError for a name that is none of a subject's kinds.
    """
    subject = _named(name, data_dir, seed)
    return replace(subject, corpus=subject.corpus.with_glosses) if subject.corpus is not None else subject


def _named(name: str, data_dir: Path | None, seed: int) -> Subject:
    path = located(name)
    given = Corpus.open(data_dir) if data_dir is not None else None
    if isinstance(path, Url) or (path / HEADER).is_file():
        return _new(name, "corpus", preset("student"), "the preset student", Corpus.open(path), seed)
    if path.suffix == SUFFIX:
        return _trained(name, "model", given, seed)
    if Run(path).is_run:
        return _run(name, given, seed)
    if path.suffix in (".yaml", ".yml") or name in recipes():
        options = _recipe_options(find(name).path if name in recipes() else path)
        folder = options.get("data_dir")
        corpus = given or (Corpus.open(folder) if folder and has_corpus(located(folder)) else None)
        return _of_recipe(name, "recipe", options, f"the recipe {name}", corpus, seed)
    if name in PRESETS:
        return _new(name, "preset", preset(name), f"the preset {name}", given, seed)
    near = difflib.get_close_matches(name, [*recipes(), *PRESETS], n=1)
    what = "another kind of file" if path.exists() else "no such file"
    if path.is_dir():
        what = f"a folder without {HEADER} or {Run.model_file.name}"
    raise InputError(
        f"doctor: {name}: {what}; needed a corpus ({HEADER}), a model ({Run.model_file.name}), a recipe "
        f"({', '.join(recipes())}) or a preset ({', '.join(PRESETS)})" + (f"; did you mean {near[0]}?" if near else "")
    )


def _new(name: str, kind: str, config: ModelConfig, words: str, corpus: Corpus | None, seed: int) -> Subject:
    """Returns a subject with new weights and the vocabulary of the corpus' training split."""
    glosses = [f"GLOSS-{number}" for number in range(MADE_UP_WORDS)]
    if corpus is not None:
        # A corpus without a training split can still be looked at.
        glosses = (corpus.utterances.in_split("train") or corpus.utterances).columns.words_used()
    vocabulary = Vocabulary.from_glosses([glosses])
    torch.manual_seed(seed)
    return Subject(name, kind, words, Recognizer(config, len(vocabulary)), vocabulary, corpus, False, seed)


def _trained(name: str, kind: str, corpus: Corpus | None, seed: int, run: Run | None = None) -> Subject:
    """Returns a subject with the model in a model file or run folder."""
    model = load(Path(name))
    return Subject(name, kind, name, recognizer_of(model.engine), model.vocabulary, corpus, True, seed, run)


def _run(name: str, given: Corpus | None, seed: int) -> Subject:
    run = Run.read(name)
    folder = run.find_corpus()
    corpus = given or (Corpus.open(folder) if folder else None)
    if corpus is not None:
        run = run.examined_on(corpus)
    if not run.model_file.is_file():
        # The run ended before its first epoch did: the model that it began with can be tried.
        return replace(_of_recipe(name, "run", run.options, name, corpus, seed), run=run)
    return _trained(name, "run", corpus, seed, run)


def _recipe_options(path: Path) -> dict[str, Any]:
    options = read_options(path)
    if not options:
        raise InputError(f"{path}: no options; needed at least one option of training, such as 'preset: student'")
    # The options of distillation include those of training.
    known = [field.name for field in dataclasses.fields(DistillRecipe)]
    faults = Faults(str(path))
    for key in options:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            faults.add(f"no option {key!r} of training" + (f"; did you mean {near[0]!r}?" if near else ""))
    faults.raise_if_any()
    return options


def _of_recipe(
    name: str, kind: str, options: Mapping[str, Any], words: str, corpus: Corpus | None, seed: int
) -> Subject:
    """Returns a subject with the new model that training with these options starts from."""
    try:
        recipe = Recipe.from_json({"data_dir": "", **options})
        config = recipe.model_config()
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    return replace(_new(name, kind, config, words, corpus, seed), auxiliary_weight=recipe.auxiliary_weight)
