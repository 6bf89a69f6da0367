"""The Korean of the lessons and of the page's own words: each paragraph under the hash of its English.

So a paragraph whose English has changed has no Korean any more, and whoever shows it shows the English.
"""

import functools
import hashlib
import re
import tomllib
from pathlib import Path
from typing import Any

from benchmarks.runs.saved import RunError

FILE = Path(__file__).with_name("lessons.ko.toml")


def korean(section: str, english: str) -> str | None:
    """The Korean of an English paragraph, as Markdown; None if there is none. Raises RunError.

    The section is the name of a lesson, "mistakes.loss_summed" for one of the mistakes, or "page".
    """
    return translations().get(section, {}).get(key(english))


def key(english: str) -> str:
    """What a paragraph is found by, however its lines are broken: 12 hex digits of its SHA-256."""
    return hashlib.sha256(" ".join(english.split()).encode()).hexdigest()[:12]


def paragraphs(docstring: str) -> list[str]:
    """What there is to translate: all between blank lines but code, which is indented by four."""
    return [part for part in re.split(r"\n\s*\n", docstring) if part.strip() and not part.startswith("    ")]


def toml(path: Path) -> dict[str, Any]:
    """What a TOML file holds. Raises RunError."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise RunError(f"{path}: not text in UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise RunError(f"{path}: not TOML: {error}") from None


@functools.cache
def translations(path: Path = FILE) -> dict[str, dict[str, str]]:
    """All Korean paragraphs, by section and key. Raises RunError."""
    sections = toml(path)
    for section, table in sections.items():
        if not isinstance(table, dict):
            raise RunError(
                f"{path}: {section} is no table; expected [NAME OF A LESSON], then one KEY = TEXT a paragraph"
            )
        for name, text in table.items():
            if not isinstance(text, str) or not text.strip():
                raise RunError(f"{path}: {name} in [{section}] is {str(text)[:20]!r}; expected Korean text")
    return sections


def missing(section: str, english: list[str]) -> list[str]:
    """Those of the English paragraphs that have no Korean, each as one line: section, key and text."""
    return [line(section, key(text), text) for text in english if korean(section, text) is None]


def stale(section: str, english: list[str]) -> list[str]:
    """The Korean paragraphs of a section whose English is not there any more, each as one line."""
    keys = {key(text) for text in english}
    table = translations().get(section, {})
    return [line(section, name, text) for name, text in table.items() if name not in keys]


def line(section: str, name: str, text: str) -> str:
    """A paragraph and where it stands, in one line."""
    return f"[{section}] {name}: {' '.join(text.split())}"
