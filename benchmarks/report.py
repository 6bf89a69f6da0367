"""Writes a saved run's table as Markdown.

    python -m benchmarks.report [RUN]

prints the table and saves it beside the run, with the suffix .md. Without RUN: the newest in `results/`.
"""

import argparse
import sys
from pathlib import Path

from benchmarks import saved, table


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description="A saved run as Markdown.")
    parser.add_argument("run", nargs="?", type=Path, metavar="RUN", help="a saved run (the newest in results/)")
    arguments = parser.parse_args()
    try:
        path = arguments.run or saved.newest()
        markdown = table.markdown(saved.load(path))
        page = path.with_suffix(".md")
        page.write_text(markdown, encoding="utf-8")
    except saved.RunError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        sys.exit(f"error: cannot write {error.filename}: {error.strerror}")
    print(markdown)
    print(f"saved: {page}")


if __name__ == "__main__":
    main()
