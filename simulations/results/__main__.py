"""`python -m simulations.results`."""

from simulations.results.command import main

if __name__ == "__main__":
    main()
