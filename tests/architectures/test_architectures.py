"""Lesson 11's parts and models beside torch's and transformers' own."""

import math

import pytest
import torch
import train_architectures
from torch import nn
from transformers import LlamaConfig, MixtralConfig
from transformers.models.llama.modeling_llama import (
    LlamaMLP,
    LlamaRotaryEmbedding,
    apply_rotary_pos_emb,
    repeat_kv,
)
from transformers.models.mixtral.modeling_mixtral import (
    MixtralSparseMoeBlock,
    load_balancing_loss_func,
)

from course_utils import architectures
from course_utils.architectures import parts, runs
from course_utils.architectures.modern import GroupedAttention, ModernConfig, ModernTransformer
from course_utils.attention import KVCache
from course_utils.transformer_block import Transformer, TransformerConfig, rotary

close = torch.testing.assert_close
SIZES = dict(vocab_size=20, n_positions=16, n_embd=24, n_layer=2, n_head=4)


def dice(seed=0):
    return torch.Generator().manual_seed(seed)


def noise(*shape, seed=0):
    return torch.randn(shape, generator=dice(seed))


# --- the parts ------------------------------------------------------------------------------------


def test_rms_norm_is_torchs():
    theirs = nn.RMSNorm(12, eps=1e-6)
    theirs.weight.data = noise(12)
    x = 3 * noise(2, 5, 12, seed=1) + 1
    close(parts.rms_norm(x, theirs.weight), theirs(x))


def test_swiglu_is_llamas_mlp():
    theirs = LlamaMLP(LlamaConfig(hidden_size=12, intermediate_size=20, num_attention_heads=2))
    x = noise(2, 5, 12)
    matrices = (m.weight.T for m in (theirs.gate_proj, theirs.up_proj, theirs.down_proj))
    close(parts.swiglu(x, *matrices), theirs(x))


def test_rotary_gives_llamas_scores():
    """Llama pairs feature i with i + d/2, we pair neighbours: sorted so, the scores are equal."""
    T = 9
    d = 8
    q = noise(1, 2, T, d)
    k = noise(1, 2, T, d, seed=1)
    config = LlamaConfig(hidden_size=2 * d, num_attention_heads=2)
    cos, sin = LlamaRotaryEmbedding(config)(q, torch.arange(T)[None])
    order = torch.cat([torch.arange(0, d, 2), torch.arange(1, d, 2)])
    theirs_q, theirs_k = apply_rotary_pos_emb(q[..., order], k[..., order], cos, sin)
    close(rotary(q) @ rotary(k).mT, theirs_q @ theirs_k.mT)


def test_heads_are_shared_as_in_llama():
    x = noise(2, 2, 5, 4)
    close(parts.repeat_kv(x, 3), repeat_kv(x, 3))


def test_router_and_swiglu_make_mixtrals_block():
    """Mixtral makes the weights of the chosen experts sum to 1; ours are taken as they are."""
    config = MixtralConfig(
        hidden_size=8,
        intermediate_size=12,
        num_local_experts=5,
        num_experts_per_tok=2,
        num_attention_heads=2,
        num_key_value_heads=1,
    )
    theirs = MixtralSparseMoeBlock(config).eval()
    for seed, parameter in enumerate(theirs.parameters()):
        parameter.data = noise(*parameter.shape, seed=seed) / 3
    x = noise(1, 7, 8)
    weights, experts = parts.route(x[0] @ theirs.gate.weight.T, 2)
    weights = weights / weights.sum(-1, keepdim=True)
    gate, up = theirs.experts.gate_up_proj.chunk(2, dim=1)  # (E, d_inner, d_model) each
    down = theirs.experts.down_proj  # (E, d_model, d_inner)
    want = torch.stack(
        [
            sum(
                w * parts.swiglu(row, gate[e].T, up[e].T, down[e].T)
                for w, e in zip(ws, es, strict=True)
            )
            for row, ws, es in zip(x[0], weights, experts, strict=True)
        ]
    )
    got = theirs(x)
    close(want, (got[0] if isinstance(got, tuple) else got)[0])


def test_there_are_not_more_experts_than_all():
    with pytest.raises(ValueError, match="choose between 1 and all"):
        parts.route(noise(7, 5), 6)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_the_balance_is_mixtrals_but_for_k(k):
    logits = 2 * noise(50, 6)
    _, experts = parts.route(logits, k)
    theirs = load_balancing_loss_func((logits,), num_experts=6, top_k=k)
    close(k * parts.load_balance(logits, experts), theirs)


def test_experts_are_added_up_token_by_token():
    ours = architectures.Experts(architectures.Shape(8, 12, 3), top_k=2)
    x = noise(2, 5, 8)
    y = ours(x)
    tokens = x.flatten(0, 1)
    weights, chosen = parts.route(ours.router(tokens), 2)
    for n, token in enumerate(tokens):
        want = torch.zeros(8)
        for weight, e in zip(weights[n], chosen[n].tolist(), strict=True):
            wide = nn.functional.gelu(
                token @ ours.c_fc.weight[e] + ours.c_fc.bias[e], approximate="tanh"
            )
            want = want + weight * (wide @ ours.c_proj.weight[e] + ours.c_proj.bias[e])
        close(y.flatten(0, 1)[n], want)
    assert 0 < ours.balance.item() <= 3


def test_cross_attention_is_torchs():
    theirs = nn.MultiheadAttention(12, 3, bias=False, batch_first=True)
    ours = architectures.CrossAttention(12, 3)
    for row, matrix in enumerate(theirs.in_proj_weight.chunk(3)):
        ours.weights.data[row] = matrix.T.unflatten(1, (3, 4)).transpose(0, 1)
    ours.c_proj.weight.data = theirs.out_proj.weight.data
    ours.c_proj.bias.data.zero_()
    x = noise(2, 5, 12)
    source = noise(2, 7, 12, seed=1)
    want, _ = theirs(x, source, source)
    close(ours(x, source), want)


# --- the models -----------------------------------------------------------------------------------


def test_without_a_change_it_is_model_5():
    ids = torch.randint(20, (2, 10), generator=dice())
    ours = ModernTransformer(ModernConfig(**SIZES), dice())
    close(ours(ids), Transformer(TransformerConfig(**SIZES), dice())(ids), rtol=0, atol=0)


def test_shared_heads_without_sharing_are_the_old_attention():
    ids = torch.randint(20, (2, 10), generator=dice())
    ours = ModernTransformer(ModernConfig(**SIZES, n_kv_head=4), dice())
    assert isinstance(ours.h[0].attn, GroupedAttention)
    close(ours(ids), Transformer(TransformerConfig(**SIZES), dice())(ids))


@pytest.mark.parametrize("name", ["RoPE", "GQA", "all four"])
def test_a_cache_changes_nothing(name):
    model = ModernTransformer(architectures.variant(name, **SIZES), dice())
    ids = torch.randint(20, (2, 10), generator=dice())
    caches = [KVCache() for _ in model.h]
    steps = [model(ids[:, :4], kv_cache=caches)]
    steps += [model(ids[:, t : t + 1], kv_cache=caches) for t in range(4, 10)]
    close(torch.cat(steps, dim=1), model(ids))


def test_the_parts_that_are_given_are_the_ones_that_compute():
    calls = []

    def counted(name):
        def part(*arguments):
            calls.append(name)
            return getattr(parts, name)(*arguments)

        return part

    names = ("rotary", "rms_norm", "swiglu", "repeat_kv")
    given = parts.Parts(**{name: counted(name) for name in names})
    config = architectures.variant("all four", **SIZES)
    ModernTransformer(config, dice(), given)(torch.zeros(1, 4, dtype=torch.long))
    assert {name: calls.count(name) for name in names} == dict(
        rotary=4, rms_norm=5, swiglu=2, repeat_kv=4
    )


def test_the_sizes_of_the_race_are_fair():
    models = {name: ModernTransformer(c, dice()) for name, c in runs.ON_STORIES.items()}
    count = {name: sum(p.numel() for p in m.parameters()) for name, m in models.items()}
    assert all(0.88 < n / count["Model 5"] <= 1 for n in count.values())
    assert runs.equal_steps(runs.ON_STORIES["SwiGLU"]) == runs.STEPS


def test_an_encoder_decoder_looks_at_the_source_and_never_ahead():
    source, target = architectures.orders(3, dice())
    model = architectures.EncoderDecoder()
    before = model(source, target)
    later = target.clone()
    later[:, 5] = (later[:, 5] + 1) % 27
    close(model(source, later)[:, :5], before[:, :5])
    other = source.clone()
    other[:, -1] = (other[:, -1] + 1) % 27
    assert (model(other, target) - before).abs().amax(-1).min() > 0
    assert architectures.EncoderDecoder(one_vector=True).encode(source).shape == (3, 1, 64)


def test_orders_are_what_they_say():
    source, target = architectures.orders(50, dice())
    for row, answer in zip(source.tolist(), target.tolist(), strict=True):
        assert answer == (row[1:] if row[0] == 27 else row[:0:-1])


# --- the record -----------------------------------------------------------------------------------


def test_the_record_has_three_seeds_of_every_model():
    record = runs.recorded()
    for part, names, key in (
        ("parts", runs.ON_STORIES, "loss"),
        ("mixtures", runs.MIXTURES, "loss"),
        ("facts", runs.ON_FACTS, "known"),
    ):
        for name in names:
            assert len(runs.at_best_rate(record[part], name, key)) == 3
    assert len(record["families"]) == 3 * len(architectures.FAMILIES)


def test_the_recorder_writes_what_the_lesson_reads(tmp_path, monkeypatch):
    monkeypatch.setattr(train_architectures, "STEPS_OF_FAMILIES", 1)
    monkeypatch.setattr(runs, "FACT_STEPS", 4)
    assert train_architectures.main(["--out", str(tmp_path), "facts", "families"]) == 0
    stored = train_architectures.load(tmp_path / train_architectures.FILE)
    assert {row["name"] for row in stored["facts"]} == set(runs.ON_FACTS)
    assert all(0 <= row["right"] <= 1 for row in stored["families"])
    monkeypatch.setattr(runs, "STEPS", 1)
    row = train_architectures.on_stories("8 experts", runs.MIXTURES["8 experts"], 1, 1e-3, 0)
    assert 1 / 8 <= row["largest_share"] <= 1 and math.isfinite(row["loss"])
