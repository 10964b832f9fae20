"""Shows what was tracked: a video with the landmarks drawn over it, or a contact sheet of some frames.

SOURCE is a video or a folder of frames, over whose pictures the landmarks are drawn, or a landmark file, which is drawn
alone. Landmarks of a video are tracked now unless --landmarks gives them. A bar below the picture shows when each part
was found. The last line says how often. With --model, the film has captions in the place of the bar: the glosses that
this model recognises.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from signloom.console import say
from signloom.errors import InputError

SUFFIXES = (".mp4", ".gif", ".png")


@dataclass(kw_only=True)
class Options:
    """Options of `signloom show`."""

    positionals: ClassVar[tuple[str, ...]] = ("source",)

    source: Path
    """a video, a folder of frames, or a landmark file (.npz); in a packed corpus it is SHARDS/landmarks/CLIP.npz"""
    output: Path
    """file to write: .mp4 or .gif in real time, .png for a contact sheet"""
    landmarks: Path | None = None
    """landmark file of SOURCE; default: track it now"""
    model: Path | None = None
    """run folder, model file or exported model whose glosses a film shows as captions"""
    start: float = 0.0
    """first second to show"""
    end: float | None = None
    """last second to show; default: the end"""
    num_frames: int = 12
    """number of frames on a contact sheet"""
    height: int | None = None
    """height of a picture in pixels; default: 240 on a sheet, 360 in a .gif, that of the video but at most 720 in an
    .mp4"""
    crop: str | None = None
    """x,y,width,height of the signer in the image, if it is tracked now"""
    pixel_aspect: float | None = None
    """width of a pixel divided by its height; default: the video's own"""
    fps: float | None = None
    """frames per second, for a source that does not record it"""


def run(options: Options) -> int:
    """Writes the picture or the film; returns exit status 0."""
    from signloom.corpus import landmark_file
    from signloom.drawing.person import import_pillow
    from signloom.drawing.show import Shown, track, write_film, write_sheet
    from signloom.extract.packages import import_av
    from signloom.landmarks import SUFFIX, Landmarks

    kind = _kind(options)
    # A missing package is reported before the work.
    import_pillow("a picture")
    if kind == ".mp4":
        import_av("a film as .mp4")
    source = landmark_file(options.source)
    if isinstance(source, Path) and not source.exists():
        raise InputError(f"{options.source}: no such file or folder")
    if options.source.suffix == SUFFIX:
        if options.landmarks is not None:
            raise InputError(
                f"{options.source} and --landmarks {options.landmarks}: two landmark files; give the video as SOURCE"
            )
        shown = Shown(Landmarks.load(source), None)
    elif options.landmarks is not None:
        shown = Shown(Landmarks.load(landmark_file(options.landmarks)), options.source)
    else:
        shown = Shown(
            track(options.source, crop=options.crop, pixel_aspect=options.pixel_aspect, fps=options.fps), options.source
        )
    span = shown.span(options.start, options.end)
    if options.model is not None:
        from signloom.drawing.captioned import write_captioned
        from signloom.inference.model import load

        glosses = load(options.model).transcribe(shown.landmarks).glosses
        write_captioned(shown, glosses, options.output, span=span, height=options.height)
    elif kind == ".png":
        write_sheet(shown, span, options.output, num_frames=options.num_frames, height=options.height)
    else:
        write_film(shown, span, options.output, height=options.height)
    print(shown.summary(span))
    say(f"written: {options.output}")
    return 0


def _kind(options: Options) -> str:
    """Returns the suffix of the output. Raises InputError for options that cannot be, before the work begins."""
    kind = options.output.suffix.lower()
    if kind not in SUFFIXES:
        raise InputError(f"--output {options.output}: needed a file name that ends in {', '.join(SUFFIXES)}")
    if options.output.is_dir():
        raise InputError(f"--output {options.output} is a folder; needed the name of a file")
    if options.model is not None and kind == ".png":
        raise InputError(f"--output {options.output} and --model: a sheet has no captions; write an .mp4 or a .gif")
    if options.num_frames < 1:
        raise InputError(f"--num_frames {options.num_frames}: needed at least 1")
    if options.height is not None and not 16 <= options.height <= 4320:
        raise InputError(f"--height {options.height}: needed 16 to 4320 pixels")
    return kind
