r"""Every number that the text prints, as TeX macros and as a list with the command of each.

    python -m paper.numbers                 # all, with their commands
    python -m paper.numbers nelbo.full      # one

Read from saved results or computed by `am_theory`, never typed: `\val{key}` in the text prints the
number of that name, and an unknown name stops TeX.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from paper import derivations, tex
from paper.claims import Claim, failing
from paper.numbers.laws import scaling_numbers
from paper.numbers.memories import basin_numbers, capacity_numbers, linear_numbers
from paper.numbers.networks import phase_numbers
from paper.numbers.readings import (
    calibration_numbers,
    channel_numbers,
    deviation_numbers,
    entropy_numbers,
    method_numbers,
    novelty_numbers,
)
from paper.numbers.theory import theory_numbers
from paper.quantity import Number
from paper.sentences import CLAIMS
from paper.sources import Results
from simulations.results.files import ResultsError, write_text

PARTS = (
    phase_numbers,
    scaling_numbers,
    basin_numbers,
    capacity_numbers,
    linear_numbers,
    channel_numbers,
    entropy_numbers,
    novelty_numbers,
    calibration_numbers,
    deviation_numbers,
    method_numbers,
)


TEXT = Path(__file__).parents[1]  # the folder of appendix.tex
OF_THE_BUILD = {"preset", "unsupported"}  # what `as_tex` adds
OPTIONAL = ("dit.", "deviate.dit", "compared.dit")  # printed where that run has been made


class UnknownNumberError(ValueError):
    """The text names numbers that nothing here gives; the message names them."""


class MissingNumbersError(ResultsError):
    """Results are there, but a number of the text is not in them."""


def numbers_of(results: Path, preset: str = "small") -> list[Number]:
    """All numbers of the text. Raises ResultsError where results are absent."""
    opened = Results(results, preset)
    found = [number for part in PARTS for number in part(opened)] + theory_numbers()
    return sorted(found, key=lambda number: number.key)


def named_in(folder: Path = TEXT) -> set[str]:
    """Names of the numbers that the TeX sources in a folder print."""
    sources = [folder / "appendix.tex", *sorted((folder / "sections").glob("*.tex"))]
    text = "".join(re.sub(r"(?<!\\)%.*", "", path.read_text()) for path in sources)
    return set(re.findall(r"\\val\{([^{}#]+)\}", text))


def write(results: Path, build: Path, preset: str = "small") -> list[Number]:
    """Write numbers.tex, numbers.md and the derivations to `build`.

    The list holds what the text prints; sentences that these numbers do not bear out are named on
    the first page. A number that a run does not hold is printed as "n/a" at
    the preset smoke, whose runs are too small for some; elsewhere it is refused.

    Returns
    -------
    The numbers that are missing.

    Raises
    ------
    ResultsError, with one sentence that names the command; UnknownNumberError.
    """
    found = of_the_text(numbers_of(results, preset))
    missing = [number for number in found if number.missing]
    if missing and preset != "smoke":
        first = missing[0]
        raise MissingNumbersError(
            f"{len(missing)} number(s) of the text are not in the results, first `{first.key}` "
            f"({first.what}); make them by `{first.command}`."
        )
    derivations.write(build)
    unsupported = list(failing(found, CLAIMS))
    write_text(as_tex(found, preset, unsupported), build / "numbers.tex")
    write_text(as_list(found), build / "numbers.md")
    return missing


def of_the_text(found: list[Number]) -> list[Number]:
    """The numbers that the text prints. What only an optional run gives may be absent."""
    known, named = {number.key: number for number in found}, named_in() - OF_THE_BUILD
    unknown = sorted(key for key in named - set(known) if not key.startswith(OPTIONAL))
    if unknown:
        raise UnknownNumberError(f"The text prints numbers that nothing gives: {unknown}.")
    return [known[key] for key in sorted(named & set(known))]


def as_tex(found: list[Number], preset: str, unsupported: Sequence[Claim] = ()) -> str:
    """Definitions that `\\val` looks up, and the sentences that numbers do not bear out."""
    lines = ["% Made by paper/numbers/book.py; do not edit.", rf"\setvalue{{preset}}{{{preset}}}"]
    if unsupported:
        items = " ".join(
            rf"\item {tex.escape(claim.says)} (section~\ref{{sec:{claim.section}}})"
            for claim in unsupported
        )
        lines.append(rf"\setvalue{{unsupported}}{{{items}}}")
    lines += [rf"\setvalue{{{number.key}}}{{{number.tex}}}" for number in found]
    return "\n".join(lines) + "\n"


def as_list(found: list[Number]) -> str:
    """A Markdown table of all numbers with their commands."""
    lines = ["# Numbers of the appendix", "", "| number | value | what | command |"]
    lines.append("| --- | --- | --- | --- |")
    for number in found:
        cells = (f"`{number.key}`", number.text, number.what, f"`{number.command}`")
        lines.append("| " + " | ".join(cell.replace("|", "&#124;") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def main(words: list[str]) -> int:
    """Print the numbers of the given names, or all; theory alone where no results are needed."""
    theory = theory_numbers()
    known = {number.key: number for number in theory}
    try:
        if not words or set(words) - set(known):
            known = {number.key: number for number in numbers_of(Path("results"))}
    except ResultsError as error:
        print(f"numbers: {error}", file=sys.stderr)
        return 2
    unknown = [word for word in words if word not in known]
    if unknown:
        print(f"numbers: the text prints no number called `{unknown[0]}`.", file=sys.stderr)
        return 2
    for key in words or sorted(known):
        print(f"{key} = {known[key].text}    # {known[key].what}; {known[key].command}")
    return 0
