"""Shared by all tests: where outside data lies, and small clips the project makes itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from signloom import layout
from signloom.landmarks import Landmarks

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real recordings that lies beside a developer's checkout; tests that need it skip without it."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"real recordings not found at {SHARED_DATA}")
    return SHARED_DATA


def random_landmarks(num_frames: int = 20, *, seed: int = 0, fps: float = 25.0) -> Landmarks:
    """A clip of random but body-like points: shoulders apart, everything present."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(0.2, 0.8, (1, layout.NUM_POINTS, 3)) + rng.normal(0, 0.01, (num_frames, layout.NUM_POINTS, 3))
    points[:, layout.index("pose.left_shoulder"), :2] = (0.65, 0.4)
    points[:, layout.index("pose.right_shoulder"), :2] = (0.35, 0.4)
    return Landmarks(points, np.full((num_frames, 33), 0.9), fps=fps, image_size=(640, 480))
