"""Trains a student that learns from a teacher as well as from the reference, and measures the gain.

The teacher is a model of 'signloom train', of any preset, with the same glosses. It is frozen. In every output frame
the loss compares the student's probabilities with the teacher's, both softened by --temperature; CTC compares the
student with the reference. Views and strides may differ. All options of 'signloom train' apply.

At the end the student's word error rate on dev is compared with the teacher's, with the interval of the difference,
and, with --baseline, with that of the same student trained without a teacher. The test split is never used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from signloom.commands.train import evaluation_of
from signloom.console import say
from signloom.corpus import Corpus
from signloom.corpus.splits import dev_is_known
from signloom.ctc.decoding import Decoding
from signloom.errors import InputError, plural
from signloom.files.writing import write_json
from signloom.run_folder import Run
from signloom.score.compare import Comparison, compare
from signloom.score.compare_text import difference_sentence
from signloom.score.text import percent
from signloom.score.wer import Score
from signloom.train.distill.recipe import DistillRecipe
from signloom.train.resume import refuse_earlier

if TYPE_CHECKING:
    from signloom.inference.model import Model

Options = DistillRecipe
GREEDY = Decoding(decoder="greedy")
# A student whose WER is this close to its teacher's has learnt what the teacher knows (docs/training.md).
CLOSE = 0.01


@dataclass(frozen=True)
class System:
    """A model scored on dev.  name: its name in the table.  parameters: its number of parameters."""

    name: str
    score: Score
    parameters: int


def run(options: DistillRecipe) -> int:
    """Returns the exit status: 0 when the student was trained, whether or not the teacher helped."""
    options.check()
    from signloom.health.first_look import first_look
    from signloom.inference.model import load
    from signloom.train.distributed import World
    from signloom.train.fit import fit

    if World.of_environment().rank:
        fit(options)
        return 0
    refuse_earlier(options)
    corpus = Corpus.open(options.data_dir)
    teacher = _scored_teacher(options, corpus)
    # A baseline that cannot be scored fails before the training, not after it.
    alone = None
    if options.baseline is not None:
        alone = _system(f"student alone ({options.baseline})", load(options.baseline), corpus)
    result = fit(options, look=first_look)
    student = _system("student, distilled", result.model, corpus)
    comparisons = {"teacher": compare(teacher.score, student.score, name_a="teacher", name_b="student")}
    if alone is not None:
        comparisons["baseline"] = compare(alone.score, student.score, name_a="alone", name_b="distilled")
    systems = [system for system in (teacher, student, alone) if system is not None]
    record = Run(result.run).distillation_file
    write_json(record, _record(options, corpus, systems, comparisons))
    print(table(corpus, systems))
    print(f"  student minus teacher: {difference_sentence(comparisons['teacher'])}")
    if alone is not None:
        print(f"  distilled minus alone: {difference_sentence(comparisons['baseline'])}")
    print(
        f"{result.seconds:.0f} s of training, best of {plural(len(result.history.epochs), 'epoch')}: "
        f"{result.best.epoch}\n"
        f"model and curves: {result.run}"
    )
    for line in advice(teacher, student, alone, comparisons, signers_known=dev_is_known(corpus.utterances)):
        print(line)
    say(f"written: {record}")
    say(f"next: {evaluation_of(result.model.info, result.run)}")
    return 0


def _scored_teacher(options: DistillRecipe, corpus: Corpus) -> System:
    """Returns the teacher scored on dev. Raises InputError for a teacher that cannot teach."""
    from signloom.inference.model import load
    from signloom.train.distill.check_teacher import UNTRAINED_WER, check_teacher
    from signloom.train.selection import train_split
    from signloom.vocabulary import Vocabulary

    model = load(options.teacher)
    items = train_split(corpus, options)
    check_teacher(model, options, corpus, Vocabulary.from_glosses(item.glosses for item in items))
    teacher = _system("teacher", model, corpus)
    if not teacher.score.wer < UNTRAINED_WER:
        raise InputError(
            f"{options.teacher}: cannot teach here: its WER on dev is {percent(teacher.score.wer)} now, where its "
            f"record says {percent(model.info['dev']['dev_wer'])}; is it the model of that run, and this its corpus?"
        )
    say(f"teacher: {options.teacher}, WER on dev {percent(teacher.score.wer)}")
    return teacher


def _system(name: str, model: Model, corpus: Corpus) -> System:
    from signloom.inference.evaluate import evaluate
    from signloom.inference.torch_engine import recognizer_of

    # Greedy, as for the choice of the best epoch: a stored language model would hide what the network has learnt.
    score = evaluate(model, corpus, "dev", decoding=GREEDY)
    return System(name, score, recognizer_of(model.engine).num_parameters)


def table(corpus: Corpus, systems: list[System]) -> str:
    """Returns the table of results: for each system its WER on dev, the interval and the size."""
    width = max(len(system.name) for system in systems)
    lines = [
        f"{corpus.name}, dev split, {plural(len(systems[0].score.utterances), 'utterance')}, greedy decoding, plain "
        "rule"
    ]
    for system in systems:
        interval = system.score.interval()
        lines.append(
            f"  {system.name:<{width}}  WER {percent(system.score.wer):>8}"
            f"  (95 % interval {percent(interval.low):>8} to {percent(interval.high):>8})"
            f"  {system.parameters:>10,} parameters"
        )
    return "\n".join(lines)


def advice(
    teacher: System,
    student: System,
    alone: System | None,
    comparisons: dict[str, Comparison],
    *,
    signers_known: bool = False,
) -> list[str]:
    """Returns what the scores show about the teacher and what to try; empty if the student has learnt all it can.

    signers_known: whether every signer of dev is in train too.
    """
    lines = []
    rival = student if alone is None else alone
    if teacher.score.wer >= rival.score.wer:
        lines.append(
            f"The teacher is no better than the {'student' if alone is None else 'student alone'} "
            f"({percent(teacher.score.wer)} against {percent(rival.score.wer)} on dev): it has little more "
            "to teach."
        )
        if alone is None:
            lines.append("To see whether the teacher helped at all, train the same student without one for --baseline.")
        lines += [
            "To get further, try:",
            "  - a better teacher: more epochs, or --preset teacher instead of teacher_compact, or the reverse",
            "  - a teacher trained differently from the student: it then makes other errors",
            "  - more weight for the reference: --soft_weight 0.3",
        ]
        if signers_known:
            lines.append(
                "  - a dev split of other signers: all signers of this one are in train too, and a teacher may be "
                "better on new signers only"
            )
        if teacher.score.wer == 0 or rival.score.wer == 0:
            lines.append("  - a harder dev split: a model without errors on this one shows no difference")
    elif student.score.wer - teacher.score.wer > CLOSE:
        lines += [
            "The student is more than a point behind its teacher. Try:",
            "  - more epochs: a distilled student improves for longer than one without a teacher",
            "  - the other way to query the teacher: once, with --cache, or in every epoch, without it",
            "  - a larger student, or --temperature 1.5 to 5",
        ]
    if "baseline" in comparisons and not comparisons["baseline"].real:
        lines.append(
            "With or without a teacher makes no difference that dev could show. Train both with several values of "
            "--seed before you draw a conclusion."
        )
    return lines


def _record(
    options: DistillRecipe, corpus: Corpus, systems: list[System], comparisons: dict[str, Comparison]
) -> dict[str, Any]:
    return {
        "corpus": corpus.name,
        "split": "dev",
        "decoder": str(GREEDY),
        "teacher": str(options.teacher),
        "systems": [
            {"name": item.name, "parameters": item.parameters, **item.score.to_json(utterances=False)}
            for item in systems
        ],
        "comparisons": {
            name: {
                "difference": item.difference,
                "interval": {"low": item.interval.low, "high": item.interval.high, "level": item.interval.level},
                "real": item.real,
            }
            for name, item in comparisons.items()
        },
    }
