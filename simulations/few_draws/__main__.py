"""`python -m simulations.few_draws`."""

from simulations.few_draws.study import STUDY

if __name__ == "__main__":
    STUDY.main()
