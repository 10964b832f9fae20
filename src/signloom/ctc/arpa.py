"""Reads and writes n-gram language models as ARPA files (SRILM's ngram-format(5))."""

from __future__ import annotations

import gzip
import io
import math
import re
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from signloom.ctc.ngram import NGram, Table
from signloom.errors import Faults, InputError, plural
from signloom.files.writing import atomic_write
from signloom.text.tables import Line, read_lines

_COUNT = re.compile(r"ngram\s+(\d{1,9})\s*=\s*(\d{1,18})$")
_TITLE = re.compile(r"\\(\d+-grams:|end\\)$")


def write_arpa(model: NGram, path: Path) -> None:
    """Writes a model, whole or not at all, packed if the name ends in .gz; reading it back gives the same numbers."""
    with atomic_write(path) as raw, ExitStack() as stack:
        packed = Path(path).suffix.lower() == ".gz"
        # Neither a time nor a name in the header: equal models are equal files.
        binary = stack.enter_context(gzip.GzipFile("", "wb", fileobj=raw, mtime=0)) if packed else raw
        file = io.TextIOWrapper(binary, encoding="utf-8", newline="\n", write_through=True)
        file.write("\\data\\\n")
        for order, count in enumerate(model.num_ngrams, 1):
            file.write(f"ngram {order}={count}\n")
        for order, table in enumerate(model.tables, 1):
            file.write(f"\n\\{order}-grams:\n")
            for ids, log_prob, backoff in zip(table.ids.tolist(), table.log_probs, table.backoffs, strict=True):
                words = " ".join(model.words[number] for number in ids)
                # str of a float32 has just enough digits to read back as the same float32.
                file.write(f"{log_prob!s}\t{words}{f'{chr(9)}{backoff!s}' if backoff else ''}\n")
        file.write("\n\\end\\\n")
        # Flushed, and left open for the writer below it.
        file.detach()


def read_arpa(path: Path | str) -> NGram:
    """Returns the model in an ARPA file of any order; tabs or spaces separate fields, a missing back-off is 0.

    Raises InputError listing every fault with its line: invalid numbers, log-probabilities above 0, n-grams of the
    wrong length, repeated n-grams, words without a 1-gram, wrong counts, missing sections.
    """
    path = Path(path)
    faults = Faults(str(path), advice="Needed an ARPA file, as 'signloom lm', KenLM and SRILM write it")
    lines = read_lines(path, faults)
    if lines is None:
        faults.raise_if_any()
    sections = _sections(lines or [])
    if not sections:
        faults.add(f"{path}: no line \\data\\")
    faults.raise_if_any()
    counts = _counts(path, sections[0][2], faults)
    if not faults and len(sections) == 1:
        faults.add(f"{path}: no section of n-grams")
    elif not faults and not counts:
        faults.add(f"{path}:{sections[1][0]}: no 'ngram ORDER=COUNT' before the first section")
    faults.raise_if_any()
    titles = [title for _, title, _ in sections[1:]]
    numbers: dict[str, int] = {}
    tables = []
    for order, count in enumerate(counts, 1):
        if titles[order - 1 : order] != [f"\\{order}-grams:"]:
            faults.add(f"{path}: no section \\{order}-grams: after the section of the order before")
            break
        table = _table(path, sections[order][2], order, numbers, faults)
        if len(table) != count and not faults:
            faults.add(f"{path}: {len(table)} {order}-grams; the header says {count}")
        if order == 1:
            # An invalid 1-gram would cause a fault in every longer n-gram with its word.
            faults.raise_if_any()
        tables.append(table)
    else:
        if titles[len(counts) : len(counts) + 1] != ["\\end\\"]:
            faults.add(f"{path}: ends without \\end\\; the file is cut off, or has more sections than its header lists")
    faults.raise_if_any()
    try:
        return NGram(tuple(numbers), tuple(tables))
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _sections(lines: Iterable[Line]) -> list[tuple[int, str, list[Line]]]:
    """Returns the number of the first line, title and lines of each section: `\\data\\`, `\\1-grams:` and so on.

    Lines before `\\data\\` are comments.
    """
    sections: list[tuple[int, str, list[Line]]] = []
    for number, line in lines:
        text = line.strip()
        if (sections and _TITLE.match(text)) or (not sections and text == "\\data\\"):
            sections.append((number, text, []))
        elif sections:
            sections[-1][2].append((number, line))
    return sections


def _counts(path: Path, lines: Iterable[Line], faults: Faults) -> list[int]:
    """Returns the header's number of n-grams of each order."""
    counts: list[int] = []
    for number, line in lines:
        match = _COUNT.match(line.strip())
        if match is None:
            faults.add(f"{path}:{number}: {line.strip()[:60]!r}; needed 'ngram ORDER=COUNT' or a section")
            break
        if int(match[1]) != len(counts) + 1:
            faults.add(f"{path}:{number}: {line.strip()!r}; needed the count of order {len(counts) + 1}")
        counts.append(int(match[2]))
    return counts


def _table(path: Path, lines: Iterable[Line], order: int, numbers: dict[str, int], faults: Faults) -> Table:
    """Returns the n-grams of one section; adds the words of 1-grams to `numbers`."""
    rows: dict[tuple[int, ...], tuple[float, float]] = {}
    for number, line in lines:
        place = f"{path}:{number}"
        fields = line.split()
        if len(fields) not in (order + 1, order + 2):
            faults.add(
                f"{place}: {plural(len(fields), 'field')}; needed a log-probability, {order} "
                f"{'word' if order == 1 else 'words'} and an optional back-off"
            )
            continue
        log_prob, backoff = _number(fields[0]), _number(fields[order + 1]) if len(fields) > order + 1 else 0.0
        if log_prob is None or backoff is None:
            wrong = fields[0] if log_prob is None else fields[order + 1]
            faults.add(f"{place}: {wrong!r} is not a number")
            continue
        if log_prob > 0:
            faults.add(f"{place}: log-probability {log_prob:g} is above 0; needed log10 of a probability")
            continue
        words = fields[1 : order + 1]
        if order == 1:
            key: tuple[int, ...] = (numbers.setdefault(words[0], len(numbers)),)
        else:
            unknown = [word for word in words if word not in numbers]
            if unknown:
                faults.add(f"{place}: word {unknown[0]!r} has no 1-gram")
                continue
            key = tuple(numbers[word] for word in words)
        if key in rows:
            faults.add(f"{place}: {' '.join(words)!r} occurs twice")
            continue
        rows[key] = (log_prob, backoff)
    values = np.array(list(rows.values()), dtype=np.float32).reshape(len(rows), 2)
    ids = np.array(list(rows), dtype=np.int32).reshape(len(rows), order)
    return Table(ids, values[:, 0], values[:, 1])


def _number(text: str) -> float | None:
    """Returns a finite number, or None. Minus infinity (some tools write it for probability 0) becomes ARPA's -99."""
    try:
        value = float(text)
    except ValueError:
        return None
    if value == -math.inf:
        return -99.0
    return value if math.isfinite(value) else None
