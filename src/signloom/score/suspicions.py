"""What looks wrong in the files to score and would change the rate in silence: notes that are shown with the score."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import partial

from signloom.errors import listed, plural
from signloom.score.alternations import Item
from signloom.score.formats import TranscriptFile
from signloom.text.clean import clean, look, told_apart

_few = partial(listed, shown=5)
_ANNOTATED_COLUMNS, _RECOGNISED_COLUMNS = ("annotation", "orth", "reference"), ("hypothesis", "prediction")
_HYPOTHESIS_NAMES = re.compile(r"(?:^|[-_.])(?:hyp|hyps|hypothes[ei]s|pred|preds|predictions?|output)(?:[-_.]|$)")
_REFERENCE_NAMES = re.compile(r"(?:^|[-_.])(?:ref|refs|references?|gt|groundtruth|annotations?|corpus)(?:[-_.]|$)")
# How programs write a field that is empty: pandas, Python, JSON and SQL.
_EMPTY_WORDS = frozenset({"nan", "NaN", "None", "null", "NULL", "<NA>"})
# Marks that stand between glosses in a list. No known corpus has them in a gloss whose parts are glosses, too.
_LIST_MARKS = re.compile(r"""[,;|'"\[\]()]+""")
# Marks that compound glosses have as well. They join whole sentences only where most sentences have such a word.
_COMPOUND_MARKS = re.compile(r"[-_+/&.]+")
_MOST = 0.5
# Id, reference and hypothesis of an utterance.
Triple = tuple[str, tuple[Item, ...], tuple[Item, ...]]


def swapped(references: TranscriptFile, hypotheses: TranscriptFile) -> list[str]:
    """Returns a warning if the two files look swapped, else nothing."""
    signs = []
    if references.form == "ctm":
        signs.append(f"{references.path.name}, given as reference, is a ctm file, the output of a recogniser")
    if hypotheses.form == "stm":
        signs.append(f"{hypotheses.path.name}, given as hypothesis, is an stm file, a format for references")
    if columns := [name for name in _RECOGNISED_COLUMNS if name in references.columns]:
        signs.append(f"{references.path.name}, given as reference, has a column {columns[0]}")
    if columns := [name for name in _ANNOTATED_COLUMNS if name in hypotheses.columns]:
        signs.append(f"{hypotheses.path.name}, given as hypothesis, has a column {columns[0]}, as annotations have")
    empty = sum(not item.glosses for item in references.sentences)
    if empty and hypotheses.sentences and all(item.glosses for item in hypotheses.sentences):
        signs.append(f"{plural(empty, 'reference')} without a gloss, and no such hypothesis")
    ref_name, hyp_name = references.path.name.lower(), hypotheses.path.name.lower()
    if _HYPOTHESIS_NAMES.search(ref_name) and not _REFERENCE_NAMES.search(ref_name):
        signs.append(f"the reference is named {references.path.name}")
    if _REFERENCE_NAMES.search(hyp_name) and not _HYPOTHESIS_NAMES.search(hyp_name):
        signs.append(f"the hypothesis is named {hypotheses.path.name}")
    if not signs:
        return []
    return [f"reference and hypothesis look swapped: {'; '.join(signs)}. The reference comes first"]


def word_notes(triples: Sequence[Triple]) -> list[str]:
    """Returns notes on words that are something else than they seem: look-alikes, joined glosses, empty fields."""
    references = [(name, _words(items)) for name, items, _ in triples]
    hypotheses = [(name, _words(items)) for name, _, items in triples]
    notes = _look_alikes(references, hypotheses)
    for what, sentences, others in (("hypotheses", hypotheses, references), ("references", references, hypotheses)):
        notes += _joined(what, sentences, {word for _, words in others for word in words})
    longer = {word for _, words in (*references, *hypotheses) if len(words) > 1 for word in words}
    for what, one, sentences in (("hypotheses", "hypothesis", hypotheses), ("references", "reference", references)):
        notes += _empty_words(what, one, sentences, longer)
    return notes


Sentences = Sequence[tuple[str, tuple[str, ...]]]


def _words(items: Sequence[Item]) -> tuple[str, ...]:
    return tuple(item for item in items if isinstance(item, str))


def _joined(what: str, sentences: Sentences, known: set[str]) -> list[str]:
    """Returns a note on words that are glosses of the other side with marks between them, such as `A,B`."""
    with_words = sum(bool(words) for _, words in sentences)
    for marks, least in ((_LIST_MARKS, 1.0), (_COMPOUND_MARKS, _MOST * with_words)):
        cases = [(name, word) for name, words in sentences for word in words if _is_joined(word, marks, known)]
        if cases and len({name for name, _ in cases}) >= least:
            name, word = cases[0]
            return [
                f"{plural(len(cases), 'word')} of the {what} are glosses of the other side with marks at or between "
                f"them, such as {word!r} in {name}; each counts as one word and as an error: separate glosses by spaces"
            ]
    return []


def _is_joined(word: str, marks: re.Pattern[str], known: set[str]) -> bool:
    if word in known or not marks.search(word):
        return False
    parts = [part for part in marks.split(word) if part]
    return bool(parts) and all(part in known for part in parts)


def _empty_words(what: str, one: str, sentences: Sentences, longer: set[str]) -> list[str]:
    """Returns a note on sentences that are only `nan` or similar. longer: words that occur beside others."""
    only = {name: words[0] for name, words in sentences if len(words) == 1 and words[0] in _EMPTY_WORDS - longer}
    if not only:
        return []
    word = next(iter(only.values()))
    return [
        f"{plural(len(only), one, what)} of the single word {word!r} ({_few(only)}): programs write it for an empty "
        f"field, but here it counts as a gloss; leave the field empty (in pandas: fillna('') before to_csv, and "
        "read_csv with keep_default_na=False)"
    ]


def _look_alikes(references: Sentences, hypotheses: Sentences) -> list[str]:
    """Returns a note on words of the hypotheses that look like a word of the references and are another one."""
    known = {word for _, words in references for word in words}
    counts = Counter(word for _, words in hypotheses for word in words if word not in known)
    by_look = {look(word): word for word in sorted(known)}
    pairs = [(by_look[look(word)], word) for word in counts if look(word) in by_look]
    if not pairs:
        return []
    times = sum(counts[word] for _, word in pairs)
    shown = _few([told_apart(pair) for pair in pairs])
    forms = any(clean(first) == clean(second) for first, second in pairs)
    advice = "; --normalise_unicode counts those as equal that differ only in their Unicode form" if forms else ""
    return [
        f"{plural(len(pairs), 'word')} of the hypotheses ({plural(times, 'time')}) look like words of the references, "
        f"but differ, so they count as errors: {shown}{advice}"
    ]
