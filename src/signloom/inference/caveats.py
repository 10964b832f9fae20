"""What a user should know of a model before believing what it recognises: how few signs it knows, whether it learnt
from real signing."""

from __future__ import annotations

from signloom.errors import listed, plural
from signloom.inference.model import Model

# A person who signs freely uses hundreds of signs: with a vocabulary up to this, most of what is signed is unknown.
FEW_SIGNS = 30


def vocabulary_note(model: Model) -> str | None:
    """Returns a note on a small vocabulary, or None for a larger one."""
    glosses = model.vocabulary.words[2:]
    if len(glosses) > FEW_SIGNS:
        return None
    return (
        f"the model knows {plural(len(glosses), 'sign')}: {listed(glosses, shown=12)}; any other sign is missing from "
        "the result, or comes out as one of them"
    )


def simulated_note(model: Model) -> str | None:
    """Returns a warning for real signing, if the model was trained on simulated signing alone; otherwise None.

    A file of a model that does not say what it was trained on has none.
    """
    corpus = model.info.get("corpus")
    if not isinstance(corpus, dict) or corpus.get("synthetic") is not True:
        return None
    if corpus.get("synthetic_utterances") is not None:
        # A part of the training was real.
        return None
    enrolled = ", apart from the clips it was enrolled with" if "enrolled" in model.info else ""
    return (
        f"the model was trained on simulated signing{enrolled}: what it recognises in real signing says nothing. "
        "Train on real signing for that"
    )
