"""Networks that others trained, each held against its own training set: memory or law?

    python -m simulations.released --preset smoke       # a rehearsal, on small networks of its own
    python -m simulations.released --checkpoints sweep.csv --corpus train.npy --held-out test.npy
    python -m simulations.released --checkpoints FOLDER --subset-seed 1 --corpus ... --held-out ...

Rebuilds the training subset of every checkpoint from the corpus and measures what the network, and
the optimal memorizer of that very subset, restore of training and held-out sequences, and their
entropies; K_M and K_G where a network comes with several subsets. Writes data, a report and a
figure to results/released/<preset>/ (of given checkpoints: results/released/<preset>-given/).
Interrupted runs resume, and a list may grow; simulations/released/entries.py says what it holds.
"""

from __future__ import annotations

from pathlib import Path

import xarray as xr

from simulations.console.errors import UserError
from simulations.data.corpora import file_refusals
from simulations.released import config
from simulations.released.config import ReleasedConfig, identity, make_cells
from simulations.released.entries import Entry
from simulations.results.survey import cell_path
from simulations.study import Study
from simulations.sweep.run import load_cells

SIZES = ("train_size", "corpus_rows", "vocab_size", "seq_len", "parameters", "held_out_rows")
TOLD = (*SIZES, "weights", "source_kind", "record", "note", "sha256", "held_out_stored")


def merge(out: Path, config: ReleasedConfig) -> xr.Dataset:
    """All cells along the dimension checkpoint. Raises UserError for a checkpoint that has changed
    since its cell was measured."""
    cells, rows = make_cells(config), []
    for cell, row in zip(cells, load_cells(out, cells), strict=True):
        entry = Entry(**cell.coordinates)
        if not config.rehearses:
            _unchanged_iv(entry.checkpoint, row.attrs, cell_path(out, cell.name))
        told = {name: row.attrs[name] for name in TOLD}
        fraction = 0.0 if entry.fraction is None else entry.fraction
        told |= {"network": entry.network, "seed": entry.seed, "fraction": fraction}
        rows.append(row.drop_attrs(deep=False).assign(told))
    names = [cell.coordinates["checkpoint"] or cell.name for cell in cells]
    return xr.concat(rows, xr.Variable("checkpoint", names))


def _unchanged_iv(checkpoint: str, measured: dict[str, object], cell: Path) -> None:
    """Compare checksums where the file is newer than its cell, or has another size."""
    from simulations.released.cells import checkpoint_files, checksum_of

    files = checkpoint_files(checkpoint)
    found = [file.stat() for file in files]
    older = all(one.st_mtime <= cell.stat().st_mtime for one in found)
    if older and sum(one.st_size for one in found) in (0, measured["bytes"]):
        return
    with file_refusals():
        checksum = checksum_of(files)
    if checksum != measured["sha256"]:
        raise UserError(
            f"{checkpoint} has changed since it was measured: remove {cell} to measure it again, "
            "or choose another folder by --out."
        )


STUDY = Study.of(
    config,
    title="Released networks, held against their training sets",
    about=__doc__,
    presets={"smoke": "minutes", "small": "half an hour", "paper": "the authors' sizes"},
    identity=identity,
    folder=lambda config, preset: preset if config.rehearses else f"{preset}-given",
    merge=merge,
    checked=False,
)
