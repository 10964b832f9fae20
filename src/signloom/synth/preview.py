"""A contact sheet: frames of a corpus drawn as skeleton, hands and face."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from signloom import layout
from signloom.corpus import Corpus, Utterance
from signloom.errors import MissingExtraError
from signloom.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LIMBS = (
    "left_shoulder right_shoulder, left_shoulder left_elbow, left_elbow left_wrist, right_shoulder right_elbow, "
    "right_elbow right_wrist, left_shoulder left_hip, right_shoulder right_hip, left_hip right_hip"
)
_COLOURS = {"left_hand": "tab:orange", "right_hand": "tab:blue"}


def draw_contact_sheet(corpus: Corpus, path: Path, *, num_rows: int = 6, num_columns: int = 8) -> None:
    """Writes a PNG with a row for each of several utterances of different signers: the middle frame of its signs.

    Raises MissingExtraError without matplotlib.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("train", "matplotlib", "a preview") from None
    by_signer: dict[str | None, list[Utterance]] = {}
    for utterance in corpus:
        by_signer.setdefault(utterance.signer, []).append(utterance)
    rows = [clips[turn] for turn in range(num_rows) for clips in by_signer.values() if turn < len(clips)][:num_rows]
    figure = Figure(figsize=(2.6 * num_columns, 2.2 * len(rows)), layout="constrained")
    grid = figure.subplots(len(rows), num_columns, squeeze=False)
    for axes, utterance in zip(grid, rows, strict=True):
        landmarks = corpus.load(utterance)
        strokes = utterance.truth.get("strokes", [])
        shown = [(gloss, (start + end) // 2) for gloss, (start, end) in zip(utterance.glosses, strokes, strict=False)]
        for column, axis in enumerate(axes):
            axis.set_axis_off()
            if column < len(shown):
                gloss, frame = shown[column]
                draw_frame(axis, landmarks.points[frame], landmarks.image_size)
                axis.set_title(f"{utterance.signer} {gloss} {frame}", fontsize=8)
    with atomic_write(path) as file:
        figure.savefig(file, format="png", dpi=80)


def draw_frame(axis: Axes, points: np.ndarray, image_size: tuple[int, int] | None) -> None:
    """Draws one frame (543, 3), in units of the image height, into a matplotlib axis; missing parts are left out."""
    width = image_size[0] / image_size[1] if image_size else 1.0
    axis.set_xlim(0, width)
    axis.set_ylim(1, 0)
    axis.set_aspect("equal")
    axis.plot([0, width, width, 0, 0], [0, 0, 1, 1, 0], color="0.8", linewidth=0.8)
    for limb in _LIMBS.split(", "):
        ends = points[layout.indices(*(f"pose.{name}" for name in limb.split()))]
        axis.plot(ends[:, 0], ends[:, 1], color="0.55", linewidth=2)
    face = points[layout.GROUPS["face"]]
    axis.scatter(face[:, 0], face[:, 1], s=0.4, color="tab:green")
    for hand, colour in _COLOURS.items():
        joints = points[layout.GROUPS[hand]]
        for first, second in layout.HAND_BONES:
            axis.plot(joints[[first, second], 0], joints[[first, second], 1], color=colour, linewidth=1.1)
