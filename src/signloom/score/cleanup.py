"""The official clean-ups of RWTH-PHOENIX-Weather 2014 and 2014 T, gloss by gloss and sentence by sentence.

The releases' own scripts clean a CTM file, which has a word a line: a rule over two words never meets both, so that
"WIE AUSSEHEN" stays two words and a repeated word stays repeated. Python ports clean whole sentences, where these rules
do fire, and report another number. Both are here.

Sources, of which the rules are, not the code: `evaluatePhoenix2014.sh` of phoenix-2014.v3,
`evaluatePHOENIX-2014-T-signrecognition.sh` of phoenix-2014-T.v3, and for whole sentences the ports of both in
neccam/slt (`signjoey/phoenix_utils/phoenix_cleanup.py`). [A-Z] is ASCII throughout, as in the scripts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

PREFIXES = ("loc-", "cl-", "qu-", "poss-", "lh-")
SPELLINGS = (("S0NNE", "SONNE"), ("HABEN2", "HABEN"))
EMPTIED = ("__EMOTION__", "__PU__", "__LEFTHAND__")
# A word that holds one of these is dropped with its line.
DROPPED = ("__LEFTHAND__", "__EPENTHESIS__", "__EMOTION__")
ON_OFF = frozenset(("__ON__", "__OFF__"))

_ROOM = re.compile(r"([A-Z]{2})RAUM")
_MARK = re.compile(r"__[^_]*__")
_ROOM_AT_END = re.compile(r"\b([A-Z]+)RAUM$", re.ASCII)
# A spelled letter stands alone or ends a chain of them: "A", "W+E". Each pass joins pairs that do not overlap, so that
# as in the scripts a long chain may stay in parts.
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
    """The words of a hypothesis after the clean-up of PHOENIX-2014, each word by itself."""
    return [clean for word in words if (clean := _phoenix2014_word(word))]


@lru_cache(maxsize=65536)
def _phoenix2014_word(word: str) -> str:
    """The cleaned word; empty where it is dropped."""
    for part in PREFIXES:
        word = word.replace(part, "")
    for wrong, right in SPELLINGS:
        word = word.replace(wrong, right)
    for part in EMPTIED:
        word = word.replace(part, "")
    if word.endswith("ZEIGEN"):
        word += "-BILDSCHIRM"
    word = _ROOM.sub(r"\1", word).replace("-PLUSPLUS", "")
    return "" if any(part in word for part in DROPPED) else word


def phoenix2014_sentence(words: Sequence[str]) -> list[str]:
    """The words after the clean-up of PHOENIX-2014 was made on the whole sentence, as Python scorers make it."""
    text = " ".join(words)
    for part in PREFIXES:
        text = text.replace(part, "")
    for wrong, right in SPELLINGS:
        text = text.replace(wrong, right)
    for part in EMPTIED:
        text = text.replace(part, "")
    text = text.replace("WIE AUSSEHEN", "WIE-AUSSEHEN")
    text = re.sub(r"ZEIGEN(?= |$)", "ZEIGEN-BILDSCHIRM", text)
    text = _join_spelled(text)
    text = _ROOM.sub(r"\1", text).replace("-PLUSPLUS", "")
    return merge_repeats(
        word for word in _once_each(re.sub(" +", " ", text)).split() if not any(part in word for part in DROPPED)
    )


def phoenix2014t_words(words: Sequence[str]) -> list[str]:
    """The words of a hypothesis after the clean-up of PHOENIX-2014-T: each by itself, then repeats merged."""
    return merge_repeats(clean for word in words if (clean := _phoenix2014t_word(word)))


@lru_cache(maxsize=65536)
def _phoenix2014t_word(word: str) -> str:
    if any(part in word for part in DROPPED) or _MARK.fullmatch(word):
        return ""
    word = word.removeprefix("loc-").removesuffix("-PLUSPLUS").removeprefix("cl-")
    return _ROOM_AT_END.sub(r"\1", word)


def phoenix2014t_reference(words: Sequence[str]) -> list[str]:
    """The words of a reference after the clean-up of PHOENIX-2014-T, which takes the whole sentence."""
    # In the script the sentence stands behind the columns of the STM, so a space comes before its first word; where a
    # mark was, two spaces stay, and no rule over two words reaches across them.
    text = f" {' '.join(words)}"
    for part in DROPPED:
        text = text.replace(f"{part} ", "").replace(f" {part}", "")
    return _once_each(_join_spelled(_phoenix2014t_marks(text), from_start=False)).split()


def phoenix2014t_sentence(words: Sequence[str]) -> list[str]:
    """The words after the clean-up of PHOENIX-2014-T was made on the whole sentence, as Python scorers make it."""
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
    """The sentence with spelled letters joined by `+`; from_start: also where its first word is a letter."""
    if from_start:
        text = re.sub(r"^([A-Z]) ([A-Z][+ ])", r"\1+\2", text)
    text = re.sub(r"[ +]([A-Z]) ([A-Z]) ", r" \1+\2 ", text)
    for pattern in _SPELLED:
        text = re.sub(pattern, r"\1+\2", text)
    return text


def _once_each(text: str) -> str:
    """The sentence without the repeats of words of A-Z that four passes find."""
    for _ in range(_REPEATED_PASSES):
        text = _REPEATED.sub(r"\1", text)
    return text


def merge_repeats(words: Iterable[str]) -> list[str]:
    """The words without those that repeat the one before."""
    kept: list[str] = []
    for word in words:
        if not kept or kept[-1] != word:
            kept.append(word)
    return kept


def without_on_off(words: Sequence[str]) -> list[str]:
    """The words without `__ON__` and `__OFF__`, which mark where signing starts and ends."""
    return [word for word in words if word not in ON_OFF]
