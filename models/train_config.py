"""How a denoiser is trained; apart from `train`, so that a command line needs no JAX."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

LossName = Literal["nelbo", "full", "loo"]


@dataclass(frozen=True)
class TrainConfig:
    """How a denoiser is trained.

    `steps` of `batch` sequences drawn with replacement; AdamW with a linear warm-up and a
    cosine decay to zero of `learning_rate`; an exponential moving average of the weights;
    noise levels stratified within each batch.
    """

    steps: int = 4000
    batch: int = 128
    learning_rate: float = 3e-3
    warmup: int = 200
    weight_decay: float = 0.02
    ema_decay: float = 0.998
    clip: float = 1.0
    loss: LossName = "loo"

    def __post_init__(self) -> None:
        if self.loss not in get_args(LossName):
            raise ValueError(
                f"`loss` must be one of {', '.join(get_args(LossName))}; got {self.loss!r}."
            )
        if self.steps < 1 or self.batch < 1:
            raise ValueError(
                f"`steps` and `batch` must be at least 1; got {self.steps} and {self.batch}."
            )
