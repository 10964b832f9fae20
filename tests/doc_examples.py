"""Small data for the examples in docs/corpora.md: one builder for each example, by its importer and its source."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from formats import (
    SIZE,
    asl_signs_folder,
    csl_daily_pickle,
    fractions,
    glosl_folder,
    in_list,
    npy,
    openpose_json,
    person,
    spoter_table,
    tar_of,
    tasks_frames,
    to_pickle,
    with_scores,
)
from signloom import layout
from signloom.corpus import CorpusWriter
from signloom.files.writing import write_json, write_text
from signloom.importers.point_lists import COCO_WHOLEBODY, HOLISTIC_75, ISHARAH_86, OPENPOSE
from signloom.timed.annotations import TimedAnnotation
from signloom.timed.eaf import write_eaf

GLOSSES = {"train": "REGEN MORGEN", "dev": "REGEN", "test": "MORGEN"}


def table(path: Path, *lines: str) -> None:
    write_text(path, "\n".join([*lines, ""]))


def _landmarks(folder: Path, *names: str) -> None:
    for seed, name in enumerate(names):
        person(seed=seed % 2).save(folder / "landmarks" / f"{name}.npz")


def _phoenix2014(folder: Path) -> None:
    for split, glosses in GLOSSES.items():
        path = folder / f"annotations/manual/{split}.corpus.csv"
        table(path, "id|folder|signer|annotation", f"{split}-1|{split}-1/1/*.png|Signer01|{glosses}")
    _landmarks(folder, *(f"{split}-1" for split in GLOSSES))


def _phoenix2014t(folder: Path) -> None:
    for split, glosses in GLOSSES.items():
        path = folder / f"annotations/manual/PHOENIX-2014-T.{split}.corpus.csv"
        columns = "name|video|start|end|speaker|orth|translation"
        table(path, columns, f"{split}-1|{split}-1/1/*.png|-1|-1|Signer01|{glosses}|regen")
    _landmarks(folder, *(f"{split}-1" for split in GLOSSES))


def _csl_daily(folder: Path) -> None:
    names = {split: f"S00000{number}_P000{number}_T00" for number, split in enumerate(GLOSSES)}
    csl_daily_pickle(
        folder / "sentence_label/csl2020ct_v2.pkl", {name: GLOSSES[split].split() for split, name in names.items()}
    )
    table(folder / "sentence_label/split_1.txt", "name|split", *(f"{name}|{split}" for split, name in names.items()))
    _landmarks(folder, *names.values())


def _glosl(folder: Path) -> None:
    rows = {f"{split}_1": {"split": split, "gloss": glosses} for split, glosses in GLOSSES.items()}
    clips = {f"poses/{name}.pose": person(seed=number % 2) for number, name in enumerate(rows)}
    glosl_folder(folder / "glosl-gsl", rows, clips)


def _isharah(folder: Path) -> None:
    for number, (split, glosses) in enumerate(GLOSSES.items()):
        table(folder / f"annotations/SI/{split}.csv", "id|gloss", f"0{number}_0001|{glosses}")
    _landmarks(folder, *(f"0{number}_0001" for number in range(3)))


def _elan(folder: Path) -> None:
    text = write_eaf([TimedAnnotation(0, 80, "REGEN"), TimedAnnotation(120, 200, "MORGEN")], [1.0, 1.0])
    write_text(folder / "eaf/clip.eaf", text)
    _landmarks(folder, "clip")


def _textgrid(folder: Path) -> None:
    lines = ['"Gloss"', "0", "0.24", "2", "0", "0.08", '"REGEN"', "0.12", "0.24", '"MORGEN"']
    head = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "0", "0.24", "<exists>", "1", '"IntervalTier"']
    table(folder / "textgrids/clip.TextGrid", *head, *lines)
    _landmarks(folder, "clip")


def _subtitles(folder: Path) -> None:
    cue = "1\n00:00:00,000 --> 00:00:00,200\nREGEN MORGEN\n"
    write_text(folder / "subtitles/clip.srt", cue)
    _landmarks(folder, "clip")


def _merge(folder: Path) -> None:
    for number, name in enumerate(("anna", "ben")):
        with CorpusWriter(folder / f"corpus-{name}", {"name": name}) as writer:
            clip = person(seed=number)
            writer.add("1", split="train", signer=name, glosses=("REGEN",), landmarks=clip)


def _clips(folder: Path) -> None:
    _landmarks(folder, "REGEN/1", "MORGEN/1")


def _holistic(folder: Path) -> None:
    clip = person(30)
    values = fractions(clip)
    # Pose with visibility, face, left hand, right hand: 1,662 values.
    pose = with_scores(values[:, layout.GROUPS["pose"]])
    parts = [pose, *(values[:, layout.GROUPS[group]] for group in ("face", "left_hand", "right_hand"))]
    frames = np.concatenate([part.reshape(len(clip), -1) for part in parts], axis=1)
    for number, frame in enumerate(frames):
        path = folder / f"MP_Data/hello/0/{number}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, frame)


def _asl_signs(folder: Path) -> None:
    asl_signs_folder(folder / "asl-signs", {("26734", "1000035562", "blow"): person()})


def _spoter(folder: Path) -> None:
    spoter_table(folder / "WLASL100_train_25fps.csv", {"book": person()}, upwards=True)


def _pose(folder: Path) -> None:
    from signloom.importers.pose_writing import write_pose

    write_pose(person(), folder / "poses/clip.pose")


def _unisign(folder: Path) -> None:
    values = in_list(COCO_WHOLEBODY, person()) / SIZE
    content = {"keypoints": [frame[None] for frame in values], "scores": [np.full((1, 133), 0.9)] * len(values)}
    to_pickle(folder / "pose_format/S000020_P0000_T00.pkl", content)


def _mska(folder: Path) -> None:
    clip = {"name": "train/a-1", "gloss": "REGEN", "keypoint": with_scores(in_list(COCO_WHOLEBODY, person()))}
    to_pickle(folder / "Phoenix-2014T.train", {"train/a-1": clip})


def _isharah86(folder: Path) -> None:
    values = in_list(ISHARAH_86, person())
    to_pickle(folder / "pose_data_isharah1000_hands_lips_body.pkl", {"01_0001": {"keypoints": values}})


def _openhands(folder: Path) -> None:
    values = fractions(person())[:, [layout.index(name) for name in HOLISTIC_75.sources]]
    content = {"keypoints": values, "confidences": np.ones(values.shape[:2])}
    to_pickle(folder / "INCLUDE/Animals/1. Dog/MVI_2980.pkl", content)


def _openpose(folder: Path) -> None:
    openpose_json(folder / "openpose_output/json/clip1", with_scores(in_list(OPENPOSE, person())))


def _tasks(folder: Path) -> None:
    (folder / "recordings").mkdir()
    write_json(folder / "recordings/clip.json", {"frames": tasks_frames(person())})


def _features6516(folder: Path) -> None:
    values = fractions(person(10)).reshape(10, -1)
    path = folder / "data_dir/train/a-1.npz"
    path.parent.mkdir(parents=True)
    np.savez(path, features=np.concatenate([values, np.zeros((10, 6516 - values.shape[1]))], axis=1))


def _webdataset(folder: Path) -> None:
    clip = person()
    values = in_list(COCO_WHOLEBODY, clip)
    tar_of(
        folder / "poses-train-000000.tar",
        {"a.npy": npy(values), "a.txt": b"REGEN MORGEN", "b.npy": npy(values), "b.txt": b"REGEN"},
    )


def _auto(folder: Path) -> None:
    openpose_json(folder / "data/clip1", with_scores(in_list(OPENPOSE, person())))


BUILDERS: dict[tuple[str, str], Callable[[Path], None]] = {
    ("phoenix2014", "annotations/manual"): _phoenix2014,
    ("phoenix2014t", "annotations/manual"): _phoenix2014t,
    ("csl_daily", "sentence_label"): _csl_daily,
    ("glosl", "glosl-gsl"): _glosl,
    ("isharah", "annotations/SI"): _isharah,
    ("elan", "eaf"): _elan,
    ("textgrid", "textgrids"): _textgrid,
    ("subtitles", "subtitles"): _subtitles,
    ("clips", "landmarks"): _clips,
    ("holistic", "MP_Data"): _holistic,
    ("asl_signs", "asl-signs"): _asl_signs,
    ("spoter", "WLASL100_train_25fps.csv"): _spoter,
    ("pose", "poses"): _pose,
    ("coco_wholebody", "pose_format"): _unisign,
    ("coco_wholebody", "Phoenix-2014T.train"): _mska,
    ("isharah86", "pose_data_isharah1000_hands_lips_body.pkl"): _isharah86,
    ("openhands", "INCLUDE"): _openhands,
    ("openpose", "openpose_output/json"): _openpose,
    ("mediapipe_tasks", "recordings"): _tasks,
    ("features6516", "data_dir"): _features6516,
    ("webdataset", "poses-train-000000.tar"): _webdataset,
    ("merge", "corpus-anna"): _merge,
    ("auto", "data"): _auto,
}
