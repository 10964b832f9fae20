"""Composes isolated clips into a corpus of continuous utterances: splits the clips, draws, resamples and joins them.

The docstring of `commands/compose.py` states the rules, and what depends on what.
"""

from signloom.compose.options import ComposeOptions
from signloom.compose.sentences import (
    MIN_SIGN_FRAMES,
    Drawn,
    common_fps,
    compose,
    drawn,
    drawn_idle,
    join,
    joined_landmarks,
    retimed_positions,
)
from signloom.compose.splitting import ClipSplits, Pool, clips_by_group, likely_idle, split_clips, take_clips

__all__ = [
    "MIN_SIGN_FRAMES",
    "ClipSplits",
    "ComposeOptions",
    "Drawn",
    "Pool",
    "clips_by_group",
    "common_fps",
    "compose",
    "drawn",
    "drawn_idle",
    "join",
    "joined_landmarks",
    "likely_idle",
    "retimed_positions",
    "split_clips",
    "take_clips",
]
