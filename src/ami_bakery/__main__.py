"""python -m ami_bakery"""

import sys

from ami_bakery.cli import main

sys.exit(main())
