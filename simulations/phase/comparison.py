"""Theory against simulation: two numbers, the interval of their difference, agree or deviate."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import xarray as xr

from models.sources.traps import trap_log_size
from models.streams import stream
from simulations.data.problem import make_source
from simulations.measure.checks import Check, Row, compare, read_checks
from simulations.phase.analysis import Analysis, analyse, minus
from simulations.phase.config import BIAS, CHECKS, Config
from simulations.phase.foretold import Foretold, foretell
from simulations.phase.order import Orders, make_orders
from simulations.results.files import read_dataset


def _against(
    analysis: Analysis, what: str, index: int, split: str, exact: str, decoder: str
) -> list[Row]:
    rows = []
    for name in ("corrupted recovery", "all-token recovery"):
        ours = analysis.rate(name, "trained", decoder, split)
        theirs = analysis.rate(name, exact, decoder, split)
        gap = minus(analysis.config, ours, theirs)
        for i, t in enumerate(analysis.config.levels):
            pair = (ours.estimate[index, i], theirs.estimate[index, i])
            ends = (gap.low[index, i], gap.high[index, i])
            rows.append(compare(f"{what}, {name}, {decoder}, t={t:g}", *pair, *ends))
    return rows


def trained_rows(analysis: Analysis) -> list[Row]:
    """Trained model against the two exact ends; findings, which never fail a run."""
    config, sizes = analysis.config, analysis.train_sizes
    first, last = f"K={sizes[0]}", f"K={sizes[-1]}"
    rows = []
    for decoder in ("ancestral", "argmax"):
        rows += _against(
            analysis, f"{first}: train, against empirical", 0, "train", "empirical", decoder
        )
        if config.source != "text":
            for split in ("train", "heldout"):
                what = f"{last}: {split}, against population"
                rows += _against(analysis, what, -1, split, "population", decoder)
    entropy = analysis.law("entropy", "trained", "loo", "train")
    stored = analysis.law("entropy", "empirical", "loo", "train")
    gap = minus(config, entropy, stored)
    rows.append(
        compare(
            f"{first}: loo entropy at t=1e-5 on train, against empirical",
            entropy.estimate[0, 0],
            stored.estimate[0, 0],
            gap.low[0, 0],
            gap.high[0, 0],
        )
    )
    if config.source != "text":
        exact = make_source(config.source, config.vocab_size, config.seq_len).loo_entropy()
        for split in ("train", "heldout", "generated"):
            rate = analysis.law("entropy", "trained", "loo", split)
            rows.append(
                compare(
                    f"{last}: loo entropy at t=1e-5 on {split}, against source",
                    rate.estimate[-1, 0],
                    exact,
                    rate.low[-1, 0] - exact,
                    rate.high[-1, 0] - exact,
                )
            )
    return rows


def bound_checks(config: Config, data: xr.Dataset) -> list[Check]:
    """All-token recovery never exceeds that of the argmax of `full` of the exact denoiser.

    An inequality that holds for any decoder, train against the empirical denoiser and held-out
    against the population one; the corruptions are the independent units. One check per
    decoder, split, K, seed and level; z above 5 is a bug.
    """
    checks = []
    pairs = [("train", "empirical")]
    if config.source != "text":
        pairs.append(("heldout", "population"))
    for split, exact in pairs:
        part = data.sel(split=split)
        right = part["recovered"].astype(np.int32) - part["broken"]
        best = right.sel(denoiser=exact, decoder="argmax")
        for denoiser, decoder in (
            ("trained", "ancestral"),
            ("trained", "argmax"),
            ("trained", "best_change"),
            (exact, "ancestral"),
        ):
            gap = (right.sel(denoiser=denoiser, decoder=decoder) - best) / config.seq_len
            mean = gap.mean("sample").transpose("train_size", "seed", "t").values
            error = gap.std("sample", ddof=1).transpose("train_size", "seed", "t").values
            error = error / np.sqrt(data.sizes["sample"])
            for index in np.ndindex(mean.shape):
                size, seed, t = (
                    data[d].values[i]
                    for d, i in zip(("train_size", "seed", "t"), index, strict=True)
                )
                name = f"{denoiser} {decoder} <= {exact} argmax, {split} K={size} seed={seed} t={t}"
                simulated = float(mean[index])
                checks.append(
                    Check(
                        name,
                        simulated,
                        min(simulated, 0.0),
                        float(error[index]),
                        data.sizes["sample"],
                    )
                )
    return checks


@dataclass(frozen=True)
class Findings:
    """An analysed run with all that it is held against.

    orders : the order parameters. traps : by noise level, log K in nats up to which a clean stored
    sequence outweighs all others in the memorizer, and its standard error. foretold : K_half by
    theory, None where that is not known to hold. rows : trained networks against exact ends.
    exact, bounds : what may fail a run. bias : of a finite number of reverse steps. notes : on the
    data.
    """

    analysis: Analysis
    orders: Orders = field(repr=False)
    traps: dict[float, tuple[float, float]] = field(repr=False)
    foretold: Foretold | None
    rows: list[Row]
    exact: list[Check]
    bounds: list[Check]
    bias: xr.Dataset = field(repr=False)
    notes: str

    @property
    def trained_words(self) -> str:
        """What was trained, in one line."""
        config, how = self.analysis.config, self.analysis.config.training
        network = config.network
        kind = "DiT" if network.model == "dit" else "MLP"
        loss = {"loo": "cross-entropy of `loo`", "full": "cross-entropy of `full`"}
        return (
            f"{kind} of {network.n_parameters:,} parameters, {loss.get(how.loss, 'NELBO')}, "
            f"{how.steps:,} steps of {how.batch} sequences, AdamW at {how.learning_rate:g}, weight "
            f"decay {how.weight_decay:g}, moving average {how.ema_decay:g}"
        )

    @property
    def law_entropy(self) -> float:
        """`loo` entropy as t -> 0 of the exact law, nats a token; of a text, the network's own on
        training sequences at the largest K."""
        config = self.analysis.config
        if config.source == "text":
            own = self.analysis.law("entropy", "trained", "loo", "train")
            return float(own.estimate[-1, 0])
        return float(make_source(config.source, config.vocab_size, config.seq_len).loo_entropy())


def trap_line(config: Config, levels: Iterable[float]) -> dict[float, tuple[float, float]]:
    """Trap onset of the memorizer of samples of the source at noise levels; none for a text, nor
    where a clean sequence is a fact to be kept."""
    if config.source == "text" or config.channel != "uniform":
        return {}
    source = make_source(config.source, config.vocab_size, config.seq_len)
    schedule = source.population_denoiser().schedule
    line = {}
    for t in levels:
        rng = stream(config.root_seed, "trap", f"{t:.4f}")
        found = trap_log_size(source, float(schedule.alpha(t)), rng)
        line[t] = (found.value, found.standard_error)
    return line


def findings(config: Config, data: xr.Dataset, out: Path) -> Findings:
    """The analysis of merged data, with the exact checks of the folder `out`."""
    analysis = analyse(config, data)
    return Findings(
        analysis,
        make_orders(analysis),
        trap_line(config, analysis.information),
        foretell(analysis),
        trained_rows(analysis),
        read_checks(read_dataset(out / "cells" / f"{CHECKS}.nc")),
        bound_checks(config, data),
        read_dataset(out / "cells" / f"{BIAS}.nc"),
        config.problem_of(0).notes if config.text is not None else "",
    )
