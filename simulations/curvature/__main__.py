"""`python -m simulations.curvature`."""

from simulations.curvature.study import STUDY

if __name__ == "__main__":
    STUDY.main()
