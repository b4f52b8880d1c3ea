"""The site's package repository: one directory that apt and dnf read as plain files.

Knows how packages become signed indexes that change as one; hides nothing of the command line, which calls the modules
here.  ``site`` is where to begin.
"""
