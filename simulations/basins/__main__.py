"""`python -m simulations.basins`."""

from simulations.basins.study import main

if __name__ == "__main__":
    main()
