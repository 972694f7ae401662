"""Training and validation loss of runs over their steps, side by side, as one picture.

python benchmarks/loss_curves.py docs/images/model_losses.png em-k2=runs/em-k2 lt-ms=runs/lt_ms
"""

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt


def main() -> None:
    """A panel for each run, named by what stands before its =."""
    out, *runs = sys.argv[1:]
    figure, axes = plt.subplots(1, len(runs), figsize=(3.2 * len(runs), 2.4), squeeze=False)
    for axis, run in zip(axes[0], runs, strict=True):
        name, _, folder = run.partition("=")
        lines = [json.loads(line) for line in (Path(folder) / "metrics.jsonl").open()]
        for key, style in (("loss", "-"), ("validation_loss", "o-")):
            points = [(line["step"], line[key]) for line in lines if key in line]
            axis.plot(*zip(*points, strict=True), style, label=key.replace("_", " "), markersize=3)
        axis.set(title=name, xlabel="step")
        axis.grid(alpha=0.3)
    axes[0][0].legend(frameon=False)
    figure.tight_layout()
    figure.savefig(out, dpi=110)


if __name__ == "__main__":
    main()
