"""`python -m edge.runner`: the same as the archive, from the checkout."""

import sys

from .main import main

sys.exit(main(sys.argv[1:]))
