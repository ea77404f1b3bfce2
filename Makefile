.PHONY: setup demo test check bench bench-compare soak up down

setup: ## .venv from the lock file, the Temporal CLI in the cache
	@scripts/setup

demo: setup ## the stack and the guided tour
	@scripts/demo

test: setup ## check, then every tier of tests
	@scripts/check
	@scripts/test

check: setup ## style, types, import contracts, rules of the house
	@scripts/check

bench: setup ## the tables of the benchmarks; BENCH=authorize runs one part
	@scripts/bench run

bench-compare: setup ## what changed between the last two results, or two: RESULTS="a b"
	@scripts/bench compare $(RESULTS)

soak: setup ## the long reliability run
	@scripts/soak

up: setup ## the stack in the background
	@.venv/bin/recompense stack up

down: ## the stack away
	@.venv/bin/recompense stack down
