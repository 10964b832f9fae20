"""Streams with the events that Python's recogniser makes of them, for the recogniser of the page to make the same.

`python tests/page_vectors.py FILE` writes them as JSON. What the network gives for each window is recorded, so the
events depend on the stream's code alone.
"""

from __future__ import annotations

import base64
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from scripted_signing import GLOSSES, PLACES, Film, ScriptedEngine
from signloom import layout
from signloom.ctc.confidence import Calibration, confidences
from signloom.ctc.decoding import Decoding
from signloom.ctc.kneser_ney import kneser_ney
from signloom.ctc.spans import INFO_KEY, SpanSettings
from signloom.ctc.timing import Timing
from signloom.ctc.viterbi import forced_alignment
from signloom.inference.lookup import Entry, nearest
from signloom.inference.model import Model
from signloom.inference.stream_events import Event, UtteranceEnd
from signloom.inference.stream_options import StreamOptions
from signloom.inference.streaming import StreamingRecognizer
from signloom.page.model_record import model_record
from signloom.vocabulary import UNKNOWN_ID, Vocabulary

NUM_STREAMS = 240


class NoisyEngine(ScriptedEngine):
    """Emits random glosses, sure and unsure ones, that differ from window to window, as no trained model would."""

    def __init__(self, num_words: int, rng: np.random.Generator) -> None:
        super().__init__(num_words)
        self._rng = rng
        self.config = replace(
            ScriptedEngine.config, frame_rate=bool(rng.random() < 0.2), fps=float(rng.choice([15, 25]))
        )
        self.step_seconds = self.config.stride / self.config.fps

    def log_probs(self, points: np.ndarray, lengths: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        count = int(self.config.output_lengths(points.shape[1]))
        logits = self._rng.normal(size=(count, self.num_words)) * self._rng.choice([0.5, 2, 6], size=(count, 1))
        logits[:, 0] += self._rng.choice([-2, 1, 4], size=count)
        # Glosses that last: the same word in several frames.
        for _ in range(count // 4):
            start, word = self._rng.integers(count), self._rng.integers(2, self.num_words)
            logits[start : start + self._rng.integers(1, 4), word] += 6
        logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
        return logits.astype(np.float32)[None], np.array([count])


class RecordingEngine:
    """Passes everything on to another engine, and keeps what it gave. windows: by call."""

    def __init__(self, engine: ScriptedEngine) -> None:
        self._engine = engine
        self.windows: list[dict[str, Any]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def log_probs(self, points: np.ndarray, lengths: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        rows, counts = self._engine.log_probs(points, lengths)
        self.windows.append({"frames": points.shape[1], "rows": len(rows[0]), "log_probs": encoded(rows[0])})
        return rows, counts


def streams(num_streams: int = NUM_STREAMS) -> list[dict[str, Any]]:
    """Returns streams of all kinds, each with its model, its frames and its events."""
    return [stream(np.random.default_rng(seed)) for seed in range(num_streams)]


def stream(rng: np.random.Generator) -> dict[str, Any]:
    """Returns one stream."""
    vocabulary = Vocabulary.from_glosses([GLOSSES if rng.random() < 0.5 else [*GLOSSES, *"DEFGHIJK"]])
    engine = RecordingEngine(
        ScriptedEngine(len(vocabulary), shaky=bool(rng.random() < 0.5), slides=bool(rng.random() < 0.3))
        if rng.random() < 0.4
        else NoisyEngine(len(vocabulary), rng)
    )
    if isinstance(engine._engine, NoisyEngine) or len(vocabulary) == 2 + len(GLOSSES):
        words = vocabulary
    else:
        words = Vocabulary.from_glosses([GLOSSES])
        engine._engine.num_words = len(words)
    settings = SpanSettings(
        Timing(float(rng.uniform(-0.2, 0.2)), float(rng.uniform(0.3, 0.7))),
        Calibration(float(rng.uniform(0.3, 1.5)), float(rng.uniform(-1, 1))),
    )
    info = {INFO_KEY: settings.to_json()}
    decoding, language_model = _decoder(rng, words)
    limits = ([None, 0.0, float(rng.uniform(0, 1))][number] for number in rng.integers(3, size=2))
    decoding = replace(decoding, **dict(zip(("min_confidence", "sure_confidence"), limits, strict=True)))
    model = Model(engine, words, info, decoding, language_model)
    options = StreamOptions() if rng.random() < 0.6 else _options(rng)
    points, seconds = frames(rng)
    recognizer = StreamingRecognizer(model, options)
    events = recognizer.push(points, seconds) + recognizer.finish()
    return {
        "model": model_record(model, options),
        "frames": encoded(points),
        "seconds": seconds.tolist(),
        "windows": engine.windows,
        "events": [exact(event) for event in events],
        "num_late": recognizer.num_late,
    }


def lookups() -> list[dict[str, Any]]:
    """Returns clips of one sign, as a network sees them, with the words and the lexicon's clips that are nearest."""
    return [_lookup(np.random.default_rng(seed)) for seed in range(10)]


def _lookup(rng: np.random.Generator) -> dict[str, Any]:
    words = Vocabulary.from_glosses(["ABCDEFGHIJ"]).words
    log_probs = rng.normal(size=(int(rng.integers(1, 30)), len(words))) * 3
    log_probs = (log_probs - np.log(np.exp(log_probs).sum(axis=1, keepdims=True))).astype(np.float32)
    shares = {
        word: confidences(log_probs, [number], forced_alignment(log_probs, [number]))[0]
        for number, word in enumerate(words)
        if number > UNKNOWN_ID
    }
    features = rng.normal(size=(len(log_probs), 8)).astype(np.float32)
    mean = features.mean(axis=0, dtype=np.float64)
    embeddings = rng.normal(size=(20, 8)).astype(np.float32)
    entries = [Entry(f"clip {number}", Path(), row) for number, row in enumerate(embeddings)]
    matches = nearest(mean / np.linalg.norm(mean), entries, 5)
    return {
        "words": words,
        "rows": len(log_probs),
        "log_probs": encoded(log_probs),
        "features": encoded(features),
        "embeddings": encoded(embeddings),
        "likeliest": sorted(shares.items(), key=lambda item: -item[1])[:5],
        "nearest": [(match.entry.name, match.similarity) for match in matches],
    }


def frames(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Returns the points of a few seconds of signing and resting, and their times, often with faults of a camera."""
    film = Film()
    for _ in range(rng.integers(1, 4)):
        film.rest(rng.uniform(0.1, 1.4))
        for gloss in rng.choice(GLOSSES, size=rng.integers(1, 5)).tolist():
            film.sign(
                gloss,
                hold_frames=int(40 if rng.random() < 0.25 else rng.integers(4, 12)),
                move_frames=int(rng.integers(2, 12)),
            )
    film.rest(rng.uniform(0, 1.5))
    points = film.points + rng.normal(0, 0.004, (len(film), len(PLACES), 3)).astype(np.float32)
    seconds = film.seconds + rng.uniform(0, 5)
    kind = rng.integers(6)
    if kind == 1:
        seconds = seconds + rng.uniform(0, 0.015, len(seconds))
    elif kind == 2:
        keep = rng.random(len(seconds)) < 0.7
        keep[0] = True
        points, seconds = points[keep], seconds[keep]
    elif kind == 3:
        middle = len(seconds) // 2
        seconds = seconds + np.where(np.arange(len(seconds)) < middle, 0, rng.choice([0.6, 1.5]))
    elif kind == 4:
        late = rng.integers(1, len(seconds), 3)
        seconds[late] = seconds[late - 1]
    elif kind == 5:
        seconds = seconds * rng.choice([0.5, 0.8, 1.7])
    for _ in range(rng.integers(0, 4)):
        start, stop = rng.integers(len(points)), rng.integers(1, 30)
        part = rng.choice(["all", "left_hand", "right_hand", "shoulders"])
        points[start : start + stop, _places(str(part))] = np.nan
    return points, seconds


def _places(part: str) -> slice | list[int]:
    if part == "all":
        return slice(None)
    if part == "shoulders":
        return [PLACES[layout.index(f"pose.{side}_shoulder")] for side in ("left", "right")]
    return layout.subset_groups("compact")[part]


def _decoder(rng: np.random.Generator, vocabulary: Vocabulary) -> tuple[Decoding, Any]:
    kind = rng.integers(4)
    if kind == 0:
        return Decoding("greedy"), None
    sizes = {"beam_size": int(rng.choice([2, 10, 30])), "tokens_per_frame": int(rng.choice([3, 20]))}
    if kind == 1:
        return Decoding(**sizes), None
    if kind == 2:
        return Decoding(**sizes, insertion_bonus=float(rng.uniform(-2, 2))), None
    glosses = vocabulary.words[2:]
    sentences = [tuple(rng.choice(glosses, size=rng.integers(1, 6)).tolist()) for _ in range(20)]
    language_model = kneser_ney(sentences, int(rng.integers(1, 4))).model
    return Decoding(
        **sizes, lm_weight=float(rng.uniform(0.1, 2)), insertion_bonus=float(rng.uniform(-1, 1))
    ), language_model


def _options(rng: np.random.Generator) -> StreamOptions:
    return StreamOptions(
        lookahead_seconds=float(rng.uniform(0.1, 1)),
        context_seconds=float(rng.uniform(0.2, 2)),
        update_seconds=float(rng.uniform(0.05, 0.4)),
        rest_seconds=float(rng.uniform(0.2, 1)),
        pause_seconds=float(rng.uniform(0.3, 1.2)),
    )


def exact(event: Event) -> dict[str, Any]:
    """Returns an event without rounding."""
    if isinstance(event, UtteranceEnd):
        return {"kind": "end", **asdict(event)}
    return {"kind": event.kind, "utterance": event.utterance, "index": event.index, **asdict(event.span)}


def encoded(values: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype="<f4").tobytes()).decode("ascii")


def write(path: Path) -> None:
    path.write_text(json.dumps({"streams": streams(), "lookups": lookups()}))


if __name__ == "__main__":
    write(Path(sys.argv[1]))
