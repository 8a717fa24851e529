"""What `namespace` starts in a new network namespace; not a command for people (that is `ami-bakery local`)."""

import sys

from ami_bakery.local.namespace import main

raise SystemExit(main(sys.argv[1:]))
