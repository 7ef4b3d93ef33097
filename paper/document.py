"""The document: TeX to PDF where latexmk is installed, and what must hold of the result."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
PACKAGES = (
    "latexmk texlive-latex-base texlive-latex-recommended texlive-latex-extra "
    "texlive-fonts-recommended lmodern poppler-utils"
)
MAX_OVERFULL_PT = 5.0
MAX_MEGABYTES = 15.0
_OVERFULL = re.compile(r"^Overfull \\[hv]box \(([0-9.]+)pt too (?:wide|high)\)(.*)$", re.M)
_UNDEFINED = re.compile(
    r"^(?:LaTeX|Package natbib) Warning: (?:Reference|Citation|Label) .*$", re.M
)


class DocumentError(Exception):
    """TeX stopped; the message is one sentence with its first complaint."""


@dataclass(frozen=True)
class Document:
    """The PDF, and what is wrong with it (sentences)."""

    path: Path
    problems: list[str]


def typeset(out: Path) -> Document | None:
    """Make `out`/appendix.pdf from `out`/build and the text; None where latexmk is not installed.

    Raises DocumentError.
    """
    if shutil.which("latexmk") is None:
        return None
    folder = out.resolve() / "build" / "tex"
    folder.mkdir(parents=True, exist_ok=True)
    words = ["latexmk", "-pdf", "-interaction=nonstopmode", "-halt-on-error"]
    words += [f"-outdir={folder}", "appendix.tex"]
    search = {  # build/ of `out` in front of one that may lie beside the text; no time of day
        "TEXINPUTS": f"{out.resolve()}:{HERE}:",
        "BIBINPUTS": f"{HERE}:",
        "max_print_line": "1000",
        "SOURCE_DATE_EPOCH": "0",
        "FORCE_SOURCE_DATE": "1",
    }
    ran = subprocess.run(words, cwd=HERE, env=os.environ | search, capture_output=True, text=True)
    log = folder / "appendix.log"
    text = log.read_text(errors="replace") if log.exists() else ran.stdout
    if ran.returncode:
        raise DocumentError(f"TeX stopped: {complaint(text)} The log is {log}.")
    path = out / "appendix.pdf"
    shutil.copyfile(folder / "appendix.pdf", path)
    return Document(path, [*log_problems(text), *font_problems(path), *size_problems(path)])


def complaint(log: str) -> str:
    r"""The first error of a log, in one line.

    >>> complaint("This is pdfTeX\n! Undefined control sequence.\nl.3 \\oops\n")
    'Undefined control sequence. l.3 \\oops'
    """
    lines = log.splitlines()
    for k, line in enumerate(lines):
        if line.startswith("!"):
            place = next((found for found in lines[k + 1 :] if found.startswith("l.")), "")
            return f"{line[1:].strip()} {place}".strip()
    return "it gave no reason."


def log_problems(log: str) -> list[str]:
    r"""Boxes that stick out by more than MAX_OVERFULL_PT, and references to nothing.

    >>> log_problems("Overfull \\hbox (9.5pt too wide) in paragraph at lines 3--4")
    ['A box is 9.5 pt too wide, in paragraph at lines 3--4.']
    >>> log_problems("Overfull \\hbox (0.5pt too wide) in paragraph at lines 3--4")
    []
    """
    found = [
        f"A box is {size} pt too wide,{place.rstrip('.')}."
        for size, place in _OVERFULL.findall(log)
        if float(size) > MAX_OVERFULL_PT
    ]
    return found + sorted(set(_UNDEFINED.findall(log)))


def font_problems(path: Path) -> list[str]:
    """Fonts that are not in the file; a sentence where `pdffonts` is not installed."""
    if shutil.which("pdffonts") is None:
        return ["Fonts were not checked: pdffonts (Debian package poppler-utils) is absent."]
    ran = subprocess.run(["pdffonts", str(path)], capture_output=True, text=True, check=True)
    return fonts_missing(ran.stdout)


def fonts_missing(table: str) -> list[str]:
    """A sentence on every font of a `pdffonts` table that is not embedded."""
    header, _, *rows = table.splitlines()
    column = header.index("emb")
    return [
        f"Font {row.split()[0]} is not embedded."
        for row in rows
        if row[column : column + 3].strip() != "yes"
    ]


def size_problems(path: Path) -> list[str]:
    """A sentence where the file is larger than MAX_MEGABYTES."""
    megabytes = path.stat().st_size / 1e6
    if megabytes <= MAX_MEGABYTES:
        return []
    return [f"{path} has {megabytes:.1f} MB; at most {MAX_MEGABYTES:g} are wanted."]
