"""The picture of how time grows with the batch size."""

import io
from collections.abc import Sequence
from typing import Any

import matplotlib

matplotlib.use("Agg")  # no window

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from benchmarks.runs.row import Setting
from benchmarks.runs.saved import Run
from benchmarks.show import charts, growth, ladder
from benchmarks.show.growth import Panel

TEXT, BACK = "#1a1c20", "#ffffff"  # as on the page
STYLE: Any = {
    **{"svg.hashsalt": "one trainer", "font.size": 10, "svg.fonttype": "path", "figure.facecolor": BACK},
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), TEXT),
}
# The same two where all else is dark. Who does not know of schemes sees dark on white: readable on any page.
DARK = f"""@media (prefers-color-scheme: dark) {{
[style*="fill: {BACK}"] {{ fill: #15171b !important; }} [style*="fill: {TEXT}"] {{ fill: #e9eaec !important; }}
[style*="stroke: {TEXT}"] {{ stroke: #e9eaec !important; }}
}}"""
MARKERS = "osD^vP*X"
LABEL_HEIGHT = 0.05  # of the height of the axes: labels are at least as far apart


def of_run(run: Run) -> str | None:
    """The picture of a run over several batch sizes; None where it says nothing of them."""
    panels = growth.panels(run)
    where = run.rows[0].setting
    title = f"The fastest implementation of each family; {dataset(where)}\n{where.device_name}, {where.threads} threads"
    return svg(panels, title) if panels else None


def dataset(where: Setting) -> str:
    """What it is called; of the bundled digits, that they are not MNIST."""
    return "scikit-learn's digits in MNIST's shape, not MNIST" if where.dataset == "digits" else where.dataset


def svg(panels: Sequence[Panel], title: str) -> str:
    """The panels side by side as an SVG, the same text whenever the times are the same."""
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(1, len(panels), figsize=(8 * len(panels), 5.8), squeeze=False, layout="constrained")
        for ax, panel in zip(axes[0], panels, strict=True):
            draw(ax, panel)
        figure.suptitle(title, fontsize=10)
        return as_text(figure)


def as_text(figure: Figure) -> str:
    """A figure as SVG, the same text whenever it is drawn, in the reader's own scheme."""
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    plt.close(figure)
    return file.getvalue().replace("</style>", f"{DARK}</style>", 1)


def draw(ax: Axes, panel: Panel) -> None:
    """One panel: time an epoch against batch size, both logarithmic; each line leads to its label."""
    labels = []
    for i, (family, own) in enumerate(panel.families.items()):
        sizes, times = [point.batch_size for point in own], [point.seconds * 1e3 for point in own]
        colour = ladder.FAMILIES.get(family, TEXT if family == growth.REFERENCE else ladder.OTHER_FAMILY)
        ax.plot(sizes, times, color=colour, marker=MARKERS[i % len(MARKERS)], markersize=5, clip_on=False)
        labels.append((times[-1], family, colour))
    floor = panel.floor * 1e3
    ax.axhline(floor, color=TEXT, linestyle="--", linewidth=1)
    labels.append((floor, "floor", TEXT))
    ax.set(xscale="log", yscale="log", xlabel="batch size", ylabel="ms/epoch")
    ax.set_xlim(right=sizes[-1])
    ax.set_title(f"{panel.rows} rows on {panel.device}", fontsize=10)
    ax.set_xticks(sizes, [str(size) for size in sizes])
    ax.minorticks_off()
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter("{x:g}")
    ax.grid(alpha=0.25)
    ax.spines[["top", "right"]].set_visible(False)
    low, high = ax.get_ylim()
    places = [ax.transAxes.inverted().transform(ax.transData.transform((1, time)))[1] for time, *_ in labels]
    heights = charts.spread(places, LABEL_HEIGHT)
    for (_, text, colour), place, height in zip(labels, places, heights, strict=True):
        ax.plot([1, 1.03], [place, height], color=colour, transform=ax.transAxes, clip_on=False)
        ax.annotate(text, (1.04, height), xycoords="axes fraction", va="center", annotation_clip=False)
    ax.set_ylim(low, high)
