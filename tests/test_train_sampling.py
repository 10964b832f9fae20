"""Which utterances make a step, and how it is shared: over batches, over processes, over an interruption."""

import hashlib
import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signloom.train.sampling import BucketSampler, StepSampler

LENGTHS = st.lists(st.integers(1, 200), min_size=1, max_size=60)


def picks(lengths, *, batch_size, accumulate, processes, epoch=0, frames=None):
    """Of every process, its batches in an epoch."""
    found = []
    for rank in range(processes):
        parts = accumulate * processes
        steps = BucketSampler(lengths, batch_size * parts, seed=3, frames_per_batch=frames, parts_per_step=parts)
        sampler = StepSampler(steps, accumulate=accumulate, num_processes=processes, rank=rank)
        sampler.set_epoch(epoch)
        batches = list(sampler)
        assert len(batches) == len(sampler)
        found.append(batches)
    return found


@given(LENGTHS, st.integers(1, 6), st.integers(1, 3), st.integers(1, 3), st.none() | st.integers(1, 400))
@settings(max_examples=150)
def test_every_utterance_counts_once_in_an_epoch_and_every_process_has_as_many_batches(
    lengths, batch_size, accumulate, processes, frames
):
    found = picks(lengths, batch_size=batch_size, accumulate=accumulate, processes=processes, frames=frames)
    assert len({len(batches) for batches in found}) == 1
    counted = Counter(pick.index for batches in found for batch in batches for pick in batch if pick.weight)
    assert counted == Counter(range(len(lengths)))
    for start in range(0, len(found[0]), accumulate):
        step = [pick for batches in found for batch in batches[start : start + accumulate] for pick in batch]
        # Lightning averages over accumulated batches and DDP over processes: what is left is the plain mean.
        size = sum(pick.weight > 0 for pick in step)
        weights = [pick.weight / (accumulate * processes) for pick in step if pick.weight]
        assert weights == pytest.approx([1 / size] * size)


@given(LENGTHS, st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), st.integers(1, 500))
@settings(max_examples=150)
def test_no_batch_has_more_frames_than_its_budget(lengths, batch_size, accumulate, processes, frames):
    epochs = [
        picks(lengths, batch_size=batch_size, accumulate=accumulate, processes=processes, epoch=epoch, frames=frames)
        for epoch in (0, 1)
    ]
    # The learning rate's schedule counts on it.
    assert len(epochs[0][0]) == len(epochs[1][0])
    for batch in (batch for found in epochs for batches in found for batch in batches):
        padded = len(batch) * max(lengths[pick.index] for pick in batch)
        # One utterance alone is never cut, however long.
        assert padded <= frames or len(batch) == 1
        assert len(batch) <= batch_size


def test_a_step_has_the_same_utterances_however_it_is_shared():
    lengths = np.random.default_rng(0).integers(10, 300, 90).tolist()

    def steps(batch_size, accumulate, processes):
        found = picks(lengths, batch_size=batch_size, accumulate=accumulate, processes=processes)
        return [
            sorted(
                pick.index
                for batches in found
                for batch in batches[start : start + accumulate]
                for pick in batch
                if pick.weight
            )
            for start in range(0, len(found[0]), accumulate)
        ]

    assert steps(12, 1, 1) == steps(3, 4, 1) == steps(4, 1, 3) == steps(2, 2, 3)


def test_processes_get_as_many_frames():
    lengths = np.random.default_rng(0).integers(10, 300, 200).tolist()
    first, second = picks(lengths, batch_size=8, accumulate=1, processes=2)
    frames = [[sum(lengths[pick.index] for pick in batch) for batch in batches] for batches in (first, second)]
    ratios = np.divide(*frames)
    assert np.abs(ratios - 1).mean() < 0.1


@given(LENGTHS, st.integers(1, 5), st.integers(1, 3), st.data())
def test_an_interrupted_epoch_goes_on_with_the_batches_that_are_left(lengths, batch_size, accumulate, data):
    def sampler():
        made = StepSampler(BucketSampler(lengths, batch_size * accumulate, seed=1), accumulate=accumulate)
        made.set_epoch(4)
        return made

    whole = list(sampler())
    done = data.draw(st.integers(0, len(whole)))
    first = sampler()
    assert [batch for batch, _ in zip(first, range(done), strict=False)] == whole[:done]
    rest = sampler()
    rest.start = done
    assert list(rest) == whole[done:]
    # Only that epoch is short.
    assert len(list(rest)) == len(whole)


def test_utterances_meet_others_in_every_epoch_within_a_budget_too():
    lengths = np.random.default_rng(0).integers(10, 300, 300).tolist()
    sampler = BucketSampler(lengths, 16, seed=0, frames_per_batch=1500)
    first = {frozenset(batch) for batch in sampler}
    sampler.set_epoch(1)
    assert len(first & {frozenset(batch) for batch in sampler}) < len(first) / 4
    padding = sum(len(batch) * max(lengths[at] for at in batch) for batch in sampler) / sum(lengths) - 1
    assert padding < 0.35


@pytest.mark.parametrize(
    ("shuffle", "frames", "parts", "accumulate", "rank", "expected"),
    [
        (True, None, 1, 1, 0, "6faddf6fb278671d"),
        (False, None, 1, 1, 0, "a01b0a50f0ee5578"),
        (True, 2000, 4, 2, 1, "7e9a8d9dfcefe57a"),
        (False, 2000, 2, 1, 0, "1bb85e08546e771a"),
    ],
)
def test_a_seed_gives_the_batches_that_it_always_gave(shuffle, frames, parts, accumulate, rank, expected):
    # Digests of the batches at commit 8d7bc36: a run that was stopped before goes on with the same ones.
    lengths = np.array([(7919 * number) % 293 + 10 for number in range(500)])
    steps = BucketSampler(lengths, 8 * parts, seed=5, shuffle=shuffle, frames_per_batch=frames, parts_per_step=parts)
    sampler = StepSampler(steps, accumulate=accumulate, num_processes=parts // accumulate, rank=rank)
    found = []
    for epoch in (0, 3):
        sampler.set_epoch(epoch)
        found.append([[(pick.index, pick.weight) for pick in batch] for batch in sampler])
    assert hashlib.sha256(json.dumps(found).encode()).hexdigest()[:16] == expected


@given(LENGTHS, st.integers(1, 6), st.integers(1, 4), st.none() | st.integers(1, 400), st.integers(1, 9), st.data())
def test_shards_are_shuffled_and_every_utterance_still_counts_once(lengths, batch_size, window, frames, most, data):
    shards = np.array([data.draw(st.integers(0, most)) for _ in lengths])

    def batches(epoch, **options):
        sampler = BucketSampler(lengths, batch_size, seed=5, frames_per_batch=frames, **options)
        sampler.set_epoch(epoch)
        found = list(sampler)
        assert len(found) == len(sampler)
        return found

    windowed = [batches(epoch, shards=shards, window=window) for epoch in (0, 1)]
    for found in windowed:
        assert sorted(index for batch in found for index in batch) == list(range(len(lengths)))
    assert windowed[0] == batches(0, shards=shards, window=window)
    # The schedule of the learning rate counts on as many steps in every epoch.
    assert len(windowed[0]) == len(windowed[1])
    if len(set(shards.tolist())) <= window:
        assert windowed[0] == batches(0)


@pytest.mark.parametrize("frames", [None, 2000])
def test_no_more_than_two_windows_of_shards_are_in_use_at_a_time(frames):
    rng = np.random.default_rng(0)
    lengths, shards = rng.integers(10, 300, 4000), rng.permutation(4000) % 40 + 7
    sampler = BucketSampler(lengths, 8, seed=1, frames_per_batch=frames, shards=shards, window=5)
    orders = []
    for epoch in (0, 1):
        sampler.set_epoch(epoch)
        batches = list(sampler)
        first, last, order = {}, {}, []
        for number, batch in enumerate(batches):
            for shard in shards[batch].tolist():
                if shard not in first:
                    first[shard] = number
                    order.append(shard)
                last[shard] = number
        in_use = [sum(first[shard] <= number <= last[shard] for shard in first) for number in range(len(batches))]
        # Two, where a batch has the last of one and the first of the next.
        assert max(in_use) <= 10
        assert np.mean(in_use) < 7.5
        orders.append(order)
        # Within a window, its shards are mixed: a batch has utterances of several.
        assert np.mean([len(set(shards[batch].tolist())) for batch in batches if len(batch) > 4]) > 3
    assert orders[0] != orders[1]
    # Utterances meet others in every epoch, of other shards, too.
    sampler.set_epoch(0)
    assert len({frozenset(batch) for batch in sampler} & {frozenset(batch) for batch in batches}) < 5
