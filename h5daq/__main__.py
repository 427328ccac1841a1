"""`python -m h5daq`: the command line."""

import sys

from h5daq.cli import main

if __name__ == "__main__":
    sys.exit(main())
