"""`python -m simulations.probe.series`."""

from simulations.probe.series.command import main

if __name__ == "__main__":
    main()
