"""`python -m losswatch.cli`: the command line where `losswatch` is not on the path."""

import sys

from losswatch.cli import main

sys.exit(main())
