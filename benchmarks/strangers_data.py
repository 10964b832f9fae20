"""The corpora of `strangers.py`: real clips of known words, composed to utterances, one group of people left out.

Sources, all MIT or Apache-2.0, with the clips of each person as one group: `asl_words/traduttore_asl.npz`,
`asl_words/signwish_asl.npz`, `asl_fullface/akashcodes_asl_full.npz` and `people/people.npz`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

# Words that at least two people sign, by the spelling of each source.
SHARED_WORDS = {
    "hello": "HELLO", "HELLO": "HELLO", "i": "I", "I": "I", "no": "NO", "NO": "NO", "you": "YOU", "YOU": "YOU",
    "thank-you": "THANKS", "thank you": "THANKS", "thanks": "THANKS", "THANKS": "THANKS",
    "i love you": "ILOVEYOU", "iloveyou": "ILOVEYOU", "ILOVEYOU": "ILOVEYOU",
}  # fmt: skip
# Words of traduttore_asl that are signed with one hand: the other is out of view in 87 to 100 % of frames.
ONE_HANDED = ("a", "hello", "i", "no", "please", "thank-you", "water")
# Words in which a hand that is in view keeps still for a while.
STILL_HANDS = ("muffin", "tea", "coffee")
GROUPS = ("dmohazab", "TheCamNelson", "Alex")
PEOPLE = ("p1", "p2", "p3", "p4", "p5", "p6", "p7")
# People of no reported figure: settings are chosen on them.
CHOOSING = ("signwish", "akashcodes")
# The size of the picture of each person whose webcam is not 640x480.
WIDE = {"p6"}


@dataclass(frozen=True)
class Clip:
    """One clip as its source has it: frames (T, 258) or (T, 1662), its word and its person."""

    frames: np.ndarray
    word: str
    person: str


def clips_of(path: Path, person: Callable[[str], str] = str) -> list[Clip]:
    """Returns the clips of a packing; `person` names the person of a group."""
    with np.load(path, allow_pickle=False) as data:
        frames, starts, lengths = data["frames"], data["start"], data["length"]
        labels, groups = data["label"], data["group"]
    return [
        Clip(frames[start : start + length], str(label), person(str(group)))
        for start, length, label, group in zip(starts, lengths, labels, groups, strict=True)
    ]


def asl_clips(data: Path) -> list[Clip]:
    """Returns all clips of three groups who sign 16 words."""
    return clips_of(data / "asl_words" / "traduttore_asl.npz")


def shared_clips(data: Path) -> list[Clip]:
    """Returns the clips of the words that at least two people sign, by one name each."""
    clips = [*asl_clips(data), *people_clips(data)]
    return [Clip(clip.frames, SHARED_WORDS[clip.word], clip.person) for clip in clips if clip.word in SHARED_WORDS]


def people_clips(data: Path) -> list[Clip]:
    """Returns all clips of signwish, akashcodes and p1 to p7."""
    return [
        *clips_of(data / "asl_words" / "signwish_asl.npz", lambda _: "signwish"),
        *clips_of(data / "asl_fullface" / "akashcodes_asl_full.npz", lambda _: "akashcodes"),
        *clips_of(data / "people" / "people.npz"),
    ]


def one_handed(data: Path) -> list[Clip]:
    """Returns clips of signs of one hand by people whose other hand is out of view."""
    signwish = clips_of(data / "asl_words" / "signwish_asl.npz", lambda _: "signwish")
    shared = [Clip(clip.frames, SHARED_WORDS[clip.word], clip.person) for clip in signwish if clip.word in SHARED_WORDS]
    seen = [
        (_points(clip.frames, hand) != 0).any((1, 2)).mean() for clip in shared for hand in (_LEFT_HAND, _RIGHT_HAND)
    ]
    out_of_view = [left < 0.05 and right > 0.5 for left, right in zip(seen[::2], seen[1::2], strict=True)]
    return [
        *(clip for clip in asl_clips(data) if clip.word in ONE_HANDED),
        *(clip for clip, out in zip(shared, out_of_view, strict=True) if out),
    ]


def import_clips(clips: Sequence[Clip], output: Path) -> Any:
    """Returns the corpus of clips, written to `output` if it is not there."""
    from signloom.corpus import Corpus
    from signloom.importers import holistic, merge

    if (output / "corpus.json").exists():
        return Corpus.open(output)
    kinds: dict[tuple[int, str | None], list[Clip]] = {}
    for clip in clips:
        people = clip.frames.shape[1] != 258 and clip.person in PEOPLE
        size = ("1280x720" if clip.person in WIDE else "640x480") if people else None
        kinds.setdefault((clip.frames.shape[1], size), []).append(clip)
    parts = []
    for number, ((_, size), some) in enumerate(kinds.items()):
        source = output.with_name(f"{output.name}-{number}.npz")
        source.parent.mkdir(parents=True, exist_ok=True)
        write_packing(some, source)
        parts.append(output.with_name(f"{output.name}-{number}"))
        holistic.run(holistic.Options(sources=[source], output=parts[-1], image_size=size, overwrite=True))
    if len(parts) == 1:
        parts[0].rename(output)
    else:
        merge.run(merge.Options(corpora=parts, output=output, signers=["same"]))
    return Corpus.open(output)


def write_packing(clips: Sequence[Clip], path: Path) -> None:
    """Writes clips as one packing."""
    lengths = np.array([len(clip.frames) for clip in clips])
    np.savez(
        path,
        frames=np.concatenate([clip.frames for clip in clips]).astype(np.float32),
        start=np.cumsum(lengths) - lengths,
        length=lengths,
        label=np.array([clip.word for clip in clips]),
        group=np.array([clip.person for clip in clips]),
    )


def composed(signs: Any, output: Path, **options: Any) -> Any:
    """Returns the corpus composed of isolated clips, written to `output` if it is not there; without leads unless with
    the option `lead`."""
    from signloom.compose import ComposeOptions, compose
    from signloom.corpus import Corpus

    if (output / "corpus.json").exists():
        return Corpus.open(output)
    return compose(signs, output, ComposeOptions(dev_signers=["known"], **{"lead": 0.0, **options}), overwrite=True)


def faces_in(signs: Any) -> list[np.ndarray]:
    """Returns the points (T, 543, 3) of clips of p1 to p7 with a face in all frames."""
    from signloom import layout

    clips = (signs.load(item).points for item in signs if item.signer in PEOPLE)
    return [points for points in clips if np.isfinite(points[:, layout.GROUPS["face"], 0]).all()]


def with_face(clip: Any, donor: np.ndarray) -> Any:
    """Returns a clip with the face of a donor at its own nose, in the proportion of the eyes' distances; as it moved
    there, forth and back if the clip is longer."""
    from signloom import layout

    nose, *eyes = (layout.index(f"pose.{name}") for name in ("nose", "left_eye", "right_eye"))
    sizes = (np.abs(points[:, eyes[0], 0] - points[:, eyes[1], 0]) for points in (clip.points, donor))
    own, other = map(np.nanmedian, sizes)
    face = donor[:, layout.GROUPS["face"]].copy()
    face[..., :2] -= donor[:, [nose], :2]
    face = face[np.resize([*range(len(face)), *range(len(face) - 2, 0, -1)], len(clip))] * (own / other)
    face[..., :2] += clip.points[:, [nose], :2]
    points = clip.points.copy()
    points[:, layout.GROUPS["face"]] = face
    return replace(clip, points=points)


def changed(signs: Any, person: str, change: str, output: Path, donors: Sequence[np.ndarray] = ()) -> Any:
    """Returns the corpus of one person's clips, written to `output` if it is not there: `cropped`, with the one-handed
    signs by the `other_hand`, or with the `face` of one of the donors."""
    from signloom.compose.other_hand import by_other_hand, is_one_handed
    from signloom.corpus import Corpus, CorpusWriter
    from signloom.train.cropping import crop_picture

    if (output / "corpus.json").exists():
        return Corpus.open(output)
    with CorpusWriter(output, {"name": output.name}, overwrite=True) as writer:
        for number, item in enumerate(item for item in signs if item.signer == person):
            clip = signs.load(item)
            if change == "cropped":
                planes = np.ascontiguousarray(clip.points.transpose(2, 0, 1))
                crop_picture(planes, np.random.default_rng(number), "full")
                clip = replace(clip, points=planes.transpose(1, 2, 0))
            elif change == "face":
                clip = with_face(clip, donors[number % len(donors)])
            elif is_one_handed(clip):
                clip = by_other_hand(clip)
            writer.add(item.id, split=item.split, signer=person, glosses=item.glosses, landmarks=clip)
    return Corpus.open(output)


# Of a frame of 258 values: 33 points of the pose (x, y, z, visibility), then 21 points (x, y, z) of each hand.
_POSE_VALUES = 4
_LEFT_HAND, _RIGHT_HAND = slice(132, 195), slice(195, 258)
_LEFT_SHOULDER, _RIGHT_SHOULDER, _LEFT_ELBOW, _LEFT_WRIST = 11, 12, 13, 15
# Longest way of a wrist in a frame during a rest, in shoulder widths.
_STILL = 0.05
_REST_FRAMES = 10
# Where a hand rests, from the middle of the shoulders in shoulder widths to its own side and down: lap, table, chest.
_PLACES = ((0.25, 1.25), (0.55, 1.05), (0.35, 0.75))


def with_resting_hands(clips: Iterable[Clip], donors: Iterable[Clip], seed: int) -> list[Clip]:
    """Returns clips of one-handed signs, the missing left hand in view and at rest in all frames.

    The hand is one that keeps still for at least ten frames of a clip of another person. It is put where the wrist of
    a resting arm may be, in the proportion of the shoulders, and moves as it moved there, forth and back if the clip
    is longer. The arm goes to it.
    """
    rng = np.random.default_rng(seed)
    hands = [hand for clip in donors for hand in _still_hands(clip)]
    result = []
    for clip in clips:
        hand, width = hands[rng.integers(len(hands))]
        place = np.array(_PLACES[rng.integers(len(_PLACES))]) + rng.normal(0, 0.08, 2)
        result.append(Clip(_put(clip.frames, hand, width, place), clip.word, clip.person))
    return result


def _points(frames: np.ndarray, part: slice) -> np.ndarray:
    return frames[:, part].reshape(len(frames), 21, 3)


def _pose(frames: np.ndarray, point: int) -> np.ndarray:
    return frames[:, _POSE_VALUES * point : _POSE_VALUES * point + 3]


def _shoulder_width(frames: np.ndarray) -> float:
    """Returns the median width of the shoulders, a fraction of the width of the image."""
    return float(np.median(np.abs(_pose(frames, _LEFT_SHOULDER)[:, 0] - _pose(frames, _RIGHT_SHOULDER)[:, 0])))


def _still_hands(clip: Clip) -> list[tuple[np.ndarray, float]]:
    """Returns each stretch (T, 21, 3) of the left hand that keeps still, with the width of the shoulders."""
    hand = _points(clip.frames, _LEFT_HAND)
    width = _shoulder_width(clip.frames)
    seen = (hand != 0).any((1, 2))
    for start in range(len(hand) - _REST_FRAMES, -1, -_REST_FRAMES // 2):
        stretch = hand[start : start + _REST_FRAMES]
        steps = np.abs(np.diff(stretch[:, 0, :2], axis=0)).max() / width
        if seen[start : start + _REST_FRAMES].all() and steps < _STILL:
            return [(stretch, width)]
    return []


def _put(frames: np.ndarray, hand: np.ndarray, width: float, place: np.ndarray) -> np.ndarray:
    """Returns frames (T, 258) with a hand (n, 21, 3) of somebody of a shoulder width at a place to rest."""
    result = frames.copy()
    own = _shoulder_width(frames)
    left, right = (np.median(_pose(frames, point), axis=0) for point in (_LEFT_SHOULDER, _RIGHT_SHOULDER))
    middle, side = (left + right) / 2, np.sign(left[0] - right[0])
    # Widths and heights are fractions of the image: a width of the shoulders is as many pixels up as across.
    aspect = 16 / 9
    wrist = np.array((middle[0] + side * place[0] * own, min(middle[1] + place[1] * own * aspect, 0.95), 0.0))
    back_and_forth = np.concatenate([np.arange(len(hand)), np.arange(len(hand) - 2, 0, -1)])
    moving = hand[np.resize(back_and_forth, len(frames))]
    shape = (moving - moving[:, :1]) * (own / width)
    drift = (moving[:, :1] - hand[:1, :1]) * (own / width)
    placed = shape + drift + wrist
    result[:, _LEFT_HAND] = placed.reshape(len(frames), -1)
    for point, share in ((_LEFT_WRIST, 1.0), (_LEFT_ELBOW, 0.5)):
        start = _POSE_VALUES * point
        ends = placed[:, 0, :2], np.broadcast_to(left[:2], (len(frames), 2))
        result[:, start : start + 2] = share * ends[0] + (1 - share) * ends[1]
        if point == _LEFT_ELBOW:
            result[:, start] += 0.2 * own * side
            result[:, start + 1] += 0.1 * own * aspect
    return result
