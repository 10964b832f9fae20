"""What the importers that make a corpus share: glosses from labels, what was left out, the summary."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from signloom.console import console
from signloom.corpus import Corpus
from signloom.files import atomic_write

LEFT_OUT = "left_out.jsonl"
# How many single items a message names; the file has them all.
NUM_SHOWN = 20


@dataclass(frozen=True)
class LeftOut:
    """An utterance of the source that the corpus does not have, and why."""

    id: str
    reason: str


def gloss_of(label: str) -> str:
    """A label as one gloss: white space within it becomes a dash (`good job` -> `good-job`); may be empty."""
    return "-".join(label.split())


def write_left_out(root: Path, left_out: Sequence[LeftOut]) -> None:
    """Writes every utterance that was left out to `left_out.jsonl` in the corpus; without any, removes an old one."""
    if not left_out:
        (root / LEFT_OUT).unlink(missing_ok=True)
        return
    with atomic_write(root / LEFT_OUT, "w") as file:
        for item in left_out:
            file.write(json.dumps({"id": item.id, "reason": item.reason}, ensure_ascii=False) + "\n")


def show_left_out(root: Path, left_out: Sequence[LeftOut]) -> None:
    """Says on stderr what was left out: the first few by name, all of them in the corpus's `left_out.jsonl`."""
    if not left_out:
        return
    say(f"left out: {len(left_out):,}, all listed in {root / LEFT_OUT}")
    for item in left_out[:NUM_SHOWN]:
        say(f"  {item.id}: {item.reason}")
    if len(left_out) > NUM_SHOWN:
        say(f"  ... and {len(left_out) - NUM_SHOWN:,} more")


def say(message: str) -> None:
    """A message to stderr, as it is: ids and glosses may hold brackets, and a path must not be broken over lines."""
    console.print(message, markup=False, soft_wrap=True)


def listed(items: Iterable[str], *, shown: int = NUM_SHOWN) -> str:
    """The first items of a list, and how many more there are."""
    items = list(items)
    more = f" and {len(items) - shown:,} more" if len(items) > shown else ""
    return ", ".join(items[:shown]) + more


def print_summary(
    corpus: Corpus, *, noun: str, detected: Mapping[str, int], assumed: Mapping[str, int], next_step: str
) -> None:
    """The corpus split by split on stdout, what was detected and what was assumed, and the next step.

    noun: what its items are called.  detected: for each group the frames in which it is present.
    assumed: for each field of the landmarks the number of items in which it was not given by the source.
    """
    print(f"{corpus.root}: {len(corpus):,} {noun}")
    print(f"  {'split':<6}{noun:>12}{'glosses':>10}{'distinct':>10}{'minutes':>9}{'signers':>9}")
    for split, row in corpus.summary().items():
        print(
            f"  {split:<6}{row['utterances']:>12,}{row['running_glosses']:>10,}{row['distinct_glosses']:>10,}"
            f"{row['hours'] * 60:>9.1f}{_signers(corpus, split):>9}"
        )
    frames = sum(utterance.num_frames for utterance in corpus)
    if detected:
        shares = ", ".join(
            f"{group.replace('_', ' ')} {100 * count / frames:.0f} %" for group, count in detected.items()
        )
        print(f"frames in which a part was detected: {shares}")
    for name, count in assumed.items():
        say(f"assumed, not given by the source: {name} ({count:,} {noun})")
    print(f"next: {next_step}")


def _signers(corpus: Corpus, split: str) -> str:
    signers = Counter(utterance.signer for utterance in corpus.split(split))
    return "unknown" if set(signers) == {None} else str(len(signers))
