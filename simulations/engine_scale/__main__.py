"""`python -m simulations.engine_scale`."""

from simulations.engine_scale.study import main

if __name__ == "__main__":
    main()
