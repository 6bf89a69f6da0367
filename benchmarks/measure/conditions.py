"""What else the machine did during a run: other load, stolen time, involuntary switches, frequency.

From Linux's /proc (proc(5)); elsewhere these are unknown, None. Needs neither torch nor numpy.
"""

import os
import re
from pathlib import Path
from time import perf_counter
from typing import NamedTuple


class Counters(NamedTuple):
    """Sums since the machine or the process was started, in seconds of one core.  switches: a number."""

    elapsed: float
    busy: float
    stolen: float
    own: float
    switches: int


def counters():
    """The Counters now, or None without /proc."""
    try:
        ticks = [int(number) for number in Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
        status = Path("/proc/self/status").read_text()
    except (OSError, ValueError):
        return None
    user, nice, system, _, _, irq, softirq, stolen = (count / os.sysconf("SC_CLK_TCK") for count in ticks)
    own = sum(os.times()[:4])  # with ended children
    switches = int(re.search(r"nonvoluntary_ctxt_switches:\s*(\d+)", status)[1])
    return Counters(perf_counter(), user + nice + system + irq + softirq, stolen, own, switches)


def megahertz():
    """The frequencies of all cores now; empty where they are not known."""
    try:
        return [float(value) for value in re.findall(r"^cpu MHz\s*: ([\d.]+)", Path("/proc/cpuinfo").read_text(), re.M)]
    except OSError:
        return []


class Conditions:
    """Collects from its making on."""

    def __init__(self):
        self.before = counters()
        self.megahertz = []

    def look(self):
        """Notes the frequencies of this moment."""
        self.megahertz += megahertz()

    def facts(self):
        """What is saved of them: plain numbers, None where unknown.

        other_cores: cores that other processes kept busy, on average.  stolen_cores: cores that the hypervisor gave
        to others.  switches_per_second: how often this process had to leave a core that it still wanted.
        """
        before, after = self.before, counters()
        known = before is not None and after is not None
        elapsed = after.elapsed - before.elapsed if known else None
        return {
            "other_cores": max(0, after.busy - before.busy - (after.own - before.own)) / elapsed if known else None,
            "stolen_cores": (after.stolen - before.stolen) / elapsed if known else None,
            "switches_per_second": (after.switches - before.switches) / elapsed if known else None,
            "lowest_megahertz": min(self.megahertz, default=None),
            "highest_megahertz": max(self.megahertz, default=None),
        }
