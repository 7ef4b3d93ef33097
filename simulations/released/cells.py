"""What is measured of one released network: raw numbers per training and held-out sequence.

The network, the optimal memorizer of its very subset and, in a rehearsal, the exact law of the
source read the same inputs. Networks of one seed are given the same sequences and the same noise as
far as their subsets allow. Every law is `loo`, p(x_0^i | x_t without i).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from am_theory.channel import Uniform
from models.denoiser import channel_of
from models.errors import CheckpointError
from models.exact.empirical import EmpiricalDenoiser
from models.noise import noise
from models.released.files.safe_tensors import sha256_of
from models.released.released import Released, open_released
from models.released.stated import Stated
from models.sampler import ancestral
from models.streams import stream
from models.tokens import Tokens, token_dtype
from simulations.measure.counts import corrupted_count, count_tokens
from simulations.measure.names import LOG_LOSS_CAP, SMALL_LEVEL
from simulations.probe.measure.law import LawReading, Reader, read_law
from simulations.released import rehearsal
from simulations.released.config import ReleasedConfig
from simulations.released.entries import Entry
from simulations.released.material import read_material, rows_of, size_of
from simulations.results.cells import unfilled

NETWORK, MEMORIZER, LAW = ACTORS = ("network", "memorizer", "law")
SPLITS = ("train", "heldout")
VANISHING = 0.05  # nats; below it an entropy is said to vanish
SHOWN = ("epoch", "global_step", "hub", "commit")  # of what a checkpoint says of itself
COUNTS, READ, END = "split sample actor t", "split sample actor t_entropy", "nats"
SCHEMA = (
    (
        "cluster",
        "split sample",
        "i4",
        "",
        "place in the subset, or row of the held-out file",
    ),
    ("corrupted", "split sample t", "i2", "tokens", "tokens that the channel changed"),
    ("recovered", COUNTS, "i2", "tokens", "of these, restored by the reverse process"),
    ("best_change", COUNTS, "i2", "tokens", "of these, restored by the likeliest other token"),
    ("predicted_entropy", COUNTS, "f4", END, "at the restored tokens, told t = 1e-5, mean"),
    ("predicted_vanishing", COUNTS, "i2", "tokens", "of restored ones, with entropy below 0.05"),
    ("entropy", READ, "f4", END, "at the noisy tokens and their level, mean"),
    ("vanishing", READ, "i2", "tokens", "of noisy ones, with entropy below 0.05"),
    ("log_loss", READ, "f4", END, "-log law of the clean token, mean, capped at 20 a token"),
)


class Queries(NamedTuple):
    """Clean sequences (q, L) of a split and their rows (q,), the units that are resampled."""

    x_0: Tokens
    rows: NDArray[np.int64]


def checkpoint_files(checkpoint: str) -> list[Path]:
    """The files of weights whose checksum tells whether a checkpoint has changed; none for one of
    the hub, which its commit pins."""
    path = Path(checkpoint)
    if path.name.endswith(".index.json"):
        path = path.parent
    if path.is_dir():
        return sorted(file for file in path.iterdir() if file.suffix in (".safetensors", ".bin"))
    stem = path.with_suffix("") if path.suffix == ".json" else path
    return [file for file in (Path(f"{stem}.safetensors"), path) if file.is_file()][:1]


def checksum_of(files: list[Path]) -> str:
    """Of one file, or of the names and checksums of several; nothing of none."""
    sums = [sha256_of(file) for file in files]
    if len(sums) < 2:
        return "".join(sums)
    named = (f"{file.name} {one}\n" for file, one in zip(files, sums, strict=True))
    return hashlib.sha256("".join(named).encode()).hexdigest()


def read_network(entry: Entry, checkpoint: str, weights: Any) -> Released:
    """The network of an entry. Raises CheckpointError, also for one of another noise."""
    told = {"weights": weights, "stated": Stated(**entry.stated)}
    found = open_released(checkpoint, entry.n_heads, entry.seq_len, **told)
    undone = channel_of(found.model)
    if undone != Uniform(undone.vocab_size):
        raise CheckpointError(
            f"{checkpoint} undoes {type(undone).__name__.lower()} noise, and this sweep gives "
            "uniform noise alone: take it off the list."
        )
    return found


def queries_of(held_out: NDArray[np.integer], stored: Tokens, seed: int, n: int) -> Any:
    """The n queries of both splits, the first rows of either shuffle, again from the first on where
    there are fewer; `stored` is the subset in the order of its shuffle."""
    train, held = np.arange(n) % len(stored), rows_of(len(held_out), seed)[:n]
    held = held[np.arange(n) % len(held)]
    tokens = np.asarray(held_out[held]).astype(stored.dtype)
    return {"train": Queries(stored[train], train), "heldout": Queries(tokens, held)}


def compute(config: ReleasedConfig, at: dict[str, Any]) -> xr.Dataset:
    """The cell of one checkpoint. Raises CheckpointError, CorpusError: one sentence."""
    entry = Entry(**at)
    with TemporaryDirectory() as folder:
        name = entry.checkpoint
        if config.rehearses:
            words = (config.rehearsal, config.queries, config.root_seed)
            material = rehearsal.material_of(*words)
            made = (config.rehearsal, entry, material, config.root_seed, Path(folder))
            name = str(rehearsal.trained(*made))
        files = checkpoint_files(name)
        checksum, n_bytes = checksum_of(files), sum(file.stat().st_size for file in files)
        found = read_network(entry, name, config.weights)
    model: Any = found.model
    if not config.rehearses:
        given: Any = (config.corpus, config.held_out)
        mask = found.record.mask_id.value
        within = mask if mask is not None and mask < model.vocab_size else None
        material = read_material(*given, model.vocab_size, model.seq_len, within)
    n = len(material.corpus)
    size = size_of(n, entry.train_size, entry.fraction)
    subset = np.asarray(material.corpus[rows_of(n, entry.seed)[:size]])
    stored = subset.astype(token_dtype(model.vocab_size))
    memorizer = EmpiricalDenoiser(stored, model.vocab_size, model.schedule)
    queries = queries_of(material.held_out, stored, entry.seed, config.queries)
    told = {name: found.details[name] for name in SHOWN if name in found.details}
    bench = Bench(config, entry.seed, stored.shape[1])
    for split, asked in queries.items():
        bench.out["cluster"].loc[{"split": split}] = asked.rows
        bench.measure(split, asked, NETWORK, model)
        bench.measure(split, asked, MEMORIZER, memorizer)
        if material.source is not None:
            bench.measure(split, asked, LAW, material.source.population_denoiser(model.schedule))
    held, first = np.unique(queries["heldout"].rows, return_index=True)
    known = memorizer.multiplicity(queries["heldout"].x_0[first]) > 0
    return bench.out.assign_attrs(
        told,
        train_size=size,
        corpus_rows=n,
        vocab_size=model.vocab_size,
        seq_len=stored.shape[1],
        parameters=parameters_of(model),
        weights=found.weights,
        source_kind=found.source_kind,
        record=str(found.record),
        note=""
        if found.weights in (config.weights, "sole")
        else str(found.details.get("note", "")),
        sha256=checksum,
        bytes=n_bytes,
        held_out_rows=len(held),
        held_out_stored=int(known.sum()),
    )


def parameters_of(model: Any) -> int:
    """Weights of a network."""
    import equinox as eqx
    import jax

    return sum(x.size for x in jax.tree.leaves(eqx.filter(model, eqx.is_inexact_array)))


class Bench:
    """The dataset of a cell, filled one denoiser and split after the other."""

    def __init__(self, config: ReleasedConfig, seed: int, seq_len: int) -> None:
        self.config, self.seed, self.seq_len = config, seed, seq_len
        coords = {
            "split": list(SPLITS),
            "actor": list(ACTORS),
            "t": list(config.levels),
            "t_entropy": [SMALL_LEVEL, *config.levels],
        }
        self.out = unfilled(SCHEMA, coords, sample=config.queries)

    def rng(self, *names: Any) -> np.random.Generator:
        """A stream that networks of one seed share."""
        return stream(self.config.root_seed, *names, self.seed)

    def measure(self, split: str, asked: Queries, actor: str, denoiser: Any) -> None:
        """All readings of one denoiser on one split."""
        reader = Reader(denoiser, self.seq_len, lambda: None)
        for t in (SMALL_LEVEL, *self.config.levels):
            alpha = float(denoiser.schedule.alpha(t))
            x_t = noise(self.rng("channel", split, f"{t:g}"), asked.x_0, alpha, reader.vocab_size)
            found = reader.scalars(x_t, asked.x_0, t)
            law = read_law(found, x_t, asked.x_0)
            place: dict[str, Any] = {"split": split, "actor": actor}
            self.put({**place, "t_entropy": t}, "", law)
            loss = np.minimum(-law.log_true, LOG_LOSS_CAP).mean(1)
            self.out["log_loss"].loc[{**place, "t_entropy": t}] = loss
            if t == SMALL_LEVEL:
                continue
            place |= {"t": t}
            restored = self.restore(reader, actor, split, x_t, t)
            self.out["corrupted"].loc[{"split": split, "t": t}] = corrupted_count(asked.x_0, x_t)
            outputs = {"recovered": restored, "best_change": found.best_other}
            for name, output in outputs.items():
                self.out[name].loc[place] = count_tokens(asked.x_0, x_t, output).recovered
            end = reader.scalars(restored, asked.x_0, SMALL_LEVEL)
            self.put(place, "predicted_", read_law(end, restored, asked.x_0))

    def put(self, place: dict[str, Any], prefix: str, law: LawReading) -> None:
        """Mean entropy, and the tokens at which it vanishes."""
        self.out[f"{prefix}entropy"].loc[place] = law.entropy.mean(1)
        self.out[f"{prefix}vanishing"].loc[place] = (law.entropy < VANISHING).sum(1)

    def restore(self, reader: Reader, actor: str, split: str, x_t: Tokens, t: float) -> Tokens:
        """Restored sequences: of an exact denoiser one draw of its joint posterior."""
        if actor != NETWORK:
            draw: Callable[..., Tokens] = reader.denoiser.posterior_draw  # type: ignore[attr-defined]
            return draw(self.rng("draw", split, f"{t:g}"), x_t, t)

        def run(block: int, rows: Any) -> Any:
            rng = self.rng("ancestral", split, f"{t:g}", block)
            return ancestral(reader.denoiser, rng, x_t[rows], t, self.config.n_steps)

        restored: Tokens = reader.in_blocks(len(x_t), run)
        return restored
