"""One row per sequence and noise level: sequences.csv, and sequences.parquet where pyarrow is.

pyarrow is no dependency of the toolkit; probe.nc holds the same numbers in an open format.
Empty means not measured. Entropies and log losses in nats, means over the tokens of a sequence.
"""

from __future__ import annotations

import csv
import importlib
import importlib.util
import io
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from simulations.results.files import replacing, write_text

ID_COLUMNS = ("id", "split", "index", "t")


def columns(data: xr.Dataset) -> dict[str, Any]:
    """Columns by name, sequences outside, levels (t_entropy) inside.

    Integers are -1 and reals NaN where not measured; at t = 1e-5 nothing is restored.
    """
    levels, n = data["t_entropy"].values, data.sizes["sequence"]

    def outer(values: Any) -> Any:
        return np.repeat(np.asarray(values), len(levels))

    def restored(values: Any) -> Any:
        return np.concatenate([np.full((n, 1), -1), values], axis=1).ravel()

    split = [str(name) for name in data["split"].values]
    index = data["index"].values.tolist()
    names = [f"{s}-{i}" for s, i in zip(split, index, strict=True)]
    found: dict[str, Any] = {
        "id": outer(names),
        "split": outer(split),
        "index": outer(index),
        "t": np.tile(levels, n),
        "corrupted": restored(data["corrupted"].values),
        "corrupted_ancestral": restored(data["corrupted_ancestral"].values),
    }
    for decoder in data["decoder"].values.tolist():
        for measure in ("recovered", "broken"):
            counts = data[measure].sel(decoder=decoder).values
            found[f"{measure}_{decoder}"] = restored(counts)
    for measure in ("entropy", "log_loss"):
        for law in data["law"].values.tolist():
            found[f"{measure}_{law}"] = data[measure].sel(law=law).values.ravel()
    for measure in ("nelbo", "nearest_train", "nearest_distance", "repeats"):
        found[measure] = outer(data[measure].values)
    return found


def csv_text(data: xr.Dataset) -> str:
    """The table as comma-separated values."""
    table = columns(data)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table)
    writer.writerows(zip(*(_cells(name, table[name]) for name in table), strict=True))
    return text.getvalue()


def write_tables(data: xr.Dataset, out: Path) -> str:
    """Write the tables to a folder; returns a sentence on what was written."""
    write_text(csv_text(data), out / "sequences.csv")
    what = "Per sequence and level: `sequences.csv`"
    if importlib.util.find_spec("pyarrow") is None:
        return (
            f"{what}; `pip install pyarrow` and run again for `sequences.parquet` too. `probe.nc` "
            "(netCDF, an open format) holds the same numbers."
        )
    _write_parquet(columns(data), out / "sequences.parquet")
    return f"{what}, `sequences.parquet`; and all of it in `probe.nc` (netCDF)."


def _cells(name: str, values: Any) -> list[Any]:
    cells = np.asarray(values).tolist()
    if name in ID_COLUMNS:
        return [f"{x:g}" if isinstance(x, float) else x for x in cells]
    return ["" if _missing(x) else f"{x:.6g}" if isinstance(x, float) else x for x in cells]


def _missing(value: Any) -> bool:
    return value != value if isinstance(value, float) else value < 0


def _write_parquet(table: dict[str, Any], path: Path) -> None:
    """Columns with nulls where nothing was measured."""
    arrow = importlib.import_module("pyarrow")
    parquet = importlib.import_module("pyarrow.parquet")
    arrays = {}
    for name, values in table.items():
        values = np.asarray(values)
        if name in ID_COLUMNS:
            arrays[name] = arrow.array(values.tolist())
        else:
            mask = np.isnan(values) if values.dtype.kind == "f" else values < 0
            arrays[name] = arrow.array(values, mask=mask)
    with replacing(path) as temporary:
        parquet.write_table(arrow.table(arrays), temporary)
