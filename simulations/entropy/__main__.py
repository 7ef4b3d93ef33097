"""`python -m simulations.entropy`."""

from simulations.entropy.study import main

if __name__ == "__main__":
    main()
