"""Scores segmentations: the same as ``jaxmotion eval``."""

import sys

from jaxmotion.cli import run

if __name__ == "__main__":
    sys.exit(run("eval", sys.argv[1:], prog="eval.py"))
