"""Live tests that bring whole stacks up: one after the other."""
