"""What each container engine asks of a package, and how it is asked while packages are built."""
