"""The frozen configuration of the main job and its presets."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

from models.training.config import TrainConfig
from simulations.data.corpora import TextFile
from simulations.data.problem import Problem, SourceName, make_problem

# Raised whenever numbers change at fixed configuration; a results folder of another is refused.
NUMERICS = 3
TOOLKIT = "0.1"

ModelName = Literal["mlp", "dit"]

DENOISERS = ("trained", "empirical", "population")
DECODERS = ("ancestral", "argmax", "best_change")
SPLITS = ("train", "heldout", "generated", "random")
MODELS = ("mlp", "dit")
LAWS = ("loo", "full")
EPSILONS = (0.01, 0.05, 0.2)  # nats; below the entropy is said to vanish
SMALL_LEVEL = 1e-5  # t at which conditional entropies are read, as in the paper's code
WEIGHT_DECAY = 0.02  # keeps the tails of a small network's law from sinking too low
LOG_LOSS_CAP = 20.0  # nats; the empirical denoiser gives exact zeros


@dataclass(frozen=True)
class Config:
    """Everything the numbers of a run depend on.

    Args:
        source: where sequences come from: markov (default), iid, or text.
        vocab_size: V, number of tokens.
        seq_len: L, tokens in a sequence.
        train_sizes: K, the training-set sizes, increasing.
        seeds: number of independent data sets and initializations.
        root_seed: every random number follows from it and from the names of the coordinates.
        levels: noise levels t in (0, 1), increasing.
        queries: corrupted inputs per split and level; stored sequences repeat at small K.
        n_steps: reverse steps on the full interval; a run from t uses its share.
        generation_steps: reverse steps of the generated sequences.
        nelbo_queries: sequences on which the NELBO is measured.
        nelbo_draws: stratified noise levels per sequence for the NELBO.
        nelbo_start: t_0; the NELBO runs from t_0 to 1.
        model: the network that is trained: mlp, or dit (the paper's transformer).
        width: hidden width of the network.
        n_blocks: residual blocks, or blocks of attention and MLP.
        n_heads: attention heads of the transformer.
        threshold: of the rate that defines a basin radius.
        tolerance: gap below which train and held-out recovery have converged (K_conv).
        replicates: bootstrap replicates.
        pattern_sets: independent sets of stored sequences in the exact checks.
        training: how the network is trained.
    """

    source: SourceName = "markov"
    vocab_size: int = 16
    seq_len: int = 16
    train_sizes: tuple[int, ...] = (16, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)
    seeds: int = 2
    root_seed: int = 2604
    levels: tuple[float, ...] = (0.05, 0.1, 0.2, 0.25, 0.35, 0.5, 0.75)
    queries: int = 2048
    n_steps: int = 16
    generation_steps: int = 64
    nelbo_queries: int = 512
    nelbo_draws: int = 8
    nelbo_start: float = 0.05
    model: ModelName = "mlp"
    width: int = 256
    n_blocks: int = 1
    n_heads: int = 4
    threshold: float = 0.5
    tolerance: float = 0.05
    replicates: int = 1000
    pattern_sets: int = 250
    training: TrainConfig = field(default_factory=lambda: TrainConfig(weight_decay=WEIGHT_DECAY))

    def __post_init__(self) -> None:
        problem = _problem(self)
        if problem:
            raise ValueError(problem)

    def as_dict(self) -> dict[str, Any]:
        """Plain containers, for JSON and hashing."""
        return dataclasses.asdict(self)


def _problem(config: Config) -> str | None:
    """The first thing wrong with a configuration, as a sentence."""
    sizes, levels = config.train_sizes, config.levels
    counts = {
        "seeds": 1,
        "seq_len": 1,
        "vocab_size": 2,
        "queries": 1,
        "n_steps": 1,
        "generation_steps": 1,
        "nelbo_queries": 1,
        "nelbo_draws": 1,
        "width": 1,
        "n_heads": 1,
        "replicates": 100,
        "pattern_sets": 200,
    }
    for name, smallest in counts.items():
        if getattr(config, name) < smallest:
            return f"`{name}` must be at least {smallest}; got {getattr(config, name)}."
    if config.vocab_size > 65536:
        return f"`vocab_size` must be at most 65536; got {config.vocab_size}."
    if not sizes or min(sizes) < 1 or any(b <= a for a, b in pairwise(sizes)):
        return f"`train_sizes` must be increasing counts of at least 1; got {list(sizes)}."
    if not levels or any(b <= a for a, b in pairwise(levels)):
        return f"`levels` must be increasing noise levels; got {list(levels)}."
    if not (0 < levels[0] and levels[-1] <= 1):
        return (
            f"`levels` are noise levels t and must lie in (0, 1]; got {list(levels)}. "
            "A step index must be divided by the number of steps."
        )
    if config.model == "dit" and config.width % (2 * config.n_heads):
        return (
            f"`width` must be a multiple of 2 `n_heads` = {2 * config.n_heads} for model dit; "
            f"got {config.width}."
        )
    if not 0 < config.nelbo_start < 1:
        return f"`nelbo_start` must lie in (0, 1); got {config.nelbo_start}."
    for name in ("threshold", "tolerance"):
        if not 0 < getattr(config, name) < 1:
            return f"`{name}` must lie in (0, 1); got {getattr(config, name)}."
    return None


def problem_of(config: Config, seed: int, text: TextFile | None) -> Problem:
    """The data of one seed of a configuration; raises CorpusError where a text cannot serve."""
    return make_problem(
        config.source,
        config.vocab_size,
        config.seq_len,
        max(config.train_sizes),
        config.queries,
        config.root_seed,
        seed,
        text,
    )


def networks_of(settings: Any, queries: int) -> Config:
    """The configuration whose data, networks and training are those of other settings, which have
    fields of the same names; with `queries` sequences held out."""
    names: tuple[str, ...] = (
        "source",
        "vocab_size",
        "seq_len",
        "train_sizes",
        "seeds",
        "root_seed",
    )
    names += ("model", "width", "n_blocks", "n_heads", "replicates", "training")
    return Config(**{name: getattr(settings, name) for name in names}, queries=queries)


def preset(name: str, source: SourceName = "markov", model: ModelName = "mlp") -> Config:
    """The configuration of a preset: smoke (seconds), small (minutes) or paper (a day).

    With the transformer a model costs several times as much, so `small` has fewer K.
    """
    config = _mlp_preset(name, source)
    if model == "mlp":
        return config
    sizes: dict[str, dict[str, Any]] = {
        "smoke": {"width": 32, "n_blocks": 1},
        "small": {"width": 64, "n_blocks": 2, "train_sizes": (16, 64, 256, 1024, 4096, 16384)},
        "paper": {"width": 256, "n_blocks": 8, "n_heads": 8},
    }
    size = sizes[name]
    if name == "small":
        size["training"] = TrainConfig(steps=6000, learning_rate=3e-3)
    return dataclasses.replace(config, model=model, **size)


def _mlp_preset(name: str, source: SourceName) -> Config:
    text = {"vocab_size": 32} if source == "text" else {}
    if name == "small":
        return Config(source=source, **text)  # type: ignore[arg-type]
    if name == "smoke":
        return Config(
            source=source,
            vocab_size=16 if source == "text" else 8,
            seq_len=8,
            train_sizes=(8, 128, 2048),
            seeds=1,
            levels=(0.1, 0.25, 0.5),
            queries=256,
            n_steps=8,
            generation_steps=16,
            nelbo_queries=128,
            nelbo_draws=8,
            width=64,
            pattern_sets=200,
            training=TrainConfig(steps=500, batch=64, warmup=50, weight_decay=WEIGHT_DECAY),
        )
    if name == "paper":
        return Config(
            source=source,
            vocab_size=64 if source == "text" else 32,
            seq_len=32,
            train_sizes=tuple(2**k for k in range(4, 14 if source == "text" else 18)),
            seeds=5,
            queries=4096,
            n_steps=128,
            generation_steps=256,
            width=1024,
            n_blocks=2,
            training=TrainConfig(
                steps=40_000,
                batch=256,
                learning_rate=1e-3,
                warmup=1000,
                weight_decay=WEIGHT_DECAY,
            ),
        )
    raise ValueError(f"there is no preset {name!r}; choose smoke, small or paper.")
