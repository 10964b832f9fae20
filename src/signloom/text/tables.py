"""Line-based text tables (csv and similar): reads lines of text with their numbers, and rows with named columns."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from signloom.errors import Faults, InputError, plural, printable
from signloom.files import reading
from signloom.text.clean import clean

# Characters that no text has; of control characters those that separate words are left out.
CONTROL = re.compile("[\x00-\x08\x0e-\x1b\x7f]")
# Characters. A line is a sentence, or a clip with its points.
_LONGEST_LINE = 10_000_000
# A line and its number in the file, from 1.
Line = tuple[int, str]


@dataclass(frozen=True)
class Row:
    """A line of a table: its fields by column, and its place (file:line and id), for messages."""

    fields: Mapping[str, str]
    place: str

    def __getitem__(self, column: str) -> str:
        return self.fields[column]

    def first(self, columns: Iterable[str]) -> str:
        """Returns the field of the first of `columns` that the table has, or an empty string."""
        return next((self.fields[column] for column in columns if column in self.fields), "")


def read_text(path: Path, faults: Faults) -> str | None:
    """Returns the text of a file, as `files.reading.read_text`; adds a fault and returns None if it is no text file."""
    try:
        return reading.read_text(path)
    except InputError as error:
        faults.add(str(error))
        return None


def ending_of(path: Path) -> str:
    """Returns the ending of a file's name in lower case; of a packed file, `x.stm.gz`, that of what it holds."""
    return (path.with_suffix("") if path.suffix.lower() == ".gz" else path).suffix.lower()


def read_lines(path: Path, faults: Faults) -> list[Line] | None:
    """Returns the lines of a text file that are not blank; adds a fault and returns None if it is no text file."""
    text = read_text(path, faults)
    if text is None:
        return None
    # Not splitlines(): it would also split at characters that may occur within a sentence.
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    wrong = {number: fault for number, line in lines if (fault := _fault_of(line)) is not None}
    for number, fault in wrong.items():
        faults.add(f"{path}:{number}: {fault}")
    return [(number, line) for number, line in lines if number not in wrong]


def _fault_of(line: str) -> str | None:
    """Returns what is wrong with a line, None if it is text."""
    if len(line) > _LONGEST_LINE:
        return f"{plural(len(line), 'character')} in one line; needed at most {_LONGEST_LINE:,}"
    if (match := CONTROL.search(line)) is not None:
        return f"a control character, {printable(match[0])}; remove it"
    return None


def delimiter_of(line: str, columns: Collection[str]) -> str | None:
    """Returns the delimiter of the column names in `line`, or None if it is not the first line of a table.

    It is a bar if the line has one, because no gloss contains a bar; else a tab, a semicolon or a comma, if one of the
    separated names is in `columns`.
    """
    if "|" in line:
        return "|"
    for delimiter in "\t;,":
        names = [column_name(name.strip().strip('"')) for name in line.split(delimiter)]
        if len(names) > 1 and not set(columns).isdisjoint(names):
            return delimiter
    return None


def column_name(text: str) -> str:
    """Returns the name of a column as it is compared: in lower case, with `_` for spaces and dashes."""
    return re.sub(r"[\s-]+", "_", clean(text).strip().lower())


def read_table(
    path: Path, needed: Sequence[str | Sequence[str]], faults: Faults, *, delimiter: str | None = "|"
) -> list[Row]:
    """Returns the rows of the table `path`, as `rows_of` reads them; delimiter: None for the one that its first line
    has.
    """
    lines = read_lines(path, faults)
    if lines is None:
        return []
    # Spreadsheets write and read this line.
    if lines and (separator := re.fullmatch(r'"?sep=(.)"?\s*', lines[0][1])):
        delimiter, lines = separator[1], lines[1:]
    choices = [(names,) if isinstance(names, str) else tuple(names) for names in needed]
    if delimiter is None:
        known = [name for names in choices for name in names]
        delimiter = (delimiter_of(lines[0][1], known) if lines else None) or ","
    if not lines:
        columns = delimiter.join(names[0] for names in choices)
        faults.add(f"{path}: empty; needed a first line with the columns {columns}")
        return []
    return rows_of(path, lines, needed, faults, delimiter=delimiter)


def rows_of(
    path: Path, lines: Sequence[Line], needed: Sequence[str | Sequence[str]], faults: Faults, *, delimiter: str
) -> list[Row]:
    """Returns the rows of a table whose first line names its columns; further columns are kept as well.

    lines: at least one.
    needed: required columns, each a name or several alternative names; the first column is the id.

    Names of columns are compared as `column_name` returns them. Spaces around fields are ignored. Quotes have a meaning
    only if the delimiter is a comma or a semicolon. Faults are added with file and line; lines with faults are left
    out.
    """
    records = _records(path, lines, faults, delimiter)
    number, names_given = next(records)
    if not names_given:
        return []
    header = [column_name(name) for name in names_given]
    choices = [(names,) if isinstance(names, str) else tuple(names) for names in needed]
    missing = [f"no column {' or '.join(names[:4])}" for names in choices if not set(names) & set(header)]
    twice = [f"column {name or 'without a name'} occurs twice" for name, count in Counter(header).items() if count > 1]
    if missing or twice:
        faults.add(
            f"{path}:{number}: {', '.join(missing + twice)}; got {delimiter.join(names_given)}, needed "
            f"{delimiter.join(names[0] for names in choices)} as the first line{', each once' if twice else ''}"
        )
        return []
    key = header.index(next(name for name in choices[0] if name in header))
    rows = []
    num_faults = len(faults.messages)
    for number, record in records:
        if not any(record):
            continue
        identity = record[key] if len(record) > key else ""
        place = f"{path}:{number} ({identity:.80})" if identity else f"{path}:{number}"
        if len(record) != len(header):
            quotes = "; quote a list of glosses as a whole" if any(part.startswith("[") for part in record) else ""
            faults.add(f"{place}: {plural(len(record), 'field')}; needed {len(header)}, as in the first line{quotes}")
        elif not identity:
            faults.add(f"{place}: the {header[key]} is empty")
        else:
            rows.append(Row(dict(zip(header, record, strict=True)), place))
    if not rows and len(faults.messages) == num_faults:
        faults.add(f"{path}: no rows below the column names")
    return rows


def _records(path: Path, lines: Sequence[Line], faults: Faults, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yields the fields of each record and the number of its first line; no fields, and a fault, where quotes are
    wrong.
    """
    if delimiter not in ",;":
        yield from ((number, [part.strip() for part in line.split(delimiter)]) for number, line in lines)
        return
    # Strict: a missing closing quote is a fault; otherwise the field would swallow the lines below.
    reader = csv.reader((f"{line}\n" for _, line in lines), strict=True, delimiter=delimiter)
    while reader.line_num < len(lines):
        number = lines[reader.line_num][0]
        try:
            yield number, [part.strip() for part in next(reader)]
        except csv.Error as error:
            mark = "commas" if delimiter == "," else "semicolons"
            faults.add(f'{path}:{number}: {error}; in a table with {mark}, quote a whole field or none of it: "A, B"')
            yield number, []
