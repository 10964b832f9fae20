import logging

import numpy as np
import pytest

from signloom import layout
from signloom.corpus import Corpus
from signloom.corpus.packing import pack, plan_shards
from signloom.train import data as train_data
from signloom.train.augmentation import AugmentationConfig
from signloom.train.data import ClipCache, UtteranceDataset
from signloom.train.fit import fit
from signloom.train.recipe import Recipe
from signloom.vocabulary import Vocabulary


@pytest.fixture
def corpus(tiny_corpus) -> Corpus:
    return Corpus.open(tiny_corpus)


def dataset(corpus: Corpus, cache: ClipCache, fps: float = 25.0) -> UtteranceDataset:
    items = corpus.split("train")
    vocabulary = Vocabulary.from_glosses(item.glosses for item in items)
    return UtteranceDataset(
        corpus, items, vocabulary, view="compact", fps=fps, augmentation=AugmentationConfig(), cache=cache
    )


# Resampled, a clip has more digits than half precision.
@pytest.mark.parametrize("fps", [25.0, 30.0])
def test_an_example_is_the_same_whether_its_clip_is_kept_or_not(corpus, fps):
    kept, read = dataset(corpus, ClipCache(), fps), dataset(corpus, ClipCache(0), fps)
    for index in range(len(kept)):
        first, again, other = kept[index].points, kept[index].points, read[index].points
        np.testing.assert_array_equal(first, again)
        np.testing.assert_array_equal(first, other)


def test_the_cache_keeps_no_more_than_it_may(corpus, monkeypatch):
    sizes = [item.num_frames * 85 * 3 * 2 for item in corpus.split("train")]
    limit = sum(sizes) / 2
    cache = ClipCache(limit)
    data = dataset(corpus, cache)
    loaded: list[str] = []
    load = Corpus.load_view

    def counting(self, utterance, view):
        loaded.append(utterance.id)
        return load(self, utterance, view)

    monkeypatch.setattr(Corpus, "load_view", counting)
    for _ in range(2):
        for index in range(len(data)):
            data.points(index)
    assert 0 <= cache.free < max(sizes)
    # What was kept was read once, the rest twice.
    assert len(data) < len(loaded) < 2 * len(data)


def test_splits_and_views_share_a_cache_without_mixing(corpus):
    cache = ClipCache()
    data = dataset(corpus, cache)
    wide = data.in_view("full")
    assert wide.points(0).shape[1] == 543
    assert data.points(0).shape[1] == 85
    np.testing.assert_array_equal(wide.points(0), wide.points(0))


def test_hands_at_rest_have_shapes_that_the_seed_alone_draws(corpus, monkeypatch):
    first, again = dataset(corpus, ClipCache()), dataset(corpus, ClipCache(0))
    shapes = first.parts().hands
    assert shapes.shape[1:] == (21, 3)
    assert 0 < len(shapes) <= 2 * train_data.SHAPES_PER_CLIP * len(first)
    assert np.isfinite(shapes).all()
    np.testing.assert_array_equal(shapes, again.parts().hands)
    np.testing.assert_array_equal(shapes, dataset(corpus, ClipCache()).in_view("full").parts().hands)
    monkeypatch.setattr(train_data, "SHAPE_CLIPS", 3)
    assert len(dataset(corpus, ClipCache()).parts().hands) <= 3 * 2 * train_data.SHAPES_PER_CLIP


def test_faces_for_clips_without_one_are_those_of_a_view_and_drawn_by_the_seed(corpus):
    first, again = dataset(corpus, ClipCache()), dataset(corpus, ClipCache(0))
    faces = first.parts().faces
    assert 0 < len(faces) <= len(first)
    size = layout.subset_groups("compact")["face"]
    assert {face.shape[1:] for face in faces} == {(size.stop - size.start, 3)}
    for face, other in zip(faces, again.parts().faces, strict=True):
        np.testing.assert_array_equal(face, other)
    # Another view has other points, even of a dataset that has drawn its faces.
    assert {face.shape[1] for face in first.in_view("full").parts().faces} == {layout.NUM_FACE_POINTS}


def test_training_says_which_parts_no_clip_shows_and_uses_faces_of_others(corpus, tmp_path, monkeypatch, caplog):
    face = layout.subset_groups("compact")["face"]
    points = UtteranceDataset.points
    hidden: set[int] = set()

    def without_faces(self, index):
        clip = points(self, index)
        if index in hidden:
            clip[:, face] = np.nan
        return clip

    monkeypatch.setattr(UtteranceDataset, "points", without_faces)
    data = dataset(corpus, ClipCache())
    hidden |= {0, 1}
    shown = []
    for data.epoch in range(20):
        shown += [np.isfinite(data[index].points[:, face, 0]).any() for index in (0, 1)]
    # A face is put in and is dropped as often as any other.
    assert 0.4 < np.mean(shown) < 0.95
    hidden |= set(range(len(data)))
    assert dataset(corpus, ClipCache()).parts().faces == []
    with caplog.at_level(logging.INFO, logger="signloom"):
        fit(Recipe(data_dir=corpus.root, output=tmp_path / "run", max_steps=1))
        fit(Recipe(data_dir=corpus.root, output=tmp_path / "next", max_steps=1, init=tmp_path / "run"))
    said = [record.getMessage() for record in caplog.records if "the face" in record.getMessage()]
    assert said == [
        "no training clip shows the face: the model ignores it, in other clips as well",
        "the model of --init ignores the face, which it never saw; --refit_statistics lets it look",
    ]


def test_the_shapes_of_a_packed_corpus_come_from_few_shards(corpus, tmp_path, monkeypatch):
    pack(corpus, tmp_path / "shards", plan_shards(corpus, shard_bytes=100_000, seed=0))
    data = dataset(Corpus.open(tmp_path / "shards"), ClipCache())
    assert len(np.unique(data.shards)) > 3
    monkeypatch.setattr(train_data, "SHAPE_SHARDS", 2)
    read: set[int] = set()
    load = UtteranceDataset.points

    def watched(self, index):
        read.add(int(self.shards[index]))
        return load(self, index)

    monkeypatch.setattr(UtteranceDataset, "points", watched)
    assert len(data.parts().hands)
    assert len(read) == 2
