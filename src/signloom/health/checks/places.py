"""Where in a corpus a fault is: in all of it, in splits, in the clips of signers, or in some clips."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from signloom.corpus import SPLITS, Utterance
from signloom.errors import listed, plural
from signloom.health.checks.figures import ClipFigures

# Fewer clips are no split or signer of their own.
FEWEST_CLIPS = 3
# Share of the clips of a corpus, a split or a signer from which on a fault is one of all of it, not of a few clips.
MOST = 0.5
# Share of the clips of a corpus from which on a fault harms training, wherever the clips are.
MANY = 0.05
# Clips of a split that are named.
NAMED = 20


@dataclass(frozen=True)
class Part:
    """A split, or the clips of a signer.  name: in words."""

    name: str
    clips: tuple[ClipFigures, ...]


def parts_of(clips: Sequence[ClipFigures]) -> list[Part]:
    """Returns the splits, then the signers, that have `FEWEST_CLIPS` or more; none where there is only one."""
    by_split: dict[str, list[ClipFigures]] = {}
    by_signer: dict[str, list[ClipFigures]] = {}
    for clip in clips:
        by_split.setdefault(clip.utterance.split, []).append(clip)
        by_signer.setdefault(f"signer {clip.utterance.signer}", []).append(clip)
    groups = [by_name for by_name in (by_split, by_signer) if len(by_name) > 1]
    return [
        Part(name, tuple(members))
        for by_name in groups
        for name, members in sorted(by_name.items())
        if len(members) >= FEWEST_CLIPS
    ]


@dataclass(frozen=True)
class Places:
    """Where a fault is.

    count, total: of the clips concerned, and of all.  parts: in words, each split and signer most of whose clips are
    concerned, if not all clips are.
    """

    count: int
    total: int
    parts: tuple[str, ...]

    @property
    def share(self) -> float:
        return self.count / max(1, self.total)

    @property
    def grave(self) -> bool:
        """Whether so many clips are concerned that training is harmed, or most of a split or signer."""
        return self.count >= FEWEST_CLIPS and (self.share >= MANY or bool(self.parts))

    def __str__(self) -> str:
        if self.count == self.total:
            return f"all {plural(self.total, 'clip')}"
        words = f"{self.count:,} of {plural(self.total, 'clip')}"
        return f"{words} ({', '.join(self.parts)})" if self.parts else words


def places(concerned: Collection[str], clips: Sequence[ClipFigures]) -> Places:
    """Returns where the clips with the ids `concerned` are among `clips`."""
    parts = []
    for part in parts_of(clips):
        count = sum(clip.utterance.id in concerned for clip in part.clips)
        if count >= max(FEWEST_CLIPS, MOST * len(part.clips)):
            parts.append(f"{count:,} of {len(part.clips):,} in {part.name}".replace("in signer", "by signer"))
    count = sum(clip.utterance.id in concerned for clip in clips)
    return Places(count, len(clips), tuple(parts) if count < len(clips) else ())


def by_split(named: Mapping[str, str], utterances: Iterable[Utterance]) -> list[str]:
    """Returns a line for each split with its clips among `named`: ids and a remark on each, in this order.

    utterances: those that are named, and perhaps others.
    """
    split_of = {item.id: item.split for item in utterances}
    clips = {split: [f"{name} ({text})" for name, text in named.items() if split_of[name] == split] for split in SPLITS}
    return [f"{split}: {listed(names, shown=NAMED)}" for split, names in clips.items() if names]
