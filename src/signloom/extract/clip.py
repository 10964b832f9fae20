"""One clip to extract: a video file or a folder of frames, on disk or in object storage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from signloom.landmarks import SUFFIX

VIDEO_SUFFIXES = frozenset(
    ".mp4 .m4v .mov .avi .mkv .webm .mpg .mpeg .mts .m2ts .wmv .flv .ogv .3gp .ts .vob .mxf .mjpeg .gif "
    ".qt .asf .m2v .h264 .264 .h265 .265 .hevc".split()
)
IMAGE_SUFFIXES = frozenset(".png .jpg .jpeg .bmp .webp .tif .tiff .ppm".split())

# PHOENIX-2014 stores the frames of clip <id> in <id>/1; 1 is the camera number, always the same.
CAMERA_FOLDER = "1"


@dataclass(frozen=True)
class Listed:
    """What a listing of object storage says of a clip: bytes of a video or number of frames, and which of them."""

    size: int
    is_folder: bool


@dataclass(frozen=True)
class Clip:
    """One clip to extract.

    path: a video file, or the folder that holds the frames.
    name: relative POSIX path without suffix; the landmark file is `<output>/<name>.npz`.
    listed: of a clip in object storage, which cannot be asked for it cheaply.
    """

    path: Path
    name: str
    listed: Listed | None = None

    @property
    def is_folder(self) -> bool:
        return self.listed.is_folder if self.listed else self.path.is_dir()

    @property
    def is_landmarks(self) -> bool:
        """Whether the clip is a landmark file, of which nothing is to extract."""
        return self.path.suffix.lower() == SUFFIX and not self.is_folder

    def output(self, folder: Path) -> Path:
        """Returns the path of the clip's landmark file under `folder`."""
        return folder.joinpath(*(self.name + SUFFIX).split("/"))


def videos_and_images(files: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Returns the videos and the images among the files of one folder, without a video that previews its frames."""
    videos = [path for path in files if path.suffix.lower() in VIDEO_SUFFIXES]
    images = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]
    if all(video.suffix.lower() == ".gif" for video in videos) and {image.stem for image in images} - {
        video.stem for video in videos
    }:
        # Beside a clip of its name, an image is a thumbnail.
        videos = []
    return videos, images
