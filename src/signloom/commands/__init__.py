"""The table of commands: one module per command, named as the command.

A command's module has a dataclass `Options` and a function `run(options) -> exit status`. The table alone answers
`signloom --help`: a module is imported when its command is called.
"""

from __future__ import annotations

import keyword

COMMANDS: dict[str, str] = {
    "quickstart": "the whole workflow on simulated signing: corpus, training, scores, report",
    "extract": "videos or folders of frames -> landmark files, by MediaPipe Holistic",
    "show": "draw what was tracked over its video, as a film or a contact sheet",
    "import": "annotations and landmark files of other formats -> a corpus",
    "compose": "clips of isolated signs -> a corpus of sentences; sentences -> more sentences",
    "synth": "make a corpus of simulated signing, with known truth",
    "pack": "a corpus -> tar shards in WebDataset's layout, to train from on a cluster",
    "unpack": "tar shards -> the corpus that was packed",
    "recipes": "list the sets of training options that come with signloom",
    "train": "train a recogniser on a corpus",
    "distill": "train a student with the help of a teacher, and measure what the teacher adds",
    "enrol": "a trained model and a few clips of a new signer or of new signs -> a model that knows them, in seconds",
    "crossval": "cross-validation over signers: train without one signer, evaluate on that signer",
    "doctor": "find what makes training fail: checks of a corpus, a model, a run or a recipe",
    "verify": "train for ten iterations on one batch: does the loss fall?",
    "overfit": "can a model learn ten utterances of a corpus by heart?",
    "lm": "an n-gram language model of gloss sentences, as an ARPA file; its perplexity",
    "tune": "choose the weight of a language model on dev, and store both with the model",
    "evaluate": "word error rate of a model on a split of a corpus",
    "export": "a trained model -> one .onnx file that runs without torch, proved to compute the same",
    "plan": "machine hours, storage and time that a corpus of many hours takes, from measured costs",
    "compare": "compare two systems on the same references: is the difference real, and where?",
    "transcribe": "recognise the glosses of videos, folders of frames and landmark files",
    "live": "recognise signing while it happens: camera or video in, captions on the screen",
    "page": "a model -> a static page that recognises signing in the visitor's own browser",
    "serve": "show the page of a model on this computer",
    "lookup": "look up a sign by signing it: the nearest of a folder of example clips",
    "align": "find when each gloss of a known sentence was signed (forced alignment), also as ELAN",
    "score": "word error rate of any file of hypotheses against any file of references",
    "export_pose": "landmark files -> .pose files, for pose-format and its tools",
    "completion": "what makes a shell complete commands, options and files at the tab key",
}

# Commands that train a model, even if only for ten iterations: they need the extra `train`.
TRAINING = ("quickstart", "train", "distill", "enrol", "crossval", "doctor", "verify", "overfit")


def module_of(command: str) -> str:
    """Returns the dotted name of the module that runs `command`."""
    return f"signloom.commands.{command}{'_' if keyword.iskeyword(command) else ''}"
