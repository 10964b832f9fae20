"""The dial `slow_leads`: how slowly simulated hands come up from rest and go back."""

import numpy as np
import pytest

from signloom.synth.dials import Dials
from signloom.synth.lexicon import make_lexicon
from signloom.synth.performance import perform
from signloom.synth.signer import make_signer

pytestmark = pytest.mark.slow


def performances(slow_leads, *, rest_glossed=False):
    signs = make_lexicon(20, seed=5, minimal_pairs=0.5)[:3]
    dials = Dials(preset="clean", slow_leads=slow_leads)
    signer = make_signer(0, seed=0, dials=dials)
    return [
        perform(signs, signer, fps=25.0, dials=dials, rng=np.random.default_rng(seed), rest_glossed=rest_glossed)
        for seed in range(40)
    ]


def test_hands_come_and_go_slowly_and_sign_as_before():
    usual, slow = performances(0.0), performances(1.0)
    longer = {"before": [], "after": []}
    for one, other in zip(usual, slow, strict=True):
        shift = other.strokes[0][0] - one.strokes[0][0]
        # The signs, and what counts as theirs of the ways, stay as they were.
        for spans, others in ((one.strokes, other.strokes), (one.boundaries, other.boundaries)):
            assert [(start + shift, end + shift) for start, end in spans] == list(others)
        place = slice(*one.strokes[0]), slice(*other.strokes[0])
        # But for the sway, which is drawn for the whole clip.
        np.testing.assert_allclose(other.motion.right.place[place[1]], one.motion.right.place[place[0]], atol=0.02)
        longer["before"].append(shift)
        longer["after"].append(len(other.motion) - len(one.motion) - shift)
    for extra in longer.values():
        # A way of 0.2 to 0.4 s takes twice as long on average, and never less than before.
        assert min(extra) >= 0
        assert 0.1 < np.mean(extra) / 25 < 0.6
        assert max(extra) > 3 * np.median(extra)


def test_where_rest_has_glosses_nothing_changes():
    for one, other in zip(performances(0.0, rest_glossed=True), performances(2.0, rest_glossed=True), strict=True):
        np.testing.assert_array_equal(one.motion.right.place, other.motion.right.place)
