"""The on-demand services of the host that it runs on: the command `ondemand`.

Knows Python 3.6 and its standard library alone, so that it runs wherever a package can be installed.
"""

__version__ = "0.2.0"
