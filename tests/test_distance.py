"""Two machines on one computer: what one sends reaches the other whole, and no sooner than it should."""

import json
import os
import subprocess
import sys

import pytest

from benchmarks.proof import distance

SECONDS, BYTES = 0.05, 200_000  # some packets
ECHO = """
import socket
with socket.create_server(("{address}", 5000)) as server:
    print("listening", flush=True)
    line, _ = server.accept()
    while what := line.recv(2**16):
        line.sendall(what)
"""
ASK = """
import json, os, socket, time
line = socket.create_connection(("{address}", 5000))
start = time.perf_counter()
line.sendall(b"?")
line.recv(1)
seconds = time.perf_counter() - start
sent, came = os.urandom({bytes}), b""
line.sendall(sent)
while len(came) < len(sent):
    came += line.recv(2**16)
print(json.dumps([came == sent, seconds]))
"""


@pytest.mark.parametrize("milliseconds", ["", "soon", "-2", "nan", "inf", "60001"])
def test_a_round_trip_is_a_number_of_milliseconds(milliseconds, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["distance", milliseconds])
    with pytest.raises(SystemExit, match="expected milliseconds of a round trip, at most 60000, then options"):
        distance.main()


def started(name, program):
    """A program in Python that runs on the machine of this name."""
    code = program.format(address=distance.ADDRESSES[1], bytes=BYTES)
    command = ["ip", "netns", "exec", name, sys.executable, "-c", code]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.mark.skipif(not distance.possible(), reason="needs root, iproute2 and /dev/net/tun")
def test_a_message_and_its_answer_arrive_whole_and_take_the_round_trip():
    with distance.machines(SECONDS) as (first, second):
        echo = started(second, ECHO)
        assert echo.stdout.readline() == "listening\n"
        is_whole, seconds = json.loads(started(first, ASK).communicate()[0])
        echo.communicate()
        assert is_whole
        assert seconds >= SECONDS
    there = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True).stdout
    assert str(os.getpid()) not in there


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["far"],
            "error: 'far': expected milliseconds of a round trip, at most 60000, then options of pytest benchmarks",
        ),
        ([], "error: '': expected milliseconds of a round trip, at most 60000, then options of pytest benchmarks"),
        (["2"], "error: this makes network namespaces: it needs Linux, root, iproute2's ip and /dev/net/tun"),
    ],
)
def test_what_cannot_be_made_is_said_in_one_line(arguments, words, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["benchmarks.proof.distance", *arguments])
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(SystemExit) as ended:
        distance.main()
    assert str(ended.value) == words
