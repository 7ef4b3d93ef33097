"""What a network is: one tiny file a family and a lie, with the record or the sentence expected."""

import json

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file

from am_theory.channel import Absorbing, Cosine, Hybrid, LogLinear, Uniform, full_from_loo
from models.conversions import gidd_tilt, loo_from_log_ratios, loo_from_weighted
from models.denoiser import check_denoiser
from models.errors import CheckpointError, DenoiserContractError
from models.networks.dit import DiT, Shape
from models.released.authors_layout import to_named
from models.released.converted import Converted
from models.released.record import Record, Said
from models.released.released import open_released
from models.released.stated import Stated
from tests import torch_files as tf

ROWS, LENGTH = 9, 6
SIZE = Shape(width=16, n_blocks=2, n_heads=2, cond_dim=8)
MODEL = {"length": LENGTH, "n_heads": 2, "hidden_size": 16, "n_blocks": 2, "cond_dim": 8}


def network(rows: int = ROWS, seed: int = 0) -> DiT:
    """A transformer with laws far from uniform."""
    rng = np.random.default_rng(seed)
    model = DiT(jax.random.key(0), rows, SIZE, seq_len=LENGTH)
    return jax.tree.map(lambda a: jnp.asarray(0.3 * rng.normal(size=a.shape), a.dtype), model)


def folder(path, config, rows=ROWS, **tensors):
    """A folder of the hub."""
    path.mkdir(exist_ok=True)
    named = to_named(network(rows), tensors.pop("prefix", ""), buffers=True)
    save_file(named | tensors, path / "model.safetensors")
    (path / "config.json").write_text(json.dumps(config))
    return path


def lightning(path, config, rows=ROWS, prefix="backbone."):
    state = to_named(network(rows), prefix, buffers=True)
    tree = {"state_dict": state, "hyper_parameters": {"config": config}, "epoch": 1}
    return tf.write(path / "m.ckpt", tree)


def algo(name, **more):
    return {"model": MODEL, "algo": {"name": name, "backbone": "dit", **more}}


def sedd(kind, tokens, **more):
    model = MODEL | {"scale_by_sigma": kind == "absorb"}
    noise = {"type": "geometric", "sigma_min": 1e-4, "sigma_max": 20}
    return {"graph": {"type": kind}, "tokens": tokens, "noise": noise, "model": model} | more


GIDD = {
    "model_type": "dit", "vocab_size": ROWS, "max_seq_len": LENGTH, "hidden_size": 16,
    "timestep_cond_dim": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "p_uniform": 0.1,
}  # fmt: skip
TIMED = {"time_conditioning": True}
BASE = algo("duo_base", time_conditioning=True)

# file, what is stated, then the record: noise, law, time, schedule, mask, V
READ = {
    "Duo, base": (lightning, BASE, {}, "uniform loo sigma - - 9"),
    "Duo, curriculum": (
        lightning, algo("duo", time_conditioning=True, loss_type="low_var"), {},
        "uniform loo sigma - - 9",
    ),
    "Duo, cosine": (
        lightning, BASE | {"noise": {"type": "cosine", "eps": 1e-3}}, {},
        "uniform loo sigma cosine - 9",
    ),
    "Duo's MDLM": (
        lightning, algo("mdlm", time_conditioning=False), {"mask_id": 8},
        "absorbing loo nothing - 8 8",
    ),
    "Duo's D3PM": (
        lightning, algo("d3pm", time_conditioning=True), {"mask_id": 8}, "absorbing loo sigma - 8 8"
    ),
    "Duo's SEDD": (
        lightning, algo("sedd", time_conditioning=True), {"mask_id": 3},
        "absorbing score sigma - 3 8",
    ),
    "UDLM's repository": (
        lightning, {"model": MODEL, "diffusion": "uniform", "parameterization": "d3pm"} | TIMED, {},
        "uniform loo sigma - - 9",
    ),
    "UDLM's repository, masks": (
        lightning,
        {"model": MODEL, "diffusion": "absorbing_state", "parameterization": "subs",
         "time_conditioning": False},
        {"mask_id": 8}, "absorbing loo nothing - 8 8",
    ),
    "rev_udm, loo": (
        lightning, algo("udlm", model_prediction="mean_loo", loss_fn="elbo") | TIMED,
        {"vocab_size": 8}, "uniform loo sigma log-linear - 8",
    ),
    "rev_udm, full": (
        lightning, algo("udlm", model_prediction="mean", loss_fn="cross_entropy") | TIMED,
        {"vocab_size": 8}, "uniform full sigma log-linear - 8",
    ),
    "UDLM export": (
        folder,
        {"model_type": "udlm", "hidden_dim": 16, "n_heads": 2, "model_length": LENGTH} | TIMED, {},
        "uniform loo sigma - - 9",
    ),
    "Duo export": (
        folder, {"model_type": "DUO", "hidden_dim": 16, "n_heads": 2, "model_length": LENGTH},
        {"law": "loo"}, "uniform loo sigma - - 9",
    ),
    "MDLM export": (
        folder, {"model_type": "mdlm", "hidden_dim": 16, "n_heads": 2, "vocab_size": ROWS},
        {"mask_id": 8}, "absorbing loo nothing - 8 8",
    ),
    "SEDD, masks": (folder, sedd("absorb", 8), {}, "absorbing score sigma geometric 8 8"),
    "SEDD, uniform": (folder, sedd("uniform", 9), {}, "uniform score sigma geometric - 9"),
    "GIDD, dynamic": (folder, GIDD, {"law": "dynamic"}, "hybrid dynamic t own 8 8"),
    "GIDD, bound": (folder, GIDD, {"law": "loo"}, "hybrid loo t own 8 8"),
    "GIDD, masks": (folder, GIDD | {"p_uniform": 0.0}, {}, "absorbing loo t own 8 8"),
    "nothing said": (
        folder, {"n_heads": 2}, {"channel": "uniform", "law": "full", "time": "sigma"},
        "uniform full sigma - - 9",
    ),
}  # fmt: skip


def opened(what, tmp_path, **more):
    make, config, stated, expected = READ[what]
    path = tmp_path / "m" if make is folder else tmp_path
    return open_released(make(path, config), stated=Stated(**stated, **more)), expected.split()


@pytest.mark.parametrize("what", READ)
def test_families_are_told_by_their_settings(what, tmp_path):
    found, (noise, law, time, schedule, mask, size) = opened(what, tmp_path)
    record = found.record
    assert (record.channel.value, record.law.value, record.time.value) == (noise, law, time)
    assert record.mask_id.value == (None if mask == "-" else int(mask))
    assert record.vocab_size.value == found.model.vocab_size == int(size)
    assert (schedule == "-") == (record.schedule.value is None)
    assert schedule == "-" or schedule in record.schedule.value
    assert all(said.where for _, said in record.answers()) and noise in str(record)
    assert found.model.seq_len in (LENGTH, None)


@pytest.mark.parametrize("what", ["Duo's D3PM", "SEDD, uniform", "GIDD, dynamic", "rev_udm, loo"])
def test_what_is_opened_keeps_the_protocol(what, tmp_path):
    check_denoiser(opened(what, tmp_path)[0].model)


@pytest.mark.parametrize("what", ["rev_udm, full", "nothing said"])
def test_a_claim_of_full_that_the_network_does_not_keep_is_refused(what, tmp_path):
    """Random weights do not follow a site's own token, so that there is nothing to take out."""
    with pytest.raises(
        DenoiserContractError, match="the law is converted twice, was the leave-one"
    ):
        check_denoiser(opened(what, tmp_path)[0].model)


# The sentence that a network which would be misread gets.
REFUSED = {
    "nothing is said": (folder, {"n_heads": 2}, {}, r"give --channel .* and --law .* and --time"),
    "a law is left open": (
        folder, {"model_type": "duo", "n_heads": 2}, {}, r"\(Duo export\) does not say.*give --law"
    ),
    "a mask is left open": (
        lightning, algo("mdlm", time_conditioning=False), {}, "give --mask-id ID"
    ),
    "the user says another noise": (
        lightning, BASE, {"channel": "absorbing"},
        r"says channel = uniform \(m\.ckpt: algo\.name\); `channel` is absorbing",
    ),
    "the user says another law": (lightning, BASE, {"law": "full"}, "says law = loo"),
    "distilled": (
        lightning, algo("distillation", loss_type="kl-bwd"), {}, "`algo.name` is distillation; a di"
    ),
    "distilled, by its loss": (
        lightning, algo("duo", loss_type="kl-bwd"), {}, "`algo.loss_type` is kl-bwd; a distilled"
    ),
    "autoregressive": (
        lightning, algo("ar", parameterization="ar"), {}, "it is autoregressive"
    ),
    "causal": (folder, {"model_type": "duo", "causal": True}, {}, "from left to right"),
    "another trunk": (lightning, {"algo": {"backbone": "unet"}}, {}, "only the diffusion"),
    "rev_udm, noise told apart": (
        lightning, algo("audm", model_prediction="mean_loo"), {}, "which tokens are noise"
    ),
    "rev_udm, another output": (
        lightning, algo("udlm", model_prediction="score"), {}, "known are mean_loo"
    ),
    "another clock": (
        lightning, {"model": MODEL, "diffusion": "uniform", "change_of_variables": True}, {},
        "told another clock than sigma",
    ),
    "another noise": (
        lightning, {"model": MODEL, "diffusion": "gaussian"}, {}, "known are uniform and absorbing"
    ),
    "SEDD of another graph": (folder, sedd("roulette", 8), {}, "`graph.type` is roulette; known"),
    "SEDD with other rows": (folder, sedd("absorb", 9), {}, "`tokens` is 9 under the graph absorb"),
    "SEDD, uniform and scaled": (
        folder, sedd("uniform", 9, model=MODEL | {"scale_by_sigma": True}), {}, "under masks alone"
    ),
    "GIDD without its weighting": (folder, GIDD, {}, r"\(GIDD\) does not say.*give --law"),
    "LLaDA": (folder, {"model_type": "llada"}, {}, "open it through transformers"),
    "a mask that is not there": (
        lightning, algo("mdlm", time_conditioning=False), {"mask_id": 9}, "has 9 ids, and its mask"
    ),
    "a vocabulary that is too large": (
        lightning, BASE, {"vocab_size": 10}, "its noise is said to draw 10"
    ),
    "more tokens than rows": (
        folder, {"model_type": "udlm", "vocab_size": 10, "n_heads": 2}, {}, "another `vocab_size`"
    ),
    "an unknown clock with scores": (
        folder, {"n_heads": 2}, {"channel": "uniform", "law": "loo", "time": "t"}, "GIDD's noise"
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_would_be_misread_is_refused(what, tmp_path):
    make, config, stated, message = REFUSED[what]
    path = make(tmp_path / "m" if make is folder else tmp_path, config)
    with pytest.raises(CheckpointError, match=message) as caught:
        open_released(path, stated=Stated(**stated))
    assert str(caught.value).count(str(path)) == 1


def test_a_distilled_network_of_the_hub_is_known_by_its_name(tmp_path):
    path = folder(tmp_path / "duo-distilled", {"model_type": "duo", "n_heads": 2})
    with pytest.raises(CheckpointError, match="has no leave-one-out law"):
        open_released(path, stated=Stated(law="loo"))


def test_statements_are_checked():
    for wrong, message in (
        ({"channel": "gaussian"}, "`channel` must be one of uniform, absorbing, hybrid"),
        ({"law": "mean"}, "`law` must be one of loo, full, score, dynamic"),
        ({"mask_id": -1}, "`mask_id` must be a whole number"),
        ({"vocab_size": 2.5}, "`vocab_size` must be a whole number"),
        ({"p_uniform": 1.0}, r"`p_uniform` must lie in \(0, 1\)"),
    ):
        with pytest.raises(ValueError, match=message):
            Stated(**wrong)


X = np.random.default_rng(3).integers(8, size=(3, LENGTH))
MASKED = np.where(np.random.default_rng(4).random(X.shape) < 0.5, 8, X)


def logits(net: DiT, x, level, sigma=None):
    """Outputs over all rows, by the parts of the network alone."""
    hidden, condition = net.trunk_at_sigma(
        jnp.asarray(x),
        jnp.full(len(x), -np.log(LogLinear().alpha(level)) if sigma is None else sigma),
    )
    return np.asarray(net.head(hidden, condition[:, None]), np.float64)


def soft(rows):
    return rows - np.log(np.exp(rows).sum(-1, keepdims=True))


def test_laws_are_those_of_each_family(tmp_path):
    """Every family against its definition, from the logits over all rows."""
    net, t = network(), 0.4
    alpha = float(LogLinear().alpha(t))
    cases = {
        "Duo, base": (X, soft(logits(net, X, t))),
        "Duo's D3PM": (MASKED, soft(logits(net, MASKED, t)[..., :8])),
        "Duo's MDLM": (MASKED, soft(logits(net, MASKED, t, sigma=0.0)[..., :8])),
        "rev_udm, loo": (X, soft(logits(net, X, t)[..., :8])),
        "SEDD, masks": (MASKED, soft(logits(net, MASKED, t)[..., :8])),
        "SEDD, uniform": (
            X, loo_from_log_ratios(logits(net, X, t), X, alpha, Uniform(9)),
        ),
        "GIDD, bound": (
            MASKED,
            soft(logits(net, MASKED, t, sigma=Hybrid(8, 0.1).time_at(alpha))[..., :8]),
        ),
        "GIDD, masks": (MASKED, soft(logits(net, MASKED, t, sigma=1 - alpha)[..., :8])),
    }  # fmt: skip
    for what, (x, expected) in cases.items():
        found = opened(what, tmp_path)[0]
        ours = np.asarray(found.model.log_loo(x, t), np.float64)
        read = np.broadcast_to(x[..., None] == 8, ours.shape)
        if not isinstance(found.model.channel, Absorbing):
            read = np.ones_like(read)
        np.testing.assert_allclose(
            np.exp(ours)[read], np.exp(expected)[read], atol=2e-6, err_msg=what
        )
        np.testing.assert_allclose(np.exp(ours).sum(-1), 1, atol=1e-5)


def test_full_and_tilted_laws_become_loo(tmp_path):
    net, t = network(), 0.4
    alpha = LogLinear().alpha(t)
    found = opened("rev_udm, full", tmp_path)[0].model
    back = full_from_loo(np.asarray(found.log_loo(X, t), np.float64), X, alpha)
    np.testing.assert_allclose(np.exp(back), np.exp(soft(logits(net, X, t)[..., :8])), atol=2e-6)
    found = opened("GIDD, dynamic", tmp_path)[0].model
    clock = Hybrid(8, 0.1).time_at(alpha)
    outputs = logits(net, MASKED, t, sigma=clock)[..., :8]
    expected = loo_from_weighted(outputs, MASKED, gidd_tilt(clock, Hybrid(8, 0.1)))
    compiled = eqx.filter_jit(lambda m, x: m.log_loo(x, t))(found, jnp.asarray(MASKED))
    np.testing.assert_allclose(np.exp(compiled), np.exp(expected), atol=2e-6)
    assert isinstance(found, Converted)


def test_a_mask_among_the_tokens(tmp_path):
    """Values are the other ids in their order, and the mask is V, whatever its place."""
    found = opened("Duo's SEDD", tmp_path)[0].model
    ids = np.array([i for i in range(ROWS) if i != 3])
    theirs = np.where(MASKED == 8, 3, ids[np.minimum(MASKED, 7)])
    expected = soft(logits(network(), theirs, 0.4)[..., ids])
    ours = np.asarray(found.log_loo(MASKED, 0.4))
    np.testing.assert_allclose(np.exp(ours)[MASKED == 8], np.exp(expected)[MASKED == 8], atol=2e-6)
    assert found.channel == Absorbing(8)


def test_the_schedule_of_the_file_names_its_levels(tmp_path):
    assert opened("Duo, cosine", tmp_path)[0].model.schedule == Cosine()
    assert opened("SEDD, uniform", tmp_path)[0].model.schedule == LogLinear()
    assert str(Record("x", channel=Said("uniform", "given"))).startswith("x: uniform noise (given)")
