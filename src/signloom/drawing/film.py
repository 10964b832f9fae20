"""Writes pictures to files: one as .png, many as .gif or .mp4, each shown from its own time on."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from signloom.drawing.person import import_pillow
from signloom.extract.packages import import_av
from signloom.files.writing import atomic_write

if TYPE_CHECKING:
    from PIL.Image import Image

# GIF players slow down frames shorter than 2 hundredths of a second; more than 25 frames per second only need space.
MAX_GIF_FPS = 25.0
# The unit of time of MPEG, a multiple of all common frame rates.
_TICK = Fraction(1, 90_000)
# Nearly lossless for drawings, fast. Without B-frames the last packet is the last frame, whose duration MP4 keeps.
_H264 = {"crf": "20", "preset": "superfast", "bf": "0"}
# The index at the start lets browsers play while they load.
_FAST_START = {"movflags": "+faststart"}

# Frames keep their durations, so that the last one has its own (AV_CODEC_FLAG_FRAME_DURATION of libavcodec/avcodec.h).
_FRAME_DURATION = 1 << 8

# A picture, and when it appears, in seconds from the start of the film.
Page = tuple[float, "Image"]


def save_png(picture: Image, path: Path, *, num_colours: int | None = 256) -> None:
    """Writes a PNG. Drawings have few colours: a palette reduces the file to a third; None keeps all colours."""
    pillow = import_pillow()
    if num_colours is not None:
        picture = picture.quantize(num_colours, method=pillow.Image.Quantize.MEDIANCUT, dither=pillow.Image.Dither.NONE)
    with atomic_write(path) as file:
        picture.save(file, format="PNG", optimize=True)


def write_gif(film: Iterable[Page], end_seconds: float, samples: Image, path: Path) -> None:
    """Writes an animation that repeats. samples: a picture with the colours of all pages."""
    pillow = import_pillow()
    palette = samples.quantize(255, method=pillow.Image.Quantize.MEDIANCUT, dither=pillow.Image.Dither.NONE)
    starts, pages = [], []
    for start, page in film:
        starts.append(start)
        pages.append(page.quantize(palette=palette, dither=pillow.Image.Dither.NONE))
    # GIF counts in hundredths of a second; rounding errors are carried over.
    moments = [round(100 * moment) for moment in [*starts, end_seconds]]
    durations = [10 * max(end - start, 1) for start, end in itertools.pairwise(moments)]
    with atomic_write(path) as file:
        pages[0].save(
            file, format="GIF", save_all=True, append_images=pages[1:], duration=durations, loop=0, disposal=1
        )


def write_mp4(film: Iterable[Page], end_seconds: float, path: Path) -> None:
    """Writes a video of H.264 whose pages keep their times. Their sides must be even.

    Raises MissingExtraError without PyAV.
    """
    av = import_av("a film as .mp4")
    # FFmpeg opens the file itself, by name, to move the index to its start.
    with (
        atomic_write(path) as file,
        av.open(file.name, "w", format="mp4", options=_FAST_START) as container,
    ):
        stream = container.add_stream("libx264", options=_H264)
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = _TICK
        stream.codec_context.flags |= _FRAME_DURATION
        pages = iter(film)
        shown = next(pages)
        stream.width, stream.height = shown[1].size
        while True:
            following = next(pages, None)
            frame = av.VideoFrame.from_ndarray(np.asarray(shown[1]), format="rgb24")
            frame.time_base, frame.pts = _TICK, round(shown[0] / _TICK)
            end = end_seconds if following is None else following[0]
            frame.duration = max(round(end / _TICK) - frame.pts, 1)
            container.mux(stream.encode(frame))
            if following is None:
                break
            shown = following
        container.mux(stream.encode(None))
