"""Small videos that the tests make with PyAV: any container, codec and time stamps, parts that lie or are lost.

Frame n is grey, `LEVEL` x n bright, so that a test sees which frame it is.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

WIDTH, HEIGHT = 96, 64
LEVEL = 10
MILLISECONDS = Fraction(1, 1000)


def grey(number: int) -> np.ndarray:
    return np.full((HEIGHT, WIDTH, 3), LEVEL * number % 256, dtype=np.uint8)


def noise(number: int) -> np.ndarray:
    """A picture that takes some kilobytes in any codec."""
    return np.random.default_rng(number).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def number_of(picture: np.ndarray) -> int:
    return round(float(picture.mean()) / LEVEL)


def even(count: int, fps: float = 25) -> list[float]:
    return [number / fps for number in range(count)]


def write_film(
    path: Path,
    seconds: Sequence[float],
    *,
    codec: str = "mpeg4",
    rate: Fraction | int = 25,
    time_base: Fraction | None = None,
    picture: Callable[[int], np.ndarray] = grey,
    options: dict[str, str] | None = None,
    pixel_format: str = "yuv420p",
    aspect: Fraction | None = None,
    matrix: Sequence[int] | None = None,
    sound_seconds: float = 0,
    format: str | None = None,
) -> Path:
    """`path`, now a film whose frames are shown at `seconds`; the suffix chooses the container."""
    path.parent.mkdir(parents=True, exist_ok=True)
    time_base = time_base or Fraction(1, 1) / Fraction(rate)
    with av.open(str(path), "w", format=format) as container:
        stream = container.add_stream(codec, rate=rate, options=options or {})
        first = picture(0)
        stream.height, stream.width = first.shape[:2]
        stream.pix_fmt = pixel_format
        stream.codec_context.time_base = time_base
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        if matrix is not None:
            stream.set_display_matrix(matrix)
        sound = container.add_stream("aac", rate=48000) if sound_seconds else None
        if sound is not None:
            write_sound(container, sound, sound_seconds)
        for number, second in enumerate(seconds):
            frame = av.VideoFrame.from_ndarray(picture(number), format="rgb24").reformat(format=pixel_format)
            frame.pts, frame.time_base = round(second / time_base), time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_sound(container: av.container.OutputContainer, stream: av.AudioStream, seconds: float) -> None:
    for start in range(0, int(seconds * 48000), 1024):
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.pts, frame.sample_rate, frame.time_base = start, 48000, Fraction(1, 48000)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def copied(source: Path, path: Path, shift_seconds: float = 0, **options: str) -> Path:
    """`path`, now the packets of `source` in another container, shown later by `shift_seconds`."""
    with av.open(str(source)) as old, av.open(str(path), "w", container_options=options) as new:
        streams = {stream.index: new.add_stream_from_template(stream) for stream in old.streams}
        for packet in old.demux():
            if packet.dts is None:
                continue
            shift = round(shift_seconds / packet.time_base)
            packet.pts += shift
            packet.dts += shift
            packet.stream = streams[packet.stream_index]
            new.mux(packet)
    return path


def joined(path: Path, parts: Iterable[Path]) -> Path:
    """`path`, now the bytes of files one after the other, as `cat` writes them."""
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def spoil(path: Path, frames: Iterable[int], *, zeros: bool = False) -> Path:
    """`path` with noise or zeros in the place of the packets of some frames, headers between them included."""
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(container.streams.video[0]) if packet.size]
    data, rng = bytearray(path.read_bytes()), random.Random(0)
    for frame in frames:
        start, size = packets[frame]
        # An AVI has its header of 8 bytes before each packet; in an FLV the place is that of a header of 16.
        start += {".avi": -8, ".flv": 16}.get(path.suffix, 0)
        data[start : start + size] = bytes(size) if zeros else rng.randbytes(size)
    path.write_bytes(data)
    return path


def with_edits(path: Path, edits: Sequence[tuple[float, float]]) -> Path:
    """`path`, an MP4 of one track that `write_film` made, now with an edit list: seconds shown, from which second on.

    A start of -1 shows nothing for that time.
    """
    data = path.read_bytes()
    unit = struct.unpack(">I", data[data.index(b"mdhd") + 16 :][:4])[0]
    place = data.index(b"elst") - 4
    delay = struct.unpack(">i", data[place + 20 : place + 24])[0]
    entries = b"".join(
        struct.pack(">IiI", round(1000 * shown), round(start * unit) + delay if start >= 0 else -1, 1 << 16)
        for shown, start in edits
    )
    new = struct.pack(">I4sII", 16 + len(entries), b"elst", 0, len(edits)) + entries
    old = struct.unpack(">I", data[place : place + 4])[0]
    result = bytearray(data[:place] + new + data[place + old :])
    # The boxes around it grow; the index is at the end of the file, so that no place in it changes.
    for kind in (b"moov", b"trak", b"edts"):
        start = result.index(kind) - 4
        size = struct.unpack(">I", result[start : start + 4])[0]
        result[start : start + 4] = struct.pack(">I", size + len(new) - old)
    path.write_bytes(result)
    return path
