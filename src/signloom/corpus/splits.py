"""Who is in the dev split: signers of train, or strangers. Chooses strangers where a split is made.

A recogniser is for people it has never seen. A dev split by signers of train shows how well it recognises those, so the
epoch, the decoder and the calibration that it selects may be wrong for strangers.
"""

from __future__ import annotations

import difflib
import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from signloom.corpus.utterances import Utterances
from signloom.errors import Faults, InputError, listed, plural

# With 6 signers, the one in dev is a sixth of the people: about as much of the data as a dev split of known signers
# takes (15 %). With fewer, train would lose a fifth of its people or more, and on their number it depends most how well
# strangers are recognised.
FEWEST_SIGNERS = 6
# Largest share of the signing that `auto` takes from train. A sixth is usual; who signs most glosses may have made most
# of the recordings.
MOST_FOR_DEV = 0.25
# Leave-one-signer-out selects by one signer, tests on another and trains on the others.
FEWEST_FOR_NESTED = 3
# Belongs beside figures on a dev split for which `dev_is_known` holds.
KNOWN_DEV = (
    "dev does not show how well new people are recognised: all its signers are in train too; 'signloom crossval "
    "--nested' measures that"
)
# Words of the option --dev_signers.
AUTO, KNOWN = "auto", "known"


@dataclass(frozen=True)
class DevSigners:
    """The signers whose clips are dev and nothing else, in alphabetical order.

    why_none: the reason why there are none, empty if there are.
    """

    names: tuple[str, ...] = ()
    why_none: str = ""


def check_dev_signers(wanted: Sequence[str], faults: Faults) -> None:
    """Adds to `faults` what is wrong with the option --dev_signers, whatever the corpus."""
    shown = ",".join(wanted) or "empty"
    if not wanted or len(set(wanted)) < len(wanted):
        faults.add(f"--dev_signers is {shown}; needed {AUTO}, {KNOWN}, a number, or different signers")
    elif len(wanted) > 1 and {AUTO, KNOWN} & set(wanted):
        faults.add(f"--dev_signers is {shown}; {AUTO} and {KNOWN} stand alone")


def choose_dev_signers(glosses: Mapping[str, Mapping[str, int]], wanted: Sequence[str], *, seed: int) -> DevSigners:
    """Returns the signers that dev gets from those that could train, as the option --dev_signers says.

    glosses: how often each signer signs each gloss; nobody else can train.
    wanted: `auto`, `known`, a number of signers, or names. A number that is a signer's name means this signer.

    `auto` chooses one signer in six where there are FEWEST_SIGNERS or more, with at most MOST_FOR_DEV of the signing.
    Nobody is chosen without whom train would lose a gloss, unless by name. One after the other, the one is chosen who
    adds most glosses to dev; `seed` decides among equal ones. The choice depends on the signers, what they sign and the
    seed, and on nothing else.

    Raises InputError for unknown signers, for all of them, and for more than can be chosen.
    """
    word = wanted[0]
    if word == KNOWN:
        return DevSigners(why_none=f"--dev_signers {KNOWN}")
    if word == AUTO:
        if len(glosses) < FEWEST_SIGNERS:
            people = plural(len(glosses), "signer") if glosses else "no known signer"
            return DevSigners(why_none=f"{people} could train; from {FEWEST_SIGNERS} on, one in six is kept for dev")
        names = _chosen(glosses, round(len(glosses) / FEWEST_SIGNERS), seed, MOST_FOR_DEV)
        why = f"without any of the signers train would lose a gloss, or over {MOST_FOR_DEV:.0%} of its signing"
        return DevSigners(names, "" if names else why)
    if len(wanted) == 1 and word not in glosses and len(word) < 10 and word.lstrip("-").isdecimal():
        count = int(word)
        names = _chosen(glosses, count, seed)
        if not 1 <= count == len(names):
            most = plural(len(_chosen(glosses, len(glosses), seed)), "signer")
            raise InputError(
                f"--dev_signers is {word}; needed 1 or more, and {most} of {len(glosses)} can be chosen so that train "
                f"keeps every gloss. Name the signers to choose them all the same, or pass {KNOWN}"
            )
        return DevSigners(names)
    check_names(wanted, glosses, "--dev_signers")
    if set(wanted) == set(glosses):
        raise InputError("--dev_signers names every signer; needed one left to train on")
    return DevSigners(tuple(sorted(wanted)))


def check_names(wanted: Iterable[str], known: Collection[str], option: str, noun: str = "signer") -> None:
    """Raises InputError listing the names that are not `known`, each with the nearest one. noun: what is named."""
    faults = Faults(option)
    for name in wanted:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
            hint = f"did you mean {near[0]!r}? Known" if near else "known"
            shown = listed(sorted(known)) or f"none, because no {noun} is known"
            faults.add(f"no {noun} {name!r}; {hint}: {shown}")
    faults.raise_if_any()


def _chosen(glosses: Mapping[str, Mapping[str, int]], count: int, seed: int, most: float = 1.0) -> tuple[str, ...]:
    """Returns up to `count` signers with at most the share `most` of the signing, as `choose_dev_signers` says."""
    ordered = sorted(glosses, key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).digest())
    trained = Counter(gloss for name in ordered for gloss in glosses[name])
    sizes = {name: sum(glosses[name].values()) for name in ordered}
    room = most * sum(sizes.values())
    chosen: list[str] = []
    covered: set[str] = set()
    while len(chosen) < count:
        free = [
            name
            for name in ordered
            if name not in chosen and sizes[name] <= room and all(trained[gloss] > 1 for gloss in glosses[name])
        ]
        if not free or len(chosen) + 1 == len(glosses):
            break
        best = max(free, key=lambda name: len(glosses[name].keys() - covered))
        chosen.append(best)
        covered |= glosses[best].keys()
        trained.subtract(dict.fromkeys(glosses[best], 1))
        room -= sizes[best]
    return tuple(sorted(chosen))


def dev_is_known(utterances: Utterances) -> bool:
    """Returns whether every signer of dev is known and is in train too; False without dev."""
    train, dev = (utterances.in_split(name).columns.signer_counts().keys() for name in ("train", "dev"))
    return bool(dev) and None not in dev and dev <= train
