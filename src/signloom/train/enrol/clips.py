"""The clips of an enrolment: isolated signs, a few of each, left out in turn to measure what enrolment does."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from signloom.compose import MIN_SIGN_FRAMES, Pool, clips_by_group, common_fps
from signloom.corpus import Corpus
from signloom.errors import Faults, InputError, plural
from signloom.landmarks import Landmarks
from signloom.vocabulary import Vocabulary

# Clips are left out in so many parts, where a sign has as many.
MOST_FOLDS = 3
# Two glosses of which this share of letters agree, whatever their case, may be one word in two spellings.
_SIMILAR = 0.75


@dataclass(frozen=True)
class Clips:
    """Isolated clips, by signer and gloss, and their landmarks by id, all at one frame rate."""

    pool: Pool
    landmarks: Mapping[str, Landmarks]

    @property
    def glosses(self) -> list[str]:
        """The signs, sorted."""
        return sorted({gloss for glosses in self.pool.values() for gloss in glosses})

    @property
    def counts(self) -> list[int]:
        """The number of clips of each sign of each signer."""
        return [len(clips) for glosses in self.pool.values() for clips in glosses.values()]

    @property
    def num_folds(self) -> int:
        """The number of parts in which clips are left out; 0 where no sign has two."""
        most = max(self.counts)
        return min(MOST_FOLDS, most) if most > 1 else 0

    def fold(self, number: int) -> tuple[Clips, Clips]:
        """Returns the clips of which one part is left out, and that part.

        Of n clips of a sign, every `num_folds`-th is left out. The only clip of a sign stays.
        """
        kept: Pool = {}
        out: Pool = {}
        for signer, glosses in self.pool.items():
            for gloss, clips in glosses.items():
                part = clips[number :: self.num_folds] if len(clips) > 1 else []
                kept.setdefault(signer, {})[gloss] = [clip for clip in clips if clip not in part]
                if part:
                    out.setdefault(signer, {})[gloss] = part
        return replace(self, pool=kept), replace(self, pool=out)


def read_clips(corpus: Corpus, vocabulary: Vocabulary, *, new_signs: bool = False) -> Clips:
    """Returns the clips of a corpus of isolated signs, those of train where it has several splits.

    new_signs: whether a gloss that is spelled almost like one of the vocabulary is another sign.

    Raises InputError listing each clip that does not show one gloss of one signer or is too short for a sign, and each
    gloss that may be one of the vocabulary in another spelling; for a corpus without clips for training; and as
    `Corpus.load` does.
    """
    utterances = corpus.utterances.in_split("train")
    if not utterances:
        raise InputError(
            f"{corpus.root}: no clips in its train split, the only one that is learnt; needed at least one"
        )
    groups = clips_by_group(replace(corpus, utterances=utterances))
    faults = Faults(f"{corpus.root}: cannot be enrolled")
    for clip in utterances:
        if clip.num_frames < MIN_SIGN_FRAMES:
            faults.add(
                f"{clip.id}: {plural(clip.num_frames, 'frame')}; needed at least {MIN_SIGN_FRAMES} to show a sign"
            )
    if not new_signs:
        for gloss, known in respelled({item.glosses[0] for item in utterances}, vocabulary):
            faults.add(
                f"gloss {gloss!r} is new to the model; did you mean {known!r}? Rename it in the manifest, or pass "
                "--new_signs if it is another sign"
            )
    faults.raise_if_any()
    fps = common_fps(clip.fps for clip in utterances)
    landmarks = {clip.id: corpus.load(clip).resampled(fps) for clip in utterances}
    pool: Pool = {signer: {gloss: groups[signer][gloss] for gloss in sorted(groups[signer])} for signer in groups}
    return Clips(pool, landmarks)


def respelled(glosses: Iterable[str], vocabulary: Vocabulary) -> list[tuple[str, str]]:
    """Returns the glosses that are not in the vocabulary but almost spelled like one of it, each with that one."""
    folded = {word.casefold(): word for word in vocabulary.words[2:]}
    result = []
    for gloss in sorted(vocabulary.unknown(glosses)):
        near = difflib.get_close_matches(gloss.casefold(), folded, n=1, cutoff=_SIMILAR)
        result += [(gloss, folded[name]) for name in near]
    return result
