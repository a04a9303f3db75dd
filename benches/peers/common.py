"""What the peers share: their arguments, the checkpoint, the windows of tokens, the metrics and the file of results.

Not run by itself, except to convert a GGUF file: `python common.py model.gguf DIRECTORY`.
"""
import argparse
import importlib.metadata
import json
import math
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

import torch
import transformers

transformers.utils.logging.disable_progress_bar()
METRICS = ("kl", "top1_agreement", "entropy_bits", "nll", "accuracy")


def parser(doc):
    """The arguments that every program here takes; `doc` is its docstring."""
    p = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", required=True, type=pathlib.Path, help="a GGUF file or a Hugging Face directory")
    p.add_argument("--text", required=True, type=pathlib.Path)
    p.add_argument("--sequences", type=int, default=8)
    p.add_argument("--seq-len", type=int, default=128)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--cache", type=pathlib.Path, default=pathlib.Path(tempfile.gettempdir(), "stratigraph-peers"),
                   help="where a GGUF file is converted to, once")
    p.add_argument("--out", type=pathlib.Path, help="a JSON file for the results")
    p.set_defaults(precision="f32")  # where a program has no option for it
    return p


def checkpoint(model, cache):
    """A Hugging Face directory of the model. A GGUF file is converted by another process, whose memory is not ours."""
    if model.is_dir():
        return model
    told = model.stat()
    directory = cache / f"{model.stem}-{told.st_size}-{told.st_mtime_ns}"
    if not directory.exists():
        cache.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, __file__, model, directory], check=True)
    return directory


def convert(gguf, directory):
    """Writes the weights of a GGUF file, unpacked to f32, and its tokenizer as a Hugging Face directory."""
    unpack = transformers.GgufConfig(dequantize=True)
    told = dict(gguf_file=gguf.name, dtype=torch.float32, quantization_config=unpack)
    loaded = transformers.AutoModelForCausalLM.from_pretrained(gguf.parent, **told)
    plain = type(loaded)(loaded.config)  # the loaded one refuses to be saved
    plain.load_state_dict(loaded.state_dict())
    with tempfile.TemporaryDirectory(dir=directory.parent) as unfinished:
        whole = pathlib.Path(unfinished, "whole")
        plain.save_pretrained(whole)
        transformers.AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(whole)
        whole.rename(directory)


def load(directory, attention, precision="f32"):
    dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[precision]
    told = dict(dtype=dtype, attn_implementation=attention)
    return transformers.AutoModelForCausalLM.from_pretrained(directory, **told)


def prepare(parser):
    """What a peer begins with: its arguments, the windows, the model with fused attention, the seconds of loading."""
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    directory = checkpoint(args.model, args.cache)
    started = time.perf_counter()
    tokens = windows(transformers.AutoTokenizer.from_pretrained(directory), args)
    model = load(directory, "sdpa", args.precision)
    return args, tokens, model, time.perf_counter() - started


def windows(tokenizer, args):
    """The first tokens of the text, no special ones among them: `[sequences, seq_len]`."""
    ids = tokenizer(args.text.read_text(), add_special_tokens=False)["input_ids"]
    wanted = args.sequences * args.seq_len
    if len(ids) < wanted:
        sys.exit(f"{args.text} has {len(ids)} tokens, not {wanted}")
    return torch.tensor(ids[:wanted]).view(args.sequences, args.seq_len)


def next_tokens(tokens):
    """The token after each position `[sequences, seq_len]`; the last of a window has none, and 0 stands there."""
    return torch.nn.functional.pad(tokens[:, 1:], (0, 1))


def measure(clean_logits, logits, targets):
    """The five metrics `[5, ..., pos]` from logits `[..., pos, d_vocab]`."""
    log_p, log_q = clean_logits.log_softmax(-1), logits.log_softmax(-1)
    top = logits.argmax(-1)
    kl = (log_p.exp() * (log_p - log_q)).sum(-1)
    entropy_bits = -(log_q.exp() * log_q).sum(-1) / math.log(2)
    nll = -log_q.gather(-1, targets[..., None])[..., 0]
    return torch.stack([kl, top == clean_logits.argmax(-1), entropy_bits, nll, top == targets])


def means(measured):
    """Means by name of `[5, sequences, seq_len]`: over all positions, or for nll and accuracy over all but the last."""
    measured = measured.double()
    kept = [m if name in METRICS[:3] else m[:, :-1] for name, m in zip(METRICS, measured)]
    return {name: m.mean().item() for name, m in zip(METRICS, kept)}


def write(args, name, load_seconds, sweep_seconds, delete, swap):
    """Tells how long it took and writes the results to `--out`."""
    packages = ("torch", "transformers", "transformer-lens")
    result = {
        "name": name,
        "load_seconds": load_seconds,
        "sweep_seconds": sweep_seconds,
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "threads": torch.get_num_threads(),
        "versions": {package: importlib.metadata.version(package) for package in packages},
        "delete": delete,
        "swap": swap,
    }
    print(f"{name}: {sweep_seconds:.1f}s, {load_seconds:.1f}s to load, {result['peak_rss_bytes'] / 1e9:.2f} GB")
    if args.out:
        args.out.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    convert(*map(pathlib.Path, sys.argv[1:]))
