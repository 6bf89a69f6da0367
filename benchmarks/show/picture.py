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

from benchmarks.runs.saved import Run
from benchmarks.show import charts, growth, ladder
from benchmarks.show.growth import Panel

STYLE: Any = {"svg.hashsalt": "one trainer", "font.size": 10, "svg.fonttype": "path"}
MARKERS = "osD^vP*X"
LABEL_HEIGHT = 0.05  # of the height of the axes: labels are at least as far apart


def of_run(run: Run) -> str | None:
    """The picture of a run over several batch sizes; None where it says nothing of them."""
    panels = growth.panels(run)
    where = run.rows[0].setting
    title = f"{where.dataset}, {where.device_name}, {where.threads} threads: the fastest writing of each family"
    return svg(panels, title) if panels else None


def svg(panels: Sequence[Panel], title: str) -> str:
    """The panels side by side as an SVG, the same text whenever the times are the same."""
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(1, len(panels), figsize=(8 * len(panels), 5.6), squeeze=False, layout="constrained")
        for ax, panel in zip(axes[0], panels, strict=True):
            draw(ax, panel)
        figure.suptitle(title, fontsize=10)
        return as_text(figure)


def as_text(figure: Figure) -> str:
    """A figure as SVG, the same text whenever it is drawn."""
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    plt.close(figure)
    return file.getvalue()


def draw(ax: Axes, panel: Panel) -> None:
    """One panel: time an epoch against batch size, both logarithmic; each line has its label at its end."""
    labels = []
    for i, (family, own) in enumerate(panel.families.items()):
        sizes, times = [point.batch_size for point in own], [point.seconds * 1e3 for point in own]
        colour = ladder.FAMILIES.get(family, "black" if family == growth.REFERENCE else ladder.OTHER_FAMILY)
        ax.plot(sizes, times, color=colour, marker=MARKERS[i % len(MARKERS)], markersize=5)
        labels.append((times[-1], family, colour))
    floor = panel.floor * 1e3
    ax.axhline(floor, color="black", linestyle="--", linewidth=1)
    labels.append((floor, "dense floor", "black"))
    ax.set(xscale="log", yscale="log", xlabel="batch size", ylabel="ms/epoch")
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
    for (_, text, colour), height in zip(labels, heights, strict=True):
        ax.annotate(
            text,
            (1.01, height),
            xycoords="axes fraction",
            color=colour,
            va="center",
            annotation_clip=False,
        )
    ax.set_ylim(low, high)
