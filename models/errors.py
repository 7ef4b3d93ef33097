"""Errors whose cause and remedy deserve more than a line."""


class TokenRangeError(ValueError):
    """A token array that no model over this vocabulary can take.

    Tokens are integers in [0, vocab_size) in an array (batch, L). Characters or
    word ids of a larger vocabulary must be mapped first, for instance with
    ``simulations.data.corpora``; a padding or mask id of -1 has no meaning in a
    uniform-state model.
    """


class DenoiserContractError(ValueError):
    """A denoiser that does not keep the contract of ``models.denoiser``.

    The message lists what was found. The usual causes are logits returned in
    place of normalized log-probabilities (apply log_softmax), the token posterior
    ``full`` returned in place of the leave-one-out law ``loo`` (convert with
    ``am_theory.channel.loo_from_full``), and a wrong axis order.
    """


class CheckpointError(ValueError):
    """A model that cannot be saved, or files that hold no model.

    A checkpoint is two files, ``<path>.safetensors`` with the weights and ``<path>.json``
    with the architecture and the weights' checksum; copy or delete them together. The
    message says what is missing, cut short or of another kind.
    """


class NumbaInsideJitError(TypeError):
    """A compiled CPU kernel was called with a JAX tracer.

    Numba kernels need concrete arrays and cannot run inside ``jax.jit``,
    ``vmap`` or ``grad``. Use the JAX twin (``EmpiricalDenoiser.jax()``) there, or
    call the denoiser outside the transformation.
    """
