# `make bench` prints speeds side by side and draws them for docs/performance.md; everything else is in the README.
.PHONY: bench
bench:
	sh tools/bench --plot docs/performance.png --plot docs/performance.svg
