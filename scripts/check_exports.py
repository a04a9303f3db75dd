"""Open exported checkpoints with transformers and the package gguf, and compare their logits with those of the plan.

    STRATIGRAPH_EXPORTS=DIR STRATIGRAPH_SOURCES=MODEL[:MODEL ...] \\
        cargo test --release --workspace --all-features exports_ -- --ignored
    python scripts/check_exports.py DIR tests/fixtures

DIR/NAME/EDIT is an export. Of a fixture NAME and an edit `delete_0`, `swap_0` or `repeat_0`, transformers has computed the logits
with an edited list of layers. DIR/NAME/EDIT.safetensors has the logits of our plan on the original, and DIR/NAME/whole.safetensors
those of the original as it is. Exports of a GGUF that transformers cannot read, or of which it computes other logits than ours of
the very original, are skipped with the reason; the package gguf reads their headers all the same.
"""

import sys
import tempfile
from pathlib import Path

import torch
from gguf import GGUFReader
from safetensors import safe_open
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM
from transformers.utils import logging

from reference_values import with_alibi_once

GGUF = "model.gguf"
OF_PLANS = 1e-4  # the difference that is allowed from our logits, as a fraction of their scale
OF_TRANSFORMERS = 1e-5  # and from those that transformers gave for an edited list of layers


@torch.no_grad()
def logits(directory, ids):
    """Logits `[pos, vocab]` of a model for token ids `[1, pos]`."""
    options = {"attn_implementation": "eager"}
    if (directory / GGUF).exists():
        # transformers counts the tokens of a list that a file without a tokenizer does not have.
        embedding = next(tensor for tensor in GGUFReader(directory / GGUF).tensors if tensor.name == "token_embd.weight")
        options |= {"gguf_file": GGUF, "vocab_size": int(embedding.shape[1])}
    else:
        options["experts_implementation"] = "eager"
    model = with_alibi_once(AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32, **options).eval())
    return model(ids.long(), use_cache=False).logits[0]


def difference(found, wanted):
    """The largest, as a fraction of the scale; infinite where the shapes differ."""
    found = found[-len(wanted) :]
    if found.shape != wanted.shape:
        return float("inf")
    return ((found - wanted).abs().max() / wanted.abs().max()).item()


def expected(export, fixtures):
    """Token ids, the logits of the last positions, and the difference that is allowed."""
    ours = export.with_suffix(".safetensors")
    if ours.exists():
        values = load_file(ours)
        return values["ids"], values["logits"], OF_PLANS
    values = load_file(fixtures / export.parent.name / "expected.safetensors")
    return values["ids"], values[f"logits_{export.name}"], OF_TRANSFORMERS


def why_not(name):
    """Why transformers does not give the logits of the GGUF that the exports in this directory were made from."""
    with safe_open(name / "whole.safetensors", "pt") as values:
        original = Path(values.metadata()["original"])
        ids, wanted = values.get_tensor("ids"), values.get_tensor("logits")
    with tempfile.TemporaryDirectory() as alone:  # without the configuration that may lie beside it
        (Path(alone) / GGUF).symlink_to(original)
        try:
            found = logits(Path(alone), ids)
        except Exception as error:  # whatever its reader stumbles over
            return f"transformers cannot read the original GGUF: {type(error).__name__}: {str(error).splitlines()[0]}"
    apart = difference(found, wanted)
    return None if apart < OF_PLANS else f"transformers reads the original GGUF otherwise (difference {apart:.1e})"


def check_gguf(export):
    """The header is read by the package gguf, and has as many blocks as it says."""
    reader = GGUFReader(export / GGUF)
    (n_blocks,) = (field.contents() for key, field in reader.fields.items() if key.endswith(".block_count"))
    blocks = {tensor.name.split(".")[1] for tensor in reader.tensors if tensor.name.startswith("blk.")}
    assert blocks == {str(block) for block in range(n_blocks)}, f"{n_blocks} blocks, and tensors of {sorted(blocks)}"


def main(exports, fixtures):
    reasons, compared = {}, {}
    skipped, wrong = 0, []
    for export in sorted(path for path in exports.glob("*/*") if path.is_dir()):
        name = f"{export.parent.name} {export.name}"
        kind = "directories"
        if (export / GGUF).exists():
            kind = "GGUF files"
            check_gguf(export)
            if export.parent not in reasons:
                reasons[export.parent] = why_not(export.parent)
            if reasons[export.parent] is not None:
                print(f"{name}: skipped: {reasons[export.parent]}")
                skipped += 1
                continue
        ids, wanted, allowed = expected(export, fixtures)
        apart = difference(logits(export, ids), wanted)
        print(f"{name}: {apart:.1e}" + ("" if apart < allowed else ": transformers computes something else"))
        if not apart < allowed:
            wrong.append(name)
        compared.setdefault(kind, []).append(apart)
    for kind, differences in compared.items():
        print(f"{len(differences)} {kind}, largest difference: {max(differences):.1e}")
    print(f"{skipped} GGUF files skipped")
    sys.exit(f"wrong: {', '.join(wrong)}" if wrong else 0)


if __name__ == "__main__":
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    main(Path(sys.argv[1]), Path(sys.argv[2]))
