"""Writes a saved run's table as Markdown, and of a run with several problems how time grows.

    python -m benchmarks.report [RUN] [--columns ...]

prints the table and saves it beside the run, with the suffix .md. Of rows paired with their parents it tells what
each layer costs; of several batch sizes it draws a picture, .svg, and of several processes it tells when they pay.
Without RUN: the newest in `results/`.

    python -m benchmarks.report --page RUN...

makes results/report.html of these runs and of the sources: all there is to look at, to read and to walk through; and
results/ladder.svg of the first run in which all rows share a baseline.

    python -m benchmarks.report --docs

fills the figures of `results/*.md` into README.md and docs/.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.runs import saved
from benchmarks.show import documents, layers, table
from reference import shell


def pages(path: Path, columns: Sequence[str] = ()) -> dict[str, str]:
    """What belongs beside a saved run: texts by the suffix of their file. Raises saved.RunError."""
    run = saved.load(path)
    if not table.varying(run.rows):
        return {".md": table.markdown(run, columns) + layers.markdown(run)}
    # And with them SciPy and matplotlib, only where there is what to draw.
    from benchmarks.show import growth, picture, ranks

    markdown = table.markdown(run, columns) + growth.markdown(run, path.with_suffix(".svg").name) + ranks.markdown(run)
    drawn = picture.of_run(run)
    return {".svg": drawn, ".md": markdown} if drawn else {".md": markdown}


def site(paths: Sequence[Path]) -> dict[Path, str]:
    """The page of saved runs, and its picture if there is one, by where they belong. Raises saved.RunError."""
    from benchmarks.show import page  # it needs packages that no table does

    runs = page.loaded(paths)
    drawn = page.picture(runs)
    picture = {saved.RESULTS / "ladder.svg": drawn} if drawn else {}
    return {saved.RESULTS / "report.html": page.html(runs)} | picture


def beside(path: Path, columns: Sequence[str]) -> dict[Path, str]:
    """The `pages` of a saved run, by where they belong. Raises saved.RunError, and ValueError if that is its place."""
    texts = pages(path, columns)
    if path.suffix in texts:
        raise ValueError(f"{path}: its table would take its place; give the run the suffix .json")
    return {path.with_suffix(suffix): text for suffix, text in texts.items()}


def written(arguments: argparse.Namespace) -> dict[Path, str]:
    """What was asked for, as texts by where they belong. Raises saved.RunError, and ValueError if it is unclear."""
    columns = table.columns(arguments.columns)
    if arguments.page:
        if not arguments.runs or columns:
            raise ValueError("--page needs the names of runs, and has no --columns")
        return site(arguments.runs)
    if len(arguments.runs) > 1:
        raise ValueError(f"{len(arguments.runs)} runs; expected one, or --page")
    return beside(arguments.runs[0] if arguments.runs else saved.newest(), columns)


def fill_documents() -> None:
    """Fills README.md and docs/, and says which of them have changed. Raises documents.DocumentError, and OSError."""
    changed = [f"saved: {path.relative_to(documents.ROOT)}" for path in documents.refill(documents.ROOT)]
    print("\n".join(changed) or "every figure is that of results/*.md")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description="Saved runs, to be read.")
    parser.add_argument("runs", nargs="*", type=Path, metavar="RUN", help="a saved run (the newest in results/)")
    parser.add_argument("--columns", help=f"of the table, some of: {', '.join(table.CHOICES)}".replace("%", "%%"))
    parser.add_argument("--page", action="store_true", help="make results/report.html of all these runs")
    parser.add_argument("--docs", action="store_true", help="fill README.md and docs/ with the figures in results/*.md")
    arguments = parser.parse_args()
    try:
        if arguments.docs and (arguments.page or arguments.runs or arguments.columns):
            raise ValueError("--docs: expected nothing beside it, as it takes its figures from results/*.md")
        if arguments.docs:
            fill_documents()
            return
        texts = written(arguments)
        for path, text in texts.items():
            saved.replace(path, text)
    except (saved.RunError, documents.DocumentError, ValueError) as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        sys.exit(f"error: {error.filename}: {error.strerror}")
    said = [text for path, text in texts.items() if path.suffix == ".md"]
    print("\n".join([*said, *(f"saved: {path}" for path in texts)]))


if __name__ == "__main__":
    shell.run(main)
