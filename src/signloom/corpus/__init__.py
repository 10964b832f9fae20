"""A corpus on disk: `corpus.json`, `manifest.jsonl` with one utterance per line, and a landmark file per utterance.

You can move or copy the folder as a whole: the paths in the manifest are relative to it and stay inside it. A packed
corpus has its landmark files as members of a few large archives (see `shards`). A corpus may lie in object storage (see
`stored`).
"""

from signloom.corpus.names import HEADER, LANDMARKS_FOLDER, LEFT_OUT, MANIFEST, SYNTHETIC_UTTERANCES
from signloom.corpus.reading import Corpus, NoCorpusError, check_split, landmark_file, simulated_label
from signloom.corpus.shards import shard_files
from signloom.corpus.utterance import SPLITS, Utterance
from signloom.corpus.utterances import Utterances, num_sampled, spread
from signloom.corpus.writing import CorpusWriter, check_output

__all__ = [
    "HEADER",
    "LANDMARKS_FOLDER",
    "LEFT_OUT",
    "MANIFEST",
    "SPLITS",
    "SYNTHETIC_UTTERANCES",
    "Corpus",
    "CorpusWriter",
    "NoCorpusError",
    "Utterance",
    "Utterances",
    "check_output",
    "check_split",
    "landmark_file",
    "num_sampled",
    "shard_files",
    "simulated_label",
    "spread",
]
