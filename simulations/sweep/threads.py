"""Every cell computes on one thread, so that its numbers do not depend on the machine's size."""

from __future__ import annotations

import os
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager

_BLAS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_THREADS = (*_BLAS, "NUMBA_NUM_THREADS", "NPROC")
_XLA_FLAGS = ("--xla_cpu_multi_thread_eigen=false", "intra_op_parallelism_threads=1")
_GPU = "cuda"


def single_thread_settings(environment: Mapping[str, str], gpu: bool = False) -> dict[str, str]:
    """Return the environment variables that hold BLAS, numba and XLA to one thread.

    Other flags in `XLA_FLAGS` are kept, and, but for `gpu`, a `JAX_PLATFORMS` already chosen.
    """
    ours = {flag.partition("=")[0] for flag in _XLA_FLAGS}
    kept = [f for f in environment.get("XLA_FLAGS", "").split() if f.partition("=")[0] not in ours]
    return {
        **dict.fromkeys(_THREADS, "1"),
        "JAX_PLATFORMS": _GPU if gpu else environment.get("JAX_PLATFORMS") or "cpu",
        "XLA_FLAGS": " ".join([*kept, *_XLA_FLAGS]),
    }


@contextmanager
def single_thread_environment(*, gpu: bool = False) -> Iterator[None]:
    """Give every process started inside the block one thread; restore the environment after it.

    With `gpu` these processes compute on a GPU.
    """
    settings = single_thread_settings(os.environ, gpu)
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def several_threads(
    environment: dict[str, str] | os._Environ[str], loaded: Container[str], gpu: bool
) -> str | None:
    """Hold this process to one thread; return why that cannot be done any more, or None.

    BLAS reads its variables when NumPy is loaded, which is before a cell arrives; XLA's and
    numba's can be set as long as these are not loaded.
    """
    wrong = [name for name in _BLAS if environment.get(name) != "1"]
    if wrong:
        return (
            f"it may use several threads in a cell ({', '.join(wrong)} not 1 in its environment); "
            "start it with these set to 1, as a Dask nanny does by itself"
        )
    settings = single_thread_settings(environment, gpu)
    late = [name for name, value in settings.items() if environment.get(name) != value]
    if "jax" in loaded and ("XLA_FLAGS" in late or "JAX_PLATFORMS" in late):
        return (
            "it has loaded JAX already, for several threads or for another kind of device; "
            "start it anew, and start workers with GPUs apart from those without"
        )
    if "numba" in loaded and "NUMBA_NUM_THREADS" in late:
        return "it has loaded numba already, for several threads; start it anew"
    environment.update(settings)
    return None
