"""Why to believe the tables: the proof, made on this machine: python -m benchmarks.trust."""

from benchmarks.proof.trust import main
from reference import shell

if __name__ == "__main__":
    shell.run(main)
