# `make bench` prints speeds side by side and draws them for docs/performance.md, `make packages` builds the program's own packages;
# everything else is in the README.
.PHONY: bench
bench:
	sh tools/bench --plot docs/performance.png --plot docs/performance.svg

# The timing diagram of docs/wake.md, from a wake on a host that is booted for it.
.PHONY: diagram
diagram:
	PYTHONPATH=.:tests .venv/bin/python -m bench.timeline docs/wake.svg

# docs/states.md and its diagrams, from the tables that the helpers run.
.PHONY: states
states:
	tools/lives

# The program's own .deb and .rpm, into dist.
.PHONY: packages
packages:
	sh tools/packages
