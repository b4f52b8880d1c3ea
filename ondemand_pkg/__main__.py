"""`python -m ondemand_pkg` is `ondemand-pkg`."""

from ondemand_pkg.cli.main import main

main()
