"""The signals that end a command: remembered until it is safe, at once the second time, and handlers put back."""

import os
import signal
import threading

import pytest

from signloom.errors import StoppedError, Terminated
from signloom.signals import SignalWatch

ENDING = (signal.SIGINT, signal.SIGTERM)


def send(number):
    # Python handles the signal before it goes on.
    os.kill(os.getpid(), number)


@pytest.fixture(autouse=True)
def handlers():
    """Every test begins with Python's handlers; those of before come back after it."""
    plain = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL, signal.SIGUSR1: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in plain.items()}
    yield plain
    for number, handler in before.items():
        signal.signal(number, handler)


def current():
    return {number: signal.getsignal(number) for number in (*ENDING, signal.SIGUSR1)}


@pytest.mark.parametrize("number", ENDING)
def test_the_first_signal_waits_and_the_handlers_come_back(handlers, number):
    with SignalWatch().listening() as watch:
        assert watch.ending is None
        watch.raise_if_ending()
        send(number)
        assert watch.ending is number
        with pytest.raises(KeyboardInterrupt) as raised:
            watch.raise_if_ending()
    assert raised.type is (Terminated if number == signal.SIGTERM else KeyboardInterrupt)
    assert current() == handlers


@pytest.mark.parametrize("first", ENDING)
def test_a_second_ctrl_c_ends_at_once(handlers, first):
    with pytest.raises(KeyboardInterrupt) as raised, SignalWatch().listening():
        send(first)
        send(signal.SIGINT)
    assert raised.type is KeyboardInterrupt
    with pytest.raises(StoppedError, match="at once") as stopped, SignalWatch(again="at once").listening():
        send(first)
        send(signal.SIGINT)
    assert stopped.value.exit_status == 130
    assert current() == handlers


@pytest.mark.parametrize("first", ENDING)
def test_a_second_sigterm_waits_too_and_the_first_signal_counts(first):
    with SignalWatch().listening() as watch:
        send(first)
        send(signal.SIGTERM)
        assert watch.ending is first


def test_at_once_sigterm_raises_a_single_time_and_ctrl_c_is_pythons(handlers):
    tidied = []
    with pytest.raises(Terminated), SignalWatch(at_once=True).listening():
        assert current() == {**handlers, signal.SIGTERM: signal.getsignal(signal.SIGTERM)}
        assert signal.getsignal(signal.SIGTERM) != signal.SIG_DFL
        try:
            send(signal.SIGTERM)
        finally:
            send(signal.SIGTERM)
            tidied.append(True)
    assert tidied
    assert current() == handlers


def test_at_once_leaves_a_handler_that_somebody_has_set():
    seen = []
    signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
    with SignalWatch(at_once=True).listening():
        send(signal.SIGTERM)
    assert seen == [signal.SIGTERM]


def test_a_watch_within_that_of_the_command_takes_its_place_for_a_while():
    with pytest.raises(Terminated), SignalWatch(at_once=True).listening():
        with SignalWatch().listening() as inner:
            send(signal.SIGTERM)
        assert inner.ending is signal.SIGTERM
        send(signal.SIGTERM)


@pytest.mark.parametrize("watch", [SignalWatch(), SignalWatch(at_once=True)])
def test_what_a_shell_told_us_to_ignore_stays_ignored(watch):
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)
    seen = []
    with watch.listening():
        for number in ENDING:
            send(number)
        # Another package takes one; to listen again does not make it ours.
        signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
        watch.listen()
        send(signal.SIGTERM)
        assert (watch.ending, seen) == (None, [signal.SIGTERM])
    assert {signal.getsignal(number) for number in ENDING} == {signal.SIG_IGN}


def test_it_takes_the_signals_back_from_another_package(handlers):
    with SignalWatch().listening() as watch:
        signal.signal(signal.SIGTERM, lambda number, frame: pytest.fail("the other handler"))
        watch.listen()
        send(signal.SIGTERM)
        assert watch.ending is signal.SIGTERM
    assert current() == handlers


def test_sigusr1_asks_for_the_state_of_those_that_save_alone(handlers):
    with SignalWatch().listening():
        assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL
    with SignalWatch(saves=True).listening() as watch:
        send(signal.SIGUSR1)
        assert (watch.save_asked, watch.ending) == (True, None)
    assert current() == handlers


@pytest.mark.parametrize("watch", [SignalWatch(saves=True), SignalWatch(at_once=True)])
def test_another_thread_leaves_the_handlers_alone(handlers, watch):
    seen = []

    def listen():
        with watch.listening():
            watch.listen()
            seen.append(current())

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert seen == [handlers]
    assert current() == handlers
