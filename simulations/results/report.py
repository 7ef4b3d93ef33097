"""What a run tells: report.md, summary.json and the closing lines on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import xarray as xr
from rich.console import Console

from simulations.console.command import say
from simulations.measure.checks import MAX_Z, Check
from simulations.measure.tables import markdown, number, to_json
from simulations.results.files import write_text
from simulations.results.manifest import of_other_code
from simulations.results.provenance import provenance

SHOWN = 10  # broken predictions that are named on the terminal


@dataclass(frozen=True)
class Report:
    """What a study has to say of its analysis; where it was made is added when it is written.

    title : heading of report.md. lines : its Markdown, below the figure. summary : the same as
    plain containers. closing : lines for the terminal, or tables of rich. checks : comparisons with
    exact predictions; bounds : those that only a value above them breaks. files : further texts,
    by name.
    """

    title: str
    lines: Sequence[str]
    summary: Mapping[str, Any]
    closing: Sequence[Any] = ()
    checks: Sequence[Check] = ()
    bounds: Sequence[Check] = ()
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def broken(self) -> list[Check]:
        """Exact predictions and bounds that are not met."""
        return [check for check in (*self.checks, *self.bounds) if not check.agrees]


def table_report(data: xr.Dataset) -> Report:
    """The report of a study without one of its own: its variables, of one dimension, as a table."""
    dimension = ", ".join(map(str, data.dims))
    table = data.to_dataframe()
    rows = [[str(at), *map(number, row)] for at, *row in table.itertuples()]
    lines = markdown([dimension, *map(str, table.columns)], rows)
    return Report("What was measured", lines, {"data": data.to_dict(data="list")})


def write_report(
    report: Report,
    out: Path,
    figure: str,
    configuration: Mapping[str, Any],
    seconds: float,
    peak_rss_mb: float | None = None,
) -> None:
    """Write summary.json, report.md and the report's further files to `out`.

    figure : name of the picture beside it. seconds : wall time. peak_rss_mb : largest memory of a
    worker, where there were any.
    """
    signed, mixed = provenance(), of_other_code(out)
    if mixed is not None:
        signed["cells"] = mixed
    summary = {
        "configuration": configuration,
        "provenance": signed,
        "wall_time_s": seconds,
        **report.summary,
    }
    if peak_rss_mb is not None:
        summary["peak_rss_mb_of_a_worker"] = peak_rss_mb
    if report.bounds:
        largest = max(check.z for check in report.bounds)
        summary["bound_checks"] = {"comparisons": len(report.bounds), "largest_z": largest}
    if report.checks:
        summary["exact_checks"] = [
            {**asdict(check), "z": check.z, "agrees": check.agrees} for check in report.checks
        ]
        summary["exact_failures"] = [check.name for check in report.broken]
    write_text(to_json(summary), out / "summary.json")
    lines = [
        f"# {report.title}",
        "",
        f"![figure]({figure})",
        "",
        *report.lines,
        "## Provenance",
        "",
        *(f"- {key}: {value}" for key, value in signed.items()),
        f"- wall time of this call: {seconds:.0f} s"
        + ("" if peak_rss_mb is None else f"; largest memory of a worker: {peak_rss_mb:.0f} MB"),
        "",
    ]
    write_text("\n".join(lines), out / "report.md")
    for name, text in report.files.items():
        write_text(text, out / name)


def print_closing(report: Report, console: Console) -> None:
    """The closing lines, then how the exact predictions fared."""
    for line in report.closing:
        if isinstance(line, str):
            say(console, line)
        else:
            console.print(line)
    if not report.checks:
        return
    worst = max(abs(check.z) for check in report.checks)
    words = f"Exact predictions: {len(report.checks)} comparisons, largest |z| {worst:.2f}"
    if report.bounds:
        bound = max(check.z for check in report.bounds)
        words += f"; bounds: {len(report.bounds)} comparisons, largest z {bound:.2f}"
    say(console, f"{words}; {len(report.broken)} beyond {MAX_Z:g} standard errors.")
    for check in report.broken[:SHOWN]:
        console.print(f"  [red]deviates[/red] {check.name}: z = {check.z:.1f}", highlight=False)
