"""The vocabulary: glosses and their ids. The CTC blank has id 0, the unknown gloss id 1.

A model gives the unknown gloss to signs that are none of its glosses, if its training had such signs
(`Utterance.others`); it is never a part of a result. Then come the glosses of the training in sorted order, and those
that were enrolled later.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from signloom.errors import InputError, listed, plural
from signloom.files.schemas import NOT_PLAIN

MOST_GLOSS_LETTERS = 1000
BLANK = "<blank>"
UNKNOWN = "<unknown>"
BLANK_ID = 0
UNKNOWN_ID = 1


@dataclass(frozen=True)
class Vocabulary:
    """The words of a model and their ids.

    words: all words in order of their ids, starting with `<blank>` and `<unknown>`.
    """

    words: tuple[str, ...]
    _ids: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "words", tuple(self.words))
        object.__setattr__(self, "_ids", {word: number for number, word in enumerate(self.words)})
        if self.words[:2] != (BLANK, UNKNOWN):
            raise InputError(f"vocabulary: starts with {self.words[:2]}, needed ({BLANK!r}, {UNKNOWN!r})")
        if len(self._ids) != len(self.words):
            twice = sorted(word for word, count in Counter(self.words).items() if count > 1)
            raise InputError(f"vocabulary: words that occur twice: {', '.join(twice[:10])}")
        for word in self.words:
            check_gloss(word, "vocabulary")

    @classmethod
    def from_glosses(cls, sentences: Iterable[Sequence[str]]) -> Vocabulary:
        """Returns the vocabulary of gloss sentences; give it only those of the training split.

        Raises InputError if a gloss is one of the two reserved words, or if there are no glosses.
        """
        glosses = {gloss for sentence in sentences for gloss in sentence}
        if not glosses:
            raise InputError("vocabulary: the training split has no glosses")
        reserved = glosses & {BLANK, UNKNOWN}
        if reserved:
            raise InputError(f"vocabulary: gloss {min(reserved)!r} is reserved; rename it in the annotations")
        return cls((BLANK, UNKNOWN, *sorted(glosses)))

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, gloss: str) -> bool:
        return gloss in self._ids

    def encode(self, glosses: Sequence[str]) -> list[int]:
        """Returns the ids of glosses; a gloss that is not in the vocabulary gets the unknown id."""
        return [self._ids.get(gloss, UNKNOWN_ID) for gloss in glosses]

    def decode(self, ids: Sequence[int]) -> list[str]:
        """Returns the glosses of ids; the unknown gloss names none, and is left out.

        Raises InputError for an id outside the vocabulary.
        """
        for number in ids:
            if not 0 <= number < len(self.words):
                raise InputError(f"vocabulary: id {number} outside 0..{len(self.words) - 1}")
        return [self.words[number] for number in ids if number != UNKNOWN_ID]

    def unknown(self, glosses: Iterable[str]) -> set[str]:
        """Returns the glosses that are not in the vocabulary."""
        return {gloss for gloss in glosses if gloss not in self._ids}

    def unknown_note(self, split: str, sentences: Iterable[Sequence[str]]) -> str | None:
        """Returns a note on the glosses of `split` that are not in the vocabulary, or None if all are.

        sentences: the reference glosses of the split.
        """
        words = [gloss for sentence in sentences for gloss in sentence]
        unknown = self.unknown(words)
        if not unknown:
            return None
        count = sum(gloss not in self for gloss in words)
        return (
            f"{never_trained(split, unknown)}; they stay in the reference and count as errors, {count:,} of "
            f"{plural(len(words), 'word')}"
        )


def never_trained(split: str, glosses: Collection[str]) -> str:
    """Returns the part of a message that names the glosses of `split` that are not in the training split."""
    count = plural(len(glosses), "gloss that is", "glosses that are")
    return f"{split} has {count} not in the training split ({listed(sorted(glosses))})"


def check_gloss(gloss: str, where: str) -> None:
    """Raises InputError unless `gloss` is a word: text without control characters and white space, which separates."""
    if gloss.isascii() and gloss.isprintable() and 0 < len(gloss) <= MOST_GLOSS_LETTERS and " " not in gloss:
        return
    if not gloss or gloss.split() != [gloss]:
        example = "-".join(gloss.split()) or "GOOD-JOB"
        raise InputError(f"{where}: gloss {gloss!r} is empty or has white space; needed one word such as {example!r}")
    if len(gloss) > MOST_GLOSS_LETTERS or NOT_PLAIN.search(gloss):
        raise InputError(
            f"{where}: gloss {gloss[:40]!a} ({plural(len(gloss), 'character')}) is too long or has control characters; "
            f"needed one word of at most {MOST_GLOSS_LETTERS:,} characters"
        )
