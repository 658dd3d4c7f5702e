"""Repeated sequences, head scores and ablations against plain loops and models with edited weights;
tiny runs.
"""

import itertools
import math
import runpy

import pytest
import torch
import torch.nn.functional as F
from common import ROOT

from course_utils import assets
from course_utils.attention.heads import attention, causal_mask, merge_heads, split_heads
from course_utils.circuits.hooks import patched
from course_utils.induction import ablation as induction
from course_utils.induction import heads as induction_heads
from course_utils.induction import study, weights


def dice(seed=0):
    return torch.Generator().manual_seed(seed)


def model(n_layer=2, n_head=2, seed=0, T=14):
    """A random model whose heads matter: larger weights than at the start of training."""
    net = induction_heads.attention_only(
        n_layer, T=T, vocab_size=10, d_model=12, n_head=n_head, generator=dice(seed)
    )
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=dice(seed + 1)) * 0.4)
    return net


def batch(seed=0, B=6, T=14):
    return induction_heads.repeat_batches(B, T, 10, (3, 5))(dice(seed))


# --- Data -----------------------------------------------------------------------------------------


def test_sequences_repeat_blocks_of_different_tokens_with_every_period_equally_often():
    ids, period = induction_heads.repeated_sequences(3000, 13, 8, (2, 5), dice())
    for row, p in zip(ids.tolist(), period.tolist(), strict=True):
        assert all(row[t] == row[t % p] for t in range(13)) and len(set(row[:p])) == p
    shares = period.bincount(minlength=6)[2:] / 3000
    assert (shares - 0.25).abs().max() < 5 * math.sqrt(0.19 / 3000)
    assert (ids[:, 0].bincount(minlength=8) / 3000 - 1 / 8).abs().max() < 5 * math.sqrt(0.11 / 3000)


@pytest.mark.parametrize("periods", [(0, 3), (4, 3), (2, 11)])
def test_periods_that_do_not_fit_are_refused(periods):
    with pytest.raises(ValueError, match="least and the greatest"):
        induction_heads.repeated_sequences(2, 6, 10, periods, dice())


def test_a_target_counts_exactly_where_its_input_token_came_before():
    inputs, targets = batch(B=50)
    for row, wanted in zip(inputs.tolist(), targets.tolist(), strict=True):
        for t in range(len(row)):
            if row[t] in row[:t]:
                last = max(s for s in range(t) if row[s] == row[t])
                assert wanted[t] == row[last + 1]
            else:
                assert wanted[t] == induction_heads.UNKNOWN


def test_late_repeats_begin_late_and_are_known_from_their_second_token_on():
    inputs, targets = induction_heads.late_repeats(
        20, start=3, period=4, vocab_size=9, generator=dice()
    )
    for row, wanted in zip(inputs.tolist(), targets.tolist(), strict=True):
        assert (
            len(set(row[:7])) == 7
            and row[7:] == row[3:6]
            and wanted[:7] == [induction_heads.UNKNOWN] * 7
        )
        assert wanted[7:] == row[4:7]
    with pytest.raises(ValueError, match="12 different tokens|8 \\+ 4"):
        induction_heads.late_repeats(1, start=8, period=4, vocab_size=9, generator=dice())


# --- Looking --------------------------------------------------------------------------------------


def test_token_losses_are_torchs_and_leave_unknown_targets_out():
    net = model()
    inputs, targets = batch()
    losses = induction_heads.token_losses(net, (inputs, targets))
    assert torch.equal(losses.isnan(), targets == induction_heads.UNKNOWN)
    torch.testing.assert_close(
        losses.nanmean(), F.cross_entropy(net(inputs).flatten(0, 1), targets.flatten()).detach()
    )


def test_what_is_looked_at_agrees_with_plain_loops():
    net = model(seed=4)
    inputs, targets = batch(seed=2)
    seen = induction_heads.look(net, (inputs, targets))
    guess = net(inputs).argmax(-1)
    x = sum(net.embed(inputs))
    for layer, block in enumerate(net.h):
        y, pattern = block.attn(block.ln_1(x), return_weights=True)
        x = x + y
        torch.testing.assert_close(seen["patterns"][layer], pattern[0].detach())
        for head in range(2):
            before = [pattern[b, head, t, t - 1] for b in range(6) for t in range(1, 14)]
            torch.testing.assert_close(
                seen["previous"][layer, head], torch.stack(before).mean().detach()
            )
            after = []
            for b, t in itertools.product(range(6), range(14)):
                if places := [s for s in range(t) if inputs[b, s] == inputs[b, t]]:
                    after.append(sum(pattern[b, head, t, s + 1] for s in places))
            torch.testing.assert_close(
                seen["induction"][layer, head], torch.stack(after).mean().detach()
            )
    known = targets != induction_heads.UNKNOWN
    streaks = []
    for b in range(6):
        right = [bool(guess[b, t] == targets[b, t]) for t in range(14) if known[b, t]]
        streaks.append(next((i for i, ok in enumerate(right) if not ok), len(right)))
    assert seen["streaks"].tolist() == streaks
    torch.testing.assert_close(seen["accuracy"], (guess == targets)[known].float().mean())


def test_a_fixed_period_is_learned_in_a_few_steps_and_the_record_fits_the_model():
    net = induction_heads.attention_only(
        1, T=12, vocab_size=10, d_model=24, n_head=2, generator=dice()
    )
    growth = induction_heads.grow(net, (4, 4), steps=160, lr=0.01, every=40, progress=False)
    assert growth.steps == [0, 40, 80, 120, 160]
    assert growth.loss[0] > 2 and growth.loss[-1] < 0.3 and growth.accuracy[-1] > 0.9
    assert growth.previous.shape == growth.induction.shape == (
        5,
        1,
        2,
    ) and growth.streaks.shape == (5, 64)
    seen = induction_heads.repeat_batches(64, 12, 10, (4, 4))(dice(1_000_003))
    torch.testing.assert_close(growth.loss[-1], induction_heads.look(net, seen)["loss"])
    other = induction_heads.attention_only(
        1, T=12, vocab_size=10, d_model=24, n_head=2, generator=dice()
    )
    assert torch.equal(
        induction_heads.grow(other, (4, 4), steps=40, lr=0.01, every=40, progress=False).loss[0],
        growth.loss[0],
    )


def test_the_rise_of_a_curve_is_dated_by_its_first_and_last_value():
    steps = [0, 5, 10, 15, 20]
    falling = torch.tensor([4.0, 3.9, 3.0, 0.5, 0.0])
    assert induction_heads.rise(steps, falling) == (10, 15) and induction_heads.rise(
        steps, -falling
    ) == (10, 15)
    assert induction_heads.rise(steps, falling, 0.01, 0.99) == (5, 20)
    with pytest.raises(ValueError, match="ends where it began"):
        induction_heads.rise(steps, torch.ones(5))


# --- Taking heads out -----------------------------------------------------------------------------


def test_zero_ablation_is_a_model_whose_columns_of_w_o_are_zero():
    net = model()
    inputs, _ = batch()
    with torch.no_grad(), induction.ablated(net, [(0, 1), (1, 0)], induction.zero_ablate):
        got = net(inputs)
    with torch.no_grad():
        net.h[0].attn.c_proj.weight.unflatten(1, (2, 6))[:, 1] = 0
        net.h[1].attn.c_proj.weight.unflatten(1, (2, 6))[:, 0] = 0
        torch.testing.assert_close(got, net(inputs))


def test_mean_ablation_writes_the_mean_of_what_the_head_writes():
    net = model(n_layer=1, n_head=3)
    inputs, _ = batch()
    with torch.no_grad():
        x = sum(net.embed(inputs))
        writes = net.h[0].attn.per_head(net.h[0].ln_1(x))  # (B, H, T, d_model)
        x = x + writes[:, [0, 1]].sum(1) + writes[:, 2].mean(0) + net.h[0].attn.c_proj.bias
        want = net.lm_head(net.ln_f(x))
        with induction.ablated(net, [(0, 2)]):
            torch.testing.assert_close(net(inputs), want)


def test_an_ablated_model_is_whole_again_afterwards_even_after_an_error():
    net = model()
    inputs, _ = batch()
    before = net(inputs)
    with pytest.raises(RuntimeError), induction.ablated(net, induction.all_heads(net)):
        assert not torch.allclose(net(inputs), before)
        raise RuntimeError
    assert torch.equal(net(inputs), before)
    with pytest.raises(ValueError, match="h.5.attn.heads"), induction.ablated(net, [(5, 0)]):
        pass
    with pytest.raises(ValueError, match="from 0 to 1"), induction.ablated(net, [(0, 2)]):
        net(inputs)


@pytest.mark.parametrize("reads", ["q", "k", "v", "qk", "qkv"])
def test_harm_through_some_inputs_is_what_the_layer_gives_with_only_those_replaced(reads):
    net = model(seed=5)
    inputs, targets = batch()
    with torch.no_grad():
        x = sum(net.embed(inputs))
        writes = net.h[0].attn.per_head(net.h[0].ln_1(x))
        bias = net.h[0].attn.c_proj.bias
        whole = x + writes.sum(1) + bias
        without = whole - writes[:, 1] + writes[:, 1].mean(0)
        block = net.h[1]
        source = {True: without, False: whole}
        q, k, v = (
            split_heads(block.attn.c_attn(block.ln_1(source[letter in reads])).chunk(3, -1)[i], 2)
            for i, letter in enumerate("qkv")
        )
        y = block.attn.c_proj(merge_heads(attention(q, k, v, causal_mask(14))))
        logits = net.lm_head(net.ln_f(whole + y))
        want = F.cross_entropy(logits.flatten(0, 1), targets.flatten()) - F.cross_entropy(
            net(inputs).flatten(0, 1), targets.flatten()
        )
    assert math.isclose(
        induction.harm_through(net, (inputs, targets), [(0, 1)], reads), want, abs_tol=1e-5
    )
    with pytest.raises(ValueError, match="letters q, k and v"):
        induction.harm_through(net, (inputs, targets), [(0, 1)], "x")


def test_with_all_orders_the_prediction_is_the_harm_itself():
    net = model(seed=3)
    seen = batch()
    parts = induction.interactions(net, seen, order=4)
    heads = induction.all_heads(net)
    assert len(heads) == 4 and len(parts) == 15
    for n in range(5):
        for some in itertools.combinations(heads, n):
            assert math.isclose(
                induction.predicted_harm(parts, some[::-1], 4),
                induction.harm(net, seen, some),
                abs_tol=1e-4,
            )
    assert induction.predicted_harm(parts, heads, 1) == sum(parts[(head,)] for head in heads)


def test_heads_that_are_not_there_or_not_earlier_are_refused_and_one_given_twice_counts_once():
    net = model()
    seen = induction_heads.repeat_batches(4, 14, 10, (3, 5))(dice())
    for bad in (-1, 2):
        with pytest.raises(ValueError, match="from 0 to 1"):
            induction.harm(net, seen, [(0, bad)], induction.zero_ablate)
    with pytest.raises(ValueError, match="not before layer 1"):
        induction.harm_through(net, seen, [(1, 0)], "k")
    assert induction.predicted_harm({((0, 0),): 1.5}, [(0, 0), (0, 0)], 2) == 1.5


# --- From the weights -----------------------------------------------------------------------------


def test_circuits_are_products_of_the_weights_token_by_token():
    net = model()
    read = net.wte.weight - net.wte.weight.mean(-1, keepdim=True)
    parts = [net.h[n].attn.c_attn.weight * net.h[n].ln_1.weight for n in (0, 1)]
    d = 6  # features a head

    def written(layer, h, token):
        w_v = parts[layer][24 + h * d : 24 + (h + 1) * d]
        return net.h[layer].attn.c_proj.weight[:, h * d : (h + 1) * d] @ (w_v @ read[token])

    ov = weights.ov_circuit(net, (1, 1))
    qk = weights.qk_circuit(net, (1, 0), [(0, 0), (0, 1)])
    for a, b in itertools.product((0, 4, 9), repeat=2):
        raised = net.lm_head.weight[b] * net.ln_f.weight @ written(1, 1, a)
        assert ov[a, b].item() == pytest.approx(raised.item(), abs=1e-4)
        query = parts[1][:d] @ read[a]
        key = parts[1][12 : 12 + d] @ (written(0, 0, b) + written(0, 1, b))
        assert qk[a, b].item() == pytest.approx((query @ key).item(), abs=1e-4)


def test_a_copying_score_is_one_for_positive_minus_one_for_negative_and_small_for_random_tables():
    x = torch.randn(40, 8, generator=dice())
    assert weights.copying_score(x @ x.T).item() == pytest.approx(1, abs=1e-5)
    assert weights.copying_score(-x @ x.T).item() == pytest.approx(-1, abs=1e-5)
    assert abs(weights.copying_score(torch.randn(60, 60, generator=dice()))) < 0.2


# --- Swapped, forced, fitted ----------------------------------------------------------------------


def test_swapped_parts_come_from_the_next_text_and_a_single_text_is_its_own_next():
    qkv = torch.randn(3, 4, 6, generator=dice())
    for n, name in enumerate("qkv"):
        got = induction.swapped(qkv, name)
        want = qkv.clone()
        want[:, :, 2 * n : 2 * n + 2] = qkv[[2, 0, 1], :, 2 * n : 2 * n + 2]
        assert torch.equal(got, want)
    assert induction.harm_swapped(model(), batch(B=1), "v") == 0
    with pytest.raises(ValueError, match="choose q, k or v"):
        induction.harm_swapped(model(), batch(), "qk")


def test_heads_that_look_back_give_what_stands_one_place_before():
    net = model()
    with patched(net, {"h.0.attn.pattern": lambda x: induction.look_back(x, [1], 5)}):
        forced = net(batch()[0])
    values = split_heads(
        net.h[0]
        .attn.c_attn(net.h[0].ln_1(net.wte(batch()[0]) + net.wpe.weight[:14]))
        .chunk(3, -1)[2],
        2,
    )

    def give(z):
        z = z.clone()
        z[:, 1, 5:] = values[:, 1, 4:-1]
        return z

    with patched(net, {"h.0.attn.heads": give}):
        torch.testing.assert_close(net(batch()[0]), forced, rtol=1e-4, atol=1e-4)


def test_a_fitted_sum_finds_the_effects_of_which_harm_is_made():
    sets = study.all_sets(5)
    effects = torch.randn(5, generator=dice())
    harms = sets @ effects + 3 * sets[:, 1] * sets[:, 4] + 1
    order = torch.randperm(32, generator=dice())
    told = induction.fitted_harm(sets[order[:20]], harms[order[:20]], sets[order[20:]], 2)
    torch.testing.assert_close(told, harms[order[20:]], rtol=1e-4, atol=1e-4)
    first = induction.fitted_harm(sets, harms, sets, 1)
    assert 0.3 < induction.explained(harms, first) < 0.95


# --- The record -----------------------------------------------------------------------------------


def test_the_record_has_five_seeds_and_what_a_new_run_measures():
    rows = study.recorded()
    assert [row["seed"] for row in rows] == [0, 1, 2, 3, 4]
    new = study.measure_seed(0, steps=2)
    for row in rows:
        assert row.keys() == new.keys() and row["summary"].keys() == new["summary"].keys()
        assert row["R2"].keys() == new["R2"].keys()
        assert all(len(values) == len(row["steps"]) for values in row["curves"].values())


def test_the_recorder_trains_nothing_that_the_file_holds(tmp_path):
    file = tmp_path / "seeds.json"
    file.write_bytes(assets.path(study.ASSET).read_bytes())
    assert (
        runpy.run_path(str(ROOT / "tools/record/grow_induction.py"))["main"](["--out", str(file)])
        == 0
    )
    assert file.read_bytes() == assets.path(study.ASSET).read_bytes()
