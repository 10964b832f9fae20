"""Makes the dev split of a source that names no splits: of signers who are not in train."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from signloom.console import say
from signloom.corpus.splits import AUTO, KNOWN, check_dev_signers, choose_dev_signers
from signloom.errors import Faults, InputError, listed
from signloom.importers.annotations import Annotation
from signloom.importers.write_corpus import NewUtterance

# Split of utterances whose source names none.
DEFAULT = "train"

Item = TypeVar("Item", Annotation, NewUtterance)


def check_dev_option(wanted: Sequence[str]) -> None:
    """Raises InputError if the option --dev_signers contradicts itself."""
    check_dev_signers(wanted, faults := Faults("import"))
    faults.raise_if_any()


def with_dev_split(items: Sequence[Item], wanted: Sequence[str], *, given: bool) -> list[Item]:
    """Returns the utterances, those of some signers in dev instead of train; prints who they are, or why nobody is.

    wanted: the option --dev_signers, see `choose_dev_signers`.  given: whether the source or an option says the splits;
    then they stay.

    Raises InputError as `choose_dev_signers` does, and for signers of dev where the splits are given.
    """
    if given:
        if list(wanted) not in ([AUTO], [KNOWN]):
            raise InputError("--dev_signers: the files or --split say the splits, which stay; leave one of them out")
        return list(items)
    glosses: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for item in items:
        if item.signer is not None:
            glosses[item.signer].update(item.glosses)
    dev = choose_dev_signers(glosses, wanted, seed=0)
    if dev.names:
        who = f"{listed(dev.names)}, who {'is' if len(dev.names) == 1 else 'are'} not in train"
        say(f"note: no split is named; dev holds {who} (--dev_signers {KNOWN} leaves all in train)")
    elif items:
        say(
            f"note: no split is named, so all utterances are in train ({dev.why_none}); training needs a dev split: "
            "folders train, dev and test, or --dev_signers"
        )
    return [replace(item, split="dev") if item.signer in dev.names else item for item in items]
