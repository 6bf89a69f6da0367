"""Which check notices which mistake: python -m benchmarks.museum."""

from benchmarks.proof.museum import main
from reference import shell

if __name__ == "__main__":
    shell.run(main)
