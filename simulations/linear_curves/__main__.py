"""`python -m simulations.linear_curves`."""

from simulations.linear_curves.study import STUDY

if __name__ == "__main__":
    STUDY.main()
