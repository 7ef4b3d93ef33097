"""`python -m simulations.linear_curves`."""

from simulations.linear_curves.study import main

if __name__ == "__main__":
    main()
