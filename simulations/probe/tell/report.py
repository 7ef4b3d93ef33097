"""report.md, summary.json, report.html, tables and figures of a probe."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xarray as xr

from models.streams import stream
from simulations.measure.tables import markdown, to_json
from simulations.probe.judge.statistics import Statistics, statistics
from simulations.probe.tell.excerpts import (
    Decode,
    Memorized,
    Restored,
    most_memorized,
    restored,
    visible,
)
from simulations.probe.tell.html import page
from simulations.probe.tell.sections import (
    Section,
    definitions,
    result_sections,
    short_section,
    source_section,
    verdict_sections,
    verdict_words,
    warnings_of,
)
from simulations.probe.tell.tables import write_tables
from simulations.results.files import write_text

if TYPE_CHECKING:
    from simulations.probe.judge.verdict import Verdict

TITLE = "Does this model memorize?"
Pictures = Sequence[tuple[str, str, Path]]


def write_reports(
    data: xr.Dataset,
    verdicts: Sequence[Verdict],
    decode: Decode,
    out: Path,
    figures: bool = True,
) -> None:
    """Write report.md, report.html, summary.json, tables and figures to a folder.

    decode : from tokens (L,) to text. The first verdict is the headline.
    """
    found = statistics(data, stream(data.attrs["root_seed"], "report"), _replicates(data))
    pictures: Pictures = ()
    if figures:
        from simulations.probe.tell.figures import draw_all

        drawn = draw_all(data, found, out)
        pictures = [(p.title, p.words, p.stem.with_suffix(".png")) for p in drawn]
    first = [*verdict_sections(verdicts), short_section(data, found)]
    first = [section for section in first if section.points or section.tables]
    last = [*result_sections(data, found), definitions(data, found)]
    last.append(source_section(data, write_tables(data, out)))
    texts = most_memorized(data, decode), restored(data, decode)
    warnings = warnings_of(data)
    write_text(_markdown(verdicts, warnings, (first, last), pictures, *texts), out / "report.md")
    headline = (verdicts[0].label, verdict_words(verdicts[0]))
    write_text(
        page(TITLE, headline, warnings, (first, last), pictures, *texts), out / "report.html"
    )
    write_text(to_json(summary(data, verdicts, found)), out / "summary.json")


def summary(data: xr.Dataset, verdicts: Sequence[Verdict], found: Statistics) -> dict[str, Any]:
    """Everything in numbers, for a program to read."""
    skipped = {"configuration", "content_digest"}
    return {
        "verdicts": [asdict(verdict) for verdict in verdicts],
        "configuration": json.loads(data.attrs.get("configuration", "{}")),
        "about": {k: v for k, v in data.attrs.items() if k not in skipped},
        "statistics": asdict(found),
    }


def _replicates(data: xr.Dataset) -> int:
    """Of the settings that the dataset carries; 1000 where it carries none."""
    settings = json.loads(data.attrs.get("configuration", "{}"))
    return int(settings.get("replicates", 1000))


def _markdown(
    verdicts: Sequence[Verdict],
    warnings: Sequence[str],
    sections: tuple[Sequence[Section], Sequence[Section]],
    pictures: Pictures,
    memorized: dict[str, list[Memorized]],
    examples: Sequence[Restored],
) -> str:
    lines = [
        f"# {TITLE}",
        "",
        f"**{_plain(verdicts[0].label)}**, {_plain(verdict_words(verdicts[0]))}.",
        "",
    ]
    for warning in warnings:
        lines += [f"> Note: {_plain(warning)}", ""]
    for section in sections[0]:
        lines += _section(section)
    if pictures:
        lines += ["## Figures", ""]
        for title, words, path in pictures:
            lines += [f"![{title}]({path.name})", "", f"{title}. {words}", ""]
    for split, rows in memorized.items():
        lines += [f"## Most memorized sequences: {split}", ""]
        for row in rows:
            lines += [f"{_plain(row.name)}: {_plain(row.facts)}", "", f"    {row.text}", ""]
            if row.nearest:
                lines += ["nearest training sequence:", "", f"    {row.nearest}", ""]
    lines += _examples(examples)
    for section in sections[1]:
        lines += _section(section)
    return "\n".join(lines)


def _examples(examples: Sequence[Restored]) -> list[str]:
    """Restored sequences, the marks as brackets: what Markdown keeps in a block of text."""
    if not examples:
        return []
    brackets = {
        "kept": "{}",
        "corrupted": "({})",
        "recovered": "_{}_",
        "missed": "[{}]",
        "broken": "{{{}}}",
    }
    lines = [
        "## Restored sequences",
        "",
        "Noised above, restored below: `(corrupted)` by noise; `_recovered_`, `[missed]`, and "
        "`{broken}`, which noise had left alone.",
        "",
    ]
    for row in examples:
        lines += [f"{_plain(row.name)}:", ""]
        for marks in (row.noisy, row.output):
            words = row.gap.join(brackets[mark.kind].format(mark.text) for mark in marks)
            lines.append(f"    {words}")
        lines.append("")
    return lines


def _section(section: Section) -> list[str]:
    lines = [f"## {section.title}", ""]
    for paragraph in section.paragraphs:
        lines += [_plain(paragraph), ""]
    if section.points:
        lines += [*(f"- {_plain(point)}" for point in section.points), ""]
    for table in section.tables:
        rows = [[_plain(cell) for cell in row] for row in table.rows]
        lines += [f"{_plain(table.title)}:", ""]
        lines += markdown([_plain(cell) for cell in table.header], rows)
    return lines


def _plain(text: str) -> str:
    """Text that Markdown shows as it is."""
    shown = html.escape(visible(text, most=10**6), quote=False)
    return re.sub(r"([\\`*|~]|\](?=[(\[])|(?<!\w)_|_(?!\w))", r"\\\1", shown)
