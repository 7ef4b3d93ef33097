"""`python -m simulations.novelty`."""

from simulations.novelty.study import main

if __name__ == "__main__":
    main()
