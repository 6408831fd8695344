# Each target sets up .venv first where that is needed. ARGS passes options on: make test ARGS="-k tiling"
PYTHON ?= python3
TASKS = setup demo test lint style bench clean

.PHONY: help $(TASKS)

help:
	@echo "make demo    open the viewer with a sample and the Teach panel (plays it alone without a screen)"
	@echo "make test    run the tests"
	@echo "make lint    style, import order of the layers, types; make style mends the style"
	@echo "make bench   measure and write docs/benchmarks.md"
	@echo "make clean   delete the environment and what the others made"

$(TASKS):
	@$(PYTHON) scripts/tasks.py $@ $(ARGS)
