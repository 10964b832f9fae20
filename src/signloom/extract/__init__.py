"""Landmark extraction from video: finds clips, reads their frames, runs MediaPipe Holistic, many clips at once."""

from signloom.extract.crop import Crop
from signloom.extract.holistic import HolisticTracker, extract_landmarks
from signloom.extract.sources import Clip, find_clips

__all__ = ["Clip", "Crop", "HolisticTracker", "extract_landmarks", "find_clips"]
