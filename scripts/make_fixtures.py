"""Make the small model files that the tests read, with reference values from transformers and gguf.

Usage:

    pip install torch transformers accelerate safetensors gguf tokenizers
    python scripts/make_fixtures.py tests/fixtures

Everything is seeded: the same package versions give the same bytes. Each file is checked after it is
written (reloaded from disk and compared with what was meant); a failed check stops the script. The
README.md left in the output directory says what each file is and which versions made it.
"""

import copy
import json
import platform
import sys
from importlib.metadata import version
from pathlib import Path

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as QT
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.utils import logging as hf_logging

from family_ggufs import llama3_factors
from make_family_fixtures import make_families
from reference_values import EDIT_TAIL, edit_orders, expected_values

PACKAGES = ["torch", "transformers", "accelerate", "safetensors", "tokenizers", "gguf", "numpy"]
MAX_BYTES = 100_000
MAX_TOTAL = 3_000_000
BATCH = 2

GQA = dict(
    hidden_size=24, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, head_dim=10,
    intermediate_size=32, vocab_size=300, tie_word_embeddings=True, rms_norm_eps=1e-5,
    max_position_embeddings=128, rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
    bos_token_id=0, eos_token_id=0,
)
UNTIED = dict(
    hidden_size=16, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, head_dim=8,
    intermediate_size=28, vocab_size=300, tie_word_embeddings=False, attention_bias=True, mlp_bias=True,
    rms_norm_eps=1e-6, max_position_embeddings=128, bos_token_id=0, eos_token_id=0,
    rope_parameters={
        "rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0,
        "high_freq_factor": 4.0, "original_max_position_embeddings": 16,
    },
)
HALF = dict(
    hidden_size=16, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2,
    intermediate_size=28, vocab_size=96, tie_word_embeddings=True, rms_norm_eps=1e-5,
    max_position_embeddings=128, rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
    bos_token_id=0, eos_token_id=0,
)

# name, config, stored dtype, seed, positions, config.json in the transformers 4 key style?
CHECKPOINTS = [
    ("llama-gqa", GQA, torch.float32, 1, 12, False),
    ("llama-untied", UNTIED, torch.float32, 2, 20, True),
    ("llama-bf16", HALF, torch.bfloat16, 3, 16, True),
    ("llama-f16", HALF, torch.float16, 3, 16, False),
]

CORPUS = """\
A river lays down its sediment one flood at a time. The heavier grains settle first, then the sand, then the
silt, and when the water is still again the finest clay comes to rest on top of everything else. In a thousand
years the layers are stone, and whoever cuts through them can read the order in which they came. That is the
whole of the method: the lower layer is the older one, unless something has turned the pile over.

It isn't always so simple. There are places where the layers don't lie flat, where they're folded or they've
been worn away before the next was laid. We'll find that a layer is missing here and is there twice; and the
reader who can't tell the one from the other won't get the history right. In 1669 it was written down as a law,
and in 1815 there was a map; 200 years later there are 12345 maps and the law hasn't changed.

def read(layers):
    for layer in layers:
        if layer.is_missing():
            return None
        print(layer.name, layer.age)
    return layers[0]
"""

TEXTS = [
    "The lower layer is the older one.",
    "two  spaces   three    four",
    " leading space",
    "trailing space ",
    "line one\nline two\n\nline four\r\n",
    "\ttab\t\tin the middle\t",
    "12345 in 2024",
    "a  5   17\n 8 layers in 2024's 3rd  x9y",
    "3.14159, 1e-5, 0x1F and 1,000,000",
    "def f(x):\n    return x[0] + {'a': 1}[\"a\"]  # done\n",
    "family \U0001f468\u200d\U0001f469\u200d\U0001f467 and flag \U0001f1eb\U0001f1f7!",
    "\u5730\u5c64\u306f\u53e4\u3044\u3002\u6df1\u5c42\u5b66\u4e60 123",
    "e\u0301 is not \u00e9; n\u0303 o\u0308 a\u030a",
    "don't they'll we've I'm she'd it's 'quoted' DON'T",
    "wait... what?! (no) [yes] <maybe> -- \u2014 \u201cquoted\u201d & co.",
    "",
    " ",
    "\n",
    "<|endoftext|>",
    "before<|endoftext|>after <|endoftext|> <|endoftext",
    "\u00a0no-break\u3000wide\u2003em",
    "CamelCase snake_case kebab-case UPPER lower\u00df",
    "\u041f\u0440\u0438\u0432\u0435\u0442, \u03ba\u03cc\u03c3\u03bc\u03b5 \u0645\u0631\u062d\u0628\u0627",
    "x\u00b2 \u00bd \u2167 \u0663\u0664 digits that are not ASCII",
]


# ---- checkpoints ---------------------------------------------------------------------------------


def random_parameter(name, shape, generator):
    """Wide enough that attention is far from uniform, and no gain is one and no bias zero."""
    noise = torch.randn(shape, generator=generator)
    if "norm" in name:
        return 1 + 0.25 * noise
    if "q_proj.weight" in name or "k_proj.weight" in name:
        return 0.3 * noise
    return 0.2 * noise


def random_model(settings, seed):
    model = LlamaForCausalLM(LlamaConfig(**settings, attn_implementation="eager")).eval()
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        parameter.copy_(random_parameter(name, parameter.shape, generator))
    return model


def save_checkpoint(model, dtype, path):
    """Store the model in `dtype`, and leave it holding the stored values as f32."""
    copy.deepcopy(model).to(dtype).save_pretrained(path)
    for parameter in model.parameters():
        parameter.copy_(parameter.to(dtype).float())


def use_old_config_keys(path):
    """Rewrite config.json the way transformers 4 wrote it."""
    config = json.loads(path.read_text())
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope.pop("rope_theta")
    config["rope_scaling"] = None if rope["rope_type"] == "default" else rope
    config["torch_dtype"] = config.pop("dtype")
    del config["transformers_version"]
    if config["head_dim"] * config["num_attention_heads"] == config["hidden_size"]:
        del config["head_dim"]
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def make_checkpoint(out, name, settings, dtype, seed, positions, old_keys):
    path = out / name
    model = random_model(settings, seed)
    save_checkpoint(model, dtype, path)
    if old_keys:
        use_old_config_keys(path / "config.json")
    generator = torch.Generator().manual_seed(seed + 100)
    ids = torch.randint(settings["vocab_size"], (BATCH, positions), generator=generator)
    expected = expected_values(model, ids)
    save_file(expected, path / "expected.safetensors")
    check_checkpoint(path)
    return model


def check_checkpoint(path):
    model = LlamaForCausalLM.from_pretrained(path, dtype=torch.float32, attn_implementation="eager").eval()
    saved = load_file(path / "expected.safetensors")
    again = expected_values(model, saved["ids"].long())
    for name, value in saved.items():
        torch.testing.assert_close(again[name], value, rtol=0, atol=1e-6, msg=f"{path.name}: {name} differs")
    total = saved["resid"][:-1] + saved["attn_out"] + saved["mlp_out"]
    torch.testing.assert_close(total, saved["resid"][1:], rtol=0, atol=1e-5)
    for name in edit_orders(len(model.model.layers)):
        assert (saved[f"logits_{name}"] - saved["logits"][0, -EDIT_TAIL:]).abs().max() > 0.1, name


# ---- tokenizer -----------------------------------------------------------------------------------


def make_tokenizer(path, vocab_size):
    tokenizer = Tokenizer(models.BPE())
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=["<|endoftext|>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator([CORPUS], trainer)
    assert tokenizer.get_vocab_size() == vocab_size and tokenizer.token_to_id("<|endoftext|>") == 0
    tokenizer.save(str(path / "tokenizer.json"))
    write_token_cases(Tokenizer.from_file(str(path / "tokenizer.json")), path / "tokens.json")


def write_token_cases(tokenizer, path):
    cases = [{"text": text, "ids": tokenizer.encode(text, add_special_tokens=False).ids} for text in TEXTS]
    for case in cases:
        assert tokenizer.decode(case["ids"], skip_special_tokens=False) == case["text"], case
    lines = ",\n".join(json.dumps(case) for case in cases)
    path.write_text(f"[\n{lines}\n]\n")


# ---- GGUF checkpoints ----------------------------------------------------------------------------


def permute(weight, heads):
    """From rotating the two halves of a head to rotating adjacent pairs."""
    return weight.reshape(heads, 2, -1, *weight.shape[1:]).swapaxes(1, 2).reshape(weight.shape)


def unpermute(weight, heads):
    return weight.reshape(heads, -1, 2, *weight.shape[1:]).swapaxes(1, 2).reshape(weight.shape)


def rotary_heads(name, config):
    """How many heads the rows of this tensor are cut into, if they are rotated."""
    return {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}.get(name.split(".")[-2])


def gguf_tensors(model):
    """(name in transformers, name in GGUF, values as GGUF has them) for every tensor of the model."""
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, model.config.num_hidden_layers)
    for name, parameter in model.named_parameters():
        value = parameter.numpy()
        if heads := rotary_heads(name, model.config):
            value = permute(value, heads)
        yield name, names.get_name(name, try_suffixes=(".weight", ".bias")), np.ascontiguousarray(value)


def write_metadata(writer, config):
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)


def write_tokenizer(writer, path):
    """The vocabulary of a tokenizer.json; the GGUF has none if there is no such file."""
    if not path.exists():
        writer.add_tokenizer_model("none")
        return
    tokenizer = json.loads(path.read_text())
    vocab = sorted(tokenizer["model"]["vocab"].items(), key=lambda item: item[1])
    special = {token["content"] for token in tokenizer["added_tokens"] if token["special"]}
    kinds = [gguf.TokenType.CONTROL if token in special else gguf.TokenType.NORMAL for token, _ in vocab]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list([token for token, _ in vocab])
    writer.add_token_types(kinds)
    writer.add_token_merges([" ".join(pair) for pair in tokenizer["model"]["merges"]])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    writer.add_add_bos_token(False)


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def make_gguf(model, path):
    writer = gguf.GGUFWriter(path / "model.gguf", "llama")
    write_metadata(writer, model.config)
    write_tokenizer(writer, path / "tokenizer.json")
    rope = model.config.rope_parameters
    if rope["rope_type"] == "llama3":
        writer.add_tensor("rope_freqs.weight", llama3_factors(rope, model.config.head_dim))
    for _, name, value in gguf_tensors(model):
        writer.add_tensor(name, value)
    finish(writer)
    check_gguf(model, path)


def check_gguf(model, path):
    reader = gguf.GGUFReader(path / "model.gguf")
    stored = {tensor.name: tensor.data for tensor in reader.tensors}
    original = load_file(path / "model.safetensors")
    for name, gguf_name, _ in gguf_tensors(model):
        value = stored.pop(gguf_name)
        if heads := rotary_heads(name, model.config):
            value = unpermute(value, heads)
        assert np.array_equal(value, original.pop(name).numpy()), name
    assert not original and set(stored) <= {"rope_freqs.weight"}
    if "rope_freqs.weight" in stored:
        check_rope_factors(model, stored["rope_freqs.weight"])
    else:
        check_gguf_logits(path)


def check_rope_factors(model, factors):
    head_dim, theta = model.config.head_dim, model.config.rope_parameters["rope_theta"]
    plain = theta ** -(torch.arange(0, head_dim, 2) / head_dim)
    scaled = model.model.rotary_emb.inv_freq
    torch.testing.assert_close(plain / torch.tensor(factors), scaled, rtol=1e-5, atol=0)
    assert len(set(factors.tolist())) > 1  # not one factor for all: the fastest frequency is in the blend


def check_gguf_logits(path):
    """transformers' own reader of GGUF, which knows nothing of rope_freqs or biases, gives the same logits."""
    model = LlamaForCausalLM.from_pretrained(path, gguf_file="model.gguf", dtype=torch.float32).eval()
    saved = load_file(path / "expected.safetensors")
    logits = model(saved["ids"].long(), use_cache=False).logits
    torch.testing.assert_close(logits, saved["logits"], rtol=0, atol=1e-4)


# ---- GGUF tensor types ---------------------------------------------------------------------------

SIMPLE_TYPES = [QT.F32, QT.F16, QT.BF16, QT.Q4_0, QT.Q4_1, QT.Q5_0, QT.Q5_1, QT.Q8_0]
# where the f16 scales of a 256-value block are, in bytes from its start
SCALES_AT = {QT.Q2_K: [80, 82], QT.Q3_K: [108], QT.Q4_K: [0, 2], QT.Q5_K: [0, 2], QT.Q6_K: [208]}


def random_blocks(kind, rng):
    """Two blocks of random bits under small finite scales: gguf has no quantizer for these types."""
    _, size = gguf.GGML_QUANT_SIZES[kind]
    blocks = rng.integers(0, 256, (2, size), dtype=np.uint8)
    for at in SCALES_AT[kind]:
        scales = (rng.uniform(0.001, 0.01, (2, 1)) * [[1], [-1]]).astype("<f2")
        blocks[:, at : at + 2] = scales.view(np.uint8)
    return blocks


def typed_tensors(rng):
    for kind in SIMPLE_TYPES:
        yield kind, gguf.quants.quantize(rng.standard_normal((2, 256), dtype=np.float32), kind)
    for kind in SCALES_AT:
        yield kind, random_blocks(kind, rng)


def make_types(out):
    writer = gguf.GGUFWriter(out / "gguf-types.gguf", "llama")
    values = {}
    for kind, data in typed_tensors(np.random.default_rng(4)):
        name = kind.name.lower()
        writer.add_tensor(name, data, raw_dtype=kind)
        values[name] = torch.tensor(gguf.quants.dequantize(data, kind))
    finish(writer)
    save_file(values, out / "gguf-types.safetensors")
    check_types(out)


def check_types(out):
    values = load_file(out / "gguf-types.safetensors")
    for tensor in gguf.GGUFReader(out / "gguf-types.gguf").tensors:
        assert tensor.tensor_type.name.lower() == tensor.name and tensor.shape.tolist() == [256, 2]
        value = values.pop(tensor.name).numpy()
        assert np.array_equal(gguf.quants.dequantize(tensor.data, tensor.tensor_type), value), tensor.name
        assert np.isfinite(value).all() and 0.01 < np.abs(value).mean() < 10, tensor.name
    assert not values


# ---- README and sizes ----------------------------------------------------------------------------

README = """\
# Test fixtures

Small files with random weights, made by `scripts/make_fixtures.py`, and the values that transformers, gguf and
tokenizers compute for them. To make them again, from the root of the workspace:

    pip install torch transformers accelerate safetensors gguf tokenizers
    python scripts/make_fixtures.py tests/fixtures

Made with {versions}.
The script is seeded and checks the files that it wrote. Other versions of the packages may differ in the last bits
of the expected values.

## Llama checkpoints

| directory | stored as | special properties | positions | keys of `config.json` |
|---|---|---|---|---|
| `llama-gqa` | f32 | 3 layers; 4 query heads over 2 key/value heads; `head_dim` is not `hidden_size / heads`; tied embeddings | 12 | transformers 5 |
| `llama-untied` | f32 | 2 layers; separate `lm_head`; biases on attention and MLP; llama3 rotary scaling; 1 key/value head | 20 | transformers 4 |
| `llama-bf16` | bf16 | 2 layers; equal numbers of key/value and query heads; tied embeddings; vocabulary of 96 | 16 | transformers 4 |
| `llama-f16` | f16 | the same weights as `llama-bf16` before rounding | 16 | transformers 5 |

`config.json` has the form that transformers 5 writes (`rope_parameters`, `dtype`). Where the table says
transformers 4, it has the form of older files: `rope_theta`, `rope_scaling` and `torch_dtype`, no
`transformers_version`, and no `head_dim` if that equals `hidden_size / heads`.

- `model.safetensors`, `config.json`, `generation_config.json`: a standard Hugging Face directory.
- `expected.safetensors`: computed by transformers (eager attention, f32, the weights upcast to f32), for T
  positions, hidden size d and vocabulary size V. Everything is f32 except `ids`.
  - `ids` [2, T], int32: random token ids, the input of everything below.
  - `resid` [layers + 1, 2, T, d]: the residual stream before each block, then after the last one and before
    the final norm.
  - `pattern` [layers, 2, heads, T, T]: attention after the softmax.
  - `attn_out`, `mlp_out` [layers, 2, T, d]: what each sublayer adds to the residual stream.
  - `logits` [2, T, V].
  - `logits_delete_{{l}}`, `logits_swap_{{l}}`, `logits_repeat_0` [{tail}, V]: logits of the model without block l,
    with blocks l and l + 1 swapped, and with every block run twice in a row (0, 0, 1, 1, ...). To keep the
    files small, only for the last {tail} positions of sequence 0.
- `llama-gqa/tokenizer.json`: a byte-level BPE of 300 tokens, trained on text in the script. Pre-tokenizer as in
  SmolLM2: single digits, then byte level. `<|endoftext|>` is id 0.
- `llama-gqa/tokens.json`: texts and the ids from this tokenizer, without added special tokens.
- `llama-gqa/model.gguf`, `llama-untied/model.gguf`: the same f32 weights in the layout of llama.cpp's
  converter. The rows of the query and key weights and biases are permuted, because GGUF rotates adjacent pairs
  and transformers rotates halves. The first file has the tokenizer (`tokenizer.ggml.pre` is `smollm`) and no
  `output.weight`, because its embeddings are tied. The second file has `output.weight`, biases, and llama3 scaling
  as a tensor of divisors of the frequencies, `rope_freqs.weight` (no `rope.scaling` keys); its
  `tokenizer.ggml.model` is `none`.

## Other families

Made by `scripts/make_family_fixtures.py`, with the same `expected.safetensors` as the Llama checkpoints. The output of a
sublayer is taken after its own norm if it has one (Gemma). transformers selects masks and rotary positions by the index in
the list of layers, so the list of layer types was permuted with the layers.

| directory | stored as | special properties | keys of `config.json` |
|---|---|---|---|
| `gpt2` | f32 | names without `transformer.`; causal masks stored as `h.N.attn.bias`; tied | the hub's |
| `gpt2-prefixed` | f16 | names with `transformer.`; untied head; ReLU; `n_inner` that is not `4 n_embd` | transformers 5 |
| `neox-parallel` | f32 | a quarter of a head rotated; masks and rotary tables stored; untied | the hub's (Pythia) |
| `neox-sequential` | bf16 | sequential residual; whole heads rotated; attention without biases; tied | transformers 5 |
| `phi` | f16 | two fifths of a head rotated (8 of 20); a bias in the head | the hub's |
| `phi-gqa` | f32 | half of a head rotated; 4 query heads over 2 | transformers 5 |
| `mistral` | f32 | sliding window of 5 in every layer, text of 16; 4 heads over 2, of 6 in a width of 20 | the hub's |
| `qwen2` | f32 | 8 shards with an index; biases of query, key and value; tied | the hub's |
| `qwen2-sliding` | f32 | window of 4 from layer 1 on; untied | transformers 5 |
| `qwen3` | bf16 | norms of query and key; heads of 6 in a width of 20; tied | transformers 5 |
| `gemma3` | f32 | 7 layers, the sixth has full attention with linear scaling; two rotary bases; window of 5 | the hub's |
| `gemma3-plain` | bf16 | the first of 3 layers has full attention; attention scale that does not follow from the head width | transformers 5 |

Some directories also have a `model.gguf` with the same values in the layout of llama.cpp's converter
(`scripts/family_ggufs.py`): the matrices of GPT-2 transposed, the fused tensor of GPT-NeoX split into query, key and
value, one added to the gains of Gemma, the matrices of Phi in f16.

## Tokenizers

`tokenizers/` is made by `scripts/make_tokenizers.py`: a small tokenizer of each kind as `tokenizer.json` and as the metadata
of a GGUF. `ids.json` has the results of the tokenizers library for `texts.json` and for ids that cut characters.

## GGUF tensor types

`gguf-types.gguf` has a tensor of [2, 256] values for each type: {types}.
The K types are random bits with small scales, the others quantized normal noise. `gguf-types.safetensors` has
the f32 values from `gguf.quants.dequantize`, under the same names.

`gguf-more-types.gguf` and `gguf-more-types.safetensors` are the same for types that gguf cannot write, by
`scripts/make_gguf_types.py`.
"""


def write_readme(out):
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    types = ", ".join(f"`{kind.name.lower()}`" for kind in [*SIMPLE_TYPES, *SCALES_AT])
    text = README.format(versions=f"Python {platform.python_version()}, {versions}", types=types, tail=EDIT_TAIL)
    (out / "README.md").write_text(text)


def check_sizes(out):
    sizes = {path: path.stat().st_size for path in sorted(out.rglob("*")) if path.is_file()}
    for path, size in sizes.items():
        print(f"{size:7} {path.relative_to(out)}")
    print(f"{sum(sizes.values()):7} in all")
    assert max(sizes.values()) < MAX_BYTES and sum(sizes.values()) < MAX_TOTAL


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: make_fixtures.py OUTPUT_DIRECTORY")
    out = Path(sys.argv[1])
    torch.set_grad_enabled(False)
    torch.set_num_threads(1)
    hf_logging.set_verbosity_error()
    hf_logging.disable_progress_bar()
    built = {case[0]: make_checkpoint(out, *case) for case in CHECKPOINTS}
    make_tokenizer(out / "llama-gqa", GQA["vocab_size"])
    for name in ["llama-gqa", "llama-untied"]:
        make_gguf(built[name], out / name)
    make_types(out)
    make_families(out)
    write_readme(out)
    check_sizes(out)


if __name__ == "__main__":
    main()
