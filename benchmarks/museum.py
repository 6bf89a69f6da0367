"""Which check notices which mistake: python -m benchmarks.museum."""

from benchmarks.proof.museum import main

if __name__ == "__main__":
    main()
