"""`python -m models.training`."""

from models.training.command import main

if __name__ == "__main__":
    main()
