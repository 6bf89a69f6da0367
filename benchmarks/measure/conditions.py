"""What else the machine did during a run: other load, stolen time, involuntary switches, frequency.

From Linux's /proc (proc(5)); elsewhere these are unknown, None. Needs neither torch nor numpy.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

from benchmarks.runs.saved import Conditions


class Counters(NamedTuple):
    """Sums since the machine or the process was started, in seconds of one core.  switches: a number."""

    elapsed: float
    busy: float
    stolen: float
    own: float
    switches: int


def counters(used: Callable[[], tuple[float, int]]) -> Counters | None:
    """The Counters now, or None without /proc. used: by workers, CPU seconds and switches, which count as own."""
    try:
        ticks = [int(number) for number in Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
        status = Path("/proc/self/status").read_text()
        switches = int(status.partition("nonvoluntary_ctxt_switches:")[2].partition("\n")[0])
    except (OSError, ValueError):
        return None
    user, nice, system, _, _, irq, softirq, stolen = (count / os.sysconf("SC_CLK_TCK") for count in ticks)
    own = sum(os.times()[:4])  # with ended children
    own_of_workers, switches_of_workers = used()
    busy = user + nice + system + irq + softirq
    return Counters(perf_counter(), busy, stolen, own + own_of_workers, switches + switches_of_workers)


def megahertz() -> list[float]:
    """The frequencies of all cores now; empty where they are not known."""
    try:
        return [float(value) for value in re.findall(r"^cpu MHz\s*: ([\d.]+)", Path("/proc/cpuinfo").read_text(), re.M)]
    except OSError:
        return []


def other_cores(before: Counters, after: Counters) -> float:
    """How many cores were busy with what is not ours between the two."""
    others = after.busy - before.busy - (after.own - before.own)
    return max(0, others) / (after.elapsed - before.elapsed)


class Watch:
    """Collects from its making on. used: what workers have used so far, CPU seconds and switches."""

    def __init__(self, used: Callable[[], tuple[float, int]] = lambda: (0.0, 0)) -> None:
        self.used, self.before = used, counters(used)
        self.looked = self.before
        self.megahertz: list[float] = []

    def look(self) -> float | None:
        """Notes the frequencies of this moment. Returns how many cores others have kept busy since the last look.

        None if that was less than a second ago: the system counts in hundredths.
        """
        self.megahertz += megahertz()
        before, now = self.looked, counters(self.used)
        if before is None or now is None or now.elapsed - before.elapsed < 1:
            return None
        self.looked = now
        return other_cores(before, now)

    def conditions(self) -> Conditions:
        """What has been until now."""
        before, after = self.before, counters(self.used)
        lowest, highest = min(self.megahertz, default=None), max(self.megahertz, default=None)
        if before is None or after is None:
            return Conditions(lowest_megahertz=lowest, highest_megahertz=highest)
        elapsed = after.elapsed - before.elapsed
        return Conditions(
            other_cores=other_cores(before, after),
            stolen_cores=max(0, after.stolen - before.stolen) / elapsed,  # less where a machine has moved meanwhile
            switches_per_second=(after.switches - before.switches) / elapsed,
            lowest_megahertz=lowest,
            highest_megahertz=highest,
        )
