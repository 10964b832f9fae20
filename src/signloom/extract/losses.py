"""Counts the frames of a video that cannot be decoded.

Three things tell of them: packets of which the decoder makes no frame, entries of an index without their packet, and
gaps in otherwise even time stamps where bytes of the file were skipped. A gap alone is none: cameras that miss a frame
and screen recorders that pause leave gaps in sound files.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from signloom.errors import InputError, plural

# Of fewer, the clip is another one than was filmed.
LEAST_READABLE = 0.5
# Between two packets there are headers: some bytes for each, some more for each cluster of Matroska.
_HEADER_BYTES = 200
# After the last packet there are tags, and an index with an entry per key frame.
_TAIL_BYTES, _INDEX_BYTES = 1024, 32
# In formats whose packets do not lie one after the other, a part of the file that is surely not an index alone.
_UNREAD_BYTES, _UNREAD_SHARE = 1 << 16, 1 / 8


def check_enough(path: Path, read: int, unread: int, reason: str) -> None:
    """Raises InputError if fewer than half of the frames could be read."""
    if read < LEAST_READABLE * (read + unread):
        raise InputError(
            f"{path}: only {read:,} of {plural(read + unread, 'frame')} could be read: {reason}; needed at least half. "
            "Copy or download it again"
        )


class Losses:
    """What is known of the frames of one video while it is read.

    sent: packets given to the decoder that should become a frame.  failed: those it reported as faulty.
    is_damaged: whether bytes of the file belong to no packet.  reason: why frames are lost, in words.
    """

    def __init__(self) -> None:
        self.sent = self.failed = 0
        self.interlaced = self.is_damaged = False
        self.reason = "it is damaged"
        self._rest_share = 0.0
        self._holes: list[int] = []
        self._end: int | None = None

    def add_place(self, start: int | None, size: int) -> None:
        """Takes the place of the next packet of any stream in the file."""
        if start is None:
            return
        if self._end is not None:
            self._holes.append(max(start - self._end, 0))
        self._end = start + size

    def end(self, file_size: int, *, gapless: bool) -> None:
        """Takes the size of the file, and whether its packets lie one after the other."""
        rest = 0 if self._end is None else file_size - self._end
        allowed = max(_UNREAD_BYTES, _UNREAD_SHARE * file_size)
        if gapless:
            allowed = _TAIL_BYTES + _INDEX_BYTES * len(self._holes)
            # A second picture of each frame, its transparency, is not read; so holes may be usual.
            usual = float(np.median(self._holes)) if self._holes else 0.0
            self.is_damaged |= max(self._holes, default=0) > _HEADER_BYTES + 4 * usual
        if rest > allowed:
            self.is_damaged = True
            self.add_rest(rest, file_size)

    def add_rest(self, rest: int, file_size: int) -> None:
        """Takes the size of what follows the last packet that can be found, which is more than an index."""
        self._rest_share = rest / max(file_size - rest, 1)
        self.reason = (
            f"{rest / file_size:.0%} of the file cannot be read; it is damaged, or several files joined in one"
        )

    def undecoded(self, num_frames: int) -> int:
        """Returns the number of packets of which the decoder made no frame, when it has made `num_frames`."""
        if self.interlaced and num_frames <= 0.6 * self.sent:
            # Two fields in packets of their own make one frame.
            return self.failed
        return max(self.failed, self.sent - num_frames)

    def unread(self, seconds: np.ndarray, end_seconds: float | None, *, has_table: bool) -> int:
        """Returns the number of frames that cannot be read.

        seconds: (T,) the times of the frames read.  end_seconds: when the video ends according to its header.
        has_table: whether the file lists all packets, so that a gap in the times is a pause.
        """
        lost = self.undecoded(len(seconds))
        if not has_table and (self.is_damaged or lost):
            lost = max(lost, _missing(seconds, end_seconds))
        # FFmpeg stops after the first or second of joined parts in some formats; how long the others are, only their
        # bytes tell.
        return lost or int(self._rest_share * len(seconds))


def _missing(seconds: np.ndarray, end_seconds: float | None) -> int:
    """Returns how many frames are missing between and after frames that are evenly spaced otherwise."""
    if len(seconds) < 3:
        return 0
    steps = np.diff(seconds)
    step = float(np.median(steps))
    if (np.abs(steps / step - 1) < 0.1).mean() < 0.5:
        return 0
    end = max(seconds[-1] + step, end_seconds or 0.0)
    return max(round((end - seconds[0]) / step) - len(seconds), 0)
