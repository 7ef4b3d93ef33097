"""`python -m simulations.capacity`."""

from simulations.capacity.study import main

if __name__ == "__main__":
    main()
