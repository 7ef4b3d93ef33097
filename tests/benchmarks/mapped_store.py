"""Time and memory of empirical posteriors over mapped stores: `mapped_store.py REPEATS FILE...`.

Prints JSON: seconds to open each store and median seconds of a posterior of 64 queries, stores
taking turns; bytes of peak resident memory beyond what the process held, with everything
compiled, before a store was opened, and how much of the growth at the end is anonymous (not
pages of the files).
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from models.exact import _kernels
from models.exact.empirical import EmpiricalDenoiser
from models.exact.mapped import open_patterns
from models.noise import noise
from tests.benchmarks.timing import interleaved

VOCAB, BATCH, LEVEL = 32, 64, 0.25


def status(field: str) -> int:
    """Bytes of a line of /proc/self/status."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return 1024 * int(line.split()[1])
    raise ValueError(f"/proc/self/status has no line {field}.")


def asked(memory: EmpiricalDenoiser) -> np.ndarray:
    """Noisy versions of the first stored sequences."""
    alpha = float(memory.schedule.alpha(LEVEL))
    return noise(np.random.default_rng(0), memory.patterns[:BATCH], alpha, VOCAB)


def compile_kernels(seq_len: int) -> None:
    """A small mapped store, with codes of pairs of sites and, as the largest stores, without."""
    limit = _kernels.PACKED_BYTES
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "small.npy"
        np.save(file, np.random.default_rng(0).integers(VOCAB, size=(1000, seq_len), dtype="u1"))
        for _kernels.PACKED_BYTES in (0, limit):
            memory = EmpiricalDenoiser(open_patterns(file), VOCAB)
            memory.posterior(asked(memory), LEVEL, np.random.default_rng(1))


def main(repeats: int, files: list[str]) -> None:
    compile_kernels(np.load(files[0], mmap_mode="r").shape[1])
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    resident, anonymous = status("VmRSS"), status("RssAnon")
    calls, opening = {}, {}
    for file in files:
        begun = time.perf_counter()
        memory = EmpiricalDenoiser(open_patterns(file), VOCAB)
        opening[file] = time.perf_counter() - begun
        rng, x_t = np.random.default_rng(1), asked(memory)
        calls[file] = lambda m=memory, x=x_t, rng=rng: m.posterior(x, LEVEL, rng)
    times = interleaved(calls, repeats)
    growth = {"peak": status("VmHWM") - resident, "anonymous": status("RssAnon") - anonymous}
    print(json.dumps({"open": opening, "posterior": times, **growth}))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
