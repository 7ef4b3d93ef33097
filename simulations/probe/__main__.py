"""`python -m simulations.probe`."""

from simulations.probe.command import main

if __name__ == "__main__":
    main()
