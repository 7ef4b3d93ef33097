"""What numbers must not depend on: machine code of older sources, settings of the environment."""
