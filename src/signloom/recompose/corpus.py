"""Writes a corpus of sentences with new training sentences, composed of signs of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from signloom.compose import common_fps
from signloom.console import progress_bar
from signloom.corpus import Corpus, CorpusWriter, Utterance, check_output
from signloom.errors import Faults, InputError, listed, plural
from signloom.files.paths import resolved
from signloom.files.urls import located
from signloom.inference.model import Model
from signloom.landmarks import Landmarks, file_header
from signloom.recompose.cuts import Cut, CutSentences, cut_sentences
from signloom.recompose.draw import Drawer
from signloom.recompose.splice import Part, splice

# Number of clips of sentences kept in memory: about a megabyte each at 150 frames.
CACHED_CLIPS = 500
# With a smaller share of trusted cuts the model does not know the corpus, and what it trusts says little.
MIN_TRUSTED = 0.3


@dataclass(frozen=True, kw_only=True)
class RecomposeOptions:
    """Options of new sentences made of a corpus' own signs."""

    new_per_sentence: float = 2.0
    """with --from_alignment: number of new sentences per training sentence"""
    seed: int = 0
    """seed of every random draw: the same seed gives the same corpus"""

    def __post_init__(self) -> None:
        faults = Faults("compose --from_alignment")
        faults.need_above(0, self, "new_per_sentence")
        faults.need_at_least(0, self, "seed")
        faults.raise_if_any()


class Recomposed(NamedTuple):
    """The new corpus, and how the training sentences of the old one were cut."""

    corpus: Corpus
    cut: CutSentences


def recompose(
    corpus: Corpus,
    output: Path,
    model: Model,
    options: RecomposeOptions | None = None,
    *,
    overwrite: bool = False,
    progress: bool = False,
) -> Recomposed:
    """Returns the corpus with new training sentences, written to the folder `output`.

    model: aligns the training sentences; it should recognise most of their glosses. Nothing of dev or test is cut.
    progress: show progress bars on stderr.
    The corpus stays as it is; new sentences come after its own, with the most frequent frame rate of train.

    Raises InputError for a corpus of isolated clips or one with new sentences already, if less than 30 % of the cuts
    can be trusted, and if `output` already holds a corpus, unless `overwrite`.
    """
    options = options or RecomposeOptions()
    if resolved(located(output)) == resolved(corpus.root):
        raise InputError(f"{output}: this folder holds the sentences; choose another --output")
    check_output(output, overwrite=overwrite)
    train = _sentences(corpus)
    _check_glosses(corpus, train, model)
    fps = common_fps(item.fps for item in train)
    items = {item.id: item for item in train}

    @lru_cache(maxsize=CACHED_CLIPS)
    def load(name: str) -> Landmarks:
        return corpus.load(items[name]).resampled(fps)

    with progress_bar(disable=not progress) as bar:
        task = bar.add_task("aligning", total=len(train), unit="sentences")
        cut = cut_sentences(model, corpus, train, advance=lambda count: bar.advance(task, count))
        _check_trusted(corpus, cut)
        drawer = Drawer(train, cut)
        if not drawer.signers:
            raise InputError(f"{corpus.root}: no signer has two cuts that can be trusted; nothing can change places")
        count = round(options.new_per_sentence * len(train))
        task = bar.add_task("composing", total=count, unit="sentences")
        with CorpusWriter(output, _info(corpus, options, cut), overwrite=overwrite) as writer:
            for item in corpus:
                writer.add(
                    item.id,
                    split=item.split,
                    signer=item.signer,
                    glosses=item.glosses,
                    landmarks=corpus.file(item),
                    source=item.source,
                    truth=item.truth,
                    others=item.others,
                )
            for number in range(count):
                cuts = drawer.draw(np.random.default_rng([options.seed, number]))
                writer.add(
                    f"recomposed-{number:05d}",
                    split="train",
                    signer=items[cuts[0].utterance].signer,
                    glosses=[one.gloss for one in cuts],
                    landmarks=splice(parts_of(cuts, load, items)),
                    source={
                        "maker": "signloom compose",
                        "corpus": corpus.name,
                        "cuts": [[one.utterance, one.position] for one in cuts],
                    },
                )
                bar.advance(task)
    return Recomposed(Corpus.open(output), cut)


def parts_of(cuts: Sequence[Cut], load: Callable[[str], Landmarks], items: Mapping[str, Utterance]) -> list[Part]:
    """Returns the parts of clips that show the cuts of a new sentence, in order.

    load: returns the clip of a sentence by its id.  items: the sentences by id.

    Cuts that follow each other in one sentence are one part, with what lies between them. The first sign of a sentence
    that begins the new one brings what comes before it, the last sign that ends it what comes after.
    """
    stretches: list[list[Cut]] = []
    for cut in cuts:
        last = stretches[-1][-1] if stretches else None
        if last is not None and (last.utterance, last.position + 1) == (cut.utterance, cut.position):
            stretches[-1].append(cut)
        else:
            stretches.append([cut])
    parts = []
    for index, stretch in enumerate(stretches):
        first, last = stretch[0], stretch[-1]
        clip = load(first.utterance)
        is_start = index == 0 and first.position == 0
        is_end = index == len(stretches) - 1 and last.position == len(items[last.utterance].glosses) - 1
        start = 0 if is_start else min(round(first.start_seconds * clip.fps), len(clip) - 1)
        end = len(clip) if is_end else max(round(last.end_seconds * clip.fps), start + 1)
        parts.append(Part(clip, start, min(end, len(clip))))
    return parts


def _sentences(corpus: Corpus) -> Sequence[Utterance]:
    """Returns the training sentences of a corpus. Raises InputError for isolated clips, and if some are new already."""
    train = corpus.with_glosses.split("train")
    if new := sum("cuts" in item.source for item in train):
        raise InputError(
            f"{corpus.root}: has {plural(new, 'new sentence')} already; needed the corpus that it was made of"
        )
    if all(len(item.glosses) == 1 for item in train):
        raise InputError(
            f"{corpus.root}: isolated clips, one gloss each; needed sentences. Compose isolated clips without "
            "--from_alignment"
        )
    return train


def _check_glosses(corpus: Corpus, train: Sequence[Utterance], model: Model) -> None:
    """Raises InputError if a model knows all glosses of no sentence."""
    if all(model.vocabulary.unknown(item.glosses) for item in train):
        glosses = {gloss for item in train for gloss in item.glosses}
        unknown = sorted(model.vocabulary.unknown(glosses))
        raise InputError(
            f"{corpus.root}: the model knows all glosses of no training sentence; it does not know {len(unknown):,} of "
            f"{plural(len(glosses), 'gloss')} ({listed(unknown, shown=10)}). Needed a model trained on this corpus"
        )


def _check_trusted(corpus: Corpus, cut: CutSentences) -> None:
    """Raises InputError if a model cannot align the sentences of a corpus, or not well enough."""
    if not cut.by_sentence:
        faults = Faults(f"{corpus.root}: no training sentence could be aligned", shown=5)
        for name, reason in cut.failed.items():
            faults.add(f"{name}: {reason}")
        faults.raise_if_any()
    share = len(cut.trusted) / len(cut.cuts)
    if share < MIN_TRUSTED:
        reasons = "; ".join(f"{count:,}: {reason}" for reason, count in cut.doubts.most_common())
        raise InputError(
            f"{corpus.root}: {len(cut.trusted):,} of {plural(len(cut.cuts), 'cut')} ({share:.0%}) can be trusted; "
            f"needed at least {MIN_TRUSTED:.0%} ({reasons}). Train the model on this corpus, or train it for longer"
        )


def _info(corpus: Corpus, options: RecomposeOptions, cut: CutSentences) -> dict[str, Any]:
    kept = {key: value for key, value in corpus.info.items() if key not in file_header("", 0)}
    made = {"from": corpus.name, **asdict(options), "cuts": len(cut.cuts), "trusted": len(cut.trusted)}
    return {**kept, "name": f"{corpus.name}-recomposed", "recomposed": made}
