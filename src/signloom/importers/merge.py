"""Joins corpora into one: several data sets, or tiers and signers of the same files that were imported apart.

Splits stay as they are. Ids that occur in several corpora get the corpus's name in front. Signers of the same name are
different people, and get the corpus's name in front as well, unless both corpora come from the same annotation files;
--signers maps them. An utterance that is the same in two corpora is taken once. Landmark files are linked. Licence,
citation and record of each corpus are kept.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from signloom.console import say
from signloom.corpus import Corpus, Utterance, Utterances
from signloom.errors import Faults, InputError, listed, plural
from signloom.files.reading import sha256_of
from signloom.hints import command
from signloom.importers.annotations import note_glosses
from signloom.importers.write_corpus import LeftOut, NewUtterance, WriteOptions, write_corpus
from signloom.landmarks import file_header
from signloom.text.clean import Cleaner
from signloom.text.tables import read_table


@dataclass(frozen=True, kw_only=True)
class Options(WriteOptions):
    """Options of `signloom import merge`."""

    positionals: ClassVar[tuple[str, ...]] = ("corpora",)

    corpora: list[Path]
    """The corpora, at least two."""
    skip_faulty: bool = False
    """Leave out utterances whose landmark files are invalid and list them in left_out.jsonl, instead of stopping."""
    signers: list[str] = field(default_factory=list)
    """Signers of the same name in several corpora are different people, unless this says otherwise: 'same' if equal
    names are one person everywhere; OLD=NEW or CORPUS/OLD=NEW for each signer to rename; or a table with the columns
    signer, name and, if needed, corpus."""


def run(options: Options) -> int:
    """Writes the corpus; returns exit status 0."""
    options.check_output()
    corpora = open_corpora(options.corpora, options.output)
    faults = Faults("import merge")
    signers = new_signers(corpora, options.signers, faults)
    kept, left_out = without_copies(corpora)
    ids = new_ids(kept)
    items = [
        NewUtterance(
            ids[name, utterance.id],
            utterance.split,
            None if utterance.signer is None else signers[name, utterance.signer],
            utterance.glosses,
            f"{corpora[name].root}: {utterance.id}",
            partial(corpora[name].load, utterance),
            corpora[name].path(utterance),
            {**utterance.source, "corpus": name, "corpus_id": utterance.id},
            utterance.truth,
            utterance.others,
        )
        for name, utterances in kept.items()
        for utterance in utterances
    ]
    _print_notes(corpora, items)
    isolated = all(len(item.glosses) == 1 for item in items)
    train = command("train", data_dir=options.output)
    compose = command("compose", options.output, output=f"{options.output}-sentences")
    status = write_corpus(
        items,
        options.output,
        merged_info(options.output.name, corpora),
        noun="utterance",
        next_step=compose if isolated else train,
        faults=faults,
        left_out=left_out,
        skip_faulty=options.skip_faulty,
        advice="--skip_faulty leaves out utterances with invalid landmark files",
        overwrite=options.overwrite,
        dry_run=options.dry_run,
    )
    note_glosses(items)
    return status


def open_corpora(paths: Sequence[Path], output: Path) -> dict[str, Corpus]:
    """Returns the corpora by a name of their own: that of the corpus, else of its folder, else with a number.

    Raises InputError listing the corpora that cannot be opened, and if there are fewer than two, one twice, or the
    output among them.
    """
    faults = Faults("import merge")
    opened: list[Corpus] = []
    clean = Cleaner()
    for path in paths:
        try:
            opened.append(_cleaned(Corpus.open(path), clean))
        except InputError as error:
            faults.add(str(error))
    if note := clean.note():
        say(f"note: {note}")
    roots = Counter(corpus.root.resolve() for corpus in opened)
    for root, count in roots.items():
        if count > 1:
            faults.add(f"{root} is given {count} times; needed different corpora")
        if root == output.resolve():
            faults.add(f"--output {output} is one of the corpora; choose another folder")
    if len(paths) < 2:
        faults.add(f"{plural(len(paths), 'corpus', 'corpora')}; needed at least two to merge")
    faults.raise_if_any()
    named: dict[str, Corpus] = {}
    names = Counter(corpus.name for corpus in opened)
    folders = Counter(corpus.root.resolve().name for corpus in opened)
    for number, corpus in enumerate(opened, 1):
        folder = corpus.root.resolve().name
        name = corpus.name if names[corpus.name] == 1 else folder if folders[folder] == 1 else f"{folder}-{number}"
        named[name if name not in named else f"{name}-{number}"] = corpus
    return named


def _cleaned(corpus: Corpus, clean: Cleaner) -> Corpus:
    """Returns the corpus with clean ids, signers and glosses: corpora made before may have them in another form."""
    return replace(
        corpus,
        utterances=Utterances.of(
            [
                replace(
                    item,
                    id=clean(item.id),
                    signer=clean(item.signer) if item.signer else None,
                    glosses=tuple(map(clean, item.glosses)),
                )
                for item in corpus
            ]
        ),
    )


def new_signers(corpora: Mapping[str, Corpus], given: Sequence[str], faults: Faults) -> dict[tuple[str, str], str]:
    """Returns the new name of each corpus's signers; adds to `faults` names in `given` that no corpus has.

    given: the option --signers.
    """
    people = {(name, item.signer): item.signer for name, corpus in corpora.items() for item in corpus if item.signer}
    mapped = _mapping(given, corpora, faults)
    known = listed(f"{name}/{signer}" for name, signer in people)
    for corpus_name, signer in mapped:
        if not any(signer == old and corpus_name in (None, name) for name, old in people):
            shown = signer if corpus_name is None else f"{corpus_name}/{signer}"
            faults.add(f"--signers names {shown!r}; needed signers of the corpora: {known or 'they name none'}")
    family = _families(corpora) if given != ["same"] else dict.fromkeys(corpora, "")
    families: defaultdict[str, set[str]] = defaultdict(set)
    result = {}
    for (name, signer), _ in people.items():
        new = mapped.get((name, signer)) or mapped.get((None, signer))
        if new is None:
            families[signer].add(family[name])
        else:
            result[name, signer] = new
    for name, signer in people:
        if (name, signer) not in result:
            result[name, signer] = f"{family[name]}_{signer}" if len(families[signer]) > 1 else signer
    _check_apart(result, family, mapped, faults)
    return result


def _check_apart(
    result: Mapping[tuple[str, str], str],
    family: Mapping[str, str],
    mapped: Mapping[tuple[str | None, str], str],
    faults: Faults,
) -> None:
    """Adds to `faults` different people that would get one name although nobody asked for it."""
    people: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
    for (name, signer), new in result.items():
        if (name, signer) not in mapped and (None, signer) not in mapped:
            people[new].add((family[name], signer))
    for new, same in people.items():
        if len(same) > 1:
            faults.add(f"{listed('/'.join(pair) for pair in sorted(same))} would all be called {new}; pass --signers")


def _mapping(given: Sequence[str], corpora: Mapping[str, Corpus], faults: Faults) -> dict[tuple[str | None, str], str]:
    """Returns the new names that --signers gives, by corpus (None: of all) and old name."""
    if list(given) == ["same"]:
        return {}
    mapped: dict[tuple[str | None, str], str] = {}
    for text in given:
        path = Path(text)
        if "=" not in text and path.is_file():
            for row in read_table(path, ("signer", "name"), faults, delimiter=None):
                corpus = row.first(("corpus",)) or None
                if corpus is not None and corpus not in corpora:
                    faults.add(f"{row.place}: no corpus {corpus!r}; needed one of {', '.join(corpora)}")
                mapped[corpus, row["signer"]] = row["name"]
            continue
        old, equals, new = text.partition("=")
        if not (equals and old and new):
            faults.add(f"--signers has {text!r}; needed same, OLD=NEW, CORPUS/OLD=NEW, or a table signer,name")
            continue
        corpus, slash, signer = old.partition("/")
        mapped[(corpus, signer) if slash and corpus in corpora else (None, old)] = new
    return mapped


def _families(corpora: Mapping[str, Corpus]) -> dict[str, str]:
    """Returns for each corpus the first that comes from the same annotation files: they show the same people."""
    first: dict[str, str] = {}
    result = {}
    for name, corpus in corpora.items():
        files = corpus.info.get("annotations")
        sums = [item["sha256"] for item in files if "sha256" in item] if isinstance(files, list) else []
        result[name] = next((first[checksum] for checksum in sums if checksum in first), name)
        first.update({checksum: result[name] for checksum in sums if checksum not in first})
    return result


def without_copies(corpora: Mapping[str, Corpus]) -> tuple[dict[str, list[Utterance]], list[LeftOut]]:
    """Returns the utterances of each corpus, and those left out because an earlier corpus has the same clip with the
    same glosses.
    """
    by_id = Counter(item.id for corpus in corpora.values() for item in corpus)
    # Linked files are the same without being read.
    by_file = Counter(_file_key(corpus, item) for corpus in corpora.values() for item in corpus)
    # The corpus that has a clip with its glosses, and its id there.
    seen: dict[tuple[Any, tuple[str, ...]], tuple[str, str]] = {}
    kept: dict[str, list[Utterance]] = {}
    left_out = []
    first: dict[Any, tuple[str, Utterance]] = {}
    contradictions = []
    for name, corpus in corpora.items():
        kept[name] = []
        for item in corpus:
            keys: list[Any] = [_file_key(corpus, item)] if by_file[_file_key(corpus, item)] > 1 else []
            keys += [sha256_of(corpus.file(item))] if by_id[item.id] > 1 else []
            owners = [seen[key, item.glosses] for key in keys if (key, item.glosses) in seen]
            if other := next((f"{owner} ({place})" for owner, place in owners if owner != name), None):
                left_out.append(LeftOut(item.id, f"{name}: the same clip with the same glosses is in {other}"))
                continue
            earlier = [first.setdefault(key, (name, item)) for key in keys]
            contradictions += [f"{owner}/{other.id} and {name}/{item.id}" for owner, other in earlier if owner != name][
                :1
            ]
            seen.update({(key, item.glosses): (name, f"{item.split} {item.id}") for key in keys})
            kept[name].append(item)
    if contradictions:
        say(
            f"note: {plural(len(contradictions), 'clip')} in two corpora with different glosses "
            f"({listed(contradictions, shown=3)}); for a tier per hand, import both tiers at once"
        )
    return kept, left_out


def _file_key(corpus: Corpus, item: Utterance) -> tuple[object, object]:
    """Returns what tells a landmark file from others, without reading it."""
    path = corpus.path(item)
    if path is None:
        return corpus.root, item.landmarks
    status = path.stat()
    return status.st_dev, status.st_ino


def new_ids(kept: Mapping[str, Sequence[Utterance]]) -> dict[tuple[str, str], str]:
    """Returns the new id of each corpus's utterances: the old one, with the corpus in front if several have it."""
    counts = Counter(item.id for utterances in kept.values() for item in utterances)
    taken = {name for name, count in counts.items() if count == 1}
    result = {}
    for name, utterances in kept.items():
        for item in utterances:
            new = item.id
            if counts[item.id] > 1:
                new = f"{name}_{item.id}"
                while new in taken:
                    new += "_"
                taken.add(new)
            result[name, item.id] = new
    return result


def merged_info(output_name: str, corpora: Mapping[str, Corpus]) -> dict[str, Any]:
    """Returns the header of the merged corpus: what each corpus says of itself, by its name."""
    dropped = file_header("", 0)
    records = {
        name: {key: value for key, value in corpus.info.items() if key not in dropped}
        for name, corpus in corpora.items()
    }

    def joined(key: str) -> str:
        values = {name: str(record.get(key) or "not stated") for name, record in records.items()}
        if len(set(values.values())) == 1:
            return next(iter(values.values()))
        return "; ".join(f"{name}: {value}" for name, value in values.items())

    files = [item for record in records.values() for item in record.get("annotations") or []]
    return {
        "name": output_name,
        "importer": "merge",
        "title": joined("title"),
        "licence": joined("licence"),
        "citation": joined("citation"),
        "annotations": list({str(item): item for item in files}.values()),
        "merged": [{**record, "name": name} for name, record in records.items()],
    }


def _print_notes(corpora: Mapping[str, Corpus], items: Sequence[NewUtterance]) -> None:
    """Prints the glosses that the corpora share, signers of one split in another, and other frame rates."""
    glosses = {name: {gloss for item in corpus for gloss in item.glosses} for name, corpus in corpora.items()}
    shared = set.intersection(*glosses.values())
    sizes = ", ".join(f"{name} {len(words):,}" for name, words in glosses.items())
    print(f"distinct glosses: {sizes}; in all of them: {len(shared):,}")
    if not shared:
        say("note: the corpora share no gloss; are they annotated by the same conventions?")
    rates = {name: sorted({round(item.fps, 2) for item in corpus}) for name, corpus in corpora.items()}
    if len({rate for found in rates.values() for rate in found}) > 1:
        shown = "; ".join(f"{name} {', '.join(f'{rate:g}' for rate in found)}" for name, found in rates.items())
        say(f"note: frame rates differ ({shown}); training brings all clips to one rate")
    trained = {item.signer for item in items if item.split == "train"} - {None}
    for split in ("dev", "test"):
        both = sorted(
            {item.signer for item in items if item.split == split and item.signer in trained} - {None}, key=str
        )
        if both:
            say(f"note: {plural(len(both), 'signer')} of {split} also in train: {listed(map(str, both), shown=5)}")
