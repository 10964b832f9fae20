"""Checks that compare splits and signers: which parts are in view at each gloss, and the size and depth of the body."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from signloom.errors import plural
from signloom.findings import Details, Outcome, check, judge, note, ok, warn
from signloom.health.checks.figures import ClipFigures, CorpusFigures
from signloom.health.checks.landmarks import (
    CHOSEN,
    FARTHEST,
    SEE_NORMALISED,
    SHOWN,
    max_coordinate,
    normalised,
)
from signloom.health.checks.motion import SEEN
from signloom.health.checks.places import FEWEST_CLIPS, parts_of, places

# Occurrences of a gloss that show how often a part is in view: in train, and in a split or by a signer.
FEWEST_IN_TRAIN, FEWEST_ELSEWHERE = 8, 4
# A part is nearly never or nearly always in view in train, up to this share or from one minus it.
RARE = 0.1
# The share differs by so much, and by so many standard errors.
DIFFERENCE, STANDARD_ERRORS = 0.35, 3.0
# The share of one occurrence varies at least by this, as far as a few occurrences can tell.
LEAST_DEVIATION = 0.15
# Factors between a split or signer and the others. Healthy ones differ by up to 1.6 in size (other cameras), 1.55 in
# the height of the head over the shoulders, and 2.05 in depth.
OTHER_SIZE, OTHER_SHAPE, OTHER_DEPTH = 2.2, 1.75, 3.0
# Shoulder widths from the shoulders up to the head: 0.48 to 0.80 in healthy splits and signers of so many clips.
SHAPES, FEWEST_OF_SHAPE = (0.4, 0.92), 5
# Below this ratio to the size, there is no depth.
FLAT = 0.02


@dataclass(frozen=True)
class Shown:
    """How often a part is in view at a gloss: in train, and elsewhere.

    where: a split or a signer.  like: a gloss of train that shows the part as often as this gloss does elsewhere.
    by_split: the same share in dev and test, as far as they have the gloss.
    """

    gloss: str
    part: str
    where: str
    train: float
    elsewhere: float
    count: int
    like: str
    by_split: Mapping[str, float]

    @property
    def headline(self) -> str:
        """Train against where it differs, in words, e.g. `train shows the right hand in 2 % of GOOD, test in 50 %`."""
        return (
            f"train shows the {self.part} in {100 * self.train:.0f} % of {self.gloss}, {self.where} in "
            f"{100 * self.elsewhere:.0f} %"
        )

    def __str__(self) -> str:
        others = "".join(
            f", {split} in {100 * share:.0f} %" for split, share in self.by_split.items() if split != self.where
        )
        return f"{self.headline} (of {self.count:,}), as {self.like} in train{others}"


@check(
    "data.presence",
    unit="glosses",
    threshold=f"no part that is in view in under {100 * RARE:g} % (or over {100 * (1 - RARE):g} %) of a gloss in "
    f"train, as it is in other glosses of train, while it is so by {100 * DIFFERENCE:g} points more often (or less) in "
    "dev or test, or by one of their signers; else warn",
    source=f"{CHOSEN}; a model learns 'the other hand is out of view' as part of a sign: one resting hand in view was "
    "behind 29 of 30 substitutions of unseen signers",
)
def presence(figures: CorpusFigures) -> Outcome:
    """How often each part is in view, by gloss, in train against dev, test and their signers."""
    found = sorted(differences(figures.clips), key=lambda one: -abs(one.train - one.elsewhere))
    if not found:
        return ok("each hand and the face are in view as often in dev and test as in train, gloss by gloss", value=0)
    glosses = dict.fromkeys(one.gloss for one in found)
    worst = found[0]
    return warn(
        "a part that is in view shows the gloss in train, and misleads elsewhere, for "
        f"{plural(len(glosses), 'gloss')}: {worst.headline}",
        value=len(glosses),
        where=[str(one) for one in found[:SHOWN]],
        figures={"glosses": list(glosses), "worst": worst.headline},
        advice="record or choose training clips in which this hand rests in view as well as out of view, and keep "
        "--augment true; look at these clips",
    )


def differences(clips: Sequence[ClipFigures]) -> Iterator[Shown]:
    """Yields each gloss, part and place (dev, test, a signer of theirs) that differs from train."""
    seen = [(clip.utterance, gloss, row) for clip in clips for gloss, row in _rows(clip)]
    train = _table((gloss, row) for item, gloss, row in seen if item.split == "train")
    usual = {gloss: np.mean(rows, axis=0) for gloss, rows in train.items() if len(rows) >= FEWEST_IN_TRAIN}
    elsewhere: dict[str, list[tuple[str, np.ndarray]]] = {}
    for item, gloss, row in seen:
        if item.split != "train" and gloss in usual:
            elsewhere.setdefault(item.split, []).append((gloss, row))
            elsewhere.setdefault(f"signer {item.signer}", []).append((gloss, row))
    # Splits first: a signer of several splits shows less of a difference than the split that has it.
    order = sorted(elsewhere, key=lambda where: where not in ("dev", "test"))
    tables = {where: _table(elsewhere[where]) for where in order}
    told = set()
    for where, table in tables.items():
        for gloss, rows in table.items():
            if len(rows) < FEWEST_ELSEWHERE:
                continue
            for number, name in enumerate(SEEN):
                here = np.array([row[number] for row in rows])
                there = usual[gloss][number]
                error = max(float(here.std()), LEAST_DEVIATION) / len(rows) ** 0.5
                apart = abs(here.mean() - there)
                if not (min(there, 1 - there) <= RARE and apart > max(DIFFERENCE, STANDARD_ERRORS * error)):
                    continue
                # Only if other glosses of train look as this one does here is a model misled.
                other = max(usual, key=lambda key: abs(usual[key][number] - there))
                if abs(usual[other][number] - there) < 1 - 2 * RARE or (gloss, number) in told:
                    continue
                told.add((gloss, number))
                share = float(here.mean())
                by_split = {
                    split: float(np.mean([row[number] for row in tables[split][gloss]]))
                    for split in ("dev", "test")
                    if gloss in tables.get(split, {})
                }
                yield Shown(gloss, name.replace("_", " "), where, float(there), share, len(rows), other, by_split)


def _rows(clip: ClipFigures) -> Iterator[tuple[str, np.ndarray]]:
    return zip(clip.utterance.glosses, clip.motion.seen, strict=True)


def _table(pairs: Iterator[tuple[str, np.ndarray]] | list[tuple[str, np.ndarray]]) -> dict[str, list[np.ndarray]]:
    table: dict[str, list[np.ndarray]] = {}
    for gloss, row in pairs:
        table.setdefault(gloss, []).append(row)
    return table


@check(
    "data.alike",
    unit="splits and signers",
    threshold=f"none whose body is {OTHER_SIZE:g} times as large as that of the others, {OTHER_SHAPE:g} times as high "
    f"for its width, or {OTHER_DEPTH:g} times as deep (or as small, flat), and "
    f"the head {SHAPES[0]:g} to {SHAPES[1]:g} shoulder widths above the shoulders, and "
    "depth in all clips or in none; else warn",
    source=f"{CHOSEN}; healthy ones differ by up to 1.6, 1.55 and 2.05",
)
def alike(figures: CorpusFigures) -> Outcome:
    """Splits and signers whose bodies have another size, shape or depth than the others'."""
    found: dict[str, str] = {}
    table: dict[str, dict[str, float]] = {}
    clips = tuple(clip for clip in figures.clips if not max_coordinate(clip) > FARTHEST)
    # Once for all clips: there may be as many signers as clips.
    values = {name: np.array([of(clip) for clip in clips]) for name, of in MEASURES.items()}
    place_of = {clip.utterance.id: place for place, clip in enumerate(clips)}
    parts = {part.name: [place_of[clip.utterance.id] for clip in part.clips] for part in parts_of(clips)}
    for part, own in parts.items():
        others = np.delete(np.arange(len(clips)), own)
        if 2 * len(own) > len(clips) or not len(others):
            continue
        row = {name: _middle(measured[own]) / _middle(measured[others]) for name, measured in values.items()}
        table[part] = row
        words = [
            f"{_times(row[name])} {adjective} as the others"
            for name, adjective, limit in (
                ("size", "as large", OTHER_SIZE),
                ("shape", "as high for its width", OTHER_SHAPE),
                ("depth", "as deep", OTHER_DEPTH),
            )
            if np.isfinite(row[name]) and not 1 / limit < row[name] < limit
        ]
        if words:
            found[part] = ", ".join(words)
    flat = {clip.utterance.id for clip, depth in zip(clips, values["depth"], strict=True) if depth < FLAT}
    if (found or flat) and normalised(figures).level == "fail":
        return note(SEE_NORMALISED)
    if flat:
        place = places(flat, clips)
        headline = f"there is no depth (z) in {place}"
        advice = "import all clips with depth, or all without"
        mixed = FEWEST_CLIPS <= len(flat) < len(clips)
        return judge(headline, warn=mixed, note=True, where=sorted(flat)[:SHOWN], figures=table, advice=advice)
    for name, members in {"all clips": list(range(len(clips))), **parts}.items():
        height = _middle(values["shape"][members])
        if len(members) >= FEWEST_OF_SHAPE and not SHAPES[0] < height < SHAPES[1] and not np.isnan(height):
            how = "stretched in width" if height < 1 else "stretched in height"
            found.setdefault(name, f"{how}: the head is {height:.2f} shoulder widths above the shoulders")
    if not found:
        return ok(
            "bodies have about the same size, shape and depth in all splits and by all signers", value=0, figures=table
        )
    first = next(iter(found))
    measured = Details(value=len(found), where=[f"{name}: {words}" for name, words in found.items()], figures=table)
    advice = (
        "they were imported otherwise than the others: another scale, image size or crop, or coordinates without "
        "depth; import all clips in the same way"
    )
    return warn(f"the bodies of {first} are {found[first]}", advice=advice, **measured)


def _times(ratio: float) -> str:
    return f"{ratio:.2g} times"


def _depth(clip: ClipFigures) -> float:
    """Returns the deviation of the depth of the pose, in shoulder widths."""
    spread = clip.spreads["pose"]
    if not spread.count:
        return float("nan")
    variance = spread.square[2] / spread.count - (spread.total[2] / spread.count) ** 2
    return float(max(variance, 0.0) ** 0.5 / clip.shoulders)


MEASURES: dict[str, Callable[[ClipFigures], float]] = {
    "size": lambda clip: clip.shoulders,
    "shape": lambda clip: clip.body.head_height,
    "depth": _depth,
}


def _middle(values: np.ndarray) -> float:
    values = values[np.isfinite(values)]
    return float(np.median(values)) if len(values) else float("nan")
