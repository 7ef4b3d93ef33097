"""The measurement of the engine: its arithmetic on made-up runs, its extrapolation, a tiny run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from concurrent.futures import Executor, Future, ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulations.console.errors import UserError
from simulations.engine_scale import plan as plan_module
from simulations.engine_scale.analysis import Range, analyse, slope_of, spread_of
from simulations.engine_scale.cells import cells_of, sleeping
from simulations.engine_scale.config import PRESETS, ScaleConfig, preset
from simulations.engine_scale.figure import draw
from simulations.engine_scale.model import (
    FREE,
    Limits,
    curves,
    efficiency,
    grid,
    paper_costs,
    wall_time,
)
from simulations.engine_scale.plan import authors_plan, sizes, training_flops
from simulations.engine_scale.report import ranged, report
from simulations.engine_scale.study import arguments_of, read_runs
from simulations.engine_scale.watch import (
    TooFewAnswers,
    Watch,
    children,
    processor_seconds,
    resident_bytes,
)
from simulations.plots import save
from simulations.results.files import DamagedFileError
from simulations.sweep.worker import CellReport
from tests.helpers import ROOT

costs_of_cells = st.lists(st.floats(0.1, 50), min_size=1, max_size=30)


@given(costs_of_cells, st.integers(1, 40), st.floats(0, 5), st.floats(0.01, 100))
def test_efficiency_is_at_most_what_whole_cells_allow(costs, workers, overhead, rate):
    found = efficiency(costs, workers, Limits(overhead, rate))
    ideal = max(sum(costs) / workers, *costs, len(costs) / rate)  # no schedule ends before
    assert 0 < found <= sum(costs) / (workers * ideal) * (1 + 1e-12)
    # any list schedule ends before this (Graham 1969)
    most = sum(costs) / workers + max(costs)
    assert efficiency(costs, workers, FREE) >= sum(costs) / (workers * most) * (1 - 1e-12)


@given(costs_of_cells)
def test_one_free_worker_is_perfect_and_many_share_the_longest_cell(costs):
    assert efficiency(costs, 1, FREE) == pytest.approx(1)
    assert wall_time(costs, 10 * len(costs), FREE) == max(costs)


def test_overhead_and_the_launcher_by_hand():
    # 100 cells of 1 s on 10 workers lose 0.25 s each: 10 x 1.25 s
    assert wall_time([1.0] * 100, 10, Limits(0.25, 1e9)) == pytest.approx(12.5)
    assert efficiency([1.0] * 100, 10, Limits(0.25, 1e9)) == pytest.approx(0.8)
    # a launcher that takes 4 a second needs 25 s, whatever the workers do
    assert wall_time([1.0] * 100, 100, Limits(0.25, 4.0)) == pytest.approx(25)
    assert efficiency([1.0] * 100, 100, Limits(0.25, 4.0)) == pytest.approx(0.04)


def test_grid_runs_from_one_worker_to_the_last():
    assert grid(1) == [1]
    found = grid(1000)
    assert found[0] == 1 and found[-1] == 1000 and sorted(set(found)) == found
    assert {2, 4, 8} <= set(found)


def test_curves_of_the_paper_preset():
    found = curves(200, Limits(0.02, 50.0))
    for model in ("mlp", "dit"):
        curve = found[model]
        assert curve["cells"] == len(paper_costs(model)) == 72
        assert curve["efficiency"][0] > 0.999  # hours beside milliseconds
        at = curve["workers"].index(200)
        # more workers than cells: the longest cell is all there is
        longest = curve["hours"] / (200 * curve["longest_hours"])
        assert curve["efficiency"][at] == pytest.approx(longest, rel=1e-4)
    short = found["10,000 cells of 10 s"]
    assert short["efficiency"][0] == pytest.approx(10 / 10.02)


def test_spread_and_slope_by_hand():
    assert spread_of([3.0, 1.0, 2.0]) == Range(2.0, 1.0, 3.0)
    assert ranged(Range(2.0, 1.0, 3.0)) == "2.0 (1.0 to 3.0)"
    assert ranged(spread_of([2.0])) == "2.0"
    # the first look is left out; then 100 bytes a cell, exactly
    exact = slope_of([(0, 10.0), (10, 2000.0), (20, 3000.0), (30, 4000.0)])
    assert (exact.bytes_per_cell, exact.low, exact.high) == (100.0, 100.0, 100.0)
    assert (exact.first, exact.last, exact.cells) == (2000.0, 4000.0, 20)
    # growths of 0 and 2 bytes a cell: mean 1, standard error 1, t(0.975, 1) = 12.706
    rough = slope_of([(0, 0.0), (10, 0.0), (20, 0.0), (30, 20.0)])
    assert rough.bytes_per_cell == pytest.approx(1)
    assert rough.high - 1 == pytest.approx(12.706, abs=1e-3)


class Prompt(Executor):
    """Runs what it gets at once."""

    def submit(self, fn, /, *args, **kwargs):
        future = Future()
        future.set_result(fn(*args, **kwargs))
        return future


def answers(names, pause=0.0):
    """A watch that has seen these workers answer, by turns."""
    watch = Watch(lambda workers: Prompt(), len(set(names)) if names else 1, len(names))
    executor = watch(1)
    for name in names:
        time.sleep(pause)
        executor.submit(CellReport, "cell", worker=name)
    return watch


def test_a_watch_counts_from_the_moment_when_all_workers_have_answered():
    names = ["a:1", "a:1", "b:2", "a:1", "b:2"]
    watch = answers(names)
    watch.stamps = list(zip((1.0, 2.0, 4.0, 5.0, 6.0), names, strict=True))
    watch.begun = 0.5
    found = watch.steady()
    assert watch.full == 2
    assert found.start_up == 3.5 and found.wall == 5.5
    assert found.rate == pytest.approx(2 / 2)  # two after it, in two seconds
    assert found.cycle == pytest.approx((4 + 2) / (2 + 1))  # a: 1 to 5 in two; b: 4 to 6 in one


def test_answers_of_the_warm_up_are_not_counted():
    watch = Watch(lambda workers: Prompt(), 1, 4, warm=2)
    executor = watch(1)
    for _ in range(4):
        executor.submit(CellReport, "cell", worker="a:1")
    watch.stamps = [(float(moment), "a:1") for moment in (1, 5, 6, 8)]
    assert watch.full == 2 and watch.steady().rate == pytest.approx(1 / 2)


def test_a_watch_says_where_a_worker_never_answered():
    watch = Watch(lambda workers: Prompt(), 2, 2)
    executor = watch(2)
    for _ in range(2):
        executor.submit(CellReport, "cell", worker="a:1")
    with pytest.raises(TooFewAnswers, match=r"Only 1 of 2 workers .* take more or longer cells"):
        watch.steady()


def test_a_watch_replaces_the_function_and_looks_on():
    seen = []
    watch = Watch(lambda workers: Prompt(), 1, 2, lambda *_: CellReport("x", worker="a:1"))
    watch.look = seen.append
    executor = watch(1)
    assert executor.submit(CellReport, "cell").result().name == "x"
    executor.submit(CellReport, "cell")
    assert seen == [1, 2]


def test_processor_time_and_memory_of_this_process():
    before = processor_seconds(os.getpid())
    deadline = time.process_time() + 0.1
    while time.process_time() < deadline:
        pass
    assert 0.05 < processor_seconds(os.getpid()) - before < 5
    assert processor_seconds(2**22 + 1) == 0
    assert 1e7 < resident_bytes() < 1e11
    with ThreadPoolExecutor(1) as thread:  # which is where a Dask nanny starts its worker
        words = [sys.executable, "-c", "input()"]
        child = thread.submit(subprocess.Popen, words, stdin=subprocess.PIPE).result()
        assert child.pid in children(os.getpid())
        child.communicate(b"\n")
    assert children(2**22 + 1) == []


def test_the_plan_counts_what_the_network_multiplies():
    found = {size.name: size for size in sizes()}
    # parameters as in the README; products of `tiny` by hand: blocks 12 w^2, attention, readout
    for name, millions in (("tiny", 23.7), ("small", 139.3), ("medium", 384.0)):
        assert round(found[name].parameters / 1e6, 1) == millions
    a_token = 8 * (12 * 256**2 + 2 * 128 * 256) + 30_522 * 256
    assert training_flops(256, 8) == pytest.approx(6 * a_token * 512 * 128 * 1e6)
    assert found["small"].hours == (400.0, 960.0)
    assert found["tiny"].state_bytes == 16 * found["tiny"].parameters


def test_the_plan_adds_up():
    plan = authors_plan((64, 256))
    each = sizes()
    assert plan.cells == 3 * plan_module.SUBSETS
    assert plan.hours[0] == pytest.approx(54 * sum(size.hours[0] for size in each))
    longest = max(size.hours[0] for size in each) / 24
    assert plan.days[256][0] == pytest.approx(longest)  # a GPU a cell: the longest cell
    for n in (64, 256):
        for k in (0, 1):
            ideal = plan.hours[k] / n / 24
            assert ideal <= plan.days_together[n][k] <= plan.days[n][k] < 2 * ideal + 3 * longest


def made_up_runs():
    """Runs of every part, as the measurement writes them."""
    about = {"start_up": 2.0, "worker_ms": 7.0, "helper_ms": 0.0, "load": 1.0, "cycle": 0.02}
    kinds = {"executor alone": 400.0, "file made, not written": 120.0, "sweep": 50.0}
    throughput = [
        {"kind": kind, "rate": rate + i, "launcher_ms": 2.0, **about}
        for kind, rate in {**kinds, "sweep on Dask": 40.0}.items()
        for i in range(3)
    ]
    file = {"make_ms": 6.0, "write_cpu_ms": 0.5, "write_wait_ms": 8.0, "bytes": 7000, "load": 1.0}
    memory = [{"cells": 500 * i, "rss": 1e8 + 5e5 * i} for i in range(1, 7)]
    overhead = [
        {"engine": engine, "workers": n, "cell_seconds": s, "cells": 10 * n, "seconds": 12 * s,
         "cycle": s + lost + 1e-3 * n}
        for engine, lost in (("Dask", 0.02), ("local pool", 0.01))
        for n in (1, 2, 4) for s in (0.2, 1.0)
    ]  # fmt: skip
    paper = [
        {"model": model, "workers": n, "work": 40.0, "wall": 42.0 / n}
        for model in ("mlp", "dit")
        for n in (1, 2, 4)
    ]
    return {
        "throughput": [*throughput, {"kind": "one file", **file}],
        "memory": memory,
        "overhead": overhead,
        "paper": paper,
    }


def test_the_analysis_of_made_up_runs():
    found = analyse(made_up_runs(), 100)
    assert found.throughput["sweep"]["rate"] == Range(51.0, 50.0, 52.0)
    assert found.slope.bytes_per_cell == pytest.approx(1000)
    assert found.limits.cells_per_second == pytest.approx(1e3 / (2 + 8))
    assert found.limits.overhead == pytest.approx(0.024)  # Dask at four workers, the largest
    point = next(p for p in found.points if (p.engine, p.workers, p.cell_seconds) == ("Dask", 2, 1))
    assert point.efficiency.median == pytest.approx(1 / 1.022)
    assert point.whole.median == pytest.approx(10 / 12)
    point = found.paper["dit"][0]
    assert (point.workers, point.measured) == (1, pytest.approx(40 / 42))
    assert point.expected == pytest.approx(40 / (40 + 72 * 0.021))  # 21 ms lost with each cell
    assert set(found.extrapolated) == {"mlp", "dit", "10,000 cells of 10 s"}


def test_the_report_says_what_is_met_measured_and_extrapolated():
    analysis = analyse(made_up_runs(), 1000)
    where = {"start_time": "then", "host_class": "here", "commit": "c"}
    config = json.loads(json.dumps(preset("small").as_dict() | {"cells": 77}))
    found = report(analysis, {"memory": {"provenance": where, "config": config}}, "small")
    text = "\n".join(found.lines)
    assert "| executor alone | 401 (400 to 402) | 300: met |" in text
    assert "| sweep | 51 (50 to 52) | 60: missed |" in text
    assert "1,000 bytes a cell (95 % interval 1,000 to 1,000" in text
    assert "- memory: then, here, commit c; other than in the preset: cells = 77\n" in text
    assert "**Extrapolated**, not measured" in text
    assert "| 1,000 | " in text
    assert found.summary["limits"]["cells_per_second"] == pytest.approx(100)


def test_parts_that_were_not_measured_are_left_out():
    text = "\n".join(report(analyse({}, 10), {}, "small").lines)
    assert "planned" in text and "Cells a second" not in text


@pytest.mark.parametrize("runs", [made_up_runs(), {}], ids=["all parts", "nothing"])
def test_the_figure_is_drawn_of_what_there_is(runs, tmp_path):
    save(draw(analyse(runs, 1000)), tmp_path / "figure")
    assert (tmp_path / "figure.png").stat().st_size > 20_000


def test_bad_settings_and_files_are_refused(tmp_path):
    bad = [
        ({"cells": 3}, "`cells` must be at least 20; got 3"),
        ({"repeats": 0}, "`repeats` must be at least 1; got 0"),
        ({"memory_cells": 10, "memory_step": 5}, "at least 4 `memory_step` = 20"),
        ({"workers": (2, 1)}, "positive and increasing"),
        ({"seconds": ()}, "positive and increasing"),
        ({"paper_seconds": 0.0}, "`paper_seconds` must be positive"),
    ]
    for settings, words in bad:
        with pytest.raises(ValueError, match=words):
            ScaleConfig(**settings)
    assert read_runs(tmp_path) == {}
    (tmp_path / "runs.json").write_text("[1")
    with pytest.raises(DamagedFileError, match="remove it"):
        read_runs(tmp_path)


def test_presets_and_the_command_line(capsys):
    assert all(isinstance(preset(name), ScaleConfig) for name in PRESETS)
    assert arguments_of(["--preset", "smoke", "--parts", "memory"]).parts == ("memory",)
    assert arguments_of(["--workers", "1", "2"]).config.workers == (1, 2)
    with pytest.raises(UserError, match="choose smoke or small"):
        arguments_of(["--preset", "large"])
    with pytest.raises(SystemExit) as stopped:
        arguments_of(["--repeats", "0"])
    assert stopped.value.code == 2 and "at least 1; got 0" in capsys.readouterr().err


def test_cells_are_what_they_say():
    cells = cells_of([0.0, 0.25])
    assert [cell.coordinates for cell in cells] == [
        {"index": 0, "seconds": 0.0},
        {"index": 1, "seconds": 0.25},
    ]
    begun = time.monotonic()
    assert float(sleeping(cells[1].coordinates)["value"]) == 1.0
    assert time.monotonic() - begun >= 0.25
    assert np.isscalar(float(sleeping(cells[0].coordinates)["value"]))


@pytest.mark.slow
def test_a_tiny_measurement_ends_with_no_process_left(tmp_path):
    pytest.importorskip("distributed", reason="the extra `cluster` is not installed")
    out = tmp_path / "run"
    words = "--preset smoke --cells 60 --memory-cells 60 --memory-step 10 --workers 1 2"
    words += " --work-seconds 0.8 --paper-seconds 3"
    ran = subprocess.run(
        [sys.executable, "-m", "simulations.engine_scale", *words.split(), "--out", str(out)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    names = {path.name for path in out.iterdir()}
    assert names == {"runs.json", "report.md", "summary.json", "engine_scale.png",
                     "engine_scale.pdf"}  # fmt: skip
    summary = json.loads((out / "summary.json").read_text())
    for kind in ("executor alone", "file made, not written", "sweep", "sweep on Dask"):
        assert summary["throughput"][kind]["rate"]["median"] > 1
    # made and dropped is more than nothing, and a sweep is more than both
    rate = {kind: found["rate"]["median"] for kind, found in summary["throughput"].items()}
    assert rate["executor alone"] > rate["sweep"]
    assert all(0 < p["efficiency"]["median"] <= 1.001 for p in summary["points"])
    assert {p["engine"] for p in summary["points"]} == {"Dask", "local pool"}
    assert [point["workers"] for point in summary["paper"]["dit"]] == [1, 2]
    running = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    assert str(out) not in running


def test_a_folder_that_cannot_be_is_one_sentence(tmp_path):
    there = tmp_path / "file"
    there.write_text("")
    command = [sys.executable, "-m", "simulations.engine_scale", "--out", str(there / "run")]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 2 and ran.stdout == ""
    assert ran.stderr.startswith(
        f"engine_scale: Cannot write to the folder {there / 'run'}: a part"
    )
