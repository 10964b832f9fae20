"""An n-gram language model of glosses: built of training sentences, or read from an ARPA file; its perplexity.

Of a corpus only the training split is learnt from; dev and test are there to be evaluated on. A sentence file is a
table with glosses (PHOENIX, CSL-Daily, Isharah), an stm, or plain text with a sentence a line. The model is
interpolated, modified Kneser-Ney, written as an ARPA file that other tools read too; `signloom tune` weighs it against
a recogniser.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from signloom.console import say
from signloom.corpus import SPLITS, Corpus
from signloom.ctc.arpa import read_arpa, write_arpa
from signloom.ctc.kneser_ney import ORDER, Estimate, kneser_ney
from signloom.ctc.ngram import UNKNOWN_WORD, NGram
from signloom.errors import InputError
from signloom.synth.sentences import read_sentences


@dataclass
class Options:
    """What `signloom lm` is told."""

    data_dir: Path | None = None
    """a corpus, whose training split is learnt from"""
    sentences: tuple[Path, ...] = ()
    """or files of training sentences"""
    arpa: Path | None = None
    """or an ARPA file that is there already, to be checked and evaluated"""
    order: int = ORDER
    """words of the longest n-grams"""
    output: Path | None = None
    """the ARPA file that is written"""
    evaluate: tuple[str, ...] = ()
    """report the perplexity on these: train, dev or test of the corpus, or files of sentences"""


def run(options: Options) -> int:
    """The exit status: 0 when the model was made or read, and evaluated where asked for."""
    given = [name for name in ("data_dir", "sentences", "arpa") if getattr(options, name)]
    sources = [name for name in given if name != "data_dir"]
    if not given or len(sources) > 1:
        raise InputError("signloom lm: give one of --data_dir, --sentences and --arpa (--arpa with --data_dir is fine)")
    corpus = Corpus.open(options.data_dir) if options.data_dir else None
    to_evaluate = [(name, _evaluated(name, corpus, options)) for name in options.evaluate]
    if options.arpa is not None:
        model = read_arpa(options.arpa)
        print(f"{options.arpa}: {model}")
        if not model.knows_unknown:
            say(f"note: it has no {UNKNOWN_WORD}; a word it does not know counts as its least probable one")
    else:
        model = _built(options, corpus)
    if options.output is not None:
        write_arpa(model, options.output)
    for name, sentences in to_evaluate:
        print(f"{name}: {model.perplexity(sentences)}")
    if options.output is not None:
        say(f"written: {options.output}")
        say(f"next: signloom tune MODEL --data_dir {options.data_dir or 'CORPUS'} --lm {options.output}")
    elif options.arpa is None:
        say("nothing was written; give --output MODEL.arpa to keep the model")
    return 0


def training_estimate(corpus: Corpus, order: int = ORDER) -> Estimate:
    """The model of a corpus' training sentences, and of no other."""
    return kneser_ney((item.glosses for item in corpus.split("train")), order)


def _built(options: Options, corpus: Corpus | None) -> NGram:
    if options.sentences:
        read = read_sentences(options.sentences)
        held_out = sorted({sentence.split for sentence in read if sentence.split in ("dev", "test")})
        if held_out:
            raise InputError(
                f"--sentences hold those of {' and '.join(held_out)}; a model that has seen them would make every "
                "figure on them too good. Give training sentences alone"
            )
        estimate = kneser_ney((sentence.glosses for sentence in read), options.order)
        source = ", ".join(map(str, options.sentences))
        count = len(read)
    elif corpus is None:
        raise InputError("lm: nothing to learn from; needed --data_dir, --sentences or --arpa")
    else:
        estimate = training_estimate(corpus, options.order)
        source, count = f"{corpus.name}, train split", len(corpus.split("train"))
    print(f"{source}: {count:,} sentences; {estimate.model}")
    for order, discounts in enumerate(estimate.discounts, 1):
        how = "; too few sentences to estimate them" if order in estimate.fallbacks else ""
        print(f"  {order}-grams: discounts {', '.join(f'{value:.3f}' for value in discounts)}{how}")
    return estimate.model


def _evaluated(name: str, corpus: Corpus | None, options: Options) -> list[tuple[str, ...]]:
    if name in SPLITS:
        if corpus is None:
            raise InputError(f"--evaluate {name} is a split of a corpus; give --data_dir, or a file of sentences")
        return [item.glosses for item in corpus.split(name)]
    if not Path(name).exists():
        raise InputError(f"--evaluate {name}: no such file; needed {', '.join(SPLITS)} or a file of sentences")
    return [sentence.glosses for sentence in read_sentences(Path(name))]
