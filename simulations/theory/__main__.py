"""`python -m simulations.theory`."""

from simulations.theory.command import main

if __name__ == "__main__":
    main()
