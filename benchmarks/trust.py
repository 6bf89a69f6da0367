"""Why to believe the tables: the proof, made anew on this machine: python -m benchmarks.trust."""

from benchmarks.proof.trust import main

if __name__ == "__main__":
    main()
