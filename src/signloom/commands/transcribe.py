"""Glosses of a video, a folder of frames or a landmark file, with times and confidences.

A video or a folder of frames goes through MediaPipe Holistic first (about real time on a laptop); the landmarks can be
kept with --save_landmarks. The decoder is the model's own (beam search, with the language model that `signloom tune`
stored) unless flags say otherwise.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from signloom.console import console, say
from signloom.ctc.decoding import Decoder
from signloom.ctc.decoding_options import DecodingOptions, describe
from signloom.errors import InputError
from signloom.inference.model import load, read_landmarks
from signloom.subtitles import Format, format_of, playable, write_spans


@dataclass(kw_only=True)
class Options(DecodingOptions):
    """What `signloom transcribe` is told."""

    positionals: ClassVar[tuple[str, ...]] = ("source",)

    source: Path
    """a video file, a folder of frames, or a landmark file (.npz)"""
    model: Path
    """a model file, or a run folder that holds model.safetensors"""
    format: Format | None = None
    """text for people, json for programs, srt and vtt for players, eaf for ELAN; when not given the one that the ending
    of --output names, else text"""
    output: Path | None = None
    """write the result to this file, for ELAN best beside the video; to the terminal when not given"""
    crop: str | None = None
    """x,y,width,height of the signer in the image, in pixels or as shares of it"""
    pixel_aspect: float | None = None
    """width of a pixel over its height; the video's own when not given"""
    fps: float | None = None
    """frames a second, where the source does not say"""
    save_landmarks: Path | None = None
    """keep the extracted landmarks in this file (.npz)"""


def run(options: Options) -> int:
    """The exit status: 0 when the clip was transcribed, whether or not a sign was found."""
    if not options.source.exists():
        raise InputError(f"{options.source}: no such file or folder")
    if options.output is not None and options.output.is_dir():
        raise InputError(f"--output {options.output} is a folder; needed the name of a file")
    format = format_of(options.format, options.output)
    model = load(options.model)
    decoding, language_model = options.chosen(model.decoding, model.language_model, model.vocabulary)
    decoder = Decoder(model.vocabulary, decoding, language_model)
    given = {"crop": options.crop, "pixel_aspect": options.pixel_aspect, "fps": options.fps}
    landmarks = read_landmarks(options.source, **{name: value for name, value in given.items() if value is not None})
    if options.save_landmarks:
        landmarks.save(options.save_landmarks)
    hypothesis = model.decode(model.emission(landmarks), decoder)
    hands = max(landmarks.present("left_hand").mean(), landmarks.present("right_hand").mean())
    if hands < 0.1:
        console.print(f"warning: a hand was found in only {hands:.0%} of {len(landmarks)} frames; is a signer in view?")
    record = {
        "source": str(options.source),
        "duration_seconds": round(landmarks.duration_seconds, 3),
        "score": hypothesis.score,
        "decoder": describe(decoding, language_model),
    }
    if format == "text" or options.output:
        say(f"decoder: {describe(decoding, language_model)}")
    media = playable(options.source)
    write_spans(options.output or sys.stdout, hypothesis.glosses, format, media=media, record=record)
    if options.output:
        say(f"{len(hypothesis.glosses)} glosses; written: {options.output}")
    return 0
