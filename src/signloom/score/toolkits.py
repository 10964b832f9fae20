"""Reads references and hypotheses as other toolkits write them.

trn: `GLOSSES (id)` (NIST's sclite).  Kaldi's and ESPnet's `text`: `id GLOSSES`.  gls: one sentence per line, without
ids (fairseq, SLT); the id is the number of the line.  icefall's `recogs-*`: `id: ref=['A']` and `id: hyp=['A']`.
`results.json` of MSKA and TwoStream: `gls_ref` and `gls_hyp` of each id.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from signloom.errors import Faults, InputError, listed
from signloom.files.reading import parse_json
from signloom.text.tables import ending_of, read_lines, read_text

# id, glosses and place of a sentence.
Sentence = tuple[str, tuple[str, ...], str]
Reader = Callable[[Path, str, Faults], Iterator[Sentence]]

_TRN = re.compile(r"[^()\s]+\)")
_ICEFALL = re.compile(r"(\S+):\s*(ref|hyp)=(\[.*\])\s*")
_LONGEST_LIST = 100_000
# What the two results files call the side that is read. Of several systems, the ensemble is the result.
_RESULT_KEYS = {"references": ("gls_ref",), "hypotheses": ("gls_hyp", "ensemble_last_gls_hyp")}


def reader_of(path: Path) -> tuple[str, Reader] | None:
    """Returns the form of a file and the function that reads it, by its name; None for a file of no toolkit."""
    name, ending = path.name.lower().removesuffix(".gz"), ending_of(path)
    if name.startswith("recogs-"):
        return "recogs", _read_recogs
    if name in ("text", "hyp", "ref") or ending == ".text":
        return "text", _read_kaldi
    return {".trn": ("trn", _read_trn), ".gls": ("gls", _read_gls), ".json": ("results", _read_results)}.get(ending)


def _read_trn(path: Path, what: str, faults: Faults) -> Iterator[Sentence]:
    for number, line in read_lines(path, faults) or ():
        # The last bracket of a line opens its id.
        glosses, _, last = line.rpartition("(")
        if _TRN.fullmatch(name := last.rstrip()):
            name = name.removesuffix(")")
            yield name, tuple(glosses.split()), f"{path}:{number} ({name})"
        else:
            faults.add(f"{path}:{number}: {line[-40:]!r} does not end in an id; needed GLOSSES (id)")


def _read_kaldi(path: Path, what: str, faults: Faults) -> Iterator[Sentence]:
    for number, line in read_lines(path, faults) or ():
        name, *glosses = line.split()
        yield name, tuple(glosses), f"{path}:{number} ({name})"


def _read_gls(path: Path, what: str, faults: Faults) -> Iterator[Sentence]:
    text = read_text(path, faults)
    # An empty line is a sentence without glosses, but not the end of the last line.
    for number, line in enumerate((text or "").removesuffix("\n").split("\n") if text else (), 1):
        yield str(number), tuple(line.split()), f"{path}:{number}"


def _read_recogs(path: Path, what: str, faults: Faults) -> Iterator[Sentence]:
    side = "ref" if what == "references" else "hyp"
    for number, line in read_lines(path, faults) or ():
        place = f"{path}:{number}"
        match = _ICEFALL.fullmatch(line.strip())
        try:
            words = ast.literal_eval(match[3]) if match and len(line) < _LONGEST_LIST else None
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            words = None
        if match is None or not (isinstance(words, list) and all(isinstance(word, str) for word in words)):
            faults.add(f"{place}: {line[:60]!r}; needed lines id: ref=['A', 'B'] and id: hyp=['A', 'B']")
        elif match[2] == side:
            yield match[1], tuple(part for word in words for part in word.split()), f"{place} ({match[1]})"


def _read_results(path: Path, what: str, faults: Faults) -> Iterator[Sentence]:
    text = read_text(path, faults)
    if text is None:
        return
    try:
        records = parse_json(text, str(path))
    except InputError as error:
        faults.add(str(error))
        return
    if not isinstance(records, dict) or not all(isinstance(record, dict) for record in records.values()):
        faults.add(f"{path}: needed an object with gls_ref and gls_hyp of each id")
        return
    for name, record in records.items():
        key = next((key for key in _RESULT_KEYS[what] if key in record), None)
        if key is None:
            needed = " or ".join(_RESULT_KEYS[what])
            faults.add(f"{path} ({name}): no {needed}; it has {listed(map(str, record), shown=8)}")
        elif not isinstance(record[key], str):
            faults.add(f"{path} ({name}): {key} is a {type(record[key]).__name__}; needed a sentence")
        else:
            yield str(name), tuple(record[key].split()), f"{path} ({name})"
