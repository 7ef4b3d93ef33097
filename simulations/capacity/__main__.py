"""`python -m simulations.capacity`."""

from simulations.capacity.study import STUDY

if __name__ == "__main__":
    STUDY.main()
