"""Small data in the place of what the blocks of the documentation name: corpora, videos, models, tables, scores.

Each builder makes one path of a block. What a block makes by itself is not built before.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import cycle
from pathlib import Path

import numpy as np
import pytest

from conftest import TINY_SIGNS, TINY_STUDENT, TINY_TEACHER, tiny_sentence
from doc_examples import BUILDERS, GLOSSES, table
from formats import fractions, in_list, person, to_pickle, with_scores
from signloom import layout
from signloom.corpus import CorpusWriter
from signloom.files.writing import write_text
from signloom.importers.point_lists import COCO_WHOLEBODY, ISHARAH_86
from signloom.synth.corpus import synthesise
from signloom.synth.options import SynthOptions

# Glosses of the documentation, each signed as one of the tiny signs.
GLOSSES_OF_DOCS = "TODAY RAIN NORTH SUN HELLO THANKS TOMORROW WATER TEA COFFEE IDLE".split()
SIGNED_AS = dict(zip(GLOSSES_OF_DOCS, cycle(TINY_SIGNS), strict=False))
# The brightness of a film in which each sign is made.
BRIGHTNESS = {sign: 40 * (number + 1) for number, sign in enumerate(TINY_SIGNS)}
ISHARAH, UNISIGN = ("isharah", "annotations/SI"), ("coco_wholebody", "pose_format")
WEBDATASET = ("webdataset", "poses-train-000000.tar")
OPENPOSE, SPOTER = ("openpose", "openpose_output/json"), ("spoter", "WLASL100_train_25fps.csv")
ISHARAH_ROWS = ("00_0001|REGEN MORGEN|train", "01_0001|REGEN|dev", "02_0001|MORGEN|test")
PHOENIX_T = ("phoenix2014t", "annotations/manual")
SENTENCES = (
    ("train", "anna_monday", "TODAY RAIN NORTH"),
    ("dev", "anna_tuesday", "TOMORROW SUN"),
    ("test", "ben_monday", "SUN RAIN"),
)
PEOPLE = ("anna", "ben", "carla")


def signed(glosses: tuple[str, ...], seed: int = 0):
    """A clip of these glosses."""
    return tiny_sentence(tuple(SIGNED_AS[gloss] for gloss in glosses), seed=seed)


class Tracker:
    """In the place of MediaPipe: sees in grey frames, by their brightness, somebody who makes a tiny sign."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self.count = 0

    def warm_up(self) -> None:
        """Has nothing to load."""

    def close(self) -> None:
        """Holds nothing."""

    def __call__(self, frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        sign = min(BRIGHTNESS, key=lambda name: abs(BRIGHTNESS[name] - float(frame.mean())))
        clip = tiny_sentence((sign,), seed=self.count)
        points = clip.points[self.count % len(clip)].astype(np.float32)
        # Fractions of the width, in the place of units of the height.
        points[:, [0, 2]] *= frame.shape[0] / frame.shape[1]
        self.count += 1
        return points, np.full(layout.NUM_POSE_POINTS, 0.9, dtype=np.float32)


class NoCounter:
    """In the place of the pose model that counts people in a picture."""

    def __call__(self, picture: np.ndarray, seconds: float) -> int:
        return 1

    def close(self) -> None:
        """Holds nothing."""


@contextmanager
def stand_ins() -> Iterator[None]:
    """Puts a tracker in the place of MediaPipe, and tiny models in the place of the presets."""
    from signloom.extract import clip_worker, holistic, parallel
    from signloom.model.presets import PRESETS

    def extract_all(clips, output, settings, *, workers, on_outcome, on_progress):
        parallel._shared = [0, 0, 0]
        for clip in clips:
            on_outcome(parallel._extract(clip, output, settings))

    with pytest.MonkeyPatch.context() as patch:
        for module in (holistic, clip_worker):
            patch.setattr(module, "HolisticTracker", Tracker)
        for module in ("signloom.commands.extract", "signloom.inference.read_clips"):
            patch.setattr(f"{module}.extract_all", extract_all)
        patch.setattr("signloom.live.people.PeopleCounter", NoCounter)
        # `make page` builds the page's scripts, where there is Node.js.
        patch.setattr("signloom.page.site._built", lambda: iter([("index.html", b""), ("locales/en.json", b"{}")]))
        for name in PRESETS:
            patch.setitem(PRESETS, name, TINY_TEACHER if name.startswith("teacher") else TINY_STUDENT)
        yield


def _film(path: Path, *glosses: str) -> None:
    """A film of 12 grey frames per gloss."""
    from films import WIDTH, even, write_film

    shades = [BRIGHTNESS[SIGNED_AS[gloss]] for gloss in glosses for _ in range(12)]
    write_film(path, even(len(shades)), picture=lambda number: np.full((64, WIDTH, 3), shades[number], dtype=np.uint8))


def _corpus(path: Path) -> None:
    """Three people, 6 sentences each in train, some of them again in dev and test."""
    rng = np.random.default_rng(0)
    with CorpusWriter(path, {"name": "docs"}) as writer:
        for split, count in (("train", 6), ("dev", 2), ("test", 2)):
            for number in range(count):
                for signer in PEOPLE if split == "train" else PEOPLE[:1] if split == "dev" else PEOPLE[1:2]:
                    glosses = tuple(rng.choice(list(SIGNED_AS)[:4], size=3).tolist())
                    name = f"{split}-{signer}-{number}"
                    clip = signed(glosses, seed=len(name) + number)
                    writer.add(name, split=split, signer=signer, glosses=glosses, landmarks=clip)


def _signs(folder: Path, *, words: tuple[str, ...] = ("HELLO", "THANKS"), people: tuple[str, ...] = PEOPLE[:2]) -> None:
    for word in words:
        for signer in people:
            for number in range(3):
                signed((word,), seed=number).save(folder / word / f"{signer}_{number + 1}.npz")


def _sentences(folder: Path) -> None:
    """Landmarks of sentences."""
    for _, name, glosses in SENTENCES:
        signed(tuple(glosses.split())).save(folder / f"{name}.npz")


def _sign_films(folder: Path, *, by_signer: bool = False) -> None:
    for word in ("HELLO", "THANKS"):
        for signer in PEOPLE[:2]:
            for number in range(3):
                name = f"{signer}/{word}/{number}" if by_signer else f"{word}/{signer}_{number + 1}"
                _film(folder / f"{name}.mp4", word)


def _scores(path: Path) -> None:
    """References or hypotheses of two sentences, by the suffix of the path; all systems make other errors."""
    rows = {"s1": ["REGEN", "MORGEN"], "s2": ["NORD", "REGEN"]}
    if path.suffix == ".stm":
        table(path, *(f"{name} 1 Signer01 0.0 1.79e+308 {' '.join(words)}" for name, words in rows.items()))
    elif path.suffix == ".ctm":
        rows["s1"] = rows["s1"][: 1 + (path.stem == "b")]
        lines = (f"{name} 1 {k} 1 {word}" for name, words in rows.items() for k, word in enumerate(words))
        table(path, *lines)
    else:
        table(path, "id|gloss", *(f"{name}|{' '.join(words)}" for name, words in rows.items()))


def _of_table(key: tuple[str, str], part: str, path: Path) -> None:
    """A part of the small data of an example of the table of formats, at another path."""
    made = path.parent / f"made-{path.name}"
    made.mkdir(parents=True)
    BUILDERS[key](made)
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(made / part, path)
    shutil.rmtree(made)


def _si5(folder: Path) -> None:
    """Annotations of SI5, whose signer 5 is in dev and test alone."""
    for split, glosses in GLOSSES.items():
        signer = "Signer01" if split == "train" else "Signer05"
        row = f"{split}-1|{split}-1/1/*.png|{signer}|{glosses}"
        table(folder / f"manual/{split}.SI5.corpus.csv", "id|folder|signer|annotation", row)


def _features(folder: Path) -> None:
    for split in GLOSSES:
        values = fractions(person(10)).reshape(10, -1)
        path = folder / split / f"{split}-1.npz"
        path.parent.mkdir(parents=True)
        np.savez(path, features=np.concatenate([values, np.zeros((10, 6516 - values.shape[1]))], axis=1))


def _mska(path: Path) -> None:
    split = path.suffix[1:]
    # Inside frames of 210x260.
    keypoints = with_scores(0.4 * in_list(COCO_WHOLEBODY, person()))
    clip = {"name": f"{split}/{split}-1", "gloss": "REGEN", "keypoint": keypoints}
    to_pickle(path, {f"{split}/{split}-1": clip})


def _isharah86(path: Path) -> None:
    to_pickle(path, {f"0{number}_0001": {"keypoints": in_list(ISHARAH_86, person())} for number in range(3)})


def _tables(folder: Path) -> None:
    for split, name, glosses in SENTENCES:
        table(folder / f"{split}.csv", "id|gloss", f"{name}|{glosses}")


def _simulated(folder: Path) -> None:
    synthesise(SynthOptions(num_signs=4, num_train=2, num_dev=1, num_test=1, max_glosses=3), folder)


def _eaf(folder: Path) -> None:
    """An ELAN file with the tiers Gloss and Sentence."""
    pympi = pytest.importorskip("pympi")
    eaf = pympi.Eaf()
    for tier, *spans in (("Gloss", (0, 80, "REGEN"), (120, 200, "MORGEN")), ("Sentence", (0, 220, "Regen"))):
        eaf.add_tier(tier)
        for start, end, text in spans:
            eaf.add_annotation(tier, start, end, text)
    folder.mkdir()
    eaf.to_file(str(folder / "clip.eaf"))


def _textgrid(folder: Path) -> None:
    lines = ['"Gloss"', "0", "0.24", "2", "0", "0.08", '"REGEN"', "0.12", "0.24", '"MORGEN"']
    lines += ['"IntervalTier"', '"Sentence"', "0", "0.24", "1", "0", "0.24", '"Regen"']
    head = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "0", "0.24", "<exists>", "2", '"IntervalTier"']
    table(folder / "clip.TextGrid", *head, *lines)


def _subtitles(folder: Path) -> None:
    cues = [f"00:00:00,{start:03d} --> 00:00:00,{start + 80:03d}\n{word}" for start, word in ((0, "A"), (120, "B"))]
    write_text(folder / "clip.srt", "\n\n".join(f"{number}\n{cue}" for number, cue in enumerate(cues, 1)) + "\n")


def _two_people(folder: Path) -> None:
    with CorpusWriter(folder, {"name": folder.name}) as writer:
        writer.add("1", split="train", signer="anna", glosses=("REGEN",), landmarks=person(seed=len(folder.name)))


def _clips_of(*names: str) -> Callable[[Path], None]:
    def build(folder: Path) -> None:
        for seed, name in enumerate(names):
            person(seed=seed % 2).save(folder / f"{name}.npz")

    return build


def _clip_in(path: Path) -> Path:
    return path if path.suffix else path / "clip.npz"


def _top(path: Path, name: str) -> Path:
    """The folder `name` that holds the path."""
    return next(folder for folder in (path, *path.parents) if folder.name == name)


# The builder of a path, by the page with its block, and by the path as the block has it. The first that fits counts.
INPUTS: list[tuple[str, str, Callable[[Path], object]]] = [
    (r"import glosl", r"glosl-phoenix14t", partial(_of_table, ("glosl", "glosl-gsl"), "glosl-gsl")),
    (r"import isharah --annotations annotations", "annotations/SI", partial(_of_table, ISHARAH, "annotations/SI")),
    (r"import isharah --annotations annotations", "landmarks", partial(_of_table, ISHARAH, "landmarks")),
    (r"import isharah", r"sentences\.csv", lambda path: table(path, "id|gloss|split", *ISHARAH_ROWS)),
    (r"import elan", "recordings", lambda path: _film(path / "clip.mp4", "TODAY", "RAIN")),
    (r"import elan", "eaf", _eaf),
    (r"import textgrid", "textgrids", _textgrid),
    (r"import (textgrid|subtitles)", "landmarks", _clips_of("clip")),
    (r"import subtitles", "subtitles", _subtitles),
    (r"import webdataset", r"poses-train-000000\.tar", partial(_of_table, WEBDATASET, WEBDATASET[1])),
    (r"import merge", r"corpus-anna|corpus-ben|first|second", _two_people),
    (r"--tree signer/sign/clip", "my_videos", partial(_sign_films, by_signer=True)),
    (r"import holistic", r"(anna/|ben/)?MP_Data", partial(_of_table, ("holistic", "MP_Data"), "MP_Data")),
    (r"import pose", "poses", partial(_of_table, ("pose", "poses"), "poses")),
    (r"import coco_wholebody", r"CSL_Daily/pose_format", partial(_of_table, UNISIGN, "pose_format")),
    (r"import coco_wholebody", r"Phoenix-2014T\.\w+", _mska),
    (r"import coco_wholebody", "annotations/manual", partial(_of_table, PHOENIX_T, "annotations/manual")),
    (r"import isharah86", r"pose_data_\w+\.pkl", _isharah86),
    (r"import features6516", "data_dir", _features),
    (r"import features6516", "annotations", _si5),
    (r"import openhands", r"INCLUDE/Animals", partial(_of_table, ("openhands", "INCLUDE"), "INCLUDE/Animals")),
    (r"import openpose", r"openpose_output/json", partial(_of_table, OPENPOSE, "openpose_output/json")),
    (r"import mediapipe_tasks", "recordings", partial(_of_table, ("mediapipe_tasks", "recordings"), "recordings")),
    (r"import asl_signs", "asl-signs", partial(_of_table, ("asl_signs", "asl-signs"), "asl-signs")),
    (r"import spoter", r"WLASL100_train_25fps\.csv", partial(_of_table, SPOTER, SPOTER[1])),
    (r"your-data.md", r"my_videos/anna_monday\.mp4", lambda path: _film(path, "TODAY", "RAIN", "NORTH")),
    (r"your-data.md.*tables", "tables", _tables),
    (
        r"your-data.md.*(tables|anna_monday)",
        r"landmarks(/anna_monday\.npz)?",
        lambda path: _sentences(_top(path, "landmarks")),
    ),
    (r"browser.md", r"my_signs|landmarks", _clips_of("HOUSE", "TREE")),
    (r"browser.md", r"clip\.npz", lambda path: _clips_of("clip")(path.parent)),
    (r"your-data.md", "new_landmarks", partial(_signs, people=("carla",))),
    (r"decoding.md", r"\w+\.corpus\.csv", lambda path: table(path, "id|annotation", "a|TODAY RAIN", "b|RAIN SUN")),
    (r"decoding.md", r"sentences\.csv", lambda path: table(path, "id|gloss", "clip|TODAY RAIN NORTH")),
    (r"simulated", r".*\.SI5\.corpus\.csv", lambda path: table(path, "id|annotation", f"{path.stem}|REGEN MORGEN")),
    (r"scoring.md", r".*\.(csv|stm|ctm)", _scores),
    ("", r"runs/\w+/corpus/.*\.npz", lambda path: signed(("TODAY",)).save(path)),
    ("transcribing.md", "videos", _sign_films),
    ("transcribing.md", r"more/\*\.mp4", lambda path: _film(path.with_name("talk.mp4"), "TODAY", "RAIN")),
    ("simulated.*truth", "corpus", _simulated),
    ("", "(my|new)_videos", _sign_films),
    (r"decoding.md|live.md", r"landmarks(/clip\.npz)?", lambda path: signed(("TODAY",)).save(_clip_in(path))),
    ("", r"landmarks(/HELLO/anna_1\.npz)?", lambda path: _signs(_top(path, "landmarks"))),
    ("--other_glosses", "landmarks_of_signs", partial(_signs, words=tuple(GLOSSES_OF_DOCS[4:]))),
    ("", "landmarks_of_signs", lambda path: _signs(path)),
    ("", "corpus|si5", _corpus),
    ("", r"clip\.mp4", lambda path: _film(path, "TODAY", "RAIN", "NORTH")),
]
# What commands make.
MADE: list[tuple[str, str]] = [
    (r"model\.onnx", "signloom export runs/mine --output OUT"),
    (r"(score|other)\.json", "signloom score corpus runs/other --split dev --output OUT"),
    ("signs", "signloom import clips landmarks_of_signs --output OUT --signer_from ^([a-z]+)_"),
    (r"glosses\.arpa", "signloom lm --data_dir corpus --output OUT"),
]
