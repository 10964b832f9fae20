"""Records what a camera gives as an MP4 that plays at any moment, also after a kill: it is written in fragments.

The pictures are those of the camera, without drawings and never mirrored, at their own times.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from signloom.extract.packages import import_av
from signloom.files.growing import GrowingFile
from signloom.live.frames import Frame

# The unit of time of MPEG, a multiple of all common frame rates.
_TICK = Fraction(1, 90_000)
# A fragment a second, after which it is in the file. Every packet reaches us at once.
_FRAGMENTS = {"movflags": "empty_moov+default_base_moof", "frag_duration": "1000000", "flush_packets": "1"}
# Without B-frames and look-ahead, each frame is encoded when it comes, in a millisecond or two.
_H264 = {"crf": "23", "preset": "ultrafast", "tune": "zerolatency"}
_KEYFRAME_FRAMES = 50


class _Pieces:
    """What FFmpeg writes into: collects the bytes of one call."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        taken = b"".join(self._pieces)
        self._pieces.clear()
        return taken


class Recorder:
    """Writes frames to `file`. Raises MissingExtraError without PyAV."""

    def __init__(self, file: GrowingFile) -> None:
        self.file = file
        self._av = import_av("a recording")
        self._pieces = _Pieces()
        self._container: Any = None
        self._stream: Any = None
        self._last_tick = -1

    def add(self, frame: Frame) -> None:
        """Appends a frame. One of another size, as after a change of cameras, is scaled."""
        if self.file.fault is not None:
            return
        height, width = (length - length % 2 for length in frame.picture.shape[:2])
        if self._container is None:
            self._open(width, height, frame.pixel_aspect)
        picture = self._av.VideoFrame.from_ndarray(frame.picture[:height, :width], format="rgb24")
        stream = self._stream
        picture = picture.reformat(width=stream.width, height=stream.height, format="yuv420p")
        self._last_tick = max(round(frame.seconds / _TICK), self._last_tick + 1)
        picture.time_base, picture.pts = _TICK, self._last_tick
        self._container.mux(stream.encode(picture))
        self.file.write(self._pieces.take())

    def close(self) -> None:
        """Writes the last fragment."""
        if self._container is not None:
            self._container.mux(self._stream.encode(None))
            self._container.close()
            self.file.write(self._pieces.take())
            self._container = None

    def _open(self, width: int, height: int, pixel_aspect: float) -> None:
        self._container = self._av.open(self._pieces, "w", format="mp4", options=_FRAGMENTS)
        self._stream = stream = self._container.add_stream("libx264", options=_H264)
        stream.pix_fmt, stream.width, stream.height = "yuv420p", width, height
        stream.codec_context.time_base = _TICK
        stream.codec_context.gop_size = _KEYFRAME_FRAMES
        stream.codec_context.sample_aspect_ratio = Fraction(pixel_aspect).limit_denominator(1000)
