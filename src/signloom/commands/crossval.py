"""Leave-one-signer-out cross-validation: for each signer, trains a model on the others and scores it on that one.

It measures how well the recogniser recognises people it has never seen, on every signer of a corpus instead of one. The
test split of a fold is all utterances by its signer, from any split. The best epoch of a fold is chosen on the corpus'
dev utterances by the other signers or, if there are none, on a share of the training utterances. The model is trained
on all other utterances by the other signers. All options of 'signloom train' apply to every fold.

With --nested the best epoch of a fold is chosen on strangers, too: on all utterances by a second signer, who is in
neither training nor test of the fold. This signer rotates: it is the next one by name, or the first after it whose
glosses the others sign as well. Use it where dev holds signers of train, which favours epochs that know these people.
It needs 3 signers, and each model is trained on all but two of them.

The run folder of a fold is OUTPUT/SIGNER. To continue after an interruption, repeat the command: finished folds are
kept, and an unfinished one is resumed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from msgspec import Struct

from signloom.console import say
from signloom.corpus import Corpus, Utterance, Utterances
from signloom.corpus.splits import FEWEST_FOR_NESTED, dev_is_known
from signloom.errors import Faults, InputError, listed, plural
from signloom.files.locks import locked
from signloom.files.paths import file_stem
from signloom.files.schemas import Name, Table, read_record
from signloom.files.staging import settle
from signloom.files.writing import as_json, write_json
from signloom.report.evaluation import score_on_test
from signloom.run_folder import Run
from signloom.score.protocols import protocol_named
from signloom.score.text import percent
from signloom.score.wer import Score, read_score
from signloom.text.counts import some_of
from signloom.train.recipe import Recipe
from signloom.train.resume import FREE_TO_CHANGE

RESULT = "crossval.json"
# The settings of the folds in the folder.
FOLDS = "folds.json"


@dataclass(kw_only=True)
class Options(Recipe):
    """Options of `signloom crossval`: those of `signloom train`, and these."""

    signers: tuple[str, ...] = ()
    """the signers to leave out in turn; every signer of the corpus when not given"""
    nested: bool = False
    """choose the best epoch of each fold on another signer who is not in its training, instead of on dev utterances
    by its training signers"""
    dev_share: float = 0.1
    """share of the training utterances used to choose the best epoch if the other signers have no dev utterances;
    without effect with --nested"""
    protocol: str = "plain"
    """scoring rule of the table, e.g. plain or phoenix2014"""
    output: Path = Path("runs/crossval")
    """folder of the table, with a run folder for each signer"""

    def check(self) -> None:
        """Raises InputError listing every invalid value."""
        super().check()
        faults = Faults("crossval options")
        if not 0 < self.dev_share < 1:
            faults.add(f"--dev_share is {self.dev_share}; needed between 0 and 1")
        if self.devices > 1:
            faults.add(f"--devices is {self.devices}; folds are trained by one process each")
        if self.resume or self.auto_resume:
            faults.add("--resume is not needed: the same command continues where it was stopped")
        faults.raise_if_any()
        protocol_named(self.protocol)


@dataclass(frozen=True)
class Fold:
    """One signer left out.  corpus: its splits drawn again.  dev_from: the source of the dev utterances, in words."""

    signer: str
    corpus: Corpus
    dev_from: str


def run(options: Options) -> int:
    """Returns the exit status: 0 when every fold was trained and scored."""
    options.check()
    import torch  # noqa: F401 - a missing package is reported before a folder is made

    corpus = Corpus.open(options.data_dir)
    with locked(options.output):
        return _run(options, corpus)


def _run(options: Options, corpus: Corpus) -> int:
    from signloom.health.first_look import first_look
    from signloom.train.fit import fit

    signers = chosen_signers(corpus, options.signers, nested=options.nested)
    folds = [
        leave_two_out(corpus, signer)
        if options.nested
        else leave_out(corpus, signer, dev_share=options.dev_share, seed=options.seed)
        for signer in signers
    ]
    recipe = Recipe(**{field.name: getattr(options, field.name) for field in fields(Recipe)})
    to_replace = _check_same(options, corpus)
    scores: dict[str, Score] = {}
    for number, fold in enumerate(folds, 1):
        folder = Run(options.output / file_stem(fold.signer))
        file = folder.evaluation_file("test")
        counts = {name: row["utterances"] for name, row in fold.corpus.summary().items()}
        say(
            f"[{number}/{len(folds)}] without {fold.signer}: {counts['train']} train and "
            f"{plural(counts['dev'], 'dev utterance')} ({fold.dev_from}), {counts['test']} to score"
        )
        settle(folder.path)
        old = fold.signer in to_replace
        if file.exists() and not old:
            say("  finished before")
        else:
            resume = folder.state_file.exists() and not old
            # A fold that has no saved state is restarted.
            trained = fit(
                replace(recipe, output=folder.path, resume=resume, overwrite=not resume),
                corpus=fold.corpus,
                look=first_look,
            )
            score_on_test(folder, trained.model, fold.corpus, protocol=options.protocol)
            if old:
                to_replace.remove(fold.signer)
                _write_settings(options, corpus, to_replace)
        scores[fold.signer] = read_score(file)
        say(f"  WER {percent(scores[fold.signer].wer)}")
    pooled = _pooled(corpus, scores, options.protocol)
    write_json(
        options.output / RESULT,
        {
            **_settings(options, corpus),
            "folds": {
                fold.signer: {"dev_from": fold.dev_from, **scores[fold.signer].to_json(utterances=False)}
                for fold in folds
            },
            "pooled": pooled.to_json(utterances=False),
        },
    )
    print(table(scores, pooled))
    print(selection(folds, nested=options.nested))
    print(f"written: {options.output / RESULT}")
    worst = max(scores, key=lambda name: scores[name].wer)
    print(f"next: the worst signer's errors, in {Run(options.output / file_stem(worst)).score_page('test')}")
    return 0


def chosen_signers(corpus: Corpus, names: Sequence[str], *, nested: bool = False) -> list[str]:
    """Returns the signers to leave out. Raises InputError for unknown names and for a corpus without enough signers."""
    nameless = sum(utterance.signer is None for utterance in corpus)
    known = sorted({utterance.signer for utterance in corpus if utterance.signer is not None})
    if nameless:
        raise InputError(
            f"{corpus.root}: {some_of(nameless, len(corpus), 'utterance', 'has', 'have')} no signer; whoever is left "
            "out might sign there. Give signers when importing (--signer_from, or a column signer)"
        )
    if len(known) < 2:
        raise InputError(f"{corpus.root}: one signer, {known[0]}; needed at least 2 to leave one out")
    if nested and len(known) < FEWEST_FOR_NESTED:
        raise InputError(
            f"{corpus.root}: {plural(len(known), 'signer')}, {listed(known)}; --nested needs at least "
            f"{FEWEST_FOR_NESTED}: one to score, one to choose the best epoch, and one to train on. Leave --nested "
            "out, or record another signer"
        )
    if unknown := sorted(set(names) - set(known)):
        raise InputError(f"--signers: no {', '.join(unknown)} in {corpus.root}; there are {', '.join(known)}")
    return [name for name in known if name in names] if names else known


def leave_out(corpus: Corpus, signer: str, *, dev_share: float, seed: int) -> Fold:
    """Returns the fold of a signer: the test split is all utterances by the signer, and no others."""
    import numpy as np

    others = [utterance for utterance in corpus if utterance.signer != signer]
    dev = {utterance.id for utterance in others if utterance.split == "dev"}
    dev_from = "the corpus' own"
    if not dev or len(dev) == len(others):
        count = max(1, round(dev_share * len(others)))
        drawn = np.random.default_rng(seed).permutation(len(others))[:count]
        dev, dev_from = {others[index].id for index in drawn}, f"{dev_share:.0%} of the training utterances"
    if len(dev) == len(others):
        raise InputError(
            f"{corpus.root}: without {signer} one utterance is left; needed at least 2, one for train and one for dev"
        )

    def redrawn(utterance: Utterance) -> Utterance:
        if utterance.signer == signer:
            return replace(utterance, split="test")
        return replace(utterance, split="dev" if utterance.id in dev else "train")

    name = f"{corpus.name} without {signer}"
    utterances = Utterances.of([redrawn(utterance) for utterance in corpus])
    return Fold(signer, replace(corpus, info={**corpus.info, "name": name}, utterances=utterances), dev_from)


def leave_two_out(corpus: Corpus, signer: str) -> Fold:
    """Returns the nested fold of a signer: test is all utterances by the signer, dev all by another one.

    The signer of dev is the next by name, after the last the first, if the signers left to train sign as many of the
    glosses as with any other choice; else the first after it with whom they do.
    """
    everyone = sorted({str(item.signer) for item in corpus})
    place = everyone.index(signer)
    glosses = {name: Counter(g for item in corpus if item.signer == name for g in item.glosses) for name in everyone}

    def trained(name: str) -> float:
        """Returns the share of a signer's running glosses that the signers left to train sign."""
        rest = {gloss for other in everyone if other not in (name, signer) for gloss in glosses[other]}
        return sum(count for gloss, count in glosses[name].items() if gloss in rest) / glosses[name].total()

    # The first of equal ones.
    other = max([*everyone[place + 1 :], *everyone[:place]], key=trained)
    splits = {signer: "test", other: "dev"}
    utterances = Utterances.of([replace(item, split=splits.get(str(item.signer), "train")) for item in corpus])
    name = f"{corpus.name} without {signer} and {other}"
    return Fold(
        signer, replace(corpus, info={**corpus.info, "name": name}, utterances=utterances), f"all by {other}, unseen"
    )


def selection(folds: Sequence[Fold], *, nested: bool) -> str:
    """Returns the sentence below the table: on whom the best epochs were chosen."""
    if nested:
        return (
            "the best epoch of each fold was chosen on another unseen signer, who is in neither its train nor its test"
        )
    if any(dev_is_known(fold.corpus.utterances) for fold in folds):
        return (
            "the best epochs were chosen on signers of train; with --nested and 3 signers or more, they are chosen on "
            "strangers"
        )
    return "the best epoch of each fold was chosen on dev utterances by signers who are not in its train"


def table(scores: dict[str, Score], pooled: Score) -> str:
    """Returns the table of results: a row for each signer, and one for all signers together."""
    rows = [
        [
            name,
            percent(result.wer),
            f"{percent(result.interval().low)} to {percent(result.interval().high)}",
            *(f"{count:,}" for count in (result.substitutions, result.deletions, result.insertions)),
            f"{result.reference_words:,}",
            f"{len(result.utterances):,}",
        ]
        for name, result in [*scores.items(), ("all", pooled)]
    ]
    head = ["signer left out", "WER", "95% interval", "S", "D", "I", "glosses", "utterances"]
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    lines = [
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in [head, *rows]
    ]
    rates = [result.wer for result in scores.values()]
    mean = f"mean over signers {percent(sum(rates) / len(rates))}, {percent(min(rates))} to {percent(max(rates))}"
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:], mean, f"scoring rule {pooled.protocol!r}"])


def _pooled(corpus: Corpus, scores: dict[str, Score], protocol: str) -> Score:
    """Returns the score of all folds together."""
    rows = {row.id: row for part in scores.values() for row in part.utterances}
    return Score.of(protocol, [rows[item.id] for item in corpus if item.id in rows])


class _Folds(Struct):
    """The record of a cross-validation."""

    options: Table
    corpus: Table
    to_replace: list[Name] = []


def _settings(options: Options, corpus: Corpus) -> dict[str, Any]:
    """Returns what a cross-validation depends on: the corpus, and the options that decide training and scoring."""
    free = (*FREE_TO_CHANGE, "signers")
    return {
        "corpus": {"name": corpus.name, "summary": as_json(corpus.summary())},
        "options": {name: value for name, value in as_json(asdict(options)).items() if name not in free},
    }


def _check_same(options: Options, corpus: Corpus) -> list[str]:
    """Records the settings. Returns the signers whose folds in the folder are to be replaced: --overwrite is given,
    or was given to a cross-validation that did not come to its end.

    Raises InputError listing what differs from the settings of the folds in the folder.
    """
    path = options.output / FOLDS
    settings = _settings(options, corpus)
    before = read_record(path, _Folds) if path.exists() else {}
    to_replace = list(before.get("to_replace", []))
    same = all(before.get(name) == value for name, value in settings.items())
    if options.overwrite and not (same and to_replace):
        to_replace = [name for name in chosen_signers(corpus, ()) if Run(options.output / file_stem(name)).is_run]
    elif before and not same:
        faults = Faults(
            f"{options.output}: holds folds made with other options", advice="give another --output or --overwrite"
        )
        for name, value in settings["options"].items():
            if before["options"].get(name) != value:
                faults.add(f"--{name} was {before['options'].get(name)!r}, now {value!r}")
        if before["corpus"] != settings["corpus"]:
            faults.add(f"the corpus in {options.data_dir} is not that of the folds")
        faults.raise_if_any()
    _write_settings(options, corpus, to_replace)
    return to_replace


def _write_settings(options: Options, corpus: Corpus, to_replace: Sequence[str]) -> None:
    """Records the settings, and the signers whose folds were made with others, as long as there are any."""
    record = {**_settings(options, corpus), **({"to_replace": to_replace} if to_replace else {})}
    write_json(options.output / FOLDS, record)
