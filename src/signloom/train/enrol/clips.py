"""The clips of an enrolment: a few isolated signs each, and idling, left out in turn to measure what enrolment does."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from signloom.compose import MIN_SIGN_FRAMES, Pool, clips_by_group, common_fps, take_clips
from signloom.corpus import Corpus, Utterance
from signloom.errors import Faults, InputError, plural
from signloom.landmarks import Landmarks
from signloom.vocabulary import Vocabulary

# Clips are left out in so many parts, where a sign has as many.
MOST_FOLDS = 3
# A long recording of idling counts as clips of so many seconds or more: parts of a single one are left out in turn.
_IDLE_SECONDS = 5.0
# Two glosses of which this share of letters agree, whatever their case, may be one word in two spellings.
_SIMILAR = 0.75


@dataclass(frozen=True)
class Clips:
    """Isolated clips, by signer and gloss, and their landmarks by id, all at one frame rate.

    idle: clips that show no sign. There may be signs without idling, and idling without signs.
    idle_signers: how many people idle in them.
    """

    pool: Pool
    landmarks: Mapping[str, Landmarks]
    idle: Sequence[Utterance] = ()
    idle_signers: frozenset[str | None] = field(default=frozenset())

    @property
    def glosses(self) -> list[str]:
        """The signs, sorted."""
        return sorted({gloss for glosses in self.pool.values() for gloss in glosses})

    @property
    def counts(self) -> list[int]:
        """The number of clips of each sign of each signer."""
        return [len(clips) for glosses in self.pool.values() for clips in glosses.values()]

    @property
    def num_signers(self) -> int:
        return len(self.pool.keys() | self.idle_signers)

    @property
    def idle_seconds(self) -> float:
        return sum(self.landmarks[clip.id].duration_seconds for clip in self.idle)

    @property
    def num_folds(self) -> int:
        """The number of parts in which clips are left out; 0 where no sign has two, nor idling."""
        most = max([*self.counts, len(self.idle)])
        return min(MOST_FOLDS, most) if most > 1 else 0

    def fold(self, number: int) -> tuple[Clips, Clips]:
        """Returns the clips of which one part is left out, and that part.

        Of n clips of a sign, and of idling, every `num_folds`-th is left out. The only clip of a sign stays.
        """
        kept: Pool = {}
        out: Pool = {}
        for signer, glosses in self.pool.items():
            for gloss, clips in glosses.items():
                part = self._part(clips, number)
                kept.setdefault(signer, {})[gloss] = [clip for clip in clips if clip not in part]
                if part:
                    out.setdefault(signer, {})[gloss] = part
        idle = self._part(self.idle, number)
        rest = [clip for clip in self.idle if clip not in idle]
        return replace(self, pool=kept, idle=rest), replace(self, pool=out, idle=idle)

    def _part(self, clips: Sequence[Utterance], number: int) -> list[Utterance]:
        return list(clips[number :: self.num_folds]) if len(clips) > 1 else []


def read_clips(
    corpus: Corpus, vocabulary: Vocabulary, *, new_signs: bool = False, idle_glosses: Sequence[str] = ()
) -> Clips:
    """Returns the clips of a corpus of isolated signs, those of train where it has several splits.

    new_signs: whether a gloss that is spelled almost like one of the vocabulary is another sign.
    idle_glosses: glosses whose clips show no sign.

    Raises InputError listing each clip that does not show one gloss of one signer or is too short for a sign, each
    gloss that may be one of the vocabulary in another spelling, and each gloss of idling that is a sign of the model;
    for a gloss of idling without a clip; for a corpus without clips for training; and as `Corpus.load` does.
    """
    utterances = corpus.utterances.in_split("train")
    if not utterances:
        raise InputError(
            f"{corpus.root}: no clips in its train split, the only one that is learnt; needed at least one"
        )
    groups = clips_by_group(replace(corpus, utterances=utterances))
    taken = take_clips(groups, idle_glosses, f"enrol: --idle_glosses, {corpus.root}")
    faults = Faults(f"{corpus.root}: cannot be enrolled")
    for clip in utterances:
        if clip.num_frames < MIN_SIGN_FRAMES:
            faults.add(
                f"{clip.id}: {plural(clip.num_frames, 'frame')}; needed at least {MIN_SIGN_FRAMES} to show a sign"
            )
    for gloss in sorted(set(idle_glosses) - vocabulary.unknown(idle_glosses)):
        faults.add(
            f"--idle_glosses: {gloss!r} is a sign of the model, which names it; give these clips another gloss, or "
            "leave out --idle_glosses"
        )
    if not new_signs:
        for gloss, known in respelled({gloss for glosses in groups.values() for gloss in glosses}, vocabulary):
            faults.add(
                f"gloss {gloss!r} is new to the model; did you mean {known!r}? Rename it in the manifest, or pass "
                "--new_signs if it is another sign"
            )
    faults.raise_if_any()
    fps = common_fps(clip.fps for clip in utterances)
    landmarks = {clip.id: corpus.load(clip).resampled(fps) for clip in utterances}
    pool: Pool = {signer: {gloss: groups[signer][gloss] for gloss in sorted(groups[signer])} for signer in groups}
    idle = []
    for clip in sorted((clip for some in taken.values() for clips in some for clip in clips), key=lambda clip: clip.id):
        idle += [replace(clip, id=name) for name in _cut_up(clip.id, landmarks)]
    return Clips(pool, landmarks, idle, frozenset(taken))


def _cut_up(name: str, landmarks: dict[str, Landmarks]) -> list[str]:
    """Returns the names of equal parts of an idle clip, or its own if it is short; puts the parts into `landmarks`."""
    clip = landmarks[name]
    count = int(clip.duration_seconds // _IDLE_SECONDS)
    if count < 2:
        return [name]
    ends = [round(number * len(clip) / count) for number in range(count + 1)]
    parts = {f"{name}//{number}": clip[ends[number] : ends[number + 1]] for number in range(count)}
    landmarks |= parts
    return list(parts)


def respelled(glosses: Iterable[str], vocabulary: Vocabulary) -> list[tuple[str, str]]:
    """Returns the glosses that are not in the vocabulary but almost spelled like one of it, each with that one."""
    folded = {word.casefold(): word for word in vocabulary.words[2:]}
    result = []
    for gloss in sorted(vocabulary.unknown(glosses)):
        near = difflib.get_close_matches(gloss.casefold(), folded, n=1, cutoff=_SIMILAR)
        result += [(gloss, folded[name]) for name in near]
    return result
