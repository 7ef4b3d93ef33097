"""Networks of GIDD at scale as they are published, drawn at random: tensors, config.json, shards;
and their logits by loops over layers, heads and sites in float64 NumPy, from the tensors by name.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from safetensors.numpy import save_file

SIZES = {
    "vocab_size": 11,
    "hidden_size": 8,
    "intermediate_size": 12,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
}


def config(**changed: Any) -> dict[str, Any]:
    """The config.json of a network, as its class writes it; a value of `...` leaves a field out."""
    fields = {
        **{"architectures": ["GiddForDiffusionLM"], "model_type": "gidd", "dtype": "bfloat16"},
        **SIZES,
        **{"head_dim": 4, "is_causal": False, "attn_soft_cap": 30.0, "resid_scale": 4.0},
        **{"max_position_embeddings": 64, "rms_norm_eps": 1e-6, "use_qk_norm": True},
        **{"weight_scaling": 1.0, "head_scaling": 0.75, "init_scale": 0.1, "emb_init_scale": 0.1},
        **{"bos_token_id": 0, "eos_token_id": 1, "rope_theta": 10000.0, "rope_scaling": None},
        **{"attention_bias": True, "mlp_bias": True, "tie_word_embeddings": False},
        **{"attn_performer": "eager", "noise_type": 1000.0},
        **{"min_log_snr": -9.0, "max_log_snr": 9.0, "rope_parameters": None},
        **changed,
    }
    return {name: value for name, value in fields.items() if value is not ...}


def tensors(
    fields: dict[str, Any], seed: int = 0, prefix: str = "model.", sharpness: float = 4.0
) -> dict[str, np.ndarray]:
    """Random tensors by name: matrices, biases and sinks bfloat16, norms float32. `sharpness` is
    the mean factor of queries and keys; at 4 the tanh bends the scores."""
    rng = np.random.default_rng(seed)
    rows, width, inner, depth, n_heads = (fields[name] for name in SIZES)

    def draw(*shape: int, scale: float | None = None) -> np.ndarray:
        scale = shape[-1] ** -0.5 if scale is None else scale
        return (scale * rng.normal(size=shape)).astype(ml_dtypes.bfloat16)

    def norm(mean: float) -> np.ndarray:
        return rng.normal(mean, 0.5, size=width).astype(np.float32)

    found = {f"{prefix}embed_tokens.weight": draw(rows, width, scale=1.0)}
    for k in range(depth):
        at = f"{prefix}layers.{k}."
        for name in "qkvo":
            found[f"{at}self_attn.{name}_proj.weight"] = draw(width, width)
        for name in "qk":
            found[f"{at}self_attn.{name}_norm.weight"] = norm(sharpness - 1)
        for name in "kv":
            found[f"{at}self_attn.{name}_bias"] = draw(n_heads, width // n_heads, scale=1.0)
        found[f"{at}mlp.up_proj.weight"] = draw(inner, width)
        found[f"{at}mlp.up_proj.bias"] = draw(inner)
        found[f"{at}mlp.down_proj.weight"] = draw(width, inner)
        found[f"{at}mlp.down_proj.bias"] = draw(width)
        found[f"{at}attn_layernorm.weight"] = norm(0.0)
        found[f"{at}mlp_layernorm.weight"] = norm(0.0)
    found[f"{prefix}norm.weight"] = norm(0.0)
    return found | {"lm_head.weight": draw(rows, width, scale=1.0)}


def write(folder: Path, fields: dict[str, Any], named: dict[str, np.ndarray], shards: int) -> None:
    """config.json and the tensors in numbered files, as `save_pretrained` cuts them."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(fields))
    names = list(named)
    for k in range(shards):
        part = {name: named[name] for name in names[k::shards]}
        save_file(part, folder / f"model-{k + 1:05}-of-{shards:05}.safetensors")


def reference(
    fields: dict[str, Any], named: dict[str, np.ndarray], ids: np.ndarray, cap: float = 30.0
) -> np.ndarray:
    """Logits (L, rows) of one sequence (L,), float64."""
    wide = {name.removeprefix("model."): a.astype(np.float64) for name, a in named.items()}
    n_heads, depth = fields["num_attention_heads"], fields["num_hidden_layers"]
    length, dim = len(ids), fields["hidden_size"] // n_heads
    theta = [10000.0 ** (-2 * j / dim) for j in range(dim // 2)]

    def norm(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
        return np.stack([row / math.sqrt(np.mean(row**2) + 1e-6) * (1 + weight) for row in x])

    def turn(row: np.ndarray, position: int) -> np.ndarray:
        """Features j and j + dim / 2 are one complex number, turned by position times theta_j."""
        pairs = row[: dim // 2] + 1j * row[dim // 2 :]
        pairs = pairs * np.exp(1j * position * np.array(theta))
        return np.concatenate([pairs.real, pairs.imag])

    x = wide["embed_tokens.weight"][ids]
    for k in range(depth):
        layer = {
            name.removeprefix(f"layers.{k}."): a
            for name, a in wide.items()
            if name.startswith(f"layers.{k}.")
        }
        rows = norm(x, layer["attn_layernorm.weight"])
        q, key, value = (rows @ layer[f"self_attn.{n}_proj.weight"].T for n in "qkv")
        q, key = (
            norm(q, layer["self_attn.q_norm.weight"]),
            norm(key, layer["self_attn.k_norm.weight"]),
        )
        mixed = np.zeros_like(rows)
        for h in range(n_heads):
            part = slice(h * dim, (h + 1) * dim)
            keys = [layer["self_attn.k_bias"][h]]
            keys += [turn(key[j, part], j) for j in range(length)]
            values = [layer["self_attn.v_bias"][h], *value[:, part]]
            for i in range(length):
                asks = turn(q[i, part], i)
                scores = [cap * math.tanh(asks @ one / math.sqrt(dim) / cap) for one in keys]
                weights = np.exp(np.array(scores) - max(scores))
                mixed[i, part] = weights @ np.array(values) / weights.sum()
        share = fields["resid_scale"] / depth
        x = x + share * (mixed @ layer["self_attn.o_proj.weight"].T)
        inner = norm(x, layer["mlp_layernorm.weight"]) @ layer["mlp.up_proj.weight"].T
        inner = np.maximum(inner + layer["mlp.up_proj.bias"], 0) ** 2
        x = x + share * (inner @ layer["mlp.down_proj.weight"].T + layer["mlp.down_proj.bias"])
    return fields["head_scaling"] * norm(x, wide["norm.weight"]) @ wide["lm_head.weight"].T
