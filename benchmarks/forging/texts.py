"""The door of text: references and hypotheses in every format, scores, sentences and language models."""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable, Iterator
from pathlib import Path

from forging.cases import Case, Expected, Plant, change, nothing_good, swap, write

# A title for the terminal, a colour, and text that runs backwards.
ESCAPE = "\x1b]0;owned\x07\x1b[31m"
BIDI = "\u202e"

# For each format: a file, the command that reads it, the good files it needs.
FORMATS: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "csv-references": ("refs.csv", ("score", "refs.csv", "hyps.csv"), ("refs.csv", "hyps.csv")),
    "csv-hypotheses": ("hyps.csv", ("score", "refs.csv", "hyps.csv"), ("refs.csv", "hyps.csv")),
    "stm": ("refs.stm", ("score", "refs.stm", "hyps.ctm"), ("refs.stm", "hyps.ctm")),
    "ctm": ("hyps.ctm", ("score", "refs.stm", "hyps.ctm"), ("refs.stm", "hyps.ctm")),
    "trn": ("hyps.trn", ("score", "refs.csv", "hyps.trn"), ("refs.csv", "hyps.trn")),
    "kaldi": ("text", ("score", "refs.csv", "text"), ("refs.csv", "text")),
    "gls": ("hyps.gls", ("score", "refs.gls", "hyps.gls"), ("refs.gls", "hyps.gls")),
    "jsonl": ("hyps.jsonl", ("score", "refs.csv", "hyps.jsonl"), ("refs.csv", "hyps.jsonl")),
    "icefall": ("recogs-test.txt", ("score", "refs.csv", "recogs-test.txt"), ("refs.csv", "recogs-test.txt")),
    "results": ("results.json", ("score", "refs.csv", "results.json"), ("refs.csv", "results.json")),
    "sentences": ("sentences.txt", ("lm", "--sentences", "sentences.txt", "--output", "new.arpa"), ("sentences.txt",)),
    "synth": ("sentences.txt", ("synth", "--sentences", "sentences.txt", "--output", "new", "--preset", "clean"),
              ("sentences.txt",)),
    "arpa": ("lm.arpa", ("lm", "--arpa", "lm.arpa", "--evaluate", "sentences.txt"), ("lm.arpa", "sentences.txt")),
    "score": ("a.json", ("compare", "a.json", "b.json"), ("a.json", "b.json", "refs.csv", "hyps.csv")),
}  # fmt: skip
# One sentence per line without ids: any text is a sentence, and the number of lines alone can be wrong.
WITHOUT_IDS = ("gls", "sentences", "synth")
# What else a message may name.
PLACES = {
    ("csv-references", "empty-references"): ("no reference words",),
    ("csv-hypotheses", "other-ids"): ("u2", "u9"),
    ("csv-hypotheses", "nan"): ("'nan'",),
    ("csv-hypotheses", "glosses-with-commas"): ("'WIND,KALT,REGEN'",),
    ("ctm", "unknown-utterance"): ("u2", "u9"),
    ("kaldi", "other-ids"): ("u2", "u9"),
    ("gls", "line-more"): ("4", "hypothesis", "hypotheses"),
    ("gls", "line-less"): ("3", "reference", "hypothesis", "hypotheses"),
    ("icefall", "hyp-missing"): ("u2",),
}


def cases() -> Iterator[Case]:
    for name, (path, command, uses) in FORMATS.items():

        def case(
            what: str, plant: Plant, expected: Expected = "refused", *, planted: tuple[str, ...] = (),
            names: tuple[str, ...] = (), reason: str = "",
            name: str = name, path: str = path, command: tuple[str, ...] = command, uses: tuple[str, ...] = uses,
        ) -> Case:  # fmt: skip
            return Case(
                f"text/{name}/{what}", command, uses, plant, names=(path, *names), expected=expected, planted=planted,
                reason=reason, hangs="fifo" in what or "dev" in what, stdout="terminal" if planted else "file",
            )  # fmt: skip

        for what, plant in nothing_good(path):
            if what.startswith("truncated"):
                # A text may end anywhere; see the faults of each format.
                continue
            if what == "dev-null" and name in ("score",):
                continue
            yield case(what, plant)
        yield from _encodings(name, path, case)
        for what, plant in FAULTS.get(name, {}).items():
            # In stm and ctm a time may be infinite, as an end that nobody knows.
            endless = name in ("stm", "ctm") and what.endswith(("-inf", "-1e400"))
            yield case(what, plant, "any" if endless else "refused", names=PLACES.get((name, what), ()))
    path, command, uses = FORMATS["csv-hypotheses"]
    yield Case(
        "text/csv-hypotheses/glosses-in-list",
        command,
        uses,
        swap(path, "WIND KALT WARM", "['WIND', 'KALT', 'WARM']"),
        expected="same",
        reason="a list is read as a list",
    )
    path, command, uses = FORMATS["stm"]
    yield Case(
        "text/stm/alternations-many",
        command,
        uses,
        swap(path, "SONNE", " ".join(["{ A / B C / D }"] * 2000)),
        expected="accepted",
        reason="sclite has no limit; time and memory count",
    )


def _encodings(name: str, path: str, case: Callable[..., Case]) -> Iterator[Case]:
    json_alone = name in ("results", "score")
    yield case("bom", change(path, lambda data: b"\xef\xbb\xbf" + data), "either" if json_alone else "same")
    yield case("crlf", change(path, lambda data: data.replace(b"\n", b"\r\n")), "same")
    yield case("utf-16", change(path, lambda data: data.decode().encode("utf-16")), "either" if json_alone else "same")
    yield case("utf-32", change(path, lambda data: data.decode().encode("utf-32")))
    yield case("latin-1", change(path, lambda data: data.replace(b"REGEN", b"M\xdcNCHEN")))
    yield case("surrogate", change(path, lambda data: data.replace(b"REGEN", b"A\xed\xa0\x80B")))
    # JSON has escapes of its own for what is no text.
    if name in ("jsonl", "results", "score"):
        yield case("surrogate-escaped", change(path, lambda data: data.replace(b"REGEN", b"A\\ud800B")))
        plant = change(path, lambda data: data.replace(b"REGEN", b"A\\u001b[31mB"))
        yield case("escape-escaped", plant, planted=("\x1b[31m",))
        plant = change(path, lambda data: data.replace(b"REGEN", b"A\\u0000B"))
        yield case("nul-escaped", plant, planted=("\0",))
    for what, text in {"escape": ESCAPE, "nul": "\0", "bidi": BIDI, "backspace": "\b\b"}.items():
        bad = f"A{text}B"
        # A mark of direction is text; it may stay in files, but not reach a terminal.
        expected = "any" if what == "bidi" else "refused"
        plant = change(path, lambda data, bad=bad: data.replace(b"REGEN", bad.encode()))
        yield case(f"{what}-gloss", plant, expected, planted=(text,))
    if name not in (*WITHOUT_IDS, "arpa"):
        for what, text in {"escape": ESCAPE, "nul": "\0", "bidi": BIDI}.items():
            bad = f"u1{text}"
            expected = "any" if what == "bidi" else "refused"
            plant = change(path, lambda data, bad=bad: data.replace(b"u1", bad.encode()))
            yield case(f"{what}-id", plant, expected, planted=(text,))
    yield case("one-long-line", change(path, lambda data: data.replace(b"REGEN", b"A" * 30_000_000)))


def _lines(*bad: str, count: int = 100_000) -> Callable[[], bytes]:
    """Returns a table of many lines, with bad ones in the middle."""

    def make() -> bytes:
        lines = [f"v{number}|REGEN MORGEN" for number in range(count)]
        lines[count // 2 : count // 2] = bad
        return "\n".join(["id|gloss", *lines, ""]).encode()

    return make


def _gzip(path: str, edit: Callable[[bytes], bytes] = lambda data: data) -> Plant:
    """Plants a packed file under its plain name; readers unpack what is packed."""

    def plant(folder: Path, rng: random.Random) -> None:
        (folder / path).write_bytes(edit(gzip.compress((folder / path).read_bytes(), mtime=0)))

    return plant


def gzip_bomb() -> bytes:
    """Returns a gzip file that unpacks to 10 GB."""
    import zlib

    block = bytes(2**20)
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    start = packer.compress(b"id|gloss\n") + packer.flush(zlib.Z_FULL_FLUSH)
    repeated = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    return start + repeated * 10_000 + packer.flush(zlib.Z_FINISH)


# Faults of one format each.
FAULTS: dict[str, dict[str, Plant]] = {
    "csv-references": {
        "id-twice": swap("refs.csv", "u2|", "u1|"),
        "id-empty": swap("refs.csv", "u2|", "|"),
        "no-gloss-column": swap("refs.csv", "gloss", "words"),
        "column-twice": swap("refs.csv", "signer", "gloss"),
        "header-only": write("refs.csv", "id|signer|gloss\n"),
        "field-more": swap("refs.csv", "SONNE", "SONNE|x"),
        "field-less": swap("refs.csv", "ben|", ""),
        "one-bad-of-100000": write("refs.csv", _lines("x|y|z")),
        "two-bad-of-100000": write("refs.csv", _lines("x|y|z", "v7|REGEN")),
        "quote": write("refs.csv", 'id,gloss\nu1,"REGEN MORGEN\nu2,SONNE\nu3,WIND\n'),
        "no-delimiter": write("refs.csv", "u1 REGEN MORGEN\nu2 SONNE\n"),
        "list-unquoted": write("refs.csv", "id,gloss\nu1,['REGEN', 'MORGEN']\nu2,SONNE\n"),
        "empty-references": write("refs.csv", "id|gloss\nu1|\nu2|\nu3|\n"),
        "gzip-bomb": write("refs.csv", gzip_bomb),
        "gzip-cut": _gzip("refs.csv", lambda data: data[:-9]),
        "gzip-flipped": _gzip("refs.csv", lambda data: data[:20] + bytes([data[20] ^ 255]) + data[21:]),
        "gzip-of-gzip": _gzip("refs.csv", lambda data: gzip.compress(data)),
    },
    "csv-hypotheses": {
        "id-twice": swap("hyps.csv", "u2|", "u1|"),
        "nan": swap("hyps.csv", "SONNE", "nan"),
        "other-ids": swap("hyps.csv", "u2|", "u9|"),
        "no-ids-in-common": write("hyps.csv", "id|gloss\nx|A\ny|B\n"),
        "glosses-with-commas": swap("hyps.csv", "WIND KALT WARM", "WIND,KALT,REGEN"),
    },
    "stm": {
        **{f"time-{value}": swap("refs.stm", "2.00", value) for value in ("nan", "inf", "-1", "x", "1e400", "")},
        "end-before-start": swap("refs.stm", "0.00 2.00", "3.00 2.00"),
        "few-fields": swap("refs.stm", "u2 1 ben 0.00 1.00 SONNE", "u2 1 ben"),
        "alternation-open": swap("refs.stm", "SONNE", "{ SONNE / WIND"),
        "alternation-deep": swap("refs.stm", "SONNE", "{ " * 5000 + "SONNE" + " }" * 5000),
    },
    "ctm": {
        **{f"time-{value}": swap("hyps.ctm", "1.20", value) for value in ("nan", "inf", "-1", "x", "1e400")},
        **{f"duration-{value}": swap("hyps.ctm", "1.20 0.50", f"1.20 {value}") for value in ("nan", "inf", "-1", "x")},
        "few-fields": swap("hyps.ctm", "u2 1 0.00 0.50 SONNE", "u2 1 0.00"),
        "utterance-twice": change("hyps.ctm", lambda data: data + b"u1 1 0.00 0.50 REGEN\n"),
        "unknown-utterance": swap("hyps.ctm", "u2 1", "u9 1"),
    },
    "trn": {
        "no-id": swap("hyps.trn", " (u2)", ""),
        "id-twice": swap("hyps.trn", "(u2)", "(u1)"),
        "bracket-open": swap("hyps.trn", "(u2)", "(u2"),
        "brackets-many": swap("hyps.trn", "(u2)", "(" * 50_000 + "u2" + ")" * 50_000),
        "spaces-many": swap("hyps.trn", "(u2)", " " * 200_000 + "x"),
    },
    "kaldi": {"id-twice": swap("text", "u2 ", "u1 "), "other-ids": swap("text", "u2 ", "u9 ")},
    "gls": {
        "line-more": change("hyps.gls", lambda data: data + b"REGEN\n"),
        "line-less": swap("hyps.gls", "REGEN\n", ""),
    },
    "jsonl": {
        "id-twice": swap("hyps.jsonl", '"u2"', '"u1"'),
        "id-number": swap("hyps.jsonl", '"u2"', "2"),
        "id-empty": swap("hyps.jsonl", '"u2"', '""'),
        "glosses-numbers": swap("hyps.jsonl", '["SONNE"]', "[1, 2]"),
        "glosses-nan": swap("hyps.jsonl", '["SONNE"]', "NaN"),
        "glosses-null": swap("hyps.jsonl", '["SONNE"]', "null"),
        "glosses-nested": swap("hyps.jsonl", '["SONNE"]', '[["SONNE"]]'),
        "glosses-object": swap("hyps.jsonl", '["SONNE"]', '{"a": 1}'),
        "list": swap("hyps.jsonl", '{"id": "u2", "glosses": ["SONNE"]}', "[]"),
        "broken": swap("hyps.jsonl", '["SONNE"]}', '["SONNE"'),
        "deep": swap("hyps.jsonl", '["SONNE"]', "[" * 100_000 + "]" * 100_000),
        "digits": swap("hyps.jsonl", '["SONNE"]', "9" * 100_000),
        "key-twice": swap("hyps.jsonl", '"id": "u2"', '"id": "u2", "glosses": ["WIND"]'),
    },
    "icefall": {
        "list-open": swap("recogs-test.txt", "hyp=['SONNE']", "hyp=['SONNE'"),
        "code": swap("recogs-test.txt", "hyp=['SONNE']", "hyp=[open('payload-ran', 'w')]"),
        "deep": swap("recogs-test.txt", "hyp=['SONNE']", "hyp=" + "[" * 5000 + "]" * 5000),
        "numbers": swap("recogs-test.txt", "hyp=['SONNE']", "hyp=[1, 2]"),
        "power": swap("recogs-test.txt", "hyp=['SONNE']", "hyp=[9**9**9]"),
        "hyp-missing": swap("recogs-test.txt", "u2: hyp=['SONNE']\n", ""),
        "id-twice": swap("recogs-test.txt", "u2: hyp", "u1: hyp"),
    },
    "results": {
        "list": write("results.json", "[1, 2]"),
        "null": write("results.json", "null"),
        "entry-null": swap("results.json", '{"gls_ref": "SONNE", "gls_hyp": "SONNE"}', "null"),
        "hyp-number": swap("results.json", '"gls_hyp": "SONNE"', '"gls_hyp": 5'),
        "hyp-nan": swap("results.json", '"gls_hyp": "SONNE"', '"gls_hyp": NaN'),
        "hyp-missing": swap("results.json", ', "gls_hyp": "SONNE"', ""),
        "deep": write("results.json", "[" * 100_000 + "]" * 100_000),
        "digits": write("results.json", '{"u1": ' + "9" * 100_000 + "}"),
        "id-twice": swap("results.json", '"u2"', '"u1"'),
        "cut": change("results.json", lambda data: data[:-9]),
    },
    "arpa": {
        **{f"log-prob-{value}": swap("lm.arpa", "\tREGEN\t", f"\tREGEN\t{value}") for value in ("nan", "inf", "x")},
        "log-prob-positive": change("lm.arpa", lambda data: data.replace(b"-", b"")),
        "no-data": swap("lm.arpa", "\\data\\", "data"),
        "no-end": swap("lm.arpa", "\\end\\", ""),
        "no-unigrams": swap("lm.arpa", "\\1-grams:", "\\9-grams:"),
        "count-wrong": swap("lm.arpa", "ngram 1=", "ngram 1=1"),
        "count-huge": swap("lm.arpa", "ngram 1=", "ngram 1=99999999999"),
        "count-text": swap("lm.arpa", "ngram 1=", "ngram 1=x"),
        "count-digits": swap("lm.arpa", "ngram 1=", "ngram 1=" + "9" * 10_000),
        "order-0": swap("lm.arpa", "ngram 1=", "ngram 0="),
        "order-missing": swap("lm.arpa", "ngram 2=", "ngram 20="),
        "word-twice": swap("lm.arpa", "\tMORGEN\t", "\tREGEN\t"),
        "cut": change("lm.arpa", lambda data: data[: len(data) // 2]),
    },
    "score": {
        "list": write("a.json", "[]"),
        "null": write("a.json", "null"),
        "empty-object": write("a.json", "{}"),
        "deep": write("a.json", "[" * 100_000 + "]" * 100_000),
        "digits": write("a.json", '{"utterances": ' + "9" * 100_000 + "}"),
        "cut": change("a.json", lambda data: data[:-50]),
        "other-references": change("a.json", lambda data: data.replace(b"SONNE", b"MOND")),
    },
}  # fmt: skip
