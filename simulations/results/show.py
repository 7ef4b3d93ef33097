"""What a results folder holds, as tables; and one cell in full."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import xarray as xr

from simulations.console.units import format_bytes, format_seconds
from simulations.results.contents import Contents
from simulations.results.files import ResultsError, read_dataset
from simulations.results.manifest import NAME as MANIFEST
from simulations.results.manifest import Entry, Manifest
from simulations.results.merge import cell_files, read_cell

READ = 200  # cells of which variables are shown, spread over all

Rows = list[tuple[str, ...]]


@dataclass
class _Range:
    """One variable over cells: its dims with the sizes seen, its dtype, and its values' range."""

    dims: tuple[str, ...]
    kind: str
    units: str
    cells: int = 0
    sizes: dict[str, set[int]] = field(default_factory=dict)
    low: float = np.inf
    high: float = -np.inf
    words: set[str] = field(default_factory=set)

    def add(self, variable: xr.Variable) -> None:
        self.cells += 1
        for dim, size in variable.sizes.items():
            self.sizes.setdefault(str(dim), set()).add(size)
        values = np.asarray(variable.values)
        if values.dtype.kind in "UOT":
            self.words.update(values.reshape(-1).tolist())
        elif (known := values[~np.isnan(values)] if values.dtype.kind == "f" else values).size:
            self.low = min(self.low, float(known.min()))
            self.high = max(self.high, float(known.max()))

    def row(self, name: str) -> tuple[str, ...]:
        dims = ", ".join(f"{dim} {_span(self.sizes[dim])}" for dim in self.dims) or "one number"
        if self.words:
            shown = sorted(self.words)[:4]
            span = ", ".join(shown) + (" ..." if len(self.words) > len(shown) else "")
        else:
            span = f"{self.low:.6g} to {self.high:.6g}" if self.low <= self.high else "no numbers"
        return name, dims, self.kind, self.units, span, f"{self.cells:,}"


@dataclass(frozen=True)
class Shown:
    """Lines on the whole folder (what, value), lines on its variables (name, dims, type, units,
    range, cells), how many cells were read for these, and the names of unusable cells."""

    folder: Rows
    variables: Rows
    read: int
    damaged: list[str]


def show(folder: Path, tell: Callable[[int], Callable[[], object]]) -> Shown:
    """Gather what a folder holds: from its manifest where it has one, else from all its cells.

    `tell` is told how many cells are read, and gives what to call after each. Raises ResultsError.
    """
    files = cell_files(folder)
    manifest = Manifest.read(folder)
    entries = {path.stem: manifest.entries.get(path.stem) for path in files}
    step = -(-len(files) // READ)
    sample = {path.stem for path in files[::step]}
    todo = [path for path in files if path.stem in sample or entries[path.stem] is None]
    ranges: dict[str, _Range] = {}
    damaged = []
    told = tell(len(todo))
    for path in todo:
        try:
            entries[path.stem], contents = read_cell(path)
        except ResultsError:
            damaged.append(path.stem)
            entries[path.stem] = None
        else:
            if path.stem in sample:
                _add(ranges, contents)
        told()
    known = [entry for entry in entries.values() if entry is not None]
    read = len(sample.difference(damaged))
    rows = _folder_rows(folder, files, manifest, known)
    return Shown(rows, [ranges[name].row(name) for name in sorted(ranges)], read, damaged)


def show_cell(folder: Path, name: str) -> str:
    """One cell as text: dims, variables with their values, attributes. Raises ResultsError."""
    files = {path.stem: path for path in cell_files(folder)}
    if name not in files:
        near = [other for other in files if name in other][:3] or list(files)[:3]
        raise ResultsError(f"There is no cell {name!r} in {folder}; there is {', '.join(near)}.")
    ds = read_dataset(files[name])
    lines = [f"cell {name}, {files[name].stat().st_size:,} bytes", "", "attributes"]
    lines += [f"  {key}: {value}" for key, value in sorted(ds.attrs.items())]
    for key, variable in sorted(ds.variables.items(), key=lambda item: str(item[0])):
        sizes = ", ".join(f"{dim} {size}" for dim, size in variable.sizes.items())
        lines += ["", f"{key} ({sizes}) {variable.dtype}"]
        lines += [f"  {word}: {value}" for word, value in variable.attrs.items()]
        text = np.array2string(np.asarray(variable.values), threshold=2000, max_line_width=100)
        lines += [f"  {line}" for line in text.splitlines()]
    return "\n".join(lines)


def _add(ranges: dict[str, _Range], contents: Contents) -> None:
    for key, variable in contents.dataset().variables.items():
        name = str(key)
        kind = "text" if variable.dtype.kind in "UOT" else str(variable.dtype)
        dims = tuple(map(str, variable.dims))
        while name in ranges and (ranges[name].dims, ranges[name].kind) != (dims, kind):
            name += " "  # of another kind of cell: a row of its own
        if name not in ranges:
            ranges[name] = _Range(dims, kind, str(variable.attrs.get("units", "")))
        ranges[name].add(variable)


def _folder_rows(folder: Path, files: list[Path], manifest: Manifest, entries: list[Entry]) -> Rows:
    stems = {path.stem for path in files}
    failed = sorted(p.name.removesuffix(".error.txt") for p in folder.glob("cells/*.error.txt"))
    if (folder / MANIFEST).exists():
        done = len(stems.intersection(manifest.wanted))
        cells = f"{done:,} done of {len(manifest.wanted):,} wanted"
        if extra := len(stems) - done:
            cells += f", {extra:,} others"
    else:
        cells = f"{len(files):,} done (no {MANIFEST}, so how many were wanted is not known)"
    rows = [
        ("configuration", _counted(Counter(entry.config_hash for entry in entries))),
        ("commit", _counted(Counter(entry.commit for entry in entries))),
        ("code version", _counted(Counter(entry.code for entry in entries))),
        ("cells", f"{cells}, {len(failed)} failed"),
        ("size of the cells", format_bytes(sum(path.stat().st_size for path in files))),
    ]
    if entries:
        longest = max(entries, key=lambda entry: entry.seconds)
        largest = max(entries, key=lambda entry: entry.peak_rss_mb)
        total = sum(entry.seconds for entry in entries)
        rows += [
            ("time of all cells", f"{format_seconds(total)} of one core"),
            ("longest cell", f"{format_seconds(longest.seconds)} ({longest.cell})"),
            ("peak memory", f"{largest.peak_rss_mb:,.0f} MB ({largest.cell})"),
        ]
    others = sorted(path for path in folder.iterdir() if path.is_file() and path.name[0] != ".")
    words = (f"{path.name} {format_bytes(path.stat().st_size)}" for path in others)
    return [*rows, ("other files", ", ".join(words) or "none")]


def _counted(counts: Mapping[str, int]) -> str:
    if len(counts) == 1:
        return next(iter(counts))
    return ", ".join(f"{key} ({number:,} cells)" for key, number in counts.items())


def _span(sizes: set[int]) -> str:
    return str(min(sizes)) if len(sizes) == 1 else f"{min(sizes)} to {max(sizes)}"
