"""Probes, names of sites, and reductions of what a forward pass shows."""

import h5py
import numpy as np
import pytest
import torch

from headworks import activations
from headworks.activations import cache, expand, probe_tokens, usual_tokens
from headworks.errors import HeadworksError
from headworks.model import Transformer, cross_entropy, sites
from headworks.readers import DatasetReader
from headworks.spec import ModelSpec
from headworks.tape import Tape

SPEC = ModelSpec(n_layers=2, n_heads=4, d_model=24, d_vocab=11, n_context=9)
BOS = 0


def dataset(path, train, evaluation=((0, 1), (0, 2)), d_vocab=None, bos=BOS) -> DatasetReader:
    """A dataset file of one training text."""
    file = h5py.File(path, "w")
    train = np.asarray(train)
    file.attrs.update({"layout": "stream", "d_vocab": d_vocab or int(train.max()) + 1, "n_context": 1})
    file.attrs.update({"bos": bos, "predicts": "every", "facts": "{}"})
    file["train"], file["evaluation"] = train, np.asarray(evaluation, np.uint8)
    return DatasetReader(file)


@pytest.fixture(scope="module")
def model():
    return Transformer.create(SPEC, [0, 1, 2]).requires_grad_(False)


@pytest.fixture(scope="module")
def tokens():
    return torch.randint(0, 11, (7, 10), generator=torch.Generator().manual_seed(0))


def test_usual_tokens_are_ranked_without_the_start_token_and_the_unseen(tmp_path):
    text = [BOS] * 9 + [3] * 5 + [1] * 7 + [4]
    assert usual_tokens(dataset(tmp_path / "d.h5", text, d_vocab=8)).tolist() == [1, 3, 4]
    # the start token is whatever the dataset says it is
    assert usual_tokens(dataset(tmp_path / "e.h5", text, d_vocab=8, bos=3)).tolist() == [BOS, 1, 4]


def test_usual_tokens_of_a_large_vocabulary_lack_both_tenths(tmp_path):
    """Token i occurs i times: of 1..120 the ranks 13 to 108 stay, tokens 108 down to 13."""
    text = np.concatenate([np.full(500, BOS), np.repeat(np.arange(1, 121), np.arange(1, 121))])
    assert usual_tokens(dataset(tmp_path / "d.h5", text)).tolist() == list(range(108, 12, -1))


def test_probe_tokens(tmp_path):
    data = dataset(tmp_path / "d.h5", [BOS, *range(1, 20)] * 2, evaluation=np.arange(12).reshape(4, 3))
    evaluation = probe_tokens({"kind": "evaluation", "examples": 3}, data)
    assert evaluation.tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert evaluation.dtype == np.int64
    probe = {"kind": "repeated_tokens", "examples": 5, "period": 6, "repeats": 3, "seed": 0}
    repeated = probe_tokens(probe, data)
    assert repeated.shape == (5, 1 + 6 * 3 + 1)
    assert (repeated[:, 0] == BOS).all()
    body = repeated[:, 1:]
    assert (body != BOS).all()
    # the token after the last is the first of the period: the probe goes on as it began
    assert (body == np.tile(body[:, :6], 4)[:, :19]).all()
    assert all(len(set(row)) == 6 for row in body[:, :6])
    assert (probe_tokens(probe, data) == repeated).all()
    assert not (probe_tokens(probe | {"seed": 1}, data) == repeated).all()


def test_expand():
    known = sites(SPEC)
    assert expand({"pattern": "batch_mean", "blocks.1.resid_pre": "all"}, known) == {
        "blocks.0.attn.pattern": "batch_mean",
        "blocks.1.attn.pattern": "batch_mean",
        "blocks.1.resid_pre": "all",
    }
    assert expand({"embed": "all"}, ["embed", "pos_embed"]) == {"embed": "all"}
    assert expand({"patern": "all"}, known) == {"patern": "all"}


def test_cache_equals_a_plain_pass(model, tokens):
    found = cache(
        model,
        tokens,
        {"loss": "all", "pattern": "batch_mean", "resid_pre": "last_position", "attn_out": "all"},
    )
    names = [f"blocks.{l}.{site}" for l in (0, 1) for site in ("attn.pattern", "resid_pre", "attn_out")]
    tape = Tape(record=names)
    loss = cross_entropy(model(tokens[:, :-1], tape), tokens[:, 1:])
    assert set(found) == {"loss", *names}
    assert np.allclose(found["loss"], loss, atol=1e-5)
    for l in (0, 1):
        pattern, resid, out = (tape[name] for name in names[3 * l : 3 * l + 3])
        assert np.allclose(found[f"blocks.{l}.attn.pattern"], pattern.mean(1), atol=1e-6)
        assert np.allclose(found[f"blocks.{l}.resid_pre"], resid[:, :, -1], atol=1e-5)
        assert np.allclose(found[f"blocks.{l}.attn_out"], out, atol=1e-5)


def test_previous_mean_is_the_mean_over_all_positions_but_the_first(model, tokens):
    found = cache(model, tokens, {"pattern": "previous_mean"})["blocks.1.attn.pattern"]
    tape = Tape(record=["blocks.1.attn.pattern"])
    model(tokens[:, :-1], tape)
    pattern = tape["blocks.1.attn.pattern"]
    expected = torch.stack([pattern[..., t, t - 1] for t in range(1, 9)]).mean((0, 2))
    assert found.shape == (3, 4)
    assert np.allclose(found, expected, atol=1e-6)


def test_passes_of_unequal_size_make_what_one_pass_makes(model, tokens, monkeypatch):
    requested = {
        "loss": "all",
        "pattern": "batch_mean",
        "blocks.1.attn.scores": "all",
        "resid_post": "batch_mean",
    }
    whole = cache(model, tokens, requested)
    monkeypatch.setattr(activations, "BATCH_TOKENS", 3 * 10 * 3)  # three replicas, three sequences of ten
    assert [len(part) for part in activations._parts(model, tokens)] == [3, 3, 1]
    split = cache(model, tokens, requested)
    assert split.keys() == whole.keys()
    for name, value in whole.items():
        assert np.allclose(split[name], value, atol=1e-5), name
    previous = cache(model, tokens, {"pattern": "previous_mean"})
    monkeypatch.undo()
    for name, value in cache(model, tokens, {"pattern": "previous_mean"}).items():
        assert np.allclose(previous[name], value, atol=1e-6)


def test_a_site_that_is_none_is_an_error(model, tokens):
    with pytest.raises(HeadworksError, match=r"blocks\.7\.attn\.pattern"):
        cache(model, tokens, {"blocks.7.attn.pattern": "all"})
