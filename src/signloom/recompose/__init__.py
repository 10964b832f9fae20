"""New training sentences from real ones: a model aligns a corpus of sentences, and signs change places between them.

The docstring of `commands/compose.py` states the rules. Sources: Pu et al. 2020, "Boosting Continuous Sign Language
Recognition via Cross Modality Augmentation", ACM MM (signs of aligned sentences are replaced, text and video alike);
Zhou et al. 2021, "Improving Sign Language Translation with Monolingual Data by Sign Back-Translation", CVPR (sentences
spliced from signs that a CTC alignment cut out).
"""

from signloom.recompose.corpus import Recomposed, RecomposeOptions, recompose
from signloom.recompose.cuts import Cut, CutSentences, cut_sentences
from signloom.recompose.draw import Drawer
from signloom.recompose.splice import Part, splice

__all__ = [
    "Cut",
    "CutSentences",
    "Drawer",
    "Part",
    "RecomposeOptions",
    "Recomposed",
    "cut_sentences",
    "recompose",
    "splice",
]
