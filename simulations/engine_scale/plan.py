"""What the authors' runs would take here: three network sizes, each on many training-set sizes.

Work is counted (products of the network); time is scaled from what others report of the same
training, since no GPU has been measured here.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from simulations.phase.config import make_cells, preset, size
from simulations.sweep.engine import makespan

SIZES = ("tiny", "small", "medium")
SUBSETS = 54
STEPS = 1_000_000
BATCH, SEQ_LEN, VOCAB_SIZE = 512, 128, 30_522

# GPU hours (A100) of 1e6 steps of `small` on LM1B, as authors of such training say, 8 GPUs each:
# about 50 hours (github.com/kuleshov-group/discrete-diffusion-guidance, issue 5), and around
# 5 days (github.com/kuleshov-group/mdlm, issue 19; said of LM1B and OpenWebText together).
REPORTED = (8 * 50.0, 8 * 5 * 24.0)
A100_FLOPS = 312e12  # dense bfloat16 products, by its data sheet
USED = 0.4  # share of them that a well-tuned training reaches
TOGETHER = 8  # GPUs of one node that would share a cell

FLOAT = 4  # bytes
STATE = 4  # arrays of the weights' size in a training state: weights, average, two moments


@dataclass(frozen=True)
class Size:
    """One network: parameters, products of one training (flop), A100 hours as scaled from reports
    (low, high) and at a good use of the hardware, bytes of its weights and of a training state."""

    name: str
    parameters: int
    flops: float
    hours: tuple[float, float]
    tuned_hours: float
    weight_bytes: int
    state_bytes: int


def training_flops(width: int, n_blocks: int) -> float:
    """Operations of 1e6 steps: two a multiply-add, three times those of the forward pass."""
    per_token = (VOCAB_SIZE + 12 * n_blocks * width + 2 * n_blocks * SEQ_LEN) * width
    return 6.0 * per_token * BATCH * SEQ_LEN * STEPS


def sizes() -> list[Size]:
    """The three networks of arXiv:2604.26841."""
    from models.networks.dit import PRESETS, tensor_shapes

    flops = {n: training_flops(PRESETS[n].width, PRESETS[n].n_blocks) for n in SIZES}
    found = []
    for name in SIZES:
        count = sum(prod(shape) for shape in tensor_shapes(VOCAB_SIZE, PRESETS[name]).values())
        low, high = (flops[name] / flops["small"] * hours for hours in REPORTED)
        tuned = flops[name] / (USED * A100_FLOPS) / 3600
        kept = FLOAT * count
        found.append(Size(name, count, flops[name], (low, high), tuned, kept, STATE * kept))
    return found


@dataclass(frozen=True)
class Plan:
    """All of it: cells, A100 hours (low, high, tuned), days of wall time by number of GPUs with one
    GPU a cell and with `TOGETHER` (each low, high), and bytes kept and held while it runs."""

    cells: int
    hours: tuple[float, float]
    tuned_hours: float
    days: dict[int, tuple[float, float]]
    days_together: dict[int, tuple[float, float]]
    weight_bytes: int
    state_bytes: int
    cell_bytes: float


def authors_plan(gpus: tuple[int, ...] = (64, 256)) -> Plan:
    """Cells, hours, days and storage. A cell on several GPUs is taken to be as many times as fast;
    cells' files have 4,096 queries at seven levels, as the preset `paper`."""
    each = sizes()
    low, high = ([net.hours[k] for net in each for _ in range(SUBSETS)] for k in (0, 1))

    def days(workers: int, gpus_of_a_cell: int) -> tuple[float, float]:
        spent = [makespan([h / gpus_of_a_cell for h in hours], workers) for hours in (low, high)]
        return spent[0] / 24, spent[1] / 24

    config = preset("paper")
    return Plan(
        cells=SUBSETS * len(each),
        hours=(sum(low), sum(high)),
        tuned_hours=SUBSETS * sum(net.tuned_hours for net in each),
        days={n: days(n, 1) for n in gpus},
        days_together={n: days(n // TOGETHER, TOGETHER) for n in gpus},
        weight_bytes=SUBSETS * sum(net.weight_bytes for net in each),
        state_bytes=max(gpus) // TOGETHER * max(net.state_bytes for net in each),
        cell_bytes=SUBSETS * len(each) * size(config, make_cells(config)[0]),
    )
