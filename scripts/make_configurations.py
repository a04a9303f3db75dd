"""Change every key of every fixture's config.json, and keep what transformers computes then.

    python scripts/make_configurations.py tests/fixtures DIR [NAME ...]
    STRATIGRAPH_CONFIGURATIONS=DIR cargo test --release --workspace changed_configurations -- --ignored --nocapture

DIR/NAME~KEY=VALUE has the changed configuration, links to the weights, and `expected.safetensors` with `ids`, `logits` and
`changes`, which is 1 where the logits are others than before. Keys are those of the file and those that transformers has a default
for; each is also left out. Where transformers cannot load the weights then, or makes some up, there is no case.
"""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import CONFIG_MAPPING, AutoModelForCausalLM
from transformers.utils import logging

from reference_values import with_alibi_once

ACTIVATIONS = ["gelu", "gelu_new", "gelu_pytorch_tanh", "quick_gelu", "relu", "relu2", "sigmoid", "silu", "swish", "tanh"]
# What is not looked at: the kind of model, and how weights are stored.
LEFT_ALONE = ["model_type", "architectures", "dtype", "torch_dtype", "quantization_config", "transformers_version"]
ROPES = [
    {"rope_type": "linear", "factor": 2.0},
    {"rope_type": "dynamic", "factor": 2.0},
    {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 8},
    {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 8, "mscale": 0.7, "mscale_all_dim": 0.9},
    {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 8, "attention_factor": 0.5, "beta_fast": 2},
    {"rope_type": "llama3", "factor": 4.0, "original_max_position_embeddings": 8, "low_freq_factor": 1.0, "high_freq_factor": 3.0},
]


def values_of(key, value):
    """Other values of a key."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, max(value - 1, 0), 1]
    if isinstance(value, float):
        return [value * 1.5 if value else 0.5, 1]
    if value is None:
        return [3, 0.5, True]
    if isinstance(value, str):
        return ACTIVATIONS if "act" in key else []
    if isinstance(value, list) and value:
        return [value[::-1], [value[0]] * len(value), []]
    return []


def is_rope(key):
    return key in ("rope_parameters", "rope_scaling")


def changes_of(config, defaults):
    """Name and configuration of each change."""
    for key, value in (defaults | config).items():
        if key in LEFT_ALONE:
            continue
        for other in values_of(key, value):
            yield f"{key}={json.dumps(other)}", config | {key: other}
        if key in config:
            yield f"{key}=absent", {name: of for name, of in config.items() if name != key}
            yield f"{key}=null", config | {key: None}
        if is_rope(key) and isinstance(value, dict) and key in config:
            yield from changes_of_rope(key, config)


def changes_of_rope(key, config):
    rope = config[key]
    for name, part in rope.items():
        inner = part if isinstance(part, dict) else None
        for other in values_of(name, part):
            yield f"{key}.{name}={json.dumps(other)}", config | {key: rope | {name: other}}
        yield f"{key}.{name}=absent", config | {key: {n: p for n, p in rope.items() if n != name}}
        for name_inside, value in (inner or {}).items():
            for other in values_of(name_inside, value):
                yield f"{key}.{name}.{name_inside}={json.dumps(other)}", config | {key: rope | {name: inner | {name_inside: other}}}
    if "rope_theta" in rope and not any(isinstance(part, dict) for part in rope.values()):
        kept = {name: rope[name] for name in ("rope_theta", "partial_rotary_factor") if name in rope}
        for index, other in enumerate(ROPES):
            yield f"{key}={other['rope_type']}{index}", config | {key: kept | other}
            older = {name: value for name, value in other.items() if name != "rope_type"} | {"type": other["rope_type"]}
            outer = {name: value for name, value in config.items() if name != key}
            yield f"older={other['rope_type']}{index}", outer | kept | {"rope_scaling": older}
        yield "older=default", {name: value for name, value in config.items() if name != key} | kept


@torch.no_grad()
def logits(path, ids):
    """None where weights are missing, or transformers gives up."""
    try:
        model, info = AutoModelForCausalLM.from_pretrained(
            path, dtype=torch.float32, attn_implementation="eager", experts_implementation="eager", output_loading_info=True
        )
        if info["missing_keys"] or info["mismatched_keys"]:
            return None
        found = with_alibi_once(model.eval())(ids, use_cache=False).logits
        return found if found.isfinite().all() else None
    except Exception:  # a configuration that transformers refuses in its own words, or stumbles over
        return None


def make(fixture, out):
    config = json.loads((fixture / "config.json").read_text())
    ids = load_file(fixture / "expected.safetensors")["ids"]
    before = logits(fixture, ids.long())
    defaults = CONFIG_MAPPING[config["model_type"]]().to_dict()
    n = 0
    for change, changed in changes_of(config, defaults):
        path = out / f"{fixture.name}~{change.replace('/', '_')[:120]}"
        if path.exists():  # two changes of a number may give the same one
            continue
        path.mkdir(parents=True)
        (path / "config.json").write_text(json.dumps(changed))
        for file in fixture.glob("model*.safetensors*"):
            (path / file.name).symlink_to(file.resolve())
        found = logits(path, ids.long())
        if found is None:
            for file in path.iterdir():
                file.unlink()
            path.rmdir()
            continue
        apart = (found - before).abs().max() / before.abs().max()
        values = {"ids": ids, "logits": found.contiguous(), "changes": (apart > 1e-6).int().reshape(1)}
        save_file(values, path / "expected.safetensors")
        n += 1
    print(f"{fixture.name}: {n} cases", flush=True)


if __name__ == "__main__":
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    fixtures, out, names = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
    for fixture in sorted(path.parent for path in fixtures.glob("*/expected.safetensors")):
        if not names or fixture.name in names:
            make(fixture, out)
