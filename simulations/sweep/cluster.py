"""Sweeps on a Dask cluster: one that runs already, or one that Slurm's jobs make (extra `cluster`).

Dask places the cells and starts lost ones anew on other workers; what is done with the answers is
the launcher's business as on one machine (`pool`). Workers run one cell at a time and the same code
as the launcher, or are left out. Dask's messages are pickled: who may connect to a scheduler may
run code on it and on its workers, so it belongs on a network of one's own or behind Dask's TLS.

Long because this is the only module that may know Dask.
"""

from __future__ import annotations

import logging
import re
import shutil
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future, wait
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from simulations.results.files import ResultsError
from simulations.results.provenance import code_version
from simulations.sweep.threads import single_thread_settings
from simulations.sweep.worker import CellReport, Task, first_line, other_code

if TYPE_CHECKING:
    from distributed import Client

TIMEOUT = 30.0  # seconds for a connection to the scheduler, also for one that was lost

_LOOK = 1.0  # seconds between two looks at the cluster's workers
_EXTRA = "install it with: pip install 'am-theory[cluster]'"
_SLURM = {
    "partition": "the name of a partition",
    "time": "hours:minutes:seconds of a job",
    "memory": "memory of a worker, like 4GB",
    "account": "the account to be charged",
    "jobs": "the number of jobs, one worker each",
    "gpus": "GPUs of a job",
}


class ClusterError(ResultsError):
    """A cluster cannot be reached or used; the message is one sentence that says what to do."""


class WorkersLost(ResultsError):
    """Every worker that tried a cell died at it; the message says how many."""


@dataclass(frozen=True)
class Jobs:
    """What Slurm is asked for: one worker of one core a job (fields as in `--slurm`)."""

    jobs: int
    partition: str | None = None
    time: str = "01:00:00"
    memory: str = "4GB"
    account: str | None = None
    gpus: int = 0

    @classmethod
    def parse(cls, words: str, jobs: int) -> Jobs:
        """Read `partition=...,time=...`; `jobs` unless the words name a number.

        Raises ClusterError.
        """
        found: dict[str, Any] = {"jobs": jobs}
        for word in filter(None, (part.strip() for part in words.split(","))):
            name, _, value = (part.strip() for part in word.partition("="))
            if name not in _SLURM or not value or any(c.isspace() for c in value):
                allowed = ", ".join(f"{key} ({what})" for key, what in _SLURM.items())
                raise ClusterError(
                    f"--slurm takes name=value words joined by commas, with names {allowed}; "
                    f"got {word!r}."
                )
            found[name] = value
        for name in ("jobs", "gpus"):
            text = str(found.get(name, "0"))
            if not text.isdigit() or (name == "jobs" and int(text) < 1):
                raise ClusterError(f"`{name}` of --slurm must be a positive number; got {text}.")
            found[name] = int(text)
        made = cls(**found)
        if not re.fullmatch(r"(\d+-)?\d{1,2}(:\d{2}){1,2}", made.time):
            raise ClusterError(
                f"`time` of --slurm is hours:minutes:seconds, like 24:00:00; got {made.time}."
            )
        if not re.fullmatch(r"\d+(\.\d+)?\s*[KMGT]i?B", made.memory):
            raise ClusterError(f"`memory` of --slurm is like 4GB or 512MB; got {made.memory}.")
        return made

    def settings(self) -> dict[str, Any]:
        """Keyword arguments of `dask_jobqueue.SLURMCluster`."""
        variables = single_thread_settings({}, gpu=self.gpus > 0)
        return {
            "queue": self.partition,
            "account": self.account,
            "walltime": self.time,
            "memory": self.memory,
            "cores": 1,
            "processes": 1,
            "job_script_prologue": [f"export {k}={v!r}" for k, v in variables.items()],
            "job_extra_directives": [f"--gpus={self.gpus}"] if self.gpus else [],
            "worker_extra_args": ["--resources", "GPU=1"] if self.gpus else [],
        }

    def script(self) -> str:
        """The job script, with a place holder for the scheduler's address. Raises ClusterError."""
        job = _dask_jobqueue().slurm.SLURMJob
        text: str = job("tcp://<scheduler>", name="worker", **self.settings()).job_script()
        return text


class DaskExecutor(Executor):
    """`Client.get_executor` with what a sweep asks besides: how many cells the cluster computes at
    once, cells for GPUs, and workers to be left out. `owned` is a cluster that ends with it."""

    owned: Any = None

    def __init__(self, client: Client, say: Callable[[str], None], address: str) -> None:
        self._client, self._say, self._address = client, say, address
        self._inner = client.get_executor(pure=False)
        self._usable: dict[str, bool] = {}  # address of a worker, whether it has a GPU
        self._excluded: set[str] = set()
        self._looked = -_LOOK
        self._answers: Future[dict[str, Any]] | None = None
        self._asked = 0.0  # when; a scheduler that died with the question leaves it unanswered

    def width(self) -> int:
        """Usable workers, 0 while the scheduler is out of reach. Raises ClusterError if it stays
        so."""
        if self._client.status in ("closing", "closed"):
            raise ClusterError(
                f"The Dask scheduler at {self._address} is gone; finished cells are kept, start it "
                f"and run the same command again to resume."
            )
        if self._client.status != "running":
            return 0
        if time.monotonic() - self._looked >= _LOOK:
            self._look()
            self._looked = time.monotonic()
        return len(self._usable)

    def meet(self, seconds: float) -> None:
        """Wait a little for what the workers that are there have to say."""
        self._look()
        if self._answers is not None:
            wait([self._answers], timeout=seconds)
            self._look()

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Hand over `run_cell` with a task and perhaps its recipe."""
        task: Task = args[0]
        outer: Future[CellReport] = Future()
        inner = self._inner.submit(_run_there, fn, *args, **self._placement(task))
        inner.add_done_callback(lambda done: _pass_on(done, outer))
        return outer

    def exclude(self, worker: str) -> bool:
        """Give no more cells to a worker; False if it has got none for a while."""
        self._usable.pop(worker, None)
        new = worker not in self._excluded
        self._excluded.add(worker)
        return new

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Leave the cluster; cells in work there end unheard."""
        self._client.close(timeout=TIMEOUT if wait and not cancel_futures else 1)
        if self.owned is not None:
            self.owned.close(timeout=TIMEOUT)

    def _placement(self, task: Task) -> dict[str, Any]:
        """Arguments of `Client.submit`: a preference that a lost worker cannot turn into a wait."""
        if task.gpu:
            if not any(self._usable.values()):
                raise ClusterError(
                    f"{task.name} asks for a GPU, but no worker of {self._address} offers one; "
                    f"start workers with --resources GPU=1."
                )
            return {"resources": {"GPU": 1}}
        plain = [address for address, has_gpu in self._usable.items() if not has_gpu]
        if plain and (self._excluded or len(plain) < len(self._usable)):
            return {"workers": plain, "allow_other_workers": True}
        return {}

    def _look(self) -> None:
        """Bring the list of usable workers up to date; ask new ones what they run."""
        try:
            # not scheduler_info(), which the client's own clock overwrites without the workers
            scheduler: Any = self._client.scheduler
            told: Any = self._client.sync(
                scheduler.identity, n_workers=-1, callback_timeout=TIMEOUT
            )
        except (OSError, TimeoutError):
            return
        found = told["workers"]
        for address in set(self._usable) - set(found):
            del self._usable[address]
        if self._answers is not None and self._answers.done():
            # nothing if the scheduler was lost meanwhile: they are asked again
            said = {} if self._answers.exception() else self._answers.result()
            for address, answer in said.items():
                if address in found:
                    self._judge(address, answer, found[address])
            self._answers = None
        elif self._answers is not None and time.monotonic() - self._asked > TIMEOUT:
            self._answers = None
        new = [name for name in found if name not in self._usable and name not in self._excluded]
        if new and self._answers is None:
            self._asked = time.monotonic()
            self._answers = _in_thread(
                lambda: self._client.run(code_version, workers=new, on_error="return")
            )

    def _judge(self, address: str, answer: Any, worker: dict[str, Any]) -> None:
        threads = worker["nthreads"]
        if isinstance(answer, OSError | TimeoutError):
            return  # gone, or asked again
        if isinstance(answer, BaseException):
            why = f"it cannot load the toolkit ({first_line(answer)}); install the same checkout"
        elif answer != code_version():
            why = other_code(answer, code_version())
        elif threads != 1:
            why = f"it runs {threads} cells at once as threads; start it with --nthreads 1"
        else:
            self._usable[address] = "GPU" in worker.get("resources", {})
            return
        self._excluded.add(address)
        self._say(f"worker {address} is left out: {why}")


@dataclass(frozen=True)
class RunningCluster:
    """Makes the executor of a cluster that runs already, at tcp://host:port."""

    address: str
    say: Callable[[str], None]
    places_gpus = True

    def __call__(self, workers: int) -> Executor:
        """Connect. Raises ClusterError."""
        return _connected(self.address, self.address, self.say)


@dataclass(frozen=True)
class SlurmCluster:
    """Makes the executor of a cluster that has its scheduler here and its workers in Slurm jobs.

    Jobs that end at their time limit are replaced while there are cells left.
    """

    jobs: Jobs
    say: Callable[[str], None]
    places_gpus = True

    def __call__(self, workers: int) -> Executor:
        """Start it. Raises ClusterError."""
        made = _dask_jobqueue()
        if shutil.which("sbatch") is None:
            raise ClusterError(
                "There is no sbatch on this machine; --slurm is for a login node of a Slurm "
                "cluster, use --workers or --cluster elsewhere."
            )
        _quiet()
        cluster = made.SLURMCluster(**self.jobs.settings())
        cluster.adapt(minimum_jobs=1, maximum_jobs=self.jobs.jobs)
        self.say(f"up to {self.jobs.jobs} Slurm jobs are asked for")
        executor = _connected(cluster, cluster.scheduler_address, self.say)
        executor.owned = cluster
        return executor


def _run_there(function: Any, task: Task, recipe: bytes | None) -> CellReport:
    """`run_cell` on a Dask worker, which answers by its address."""
    import dask
    from distributed import get_worker

    with dask.config.set(scheduler="synchronous"):  # else xarray asks the cluster for its locks
        report: CellReport = function(task, recipe)
    return replace(report, worker=get_worker().address)


def _pass_on(inner: Future[CellReport], outer: Future[CellReport]) -> None:
    """Give an outcome on; of a cell whose workers died, in plain words."""
    if inner.cancelled():
        outer.cancel()
        outer.set_running_or_notify_cancel()
        return
    error = inner.exception()
    if error is None:
        outer.set_result(inner.result())
    elif type(error).__name__ == "KilledWorker":
        tries = error.allowed_failures + 1  # type: ignore[attr-defined]
        outer.set_exception(
            WorkersLost(f"{tries} workers died at it in turn (killed, out of memory, or lost)")
        )
    else:
        outer.set_exception(error)


def _connected(cluster: Any, address: str, say: Callable[[str], None]) -> DaskExecutor:
    try:
        import distributed
    except ImportError:
        raise ClusterError(f"--cluster needs Dask, which is not there; {_EXTRA}.") from None
    _quiet()
    try:
        client = distributed.Client(cluster, timeout=TIMEOUT, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise ClusterError(
            f"No Dask scheduler answers at {address} ({first_line(error)}); start one with: "
            f"dask scheduler, or correct --cluster tcp://host:port."
        ) from None
    say(f"Dask cluster {address}, dashboard {client.dashboard_link}")
    executor = DaskExecutor(client, say, address)
    executor.meet(5.0)
    return executor


def _quiet() -> None:
    """Dask tells on its own what the sweep says in its words."""
    for name in ("distributed", "distributed.client"):  # the latter has a level of its own
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _in_thread(function: Callable[[], Any]) -> Future[Any]:
    """Call a function that may wait for a lost worker, without waiting for it."""
    answer: Future[Any] = Future()

    def call() -> None:
        try:
            answer.set_result(function())
        except Exception as error:
            answer.set_exception(error)

    threading.Thread(target=call, daemon=True).start()
    return answer


def _dask_jobqueue() -> Any:
    before = signal.getsignal(signal.SIGINT)
    try:
        import dask_jobqueue  # which makes Ctrl-C end the process on the spot
    except ImportError:
        raise ClusterError(f"--slurm needs dask-jobqueue, which is not there; {_EXTRA}.") from None
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)
    return dask_jobqueue
