"""Wrong trainers, kept: one file, one mistake, as like its right sibling as it can be. The checker rejects them all."""

from pathlib import Path

FOLDER = Path(__file__).parent


def names() -> list[str]:
    """The names of all mistakes, sorted, as `implementations` takes them: "mistakes.zero_grad_forgotten"."""
    return sorted(f"mistakes.{path.stem}" for path in FOLDER.glob("*.py") if not path.stem.startswith("_"))
