"""Builds the recogniser that a run trains.

Does not import Lightning, which takes seconds.
"""

from __future__ import annotations

import logging

from signloom.inference.model import load
from signloom.inference.torch_engine import recognizer_of
from signloom.model.recognizer import AUXILIARY, Recognizer
from signloom.train.recipe import Recipe
from signloom.vocabulary import Vocabulary

log = logging.getLogger("signloom.train")


def build_recognizer(recipe: Recipe, vocabulary: Vocabulary) -> tuple[Recognizer, str]:
    """Returns a recogniser with new weights, or with those of the model `--init`, and the path of that model ("" if
    none).

    The weights of `--init` are copied, but for the auxiliary head, and the rows of the classifier for glosses that the
    other model does not know.
    """
    if recipe.init is None:
        return Recognizer(recipe.model_config(), len(vocabulary)), ""
    donor = load(recipe.init)
    donor_recognizer = recognizer_of(donor.engine)
    recognizer = Recognizer(recipe.model_config(donor_recognizer.config), len(vocabulary))
    own = recognizer.state_dict()
    # The auxiliary head starts anew: it matters only while the features are learnt.
    weights = {name: value for name, value in donor_recognizer.state_dict().items() if not name.startswith(AUXILIARY)}
    weights |= {name: value for name, value in own.items() if name.startswith(AUXILIARY)}
    shared = [word for word in vocabulary.words if word in donor.vocabulary]
    for name in [name for name in weights if name.startswith("classifier.")]:
        rows = own[name].clone()
        rows[vocabulary.encode(shared)] = weights.pop(name)[donor.vocabulary.encode(shared)]
        weights[name] = rows
    recognizer.load_state_dict(weights)
    new = [word for word in vocabulary.words if word not in donor.vocabulary]
    log.info(
        "started from %s: all its weights but the classifier's rows of %d glosses it does not know%s; the front end %s",
        recipe.init,
        len(new),
        f" ({', '.join(new[:10])}{', ...' if len(new) > 10 else ''})" if new else "",
        "uses the statistics of this corpus"
        if recipe.refit_statistics
        else "keeps the statistics that the weights were trained with",
    )
    return recognizer, str(recipe.init)
