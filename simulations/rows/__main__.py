"""`python -m simulations.rows`."""

from simulations.rows.study import STUDY

if __name__ == "__main__":
    STUDY.main()
