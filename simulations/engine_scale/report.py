"""report.md and summary.json of the engine's measurement."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from simulations.console.progress import format_seconds
from simulations.engine_scale.analysis import TARGETS, Point, Range, ScaleAnalysis
from simulations.engine_scale.config import ScaleConfig, preset
from simulations.engine_scale.plan import REPORTED, STEPS, SUBSETS, TOGETHER, authors_plan, sizes
from simulations.measure.tables import markdown, number, to_json
from simulations.results.files import write_text
from simulations.sweep.engine import format_bytes

SHOWN = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000)  # workers of the extrapolated table


def ranged(value: Range, digits: int = 1) -> str:
    """`median (smallest to largest)`."""
    if value.low == value.high:
        return number(value.median, digits)
    ends = f"{number(value.low, digits)} to {number(value.high, digits)}"
    return f"{number(value.median, digits)} ({ends})"


def _throughput_lines(analysis: ScaleAnalysis) -> list[str]:
    table = []
    for kind, found in analysis.throughput.items():
        target = TARGETS.get(kind)
        verdict = "–"
        if target is not None:
            verdict = f"{target:g}: " + ("met" if found["rate"].median >= target else "missed")
        columns = ("start_up", "launcher_ms", "worker_ms", "helper_ms", "load")
        spent = sum(found[name].median for name in columns[1:4])
        free = f"{2e3 / spent:.0f}" if found["worker_ms"].median else "–"
        row = [kind, ranged(found["rate"], 0), verdict, free]
        table.append([*row, *(ranged(found[c], 1) for c in columns)])
    if not table:
        return []
    header = ["two workers, empty cells", "cells/s", "target", "two free cores, at most"]
    header += ["start-up, s", "launcher, ms"]
    header += ["workers, ms", "scheduler, ms", "load"]
    price = [
        f"{words} {ranged(analysis.one_file[name], 2)} ms"
        for name, words in (
            ("make_ms", "made in"),
            ("write_cpu_ms", "written by the launcher in"),
            ("write_wait_ms", "which waits for the disk besides for"),
        )
    ]
    return [
        "## Cells a second",
        "",
        "Median (smallest to largest) of repeated runs, from the moment when every worker had "
        "answered once; until then is start-up. ms: processor time of a cell, user and system, by "
        "process; it does not depend much on what else runs, as the rates do. Load: of the whole "
        "machine in the last minute. Two free cores, at most: the rate that this processor time "
        "would allow if nothing else ran and nothing waited for the disk.",
        "",
        *markdown(header, table),
        "- executor alone: a cell's travel to a worker and back, the comparison of the code there, "
        "and a line of progress; no dataset, no file.",
        "- file made, not written: the worker makes the netCDF file of one number with its digest "
        "and provenance; the launcher drops it.",
        "- sweep: all of it: file, seal, manifest, two flushes to the disk a cell.",
        "- sweep on Dask: the same on two Dask workers, which takes a scheduler.",
        "",
        f"The file of one number ({ranged(analysis.one_file['bytes'], 0)} bytes) is "
        + ", ".join(price)
        + ".",
        "",
    ]


def _memory_lines(analysis: ScaleAnalysis) -> list[str]:
    slope = analysis.slope
    if slope is None:
        return []
    samples = [[f"{count:,}", f"{size / 1e6:.1f}"] for count, size in analysis.samples]
    return [
        "## Memory of the launcher",
        "",
        f"{slope.bytes_per_cell:,.0f} bytes a cell (95 % interval {slope.low:,.0f} to "
        f"{slope.high:,.0f}, growth between looks taken as independent) over {slope.cells:,} "
        f"cells: from {slope.first / 1e6:.1f} to {slope.last / 1e6:.1f} MB.",
        "",
        *markdown(["cells", "resident, MB"], samples),
    ]


def _overhead_lines(points: list[Point]) -> list[str]:
    if not points:
        return []
    table = [
        [
            p.engine,
            str(p.workers),
            f"{p.cell_seconds:g}",
            ranged(p.efficiency, 3),
            ranged(
                Range(*(1e3 * x for x in (p.overhead.median, p.overhead.low, p.overhead.high))), 0
            ),
            ranged(p.whole, 3),
        ]
        for p in points
    ]
    header = ["engine", "workers", "cell, s", "efficiency", "lost with a cell, ms"]
    return [
        "## Overhead on sleeping cells",
        "",
        "Cells that sleep, with their files, so that more workers than cores can be judged. "
        "Efficiency: the cell's time over a worker's mean time from one answer to the next. Whole "
        "sweep: ideal time over that of the call, start-up and end included, which a local pool "
        "pays for each sweep and a cluster that runs does not.",
        "",
        *markdown([*header, "whole sweep"], table),
    ]


def _paper_lines(analysis: ScaleAnalysis) -> list[str]:
    if analysis.limits is None:
        return []
    limits, found = analysis.limits, analysis.extrapolated
    measured = [
        [model, str(point.workers), number(point.measured, 3), number(point.expected, 3)]
        for model, points in analysis.paper.items()
        for point in points
    ]
    lines = [
        "## The paper preset on more workers",
        "",
        "Measured: the cells of `phase_diagram --preset paper`, by its cost model, all shortened "
        "by one factor, slept on Dask workers and handed out by the engine itself. "
        "Expected: what the extrapolation below gives for cells so short, with what a Dask worker "
        "loses with a cell at this number of workers (above).",
        "",
        *markdown(["model", "workers", "efficiency, measured", "expected"], measured),
        "**Extrapolated**, not measured: the cells at full length by the cost model (good to a "
        f"factor of about 3 in length, which hardly matters here), {1e3 * limits.overhead:.0f} ms "
        "lost with each (the largest of the measurements above), a launcher that takes "
        f"{limits.cells_per_second:.0f} cells a second (1 / (its processor time + its wait for the "
        "disk)), no worker lost. In brackets an engine that costs nothing: cells are whole, and "
        "the longest has to end.",
        "",
    ]
    table = []
    for workers in SHOWN:
        row = [f"{workers:,}"]
        for curve in found.values():
            if workers in curve["workers"]:
                k = curve["workers"].index(workers)
                row.append(f"{curve['efficiency'][k]:.3f} ({curve['free'][k]:.3f})")
                row.append(format_seconds(3600 * curve["wall_hours"][k]))
        if len(row) > 1:
            table.append(row)
    header = ["workers"]
    for name, curve in found.items():
        header += [f"{name}, extrapolated ({curve['cells']:,} cells)", "wall time"]
    return [*lines, *markdown(header, table)]


def _days(ends: tuple[float, float]) -> str:
    return f"{ends[0]:,.0f} to {ends[1]:,.0f}"


def plan_lines() -> list[str]:
    """The plan to the authors' scale, as text."""
    plan = authors_plan()
    table = [
        [
            size.name,
            f"{size.parameters / 1e6:.1f}",
            f"{size.flops:.2g}",
            f"{size.hours[0]:,.0f} to {size.hours[1]:,.0f}",
            f"{size.tuned_hours:,.0f}",
            format_bytes(size.weight_bytes),
            format_bytes(size.state_bytes),
        ]
        for size in sizes()
    ]
    both = (plan.days, plan.days_together)
    header = ["network", "parameters, millions", "flop of a training", "A100 hours", "at 40 %"]
    days = [[str(n), *(_days(found[n]) for found in both)] for n in plan.days]
    return [
        "## The authors' scale, planned",
        "",
        f"{len(table)} sizes, {SUBSETS} training-set sizes, {STEPS:,} steps of 512 sequences of "
        f"128 tokens: {plan.cells} cells. A100 hours are scaled by the network's products from "
        f"what authors report of `small` ({REPORTED[0]:,.0f} and {REPORTED[1]:,.0f}); nothing here "
        "was measured on a GPU. At 40 %: were that share of the card's 312 Tflop/s used.",
        "",
        *markdown([*header, "weights", "training state"], table),
        f"In all {plan.hours[0]:,.0f} to {plan.hours[1]:,.0f} A100 hours ({plan.tuned_hours:,.0f} "
        f"at 40 %). Kept: weights {format_bytes(plan.weight_bytes)}, cells "
        f"{format_bytes(plan.cell_bytes)}; training states while it runs up to "
        f"{format_bytes(plan.state_bytes)}.",
        "",
        *markdown(["GPUs", "days, one a cell", f"days, {TOGETHER} a cell"], days),
    ]


def _about(name: str, part: dict[str, Any], wanted: ScaleConfig) -> str:
    """When and where a part was measured, and what was not as the preset has it."""
    found, asked = part["provenance"], json.loads(to_json(asdict(wanted)))
    other = [f"{key} = {value}" for key, value in part["config"].items() if value != asked.get(key)]
    place = f"- {name}: {found['start_time']}, {found['host_class']}, commit {found['commit'][:12]}"
    return place + (f"; other than in the preset: {', '.join(other)}" if other else "")


def write_report(analysis: ScaleAnalysis, out: Path, name: str, runs: dict[str, Any]) -> None:
    """Write report.md and summary.json."""
    about = [_about(part, runs[part], preset(name)) for part in runs]
    lines = [
        f"# The engine of the sweeps, measured (preset {name})",
        "",
        f"Made by `python -m simulations.engine_scale --preset {name}`; every run is in "
        "`runs.json`, the figure in `engine_scale.png`.",
        "",
        *about,
        "",
        *_throughput_lines(analysis),
        *_memory_lines(analysis),
        *_overhead_lines(analysis.points),
        *_paper_lines(analysis),
        *plan_lines(),
    ]
    write_text("\n".join(lines).rstrip() + "\n", out / "report.md")
    summary = asdict(analysis) | {
        "plan": asdict(authors_plan()),
        "networks": [asdict(size) for size in sizes()],
    }
    write_text(to_json(summary), out / "summary.json")
