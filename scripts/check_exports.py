"""Open exported checkpoints with transformers and the package gguf, and compare their logits with those of the plan.

    STRATIGRAPH_EXPORTS=DIR STRATIGRAPH_SOURCES=MODEL[:MODEL ...] \\
        cargo test --release --workspace --all-features exports_ -- --ignored
    python scripts/check_exports.py DIR tests/fixtures

DIR/NAME/EDIT is an export. Of a fixture NAME and an edit `delete_0`, `swap_0` or `repeat_0`, transformers has computed the logits
with an edited list of layers. DIR/NAME/EDIT.safetensors has the logits of our plan on the original.
"""

import sys
from pathlib import Path

import torch
from gguf import GGUFReader
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from reference_values import with_alibi_once

GGUF = "model.gguf"


@torch.no_grad()
def logits(export, ids):
    """Logits `[pos, vocab]` of an export for token ids `[1, pos]`."""
    options = {"attn_implementation": "eager"}
    if (export / GGUF).exists():
        options["gguf_file"] = GGUF
    else:
        options["experts_implementation"] = "eager"
    model = with_alibi_once(AutoModelForCausalLM.from_pretrained(export, dtype=torch.float32, **options).eval())
    return model(ids.long(), use_cache=False).logits[0]


def expected(export, fixtures):
    """Token ids, the logits of the last positions, and the difference that is allowed as a fraction of their scale."""
    ours = export.with_suffix(".safetensors")
    if ours.exists():
        values = load_file(ours)
        return values["ids"], values["logits"], 1e-4
    values = load_file(fixtures / export.parent.name / "expected.safetensors")
    return values["ids"], values[f"logits_{export.name}"], 1e-5


def check_gguf(export):
    """The header is read by the package gguf, and has as many blocks as it says."""
    reader = GGUFReader(export / GGUF)
    (n_blocks,) = (field.contents() for key, field in reader.fields.items() if key.endswith(".block_count"))
    blocks = {tensor.name.split(".")[1] for tensor in reader.tensors if tensor.name.startswith("blk.")}
    assert blocks == {str(block) for block in range(n_blocks)}, f"{n_blocks} blocks, and tensors of {sorted(blocks)}"


def main(exports, fixtures):
    worst = 0.0
    for export in sorted(path for path in exports.glob("*/*") if path.is_dir()):
        ids, wanted, allowed = expected(export, fixtures)
        if (export / GGUF).exists():
            check_gguf(export)
        try:
            found = logits(export, ids)[-len(wanted) :]
        except ValueError as error:  # an architecture whose GGUF transformers does not read
            if "not supported" not in str(error):
                raise
            print(f"{export.parent.name} {export.name}: skipped: transformers cannot read it: {error}")
            continue
        difference = ((found - wanted).abs().max() / wanted.abs().max()).item()
        worst = max(worst, difference)
        print(f"{export.parent.name} {export.name}: {difference:.1e}")
        assert difference < allowed, "transformers computes something else"
    print(f"largest difference: {worst:.1e}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
