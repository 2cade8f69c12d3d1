"""`python -m mien` is the program `mien`."""

import sys

from mien.cli.main import main

sys.exit(main())
