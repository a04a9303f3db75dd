"""Opens a checkpoint of the tuned-lens library with PyTorch, and prints as JSON what its maps make of one row.

    python scripts/open_tuned_lens.py DIR

DIR has config.json and params.pt, as `stratigraph lens fit --form tuned-lens` writes them. The row is sin(0), sin(1), ...; a map is
added to it, as in the library: `row + linear(row)`. `weights_only` refuses a file that holds anything but tensors.
"""

import json
import sys
from pathlib import Path

import torch


def main(directory: Path) -> None:
    config = json.loads((directory / "config.json").read_text())
    state = torch.load(directory / "params.pt", map_location="cpu", weights_only=True)
    width, n_layers = config["d_model"], config["num_hidden_layers"]
    expected = {f"{layer}.{part}" for layer in range(n_layers) for part in ("weight", "bias")}
    if set(state) != expected:
        sys.exit(f"{directory} has the tensors {sorted(state)}, not {sorted(expected)}")
    row = torch.sin(torch.arange(width, dtype=torch.float32))
    outputs = []
    for layer in range(n_layers):
        linear = torch.nn.Linear(width, width)
        linear.load_state_dict({part: state[f"{layer}.{part}"] for part in ("weight", "bias")})
        outputs.append((row + linear(row)).tolist())
    json.dump(outputs, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
