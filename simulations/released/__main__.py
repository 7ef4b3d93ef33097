"""`python -m simulations.released`."""

from simulations.released.study import STUDY

if __name__ == "__main__":
    STUDY.main()
