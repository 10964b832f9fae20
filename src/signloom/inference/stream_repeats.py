"""A sign that is made twice in a row, where the model shows a single gloss.

Where a sign is made again at once, a model may take both for one long sign until it sees what follows. Then it shows
one gloss, a little later in every window. The frames in which it showed the gloss at first become final without one,
and the first of the two signs is lost. But a sign takes half a second or so. If the model was sure of a gloss, and
shows it much later now, then the gloss was signed before, and what is shown now is another one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from signloom.vocabulary import UNKNOWN_ID

# A gloss that is shown later by as much was signed before.
_LONGEST_SLIDE_SECONDS = 0.8
# Times are sums of frames: rounding must not decide.
_EPSILON = 1e-6


class Sighting(NamedTuple):
    """A gloss in a window: its word, when it was emitted, in seconds, and its confidence."""

    word: int
    emitted: float
    confidence: float


class _Shown(NamedTuple):
    """A gloss that windows have shown.  first: when the first of them saw it emitted.  surest: of those soon after."""

    first: float
    surest: Sighting


class RepeatFinder:
    """Follows the glosses that are not final from window to window.

    sure: the least confidence of a gloss that counts as signed.
    """

    def __init__(self, sure: float) -> None:
        self._sure = sure
        self._shown: list[_Shown] = []

    def found(self, sightings: Sequence[Sighting], num_final: int, final_until: float) -> Sighting | None:
        """Returns the gloss that was signed before the first one that is shown now and not final, if there is one.

        sightings: all glosses of a window, in order.  num_final: how many of them became final.  final_until: the end
        of the frames that are final, in seconds. In later frames the model may still show both glosses.
        """
        before = self._shown
        follows = [one.surest.word for one in before[:num_final]] == [one.word for one in sightings[:num_final]]
        before = before[num_final:] if follows else []
        self._shown = []
        for number, sighting in enumerate(sightings[num_final:]):
            if number < len(before) and before[number].surest.word == sighting.word:
                first, surest = before[number]
                is_early = sighting.emitted - first <= _LONGEST_SLIDE_SECONDS / 2
                surest = sighting if is_early and sighting.confidence > surest.confidence else surest
                self._shown.append(_Shown(first, surest))
            else:
                before = []
                self._shown.append(_Shown(sighting.emitted, sighting))
        if not self._shown:
            return None
        (first, surest), now = self._shown[0], sightings[num_final]
        is_sign = surest.word != UNKNOWN_ID and surest.confidence >= self._sure
        is_over = surest.emitted < final_until and now.emitted - first >= _LONGEST_SLIDE_SECONDS - _EPSILON
        if not (is_sign and is_over):
            return None
        self._shown[0] = _Shown(now.emitted, now)
        return surest
