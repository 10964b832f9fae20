"""One simulated person, written in the formats of other tools; for tests that read them back.

Each writer builds its points from the layout's names, in the order that the format documents.
"""

from __future__ import annotations

import csv
import io
import json
import pickle
import tarfile
from functools import cache
from pathlib import Path

import numpy as np

from signloom import layout
from signloom.importers.point_lists import PointList
from signloom.landmarks import Landmarks
from signloom.synth.corpus import make_clip
from signloom.synth.options import SynthOptions
from signloom.synth.plans import make_plans

SIZE = (640, 480)
# Half a pixel of the image, and what half precision loses.
TOLERANCE = 0.5 / 480 + 1e-3


@cache
def person(num_frames: int = 6, seed: int = 0) -> Landmarks:
    """A clip of a simulated person with all points, in an image of 640x480 at 25 frames/s."""
    options = SynthOptions(preset="clean", num_train=4, num_dev=1, num_test=1, num_signs=4, seed=seed)
    clip = make_clip(options, make_plans(options)[0]).landmarks
    points = clip.points[:num_frames].astype(np.float64)
    assert np.isfinite(points).all()
    # The simulated image is wide; its middle becomes that of an image of 4:3.
    points[..., 0] += (SIZE[0] / SIZE[1] - clip.aspect) / 2
    return Landmarks(points, np.full((len(points), layout.NUM_POSE_POINTS), 0.75), fps=25.0, image_size=SIZE)


def in_list(points: PointList, clip: Landmarks) -> np.ndarray:
    """The points (T, N, 2) of a clip in the order of a list, in pixels.

    A point of ours that is the mean of several of the list's is at each of them, unless they are points of ours.
    """
    values = np.full((len(clip), points.num_points, 2), 300.0)
    pixels = clip.points[..., :2].astype(np.float64) * SIZE[1]
    for alone in (False, True):
        for name, parts in points.sources.items():
            if (len(parts) == 1) == alone:
                values[:, list(parts)] = pixels[:, [layout.index(name)]]
    return values


def means_of_several(points: PointList) -> list[int]:
    """The points of ours that are means of several points of a list."""
    return [layout.index(name) for name, parts in points.sources.items() if len(parts) > 1]


def expect_same(read: Landmarks, clip: Landmarks, points: PointList, *, depth: bool = False) -> None:
    """Asserts that a clip in the order of a list came back: every point where it was, the others missing."""
    columns = 3 if depth else 2
    covered = np.zeros(layout.NUM_POINTS, dtype=bool)
    covered[[layout.index(name) for name in points.sources]] = True
    assert read.points.shape == clip.points.shape
    assert np.isnan(read.points[:, ~covered]).all()
    exact = covered.copy()
    exact[means_of_several(points)] = False
    np.testing.assert_allclose(read.points[:, exact, :columns], clip.points[:, exact, :columns], atol=TOLERANCE)
    assert np.isfinite(read.points[:, covered]).all()


def to_pickle(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content))
    return path


def npy(values: np.ndarray) -> bytes:
    """An array as the content of a .npy file."""
    buffer = io.BytesIO()
    np.save(buffer, values, allow_pickle=False)
    return buffer.getvalue()


def tar_of(path: Path, members: dict[str, bytes]) -> Path:
    """A tar archive with members of these names and contents."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def openpose_json(folder: Path, values: np.ndarray, *, clip: str = "clip1", first: int = 0) -> Path:
    """Frames of one person, (T, 137, 3), as OpenPose's --write_json names them."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, frame in enumerate(values, first):
        write_openpose_frame(folder / f"{clip}_{number:012d}_keypoints.json", [frame])
    return folder


def write_openpose_frame(path: Path, people: list[np.ndarray]) -> None:
    parts = {"pose": slice(0, 25), "face": slice(25, 95), "hand_left": slice(95, 116), "hand_right": slice(116, 137)}
    entries = [
        {
            "person_id": [-1],
            **{f"{name}_keypoints_2d": points[part].reshape(-1).tolist() for name, part in parts.items()},
            "pose_keypoints_3d": [],
        }
        for points in people
    ]
    path.write_text(json.dumps({"version": 1.3, "people": entries}))


def with_scores(values: np.ndarray, score: float = 0.75) -> np.ndarray:
    return np.concatenate([values, np.full((*values.shape[:-1], 1), score)], axis=-1)


def fractions(clip: Landmarks) -> np.ndarray:
    """The points (T, 543, 3) as MediaPipe gives them: x and z by the width, y by the height."""
    return clip.points.astype(np.float64) / (clip.aspect, 1, clip.aspect)


def tasks_frames(clip: Landmarks, style: str = "javascript") -> list[dict]:
    """Results of the holistic landmarker, as JavaScript or Python name them, in another result, or as bare lists."""
    names = {"pose": "poseLandmarks", "left_hand": "leftHandLandmarks", "right_hand": "rightHandLandmarks"}
    names |= {"face": "faceLandmarks"}
    if style == "short":
        names = {"pose": "pose", "left_hand": "leftHand", "right_hand": "rightHand", "face": "face"}
    if style == "python":
        names = {group: f"{group}_landmarks" for group in names}
    values = fractions(clip)
    frames = []
    for t in range(len(clip)):
        frame: dict = {}
        for group, name in names.items():
            points = values[t, layout.GROUPS[group]].tolist()
            if style == "lists":
                frame[name] = points
                continue
            entry = [{"x": x, "y": y, "z": z, "visibility": 0.75 if group == "pose" else 0} for x, y, z in points]
            # Python's result has one list for each part, JavaScript's a list of lists.
            frame[name] = entry if style == "python" else [entry]
        frames.append({"result": frame} if style == "nested" else frame)
    return frames


def spoter_table(path: Path, clips: dict[str, Landmarks], *, upwards: bool = False) -> Path:
    """A table in SPOTER's columns, a row for each label; upwards: y counted from the bottom."""
    fingers = {"index": "index", "middle": "middle", "ring": "ring", "pinky": "little"}
    columns = {"nose": "pose.nose"}
    for side in ("left", "right"):
        columns |= {f"{side}{part}": f"pose.{side}_{part.lower()}" for part in "Eye Ear Shoulder Elbow Wrist".split()}
        columns |= {f"wrist_{side}": f"{side}_hand.wrist"}
        thumb = {"CMC": "cmc", "MP": "mcp", "IP": "ip", "Tip": "tip"}
        columns |= {f"thumb{theirs}_{side}": f"{side}_hand.thumb_{ours}" for theirs, ours in thumb.items()}
        columns |= {
            f"{theirs}{joint}_{side}": f"{side}_hand.{ours}_{joint.lower()}"
            for ours, theirs in fingers.items()
            for joint in ("MCP", "PIP", "DIP", "Tip")
        }
    rows = []
    for label, clip in clips.items():
        row: dict[str, object] = {}
        values = fractions(clip)
        for name, ours in columns.items():
            x, y, _ = values[:, layout.index(ours)].T
            row |= {f"{name}_X": x.tolist(), f"{name}_Y": (1 - y if upwards else y).tolist()}
        row |= {"neck_X": [0.5] * len(clip), "neck_Y": [0.5] * len(clip), "labels": label, "video_fps": 25.0}
        rows.append(row | {"video_size_width": SIZE[0], "video_size_height": SIZE[1]})
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return path


def asl_signs_folder(root: Path, clips: dict[tuple[str, str, str], Landmarks], *, first_frame: int = 0) -> Path:
    """Kaggle's layout: train.csv and a parquet file for each (participant, sequence, sign)."""
    import pyarrow
    from pyarrow import parquet

    lines = ["path,participant_id,sequence_id,sign"]
    for (participant, sequence, sign), clip in clips.items():
        relative = f"train_landmark_files/{participant}/{sequence}.parquet"
        lines.append(f"{relative},{participant},{sequence},{sign}")
        values = fractions(clip)
        # In the competition's order of parts.
        order = [
            (group, index) for group in ("face", "left_hand", "pose", "right_hand")
            for index in range(layout.GROUPS[group].stop - layout.GROUPS[group].start)
        ]  # fmt: skip
        if sequence == "2":
            order.sort(key=lambda item: item[0] != "pose")
        frames = [t for t in range(len(clip)) for _ in order]
        places = [layout.GROUPS[group].start + index for group, index in order]
        x, y, z = values[:, places].reshape(-1, 3).T
        table = {
            "frame": pyarrow.array([first_frame + t for t in frames], pyarrow.int32()),
            "row_id": [f"{t}-{group}-{index}" for t in range(len(clip)) for group, index in order],
            "type": [group for _ in range(len(clip)) for group, _ in order],
            "landmark_index": pyarrow.array([index for _ in range(len(clip)) for _, index in order], pyarrow.int16()),
            "x": x,
            "y": y,
            "z": z,
        }
        (root / relative).parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(pyarrow.table(table), root / relative)
    (root / "train.csv").write_text("\n".join([*lines, ""]))
    return root


def glosl_folder(
    root: Path, rows: dict[str, dict[str, str]], clips: dict[str, Landmarks], *, card: bool = True
) -> Path:
    """GloSL's layout: annotations.csv with a row for each id, and a .pose file for each path of `clips`."""
    from signloom.importers.pose_writing import write_pose

    columns = "id split text gloss gloss_type signer start end fps n_frames video_ref pose_file video_file".split()
    root.mkdir(parents=True, exist_ok=True)
    with (root / "annotations.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows({"id": name, **row} for name, row in rows.items())
    for name, clip in clips.items():
        write_pose(clip, root / name)
    if card:
        (root / "card.json").write_text(json.dumps({"name": "tiny", "license": "CC BY 4.0"}))
    return root


def csl_daily_pickle(path: Path, glosses: dict[str, list[str]]) -> Path:
    """CSL-Daily's own pickle: 'info' of every clip, and the vocabularies."""
    info = [
        {
            "name": name,
            "length": 6,
            "label_gloss": words,
            "label_char": ["a"],
            "label_word": ["b"],
            "signer": 0,
            "time": 0,
        }
        for name, words in glosses.items()
    ]
    return to_pickle(path, {"info": info, "gloss_map": sorted({word for words in glosses.values() for word in words})})
