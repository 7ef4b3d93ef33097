"""How a denoiser is trained; apart from `train`, so that a command line needs no JAX."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

LossName = Literal["nelbo", "full", "loo"]
DecayName = Literal["cosine", "constant"]
ComputeName = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class TrainConfig:
    """How a denoiser is trained.

    An exponential moving average of the weights is what is measured; noise levels are stratified
    within each batch.

    Args:
        steps: optimizer steps.
        batch: sequences in a step, drawn with replacement.
        learning_rate: peak of AdamW's rate, after a linear rise.
        warmup: steps of the rise, at most a fifth of all steps; 0 for none.
        decay: of the rate after its rise: cosine (to 0 at the last step) or constant.
        weight_decay: AdamW's; off, as in the paper.
        beta2: AdamW's memory of squared gradients.
        ema_decay: of the moving average of the weights.
        clip: largest global norm of a gradient.
        noise_draws: noisy copies of a stored sequence that training ever sees; 0 for fresh noise in
            every step.
        loss: loo (cross-entropy of the leave-one-out law), full (of the token posterior) or nelbo.
        accumulate: parts that a batch is computed in, one after the other, to save memory.
        compute: type of the products; the weights that are updated stay float32.
    """

    steps: int = 4000
    batch: int = 128
    learning_rate: float = 3e-3
    warmup: int = 200
    decay: DecayName = "cosine"
    weight_decay: float = 0.0
    beta2: float = 0.99
    ema_decay: float = 0.998
    clip: float = 1.0
    noise_draws: int = 0
    loss: LossName = "loo"
    accumulate: int = 1
    compute: ComputeName = "float32"

    def __post_init__(self) -> None:
        choices: dict[str, Any] = {"loss": LossName, "decay": DecayName, "compute": ComputeName}
        for name, allowed in choices.items():
            if getattr(self, name) not in get_args(allowed):
                raise ValueError(
                    f"`{name}` must be one of {', '.join(get_args(allowed))}; "
                    f"got {getattr(self, name)!r}."
                )
        if self.steps < 1 or self.batch < 1:
            raise ValueError(
                f"`steps` and `batch` must be at least 1; got {self.steps} and {self.batch}."
            )
        if self.accumulate < 1 or self.batch % self.accumulate:
            raise ValueError(
                f"`accumulate` must divide `batch` = {self.batch} into equal parts; "
                f"got {self.accumulate}."
            )
        limits = {
            "learning_rate": self.learning_rate > 0,
            "clip": self.clip > 0,
            "warmup": self.warmup >= 0,
            "weight_decay": self.weight_decay >= 0,
            "beta2": 0 < self.beta2 < 1,
            "ema_decay": 0 <= self.ema_decay < 1,
            "noise_draws": self.noise_draws >= 0,
        }
        for name, holds in limits.items():
            if not holds:
                raise ValueError(f"`{name}` cannot be {getattr(self, name)}.")


# What arXiv:2604.26841 trains with (there for a million steps).
PAPER = TrainConfig(
    steps=1_000_000,
    batch=512,
    learning_rate=3e-4,
    warmup=2500,
    decay="constant",
    beta2=0.999,
    ema_decay=0.9999,
    loss="nelbo",
)
