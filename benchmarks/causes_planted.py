"""The faults that `causes.py` plants: each cause in several ways. Small presets in which they show within seconds."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Fault:
    """What is wrong with a run.

    way: in words.  options: of the recipe.  corpus: makes the corpus to train on from a healthy one, in a folder.
    in_training: the fault in the code while it trains; in_code: also while the doctor looks.  afterwards: what is done
    to the run's folder, with its corpus.
    """

    way: str
    options: dict[str, Any] = field(default_factory=dict)
    corpus: Callable[[Path, Path], Path] = lambda root, folder: root
    in_training: Callable[[], AbstractContextManager[Any]] = nullcontext
    in_code: Callable[[], AbstractContextManager[Any]] = nullcontext
    afterwards: Callable[[Path, Path], None] = lambda run, root: None


def add_presets() -> None:
    """A student and a teacher of a few hundred thousand parameters."""
    from signloom.model.presets import PRESETS, Block, InceptionModule, StudentConfig, TeacherConfig

    student = StudentConfig(
        view="compact",
        encoder_widths={"pose": 16, "left_hand": 32, "right_hand": 32, "face": 8},
        stem_channels=64,
        blocks=(Block(5, 128, 64, 2), Block(5, 128, 64)),
        head_channels=64,
        lstm_hidden=96,
        lstm_layers=1,
    )
    PRESETS["small_student"] = student
    PRESETS["small_teacher"] = TeacherConfig(
        view="compact",
        encoder_width=32,
        attention_heads=2,
        stem_channels=64,
        modules=(InceptionModule("3b", 32, (32, 48), (16, 24), 24),),
        lstm_hidden=96,
        lstm_layers=1,
    )


@contextmanager
def quiet() -> Iterator[None]:
    """Progress and logs of the block go nowhere."""
    import io

    with (
        Path(os.devnull).open("w") as nothing,
        contextlib.redirect_stderr(nothing),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        yield


def taking_turns(*ways: Callable[[], Fault]) -> Callable[[int], Fault]:
    return lambda turn: ways[turn % len(ways)]()


@contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


# Double normalisation, in the corpus.


def _changed(root: Path, folder: Path, change: Callable[[np.ndarray], np.ndarray], rename: Any = None) -> Path:
    """A copy of a corpus with its points passed through `change`, and its glosses through `rename`."""
    from signloom.corpus import Corpus, CorpusWriter

    corpus = Corpus.open(root)
    glosses = {item.id: item.glosses for item in corpus} if rename is None else rename(corpus)
    with CorpusWriter(folder, {"name": corpus.name}, overwrite=True) as writer:
        for item in corpus:
            clip = corpus.load(item)
            with np.errstate(all="ignore"):
                points = change(clip.points).astype(np.float32)
            writer.add(
                item.id,
                split=item.split,
                signer=item.signer,
                glosses=glosses[item.id],
                landmarks=replace(clip, points=points),
            )
    return folder


def _standardised(points: np.ndarray) -> np.ndarray:
    return (points - np.nanmean(points, 0)) / np.maximum(np.nanstd(points, 0), 1e-3)


def _to_unit_range(points: np.ndarray) -> np.ndarray:
    low, high = np.nanmin(points, 0), np.nanmax(points, 0)
    return (points - low) / np.maximum(high - low, 1e-3)


def _by_clip(way: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[], Fault]:
    def loud(root: Path, folder: Path) -> Path:
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            return _changed(root, folder, change)

    return lambda: Fault(way, corpus=loud)


def _by_corpus() -> Fault:
    def change(root: Path, folder: Path) -> Path:
        import warnings

        from signloom.corpus import Corpus

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            corpus = Corpus.open(root)
            every = np.concatenate([corpus.load(item).points for item in corpus if item.split == "train"])
            mean, deviation = np.nanmean(every, 0), np.maximum(np.nanstd(every, 0), 1e-3)
            return _changed(root, folder, lambda points: (points - mean) / deviation)

    return Fault("by the statistics of the corpus", corpus=change)


# Double normalisation, in the model.


def _clip_by_clip(self: Any, given: Any, lengths: Any) -> Any:
    import torch

    frames = torch.arange(given.shape[1]) < (torch.tensor([given.shape[1]]) if lengths is None else lengths)[:, None]
    weight = frames[:, :, None].float()
    count = weight.sum(1, keepdim=True)
    mean = (given * weight).sum(1, keepdim=True) / count
    deviation = (((given - mean) * weight).square().sum(1, keepdim=True) / count).sqrt().clamp(min=1e-3)
    return (given - mean) / deviation * weight


def _by_same_statistics(self: Any, given: Any, lengths: Any) -> Any:
    return ((given - self.mean) / self.std).clamp(-50, 50)


def _after_front_end(change: Callable[[Any, Any, Any], Any]) -> Callable[[], AbstractContextManager[Any]]:
    def context() -> AbstractContextManager[Any]:
        from signloom.model.frontend import FrontEnd

        forward = FrontEnd.forward

        def twice(self: Any, points: Any, lengths: Any = None) -> Any:
            return change(self, forward(self, points, lengths), lengths)

        return replaced(FrontEnd, "forward", twice)

    return context


# Time pooled.


def _pooled(method: str, pool: Callable[[Any], Any]) -> Callable[[], AbstractContextManager[Any]]:
    def context() -> AbstractContextManager[Any]:
        from signloom.model.recognizer import Recognizer

        before = getattr(Recognizer, method)

        def features(self: Any, points: Any, lengths: Any = None) -> Any:
            x, body_lengths = before(self, points, lengths)
            return pool(x).expand_as(x), body_lengths

        def classify(self: Any, x: Any, lengths: Any) -> Any:
            log_probs = before(self, x, lengths)
            return pool(log_probs).expand_as(log_probs).log_softmax(-1)

        return replaced(Recognizer, method, features if method == "features" else classify)

    return context


# The vocabulary.


def _file_renamed(order: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path, Path], None]:
    def change(run: Path, root: Path) -> None:
        from signloom.inference.model import load
        from signloom.vocabulary import Vocabulary

        model = load(run)
        words = np.array(model.vocabulary.words[2:], dtype=object)
        named = Vocabulary((*model.vocabulary.words[:2], *words[order(np.arange(len(words)))]))
        replace(model, vocabulary=named).save(run / "model.safetensors")

    return change


def _shuffled(numbers: np.ndarray) -> np.ndarray:
    return np.random.default_rng(5).permutation(numbers)


def _trained_on_other_ids() -> AbstractContextManager[Any]:
    from signloom.vocabulary import Vocabulary

    before = Vocabulary.encode

    def encode(self: Any, glosses: Any) -> list[int]:
        order = [0, 1, *(2 + _shuffled(np.arange(len(self) - 2)))]
        return [int(order[number]) for number in before(self, glosses)]

    return replaced(Vocabulary, "encode", encode)


# Everything blank.


def _blank_rewarded(weight: float) -> Callable[[], AbstractContextManager[Any]]:
    """A term of the wrong sign: it was to keep blank from taking over, and pays it for every frame."""

    def context() -> AbstractContextManager[Any]:
        from signloom.model import recognizer

        before = recognizer.ctc_loss

        def loss(log_probs: Any, lengths: Any, *targets: Any) -> Any:
            import torch

            frames = torch.arange(log_probs.shape[1]) < lengths[:, None]
            return before(log_probs, lengths, *targets) - weight * (log_probs[..., 0] * frames).sum(1)

        return replaced(recognizer, "ctc_loss", loss)

    return context


def _blank_prior(strength: float) -> Callable[[], AbstractContextManager[Any]]:
    """The prior of blank added where it was to be taken away, when the model is read and not when it is trained."""

    def context() -> AbstractContextManager[Any]:
        from signloom.model.recognizer import Recognizer

        before = Recognizer._classify

        def classify(self: Any, x: Any, lengths: Any) -> Any:
            log_probs = before(self, x, lengths)
            if self.training:
                return log_probs
            log_probs = log_probs.clone()
            log_probs[..., 0] += strength
            return log_probs.log_softmax(-1)

        return replaced(Recognizer, "_classify", classify)

    return context


def _blank_bias(run: Path, root: Path) -> None:
    from signloom.inference.model import load

    model = load(run)
    model.engine.recognizer.classifier.bias.data[0] += 20.0
    model.save(run / "model.safetensors")


# The attention.


def _clamped(clamp: float) -> Callable[[], Fault]:
    def context() -> AbstractContextManager[Any]:
        from signloom.model.presets import PRESETS

        stack = ExitStack()
        tight = replace(PRESETS["small_teacher"], attention_clamp=clamp)
        stack.callback(PRESETS.__setitem__, "small_teacher", PRESETS["small_teacher"])
        PRESETS["small_teacher"] = tight
        return stack

    return lambda: Fault(f"clamp {clamp:g}", {"preset": "small_teacher"}, in_training=context)


# The annotations.


def _slipped(places: int, splits: tuple[str, ...]) -> Callable[[], Fault]:
    def rename(corpus: Any) -> dict[str, tuple[str, ...]]:
        glosses = {item.id: item.glosses for item in corpus}
        for split in splits:
            items = corpus.split(split)
            for at, item in enumerate(items):
                glosses[item.id] = items[(at + places) % len(items)].glosses
        return glosses

    way = f"by {places} in {' and '.join(splits)}"
    return lambda: Fault(way, corpus=lambda root, folder: _changed(root, folder, lambda points: points, rename))


def _mixed() -> Fault:
    def rename(corpus: Any) -> dict[str, tuple[str, ...]]:
        items = corpus.split("train")
        order = np.random.default_rng(9).permutation(len(items))
        glosses = {item.id: item.glosses for item in corpus}
        return glosses | {item.id: items[at].glosses for item, at in zip(items, order, strict=True)}

    return Fault("shuffled", corpus=lambda root, folder: _changed(root, folder, lambda points: points, rename))


# The word error rate.


def _exchanged_in_training() -> AbstractContextManager[Any]:
    from signloom.score.wer import score
    from signloom.train import module

    def exchanged(rows: Any, **options: Any) -> Any:
        rows = list(rows)
        swapped = [(name, hypothesis, reference) for name, reference, hypothesis in rows]
        # Nothing to divide by while nothing is read.
        return score(swapped if any(hypothesis for _, hypothesis, _ in swapped) else rows, **options)

    return replaced(module, "score", exchanged)


def _exchanged_evaluation(split: str, utterances: bool) -> Callable[[Path, Path], None]:
    def write(run: Path, root: Path) -> None:
        from signloom.corpus import Corpus
        from signloom.inference.evaluate import evaluate
        from signloom.inference.model import load
        from signloom.score.wer import score

        corpus = Corpus.open(root)
        right = evaluate(load(run), corpus, split)
        swapped = score((one.id, one.alignment.hypothesis, one.alignment.reference) for one in right.utterances)
        record = {**swapped.to_json(utterances=utterances), "split": split, "corpus": corpus.name}
        (run / f"evaluation-{split}.json").write_text(json.dumps(record), encoding="utf-8")

    return write


# Few epochs leave deletions, without which the exchange would change no figure.
_SOME = {"epochs": 9}

CAUSES: dict[str, Callable[[int], Fault]] = {
    "normalised_corpus": taking_turns(
        _by_clip("clip by clip", _standardised), _by_corpus, _by_clip("to the unit range, clip by clip", _to_unit_range)
    ),
    "normalised_model": taking_turns(
        lambda: Fault("clip by clip", in_code=_after_front_end(_clip_by_clip)),
        lambda: Fault("by the same statistics", in_code=_after_front_end(_by_same_statistics)),
        lambda: Fault("clip by clip, in training alone", in_training=_after_front_end(_clip_by_clip)),
    ),
    "time_pooled": taking_turns(
        lambda: Fault("mean of the features", in_code=_pooled("features", lambda x: x.mean(1, keepdim=True))),
        lambda: Fault("greatest of the features", in_code=_pooled("features", lambda x: x.amax(1, keepdim=True))),
        lambda: Fault("mean of the output", in_code=_pooled("_classify", lambda x: x.mean(1, keepdim=True))),
    ),
    "vocabulary": taking_turns(
        lambda: Fault("off by one", afterwards=_file_renamed(lambda numbers: np.roll(numbers, 1))),
        lambda: Fault("shuffled", afterwards=_file_renamed(_shuffled)),
        lambda: Fault("trained on other ids", in_training=_trained_on_other_ids),
    ),
    "blank": taking_turns(
        lambda: Fault("loss rewards blank, 10", in_training=_blank_rewarded(10.0)),
        lambda: Fault("prior added, 15", in_code=_blank_prior(15.0)),
        lambda: Fault("loss rewards blank, 30", in_training=_blank_rewarded(30.0)),
        lambda: Fault("bias of blank", afterwards=_blank_bias),
    ),
    "uniform": taking_turns(
        lambda: Fault("dropout 0.9, rate 1e-7", {"dropout": 0.9, "learning_rate": 1e-7}),
        lambda: Fault("dropout 0.95, rate 1e-6", {"dropout": 0.95, "learning_rate": 1e-6}),
        lambda: Fault("dropout 0.8, rate 3e-7, plain", {"dropout": 0.8, "learning_rate": 3e-7, "schedule": "plain"}),
    ),
    "attention_clamp": taking_turns(_clamped(0.01), _clamped(0.03), _clamped(0.002)),
    "high_rate": taking_turns(
        lambda: Fault("peak 1", {"learning_rate": 0.1}),
        lambda: Fault("peak 10", {"learning_rate": 1.0}),
        lambda: Fault("plain, 1", {"learning_rate": 1.0, "schedule": "plain", "warmup_epochs": 1.0}),
        lambda: Fault("cosine, 30", {"learning_rate": 30.0, "schedule": "cosine", "warmup_epochs": 1.0}),
    ),
    "annotations": taking_turns(
        _slipped(1, ("train", "dev", "test")), _slipped(1, ("train",)), _slipped(-1, ("train", "dev")), _mixed
    ),
    "score_order": taking_turns(
        lambda: Fault("on dev, in training", _SOME, in_training=_exchanged_in_training),
        lambda: Fault("evaluation of test", _SOME, afterwards=_exchanged_evaluation("test", True)),
        lambda: Fault("evaluation of dev, totals alone", _SOME, afterwards=_exchanged_evaluation("dev", False)),
    ),
}
