"""A denoiser from the user's own code: any framework, as long as it returns NumPy arrays.

A small uniform-state network of PyTorch, logits (batch, L, V) at (x_t, t), becomes a denoiser by

    # example: torch
    import numpy as np
    import torch
    from am_theory.channel import LogLinear, loo_from_full

    class TorchDenoiser:
        def __init__(self, net, vocab_size, seq_len, law="loo", schedule=LogLinear()):
            self.net, self.law, self.schedule = net.eval(), law, schedule
            self.vocab_size, self.seq_len = vocab_size, seq_len

        @torch.no_grad()
        def log_loo(self, x_t, t):
            t = np.broadcast_to(np.asarray(t, float), len(x_t))
            logits = self.net(torch.tensor(np.int64(x_t)), torch.tensor(np.float32(t)))
            law = logits.float().log_softmax(-1).numpy()
            return law if self.law == "loo" else loo_from_full(law, x_t, self.schedule.alpha(t))

with `law="loo"` for a network trained on the NELBO, whose softmax is the leave-one-out law, and
`law="full"` for one trained by cross-entropy on the clean token, whose softmax is the token
posterior. A network that is told sigma = -log alpha(t) takes `-np.log(self.schedule.alpha(t))`.

The text example of `flow_matching` (facebookresearch) tells its network a time that is 1 at the
data, a power of which is the kept fraction; cross-entropy and generalized KL both leave `full`.
With masks as its source, W = V + 1 and `Reading("full", Absorbing(V), mask_id=V)`.

    # example: flow_matching
    import numpy as np
    import torch
    from am_theory.channel import Linear, Uniform
    from models.released.converted import ConvertedCall, Reading

    def flow_matching(net, vocab_size, seq_len, exponent=1.0):
        schedule, net = Linear(), net.eval()

        @torch.no_grad()
        def outputs(ids, t):
            time = torch.tensor(np.float32(schedule.alpha(t) ** (1 / exponent)))
            return net(torch.tensor(np.int64(ids)), time).float().numpy()

        return ConvertedCall(outputs, Reading("full", Uniform(vocab_size)), schedule, seq_len)

A network of Flax as `hackable_diffusion` calls it, with time 0 at the data and a last axis of one:
`law="full"` for its cross-entropy on all sites, "loo" with `use_mask=True`, which counts redrawn
sites alone: a redrawn token says nothing of the clean one.

    # example: flax
    from am_theory.channel import Linear, Uniform
    from models.released.converted import Converted, Reading

    def hackable(network, params, vocab_size, seq_len, law="full"):
        def outputs(params, ids, t):
            told = {"time": t, "xt": ids[..., None], "conditioning": None, "is_training": False}
            return network.apply(params, **told)["logits"]

        return Converted(params, outputs, Reading(law, Uniform(vocab_size)), Linear(), seq_len)

Networks of `transformers`: `models.released.transformers_adapter`.
"""

from __future__ import annotations

import importlib
import inspect
import traceback
from typing import Any

import numpy as np

from models.contract.attributes import Refused, attributes_iv
from models.contract.check import checked
from models.denoiser import Denoiser, channel_of
from models.errors import DenoiserContractError

FORM = "it must be MODULE:FUNCTION, such as my_package.my_module:load (dots, and no .py)"


class AdapterError(ValueError):
    """A `module:function` that gives no denoiser.

    The module is imported as Python does it: it must be installed, or lie in the folder in which
    ``python -m`` is run. The function takes no arguments and returns an object as
    ``models.denoiser`` describes.
    """


def load_denoiser(text: str) -> Denoiser:
    """The denoiser that `function()` of `module` returns, for `text` = "module:function".

    As `made_denoiser`, and AdapterError too for what `models.denoiser.check_denoiser` refuses.
    """
    denoiser = made_denoiser(text)
    try:
        checked(denoiser)
    except DenoiserContractError as error:
        raise AdapterError(f"{text}: what it returned cannot be used. {error}") from error
    return denoiser


def made_denoiser(text: str) -> Denoiser:
    """The same before any law is asked for: only its attributes are looked at.

    The module is the caller's own code and runs as such, by the caller's explicit wish: `text`
    must come from the person at the keyboard, never from a checkpoint or another file.

    Raises
    ------
    AdapterError, one sentence, where the module or the function does not exist, fails, or returns
    something without the attributes of a denoiser.

    >>> made_denoiser("my_module.py")
    Traceback (most recent call last):
    models.released.adapters.AdapterError: my_module.py names no denoiser: it must be \
MODULE:FUNCTION, such as my_package.my_module:load (dots, and no .py).
    """
    module, _, name = text.partition(":")
    words = [*module.split("."), name]
    if not all(word.isidentifier() for word in words) or module.endswith(".py"):
        raise AdapterError(f"{text} names no denoiser: {FORM}.")
    make = _attribute(text, _imported(text, module), name)
    try:
        denoiser = make()
    except Exception as error:  # the user's code: any failure is to be told
        raise AdapterError(f"{text}: {name}() raised {_failure(error)}.") from error
    try:
        attributes_iv(denoiser)
    except Refused as refused:
        raise AdapterError(
            f"{text}: what {name}() returned cannot be used. {type(denoiser).__name__} is not a "
            f"Denoiser: {' Also: '.join(refused.args)}"
        ) from refused
    except Exception as error:  # such as a property that fails
        raise AdapterError(f"{text}: checking it raised {_failure(error)}.") from error
    return denoiser


class Guarded:
    """A denoiser of the user's own code whose failures are sentences (AdapterError), and which is
    asked in smaller batches once a larger one has run out of memory."""

    def __init__(self, denoiser: Denoiser) -> None:
        self.denoiser, self.schedule = denoiser, denoiser.schedule
        self.vocab_size, self.seq_len = int(denoiser.vocab_size), denoiser.seq_len
        self.channel = channel_of(denoiser)
        self.reading = getattr(denoiser, "reading", None)  # said in the report of a probe
        self.law = getattr(denoiser, "law", "loo")  # that it gives, before it makes loo of it
        self.limits = getattr(denoiser, "limits", ())
        self.rows: int | None = None  # of the largest batch that there is memory for

    def log_loo(self, x_t: Any, t: Any) -> Any:
        """As `Denoiser.log_loo`. Raises AdapterError where that fails or returns NaN."""
        while True:
            step = min(self.rows or len(x_t), len(x_t))
            try:
                law = self._in_parts(x_t, t, step)
            except Exception as error:  # the user's code: any failure is to be told
                if step == 1 or not _out_of_memory(error):
                    raise AdapterError(
                        f"{self._asked(step, x_t, t)} raised {_failure(error)}."
                    ) from error
            else:
                if np.isnan(np.max(law)):
                    raise AdapterError(f"{self._asked(step, x_t, t)} returned NaN.")
                return law
            self.rows = (step + 1) // 2  # here, where what the failed call held is let go

    def _in_parts(self, x_t: Any, t: Any, step: int) -> Any:
        parts = [
            self.denoiser.log_loo(x_t[k : k + step], t if np.ndim(t) == 0 else t[k : k + step])
            for k in range(0, len(x_t), step)
        ]
        return parts[0] if len(parts) == 1 else np.concatenate([np.asarray(p) for p in parts])

    def _asked(self, step: int, x_t: Any, t: Any) -> str:
        return (
            f"log_loo of {type(self.denoiser).__name__}, asked about {step} sequences of "
            f"{x_t.shape[1]} tokens at t = {np.min(t):.3g} to {np.max(t):.3g},"
        )


def _out_of_memory(error: Exception) -> bool:
    words = f"{type(error).__name__} {error}".lower().replace(" ", "")
    return isinstance(error, MemoryError) or "outofmemory" in words or "exhausted" in words


def _imported(text: str, module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise AdapterError(
                f"{text}: importing {module} raised {_failure(error)}; install what it needs."
            ) from error
        raise AdapterError(
            f"{text}: there is no module {error.name}. Run `python -m` in the folder that has it, "
            "or install it."
        ) from error
    except (Exception, SystemExit) as error:
        raise AdapterError(f"{text}: importing {module} raised {_failure(error)}.") from error


def _attribute(text: str, module: Any, name: str) -> Any:
    if not hasattr(module, name):
        others = [
            other
            for other, value in vars(module).items()
            if callable(value) and getattr(value, "__module__", None) == module.__name__
        ]
        has = f"it defines {', '.join(others[:8])}" if others else "it defines no function"
        raise AdapterError(f"{text}: {module.__name__} has no `{name}`; {has}.")
    make = getattr(module, name)
    if not callable(make):
        raise AdapterError(
            f"{text}: `{name}` is no function but a {type(make).__name__}; write a function "
            "without arguments that returns it."
        )
    try:
        inspect.signature(make).bind()
    except TypeError as error:
        raise AdapterError(
            f"{text}: `{name}` is called without arguments, and it has others ({error}); write a "
            "function without arguments that calls it."
        ) from error
    except ValueError:  # no signature is known, as for some built-in functions
        pass
    return make


def _failure(error: BaseException) -> str:
    """Type, message and last line of a failure in somebody else's code."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "importlib" not in f.filename]
    inside = [frame for frame in frames if frame.filename != __file__]
    words = " ".join(str(error).split())
    at = f" (line {inside[-1].lineno} of {inside[-1].filename})" if inside else ""
    return type(error).__name__ + (f": {words}" if words else "") + at
