"""Estimates an n-gram language model of glosses, or reads one from an ARPA file, and reports its perplexity.

Of a corpus only the training split is used, since dev and test are for evaluation. A sentence file is a table with
glosses (PHOENIX, CSL-Daily, Isharah), an stm file, or plain text with one sentence per line. The model is interpolated
modified Kneser-Ney, written as an ARPA file that other tools can read. `signloom tune` finds its best weight beside a
recogniser.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from signloom.console import say
from signloom.corpus import SPLITS, Corpus
from signloom.ctc.arpa import read_arpa, write_arpa
from signloom.ctc.kneser_ney import ORDER, kneser_ney
from signloom.ctc.ngram import UNKNOWN_WORD, NGram
from signloom.errors import InputError, plural
from signloom.files.locks import locked_file
from signloom.hints import command
from signloom.synth.sentences import read_sentences


@dataclass
class Options:
    """Options of `signloom lm`."""

    data_dir: Path | None = None
    """a corpus; the model is estimated from its training split"""
    sentences: tuple[Path, ...] = ()
    """files of training sentences, instead of a corpus"""
    arpa: Path | None = None
    """an existing ARPA file to check and evaluate, instead of a new model"""
    order: int = ORDER
    """longest n-grams, in words"""
    output: Path | None = None
    """ARPA file to write"""
    evaluate: tuple[str, ...] = ()
    """report the perplexity on these: train, dev or test of the corpus, or files of sentences"""


def run(options: Options) -> int:
    """Returns the exit status: 0 when the model was estimated or read."""
    if not (options.data_dir or options.sentences or options.arpa) or (options.sentences and options.arpa):
        raise InputError("signloom lm: give one of --data_dir, --sentences and --arpa (--arpa with --data_dir is fine)")
    corpus = Corpus.open(options.data_dir) if options.data_dir else None
    to_evaluate = [(name, _sentences_of(name, corpus)) for name in options.evaluate]
    if options.arpa is not None:
        model = read_arpa(options.arpa)
        print(f"{options.arpa}: {model}")
        if not model.knows_unknown:
            say(f"note: it has no {UNKNOWN_WORD}; an unknown word gets the probability of the least probable one")
    else:
        model = _estimated(options, corpus)
    if options.output is not None:
        with locked_file(options.output):
            write_arpa(model, options.output)
    for name, sentences in to_evaluate:
        print(f"{name}: {model.perplexity(sentences)}")
    if options.output is not None:
        say(f"written: {options.output}")
        say(f"next: {command('tune', 'MODEL', data_dir=options.data_dir, lm=options.output)}")
    elif options.arpa is None:
        say("nothing was written; give --output MODEL.arpa to keep the model")
    return 0


def _estimated(options: Options, corpus: Corpus | None) -> NGram:
    """Returns the model of the files of sentences, or of the corpus' training split, and prints its discounts."""
    if options.sentences:
        read = read_sentences(options.sentences)
        held_out = sorted({sentence.split for sentence in read if sentence.split in ("dev", "test")})
        if held_out:
            raise InputError(
                f"--sentences has sentences of {' and '.join(held_out)}; a model that has seen them would make every "
                "figure on them too good. Give training sentences only"
            )
        sentences, source = [sentence.glosses for sentence in read], ", ".join(map(str, options.sentences))
    elif corpus is not None:
        sentences, source = list(corpus.split("train").columns.sentences()), f"{corpus.name}, train split"
    else:
        raise InputError("signloom lm: no training sentences; needed --data_dir or --sentences")
    estimate = kneser_ney(sentences, options.order)
    print(f"{source}: {plural(len(sentences), 'sentence')}; {estimate.model}")
    for order, discounts in enumerate(estimate.discounts, 1):
        fallback = "; too few sentences to estimate them" if order in estimate.fallbacks else ""
        print(f"  {order}-grams: discounts {', '.join(f'{value:.3f}' for value in discounts)}{fallback}")
    return estimate.model


def _sentences_of(name: str, corpus: Corpus | None) -> list[tuple[str, ...]]:
    """Returns the sentences that `name` stands for: a split of the corpus, or a file."""
    if name in SPLITS:
        if corpus is None:
            raise InputError(f"--evaluate {name} is a split of a corpus; give --data_dir, or a file of sentences")
        return list(corpus.split(name).columns.sentences())
    if not Path(name).exists():
        raise InputError(f"--evaluate {name}: no such file; needed {', '.join(SPLITS)} or a file of sentences")
    return [sentence.glosses for sentence in read_sentences(Path(name))]
