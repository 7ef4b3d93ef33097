"""Where a sweep computes: this machine, a Dask cluster, or Slurm jobs; and what it will take."""

from __future__ import annotations

import heapq
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from simulations.console.settings import Settings, at_least
from simulations.console.units import format_bytes, format_seconds
from simulations.results.cells import Cell
from simulations.results.survey import survey
from simulations.sweep.cluster import ClusterError, Jobs, RunningCluster, SlurmCluster
from simulations.sweep.pool import ExecutorFactory, process_pool


@dataclass(frozen=True)
class Engine(Settings):
    """Where cells are computed.

    Args:
        workers: cells computed at a time on this machine, one thread each; default the number of
            cores.
        cluster: tcp://host:port of a running Dask scheduler, whose workers compute instead.
        slurm: let Slurm jobs compute instead, as partition=...,time=...,memory=...,account=...,
            jobs=...,gpus=... (all may be left out).
        dry_run: print the number of cells, the estimated time and the disk needed, and stop.
    """

    workers: int = field(default_factory=lambda: os.cpu_count() or 1)
    cluster: str | None = None
    slurm: str | None = None
    dry_run: bool = False

    def problems(self) -> Iterator[str]:
        """A sentence on each thing that is wrong."""
        yield from at_least(self, workers=1)
        address = r"(tcp|tls|ws|wss|ucx)://.+:\d+"
        if self.cluster is not None and self.slurm is not None:
            yield "--cluster and --slurm exclude each other; give one of them."
        if self.cluster is not None and not re.fullmatch(address, self.cluster):
            yield (
                "`cluster` is the address of a Dask scheduler, like tcp://host:8786; got "
                f"{self.cluster}."
            )
        try:
            self.jobs()
        except ClusterError as error:
            yield str(error)

    def jobs(self) -> Jobs | None:
        """What Slurm is asked for, if it is."""
        return None if self.slurm is None else Jobs.parse(self.slurm, self.workers)

    def factory(self, say: Callable[[str], None]) -> ExecutorFactory:
        """What makes the executor; what happens to a cluster is told by `say`."""
        if (jobs := self.jobs()) is not None:
            return SlurmCluster(jobs, say)
        if self.cluster is not None:
            return RunningCluster(self.cluster, say)
        return process_pool


def makespan(costs: Sequence[float], workers: int) -> float:
    """Time from first to last of cells handed out longest first, each to the first free worker.

    Costs and result in one unit. At most 4/3 of the best schedule (Graham 1969).

    >>> makespan([3.0, 2.0, 2.0], 2)
    4.0
    """
    free = [0.0] * min(workers, max(1, len(costs)))
    for cost in sorted(costs, reverse=True):
        heapq.heappush(free, heapq.heappop(free) + cost)
    return max(free)


def plan(
    engine: Engine,
    cells: Sequence[Cell],
    out: Path,
    config_hash: str,
    cost: Callable[[Cell], float],
    size: Callable[[Cell], float],
) -> str:
    """What a sweep would do: cells, time and disk, each estimated from the cells that `out` holds
    already, or else from the cost model alone. Nothing is written.

    Raises ForeignResultsError as the sweep would.
    """
    found = survey(cells, out, config_hash)
    kept = [cell for cell in cells if cell.name in found.finished]
    todo = [cell for cell in cells if cell.name not in found.finished]
    entries = [found.entries[cell.name] for cell in kept]
    scale = bulk = 1.0
    basis = "by the cost model alone, good to a factor of about 3"
    if kept:
        scale = sum(entry.seconds for entry in entries) / sum(cost(cell) for cell in kept)
        bulk = sum(entry.bytes for entry in entries) / sum(size(cell) for cell in kept)
        basis = f"by the cost model, scaled by the {len(kept)} cells that are done"
    seconds = [scale * cost(cell) for cell in todo]
    jobs = engine.jobs()
    gpus = sum(cell.gpu for cell in todo)
    lines = [
        f"{len(cells)} cells, {len(kept)} done, {len(todo)} to compute"
        + (f", {gpus} of them on a GPU" if gpus else ""),
        f"time: {format_seconds(sum(seconds))} of one core, the longest cell "
        f"{format_seconds(max(seconds, default=0.0))} ({basis})",
    ]
    if engine.cluster is None:
        width = engine.workers if jobs is None else jobs.jobs
        spent = format_seconds(makespan(seconds, width))
        lines.append(f"      {spent} on {width} worker{'s' if width > 1 else ''}")
    need = sum(bulk * size(cell) for cell in todo)
    have = sum(entry.bytes for entry in entries)
    lines.append(f"disk: {format_bytes(need)} in {out}, beside {format_bytes(have)} there")
    if jobs is not None:
        lines += ["job script of each worker:", "", jobs.script()]
    return "\n".join(lines)
