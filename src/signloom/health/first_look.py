"""A first look at a corpus before training: the doctor's checks that no training can make up for, on a few clips."""

from __future__ import annotations

import numpy as np

from signloom.corpus import SPLITS, Corpus, Utterance, spread
from signloom.errors import InputError
from signloom.findings import Finding
from signloom.health.checks.body import body
from signloom.health.checks.figures import ClipFigures, CorpusFigures, measure_clip
from signloom.health.checks.landmarks import normalised

# The clips that are looked at, and their frames: 4 to 6 ms of a core each.
NUM_CLIPS = 32
MOST_FRAMES = 500


def first_look(corpus: Corpus) -> list[Finding]:
    """Returns the failures of `data.normalised` and `data.body` on clips spread evenly over the splits and signers.

    Clips that cannot be read are left out: training reports them.
    """
    # As the doctor does: its checks compare clips of glosses.
    corpus = corpus.with_glosses
    columns = corpus.utterances.columns
    # By name; whoever has none is the last.
    splits, signers = (np.unique(names, return_inverse=True)[1] for names in (SPLITS, [*columns.people, str(None)]))
    order = np.lexsort((signers[columns.signers], splits[columns.splits]))
    items = corpus.utterances.take(order[spread(len(order), NUM_CLIPS)])
    clips = tuple(clip for item in items if (clip := _measured(corpus, item)) is not None)
    figures = CorpusFigures(corpus, clips, unreadable=(), unalignable={}, model="")
    return [finding for finding in (normalised(figures), body(figures)) if finding.level == "fail"] if clips else []


def _measured(corpus: Corpus, utterance: Utterance) -> ClipFigures | None:
    try:
        clip = corpus.load(utterance)
    except InputError:
        return None
    start = max(0, (len(clip) - MOST_FRAMES) // 2)
    return measure_clip(utterance, clip.part(slice(start, start + MOST_FRAMES)))
