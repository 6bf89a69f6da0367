"""Several processes: what an exchange costs, and from which batch size on they pay, from a run with --ranks.

They stand beside the same update in one process: the nearest of their parents that trains in one. Times are those of
`growth`, so what the machine did between two rows does not count.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

import numpy as np

import implementations
from benchmarks.runs.row import ALL_REDUCES, Setting, Side
from benchmarks.runs.saved import Run
from benchmarks.runs.statistics import Estimate
from benchmarks.show import cells, growth, table
from benchmarks.show.growth import Points, figure

GRADIENTS = 31_400  # bytes of both, all that this one sends in a step:
SENDS_GRADIENTS = "allreduce_flat"


class Cluster(NamedTuple):
    """Machines that somebody could have. round_trip: in seconds.  bandwidth: in bytes a second, each way."""

    name: str
    machines: int
    round_trip: float
    bandwidth: float

    def exchange(self, software: float) -> float:
        """Seconds of a step's exchange of the gradients. software: what two processes of one computer take for it.

        gloo passes parts of the tensor round a ring, first to add them up, then to hand them out: as many hops each
        as there are other machines. Before each the receiver says that it is ready, so it takes a round trip.
        """
        others = self.machines - 1
        travelling = 2 * others / self.machines * GRADIENTS / self.bandwidth
        return software + 2 * others * self.round_trip + travelling


CLUSTERS = (
    Cluster("2 machines of a rack", 2, 0.1e-3, 1.25e9),
    Cluster("8 machines of a rack", 8, 0.1e-3, 1.25e9),
    Cluster("2 machines 0.7 ms apart", 2, 0.7e-3, 1.25e9),
    Cluster("2 machines 2 ms apart", 2, 2e-3, 1.25e9),
    Cluster("2 towns", 2, 20e-3, 0.125e9),
)


@dataclass(frozen=True)
class Shared:
    """A row of several processes over the batch sizes, and one of one process beside it.

    threads: of all processes together.  exchange: seconds a step by batch size, as far as measured.
    """

    name: str
    beside: str
    processes: int
    threads: int
    setting: Setting
    own_points: Points
    points_beside: Points
    exchange: Mapping[int, float]

    @property
    def sizes(self) -> list[int]:
        """The batch sizes."""
        return [point.batch_size for point in self.own_points]

    @property
    def ratios(self) -> list[Estimate]:
        """For each how many times as fast it is, from the least to the greatest that both intervals allow."""
        return [
            Estimate(beside.seconds / own.seconds, beside.low / own.high, beside.high / own.low)
            for own, beside in zip(self.own_points, self.points_beside, strict=True)
        ]

    @property
    def row_seconds(self) -> float:
        """What one process takes for a row, without what it takes for a step."""
        return growth.fitted(self.points_beside).arithmetic / self.points_beside[0].rows

    @property
    def cells(self) -> list[tuple[str, str]]:
        """The ratios and their bounds as text."""
        return [(f"{ratio.value:.2f}", cells.bounds(ratio)) for ratio in self.ratios]

    @property
    def computed(self) -> str:
        """How many rows a batch are as many as it needs to pay: there what it saves is what the exchange costs.

        "" where that cannot be said: no exchange was measured, or the processes only share what one has.
        """
        sizes = sorted(self.exchange)
        if not sizes or self.threads <= self.setting.threads:
            return ""
        saved = self.row_seconds * (1 - 1 / self.processes)
        gains = [size * saved - self.exchange[size] for size in sizes]
        first = 1 + max((i for i, gain in enumerate(gains) if gain <= 0), default=-1)
        if first == 0:
            return f"below {sizes[0]}"
        if first == len(sizes):
            return f"above {sizes[-1]}"
        return f"{np.interp(0, gains[first - 1 : first + 1], sizes[first - 1 : first + 1]):.0f}"

    @property
    def measured(self) -> str:
        """The same as it was measured: from the last batch size at which it is slower to the first at which it gains.

        Only where the intervals say so; between the two they may not.
        """
        ratios = self.ratios
        first = 1 + max((i for i, ratio in enumerate(ratios) if ratio.low <= 1), default=-1)
        slower = [size for size, ratio in zip(self.sizes[:first], ratios, strict=False) if ratio.high < 1]
        if first < len(ratios):
            return f"{slower[-1]} to {self.sizes[first]}" if slower else f"at most {self.sizes[first]}"
        return f"above {slower[-1]}" if slower else "not told"


def shared(run: Run, device: str) -> list[Shared]:
    """One for each row of several processes that has the same in one beside it, at several batch sizes."""
    points = growth.lines(run, device, fixed="rows", free="batch_size")
    rows = {row.own.name: row for row in run.rows if row.own.processes and row.setting.device == device}
    found = []
    for name in sorted(rows):
        beside = in_one_process(name)
        if name in points and beside in points:
            found.append(
                Shared(
                    name=name,
                    beside=beside,
                    processes=rows[name].own.processes or 1,
                    threads=rows[name].threads,
                    setting=rows[name].setting,
                    own_points=points[name],
                    points_beside=points[beside],
                    exchange={
                        row.setting.batch_size: row.own.exchange_seconds
                        for row in run.rows
                        if (row.own.name, row.setting.device) == (name, device) and row.own.exchange_seconds is not None
                    },
                )
            )
    return found


def in_one_process(name: str | None) -> str | None:
    """The nearest of a file's parents that trains in one process."""
    while name and implementations.processes(name) > 1:
        name = implementations.parent(name)
    return name


# --- Markdown -----------------------------------------------------------------------------------------------


def markdown(run: Run) -> str:
    """The sections on several processes; "" of a run that has none."""
    sides = [row.own for row in run.rows if row.own.processes]
    found = [exchange_section(sides)] if any(side.all_reduce_8_seconds for side in sides) else []
    for device in growth.devices(run):
        if rows := shared(run, device):
            found += [step_section(rows, device), ratio_section(rows), pay_section(rows)]
            if {side.hosts for side in sides} == {1}:  # else what was measured has a round trip in it already
                found += [cluster_section(one) for one in rows if one.name == SENDS_GRADIENTS and one.computed]
    return "".join(f"\n{part}\n" for part in found)


def exchange_section(sides: Sequence[Side]) -> str:
    """What one all_reduce takes, by what travels."""
    body = [
        [f"{size} B", *(figure(value(all_reduces(sides, size)) * 1e6) for value in (median, min, max))]
        for size in ALL_REDUCES
    ]
    return "\n\n".join(
        [
            f"### One all_reduce, {table.in_processes(sides[0])}",
            "Microseconds until a float32 tensor of so many bytes is added up: of each call the slowest process's "
            f"time, of many calls in a row the median. Here the median of {len(sides)} workers that measured it, their "
            "least and their greatest.",
            table.tabulated(body, ["all_reduce", "us", "least", "greatest"]),
        ]
    )


def all_reduces(sides: Sequence[Side], size: int) -> list[float]:
    """Seconds of one all_reduce of so many bytes, as each of these measured it."""
    return [seconds for side in sides if (seconds := getattr(side, ALL_REDUCES[size])) is not None]


def step_section(rows: Sequence[Shared], device: str) -> str:
    """Microseconds a step, of several processes and of one."""
    points = {one.beside: (1, one.points_beside) for one in rows}
    points |= {one.name: (one.processes, one.own_points) for one in rows}
    body = [
        [name, str(processes), *(figure(point.seconds / point.steps * 1e6) for point in own)]
        for name, (processes, own) in points.items()
    ]
    return "\n\n".join(
        [
            f"### Microseconds a step, by batch size: {rows[0].own_points[0].rows} rows on {device}",
            f"One process has {table.counted(rows[0].setting.threads, 'thread')}, {rows[0].processes} processes have "
            f"{table.counted(rows[0].threads, 'thread')} together. An epoch's time over its steps, of which the "
            "last may have fewer rows; from the ratio to the reference, so that what the machine did between two rows "
            "does not count. The table above has plain medians.",
            table.tabulated(body, ["name", "processes", *map(str, rows[0].sizes)]),
        ]
    )


def ratio_section(rows: Sequence[Shared]) -> str:
    """How many times as fast several processes are as one."""
    body = [[one.name, one.beside, *(f"{ratio} ({bounds})" for ratio, bounds in one.cells)] for one in rows]
    return "\n\n".join(
        [
            "### Times as fast as the same in one process, by batch size",
            "In brackets what the 99 % intervals of both allow. Above 1 the processes have gained something.",
            table.tabulated(body, ["shared", "beside", *(f"x at {size}" for size in rows[0].sizes)], left=2),
        ]
    )


def pay_section(rows: Sequence[Shared]) -> str:
    """From which batch size on several processes pay."""
    body = [[one.name, figure(one.row_seconds * 1e6), exchange_cell(one), one.computed, one.measured] for one in rows]
    return "\n\n".join(
        [
            f"### When {rows[0].processes} processes pay",
            "They save rows per batch x us/row x (1 - 1/processes), and pay for the exchange. us/row: of one process, "
            "fitted as above. Exchange: microseconds a step, least and greatest over the batch sizes where it was "
            "measured. Computed: the "
            "rows per batch at which both are equal; blank where the processes have no more threads than the one. "
            "Measured: the last batch size at which they are slower, and the first from which on they are faster, as "
            "far as the intervals of both say.",
            table.tabulated(body, ["pays", "us/row", "exchange", "computed", "measured"]),
        ]
    )


def exchange_cell(one: Shared) -> str:
    """The least and the greatest exchange over the batch sizes, in microseconds."""
    if not one.exchange:
        return ""
    return " to ".join(dict.fromkeys(figure(value(one.exchange.values()) * 1e6) for value in (min, max)))


def cluster_section(one: Shared) -> str:
    """From how many rows a batch on machines pay that are not here."""
    software = median(one.exchange.values())
    body = []
    for cluster in CLUSTERS:
        exchange = cluster.exchange(software)
        rows = exchange / (one.row_seconds * (1 - 1 / cluster.machines))
        figures = cluster.round_trip * 1e3, cluster.bandwidth * 8e-9
        body.append([cluster.name, *(f"{value:g}" for value in figures), figure(exchange * 1e6), f"{rows:.0f}"])
    return "\n\n".join(
        [
            f"### Elsewhere: computed, not measured, for {one.name}",
            f"Round trip and bandwidth are assumed. An exchange takes the {figure(software * 1e6)} us of a step that "
            "it takes here, the median over the batch sizes, two round trips for each other machine, and the bytes "
            f"their way. Each machine computes as one process here does, {figure(one.row_seconds * 1e6)} us/row.",
            table.tabulated(body, ["cluster", "ms round trip", "Gbit/s", "exchange", "computed"]),
        ]
    )
