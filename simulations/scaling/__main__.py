"""`python -m simulations.scaling`."""

from simulations.scaling.study import main

if __name__ == "__main__":
    main()
