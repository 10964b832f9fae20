"""The format of landmark files (.npz): their header, what a header and arrays must be, and how they are opened.

Shapes: T frames.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from msgspec import Meta, Struct

from signloom import layout
from signloom.errors import InputError, LayoutError, listed, plural
from signloom.files.arrays import Archive, open_archive
from signloom.files.reading import CLIP, Member
from signloom.files.schemas import Name, Table, check, decode_json, described
from signloom.files.urls import Url

FORMAT = "signloom-landmarks"
# Version 1 has no times: its frames are evenly spaced from 0 on. Version 2 has the time of every frame.
VERSIONS = (1, 2)
SUFFIX = ".npz"
# The extractor of simulated signing.
SIMULATOR = "signloom synth"
ARRAYS: dict[str, type[np.floating]] = {"points": np.float32, "visibility": np.float32, "seconds": np.float64}
# Room for what later versions may add.
_MOST_ARRAYS = 20
MAX_FRAMES = 1_000_000
Fps = Annotated[float, Meta(ge=1, le=1000)]
Pixels = Annotated[int, Meta(ge=16, le=32_768)]
PixelAspect = Annotated[float, Meta(ge=0.2, le=5, description="a pixel's width divided by its height, from 0.2 to 5")]
# The header of a simulated clip holds its ground truth, kilobytes per sentence.
_MOST_META_BYTES = 16_000_000


class Facts(Struct):
    """What a landmark file says of a clip; the fields of `Landmarks` of the same names."""

    fps: Fps
    image_size: tuple[Pixels, Pixels] | None
    pixel_aspect: PixelAspect
    assumed: Annotated[tuple[Name, ...], Meta(max_length=20)]
    source: Table


def is_simulated(source: Mapping[str, Any]) -> bool:
    """Returns whether the source of landmarks says that nobody was filmed: `signloom synth` made them, or some."""
    return source.get("extractor") == SIMULATOR or source.get("simulated") is True


def file_header(format: str, version: int) -> dict[str, Any]:
    """Returns the entries that every file's header starts with; `check_header` reads them."""
    return {"format": format, "version": version, "layout": layout.NAME, "layout_version": layout.VERSION}


def check_header(header: Any, path: Path | Member, expected_format: str, *versions: int) -> None:
    """Raises InputError or LayoutError unless a file's header has this format, one of `versions` and our layout."""
    if not isinstance(header, dict) or header.get("format") != expected_format:
        got = header.get("format") if isinstance(header, dict) else type(header).__name__
        raise InputError(f"{path}: format {got!r}, needed {expected_format!r}")
    if header.get("version") not in versions or isinstance(header["version"], bool):
        raise InputError(
            f"{path}: version {header.get('version')!r} of {expected_format}, this signloom reads "
            f"{' and '.join(map(str, versions))}; "
            "make the file again or install the signloom that wrote it"
        )
    name, version = header.get("layout"), header.get("layout_version")
    if (name, version) != (layout.NAME, layout.VERSION) or isinstance(version, bool):
        raise LayoutError(
            f"{path}: made for point layout {name!r} version {version!r}, this signloom has "
            f"{layout.NAME!r} version {layout.VERSION}; use data and model of the same layout"
        )


def parse_image_size(text: str) -> tuple[int, int]:
    """Returns (width, height) in pixels from `210x260`. Raises InputError for anything else."""
    width, _, height = text.lower().partition("x")
    try:
        return check(tuple[Pixels, Pixels], (int(width), int(height)))
    except (ValueError, InputError):
        raise InputError(
            f"--image_size is {text[:40]!r}; needed width x height in pixels, e.g. 210x260; each {described(Pixels)}"
        ) from None


def read_header(path: Path | Member) -> dict[str, Any]:
    """Returns the header of a landmark file without its points: its format, and the fields of `Facts`.

    Raises InputError or LayoutError as `Landmarks.load` does.
    """
    with opened(path) as archive:
        return header_in(archive, path)


@contextmanager
def opened(path: Path | Member) -> Iterator[Archive]:
    """Opens a landmark file for reading. Raises InputError for anything else, also where it is damaged inside."""
    if not isinstance(path, Member | Url) and not Path(path).exists():
        raise InputError(f"{path}: no such landmark file")
    what, advice = "a readable landmark file", "extract or import it again"
    with open_archive(path, CLIP, what=what, advice=advice) as archive:
        if not {"points", "visibility", "meta"} <= set(archive.names):
            raise InputError(f"{path}: not a landmark file of signloom; it has {listed(archive.names, shown=5)}")
        if len(archive.names) > _MOST_ARRAYS:
            raise InputError(f"{path}: {plural(len(archive.names), 'array')}; needed at most {_MOST_ARRAYS}")
        yield archive


def header_in(archive: Archive, path: Path | Member) -> dict[str, Any]:
    """Returns the header of an open landmark file, after comparing it and the sizes of the arrays with the format."""
    if (size := archive.num_bytes("meta")) > _MOST_META_BYTES:
        raise InputError(f"{path}: a header of {plural(size, 'byte')}; needed at most {_MOST_META_BYTES:,}")
    shapes = {name: archive.shape(name) for name in ARRAYS if name in archive.names}
    header = decode_json(archive.read("meta").tobytes(), f"{path}: header")
    check_header(header, path, FORMAT, *VERSIONS)
    check(Facts, header, str(path))
    check_shapes(shapes, str(path))
    if wrong := [name for name in shapes if archive.dtype(name).kind != "f"]:
        raise InputError(f"{path}: {' and '.join(wrong)} are no floating-point numbers")
    if ("seconds" in shapes) != (header["version"] == 2):
        got = "with" if "seconds" in shapes else "without"
        raise InputError(f"{path}: version {header['version']} {got} the times of its frames (seconds); make it again")
    return header


def check_shapes(shapes: Mapping[str, tuple[int, ...]], place: str) -> None:
    """Raises InputError or LayoutError unless the shapes of points, visibility and times (if any) fit together."""
    points = shapes["points"]
    if len(points) != 3 or points[1:] != (layout.NUM_POINTS, 3):
        raise LayoutError(f"{place}: points of shape {points}, needed (T, {layout.NUM_POINTS}, 3)")
    if not 0 < points[0] <= MAX_FRAMES:
        raise InputError(f"{place}: {points[0] or 'no'} frames; needed 1 to {MAX_FRAMES:,}")
    if shapes["visibility"] != (points[0], layout.NUM_POSE_POINTS):
        raise LayoutError(
            f"{place}: visibility of shape {shapes['visibility']}, needed ({points[0]}, {layout.NUM_POSE_POINTS})"
        )
    if shapes.get("seconds", points[:1]) != points[:1]:
        raise InputError(f"{place}: seconds of shape {shapes['seconds']}, needed ({points[0]},), a time for each frame")


@contextmanager
def named(path: Path | Member) -> Iterator[None]:
    """Puts the path of a file into the place of `landmarks` in an InputError that is raised inside the block."""
    try:
        yield
    except InputError as error:
        raise type(error)(f"{path}: {str(error).removeprefix('landmarks: ')}") from None


def check_finite(values: np.ndarray, what: str, path: Path | Member) -> None:
    """Raises InputError if a value is infinite; missing ones are NaN."""
    # Part by part: all at once would take a quarter of the memory of the values again.
    if any(np.isinf(values[start : start + 1000]).any() for start in range(0, len(values), 1000)):
        raise InputError(f"{path}: infinite {what}; extract or import it again")
