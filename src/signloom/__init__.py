"""signloom: continuous sign language recognition from landmarks.

import signloom
model = signloom.load("runs/quickstart/model.safetensors")
for sign in model.transcribe("clip.mp4").glosses:
    print(sign.start_seconds, sign.end_seconds, sign.gloss, sign.confidence)
for path, hypothesis in model.transcribe("videos").items():
    print(path, hypothesis.text)
landmarks = signloom.extract_landmarks("clip.mp4")
landmarks[:50].draw().save("first_two_seconds.png")
for utterance in signloom.Corpus.open("corpus").split("dev"):
    print(utterance.id, utterance.glosses)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from signloom.corpus import Corpus, Utterance
    from signloom.demo import demo_model
    from signloom.errors import InputError, SignloomError
    from signloom.extract import extract_landmarks
    from signloom.inference.model import load
    from signloom.inference.stream_options import StreamOptions
    from signloom.inference.streaming import StreamingRecognizer
    from signloom.landmarks import Landmarks
    from signloom.vocabulary import Vocabulary

# The module of each name, imported on first use: `import signloom` and `signloom --help` stay instant.
_HOMES = {
    "Corpus": "signloom.corpus",
    "demo_model": "signloom.demo",
    "Utterance": "signloom.corpus",
    "InputError": "signloom.errors",
    "SignloomError": "signloom.errors",
    "Landmarks": "signloom.landmarks",
    "StreamOptions": "signloom.inference.stream_options",
    "StreamingRecognizer": "signloom.inference.streaming",
    "extract_landmarks": "signloom.extract",
    "load": "signloom.inference.model",
    "Vocabulary": "signloom.vocabulary",
}
__all__ = [
    "Corpus",
    "InputError",
    "Landmarks",
    "SignloomError",
    "StreamOptions",
    "StreamingRecognizer",
    "Utterance",
    "Vocabulary",
    "__version__",
    "demo_model",
    "extract_landmarks",
    "load",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'signloom' has no attribute {name!r}")
