"""Hooks, head scores, lens, attribution and patching, against transformers' GPT-2, plain loops and
runs by hand.
"""

import itertools

import pytest
import torch
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel

from course_utils.attention.heads import KVCache
from course_utils.circuits import hooks
from course_utils.circuits import reading as circuits
from course_utils.gpt2.model import GPT
from course_utils.pretrained import storyteller
from course_utils.transformer_block.block import TransformerConfig
from course_utils.transformer_block.transformer import Transformer

SIZES = dict(n_layer=3, n_head=2, n_embd=8, vocab_size=11, n_positions=16)


@pytest.fixture(scope="module")
def pair():
    """A GPT-2 of transformers with random weights, gains and shifts, and our copy of it."""
    config = GPT2Config(
        **SIZES,
        attn_implementation="eager",
        initializer_range=0.4,
        bos_token_id=None,
        eos_token_id=None,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        theirs = GPT2LMHeadModel(config).eval()
        for parameter in theirs.parameters():
            if parameter.ndim == 1:
                nn.init.normal_(parameter, mean=parameter.mean().item(), std=0.3)
    return theirs, GPT.from_hf(theirs).eval()


@pytest.fixture(scope="module")
def ids():
    return torch.randint(11, (2, 7), generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def answer(pair, ids):
    with torch.no_grad():
        return pair[0](ids, output_hidden_states=True, output_attentions=True)


def hooks_on(model):
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


def metric(logits):
    return logits[:, -1, 3] - logits[:, -1, 5]


# --- Recording ------------------------------------------------------------------------------------


def test_the_recorded_streams_are_those_of_transformers(pair, ids, answer):
    cache = hooks.activations(pair[1], ids, ["h.0.in", "h.*", "ln_f"])
    assert list(cache) == ["h.0.in", "h.0", "h.1", "h.2", "ln_f"]
    for ours, theirs in zip(
        [cache["h.0.in"], cache["h.0"], cache["h.1"], cache["ln_f"]],
        answer.hidden_states,
        strict=True,
    ):
        # the last of theirs has been through ln_f
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_the_recorded_patterns_are_those_of_transformers(pair, ids, answer):
    for cache in (
        hooks.activations(pair[1], ids, ["h.*.attn.pattern"]),
        hooks.activations(pair[0], ids, ["transformer.h.*.attn.pattern"]),
    ):
        for ours, theirs in zip(cache.values(), answer.attentions, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_anything_in_a_model_of_transformers_can_be_recorded(pair, ids):
    theirs = hooks.activations(
        pair[0],
        ids,
        [
            "transformer.h.1.attn",
            "transformer.h.1.attn.heads",
            "transformer.h.2.in",
            "transformer.h.0.mlp",
        ],
    )
    ours = hooks.activations(pair[1], ids, ["h.1.attn", "h.1.attn.heads", "h.2.in", "h.0.mlp"])
    for name, x in ours.items():
        torch.testing.assert_close(x, theirs[f"transformer.{name}"], rtol=1e-4, atol=1e-4)


def test_record_gives_what_the_cache_gives(pair, ids):
    names = ["h.1", "wte", "h.2.mlp.c_fc"]
    found = hooks.record(pair[1], ids, names)
    cache = hooks.activations(pair[1], ids, names)
    assert list(found) != [] and all(torch.equal(found[name], cache[name]) for name in names)


def test_heads_and_what_they_write_add_up_to_the_attention(pair, ids):
    model = pair[1]
    cache = hooks.activations(model, ids, ["h.1.attn.heads", "h.1.attn", "h.1.attn.in"])
    proj = model.h[1].attn.c_proj
    total = (
        sum(cache["h.1.attn.heads"][:, h] @ proj.weight[:, 4 * h : 4 * h + 4].T for h in range(2))
        + proj.bias
    )
    torch.testing.assert_close(total, cache["h.1.attn"], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(model.h[1].attn(cache["h.1.attn.in"]), cache["h.1.attn"])


def test_patterns_follow_the_mask_that_the_model_is_given(pair, ids):
    mask = torch.eye(7, dtype=torch.bool)
    with hooks.ActivationCache(pair[1], ["h.*.attn.pattern"]) as cache:
        pair[1](ids, mask=mask)
    assert all(torch.equal(pattern, torch.eye(7).expand(2, 2, 7, 7)) for pattern in cache.values())


def test_recording_changes_nothing_and_leaves_nothing(pair, ids):
    model = pair[1]
    before = model(ids)
    with hooks.ActivationCache(model, hooks.points(model)) as cache:
        inside = model(ids)
    assert (
        torch.equal(inside, before)
        and hooks_on(model) == 0
        and not any(x.requires_grad for x in cache.values())
    )
    assert len(cache) > 50


def test_hooks_are_taken_off_after_an_error(pair):
    for run in (
        lambda bad: hooks.activations(pair[1], bad, ["h.*"]),
        lambda bad: hooks.record(pair[1], bad, ["h.0"]),
    ):
        with pytest.raises(ValueError, match="not in 0 to 10"):
            run(torch.tensor([[99]]))
        assert hooks_on(pair[1]) == 0


def test_a_copy_is_kept_even_where_the_model_works_in_place():
    network = nn.Sequential(nn.Linear(3, 3), nn.ReLU(inplace=True))
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    cache = hooks.activations(network, x, ["0", "1"])
    torch.testing.assert_close(cache["0"], x @ network[0].weight.T + network[0].bias)
    assert (cache["0"] < 0).any() and (cache["1"] >= 0).all()


def test_the_last_run_is_kept(pair, ids):
    with hooks.ActivationCache(pair[1], ["h.0"]) as cache:
        pair[1](ids)
        pair[1](ids[:1, :3])
    assert cache["h.0"].shape == (1, 3, 8)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("h.0.atn", "closest is 'h.0.attn'.*h.\\*.attn.pattern.*ln_f"),
        ("h.9", "no 'h.9'"),
        ("transformer.h.0", "no 'transformer.h.0'"),
        ("h.0.mlp.pattern", "no 'h.0.mlp.pattern'"),
        ("", "There are"),
    ],
)
def test_an_unknown_name_is_answered_with_what_there_is(pair, name, message):
    for use in (
        lambda: hooks.ActivationCache(pair[1], [name]),
        lambda: hooks.patched(pair[1], {name: torch.zeros(1)}).__enter__(),
    ):
        with pytest.raises(ValueError, match=message):
            use()


def test_what_was_not_recorded_is_named(pair, ids):
    with pytest.raises(KeyError, match="'h.1' was not recorded; recorded are h.0, ln_f"):
        hooks.activations(pair[1], ids, ["h.0", "ln_f"])["h.1"]


def test_patterns_that_cannot_be_known_say_so(pair, ids):
    with (
        hooks.ActivationCache(pair[1], ["h.0.attn.pattern"]),
        pytest.raises(ValueError, match="without a cache only"),
    ):
        pair[1](ids, [KVCache() for _ in range(3)])
    fast = GPT2LMHeadModel(
        GPT2Config(**SIZES, attn_implementation="sdpa", bos_token_id=None, eos_token_id=None)
    ).eval()
    with pytest.raises(ValueError, match="set_attn_implementation"):
        hooks.activations(fast, ids, ["transformer.h.0.attn.pattern"])


# --- Replacing ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "h.1",
        "h.0.in",
        "h.1.attn",
        "h.1.mlp",
        "h.1.attn.heads",
        "h.1.attn.pattern",
        "ln_f.in",
        "h.2.attn.c_attn",
    ],
)
def test_an_activation_put_back_changes_nothing_and_another_changes_much(pair, ids, name):
    model = pair[1]
    own, other = (hooks.activations(model, x, [name])[name] for x in (ids, (ids + 1) % 11))
    with hooks.patched(model, {name: own}):
        torch.testing.assert_close(model(ids), model(ids), rtol=0, atol=0)
        inside = model(ids)
    torch.testing.assert_close(inside, model(ids), rtol=1e-4, atol=1e-4)
    with hooks.patched(model, {name: other}):
        assert (model(ids) - inside).abs().max() > 0.01
    assert hooks_on(model) == 0


def test_the_whole_stream_of_another_run_gives_its_answer(pair, ids):
    model = pair[1]
    other = (ids + 1) % 11
    with hooks.patched(model, {"h.1": hooks.activations(model, other, ["h.1"])["h.1"]}):
        torch.testing.assert_close(model(ids), model(other), rtol=1e-4, atol=1e-4)


def test_transformers_models_are_patched_alike(pair, ids):
    theirs, ours = pair
    with hooks.patched(
        theirs,
        {"transformer.h.1.attn": torch.zeros_like, "transformer.h.0.attn.heads": lambda x: 2 * x},
    ):
        patched = theirs(ids).logits
    with hooks.patched(ours, {"h.1.attn": torch.zeros_like, "h.0.attn.heads": lambda x: 2 * x}):
        torch.testing.assert_close(ours(ids), patched, rtol=1e-4, atol=1e-4)


def test_a_head_without_output_is_a_head_whose_weights_are_zero(pair, ids):
    def mute(z):
        z = z.clone()
        z[:, 1] = 0
        return z

    with hooks.patched(pair[1], {"h.2.attn.heads": mute}):
        ours = pair[1](ids)
    copy = GPT(pair[1].config)
    copy.load_state_dict(pair[1].state_dict())
    with torch.no_grad():
        copy.h[2].attn.c_proj.weight[:, 4:] = 0
    torch.testing.assert_close(ours, copy(ids), rtol=1e-4, atol=1e-4)


def test_only_replaces_what_it_is_told(pair):
    x = torch.arange(12.0).view(1, 4, 3)
    source = -torch.arange(12.0).view(1, 4, 3)
    got = hooks.only(source, slice(None), 2)(x)
    want = x.clone()
    want[:, 2] *= -1
    assert torch.equal(got, want) and x.min() == 0
    with pytest.raises(ValueError, match="texts of one length"):
        hooks.only(source, 0)(x[:, :2])


@pytest.mark.parametrize("name", ["h.1", "h.1.in", "h.1.attn.heads", "h.1.attn.pattern"])
def test_a_patch_of_the_wrong_shape_is_refused(pair, ids, name):
    with (
        hooks.patched(pair[1], {name: torch.zeros(2, 3)}),
        pytest.raises(ValueError, match=rf"\(2, 3\) does not fit {name}, which is \(2, "),
    ):
        pair[1](ids)
    assert hooks_on(pair[1]) == 0


def test_gradients_pass_through_a_patch_that_is_a_function(pair, ids):
    scale = torch.ones((), requires_grad=True)
    with hooks.patched(pair[1], {"h.1.mlp": lambda x: scale * x}):
        metric(pair[1](ids)).sum().backward()
    assert scale.grad.abs() > 0


# --- Scores ---------------------------------------------------------------------------------------


def score_by_loops(pattern, ids, column):
    """The mean over positions with an earlier copy of the attention on column(s), summed over the
    copies s.
    """
    total, rows = 0.0, 0
    for b, row in enumerate(ids.tolist()):
        for t in range(len(row)):
            earlier = [s for s in range(t) if row[s] == row[t]]
            rows += bool(earlier)
            total += sum(pattern[b, t, column(s)].item() for s in earlier)
    return total / rows


@pytest.mark.parametrize("seed", range(5))
def test_scores_agree_with_plain_loops(seed):
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(4, (3, 9), generator=generator)
    patterns = (
        torch.randn(3, 2, 9, 9, generator=generator)
        .masked_fill(torch.ones(9, 9).triu(1).bool(), -1e9)
        .softmax(-1)
    )
    for h in range(2):
        one = patterns[:, h]
        assert circuits.induction_score(patterns, ids)[h].item() == pytest.approx(
            score_by_loops(one, ids, lambda s: s + 1), abs=1e-5
        )
        assert circuits.duplicate_token_score(patterns, ids)[h].item() == pytest.approx(
            score_by_loops(one, ids, lambda s: s), abs=1e-5
        )
        steps = [one[b, t, t - 1].item() for b in range(3) for t in range(1, 9)]
        assert circuits.previous_token_score(one).mean().item() == pytest.approx(
            sum(steps) / len(steps), abs=1e-5
        )


def test_a_perfect_head_of_each_kind_has_the_score_1_and_the_others_0():
    # (1, 16), period 8
    ids = torch.randperm(8, generator=torch.Generator().manual_seed(0)).repeat(2)[None]
    back = torch.eye(16).roll(-1, -1).tril()  # t to t - 1
    for pattern, scores in (
        (back, (1, 0, 0)),
        (torch.eye(16).roll(-8, -1).tril(), (0, 1, 0)),
        (torch.eye(16).roll(-7, -1).tril(), (0, 0, 1)),
    ):
        rows = pattern.clone()
        found = (
            circuits.previous_token_score(rows[None])[0],
            circuits.duplicate_token_score(rows[None], ids),
            circuits.induction_score(rows[None], ids),
        )
        assert [round(x.item(), 2) for x in found] == list(scores)


def test_uniform_attention_scores_what_chance_gives():
    ids = torch.tensor([[1, 2, 1, 2, 1]])
    uniform = torch.ones(5, 5).tril() / torch.arange(1, 6)[:, None]
    assert circuits.induction_score(uniform[None], ids).item() == pytest.approx(
        (1 / 3 + 1 / 4 + 2 / 5) / 3
    )


def test_ids_without_a_repeat_cannot_be_scored():
    for score in (circuits.induction_score, circuits.duplicate_token_score):
        with pytest.raises(ValueError, match="no token comes twice"):
            score(torch.eye(3)[None], torch.tensor([[1, 2, 3]]))


def test_scores_of_all_heads_are_those_of_the_patterns_of_transformers(pair, ids, answer):
    for score in (circuits.induction_score, circuits.duplicate_token_score):
        want = torch.stack([score(pattern, ids) for pattern in answer.attentions])
        torch.testing.assert_close(
            circuits.head_scores(pair[1], ids, score), want, rtol=1e-4, atol=1e-5
        )
    want = torch.stack(
        [pattern.diagonal(-1, dim1=-2, dim2=-1).mean((0, 2)) for pattern in answer.attentions]
    )
    torch.testing.assert_close(
        circuits.head_scores(pair[1], ids, circuits.previous_token_score),
        want,
        rtol=1e-4,
        atol=1e-5,
    )


# --- Lens and attribution -------------------------------------------------------------------------


def test_the_lens_decodes_the_hidden_states_of_transformers(pair, ids, answer):
    lens = circuits.logit_lens(pair[1], ids)
    theirs = pair[0]
    for row, stream in zip(lens, answer.hidden_states[:-1], strict=False):
        torch.testing.assert_close(
            row, theirs.lm_head(theirs.transformer.ln_f(stream)), rtol=1e-3, atol=1e-3
        )
    torch.testing.assert_close(lens[-1], answer.logits, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_attribution_adds_up_to_the_logits(seed):
    model = storyteller()
    ids = torch.randint(699, (2, 20), generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        logits = model(ids)
    one = circuits.attribution(model, ids, 17)
    two = circuits.attribution(model, ids, 17, other=230)
    assert (one.total - logits[..., 17]).abs().max() < 1e-4
    assert (two.total - (logits[..., 17] - logits[..., 230])).abs().max() < 1e-4
    assert (
        one.heads.shape == (4, 4, 2, 20)
        and one.mlps.shape == (4, 2, 20)
        and one.rest.shape == (2, 20)
    )


def test_attribution_is_what_a_part_adds_with_the_scale_of_the_norm_frozen(pair, ids):
    model = pair[1]
    cache = hooks.activations(model, ids, ["h.2", "h.1.mlp", "h.0.attn.heads"])
    scale = (cache["h.2"].var(-1, correction=0, keepdim=True) + model.ln_f.eps).sqrt()
    direction = model.lm_head.weight[3] - model.lm_head.weight[8]

    def share(write):
        return ((write - write.mean(-1, keepdim=True)) / scale * model.ln_f.weight) @ direction

    parts = circuits.attribution(model, ids, 3, other=8)
    torch.testing.assert_close(parts.mlps[1], share(cache["h.1.mlp"]), rtol=1e-3, atol=1e-4)
    write = cache["h.0.attn.heads"][:, 1] @ model.h[0].attn.c_proj.weight[:, 4:].T
    torch.testing.assert_close(parts.heads[0, 1], share(write), rtol=1e-3, atol=1e-4)


def test_attribution_works_without_mlps():
    model = Transformer(
        TransformerConfig(n_layer=2, n_head=2, n_embd=8, vocab_size=9, n_positions=8, mlp=False)
    ).eval()
    ids = torch.tensor([[1, 2, 3]])
    parts = circuits.attribution(model, ids, 4)
    torch.testing.assert_close(parts.total, model(ids)[..., 4], rtol=1e-4, atol=1e-5)
    assert (parts.mlps == 0).all()


# --- Patching -------------------------------------------------------------------------------------


def test_the_patching_map_is_made_of_single_patches(pair):
    model = pair[1]
    clean = torch.tensor([[1, 2, 3, 4, 5]])
    corrupt = torch.tensor([[1, 7, 3, 9, 5]])
    names = ["h.0.in", "h.1.mlp", "h.1"]
    table = circuits.patching_map(model, clean, corrupt, metric, names)
    good = metric(model(clean)).item()
    bad = metric(model(corrupt)).item()
    for row, name in zip(table, names, strict=True):
        for t in range(5):
            x, y = (hooks.activations(model, ids, [name])[name] for ids in (corrupt, clean))
            x[0, t] = y[0, t]
            with hooks.patched(model, {name: x}):
                assert row[t].item() == pytest.approx(
                    (metric(model(corrupt)).item() - bad) / (good - bad), abs=1e-3
                )
    same = table[0, [0, 2, 4]]  # the words are the same there
    assert same.abs().max() < 1e-4 * table.abs().max()


def frozen_run(model, clean, corrupt, sender, receiver, reads, mlps):
    """Path patching, written out part by part."""
    a, i = sender
    b, j = receiver
    bad, good = (
        hooks.activations(model, ids, ["h.*.attn", "h.*.mlp", "h.*.attn.heads", "h.0.in"])
        for ids in (corrupt, clean)
    )
    change = (good[f"h.{a}.attn.heads"] - bad[f"h.{a}.attn.heads"])[:, i] @ model.h[
        a
    ].attn.c_proj.weight[:, 4 * i : 4 * i + 4].T
    x = bad["h.0.in"]
    for layer in range(b):
        x = x + bad[f"h.{layer}.attn"] + (change if layer == a else 0)
        mlp = model.h[layer].mlp(model.h[layer].ln_2(x))
        x = x + (mlp if mlps or layer < a else bad[f"h.{layer}.mlp"])
    true = bad["h.0.in"]
    for layer, block in enumerate(model.h):
        z = block.ln_1(true)
        q, k, v = (
            part.view(1, -1, 2, 4).transpose(1, 2).clone()
            for part in block.attn.c_attn(z).chunk(3, -1)
        )
        if layer == b:
            new = [
                part.view(1, -1, 2, 4).transpose(1, 2)
                for part in block.attn.c_attn(block.ln_1(x)).chunk(3, -1)
            ]
            for letter, mine, other in zip("qkv", (q, k, v), new, strict=True):
                if letter in reads:
                    mine[:, j] = other[:, j]
        scores = (q @ k.transpose(-1, -2) / 2).masked_fill(
            torch.ones(z.size(1), z.size(1)).triu(1).bool(), -1e9
        )
        true = true + block.attn.c_proj((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))
        true = true + block.mlp(block.ln_2(true))
    return model.lm_head(model.ln_f(true))


@pytest.mark.parametrize(
    ("sender", "receiver", "reads", "mlps"),
    [
        ((0, 0), (2, 1), "qkv", True),
        ((0, 1), (1, 0), "v", True),
        ((1, 0), (2, 0), "k", True),
        ((0, 1), (2, 0), "q", False),
        ((0, 0), (1, 1), "qk", False),
    ],
)
def test_path_patching_agrees_with_a_run_by_hand(pair, sender, receiver, reads, mlps):
    model = pair[1]
    clean = torch.tensor([[1, 2, 3, 4, 5]])
    corrupt = torch.tensor([[1, 7, 3, 9, 5]])
    with torch.no_grad():
        want = frozen_run(model, clean, corrupt, sender, receiver, reads, mlps)
        plain = model(corrupt)
    got = circuits.path_patch(model, clean, corrupt, sender, receiver, reads, mlps)
    torch.testing.assert_close(got, want, rtol=1e-3, atol=1e-4)
    assert (got - plain).abs().max() > 1e-3 and hooks_on(model) == 0


def test_a_path_between_equal_runs_changes_nothing(pair, ids):
    for sender, receiver in itertools.product([(0, 0), (0, 1)], [(1, 1), (2, 0)]):
        torch.testing.assert_close(
            circuits.path_patch(pair[1], ids, ids, sender, receiver),
            pair[1](ids),
            rtol=1e-4,
            atol=1e-4,
        )


@pytest.mark.parametrize(
    ("sender", "receiver", "reads"),
    [
        ((1, 0), (1, 1), "q"),
        ((2, 0), (1, 1), "q"),
        ((0, 2), (1, 1), "q"),
        ((0, 0), (1, 1), "x"),
        ((0, 0), (1, 1), ""),
    ],
)
def test_a_path_that_does_not_exist_is_refused(pair, ids, sender, receiver, reads):
    with pytest.raises(ValueError, match="no path|choose from the letters"):
        circuits.path_patch(pair[1], ids, ids, sender, receiver, reads)


# --- A library that does the same -----------------------------------------------------------------


def test_nnsight_records_and_replaces_the_same_numbers():
    nnsight = pytest.importorskip("nnsight")
    model = storyteller()
    ids = torch.randint(699, (1, 12), generator=torch.Generator().manual_seed(0))
    seen = nnsight.NNsight(model)
    with seen.trace(ids):
        stream = seen.h[1].output.save()
        write = seen.h[2].attn.output.save()
    cache = hooks.activations(model, ids, ["h.1", "h.2.attn"])
    torch.testing.assert_close(stream, cache["h.1"])
    torch.testing.assert_close(write, cache["h.2.attn"])
    with seen.trace(ids):
        seen.h[1].output[:, 3] = 0
        logits = seen.lm_head.output.save()
    with hooks.patched(model, {"h.1": hooks.only(torch.zeros_like(stream), slice(None), 3)}):
        torch.testing.assert_close(logits, model(ids))


def test_heads_are_recorded_as_replaced_patterns_make_them_whatever_else_is_recorded(pair, ids):
    model = pair[1]
    first = "h.1.attn"
    even = torch.full((2, 2, 7, 7), 1 / 7)  # every position looks at all alike
    names = [f"{first}.pattern", f"{first}.heads", f"{first}.c_attn"]
    with (
        torch.no_grad(),
        hooks.patched(model, {f"{first}.pattern": even}),
        hooks.ActivationCache(model, names) as cache,
    ):
        model(ids)
    # (B, H, T, d)
    values = cache[f"{first}.c_attn"].chunk(3, dim=-1)[2].unflatten(-1, (2, -1)).transpose(1, 2)
    torch.testing.assert_close(
        cache[f"{first}.heads"], values.mean(2, keepdim=True).expand_as(values)
    )
    assert sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()) == 0


@pytest.mark.parametrize("patch", [0.0, lambda x: None])
def test_a_patch_that_is_no_tensor_is_refused_by_its_name(pair, ids, patch):
    with pytest.raises(TypeError, match="patch of h.1 is"), hooks.patched(pair[1], {"h.1": patch}):
        pair[1](ids)


def test_scores_and_paths_refuse_texts_that_are_too_short_or_do_not_match(pair, ids):
    with pytest.raises(ValueError, match="one position only"):
        circuits.previous_token_score(torch.ones(2, 1, 1))
    with pytest.raises(ValueError, match=r"must be \(B, T\)"):
        circuits.earlier_copies(ids[0])
    with pytest.raises(ValueError, match="one length"):
        circuits.path_patch(pair[1], ids, ids[:, :4], (0, 0), (1, 0))
