"""The table of commands: one module per command, named as the command.

A command's module has a dataclass `Options` and a function `run(options) -> exit status`. The table alone answers
`signloom --help`: a module is imported when its command is called.
"""

from __future__ import annotations

import keyword

COMMANDS: dict[str, str] = {
    "quickstart": "the whole road on simulated signing: corpus, training, scores, report",
    "extract": "videos or frame folders -> landmark files, by MediaPipe Holistic",
    "import": "annotations and other people's landmark formats -> a corpus",
    "compose": "isolated clips -> a corpus of continuous utterances",
    "synth": "a corpus of simulated signing, its truth known",
    "recipes": "the named sets of training options that ship",
    "train": "train a recogniser on a corpus",
    "distill": "train a student that also learns from a teacher, and tell what that gave",
    "crossval": "leave one signer out: train without each signer in turn, score on them",
    "doctor": "what makes training fail: checks of a corpus, a model, a run, a recipe",
    "verify": "ten iterations on one batch of a corpus: does the loss fall?",
    "overfit": "can a model learn ten utterances of a corpus by heart?",
    "lm": "an n-gram language model of gloss sentences, as an ARPA file; its perplexity",
    "tune": "weigh a language model against a model on dev, and keep it with the model",
    "evaluate": "word error rate of a model on a split of a corpus",
    "compare": "two systems on the same references: is the difference real, and where?",
    "transcribe": "glosses of a video, a frame folder or a landmark file",
    "align": "when each gloss of a known sentence was signed: forced alignment, to ELAN too",
    "score": "word error rate of any hypothesis file against any reference file",
    "export_pose": "landmark files -> .pose files, for the tools of pose-format",
}

# Commands that train a model, be it for ten iterations. They need the extra `train`.
TRAINING = ("quickstart", "train", "distill", "crossval", "doctor", "verify", "overfit")


def module_of(command: str) -> str:
    """Returns the dotted name of the module that runs `command`."""
    return f"signloom.commands.{command}{'_' if keyword.iskeyword(command) else ''}"
