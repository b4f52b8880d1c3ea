# `make bench` prints speeds side by side; everything else is in the README.
.PHONY: bench
bench:
	sh tools/bench
