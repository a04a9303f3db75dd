#!/usr/bin/env python3
"""Makes the Word-in-Context pairs of examples/data/wic from senses.txt beside them.

Each word has two senses with three sentences each. Its pairs are the six within a sense (T) and six across (F), so half of
all pairs are true and a sentence is in as many true as false ones. Of every four words one is in dev, so that no word is
in both parts. The files are written as WiC's are: `word POS index-index sentence sentence`, and T or F.
"""
import pathlib

HERE = pathlib.Path(__file__).parent.parent / "examples/data/wic"
WITHIN = [(0, 1), (1, 2), (2, 0)]
ACROSS = [(0, 1), (1, 2), (2, 0), (1, 0), (2, 1), (0, 2)]


def sentences():
    """Each word with its part of speech, and the sentences of its senses."""
    for block in (HERE / "senses.txt").read_text().split("\n--\n"):
        lines = [line for line in block.splitlines() if line and not line.startswith("#")]
        if lines:
            assert len(lines) == 7, lines
            yield lines[0].split(), (lines[1:4], lines[4:7])


def place(sentence):
    """Where the marked word is, and the sentence without its mark."""
    words = sentence.split()
    (index,) = [i for i, word in enumerate(words) if word.startswith("*") and word.endswith("*")]
    words[index] = words[index].strip("*")
    return index, " ".join(words)


def row(word, pos, first, second):
    (i, first), (j, second) = place(first), place(second)
    return f"{word}\t{pos}\t{i}-{j}\t{first}\t{second}\n"


parts = {"train": ([], []), "dev": ([], [])}
places = {}
for (word, pos), (a, b) in sentences():
    index = places.setdefault(word, len(places))
    data, gold = parts["dev" if index % 4 == 3 else "train"]
    pairs = [(s[i], s[j], "T") for s in (a, b) for i, j in WITHIN] + [(a[i], b[j], "F") for i, j in ACROSS]
    for n, (first, second, answer) in enumerate(pairs):
        first, second = (first, second) if n % 2 else (second, first)
        data.append(row(word, pos, first, second))
        gold.append(answer + "\n")
for part, (data, gold) in parts.items():
    (HERE / f"{part}.data.txt").write_text("".join(data))
    (HERE / f"{part}.gold.txt").write_text("".join(gold))
    print(part, len(data))
