"""Two machines on one computer, as far apart as one likes: network namespaces, and a relay that holds what they send.

    python -m benchmarks.proof.distance 2 --benchmark-only --ranks 2 --torch-threads 1 -k "allreduce_flat or ddp"

runs the benchmark with these options on both, by the two lines of docs/machines.md; a message and its answer then take
2 ms longer than they would. Needs Linux and root. The kernel's own way to delay packets, netem, is not in every kernel.
"""

import fcntl
import os
import select
import shutil
import signal
import struct
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from time import monotonic

from benchmarks.measure.worker import set_option
from benchmarks.measure.workers import ROOT
from reference import shell

DEVICE = Path("/dev/net/tun")
SET_INTERFACE, PLAIN_PACKETS = 0x400454CA, 0x1001  # TUNSETIFF; IFF_TUN | IFF_NO_PI: see tuntap.rst of Linux
TIMER_SLACK = 29, 1  # of prctl(2): wake a thread no later than asked for, in nanoseconds; by default 50 us
LARGEST = 65_000  # bytes of a packet: the fewer there are, the less the relay has to do
IDLE = 0.1  # seconds after which it looks whether it is over
LONGEST = 60  # seconds of a round trip
SECONDS_TO_END = 10  # for the two machines
ADDRESSES = "10.22.0.1", "10.22.0.2"


def possible() -> bool:
    """Whether this process may make them."""
    return sys.platform == "linux" and os.geteuid() == 0 and DEVICE.exists() and shutil.which("ip") is not None


@contextmanager
def machines(round_trip: float) -> Iterator[tuple[str, str]]:
    """In the block there are two network namespaces with these names, from one to the other and back in such a time.

    round_trip: in seconds, to which comes what the computer itself takes. Each reaches the other at its place in
    ADDRESSES, through an interface of its own name. Raises OSError or subprocess.CalledProcessError without root.
    """
    first, second = (f"{end}{os.getpid()}" for end in "ab")
    ends: list[int] = []
    over = Event()
    carrier = Thread(target=relay, args=(ends, round_trip / 2, over), daemon=True)
    try:
        for name, address in zip((first, second), ADDRESSES, strict=True):
            ends.append(interface(name))
            ip(f"netns add {name}")
            ip(f"link set {name} netns {name}")
            ip(f"-n {name} addr add {address}/24 dev {name}")
            ip(f"-n {name} link set {name} mtu {LARGEST} up")
            ip(f"-n {name} link set lo up")
        carrier.start()
        yield first, second
    finally:
        over.set()
        if carrier.is_alive():
            carrier.join()
        for end in ends:
            os.close(end)
        for name in (first, second):
            subprocess.run(["ip", "netns", "del", name], capture_output=True)


def interface(name: str) -> int:
    """A new network interface of this name, as a file: its packets are read from there, and written to it."""
    end = os.open(DEVICE, os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(end, SET_INTERFACE, struct.pack("16sH22x", name.encode(), PLAIN_PACKETS))
    return end


def ip(command: str) -> None:
    """A command of iproute2."""
    subprocess.run(["ip", *command.split()], check=True, capture_output=True, text=True)


def relay(ends: Sequence[int], seconds: float, over: Event) -> None:
    """Takes each packet from one end to the other, so many seconds after it came, until that is over."""
    set_option(*TIMER_SLACK)
    other = dict(zip(ends, reversed(ends), strict=True))
    held: deque[tuple[float, int, bytes]] = deque()  # all are held equally long, so the first to come is the first due
    while not over.is_set():
        wait = max(0.0, held[0][0] - monotonic()) if held else IDLE
        for end in select.select(ends, [], [], wait)[0]:
            held.append((monotonic() + seconds, other[end], os.read(end, LARGEST)))
        while held and held[0][0] <= monotonic():
            _, end, packet = held.popleft()
            with suppress(OSError):  # an interface that is down takes none, and the packet is lost
                os.write(end, packet)


def run(names: Sequence[str], options: Sequence[str]) -> int:
    """Runs the benchmark in two such namespaces; its exit status."""
    modules = [["pytest", "benchmarks", *options], ["benchmarks.machine"]]
    started = [
        subprocess.Popen(
            ["ip", "netns", "exec", name, sys.executable, *torchrun(rank), "-m", *module],
            cwd=ROOT,
            env=environment(name),
        )
        for rank, (name, module) in enumerate(zip(names, modules, strict=True))
    ]
    try:
        status, _ = (process.wait() for process in started)
        return status
    finally:
        for process in started:
            process.terminate()
        for process in started:  # before the network goes between them
            with suppress(subprocess.TimeoutExpired):
                process.wait(SECONDS_TO_END)


def torchrun(rank: int) -> list[str]:
    """Python's arguments for one of two machines."""
    return [
        *("-m", "torch.distributed.run", "--nnodes=2", f"--node-rank={rank}", "--nproc-per-node=1"),
        *(f"--master-addr={ADDRESSES[0]}", "--master-port=29500", "--rdzv-conf=timeout=20"),
    ]


def environment(name: str) -> Mapping[str, str]:
    """The variables of what runs in such a namespace."""
    return os.environ | {"GLOO_SOCKET_IFNAME": name}


def main() -> int:
    milliseconds, *options = sys.argv[1:] or [""]
    try:
        round_trip = float(milliseconds) / 1e3
        if not 0 <= round_trip <= LONGEST:
            raise ValueError
    except ValueError:
        sys.exit(
            f"error: {milliseconds!r}: expected milliseconds of a round trip, at most {LONGEST * 1000}, then options "
            "of pytest benchmarks"
        )
    if not possible():
        sys.exit(f"error: this makes network namespaces: it needs Linux, root, iproute2's ip and {DEVICE}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what it has made goes with it
    with machines(round_trip) as names:
        return run(names, options)


if __name__ == "__main__":
    shell.run(main)
