"""`python -m simulations.scaling`."""

from simulations.scaling.study import STUDY

if __name__ == "__main__":
    STUDY.main()
