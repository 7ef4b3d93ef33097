"""Which noise a probe gives and which law it reads: what is refused, and how it is said."""

from __future__ import annotations

from typing import Any

import xarray as xr

from am_theory.channel import Channel, Hybrid
from models.denoiser import Denoiser, channel_of
from models.sampler import MOST_KEPT
from simulations.console.errors import UserError
from simulations.measure.names import SMALL_LEVEL
from simulations.probe.config import ProbeConfig

FATES = {
    "uniform": "a token that is lost is redrawn at random",
    "absorbing": "a token that is lost is masked",
    "hybrid": "a token that is lost is redrawn at random or masked",
}
OUTPUTS = {
    "full": "the token posterior full, p(token | all noisy tokens)",
    "score": "ratios of noisy probabilities, a score",
    "dynamic": "a law that its weighted loss has tilted",
}

LEAST_OF_FULL = 0.1  # below it a law made from `full` says nothing of the token itself


class NoiseError(UserError, ValueError):
    """A noise that what is asked for does not have; the message says so in a sentence."""


def noise_iv(denoiser: Denoiser, config: ProbeConfig) -> None:
    """Raise NoiseError for the paper's protocol, or generation, under a noise that has none."""
    noise = channel_of(denoiser)
    if noise.mask_id is None:
        return
    if config.protocol == "paper":
        raise NoiseError(
            f"the paper's protocol is one of uniform noise, and this model undoes {name(noise)} "
            "noise; leave `protocol` at ours."
        )
    kept = float(denoiser.schedule.alpha(1.0))
    if kept > MOST_KEPT and (config.generate != 0 or config.draws):
        raise NoiseError(
            f"the model's schedule keeps {kept:.3g} of the tokens at t = 1, and to generate from "
            f"masks it must keep at most {MOST_KEPT:g}; give `generate` 0 and no `draws` to do "
            "without."
        )


def name(noise: Channel) -> str:
    """uniform, absorbing or hybrid."""
    return type(noise).__name__.lower()


def limits_of(denoiser: Denoiser) -> list[str]:
    """Sentences on what of its entropies cannot be read: the attribute `limits`, where it has it,
    of a network whose logits are capped or of few bits."""
    return [str(words) for words in getattr(denoiser, "limits", ())]


def attributes(denoiser: Denoiser, alone: int) -> dict[str, Any]:
    """Of the dataset: noise, and `alone`, the sites of a sequence that are masked alone as t -> 0,
    0 where that is not needed; read, two sentences for the head of a report."""
    noise = channel_of(denoiser)
    kind = name(noise)
    share = f" (p_uniform {noise.p_uniform:g})" if isinstance(noise, Hybrid) else ""
    law = "loo, p(token | the noisy tokens of all other sites), at every site"
    if alone:
        law = (
            "loo, p(token | the visible tokens), at masked sites alone, where full is the same; as "
            f"t → 0 at {alone} sites of each sequence, one masked at a time"
        )
    words = f"Noise: {kind}{share}, {FATES[kind]}. Law read: {law}."
    reading = getattr(denoiser, "reading", None) or denoiser
    given = str(getattr(reading, "law", "loo"))
    output = OUTPUTS.get(given)
    if output:
        words += f" The network puts out {output}; it was converted."
    return {"noise": kind, "alone": alone, "output": given, "read": words}


def noise_of(data: xr.Dataset) -> str:
    """The noise of a probe's dataset."""
    return str(data.attrs.get("noise", "uniform"))


def erases(data: xr.Dataset) -> bool:
    """Whether visible tokens are certain under it, so that laws were read at masked sites alone."""
    return int(data.attrs.get("alone", 0)) > 0


def least_level(data: xr.Dataset) -> float:
    """The smallest level at which its `loo` can be read: one that was made from `full` follows its
    own token at small t, by any error of the network (theory: an error e in the logit of the
    token multiplies the odds by exp(e)), and what the others say is lost."""
    if erases(data) or data.attrs.get("output", "loo") != "full":
        return SMALL_LEVEL
    return LEAST_OF_FULL


def least(data: xr.Dataset) -> str:
    """`least_level` in words."""
    level = least_level(data)
    return small(data) if level == SMALL_LEVEL else f"t = {level:g}"


def limits_in(data: xr.Dataset) -> list[str]:
    """The sentences of `limits_of`, from the dataset."""
    listed = data.attrs.get("limits", [])
    return [words for words in ([listed] if isinstance(listed, str) else listed) if words]


def small(data: xr.Dataset) -> str:
    """The smallest level in words."""
    return "t → 0" if erases(data) else "t = 1e-5"
