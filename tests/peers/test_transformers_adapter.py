"""Networks of the installed transformers, tiny and random, against direct calls and plain NumPy."""

from __future__ import annotations

import json
import re
import shutil
import sys
import textwrap
from types import SimpleNamespace

import numpy as np
import pytest

from am_theory.channel import Absorbing, Uniform, full_from_loo, loo_from_full
from models.conversions import loo_from_masked_logits
from models.denoiser import check_denoiser, contract_problems, log_full
from models.released import transformers_adapter
from models.released.adapters import AdapterError, load_denoiser
from models.released.transformers_adapter import canvas_model, masked_language_model
from models.released.transformers_folder import open_network
from models.sampler import generate
from tests.helpers import assert_close

torch = pytest.importorskip("torch", reason="torch, a peer, is not installed: make bench has it")
library = pytest.importorskip(
    "transformers", reason="transformers, a peer, is not installed: make bench has it"
)
safetensors = pytest.importorskip("safetensors.torch")

torch.set_num_threads(1)  # tiny networks, beside others
W, L, MASK, CANVAS, BOS = 13, 6, 7, 6, 2
SMALL = {
    "vocab_size": W,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 32,
    "initializer_range": 0.5,  # laws far from uniform
}
MARKS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
LLADA = {
    "model_type": "llada",
    "architectures": ["LLaDAModelLM"],
    "auto_map": {"AutoModel": "modeling_llada.LLaDAModelLM"},
    "d_model": 16,
    "n_layers": 2,
    "n_heads": 4,
    "n_kv_heads": 4,
    "mlp_hidden_size": 24,
    "embedding_size": W,
    "vocab_size": W,
    "max_sequence_length": 32,
    "rms_norm_eps": 1e-5,
    "rope_theta": 500000.0,
    "rope": True,
    "alibi": False,
    "weight_tying": False,
    "include_bias": False,
    "include_qkv_bias": False,
    "bias_for_layer_norm": None,
    "activation_type": "silu",
    "block_type": "llama",
    "layer_norm_type": "rms",
    "mask_token_id": MASK,
}
DREAM = {
    **{name: SMALL[name] for name in SMALL if name != "initializer_range"},
    "model_type": "Dream",
    "architectures": ["DreamModel"],
    "auto_map": {"AutoModel": "modeling_dream.DreamModel"},
    "num_key_value_heads": 2,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-6,
    "rope_theta": 1e6,
    "rope_scaling": None,
    "use_sliding_window": False,
    "tie_word_embeddings": False,
    "mask_token_id": MASK,
}


def bert(**more):
    return library.BertForMaskedLM(library.BertConfig(**SMALL, **more))


def modern_bert():
    return library.ModernBertForMaskedLM(library.ModernBertConfig(**SMALL, **MARKS))


def llama():
    return library.LlamaForCausalLM(library.LlamaConfig(**SMALL, num_key_value_heads=2))


def qwen():
    """With layers of which the library masks all but a window, where it masks."""
    return library.Qwen2ForCausalLM(
        library.Qwen2Config(
            **SMALL,
            num_key_value_heads=2,
            use_sliding_window=True,
            sliding_window=2,
            max_window_layers=0,
        )
    )


def gemma(**more):
    text = {
        **SMALL,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 8,
        "global_head_dim": 8,
        "sliding_window": 4,
        "layer_types": ["sliding_attention", "full_attention"],
        "num_experts": 4,
        "top_k_experts": 2,
        "moe_intermediate_size": 8,
        "bos_token_id": BOS,
        **more,
    }
    vision = {
        "model_type": "gemma4_vision",
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "head_dim": 8,
    }
    config = library.DiffusionGemmaConfig(
        text_config=text,
        vision_config=vision,
        canvas_length=CANVAS,
        initializer_range=SMALL["initializer_range"],
    )
    return library.DiffusionGemmaForBlockDiffusion(config)


def seeded(make, *args, **more):
    torch.manual_seed(0)
    return make(*args, **more).eval()


def written(folder, config, tensors):
    """A folder of weights with code of its own, which must not run."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    safetensors.save_file(tensors, folder / "model.safetensors")
    for name in ("modeling_llada.py", "modeling_dream.py"):
        (folder / name).write_text("raise SystemExit('code of a checkpoint ran')\n")
    return folder


def llada_tensors():
    torch.manual_seed(1)
    d, ff, stem = LLADA["d_model"], LLADA["mlp_hidden_size"], "model.transformer."
    found = {
        stem + "wte.weight": torch.randn(W, d),
        stem + "ln_f.weight": 1 + torch.randn(d) / 4,
        stem + "ff_out.weight": torch.randn(W, d),
    }
    for k in range(LLADA["n_layers"]):
        block = f"{stem}blocks.{k}."
        for name, shape in {
            **dict.fromkeys(("q_proj", "k_proj", "v_proj", "attn_out"), (d, d)),
            "ff_proj": (ff, d),
            "up_proj": (ff, d),
            "ff_out": (d, ff),
        }.items():
            found[f"{block}{name}.weight"] = torch.randn(shape) / 2
        for name in ("attn_norm", "ff_norm"):
            found[f"{block}{name}.weight"] = 1 + torch.randn(d) / 4
    return found


def dream_tensors():
    torch.manual_seed(2)
    config = {**SMALL, "num_key_value_heads": 2}
    network = library.Qwen2ForCausalLM(library.Qwen2Config(**config, tie_word_embeddings=False))
    return {name: torch.randn_like(value) / 2 for name, value in network.state_dict().items()}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Folders by name, as the library and as their authors write them."""
    root = tmp_path_factory.mktemp("folders")
    for name, make in {"bert": bert, "modern_bert": modern_bert, "llama": llama}.items():
        seeded(make).save_pretrained(root / name)
    seeded(gemma).save_pretrained(root / "gemma")
    written(root / "llada", LLADA, llada_tensors())
    written(root / "dream", DREAM, dream_tensors())
    return root


def masked_tokens(seed=0, batch=5):
    rng = np.random.default_rng(seed)
    return np.where(rng.random((batch, L)) < 0.5, W - 1, rng.integers(W - 1, size=(batch, L)))


def theirs(x_t):
    """Their ids of our tokens, one by one."""
    table = [k for k in range(W) if k != MASK] + [MASK]
    return torch.tensor([[table[v] for v in row] for row in x_t])


def log_softmax(rows):
    return rows - np.logaddexp.reduce(rows, axis=-1, keepdims=True)


# --- masked language models

KINDS = ["bert", "modern_bert", "llama", "qwen", "folder of bert", "folder of modern_bert"]


def opened(kind, folders, **more):
    if kind.startswith("folder of "):
        place = folders / kind.removeprefix("folder of ")
        return masked_language_model(place, mask_id=MASK, **more), None
    network = seeded(globals()[kind])
    return masked_language_model(network, mask_id=MASK, **more), network


@pytest.mark.parametrize("kind", KINDS)
def test_masked_sites_have_the_softmax_of_a_direct_call(kind, folders):
    denoiser, network = opened(kind, folders)
    assert denoiser.vocab_size == W - 1 and denoiser.channel == Absorbing(W - 1)
    check_denoiser(denoiser)
    name = kind.removeprefix("folder of ")
    network = seeded(globals()[name]) if network is None else network
    x_t = masked_tokens()
    ids = theirs(x_t)
    causal = name in ("llama", "qwen")
    more = {"attention_mask": torch.zeros(len(ids), 1, L, L)} if causal else {}
    with torch.no_grad():
        logits = network(input_ids=ids, **more).logits.numpy()
    law = denoiser.log_loo(x_t, 0.5)
    assert law.dtype == np.float32 and law.shape == (5, L, W - 1)
    masked = x_t == W - 1
    values = np.delete(logits.astype(float), MASK, axis=-1)
    # two float32 forwards, of the same weights
    assert_close(law[masked], log_softmax(values)[masked].astype(np.float32), atol=1e-5)
    second = loo_from_masked_logits(logits, ids.numpy(), mask_id=MASK)
    np.testing.assert_allclose(law, second, atol=1e-5)
    assert np.all(law[~masked].argmax(-1) == x_t[~masked]) and np.all(law[~masked].max(-1) == 0)
    np.testing.assert_array_equal(law, denoiser.log_loo(x_t, 0.1))  # told no level


@pytest.mark.parametrize("kind", KINDS)
def test_a_law_does_not_depend_on_its_batch_and_sees_both_sides(kind, folders):
    denoiser, _ = opened(kind, folders)
    x_t = masked_tokens(batch=7)
    x_t[:, 0] = x_t[:, 3] = W - 1
    every = denoiser.log_loo(x_t, np.linspace(0.1, 0.9, 7))
    for rows in (slice(2, 3), slice(4, 7)):
        np.testing.assert_allclose(denoiser.log_loo(x_t[rows], 0.5), every[rows], atol=1e-5)
    for site in (L - 1, 1):  # what is shown there changes the law before it and after it
        other = x_t.copy()
        other[:, site] = (np.minimum(x_t[:, site], W - 2) + 1) % (W - 1)
        moved = np.abs(np.exp(denoiser.log_loo(other, 0.5)) - np.exp(every)).max((0, 2))
        assert moved[0] > 1e-3 and moved[3] > 1e-3


def test_the_library_itself_masks_what_is_opened_here():
    network, ids = seeded(llama), theirs(masked_tokens())
    later = ids.clone()
    later[:, -1] = (later[:, -1] + 1) % W
    with torch.no_grad():
        np.testing.assert_array_equal(network(ids).logits[:, 0], network(later).logits[:, 0])


def forward(get, ids, *, layers, heads, kv, theta, eps):
    """Logits (batch, L, W) of a Llama-shaped network without a causal mask, in float64 NumPy."""

    def norm(x, name):
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * get(name)

    def linear(x, name):
        bias = get(name.replace("weight", "bias"), optional=True)
        return x @ get(name).T + (0 if bias is None else bias)

    def turned(x):
        half = x.shape[-1] // 2
        angle = np.arange(x.shape[-2])[:, None] * theta ** (-np.arange(half) / half)
        first, second = x[..., :half], x[..., half:]
        cos, sin = np.cos(angle), np.sin(angle)
        return np.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)

    def split(x, count):
        parts = x.reshape(*x.shape[:2], count, -1).transpose(0, 2, 1, 3)
        return np.repeat(parts, heads // count, axis=1)

    x = get("embed")[ids]
    for k in range(layers):
        h = norm(x, f"{k} norm1")
        q, key, v = (
            split(linear(h, f"{k} {n} weight"), count)
            for n, count in (("q", heads), ("k", kv), ("v", kv))
        )
        scores = turned(q) @ turned(key).swapaxes(-1, -2) / np.sqrt(q.shape[-1])
        share = np.exp(log_softmax(scores))
        x = x + linear((share @ v).transpose(0, 2, 1, 3).reshape(x.shape), f"{k} o weight")
        h = norm(x, f"{k} norm2")
        gate = linear(h, f"{k} gate weight")
        x = x + linear(gate / (1 + np.exp(-gate)) * linear(h, f"{k} up weight"), f"{k} down weight")
    return norm(x, "norm") @ get("head").T


def by_name(tensors, table, block):
    """Weights by the words of `forward`; block: a pattern with the layer and the rest."""

    def get(word, optional=False):
        layer, _, rest = word.partition(" ") if word[0].isdigit() else ("", "", word)
        short, _, kind = rest.partition(" ")
        name = table[short] + (f".{kind}" if kind else ".weight")
        name = block.format(layer, name) if layer else name
        return None if optional and name not in tensors else tensors[name].double().numpy()

    return get


LLADA_NAMES = {
    "embed": "model.transformer.wte",
    "norm": "model.transformer.ln_f",
    "head": "model.transformer.ff_out",
    "norm1": "attn_norm",
    "norm2": "ff_norm",
    "q": "q_proj",
    "k": "k_proj",
    "v": "v_proj",
    "o": "attn_out",
    "gate": "ff_proj",
    "up": "up_proj",
    "down": "ff_out",
}
DREAM_NAMES = {
    "embed": "model.embed_tokens",
    "norm": "model.norm",
    "head": "lm_head",
    "norm1": "input_layernorm",
    "norm2": "post_attention_layernorm",
    **{n: f"self_attn.{n}_proj" for n in "qkvo"},
    **{n: f"mlp.{n}_proj" for n in ("gate", "up", "down")},
}


@pytest.mark.parametrize(
    "name, shift, names, block, tensors, form",
    [
        (
            "llada",
            False,
            LLADA_NAMES,
            "model.transformer.blocks.{}.{}",
            llada_tensors,
            {"kv": 4, "theta": 5e5, "eps": 1e-5},
        ),
        (
            "dream",
            True,
            DREAM_NAMES,
            "model.layers.{}.{}",
            dream_tensors,
            {"kv": 2, "theta": 1e6, "eps": 1e-6},
        ),
    ],
)
def test_llada_and_dream_are_what_their_authors_compute(
    name, shift, names, block, tensors, form, folders
):
    denoiser = masked_language_model(folders / name, mask_id=MASK, shift=shift)
    check_denoiser(denoiser)
    x_t = masked_tokens(3)
    get = by_name(tensors(), names, block)
    logits = forward(get, theirs(x_t).numpy(), layers=2, heads=4, **form)
    if shift:
        logits = np.concatenate([logits[:, :1], logits[:, :-1]], axis=1)
    masked = x_t == W - 1
    want = log_softmax(np.delete(logits, MASK, axis=-1))[masked]
    assert np.exp(want).max() > 3 / (W - 1)  # far from uniform
    # float32 through two layers, laws down to e^-30
    np.testing.assert_allclose(denoiser.log_loo(x_t, 0.5)[masked], want, atol=2e-4)


def test_logits_of_sixteen_bits_become_thirty_two_before_anything_is_done(folders):
    network = seeded(bert).to(torch.bfloat16)
    denoiser = masked_language_model(network, mask_id=MASK)
    x_t = masked_tokens()
    with torch.no_grad():
        logits = network(theirs(x_t)).logits
    assert logits.dtype == torch.bfloat16
    law, masked = denoiser.log_loo(x_t, 0.5), x_t == W - 1
    want = log_softmax(np.delete(logits.float().numpy(), MASK, axis=-1))
    assert_close(law[masked], want[masked])
    assert denoiser.readable(0.5) == (
        "Logits in bfloat16: log-probabilities may be off by 1/128 of the largest logit."
    )


def test_a_masked_network_generates(folders):
    denoiser = masked_language_model(folders / "bert", mask_id=MASK, seq_len=L)
    tokens = generate(denoiser, np.random.default_rng(0), 8, L, n_steps=4)
    assert tokens.shape == (8, L) and tokens.max() < W - 1


# --- canvases


def direct(network, ids, **more):
    prompt = torch.full((len(ids), 1), BOS)
    with torch.no_grad():
        return network(input_ids=prompt, decoder_input_ids=torch.tensor(ids), **more).logits


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("law", ["full", "loo"])
def test_a_canvas_has_the_law_of_a_direct_call(law, again):
    network = seeded(gemma)
    denoiser = canvas_model(network, law=law, self_conditioning=again)
    assert (denoiser.vocab_size, denoiser.seq_len) == (W, CANVAS)
    assert denoiser.channel == Uniform(W) and denoiser.schedule.alpha(0.3) == 0.7
    ids = np.random.default_rng(0).integers(W, size=(5, CANVAS))
    t = np.array([0.9, 0.7, 0.5, 0.3, 0.1])
    logits = direct(network, ids)
    if again:
        logits = direct(network, ids, self_conditioning_logits=logits)
    softmax = log_softmax(logits.double().numpy())
    assert np.exp(softmax).max() > 0.5
    ours = denoiser.log_loo(ids, t)
    assert ours.dtype == np.float32
    if law == "full":
        np.testing.assert_allclose(ours, loo_from_full(softmax, ids, 1 - t, Uniform(W)), atol=1e-4)
        np.testing.assert_allclose(log_full(denoiser, ids, t), softmax, atol=1e-4)
    else:
        np.testing.assert_allclose(ours, softmax, atol=1e-5)
        posterior = full_from_loo(softmax, ids, 1 - t, Uniform(W))
        np.testing.assert_allclose(log_full(denoiser, ids, t), posterior, atol=1e-4)


def test_a_canvas_keeps_the_contract():
    check_denoiser(canvas_model(seeded(gemma)))


def test_self_conditioning_and_the_prompt_do_something():
    ids = np.random.default_rng(1).integers(W, size=(3, CANVAS))
    plain = canvas_model(seeded(gemma)).log_loo(ids, 0.5)
    again = canvas_model(seeded(gemma), self_conditioning=True).log_loo(ids, 0.5)
    other = canvas_model(seeded(gemma, bos_token_id=BOS + 1)).log_loo(ids, 0.5)
    for law in (again, other):
        assert np.abs(np.exp(law) - np.exp(plain)).max() > 1e-3


def test_a_canvas_is_read_from_both_sides_and_row_by_row():
    denoiser = canvas_model(seeded(gemma))
    ids = np.random.default_rng(2).integers(W, size=(4, CANVAS))
    law = denoiser.log_loo(ids, 0.5)
    np.testing.assert_allclose(denoiser.log_loo(ids[1:2], 0.5), law[1:2], atol=1e-5)
    for site in (0, CANVAS - 1):
        other = ids.copy()
        other[:, site] = (other[:, site] + 1) % W
        moved = np.abs(np.exp(denoiser.log_loo(other, 0.5)) - np.exp(law)).max((0, 2))
        assert np.all(moved > 1e-4)


def test_the_logits_of_a_canvas_are_capped_and_what_that_leaves_is_told():
    network = seeded(gemma, final_logit_softcapping=5.0)
    ids = np.random.default_rng(0).integers(W, size=(4, CANVAS))
    logits = direct(network, ids)
    assert logits.dtype == torch.float32 and 4 < logits.abs().max() <= 5
    words = canvas_model(network).readable(1e-4)
    assert "a kept fraction of 0.9999 with a cap of 5" in words and "bfloat16" not in words
    words = canvas_model(seeded(gemma).to(torch.bfloat16)).readable(0.5)
    assert words.startswith("Logits in bfloat16 with a cap of 30: log-probabilities may be off by ")


def test_a_folder_of_a_canvas(folders):
    ids = np.random.default_rng(0).integers(W, size=(2, CANVAS))
    np.testing.assert_allclose(
        canvas_model(folders / "gemma").log_loo(ids, 0.4),
        canvas_model(seeded(gemma)).log_loo(ids, 0.4),
        atol=1e-5,
    )


# --- what is refused


def changed(folders, tmp_path, name, **settings):
    """A copy of a folder with other settings in its config."""
    place = shutil.copytree(folders / name, tmp_path / "copy")
    config = json.loads((place / "config.json").read_text())
    (place / "config.json").write_text(json.dumps({**config, **settings}))
    return place


def other_tensors(folders, tmp_path, name, change):
    place = changed(folders, tmp_path, name)
    tensors = safetensors.load_file(place / "model.safetensors")
    change(tensors)
    safetensors.save_file(tensors, place / "model.safetensors", metadata={"format": "pt"})
    return place


def masked(place, **more):
    return masked_language_model(place, **{"mask_id": MASK, **more})


FOLDERS = {
    "an unknown type": (
        lambda f, t: masked(changed(f, t, "bert", model_type="llada", architectures=["New"])),
        "has no class for the model type 'llada'; install a version",
    ),
    "no type": (
        lambda f, t: masked(changed(f, t, "bert", model_type=None)),
        "has no class for the model type None",
    ),
    "left to right": (
        lambda f, t: masked(f / "llama"),
        "is a llama, whose class predicts from left to right",
    ),
    "LLaDA, shifted": (
        lambda f, t: masked(f / "llada", shift=True),
        "`shift` must be False",
    ),
    "Dream, not shifted": (
        lambda f, t: masked(f / "dream"),
        "`shift` must be True",
    ),
    "another mask": (
        lambda f, t: masked(f / "llada", mask_id=3),
        "`mask_id` is 7 in the config of this LlamaForCausalLM; got 3",
    ),
    "a tensor less": (
        lambda f, t: masked(
            other_tensors(f, t, "llada", lambda x: x.pop("model.transformer.ln_f.weight"))
        ),
        "lacks `model.norm.weight`: its weights are not those of a LlamaForCausalLM",
    ),
    "a tensor more": (
        lambda f, t: masked(
            other_tensors(f, t, "llada", lambda x: x.update({"time.weight": torch.ones(2)}))
        ),
        "has, beside what it needs, `time.weight`: its weights are not",
    ),
    "a body without a head": (
        lambda f, t: masked(
            other_tensors(
                f, t, "bert", lambda x: [x.pop(k) for k in list(x) if k.startswith("cls.")]
            )
        ),
        "lacks `cls.predictions",
    ),
    "other shapes": (
        lambda f, t: masked(changed(f, t, "bert", intermediate_size=20)),
        "cannot be read as bert: ",
    ),
    "a canvas with a mask": (
        lambda f, t: masked(f / "gemma"),
        "is a diffusion_gemma, which canvas_model reads",
    ),
    "a mask on a canvas": (
        lambda f, t: canvas_model(f / "bert"),
        "is a bert, which masked_language_model reads",
    ),
}


def test_heads_of_other_tasks_are_left_aside(folders, tmp_path):
    more = {
        "bert.pooler.dense.weight": torch.ones(16, 16),
        "cls.seq_relationship.bias": torch.ones(2),
    }
    place = other_tensors(folders, tmp_path, "bert", lambda tensors: tensors.update(more))
    x_t = masked_tokens()
    np.testing.assert_array_equal(
        masked(place).log_loo(x_t, 0.5), masked(folders / "bert").log_loo(x_t, 0.5)
    )


def test_no_code_of_a_folder_runs(folders, tmp_path):
    """Beside `modeling_llada.py`, which would end the run: what the library calls to generate."""
    place = changed(folders, tmp_path, "llada")
    (place / "custom_generate").mkdir()
    (place / "custom_generate" / "generate.py").write_text("raise SystemExit('code ran')\n")
    assert masked(place).vocab_size == W - 1


def test_kernels_that_a_config_names_are_not_fetched(folders, tmp_path):
    foreign = {"attn_implementation": "owner/kernel", "experts_implementation": "deep-gemm"}
    place = changed(folders, tmp_path, "gemma", **foreign)
    config = json.loads((place / "config.json").read_text())
    config["text_config"].update(foreign)
    (place / "config.json").write_text(json.dumps(config))
    network, _ = open_network(place, "canvas")
    for found in (network.config, network.config.text_config, network.config.vision_config):
        assert (found._attn_implementation, found._experts_implementation) == ("sdpa", "eager")


@pytest.mark.parametrize("what", FOLDERS)
def test_folders_that_are_refused(what, folders, tmp_path):
    call, message = FOLDERS[what]
    with pytest.raises(AdapterError, match=re.escape(message)) as caught:
        call(folders, tmp_path)
    assert "\n" not in str(caught.value)


class Named(library.LlamaForCausalLM):
    """Somebody's Llama under another name, which nobody asked to look both ways."""


class Bare(torch.nn.Linear):
    def forward(self, input_ids):
        return SimpleNamespace(rows=input_ids)


NETWORKS = {
    "causal": (
        lambda: masked(Named(library.LlamaConfig(**SMALL, num_key_value_heads=2))),
        "this Named reads from left to right: later tokens did not change",
    ),
    "a decoder": (
        lambda: masked(seeded(bert, is_decoder=True)),
        "this BertForMaskedLM reads from left to right",
    ),
    "no logits": (lambda: masked(Bare(2, 2)), "calling this Bare raised AttributeError: "),
    "a number": (lambda: masked(3), "must be a folder or a torch module; got int"),
    "a mask above": (
        lambda: masked(seeded(bert), mask_id=W),
        "`mask_id` must be one of the ids of this BertForMaskedLM, 0 to 12; got 13",
    ),
    "a mask below": (lambda: masked(seeded(bert), mask_id=-1), "0 to 12; got -1"),
    "a mask of truth": (lambda: masked(seeded(bert), mask_id=True), "0 to 12; got True"),
    "no canvas": (lambda: canvas_model(seeded(bert)), "a BertForMaskedLM has no canvas"),
    "no BOS": (
        lambda: canvas_model(seeded(gemma, bos_token_id=None)),
        "the prompt is BOS, and this DiffusionGemmaForBlockDiffusion has none",
    ),
    "another law": (
        lambda: canvas_model(seeded(gemma), law="score"),
        "`law` must be 'full' or 'loo'; got 'score'",
    ),
    "another length": (
        lambda: canvas_model(seeded(gemma)).log_loo(np.zeros((1, CANVAS + 1), int), 0.5),
        "a canvas has 6 tokens; got 7",
    ),
}


@pytest.mark.parametrize("what", NETWORKS)
def test_networks_that_are_refused(what):
    call, message = NETWORKS[what]
    with pytest.raises(AdapterError, match=re.escape(message)) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_a_posterior_sold_as_loo_is_noticed():
    """Weights that copy the canvas, as training on every token does at small noise: without its
    blocks the network is the tied embedding, its norm and its transpose."""
    network = seeded(gemma)
    with torch.no_grad():
        for name, value in network.model.decoder.named_parameters():
            if any(word in name for word in ("o_proj", "down_proj", "layernorm")):
                value.zero_()
        network.model.decoder.norm.weight.fill_(10)
        network.model.decoder.embed_tokens.weight.copy_(torch.eye(W, SMALL["hidden_size"]))
    (problem,) = contract_problems(canvas_model(network, law="loo"))
    assert "it is the posterior `full`" in problem


# --- as it is printed


def test_the_printed_example_is_loaded_by_name(folders, tmp_path, monkeypatch):
    block = re.search(
        r" {4}# example: transformers\n((?: {4}.*\n|\n)*)", transformers_adapter.__doc__
    )
    code = textwrap.dedent(block[1])
    for name, place in {
        "bert": "bert-base-uncased",
        "llada": "LLaDA-8B-Base",
        "dream": "Dream-v0-Base-7B",
        "gemma": "diffusiongemma-26B-A4B-it",
    }.items():
        assert place in code
        shutil.copytree(folders / name, tmp_path / place)
    code = re.sub(r"mask_id=\d+", f"mask_id={MASK}", code).replace("seq_len=128", f"seq_len={L}")
    (tmp_path / "their_library.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "their_library", raising=False)
    for name, values in {"bert": W - 1, "llada": W - 1, "dream": W - 1, "gemma": W}.items():
        assert load_denoiser(f"their_library:{name}").vocab_size == values
