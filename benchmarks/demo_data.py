"""The clips of `demo_model.py`: which words the demo model knows, who signs them, and what stands for other signing.

Every source is MIT or Apache-2.0; `SOURCES` names them. One word is one sign here: where a source gives the same word
to another movement, its clips are other signing. The rules were made by looking at the clips, before any training.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import strangers_data as data


@dataclass(frozen=True)
class Source:
    """A public repository whose clips are used, and its licence."""

    repository: str
    licence: str
    copyright: str = ""


SOURCES = (
    Source("traduttore/traduttore-model", "MIT"),
    Source("tamtridung/ASL_SignWish", "MIT"),
    Source("akashcodes23/Realtime-Sign-LanguageDetection", "MIT", "Copyright (c) 2025 Akash G Patil"),
    Source("FowlDeadPool/sign-sentence-net", "MIT", "Copyright (c) 2025 fowldeadpool"),
    Source("IlkerDEMIR-s/SignLanguageDetectionFromWebcam", "MIT", "Copyright (c) 2023 İlker DEMİR"),
    Source("Mujster/Sign-Language-DL", "MIT"),
    Source("electronicaddict/Jupyter", "MIT", "Copyright (c) 2024 Ryan Luke Karan Lobo"),
    Source("me-abhinav-1001/Sign-Language-Detection", "MIT", "Copyright (c) 2023 Abhinav Anand"),
    Source("surtecha/SignLangNET", "MIT", "Copyright (c) 2023 Suryateja Challa"),
    Source("thm1d/slr", "Apache-2.0"),
)
IDLE = "IDLE"
# Other spellings of a word.
SPELLINGS = {"-": IDLE, "THANK-YOU": "THANKS", "I-LOVE-YOU": "ILOVEYOU"}
# What the model knows: words of ASL that somebody signs at a webcam.
WORDS = tuple(
    """CAN COFFEE FATHER GET GOOD-JOB HAPPY HELLO HELP HOUSE HOW-MUCH HUNGRY I ILOVEYOU LARGE MEDIUM MUFFIN MY NAME
    NO PLEASE SAD SEEYOULATER SMALL TEA THANKS WATER YES YOU""".split()
)
# Signs that are none of the words. p5's other words (NAMASTE, INDIAN, ...) seem to be Indian Sign Language; p1's NO is
# a sweep of the arm. CAT and FOOD are the same hand held still.
OTHERS = {
    *(("p5", word) for word in "AGAIN DEAF HEARING HOW-ARE-YOU INDIAN LANGUAGE MAN NAMASTE SIGN SORRY".split()),
    *(("p5", word) for word in "TEACHER WELCOME WOMAN".split()),
    *(("akashcodes", word) for word in ("CAT", "FOOD")),
    ("p1", "NO"),
}
# Left out, since they look like a word of another name: a fist like YES, a wave like two people's HELLO, a hand on the
# chest like MY, and two words in one clip.
LEFT_OUT = {("dmohazab", "A"), ("TheCamNelson", "A"), ("signwish", "BYE"), ("p5", "I"), ("p5", "MY-NAME-IS")}
# A clip shows its sign if a hand is found in this share of its frames.
_LEAST_HANDS = 0.5
_HANDS = slice(-126, None)


def clips_of(folder: Path) -> list[data.Clip]:
    """Returns the clips by word, with signs that are none of the words as `OTHER-...` and idling as `IDLE`.

    Raises SystemExit for a clip that no rule covers.
    """
    found = [
        *data.asl_clips(folder),
        *data.clips_of(folder / "asl_words" / "signwish_asl.npz", lambda _: "signwish"),
        *data.clips_of(folder / "asl_fullface" / "akashcodes_asl_full.npz", lambda _: "akashcodes"),
        *data.clips_of(folder / "people" / "people.npz"),
    ]
    result = []
    for clip in found:
        spelled = clip.word.upper().replace(" ", "-")
        word = SPELLINGS.get(spelled, spelled)
        key = (clip.person, word)
        if key in LEFT_OUT or (word != IDLE and _hands_seen(clip) < _LEAST_HANDS):
            continue
        if key in OTHERS:
            word = f"OTHER-{word}"
        elif word not in (*WORDS, IDLE):
            raise SystemExit(f"{clip.person}: no rule for {clip.word!r}; needed one of WORDS, OTHERS or LEFT_OUT")
        result.append(data.Clip(clip.frames, word, clip.person))
    return result


def _hands_seen(clip: data.Clip) -> float:
    """Returns the share of the frames in which a hand was found."""
    return float((clip.frames[:, _HANDS] != 0).any(1).mean())


def signers_of(clips: Sequence[data.Clip]) -> dict[str, Counter[str]]:
    """Returns the number of clips of each word by person."""
    result: dict[str, Counter[str]] = {word: Counter() for word in WORDS}
    for clip in clips:
        if clip.word in result:
            result[clip.word][clip.person] += 1
    return result


def shared_words(clips: Sequence[data.Clip], person: str) -> list[str]:
    """Returns the words of a person that somebody else signs, too."""
    return [word for word, people in signers_of(clips).items() if person in people and len(people) > 1]


def most_words(clips: Sequence[data.Clip], count: int) -> list[str]:
    """Returns the people with the most words that somebody else signs, too; of equals, those with the most clips."""
    people = {clip.person for clip in clips}

    def order(person: str) -> tuple[int, int, str]:
        words = shared_words(clips, person)
        return -len(words), -sum(clip.word in words and clip.person == person for clip in clips), person

    return sorted(people, key=order)[:count]
