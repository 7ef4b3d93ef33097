"""`python -m simulations.probe.calibration`."""

from simulations.probe.calibration.study import STUDY

if __name__ == "__main__":
    STUDY.main()
