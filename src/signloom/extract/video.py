"""Reads a video file with PyAV: its pictures, and the times at which players show them.

Shapes: T frames; H, W are height and width of a frame in pixels.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from signloom.errors import InputError, plural
from signloom.extract.containers import codec_name, ends_early, is_avi_without_rate, kind_hint, second_part
from signloom.extract.losses import Losses, check_enough
from signloom.extract.orientation import Orientation
from signloom.extract.packages import import_av
from signloom.extract.time_stamps import ClipTimes, Clock, is_plausible, times_of
from signloom.files.reading import open_file, sha256_of

# Flags of FFmpeg's formats (libavformat/avformat.h): frames without time stamps; a clock that may jump.
_NO_TIME_STAMPS, _MAY_JUMP = 0x0080, 0x0200
# Roles of a stream of pictures that are no video.
_ATTACHED_PICTURE, _THUMBNAILS = 0x0400, 0x0800
# In these formats the packets of all streams lie one after the other, so that skipped bytes can be seen.
_GAPLESS = ("matroska,webm", "flv")
_MP4, _AVI = "mov,mp4,m4a,3gp,3g2,mj2", "avi"
# A rate that no video has: a raw stream that shows it when asked for has none of its own.
_ODD_RATE = "997/100"
_MICROSECONDS = 1_000_000


class VideoReader:
    """Reads a video file, turned and mirrored as its header says; see `ClipReader`."""

    def __init__(self, path: Path) -> None:
        self._av = import_av()
        self.path = path
        self.size = path.stat().st_size
        self.unread = 0
        if self.size == 0:
            raise InputError(f"{path}: the file is empty")
        # FFmpeg would take some texts for lists of other files to open.
        if (hint := kind_hint(path)).endswith("text file"):
            raise InputError(f"{path}: not a readable video{hint}")
        self._container = self._open()
        try:
            self._stream = self._video_stream()
        except InputError:
            self._container.close()
            raise
        self._format, self._container_flags = self._container.format.name, self._container.format.flags
        # The times of all frames of these formats come from one table.
        self._has_table = self._format in (_MP4, _AVI)
        self._has_stamps = self._gives_times()
        self._rates = self._header_rates()
        self.pixel_aspect = _pixel_aspect(self._stream.sample_aspect_ratio)
        self.expected_frames = self._expected_frames()
        self._stamps: list[float | None] = []
        self._losses = Losses()

    def frames(self) -> Iterator[np.ndarray]:
        reformatter = self._av.video.reformatter.VideoReformatter()
        shape = None
        try:
            for frame in self._decoded():
                orientation = _orientation_of(frame, self._av)
                picture = orientation.apply(reformatter.reformat(frame, format="rgb24", threads=1).to_ndarray())
                if shape not in (None, picture.shape):
                    raise InputError(
                        f"{self.path}: frame {len(self._stamps)} is {picture.shape[1]}x{picture.shape[0]} pixels, the "
                        f"frames before it {shape[1]}x{shape[0]}"
                    )
                if shape is None and orientation.transpose and self.pixel_aspect is not None:
                    self.pixel_aspect = 1 / self.pixel_aspect
                shape = picture.shape
                yield picture
            self._check_complete()
        finally:
            self._container.close()

    def times(self, assumed_fps: float) -> ClipTimes:
        stamps = self._stamps if self._has_stamps else [None] * len(self._stamps)
        clock = Clock(
            may_restart=not self._has_table,
            may_jump=bool(self._container_flags & _MAY_JUMP),
            is_damaged=self._losses.is_damaged or self._losses.undecoded(len(stamps)) > 0,
        )
        return times_of(stamps, self._rates, assumed_fps, clock)

    @property
    def rate(self) -> float | None:
        """Frames per second according to the header; None if it gives no plausible rate."""
        return next((rate for rate in self._rates if is_plausible(rate)), None)

    @property
    def newest_seconds(self) -> float | None:
        """When the frame that `frames` gave last is shown, by its own time stamp: seconds since the start of the file.

        None for a frame without a stamp. Stamps may go back; `times` puts them right, after the last frame.
        """
        if not self._has_stamps or not self._stamps or self._stamps[-1] is None:
            return None
        begin = self._container.start_time
        return self._stamps[-1] - (0.0 if begin is None else begin / _MICROSECONDS)

    def sha256(self) -> str:
        return sha256_of(self.path)

    def _open(self) -> Any:
        # The prefix keeps a colon in a name from being taken for a protocol, the list keeps out other files.
        options = {"protocol_whitelist": "file"}
        # FFmpeg would wait for a pipe.
        with open_file(self.path):
            pass
        try:
            return self._av.open(f"file:{self.path}", options=options, metadata_errors="replace")
        except (self._av.FFmpegError, ValueError, UnicodeError):
            raise InputError(f"{self.path}: not a readable video{kind_hint(self.path)}") from None

    def _video_stream(self) -> Any:
        """Returns the stream that players show. Raises InputError if there is none, or no decoder for it."""
        streams = self._container.streams
        stream = streams.best("video")
        if stream is None:
            # The search for the best stream leaves out those that cannot be decoded.
            stream = next((each for each in streams.video if not _is_cover(each)), None)
        if stream is None or _is_cover(stream):
            sound = [each.codec_context.codec.canonical_name for each in streams.audio if each.codec_context]
            kind = f"only sound ({', '.join(sound)})" if streams.audio else "no video"
            raise InputError(f"{self.path}: not a readable video; it has {kind}")
        if stream.codec_context is None:
            codec = codec_name(self.path) or "unknown"
            raise InputError(
                f"{self.path}: its video has the codec {codec!r}, which cannot be decoded; convert it, e.g. to H.264 "
                "in an .mp4"
            )
        # One thread per worker: Holistic takes 20 times as long as decoding, and a big machine has many workers.
        stream.codec_context.thread_count = 1
        stream.codec_context.thread_type = "NONE"
        return stream

    @property
    def _codec(self) -> str:
        return str(self._stream.codec_context.codec.canonical_name)

    def _gives_times(self) -> bool:
        """Returns whether the time stamps of the file mean something."""
        self._is_raw = bool(self._container_flags & _NO_TIME_STAMPS) or self._format.endswith("_pipe")
        if self._is_raw:
            return False
        if self._format != _AVI:
            return True
        # The stamps of an AVI are made from the rate in its header, for which FFmpeg puts 25 if it is 0.
        rate = self._stream.guessed_rate
        return not is_avi_without_rate(self.path) and rate is not None and is_plausible(float(rate))

    def _header_rates(self) -> list[float]:
        """Returns the rates that the header gives, the most trusted first."""
        stream = self._stream
        if self._is_raw:
            with self._av.open(
                f"file:{self.path}", format=self._format, options={"framerate": _ODD_RATE, "protocol_whitelist": "file"}
            ) as again:
                other = again.streams.video[0].guessed_rate
            return [] if other != stream.guessed_rate or other is None else [float(other)]
        if not self._has_stamps:
            return []
        rates = (stream.average_rate, stream.guessed_rate, stream.base_rate)
        return [float(rate) for rate in rates if rate]

    def _expected_frames(self) -> int:
        if self._stream.frames > 0:
            return int(self._stream.frames)
        # Streams without an index: an estimate for the progress.
        duration = (self._container.duration or 0) / _MICROSECONDS
        count = duration * self._rates[0] if self._rates else 0
        return round(count) if 0 < count < 1e8 else 0

    def _decoded(self) -> Iterator[Any]:
        """Yields the decoded frames in the order in which they are shown; keeps stamps, counts losses."""
        decoder, losses = self._stream.codec_context, self._losses
        unit = float(self._stream.time_base)
        # Times of packets without a presentation time, which are in the order of decoding: frames in the order of
        # showing have the same times.
        waiting: deque[int] = deque()
        by_order: list[float] = []
        for packet in self._packets():
            stamp = None
            if packet is not None and (packet.pts is None or self._format == _AVI):
                stamp = packet.dts
            try:
                frames = decoder.decode(packet)
            except (self._av.FFmpegError, ValueError):
                losses.failed += packet is not None
                continue
            if stamp is not None:
                waiting.append(stamp)
            for frame in frames:
                losses.interlaced |= frame.interlaced_frame
                ordered = waiting.popleft() if waiting and (self._format == _AVI or frame.pts is None) else None
                if ordered is not None:
                    by_order.append(ordered * unit)
                pts = ordered if frame.pts is None else frame.pts
                self._stamps.append(None if pts is None else pts * unit)
                yield frame
        # Packets of an AVI have their place in the order of decoding alone, which is that of showing unless there are
        # B-frames.
        if self._format == _AVI and (np.diff(by_order) > 0).all() and not self._ascend():
            self._stamps = list(by_order)

    def _ascend(self) -> bool:
        stamps = [stamp for stamp in self._stamps if stamp is not None]
        return len(stamps) == len(self._stamps) and bool((np.diff(stamps) > 0).all())

    def _packets(self) -> Iterator[Any]:
        """Yields the packets of the video, and None at their end."""
        losses, places = self._losses, self._places()
        num_places = len(places)
        every = self._container.demux() if self._format in _GAPLESS else self._container.demux(self._stream)
        while True:
            try:
                packet = next(every, None)
            except (self._av.FFmpegError, ValueError):
                losses.is_damaged = True
                break
            if packet is None:
                break
            # An empty packet would end the decoding.
            if packet.size == 0:
                continue
            losses.add_place(packet.pos, packet.size)
            if packet.stream_index != self._stream.index:
                continue
            losses.is_damaged |= packet.is_corrupt
            if not (packet.is_discard or self._shows_nothing(packet)):
                losses.sent += 1
            if self._format == _AVI:
                packet.pts = packet.dts = places.pop(packet.pos, packet.dts)
            yield packet
        if len(places) < num_places:
            losses.sent += len(places)
        if not (self._is_raw or self._has_table):
            losses.end(self.size, gapless=self._format in _GAPLESS)
        elif self._format == _MP4 and (start := second_part(self.path)) is not None:
            losses.add_rest(self.size - start, self.size)
        yield None

    def _places(self) -> dict[int, int]:
        """Returns the time stamp of each packet of an AVI by its place in the file, from its index.

        Without it, FFmpeg numbers the packets it finds, and those after a damaged part come too early.
        """
        if self._format != _AVI:
            return {}
        header = len(b"00dcsize")
        return {entry.pos + header: entry.timestamp for entry in self._stream.index_entries if entry.size}

    def _shows_nothing(self, packet: Any) -> bool:
        """Returns whether a packet is complete without a frame: a hidden frame of VP8, a placeholder of MPEG-4."""
        if self._codec == "vp8":
            return not memoryview(packet)[0] & 0x10
        return self._codec == "mpeg4" and packet.size <= 8

    def _check_complete(self) -> None:
        """Sets `unread` and the stamps on the clock of the file. Raises InputError if too much is missing."""
        count = len(self._stamps)
        known = [stamp for stamp in self._stamps if stamp is not None]
        if self._has_stamps and known:
            begin = self._container.start_time
            start = known[0] if begin is None else min(begin / _MICROSECONDS, known[0])
            self._stamps = [None if stamp is None else stamp - start for stamp in self._stamps]
            seconds = self.times(25.0).seconds
            self.unread = self._losses.unread(seconds, self._end_seconds(start), has_table=self._has_table)
        else:
            self.unread = self._losses.undecoded(count)
        if count < self.expected_frames and ends_early(self.path):
            raise InputError(
                f"{self.path}: the file is cut off; {count} of {plural(self.expected_frames, 'frame')} could be read. "
                "Copy or download it again"
            )
        if count == 0:
            raise InputError(f"{self.path}: no readable frame in this video (codec {self._codec})")
        check_enough(self.path, count, self.unread, f"video {self._codec}, {self._losses.reason}")

    def _end_seconds(self, start: float) -> float | None:
        """Returns when the video ends according to the header, on its clock; None if it does not say."""
        if text := self._stream.metadata.get("DURATION"):
            try:
                hours, minutes, seconds = text.split(":")
                return int(hours) * 3600 + int(minutes) * 60 + float(seconds) - start
            except ValueError:
                return None
        if not self._container.duration:
            return None
        # The headers of these count from 0, FFmpeg's own estimate from the first packet.
        return self._container.duration / _MICROSECONDS - (start if self._format in _GAPLESS else 0)


def _is_cover(stream: Any) -> bool:
    """Returns whether a stream is the picture of an album or a thumbnail."""
    return bool(int(stream.disposition) & (_ATTACHED_PICTURE | _THUMBNAILS))


def _orientation_of(frame: Any, av: ModuleType) -> Orientation:
    # `frame.side_data` is a cycle with the frame: pictures would stay in memory until Python looks for garbage.
    for data in av.sidedata.sidedata.SideDataContainer(frame):
        if data.type.name == "DISPLAYMATRIX":
            return Orientation.of_matrix(np.frombuffer(data, dtype=np.int32))
    return Orientation()


def _pixel_aspect(ratio: Any) -> float | None:
    return float(ratio) if ratio and 0.1 <= ratio <= 10 else None
