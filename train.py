"""Trains a network: the same as ``jaxmotion train``."""

import sys

from jaxmotion.cli import run

if __name__ == "__main__":
    sys.exit(run("train", sys.argv[1:], prog="train.py"))
