"""Reverse runs, start levels, tracked trajectory and conditional entropies."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from typing import Any

import jax
import numpy as np

from am_theory import channel
from models.released.paper_protocol import (
    Run,
    conditional_entropy,
    law_of,
    posterior,
    reverse_run,
    start_index,
    time_grid,
)
from simulations.measure.paper_measures import trajectory
from tests.golden.compare_diffusion import REAL
from tests.golden.compare_network import network
from tests.golden.records import Archive, Check, Group, error
from tests.helpers import shared

SCHEDULE = channel.LogLinear()
EXACT = "ids, masks, names"
COLUMNS = ("n_steps", "start_t", "is_f64", "idx_unclamped", "idx_clamped", "t_at_clamped_idx")
PRECISION = {np.dtype(np.float32): "float32", np.dtype(np.float64): "float64"}


def settings(kind: str) -> list[dict[str, Any]]:
    runs = json.loads(shared("golden/reverse_runs.json").read_text())
    return [run for run in runs if run["kind"].startswith(kind)]


def recorded_states(run: Run, noise_removal: str) -> np.ndarray:
    """Theirs were noted before every posterior update, so not before a greedy removal."""
    return np.delete(run.states, -2, axis=0) if noise_removal == "greedy" else run.states


def deterministic_runs(g: Archive) -> Iterator[Check]:
    with jax.enable_x64(True):
        for precision, real in REAL.items():
            law, short = law_of(network("raw", real)), precision.replace("float", "f")
            for setting in settings("deterministic"):
                name, removal = f"det{setting['id']}", setting["noise_removal"]
                run = reverse_run(
                    law,
                    g[f"{name}_xt"],
                    setting["start_t"],
                    setting["steps"],
                    removal,
                    deterministic=True,
                    dtype=real,
                )
                states = recorded_states(run, removal)
                gap = error(states, g[f"{name}_states"])
                yield Check(EXACT, "exact", "raw", f"{name}_states", gap)
                moved = [int((b != a).sum()) for a, b in pairwise(states)]
                assert moved == setting["changed_per_update"]
                for final in ("x_recon", *(["x_recon_f32"] if short == "f32" else [])):
                    gap = error(run.final, g[f"{name}_{final}"])
                    yield Check(EXACT, "exact", "raw", f"{name}_{final}", gap)
                array = f"{name}_token_entropy_{short}"
                gap = error(run.entropy, g[array])
                yield Check("token entropy", precision, "raw", array, gap)


def random_runs(g: Archive) -> Iterator[Check]:
    with jax.enable_x64(True):
        law = law_of(network("raw", np.float64))
        for setting in settings("stochastic"):
            name, n = f"sto{setting['id']}", setting["steps"]
            x_t, u = g[f"{name}_xt"], g[f"{name}_u"]
            removal, start_t = setting["noise_removal"], setting["start_t"]
            run = reverse_run(law, x_t, start_t, n, removal, u, dtype=np.float64)
            for kind, ours in (("states", run.states), ("x_recon", run.final)):
                gap = error(ours, g[f"{name}_{kind}"])
                yield Check(EXACT, "exact", "raw", f"{name}_{kind}", gap)
            gap = error(run.entropy, g[f"{name}_token_entropy_f64"])
            yield Check("token entropy", "float64", "raw", f"{name}_token_entropy_f64", gap)
            times = time_grid(n, dtype=np.float64)[setting["start_step_idx"] :]
            alphas = SCHEDULE.alpha(times)
            laws = []
            for x, alpha_t, alpha_s in zip(run.states, alphas, [*alphas[1:], 1.0], strict=False):
                log_x = law(x, np.full(len(x), -np.log(alpha_t)))
                laws.append(posterior(log_x, x, alpha_t, alpha_s))
            array = f"{name}_posteriors_f64"
            gap = error(np.stack(laws), g[array])
            yield Check("posterior in a run", "float64", "raw", array, gap)


def start_levels(g: Archive) -> Iterator[Check]:
    table, array = g["startidx_table"], "startidx_table"
    columns = [str(name).partition("(")[0] for name in g["startidx_cols"]]
    gap = error(np.array(columns), np.array(COLUMNS))
    yield Check(EXACT, "exact", "-", "startidx_cols", gap)
    for real in (np.float32, np.float64):
        rows = table[table[:, 2] == (real is np.float64)]
        assert len(rows)
        find = partial(start_index, dtype=real)
        free = [find(int(n), t, clamp=False) for n, t in rows[:, :2]]
        clamped = [find(int(n), t) for n, t in rows[:, :2]]
        yield Check(EXACT, "exact", "-", array, error(free, rows[:, 3]))
        yield Check(EXACT, "exact", "-", array, error(clamped, rows[:, 4]))
        levels = [
            time_grid(int(n), dtype=real)[k] for n, k in zip(rows[:, 0], clamped, strict=True)
        ]
        yield Check("times", PRECISION[np.dtype(real)], "-", array, error(levels, rows[:, 5]))


def tracked(g: Archive) -> Iterator[Check]:
    with jax.enable_x64(True):
        law = law_of(network("raw", np.float64))
        columns = trajectory(
            law,
            g["track_xt"],
            float(g["track_start_t"]),
            int(g["track_steps"]),
            deterministic=True,
            dtype=np.float64,
        )
    gap = error(np.array(list(columns)), g["track_cols"])
    yield Check(EXACT, "exact", "raw", "track_cols", gap)
    gap = error(np.stack(list(columns.values()), -1), g["track_values_f64"])
    yield Check("trajectory", "float64", "raw", "track_values_f64", gap)


def entropies(g: Archive) -> Iterator[Check]:
    with jax.enable_x64(True):
        for precision, real in REAL.items():
            law = law_of(network("raw", real))
            ours = [conditional_entropy(law, g["condent_xt"], real(t)) for t in g["condent_t"]]
            array = f"condent_{precision.replace('float', 'f')}"
            yield Check("token entropy", precision, "raw", array, error(ours, g[array]))


REVERSE = (
    Group("deterministic runs", "reverse",
          r"det\d+_(states|x_recon(_f32)?|token_entropy_f(32|64))", r"det\d+_xt",
          deterministic_runs),
    Group("random runs", "reverse", r"sto\d+_(states|x_recon|token_entropy_f64|posteriors_f64)",
          r"sto\d+_(xt|u)", random_runs),
    Group("start levels", "reverse", "startidx_(table|cols)", "", start_levels),
    Group("trajectory", "reverse", "track_(values_f64|cols)", "track_(xt|start_t|steps)", tracked),
    Group("conditional entropies", "reverse", "condent_f(32|64)", "condent_(xt|t)", entropies),
)  # fmt: skip
