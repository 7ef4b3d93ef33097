"""`python -m simulations.novelty`."""

from simulations.novelty.study import STUDY

if __name__ == "__main__":
    STUDY.main()
