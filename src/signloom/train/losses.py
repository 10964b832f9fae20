"""What training minimises: losses as functions of a model and a batch.

Shapes: B utterances.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from signloom.model.recognizer import Heads, Recognizer, ctc_of_heads
from signloom.train.data import Batch


class Losses(NamedTuple):
    """Losses of the utterances of a batch, `(B,)` each, not yet divided by the number of glosses.

    total: what training minimises.  ctc: the CTC loss of the classifier, a part of it.  heads: the outputs of the
    model; a multiple of B rows if the model saw several views of each utterance.
    """

    total: Tensor
    ctc: Tensor
    heads: Heads


# The loss of a training method.
LossFunction = Callable[[Recognizer, Batch], Losses]


def plain_losses(recognizer: Recognizer, batch: Batch, *, auxiliary_weight: float) -> Losses:
    """Returns the CTC losses of a batch, with `auxiliary_weight` times those of the auxiliary head."""
    heads = recognizer.heads(batch.points, batch.lengths)
    total, ctc = ctc_of_heads(heads, batch.targets, batch.target_lengths, auxiliary_weight=auxiliary_weight)
    return Losses(total, ctc, heads)
