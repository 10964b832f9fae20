"""Which job runs where: queues, deaths, nodes that are no use; with a pool of actors that are played here."""

import socket
from collections import Counter, deque

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signloom.cluster.connect import ray_cluster
from signloom.cluster.nodes import NodeTable, check_backend
from signloom.cluster.ray_pool import _in_words
from signloom.cluster.schedule import Answered, Died, Node, Ready, Schedule, Unfit, run_jobs
from signloom.cluster.shared_folder import shared_folder
from signloom.errors import InputError, SignloomError
from without_packages import run_without


class PlayedPool:
    """Actors that do one job per call of `events`; `fate` says what becomes of each: an answer, or None for a death.

    places: node of every actor that starts, in order; the last serves for all later ones.
    """

    def __init__(self, places, fate, unfit=()):
        self.places, self.fate, self.unfit = deque(places), fate, set(unfit)
        self.queues, self.node_of, self.started = {}, {}, 0
        self.new = []
        self.tried, self.most_in_flight = Counter(), 0

    def ask_for(self, count, avoid):
        while len(self.queues) < min(count, 4) and self.places:
            node = self.places[0] if len(self.places) == 1 else self.places.popleft()
            if node in avoid:
                break
            self.started += 1
            self.queues[self.started], self.node_of[self.started] = deque(), node
            event = (
                Unfit(self.started, node, node, "no libGL") if node in self.unfit else Ready(self.started, node, node)
            )
            self.new.append(event)
            if len(self.queues) >= 4:
                break

    def submit(self, actor, ticket, job):
        self.queues[actor].append((ticket, job))
        self.most_in_flight = max(self.most_in_flight, len(self.queues[actor]))

    def dismiss(self, actor):
        self.queues.pop(actor, None)

    def events(self, seconds):
        found, self.new = self.new, []
        for actor, queue in list(self.queues.items()):
            if queue:
                ticket, job = queue[0]
                self.tried[job] += 1
                answer = self.fate(job, self.node_of[actor], self.tried[job])
                if answer is None:
                    del self.queues[actor]
                    found.append(Died(actor, "killed"))
                else:
                    queue.popleft()
                    found.append(Answered(actor, ticket, answer))
        return found

    def progress(self):
        return {actor: (1, 2) for actor, queue in self.queues.items() if queue}

    def nodes(self):
        return set(self.places)


def play(pool, num_jobs, **settings):
    """Results and failures by job, the messages, and the last state."""
    results, failures, messages, states = Counter(), {}, [], []
    run_jobs(
        pool,
        [f"job {number}" for number in range(num_jobs)],
        units_of=lambda result: result,
        on_result=lambda number, result: results.update([number]),
        on_failure=failures.__setitem__,
        on_state=lambda schedule, done, units: states.append((schedule, done, units)),
        on_message=messages.append,
        poll_seconds=0,
        **settings,
    )
    return results, failures, messages, states[-1]


def test_every_job_is_done_once_and_counted_at_its_node():
    pool = PlayedPool("aab", lambda job, node, tried: ("done", 3))
    results, failures, messages, (schedule, done, units) = play(pool, 50)
    assert results == Counter(range(50))
    assert (failures, messages, done, units) == ({}, [], 50, 150)
    assert {name: node.actors for name, node in schedule.nodes.items()} == {"a": 2, "b": 2}
    assert sum(node.jobs for node in schedule.nodes.values()) == 50
    assert pool.most_in_flight <= 32


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.floats(0, 0.4))
def test_no_job_is_lost_or_done_twice_however_actors_die(seed, num_jobs, share):
    rng = np.random.default_rng(seed)
    pool = PlayedPool("abc", lambda job, node, tried: None if rng.random() < share else ("done", 1))
    results, failures, _, (schedule, done, _) = play(pool, num_jobs)
    assert results + Counter(list(failures)) == Counter(range(num_jobs))
    assert done == num_jobs
    # Only the job in work pays for a death: it alone was tried, four times at most.
    assert max(pool.tried.values()) <= 4
    assert all(pool.tried[f"job {number}"] == 4 for number in failures)
    assert sum(node.deaths for node in schedule.nodes.values()) == sum(pool.tried.values()) - len(results)


def test_a_job_that_kills_its_actor_fails_after_three_more_tries_and_takes_no_other_with_it():
    pool = PlayedPool("a", lambda job, node, tried: None if job == "job 7" else ("done", 1))
    results, failures, _, _ = play(pool, 30)
    assert failures == {7: "killed"}
    assert pool.tried == Counter({**{f"job {number}": 1 for number in range(30)}, "job 7": 4})
    assert set(results) == set(range(30)) - {7}


def test_a_job_that_killed_an_actor_has_the_next_one_for_itself():
    schedule = Schedule(3)
    schedule.ready(Ready("x", "a", "a"))
    assert [ticket for _, ticket in schedule.assignments()] == [0, 1]
    schedule.died(Died("x", "killed"))
    assert list(schedule.waiting) == [1, 2, 0]
    schedule.waiting.rotate(1)
    schedule.ready(Ready("y", "a", "a"))
    assert list(schedule.assignments()) == [("y", 0)]
    schedule.answered(Answered("y", 0, ("done", None)), 0)
    assert list(schedule.assignments()) == [("y", 1), ("y", 2)]


def test_actors_that_die_one_after_the_other_stop_the_run():
    with pytest.raises(SignloomError, match=r"\d+ processes died one after the other and no job was done.*killed"):
        play(PlayedPool("a", lambda job, node, tried: None), 100)


def test_a_node_that_cannot_do_the_work_gets_none_and_is_named_once():
    pool = PlayedPool("abc", lambda job, node, tried: ("done", 1), unfit="b")
    results, failures, messages, (schedule, _, _) = play(pool, 20)
    assert len(results) == 20
    assert not failures
    assert messages == ["node b gets no work: no libGL"]
    assert schedule.nodes["b"].jobs == 0


def test_a_node_that_does_not_see_a_path_gets_no_more_jobs_and_its_jobs_go_elsewhere():
    def fate(job, node, tried):
        return ("unfit", "it does not see /data") if node == "b" else ("done", 1)

    pool = PlayedPool("abc", fate)
    results, failures, messages, (schedule, _, _) = play(pool, 40)
    assert results == Counter(range(40))
    assert not failures
    assert messages == ["node b gets no work: it does not see /data"]
    assert schedule.nodes["b"].jobs == 0


def test_what_no_machine_sees_is_no_fault_of_a_node():
    pool = PlayedPool("a", lambda job, node, tried: ("unfit", "gone") if job == "job 2" else ("done", 1))
    results, _, messages, _ = play(pool, 5, instead=lambda number: 0 if number == 2 else None)
    assert len(results) == 5
    assert messages == []


def test_without_any_node_that_can_do_the_work_the_run_stops_with_the_reasons():
    pool = PlayedPool("a", lambda job, node, tried: ("unfit", "No space left on device"))
    with pytest.raises(SignloomError, match=r"no node can do the work:\n  a: No space left on device"):
        play(pool, 5)


def test_the_last_jobs_do_not_wait_behind_others():
    schedule = Schedule(5)
    for actor in "wxyz":
        schedule.ready(Ready(actor, "a", "a"))
    given_out = Counter(actor for actor, _ in schedule.assignments())
    assert given_out == Counter("wxyz")


def test_an_answer_of_an_actor_that_was_given_up_counts_no_second_time():
    schedule = Schedule(1)
    schedule.ready(Ready("x", "a", "a"))
    assert list(schedule.assignments()) == [("x", 0)]
    assert schedule.died(Died("x", "out of reach")) is None
    assert not schedule.answered(Answered("x", 0, ("done", None)), 0)
    assert schedule.unfinished == 1


def test_the_lines_of_nodes_name_those_in_trouble_first_and_sum_up_many():
    table = NodeTable("clip", "frames")
    nodes = [Node(f"n{number:02d}", actors=2, jobs=3, units=50, seconds=10) for number in range(12)]
    nodes[5].deaths, nodes[9].unfit = 1, "no libGL"
    table.update(nodes)
    lines = table.lines()
    assert lines[0] == "n09: 2 processes, 3 clips, 5.0 frames/s, gets no work"
    assert lines[1] == "n05: 2 processes, 3 clips, 5.0 frames/s, 1 death"
    assert lines[-1] == "4 more nodes: 12 clips, 20.0 frames/s"


def test_a_machine_knows_the_shared_folder_by_its_mark(tmp_path, monkeypatch):
    monkeypatch.setattr("signloom.cluster.shared_folder._PATIENCE_SECONDS", 0)
    with shared_folder(tmp_path) as folder:
        assert folder.fault() is None
        folder.mark.write_text("of another run")
        assert "it does not see" in folder.fault()
        folder.mark.unlink()
        assert "it does not see" in folder.fault()
    assert list(tmp_path.iterdir()) == []


def test_an_address_without_ray_is_refused():
    check_backend("ray", "auto")
    with pytest.raises(InputError, match=r"--address 10.0.0.1:6379: only with --backend ray"):
        check_backend("local", "10.0.0.1:6379")


@pytest.mark.parametrize("address", ["10.0.0.1", "10.0.0.1:x", ":6379", "host:99999", "ray://10.0.0.1:10001"])
def test_an_address_that_is_none_is_refused(address):
    with pytest.raises(InputError, match=f"--address {address}: needed HOST:PORT"), ray_cluster(address, 1, "extract"):
        pass


def test_an_address_where_nothing_answers_is_refused_within_seconds(monkeypatch):
    monkeypatch.setattr("signloom.cluster.connect.CONNECT_SECONDS", 0.01)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(InputError, match=f"{address}: no Ray cluster answers there"), ray_cluster(address, 1, "x"):
            pass


def test_without_ray_the_message_says_how_to_install_it():
    code = """
from signloom.cluster.connect import ray_cluster
from signloom.errors import MissingExtraError
try:
    with ray_cluster(None, 1, "extract"):
        pass
except MissingExtraError as error:
    print(error)
"""
    told = run_without(("ray",), code)
    assert "extract --backend ray needs the package 'ray'" in told
    assert "[cluster]" in told


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ("Task was killed due to the node running low on memory. OOM killer", "out of memory"),
        ("The actor died because its node has died.", "its node died"),
        ("The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR", "was killed, or cr"),
    ],
)
def test_a_death_is_told_in_plain_words(error, told):
    assert told in _in_words(RuntimeError(error))
