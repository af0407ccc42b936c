"""Weight measures against full-size computations and closed forms."""

import pytest
import torch

from headworks.measures import circuits


@pytest.fixture
def normal():
    generator = torch.Generator().manual_seed(0)
    return lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)


def test_ov_copying_equals_the_ratio_of_the_full_matrix(normal):
    W_E, W_V, W_O, W_U = normal(3, 30, 12), normal(3, 4, 12, 5), normal(3, 4, 5, 12), normal(3, 12, 30)
    full = W_E[:, None] @ W_V @ W_O @ W_U[:, None]
    eigenvalues = torch.linalg.eigvals(full)
    expected = eigenvalues.real.sum(-1) / eigenvalues.abs().sum(-1)
    assert torch.allclose(circuits.ov_copying(W_E, W_V, W_O, W_U), expected)


def test_ov_copying_of_the_identity_and_of_its_negative():
    eye = torch.eye(6)
    W_O = torch.stack([eye, -eye])
    assert torch.allclose(circuits.ov_copying(eye, eye.expand(2, 6, 6), W_O, eye), torch.tensor([1.0, -1.0]))


def test_copying_of_hand_built_heads():
    """Four heads on four tokens: one copies, one suppresses, one raises the next, one raises all evenly."""
    eye = torch.eye(20)
    raises = torch.stack([eye, -eye, eye, torch.zeros(20, 20)])
    raises[2, :4] = eye[:4].roll(-1, 0)
    raises[3, :, :4] = 1.0
    tokens = torch.tensor([[0, 1, 2, 3]])
    pattern = torch.eye(4).expand(1, 4, 4, 4)
    score = circuits.copying(pattern, eye[tokens], tokens, eye.expand(4, 20, 20), raises, eye)
    assert score.shape == (1, 4)
    # the suppressing head raises the other tokens through the mean over the vocabulary
    assert torch.allclose(score[0], torch.tensor([1.0, -1.0, -1.0, 4 / (1 + 4) - 1]))


def test_copying_counts_a_token_that_occurs_twice_once():
    eye = torch.eye(9)
    tokens = torch.tensor([[3, 5, 3, 5]])
    pattern = torch.zeros(1, 1, 4, 4)
    pattern[0, 0, :, 0], pattern[0, 0, 2:, 2] = 1.0, 1.0
    pattern = pattern / pattern.sum(-1, keepdim=True)
    score = circuits.copying(pattern, eye[tokens], tokens, eye[None], eye[None], eye)
    assert score.item() == pytest.approx(1.0)


def test_copying_of_twenty_five_tokens_raised_evenly_is_minus_085():
    eye = torch.eye(40)
    tokens = torch.arange(25)[None]
    pattern = torch.full((1, 1, 25, 25), 1 / 25)
    score = circuits.copying(pattern, eye[tokens], tokens, eye[None], eye[None], eye)
    assert score.item() == pytest.approx(4 / 26 - 1)


def test_copying_of_a_silent_head_is_undefined_and_replicas_stay_apart(normal):
    pattern = normal(2, 3, 4, 7, 7).softmax(-1)
    resid, W_V, W_O, W_U = normal(2, 3, 7, 8), normal(2, 4, 8, 2), normal(2, 4, 2, 8), normal(2, 8, 11)
    tokens = torch.arange(7).expand(2, 3, 7)
    W_O[0, 1] = 0
    score = circuits.copying(pattern, resid, tokens, W_V, W_O, W_U)
    assert score[0, :, 1].isnan().all()
    assert score.isnan().sum() == 3
    alone = circuits.copying(pattern[1], resid[1], tokens[1], W_V[1], W_O[1], W_U[1])
    assert torch.allclose(score[1], alone)


def test_qk_trace_equals_the_trace_of_the_vocabulary_matrix(normal):
    W_E, W_Q, W_K = normal(17, 9), normal(3, 9, 4), normal(3, 9, 4)
    W_V, W_O, prev = normal(2, 9, 4), normal(2, 4, 9), torch.tensor([0.2, 0.7], dtype=torch.float64)
    expected = []
    for h in range(3):
        queries = W_E @ W_Q[h]
        keys = sum(prev[p] * W_E @ W_V[p] @ W_O[p] @ W_K[h] for p in range(2))
        expected.append((queries @ keys.T).trace())
    assert torch.allclose(circuits.qk_trace(W_Q, W_K, W_V, W_O, prev, W_E), torch.stack(expected))


def test_qk_trace_is_positive_for_matching_and_negative_for_avoiding():
    eye = torch.eye(5)[None]
    W_K = torch.cat([eye, -eye])
    trace = circuits.qk_trace(eye.expand(2, 5, 5), W_K, eye, eye, torch.ones(1), eye[0])
    assert trace.tolist() == [5.0, -5.0]


def test_compositions_equal_their_full_matrices(normal):
    W_Q, W_K, W_V, W_O = normal(2, 3, 10, 4), normal(2, 3, 10, 4), normal(2, 3, 10, 4), normal(2, 3, 4, 10)
    V, O = normal(2, 5, 10, 4), normal(2, 5, 4, 10)
    earlier = (V @ O)[:, None]

    def expected(reader):
        norm = torch.linalg.matrix_norm
        return norm(earlier @ reader) / (norm(earlier) * norm(reader))

    W_QK = (W_Q @ W_K.mT)[:, :, None]
    assert torch.allclose(circuits.q_composition(W_Q, W_K, V, O), expected(W_QK))
    assert torch.allclose(circuits.k_composition(W_Q, W_K, V, O), expected(W_QK.mT))
    assert torch.allclose(circuits.v_composition(W_V, W_O, V, O), expected((W_V @ W_O)[:, :, None]))


def test_composition_is_one_for_a_shared_direction_and_zero_for_an_orthogonal_one():
    first, second = torch.eye(4)[:, :1], torch.eye(4)[:, 1:2]
    readers = torch.stack([first, second])
    score = circuits.k_composition(first.expand(2, 4, 1), readers, second[None], first.T[None])
    assert score.tolist() == [[1.0], [0.0]]


def test_composition_baseline_is_one_over_the_root_of_the_width():
    mean, sd = circuits.composition_baseline(64, 8, torch.Generator().manual_seed(0))
    assert mean == pytest.approx(1 / 8, rel=0.05)
    assert 0 < sd < 0.02
    again = circuits.composition_baseline(64, 8, torch.Generator().manual_seed(0))
    assert again == (mean, sd)


def test_folded_weights_read_the_bare_stream_as_the_norm_does(normal):
    x, w, W = normal(7, 6), normal(6), normal(3, 6, 2)
    through_norm = torch.nn.functional.layer_norm(x, (6,), w) @ W
    scale = x.std(-1, correction=0, keepdim=True)
    folded = circuits.fold_centring(circuits.fold_norm(W, w[None]))
    assert torch.allclose(x @ folded / (scale**2 + 1e-5).sqrt(), through_norm)
