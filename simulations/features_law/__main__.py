"""`python -m simulations.features_law`."""

from simulations.features_law.study import STUDY

if __name__ == "__main__":
    STUDY.main()
