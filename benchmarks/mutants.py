"""Small changes to right writings: which survive the check?: python -m benchmarks.mutants."""

from benchmarks.proof.mutants import main

if __name__ == "__main__":
    main()
