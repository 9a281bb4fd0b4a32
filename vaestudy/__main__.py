"""``python -m vaestudy`` is the command line."""

import sys

from vaestudy.cli import main

sys.exit(main())
