"""`python3 -m ondemand_host` is the command `ondemand`."""

import sys

from ondemand_host.main import main

sys.exit(main())
