"""The utterances that a run trains on."""

from __future__ import annotations

import logging
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from signloom.cli import parse
from signloom.commands.compose import Options as ComposeOptions
from signloom.corpus import Corpus
from signloom.errors import InputError
from signloom.train.recipe import Recipe
from signloom.train.selection import train_split


def isolated(corpus: Corpus, *, with_dev: bool) -> Corpus:
    """Returns a corpus whose utterances have one gloss each, as importers of isolated signs make it."""
    items = [replace(item, glosses=item.glosses[:1]) for item in corpus]
    root = corpus.root.with_name("my signs")
    return replace(corpus, root=root, utterances=tuple(item for item in items if with_dev or item.split == "train"))


def test_isolated_clips_name_the_command_that_composes_them(tiny_corpus, caplog):
    corpus = isolated(Corpus.open(tiny_corpus), with_dev=False)
    with pytest.raises(InputError, match="16 clips of isolated signs, and no dev split") as raised:
        train_split(corpus, Recipe(corpus.root))
    compose = str(raised.value).partition("first: ")[2].partition(", then: ")[0]
    words = shlex.split(compose)
    options = parse(ComposeOptions, "", "signloom compose", words[2:])
    assert words[:2] == ["signloom", "compose"]
    assert (options.corpus, options.output) == (corpus.root, Path(f"{corpus.root}-sentences"))
    assert str(raised.value).endswith(f"then: signloom train --data_dir '{corpus.root}-sentences'")


def test_isolated_signs_with_a_dev_split_can_be_learnt(tiny_corpus, caplog):
    corpus = isolated(Corpus.open(tiny_corpus), with_dev=True)
    with caplog.at_level(logging.WARNING):
        assert len(train_split(corpus, Recipe(corpus.root))) == 16
    assert "every training utterance has one gloss" in caplog.text
    assert "signloom compose" in caplog.text


def test_sentences_are_taken_as_they_are(tiny_corpus, caplog):
    corpus = Corpus.open(tiny_corpus)
    assert len(train_split(corpus, Recipe(corpus.root))) == 16
    assert caplog.text == ""
