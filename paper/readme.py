"""Numbers of results that the READMEs print, held against saved results.

    python -m paper.readme      # each with its command; status 1 where no README says it

A phrase is a piece of a README in which `{key}` stands for a number of `paper.numbers` with its
interval and `{key!}` for the number alone.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from paper.numbers.book import numbers_of
from paper.quantity import Number
from simulations.results.files import ResultsError

ROOT = Path(__file__).parents[1]
ROOMS = (
    ".",
    "am_theory",
    "models",
    "paper",
    "simulations",
    "simulations/probe",
    "simulations/sweep",
)
PAGES = tuple(ROOT / room / "README.md" for room in ROOMS)
PHASE = "python -m simulations.phase_diagram --preset small"
SCALING = "python -m simulations.scaling --preset medium"
ENTROPY = "python -m simulations.entropy --preset small"
NOVELTY = "python -m simulations.novelty --preset small"
CALIBRATION = "python -m simulations.probe.calibration --preset small"
PHRASES = {  # by the command that makes the results
    PHASE: (
        "at K_G = {markov.generalization} training sequences",
        "up to K_M = {markov.memory};",
        "reached at K_H = {markov.memory.entropy},",
        "at K_M(t -> 0) = {markov.memory.token}:",
        "its training tokens from {markov.middle.entropy} to",
        "({markov.nelbo.last.entropy!} nats against {markov.source.loo!}, K = 16,384)",
    ),
    SCALING: (
        "grows with the parameters N as N^{law.iid.parameters.memory}, on a chain as "
        "N^{law.markov.parameters.memory}, while K_G hardly moves: "
        "N^{law.iid.parameters.generalization} without structure, "
        "N^{law.markov.parameters.generalization} on the chain",
        "K_M grows as N^{law.iid.few.memory!} and N^{law.markov.few.memory!} alone",
        "N^{law.iid.parameters.recovery}, not in proportion",
        "hardly grows with training time (T^{law.iid.steps.small.recovery!})",
        "does (T^{law.iid.steps.large.recovery!})",
        "is not at its end either (T^{law.iid.steps.small.entropy!})",
        "rises from {law.iid.few.recovery!} to {law.iid.parameters.recovery!} with T",
        "moves less (N^{law.markov.parameters.recovery!})",
        "(m^depth)^{law.hierarchy.all},",
        "when the depth does ({law.hierarchy.depth})",
        "peak at a K that goes as n^{law.draws.peak},",
        "All {scaling.laws} verdicts",
    ),
    ENTROPY: (
        "tells K = {entropy.first} from K = {entropy.last} best near t = "
        "{entropy.first.loo.measured.level} (predicted by the exact denoisers: "
        "{entropy.first.loo.predicted.level}), with d' of {entropy.first.loo.measured.best} "
        "against {entropy.first.loo.measured.small} at",
        "(d' {entropy.first.full.measured.small})",
    ),
    NOVELTY: (
        "below one half at K = {novelty.memorized.half}",
        "a share of {novelty.beyond} is spurious beyond chance (K = {novelty.beyond.size})",
        "a share beyond chance of {novelty.splices}",
        "{novelty.worse} nats a token less probable than the source's own at K = "
        "{novelty.worse.size}, and by a further {novelty.early} at K = {novelty.early.size}",
    ),
    CALIBRATION: (
        "{probe.both.all.n} small networks of {probe.families} families",
        "{probe.both.all.memorizing} of those that memorize",
        "{probe.both.all.generalizing} of those that generalize",
        "{probe.both.all.opposite} the opposite",
        "{probe.both.all.log.score} nats a network against {probe.both.all.entropy.alone}",
        "of M = 0.5 to 0.8 {probe.both.least} were found, from 0.95 up {probe.both.most}",
        "whole or half: {probe.both.wrong.withheld} withheld, 4 memorizing",
    ),
}


@dataclass(frozen=True)
class Printed:
    """A phrase with the numbers of the results in it, the command that makes these, and whether
    a README has it; `stands` is None where the results are those of another command."""

    phrase: str
    command: str
    stands: bool | None


def keys_of(phrase: str) -> list[str]:
    """Names of the numbers in a phrase.

    >>> keys_of("N^{law.slope} at {size!}")
    ['law.slope', 'size']
    """
    return re.findall(r"\{([^{}!]+)!?\}", phrase)


def filled(phrase: str, numbers: Mapping[str, Number]) -> str:
    """A phrase with its numbers.

    >>> slope = Number("slope", "0.76 [0.72, 0.79]", "", "")
    >>> filled("N^{slope}, that is {slope!}", {"slope": slope})
    'N^0.76 [0.72, 0.79], that is 0.76'
    """

    def text(found: re.Match[str]) -> str:
        words = numbers[found[1]].text
        return words.partition(" [")[0] if found[2] else words

    return re.sub(r"\{([^{}!]+)(!?)\}", text, phrase)


def words_of(pages: Iterable[Path]) -> str:
    """The text of these pages, one after the other, with single spaces."""
    return " ".join(" ".join(page.read_text(encoding="utf-8") for page in pages).split())


def compare(readme: str, numbers: Mapping[str, Number]) -> Iterator[Printed]:
    """Every phrase against the text of the READMEs."""
    text = " ".join(readme.split())
    for command, phrases in PHRASES.items():
        for phrase in phrases:
            made = {numbers[key].command for key in keys_of(phrase)}
            words = filled(phrase, numbers)
            yield Printed(words, command, words in text if made == {command} else None)


def main() -> int:
    """Print every phrase with its command."""
    try:
        numbers = {number.key: number for number in numbers_of(Path("results"))}
    except ResultsError as error:
        print(f"readme: {error}", file=sys.stderr)
        return 2
    found = list(compare(words_of(PAGES), numbers))
    for one in found:
        said = {True: "stands", False: "README DIFFERS", None: "other results here"}[one.stands]
        print(f"{said}: {one.phrase}    # {one.command}")
    return 1 if any(one.stands is False for one in found) else 0


if __name__ == "__main__":
    raise SystemExit(main())
