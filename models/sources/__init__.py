"""Data laws with exact population denoisers."""

from models.sources.hierarchy import HierarchySource
from models.sources.hmm import HiddenMarkovSource
from models.sources.iid import IidSource
from models.sources.markov import MarkovSource

__all__ = ["HiddenMarkovSource", "HierarchySource", "IidSource", "MarkovSource"]
