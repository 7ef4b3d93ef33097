"""Networks of an installed `transformers`, as denoisers: masked language models and canvases.

In a module of yours, for `--denoiser my_module:llada` (extra `transformers`; folders as fetched)

    # example: transformers
    from models.released.transformers_adapter import canvas_model, masked_language_model

    def bert():
        return masked_language_model("bert-base-uncased", mask_id=103, seq_len=128)

    def llada():
        return masked_language_model("LLaDA-8B-Base", mask_id=126336)

    def dream():
        return masked_language_model("Dream-v0-Base-7B", mask_id=151666, shift=True)

    def gemma():
        return canvas_model("diffusiongemma-26B-A4B-it")

A network that you loaded yourself, on any device, may stand in place of the folder. What caps and
few bits leave to be read is `denoiser.readable(t)` in words. Neither function tells the network a
noise level: these networks take none.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from am_theory.channel import Absorbing, Linear, LogLinear, Uniform
from models.conversions import readable
from models.extras import optional
from models.released.adapters import AdapterError
from models.released.converted import ConvertedCall, Reading
from models.released.transformers_folder import EXTRA, open_network

SMALLEST = 1e-5  # level at which a probe reads laws
SITES = 8  # of the sequence on which a network is seen to read both sides

Array = Any


@dataclass(frozen=True, eq=False)
class LanguageModel(ConvertedCall):
    """`ConvertedCall` that knows the form of its logits: within [-cap, cap], None for no cap, and
    of which dtype, as numbers are named in `transformers`."""

    cap: float | None = None
    dtype: str = "float32"

    def readable(self, t: float) -> str:
        """What can be read of its laws at noise level t in (0, 1], in words."""
        alpha = float(self.schedule.alpha(t))
        law: Any = self.reading.law
        return readable(self.vocab_size, alpha, law=law, cap=self.cap, dtype=self.dtype)

    @property
    def limits(self) -> tuple[str, ...]:
        """What of its laws cannot be read at the smallest level of a probe, as sentences."""
        plain = self.cap is None and self.dtype == "float32" and self.reading.law == "loo"
        return () if plain else (self.readable(SMALLEST),)


def masked_language_model(
    network: Any,
    *,
    mask_id: int,
    shift: bool = False,
    seq_len: int | None = None,
    schedule: Any = None,
) -> LanguageModel:
    """The denoiser of masks that a masked language model is: BERT, ModernBERT, LLaDA, Dream.

    At masked sites its softmax without the mask's column is the leave-one-out law, whatever the
    level; visible sites have the point mass, and a law there takes a pass with the site masked.

    Parameters
    ----------
    network : folder of a class that the library has for this (`AutoModelForMaskedLM`), of LLaDA or
        of Dream, or a network: ids (batch, L) to an object with `.logits`, (batch, L, W). Classes
        that predict from left to right (Llama, Qwen) are called with an attention mask of zeros,
        and so look both ways; weights that were not trained so mean nothing then.
    mask_id : int in [0, W), the mask's id. Our values are the W - 1 other ids in their order.
    shift : whether the logits at i - 1 speak of site i: True for Dream, False for LLaDA and BERT.
    seq_len : None for any length; sequences hold the frame that training had ([CLS], [SEP]).
    schedule : kept fraction by level, `LogLinear()`; BERT has seen about 0.15 of masks, no more.

    Raises
    ------
    AdapterError, one sentence, for a folder that `open_network` refuses, a mask or a shift that the
    config contradicts, and a network whose first outputs do not change with later tokens.

    Notes
    -----
    In 16 bits LLaDA's own code rotates queries in float32, and the library's Llama in 16 bits.

    Source: Nie et al. 2025 (arXiv:2502.09992), Ye et al. 2025 (arXiv:2508.15487), Devlin et al.
    2018 (arXiv:1810.04805).
    """
    model, family = _network(network, "masked")
    name = type(model).__name__
    said = getattr(getattr(model, "config", None), "mask_token_id", None)
    if said is not None and said != mask_id:
        raise AdapterError(f"`mask_id` is {said} in the config of this {name}; got {mask_id!r}.")
    if family is not None and family.shift != shift:
        raise AdapterError(
            f"`shift` must be {family.shift} for {network}: its outputs at a position speak of the "
            f"{'next' if family.shift else 'same'} one."
        )
    torch = optional("torch", EXTRA, "a masked language model", AdapterError)
    both_ways = _both_ways(torch, model)

    def outputs(ids: Array, t: Array) -> Array:
        asked = _ids(torch, model, ids)
        with torch.inference_mode():
            return _numbers(torch, model(input_ids=asked, **both_ways(asked)))

    width = _width(outputs, name, mask_id, seq_len)
    reading = Reading("loo", Absorbing(width - 1), mask_id=mask_id, shift=shift)
    return LanguageModel(outputs, reading, schedule or LogLinear(), seq_len, *_form(model))


def canvas_model(
    network: Any,
    *,
    law: Literal["full", "loo"] = "full",
    self_conditioning: bool = False,
    schedule: Any = None,
) -> LanguageModel:
    """The denoiser of uniform noise that DiffusionGemma's decoder is, on one canvas.

    The encoder is given BOS and nothing else, so that the canvas is the whole text.

    Parameters
    ----------
    network : folder, or a `DiffusionGemmaForBlockDiffusion`.
    law : "full" where training counted every token of the canvas, as the released weights and TRL
        do: the token posterior, converted by alpha. "loo" where it counted only those that were
        redrawn, as dllm does: a redrawn token says nothing of the clean one, and what is learned
        is the leave-one-out law at once.
    self_conditioning : whether a second pass is given the logits of a first on the same canvas, as
        in half of the training, in place of none.
    schedule : kept fraction by level, `Linear()`: alpha = 1 - t.

    Returns
    -------
    A denoiser over all ids of the network, `seq_len` its canvas length; (batch, L, V) at V =
    262,144 is 268 MB a sequence. Where a text ends before, training filled up with EOS.

    Raises
    ------
    AdapterError, one sentence, for another network, a folder that `open_network` refuses, a canvas
    of another length, or a network without BOS.

    Source: transformers, models/diffusion_gemma: logits are cast to float32, then capped by
    c tanh(logit / c); trl, examples/scripts/sft_diffusion_gemma.py, for the loss.
    """
    if law not in ("full", "loo"):
        raise AdapterError(f"`law` must be 'full' or 'loo'; got {law!r}.")
    model, _ = _network(network, "canvas")
    length = getattr(getattr(model, "config", None), "canvas_length", None)
    if length is None:
        raise AdapterError(
            f"a {type(model).__name__} has no canvas; `masked_language_model` reads networks with "
            "a mask."
        )
    text = model.config.get_text_config()
    if not isinstance(text.bos_token_id, int):
        raise AdapterError(f"the prompt is BOS, and this {type(model).__name__} has none.")
    torch = optional("torch", EXTRA, "a canvas", AdapterError)

    def outputs(ids: Array, t: Array) -> Array:
        if ids.shape[1] != length:
            raise AdapterError(f"a canvas has {length} tokens; got {ids.shape[1]}.")
        canvas = _ids(torch, model, ids)
        asked = {
            "input_ids": canvas.new_full((len(canvas), 1), text.bos_token_id),
            "decoder_input_ids": canvas,
        }
        with torch.inference_mode():
            found = model(**asked)
            if self_conditioning:
                found = model(**asked, self_conditioning_logits=found.logits)
            return _numbers(torch, found)

    reading = Reading(law, Uniform(text.vocab_size))
    return LanguageModel(outputs, reading, schedule or Linear(), length, *_form(model))


def _network(network: Any, kind: str) -> tuple[Any, Any]:
    """The network, which no longer drops anything out, and the family of its folder."""
    if isinstance(network, str | Path):
        return open_network(network, kind)
    if not (callable(network) and hasattr(network, "parameters")):
        raise AdapterError(
            f"the network must be a folder or a torch module; got {type(network).__name__}."
        )
    return network.eval(), None


def _form(model: Any) -> tuple[float | None, str]:
    """Cap and dtype of the logits."""
    config: Any = getattr(model, "config", None)
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    cap = getattr(text, "final_logit_softcapping", None)
    dtype = str(next(model.parameters()).dtype).removeprefix("torch.")
    return (None if cap is None else float(cap)), dtype


def _both_ways(torch: Any, model: Any) -> Any:
    """For ids, what a class that predicts from left to right is to be called with besides."""
    library = optional("transformers", EXTRA, "a masked language model", AdapterError)
    names = library.models.auto.modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values()
    if type(model).__name__ not in names:
        return lambda ids: {}

    def zeros(ids: Any) -> dict[str, Any]:
        batch, length = ids.shape
        dtype = next(model.parameters()).dtype
        nothing = torch.zeros(batch, 1, length, length, dtype=dtype, device=ids.device)
        return {"attention_mask": nothing, "use_cache": False}

    return zeros


def _ids(torch: Any, model: Any, ids: Array) -> Any:
    return torch.tensor(np.asarray(ids, dtype=np.int64), device=next(model.parameters()).device)


def _numbers(torch: Any, found: Any) -> Array:
    """Logits as NumPy has them: 16 bits become 32 before anything is done to them."""
    logits = found.logits
    return (logits if logits.dtype == torch.float64 else logits.float()).cpu().numpy()


def _width(outputs: Any, name: str, mask_id: int, seq_len: int | None) -> int:
    """W, of a network that is seen to let later tokens change its outputs at the first."""
    one = np.zeros((1, min(SITES, seq_len or SITES)), dtype=np.int64)
    try:
        rows = outputs(one, np.ones(1))
        width = int(rows.shape[-1])
        later = np.arange(one.shape[1])
        other = outputs(one + later % width, np.ones(1))
    except Exception as error:  # of somebody else's code
        words = " ".join(str(error).split())
        raise AdapterError(f"calling this {name} raised {type(error).__name__}: {words}") from error
    whole = isinstance(mask_id, int | np.integer) and not isinstance(mask_id, bool)
    if not (whole and 0 <= mask_id < width):
        raise AdapterError(
            f"`mask_id` must be one of the ids of this {name}, 0 to {width - 1}; got {mask_id!r}."
        )
    if len(later) > 1 and np.array_equal(rows[0, 0], other[0, 0]):
        raise AdapterError(
            f"this {name} reads from left to right: later tokens did not change its outputs at the "
            "first position, and a masked language model must see both sides."
        )
    return width
