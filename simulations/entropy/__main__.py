"""`python -m simulations.entropy`."""

from simulations.entropy.study import STUDY

if __name__ == "__main__":
    STUDY.main()
