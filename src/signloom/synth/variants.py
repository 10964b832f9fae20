"""How a signer makes the signs of the lexicon: habitual variants, and dialect forms of some signs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from zlib import crc32

import numpy as np

from signloom.synth.lexicon import comfortable, random_sign
from signloom.synth.signer import Signer
from signloom.synth.signs import Sign

# Share of the signs with a habit's handshape or location in which the habit shows.
_HABIT_SIGNS = 0.5
# Draws for a dialect form before the sign stays as in the lexicon.
_MAX_DRAWS = 500


def signs_as_signed(signs: Sequence[Sign], signer: Signer) -> tuple[tuple[Sign, ...], tuple[int, ...]]:
    """Returns the signs as a signer makes them, always in the same way, and the positions of those in dialect."""
    made, in_dialect = [], []
    for position, sign in enumerate(signs):
        form = sign
        if sign.kind != "rest":
            if _share(signer, "dialect", sign.gloss) < signer.dialect:
                form = dialect_form(sign, signer.key[0], signer.region)
                in_dialect.append(position)
            form = _habitual(form, signer)
        made.append(form)
    return tuple(made), tuple(in_dialect)


@lru_cache(maxsize=20_000)
def dialect_form(sign: Sign, seed: int, region: int) -> Sign:
    """Returns the form of a sign in the dialect of a region: other hands, the same gloss, mouth, brows and head."""
    rng = np.random.default_rng([seed, 7, region, crc32(sign.gloss.encode())])
    for _ in range(_MAX_DRAWS):
        other = random_sign(sign.kind, rng)
        if other.possible() and other.manual != sign.manual and comfortable(other):
            return replace(other, gloss=sign.gloss, mouth=sign.mouth, brow=sign.brow, head=sign.head)
    return sign


def _habitual(sign: Sign, signer: Signer) -> Sign:
    """Returns a sign with the handshape and location that the signer's habits put in place of its own."""
    form = sign
    for parameter, habits in signer.habits.items():
        other = habits.get(getattr(sign, parameter))
        if other is not None and _share(signer, parameter, sign.gloss) < _HABIT_SIGNS:
            changed = form.with_value(parameter, other)
            form = changed if changed.possible() else form
    return form


def _share(signer: Signer, what: str, gloss: str) -> float:
    """Returns a number in 0..1 that is fixed for each signer, gloss and purpose."""
    seed, number = signer.key
    return crc32(f"{seed} {number} {what} {gloss}".encode()) / 2**32
