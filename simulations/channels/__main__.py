"""`python -m simulations.channels`."""

from simulations.channels.study import STUDY

if __name__ == "__main__":
    STUDY.main()
