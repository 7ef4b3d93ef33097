"""Folders of `transformers` that are refused before that library is asked for."""

from __future__ import annotations

import json
import re
import sys

import pytest

from models.released.adapters import AdapterError
from models.released.transformers_adapter import canvas_model, masked_language_model

BERT = {"model_type": "bert", "architectures": ["BertForMaskedLM"]}
LLADA = {
    "model_type": "llada",
    "architectures": ["LLaDAModelLM"],
    "auto_map": {"AutoModel": "modeling_llada.LLaDAModelLM"},
    "d_model": 4096,
    "n_layers": 32,
    "n_heads": 32,
    "n_kv_heads": 32,
    "mlp_hidden_size": 12288,
    "embedding_size": 126464,
    "max_sequence_length": 4096,
    "rms_norm_eps": 1e-5,
    "rope_theta": 500000.0,
    "weight_tying": False,
    "include_bias": False,
    "bias_for_layer_norm": None,
    "block_type": "llama",
}
DREAM = {"model_type": "Dream", "architectures": ["DreamModel"]}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Writes a folder of a config and files; the library is not there."""
    monkeypatch.setitem(sys.modules, "transformers", None)

    def write(config, *names):
        text = config if isinstance(config, str) else json.dumps(config)
        (tmp_path / "config.json").write_text(text)
        for name in names:
            (tmp_path / name).write_bytes(b"")
        return tmp_path

    return write


SAFE = "model-00001-of-00002.safetensors"
BAD = {
    "no JSON": (("{", SAFE), "config.json is no JSON: "),
    "a list": (("[]", SAFE), "must hold an object of settings"),
    "a pickle": ((BERT, "pytorch_model.bin"), "has no *.safetensors: weights in another form"),
    "an adapter": ((BERT, SAFE, "adapter_config.json"), "holds an adapter to other weights"),
    "code": (({**BERT, "auto_map": {"AutoModel": "x.Y"}}, SAFE), "its config names `auto_map`"),
    "code inside": (
        ({**BERT, "parts": [{"auto_map": {"AutoModel": "x.Y"}}]}, SAFE),
        "its config names `auto_map`",
    ),
    "few bits": (
        ({**LLADA, "quantization_config": {"load_in_4bit": True}}, SAFE),
        "its config names `quantization_config`",
    ),
    "a file of its choice": (
        ({**BERT, "transformers_weights": "../other.safetensors"}, SAFE),
        "its config names `transformers_weights`",
    ),
    "other blocks": (
        ({**LLADA, "alibi": True}, SAFE),
        "a LLaDAModelLM with alibi = True is no llama (that takes False)",
    ),
    "another activation": (
        ({**LLADA, "activation_type": "swiglu"}, SAFE),
        "activation_type = 'swiglu' is no llama (that takes 'silu')",
    ),
    "fewer words": (({**LLADA, "rope_theta": None}, SAFE), "must say `rope_theta`"),
    "a window": (
        ({**DREAM, "use_sliding_window": True}, SAFE),
        "a DreamModel with use_sliding_window = True is no qwen2",
    ),
    "no library": ((LLADA, SAFE), "needs the package transformers: pip install"),
    "classes that are none": (({**BERT, "architectures": 3}, SAFE), "needs the package"),
}


@pytest.mark.parametrize("what", BAD)
def test_each_is_one_sentence(what, folder):
    (config, *names), message = BAD[what]
    with pytest.raises(AdapterError, match=re.escape(message)) as caught:
        masked_language_model(folder(config, *names), mask_id=3)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["no/such folder", "owner/name"])
def test_a_folder_that_is_not_there(name):
    with pytest.raises(AdapterError, match=f"{name} is no folder with a config.json: fetch the"):
        canvas_model(name)
