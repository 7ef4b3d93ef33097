"""Which code a diffusion transformer belongs to, and what that code says of its numbers.

One layout of tensors serves uniform-state, masked and score networks. What tells them apart are
the settings saved beside them; each family below names its own, reads them, and refuses what its
code does and ours does not. Facts of the families: Duo (arXiv:2506.10892), UDLM (2412.10193), MDLM
(2406.07524), SEDD (2310.16834), GIDD (2503.04482), and the code of 2605.22765 (`rev_udm`), each
read in its public repository.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple, NoReturn

from models.errors import CheckpointError
from models.released.files.settings import Settings
from models.released.record import UNSAID, Record, Said

UNKNOWN = "a diffusion transformer whose settings name no method"
GPT2, BERT = 50_257, 30_522  # tokens of the two tokenizers that nearly all of them use
BERT_MASK = 103
ELBO = "evidence bound"
DUO = {  # of the repository of Duo: noise and law, by `algo.name`
    "duo": ("uniform", "loo", "Duo's curriculum, then the evidence bound"),
    "duo_base": ("uniform", "loo", ELBO),
    "mdlm": ("absorbing", "loo", ELBO),
    "d3pm": ("absorbing", "loo", "evidence bound in steps"),
    "sedd": ("absorbing", "score", "score entropy"),
}
REVERSE = ("udlm", "max_coupling", "mdlm", "remdlm")  # `algo.name` in the code of 2605.22765
# Networks that are no diffusion transformer of this layout, and the way to them.
ADAPTERS = {
    **dict.fromkeys(
        ("llada", "dream", "bert", "modernbert", "roberta", "diffusion_gemma", "llada2_moe"),
        "open it through transformers: models.released.transformers_adapter",
    ),
    "bd3lm": "its law is that of a block given the ones before: give it by --denoiser",
}


class Family(NamedTuple):
    """What it is called, whether settings are its, and its record of them."""

    name: str
    owns: Callable[[Settings], bool]
    tell: Callable[[Any, Settings, int], Record]


def recognize(file: Any, found: Settings, rows: int) -> Record:
    """What the settings say of a network with this many rows in its embedding.

    Raises CheckpointError, one sentence, for a network of another kind: autoregressive, causal,
    distilled, of another trunk, or one whose settings contradict each other.
    """
    for name in ("causal_attention", "causal"):
        if found.network(name) is True:
            _other(file, found, name, "it reads its tokens from left to right")
    trunk = found.text("algo.backbone", "backbone")
    if trunk not in (None, "dit", "hf_dit"):
        _other(file, found, "algo.backbone", "only the diffusion transformer, dit, is read")
    if found.text("parameterization", "algo.parameterization") == "ar":
        _other(file, found, "algo.parameterization", "it is autoregressive, no diffusion model")
    kind = found.text("model_type")
    if kind in ADAPTERS:
        raise CheckpointError(f"{file} is of another network, {kind}: {ADAPTERS[kind]}.")
    for family in FAMILIES:
        if family.owns(found):
            record = family.tell(file, found, rows)
            return replace(_general(found, record), family=family.name)
    return _general(found, Record(UNKNOWN))


def _general(found: Settings, record: Record) -> Record:
    """What all families write alike, where the record does not have it: clock and schedule."""
    time, schedule = record.time, record.schedule
    if time.value is None and found.network("time_conditioning") is not None:
        told = "sigma" if found.network("time_conditioning") is True else "nothing"
        time = _said(found, told, "algo.time_conditioning", "time_conditioning")
    kind = found.text("noise.type")
    if schedule.value is None and kind is not None:
        names = {"log-linear": "log-linear", "loglinear": "log-linear"}
        schedule = _said(found, names.get(kind, f"{kind}, none of ours"), "noise.type")
    return replace(record, time=time, schedule=schedule)


def _duo(file: Any, found: Settings, rows: int) -> Record:
    name = str(found.text("algo.name"))
    loss = found.text("algo.loss_type") or ""
    if name == "distillation" or loss.startswith("kl"):
        at = "algo.name" if name == "distillation" else "algo.loss_type"
        _other(
            file,
            found,
            at,
            "a distilled network maps to the end of few large steps and has no leave-one-out law, "
            "so that entropies and recoveries would mean nothing: take the network before "
            "distillation",
        )
    noise, law, training = DUO[name]
    record = Record(
        "",
        channel=_said(found, noise, "algo.name"),
        law=_said(found, law, "algo.name"),
        training=Said(training, found.named("algo.name")),
    )
    if found.text("noise.type") == "cosine":
        record = replace(record, schedule=_said(found, "cosine", "noise.type"))
    return _with_ids(found, record, rows)


def _reverse(file: Any, found: Settings, rows: int) -> Record:
    name = str(found.text("algo.name"))
    if name not in REVERSE:
        _other(file, found, "algo.name", "its network also reads which tokens are noise")
    laws = {"mean_loo": "loo", "mean": "full"}
    predicted = found.text("algo.model_prediction")
    masked = name.endswith("mdlm")
    law = laws.get(str(predicted))
    if law is None and not masked:
        _other(file, found, "algo.model_prediction", "known are mean_loo (loo) and mean (full)")
    at = "algo.name" if masked else "algo.model_prediction"
    record = Record(
        "",
        channel=_said(found, "absorbing" if masked else "uniform", "algo.name"),
        law=_said(found, "loo" if masked else law, at),
        training=_said(found, found.get("algo.loss_fn"), "algo.loss_fn"),
        schedule=Said("log-linear", "the family's only one"),
    )
    if not masked and _tokenizer(found) == "gpt2":  # one row more than its noise draws
        size = Said(GPT2, f"{found.named('data.tokenizer_name_or_path')}: gpt2")
        record = replace(record, vocab_size=size)
    return _with_ids(found, record, rows)


def _udlm_export(file: Any, found: Settings, rows: int) -> Record:
    said = found.named("model_type")
    return Record(
        "",
        channel=Said("uniform", said),
        law=Said("loo", said),
        time=UNSAID if found.network("time_conditioning") is not None else Said("sigma", said),
        training=Said(ELBO, said),
    )


def _duo_export(file: Any, found: Settings, rows: int) -> Record:
    if "distill" in str(file).lower():
        raise CheckpointError(
            f"{file} names a distilled network, which has no leave-one-out law: its outputs map to "
            "the end of few large steps. Take the network before distillation."
        )
    said = found.named("model_type")
    return Record("", channel=Said("uniform", said), time=Said("sigma", said))


def _masked_export(file: Any, found: Settings, rows: int) -> Record:
    said = found.named("model_type")
    record = Record(
        "", channel=Said("absorbing", said), law=Said("loo", said), training=Said(ELBO, said)
    )
    if found.network("time_conditioning") is None:
        record = replace(record, time=Said("nothing", "the family's default"))
    return _with_ids(found, record, rows)


def _by_diffusion(file: Any, found: Settings, rows: int) -> Record:
    noises = {"uniform": "uniform", "absorbing_state": "absorbing"}
    noise = noises.get(str(found.text("diffusion")))
    if noise is None:
        _other(file, found, "diffusion", f"known are {' and '.join(noises)}")
    if found.get("change_of_variables") is True:
        _other(file, found, "change_of_variables", "it is told another clock than sigma")
    law = _law(file, found)
    record = Record(
        "",
        channel=_said(found, noise, "diffusion"),
        law=law,
        training=_said(found, found.get("parameterization"), "parameterization"),
    )
    return _with_ids(found, record, rows)


def _sedd(file: Any, found: Settings, rows: int) -> Record:
    noises = {"uniform": "uniform", "absorb": "absorbing"}
    noise = noises.get(str(found.text("graph.type")))
    if noise is None:
        _other(file, found, "graph.type", f"known are {' and '.join(noises)}")
    if noise == "uniform" and found.get("model.scale_by_sigma") is True:
        _other(file, found, "model.scale_by_sigma", "SEDD's code has that under masks alone")
    tokens = found.whole("tokens")
    if tokens is not None and tokens + (noise == "absorbing") != rows:
        raise CheckpointError(
            f"{file}: `tokens` is {tokens} under the graph {found.text('graph.type')}, and its "
            f"embedding has {rows} rows."
        )
    record = Record(
        "",
        channel=_said(found, noise, "graph.type"),
        law=Said("score", found.named("graph.type")),
        time=Said("sigma", "the family's only one"),
        training=Said("score entropy", found.named("graph.type")),
    )
    if noise == "absorbing":
        record = replace(record, mask_id=Said(rows - 1, "the family's last row"))
    return record


def _gidd(file: Any, found: Settings, rows: int) -> Record:
    share, size = found.get("p_uniform"), found.whole("vocab_size") or rows
    if type(share) not in (int, float) or not 0 <= share < 1:
        _other(file, found, "p_uniform", "it must lie in [0, 1)")
    said = found.named("p_uniform")
    noise = "hybrid" if share else "absorbing"
    weighting = found.text("loss.loss_weighting", "loss_weighting")
    laws = {"dynamic": "dynamic", "elbo": "loo", "none": "loo"}
    law = Said(laws.get(str(weighting)), found.named("loss.loss_weighting", "loss_weighting"))
    if noise == "absorbing":
        law = Said("loo", said)  # at masked sites all losses have one minimum
    return Record(
        "",
        channel=Said(noise, said),
        p_uniform=Said(float(share), said) if share else UNSAID,
        law=law if law.value else UNSAID,
        time=Said("t", "the family's only one"),
        schedule=Said("its own clock", "the family's only one"),
        training=Said(weighting, law.where) if weighting else UNSAID,
        mask_id=Said(size - 1, "the family's last token"),
        vocab_size=Said(size - 1, found.named("vocab_size")),
    )


def _law(file: Any, found: Settings) -> Said:
    laws = {"subs": "loo", "d3pm": "loo", "mean": "loo", "sedd": "score", "score": "score"}
    names = ("parameterization", "algo.parameterization")
    told = found.text(*names)
    if told is None:
        return UNSAID
    if told not in laws:
        _other(file, found, "parameterization", f"known are {', '.join(laws)}")
    return _said(found, laws[told], *names)


def _with_ids(found: Settings, record: Record, rows: int) -> Record:
    """The mask's id, where the noise has one and the tokenizer tells it."""
    if record.channel.value != "absorbing" or record.mask_id.value is not None:
        return record
    at = found.named("data.tokenizer_name_or_path", "tokenizer_name_or_path")
    stated = found.get("mask_index", "mask_token_id")
    if type(stated) is int:
        mask = _said(found, stated, "mask_index", "mask_token_id")
    elif _tokenizer(found) == "bert-base-uncased" and rows == BERT:
        mask = Said(BERT_MASK, f"{at}: bert-base-uncased")
    elif rows == GPT2 + 1:
        mask = Said(GPT2, f"{rows} rows: GPT-2's tokens and a mask")
    else:
        mask = UNSAID
    return replace(record, mask_id=mask)


def _tokenizer(found: Settings) -> str | None:
    return found.text("data.tokenizer_name_or_path", "tokenizer_name_or_path")


def _said(found: Settings, value: Any, *names: str) -> Said:
    return Said(value, found.named(*names))


def _other(file: Any, found: Settings, name: str, why: str) -> NoReturn:
    value = found.network(name.rpartition(".")[2])
    value = found.get(name) if value is None else value
    raise CheckpointError(f"{file} cannot be read: its setting `{name}` is {value}; {why}.")


FAMILIES = (
    Family("SEDD", lambda s: s.get("graph.type") is not None, _sedd),
    Family("UDLM export", lambda s: s.text("model_type") == "udlm", _udlm_export),
    Family("Duo export", lambda s: s.text("model_type") == "duo", _duo_export),
    Family("MDLM export", lambda s: s.text("model_type") == "mdlm", _masked_export),
    Family("GIDD", lambda s: s.get("p_uniform") is not None, _gidd),
    Family(
        "rev_udm",
        lambda s: (
            s.get("algo.model_prediction") is not None or s.text("algo.name") in ("audm", "reaudm")
        ),
        _reverse,
    ),
    Family("Duo", lambda s: s.text("algo.name") in (*DUO, "distillation"), _duo),
    Family("UDLM or MDLM", lambda s: s.get("diffusion") is not None, _by_diffusion),
)
