"""`python -m simulations.random_features`."""

from simulations.random_features.study import STUDY

if __name__ == "__main__":
    STUDY.main()
