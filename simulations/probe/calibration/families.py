"""The families of networks that the verdict is calibrated on: each varies one thing.

The base is an MLP of width 64 or 128, of V = 8 and L = 16, trained for 1,500 steps with the loss
`loo`, read with the moving average of its weights and beside text of its own source. A verdict is
worth what it says of a family that it was not fitted to.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from models.training.config import LossName
from simulations.trained import WEIGHT_DECAY

NetworkName = Literal["mlp", "plain", "transformer", "pseudo-likelihood", "linear"]
NoiseName = Literal["uniform", "absorbing", "hybrid"]
TextName = Literal["right", "other", "half"]

RIGHT: TextName = "right"
FOREIGN = 40  # sequences of another source, for partial memorization


@dataclass(frozen=True)
class SourceShape:
    """A source: its kind, by which it is left out of a fit, V and L; see `sources.make_source`."""

    kind: str
    vocab_size: int
    seq_len: int


PIECES, OF_PIECES = "pieces", "a text in byte pairs"  # which needs the package tokenizers
SOURCES = {
    "markov": SourceShape("markov", 8, 16),
    "hmm": SourceShape("hmm", 8, 16),
    "iid": SourceShape("iid", 8, 16),
    "hierarchy": SourceShape("hierarchy", 8, 16),
    "orderly": SourceShape("orderly", 8, 16),
    "wide": SourceShape("markov", 16, 12),
    "markov-v4": SourceShape("markov", 4, 16),
    "hmm-v32": SourceShape("hmm", 32, 16),
    "markov-v64": SourceShape("markov", 64, 8),
    "iid-v256": SourceShape("iid", 256, 8),
    "iid-l8": SourceShape("iid", 8, 8),
    "markov-l32": SourceShape("markov", 8, 32),
    "hmm-l64": SourceShape("hmm", 4, 64),
    "characters": SourceShape("text", 32, 16),
    "words": SourceShape("text", 256, 8),
    PIECES: SourceShape("text", 256, 16),
}
SYNTHETIC = ("markov", "hmm", "iid", "hierarchy", "orderly", "wide")  # a family each


@dataclass(frozen=True)
class Family:
    """Networks that differ in sources, K and width, and from the base in what is stated.

    about : in words. sources : names in SOURCES. train_sizes : K, distinct sequences. seeds : of
    each source and K. widths : in turn. raw : the weights of the last step. temperature : what the
    logits are divided by afterwards. copies : how often a tenth of the sequences stand. foreign :
    share of the training mass that FOREIGN sequences of another source have. heldout : what the
    held-out text is: of the source, of another one, or by halves of both.
    """

    about: str
    sources: tuple[str, ...] = ("markov", "hmm")
    train_sizes: tuple[int, ...] = (32, 256, 1024, 4096, 16384)
    seeds: int = 1
    widths: tuple[int, ...] = (64, 128)
    network: NetworkName = "mlp"
    loss: LossName = "loo"
    steps: int = 1500
    learning_rate: float = 5e-3
    weight_decay: float = WEIGHT_DECAY
    raw: bool = False
    temperature: float = 1.0
    noise: NoiseName = "uniform"
    copies: int = 1
    foreign: float = 0.0
    heldout: tuple[TextName, ...] = (RIGHT,)

    @property
    def is_source(self) -> bool:
        """Whether what is varied is the source, so that its kind is left out with the family."""
        return len({SOURCES[name].kind for name in self.sources}) == 1

    @property
    def recipe(self) -> dict[str, Any]:
        """What its networks depend on besides their coordinates."""
        told = ("about", "sources", "train_sizes", "seeds", "widths", "heldout")
        return {name: value for name, value in asdict(self).items() if name not in told}

    @property
    def needs_text(self) -> bool:
        """Whether its sequences are of a text that must be given."""
        return any(SOURCES[name].kind == "text" for name in self.sources)


SIZES = (16, 128, 512, 1024, 4096, 16384)
FAMILIES = {
    **{
        name: Family(f"the source {name}", (name,), SIZES, seeds=2, widths=(64, 128))
        for name in SYNTHETIC
    },
    "text": Family(
        "English, 32 characters, 256 words or 256 byte pairs",
        ("characters", "words", "pieces"),
        (16, 64, 256, 1024, 4096, 16384),
        network="plain",
        widths=(128,),
    ),
    "no pair field": Family(
        "MLP without a pairwise field", ("markov", "hierarchy"), network="plain", widths=(128, 192)
    ),
    "transformer": Family(
        "diffusion transformer of one block",
        ("markov", "hmm"),
        (8, 16, 32, 64, 1024),
        network="transformer",
        widths=(32,),
        steps=1000,
        learning_rate=3e-3,
    ),
    "pseudo-likelihood": Family(
        "rows fitted to clean sequences, which know no noise",
        ("hmm", "iid"),
        (16, 256, 1024, 2048, 4096),
        network="pseudo-likelihood",
    ),
    "linear": Family(
        "regression on noisy sequences, solved exactly",
        ("markov", "hierarchy"),
        (16, 64, 128, 512, 4096),
        network="linear",
    ),
    "loss nelbo": Family("trained on the NELBO", ("markov", "iid"), loss="nelbo"),
    "loss full": Family(
        "trained on the token posterior, converted", ("markov", "hmm"), loss="full"
    ),
    "raw weights": Family("without a moving average", ("hmm", "hierarchy"), raw=True),
    "100 steps": Family(
        "of little training", ("markov", "iid"), (8, 32, 128, 256, 8192), steps=100
    ),
    "300 steps": Family(
        "of less training", ("hmm", "hierarchy"), (16, 64, 256, 512, 8192), steps=300
    ),
    "temperature 0.6": Family("logits over 0.6", ("markov", "iid"), temperature=0.6),
    "temperature 2": Family("logits over 2", ("markov", "hmm"), temperature=2.0),
    "no weight decay": Family("weight decay 0", ("iid", "hierarchy"), weight_decay=0.0),
    "weight decay 0.3": Family("weight decay 0.3", ("markov", "hmm"), weight_decay=0.3),
    "duplicates": Family(
        "a tenth of the sequences stand 20 times",
        ("markov", "iid"),
        (80, 320, 1280, 5120, 16000),
        copies=20,
    ),
    "foreign sequences": Family(
        "40 sequences of another source, 30 % of the training mass",
        ("markov", "hmm", "iid"),
        (128, 512, 2048, 8192),
        foreign=0.3,
    ),
    "absorbing noise": Family("tokens are masked", ("markov", "hmm"), noise="absorbing"),
    "hybrid noise": Family("tokens are redrawn or masked", ("hmm", "iid"), noise="hybrid"),
    "vocabularies": Family(
        "V of 4, 32, 64, 256",
        ("markov-v4", "hmm-v32", "markov-v64", "iid-v256"),
        (32, 256, 4096),
        network="plain",
        widths=(128,),
    ),
    "lengths": Family(
        "L of 8, 32, 64", ("iid-l8", "markov-l32", "hmm-l64"), (32, 256, 1024, 8192), widths=(64,)
    ),
    "wrong text": Family(
        "held-out text of another source, whole or half",
        ("markov", "hmm"),
        (32, 256, 1024, 8192),
        heldout=("other", "half"),
    ),
}
