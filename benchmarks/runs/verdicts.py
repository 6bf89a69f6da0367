"""From saved rows to Samples and words. Needs neither torch nor numpy."""

import math

from benchmarks.runs import statistics


def key(row):
    """What tells the rows of one run apart."""
    return row["name"], row["device"], row["rows"], row["batch_size"]


def sample(row, value):
    """The Sample of a row: value(own seconds, baseline seconds) of each pair, by process."""
    found = {}
    for process, own, baseline in zip(row["process"], row["own_seconds"], row["baseline_seconds"], strict=True):
        found.setdefault(process, []).append(value(own, baseline))
    first, pairs = row["first_look"], len(row["own_seconds"])
    ordered = [sorted(values) for values in found.values()]  # once: every interval sorts them again
    return statistics.Sample(ordered, statistics.share_of_look(first, pairs) if first else 1.0)


def log_ratios(row):
    """The Sample of log(baseline / own): above 0 is faster than the baseline."""
    return sample(row, lambda own, baseline: math.log(baseline / own))


def ratio(row):
    """How many times as fast as the baseline, an Estimate with its 99 % interval."""
    return statistics.exponential(log_ratios(row).interval(statistics.LEVEL))


def difference(row):
    """How many seconds more than the baseline, an Estimate with its 99 % interval."""
    return sample(row, lambda own, baseline: own - baseline).interval(statistics.LEVEL)


def words(run):
    """The word of each row by its key; empty where the machine could not judge."""
    if cannot_judge(run):
        return {}
    return statistics.words({key(row): log_ratios(row) for row in run.rows}, run.margin)


def cannot_judge(run):
    """Why the run has no verdicts, from its null lanes and conditions; None if it has."""
    for lane in run.null_lanes:
        found = ratio(lane)
        word = statistics.word(log_ratios(lane).interval(statistics.LEVEL), run.margin)
        if word != "same":
            trouble = "seem to differ" if word != "unclear" else "cannot be told to be the same"
            return (
                f"the reference and its copy on {lane['device']} {trouble}, {interval_text(found)} with a margin of "
                f"{run.margin:.3g}; meanwhile {sentence(run.conditions)}. Try a quieter moment, more --budget, or a "
                "wider --margin"
            )
    return None


def interval_text(estimate, digits=3):
    """The estimate and its interval, for people, with so many digits after the point."""
    value, low, high = (f"{bound:.{digits}f}" for bound in estimate)
    return f"{value} ({low} to {high})"


def sentence(conditions):
    """What else the machine did, in words."""
    words = {
        "other_cores": "other processes kept {:.2f} cores busy",
        "stolen_cores": "the hypervisor took {:.2f}",
        "switches_per_second": "{:.0f} involuntary switches a second",
        "lowest_megahertz": "frequencies from {:.0f} MHz",
        "highest_megahertz": "up to {:.0f} MHz",
    }
    return (
        ", ".join(text.format(conditions[field]) for field, text in words.items() if conditions[field] is not None)
        or "unknown"
    )
