"""`python -m tfrec_fusion.cli`."""

import sys

from tfrec_fusion.cli import main

sys.exit(main())
