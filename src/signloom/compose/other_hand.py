"""One-handed signs by the other hand: which clips show one, and the clip mirrored where its signer is."""

from __future__ import annotations

import numpy as np

from signloom.anatomy.idle_hands import SIDES, idle_hand, missing_hand, trunk_of
from signloom.compose.placing import placed_like
from signloom.landmarks import Landmarks

# A hand takes no part in a sign if it is out of view or rests in this share of the frames; the other hand signs if it
# does so in no more than this share.
_TAKES_NO_PART, _SIGNS = 0.9, 0.5


def is_one_handed(clip: Landmarks) -> bool:
    """Returns whether one hand signs and the other is out of view or at rest, in nine tenths of the frames or more.

    Without shoulders there is no telling, and the sign does not count as one-handed.
    """
    trunk = trunk_of(clip.points, "full")
    if trunk is None:
        return False
    shares = []
    for side in SIDES:
        passive = np.zeros(len(clip), dtype=bool)
        for stretches in (missing_hand, idle_hand):
            for frames in stretches(clip.points, trunk, side, view="full", fps=clip.fps):
                passive[frames] = True
        shares.append(passive.mean())
    return bool(max(shares) >= _TAKES_NO_PART and min(shares) <= _SIGNS)


def by_other_hand(clip: Landmarks) -> Landmarks:
    """Returns the clip mirrored, with the shoulders where they were."""
    return placed_like(clip.mirrored(), clip)
