"""Writes a saved run's table as Markdown, and of a run with several problems how time grows.

    python -m benchmarks.report [RUN] [--columns ...]

prints the table and saves it beside the run, with the suffix .md. Of rows paired with their parents it tells what
each layer costs; of several batch sizes it draws a picture, .svg. Without RUN: the newest in `results/`.

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
    from benchmarks.show import growth  # and with it SciPy, only where there is something to fit

    markdown = table.markdown(run, columns) + growth.markdown(run, path.with_suffix(".svg").name)
    panels = growth.panels(run)
    if not panels:
        return {".md": markdown}
    from benchmarks.show import picture

    where = run.rows[0].setting
    title = f"{where.dataset}, {where.device_name}, {where.threads} threads: the fastest writing of each family"
    return {".svg": picture.svg(panels, title), ".md": markdown}


def fill_documents() -> None:
    """Fills README.md and docs/, and says which of them have changed."""
    try:
        changed = list(documents.refill(documents.ROOT))
    except documents.DocumentError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        sys.exit(f"error: cannot write {error.filename}: {error.strerror}")
    print(
        "\n".join(f"saved: {path.relative_to(documents.ROOT)}" for path in changed)
        or "every figure is that of results/*.md"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description="A saved run as Markdown.")
    parser.add_argument("run", nargs="?", type=Path, metavar="RUN", help="a saved run (the newest in results/)")
    parser.add_argument("--columns", help=f"of the table, some of: {', '.join(table.CHOICES)}".replace("%", "%%"))
    parser.add_argument("--docs", action="store_true", help="fill README.md and docs/ with the figures in results/*.md")
    arguments = parser.parse_args()
    if arguments.docs:
        fill_documents()
        return
    try:
        columns = table.columns(arguments.columns)
        path = arguments.run or saved.newest()
        texts = pages(path, columns)
        if path.suffix in texts:
            raise ValueError(f"{path}: its table would take its place; give the run the suffix .json")
        for suffix, text in texts.items():
            path.with_suffix(suffix).write_text(text, encoding="utf-8")
    except (saved.RunError, ValueError) as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        sys.exit(f"error: cannot write {error.filename}: {error.strerror}")
    print(texts[".md"])
    for suffix in texts:
        print(f"saved: {path.with_suffix(suffix)}")


if __name__ == "__main__":
    shell.run(main)
