# `make bench` prints speeds side by side, `make packages` builds the program's own packages; everything else is in the README.
.PHONY: bench
bench:
	sh tools/bench

# The program's own .deb and .rpm, into dist.
.PHONY: packages
packages:
	sh tools/packages
