"""`python -m simulations.probe.calibration`."""

from simulations.probe.calibration.study import main

if __name__ == "__main__":
    main()
