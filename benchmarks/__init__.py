"""The benchmarks: the platform and its controls in one run, each figure beside its bar."""
