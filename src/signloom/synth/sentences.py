"""Reads the gloss sentences of other corpora, for simulated signers to sign.

The content determines the format: a table whose first line names its columns (PHOENIX-2014, PHOENIX-2014 T, Isharah,
CSL-Daily and similar ones), the manifest of a corpus of signloom, an stm reference, or plain text with one sentence per
line. Glosses are kept as written, in any script.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from signloom.corpus import MANIFEST, SPLITS
from signloom.errors import Faults, InputError, plural
from signloom.files.paths import resolved
from signloom.files.reading import parse_json
from signloom.synth.grammar import REST_GLOSSES
from signloom.text.tables import Line, delimiter_of, ending_of, read_lines, rows_of
from signloom.vocabulary import BLANK, UNKNOWN, check_gloss

# Column names of the corpora; the first that a table has is used. PHOENIX-2014 has id, signer and annotation;
# PHOENIX-2014 T name, speaker and orth; Isharah id and gloss; CSL-Daily index, name and gloss.
_ID_COLUMNS = ("id", "name")
_SIGNER_COLUMNS = ("signer", "speaker")
_GLOSS_COLUMNS = ("annotation", "orth", "gloss", "glosses")
# Largest number of glosses per sentence, seven times the longest of PHOENIX-2014: more glosses are lines that ran into
# each other.
_MAX_GLOSSES = 200
_SPLIT = re.compile(r"(?<![a-z])(train|dev|test)(?:ing)?(?![a-z])")


@dataclass(frozen=True)
class GlossSentence:
    """Glosses in order, with the id, split and signer that the file gives; None if it gives none."""

    id: str | None
    split: str | None
    signer: str | None
    glosses: tuple[str, ...]


# A sentence and its position (file:line and id), for messages.
_Placed = tuple[GlossSentence, str]


def read_sentences(paths: Path | str | Sequence[Path | str]) -> tuple[GlossSentence, ...]:
    """Returns the sentences of one or several files, in their order.

    paths: files of any format above, or folders of a corpus of signloom. The split is that of the file's lines; if they
    have none, the one of train, dev and test that occurs in the file's name.

    Raises InputError listing every fault: text that is not UTF-8, empty files, missing columns, empty sentences, empty
    glosses, files given twice, sentences of more than 200 glosses, and ids that occur twice.
    """
    given = [Path(paths)] if isinstance(paths, Path | str) else [Path(path) for path in paths]
    if not given:
        raise InputError("sentences: no file given; needed at least one")
    faults = Faults("sentences")
    for path, times in Counter(resolved(path) for path in given).items():
        if times > 1:
            faults.add(f"{path}: given {times} times; give each file once")
    faults.raise_if_any()
    placed = [item for path in given for item in _read(path, faults)]
    for sentence, place in placed:
        _check(sentence, place, faults)
    faults.add_repeated_ids((sentence.id, place) for sentence, place in placed if sentence.id is not None)
    faults.raise_if_any()
    return tuple(sentence for sentence, _ in placed)


def vocabulary_of(sentences: Iterable[GlossSentence]) -> tuple[str, ...]:
    """Returns the distinct glosses without REST_GLOSSES, by falling frequency, then alphabetically."""
    counts = Counter(gloss for sentence in sentences for gloss in sentence.glosses if gloss not in REST_GLOSSES)
    return tuple(sorted(counts, key=lambda gloss: (-counts[gloss], gloss)))


def split_of(path: Path) -> str | None:
    """Returns `train`, `dev` or `test` if exactly one of them is a word in the file's name, as in dev.SI5.corpus.csv,
    else None."""
    words = set(_SPLIT.findall(path.name.lower()))
    return words.pop() if len(words) == 1 else None


def _read(path: Path, faults: Faults) -> list[_Placed]:
    """Returns the sentences of a file; adds what cannot be read to `faults`."""
    if path.is_dir():
        if not (path / MANIFEST).is_file():
            faults.add(f"{path}: a folder without {MANIFEST}; give the annotation files themselves")
            return []
        path = path / MANIFEST
    lines = read_lines(path, faults)
    if not lines:
        if lines is not None:
            faults.add(f"{path}: empty; needed sentences")
        return []
    first = lines[0][1]
    if first.lstrip().startswith("{"):
        return _read_manifest(path, lines, faults)
    if ending_of(path) == ".stm":
        return _read_stm(path, lines, faults)
    delimiter = delimiter_of(first, {*_ID_COLUMNS, *_GLOSS_COLUMNS})
    if delimiter:
        return _read_table(path, lines, faults, delimiter)
    split = split_of(path)
    return [(GlossSentence(None, split, None, tuple(line.split())), f"{path}:{number}") for number, line in lines]


def _read_table(path: Path, lines: list[Line], faults: Faults, delimiter: str) -> list[_Placed]:
    placed = []
    for row in rows_of(path, lines, [_ID_COLUMNS, _GLOSS_COLUMNS], faults, delimiter=delimiter):
        glosses = tuple(row.first(_GLOSS_COLUMNS).split())
        signer = row.first(_SIGNER_COLUMNS) or None
        placed.append((GlossSentence(row.first(_ID_COLUMNS), split_of(path), signer, glosses), row.place))
    return placed


def _read_manifest(path: Path, lines: list[Line], faults: Faults) -> list[_Placed]:
    placed = []
    for number, line in lines:
        place = f"{path}:{number}"
        try:
            record = parse_json(line, place)
        except InputError as error:
            faults.add(str(error))
            continue
        glosses = record.get("glosses") if isinstance(record, dict) else None
        if not isinstance(glosses, list) or not all(isinstance(gloss, str) for gloss in glosses):
            faults.add(f'{place}: no list of glosses; needed a line such as {{"id": "1", "glosses": ["A"]}}')
            continue
        given = {}
        for name in ("id", "split", "signer"):
            value = record.get(name)
            given[name] = value if isinstance(value, str) and value else None
            if value is not None and given[name] is None:
                faults.add(f"{place}: {name!r} is {value!r:.60}; needed a text, not empty")
        if given["split"] is not None and given["split"] not in SPLITS:
            faults.add(f"{place}: split is {given['split']!r}; needed one of {', '.join(SPLITS)}")
        given["split"] = given["split"] or split_of(path)
        placed.append(
            (GlossSentence(**given, glosses=tuple(glosses)), f"{place} ({given['id']})" if given["id"] else place)
        )
    return placed


def _read_stm(path: Path, lines: list[Line], faults: Faults) -> list[_Placed]:
    """Reads lines of `id channel signer start end glosses`, with comments after `;;`; a label <...,...> may precede the
    glosses.

    Source: NIST sctk, doc/infmts.htm.
    """
    placed = []
    for number, line in lines:
        if line.startswith(";;"):
            continue
        fields = line.split()
        if len(fields) < 5:
            faults.add(
                f"{path}:{number}: {plural(len(fields), 'field')}; needed id channel signer start end and the glosses"
            )
            continue
        labelled = len(fields) > 5 and fields[5].startswith("<") and fields[5].endswith(">") and "," in fields[5]
        glosses = tuple(fields[6 if labelled else 5 :])
        placed.append((GlossSentence(fields[0], split_of(path), fields[2], glosses), f"{path}:{number} ({fields[0]})"))
    if not placed:
        faults.add(f"{path}: only comments, no sentences")
    return placed


def _check(sentence: GlossSentence, place: str, faults: Faults) -> None:
    """Adds to `faults` what cannot be signed."""
    if not sentence.glosses:
        faults.add(f"{place}: the sentence is empty; needed at least one gloss")
    if len(sentence.glosses) > _MAX_GLOSSES:
        faults.add(
            f"{place}: {plural(len(sentence.glosses), 'gloss')}; needed at most {_MAX_GLOSSES}: one sentence per line"
        )
        return
    for number, gloss in enumerate(sentence.glosses, 1):
        try:
            check_gloss(gloss, place)
        except InputError as error:
            faults.add(f"{error} (number {number} of {len(sentence.glosses)})")
            return
        where = f"{place}: gloss {number} of {len(sentence.glosses)}, {gloss!r:.60},"
        if not any(letter.isprintable() for letter in gloss):
            faults.add(f"{where} has no visible letter")
        elif gloss in (BLANK, UNKNOWN):
            faults.add(f"{where} is reserved; rename it")
