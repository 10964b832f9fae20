"""Checks of a corpus' manifest: splits, signers, annotations, and whether CTC can learn from the lengths."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np

from signloom.corpus.columns import Columns, starts_of
from signloom.corpus.splits import KNOWN_DEV, dev_is_known
from signloom.errors import plural
from signloom.findings import Details, Outcome, check, fail, judge, note, ok
from signloom.health.checks.figures import ClipFigures, CorpusFigures
from signloom.health.checks.landmarks import CHOSEN, SHOWN
from signloom.text.clean import look_alikes, told_apart

# This many of the same gloss in a row are a typing error.
REPEATS = 4
# Share of utterances with such an error, or an unusual pace, that is still accepted.
OFTEN = 0.01
# A gloss takes about half a second; nobody signs ten per second, or one in more than ten seconds.
FASTEST_GLOSS_SECONDS, SLOWEST_GLOSS_SECONDS = 0.1, 10.0
# Fewer clips do not show whether they belong to their annotations.
FEWEST_PAIRS = 20
# Nor do clips or annotations of about one length: deviation / mean.
LEAST_SPREAD = 0.15
# Least correlation of seconds and glosses in a healthy split.
LEAST_FIT = 0.3
# Least correlation with the annotations of other utterances that shows where the annotations slipped to.
SLIPPED_FIT = 0.5


@check(
    "data.duplicates",
    unit="clips",
    threshold="none; warn from one in a split, fail from one in two splits",
    source="a test clip that was trained on measures memory; compared by the landmarks themselves, not by name",
)
def duplicates(figures: CorpusFigures) -> Outcome:
    """Clips with the same landmarks, whatever their names."""
    groups = [clips for clips in _by_content(figures).values() if len(clips) > 1]
    across = [clips for clips in groups if len({clip.utterance.split for clip in clips}) > 1]
    worst, place = (across, "in two splits") if across else (groups, "twice in a split")
    where = [" = ".join(f"{c.utterance.id} ({c.utterance.split})" for c in clips) for clips in worst[:SHOWN]]
    headline, advice = f"{plural(len(worst), 'clip is', 'clips are')} {place}", "keep each clip once, in one split"
    if figures.num_measured < len(figures.corpus):
        headline += f" among the {plural(figures.num_measured, 'measured clip')}"
    return judge(headline, fail=bool(across), warn=bool(groups), value=len(worst), where=where, advice=advice)


@check(
    "data.signers",
    unit="signers",
    threshold="none in a split most of which is by signers who did not train: fail in test, warn in dev; unknown "
    "signers, and dev or a test split by known signers, are noted",
    source="a signer-independent score is of signers the model never saw",
)
def signers(figures: CorpusFigures) -> Outcome:
    """Signers of test or dev who are in train too."""
    counts = {split: columns.signer_counts() for split, columns in figures.splits.items()}
    trained = set(counts.get("train", {})) - {None}
    # The importer of PHOENIX-2014 records this.
    declared = figures.corpus.info.get("split_set") == "si5"
    leaked: dict[str, list[str]] = {"test": [], "dev": []}
    shares, known_test = [], False
    for split in leaked:
        if not counts.get(split) or not trained:
            continue
        known = {str(name): count for name, count in counts[split].items() if name in trained}
        share = sum(known.values()) / sum(counts[split].values())
        shares.append(f"{100 * (1 - share):.0f} % of {split} is by signers who did not train")
        # A split mostly of new signers is meant to have new signers only; dev often has known ones.
        if share < 0.5 or (declared and split == "test"):
            leaked[split] = [
                f"{name} ({plural(count, 'clip')} in {split}, also in train)" for name, count in sorted(known.items())
            ]
        elif known and split == "test":
            known_test = True
    where = leaked["test"] + leaked["dev"]
    headline = "; ".join(shares) or "signers are not known, or there is one split"
    if known_dev := dev_is_known(figures.corpus.utterances):
        headline += f". {KNOWN_DEV[:1].upper()}{KNOWN_DEV[1:]}"
    table = {"splits": {split: {str(name): n for name, n in by_name.items()} for split, by_name in counts.items()}}
    measured = Details(value=len(where), where=where[:SHOWN], figures=table)
    if where:
        advice = "move every clip of these signers to one side, then train again"
        return judge(headline, fail=bool(leaked["test"]), warn=True, advice=advice, **measured)
    say = note if known_dev or known_test or any(None in by_name for by_name in counts.values()) else ok
    return say(headline, **measured)


@check(
    "data.annotations",
    unit="faults",
    threshold="one sentence per clip, else fail; one spelling per gloss, else warn; "
    f"{FASTEST_GLOSS_SECONDS:g} to {SLOWEST_GLOSS_SECONDS:g} seconds per gloss and no gloss {REPEATS} times in a row, "
    f"else note, and warn from {100 * OFTEN:g} % of the utterances",
    source="conventions of gloss annotation; signers make about two glosses per second",
)
def annotation_faults(figures: CorpusFigures) -> Outcome:
    """Clips with two sentences, glosses with two spellings, repeats, and unusual paces."""
    contradictions = [
        f"{' and '.join(clip.utterance.id for clip in clips[:3])}: the same clip with different glosses"
        for clips in _by_content(figures).values()
        if len({clip.utterance.glosses for clip in clips}) > 1
    ]
    variants = [
        f"glosses that differ in spelling only: {told_apart(forms)}"
        for forms in look_alikes(figures.corpus.utterances.columns.words_used())
    ]
    num_unusual, unusual = _unusual(figures.corpus.utterances.columns)
    count = len(contradictions) + len(variants) + num_unusual
    return judge(
        f"{plural(count, 'fault')} of annotation",
        fail=bool(contradictions),
        warn=bool(variants) or num_unusual >= OFTEN * max(1, len(figures.corpus)),
        note=bool(unusual),
        value=count,
        where=(contradictions + variants + unusual)[:SHOWN],
        advice="correct these in the annotations, or leave the clips out, and import again",
    )


def _unusual(columns: Columns) -> tuple[int, list[str]]:
    """Returns the number of repeats and unusual paces, and the first of them in words."""
    glosses, rows, counts = columns.glosses, columns.glosses.rows(), columns.glosses.counts
    same = (glosses.values[1:] == glosses.values[:-1]) & (rows[1:] == rows[:-1])
    # Of all neighbours before a place, how many are the same.
    before = starts_of(same)
    repeated = before[REPEATS - 1 :] - before[: 1 - REPEATS] == REPEATS - 1
    repeats = np.zeros(len(columns), dtype=bool)
    repeats[rows[np.flatnonzero(repeated)]] = True
    pace = columns.seconds / counts
    odd = ~((pace >= FASTEST_GLOSS_SECONDS) & (pace <= SLOWEST_GLOSS_SECONDS))
    unusual = []
    for row in np.flatnonzero(repeats | odd)[:SHOWN].tolist():
        name = columns.ids[row]
        if repeats[row]:
            unusual.append(f"{name}: one gloss {REPEATS} or more times in a row")
        if odd[row]:
            unusual.append(f"{name}: {plural(int(counts[row]), 'gloss')} in {columns.seconds[row]:.2f} seconds")
    return int(repeats.sum() + odd.sum()), unusual


@check(
    "data.pairing",
    unit="correlation of seconds and glosses",
    threshold=f"at least {LEAST_FIT:g}, in every split of {FEWEST_PAIRS} clips or more",
    source=f"{CHOSEN}; healthy ones have 0.74 to 0.98, annotations of other clips -0.44 to 0.16",
)
def pairing(figures: CorpusFigures) -> Outcome:
    """Correlation of the seconds of a clip with its number of glosses, by split, the least."""
    table: dict[str, dict[str, float]] = {}
    where = []
    for split, columns in figures.splits.items():
        seconds, counts = columns.seconds, columns.glosses.counts.astype(float)
        alike = any(values.std() < LEAST_SPREAD * values.mean() for values in (seconds, counts))
        if len(columns) < FEWEST_PAIRS or alike:
            continue
        here = _correlation(seconds, counts)
        by_slip = {slip: _correlation(*_slipped(seconds, counts, slip)) for slip in (-3, -2, -1, 1, 2, 3)}
        slip = max(by_slip, key=lambda key: by_slip[key])
        table[split] = {"here": here, "slip": slip, "there": by_slip[slip]}
        # The correlation of this many unrelated pairs may be as large by chance.
        chance = 2.6 / np.sqrt(len(columns))
        if here >= max(LEAST_FIT, chance):
            continue
        place = f"{split}: correlation {here:.2f} in {plural(len(columns), 'clip')}"
        if by_slip[slip] >= max(SLIPPED_FIT, chance, here + 0.3):
            side = "after" if slip > 0 else "before"
            place += f"; with the glosses of the utterance {abs(slip)} {side} it {by_slip[slip]:.2f}"
        where.append(place)
    if not table:
        return ok("clips or annotations are too few, or too alike in length, to tell whether they belong together")
    least = min(row["here"] for row in table.values())
    measured = Details(value=least, where=where, figures=table)
    if not where:
        return ok(f"longer clips have more glosses (correlation at least {least:.2f})", **measured)
    advice = (
        "the annotations are not those of the clips: look at a few with their glosses, correct the list that joins "
        "them (an extra line, another order), and import again"
    )
    headline = f"the length of clips does not fit their number of glosses (correlation {least:.2f})"
    return fail(headline, advice=advice, **measured)


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(one, other)[0, 1]) if one.std() and other.std() else 0.0


def _slipped(seconds: np.ndarray, counts: np.ndarray, slip: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns each length, and the number of glosses of the utterance `slip` places after it (below 0: before it)."""
    return (seconds[:-slip], counts[slip:]) if slip > 0 else (seconds[-slip:], counts[:slip])


@check(
    "data.unknown",
    unit="share of running glosses",
    threshold="warn from 5 %, fail from 20 %",
    source="each is an error whatever the model does; PHOENIX-2014 SI5 has about 1 %",
)
def unknown(figures: CorpusFigures) -> Outcome:
    """Share of the glosses of a split that are not in train, the largest over the splits."""
    trained = set(figures.splits["train"].words_used()) if "train" in figures.splits else set()
    shares, counts = {}, Counter[str]()
    for split, columns in figures.splits.items():
        if split != "train" and trained:
            new = {gloss: count for gloss, count in columns.gloss_counts().items() if gloss not in trained}
            shares[split] = sum(new.values()) / len(columns.glosses.values)
            counts.update(new)
    share = max(shares.values(), default=0.0)
    shown = ", ".join(f"{100 * value:.2f} % of {split}" for split, value in shares.items())
    headline = f"glosses that are not in train: {shown or 'no split to look at'}"
    where = [f"{gloss} ({count})" for gloss, count in counts.most_common(SHOWN)]
    measured = Details(value=share, where=where, figures=shares)
    if share < 0.05:
        return (note if share else ok)(headline, **measured)
    advice = "the word error rate cannot fall below this: add such sentences to train, or correct the glosses' spelling"
    return judge(headline, fail=share >= 0.2, warn=True, advice=advice, **measured)


@check(
    "data.feasible",
    unit="share of utterances",
    threshold="warn from one, fail from 5 %",
    source="CTC needs one output frame per gloss and one more between equal neighbours (Graves et al. 2006), else the "
    "loss is infinite",
)
def feasible(figures: CorpusFigures) -> Outcome:
    """Share of utterances with more glosses than CTC has output frames."""
    faults = [fault for split in figures.splits for fault in figures.unalignable.get(split, ())]
    share = len(faults) / max(1, len(figures.corpus))
    training = len(figures.unalignable.get("train", ()))
    headline = (
        f"{plural(len(faults), 'utterance has', 'utterances have')} more glosses than output frames of {figures.model} "
        f"({training:,} of train)"
    )
    table = {split: len(reasons) for split, reasons in figures.unalignable.items()}
    advice = "train with --frame_rate, or leave them out with --skip_infeasible"
    measured = Details(value=share, where=faults[:SHOWN], figures=table)
    return judge(headline, fail=share >= 0.05, warn=bool(faults), advice=advice, **measured)


@check(
    "data.lengths",
    unit="seconds per gloss, median",
    threshold="0.15 to 4 seconds per gloss in the median utterance, else warn",
    source="continuous signing has about two glosses per second, isolated clips one in one to three seconds",
)
def lengths(figures: CorpusFigures) -> Outcome:
    """Seconds per clip and per gloss."""
    columns = figures.corpus.utterances.columns
    seconds = columns.seconds
    low, middle, high = (float(value) for value in np.percentile(seconds, [5, 50, 95]))
    longest = float(seconds.max())
    pace = float(np.median(seconds / columns.glosses.counts))
    headline = (
        f"clips of {low:.1f} to {high:.1f} seconds (5th to 95th percentile; longest {longest:.1f}), "
        f"{pace:.2f} seconds per gloss"
    )
    table = {"5th": low, "median": middle, "95th": high, "longest": longest}
    advice = "the frame rate is wrong, or the annotations are not those of the clips"
    return judge(headline, warn=not 0.15 <= pace <= 4, value=pace, figures=table, advice=advice)


@check(
    "data.balance",
    unit="share of the most frequent gloss",
    threshold="warn from 40 %, fail from 80 %, with more than two glosses; noted when over 10 % of them occur once",
    source="a model that predicts nothing else is right that often; glosses seen once are common (about a third of "
    "PHOENIX-2014's)",
)
def balance(figures: CorpusFigures) -> Outcome:
    """Share of the most frequent gloss in train."""
    if "train" not in figures.splits:
        return note("there is no training split", advice="training needs one")
    counts = Counter(figures.splits["train"].gloss_counts())
    running = sum(counts.values())
    once = sum(count == 1 for count in counts.values()) / len(counts)
    (most, times), *_ = counts.most_common(1)
    share = times / running
    headline = (
        f"{plural(len(counts), 'gloss')} in train, {100 * once:.0f} % of them once; the most frequent, {most}, is "
        f"{100 * share:.1f} % of all"
    )
    where = [f"{gloss} ({count})" for gloss, count in counts.most_common(5)]
    table = {"glosses": len(counts), "once": once, "running": running}
    measured = Details(value=share, where=where, figures=table)
    if len(counts) > 2 and share >= 0.4:
        advice = "add more varied sentences, or leave the filler gloss out of the annotations"
        return judge(headline, fail=share >= 0.8, warn=True, advice=advice, **measured)
    return (note if once > 0.1 else ok)(headline, **measured)


def _by_content(figures: CorpusFigures) -> dict[str, list[ClipFigures]]:
    """Returns the clips by the digest of their landmarks, without those in which nothing was found."""
    groups: dict[str, list[ClipFigures]] = defaultdict(list)
    for clip in figures.clips:
        if any(share < 1 for share in clip.missing.values()):
            groups[clip.content].append(clip)
    return groups
