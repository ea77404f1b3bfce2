"""The parts of a run, one subject each; `BENCH=<name>` runs one."""
