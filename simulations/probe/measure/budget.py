"""From a budget of time to sizes, by timing the first batches."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Callable
from typing import Any, NamedTuple

import xarray as xr

from models.noise import noise
from models.sampler import ancestral, steps_from
from models.streams import stream
from models.tokens import token_dtype
from simulations.console.units import format_seconds
from simulations.data.corpora import CorpusError
from simulations.probe.config import LEAST, MOST, ProbeConfig, Sizes
from simulations.probe.measure import attractors, temperature
from simulations.probe.measure.law import Reader
from simulations.probe.measure.paper import paper_block, paper_rows

SHORT = "The budget was too small for the sizes that are 0."
SHARES = {
    "sequences": 0.33,
    "recover": 0.36,
    "generate": 0.24,
}  # of the budget; the rest: intervals
MOST_RANDOM = 128  # sequences of random tokens


class BudgetError(CorpusError):
    """A budget in which nothing can be measured; the message says what would do."""


class Costs(NamedTuple):
    """Seconds a sequence: of reading the laws at one level, of one reverse step, of one step by
    the paper's protocol (0 without it); and `start`, spent on compiling and timing. `passes` : of
    a reading as t -> 0, one where all sites are read at once."""

    read: float
    step: float
    paper_step: float
    start: float
    passes: float = 1.0

    def of_recover(self, config: ProbeConfig) -> float:
        """Seconds to restore one sequence from all levels, by both protocols."""
        steps = [steps_from(t, config.steps) for t in config.levels]
        return sum(n * (self.step + self.paper_step) for n in steps)

    def of_reading(self, config: ProbeConfig) -> float:
        """Seconds for all one-forward measures of a sequence."""
        return (len(config.levels) + self.passes + config.nelbo_draws) * self.read


def time_costs(reader: Reader, config: ProbeConfig, passes: int) -> Costs:
    """Time one block of every kind, after one that compiles."""
    begun = time.monotonic()
    rng = stream(config.root_seed, "timing")
    drawn = rng.integers(reader.vocab_size, size=(reader.rows, reader.seq_len))
    x = drawn.astype(token_dtype(reader.vocab_size))
    t = config.levels[0]
    x_t = x
    if reader.noise.mask_id is not None:  # what is not masked costs a run nothing
        x_t = noise(rng, x, float(reader.schedule.alpha(t)), reader.noise)
    read = _second(lambda: reader.scalars(x_t, x, t)) / reader.rows
    run = _second(lambda: ancestral(reader.denoiser, rng, x_t, t, config.steps)) / reader.rows
    paper = 0.0
    if config.protocol == "paper":
        few = x[: paper_rows(reader)]
        paper = _second(lambda: paper_block(reader.denoiser, rng, few, 1 / 4, 4)) / len(few) / 3
    step = run / steps_from(t, config.steps)
    return Costs(read, step, paper, time.monotonic() - begun, float(passes))


def choose_sizes(config: ProbeConfig, costs: Costs, train: int | None, test: int | None) -> Sizes:
    """Sizes that take about the budget; those that the settings fix stay as they are.

    train, test : sequences that there are, None for no such split. Raises BudgetError.
    """
    data = [n for n in (train, test) if n is not None]
    left = config.budget_seconds - costs.start
    seconds = seconds_of(config, costs, train is not None, test is not None)
    chosen: dict[str, int] = {}
    for name, of in seconds.items():
        asked = getattr(config, name)
        most: int = MOST[name] if asked is None else asked
        if name != "generate" and data:
            most = min(most, max(data))
        size = most
        if asked is None:
            size = bisect_right(range(most + 1), SHARES[name] * left, key=of) - 1
            if size < min(LEAST[name], most):
                size = 0
        chosen[name] = size
    chosen["recover"] = min(chosen["recover"], chosen["sequences"])
    if not chosen["sequences"]:
        enough = costs.start + seconds["sequences"](LEAST["sequences"]) / SHARES["sequences"]
        raise BudgetError(
            f"a budget of {format_seconds(config.budget_seconds)} is too small to measure "
            f"anything: the first batches took {format_seconds(costs.start)} and a sequence takes "
            f"{costs.of_reading(config):.2g} s. Give at least {int(enough) + 1}s, or fix the "
            "sizes by --sequences."
        )
    return Sizes(**chosen, sentence=_sentence(config, costs, chosen))


def seconds_of(
    config: ProbeConfig, costs: Costs, train: bool, test: bool
) -> dict[str, Callable[[int], float]]:
    """Seconds that each size takes as a function of it, with all that grows by it; train, test:
    whether there are such splits."""
    one, data = costs.of_reading(config), train + test
    runs = max(1, data + (config.generate != 0))  # splits that are restored
    a_random = one - config.nelbo_draws * costs.read

    def sequences(n: int) -> float:
        tempered = min(n, temperature.MOST) * costs.read * test
        return n * data * one + min(n, MOST_RANDOM) * a_random + tempered

    def generate(n: int) -> float:
        swept = attractors.starts(n) * attractors.SWEEPS * costs.read
        tempered = min(n, temperature.MOST) * costs.read * 2  # searched for, and once more
        return n * (costs.step * config.steps + one) + swept + tempered

    return {
        "sequences": sequences,
        "recover": lambda n: n * runs * costs.of_recover(config),
        "generate": generate,
    }


def _sentence(config: ProbeConfig, costs: Costs, chosen: dict[str, int]) -> str:
    fixed = [name for name in chosen if getattr(config, name) is not None]
    why = (
        "The sizes were given"
        if len(fixed) == len(chosen)
        else f"From a budget of {format_seconds(config.budget_seconds)} and the time of the first "
        f"batches ({1000 * costs.read:.2g} ms a sequence and level, {1000 * costs.step:.2g} ms a "
        "sequence and reverse step)" + (f", with {' and '.join(fixed)} given" if fixed else "")
    )
    lacking = any(not size and name not in fixed for name, size in chosen.items())
    none = f" {SHORT}" if lacking else ""
    flags = " ".join(f"--{name} {size}" for name, size in chosen.items())
    return (
        f"{why}: laws are read on up to {chosen['sequences']} sequences a split, "
        f"{chosen['recover']} of them run through the reverse process, {chosen['generate']} are "
        f"generated.{none} To repeat these numbers: {flags}."
    )


def sizes_part(
    reader: Reader, config: ProbeConfig, passes: int, train: int | None, test: int | None
) -> xr.Dataset:
    """Sizes by the settings and a timing, as a part that is kept; `read_sizes` is the inverse."""
    costs = time_costs(reader, config, passes)
    sizes = choose_sizes(config, costs, train, test)
    return xr.Dataset(
        {"sizes": ("size", list(sizes[:3])), "seconds": ("kind", list(costs))},
        attrs={"sentence": sizes.sentence},
    )


def read_sizes(part: xr.Dataset) -> tuple[Costs, Sizes]:
    """What `sizes_part` found."""
    read, restored, generated = part["sizes"].values.tolist()
    sizes = Sizes(read, restored, generated, part.attrs["sentence"])
    return Costs(*part["seconds"].values.tolist()), sizes


def _second(work: Callable[[], Any]) -> float:
    """Seconds of the second call; the first one compiles."""
    work()
    begun = time.monotonic()
    work()
    return max(time.monotonic() - begun, 1e-6)
