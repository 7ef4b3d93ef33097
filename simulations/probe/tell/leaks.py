"""What the report of a probe says of near copies and of extraction."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Any

import numpy as np
import xarray as xr

from models.streams import stream
from simulations.probe.audit.copies import CAUSES, causes, copies, near, reach, rows, run_of
from simulations.probe.audit.edits import edits_of
from simulations.probe.audit.extraction import Extracted, extraction
from simulations.probe.measure.kind import erases
from simulations.probe.tell.estimates import shown
from simulations.probe.tell.page import Section, Table

MOST_LISTED = 10


def leak_sections(data: xr.Dataset, replicates: int = 1000) -> list[Section]:
    """Near copies and extraction, where they were measured; else sections that are empty."""
    return [copies_section(data), extraction_section(data, _extraction(data, replicates))]


def leaks_in_numbers(data: xr.Dataset, replicates: int = 1000) -> dict[str, Any]:
    """The same for a program to read; empty lists where nothing was measured."""
    return {
        "copies": [asdict(row) for row in copies(data)],
        "extraction": [asdict(row) for row in _extraction(data, replicates)],
    }


def _extraction(data: xr.Dataset, replicates: int) -> tuple[Extracted, ...]:
    return extraction(data, stream(data.attrs["root_seed"], "extraction"), replicates)


def copies_section(data: xr.Dataset) -> Section:
    """Shares of near copies, their causes, and the nearest ones."""
    found = copies(data)
    if not found:
        return Section("Near copies")
    length = data.sizes["position"]
    edits, run = reach(length), run_of(length)
    words = {
        "edits": f"within {edits_of(edits)} of a training row",
        "run": f"{run} tokens in a row, or more, of one training row, at any offset",
        "either": "either",
    }
    shares = tuple(
        (words[c.criterion], shown(c.generated), shown(c.held_out), shown(c.excess)) for c in found
    )
    header = ("near copies", "generated", "held-out", "generated - held-out")
    tables = [Table(f"Sequences of {length} tokens that nearly are training rows", header, shares)]
    cause, ours = causes(data), rows(data, "generated")
    counts = Counter(cause[ours][near(data)[ours]].tolist())
    if counts:
        cells = tuple((name, str(counts[name])) for name in CAUSES)
        tables.append(Table("Generated near copies by cause", ("cause", "sequences"), cells))
        tables.append(_listed(data, ours, cause))
    points = [
        "Edits: tokens to be inserted, deleted or exchanged. Held-out sequences are near copies by "
        "chance alone; only the difference is the model's.",
        "Duplicated: the training row stands in the file more than once. Predictable: half of the "
        "held-out sequences of about the same log loss, by an n-gram of the held-out text, are "
        "near copies too. Rare: neither.",
    ]
    used, whole = (int(n) for n in data.attrs["copies_of"])
    if used < whole:
        points.append(
            f"Compared with {used:,} of the {whole:,} training rows, drawn at random: copies of "
            "others are not counted, and a row's doubles are those among them."
        )
    return Section("Near copies", points=points, tables=tables)


def _listed(data: xr.Dataset, ours: np.ndarray, cause: np.ndarray) -> Table:
    """The generated sequences that come nearest, the rare ones first."""
    kept = [i for i in ours if cause[i]]
    edits, run, row, times = (
        data[f"copy_{name}"].values for name in ("edits", "run", "row", "times")
    )
    kept.sort(key=lambda i: (-CAUSES.index(cause[i]), edits[i], -run[i]))
    cells = tuple(
        (
            f"generated {int(data['index'].values[i])}",
            f"train {int(row[i])}",
            str(int(edits[i])) if edits[i] <= reach(data.sizes["position"]) else "more",
            str(int(run[i])),
            str(int(times[i])),
            str(cause[i]),
        )
        for i in kept[:MOST_LISTED]
    )
    header = ("sequence", "nearest", "edits", "tokens in a row", "times in the file", "cause")
    return Table(f"The nearest of them, at most {MOST_LISTED}", header, cells)


def extraction_section(data: xr.Dataset, found: tuple[Extracted, ...]) -> Section:
    """Shares of suffixes that are drawn, by the number of draws."""
    if not found:
        return Section("Extraction")
    shown_tokens, length = int(data.attrs["prefix"]), data.sizes["position"]
    reference = any(row.beyond_reference for row in found)
    header = ["the suffix is drawn", "draws n", "train", "held-out", "train - held-out"]
    header += ["beyond the reference"] if reference else []
    words = {"extractable": "(n, 1/2)-extractable, exact"}
    table_rows = []
    for row in found:
        cells = [words.get(row.what, row.what), str(row.n)]
        cells += [shown(each) for each in (row.train, row.held_out, row.excess)]
        if reference:
            cells.append(shown(row.beyond_reference) if row.beyond_reference else "–")
        table_rows.append(tuple(cells))
    title = (
        f"Probability that one of n draws gives the last {length - shown_tokens} tokens, the first "
        f"{shown_tokens} held"
    )
    points = [
        f"Of {found[0].train.n} training and {found[0].held_out.n} held-out sequences, "
        f"{data.sizes['draw']} draws each; for fewer draws the share of choices of n of them that "
        "hold a hit. Held-out sequences are drawn where they are likely; only the difference is "
        "memory.",
    ]
    if erases(data):
        points.append(
            "Exact: by the chance that a draw from left to right, one token at a time, gives the "
            "suffix, from one reading a token; draws reveal several tokens at once, in any order."
        )
    else:
        points.append(
            "The network cannot be told that the held tokens are certain, and leans on them too "
            "little: what is found is less than what is stored, and none found is no sign of none."
        )
    table = Table(title, tuple(header), tuple(table_rows))
    return Section("Extraction", points=points, tables=[table])
