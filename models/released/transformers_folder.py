"""A folder of weights as `transformers` writes it, opened with that library's own classes alone.

Nothing of the folder is run: no code that its config names (`auto_map`), no pickle (safetensors
only), no kernels from elsewhere. LLaDA and Dream come with code of their own, yet their blocks are
those of Llama and of Qwen2 without the causal mask, and the library has these; a config that asks
for anything else than that is refused, and so are weights that do not fill the class exactly.
Source of the two layouts: the released modeling files as kept in github.com/ZHZisZZ/dllm.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from models.extras import optional
from models.released.adapters import AdapterError

EXTRA = "transformers"
CONFIG = "config.json"
# at any depth of a config: what would run, fetch or rename something behind our back
FOREIGN = ("auto_map", "quantization_config", "transformers_weights", "fusion_config")
SPARE = re.compile(r"pooler\.|seq_relationship\.|position_ids$")  # heads and buffers not called
PLAIN = ("mask_token_id", "dtype", "torch_dtype")  # of any config, taken where it says them
YOURSELF = (
    "if you know what it is, load it yourself and pass the network (of transformers' own classes, "
    "or any other that takes ids and returns `.logits`)"
)


@dataclass(frozen=True)
class Family:
    """Weights with code of their own that a class of the library computes as well.

    like : model type of that class. fields : its config fields by theirs, all needed. needs : what
    theirs must say, where it says anything, for the computation to be the same; names : patterns
    of tensor names and what the class calls them; shift : whether the outputs at position i - 1
    speak of site i.
    """

    like: str
    fields: dict[str, str]
    needs: dict[str, Any]
    names: dict[str, str] = field(default_factory=dict)
    shift: bool = False


def _same(*names: str) -> dict[str, str]:
    return {name: name for name in names}


FAMILIES = {  # by the class that the config names
    "LLaDAModelLM": Family(
        like="llama",
        fields={
            "d_model": "hidden_size",
            "mlp_hidden_size": "intermediate_size",
            "n_layers": "num_hidden_layers",
            "n_heads": "num_attention_heads",
            "n_kv_heads": "num_key_value_heads",
            "embedding_size": "vocab_size",
            "max_sequence_length": "max_position_embeddings",
            "weight_tying": "tie_word_embeddings",
            **_same("rms_norm_eps", "rope_theta"),
        },
        needs={
            "block_type": "llama",
            "activation_type": "silu",
            "layer_norm_type": "rms",
            "layer_norm_with_affine": True,
            "rope": True,
            "alibi": False,
            "attention_layer_norm": False,
            "bias_for_layer_norm": False,
            "include_bias": False,
            "include_qkv_bias": False,
            "input_emb_norm": False,
            "scale_logits": False,
        },
        names={
            **{
                rf"model\.transformer\.blocks\.(\d+)\.{theirs}\.": rf"model.layers.\1.{ours}."
                for theirs, ours in {
                    "q_proj": "self_attn.q_proj",
                    "k_proj": "self_attn.k_proj",
                    "v_proj": "self_attn.v_proj",
                    "attn_out": "self_attn.o_proj",
                    "attn_norm": "input_layernorm",
                    "ff_norm": "post_attention_layernorm",
                    "ff_proj": "mlp.gate_proj",
                    "up_proj": "mlp.up_proj",
                    "ff_out": "mlp.down_proj",
                }.items()
            },
            r"model\.transformer\.wte\.": "model.embed_tokens.",
            r"model\.transformer\.ln_f\.": "model.norm.",
            r"model\.transformer\.ff_out\.": "lm_head.",
        },
    ),
    "DreamModel": Family(
        like="qwen2",
        fields=_same(
            "hidden_size",
            "intermediate_size",
            "num_hidden_layers",
            "num_attention_heads",
            "num_key_value_heads",
            "vocab_size",
            "max_position_embeddings",
            "tie_word_embeddings",
            "rms_norm_eps",
            "rope_theta",
            "hidden_act",
        ),
        needs={"use_sliding_window": False, "use_mrope": False, "rope_scaling": None},
        shift=True,
    ),
}


def config_of(folder: str | Path) -> dict[str, Any]:
    """What `config.json` of a folder says.

    Raises AdapterError, one sentence, without such a file, for one that holds no object, and for a
    folder whose weights are not safetensors or are an adapter to other weights.
    """
    path = Path(folder)
    if not (path / CONFIG).is_file():
        raise AdapterError(
            f"{folder} is no folder with a {CONFIG}: fetch the model first, at a revision that "
            "cannot move, and give its folder."
        )
    try:
        config = json.loads((path / CONFIG).read_text(encoding="utf-8"))
    except ValueError as error:
        raise AdapterError(f"{path / CONFIG} is no JSON: {error}.") from error
    if not isinstance(config, dict):
        raise AdapterError(f"{path / CONFIG} must hold an object of settings.")
    if (path / "adapter_config.json").exists():
        raise AdapterError(
            f"{folder} holds an adapter to other weights: merge it into them first, and save that."
        )
    if not any(path.glob("*.safetensors")):
        raise AdapterError(
            f"{folder} has no *.safetensors: weights in another form may be pickles, which can run "
            "code; save them as safetensors where they were made."
        )
    return config


def open_network(folder: str | Path, kind: str) -> tuple[Any, Family | None]:
    """The network of a folder, ready to be called, and its family where it is one of `FAMILIES`.

    kind : "masked" or "canvas", what it is to be read as.
    Raises AdapterError, one sentence, for what the installed library has no class of its own for.
    """
    theirs = config_of(folder)
    made = theirs.get("architectures")
    name = str(made[0]) if isinstance(made, list) and made else ""
    family = FAMILIES.get(name) if kind == "masked" else None
    settings = theirs if family is None else _translated(folder, name, theirs, family)
    model_type = settings.get("model_type")
    own = {"auto_map"} if family else set()  # code that its class stands in for
    foreign = [word for word in FOREIGN if word not in own and _names(theirs, word)]
    if foreign:
        raise AdapterError(
            f"{folder}: its config names `{foreign[0]}`, which asks for code or files from "
            f"elsewhere, and none is run here; {YOURSELF}."
        )
    library = optional("transformers", EXTRA, f"reading {folder}", AdapterError)
    optional("torch", EXTRA, f"reading {folder}", AdapterError)
    maker = _maker(library, folder, model_type, kind, family)
    try:
        model, found = maker.from_pretrained(
            str(folder),
            config=library.CONFIG_MAPPING[model_type].from_dict(settings),
            trust_remote_code=False,
            local_files_only=True,
            use_safetensors=True,
            attn_implementation="sdpa",
            experts_implementation="eager",
            key_mapping=dict(family.names) if family else None,
            output_loading_info=True,
        )
    except Exception as error:  # of that library, or of the files
        words = " ".join(str(error).split())
        raise AdapterError(
            f"{folder} cannot be read as {model_type}: {type(error).__name__}: {words}"
        ) from error
    _filled(folder, model, found)
    return model.eval(), family


def _translated(folder: Any, name: str, theirs: dict[str, Any], family: Family) -> dict[str, Any]:
    """The settings of the library's class that computes what `theirs` describe."""
    for word, wanted in family.needs.items():
        if theirs.get(word, wanted) != wanted and not (wanted is False and theirs[word] is None):
            raise AdapterError(
                f"{folder}: a {name} with {word} = {theirs[word]!r} is no {family.like} (that "
                f"takes {wanted!r}); {YOURSELF}."
            )
    missing = [word for word in family.fields if theirs.get(word) is None]
    if missing:
        raise AdapterError(f"{folder}: the config of a {name} must say `{missing[0]}`.")
    taken = family.fields | _same(*(word for word in PLAIN if word in theirs))
    settings = {ours: theirs[word] for word, ours in taken.items()}
    return {**settings, "model_type": family.like}


def _maker(library: Any, folder: Any, model_type: Any, kind: str, family: Family | None) -> Any:
    """The library's class, or its choice among classes, for a model type."""
    names = library.models.auto.modeling_auto
    masked = names.MODEL_FOR_MASKED_LM_MAPPING_NAMES
    if not isinstance(model_type, str) or model_type not in library.CONFIG_MAPPING:
        raise AdapterError(
            f"{folder}: transformers {library.__version__} has no class for the model type "
            f"{model_type!r}; install a version that has, or, {YOURSELF}."
        )
    if (kind == "canvas") != (model_type == "diffusion_gemma"):
        right = "masked_language_model" if kind == "canvas" else "canvas_model"
        raise AdapterError(f"{folder} is a {model_type}, which {right} reads.")
    if kind == "canvas":
        return library.DiffusionGemmaForBlockDiffusion
    if family is not None:
        return library.AutoModelForCausalLM
    if model_type not in masked:
        raise AdapterError(
            f"{folder} is a {model_type}, whose class predicts from left to right as far as its "
            "config tells; if it was trained on masks from both sides, load it yourself and pass "
            "the network."
        )
    return library.AutoModelForMaskedLM


def _names(settings: Any, word: str) -> bool:
    """Whether a config, or one inside of it, gives `word` a value."""
    if isinstance(settings, dict):
        return bool(settings.get(word)) or any(_names(part, word) for part in settings.values())
    return isinstance(settings, list) and any(_names(part, word) for part in settings)


def _filled(folder: Any, model: Any, found: dict[str, Any]) -> None:
    """Refuse weights that leave some of the class at random, or have more than it takes."""
    absent = sorted(map(str, [*found["missing_keys"], *found["mismatched_keys"]]))
    more = sorted(name for name in found["unexpected_keys"] if not SPARE.search(name))
    for names, words in ((absent, "lacks"), (more, "has, beside what it needs,")):
        if names:
            others = f" and {len(names) - 1} others" if len(names) > 1 else ""
            raise AdapterError(
                f"{folder} {words} `{names[0]}`{others}: its weights are not those of a "
                f"{type(model).__name__}."
            )
