"""Models act: things that take tokens and return distributions or tokens."""
