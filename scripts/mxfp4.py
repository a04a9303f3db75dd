"""Store the experts of a gpt-oss model in MXFP4, as the checkpoints of the hub have them."""

import json

import numpy as np
import torch
from safetensors.torch import load_file, save_file

VALUES = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6])


def random_weight(shape, rng):
    """Blocks of 32 values, two in a byte, and their exponents, for a weight of `shape` [experts, out, in]."""
    *rows, width = shape
    blocks = rng.integers(0, 256, (*rows, width // 32, 16), dtype=np.uint8)
    scales = rng.integers(121, 125, (*rows, width // 32), dtype=np.uint8)  # 127 is a factor of one
    return blocks, scales


def dequantised(blocks, scales):
    pairs = np.stack([VALUES[blocks & 15], VALUES[blocks >> 4]], axis=-1).reshape(*scales.shape, 32)
    values = pairs * 2.0 ** (scales.astype(int)[..., None] - 127)
    return values.reshape(*scales.shape[:-1], -1).astype(np.float32)


def store_experts(model, path, seed):
    """Put random weights in MXFP4 in the place of the experts' in the model and in its files."""
    rng = np.random.default_rng(seed)
    file = path / "model.safetensors"
    tensors = load_file(file)
    for name, parameter in model.named_parameters():
        if name.endswith(("experts.gate_up_proj", "experts.down_proj")):
            blocks, scales = random_weight(parameter.transpose(1, 2).shape, rng)
            parameter.copy_(torch.tensor(dequantised(blocks, scales)).transpose(1, 2))
            del tensors[name]
            tensors |= {f"{name}_blocks": torch.tensor(blocks), f"{name}_scales": torch.tensor(scales)}
    save_file(tensors, file, metadata={"format": "pt"})
    file = path / "config.json"
    config = json.loads(file.read_text())
    kept = ["model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"]
    config["quantization_config"] = {"modules_to_not_convert": kept, "quant_method": "mxfp4"}
    file.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
