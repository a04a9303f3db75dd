#!/usr/bin/env python3
"""Writes a checkpoint of the shape of Llama-3.2-3B with random weights: 6.4 GB of f16 in shards, to try what is larger than
memory. Its tokenizer is that of the model in the box.

    pip install numpy
    python3 scripts/make_large_checkpoint.py DIRECTORY [--layers 28]
"""
import argparse
import json
import pathlib
import shutil

import numpy

D_MODEL, N_HEADS, N_KV_HEADS, D_HEAD, D_MLP, D_VOCAB = 3072, 24, 8, 128, 8192, 128_256
SHARD_LAYERS = 4
POOL = 1 << 26  # random numbers that tensors are cut out of, from place to place


def config(n_layers):
    scaling = {"factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
               "original_max_position_embeddings": 8192, "rope_type": "llama3"}
    return {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": D_MODEL, "num_hidden_layers": n_layers,
            "num_attention_heads": N_HEADS, "num_key_value_heads": N_KV_HEADS, "head_dim": D_HEAD,
            "intermediate_size": D_MLP, "vocab_size": D_VOCAB, "max_position_embeddings": 131_072, "hidden_act": "silu",
            "rms_norm_eps": 1e-5, "rope_theta": 500_000.0, "rope_scaling": scaling, "tie_word_embeddings": True,
            "attention_bias": False, "mlp_bias": False, "torch_dtype": "float16"}


def block(layer):
    """Names and shapes of a layer's tensors."""
    name = f"model.layers.{layer}."
    q, kv = N_HEADS * D_HEAD, N_KV_HEADS * D_HEAD
    return {name + "input_layernorm.weight": [D_MODEL], name + "post_attention_layernorm.weight": [D_MODEL],
            name + "self_attn.q_proj.weight": [q, D_MODEL], name + "self_attn.k_proj.weight": [kv, D_MODEL],
            name + "self_attn.v_proj.weight": [kv, D_MODEL], name + "self_attn.o_proj.weight": [D_MODEL, q],
            name + "mlp.gate_proj.weight": [D_MLP, D_MODEL], name + "mlp.up_proj.weight": [D_MLP, D_MODEL],
            name + "mlp.down_proj.weight": [D_MODEL, D_MLP]}


def write(path, tensors, pool, random):
    """One safetensors file: the length of its header, the header, the tensors one after the other."""
    header, end = {}, 0
    for name, shape in tensors.items():
        start, end = end, end + 2 * int(numpy.prod(shape))
        header[name] = {"dtype": "F16", "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for shape in tensors.values():
            left = int(numpy.prod(shape))
            if len(shape) == 1:
                numpy.ones(left, "<f2").tofile(file)
                continue
            while left:
                start = int(random.integers(0, POOL // 2))
                part = pool[start:start + min(left, POOL // 2)]
                part.tofile(file)
                left -= len(part)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("--layers", type=int, default=28)
    args = parser.parse_args()
    args.directory.mkdir(parents=True)
    random = numpy.random.default_rng(0)
    pool = (0.02 * random.standard_normal(POOL, dtype=numpy.float32)).astype("<f2")
    shards = [{"model.embed_tokens.weight": [D_VOCAB, D_MODEL], "model.norm.weight": [D_MODEL]}]
    for first in range(0, args.layers, SHARD_LAYERS):
        layers = range(first, min(first + SHARD_LAYERS, args.layers))
        shards.append({name: shape for layer in layers for name, shape in block(layer).items()})
    index = {}
    for number, tensors in enumerate(shards):
        name = f"model-{number + 1:05}-of-{len(shards):05}.safetensors"
        write(args.directory / name, tensors, pool, random)
        index |= dict.fromkeys(tensors, name)
    (args.directory / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    (args.directory / "config.json").write_text(json.dumps(config(args.layers), indent=1))
    shutil.copy(pathlib.Path(__file__).parent.parent / "models/tiny/tokenizer.json", args.directory)


main()
