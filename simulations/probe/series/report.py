"""report.md, series.csv and summary.json of a series."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np

from models.training.memorized import WHOLE, Bounded
from simulations.measure.tables import markdown, number, section, to_json, with_spread
from simulations.probe.series.analysis import BY_SPLIT, Point, Series
from simulations.probe.series.cells import NAMES
from simulations.probe.series.onset import Onset
from simulations.results.files import write_text


def named(series: Series) -> Onset | None:
    """The onset at the level next to 0.25, which the answer is about."""
    if not series.onsets:
        return None
    return series.onsets[series.config.levels.index(series.config.shown)]


def answer(series: Series) -> str:
    """What the series says, in a sentence."""
    onset = named(series)
    if onset is None:
        return "Entropies of a series; without training sequences no onset of memorization is told"
    if onset.step == np.inf:
        last = f"{series.axis} {_place(series.points[-1].step)}"
        return f"Memorization has not set in by the last checkpoint, {last}"
    if np.isnan(onset.step):
        return "Memorization: the checkpoints do not tell when it sets in"
    return f"Memorization sets in {told(onset, series)}"


def told(onset: Onset, series: Series) -> str:
    """An onset in words."""
    low, high = (_end(end) for end in (onset.low, onset.high))
    interval = f"(95 %: {low} to {high})"
    if onset.answer == "at":
        return f"at {series.axis} {_place(onset.step)} {interval}"
    first = "before the first checkpoint"
    return f"{first if onset.step < 0 else onset.answer} {interval}"


def _end(value: float) -> str:
    if np.isnan(value):
        return "not known"
    if np.isfinite(value):
        return _place(value)
    return "after the last" if value > 0 else "before the first"


def _place(step: float) -> str:
    return f"{step:,.3g}" if step < 1000 else f"{step:,.0f}"


def write_reports(series: Series, out: Path, figure: str, repeat: str) -> None:
    """Write report.md, series.csv and summary.json to a folder. figure : the picture's name, or
    nothing; repeat : the command."""
    write_text("\n".join(page(series, figure, repeat)), out / "report.md")
    write_text(csv_text(series), out / "series.csv")
    write_text(to_json({"answer": answer(series), **asdict(series)}), out / "summary.json")


def page(series: Series, figure: str, repeat: str) -> Iterator[str]:
    """Lines of report.md."""
    config, t = series.config, f"{series.config.shown:g}"
    yield from ("# When does this run memorize?", "", f"**{answer(series)}**.", "")
    for note in (*_warnings(series), *series.notes):
        yield from (f"> Note: {note}", "")
    if figure:
        yield from (f"![M, shares and entropies]({figure})", "")
    if series.onsets:
        yield from section("Onset", f"The {series.axis} from which on M is above {config.bound:g}.")
        rows = [[onset.what, told(onset, series)] for onset in series.onsets]
        yield from markdown(["order parameter", "onset"], rows)
    yield from section("Readings")
    memory = [f"M at t = {t}", "clearest M", "its t", "memorized", "told apart"]
    splits = [NAMES[split] for split in series.splits]
    header = [series.axis, "checkpoint", *(memory if series.onsets else [])]
    header += [f"entropy as t → 0, {split}" for split in splits]
    header += [f"log loss - entropy at t = {t}, {split}" for split in splits]
    yield from markdown(header, [_row(point, series) for point in series.points])
    counts = ", ".join(f"{n} {NAMES[split]}" for split, n in series.counts.items())
    yield from section(
        "Definitions",
        f"Sequences: {counts}; the same, with the same noise, for every checkpoint. Intervals are "
        "of 95 %, by a bootstrap over sequences. The law read is loo, p(token | the noisy tokens "
        "of all other sites). Entropies are in nats, means over tokens; where noise masks tokens "
        "and does not redraw them, over masked ones.",
        "M = (R_train - R_heldout) / (1 - R_heldout), of the recoveries R of corrupted tokens by "
        "the best change. The clearest M is that of the level of the largest lower end; its "
        "interval holds all levels at once.",
        f"Memorized: of the training sequences, the share of which {100 * WHOLE:.0f} % of the "
        f"corrupted tokens are restored at t = {t}, beyond that of held-out sequences. Told apart: "
        "the share with a log loss below what 5 % of the held-out ones have, beyond these 5 %.",
        "The onset is interpolated in the logarithm of the step, between the last checkpoint at or "
        "below the bound and the next.",
    )
    if series.failures:
        yield from section("Checkpoints that could not be read")
        yield from markdown(["checkpoint", "why"], [list(row) for row in series.failures.items()])
    yield from section("To repeat", f"`{repeat}`")


def _warnings(series: Series) -> Iterator[str]:
    if series.ordered:
        yield (
            "Not every checkpoint says its step, or two say the same: they are in the order given, "
            "and counted."
        )
    onset = named(series)
    if onset is not None and onset.before:
        yield f"{onset.what} had been above the bound before, and fell below it again."


def _row(point: Point, series: Series) -> list[str]:
    shown = series.config.levels.index(series.config.shown)
    cells = [_place(point.step), point.name]
    if series.onsets:
        cells += [_cell(point.by_level[shown]), _cell(point.memory), number(point.memory_t, 2)]
        cells += [_cell(point.share), _cell(point.told_apart)]
    cells += [_cell(point.entropy[split]) for split in series.splits]
    return cells + [_cell(point.gap[split]) for split in series.splits]


def _cell(found: Bounded) -> str:
    return with_spread(*found)


def csv_text(series: Series) -> str:
    """All numbers of all points, a row each; empty where undefined."""
    rows = [_columns(point, series) for point in series.points]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _columns(point: Point, series: Series) -> dict[str, str]:
    found = {"memory": point.memory, "share": point.share, "told_apart": point.told_apart}
    for t, one in zip(series.config.levels, point.by_level, strict=False):
        found[f"memory_t{t:g}"] = one
    for what in BY_SPLIT:
        for split in series.splits:
            found[f"{what}_{split}"] = getattr(point, what)[split]
    columns = {"step": f"{point.step:g}", "checkpoint": point.name}
    columns["memory_t"] = "" if np.isnan(point.memory_t) else f"{point.memory_t:g}"
    for name, one in found.items():
        for end, value in zip(("", "_low", "_high"), one, strict=True):
            columns[f"{name}{end}"] = "" if np.isnan(value) else f"{value:.6g}"
    return columns
