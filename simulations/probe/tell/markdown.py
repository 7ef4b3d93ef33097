"""report.md: what a page says, in Markdown."""

from __future__ import annotations

import html
import re

from simulations.measure.tables import markdown
from simulations.probe.tell.page import NEAREST, Page, Section, visible

# What became of a token, as brackets: what Markdown keeps in a block of text.
BRACKETS = {
    "kept": "{}",
    "corrupted": "({})",
    "recovered": "_{}_",
    "missed": "[{}]",
    "broken": "{{{}}}",
}
LEGEND = (
    "Noised above, restored below: `(corrupted)` by noise, ▒ being the mask; `_recovered_`, "
    "`[missed]`, and `{broken}`, which noise had left alone."
)


def write_markdown(page: Page) -> str:
    """The whole page."""
    label, words = map(_plain, page.headline)
    lines = [f"# {page.title}", "", f"**{label}**, {words}.", ""]
    lines += [_plain(page.read), ""] if page.read else []
    for warning in page.warnings:
        lines += [f"> Note: {_plain(warning)}", ""]
    for section in page.sections:
        lines += _section(section)
    return "\n".join(lines)


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
    for picture in section.pictures:
        lines += [f"![{picture.title}]({picture.png.name})", ""]
        lines += [f"{picture.title}. {picture.words}", ""]
    for found in section.memorized:
        lines += [f"{_plain(found.name)}: {_plain(found.facts)}", "", f"    {found.text}", ""]
        if found.nearest:
            lines += [NEAREST, "", f"    {found.nearest}", ""]
    if section.restored:
        lines += [LEGEND, ""]
    for row in section.restored:
        lines += [f"{_plain(row.name)}:", ""]
        for marks in (row.noisy, row.output):
            words = (BRACKETS[mark.kind].format(mark.text) for mark in marks)
            lines.append(f"    {row.gap.join(words)}")
        lines.append("")
    return lines


def _plain(text: str) -> str:
    """Text that Markdown shows as it is."""
    shown = html.escape(visible(text), quote=False)
    return re.sub(r"([\\`*|~]|\](?=[(\[])|(?<!\w)_|_(?!\w))", r"\\\1", shown)
