"""Recognises the glosses of a video, a folder of frames or a landmark file, with times and confidences.

MediaPipe Holistic first extracts landmarks from a video or a folder of frames (about real time on a laptop);
--save_landmarks keeps them. The decoder is the model's own (beam search, with the language model that `signloom tune`
stored) unless flags override it.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from signloom.commands.clip_options import ClipOptions
from signloom.console import console, say
from signloom.ctc.decoding_options import DecodingOptions
from signloom.errors import InputError
from signloom.inference.model import load
from signloom.landmarks import Landmarks
from signloom.subtitles import playable, write_spans


@dataclass(kw_only=True)
class Options(ClipOptions, DecodingOptions):
    """Options of `signloom transcribe`."""

    positionals: ClassVar[tuple[str, ...]] = ("source",)

    source: Path
    """a video file, a folder of frames, or a landmark file (.npz)"""
    save_landmarks: Path | None = None
    """file for the extracted landmarks (.npz)"""


def run(options: Options) -> int:
    """Returns the exit status: 0 when the clip was transcribed, even if no sign was recognised."""
    if not options.source.exists():
        raise InputError(f"{options.source}: no such file or folder")
    if options.output is not None and options.output.is_dir():
        raise InputError(f"--output {options.output} is a folder; needed the name of a file")
    format = options.written_format
    model = load(options.model).decoded_with(options)
    landmarks = options.landmarks_of(options.source, None if options.save_landmarks else model.view)
    if options.save_landmarks and isinstance(landmarks, Landmarks):
        landmarks.save(options.save_landmarks)
    hypothesis = model.decode(model.emission(landmarks))
    hands = max(landmarks.present("left_hand").mean(), landmarks.present("right_hand").mean())
    if hands < 0.1:
        console.print(f"warning: a hand was found in only {hands:.0%} of {len(landmarks)} frames; is a signer in view?")
    record = {
        "source": str(options.source),
        "duration_seconds": round(landmarks.duration_seconds, 3),
        "score": hypothesis.score,
        "decoder": model.decoder_name,
    }
    if format == "text" or options.output:
        say(f"decoder: {model.decoder_name}")
    media = playable(options.source)
    write_spans(options.output or sys.stdout, hypothesis.glosses, format, media=media, record=record)
    if options.output:
        say(f"{len(hypothesis.glosses)} glosses; written: {options.output}")
    return 0
