"""`python -m simulations.sharpness`."""

from simulations.sharpness.study import STUDY

if __name__ == "__main__":
    STUDY.main()
