"""Small changes to right implementations: which survive the check? python -m benchmarks.mutants."""

from benchmarks.proof.mutants import main
from reference import shell

if __name__ == "__main__":
    shell.run(main)
