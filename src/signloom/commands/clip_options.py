"""Options of the commands that find the glosses of a clip: model, reading of the clip, format of the result."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from signloom.commands.model_option import ModelOption
from signloom.errors import InputError
from signloom.inference.model import read_landmarks
from signloom.landmarks import ClipView, Landmarks
from signloom.subtitles import SUFFIXES, Format, format_of


@dataclass(kw_only=True)
class ClipOptions(ModelOption):
    """Options for a clip and its glosses."""

    format: Format | None = None
    """text for people, json for programs, csv and tsv for spreadsheets, srt and vtt for players, eaf for ELAN; default:
    the format that matches the suffix of --output, otherwise text"""
    output: Path | None = None
    """file for the result; default: the terminal. An ELAN file is best kept beside the video"""
    crop: str | None = None
    """x,y,width,height of the signer in the image, in pixels or as fractions of the image"""
    pixel_aspect: float | None = None
    """width of a pixel divided by its height; default: the video's own"""
    fps: float | None = None
    """frames per second, for a source that does not record it"""

    @property
    def written_format(self) -> Format:
        """The format to write. Raises InputError if --output has the suffix of another one."""
        return format_of(self.format, self.output)

    def check_ending(self) -> None:
        """Raises InputError if the ending of the file --output is unknown, and --format does not say what it holds."""
        if self.output is None or self.format is not None:
            return
        if self.output.suffix and self.output.suffix.lower() not in SUFFIXES.values():
            raise InputError(
                f"--output {self.output}: unknown ending {self.output.suffix}; needed one of "
                f"{', '.join(SUFFIXES.values())}, or --format"
            )

    def landmarks_of(self, source: Path, view: str | None) -> Landmarks | ClipView:
        """Returns the landmarks in a file, or those extracted from a video or a folder of frames.

        view: read only the points of this view from a file.
        """
        return read_landmarks(source, view=view, crop=self.crop, pixel_aspect=self.pixel_aspect, fps=self.fps)
