"""Open exported checkpoints with transformers and compare their logits with those of an edited list of layers.

    STRATIGRAPH_EXPORTS=DIR cargo test --release --workspace --all-features exports_for_transformers -- --ignored
    python scripts/check_exports.py DIR tests/fixtures

DIR/NAME/EDIT is the fixture NAME with the edit `delete_0`, `swap_0` or `repeat_0`.
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from reference_values import EDIT_TAIL, with_alibi_once


@torch.no_grad()
def difference(export, expected, edit):
    """The largest difference of logits as a fraction of their scale."""
    options = {"attn_implementation": "eager", "experts_implementation": "eager"}
    model = with_alibi_once(AutoModelForCausalLM.from_pretrained(export, dtype=torch.float32, **options).eval())
    logits = model(expected["ids"].long(), use_cache=False).logits[0, -EDIT_TAIL:]
    wanted = expected[f"logits_{edit}"]
    return ((logits - wanted).abs().max() / wanted.abs().max()).item()


def main(exports, fixtures):
    worst = 0.0
    for name in sorted(path.name for path in exports.iterdir()):
        expected = load_file(fixtures / name / "expected.safetensors")
        for edit in sorted(path.name for path in (exports / name).iterdir()):
            found = difference(exports / name / edit, expected, edit)
            worst = max(worst, found)
            print(f"{name} {edit}: {found:.1e}")
            assert found < 1e-5, "transformers computes something else"
    print(f"largest difference: {worst:.1e}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
