"""Scoring rules (protocols) by name: what each rule changes in references and hypotheses before the alignment.

A word error rate means nothing without its rule, so every score carries the name of its rule. The name includes the
variants, as in `phoenix2014+without_on_off`. docs/scoring.md describes every rule in detail.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from signloom.errors import InputError
from signloom.score import cleanup

Change = Callable[[Sequence[str]], list[str]]

# The word that replaces a hypothesis without words, so that sclite has something to align.
EMPTY = "[EMPTY]"
ALIGNED = (
    "letters a-z without case; least-cost alignment as sclite (substitution 4, insertion 3, deletion 3); "
    "WER = (S + D + I) / reference glosses, over the whole split"
)


@dataclass(frozen=True)
class Protocol:
    """A scoring rule.

    name: the rule and its variants.  changes: a description of the changes, variants included.
    hypothesis, reference: the changes made to each side, in order.
    empty: the word that replaces a hypothesis without words; None if such a hypothesis counts as all deletions.
    sentence: the change of both sides if whole sentences are cleaned; None if the rule has no clean-up.
    """

    name: str
    changes: str
    hypothesis: tuple[Change, ...] = ()
    reference: tuple[Change, ...] = ()
    empty: str | None = None
    sentence: Change | None = None

    @property
    def rule(self) -> str:
        """The rule as a sentence, to be shown with the number."""
        return f"{self.changes}; {ALIGNED}"

    def clean_hypothesis(self, words: Sequence[str]) -> tuple[str, ...]:
        """Returns the words of a hypothesis after the rule's changes."""
        for change in self.hypothesis:
            words = change(words)
        return (self.empty,) if self.empty is not None and not words else tuple(words)

    def clean_reference(self, words: Sequence[str]) -> tuple[str, ...]:
        """Returns the words of a reference after the rule's changes."""
        for change in self.reference:
            words = change(words)
        return tuple(words)


PROTOCOLS: dict[str, Protocol] = {
    "plain": Protocol("plain", "glosses as they stand"),
    "phoenix2014": Protocol(
        "phoenix2014",
        "the official clean-up of PHOENIX-2014, of the hypothesis only and each gloss by itself (loc- cl- qu- poss- "
        "lh-, __EMOTION__ __PU__ __LEFTHAND__, -PLUSPLUS and RAUM deleted, ZEIGEN becomes ZEIGEN-BILDSCHIRM, glosses "
        "with __EPENTHESIS__ dropped; __ON__ and __OFF__ are scored); references as they stand; a hypothesis left "
        f"without glosses counts as {EMPTY}",
        hypothesis=(cleanup.phoenix2014_words,),
        empty=EMPTY,
        sentence=cleanup.phoenix2014_sentence,
    ),
    "phoenix2014t": Protocol(
        "phoenix2014t",
        "the official clean-up of PHOENIX-2014-T, of both sides (glosses between __ and __ dropped, __ON__ and __OFF__ "
        "too; loc- cl- -PLUSPLUS and RAUM deleted); in the hypothesis repeated glosses merged; in the reference "
        "WIE AUSSEHEN and spelled letters joined and repeated words of A-Z merged; a hypothesis left without glosses "
        f"counts as {EMPTY}",
        hypothesis=(cleanup.phoenix2014t_words,),
        reference=(cleanup.phoenix2014t_reference,),
        empty=EMPTY,
        sentence=cleanup.phoenix2014t_sentence,
    ),
    "isharah": Protocol(
        "isharah",
        "the glosses of Isharah as they stand, nothing cleaned on either side, a missing hypothesis is all deletions",
    ),
    "csl-daily": Protocol(
        "csl-daily",
        "the glosses of CSL-Daily, whole words and not their characters, as they stand on both sides, a missing "
        "hypothesis is all deletions",
    ),
}


def _sentence_cleanup(protocol: Protocol) -> Protocol:
    if protocol.sentence is None:
        raise InputError(
            f"scoring rule {protocol.name!r} cleans nothing, so it has no variant sentence_cleanup; those that have "
            f"one: {', '.join(name for name, rule in PROTOCOLS.items() if rule.sentence)}"
        )
    return replace(protocol, hypothesis=(protocol.sentence,), reference=(protocol.sentence,))


def _on_both(change: Change) -> Callable[[Protocol], Protocol]:
    def changed(protocol: Protocol) -> Protocol:
        return replace(protocol, hypothesis=(*protocol.hypothesis, change), reference=(*protocol.reference, change))

    return changed


@dataclass(frozen=True)
class Variant:
    """A common deviation from a rule.  rule: its description.  apply: returns a rule with this deviation."""

    rule: str
    apply: Callable[[Protocol], Protocol]


# In the order in which they are applied and named.
VARIANTS: dict[str, Variant] = {
    "sentence_cleanup": Variant(
        "the clean-up is made on the whole sentences of both sides, as Python scorers do, where spelled letters and "
        "WIE AUSSEHEN are joined and repeats merged",
        _sentence_cleanup,
    ),
    "normalise_unicode": Variant(
        "words are brought into one Unicode form (NFC, without invisible characters) on both sides",
        _on_both(cleanup.normalise_unicode),
    ),
    "without_on_off": Variant("__ON__ and __OFF__ are dropped from both sides", _on_both(cleanup.without_on_off)),
    "merge_repeats": Variant("repeated glosses are merged on both sides", _on_both(cleanup.merge_repeats)),
}


@lru_cache(maxsize=64)
def protocol_named(name: str) -> Protocol:
    """Returns the rule of that name; variants follow a plus sign: `phoenix2014+without_on_off`.

    The name of the returned rule has each variant once, in a fixed order. Raises InputError for an unknown name,
    suggesting the nearest one.
    """
    base, *variants = name.split("+")
    if base not in PROTOCOLS:
        raise InputError(f"scoring rule {base!r} is not known{_nearest(base, PROTOCOLS)} Known: {', '.join(PROTOCOLS)}")
    for variant in variants:
        if variant not in VARIANTS:
            raise InputError(
                f"variant {variant!r} of scoring rule {base!r} is not known{_nearest(variant, VARIANTS)} "
                f"Known: {', '.join(VARIANTS)}"
            )
    protocol = PROTOCOLS[base]
    for variant in VARIANTS:
        if variant in variants:
            protocol = VARIANTS[variant].apply(protocol)
            protocol = replace(
                protocol,
                name=f"{protocol.name}+{variant}",
                changes=f"{protocol.changes}; but, as variant {variant}, {VARIANTS[variant].rule}",
            )
    return protocol


def _nearest(name: str, known: dict[str, Protocol] | dict[str, Variant]) -> str:
    simple = name.lower().replace("_", "-")
    near = [simple] if simple in known else difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else "."
