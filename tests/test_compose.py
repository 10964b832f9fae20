import hashlib
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from conftest import random_landmarks
from signloom import layout
from signloom.cli import main
from signloom.compose import ComposeOptions, common_fps, compose, join, retimed_positions, split_clips
from signloom.corpus import Corpus, CorpusWriter
from signloom.errors import InputError
from signloom.landmarks import Landmarks

WRIST = layout.index("right_hand.wrist")


def clip(number: int, num_frames: int = 20, fps: float = 25.0, **fields) -> Landmarks:
    """A clip whose every coordinate is its own number, and whose wrist's y is the frame: origins stay readable."""
    points = np.full((num_frames, layout.NUM_POINTS, 3), float(number), dtype=np.float32)
    points[:, WRIST, 1] = np.arange(num_frames)
    return Landmarks(points, np.ones((num_frames, 33)), fps=fps, **fields)


def isolated(root: Path, counts: dict[tuple[str | None, str], int], **fields) -> Corpus:
    with CorpusWriter(root, {"name": "signs", "licence": "CC0"}) as writer:
        number = 0
        for (group, gloss), count in counts.items():
            for k in range(count):
                writer.add(
                    f"{group}-{gloss}-{k}",
                    split="train",
                    signer=group,
                    glosses=[gloss],
                    landmarks=clip(number, **fields),
                )
                number += 1
    return Corpus.open(root)


GROUPS = {(group, gloss): 20 for group in ("ann", "ben", "cyd") for gloss in ("A", "B", "C", "D")}


@pytest.fixture(scope="module")
def signs(tmp_path_factory):
    return isolated(tmp_path_factory.mktemp("signs") / "c", GROUPS)


@pytest.fixture(scope="module")
def held_out(signs, tmp_path_factory):
    options = ComposeOptions(held_out=["ben"], num_train=30, num_dev=10, num_test=10, seed=3)
    return compose(signs, tmp_path_factory.mktemp("held") / "c", options)


def digest(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.slow
def test_no_clip_is_in_two_splits(signs, tmp_path):
    made = compose(signs, tmp_path / "c", ComposeOptions(num_train=60, num_dev=60, num_test=60))
    used = {split: {c for u in made.split(split) for c in u.truth["clips"]} for split in ("train", "dev", "test")}
    assert not used["train"] & used["dev"]
    assert not used["train"] & used["test"]
    assert not used["dev"] & used["test"]


def test_clips_are_shared_70_15_15_within_every_gloss_of_a_group(signs):
    pools = split_clips(signs, ComposeOptions()).pools
    for group in ("ann", "ben", "cyd"):
        for gloss in "ABCD":
            assert [len(pools[split][group][gloss]) for split in ("train", "dev", "test")] == [14, 3, 3]


def test_unseen_signers_are_in_test_only_and_with_all_their_clips(signs, held_out):
    signers = {split: {u.signer for u in held_out.split(split)} for split in ("train", "dev", "test")}
    assert signers == {"train": {"ann", "cyd"}, "dev": {"ann", "cyd"}, "test": {"ben"}}
    pools = split_clips(signs, ComposeOptions(held_out=["ben"])).pools
    assert {gloss: len(clips) for gloss, clips in pools["test"]["ben"].items()} == dict.fromkeys("ABCD", 20)


def test_holding_out_a_group_does_not_reshuffle_the_others(signs):
    seen, held = split_clips(signs, ComposeOptions()).pools, split_clips(signs, ComposeOptions(held_out=["ben"])).pools
    assert held["train"]["ann"] == seen["train"]["ann"]
    assert held["dev"]["cyd"] == seen["dev"]["cyd"]


@pytest.fixture(scope="module")
def six(tmp_path_factory):
    """Six groups: `all` has a gloss of its own, `most` covers more glosses than the others."""
    counts = {(group, gloss): 7 for group in ("c", "d", "e", "f") for gloss in ("A", "B")}
    counts |= {("all", gloss): 7 for gloss in "ABCD"} | {("most", gloss): 7 for gloss in "ABC"}
    return isolated(tmp_path_factory.mktemp("six") / "c", counts, num_frames=8)


def ids(pool) -> set[str]:
    return {clip.id for glosses in pool.values() for clips in glosses.values() for clip in clips}


def test_dev_holds_a_stranger_where_six_groups_train(six):
    splits = split_clips(six, ComposeOptions())
    assert set(splits.pools["dev"]) == {"most"}
    assert set(splits.pools["train"]) == set(splits.pools["test"]) == {"all", "c", "d", "e", "f"}
    # All clips of the stranger are dev's. Train has what the others would have given to dev: 6 of their 7 clips.
    assert {gloss: len(clips) for gloss, clips in splits.pools["dev"]["most"].items()} == dict.fromkeys("ABC", 7)
    assert {len(clips) for glosses in splits.pools["train"].values() for clips in glosses.values()} == {6}
    assert any("dev holds most, who is not in train, and 3 of the 4 glosses" in note for note in splits.notes)


def test_who_is_in_dev_depends_on_nothing_that_is_unrelated(six):
    known = split_clips(six, ComposeOptions(dev_signers=["known"])).pools
    assert set(known["dev"]) == set(known["train"])
    few = ComposeOptions(num_train=1, num_dev=0, num_test=0, clips_per_gloss=2, max_glosses=9)
    auto, limited = split_clips(six, ComposeOptions()).pools, split_clips(six, few).pools
    assert limited["dev"] == auto["dev"]
    # The same clips as without a stranger in dev come first.
    assert limited["train"]["c"] == {gloss: clips[:2] for gloss, clips in known["train"]["c"].items()}
    # The clips of a group do not depend on who else is in dev.
    other = split_clips(six, ComposeOptions(dev_signers=["d"])).pools
    assert other["train"]["c"] == auto["train"]["c"]
    assert other["test"]["c"] == known["test"]["c"]


def test_fewer_groups_and_known_signers_leave_dev_as_it_was(six, signs):
    five = split_clips(six, ComposeOptions(held_out=["c"]))
    assert five.pools == split_clips(six, ComposeOptions(held_out=["c"], dev_signers=["known"])).pools
    assert any("5 signers could train; from 6 on" in note and "crossval --nested" in note for note in five.notes)
    with_one = split_clips(six, ComposeOptions(held_out=["c"], dev_signers=["1"])).pools
    assert (set(with_one["dev"]), set(with_one["test"])) == ({"most"}, {"c"})
    assert not ids(with_one["train"]) & (ids(with_one["dev"]) | ids(with_one["test"]))


def test_a_dev_split_of_the_clips_stays_and_a_missing_one_is_made_of_strangers(six):
    def given(*splits):
        return replace(
            six,
            utterances=tuple(replace(clip, split=splits[number % len(splits)]) for number, clip in enumerate(six)),
        )

    own = given("train", "dev", "test")
    assert split_clips(own, ComposeOptions()).pools == split_clips(own, ComposeOptions(dev_signers=["known"])).pools
    with pytest.raises(InputError, match="come with a dev split, which stays"):
        split_clips(own, ComposeOptions(dev_signers=["c"]))
    splits = split_clips(given("train", "test"), ComposeOptions())
    came = {clip.id: clip.split for clip in given("train", "test")}
    assert {group for group, glosses in splits.pools["dev"].items()} == {"most"}
    assert ids(splits.pools["train"]) | ids(splits.pools["dev"]) == {
        name for name, split in came.items() if split == "train"
    }
    assert ids(splits.pools["test"]) == {name for name, split in came.items() if split == "test"}
    assert not any("dev gets a share" in note for note in splits.notes)


def test_groups_of_dev_that_cannot_be_are_refused(six):
    with pytest.raises(InputError, match="no signer 'al'; did you mean 'all'"):
        split_clips(six, ComposeOptions(dev_signers=["al"]))
    with pytest.raises(InputError, match="--dev_signers names every signer"):
        split_clips(six, ComposeOptions(dev_signers=["all", "most", "c", "d", "e", "f"]))
    with pytest.raises(InputError, match="c in --held_out and in --dev_signers"):
        ComposeOptions(held_out=["c"], dev_signers=["c", "d"])
    with pytest.raises(InputError, match="auto and known stand alone"):
        ComposeOptions(dev_signers=["auto", "c"])
    # Only by its name: train loses D.
    assert any("dev has 1 gloss that" in note for note in split_clips(six, ComposeOptions(dev_signers=["all"])).notes)


def test_the_signs_of_an_utterance_are_its_glosses_at_its_boundaries(signs, held_out):
    numbers = {c.id: int(signs.load(c).points[0, 0, 0]) for c in signs}
    for utterance in held_out:
        assert 3 <= len(utterance.glosses) <= 8
        boundaries, clips = utterance.truth["boundaries"], utterance.truth["clips"]
        assert len(boundaries) == len(clips) == len(utterance.glosses)
        points = held_out.load(utterance).points
        assert boundaries[0][0] == 0
        assert boundaries[-1][1] == len(points)
        for gloss, source, (start, stop) in zip(utterance.glosses, clips, boundaries, strict=True):
            assert source.split("-")[:2] == [utterance.signer, gloss]
            # every coordinate of a test clip is its number, so the frames between the boundaries name their source
            assert (points[start:stop, 0, 0] == numbers[source]).all()
            # 0.6 to 1.1 of 20 frames
            assert 12 <= stop - start <= 22
            frames = points[start:stop, WRIST, 1]
            # an eighth of the way from the first frame to the last, which are 19 apart
            assert frames[0] <= 19 / 8 + 0.01
            assert frames[-1] >= 19 * 7 / 8 - 0.01
            assert (np.diff(frames) > 0).all()
        for (_, stop), (start, _), a, b in zip(boundaries, boundaries[1:], clips, clips[1:], strict=False):
            assert 3 <= start - stop <= 7
            path = points[stop - 1 : start + 1, 0, 0]
            line = np.linspace(numbers[a], numbers[b], len(path))
            # halves of a unit are the step of half precision at the largest clip number, 239
            np.testing.assert_allclose(path, line, atol=0.13)


def test_a_point_is_missing_in_a_join_where_either_end_misses_it():
    lost = clip(2)
    lost.points[:, WRIST] = np.nan
    joined, boundaries = join([clip(1), lost, clip(3)], np.random.default_rng(0))
    (_, first), (second, third), (fourth, _) = boundaries
    assert np.isfinite(joined.points[:first, WRIST]).all()
    assert np.isnan(joined.points[first:fourth, WRIST]).all()
    assert np.isfinite(joined.points[fourth:, WRIST]).all()
    assert np.isfinite(joined.points[:, 0]).all()
    assert second - first in range(3, 8)
    assert fourth - third in range(3, 8)


@pytest.mark.parametrize("num_frames", [1, 2, 7, 20, 111])
def test_retiming_keeps_to_its_ranges(num_frames):
    rng = np.random.default_rng(1)
    counts = set()
    for _ in range(300):
        positions = retimed_positions(num_frames, rng)
        counts.add(len(positions))
        assert positions[0] >= 0
        assert positions[-1] <= num_frames - 1
        assert positions[0] <= num_frames / 8
        assert positions[-1] >= num_frames - 1 - num_frames / 8
    assert min(counts) == max(8, round(0.6 * num_frames))
    assert max(counts) == max(8, round(1.1 * num_frames))


def test_same_seed_same_bytes_other_seed_other_corpus(signs, tmp_path):
    for name, seed in (("one", 5), ("two", 5), ("other", 6)):
        compose(signs, tmp_path / name, ComposeOptions(num_train=5, num_dev=2, num_test=2, seed=seed))
    assert digest(tmp_path / "one") == digest(tmp_path / "two")
    assert digest(tmp_path / "one") != digest(tmp_path / "other")


def test_more_utterances_begin_with_the_same_ones(signs, tmp_path):
    few = compose(signs, tmp_path / "few", ComposeOptions(num_train=3, num_dev=1, num_test=1))
    many = compose(signs, tmp_path / "many", ComposeOptions(num_train=9, num_dev=1, num_test=1))
    assert [u.truth for u in many.split("train")[:3]] == [u.truth for u in few.split("train")]


def test_clips_per_gloss_limits_training_only(signs):
    pools = split_clips(signs, ComposeOptions(clips_per_gloss=4)).pools
    assert {len(clips) for glosses in pools["train"].values() for clips in glosses.values()} == {4}
    assert {len(clips) for glosses in pools["dev"].values() for clips in glosses.values()} == {3}
    assert "112 clips" not in split_clips(signs, ComposeOptions()).notes
    assert any(
        note.startswith("120 clips are in no split")
        for note in split_clips(signs, ComposeOptions(clips_per_gloss=4)).notes
    )


def test_frame_rates_are_brought_to_the_one_most_clips_have(tmp_path):
    with CorpusWriter(tmp_path / "c", {}) as writer:
        for k in range(9):
            fps = 50.0 if k < 3 else 25.0
            # a second of the same movement at either rate
            writer.add(f"a{k}", split="train", signer="x", glosses=["A"], landmarks=clip(1, int(fps), fps=fps))
    made = compose(
        Corpus.open(tmp_path / "c"), tmp_path / "out", ComposeOptions(num_train=8, num_dev=2, num_test=2, max_glosses=3)
    )
    assert {u.fps for u in made} == {25.0}
    lengths = [stop - start for u in made for start, stop in u.truth["boundaries"]]
    # 0.6 to 1.1 of 25 frames, whatever the rate of the clip was
    assert min(lengths) >= 15
    assert max(lengths) <= 28
    assert common_fps([25.0, 30.0, 30.0]) == 30.0
    assert common_fps([25.0, 30.0]) == 30.0


def test_what_is_known_of_the_clips_is_kept(signs, tmp_path):
    corpus = isolated(tmp_path / "in", {("x", "A"): 3}, image_size=(640, 480), assumed=("fps",))
    made = compose(corpus, tmp_path / "out", ComposeOptions(num_train=2, num_dev=1, num_test=1))
    landmarks = made.load(made.utterances[0])
    assert landmarks.image_size == (640, 480)
    assert landmarks.assumed == ("fps",)
    assert made.info["licence"] == "CC0"
    assert made.name == "signs-composed"
    assert made.info["composed"]["seed"] == 0


def test_a_small_group_and_few_clips_are_told(tmp_path):
    corpus = isolated(tmp_path / "c", {("x", "A"): 6, ("x", "B"): 2, ("x", "C"): 1, ("y", "A"): 6})
    notes = "\n".join(split_clips(corpus, ComposeOptions()).notes)
    assert "group y has 1 of 3 glosses; without B, C" in notes
    assert "dev has no clips of B, C; a gloss needs 3 clips" in notes
    assert "test has no clips of C" in notes
    assert "train has no clips" not in notes
    assert "dev does not show how well new people are recognised" in notes
    held = "\n".join(split_clips(corpus, ComposeOptions(held_out=["x"])).notes)
    assert "test has 2 glosses that are not in the training split (B, C)" in held


def test_splits_that_the_clips_came_with_are_told_to_be_unused(signs):
    assert not any("own splits" in note for note in split_clips(signs, ComposeOptions()).notes)
    mixed = replace(signs, utterances=tuple(replace(u, split="test" if k % 2 else "dev") for k, u in enumerate(signs)))
    assert any("own splits" in note for note in split_clips(mixed, ComposeOptions()).notes)


@pytest.mark.parametrize("own", [("train", "dev", "test"), ("train", "test"), ("train", "dev")])
def test_clips_stay_in_the_splits_that_they_came_with(signs, own):
    given = {clip.id: own[number % len(own)] for number, clip in enumerate(signs)}
    corpus = replace(signs, utterances=tuple(replace(clip, split=given[clip.id]) for clip in signs))
    splits = split_clips(corpus, ComposeOptions())
    of = {
        split: {clip.id for glosses in pool.values() for clips in glosses.values() for clip in clips}
        for split, pool in splits.pools.items()
    }
    # What is for training may be given away, what is for dev or test is never trained on.
    assert {given[name] for name in of["train"]} == {"train"}
    for split in ("dev", "test"):
        assert of[split]
        assert {given[name] for name in of[split]} == ({split} if split in own else {"train"})
    assert not of["train"] & (of["dev"] | of["test"])
    assert not of["dev"] & of["test"]
    assert any("stay in their own splits" in note for note in splits.notes)


def test_clips_without_signers_are_one_group(tmp_path):
    corpus = isolated(tmp_path / "c", {(None, "A"): 6, (None, "B"): 6})
    made = compose(corpus, tmp_path / "out", ComposeOptions(num_train=3, num_dev=1, num_test=1))
    assert {u.signer for u in made} == {None}
    assert any("name no signer" in note for note in split_clips(corpus, ComposeOptions()).notes)


def test_all_clips_that_are_no_isolated_signs_are_listed(tmp_path):
    with CorpusWriter(tmp_path / "c", {}) as writer:
        writer.add("good", split="train", signer="x", glosses=["A"], landmarks=random_landmarks(5))
        writer.add("long", split="train", signer="x", glosses=["A", "B"], landmarks=random_landmarks(5))
        writer.add("nameless", split="train", signer=None, glosses=["A"], landmarks=random_landmarks(5))
    with pytest.raises(InputError, match=r"2 faults\n.*long: 2 glosses \(A B\), needed 1.*\n.*nameless: no signer"):
        split_clips(Corpus.open(tmp_path / "c"), ComposeOptions())


def test_an_unknown_group_is_refused_and_the_nearest_named(signs):
    with pytest.raises(InputError, match=re.escape("no signer 'bem'") + ".*did you mean 'ben'.*ann, ben, cyd"):
        split_clips(signs, ComposeOptions(held_out=["bem"]))
    with pytest.raises(InputError, match=re.escape("no signer 'quite other'") + ".*; known: ann, ben, cyd"):
        split_clips(signs, ComposeOptions(held_out=["quite other"]))
    with pytest.raises(InputError, match="names every group"):
        split_clips(signs, ComposeOptions(held_out=["ann", "ben", "cyd"]))


def test_a_split_that_would_be_empty_is_refused(tmp_path):
    corpus = isolated(tmp_path / "c", {("x", "A"): 2})
    with pytest.raises(InputError, match="dev gets no clips; no gloss and group has more than 2, needed 3"):
        compose(corpus, tmp_path / "out")
    made = compose(corpus, tmp_path / "out", ComposeOptions(num_train=2, num_dev=0, num_test=1))
    assert len(made) == 3


def test_senseless_numbers_are_refused_together():
    with pytest.raises(InputError, match="3 faults"):
        ComposeOptions(num_train=-1, min_glosses=5, max_glosses=3, clips_per_gloss=0)
    with pytest.raises(InputError, match="the corpus would have no utterances"):
        ComposeOptions(num_train=0, num_dev=0, num_test=0)


def test_the_output_is_not_the_input(signs):
    with pytest.raises(InputError, match="this folder holds the clips"):
        compose(signs, signs.root, ComposeOptions(), overwrite=True)


def test_the_command(signs, tmp_path, capsys):
    arguments = ["compose", str(signs.root), "--output", str(tmp_path / "out"), "--held_out", "ben", "cyd"]
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--num_train", "4", "--num_dev", "2", "--num_test", "2", "--clips_per_gloss", "4"])
    assert ended.value.code == 0
    shown = capsys.readouterr()
    assert "8 utterances from 240 clips, seed 0" in shown.out
    assert re.search(r"test +2 .* 160  ben, cyd \(unseen\)", shown.out)
    assert "clips are in no split" in shown.err
    assert f"next: signloom train --data_dir {tmp_path / 'out'}" in shown.out
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--num_train", "4"])
    assert ended.value.code == 2
    assert "already has a corpus" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--num_train", "1", "--num_dev", "1", "--num_test", "1", "--overwrite"])
    assert ended.value.code == 0
    assert len(Corpus.open(tmp_path / "out")) == 3


@pytest.mark.slow
def test_the_command_says_unknown_where_clips_name_no_signer(tmp_path, capsys):
    corpus = isolated(tmp_path / "c", {(None, "A"): 4})
    with pytest.raises(SystemExit) as ended:
        main(["compose", str(corpus.root), "--output", str(tmp_path / "out"), "--num_train", "1"])
    assert ended.value.code == 0
    assert re.search(r"train +1 .*  unknown$", capsys.readouterr().out, re.MULTILINE)
