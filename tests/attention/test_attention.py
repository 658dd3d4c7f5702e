"""course_utils/attention/heads.py against torch's SDPA, nn.MultiheadAttention, transformers' GPT-2
and its own properties.
"""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from course_utils.attention import heads as attention_heads
from course_utils.attention.heads import (
    KVCache,
    MultiHeadAttention,
    attention,
    attention_weights,
    causal_mask,
    softmax,
)

INF = math.inf
TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-6, torch.bfloat16: 2e-2}


def randn(*shape, seed=0, dtype=torch.float32):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def close(got, want, tol=None):
    tol = tol or TOLERANCE[got.dtype]
    torch.testing.assert_close(got, want, rtol=tol, atol=tol)


def make_mha(d_model=12, n_head=3, seed=0, **options):
    """One with weights and biases that are all different from zero."""
    mha = MultiHeadAttention(d_model, n_head, **options)
    with torch.no_grad():
        for i, parameter in enumerate(mha.parameters()):
            parameter.copy_(randn(*parameter.shape, seed=100 * seed + i) * 0.5)
    return mha


# --- softmax --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("dim", [-1, 0, 1])
@pytest.mark.parametrize("temperature", [0.1, 1.0, 7.0])
def test_softmax_is_torchs_softmax(dtype, dim, temperature):
    x = randn(3, 4, 5, dtype=torch.float64).to(dtype) * 3
    got = softmax(x, dim=dim, temperature=temperature)
    want = (x.double() / temperature).softmax(dim).to(dtype)
    assert got.dtype == dtype
    close(
        got,
        want,
        tol={torch.float64: 1e-12, torch.float32: 1e-6, torch.bfloat16: 8e-3, torch.float16: 1e-3}[
            dtype
        ],
    )


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.lists(
        st.floats(-(2.0**99), 2.0**99, width=32, allow_subnormal=False) | st.just(-INF),
        min_size=1,
        max_size=8,
    ),
    st.floats(0.01, 100),
)
def test_softmax_of_extreme_scores_is_positive_sums_to_one_and_keeps_the_order(scores, temperature):
    x = torch.tensor(scores)
    if not torch.isfinite(x).any():
        x[0] = 0.0
    p = softmax(x, temperature=temperature)
    assert torch.isfinite(p).all() and (p >= 0).all() and (p <= 1).all()
    close(p.sum(), torch.tensor(1.0), tol=1e-5)
    assert p[x == -INF].eq(0).all()
    order = x.argsort()
    assert (p[order].diff() >= 0).all()
    close(p, (x.double() / temperature).softmax(0).float(), tol=1e-4)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(-1000, 1000))
def test_softmax_does_not_change_when_a_number_is_added_to_a_row(shift):
    x = randn(4, 6, dtype=torch.float64)
    close(softmax(x + shift), softmax(x), tol=1e-9)


def test_softmax_gradient_is_right_and_finite_for_large_scores():
    assert torch.autograd.gradcheck(softmax, randn(3, 4, dtype=torch.float64).requires_grad_())
    x = torch.tensor([1e4, -1e4, 1e4, -INF], requires_grad=True)
    (softmax(x) * torch.tensor([1.0, 2.0, 3.0, 4.0])).sum().backward()
    close(x.grad, torch.tensor([-0.5, 0.0, 0.5, 0.0]))


# --- the mask and averages ------------------------------------------------------------------------


@pytest.mark.parametrize("T", [1, 2, 7])
def test_causal_mask_lets_a_position_see_itself_and_the_past(T):
    mask = causal_mask(T)
    assert mask.dtype == torch.bool
    assert mask.tolist() == [[s <= t for s in range(T)] for t in range(T)]


@pytest.mark.parametrize(
    "average",
    [
        attention_heads.average_past_loop,
        attention_heads.average_past_matrix,
        attention_heads.average_past_softmax,
    ],
)
@pytest.mark.parametrize("shape", [(6, 3), (1, 3), (2, 6, 3), (2, 3, 4, 4)])
def test_the_three_averages_of_the_past_are_the_running_mean(average, shape):
    x = randn(*shape, dtype=torch.float64)
    count = torch.arange(1, shape[-2] + 1)[:, None]
    close(average(x), x.cumsum(-2) / count)


# --- attention against SDPA -----------------------------------------------------------------------


def a_mask(kind, T, S):
    if kind == "none":
        return None
    if kind == "causal":
        return torch.ones(T, S, dtype=torch.bool).tril(S - T)
    mask = torch.rand(2, 1, T, S, generator=torch.Generator().manual_seed(1)) < 0.5
    mask[..., 0] = True
    return mask


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", ["none", "causal", "random"])
@pytest.mark.parametrize(
    "H, T, S, d, d_v", [(1, 1, 1, 4, 4), (3, 7, 7, 8, 8), (2, 5, 9, 16, 8), (8, 1, 6, 2, 2)]
)
def test_attention_and_its_gradients_are_sdpas(dtype, kind, H, T, S, d, d_v):
    q, k, v = (
        randn(2, H, n, m, seed=i, dtype=torch.float64).to(dtype).requires_grad_()
        for i, (n, m) in enumerate([(T, d), (S, d), (S, d_v)])
    )
    mask = a_mask(kind, T, S)
    # the same numbers, in float64
    reference = [x.detach().double().requires_grad_() for x in (q, k, v)]
    got = attention(q, k, v, mask)
    want = F.scaled_dot_product_attention(*reference, attn_mask=mask)
    assert got.dtype == dtype
    close(got, want.to(dtype))
    pull = randn(*want.shape, seed=9, dtype=torch.float64).to(dtype)
    got_grads = torch.autograd.grad(got, (q, k, v), pull)
    want_grads = torch.autograd.grad(want, reference, pull.double())
    for got_grad, want_grad in zip(got_grads, want_grads, strict=True):
        close(got_grad, want_grad.to(dtype), tol=4e-2 if dtype == torch.bfloat16 else None)


def test_attention_weights_of_hidden_keys_are_exactly_zero_and_rows_sum_to_one():
    w = attention_weights(randn(2, 6, 4) * 9, randn(2, 6, 4, seed=1) * 9, causal_mask(6))
    assert w[:, ~causal_mask(6)].eq(0).all()
    close(w.sum(-1), torch.ones(2, 6))


@pytest.mark.parametrize("shape", [(5,), (1, 5), (4, 5), (3, 1, 5), (2, 1, 4, 5), (4, 1)])
def test_a_mask_of_fewer_dimensions_hides_the_same_as_the_whole_one(shape):
    q = randn(2, 3, 4, 6)
    k = randn(2, 3, 5, 6, seed=1)
    mask = randn(*shape, seed=2) > 0
    mask[..., :1] = True  # each query may look at something
    whole = mask.expand(2, 3, 4, 5)
    close(attention_weights(q, k, mask), attention_weights(q, k, whole))


def test_scores_too_large_for_float32s_exp_give_no_nan():
    q = k = randn(5, 4) * 1e3
    want = F.scaled_dot_product_attention(
        q.double(), k.double(), torch.eye(5).double(), is_causal=True
    ).float()
    close(attention_weights(q, k, causal_mask(5)), want, tol=1e-4)


def test_hidden_keys_stay_hidden_however_low_the_scores_of_the_others_are():
    # all scores are -2e12
    q = torch.full((3, 4), -1e6)
    k = torch.full((3, 4), 1e6)
    close(
        attention_weights(q, k, causal_mask(3)),
        causal_mask(3) / torch.tensor([[1.0], [2.0], [3.0]]),
    )


def test_causal_head_is_sdpa_on_its_three_projections():
    x = randn(2, 6, 8)
    w_q = randn(8, 4, seed=1)
    w_k = randn(8, 4, seed=2)
    w_v = randn(8, 3, seed=3)
    want = F.scaled_dot_product_attention(x @ w_q, x @ w_k, x @ w_v, is_causal=True)
    close(attention_heads.causal_head(x, w_q, w_k, w_v), want, tol=1e-5)


def test_split_heads_gives_head_h_its_block_of_features_and_merge_heads_undoes_it():
    x = torch.arange(2 * 5 * 12).view(2, 5, 12)
    heads = attention_heads.split_heads(x, 3)
    for h in range(3):
        assert heads[:, h].equal(x[:, :, 4 * h : 4 * h + 4])
    assert attention_heads.merge_heads(heads).equal(x)
    # whatever the strides
    assert attention_heads.merge_heads(attention_heads.split_heads(x.mT.contiguous().mT, 3)).equal(
        x
    )


@pytest.mark.skipif(
    "enable_gqa" not in (F.scaled_dot_product_attention.__doc__ or ""), reason="torch before 2.5"
)
def test_repeat_kv_is_sdpas_grouped_query_attention():
    q = randn(2, 6, 4, 8)
    k = randn(2, 2, 5, 8, seed=1)
    v = randn(2, 2, 5, 8, seed=2)
    want = F.scaled_dot_product_attention(q, k, v, enable_gqa=True)
    close(attention(q, attention_heads.repeat_kv(k, 3), attention_heads.repeat_kv(v, 3)), want)


# --- many heads -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize(
    "n_head, T, bias", [(1, 6, True), (4, 6, True), (12, 5, False), (3, 1, True)]
)
def test_multi_head_attention_is_nn_multihead_attention_with_the_same_weights(
    dtype, fused, n_head, T, bias
):
    mha = make_mha(12, n_head, bias=bias, fused=fused).to(dtype)
    oracle = nn.MultiheadAttention(12, n_head, bias=bias, batch_first=True).double()
    with torch.no_grad():
        pairs = [
            (oracle.in_proj_weight, mha.c_attn.weight),
            (oracle.out_proj.weight, mha.c_proj.weight),
        ]
        if bias:
            pairs += [
                (oracle.in_proj_bias, mha.c_attn.bias),
                (oracle.out_proj.bias, mha.c_proj.bias),
            ]
        for theirs, ours in pairs:
            theirs.copy_(ours)
    x = randn(2, T, 12).to(dtype).requires_grad_()
    x_oracle = x.detach().double().requires_grad_()
    got = mha(x)
    want, want_map = oracle(
        x_oracle, x_oracle, x_oracle, attn_mask=~causal_mask(T), average_attn_weights=False
    )
    tol = 5e-2 if dtype == torch.bfloat16 else TOLERANCE[dtype] * 5
    close(got, want.to(dtype), tol=tol)
    close(mha(x, return_weights=True)[1], want_map.to(dtype), tol=tol)
    pull = randn(*want.shape, seed=5).to(dtype)
    got_grads = torch.autograd.grad(got, [x] + [ours for _, ours in pairs], pull)
    want_grads = torch.autograd.grad(
        want, [x_oracle] + [theirs for theirs, _ in pairs], pull.double()
    )
    for got_grad, want_grad in zip(got_grads, want_grads, strict=True):
        scale = want_grad.abs().max().item()
        close(got_grad / scale, (want_grad / scale).to(dtype), tol=tol)


def test_gpt2s_attention_layer_fits_after_a_transpose():
    gpt2 = pytest.importorskip("transformers.models.gpt2.modeling_gpt2")
    config = gpt2.GPT2Config(n_embd=12, n_head=3, n_positions=8, attn_pdrop=0.0, resid_pdrop=0.0)
    config._attn_implementation = "sdpa"
    oracle = gpt2.GPT2Attention(config, layer_idx=0).eval()
    mha = MultiHeadAttention(12, 3)
    weights = {
        name: w.T if w.ndim == 2 else w
        for name, w in oracle.state_dict().items()
        if name in mha.state_dict()
    }
    mha.load_state_dict(weights)  # the very same names
    x = randn(2, 8, 12) * 3
    close(mha(x), oracle(x)[0])


def test_a_mask_of_its_own_replaces_the_causal_one():
    mha = make_mha()
    x = randn(2, 5, 12)
    oracle = nn.MultiheadAttention(12, 3, batch_first=True)
    oracle.load_state_dict({"in_proj_weight": mha.c_attn.weight, "in_proj_bias": mha.c_attn.bias,
                            "out_proj.weight": mha.c_proj.weight, "out_proj.bias": mha.c_proj.bias})  # fmt: skip
    everywhere = torch.ones(5, 5, dtype=torch.bool)
    close(mha(x, mask=everywhere), oracle(x, x, x, need_weights=False)[0], tol=1e-5)
    padding = torch.tensor([[True] * 5, [True, True, False, False, False]])
    want = oracle(x, x, x, key_padding_mask=~padding, need_weights=False)[0]
    close(mha(x, mask=padding[:, None, None, :]), want, tol=1e-5)


def test_the_contributions_of_the_heads_and_the_bias_add_up_to_the_output():
    mha = make_mha()
    x = randn(2, 5, 12)
    each = mha.per_head(x)
    assert each.shape == (2, 3, 5, 12)
    close(each.sum(1) + mha.c_proj.bias, mha(x), tol=1e-5)
    with torch.no_grad():
        mha.c_attn.weight[24:28] = 0  # the values of head 0
        mha.c_attn.bias[24:28] = 0
    silent = mha.per_head(x)
    assert silent[:, 0].eq(0).all()
    close(silent[:, 1:], each[:, 1:])


# --- causality ------------------------------------------------------------------------------------


@pytest.mark.parametrize("fused", [True, False])
@settings(max_examples=25, deadline=None, derandomize=True)
@given(data=st.data())
def test_changing_token_j_never_changes_outputs_before_j(fused, data):
    T = data.draw(st.integers(1, 9))
    n_head = data.draw(st.sampled_from([1, 2, 6]))
    j = data.draw(st.integers(0, T - 1))
    size = data.draw(st.sampled_from([1e-3, 1.0, 1e4]))
    mha = make_mha(12, n_head, fused=fused, seed=data.draw(st.integers(0, 9)))
    x = randn(2, T, 12, seed=data.draw(st.integers(0, 99)))
    changed = x.clone()
    changed[:, j] += size * randn(2, 12, seed=3)
    y = mha(x)
    z = mha(changed)
    assert y[:, :j].equal(z[:, :j])
    assert not y[:, j].equal(z[:, j])


@pytest.mark.parametrize("fused", [True, False])
def test_the_gradient_of_output_t_reaches_inputs_up_to_t_and_none_after(fused):
    mha = make_mha(fused=fused)
    T = 6
    x = randn(1, T, 12).requires_grad_()
    y = mha(x)
    for t in range(T):
        (grad,) = torch.autograd.grad(y[0, t].sum(), x, retain_graph=True)
        reached = grad[0].abs().sum(-1) > 0
        assert reached.tolist() == [s <= t for s in range(T)]


# --- the cache ------------------------------------------------------------------------------------


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("chunks", [[1] * 7, [7], [4, 1, 1, 1], [3, 4], [2, 3, 2], [1, 6]])
def test_a_cache_changes_neither_outputs_nor_gradients(fused, chunks):
    mha = make_mha(fused=fused)
    x = randn(2, 7, 12).requires_grad_()
    cache = KVCache()
    parts = []
    for part in x.split(chunks, dim=1):
        parts.append(mha(part, kv_cache=cache))
    assert len(cache) == 7
    got = torch.cat(parts, dim=1)
    want = mha(x)
    close(got, want, tol=1e-5)
    pull = randn(2, 7, 12, seed=4)
    close(torch.autograd.grad(got, x, pull)[0], torch.autograd.grad(want, x, pull)[0], tol=1e-4)


def test_attention_maps_with_a_cache_are_the_last_rows_of_the_whole_map():
    mha = make_mha()
    x = randn(2, 7, 12)
    cache = KVCache()
    mha(x[:, :4], kv_cache=cache)
    _, got = mha(x[:, 4:], kv_cache=cache, return_weights=True)
    _, want = mha(x, return_weights=True)
    close(got, want[:, :, 4:])


def test_the_cache_holds_two_vectors_of_d_model_per_position():
    mha = make_mha().double()
    cache = KVCache()
    assert len(cache) == 0 and cache.nbytes == 0
    mha(randn(2, 5, 12, dtype=torch.float64), kv_cache=cache)
    assert cache.nbytes == 2 * 2 * 5 * 12 * 8  # keys and values, B, T, d_model, bytes


# --- bad input ------------------------------------------------------------------------------------

x23 = torch.zeros(2, 3)
mask33 = torch.ones(3, 3, dtype=torch.bool)
CACHED = KVCache()
CACHED.append(torch.zeros(2, 3, 5, 4), torch.zeros(2, 3, 5, 4))


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda: softmax(torch.tensor([1, 2])), TypeError, "x.float()"),
        (lambda: softmax(x23, temperature=0), ValueError, "argmax"),
        (lambda: softmax(x23, temperature=-1.0), ValueError, "above 0"),
        (lambda: softmax(x23, temperature=math.nan), ValueError, "above 0"),
        (lambda: softmax(torch.full((2, 3), -INF)), ValueError, "leave at least one score"),
        (lambda: softmax(torch.tensor([0.0, math.nan])), ValueError, "nan"),
        (lambda: softmax(torch.tensor([0.0, INF])), ValueError, "infinite"),
        (lambda: causal_mask(0), ValueError, "at least 1"),
        (lambda: causal_mask(2.0), ValueError, "whole number"),
        (lambda: causal_mask(x23), ValueError, "x.size(-2)"),
        (lambda: attention_weights(x23, torch.zeros(2, 4)), ValueError, "d the same"),
        (lambda: attention_weights(torch.zeros(3), x23), ValueError, "positions"),
        (lambda: attention_weights(x23, x23, torch.ones(2, 2)), TypeError, "mask.bool()"),
        (lambda: attention_weights(x23, x23, mask33), ValueError, "make it (2, 2)"),
        (lambda: attention_weights(x23, x23, mask33[0]), ValueError, "make it (2, 2)"),
        (lambda: attention_weights(x23, x23, ~causal_mask(2)), ValueError, "look at one key"),
        (
            lambda: attention_weights(torch.zeros(2, 4, 3), torch.zeros(3, 4, 3)),
            ValueError,
            "the batches",
        ),
        (
            lambda: attention_weights(
                torch.zeros(2, 3, 4), torch.zeros(2, 3, 4), mask33.expand(5, 3, 3)
            ),
            ValueError,
            "does not fit scores of (2, 3, 3)",
        ),
        (lambda: attention(x23, x23, torch.zeros(4, 3)), ValueError, "each key needs one value"),
        (
            lambda: attention_heads.split_heads(torch.zeros(1, 2, 6), 4),
            ValueError,
            "choose a divisor of 6",
        ),
        (
            lambda: attention_heads.split_heads(torch.zeros(1, 2, 6), 0),
            ValueError,
            "choose a divisor of 6",
        ),
        (lambda: attention_heads.repeat_kv(torch.zeros(1, 2, 3, 4), 0), ValueError, "at least 1"),
        (lambda: MultiHeadAttention(10, 3), ValueError, "choose a divisor of 10"),
        (lambda: MultiHeadAttention(10, 0), ValueError, "choose a divisor of 10"),
        (lambda: make_mha()(torch.zeros(5, 12)), ValueError, "x[None]"),
        (lambda: make_mha()(torch.zeros(1, 5, 11)), ValueError, "(B, T, 12)"),
        (
            lambda: make_mha()(torch.zeros(1, 5, 12), mask=~causal_mask(5)),
            ValueError,
            "look at one key",
        ),
        (
            lambda: CACHED.append(torch.zeros(1, 3, 1, 4), torch.zeros(1, 3, 1, 4)),
            ValueError,
            "fresh KVCache()",
        ),
        (
            lambda: CACHED.append(torch.zeros(2, 6, 1, 2), torch.zeros(2, 6, 1, 2)),
            ValueError,
            "fresh KVCache()",
        ),
    ],
)
def test_bad_input_is_refused_with_the_remedy(call, error, words):
    with pytest.raises(error) as caught:
        call()
    assert words in str(caught.value)


def test_a_refused_call_leaves_the_cache_as_it_was():
    with pytest.raises(ValueError):
        CACHED.append(torch.zeros(1, 3, 1, 4), torch.zeros(1, 3, 1, 4))
    assert len(CACHED) == 5


# --- On an accelerator ----------------------------------------------------------------------------


class Asked(TorchDispatchMode):
    """Counts what makes the CPU wait for a GPU: questions to a tensor (`.item()`, `if`), and copies
    of a mask.
    """

    def __init__(self):
        super().__init__()
        self.questions = self.copies = 0

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        self.questions += operator.name() in (
            "aten::_local_scalar_dense",
            "aten::is_nonzero",
            "aten::equal",
        )
        self.copies += (
            operator.name() == "aten::_to_copy" and (kwargs or {}).get("device") is not None
        )
        return operator(*args, **(kwargs or {}))


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("chunk", [7, 3, 1])
# no question is allowed on meta, and a mask from the CPU shows as a copy
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_a_causal_pass_never_waits(fused, chunk, device):
    mha = make_mha(fused=fused).to(device)
    x = randn(2, 7, 12).to(device)
    cache = KVCache()
    with Asked() as asked:
        for t in range(0, 7, chunk):
            mha(x[:, t : t + chunk], kv_cache=cache)
        mha(x, return_weights=True)
    assert (asked.questions, asked.copies) == (0, 0)


@pytest.mark.parametrize("T", [1, 2, 5])
def test_without_checks_the_weights_are_the_same_to_the_bit(T):
    q = randn(2, 3, T, 4) * 5
    k = randn(2, 3, 5, 4, seed=1) * 5
    expected = attention_weights(q, k, causal_mask(5)[5 - T :])
    assert torch.equal(attention_heads._causal_weights(q, k), expected)
    half = attention_heads._causal_weights(q.bfloat16(), k.bfloat16())
    assert torch.equal(half, attention_weights(q.bfloat16(), k.bfloat16(), causal_mask(5)[5 - T :]))
