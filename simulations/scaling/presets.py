"""The presets of the scaling laws: what each sets otherwise than `small`."""

from __future__ import annotations

from typing import Any

from models.training.config import TrainConfig
from simulations.scaling.config import ScalingConfig

SETTINGS: dict[str, dict[str, Any]] = {
    "smoke": {
        "vocab_size": 4,
        "seq_len": 8,
        "widths": (8, 32),
        "step_counts": (200, 400),
        **{f"{name}_sizes": (8, 64, 512) for name in ("iid", "markov", "hierarchy", "draws")},
        "linear_cases": ((4, 8, 0.5), (4, 16, 0.5), (4, 32, 0.5)),
        "linear_ratios": (0.2, 0.3, 0.5, 0.8),
        "linear_sets": 5,
        "hierarchies": ((8, 2, 3), (8, 3, 3)),
        "hierarchy_width": 32,
        "hierarchy_blocks": 1,
        "hierarchy_steps": 400,
        "draws": (1, 0),
        "draws_width": 32,
        "draws_steps": 400,
        "seeds": 2,
        "queries": 128,
        "n_steps": 8,
        "nelbo_queries": 64,
        "nelbo_draws": 8,
        "training": TrainConfig(batch=64, warmup=50),
    },
    "small": {},
    "medium": {
        "hierarchies": ((8, 2, 3), (8, 2, 4), (8, 2, 5), (8, 3, 3), (8, 3, 4), (8, 4, 3)),
        "draws": (1, 4, 16, 64, 0),
    },
    "paper": {
        "vocab_size": 16,
        "widths": (32, 128, 512, 2048),
        "step_counts": (6000, 24_000, 96_000, 384_000),
        "iid_sizes": tuple(2**k for k in range(6, 18)),
        "markov_sizes": tuple(2**k for k in range(4, 18)),
        "linear_cases": tuple(
            (v, length, 0.5) for v in (2, 4, 8) for length in (16, 32, 64, 128, 256)
        ),
        "hierarchies": tuple((16, m, depth) for m in (2, 3, 4) for depth in (2, 3, 4, 5)),
        "hierarchy_sizes": tuple(2**k for k in range(4, 18)),
        "hierarchy_width": 1024,
        "hierarchy_blocks": 4,
        "hierarchy_steps": 100_000,
        "draws": (1, 4, 16, 64, 256, 0),
        "draws_sizes": tuple(2**k for k in range(2, 18)),
        "draws_width": 256,
        "draws_steps": 100_000,
        "seeds": 5,
        "queries": 4096,
    },
}


def preset(name: str) -> ScalingConfig:
    """The configuration of a preset: laws are not decidable in `smoke`; `small` has parameters,
    steps and the linear denoiser, `medium` and `paper` hierarchies and noise draws as well."""
    return ScalingConfig(**SETTINGS[name])
