"""Reads references and hypotheses from files: stm, ctm, tables (csv), JSON lines, corpora, files of other toolkits.

`match_ids.py` matches hypotheses with references. docs/scoring.md describes the formats.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from signloom.corpus import HEADER, MANIFEST, SPLITS, Corpus
from signloom.errors import Faults, InputError, plural
from signloom.files.reading import parse_json
from signloom.run_folder import Run
from signloom.score.ctm_order import check_twice
from signloom.score.nist import Segment, TimedWord, read_ctm, read_stm
from signloom.score.toolkits import reader_of
from signloom.text.gloss_fields import glosses_of
from signloom.text.tables import CONTROL, Line, delimiter_of, ending_of, read_lines, rows_of
from signloom.vocabulary import MOST_GLOSS_LETTERS

ID_COLUMNS = ("id", "name", "fileid", "utterance", "video")
GLOSS_COLUMNS = ("gloss", "glosses", "annotation", "orth", "hypothesis", "prediction", "reference")
SIGNER_COLUMNS = ("signer", "speaker", "signer_id")
TABLE_ENDINGS = (".csv", ".txt", ".tsv")
LINE_ENDINGS = (".jsonl", ".ndjson")


@dataclass(frozen=True)
class Transcript:
    """The glosses of one utterance in a file.

    signer: None if the file does not say.  place: file and line, for messages.
    clips: the clips that an utterance of a corpus is composed of, one per gloss; else empty.
    """

    id: str
    glosses: tuple[str, ...]
    signer: str | None
    place: str
    clips: tuple[str, ...] = ()


@dataclass(frozen=True)
class TranscriptFile:
    """The content of a file: `segments` of an stm, `timed` words of a ctm, `sentences` of any other form.

    form: `stm`, `ctm`, `table`, `jsonl`, `corpus`, or that of a toolkit.  columns: column names of a table, if its
    first line has them.
    """

    path: Path
    form: str
    sentences: list[Transcript] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    timed: list[TimedWord] = field(default_factory=list)
    columns: tuple[str, ...] = ()


def read_references(path: Path | str, *, split: str | None = None) -> TranscriptFile:
    """Returns the references in a file, or in one split of a corpus folder.

    Raises InputError listing every fault of the file; ids that occur twice are faults.
    """
    path = Path(path)
    if path.is_dir():
        if not (path / HEADER).is_file():
            raise InputError(f"{path}: a folder without {HEADER}; needed a corpus, or a file with references")
        if split not in SPLITS:
            raise InputError(f"{path} is a corpus; choose the split to score against: --split {' or '.join(SPLITS)}")
        return TranscriptFile(
            path,
            "corpus",
            [
                Transcript(item.id, item.glosses, item.signer, f"{path / MANIFEST} ({item.id})", item.clips)
                for item in Corpus.open(path).split(split)
            ],
        )
    if split is not None:
        raise InputError(f"--split {split} needs a corpus folder as reference; {path} is a file; leave out --split")
    return _read(path, "references")


def read_hypotheses(path: Path | str, *, split: str | None = None) -> TranscriptFile:
    """Returns the hypotheses in a file, or those that `signloom evaluate` wrote into a run folder.

    Raises InputError listing every fault of the file; ids that occur twice are faults.
    """
    path = Path(path)
    if path.is_dir():
        run = Run(path)
        files = sorted(path.glob(Run.hypotheses_file.name)) if split is None else [run.hypotheses_file(split)]
        files = [file for file in files if file.is_file()]
        if len(files) != 1:
            which = ", ".join(file.name for file in files) or f"no {run.hypotheses_file('SPLIT').name}"
            raise InputError(f"{path}: {which}; needed one such file, as 'signloom evaluate' writes it; give the file")
        path = files[0]
    return _read(path, "hypotheses")


def _read(path: Path, what: str) -> TranscriptFile:
    faults = Faults(what)
    ending = ending_of(path)
    source = TranscriptFile(path, "table")
    if (toolkit := reader_of(path)) is not None:
        form, read = toolkit
        sentences = [Transcript(name, glosses, None, place) for name, glosses, place in read(path, what, faults)]
        source = TranscriptFile(path, form, sentences)
    elif ending == ".stm":
        source = TranscriptFile(path, "stm", segments=read_stm(path, faults))
    elif ending == ".ctm":
        source = TranscriptFile(path, "ctm", timed=read_ctm(path, faults))
        check_twice(source.timed, faults)
    elif ending in LINE_ENDINGS:
        source = TranscriptFile(path, "jsonl", _read_json_lines(path, faults))
    elif ending in TABLE_ENDINGS:
        sentences, columns = _read_table(path, faults)
        source = TranscriptFile(path, "table", sentences, columns=columns)
    else:
        faults.add(
            f"{path}: unknown ending {ending!r}; needed .stm, .ctm, .trn, .gls, "
            f"{', '.join((*TABLE_ENDINGS, *LINE_ENDINGS))}, a Kaldi file named text, an icefall file named recogs-..., "
            "results.json, any of them as .gz, or a folder"
        )
    faults.add_repeated_ids((sentence.id, sentence.place) for sentence in source.sentences)
    for sentence in source.sentences:
        _check_words(sentence, faults)
    faults.raise_if_any()
    if not (source.sentences or source.segments or source.timed):
        raise InputError(f"{path}: no {what} in it; needed at least one")
    return source


def _check_words(sentence: Transcript, faults: Faults) -> None:
    """Adds a fault for an id or a gloss that is no text, such as a control character from an escape of JSON."""
    for what, word in (("id", sentence.id), *(("gloss", gloss) for gloss in sentence.glosses)):
        if CONTROL.search(word):
            faults.add(f"{sentence.place:.200}: a control character in the {what} {word!r:.60}; remove it")
        elif len(word) > MOST_GLOSS_LETTERS:
            faults.add(
                f"{sentence.place:.200}: {plural(len(word), 'character')} in one {what}; is it a table of glosses?"
            )


def _read_table(path: Path, faults: Faults) -> tuple[list[Transcript], tuple[str, ...]]:
    """Returns the sentences and column names of a table; without column names each line is an id and its glosses."""
    lines = read_lines(path, faults)
    if not lines:
        return [], ()
    first = lines[0][1]
    columns = (*ID_COLUMNS, *GLOSS_COLUMNS, *SIGNER_COLUMNS)
    delimiter = delimiter_of(first.lower(), columns)
    names = [name.strip().strip('"').lower() for name in first.split(delimiter)] if delimiter else []
    if delimiter and set(names) & set(GLOSS_COLUMNS) and set(names) & set(ID_COLUMNS):
        # Column names are compared in lower case.
        table: list[Line] = [(lines[0][0], delimiter.join(names)), *lines[1:]]
    else:
        names = []
        delimiter = next((mark for mark in "|\t," if mark in first), None)
        if delimiter is None:
            faults.add(
                f"{path}:{lines[0][0]}: neither bar, tab nor comma in {first[:60]!r}; needed id|glosses in each line"
            )
            return [], ()
        if first.split(delimiter)[0].strip().strip('"').lower() in ID_COLUMNS:
            faults.add(
                f"{path}:{lines[0][0]}: columns {first[:80]!r} without a gloss column; needed one of "
                f"{', '.join(GLOSS_COLUMNS)}"
            )
            return [], ()
        table = [(lines[0][0] - 1, f"id{delimiter}gloss"), *lines]
    rows = rows_of(path, table, [ID_COLUMNS, GLOSS_COLUMNS], faults, delimiter=delimiter)
    sentences = []
    for row in rows:
        try:
            glosses = glosses_of(row.first(GLOSS_COLUMNS))
        except InputError as error:
            faults.add(f"{row.place}: {error}")
            continue
        sentences.append(
            Transcript(row.first(ID_COLUMNS), tuple(glosses), row.first(SIGNER_COLUMNS) or None, row.place)
        )
    return sentences, tuple(names)


def _read_json_lines(path: Path, faults: Faults) -> list[Transcript]:
    sentences = []
    for number, line in read_lines(path, faults) or ():
        place = f"{path}:{number}"
        try:
            record = parse_json(line, place)
        except InputError as error:
            faults.add(str(error))
            continue
        if not isinstance(record, dict):
            faults.add(f"{place}: a {type(record).__name__}; needed an object with id and glosses")
            continue
        name = next((record[key] for key in ID_COLUMNS if key in record), None)
        if not isinstance(name, str) or not name:
            faults.add(f"{place}: no id; needed a string in one of {', '.join(ID_COLUMNS)}")
            continue
        try:
            glosses = _glosses(next((record[key] for key in GLOSS_COLUMNS if key in record), None))
        except InputError as error:
            faults.add(f"{place} ({name}): {error}")
            continue
        signer = next((record[key] for key in SIGNER_COLUMNS if record.get(key) is not None), None)
        if glosses is None:
            faults.add(
                f"{place} ({name}): no glosses; needed gloss or glosses: a sentence, a list of words, or the output of "
                f"'signloom transcribe --format json'"
            )
            continue
        sentences.append(Transcript(name, glosses, None if signer is None else str(signer), f"{place} ({name})"))
    return sentences


def _glosses(value: Any) -> tuple[str, ...] | None:
    """Returns the glosses of a sentence, a list of words or a list of objects with a gloss; None for anything else.

    Raises InputError for a sentence that looks like a list of something else.
    """
    if isinstance(value, str):
        return tuple(glosses_of(value))
    if not isinstance(value, list):
        return None
    words = [item.get("gloss") if isinstance(item, dict) else item for item in value]
    glosses = tuple(word for word in words if isinstance(word, str) and word)
    return glosses if len(glosses) == len(words) else None
