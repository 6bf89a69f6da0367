"""The page: everything that is known of the trainers in one HTML file that needs nothing else. No torch.

Reads saved runs, sources and what the proofs have saved; computes and measures nothing.
"""

import base64
import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

import implementations
from benchmarks.runs import museum, saved
from benchmarks.runs.museum import Museum
from benchmarks.runs.row import Setting
from benchmarks.show import batches, charts, code, documents, exhibits, ladder, lessons, prose, table
from benchmarks.show.ladder import Ladder, Price, Runs

FOLDER = Path(__file__).with_name("page")
MUSEUM = museum.PATH
PROOF = saved.RESULTS / "trust" / "trust.md"


def loaded(paths: Sequence[Path]) -> Runs:
    """The saved runs by the names of their files. Raises saved.RunError, also where two hold the same row."""
    runs: dict[str, saved.Run] = {}
    for path in paths:
        if path.name in runs:
            raise saved.RunError(f"{path}: a second run of the name {path.name}; give one of them, or rename it")
        runs[path.name] = saved.load(path)
    ladder.check(runs)
    return runs


def html(runs: Runs) -> str:
    """The page of these runs. Raises saved.RunError."""
    style, script = stylesheet(), (FOLDER / "page.js").read_text(encoding="utf-8")
    return (
        environment()
        .get_template("page.html.j2")
        .render(
            style=Markup(style),
            script=Markup(script),
            policy=policy(style, script),
            **content(runs),
        )
    )


def picture(runs: Runs) -> str | None:
    """The first ladder of these runs as an SVG for the README; None where there is none."""
    found = next((found for found in ladder.ladders(runs) if found.fastest), None)
    if not found:
        return None
    from benchmarks.show import ladder_picture  # and with it matplotlib

    return ladder_picture.svg(found)


def content(runs: Runs) -> dict[str, Any]:
    """What the templates show. Raises saved.RunError where the museum cannot be read."""
    found = lessons.lessons()
    found_ladders = ladder.ladders(runs)
    found_museum = exhibits.load(MUSEUM)
    prices = ladder.prices(runs)
    settings = [price.setting for of_one in prices.values() for price in of_one]
    settings += [found_ladder.setting for found_ladder in found_ladders]
    return {
        "ladders": found_ladders,
        "untimed": ladder.untimed_elsewhere(runs, found_ladders),
        "timed": {row.own.name for run in runs.values() for row in run.rows},
        "title": " · ".join(prose.both("title", count=len(found))),
        "lessons": found,
        "names": {lesson.name for lesson in found},
        "reference": lessons.reference(),
        "prices": prices,
        "reasons": ladder.reasons(runs),
        "several_problems": len({ladder.problem(setting) for setting in settings}) > 1,
        "facts": {file: table.facts(run) for file, run in runs.items() if run.rows},
        "fingerprints": {file: fingerprint(run) for file, run in runs.items() if run.rows},
        "proof": proof(),
        "shared": shared(runs),
        "growths": batches.growths(runs, found_museum),
        **(of_museum(found_museum) if found_museum else {"museum": None}),
    }


def of_museum(found: Museum) -> dict[str, Any]:
    """What the templates show of a museum."""
    return {
        "museum": found,
        "exhibits": exhibits.exhibits(found),
        "puzzles": exhibits.puzzles(found),
        "distances": exhibits.distances(found),
        "templates": exhibits.templates(found),
        "loss_axes": exhibits.loss_axes(found),
    }


def shared(runs: Runs) -> list[list[Any]]:
    """What several processes gain beside one: the `ranks.Shared` of each device of a run that has any."""
    if not any(row.own.processes for run in runs.values() for row in run.rows):
        return []
    from benchmarks.show import growth, ranks  # and with them SciPy

    found = [ranks.shared(run, device) for run in runs.values() for device in growth.devices(run)]
    return [rows for rows in found if rows]


def environment() -> jinja2.Environment:
    """The templates, and what they call."""
    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.globals |= {
        "said": prose.said,
        "told": prose.told,
        "inline": prose.inline,
        "block": prose.block,
        "price_sentence": prose.price,
        "link": link,
        "family": family,
        "dataset": dataset,
        "digit": charts.digit,
        "summary_price": summary_price,
        "way": way,
        "place": place,
        "question": question,
        "least_in_common": lessons.forked.LEAST_IN_COMMON,
        "reference_name": saved.REFERENCE,
    }
    return found


def stylesheet() -> str:
    """The style, with the colours of families and of code."""
    text = (FOLDER / "page.css").read_text(encoding="utf-8")
    families = enumerate([*ladder.FAMILIES.values(), ladder.OTHER_FAMILY])
    text = text.replace("/* families */", "\n".join(f".f{i} {{ --family: {colour}; }}" for i, colour in families))
    for scheme in code.STYLES:
        colours = "".join(f"--{kind}:#{colour};" for kind, colour in code.colours(scheme).items())
        text = text.replace(f"/* code: {scheme} */", colours)
    return text


def policy(style: str, script: str) -> str:
    """The Content-Security-Policy: nothing but this style, this script and the images in the page itself."""
    own = f"style-src '{digest(style)}'; script-src '{digest(script)}'"
    return f"default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; {own}"


def digest(text: str) -> str:
    """What a Content-Security-Policy names a style or a script by."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def family(name: str) -> str:
    """The class of all files whose names begin so: it has their colour."""
    known = list(ladder.FAMILIES)
    return f"f{known.index(name) if name in known else len(known)}"


@functools.cache
def link(name: str) -> Markup:
    """A name as code, leading to its lesson if there is one."""
    if name in (*implementations.names(), saved.REFERENCE):
        return Markup("<a href='#{0}'><code>{0}</code></a>").format(name)
    return Markup("<code>{}</code>").format(name)


def dataset(setting: Setting) -> Markup:
    """What it is called; of the bundled digits, that they are not MNIST."""
    return prose.said("digits") if setting.dataset == "digits" else Markup.escape(setting.dataset)


def place(setting: Setting) -> Markup:
    """Which machine, and which part of it."""
    return prose.told(setting.device_name) + f", {setting.device}"


def question(setting: Setting) -> Markup:
    """What was asked, and of which machine."""
    return prose.said(
        "question",
        dataset=setting.dataset,
        rows=setting.rows,
        batch=setting.batch_size,
        machine=place(setting),
        threads=setting.threads,
    )


def summary_price(found: Sequence[Price]) -> Markup:
    """The price of an idea in a few letters, the first of those found."""
    ratio = found[0].layer["x parent"]
    if not ratio:
        return prose.said("no_difference")
    word = prose.said(f"word_{found[0].word}") if found[0].word else ""
    return Markup("<b>{} ×</b> {}").format(ratio, word)


def way(found: Ladder, prices: dict[str, list[Price]]) -> list[tuple[str, Price | None]]:
    """The names from the root of the tree to the fastest, each with its price against the one before it, if any.

    It is one of the ladder's own problem.
    """
    assert found.fastest
    names, problem = lessons.way(found.fastest.name), ladder.problem(found.setting)
    steps = zip([None, *names], names, strict=False)
    return [(name, price_against(before, prices.get(name, []), problem)) for before, name in steps]


def price_against(before: str | None, prices: Sequence[Price], problem: ladder.Problem) -> Price | None:
    """The first of these prices that is against that file, on that problem."""
    return next(
        (price for price in prices if (price.against, ladder.problem(price.setting)) == (before, problem)), None
    )


def fingerprint(run: saved.Run) -> str:
    """What all rows of a run share and have, of what runs must share to be compared."""
    found = [row.fingerprint for row in run.rows]
    same = {key: value for key, value in found[0].items() if all(other[key] == value for other in found)}
    return ", ".join(
        f"{key} {str(value)[:12] if key.endswith('sha256') else value}"
        for key, value in same.items()
        if value is not None
    )


def proof() -> tuple[Markup, list[list[str]]] | None:
    """The proof: how it was made, and the lines of its table as cells; None where there is none. Raises RunError."""
    if not PROOF.exists():
        return None
    try:
        lines = PROOF.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise saved.RunError(f"{PROOF}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise saved.RunError(f"{PROOF}: not text in UTF-8; make it anew: python -m benchmarks.trust") from None
    how = "\n".join(line for line in lines[1:] if not line.startswith("|"))
    cells = [documents.cells_of(line) for line in lines if line.startswith("|")]
    if {len(line) for line in cells} != {3}:
        raise saved.RunError(f"{PROOF}: no table of three columns; make it anew: python -m benchmarks.trust")
    return Markup(prose.MARKDOWN.render(how)), cells[2:]
