"""`python -m paper.numbers`."""

import sys

from paper.numbers.book import main

if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
