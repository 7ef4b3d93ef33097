"""Schedule, posterior, NELBO, channel and draws; measures. No network."""

from __future__ import annotations

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from am_theory import channel
from models.released.paper_protocol import corrupt, draw
from simulations.measure.paper_measures import (
    Comparison,
    Curvature,
    compare_sequences,
    curvature,
    curvature_means,
    macro_means,
    masks,
)
from tests.golden.records import Archive, Check, Group, error

SCHEDULE = channel.LogLinear()
NAMESPACES = {"NumPy": np, "JAX": jnp}
NELBO_RATE = {np: channel.nelbo_rate, jnp: jax.jit(channel.nelbo_rate)}
REAL = {"float32": np.float32, "float64": np.float64}


def schedule_values(g: Archive) -> Iterator[Check]:
    with jax.enable_x64(True):
        for precision, real in REAL.items():
            for xp in NAMESPACES.values():
                t = xp.asarray(g["noise_t"], real)
                alpha, short = SCHEDULE.alpha(t), precision.replace("float", "f")
                name, theirs = f"noise_alpha_{short}", g[f"noise_alpha_{short}"]
                assert alpha.dtype == theirs.dtype
                yield Check("alpha", precision, "-", name, error(alpha, theirs))
                name, theirs = f"noise_sigma_{short}", g[f"noise_sigma_{short}"]
                gap = error(-xp.log(alpha), theirs, 1 + np.abs(theirs))
                yield Check("sigma (relative to 1 + abs(sigma))", precision, "-", name, gap)
                rate = SCHEDULE.alpha_rate(t)
                gap = error(rate, np.full(t.shape, g["noise_dalpha"]))
                yield Check("alpha", precision, "-", "noise_dalpha", gap)


def posteriors(g: Archive) -> Iterator[Check]:
    """`s` NaN stands for the noise removal, alpha_s = 1."""
    with jax.enable_x64(True):
        for size in (2, 19, 1000):
            given = {k: g[f"V{size}_{k}"] for k in ("logp_theta", "xt", "x0", "post_t", "post_s")}
            laws = {"q": np.exp(given["logp_theta"]), "q_onehot_x0": np.eye(size)[given["x0"]]}
            for precision, real in REAL.items():
                for xp in NAMESPACES.values():
                    for kind, law in laws.items():
                        ours = []
                        for t, s in zip(given["post_t"], given["post_s"], strict=True):
                            alpha_s = 1.0 if np.isnan(s) else float(SCHEDULE.alpha(s))
                            x, x_t = xp.asarray(law, real), xp.asarray(given["xt"])
                            ours.append(channel.posterior(x, x_t, alpha_s, SCHEDULE.alpha(t)))
                        assert ours[0].dtype == real
                        np.testing.assert_allclose(
                            np.sum(ours, -1, dtype=np.float64),
                            1,
                            atol=1e-6 if real is np.float32 else 1e-13,
                        )
                        name = f"V{size}_post_{kind}"
                        yield Check("posterior", precision, "-", name, error(ours, g[name]))


def nelbo_rows(t: np.ndarray) -> dict[str, np.ndarray]:
    """Which times have which tolerance."""
    small, last = t <= 1e-4, t == 1
    kinds = {"t <= 1e-4": small, "t = 1": last, "other t": ~small & ~last}
    return {
        f"NELBO (relative to 1 + abs(nll)), {k}": rows for k, rows in kinds.items() if rows.any()
    }


def nelbo(g: Archive) -> Iterator[Check]:
    with jax.enable_x64(True):
        for size in (2, 19, 1000):
            logs, x_t, x_0 = (g[f"V{size}_{k}"] for k in ("logp_theta", "xt", "x0"))
            t = g[f"V{size}_nll_t"]  # (cases, batch)
            for precision, real in REAL.items():
                for xp in NAMESPACES.values():
                    ours = [
                        NELBO_RATE[xp](
                            xp.asarray(logs, real),
                            xp.asarray(x_t),
                            xp.asarray(x_0),
                            SCHEDULE.alpha(levels),
                            SCHEDULE.alpha_rate(levels),
                        )
                        for levels in t
                    ]
                    ours = np.stack([np.asarray(a) for a in ours])
                    assert ours.dtype == real
                    short = precision.replace("float", "f")
                    forms = (f"nll_{short}", *(["nll_udlm_form_f64"] if short == "f64" else []))
                    for name in (f"V{size}_{form}" for form in forms):
                        theirs = g[name]
                        for quantity, rows in nelbo_rows(t).items():
                            size_of = 1 + np.abs(theirs[rows])
                            gap = error(ours[rows], theirs[rows], size_of)
                            yield Check(quantity, precision, "-", name, gap)


def draws(g: Archive) -> Iterator[Check]:
    ours = corrupt(g["qxt_x0"], g["qxt_alpha"], g["qxt_u"], g["qxt_rand_tokens"])
    yield Check("ids, masks, names", "exact", "-", "qxt_xt", error(ours, g["qxt_xt"]))
    ours = draw(g["cat_p"], g["cat_u"][None])
    yield Check("ids, masks, names", "exact", "-", "cat_sample", error(ours, g["cat_sample"]))
    ours = draw(g["cat_p"], None)
    yield Check("ids, masks, names", "exact", "-", "cat_greedy", error(ours, g["cat_greedy"]))


def measures(g: Archive) -> Iterator[Check]:
    tokens = g["x0"], g["xt"], g["x_recon"]
    for name, mask in masks(*tokens)._asdict().items():
        gap = error(mask, g[f"mask_{name}"])
        yield Check("ids, masks, names", "exact", "-", f"mask_{name}", gap)
    comparison = compare_sequences(*tokens, g["token_entropy"])
    means = macro_means(comparison)
    for name in Comparison._fields:
        gap = error(getattr(comparison, name), g[f"seq_{name}"])
        yield Check("metrics", "float32", "-", f"seq_{name}", gap)
        gap = error(means[name], g[f"mean_{name}"])
        yield Check("metrics", "float32", "-", f"mean_{name}", gap)


def curvatures(g: Archive) -> Iterator[Check]:
    names = list(g["curv_keys"])
    gap = error(np.array(Curvature._fields), g["curv_keys"])
    yield Check("ids, masks, names", "exact", "-", "curv_keys", gap)
    for precision, real in REAL.items():
        log_p, short = g["curv_logp"].astype(real), precision.replace("float", "f")
        token, batch = curvature(log_p)._asdict(), curvature_means(log_p)
        for k, name in enumerate(names):
            norm = name in ("diag_norm", "interaction_norm")
            quantity = "curvature, norms" if norm else "curvature"
            array = f"curv_token_{short}"
            yield Check(quantity, precision, "-", array, error(token[name], g[array][..., k]))
            array = f"curv_batch_{short}"
            yield Check(quantity, precision, "-", array, error(batch[name], g[array][k]))
    # Log-probabilities (0, -inf, ...): 0 times -inf makes their entropy NaN; it is 0.
    theirs = g["curv_neginf_onehot"]
    ours = np.array(curvature(np.array([0.0] + 18 * [-np.inf])))
    assert np.isnan(theirs[0]) and ours[0] == 0 and names[0] == "entropy"
    gap = error(ours[1:], theirs[1:])
    yield Check("curvature", "float64", "-", "curv_neginf_onehot", gap)


NETWORKLESS = (
    Group("schedule", "diffusion", r"noise_(alpha|sigma)_f(32|64)|noise_dalpha", "noise_t",
          schedule_values),
    Group("posterior", "diffusion", r"V\d+_post_q(_onehot_x0)?",
          r"V\d+_(logp_theta|xt|x0|post_t|post_s)", posteriors),
    Group("nelbo", "diffusion", r"V\d+_nll_(f64|f32|udlm_form_f64)",
          r"V\d+_(logp_theta|xt|x0|nll_t)", nelbo),
    Group("draws", "diffusion", "qxt_xt|cat_sample|cat_greedy",
          "qxt_(u|rand_tokens|x0|alpha)|cat_[pu]", draws),
    Group("measures", "metrics", "mask_.*|seq_.*|mean_.*", "x0|xt|x_recon|token_entropy", measures),
    Group("curvature", "metrics", "curv_(keys|batch_f..|token_f..|neginf_onehot)", "curv_logp",
          curvatures),
)  # fmt: skip
