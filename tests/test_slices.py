"""Slices: which there are, what a turn is given, and that they tell what a whole run takes."""

from random import Random

import pytest

from benchmarks.measure import slices
from benchmarks.measure.slices import LONG, SHORT, STEPS, Slice
from benchmarks.measure.stopwatch import Time


def test_slices_are_full_batches_that_do_not_overlap():
    places = slices.places(50_000, 64, 1)
    long = [place for place in places if place.steps == STEPS]
    assert [place.first for place in long] == list(range(640, 49_920, 640))  # on the first rows workers wake
    assert [place for place in places if place.steps == 1] == [Slice(place.first, 1) for place in long]
    assert long[-1].first + STEPS * 64 <= 50_000


@pytest.mark.parametrize(
    ("rows", "batch_size", "epochs"), [(3_199, 64, 1), (50_000, 1_024, 1), (120, 64, 1), (50_000, 64, 2)]
)
def test_a_run_of_few_steps_or_of_several_epochs_is_not_cut(rows, batch_size, epochs):
    assert slices.places(rows, batch_size, epochs) == ()
    assert slices.drawn((), Random(0)) == ()


def test_many_small_batches_have_a_hundred_slices_that_lie_anywhere():
    long = [place.first for place in slices.places(50_000, 1, 1) if place.steps == STEPS]
    assert len(long) == slices.MOST_PLACES
    assert (long[0], long[-1]) == (10, 49_510)


def test_a_turn_has_slices_of_both_lengths_in_any_order():
    places = slices.places(10_000, 64, 1)
    turns = [slices.drawn(places, Random(seed)) for seed in (0, 0, 1)]
    assert turns[0] == turns[1] != turns[2]
    for turn in turns:
        assert sorted(place.steps for place in turn) == [1] * SHORT + [STEPS] * LONG
        assert [place.steps for place in turn] != [STEPS] * LONG + [1] * SHORT
        assert set(turn) <= set(places)
        assert len(set(turn)) == LONG + SHORT  # what has just been read would come from a cache
    assert {place for seed in range(50) for place in slices.drawn(places, Random(seed))} == set(places)
    few = slices.drawn(slices.places(3_200, 64, 1), Random(0))
    assert sorted(place.steps for place in few) == [1] * SHORT + [STEPS] * 4
    assert len(set(few)) == SHORT + 4  # there are no more


def times(steps, count, call, step, cores=2.0):
    """Times of so many calls of so many steps, all the same."""
    return [Time(call + steps * step, cores * (call + steps * step))] * count


def test_the_time_of_a_run_holds_what_a_call_pays_once():
    for call, step in ((0.5, 0.125), (0.0, 1.0)):
        time = slices.time_of_run(times(STEPS, LONG, call, step), times(1, SHORT, call, step), 782)
        assert time.seconds == pytest.approx(call + 782 * step)
        assert time.call_seconds == pytest.approx(call)
        assert time.cpu_seconds == pytest.approx(2 * time.seconds)


def test_what_disturbs_most_slices_is_not_counted():
    long, short = times(STEPS, LONG, 0.5, 0.125), times(1, SHORT, 0.5, 0.125)
    disturbed = slices.time_of_run([*long[:2], *times(STEPS, LONG - 2, 50, 1)], [*short[:1], *times(1, 2, 9, 0)], 782)
    assert disturbed.seconds == pytest.approx(0.5 + 782 * 0.125)
    faster = slices.time_of_run([*long[1:], *times(STEPS, 1, 0, 0.001)], short, 782)
    assert faster.seconds == pytest.approx(0.5 + 782 * 0.125)  # nor one that is too good to be true


def test_a_run_takes_time_even_if_its_short_slices_took_longer():
    time = slices.time_of_run(times(STEPS, LONG, 0, 1), times(1, SHORT, 99, 0), 782)
    assert (time.seconds, time.call_seconds) == (99, 99)
    assert not slices.fit(time, Time(0.1, 0.1, 0.0), 782)  # nothing is known of a step


def test_runs_are_cut_unless_that_tells_too_little():
    whole = Time(0.1, 0.1, 0.0)
    step = 0.1 / 782
    assert slices.fit(whole, whole, 782)
    assert slices.fit(Time(0.1 + 14 * step, 0.1, 14 * step), whole, 782)
    costly = Time(0.1 + 16 * step, 0.1, 16 * step)  # as a DataLoader that starts processes
    assert not slices.fit(costly, whole, 782)
    assert not slices.fit(whole, costly, 782)
    assert not slices.fit(Time(0.007, 0.1, 0.0), Time(0.007, 0.1, 0.0), 782)
    assert slices.fit(Time(0.007, 0.1, 0.0), whole, 782)
