"""How a denoiser is trained; apart from `train`, so that a command line needs no JAX."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

LossName = Literal["nelbo", "full", "loo"]


@dataclass(frozen=True)
class TrainConfig:
    """How a denoiser is trained.

    An exponential moving average of the weights is what is measured; noise levels are stratified
    within each batch.

    Args:
        steps: optimizer steps.
        batch: sequences in a step, drawn with replacement.
        learning_rate: peak of AdamW's rate; it rises linearly and falls to 0 as a cosine.
        warmup: steps of the rise, at most a fifth of all steps.
        weight_decay: AdamW's; 0.02 keeps the tails of the law from sinking too low.
        ema_decay: of the moving average of the weights.
        clip: largest global norm of a gradient.
        loss: loo (cross-entropy of the leave-one-out law), full (of the token posterior) or nelbo.
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
