"""The block against torch's LayerNorm and GELU, transformers' GPT-2 and GPT-J, and what the papers
say.
"""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel
from transformers.models.gpt2.modeling_gpt2 import GPT2Block
from transformers.models.gptj.modeling_gptj import rotate_every_two

from course_utils.attention.heads import KVCache, causal_mask
from course_utils.transformer_block import block as transformer_block
from course_utils.transformer_block import transformer

SMALL = transformer_block.TransformerConfig(
    vocab_size=31, n_positions=12, n_embd=24, n_layer=3, n_head=3
)


def draw(*shape, seed=0, dtype=torch.float32):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def some_ids(B=2, T=7, V=31, seed=0):
    return torch.randint(V, (B, T), generator=torch.Generator().manual_seed(seed))


def shaken(model, seed=0, std=0.3):
    """The same model with all its parameters moved, so that no gain is 1, no bias is 0 and nothing
    is small.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += std * torch.randn(parameter.shape, generator=generator)
    return model.eval()


def gradients(y, inputs):
    pull = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).reshape(y.shape)
    return torch.autograd.grad((y * pull).sum(), inputs)


def copy_gpt2(block, source):
    """GPT-2's Conv1D holds the transpose of a Linear's weight."""
    with torch.no_grad():
        for name, parameter in block.named_parameters():
            other = dict(source.named_parameters())[name]
            parameter.copy_(other.mT if other.ndim == 2 else other)


# --- LayerNorm, GELU, dropout ---------------------------------------------------------------------


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize(
    ("dtype", "tol"), [(torch.float32, 1e-5), (torch.float64, 1e-12), (torch.bfloat16, 0.05)]
)
def test_layer_norm_equals_torchs_in_value_and_gradient(fused, dtype, tol):
    ours = transformer_block.LayerNorm(16, eps=1e-3, fused=fused).to(dtype)
    theirs = nn.LayerNorm(16, eps=1e-3).to(dtype)
    weight = draw(16, seed=1, dtype=dtype)
    bias = draw(16, seed=2, dtype=dtype)
    ours.load_state_dict({"weight": weight, "bias": bias})
    theirs.load_state_dict({"weight": weight, "bias": bias})
    x = (3 * draw(2, 5, 16, dtype=dtype) + 7).requires_grad_()
    torch.testing.assert_close(ours(x), theirs(x), rtol=tol, atol=tol)
    for got, want in zip(
        gradients(ours(x), [x, *ours.parameters()]),
        gradients(theirs(x), [x, *theirs.parameters()]),
        strict=True,
    ):
        torch.testing.assert_close(got, want, rtol=tol, atol=10 * tol)


def test_layer_norm_removes_shift_and_scale_of_each_position_but_not_of_the_batch():
    x = draw(2, 3, 8)
    one = torch.ones(8)
    zero = torch.zeros(8)
    moved = x * torch.tensor([1.0, 5.0, 0.5])[:, None] + torch.tensor([0.0, 9.0, -4.0])[:, None]
    torch.testing.assert_close(
        transformer_block.layer_norm(moved, one, zero),
        transformer_block.layer_norm(x, one, zero),
        rtol=1e-3,
        atol=1e-3,
    )
    torch.testing.assert_close(
        transformer_block.layer_norm(x, one, zero)[:1],
        transformer_block.layer_norm(x[:1], one, zero),
    )


def test_frozen_layer_norm_adds_up_to_the_layer_norm_of_the_sum():
    writes = draw(5, 2, 3, 8, dtype=torch.float64)
    weight = draw(8, seed=1).double()
    bias = draw(8, seed=2).double()
    whole = F.layer_norm(writes.sum(0), (8,), weight, bias, 1e-5)
    torch.testing.assert_close(
        transformer_block.frozen_layer_norm(writes, weight).sum(0) + bias, whole
    )


@pytest.mark.parametrize(
    ("ours", "form"), [(transformer_block.gelu, "none"), (transformer_block.gelu_tanh, "tanh")]
)
def test_both_gelus_equal_torchs_in_value_and_gradient(ours, form):
    x = torch.linspace(-9, 9, 2001, dtype=torch.float64, requires_grad=True)
    want = F.gelu(x, approximate=form)
    torch.testing.assert_close(ours(x), want, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(
        gradients(ours(x), [x]), gradients(want, [x]), rtol=1e-10, atol=1e-12
    )


def test_the_named_activations_are_the_functions_of_this_module():
    x = draw(500) * 3
    torch.testing.assert_close(
        transformer_block.ACTIVATIONS["gelu"](x), transformer_block.gelu(x), rtol=1e-5, atol=1e-6
    )
    torch.testing.assert_close(
        transformer_block.ACTIVATIONS["gelu_new"](x),
        transformer_block.gelu_tanh(x),
        rtol=1e-5,
        atol=1e-6,
    )
    assert torch.equal(transformer_block.ACTIVATIONS["relu"](x), x * (x > 0))
    with pytest.raises(ValueError, match="choose one of relu, gelu, gelu_new"):
        transformer_block.MLP(8, activation="swish")


def test_the_mlp_widens_four_times_unless_told_and_treats_positions_alone():
    mlp = transformer_block.MLP(6)
    x = draw(2, 5, 6)
    assert mlp.c_fc.weight.shape == (24, 6) and transformer_block.MLP(6, 10).c_fc.weight.shape == (
        10,
        6,
    )
    torch.testing.assert_close(mlp(x)[:, 2], mlp(x[:, 2]))


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_dropout_drops_its_share_keeps_the_mean_and_the_gradient_and_rests_in_evaluation(p):
    torch.manual_seed(0)
    x = torch.ones(200_000, requires_grad=True)
    y = transformer_block.dropout(x, p)
    error = 5 * math.sqrt(p * (1 - p) / len(x))  # five standard errors
    assert abs((y == 0).float().mean().item() - p) < error and abs(y.mean().item() - 1) < error / (
        1 - p
    )
    torch.testing.assert_close(torch.autograd.grad(y.sum(), x)[0], y.detach())
    assert (
        transformer_block.dropout(x, p, training=False) is x
        and transformer_block.dropout(x, 0.0) is x
    )


@pytest.mark.parametrize("p", [-0.1, 1.0, 1.5, math.nan])
def test_dropout_refuses_what_is_no_share(p):
    with pytest.raises(ValueError, match="share"):
        transformer_block.dropout(torch.ones(2), p)


# --- Positions and masks --------------------------------------------------------------------------


@pytest.mark.parametrize("base", [10_000.0, 100.0])
def test_the_sinusoidal_table_equals_a_computation_number_by_number(base):
    T, d = 50, 16
    want = [
        [(math.cos if i % 2 else math.sin)(t / base ** ((i - i % 2) / d)) for i in range(d)]
        for t in range(T)
    ]
    torch.testing.assert_close(
        transformer_block.sinusoidal_positions(T, d, base), torch.tensor(want), rtol=0, atol=1e-6
    )


def test_sinusoids_turn_a_shift_of_positions_into_one_linear_map():
    table = transformer_block.sinusoidal_positions(200, 8).double()
    # Vaswani et al. 2017, section 3.5
    shift = torch.linalg.lstsq(table[:150], table[7:157]).solution
    torch.testing.assert_close(table[40:190] @ shift, table[47:197], rtol=0, atol=1e-5)


def test_rotary_equals_complex_multiplication_and_gpt_js():
    x = draw(2, 3, 9, 8)
    d = 8
    angles = torch.outer(torch.arange(9.0), 10_000 ** (-torch.arange(0, d, 2) / d))  # (T, d / 2)
    turned = torch.view_as_complex(x.unflatten(-1, (-1, 2))) * torch.polar(
        torch.ones_like(angles), angles
    )
    torch.testing.assert_close(transformer_block.rotary(x), torch.view_as_real(turned).flatten(-2))
    sin, cos = (f(angles).repeat_interleave(2, -1) for f in (torch.sin, torch.cos))
    torch.testing.assert_close(transformer_block.rotary(x), x * cos + rotate_every_two(x) * sin)


def test_rotary_scores_depend_on_the_distance_only():
    q, k = (draw(1, 8, seed=s, dtype=torch.float64).expand(30, 8) for s in (0, 1))
    scores = transformer_block.rotary(q) @ transformer_block.rotary(k).T  # (T, T)
    for distance in (-5, 0, 3):
        diagonal = scores.diagonal(distance)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal), rtol=0, atol=1e-5)
    assert scores.diagonal(0)[0] != scores.diagonal(3)[0]


@pytest.mark.parametrize(
    "function",
    [
        lambda: transformer_block.sinusoidal_positions(4, 5),
        lambda: transformer_block.rotary(torch.ones(4, 5)),
    ],
)
def test_positions_refuse_an_odd_number_of_features(function):
    with pytest.raises(ValueError, match="pairs"):
        function()


def test_the_masks_say_who_reaches_whom_through_a_whole_model():
    T, n_source = 6, 4
    model = shaken(transformer.Transformer(replace(SMALL, positions="none")))
    for kind, source in (("decoder-only", 0), ("encoder-only", 0), ("prefix LM", n_source)):
        mask = transformer.architecture_mask(kind, T, source)
        x = draw(1, T, 24).requires_grad_()
        y = x
        for block in model.h:
            y = block(y, mask=mask)
        reach = torch.stack(
            [
                torch.autograd.grad(y[0, t].sum(), x, retain_graph=True)[0][0].abs().sum(-1) > 0
                for t in range(T)
            ]
        )
        rows = torch.arange(T)[:, None]
        columns = torch.arange(T)
        want = {
            "decoder-only": columns <= rows,
            "encoder-only": columns < T,
            "prefix LM": (columns <= rows) | (columns < n_source),
        }[kind]
        assert torch.equal(reach, want.expand(T, T)), kind


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (("decoder", 4), "unknown kind"),
        (("prefix LM", 4), "needs a source"),
        (("prefix LM", 4, 4), "target"),
        (("encoder-only", 4, 2), "no source"),
    ],
)
def test_a_mask_that_makes_no_sense_is_refused(call, said):
    with pytest.raises(ValueError, match=said):
        transformer.architecture_mask(*call)


# --- The block ------------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ["gelu_new", "gelu", "relu"])
@pytest.mark.parametrize("n_head", [1, 3])
def test_the_block_equals_transformers_gpt2_block_in_value_and_every_gradient(activation, n_head):
    config = transformer_block.TransformerConfig(
        n_embd=24, n_head=n_head, activation_function=activation
    )
    theirs = shaken(
        GPT2Block(
            GPT2Config(
                n_embd=24, n_head=n_head, activation_function=activation, attn_implementation="sdpa"
            ),
            layer_idx=0,
        ).double()
    )
    ours = transformer_block.Block(config).double()
    copy_gpt2(ours, theirs)
    x = draw(2, 7, 24, dtype=torch.float64).requires_grad_()
    y = ours(x)
    want = theirs(x)
    torch.testing.assert_close(y, want, rtol=1e-10, atol=1e-10)
    names = [name for name, _ in ours.named_parameters()]
    other = dict(theirs.named_parameters())
    got = gradients(y, [x, *ours.parameters()])
    for name, a, b in zip(
        ["x", *names], got, gradients(want, [x, *(other[n] for n in names)]), strict=True
    ):
        torch.testing.assert_close(
            a,
            b.mT if name.endswith("weight") and b.ndim == 2 else b,
            rtol=1e-9,
            atol=1e-9,
            msg=lambda text, name=name: f"{name}: {text}",
        )


def test_the_whole_model_equals_transformers_gpt2():
    theirs = shaken(
        GPT2LMHeadModel(GPT2Config(vocab_size=31, n_positions=12, n_embd=24, n_layer=3, n_head=3))
    )
    ours = transformer.Transformer(SMALL).eval()
    state = {
        name.removeprefix("transformer."): value for name, value in theirs.state_dict().items()
    }
    ours.load_state_dict(
        {
            name: value.mT if ".c_" in name and value.ndim == 2 else value
            for name, value in state.items()
        }
    )
    torch.testing.assert_close(ours(some_ids()), theirs(some_ids()).logits, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_the_three_orders_are_the_formulas_of_the_papers(seed):
    config = replace(SMALL, n_layer=1)
    blocks = {
        order: transformer_block.Block(replace(config, order=order))
        for order in transformer_block.ORDERS
    }
    pre = shaken(blocks["pre"], seed)
    for order in ("post", "parallel"):
        missing, unexpected = blocks[order].load_state_dict(pre.state_dict(), strict=False)
        assert (
            not missing
            and all(name.startswith("ln_2") for name in unexpected)
            and bool(unexpected) == (order == "parallel")
        )
    x = draw(2, 5, 24, seed=seed)
    A = pre.attn
    M = pre.mlp
    n1, n2 = (
        lambda z, ln=ln: F.layer_norm(z, (24,), ln.weight, ln.bias) for ln in (pre.ln_1, pre.ln_2)
    )
    middle = n1(x + A(x))
    wants = {
        "pre": x + A(n1(x)) + M(n2(x + A(n1(x)))),
        "post": n2(middle + M(middle)),
        "parallel": n1(x + A(x) + M(x)),
    }
    for order, want in wants.items():
        torch.testing.assert_close(blocks[order](x), want, rtol=1e-4, atol=1e-4)
    assert (
        min(
            (wants[a] - wants[b]).abs().max()
            for a, b in [("pre", "post"), ("pre", "parallel"), ("post", "parallel")]
        )
        > 0.1
    )


def test_the_switches_take_out_one_part_each():
    x = draw(2, 5, 24)
    plain = shaken(transformer_block.Block(SMALL))

    def switched(**switches):
        block = transformer_block.Block(replace(SMALL, **switches)).eval()
        block.load_state_dict(plain.state_dict(), strict=False)
        return block(x)

    attn = plain.attn
    mlp = plain.mlp
    ln_1 = plain.ln_1
    ln_2 = plain.ln_2
    torch.testing.assert_close(switched(residual=False), mlp(ln_2(attn(ln_1(x)))))
    torch.testing.assert_close(switched(mlp=False), x + attn(ln_1(x)))
    torch.testing.assert_close(switched(norm=False), (z := x + attn(x)) + mlp(z))
    torch.testing.assert_close(switched(residual=False, mlp=False), attn(ln_1(x)))
    torch.testing.assert_close(switched(residual=False, norm=False, mlp=False), attn(x))
    assert not any(
        "ln_2" in name or "mlp" in name
        for name, _ in transformer_block.Block(replace(SMALL, mlp=False)).named_parameters()
    )


def test_a_block_in_training_drops_whole_numbers_of_each_write_and_none_in_evaluation():
    block = shaken(transformer_block.Block(replace(SMALL, resid_pdrop=0.5, mlp=False)))
    x = draw(4, 12, 24)
    write = block(x) - x
    torch.manual_seed(0)
    noisy = block.train()(x) - x
    dropped = noisy.abs() < 1e-6
    assert 0.4 < dropped.float().mean() < 0.6
    torch.testing.assert_close(noisy[~dropped], 2 * write[~dropped], rtol=1e-4, atol=1e-5)


# --- The model ------------------------------------------------------------------------------------


@pytest.mark.parametrize("positions", ["learned", "sinusoidal", "none"])
def test_a_cache_changes_nothing_but_the_work(positions):
    model = shaken(transformer.Transformer(replace(SMALL, positions=positions)))
    ids = some_ids(T=9)
    caches = [KVCache() for _ in model.h]
    steps = [model(part, caches) for part in (ids[:, :4], ids[:, 4:5], ids[:, 5:])]
    torch.testing.assert_close(torch.cat(steps, dim=1), model(ids), rtol=1e-4, atol=1e-4)


def test_the_start_has_gpt2s_spread_smaller_by_depth_for_what_writes():
    config = replace(SMALL, n_embd=192, n_layer=8, vocab_size=500, n_positions=200)
    model = transformer.Transformer(config, torch.Generator().manual_seed(0))
    for name, parameter in model.named_parameters():
        want = 0.02 / 4 if name.endswith("c_proj.weight") else 0.02  # sqrt(2 · 8) = 4
        if name.endswith("bias"):
            assert parameter.count_nonzero() == 0, name
        elif ".ln_" in name or name.startswith("ln_"):
            assert (parameter == 1).all(), name
        else:
            assert (
                parameter.std().item() == pytest.approx(want, rel=0.03)
                and abs(parameter.mean()) < want / 20
            ), name
    plain = transformer.Transformer(replace(config, depth_scaled_init=False))
    assert plain.h[0].mlp.c_proj.weight.std().item() == pytest.approx(0.02, rel=0.03)
    thin = transformer.Transformer(replace(config, mlp=False))
    assert thin.h[0].attn.c_proj.weight.std().item() == pytest.approx(0.02 / math.sqrt(8), rel=0.03)


def test_a_seed_gives_the_same_model_whatever_ran_before():
    models = []
    for noise in (0, 1):
        torch.manual_seed(noise)
        models.append(transformer.Transformer(SMALL, torch.Generator().manual_seed(3)))
    assert all(torch.equal(a, b) for a, b in zip(*(m.parameters() for m in models), strict=True))


def test_the_ladder_adds_one_thing_at_each_level_and_ends_at_gpt2():
    sizes = dict(vocab_size=31, n_positions=12, n_embd=24, n_layer=3, n_head=3)
    models = [transformer.Transformer(transformer.ladder(level, **sizes)) for level in range(1, 6)]
    V, P, d, L = 31, 12, 24, 3
    block = 12 * d * d + 13 * d  # weights and biases of attention, MLP and two norms
    want = [
        2 * V * d,
        V * d + P * d + 2 * d,
        V * d + P * d + 4 * d + 4 * d * d + 4 * d,
        *2 * [V * d + P * d + 2 * d + L * block],
    ]
    assert [sum(p.numel() for p in m.parameters()) for m in models] == want
    assert [m.lm_head.weight is m.wte.weight for m in models] == [False, True, True, True, True]
    assert [len(m.h) for m in models] == [0, 0, 1, 3, 3] and [m.config.n_head for m in models] == [
        1,
        1,
        1,
        1,
        3,
    ]
    with torch.device("meta"):
        assert (
            sum(p.numel() for p in transformer.Transformer(transformer.ladder(5)).parameters())
            == 124_439_808
        )
    with pytest.raises(ValueError, match="levels? from 1 to 5"):
        transformer.ladder(6)


def test_model_1_sees_the_last_token_only_model_2_its_place_too_and_model_3_the_past():
    sizes = dict(vocab_size=31, n_positions=12, n_embd=24, n_layer=3, n_head=3)
    a = some_ids(B=1)
    b = some_ids(B=1)
    b[0, :-1] = (b[0, :-1] + 1) % 31  # another past, the same last token
    for level, past_matters in ((1, False), (2, False), (3, True), (5, True)):
        model = shaken(transformer.Transformer(transformer.ladder(level, **sizes)))
        assert torch.equal(model(a)[0, -1], model(b)[0, -1]) != past_matters, level
        same_place = torch.allclose(model(a[:, -1:])[0, 0], model(a)[0, -1], atol=1e-6)
        assert same_place == (level == 1), level


@pytest.mark.parametrize("level", [1, 2, 3, 4, 5])
def test_the_stream_is_exactly_the_sum_of_the_writes_and_the_logit_of_their_contributions(level):
    model = shaken(
        transformer.Transformer(
            transformer.ladder(level, vocab_size=31, n_positions=12, n_embd=24, n_layer=3, n_head=3)
        )
    )
    ids = some_ids()
    writes = transformer.residual_writes(model, ids)
    heads = {1: 0, 2: 0, 3: 1, 4: 3, 5: 9}[level]
    assert sum(name.startswith("head") for name in writes) == heads and sum(
        name.startswith("mlp") for name in writes
    ) == (3 if level > 3 else 0)
    torch.testing.assert_close(sum(writes.values()), model.streams(ids)[-1], rtol=0, atol=2e-5)
    logits = model(ids)
    for token in (0, 17, 30):
        parts = transformer.logit_contributions(model, ids, token)
        assert all(part.shape == ids.shape for part in parts.values())
        torch.testing.assert_close(sum(parts.values()), logits[:, :, token], rtol=0, atol=1e-4)


def test_the_writes_are_what_the_parts_of_gpt2_compute():
    theirs = shaken(
        GPT2LMHeadModel(GPT2Config(vocab_size=31, n_positions=12, n_embd=24, n_layer=3, n_head=3))
    )
    ours = transformer.Transformer(SMALL).eval()
    state = {
        name.removeprefix("transformer."): value for name, value in theirs.state_dict().items()
    }
    ours.load_state_dict(
        {
            name: value.mT if ".c_" in name and value.ndim == 2 else value
            for name, value in state.items()
        }
    )
    seen = {}
    for layer, block in enumerate(theirs.transformer.h):
        block.mlp.register_forward_hook(
            lambda _, __, out, layer=layer: seen.update({f"mlp {layer}": out})
        )
        block.attn.register_forward_hook(
            lambda _, __, out, layer=layer: seen.update({f"attn {layer}": out[0]})
        )
    theirs(some_ids())
    writes = transformer.residual_writes(ours, some_ids())
    for layer in range(3):
        torch.testing.assert_close(
            writes[f"mlp {layer}"], seen[f"mlp {layer}"], rtol=1e-4, atol=1e-4
        )
        attn = sum(writes[f"head {layer}.{h}"] for h in range(3)) + writes[f"bias {layer}"]
        torch.testing.assert_close(attn, seen[f"attn {layer}"], rtol=1e-4, atol=1e-4)


def test_writes_are_read_under_a_mask_too():
    model = shaken(transformer.Transformer(SMALL))
    ids = some_ids(T=6)
    mask = transformer.architecture_mask("encoder-only", 6)
    torch.testing.assert_close(
        sum(transformer.residual_writes(model, ids, mask).values()),
        model.streams(ids, mask=mask)[-1],
        rtol=0,
        atol=2e-5,
    )
    assert not torch.allclose(model(ids, mask=mask), model(ids))
    torch.testing.assert_close(model(ids, mask=causal_mask(6)), model(ids), rtol=1e-4, atol=1e-4)


def test_a_model_whose_stream_is_no_sum_is_refused_and_one_that_drops_out():
    for config, said in (
        (replace(SMALL, order="post"), "order"),
        (replace(SMALL, order="parallel"), "order"),
        (replace(SMALL, residual=False), "residual"),
        (replace(SMALL, resid_pdrop=0.1), "eval"),
    ):
        with pytest.raises(ValueError, match=said):
            transformer.residual_writes(transformer.Transformer(config), some_ids())
    assert transformer.residual_writes(
        transformer.Transformer(replace(SMALL, resid_pdrop=0.1)).eval(), some_ids()
    )


def test_sinusoidal_positions_are_fixed_and_start_as_large_as_the_tokens():
    config = replace(SMALL, positions="sinusoidal", n_embd=96, n_positions=200, vocab_size=500)
    model = transformer.Transformer(config, torch.Generator().manual_seed(0))
    ids = some_ids()
    position = model.streams(ids)[0] - model.wte.weight[ids]
    torch.testing.assert_close(
        position / position.norm(dim=-1, keepdim=True),
        (table := transformer_block.sinusoidal_positions(7, 96).expand(2, 7, 96))
        / table.norm(dim=-1, keepdim=True),
        rtol=0,
        atol=1e-5,
    )
    assert position.square().mean().sqrt().item() == pytest.approx(
        model.wte.weight.std().item(), rel=0.05
    )
    assert "table" not in model.state_dict() and "table" not in dict(model.named_parameters())


def test_every_field_of_the_configuration_reaches_the_model():
    config = replace(SMALL, embd_pdrop=0.5, layer_norm_epsilon=0.3, initializer_range=0.5)
    model = transformer.Transformer(config)
    ids = some_ids()
    assert all(m.eps == 0.3 for m in model.modules() if isinstance(m, transformer_block.LayerNorm))
    assert model.wte.weight.std().item() == pytest.approx(0.5, rel=0.1)
    torch.manual_seed(0)
    plain = sum(model.embed(ids))
    dropped = model.streams(ids)[0]
    assert 0.3 < (dropped == 0).float().mean() < 0.7 and torch.equal(
        model.eval().streams(ids)[0], plain
    )
    parts = transformer.logit_contributions(model, ids, token=3)
    torch.testing.assert_close(sum(parts.values()), model(ids)[:, :, 3], rtol=0, atol=1e-4)


@pytest.mark.parametrize("order", ["pre", "post", "parallel"])
def test_the_stream_is_normalised_once_before_the_head_in_every_order(order):
    model = transformer.Transformer(replace(SMALL, order=order, initializer_range=0.5))
    last = model.ln_f(model.streams(some_ids())[-1])
    torch.testing.assert_close(last, F.layer_norm(last, (24,)), rtol=1e-3, atol=1e-3)
    assert isinstance(model.ln_f, nn.Identity) == (order != "pre")


# --- Bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (dict(n_head=5), "divisible by n_head=5"),
        (dict(n_layer=-1), "n_layer=-1"),
        (dict(n_embd=0), "n_embd=0"),
        (dict(n_head=0), "n_head=0"),
        (dict(vocab_size=3.5), "vocab_size=3.5"),
        (dict(order="sandwich"), "pre, post, parallel"),
        (dict(positions="alibi"), "learned, sinusoidal, none"),
        (dict(activation_function="swish"), "relu, gelu, gelu_new"),
        (dict(residual=False, order="post"), 'use order="pre"'),
        (dict(resid_pdrop=1.0), "resid_pdrop=1.0"),
        (dict(embd_pdrop=-0.1), "embd_pdrop=-0.1"),
        (dict(n_positions="8"), "n_positions='8'"),
    ],
)
def test_a_bad_configuration_is_refused_by_name(fields, said):
    with pytest.raises(ValueError, match=said):
        replace(SMALL, **fields)


@pytest.mark.parametrize(
    ("ids", "error", "said"),
    [
        (torch.zeros(13, dtype=torch.long)[None], ValueError, "n_positions=12"),
        (torch.tensor([[31]]), ValueError, "0 to 30"),
        (torch.tensor([[-1]]), ValueError, "0 to 30"),
        (torch.tensor([1, 2]), TypeError, r"\[None\]"),
        (torch.tensor([[1.0]]), TypeError, "whole numbers"),
    ],
)
def test_bad_ids_are_refused_with_the_remedy(ids, error, said):
    with pytest.raises(error, match=said):
        transformer.Transformer(SMALL)(ids)
