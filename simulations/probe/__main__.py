"""`python -m simulations.probe`."""

from simulations.probe.study import main

if __name__ == "__main__":
    main()
