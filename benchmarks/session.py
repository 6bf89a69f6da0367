"""A run of the benchmark, as pytest goes through its rows: what is measured, saved and shown."""

import signal
from contextlib import ExitStack, nullcontext
from dataclasses import asdict
from functools import cached_property
from time import perf_counter
from typing import Any

import pytest

import implementations
from benchmarks import options
from benchmarks.measure import processes
from benchmarks.measure.refusals import Refusal
from benchmarks.measure.workers import Workers
from benchmarks.runs import saved
from benchmarks.runs.row import Row, clean
from benchmarks.runs.saved import Conditions, Run
from benchmarks.show import table
from reference import shell

SHOW = ("collectonly", "showfixtures", "show_fixtures_per_test", "setupplan")  # options with which nothing runs


class Session:
    """What pytest's configuration carries through a run. suite: where rows are measured, once there are any."""

    def __init__(self, config: Any) -> None:
        """Checks the options and prepares for the end. Raises pytest.UsageError."""
        if config.pluginmanager.is_blocked("benchmark"):
            raise pytest.UsageError("-p no:benchmark: here pytest-benchmark holds the times; leave this out")
        if config.pluginmanager.is_blocked("terminal"):
            raise pytest.UsageError("-p no:terminal: here the table is shown by pytest's terminal; leave this out")
        options.check_elsewhere(map(str, config.invocation_params.args))
        shell.print_what_can_be_printed()
        self.config, self.settings, self.suite = config, options.checked_settings(config.option), None
        self.untimed: list[tuple[str, str]] = []
        self.merged: Run | None = None  # of several processes
        config.option.benchmark_quiet = True  # one table, ours
        self.only_shows = any(config.getoption(option, False) for option in SHOW)
        self.times = config.option.benchmark_only and not self.only_shows
        if self.times and config.option.benchmark_json is None:
            config.option.benchmark_json = options.default_path()
        if config.option.benchmark_json:
            config.option.benchmark_json = options.expanded(config.option.benchmark_json)
            options.check_writable(config.option.benchmark_json)

    # --- before -------------------------------------------------------------------------------------------------

    def begin(self, items: list[Any], left_out: list[Any]) -> None:
        """Loads the data and solves the problem once there are rows to run, so that a bad option ends the run here."""
        rows = [item.callspec.params for item in items if is_row(item)]
        if not items and any(map(is_row, left_out)):
            self.say_devices()
        if self.is_split() and len(rows) < len(items):
            raise pytest.UsageError("--processes repeats the benchmark's rows; run other tests without it")
        if rows and not self.only_shows:
            check_once(items, self.config)
            signal.signal(signal.SIGTERM, processes.interrupt)  # ends as Ctrl-C does, with table and file
            if not self.is_split():
                self.suite = self.made_suite(rows)
                self.begun = perf_counter()

    def made_suite(self, rows: list[dict[str, Any]]) -> Any:
        """The Suite of this run; says which data it took, and what will not run. Raises pytest.UsageError."""
        with ExitStack() as at_the_end:
            # First: what they are forked from imports torch while this process does.
            workers = at_the_end.enter_context(Workers(self.settings.spawn, self.say))
            from benchmarks.measure.suite import Suite
            from reference import datasets, equivalence

            try:
                data = datasets.load(self.settings.dataset)
                self.line(table.wrapped(f"dataset {data.name}: {data.origin}"))
                self.say_devices()
                sizes = dict.fromkeys((row["rows"], row["batch_size"]) for row in rows)
                suite = Suite(self.settings, data, sizes, len(rows), workers)
            except (datasets.DatasetError, equivalence.Unjudgeable, ValueError) as error:
                raise pytest.UsageError(str(error)) from None
            at_the_end.pop_all()  # the suite ends them
            return suite

    def say_devices(self) -> None:
        """A line: which GPU it is, or what is not run without one, unless only the CPU was asked for; one of ranks."""
        if "cuda" in self.settings.devices:
            self.line(table.wrapped(gpu_in_words()))
        elif self.settings.devices != ("cpu",):
            self.line(accelerator_in_words(*self.settings.devices))
        elif self.config.option.device == "auto":
            only = ", ".join(name for name in implementations.names() if implementations.devices(name) == ("cuda",))
            self.line(f"device cpu: torch sees no CUDA device here; not run: all rows on cuda, and with them {only}")

        several = [name for name in implementations.names() if implementations.processes(name) > 1]
        if several and self.settings.ranks == 1:
            needed = min(map(implementations.processes, several))
            self.line(table.wrapped(f"one process each; not run without --ranks {needed}: {', '.join(several)}"))

    def line(self, text: str) -> None:
        """Writes a line for who reads the run."""
        self.config.get_terminal_writer().line(text)

    def say(self, text: str) -> None:
        """Writes a line for who waits in front of a terminal, past what pytest captures."""
        plugin = self.config.pluginmanager.get_plugin
        capture, terminal = plugin("capturemanager"), plugin("terminalreporter")
        if terminal and terminal.isatty:
            with capture.global_and_fixture_disabled() if capture else nullcontext():
                self.line(f"\n{text}")

    # --- meanwhile ----------------------------------------------------------------------------------------------

    def is_split(self) -> bool:
        """Whether other processes do the work of this one."""
        settings, option = self.settings, self.config.option
        return settings.processes > 1 and settings.part is None and not (option.benchmark_disable or self.only_shows)

    def run_processes(self) -> None:
        """Has the rows run in as many processes, one after the other, and takes what came of it as one run.

        If one of them ends badly, or somebody ends them all, those before it are the run.
        """
        given = self.config.invocation_params
        finished: list[processes.Content] = []
        together: processes.Content | None = None
        try:
            for content in processes.contents(given.args, given.dir, self.settings.processes):
                finished.append(content)
                together = processes.merged(finished)
        except processes.Unlike as unlike:
            pytest.exit(str(unlike), returncode=1)
        except processes.Ended as ended:
            pytest.exit(f"a process ended with status {ended}; its last lines say why", returncode=ended.args[0] or 1)
        finally:
            if together:
                self.take(together)

    def take(self, content: processes.Content) -> None:
        """Saves what several processes have measured together as one run, which is this one."""
        self.merged = saved.run_of(content)
        self.write(content | saved.beside_the_rows(self.merged))

    def write(self, content: dict[str, Any]) -> None:
        """Saves a run where it is to be saved. Where that fails nothing is measured any more, and the table shown."""
        path = self.config.option.benchmark_json
        try:
            if path:
                saved.write(path, content)
        except OSError as error:
            self.config.option.benchmark_json = self.config._benchmarksession.json = None  # nobody tries again
            pytest.exit(
                f"cannot save to {path}: {error.strerror}; make room, or choose another place with --benchmark-json "
                "FILE",
                returncode=pytest.ExitCode.INTERRUPTED,
            )

    def collect(self, item: Any, call: Any, report: Any) -> None:
        """Keeps the row of a test that has ended, or why it has no time; saves what there is."""
        if report.skipped:
            self.leave_out(item, "skipped", str(call.excinfo.value))
        elif report.failed:
            raised = call.excinfo.value
            reason = clean(str(raised)) or call.excinfo.typename
            self.leave_out(item, getattr(raised, "word", "error"), reason)
            if isinstance(raised, Refusal):
                report.longrepr = reason
        elif call.when == "call" and item.funcargs["benchmark"].extra_info:
            self.save()
        if call.when == "call" and self.suite:
            self.say(self.progress(item.callspec.id))

    def leave_out(self, item: Any, word: str, reason: str) -> None:
        """Keeps why a row has no time, as a line that a run may hold."""
        self.untimed.append((item.callspec.id, clean(f"{word}: {reason}")))

    def progress(self, last: str) -> str:
        """Which row was the last, how many there are, and how long the others will take if they take as long."""
        suite: Any = self.suite
        count, left = suite.row_count, suite.rows_left
        part, of_process, to_come = self.settings.part, "", left
        if part is not None:
            of_process = f"process {part + 1} of {self.settings.processes}, "
            to_come += count * (self.settings.processes - part - 1)
        minutes, seconds = divmod(round((perf_counter() - self.begun) / (count - left) * to_come), 60)
        return f"{last}: {of_process}row {count - left} of {count}, about {minutes}:{seconds:02d} left"

    # --- at the end ---------------------------------------------------------------------------------------------

    @cached_property
    def run(self) -> Run:
        """All that was measured, taken once at the end: what is saved is what is shown."""
        return self.merged or self.run_so_far()

    def run_so_far(self) -> Run:
        """What has been measured until now. Raises RunError in one of several processes: its rows have few pairs."""
        rows, checks, conditions = self.measured()
        return Run(rows, tuple(self.untimed), checks, conditions, self.settings.margin)

    def measured(self) -> tuple[tuple[Row, ...], tuple[Row, ...], Conditions]:
        """Rows, A/A checks and conditions until now."""
        if not self.suite:
            return (), (), Conditions()
        checks = tuple(check.row() for check in self.suite.aa_checks.values() if check.pairs)
        return tuple(self.suite.rows), checks, self.suite.watch.conditions()

    def beside_the_rows(self, at_the_end: bool = True) -> dict[str, Any]:
        """What is saved beside them; one of several processes has no words."""
        if self.settings.part is None:
            return saved.beside_the_rows(self.run if at_the_end else self.run_so_far())
        _, checks, conditions = self.measured()
        return {
            "untimed": self.untimed,
            "null_lanes": [check.to_dict() for check in checks],
            "conditions": asdict(conditions),
            "margin": self.settings.margin,
        }

    def save(self, at_the_end: bool = False) -> None:
        """Saves what there is, as pytest-benchmark would at the end alone: whatever happens meanwhile, it is safe."""
        config, benchmarks = self.config, self.config._benchmarksession
        if config.option.benchmark_json:
            content = config.hook.pytest_benchmark_generate_json(
                config=config, benchmarks=benchmarks.benchmarks, include_data=True, **self.machine_and_commit
            )
            self.write(content | self.beside_the_rows(at_the_end))

    @cached_property
    def machine_and_commit(self) -> dict[str, Any]:
        """What pytest-benchmark says of these."""
        commit = self.config.hook.pytest_benchmark_generate_commit_info(config=self.config)
        self.config.hook.pytest_benchmark_update_commit_info(config=self.config, commit_info=commit)
        return {"machine_info": self.config._benchmarksession.get_machine_info(), "commit_info": commit}

    def end(self) -> None:
        """Saves the run, if a row has a time; one of several processes is saved without one, too."""
        if self.suite:
            self.config._benchmarksession.json = None  # or pytest-benchmark would write over a file where it lies
        if self.suite and self.suite.rows:
            self.save(at_the_end=True)
        elif self.settings.part is not None:
            self.write({"benchmarks": []} | self.beside_the_rows())

    def show(self, terminal: Any) -> None:
        """The table, and where it is saved."""
        if self.settings.part is not None:
            return
        run = self.run
        if not (run.rows or run.untimed):
            return
        terminal.section("one trainer, written many times")
        terminal.write_line(table.text(run, self.settings.columns))
        if run.rows and self.config.option.benchmark_json:
            terminal.write_line(f"\nsaved: {self.config.option.benchmark_json}")

    def close(self) -> None:
        """Ends the workers."""
        if self.suite:
            self.suite.__exit__()


def check_once(items: list[Any], config: Any) -> None:
    """Raises pytest.UsageError unless each row is to be run once."""
    if config.getoption("reruns", None):  # of pytest-rerunfailures
        raise pytest.UsageError("--reruns: a row that is wrong once is wrong; leave this out")
    seen = set()
    for item in filter(is_row, items):
        row = tuple(item.callspec.params[name] for name in ("name", "device", "rows", "batch_size"))
        if row in seen:
            raise pytest.UsageError(
                f"{item.name} is there twice, as --count and --keep-duplicates do it: a run has each row once, and "
                "--processes repeats it"
            )
        seen.add(row)


def is_row(item: Any) -> bool:
    """Whether it is a row of the benchmark."""
    return "suite" in getattr(item, "fixturenames", ())


def accelerator_in_words(device: str) -> str:
    """What runs the rows that is not CUDA."""
    from reference import accelerator

    return f"device {device}: {accelerator.name(device)}; nobody has run these rows on {device} yet, so look twice"


def gpu_in_words() -> str:
    """Which GPU runs the rows, if there are others, and if it is less than a whole one."""
    from torch import cuda

    name, count = cuda.get_device_name(), cuda.device_count()
    which = f", the first of {count}: CUDA_VISIBLE_DEVICES=1 takes the next" if count > 1 else ""
    part = ", a part of a GPU (MIG): not to be compared with a whole one" if " MIG " in f"{name} " else ""
    return f"device cuda: {name}{which}{part}"
