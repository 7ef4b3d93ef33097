"""One row per sequence and noise level: sequences.csv, and sequences.parquet where pyarrow is.

pyarrow is no dependency of the toolkit; probe.nc holds the same numbers in an open format.
Empty means not measured. Entropies and log losses in nats, means over the tokens of a sequence;
where there is a column `sites`, over so many of them.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import xarray as xr

from simulations.probe.audit.copies import COLUMNS
from simulations.probe.measure.dataset import SITES
from simulations.results.files import replacing, write_text

COUNTS = ("corrupted", "corrupted_ancestral", "recovered", "broken")  # at t = 1e-5 there is none
REST = ("nelbo", "nearest_train", "nearest_distance", "repeats", *COLUMNS)


def table(data: xr.Dataset) -> Any:
    """The table as a pandas frame, sequences outside, levels inside; missing is not measured."""
    names = [f"{s}-{i}" for s, i in zip(data["split"].values, data["index"].values, strict=True)]
    levels = data["t_entropy"].values
    counts = data[list(COUNTS)].reindex(t=levels, fill_value=-1).rename(t="t_entropy")
    columns = {"id": xr.Variable("sequence", names)}
    columns |= {name: data[name].variable for name in ("split", "index")}
    columns |= {"t": xr.Variable("t_entropy", levels)}
    columns |= {name: counts[name].variable for name in COUNTS[:2]}
    for decoder in data["decoder"].values.tolist():
        for name in COUNTS[2:]:
            columns[f"{name}_{decoder}"] = counts[name].sel(decoder=decoder).variable
    for name in ("entropy", "log_loss"):
        for law in data["law"].values.tolist():
            columns[f"{name}_{law}"] = data[name].sel(law=law).variable
    columns |= {name: data[name].variable for name in (*SITES, *REST) if name in data}
    frame = xr.Dataset(columns).to_dataframe(["sequence", "t_entropy"])
    for name in frame.columns:
        if frame[name].dtype.kind == "i":
            frame[name] = frame[name].astype("Int32").mask(frame[name] < 0)
    return frame


def csv_text(data: xr.Dataset) -> str:
    """The table as comma-separated values."""
    text: str = table(data).to_csv(index=False, float_format="%.6g", lineterminator="\n")
    return text


def write_tables(data: xr.Dataset, out: Path) -> str:
    """Write the tables to a folder; returns a sentence on what was written."""
    write_text(csv_text(data), out / "sequences.csv")
    what = "Per sequence and level: `sequences.csv`"
    if importlib.util.find_spec("pyarrow") is None:
        return (
            f"{what}; `pip install pyarrow` and run again for `sequences.parquet` too. `probe.nc` "
            "(netCDF, an open format) holds the same numbers."
        )
    with replacing(out / "sequences.parquet") as temporary:
        table(data).to_parquet(temporary, engine="pyarrow", index=False)
    return f"{what}, `sequences.parquet`; and all of it in `probe.nc` (netCDF)."
