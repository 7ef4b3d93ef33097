"""`python -m simulations.basins`."""

from simulations.basins.study import STUDY

if __name__ == "__main__":
    STUDY.main()
