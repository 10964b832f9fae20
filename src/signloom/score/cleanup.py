"""The official clean-ups of RWTH-PHOENIX-Weather 2014 and 2014 T, per gloss and per sentence.

The scripts of the releases clean a CTM file, which has one word per line. A rule about two words therefore never
applies: "WIE AUSSEHEN" stays two words, and a repeated word stays repeated. Python ports clean whole sentences, where
these rules do apply, and report another number. This module has both.

Sources of the rules (the code is our own): `evaluatePhoenix2014.sh` of phoenix-2014.v3,
`evaluatePHOENIX-2014-T-signrecognition.sh` of phoenix-2014-T.v3, and for whole sentences the ports of both in
neccam/slt (`signjoey/phoenix_utils/phoenix_cleanup.py`). [A-Z] means ASCII letters, as in the scripts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import groupby

from signloom.text.clean import clean

PREFIXES = ("loc-", "cl-", "qu-", "poss-", "lh-")
SPELLINGS = (("S0NNE", "SONNE"), ("HABEN2", "HABEN"))
EMPTIED = ("__EMOTION__", "__PU__", "__LEFTHAND__")
# A word that contains one of these is dropped.
DROPPED = ("__LEFTHAND__", "__EPENTHESIS__", "__EMOTION__")
ON_OFF = frozenset(("__ON__", "__OFF__"))

_ROOM = re.compile(r"([A-Z]{2})RAUM")
_MARK = re.compile(r"__[^_]*__")
_ROOM_AT_END = re.compile(r"\b([A-Z]+)RAUM$", re.ASCII)
# A spelled letter stands alone or ends a chain of letters: "A", "W+E". Each pass joins pairs that do not overlap, so a
# long chain may stay in parts, as it does in the scripts.
_SPELLED = (
    *((r"([ +][A-Z]) ([A-Z][ +])",) * 3),
    r"([ +]SCH) ([A-Z][ +])",
    r"([ +]NN) ([A-Z][ +])",
    r"([ +][A-Z]) (NN[ +])",
    r"([ +][A-Z]) ([A-Z])$",
)
_REPEATED = re.compile(r"(?<![\w-])(\b[A-Z]+(?![\w-])) \1(?![\w-])", re.ASCII)
_REPEATED_PASSES = 4


def phoenix2014_words(words: Sequence[str]) -> list[str]:
    """Returns the words of a hypothesis after the PHOENIX-2014 clean-up of each single word."""
    return [clean for word in words if (clean := _phoenix2014_word(word))]


@lru_cache(maxsize=65536)
def _phoenix2014_word(word: str) -> str:
    """Returns the cleaned word, or an empty string if it is dropped."""
    word = _phoenix2014_marks(word)
    if word.endswith("ZEIGEN"):
        word += "-BILDSCHIRM"
    word = _ROOM.sub(r"\1", word).replace("-PLUSPLUS", "")
    return "" if any(part in word for part in DROPPED) else word


def phoenix2014_sentence(words: Sequence[str]) -> list[str]:
    """Returns the words after the PHOENIX-2014 clean-up of the whole sentence, as Python scorers do it."""
    text = _phoenix2014_marks(" ".join(words)).replace("WIE AUSSEHEN", "WIE-AUSSEHEN")
    text = re.sub(r"ZEIGEN(?= |$)", "ZEIGEN-BILDSCHIRM", text)
    text = _join_spelled(text)
    text = _ROOM.sub(r"\1", text).replace("-PLUSPLUS", "")
    return merge_repeats(
        word for word in _once_each(re.sub(" +", " ", text)).split() if not any(part in word for part in DROPPED)
    )


def _phoenix2014_marks(text: str) -> str:
    for wrong, right in (*((part, "") for part in PREFIXES), *SPELLINGS, *((part, "") for part in EMPTIED)):
        text = text.replace(wrong, right)
    return text


def phoenix2014t_words(words: Sequence[str]) -> list[str]:
    """Returns the words of a hypothesis after the PHOENIX-2014-T clean-up of each single word, repeats merged."""
    return merge_repeats(clean for word in words if (clean := _phoenix2014t_word(word)))


@lru_cache(maxsize=65536)
def _phoenix2014t_word(word: str) -> str:
    if any(part in word for part in DROPPED) or _MARK.fullmatch(word):
        return ""
    word = word.removeprefix("loc-").removesuffix("-PLUSPLUS").removeprefix("cl-")
    return _ROOM_AT_END.sub(r"\1", word)


def phoenix2014t_reference(words: Sequence[str]) -> list[str]:
    """Returns the words of a reference after the PHOENIX-2014-T clean-up of the whole sentence."""
    # In the script the sentence follows the columns of the STM file, so a space comes before its first word. A deleted
    # mark leaves two spaces, and no rule about two words applies across them.
    text = f" {' '.join(words)}"
    for part in DROPPED:
        text = text.replace(f"{part} ", "").replace(f" {part}", "")
    return _once_each(_join_spelled(_phoenix2014t_marks(text), from_start=False)).split()


def phoenix2014t_sentence(words: Sequence[str]) -> list[str]:
    """Returns the words after the PHOENIX-2014-T clean-up of the whole sentence, as Python scorers do it."""
    text = " ".join(words)
    for part in DROPPED:
        text = text.replace(part, "")
    return merge_repeats(_once_each(re.sub(" +", " ", _join_spelled(_phoenix2014t_marks(text)))).split())


def _phoenix2014t_marks(text: str) -> str:
    for pattern, kept in (
        (r"\b__[^_ ]*__\b", ""),
        (r"\bloc-([^ ]*)\b", r"\1"),
        (r"\bcl-([^ ]*)\b", r"\1"),
        (r"\b([^ ]*)-PLUSPLUS\b", r"\1"),
        (r"\b([A-Z]+)RAUM\b", r"\1"),
    ):
        text = re.sub(pattern, kept, text, flags=re.ASCII)
    return text.replace("WIE AUSSEHEN", "WIE-AUSSEHEN")


def _join_spelled(text: str, *, from_start: bool = True) -> str:
    """Returns the sentence with spelled letters joined by `+`; from_start: also if its first word is a letter."""
    if from_start:
        text = re.sub(r"^([A-Z]) ([A-Z][+ ])", r"\1+\2", text)
    text = re.sub(r"[ +]([A-Z]) ([A-Z]) ", r" \1+\2 ", text)
    for pattern in _SPELLED:
        text = re.sub(pattern, r"\1+\2", text)
    return text


def _once_each(text: str) -> str:
    """Returns the sentence without repeated words of A-Z, as far as four passes find them."""
    for _ in range(_REPEATED_PASSES):
        text = _REPEATED.sub(r"\1", text)
    return text


def merge_repeats(words: Iterable[str]) -> list[str]:
    """Returns the words without those that repeat the word before them."""
    return [word for word, _ in groupby(words)]


def normalise_unicode(words: Sequence[str]) -> list[str]:
    """Returns the words in Unicode's form NFC without invisible characters; words of such characters alone go."""
    return [part for word in words for part in clean(word).split()]


def without_on_off(words: Sequence[str]) -> list[str]:
    """Returns the words without `__ON__` and `__OFF__`, the marks of where signing starts and ends."""
    return [word for word in words if word not in ON_OFF]
