"""Make a small tokenizer that begins texts with BOS, as Gemma's does, and what transformers computes for windows with BOS.

    pip install torch transformers tokenizers
    python scripts/make_gemma_bos.py tests/fixtures

The model is the fixture `gemma3`. Windows are BOS and 15 tokens of the text each, one after the other. `expected.json` has for
each window its ids, the loss of every prediction (that of the first token after BOS included), and the mean length of the
residual stream before each layer over the positions after BOS.
"""

import json
import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

SPACE = "\u2581"
SEQ_LEN, N_WINDOWS = 16, 4
TEXT = (
    "a window begins with a token that no text has. the model has learned to rest its attention there. without it the first "
    "word of a window has to do what that token does, and the loss is larger than it should be.\n"
)


def tokenizer():
    trained = Tokenizer(models.BPE(unk_token="<unk>"))
    trained.normalizer = normalizers.Replace(" ", SPACE)
    trained.pre_tokenizer = pre_tokenizers.Split(SPACE, "merged_with_next")
    trained.decoder = decoders.Replace(SPACE, " ")
    special = ["<pad>", "<eos>", "<bos>", "<unk>"]
    trained.train_from_iterator([TEXT], trainers.BpeTrainer(vocab_size=96, special_tokens=special, show_progress=False))
    bos = trained.token_to_id("<bos>")
    trained.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", bos)])
    return trained


def main():
    fixtures = Path(sys.argv[1])
    out = fixtures / "gemma3-bos"
    out.mkdir(exist_ok=True)
    (out / "text.txt").write_text(TEXT)
    made = tokenizer()
    made.save(str(out / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "add_bos_token": True, "bos_token": "<bos>", "eos_token": "<eos>"}
    (out / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
    read = PreTrainedTokenizerFast.from_pretrained(out)
    with_bos = read(TEXT)["input_ids"]
    assert with_bos[0] == read.bos_token_id == 2 and max(with_bos) < 96
    text = with_bos[1:]
    windows = [[2] + text[start : start + SEQ_LEN - 1] for start in range(0, N_WINDOWS * (SEQ_LEN - 1), SEQ_LEN - 1)]
    assert all(len(window) == SEQ_LEN for window in windows)
    model = AutoModelForCausalLM.from_pretrained(fixtures / "gemma3", dtype=torch.float32, attn_implementation="eager").eval()
    ids = torch.tensor(windows)
    with torch.no_grad():
        result = model(ids, output_hidden_states=True)
    log_probs = torch.log_softmax(result.logits[:, :-1].double(), -1)
    losses = -log_probs.gather(-1, ids[:, 1:, None]).squeeze(-1)
    norms = [state[:, 1:].double().norm(dim=-1).mean().item() for state in result.hidden_states[:-1]]
    expected = {"seq_len": SEQ_LEN, "ids": windows, "nll": losses.tolist(), "resid_norm": norms}
    (out / "expected.json").write_text(json.dumps(expected) + "\n")


main()
