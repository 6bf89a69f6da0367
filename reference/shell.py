"""What a command shares with the shell: ~ in a path, a pipe that is closed, letters that a terminal lacks. No torch."""

import io
import os
import sys
from collections.abc import Callable
from pathlib import Path

INTERRUPTED = 130  # as a shell says of what SIGINT has ended
BROKEN_PIPE = 141  # as a shell says of what SIGPIPE has ended: no status that any command gives a meaning


def expanded(path: str | Path) -> Path:
    """The path with the home folder for ~. Raises ValueError where there is none, so that nothing called ~ is made."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise ValueError(f"{path}: ~ is nobody's home folder here; name the folder itself, or set HOME") from None


def print_what_can_be_printed() -> None:
    """From now on a letter that the terminal's encoding lacks is printed as a question mark, and the others as ever."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # a notebook has another, which lacks no letter
        sys.stdout.reconfigure(errors="replace")


def run(main: Callable[[], int | None]) -> None:
    """Runs a command and exits with the status that it returns.

    Where its reader has gone, as with `| head -1`, or after Ctrl-C it ends without a word, with a status of its own.
    """
    print_what_can_be_printed()
    try:
        try:
            status = main()
        finally:
            print(end="", flush=True)  # here it can still be noticed; and it does nothing where there is no stdout
    except KeyboardInterrupt:
        status = INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it flushes at its end
        status = BROKEN_PIPE
    sys.exit(status)
