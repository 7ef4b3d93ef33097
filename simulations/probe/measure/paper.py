"""The measures of the paper's scripts on the sequences of a probe: per sequence, and as a table.

Their means are over sequences, without those whose ratio is 0 / 0; their entropies after a run are
those of the `loo` law at the final tokens with t = 1e-5 (`models.released.paper_protocol`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from models.denoiser import Denoiser
from models.networks.dit import DiT
from models.released.paper_protocol import LogLaw, law_of, reverse_run
from models.tokens import Tokens
from simulations.measure.paper_measures import Comparison, compare_sequences
from simulations.probe.measure.law import Reader

MEASURES = (*Comparison._fields, "entropy_all_tokens")
PAPER_SPLITS = ("train", "heldout")  # that run through their reverse process
NUMBERS = 1 << 21  # of a block of laws, of which a float64 run holds several


def paper_rows(reader: Reader) -> int:
    """Sequences of a block."""
    return int(np.clip(NUMBERS // (reader.seq_len * reader.vocab_size), 1, reader.rows))


def log_law(denoiser: Denoiser) -> LogLaw:
    """The denoiser's `loo` law as a function of tokens and sigma = -log alpha."""
    if isinstance(denoiser, DiT):
        return law_of(denoiser)

    def law(x: Any, sigma: Any) -> Any:
        level = np.asarray(denoiser.schedule.time_at(np.exp(-np.asarray(sigma))))
        return denoiser.log_loo(x, level)

    return law


def paper_block(
    denoiser: Denoiser, rng: np.random.Generator, x_t: Tokens, t: float, n_steps: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Final tokens (batch, L) of their stochastic reverse run from t, and the entropies there."""
    schedule = denoiser.schedule
    run = reverse_run(log_law(denoiser), x_t, t, n_steps, uniforms=rng, schedule=schedule)
    return run.final, run.entropy


def paper_columns(
    x_0: Tokens, x_t: Tokens, final: NDArray[np.int64], entropy: NDArray[np.float64]
) -> NDArray[np.float64]:
    """MEASURES of every sequence, (n, measure); NaN where undefined."""
    found = compare_sequences(x_0, x_t, final, entropy)
    return np.stack([*found, entropy.mean(1)], axis=1)


class PaperRow(NamedTuple):
    """Mean of a measure over the n sequences that have it, and its standard error."""

    split: str
    t: float
    measure: str
    mean: float
    standard_error: float
    n: int


def paper_table(data: xr.Dataset) -> list[PaperRow]:
    """Rows of paper.csv: their measures by split and level, and their conditional entropy, the
    mean entropy of `loo` at (x_t, t). Standard errors are over sequences."""
    rows = []
    splits = data["split"].values
    for split in dict.fromkeys(splits.tolist()):
        mine = data.isel(sequence=np.flatnonzero(splits == split))
        for t in data["t_entropy"].values.tolist():
            values = mine["entropy"].sel(law="loo", t_entropy=t).values
            rows.append(_row(split, t, "cond_entropy", values))
        for t in data["t"].values.tolist() if "paper" in data else ():
            for measure in data["paper_measure"].values.tolist():
                values = mine["paper"].sel(t=t, paper_measure=measure).values
                if np.isfinite(mine["paper"].sel(t=t).values).any():
                    rows.append(_row(split, t, measure, values))
    return rows


def _row(split: str, t: float, measure: str, values: NDArray[np.floating]) -> PaperRow:
    known = np.asarray(values, np.float64)[np.isfinite(values)]
    mean = known.mean() if len(known) else np.nan
    error = known.std(ddof=1) / np.sqrt(len(known)) if len(known) > 1 else np.nan
    return PaperRow(split, t, measure, float(mean), float(error), len(known))


def csv_text(rows: list[PaperRow]) -> str:
    """The table as comma-separated values; empty where a number is undefined."""
    lines = [",".join(PaperRow._fields)]
    for row in rows:
        numbers = ["" if np.isnan(x) else f"{x:.6g}" for x in (row.mean, row.standard_error)]
        lines.append(",".join([row.split, f"{row.t:g}", row.measure, *numbers, str(row.n)]))
    return "\n".join(lines) + "\n"
