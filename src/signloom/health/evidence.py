"""Evidence that the page shows beside findings: skeletons of the clips they name, a model's posterior over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from signloom import layout
from signloom.corpus import Corpus
from signloom.drawing.head import head_outline
from signloom.errors import InputError
from signloom.findings import Finding
from signloom.health.checks.probe import Probe, mode
from signloom.landmarks import Landmarks
from signloom.vocabulary import BLANK_ID

# Clips drawn per finding.
CLIPS = 3
# Frames drawn per clip.
FRAMES = 8
_ARMS = (
    ("left_shoulder", "right_shoulder"),
    ("left_shoulder", "left_elbow"),
    ("left_elbow", "left_wrist"),
    ("right_shoulder", "right_elbow"),
    ("right_elbow", "right_wrist"),
    ("left_shoulder", "left_hip"),
    ("right_shoulder", "right_hip"),
    ("left_hip", "right_hip"),
    ("left_eye", "right_eye"),
)


def skeletons(findings: Sequence[Finding], corpus: Corpus) -> dict[str, list[dict[str, Any]]]:
    """Returns, for each warning and failure, the first clips it names (in its figures `clips`, or where the fault is):
    id and drawn frames.

    A frame is a list of strokes `[part, x1, y1, x2, y2]`, with coordinates from 0 to 1 over the extent of the clip.
    """
    place_of = {name: place for place, name in enumerate(corpus.utterances.columns.ids)}
    clips: dict[str, list[dict[str, Any]]] = {}
    for finding in findings:
        if not finding.needs_action:
            continue
        clips_by_id = finding.figures.get("clips")
        named = list(clips_by_id) if isinstance(clips_by_id, Mapping) else finding.where
        for place in named:
            names = (place, place.partition(":")[0], place.partition(" ")[0])
            known = next((place_of[name] for name in names if name in place_of), None)
            if known is None or len(clips.get(finding.id, ())) == CLIPS:
                continue
            item = corpus.utterances[known]
            try:
                clip = corpus.load(item)
            except InputError:
                # The finding is about this.
                continue
            clips.setdefault(finding.id, []).append({"id": item.id, "frames": drawn(clip)})
    return clips


def drawn(clip: Landmarks) -> list[list[list[Any]]]:
    """Returns frames spread evenly over a clip, as strokes; a missing point has none."""
    frames = np.unique(np.linspace(0, len(clip) - 1, FRAMES).round().astype(int))
    points = clip.points[frames, :, :2].astype(np.float64)
    heads = [head_outline(frame) for frame in points]
    bones = [("body", layout.index(f"pose.{a}"), layout.index(f"pose.{b}")) for a, b in _ARMS]
    for hand in ("left_hand", "right_hand"):
        start = layout.GROUPS[hand].start
        bones += [(hand, start + a, start + b) for a, b in layout.HAND_BONES]
    strokes = [
        [(part, frame[[a, b]]) for part, a, b in bones if np.isfinite(frame[[a, b]]).all()]
        + ([] if head is None else [("head", ends) for ends in np.stack([head, np.roll(head, -1, axis=0)], axis=1)])
        for frame, head in zip(points, heads, strict=True)
    ]
    used = [ends for frame in strokes for _, ends in frame]
    if not used:
        return [[] for _ in frames]
    low, high = np.min(used, (0, 1)), np.max(used, (0, 1))
    # One scale for both axes, and for all frames.
    scale = max(float((high - low).max()), 1e-6)
    return [[[part, *((ends - low) / scale).round(3).ravel().tolist()] for part, ends in frame] for frame in strokes]


def posterior(probe: Probe) -> dict[str, Any]:
    """Returns the probability of blank and of the most likely gloss per frame of the probe's first clip.

    predicted: `[gloss, output frame]`, the middle frame of each.  reference: the annotated glosses.
    """
    batch = probe.batch
    with mode(probe.recognizer, training=False), torch.no_grad():
        log_probs, lengths = probe.recognizer(batch.points[:1], batch.lengths[:1])
    probabilities = log_probs[0, : int(lengths[0])].exp()
    path = probabilities.argmax(-1).numpy()
    blank = probabilities[:, BLANK_ID].clone()
    probabilities[:, BLANK_ID] = 0
    words = probe.vocabulary.words
    starts = np.flatnonzero(np.diff(path, prepend=-1))
    ends = [*starts[1:], len(path)]
    return {
        "id": batch.ids[0],
        "step_seconds": probe.recognizer.step_seconds,
        "blank": [round(value, 4) for value in blank.tolist()],
        "gloss": [round(value, 4) for value in probabilities.max(-1).values.tolist()],
        "predicted": [
            [words[path[start]], (int(start) + int(end) - 1) / 2]
            for start, end in zip(starts, ends, strict=True)
            if path[start] != BLANK_ID
        ],
        "reference": [words[number] for number in batch.targets[0, : int(batch.target_lengths[0])].tolist()],
    }
