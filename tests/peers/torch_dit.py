"""The diffusion transformer and its training step in PyTorch: the peer of the timings.

An equal network written for the purpose (torch.nn modules, fused attention), with the NELBO in the
form of Sahoo et al. 2025 and torch's AdamW. `weights_from` copies ours into it, so that a test
can hold the two to each other before they are timed.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

EPS = 1e-3  # alpha at t = 1


class Norm(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return F.layer_norm(x, (x.shape[-1],), self.weight)


class TorchBlock(nn.Module):
    def __init__(self, width: int, n_heads: int, cond: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.norm1, self.norm2 = Norm(width), Norm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.modulation = nn.Linear(cond, 6 * width)

    def forward(self, x, c, cos, sin):
        shift, scale, gate, shift2, scale2, gate2 = self.modulation(c)[:, None].chunk(6, dim=-1)
        batch, length, width = x.shape
        y = self.norm1(x) * (1 + scale) + shift
        q, k, v = self.qkv(y).view(batch, length, 3, self.n_heads, -1).permute(2, 0, 3, 1, 4)
        turn = [torch.cat([-z.chunk(2, -1)[1], z.chunk(2, -1)[0]], -1) for z in (q, k)]
        q, k = q * cos + turn[0] * sin, k * cos + turn[1] * sin
        y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(batch, length, width)
        x = x + gate * self.out(y)
        y = self.norm2(x) * (1 + scale2) + shift2
        return x + gate2 * self.down(F.gelu(self.up(y), approximate="tanh"))


class TorchDiT(nn.Module):
    def __init__(self, vocab: int, width: int, n_blocks: int, n_heads: int, cond: int = 128):
        super().__init__()
        self.embedding = nn.Embedding(vocab, width)
        self.time_in, self.time_out = nn.Linear(256, cond), nn.Linear(cond, cond)
        self.blocks = nn.ModuleList(TorchBlock(width, n_heads, cond) for _ in range(n_blocks))
        self.final_norm = Norm(width)
        self.final_modulation = nn.Linear(cond, 2 * width)
        self.readout = nn.Linear(width, vocab)
        self.head_dim = width // n_heads

    def forward(self, tokens, sigma):
        rate = torch.exp(-math.log(1e4) * torch.arange(128) / 128)
        phase = sigma[:, None] * rate
        features = torch.cat([phase.cos(), phase.sin()], -1)
        c = F.silu(self.time_out(F.silu(self.time_in(features))))
        step = 1e4 ** (-torch.arange(0, self.head_dim, 2) / self.head_dim)
        angle = torch.arange(tokens.shape[1])[:, None] * step
        cos, sin = torch.cat([angle.cos()] * 2, -1), torch.cat([angle.sin()] * 2, -1)
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x, c, cos, sin)
        shift, scale = self.final_modulation(c)[:, None].chunk(2, dim=-1)
        return self.readout(self.final_norm(x) * (1 + scale) + shift)


def weights_from(model) -> dict[str, torch.Tensor]:
    """State of a TorchDiT equal to our DiT `model`."""

    def tensor(array):
        return torch.from_numpy(np.array(array))

    def linear(name, layer, k=None):
        pick = (lambda a: a) if k is None else (lambda a: a[k])
        out = {f"{name}.weight": tensor(pick(layer.weight)).T.contiguous()}
        if layer.bias is not None:
            out[f"{name}.bias"] = tensor(pick(layer.bias))
        return out

    state = {
        "embedding.weight": tensor(model.embedding),
        "final_norm.weight": tensor(model.final_norm),
    }
    for name in ("time_in", "time_out", "final_modulation", "readout"):
        state |= linear(name, getattr(model, name))
    for k in range(model.shape.n_blocks):
        for name in ("qkv", "out", "up", "down", "modulation"):
            state |= linear(f"blocks.{k}.{name}", getattr(model.blocks, name), k)
        for name in ("norm1", "norm2"):
            state[f"blocks.{k}.{name}.weight"] = tensor(getattr(model.blocks, name)[k])
    return state


def nelbo(log_x, x_t, x_0, alpha, alpha_rate):
    """Mean NELBO rate a token (theory sheet 1.5, summed without its stable regrouping).

    log_x (B, L, V), alpha (B, 1): with g_y = log(V alpha x_y + 1 - alpha) and the true g* of
    x = one-hot x_0, the rate is -alpha' / (V alpha) sum_{y != z} e^{w_y} (e^{D_y} - 1 - D_y),
    w_y = g*_y - g*_z, D_y = g_y - g_z - w_y. Sums over y are taken in closed form.
    """
    vocab, clean, noisy = log_x.shape[-1], vocab_times(alpha, log_x.shape[-1]), 1 - alpha
    g = (vocab * alpha[..., None] * log_x.exp() + 1 - alpha[..., None]).log()
    g_z = g.gather(-1, x_t[..., None])
    g_0 = g.gather(-1, x_0[..., None])[..., 0] - g_z[..., 0]
    kept = x_t == x_0
    beta = (clean / noisy).log()
    rise = (g - g_z).exp().sum(-1) - 1  # sum over y != z of e^{w + D}
    drift = (g - g_z).sum(-1)
    weight = torch.where(kept, noisy / clean, torch.ones_like(g_0))
    others = weight * drift + torch.where(kept, 0.0, (clean / noisy - 1) * g_0)
    base = torch.where(kept, (vocab - 1) * noisy / clean, vocab - 2 + clean / noisy)
    turn = torch.where(kept, -(vocab - 1) * noisy / clean * beta, clean / noisy * beta)
    return (-alpha_rate / (vocab * alpha) * (rise - base - others + turn)).mean()


def vocab_times(alpha, vocab):
    return vocab * alpha + 1 - alpha


def training_step(model, optimizer, ema, x_0, t, generator=None):
    """One NELBO step with clipping and a moving average; returns the loss."""
    alpha = (1 - (1 - EPS) * t)[:, None]
    noise = torch.randint(0, model.readout.out_features, x_0.shape, generator=generator)
    x_t = torch.where(torch.rand(x_0.shape, generator=generator) < alpha, x_0, noise)
    log_x = F.log_softmax(model(x_t, -alpha[:, 0].log()), -1)
    loss = nelbo(log_x, x_t, x_0, alpha, -(1 - EPS))
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    with torch.no_grad():
        torch._foreach_lerp_(ema, list(model.parameters()), 0.01)
    return loss
