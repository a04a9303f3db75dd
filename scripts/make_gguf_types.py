"""Make tests/fixtures/gguf-more-types.gguf: tensors of the types that gguf can read and not write.

    pip install gguf safetensors
    python scripts/make_gguf_types.py tests/fixtures

Each tensor is [2, 256] random bits under small finite scales. gguf-more-types.safetensors has the values of
gguf.quants.dequantize under the same names; for Q8_K and Q1_0, which gguf does not read either, those of the few lines below.
"""

import sys
from pathlib import Path

import gguf
import numpy as np
from gguf import GGML_QUANT_SIZES, GGUFReader, GGUFWriter
from gguf import GGMLQuantizationType as QT
from safetensors.numpy import load_file, save_file

SHAPE = (2, 256)
# Where a block has its scale, as f16.
F16_SCALES_AT = {
    QT.IQ2_XXS: 0, QT.IQ2_XS: 0, QT.IQ2_S: 0, QT.IQ3_XXS: 0, QT.IQ3_S: 0, QT.IQ1_S: 0, QT.IQ4_NL: 0, QT.IQ4_XS: 0,
    QT.TQ1_0: 52, QT.TQ2_0: 64, QT.Q1_0: 0,
}
TYPES = [*F16_SCALES_AT, QT.IQ1_M, QT.MXFP4, QT.Q8_K]


def blocks(kind, rng):
    size, n_bytes = GGML_QUANT_SIZES[kind]
    n = SHAPE[0] * SHAPE[1] // size
    data = rng.integers(0, 256, (n, n_bytes), dtype=np.uint8)
    scales = rng.uniform(0.002, 0.02, n)
    halves = scales.astype(np.float16).view(np.uint16)
    if kind in F16_SCALES_AT:
        at = F16_SCALES_AT[kind]
        data[:, at:at + 2] = halves[:, None].view(np.uint8)
    elif kind == QT.IQ1_M:
        # The four upper bits of each of the last four numbers are the scale.
        packed = data[:, 48:].copy().view(np.uint16) & 0x0FFF
        for nibble in range(4):
            packed[:, nibble] |= ((halves >> (4 * nibble)) & 0xF) << 12
        data[:, 48:] = packed.view(np.uint8)
    elif kind == QT.MXFP4:
        data[:, 0] = rng.integers(115, 124, n)  # a power of two: 127 is one
    elif kind == QT.Q8_K:
        data[:, :4] = scales.astype(np.float32)[:, None].view(np.uint8)
    return data


def values(kind, data):
    if kind == QT.Q8_K:
        found = data[:, :4].copy().view(np.float32) * data[:, 4:260].view(np.int8).astype(np.float32)
    elif kind == QT.Q1_0:
        bits = np.unpackbits(data[:, 2:], axis=1, bitorder="little").astype(np.float32)
        found = data[:, :2].copy().view(np.float16).astype(np.float32) * (2 * bits - 1)
    else:
        found = gguf.quants.dequantize(data.reshape(SHAPE[0], -1), kind)
    return np.ascontiguousarray(found.reshape(SHAPE).astype(np.float32))


def main():
    out, rng = Path(sys.argv[1]), np.random.default_rng(7)
    writer, expected = GGUFWriter(out / "gguf-more-types.gguf", "llama"), {}
    for kind in TYPES:
        data, name = blocks(kind, rng), kind.name.lower()
        expected[name] = values(kind, data)
        assert np.isfinite(expected[name]).all() and np.unique(expected[name]).size > 2 - (kind == QT.Q1_0), name
        writer.add_tensor(name, data.reshape(SHAPE[0], -1), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    save_file(expected, out / "gguf-more-types.safetensors")
    read = load_file(out / "gguf-more-types.safetensors")
    for tensor in GGUFReader(out / "gguf-more-types.gguf").tensors:
        size, n_bytes = GGML_QUANT_SIZES[tensor.tensor_type]
        data = np.array(tensor.data).reshape(-1, n_bytes)
        assert np.array_equal(values(tensor.tensor_type, data), read[tensor.name]), tensor.name


if __name__ == "__main__":
    main()
