"""Slices: which there are, what a turn is given, and that they tell what a whole run takes."""

from collections import Counter
from itertools import chain, repeat
from random import Random
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
import torch

from benchmarks.measure import slices, stopwatch
from benchmarks.measure.contest import TRIES, Contest
from benchmarks.measure.slices import COUNTS, LONG, SHORT, Slice, Task
from benchmarks.measure.stopwatch import Time
from benchmarks.measure.work import Work
from reference.problem import Problem
from tests.test_options import settings


def test_slices_are_full_batches_and_those_of_a_length_do_not_overlap():
    places = slices.places(50_000, 64, 1)
    long = [place for place in places if place.steps == LONG]
    assert [place.first for place in long] == list(range(3_200, 46_800, 3_200))  # on the first rows workers wake
    assert [place for place in places if place.steps == SHORT] == [Slice(place.first, SHORT) for place in long]
    assert long[-1].first + LONG * 64 <= 50_000


@pytest.mark.parametrize(
    ("rows", "batch_size", "epochs"), [(22_399, 64, 1), (50_000, 1_024, 1), (120, 64, 1), (50_000, 64, 2)]
)
def test_a_run_of_few_steps_or_of_several_epochs_is_not_cut(rows, batch_size, epochs):
    assert slices.places(rows, batch_size, epochs) == ()
    assert slices.drawn((), Random(0)) == ()


def test_many_small_batches_have_a_hundred_slices_that_lie_anywhere():
    long = [place.first for place in slices.places(50_000, 1, 1) if place.steps == LONG]
    assert len(long) == slices.MOST_PLACES
    assert (long[0], long[-1]) == (50, 49_550)


def test_a_turn_has_slices_of_both_lengths_in_any_order():
    places = slices.places(50_000, 64, 1)
    turns = [slices.drawn(places, Random(seed)) for seed in (0, 0, 1)]
    assert turns[0] == turns[1] != turns[2]
    for turn in turns:
        assert Counter(place.steps for place in turn) == COUNTS
        assert set(turn) <= set(places)
        assert len({place.first for place in turn}) == len(turn)  # what has just been read would come from a cache
    many = [slices.drawn(places, Random(seed)) for seed in range(200)]
    assert {place for turn in many for place in turn} == set(places)
    assert len({tuple(place.steps for place in turn) for turn in many}) == 15  # all orders of four and two
    assert len(slices.drawn(slices.places(22_400, 64, 1), Random(0))) == 6  # the shortest run that is cut has enough


def times(steps, call, step, cores=2.0):
    """The Times of a turn's calls of so many steps, all the same."""
    return [Time(call + steps * step, cores * (call + steps * step))] * COUNTS[steps]


def test_a_worker_trains_on_the_first_rows_right_before_each_turn():
    """What has rested is cold. It is the worker's own Work, with a trainer that notes where its rows begin."""
    x, noted = torch.arange(50_000.0)[:, None], []

    def train(x, y, weight, bias, *_):
        noted.append(int(x[0, 0]))
        return weight, bias

    work = Work()
    work.device, work.clock, work.module = "cpu", stopwatch.clock("cpu"), SimpleNamespace(train=train)
    work.problem = Problem(x, torch.zeros(50_000, dtype=int), torch.zeros(1, 2), torch.zeros(2), 64, 0.5, 1)
    work.parts, work.inputs = {}, (x, work.problem.y)
    turn = (Slice(6_400, LONG), Slice(3_200, SHORT))
    work.begin(turn)
    noted.clear()
    work.train(Task((work.problem.weight.numpy(), work.problem.bias.numpy()), turn))
    work.train(Task((work.problem.weight.numpy(), work.problem.bias.numpy())))
    assert noted == [0, 6_400, 3_200, 0, 0]


def test_pairs_end_before_the_limit_of_a_row_does():
    contest, benchmark = MagicMock(), MagicMock(disabled=False)
    contest.suite.settings.pairs, contest.suite.random = None, Random
    contest.raced.side_effect = lambda own, baseline, name, places, run: run(own, baseline, iter(()))
    for left, seconds in ((60, 30), (900, 450), (2000, 500)):
        contest.suite.seconds_left, contest.suite.rows_left = 1000, 2
        contest.admitted().worker.seconds_left = left
        Contest.measure(contest, "a", benchmark)
        contest.enough.assert_called_with(seconds)


@pytest.mark.parametrize(("whole", "is_whole"), [(None, None), ("b-cpu,a-cpu", True), ("b-cpu", False)])
def test_a_row_is_timed_as_the_first_of_several_processes_has_timed_it(whole, is_whole):
    contest, benchmark = MagicMock(), MagicMock(disabled=False, param="a-cpu")
    contest.suite.seconds_left, contest.suite.rows_left, contest.suite.random = 1000, 2, Random
    contest.suite.settings, contest.admitted().worker.seconds_left = settings(whole=whole), 900
    Contest.measure(contest, "a", benchmark)
    contest.places_for.assert_called_once_with(contest.admitted(), contest.baseline(), is_whole=is_whole)


def test_the_time_of_a_run_holds_what_a_call_pays_once():
    for call, step in ((0.5, 0.125), (0.0, 1.0)):
        time = slices.time_of_run(times(LONG, call, step), times(SHORT, call, step), 782)
        assert time.seconds == pytest.approx(call + 782 * step)
        assert time.call_seconds == pytest.approx(call)
        assert time.cpu_seconds == pytest.approx(2 * time.seconds)


def test_the_first_steps_of_a_call_may_be_slower_than_all_others():
    slow = 3 * 0.25  # more, of the first three
    time = slices.time_of_run(times(LONG, 0.5 + slow, 0.125), times(SHORT, 0.5 + slow, 0.125), 782)
    assert time.seconds == pytest.approx(0.5 + slow + 782 * 0.125)


def test_what_disturbs_all_slices_but_one_is_not_counted():
    long, short = times(LONG, 0.5, 0.125), times(SHORT, 0.5, 0.125)
    disturbed = slices.time_of_run([long[0], *times(LONG, 50, 1)[1:]], [*times(SHORT, 9, 0)[1:], short[0]], 782)
    assert disturbed.seconds == pytest.approx(0.5 + 782 * 0.125)


def test_a_run_takes_time_even_if_its_short_slices_took_longer():
    time = slices.time_of_run(times(LONG, 0, 1), times(SHORT, 99, 0), 782)
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


def test_slices_tell_the_truth_where_both_sides_are_off_alike():
    one, half = Time(1.0, 1.0), Time(0.5, 0.5)
    for sliced, whole, quotient in (
        ((one, half), (half, one), 4),
        ((half, one), (one, half), 0.25),
        ((one, one), (half, half), 1),
        ((one, one), (half, one), 2),
    ):
        assert slices.quotient(sliced, whole) == quotient


@pytest.mark.parametrize(
    ("by_whole_runs", "tries", "cut"),
    [
        ([1.05], 1, True),
        ([0.95], 1, True),
        ([1.15], TRIES, False),
        ([0.85], TRIES, False),
        ([2.0, 0.5, 1.05, 1.0, 1.0], TRIES, True),  # by chance
        ([2.0, 0.5, 0.5, 1.0, 2.0], TRIES, True),
        ([2.0, 1.0, 1.9, 2.1, 2.0], TRIES, False),
    ],
)
def test_a_run_is_not_cut_where_slices_do_not_tell_what_whole_runs_take(by_whole_runs, tries, cut):
    """Such as of a trainer that does more where it is given more rows; one try may be off by chance."""
    places = (Slice(0, LONG), Slice(0, SHORT))
    ratios, asked = chain(by_whole_runs, repeat(by_whole_runs[-1])), []

    def times_of(own, baseline, places, number):
        asked.append((places, number))
        return Time(1.0 if places else next(ratios), 1.0, 0.0), Time(1.0, 1.0, 0.0)

    case = SimpleNamespace(problem=SimpleNamespace(steps=782))
    contest = SimpleNamespace(places=places, times=times_of, case=case)
    assert Contest.places_for(contest, None, None) == (places if cut else ())
    assert asked == [(each, number) for number in range(tries) for each in ((), places)]


def test_what_the_first_of_several_processes_has_found_is_not_tried_again():
    places, warm_ups = (Slice(0, LONG), Slice(0, SHORT)), []
    contest = SimpleNamespace(places=places, times=lambda own, baseline, *given: warm_ups.append(given))
    for is_whole, found in ((True, ()), (False, places)):
        assert Contest.places_for(contest, None, None, is_whole) == found
    assert warm_ups == [((), 0), (places, 0)]
