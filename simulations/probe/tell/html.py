"""report.html: one file that opens without a network, on a phone and a desktop, light and dark.

No scripts and no addresses: a content security policy forbids both, and allows one style sheet by
its hash. Every string is escaped. What became of a token is marked by line and bracket besides
colour, by a title, and by words for those who do not see it.
"""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Iterable, Sequence
from pathlib import Path

from simulations.probe.tell.excerpts import Mark, Memorized, Restored, visible
from simulations.probe.tell.sections import Section, Table

STYLE = """
:root{color-scheme:light dark;--ink:#1a1d21;--paper:#fff;--soft:#f3f4f6;--line:#c9ced6;
--quiet:#4d5661;--rec:#0a5c36;--miss:#a1122b;--brk:#6b3d00;--cor:#5b2a86}
@media(prefers-color-scheme:dark){:root{--ink:#e8eaed;--paper:#14171a;--soft:#20252b;
--line:#454d57;--quiet:#b3bcc7;--rec:#7fe0ac;--miss:#ff9aa8;--brk:#ffc477;--cor:#d9b3ff}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0 auto;max-width:64rem;padding:1rem;background:var(--paper);color:var(--ink);
font:1rem/1.55 system-ui,sans-serif;overflow-wrap:anywhere}
h1{font-size:1.5rem;line-height:1.25}h2{font-size:1.2rem;margin-top:2.2rem}h3{font-size:1rem}
.headline{border:2px solid var(--ink);border-radius:.5rem;padding:.8rem 1rem;background:var(--soft)}
.headline strong{display:block;font-size:1.35rem}
.warning{border-left:.3rem solid var(--brk);padding:.2rem .8rem;background:var(--soft)}
.scroll{overflow-x:auto;max-width:100%;margin:.4rem 0 1.2rem}
table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums;
overflow-wrap:normal}
caption{text-align:left;font-weight:600;padding:.3rem 0;position:sticky;left:0}
th,td{padding:.3rem .7rem;border-bottom:1px solid var(--line);text-align:left;white-space:nowrap;
vertical-align:bottom}
thead th{white-space:normal;min-width:7rem}thead th:first-child{min-width:0}
tbody th{font-weight:500}
@media(max-width:40rem){thead th{min-width:0}tbody th{white-space:normal}
.wordy tbody th{min-width:8rem}th,td{padding:.3rem .4rem}}
figure{margin:1rem 0}figcaption,.quiet{color:var(--quiet);font-size:.92rem;
font-weight:400}
img{display:block;max-width:100%;height:auto;background:#fff;border-radius:.3rem;padding:.3rem}
.text{font-family:ui-monospace,monospace;font-size:.9rem;line-height:1.9;background:var(--soft);
padding:.5rem .7rem;border-radius:.3rem;margin:.2rem 0 .6rem;white-space:pre-wrap;
max-height:22rem;overflow:auto;unicode-bidi:isolate}
.text span{unicode-bidi:isolate}
.recovered,.missed,.broken,.corrupted{font-weight:600}
.recovered{color:var(--rec);text-decoration:underline;text-underline-offset:.2em}
.missed{color:var(--miss);text-decoration:line-through}
.broken{color:var(--brk);text-decoration:underline wavy;text-underline-offset:.2em}
.corrupted{color:var(--cor);border-bottom:2px dotted}
.corrupted .o::before{content:"("}.corrupted .o::after{content:")"}
.missed .o::before{content:"["}.missed .o::after{content:"]"}
.broken .o::before{content:"{"}.broken .o::after{content:"}"}
.away{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);
white-space:nowrap}
dt{font-weight:600;margin-top:.8rem}dd{margin:0}
a{color:inherit}:focus-visible{outline:3px solid var(--cor)}
"""

_WORDS = {
    "corrupted": "noise put this token there",
    "recovered": "noise changed it, the model restored it",
    "missed": "noise changed it, the model left it wrong",
    "broken": "noise left it alone, the model changed it",
}


def page(
    title: str,
    headline: tuple[str, str],
    warnings: Sequence[str],
    sections: tuple[Sequence[Section], Sequence[Section]],
    pictures: Sequence[tuple[str, str, Path]],
    memorized: dict[str, list[Memorized]],
    examples: Sequence[Restored],
) -> str:
    """The whole page.

    headline : label and one sentence. sections : before and after figures and texts.
    pictures : title, words, PNG file.
    """
    key = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{key}'; img-src data:; base-uri 'none'; "
        "form-action 'none'"
    )
    body = [
        f"<h1>{_text(title)}</h1>",
        f'<p class="headline"><strong>{_text(headline[0])}</strong>{_text(headline[1])}</p>',
        *(f'<p class="warning"><b>Note.</b> {_text(w)}</p>' for w in warnings),
        *(_section(s) for s in sections[0]),
        *_pictures(pictures),
        *_memorized(memorized),
        *_examples(examples),
        *(_section(s) for s in sections[1]),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{_text(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(body)
        + "\n</main>\n</body>\n</html>\n"
    )


def _text(text: str) -> str:
    """Escaped, with what would not be seen written out."""
    return html.escape(visible(text, most=10**6), quote=True)


def _section(section: Section) -> str:
    lines = [f"<section>\n<h2>{_text(section.title)}</h2>"]
    lines += [f"<p>{_text(p)}</p>" for p in section.paragraphs]
    if section.points:
        lines += ["<ul>", *(f"<li>{_text(point)}</li>" for point in section.points), "</ul>"]
    lines += [_table(table) for table in section.tables]
    return "\n".join([*lines, "</section>"])


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


def _pictures(pictures: Sequence[tuple[str, str, Path]]) -> Iterable[str]:
    if pictures:
        yield "<section>\n<h2>Figures</h2>"
        for title, words, path in pictures:
            data = base64.b64encode(path.read_bytes()).decode()
            yield f'<figure><img src="data:image/png;base64,{data}" alt="{_text(title)}">'
            yield f"<figcaption>{_text(title)}. {_text(words)}</figcaption></figure>"
        yield "</section>"


def _memorized(found: dict[str, list[Memorized]]) -> Iterable[str]:
    for split, rows in found.items():
        yield f"<section>\n<h2>Most memorized sequences: {_text(split)}</h2>\n<dl>"
        for row in rows:
            yield f'<dt>{_text(row.name)} <span class="quiet">{_text(row.facts)}</span></dt>'
            yield f'<dd><div class="text" dir="auto">{_text(row.text)}</div>'
            if row.nearest:
                yield '<span class="quiet">nearest training sequence:</span>'
                yield f'<div class="text" dir="auto">{_text(row.nearest)}</div>'
            yield "</dd>"
        yield "</dl>\n</section>"


def _examples(found: Sequence[Restored]) -> Iterable[str]:
    if not found:
        return
    yield "<section>\n<h2>Restored sequences</h2>\n<p>The reverse process from a noised sequence."
    yield "Legend:</p>\n<ul>"
    for kind, words in _WORDS.items():
        yield f'<li><span class="{kind}"><span class="o">{kind}</span></span>: {_text(words)}</li>'
    yield "</ul>\n<dl>"
    for row in found:
        yield f"<dt>{_text(row.name)}</dt>"
        for name, marks in (("noised", row.noisy), ("restored", row.output)):
            words = _text(row.gap).join(_mark(mark) for mark in marks)
            yield f'<dd><span class="quiet">{name}</span><div class="text">{words}</div></dd>'
    yield "</dl>\n</section>"


def _mark(mark: Mark) -> str:
    if mark.kind == "kept":
        return f"<span>{_text(mark.text)}</span>"
    return (
        f'<span class="{mark.kind}" title="{mark.kind}: {_text(mark.note)}">'
        f'<span class="away">{mark.kind}: </span><span class="o">{_text(mark.text)}</span></span>'
    )
