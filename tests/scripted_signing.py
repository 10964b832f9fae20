"""Streams whose signs a scripted engine recognises without any training: the place of the right hand is the gloss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from signloom import layout
from signloom.ctc.decoding import Decoding
from signloom.inference.model import Model
from signloom.inference.model_file import ModelFile
from signloom.model.presets import Block, ModelConfig, StudentConfig
from signloom.vocabulary import Vocabulary

VIEW = "compact"
FPS = 25.0
PLACES = {int(point): place for place, point in enumerate(layout.subset(VIEW))}
GLOSSES = ("A", "B", "C")
# Where the hand is in each gloss, in a sign that is none ("?"), and between signs, in units of image height; resting it
# hangs at REST.
PLACE_OF = {"A": (0.3, 0.5), "B": (0.5, 0.3), "C": (0.7, 0.5), "?": (0.3, 0.3)}
BETWEEN = (0.5, 0.5)
REST = (0.45, 0.95)


class ScriptedEngine:
    """Emits a gloss in every output frame whose second frame shows the hand at its place; else blank.

    doubtful: glosses that are half as probable as others.
    shaky: emit every gloss an output frame later in every second window, as the ends of windows may move emissions.
    slides: emit a gloss in the last of its output frames alone, two before the end of the window at most.
    """

    config: ModelConfig = StudentConfig(
        view=VIEW,
        encoder_widths={"pose": 8, "left_hand": 8, "right_hand": 8, "face": 8},
        blocks=(Block(3, 8, 8, 2),),
        fps=FPS,
    )
    step_seconds = 4 / FPS

    def __init__(self, num_words: int, *, shaky: bool = False, slides: bool = False, doubtful: str = "") -> None:
        self.num_words = num_words
        self.shares = np.array([0.49 if gloss in doubtful else 0.98 for gloss in ("?", *GLOSSES)])[: num_words - 1]
        self.shaky, self.slides = shaky, slides
        self.calls = 0
        self.longest = 0

    def output_lengths(self, lengths: np.ndarray) -> np.ndarray:
        return np.asarray(self.config.output_lengths(lengths))

    def log_probs(self, points: np.ndarray, lengths: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        assert len(points) == 1
        self.calls += 1
        self.longest = max(self.longest, points.shape[1])
        count = int(self.config.output_lengths(points.shape[1]))
        late = int(self.shaky and self.calls % 2)
        frames = np.clip(4 * (np.arange(count) - late) + 1, 0, points.shape[1] - 1)
        wrist = points[0, frames, PLACES[layout.index("right_hand.wrist")]]
        places = np.array([PLACE_OF[gloss] for gloss in ("?", *GLOSSES[: self.num_words - 2])])
        shown = np.linalg.norm(wrist[:, None, :2] - places, axis=2) < 0.02
        if self.slides:
            shown[max(0, count - 2) :] = False
            shown[:-1] &= ~shown[1:]
        probs = np.full((count, self.num_words), 0.02 / self.num_words)
        probs[:, 1:] += self.shares * shown
        probs[:, 0] += 0.98 - (self.shares * shown).max(axis=1)
        return np.log(probs / probs.sum(axis=1, keepdims=True)).astype(np.float32)[None], np.array([count])

    def features(self, points: np.ndarray, lengths: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        raise NotImplementedError

    def weights(self) -> Mapping[str, np.ndarray]:
        raise NotImplementedError

    def save(self, path: Path, file: ModelFile) -> None:
        raise NotImplementedError


def scripted_model(glosses: Sequence[str] = GLOSSES, *, decoder: str = "beam", **engine: Any) -> Model:
    """Returns a model with a scripted engine. engine: `shaky`, `slides` and `doubtful`."""
    vocabulary = Vocabulary.from_glosses([glosses])
    return Model(ScriptedEngine(len(vocabulary), **engine), vocabulary, decoding=Decoding(decoder=decoder))


class Film:
    """Frames (T, P, 3) of a person whose right hand signs and rests; the left hand is out of view."""

    def __init__(self) -> None:
        self._hand: list[tuple[float, float]] = []

    def __len__(self) -> int:
        return len(self._hand)

    def rest(self, seconds: float, place: tuple[float, float] = REST) -> Film:
        self._hand += [place] * round(seconds * FPS)
        return self

    def sign(self, *glosses: str, hold_frames: int = 6, move_frames: int = 10) -> Film:
        """The hand is between places, at the place of the gloss, and between places again."""
        for gloss in glosses:
            around = [BETWEEN] * (move_frames // 2)
            self._hand += [*around, *[PLACE_OF[gloss]] * hold_frames, *around]
        return self

    @property
    def points(self) -> np.ndarray:
        points = np.full((len(self), len(PLACES), 3), np.nan, dtype=np.float32)

        def put(name: str, place: object) -> None:
            points[:, PLACES[layout.index(name)]] = np.concatenate(
                [np.broadcast_to(np.asarray(place, dtype=np.float32), (len(self), 2)), np.zeros((len(self), 1))], axis=1
            )

        put("pose.left_shoulder", (0.65, 0.4))
        put("pose.right_shoulder", (0.35, 0.4))
        put("pose.left_wrist", (0.7, 0.9))
        put("pose.right_wrist", self._hand)
        for number in range(layout.NUM_HAND_POINTS):
            put(layout.POINT_NAMES[layout.GROUPS["right_hand"].start + number], self._hand)
        return points

    @property
    def seconds(self) -> np.ndarray:
        return np.arange(len(self)) / FPS
