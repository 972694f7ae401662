"""What is done while steps are in flight, and how their time is shared out."""

import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_training_loop import TINY, LineTask, curve, held_out, run_line

from jaxmotion.training import flights
from jaxmotion.training.flights import Flights
from jaxmotion.training.loop import train
from jaxmotion.training.step import IN_FLIGHT


def landed(steps, pauses=()):
    """The shares of steps of ``(asked, got, started, done)``; a pause ends before its step."""
    clock = iter([0.0])
    flying, found = Flights(), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flights, "_when_done", lambda metrics: metrics["done"])
        patch.setattr(time, "perf_counter", lambda: next(clock))
        flying.resume()
        for number, (asked, got, started, done) in enumerate(steps, 1):
            if number in pauses:
                found += flying.land(0)
                clock = iter([asked])
                flying.resume()
            flying.add(number, {"done": done}, asked, got, started)
        found += flying.land(0)
    flying.close()
    return found


def test_a_device_that_is_never_idle_waits_for_nothing():
    # Batches are there before the step before is done.
    found = landed([(0, 1, 1, 11), (1, 2, 2, 21), (11, 12, 12, 31)])
    assert [one.step for one in found] == [1, 2, 3]
    assert [one.seconds for one in found] == [11, 10, 10]
    assert [one.busy for one in found] == [10, 10, 10]
    assert [one.waited for one in found] == [1, 0, 0]


def test_a_device_waits_for_slow_batches():
    found = landed([(0, 8, 8, 10), (8, 16, 16, 18)])
    assert [one.seconds for one in found] == [10, 8]
    assert [one.busy for one in found] == [2, 2]
    assert [one.waited for one in found] == [8, 6]


def test_a_pause_is_nobodys_time():
    found = landed([(0, 1, 1, 10), (100, 101, 101, 110)], pauses={2})
    assert [one.seconds for one in found] == [10, 10]
    assert [one.waited for one in found] == [1, 1]


@given(
    st.lists(
        st.tuples(st.floats(0, 10), st.floats(0, 10), st.floats(0, 10)), min_size=1, max_size=8
    )
)
def test_the_shares_of_a_step_are_parts_of_its_time(durations):
    steps, now, free = [], 0.0, 0.0
    for reading, giving, computing in durations:
        asked, got = now, now + reading
        started = got + giving
        free = max(free, started) + computing
        steps.append((asked, got, started, free))
        now = started
    found = landed(steps)
    np.testing.assert_allclose(sum(one.seconds for one in found), free, atol=1e-9)
    np.testing.assert_allclose(
        [one.busy for one in found], [computing for *_, computing in durations], atol=1e-9
    )
    for one in found:
        assert one.waited >= 0
        assert one.busy + one.waited <= one.seconds + 1e-9


def test_what_a_step_raised_is_raised_where_it_lands(monkeypatch):
    def lost(metrics):
        raise ValueError("the other process is gone")

    monkeypatch.setattr(flights, "_when_done", lost)
    flying = Flights()
    flying.add(1, {}, 0, 0, 0)
    with pytest.raises(ValueError, match="is gone"):
        list(flying.land(0))
    flying.close()


def test_the_next_batch_is_taken_while_a_step_is_in_flight_and_never_too_many_are(tmp_path):
    """A step "computes" until the batch behind it has been taken: nothing but overlap ends it."""
    taken = threading.Semaphore(0)
    flying, most = [0], []

    class Clips:
        def __init__(self):
            self.number = 0

        def __next__(self):
            self.number += 1
            if self.number > 1:
                taken.release()
            return held_out().batch

        def get_state(self):
            return {}

    def slowly(metrics, done=flights._when_done):
        most.append(flying[0])
        # The steps before a pause have no batch behind them.
        if len(most) not in (4, 8):
            assert taken.acquire(timeout=60)
        flying[0] -= 1
        return done(metrics)

    add = Flights.add

    def counted(self, *args):
        flying[0] += 1
        add(self, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flights, "_when_done", slowly)
        patch.setattr(Flights, "add", counted)
        train(TINY, LineTask(), Clips(), [held_out()], tmp_path)
    assert len(most) == TINY.steps
    assert max(most) <= IN_FLIGHT


def test_a_line_is_logged_for_each_step_in_order(tmp_path):
    run_line(tmp_path)
    assert [step for step, name in curve(tmp_path) if name == "loss"] == list(range(1, 9))
