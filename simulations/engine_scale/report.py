"""What the measurement of the engine tells."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from simulations.console.units import format_bytes, format_seconds
from simulations.engine_scale.analysis import (
    MEASURED,
    OF_A_FILE,
    TARGETS,
    Point,
    Range,
    ScaleAnalysis,
)
from simulations.engine_scale.config import ScaleConfig, preset
from simulations.engine_scale.plan import REPORTED, STEPS, SUBSETS, TOGETHER, authors_plan, sizes
from simulations.measure.tables import markdown, number, section, to_json
from simulations.results.report import Report

SHOWN = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000)  # workers of the extrapolated table


def ranged(value: Range, digits: int = 1) -> str:
    """`median (smallest to largest)`."""
    median, low, high = (number(x, digits) for x in (value.median, value.low, value.high))
    return median if value.low == value.high else f"{median} ({low} to {high})"


def _throughput_lines(analysis: ScaleAnalysis) -> list[str]:
    if not analysis.throughput:
        return []
    table = []
    for kind, found in analysis.throughput.items():
        target = TARGETS.get(kind)
        met = target is not None and found["rate"].median >= target
        verdict = "–" if target is None else f"{target:g}: " + ("met" if met else "missed")
        spent = sum(found[name].median for name in ("launcher_ms", "worker_ms", "helper_ms"))
        free = f"{2e3 / spent:.0f}" if found["worker_ms"].median else "–"
        rest = [ranged(found[name]) for name in MEASURED if name != "rate"]
        table.append([kind, ranged(found["rate"], 0), verdict, free, *rest])
    header = ["two workers, empty cells", "cells/s", "target", "two free cores, at most"]
    header += ["start-up, s", "launcher, ms", "workers, ms", "scheduler, ms", "load"]
    made, written, waited = (ranged(analysis.one_file[name], 2) for name in OF_A_FILE[:3])
    return [
        *section(
            "Cells a second",
            "Median (smallest to largest) of repeated runs, from the moment when every worker had "
            "answered once; until then is start-up. ms: processor time of a cell, user and system, "
            "by process; it does not depend much on what else runs, as the rates do. Load: of the "
            "whole machine in the last minute. Two free cores, at most: the rate that this "
            "processor time would allow if nothing else ran and nothing waited for the disk.",
        ),
        *markdown(header, table),
        "- executor alone: a cell's travel to a worker and back, the comparison of the code there, "
        "and a line of progress; no dataset, no file.",
        "- file made, not written: the worker makes the netCDF file of one number with its digest "
        "and provenance; the launcher drops it.",
        "- sweep: all of it: file, seal, manifest, two flushes to the disk a cell.",
        "- sweep on Dask: the same on two Dask workers, which takes a scheduler.",
        "",
        f"The file of one number ({ranged(analysis.one_file['bytes'], 0)} bytes) is made in {made} "
        f"ms, written by the launcher in {written} ms, which waits for the disk besides for "
        f"{waited} ms.",
        "",
    ]


def _memory_lines(analysis: ScaleAnalysis) -> list[str]:
    slope = analysis.slope
    if slope is None:
        return []
    samples = [[f"{count:,}", f"{size / 1e6:.1f}"] for count, size in analysis.samples]
    return section(
        "Memory of the launcher",
        f"{slope.bytes_per_cell:,.0f} bytes a cell (95 % interval {slope.low:,.0f} to "
        f"{slope.high:,.0f}, growth between looks taken as independent) over {slope.cells:,} "
        f"cells: from {slope.first / 1e6:.1f} to {slope.last / 1e6:.1f} MB.",
    ) + markdown(["cells", "resident, MB"], samples)


def _overhead_lines(points: list[Point]) -> list[str]:
    if not points:
        return []
    table = []
    for p in points:
        lost = Range(*(1e3 * x for x in (p.overhead.median, p.overhead.low, p.overhead.high)))
        told = (ranged(p.efficiency, 3), ranged(lost, 0), ranged(p.whole, 3))
        table.append([p.engine, str(p.workers), f"{p.cell_seconds:g}", *told])
    header = ["engine", "workers", "cell, s", "efficiency", "lost with a cell, ms", "whole sweep"]
    return section(
        "Overhead on sleeping cells",
        "Cells that sleep, with their files, so that more workers than cores can be judged. "
        "Efficiency: the cell's time over a worker's mean time from one answer to the next. Whole "
        "sweep: ideal time over that of the call, start-up and end included, which a local pool "
        "pays for each sweep and a cluster that runs does not.",
    ) + markdown(header, table)


def _paper_lines(analysis: ScaleAnalysis) -> list[str]:
    if analysis.limits is None:
        return []
    limits, found = analysis.limits, analysis.extrapolated
    measured = [
        [model, str(point.workers), number(point.measured), number(point.expected)]
        for model, points in analysis.paper.items()
        for point in points
    ]
    table = []
    for workers in SHOWN:
        row = []
        for curve in found.values():
            if workers in curve["workers"]:
                k = curve["workers"].index(workers)
                row.append(f"{curve['efficiency'][k]:.3f} ({curve['free'][k]:.3f})")
                row.append(format_seconds(3600 * curve["wall_hours"][k]))
        if row:
            table.append([f"{workers:,}", *row])
    header = ["workers"]
    for name, curve in found.items():
        header += [f"{name}, extrapolated ({curve['cells']:,} cells)", "wall time"]
    return [
        *section(
            "The paper preset on more workers",
            "Measured: the cells of `phase_diagram --preset paper`, by its cost model, all "
            "shortened by one factor, slept on Dask workers and handed out by the engine itself. "
            "Expected: what the extrapolation below gives for cells so short, with what a Dask "
            "worker loses with a cell at this number of workers (above).",
        ),
        *markdown(["model", "workers", "efficiency, measured", "expected"], measured),
        "**Extrapolated**, not measured: the cells at full length by the cost model (good to a "
        f"factor of about 3 in length, which hardly matters here), {1e3 * limits.overhead:.0f} ms "
        "lost with each (the largest of the measurements above), a launcher that takes "
        f"{limits.cells_per_second:.0f} cells a second (1 / (its processor time + its wait for the "
        "disk)), no worker lost. In brackets an engine that costs nothing: cells are whole, and "
        "the longest has to end.",
        "",
        *markdown(header, table),
    ]


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
            _days(size.hours),
            f"{size.tuned_hours:,.0f}",
            format_bytes(size.weight_bytes),
            format_bytes(size.state_bytes),
        ]
        for size in sizes()
    ]
    header = ["network", "parameters, millions", "flop of a training", "A100 hours", "at 40 %"]
    days = [[str(n), _days(plan.days[n]), _days(plan.days_together[n])] for n in plan.days]
    return [
        *section(
            "The authors' scale, planned",
            f"{len(table)} sizes, {SUBSETS} training-set sizes, {STEPS:,} steps of 512 sequences "
            f"of 128 tokens: {plan.cells} cells. A100 hours are scaled by the network's products "
            f"from what authors report of `small` ({REPORTED[0]:,.0f} and {REPORTED[1]:,.0f}); "
            "nothing here was measured on a GPU. At 40 %: were that share of the card's 312 "
            "Tflop/s used.",
        ),
        *markdown([*header, "weights", "training state"], table),
        f"In all {_days(plan.hours)} A100 hours ({plan.tuned_hours:,.0f} at 40 %). Kept: weights "
        f"{format_bytes(plan.weight_bytes)}, cells {format_bytes(plan.cell_bytes)}; training "
        f"states while it runs up to {format_bytes(plan.state_bytes)}.",
        "",
        *markdown(["GPUs", "days, one a cell", f"days, {TOGETHER} a cell"], days),
    ]


def _about(name: str, part: dict[str, Any], wanted: ScaleConfig) -> str:
    """When and where a part was measured, and what was not as the preset has it."""
    found, asked = part["provenance"], json.loads(to_json(wanted.as_dict()))
    other = [f"{key} = {value}" for key, value in part["config"].items() if value != asked.get(key)]
    place = f"- {name}: {found['start_time']}, {found['host_class']}, commit {found['commit'][:12]}"
    return place + (f"; other than in the preset: {', '.join(other)}" if other else "")


def report(analysis: ScaleAnalysis, runs: dict[str, Any], name: str) -> Report:
    """What the measurement tells, of runs under a preset of this name."""
    lines = [
        f"Made by `python -m simulations.engine_scale --preset {name}`; every run is in "
        "`runs.json`.",
        "",
        *(_about(part, runs[part], preset(name)) for part in runs),
        "",
        *_throughput_lines(analysis),
        *_memory_lines(analysis),
        *_overhead_lines(analysis.points),
        *_paper_lines(analysis),
        *plan_lines(),
    ]
    plan = {"plan": asdict(authors_plan()), "networks": [asdict(size) for size in sizes()]}
    title = f"The engine of the sweeps, measured, preset {name}"
    return Report(title, lines, asdict(analysis) | plan)
