"""Writes a saved run's table as Markdown, and of a run with several problems how time grows.

    python -m benchmarks.report [RUN] [--columns ...]
    python -m benchmarks.report --page RUN...

The first prints the table and saves it beside the run, with the suffix .md. Of rows paired with their parents it tells
what each layer costs; of several batch sizes it draws a picture, .svg. Without RUN: the newest in `results/`.
The second makes results/report.html of runs and sources: everything, to look at, to read and to walk through; and of
the first run in which all rows share a baseline results/ladder.svg.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.runs import saved
from benchmarks.show import layers, table
from reference import shell


def pages(path: Path, columns: Sequence[str] = ()) -> dict[str, str]:
    """What belongs beside a saved run: texts by the suffix of their file. Raises saved.RunError."""
    run = saved.load(path)
    if not table.varying(run.rows):
        return {".md": table.markdown(run, columns) + layers.markdown(run)}
    from benchmarks.show import growth, picture  # and with them SciPy and matplotlib, only where there is what to draw

    markdown = table.markdown(run, columns) + growth.markdown(run, path.with_suffix(".svg").name)
    drawn = picture.of_run(run)
    return {".svg": drawn, ".md": markdown} if drawn else {".md": markdown}


def site(paths: Sequence[Path]) -> dict[Path, str]:
    """The page of saved runs and its picture, by where they belong. Raises saved.RunError."""
    from benchmarks.show import page  # it needs packages that no table does

    runs = page.loaded(paths)
    found = {saved.RESULTS / "report.html": page.html(runs)}
    drawn = page.picture(runs)
    return found | ({saved.RESULTS / "ladder.svg": drawn} if drawn else {})


def replace(path: Path, text: str) -> None:
    """Writes a file beside its place and puts it there: who reads meanwhile sees the old one or the new one, whole."""
    beside = path.with_name(f"{path.name}.part")
    try:
        beside.write_text(text, encoding="utf-8")
        os.replace(beside, path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
    finally:
        beside.unlink(missing_ok=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description="Saved runs, to be read.")
    parser.add_argument("runs", nargs="*", type=Path, metavar="RUN", help="a saved run (the newest in results/)")
    parser.add_argument("--columns", help=f"of the table, some of: {', '.join(table.CHOICES)}".replace("%", "%%"))
    parser.add_argument("--page", action="store_true", help="make results/report.html of all these runs")
    arguments = parser.parse_args()
    try:
        columns = table.columns(arguments.columns)
        if arguments.page:
            if not arguments.runs or columns:
                raise ValueError("--page needs the runs that it shows, and no --columns")
            written, printed = site(arguments.runs), ""
        else:
            if len(arguments.runs) > 1:
                raise ValueError(f"{len(arguments.runs)} runs; expected one, or --page before them")
            path = arguments.runs[0] if arguments.runs else saved.newest()
            texts = pages(path, columns)
            if path.suffix in texts:
                raise ValueError(f"{path}: its table would take its place; give the run the suffix .json")
            written, printed = {path.with_suffix(suffix): text for suffix, text in texts.items()}, texts[".md"]
        for place, text in written.items():
            replace(place, text)
    except (saved.RunError, ValueError) as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        sys.exit(f"error: cannot write {error.filename}: {error.strerror}")
    if printed:
        print(printed)
    for place in written:
        print(f"saved: {place}")


if __name__ == "__main__":
    shell.run(main)
