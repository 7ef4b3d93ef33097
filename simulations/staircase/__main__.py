"""`python -m simulations.staircase`."""

from simulations.staircase.study import STUDY

if __name__ == "__main__":
    STUDY.main()
