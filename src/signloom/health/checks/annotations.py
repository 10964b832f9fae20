"""What the manifest of a corpus means: splits, signers, annotations, and whether CTC can learn from the lengths."""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict

import numpy as np

from signloom.findings import LEVELS, Finding, graded, worse
from signloom.health.checks.figures import ClipFigures, CorpusFigures
from signloom.health.checks.landmarks import CHOSEN, LANDMARK_CHECKS, Check

SHOWN = 10
# So many of the same gloss in a row are a slip of the hand that typed them.
REPEATS = 4
# Less often than this such a sentence may have been meant.
OFTEN = 0.01
# A gloss takes about half a second; nobody signs ten a second, or rests ten seconds in each.
FASTEST_GLOSS_SECONDS, SLOWEST_GLOSS_SECONDS = 0.1, 10.0
# Clips and annotations of fewer, or of more alike, lengths tell nothing of whether they belong together.
FEWEST_PAIRS, LEAST_SPREAD = 20, 0.15
LEAST_FIT, SLIPPED_FIT = 0.3, 0.5


def duplicates(figures: CorpusFigures) -> Finding:
    groups = [clips for clips in _by_content(figures).values() if len(clips) > 1]
    across = [clips for clips in groups if len({clip.utterance.split for clip in clips}) > 1]
    level = "fail" if across else "warn" if groups else "ok"
    shown = across or groups
    return Finding(
        "data.duplicates",
        level,
        f"{len(across):,} clips stand in two splits" if across else f"{len(groups):,} clips stand twice in a split",
        len(across or groups),
        "clips",
        "none",
        "a test clip that was trained on measures memory; compared by the landmarks themselves, not by name",
        tuple(" = ".join(f"{clip.utterance.id} ({clip.utterance.split})" for clip in clips) for clips in shown[:SHOWN]),
        "keep each clip in one split, once" if groups else "",
    )


def signers(figures: CorpusFigures) -> Finding:
    """Whether signers of an evaluation split also trained, where the split is meant to be of others."""
    found = {
        split: Counter(item.signer for item in figures.corpus if item.split == split) for split in _splits(figures)
    }
    trained = set(found.get("train", {})) - {None}
    unknown = sum(item.signer is None for item in figures.corpus)
    # What the importer of PHOENIX-2014 records.
    declared = figures.corpus.info.get("split_set") == "si5"
    levels, where, words = ["ok"], [], []
    for split in ("test", "dev"):
        counts = found.get(split)
        if not counts or not trained:
            continue
        leaked = {str(name): count for name, count in counts.items() if name in trained}
        share = sum(leaked.values()) / sum(counts.values())
        words.append(f"{100 * (1 - share):.0f} % of {split} is by signers who did not train")
        # A split of mostly unseen signers is meant to be of unseen signers; dev is often of known ones.
        meant = share < 0.5 or (declared and split == "test")
        if leaked and meant:
            levels.append("fail" if split == "test" else "warn")
            where += [f"{name} ({count:,} clips in {split}, also in train)" for name, count in sorted(leaked.items())]
        elif leaked and split == "test":
            levels.append("note")
    level = worse([*levels, "note" if unknown else "ok"])
    return Finding(
        "data.signers",
        level,
        "; ".join(words) or "signers are not known, or there is one split",
        float(len(where)),
        "signers",
        "none where most of the split is by signers who did not train",
        "a signer-independent score is of signers the model never saw",
        tuple(where[:SHOWN]),
        "move every clip of these signers to one side, then train again" if level in ("warn", "fail") else "",
        {"splits": {split: {str(name): count for name, count in counts.items()} for split, counts in found.items()}},
    )


def annotation_faults(figures: CorpusFigures) -> Finding:
    faults: list[tuple[str, str]] = []
    for clips in _by_content(figures).values():
        if len({clip.utterance.glosses for clip in clips}) > 1:
            names = " and ".join(clip.utterance.id for clip in clips[:3])
            faults.append(("fail", f"{names}: the same clip with different glosses"))
    spellings: dict[str, set[str]] = defaultdict(set)
    for item in figures.corpus:
        for gloss in item.glosses:
            spellings[unicodedata.normalize("NFKC", gloss).casefold()].add(gloss)
    for forms in spellings.values():
        if len(forms) > 1:
            faults.append(("warn", f"glosses that differ in spelling only: {', '.join(sorted(forms))}"))
    for item in figures.corpus:
        same = np.array([a == b for a, b in zip(item.glosses, item.glosses[1:], strict=False)], dtype=np.int8)
        if len(same) and np.convolve(same, np.ones(REPEATS - 1, dtype=np.int8)).max() >= REPEATS - 1:
            faults.append(("note", f"{item.id}: one gloss {REPEATS} or more times in a row"))
        pace = item.duration_seconds / len(item.glosses)
        if not FASTEST_GLOSS_SECONDS <= pace <= SLOWEST_GLOSS_SECONDS:
            faults.append(("note", f"{item.id}: {len(item.glosses)} glosses in {item.duration_seconds:.2f} seconds"))
    odd = sum(level == "note" for level, _ in faults) / max(1, len(figures.corpus))
    level = worse([*(level for level, _ in faults), "warn" if odd >= OFTEN else "ok"])
    return Finding(
        "data.annotations",
        level,
        f"{len(faults):,} faults of annotation",
        len(faults),
        "faults",
        f"none: one spelling a gloss, one sentence a clip, {FASTEST_GLOSS_SECONDS:g} to {SLOWEST_GLOSS_SECONDS:g} "
        f"seconds a gloss, no gloss {REPEATS} times in a row; of the last two, {100 * OFTEN:g} % of the utterances",
        "conventions of gloss annotation; signers make about two glosses a second",
        tuple(text for _, text in sorted(faults, key=lambda fault: LEVELS.index(fault[0]), reverse=True)[:SHOWN]),
        "correct these in the annotations, or take the clips out, and import again" if faults else "",
    )


def pairing(figures: CorpusFigures) -> Finding:
    """Whether clips with more glosses are longer; where another place in the split fits better, annotations slipped."""
    found: dict[str, dict[str, float]] = {}
    where, levels = [], ["ok"]
    for split in _splits(figures):
        items = [item for item in figures.corpus if item.split == split]
        seconds = np.array([item.duration_seconds for item in items])
        counts = np.array([len(item.glosses) for item in items], dtype=float)
        alike = any(values.std() < LEAST_SPREAD * values.mean() for values in (seconds, counts))
        if len(items) < FEWEST_PAIRS or alike:
            continue
        here = _correlation(seconds, counts)
        by_slip = {slip: _correlation(*_slipped(seconds, counts, slip)) for slip in (-3, -2, -1, 1, 2, 3)}
        slip = max(by_slip, key=lambda key: by_slip[key])
        found[split] = {"here": here, "slip": slip, "there": by_slip[slip]}
        # Of so few pairs a correlation strays by this much from none.
        chance = 2.6 / np.sqrt(len(items))
        if here >= max(LEAST_FIT, chance):
            continue
        slipped = by_slip[slip] >= max(SLIPPED_FIT, chance, here + 0.3)
        levels.append("fail")
        where.append(
            f"{split}: correlation {here:.2f} in {len(items):,} clips"
            + (
                f"; with the glosses of the utterance {abs(slip)} {'after' if slip > 0 else 'before'} it "
                f"{by_slip[slip]:.2f}"
                if slipped
                else ""
            )
        )
    least = min((row["here"] for row in found.values()), default=1.0)
    return Finding(
        "data.pairing",
        worse(levels),
        f"the length of clips does not go with their number of glosses (correlation {least:.2f})"
        if where
        else f"longer clips have more glosses (correlation at least {least:.2f})"
        if found
        else "clips or annotations are too few, or too alike in length, to tell whether they belong together",
        least if found else None,
        "correlation of seconds and glosses",
        f"at least {LEAST_FIT:g}, in splits of {FEWEST_PAIRS} or more",
        f"{CHOSEN}; healthy ones have 0.74 to 0.98, annotations of other clips -0.44 to 0.16",
        tuple(where),
        "the annotations are not those of the clips: look at a few with their glosses, mend the list that joins them "
        "(a line too many, another order), and import again"
        if where
        else "",
        {split: dict(row) for split, row in found.items()},
    )


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(one, other)[0, 1]) if one.std() and other.std() else 0.0


def _slipped(seconds: np.ndarray, counts: np.ndarray, slip: int) -> tuple[np.ndarray, np.ndarray]:
    """The lengths, and the number of glosses of the utterance so many places after (below 0: before) each."""
    return (seconds[:-slip], counts[slip:]) if slip > 0 else (seconds[-slip:], counts[:slip])


def unknown(figures: CorpusFigures) -> Finding:
    trained = {gloss for item in figures.corpus if item.split == "train" for gloss in item.glosses}
    shares, words = {}, Counter[str]()
    for split in _splits(figures):
        running = [gloss for item in figures.corpus if item.split == split for gloss in item.glosses]
        if split != "train" and trained:
            missing = [gloss for gloss in running if gloss not in trained]
            shares[split] = len(missing) / len(running)
            words.update(missing)
    share = max(shares.values(), default=0.0)
    level = graded(share, warn=0.05, fail=0.2)
    return Finding(
        "data.unknown",
        "note" if level == "ok" and share else level,
        "glosses that training never had: "
        + (", ".join(f"{100 * value:.2f} % of {split}" for split, value in shares.items()) or "no split to look at"),
        share,
        "share of running glosses",
        "warn from 5 %, fail from 20 %",
        "each is an error whatever the model does; PHOENIX-2014 SI5 has about 1 %",
        tuple(f"{gloss} ({count})" for gloss, count in words.most_common(SHOWN)),
        "word error rate cannot fall below this: add such sentences to train, or mend the spelling of the glosses"
        if level != "ok"
        else "",
        shares,
    )


def feasible(figures: CorpusFigures) -> Finding:
    faults = [fault for split in _splits(figures) for fault in figures.unalignable.get(split, ())]
    share = len(faults) / max(1, len(figures.corpus))
    training = len(figures.unalignable.get("train", ()))
    level = "ok" if not faults else "fail" if share >= 0.05 else "warn"
    return Finding(
        "data.feasible",
        level,
        f"{len(faults):,} utterances ({training:,} of train) have more glosses than output frames of {figures.model}",
        share,
        "share of utterances",
        "warn from one, fail from 5 %",
        "CTC needs an output frame a gloss and one more between equal neighbours (Graves et al. 2006), else the loss "
        "is infinite",
        tuple(faults[:SHOWN]),
        "train with --frame_rate, or leave them out with --skip_infeasible" if faults else "",
        {split: len(found) for split, found in figures.unalignable.items()},
    )


def lengths(figures: CorpusFigures) -> Finding:
    seconds = np.array([item.duration_seconds for item in figures.corpus])
    paces = np.array([item.duration_seconds / len(item.glosses) for item in figures.corpus])
    low, middle, high = np.percentile(seconds, [5, 50, 95])
    per_gloss = float(np.median(paces))
    level = "ok" if 0.15 <= per_gloss <= 4 else "warn"
    return Finding(
        "data.lengths",
        level,
        f"clips of {low:.1f} to {high:.1f} seconds (5th to 95th percentile; longest {seconds.max():.1f}), "
        f"{per_gloss:.2f} seconds a gloss",
        per_gloss,
        "seconds a gloss, median",
        "0.15 to 4",
        "continuous signing has about two glosses a second, isolated clips one in one to three seconds",
        (),
        "the frame rate or the annotations are not those of the clips" if level != "ok" else "",
        {"5th": float(low), "median": float(middle), "95th": float(high), "longest": float(seconds.max())},
    )


def balance(figures: CorpusFigures) -> Finding:
    counts = Counter(gloss for item in figures.corpus if item.split == "train" for gloss in item.glosses)
    running = sum(counts.values())
    if not counts:
        return Finding("data.balance", "note", "no training split", advice="a corpus to train on needs one")
    once = sum(count == 1 for count in counts.values()) / len(counts)
    (most, times), *_ = counts.most_common(1)
    share = times / running
    level = "ok"
    if len(counts) > 2:
        level = graded(share, warn=0.4, fail=0.8)
    return Finding(
        "data.balance",
        "note" if level == "ok" and once > 0.1 else level,
        f"{len(counts):,} glosses in train, {100 * once:.0f} % of them once; the most frequent, {most}, is "
        f"{100 * share:.1f} % of all",
        share,
        "share of the most frequent gloss",
        "warn from 40 %, fail from 80 %, of more than two glosses",
        "a model that says nothing else is then right so often; glosses seen once are common and only noted "
        "(about a third of PHOENIX-2014's)",
        tuple(f"{gloss} ({count})" for gloss, count in counts.most_common(5)),
        "more varied sentences, or leave the filler gloss out of the annotations" if level != "ok" else "",
        {"glosses": len(counts), "once": once, "running": running},
    )


def _splits(figures: CorpusFigures) -> list[str]:
    return [name for name in ("train", "dev", "test") if any(item.split == name for item in figures.corpus)]


def _by_content(figures: CorpusFigures) -> dict[str, list[ClipFigures]]:
    found: dict[str, list[ClipFigures]] = defaultdict(list)
    for clip in figures.clips:
        # A clip in which nothing was found is like any other such clip.
        if any(share < 1 for share in clip.missing.values()):
            found[clip.content].append(clip)
    return found


MANIFEST_CHECKS: dict[str, Check] = {
    "data.duplicates": duplicates,
    "data.signers": signers,
    "data.annotations": annotation_faults,
    "data.pairing": pairing,
    "data.unknown": unknown,
    "data.feasible": feasible,
    "data.lengths": lengths,
    "data.balance": balance,
}
CHECKS: dict[str, Check] = LANDMARK_CHECKS | MANIFEST_CHECKS
