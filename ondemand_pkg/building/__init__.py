"""From declarations to files: packages and source packages."""
