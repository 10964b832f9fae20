"""Pictures of landmarks for notebooks and scripts: `Landmarks.draw` and `Landmarks.plot`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from signloom import layout
from signloom.drawing.show import Shown, contact_sheet
from signloom.drawing.tracked import COLOURS
from signloom.errors import InputError, needs_extra
from signloom.landmarks import Landmarks

if TYPE_CHECKING:
    from PIL.Image import Image

# Frames on a sheet.
_NUM_FRAMES = 8


def draw(landmarks: Landmarks, *, frame: int | None, video: Path | str | None, height: int) -> Image:
    """Returns a contact sheet, or one frame; see `Landmarks.draw`. Raises InputError for a frame that is not there."""
    shown = Shown(landmarks, None if video is None else Path(video))
    if frame is None:
        num_frames = min(_NUM_FRAMES, len(landmarks))
        return contact_sheet(shown, shown.span(0.0, None), shown.images(), num_frames=num_frames, height=height)
    if not -len(landmarks) <= frame < len(landmarks):
        raise InputError(f"landmarks: no frame {frame}; needed one of {len(landmarks):,}")
    for number, _, image in shown.images():
        if number == frame % len(landmarks):
            return shown.pages(height, image).picture(number, image)
    raise InputError(f"{video}: frame {frame} could not be read")


def plot(landmarks: Landmarks) -> Any:
    """Returns two axes: the places of the hands over time, and when each part was found; see `Landmarks.plot`."""
    with needs_extra("a chart"):
        import matplotlib.pyplot as plt

    _, (places, presence) = plt.subplots(2, figsize=(8, 3.6), sharex=True, height_ratios=(3, 1), layout="constrained")
    colours = {name: tuple(part / 255 for part in colour) for name, colour in COLOURS.items()}
    for name in ("right_hand", "left_hand"):
        middles = getattr(landmarks, name)[..., :2].mean(axis=1)
        for axis, (label, line) in enumerate((("across", ":"), ("down", "-"))):
            places.plot(
                landmarks.seconds,
                middles[:, axis],
                line,
                color=colours[name],
                label=f"{name.replace('_', ' ')}, {label}",
            )
    # As in the picture: y grows downwards.
    places.invert_yaxis()
    places.set_ylabel("image heights")
    places.legend(fontsize="small", ncols=2)
    for row, name in enumerate(layout.GROUPS):
        found = landmarks.present(name)
        presence.fill_between(
            landmarks.seconds, row + 0.1, row + 0.9, where=np.asarray(found), step="post", color=colours[name], lw=0
        )
    presence.set_yticks(np.arange(len(layout.GROUPS)) + 0.5, [name.replace("_", " ") for name in layout.GROUPS])
    presence.set_ylim(len(layout.GROUPS), 0)
    presence.set_xlabel("seconds")
    return np.array([places, presence])
