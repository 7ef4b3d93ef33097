"""Settings of every test run: the processor only, two threads, Hypothesis profiles.

HYPOTHESIS_PROFILE=deep runs many more examples with a fresh seed.
"""

import importlib.util
import os
import signal

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("NUMBA_NUM_THREADS", "2")

# A job that a script started in the background is deaf to Ctrl-C, and so are its children; the
# tests of Ctrl-C send one.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

from hypothesis import HealthCheck, settings

# Compilation makes the first example slow, so no example has a deadline.
COMMON = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("default", max_examples=30, **COMMON)
settings.register_profile("ci", max_examples=30, derandomize=True, **COMMON)
settings.register_profile("deep", max_examples=2000, **COMMON)
settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "default")
)

# Imports torch at its head, and the run of all doctests would import it without.
collect_ignore = [] if importlib.util.find_spec("torch") else ["peers/torch_dit.py"]
