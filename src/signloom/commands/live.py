"""Recognises signing while it happens: a camera or a video in, captions on the screen out.

Opens a window with the picture, what was tracked, the glosses with their confidences, frames per second and latency.
Grey glosses may still change; bright ones are final. q, Escape, closing the window or Ctrl-C end it. Each utterance is
also printed as a line. --text needs no screen. --srt, --vtt, --json and --record write files while it runs; they are
complete at every moment, and their times begin with the first frame.
"""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from signloom.commands.model_option import ModelOption
from signloom.console import say
from signloom.ctc.decoding_options import DecodingOptions
from signloom.errors import CheckFailedError, Faults, InputError, StoppedError, plural
from signloom.inference.stream_options import StreamOptions, with_stream_limits
from signloom.signals import SignalWatch

if TYPE_CHECKING:
    from signloom.inference.model import Model
    from signloom.live.caption_files import CaptionFile
    from signloom.live.frames import Source
    from signloom.live.pipeline import Pipeline
    from signloom.live.recorder import Recorder
    from signloom.live.session import Display

_MOST_CAMERA = 999
_OUTPUTS = ("srt", "vtt", "json", "record")
# Players choose how to read a file by its suffix.
_SUFFIXES = {"srt": ".srt", "vtt": ".vtt", "record": ".mp4"}


@dataclass(kw_only=True)
class Options(ModelOption, DecodingOptions):
    """Options of `signloom live`."""

    camera: int | None = None
    """number of the camera, see --list_cameras; default: 0"""
    video: Path | None = None
    """a video file instead of a camera, at its own pace"""
    list_cameras: bool = False
    """list the cameras of this computer, and end"""
    text: bool = False
    """captions in the terminal, without a window"""
    mirror: bool = False
    """show the picture as in a mirror; the model and --record always get what the camera gives"""
    srt: Path | None = None
    """file for subtitles (.srt), one per final gloss"""
    vtt: Path | None = None
    """file for subtitles (.vtt), one per final gloss"""
    json: Path | None = None
    """file for all events, provisional glosses too: a line of JSON for each"""
    record: Path | None = None
    """file for the pictures (.mp4), without drawings"""
    overwrite: bool = False
    """replace files that exist"""
    stream: StreamOptions = field(default_factory=StreamOptions)
    """when glosses become final and utterances end, in seconds"""


def run(options: Options) -> int:
    """Returns the exit status 0 when the video has ended or somebody closed the window.

    Raises StoppedError for a signal, CheckFailedError if a file could not be written to its end.
    """
    if options.list_cameras:
        return _list_cameras()
    from signloom.extract.holistic import HolisticTracker, quiet_stderr
    from signloom.inference.caveats import simulated_note, vocabulary_note
    from signloom.inference.streaming import StreamingRecognizer
    from signloom.live.people import PeopleCounter
    from signloom.live.pipeline import Pipeline
    from signloom.live.session import run_session

    _check(options)
    source = _source(options)
    model = options.load_model().decoded_with(options)
    # Here already, so that the name of the decoder says it.
    model = replace(model, decoding=with_stream_limits(model.decoding))
    say(f"{source.name}; model: {options.model_file}; decoder: {model.decoder_name}")
    if note := vocabulary_note(model):
        say(f"note: {note}")
    if note := simulated_note(model):
        say(f"warning: {note}")
    say("Ctrl-C ends it" if options.text else "q in the window, or Ctrl-C, ends it")
    signals = SignalWatch()
    with ExitStack() as stack:
        stack.enter_context(quiet_stderr())
        tracker = stack.enter_context(closing(HolisticTracker()))
        tracker.warm_up()
        count_people = stack.enter_context(closing(PeopleCounter()))
        # From here on there are files, which get their ends.
        stack.enter_context(signals.listening())
        displays = _displays(options, stack)
        files, recorder = _files(options, model, source, stack)
        pipeline = Pipeline(
            source,
            StreamingRecognizer(model, options.stream),
            tracker,
            count_people,
            pause_seconds=options.stream.pause_seconds,
            files=files,
            recorder=recorder,
        )
        run_session(pipeline, displays, signals)
    return _end(pipeline, signals)


def _list_cameras() -> int:
    """Prints the cameras; returns exit status 1 if there is none that works."""
    from signloom.extract.holistic import quiet_stderr
    from signloom.live.camera import list_cameras

    with quiet_stderr():
        cameras = list_cameras()
    for camera in cameras:
        print(camera)
    if not cameras:
        say("no camera found; connect one, or try a video: signloom live --video FILE --model MODEL")
    return 0 if any(not camera.fault for camera in cameras) else 1


def _check(options: Options) -> None:
    """Raises InputError for options that cannot be, before anything is loaded, opened or written."""
    from signloom.files.growing import check_new

    _ = options.model_file
    faults = Faults("signloom live")
    if options.camera is not None and options.video is not None:
        faults.add("--camera and --video are two sources; leave out one of them")
    if options.camera is not None and not 0 <= options.camera <= _MOST_CAMERA:
        faults.add(f"--camera is {options.camera}; needed 0 to {_MOST_CAMERA}, see --list_cameras")
    if options.text and options.mirror:
        faults.add("--mirror is for the window, which --text does without; leave out one of them")
    outputs: dict[Path, str] = {}
    for name in _OUTPUTS:
        path: Path | None = getattr(options, name)
        if path is None:
            continue
        suffix = _SUFFIXES.get(name)
        if suffix and path.suffix.lower() != suffix:
            faults.add(f"--{name} {path}: needed a name that ends in {suffix}")
        if (other := outputs.setdefault(path.absolute(), name)) != name:
            faults.add(f"--{name} and --{other} name the same file, {path}")
        try:
            check_new(path, overwrite=options.overwrite)
        except InputError as error:
            faults.add(f"--{name} {error}")
    faults.raise_if_any()


def _source(options: Options) -> Source:
    from signloom.live.camera import CameraSource
    from signloom.live.video import VideoSource

    return CameraSource(options.camera or 0) if options.video is None else VideoSource(options.video)


def _displays(options: Options, stack: ExitStack) -> list[Display]:
    """Returns the displays; `stack` closes them."""
    from signloom.live.terminal import Terminal

    displays: list[Display] = [stack.enter_context(closing(Terminal(follows=options.text)))]
    if not options.text:
        from signloom.live.screen import Screen, check_screen

        check_screen()
        displays.append(stack.enter_context(closing(Screen(mirrored=options.mirror))))
    return displays


def _files(
    options: Options, model: Model, source: Source, stack: ExitStack
) -> tuple[list[CaptionFile], Recorder | None]:
    """Opens the files to write; `stack` closes them."""
    from signloom.files.growing import GrowingFile
    from signloom.live.caption_files import caption_files
    from signloom.live.recorder import Recorder

    files = {
        name: stack.enter_context(closing(GrowingFile(path, overwrite=options.overwrite)))
        for name in _OUTPUTS
        if (path := getattr(options, name)) is not None
    }
    recorder = Recorder(files.pop("record")) if "record" in files else None
    head = {
        "source": source.name,
        "model": str(options.model_file),
        "decoder": model.decoder_name,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return caption_files(files, head), recorder


def _end(pipeline: Pipeline, signals: SignalWatch) -> int:
    """Says what was recognised and written; returns exit status 0, or raises what `run` does."""
    written = [file for file in pipeline.growing_files if file.fault is None]
    count = plural(pipeline.captions.num_glosses, "gloss")
    frames = plural(pipeline.num_tracked, "frame")
    summary = f"{count} in {frames}" + (
        f"; written: {', '.join(str(file.path) for file in written)}" if written else ""
    )
    faults = [file.fault for file in pipeline.growing_files if file.fault is not None]
    if faults:
        raise CheckFailedError("\n".join([summary, *faults]))
    if signals.ending is not None:
        raise StoppedError(f"ended; {summary}", signals.ending)
    say(summary)
    return 0
