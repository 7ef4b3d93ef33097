"""report.html: one file that opens without a network, on a phone and a desktop, light and dark.

No scripts and no addresses: a content security policy forbids both, and allows one style sheet by
its hash. Every string is escaped. What became of a token is marked by line and bracket besides
colour, by a title, and by words for those who do not see it.
"""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Iterator
from pathlib import Path

from simulations.probe.tell.page import NEAREST, Mark, Page, Section, Table, visible

STYLE = Path(__file__).with_name("report.css")
LEGEND = {
    "corrupted": "noise put this token there (▒: the mask)",
    "recovered": "noise changed it, the model restored it",
    "missed": "noise changed it, the model left it wrong",
    "broken": "noise left it alone, the model changed it",
}


def write_html(page: Page) -> str:
    """The whole page."""
    style = "\n" + STYLE.read_text(encoding="utf-8")
    key = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{key}'; img-src data:; base-uri 'none'; "
        "form-action 'none'"
    )
    title, label, words = map(_text, (page.title, *page.headline))
    lines = [
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="referrer" content="no-referrer">',
        f"<title>{title}</title>\n<style>{style}</style>\n</head>\n<body>\n<main>",
        f"<h1>{title}</h1>",
        f'<p class="headline"><strong>{label}</strong>{words}</p>',
        *([f"<p>{_text(page.read)}</p>"] if page.read else []),
        *(f'<p class="warning"><b>Note.</b> {_text(w)}</p>' for w in page.warnings),
    ]
    for section in page.sections:
        lines += [f"<section>\n<h2>{_text(section.title)}</h2>", *_section(section), "</section>"]
    return "\n".join([*lines, "</main>\n</body>\n</html>\n"])


def _text(text: str) -> str:
    """Escaped, with what would not be seen written out."""
    return html.escape(visible(text), quote=True)


def _section(section: Section) -> Iterator[str]:
    """The lines below a heading."""
    yield from (f"<p>{_text(paragraph)}</p>" for paragraph in section.paragraphs)
    if section.points:
        yield from ("<ul>", *(f"<li>{_text(point)}</li>" for point in section.points), "</ul>")
    yield from (_table(table) for table in section.tables)
    for picture in section.pictures:
        data = base64.b64encode(picture.png.read_bytes()).decode()
        title, words = _text(picture.title), _text(picture.words)
        yield f'<figure><img src="data:image/png;base64,{data}" alt="{title}">'
        yield f"<figcaption>{title}. {words}</figcaption></figure>"
    if section.restored:
        yield "<p>The reverse process from a noised sequence.\nLegend:</p>\n<ul>"
        for kind, means in LEGEND.items():
            yield f'<li><span class="{kind}"><span class="o">{kind}</span></span>: {means}</li>'
        yield "</ul>"
    if section.memorized or section.restored:
        yield "<dl>"
    for found in section.memorized:
        yield f'<dt>{_text(found.name)} <span class="quiet">{_text(found.facts)}</span></dt>'
        yield f'<dd><div class="text" dir="auto">{_text(found.text)}</div>'
        if found.nearest:
            yield f'<span class="quiet">{NEAREST}</span>'
            yield f'<div class="text" dir="auto">{_text(found.nearest)}</div>'
        yield "</dd>"
    for row in section.restored:
        yield f"<dt>{_text(row.name)}</dt>"
        for name, marks in (("noised", row.noisy), ("restored", row.output)):
            words = _text(row.gap).join(_mark(mark) for mark in marks)
            yield f'<dd><span class="quiet">{name}</span><div class="text">{words}</div></dd>'
    if section.memorized or section.restored:
        yield "</dl>"


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col">{_text(cell)}</th>' for cell in table.header)
    rows = "\n".join(
        f'<tr><th scope="row">{_text(first)}</th>'
        + "".join(f"<td>{_text(cell)}</td>" for cell in rest)
        + "</tr>"
        for first, *rest in table.rows
    )
    wordy = ' class="wordy"' if any(len(row[0]) > 12 for row in table.rows) else ""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{_text(table.title)}">'
        f"<table{wordy}>\n<caption>{_text(table.title)}</caption>\n<thead><tr>{head}</tr></thead>\n"
        f"<tbody>\n{rows}\n</tbody>\n</table></div>"
    )


def _mark(mark: Mark) -> str:
    if mark.kind == "kept":
        return f"<span>{_text(mark.text)}</span>"
    return (
        f'<span class="{mark.kind}" title="{mark.kind}: {_text(mark.note)}">'
        f'<span class="away">{mark.kind}: </span><span class="o">{_text(mark.text)}</span></span>'
    )
