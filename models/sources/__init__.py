"""Data laws with exact population denoisers."""

from models.sources.iid import IidSource
from models.sources.markov import MarkovSource

__all__ = ["IidSource", "MarkovSource"]
