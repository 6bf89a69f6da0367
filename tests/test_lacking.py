"""What a machine lacks is read from what was raised: by compilers, linkers, the C library, torch, Numba and JAX."""

import sys
from types import SimpleNamespace

import pytest

import implementations
from benchmarks.measure import lacking


def raised(error, file="somewhere.py"):
    """The error, raised by a line of that file."""
    try:
        exec(compile("raise error", file, "exec"), {"error": error})
    except BaseException as caught:
        return caught


SAID = {
    # gcc, gcc without any folder of headers, clang; and with all that torch says before and after.
    "main.c:4:10: fatal error: Python.h: No such file or directory\n    4 | #include": "the compiler finds no Python.h",
    "a.c:15:19: error: no include path in which to search for errno.h": "the compiler finds no errno.h",
    "CppCompileError: C++ compile error\n\nCommand:\ng++ a.cpp\n\nOutput:\na.cpp:2:10: fatal error: 'omp.h' file not "
    "found\n\nOpenMP support not found.": "the compiler finds no omp.h",
    "gcc: fatal error: cannot execute 'cc1plus': execvp: No such file": "the compiler lacks a part of it, cc1plus",
    "gcc: error trying to exec 'cc1plus': execvp: No such file or dir": "the compiler lacks a part of it, cc1plus",
    "/usr/bin/ld: cannot find -lcuda: No such file or directory": "the linker finds no -lcuda",
    "/usr/bin/ld: cannot find crti.o: No such file or directory": "the linker finds no crti.o",
    "ld: library not found for -lomp": "the linker finds no -lomp",
    "libcuda.so cannot found!": "the linker finds no libcuda.so",
    "Failed to find C compiler. Please specify via CC environment": "no compiler is found; CC and CXX can name one",
    "No working C++ compiler found in config.cpp.cxx: (None, 'g++')": "no compiler is found; CC and CXX can name one",
    "/tmp/a/library.so: failed to map segment from shared object": "nothing may be executed where /tmp/a/library.so",
    "cannot cache function 'f': no locator available for file 'f.py'": "Numba has no folder for its cache; set NUMBA",
    "DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that dataloader's workers are out of "
    "shared memory. Please try to raise your shared memory limit.": "shared memory, /dev/shm, is too small for a",
    "unable to open shared memory object </torch_7_1> in read-write mode": "shared memory, /dev/shm, is too small",
    "[Errno 28] No space left on device: '/tmp/a.c'": "no space is left on a disk",
    "can't start new thread": "no more threads or processes may be started",
    "[Errno 11] 64 threads: Resource temporarily unavailable": "no more threads or processes may be started",
}


@pytest.mark.parametrize("message", SAID)
def test_what_is_missing_is_named(message):
    assert lacking.lacking(raised(RuntimeError(message))).startswith(SAID[message])


@pytest.mark.parametrize(
    "message",
    [
        "cc failed: a.c:7:5: error: expected ';' before 'return'",
        "a.so: failed to map segment from shared object: Cannot allocate memory",
        "libnone.so.12: cannot open shared object file: No such file or directory",  # a package that is broken
        "[Errno 2] No such file or directory: 'x.npy'",
        "cannot find the answer",
        "",
    ],
)
def test_what_is_wrong_is_not_taken_for_missing(message):
    assert lacking.lacking(raised(RuntimeError(message))) is None


def test_a_semaphore_lies_in_shared_memory():
    in_words = [
        lacking.lacking(raised(OSError(28, "No space left on device"), file))
        for file in ("/usr/lib/python/multiprocessing/synchronize.py", "idea.py")
    ]
    assert in_words == ["shared memory, /dev/shm, is too small for a worker", "no space is left on a disk"]


def test_a_file_says_itself_what_it_lacks_and_torch_does_not_say_it_for_the_file():
    own = str(implementations.FOLDER / "idea.py")
    assert lacking.lacking(raised(NotImplementedError("no\ncluster"), own)) == "no cluster"
    assert lacking.lacking(raised(NotImplementedError(), own)) == "it cannot run here"
    assert lacking.lacking(raised(NotImplementedError("of torch"), "/torch/nn.py")) is None


@pytest.mark.parametrize("error", [AssertionError(), RuntimeError("Unable to initialize backend 'tpu'")])
def test_jax_without_its_platform_need_not_say_so(error, monkeypatch):
    """Told to take CUDA where it has no CUDA, it raises an AssertionError without words."""

    def devices():
        raise error

    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    monkeypatch.setitem(sys.modules, "jax", SimpleNamespace(devices=devices))
    words = "JAX finds no platform here with JAX_PLATFORMS=cuda"
    assert lacking.lacking(raised(AssertionError())) == words
    monkeypatch.setitem(sys.modules, "jax", SimpleNamespace(devices=lambda: ["cpu"]))
    assert lacking.lacking(raised(AssertionError())) is None
