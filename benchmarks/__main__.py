"""`python -m benchmarks`: `run` (what `make bench` does) and `compare`."""

from benchmarks.cli import app

if __name__ == "__main__":
    app()
