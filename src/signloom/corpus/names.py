"""Names of the files of a corpus, and what its header says."""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType

from signloom.files.reading import Kind
from signloom.files.schemas import Name

FORMAT = "signloom-corpus"
FORMAT_VERSION = 1
HEADER = "corpus.json"
MANIFEST = "manifest.jsonl"
LANDMARKS_FOLDER = "landmarks"
# What an importer left out, with the reasons; only where there is any.
LEFT_OUT = "left_out.jsonl"
# Entry of the header: the number of simulated utterances in a corpus that has others as well.
SYNTHETIC_UTTERANCES = "synthetic_utterances"
# Entry of a header in object storage: the folder beside it that holds the corpus.
CONTENT = "content"
HEADER_FILE = Kind("the header of a corpus", 16_000_000)


class Info(Struct):
    """What the header of a corpus says, as far as something depends on it."""

    name: Name | UnsetType = UNSET
    importer: str = ""
    synthetic: bool = False
    synthetic_utterances: int | None = None
