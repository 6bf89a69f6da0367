"""The ladder as a picture for the README: the fastest file of each family, the baseline and the slowest file."""

from collections.abc import Sequence

from matplotlib import pyplot as plt
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from benchmarks.show import ladder, picture
from benchmarks.show.ladder import Ladder, Rung
from benchmarks.show.picture import TEXT


def svg(found: Ladder) -> str:
    """The picture, the same text whenever the run is the same."""
    rungs = shown(found)
    with plt.rc_context(picture.STYLE):
        figure, ax = plt.subplots(figsize=(8, 0.34 * len(rungs) + 1.5), layout="constrained")
        for place, rung in enumerate(rungs):
            ratio, low, high = rung.ratio
            colour = ladder.FAMILIES.get(rung.family, ladder.OTHER_FAMILY)
            ax.barh(place, ratio - 1, left=1, color=colour, height=0.66)
            ax.plot([low, high], [place, place], color=TEXT, linewidth=1.5)
            ax.annotate(
                f"{ratio:.2f}×" if not rung.is_reference else "1×",
                (max(high, 1), place),
                xytext=(5, 0),
                textcoords="offset points",
                va="center",
            )
        ax.axvline(1, color=TEXT, linewidth=0.8)
        ax.axvline(found.floor, color=TEXT, linewidth=1, linestyle="--", zorder=0)
        ax.set(xscale="log", ylim=(len(rungs) - 0.4, -0.6))
        ax.set_xlim(right=ax.get_xlim()[1] * 1.35)  # room for the last figure
        ax.set_yticks(range(len(rungs)), [rung.name for rung in rungs], family="monospace")
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.xaxis.set_major_formatter(FuncFormatter("{0:g}×".format))
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.tick_params(axis="y", length=0)
        ax.spines[["top", "right", "left"]].set_visible(False)
        ax.set_xlabel(caption(found))
        ax.set_title(f"How many times as fast as {found.baseline}, with 99 % interval", loc="left", fontsize=11)
        return picture.as_text(figure)


def shown(found: Ladder) -> Sequence[Rung]:
    """The fastest of each family, the baseline, and the slowest of all; fastest first."""
    seen: set[str] = set()
    rungs = []
    for rung in found.rungs:
        if rung.is_reference or rung is found.rungs[-1] or rung.family not in seen:
            rungs.append(rung)
        seen.add("" if rung.is_reference else rung.family)
    return rungs


def caption(found: Ladder) -> str:
    """What was measured, and where."""
    where = found.setting
    return (
        f"{picture.dataset(where)}; {where.device_name}, {where.threads} threads\n"
        "dashed: the floor, the least time for all pixels in dense float32"
    )
