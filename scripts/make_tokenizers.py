"""Make small tokenizers of every kind, each as a `tokenizer.json` and as the GGUF that llama.cpp's converter would write.

    pip install tokenizers gguf
    python scripts/make_tokenizers.py tests/fixtures/tokenizers

With more arguments, `KIND=tokenizer.json` each, it takes tokenizers that people use in place of its own, and thousands of
random texts: the test reads them from the directory that STRATIGRAPH_TOKENIZERS names.

    python scripts/make_tokenizers.py /tmp/real qwen2=path/to/tokenizer.json llama-spm=path/to/other.json

Each directory has `ids.json` with what the tokenizers library gives for the texts of `texts.json`.
"""

import json
import random
import sys
from pathlib import Path

import gguf
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from make_fixtures import CORPUS, TEXTS

SPACE = "\u2581"
MORE_TEXTS = [
    "\u00c5ngstr\u00f6m is A\u030angstro\u0308m; \ufb01 \uff21 \u2126",
    " " * 5 + "five" + " " * 17 + "seventeen" + " " * 40 + "forty",
    "\n\n\n\t\t\t\n \n  \n",
    "\U0001f9d1\u200d\U0001f680 \u0928\u092e\u0938\u094d\u0924\u0947 \u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35 \ud55c\uad6d\uc5b4",
    "<s>not a start</s> <unk> <0x41> <|im_start|>user\n[INST] x [/INST]",
    f"a{SPACE}b {SPACE}{SPACE}c",
    "HTTPServer parseJSON fooBar iPhone McDonald",
    "path/to//file\n/usr/bin\r\n",
]
ALL_TEXTS = TEXTS + MORE_TEXTS
CUT_TEXT = "\u5c64 \U0001f468\u200d\U0001f469\u200d\U0001f467 \u00e9e\u0301\n  x"  # many bytes a character

PATTERNS = {
    "llama-bpe": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "dbrx": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "gpt-4o": r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "bloom": " ?[^(\\s|[.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c])]+",  # as BLOOM's file has it, with a set inside a set
    "qwen2": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "tekken": r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
}
# Tokens that are added behind the vocabulary, as GPT-NeoX and Phi-2 have them for runs of spaces.
ADDED = {"olmo": [" " * n for n in range(12, 1, -1)], "phi-2": [" " * n for n in range(8, 1, -1)] + ["\t\t", "\t\t\t"]}
BYTE_LEVEL = [
    "gpt-2", "phi-2", "olmo", "smollm", "llama-bpe", "qwen2", "tekken", "dbrx", "gpt-4o", "bloom", "command-r", "falcon",
]
SENTENCE_PIECE = ["llama-spm", "gemma-spm"]


def byte_level(kind):
    tokenizer = Tokenizer(models.BPE(ignore_merges=kind in ("llama-bpe", "tekken")))
    if kind in ("olmo", "qwen2", "command-r"):
        tokenizer.normalizer = normalizers.NFC()
    whole = pre_tokenizers.ByteLevel(add_prefix_space=False)
    after = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    if kind in PATTERNS:
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
            pre_tokenizers.Split(Regex(PATTERNS[kind]), "isolated"), after])
    elif kind in ("smollm", "command-r"):
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), whole])
    elif kind == "falcon":
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
            pre_tokenizers.Punctuation("contiguous"), whole, pre_tokenizers.Digits(individual_digits=False),
            pre_tokenizers.Split(Regex("[0-9][0-9][0-9]"), "isolated")])
    else:
        tokenizer.pre_tokenizer = whole
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator([CORPUS, *ALL_TEXTS], trainers.BpeTrainer(
        vocab_size=420, special_tokens=["<|endoftext|>", "<|im_start|>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.add_tokens([AddedToken(text, normalized=True) for text in ADDED.get(kind, [])])
    return json.loads(tokenizer.to_str())


def sentence_piece(kind):
    """Bytes, then merged pieces from the most frequent, then characters, as SentencePiece orders them."""
    trained = Tokenizer(models.BPE())
    trained.normalizer = normalizers.Replace(" ", SPACE)
    trained.pre_tokenizer = pre_tokenizers.Split(SPACE, "merged_with_next")
    trained.train_from_iterator([CORPUS], trainers.BpeTrainer(vocab_size=330, show_progress=False))
    pieces = sorted(trained.get_vocab().items(), key=lambda item: item[1])
    merged = [piece for piece, _ in pieces if len(piece) > 1]
    characters = [piece for piece, _ in pieces if len(piece) == 1]
    special = ["<unk>", "<s>", "</s>"]
    own = [SPACE * n for n in range(2, 9)] + ["\n" * n for n in range(1, 4)] + ["<td>"] if kind == "gemma-spm" else []
    merged, characters = ([piece for piece in part if piece not in own] for part in (merged, characters))
    tokens = special + own + [f"<0x{byte:02X}>" for byte in range(256)] + merged + characters
    vocab = {token: id for id, token in enumerate(tokens)}
    scores = {token: -float(rank) for rank, token in enumerate(merged + characters, 1)} | dict.fromkeys(own, 0.0)
    pairs = [(scores[token], token[:at], token[at:]) for token in scores for at in range(1, len(token))
             if token[:at] in vocab and token[at:] in vocab]
    prefixed = kind == "llama-spm"
    ties = (lambda l, r: (vocab[l], vocab[r])) if prefixed else (lambda l, r: (-len(l), -len(r)))
    pairs.sort(key=lambda pair: (-pair[0], ties(*pair[1:])))
    merges = [pair[1:] for pair in pairs]
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    replace = normalizers.Replace(" ", SPACE)
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend(SPACE), replace]) if prefixed else replace
    last = [decoders.Strip(" ", 1, 0)] if prefixed else []
    tokenizer.decoder = decoders.Sequence([
        decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), *last])
    tokenizer.add_special_tokens(special)
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in own])
    return json.loads(tokenizer.to_str())


def write_gguf(kind, tokenizer, path):
    """The metadata that llama.cpp's converter writes for this tokenizer."""
    model, added = tokenizer["model"], {token["id"]: token for token in tokenizer["added_tokens"]}
    by_id = {id: token for token, id in model["vocab"].items()} | {id: token["content"] for id, token in added.items()}
    tokens = [by_id[id] for id in range(len(by_id))]
    spm = kind in SENTENCE_PIECE
    # Pieces have a score each, and merges stand in the order of their scores.
    rank = {}
    for place, merge in enumerate(model["merges"], 1):
        rank.setdefault("".join(merge.split(" ") if isinstance(merge, str) else merge), place)
    types, scores = [], []
    for id, token in enumerate(tokens):
        looks_special = token.startswith("<unused") or token in ("<pad>", "<mask>", "<2mass>", "[@BOS@]")
        if spm and token == "<unk>":
            types.append(gguf.TokenType.UNKNOWN)
        elif id in added and (added[id]["special"] or looks_special):
            types.append(gguf.TokenType.CONTROL)
        elif id in added:
            types.append(gguf.TokenType.USER_DEFINED)
            tokens[id] = token.replace(SPACE, " ")
        elif spm and len(token) == 6 and token.startswith("<0x"):
            types.append(gguf.TokenType.BYTE)
        else:
            types.append(gguf.TokenType.NORMAL)
        scores.append(-1000.0 if id in added else -float(rank.get(token, len(rank) + id)))
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tokenizer_model("llama" if spm else "gpt2")
    writer.add_tokenizer_pre("default" if spm else kind)
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    if spm:
        writer.add_token_scores(scores)
        if kind == "gemma-spm":
            writer.add_add_space_prefix(False)
    else:
        merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
        writer.add_token_merges(merges)
    writer.add_add_bos_token(spm)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def random_texts(count):
    """Texts of parts that tokenizers treat differently, in every order."""
    rng = random.Random(5)
    parts = [" ", "  ", "\n", "\r\n", "\t", "don't", "IT'S", "word", "Word", "\u00fcber", "o\u0308", "12", "12345", "\u0663",
             "==", "!?", "...", "\u5c64\u5b66", "\ud55c", "\U0001f9d1\u200d\U0001f680", "<|endoftext|>", "<s>", SPACE, "\u00a0",
             "\u3000", "foo_bar", "fooBar", "/a/b", "\u0939\u093f", "\u202e", "\x00", "e\u0301", "\ufb01", "'s", "'", "\u2019s"]
    return ["".join(rng.choices(parts, k=rng.randint(1, 14))) for _ in range(count)] + [
        "".join(chr(rng.choice([rng.randint(32, 126), rng.randint(160, 0x2FFF), rng.randint(0x1F300, 0x1FAFF)]))
                for _ in range(rng.randint(1, 20))) for _ in range(count)]


def write(kind, tokenizer, texts, path):
    path.mkdir(parents=True, exist_ok=True)
    (path / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False))
    write_gguf(kind, tokenizer, path / "tokenizer.gguf")
    reader = Tokenizer.from_file(str(path / "tokenizer.json"))
    encode = lambda text: reader.encode(text, add_special_tokens=False).ids
    decode = lambda ids: reader.decode(ids, skip_special_tokens=False)
    cut = encode(CUT_TEXT)
    values = {
        "ids": [encode(text) for text in texts],
        "decoded": [decode(encode(text)) for text in texts],
        "cut": [[cut[:end], decode(cut[:end])] for end in range(1, len(cut) + 1)]
        + [[cut[start:], decode(cut[start:])] for start in range(1, len(cut))],
    }
    (path / "ids.json").write_text(json.dumps(values, ensure_ascii=False))


def main():
    out = Path(sys.argv[1])
    texts = ALL_TEXTS
    if len(sys.argv) > 2:
        texts = ALL_TEXTS + random_texts(2000)
        for number, argument in enumerate(sys.argv[2:]):
            kind, file = argument.split("=", 1)
            write(kind, json.loads(Path(file).read_text()), texts, out / f"{number}-{kind}")
    else:
        for kind in BYTE_LEVEL:
            write(kind, byte_level(kind), texts, out / kind)
        for kind in SENTENCE_PIECE:
            write(kind, sentence_piece(kind), texts, out / kind)
    (out / "texts.json").write_text(json.dumps(texts, ensure_ascii=False))


if __name__ == "__main__":
    main()
