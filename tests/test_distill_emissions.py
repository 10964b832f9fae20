"""A teacher's emissions on disk: what they lose, when they are made, and for which teacher and clip."""

import errno
import shutil

import numpy as np
import pytest
import torch

from distilling import new_recognizer, recipe, teacher_log_probs
from signloom.corpus import Corpus
from signloom.errors import InputError
from signloom.inference.model import Model, load
from signloom.model.presets import preset
from signloom.train.data import UtteranceDataset
from signloom.train.distill import setup
from signloom.train.distill.cached_emissions import fingerprint, keep_emissions
from signloom.train.distill.losses import soft_loss
from signloom.train.fit import fit
from signloom.train.method import method_of

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("tiny_presets")]


def test_emissions_lose_nothing_that_a_soft_loss_sees():
    # 1,118 words, as PHOENIX has: of a frame the most probable 32 are most, and at temperature 3 little.
    teacher = torch.log_softmax(3.0 * torch.randn(1, 40, 1118, generator=torch.Generator().manual_seed(0)), dim=-1)
    exact = torch.softmax(teacher.double() / 3, -1)
    stored = torch.softmax(torch.from_numpy(teacher.numpy().astype(np.float16)).double() / 3, -1)
    lost = (exact * (exact / stored).log()).sum(-1).max()
    # Half precision rounds logarithms between 8 and 16 by up to 2^-8, a third of that at temperature 3; what is lost is
    # half the variance of such errors, of uniform ones a third of their square: (2^-8 / 3)^2 / 6 = 2.8e-7.
    assert 0 < lost < 1e-6
    assert exact.topk(32, dim=-1).values.sum(-1).mean() == pytest.approx(0.18, abs=0.01)
    assert teacher.exp().topk(32, dim=-1).values.sum(-1).mean() == pytest.approx(0.82, abs=0.01)


@pytest.mark.parametrize(("student", "frame_rate"), [("tiny", False), ("tiny", True), ("tiny_teacher", False)])
def test_kept_emissions_are_those_of_the_teacher_asked_where_nothing_is_changed(
    tiny_corpus, teacher, tmp_path, student, frame_rate
):
    model = load(teacher)
    corpus = Corpus.open(tiny_corpus)
    recognizer = new_recognizer(preset(student, frame_rate=frame_rate), len(model.vocabulary), 1).eval()
    data = UtteranceDataset(corpus, corpus.split("train"), model.vocabulary, view=recognizer.config.view, fps=25.0)
    losses = {}
    for cache in (False, True):
        options = recipe(
            tiny_corpus, teacher, tmp_path, cache=cache, emissions=tmp_path / "emissions" if cache else None
        )
        method = method_of(options, data, recognizer, model.vocabulary)
        assert (method.losses.keywords["teacher"] is None) == cache
        batch = method.train.collate([method.train[index] for index in range(5)])
        assert (batch.teacher_log_probs is None) != cache
        log_probs, lengths = recognizer(batch.points, batch.lengths)
        assert batch.matches.shape[:2] == log_probs.shape[:2]
        losses[cache] = soft_loss(log_probs, lengths, teacher_log_probs(method, batch), batch.matches)
    # Half precision: log-probabilities near -10 are good to 0.004, a third of that at temperature 3, and errors cancel.
    np.testing.assert_allclose(losses[True].tolist(), losses[False].tolist(), rtol=2e-3, atol=1e-5)


def test_emissions_go_on_where_a_killed_run_was(tiny_corpus, teacher, tmp_path, monkeypatch):
    corpus, model = Corpus.open(tiny_corpus), load(teacher)
    items = corpus.split("train")
    computed = []
    original = Corpus.load_view

    def dying(corpus, item, view):
        if len(computed) >= 6:
            raise KeyboardInterrupt
        computed.append(item.id)
        return original(corpus, item, view)

    monkeypatch.setattr(Corpus, "load_view", dying)
    with pytest.raises(KeyboardInterrupt):
        keep_emissions(model, corpus, items, tmp_path, batch_size=3)
    assert len(list(tmp_path.rglob("*.npy"))) == 6
    # What a process that is killed while it writes leaves behind is no emission.
    folder = next(tmp_path.iterdir())
    (folder / ".half.npy.part").write_bytes(b"half")
    first = set(computed)
    computed.clear()

    def counted(corpus, item, view):
        computed.append(item.id)
        return original(corpus, item, view)

    monkeypatch.setattr(Corpus, "load_view", counted)
    told = []
    kept = keep_emissions(model, corpus, items, tmp_path, batch_size=3, advance=told.append)
    assert not first & set(computed)
    assert len(computed) == len(items) - 6
    assert sum(told) == len(items)
    expected = {item.id: log_probs for item, log_probs in model.emissions(corpus, items)}
    for item in items:
        np.testing.assert_allclose(kept.read(item), expected[item.id], atol=0.02)
    # A copy of the corpus has the same clips; another process begins elsewhere and finds everything.
    shutil.copytree(tiny_corpus, tmp_path / "copy")
    computed.clear()
    keep_emissions(model, Corpus.open(tmp_path / "copy"), items, tmp_path, start=7)
    assert not computed


def test_processes_that_begin_at_different_places_make_the_same(tiny_corpus, teacher, tmp_path):
    corpus, model = Corpus.open(tiny_corpus), load(teacher)
    items = corpus.split("train")
    one = keep_emissions(model, corpus, items, tmp_path / "one", start=0)
    other = keep_emissions(model, corpus, items, tmp_path / "other", start=9, batch_size=2)
    for item in items:
        np.testing.assert_allclose(one.read(item), other.read(item), atol=0.02)


def test_a_damaged_emission_is_named(tiny_corpus, teacher, tmp_path):
    corpus, model = Corpus.open(tiny_corpus), load(teacher)
    item = corpus.split("train")[0]
    kept = keep_emissions(model, corpus, [item], tmp_path)
    kept.path(item).write_bytes(kept.path(item).read_bytes()[:100])
    with pytest.raises(InputError, match=r"\.npy: not a readable cached emission .* delete it"):
        kept.read(item)
    np.save(kept.path(item), np.zeros((3, 2), dtype=np.float16))
    with pytest.raises(InputError, match=r"float16 values of shape \(3, 2\)"):
        kept.read(item)


def test_emissions_beside_a_teacher_that_is_somebody_elses(tiny_corpus, teacher, tmp_path, monkeypatch):
    def read_only(*given, **options):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(setup, "keep_emissions", read_only)
    with pytest.raises(
        InputError, match=r"teacher/emissions: emissions cannot be kept there \(Read-only .* --emissions"
    ):
        fit(recipe(tiny_corpus, teacher, tmp_path, cache=True))


def test_another_teacher_or_clip_has_other_emissions(tiny_corpus, teacher, tmp_path):
    model = load(teacher)
    key = fingerprint(model)
    assert fingerprint(load(teacher)) == key
    # What is said of a model is no part of it.
    assert fingerprint(Model(model.engine, model.vocabulary, {"note": 1})) == key
    with torch.no_grad():
        next(model.engine.recognizer.parameters()).view(-1)[0] += 1
    assert fingerprint(model) != key
    corpus = Corpus.open(tiny_corpus)
    names = keep_emissions(load(teacher), corpus, corpus.split("dev"), tmp_path).names
    assert len(set(names.values())) == len(names)
