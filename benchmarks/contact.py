"""How near hands come to the skin they are to touch in simulated sentences.

python benchmarks/contact.py [--presets clean easy phoenix hard] [--signers 150]

Sentences of seven signs of one lexicon, each by another signer, at 25 frames/s. For every sign with contact, and each
hand that touches in it: the least distance in three dimensions, over the frames of its stroke, of a joint of the hand
(wrist and root of the thumb left out) from the skin of what its location lies on: head, trunk or the other arm. A joint
that touches is half a finger away from head or trunk, 8 mm.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import common
import numpy as np


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--presets", nargs="+", default=["clean", "easy", "phoenix", "hard"])
    parser.add_argument("--signers", type=int, default=150)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--by_location", action="store_true", help="also show the locations of each preset")
    options = parser.parse_args()
    results: dict[str, Any] = {}
    for preset in options.presets:
        found = contacts(preset, options.signers, options.seed)
        results[preset] = summary([gap for _, gap in found])
        if options.by_location:
            places = defaultdict(list)
            for location, gap in found:
                places[location].append(gap)
            show({location: summary(gaps) for location, gaps in sorted(places.items())}, preset)
    show(results, "preset")
    common.finish(options, results)


def contacts(preset: str, num_signers: int, seed: int) -> list[tuple[str, float]]:
    """Location and distance in metres of every contact in one sentence by each of the signers."""
    from signloom.synth.dials import Dials
    from signloom.synth.lexicon import make_lexicon
    from signloom.synth.performance import perform
    from signloom.synth.signer import make_signer
    from signloom.synth.variants import signs_as_signed

    lexicon = make_lexicon(150, seed=seed, minimal_pairs=0.5)
    dials = Dials(preset=preset, left_handed=0.0)
    found = []
    for number in range(num_signers):
        rng = np.random.default_rng([seed, number])
        signer = make_signer(number, seed=seed, dials=dials)
        signs = [lexicon[int(place)] for place in rng.integers(len(lexicon), size=7)]
        performance = perform(signs, signer, fps=25.0, dials=dials, rng=rng)
        found += gaps(signs_as_signed(signs, signer)[0], performance, signer.proportions)
    return found


def gaps(signs: Any, performance: Any, body: Any, *, told: bool = True) -> Iterator[tuple[str, float]]:
    """Location and distance in metres of every contact in a sentence of `signs`, as their signer makes them.

    told: whether the arms know of their contacts, or are only drawn to the skin as citation forms are.
    """
    from signloom.synth.body import pose_arms
    from signloom.synth.rotations import head_rotation

    motion = performance.motion
    head = head_rotation(motion.head)
    flip = np.array((-1.0, 1.0, 1.0))
    arms = [arm if told else replace(arm, contacts=()) for arm in (motion.right, motion.left)]
    (_, strong), (_, weak), limb = pose_arms(*arms, body, head, fps=motion.fps)
    locations = {start: sign.location for sign, (start, _) in zip(signs, performance.strokes, strict=True)}
    for arm, hand, side in ((motion.right, strong, 1.0), (motion.left, weak, flip)):
        for contact in arm.contacts:
            frames = slice(contact.start, contact.end)
            if contact.anchor == "arm":
                distance = float(limb.nearest(hand[:, 2:])[0][frames].min())
            elif contact.anchor == "head":
                joints = (hand[frames, 2:] * side - body.head_centre) @ head[frames] / body.head
                distance = body.head * nearest(joints, head_skin())
            else:
                distance = nearest(hand[frames, 2:], trunk_skin(body.shoulder_half_width, body.trunk))
            yield locations[contact.start], distance


def nearest(joints: np.ndarray, skin: np.ndarray) -> float:
    """The least distance between joints (T, K, 3) and points of the skin (N, 3)."""
    return float(min(np.linalg.norm(hand[:, None] - skin, axis=2).min() for hand in joints))


@cache
def head_skin() -> np.ndarray:
    """Points of the skin of an average head about its middle, (N, 3) metres."""
    from signloom.synth.skin import FINGER, head_surface

    x, y, surface = head_surface()
    shown = surface < 0
    return np.stack([x[shown], y[shown], surface[shown] + FINGER], axis=1)


@cache
def trunk_skin(shoulder_half_width: float, length: float) -> np.ndarray:
    """Points of the skin of a trunk, (N, 3) metres."""
    from signloom.synth.skin import FINGER, trunk_surface

    y, x = np.mgrid[-0.03:length:0.008, -shoulder_half_width:shoulder_half_width:0.008]
    surface = trunk_surface(x, y, shoulder_half_width)
    return np.stack([x, y, surface + FINGER], axis=-1).reshape(-1, 3)


def summary(distances: list[float]) -> dict[str, Any]:
    values = np.array(distances)
    return {
        "contacts": len(values),
        "median": float(np.median(values)),
        "within_2_cm": float((values <= 0.02).mean()),
        "within_3_cm": float((values <= 0.03).mean()),
        "worst": float(values.max()),
    }


def show(results: dict[str, dict[str, Any]], what: str) -> None:
    rows = [
        [
            name,
            row["contacts"],
            f"{1000 * row['median']:.0f} mm",
            f"{row['within_2_cm']:.1%}",
            f"{row['within_3_cm']:.1%}",
            f"{1000 * row['worst']:.0f} mm",
        ]
        for name, row in results.items()
    ]
    print("\n" + common.table([what, "contacts", "median", "within 2 cm", "within 3 cm", "worst"], rows), flush=True)


if __name__ == "__main__":
    main()
