"""Distillation, pruning and quantization against torch's own observers and pruning, numpy, and
plain loops.
"""

import itertools
import math
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from course_utils.compression import distillation as compression
from course_utils.compression import runs, shrinking
from course_utils.gpt2.model import GPT, GPTConfig
from course_utils.pretrained import UNSEEN, storyteller
from course_utils.stories.corpus import stories
from course_utils.training import evaluate, token_batches, train

DICE = torch.Generator().manual_seed(0)


def normal(*shape, scale=1.0):
    return scale * torch.randn(shape, generator=DICE)


def tiny(seed=0):
    sizes = GPTConfig(n_layer=1, n_head=2, n_embd=16, vocab_size=699, n_positions=64)
    return GPT(sizes, torch.Generator().manual_seed(seed))


# --- Quantization ---------------------------------------------------------------------------------


def observed(observer, w):
    """What torch's observer makes of the weights: scale and zero point."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.ao is deprecated, and still an oracle
        observer(w)
        return observer.calculate_qparams()


def ao():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch.ao.quantization import observer
    return observer


@pytest.mark.parametrize("shape", [(5, 7), (1, 4), (64, 32), (9,)])
def test_absmax_per_tensor_equals_torchs_symmetric_observer(shape):
    w = normal(*shape, scale=0.1)
    watch = ao().MinMaxObserver(
        dtype=torch.qint8, qscheme=torch.per_tensor_symmetric, quant_min=-127, quant_max=127
    )
    scale, _ = observed(watch, w)
    ints, ours = shrinking.quantize_absmax(w)
    torch.testing.assert_close(ours, scale.squeeze().float())
    want = torch.fake_quantize_per_tensor_affine(w, ours.item(), 0, -127, 127)
    torch.testing.assert_close(ints * ours, want)
    assert ints.dtype == torch.int8 and ours.shape == ()


@pytest.mark.parametrize("dim", [0, 1, -1])
def test_absmax_per_channel_equals_torchs_observer_and_quantizer(dim):
    w = normal(6, 8) * torch.logspace(-3, 1, 8)
    watch = ao().PerChannelMinMaxObserver(
        ch_axis=dim % 2,
        dtype=torch.qint8,
        qscheme=torch.per_channel_symmetric,
        quant_min=-127,
        quant_max=127,
    )
    scale, _ = observed(watch, w)
    ints, ours = shrinking.quantize_absmax(w, dim=dim)
    torch.testing.assert_close(ours.flatten(), scale.float())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = torch.quantize_per_channel(
            w, ours.flatten().double(), torch.zeros(len(scale)), dim % 2, torch.qint8
        )
    assert torch.equal(ints, theirs.int_repr())
    assert ours.shape == ((6, 1) if dim == 0 else (1, 8))


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_groups_with_a_zero_point_equal_torchs_affine_observer(bits):
    w = normal(6, 8) + 0.5
    ints, ours, our_zero = shrinking.quantize_groups(w, bits, 16)
    assert ints.shape == w.shape and ours.shape == our_zero.shape == (3, 1)
    for k, group in enumerate(w.view(3, 16)):
        watch = ao().MinMaxObserver(
            dtype=torch.quint8, qscheme=torch.per_tensor_affine, quant_min=0, quant_max=2**bits - 1
        )
        scale, zero = observed(watch, group)
        torch.testing.assert_close(ours[k], scale.float())
        assert our_zero[k].item() == zero.item()
        want = torch.fake_quantize_per_tensor_affine(
            group, ours[k].item(), zero.item(), 0, 2**bits - 1
        )
        torch.testing.assert_close((ints.view(3, 16)[k] - our_zero[k]) * ours[k], want)


def test_every_slice_of_several_dimensions_is_quantized_as_it_would_be_alone():
    w = normal(3, 4, 5)
    ints, scale = shrinking.quantize_absmax(w, bits=5, dim=(0, -1))
    assert scale.shape == (3, 1, 5)
    for i in range(3):
        for k in range(5):
            alone, its_scale = shrinking.quantize_absmax(w[i, :, k], bits=5)
            assert torch.equal(ints[i, :, k], alone) and scale[i, 0, k] == its_scale


@pytest.mark.parametrize("bits", range(2, 17))
def test_no_weight_moves_by_more_than_half_a_step_and_the_whole_range_is_used(bits):
    w = normal(16, 16).double()
    n = 2 ** (bits - 1) - 1
    ints, scale = shrinking.quantize_absmax(w, bits)
    assert (ints * scale - w).abs().max() <= scale / 2 * (1 + 1e-9)
    assert ints.abs().max() == n and ints.dtype == (torch.int8 if bits <= 8 else torch.int16)
    ints, scale, zero = shrinking.quantize_groups(w, bits, 256)
    # half a step, and half of the zero's rounding
    assert ((ints - zero) * scale - w).abs().max() <= scale * (1 + 1e-9)
    assert ints.min() == 0 and ints.max() == 2**bits - 1


def test_zero_is_kept_exactly_by_both_ways():
    w = normal(4, 9)
    w[1], w[2, 3] = 0.0, 0.0
    for dim in (None, 0, 1):
        ints, scale = shrinking.quantize_absmax(w, 4, dim)
        assert (ints * scale)[w == 0].abs().max() == 0 and (ints * scale).isfinite().all()
    positive = w.abs() + (w != 0)
    ints, scale, zero = shrinking.quantize_groups(positive, 4, 9)
    assert ((ints - zero) * scale)[w == 0].abs().max() == 0 and scale.min() > 0


def test_weights_too_small_for_a_scale_and_half_precision_survive():
    ints, scale = shrinking.quantize_absmax(torch.full((3,), 1e-44))
    assert (ints * scale).isfinite().all()
    w = normal(8, 8, scale=1e-3).half()
    ints, scale = shrinking.quantize_absmax(w, 8, 0)
    assert (
        scale.dtype == torch.float32 and ((ints * scale - w.float()).abs() <= scale * 0.501).all()
    )


@pytest.mark.parametrize(
    "w, bits, dim, remedy",
    [
        (torch.ones(2, 2), 1, None, "from 2 to 16"),
        (torch.ones(2, 2), 0, None, "from 2 to 16"),
        (torch.ones(2, 2), 17, None, "from 2 to 16"),
        (torch.ones(2, 2), 4.0, None, "from 2 to 16"),
        (torch.ones(0, 2), 8, None, "empty"),
        (torch.ones(2, 2), 8, 2, "choose among 0 to 1"),
        (torch.ones(2, 2), 8, (0, -3), "choose among 0 to 1"),
        (torch.ones(2, 2), 8, "0", "choose among 0 to 1"),
        (torch.ones(2, 2), 8, 0.5, "choose among 0 to 1"),
        (torch.tensor([1.0, math.nan]), 8, None, "nan"),
        (torch.tensor([1.0, math.inf]), 8, None, "infinity"),
    ],
)
def test_bad_weights_are_refused_with_the_remedy(w, bits, dim, remedy):
    with pytest.raises(ValueError, match=remedy):
        shrinking.quantize_absmax(w, bits, dim)
    if dim is None:
        with pytest.raises(ValueError, match=remedy):
            shrinking.quantize_groups(w, bits, max(w.numel(), 1))


@pytest.mark.parametrize("size", [0, 5])
def test_groups_must_come_out_even(size):
    with pytest.raises(ValueError, match="come out even"):
        shrinking.quantize_groups(torch.ones(3, 4), 4, size)


def test_whole_numbers_are_refused():
    with pytest.raises(TypeError, match="whole already"):
        shrinking.quantize_absmax(torch.ones(2, 2, dtype=torch.int8))


def test_an_integer_product_equals_the_product_of_the_rounded_numbers():
    x = normal(7, 12)
    w = normal(5, 12)
    bias = normal(5)
    for dim in (None, 0):
        ints, scale = shrinking.quantize_absmax(w, dim=dim)
        x_ints, x_scale = shrinking.quantize_absmax(x, dim=0)
        want = (x_ints * x_scale).double() @ (ints * scale).double().T + bias
        torch.testing.assert_close(
            shrinking.int8_linear(x, ints, scale, bias).double(), want, rtol=1e-5, atol=1e-5
        )
    with pytest.raises(ValueError, match="one for each output"):
        shrinking.int8_linear(x, *shrinking.quantize_absmax(w, dim=1))


def test_our_integer_product_is_as_near_to_the_float_product_as_torchs_dynamic_int8():
    linear = nn.Linear(64, 32)
    x = normal(50, 64)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        linear.weight.copy_(normal(32, 64, scale=0.1)), linear.bias.copy_(normal(32))
        theirs = torch.ao.quantization.quantize_dynamic(nn.Sequential(linear), {nn.Linear})(x)
        exact = linear(x)
        ours = shrinking.int8_linear(
            x, *shrinking.quantize_absmax(linear.weight, dim=0), linear.bias
        )
    assert (ours - exact).abs().mean() < (theirs - exact).abs().mean() < 0.05 * exact.abs().mean()


@pytest.mark.parametrize("granularity", shrinking.GRANULARITIES)
@pytest.mark.parametrize("zero_point", [False, True])
def test_finer_scales_and_more_bits_err_less(granularity, zero_point):
    w = storyteller().h[0].attn.c_proj.weight.detach()
    errors = [
        (shrinking.rounded(w, bits, granularity, zero_point) - w).square().mean().item()
        for bits in (3, 4, 6, 8)
    ]
    assert errors == sorted(errors, reverse=True)
    order = [
        (shrinking.rounded(w, 4, g, zero_point) - w).square().mean().item()
        for g in shrinking.GRANULARITIES
    ]
    assert order == sorted(order, reverse=True)


def test_a_group_is_32_neighbours_of_a_row():
    w = normal(3, 64)
    want = torch.cat(
        [torch.cat([shrinking.rounded(row[i : i + 32], 4, "tensor") for i in (0, 32)]) for row in w]
    ).view(3, 64)
    torch.testing.assert_close(shrinking.rounded(w, 4, "group"), want)
    with pytest.raises(ValueError, match="multiple of 32"):
        shrinking.rounded(normal(3, 5), 4, "group")
    with pytest.raises(ValueError, match="tensor, channel, group"):
        shrinking.rounded(w, 4, "row")


def test_a_quantized_copy_keeps_the_tie_and_leaves_the_model_alone():
    model = tiny()
    before = {name: p.clone() for name, p in model.named_parameters()}
    copy = shrinking.quantized(model, 4)
    assert copy.lm_head.weight is copy.wte.weight
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())
    for name, p in copy.named_parameters():
        rows = [row.unique().numel() for row in p] if p.dim() > 1 else []
        assert all(n <= 15 for n in rows) and (rows or torch.equal(p, before[name]))


def test_stored_bytes_count_by_hand():
    # 699·16 + 64·16 + 16·48 + 16·16 + 2·16·64 weights in matrices, the rest is 1-dimensional
    model = tiny()
    weights = 699 * 16 + 64 * 16 + 48 * 16 + 16 * 16 + 2 * 64 * 16
    rest = sum(p.numel() for p in model.parameters()) - weights
    rows = 699 + 64 + 48 + 16 + 64 + 16
    assert shrinking.stored_bytes(model) == 4 * (weights + rest)
    assert shrinking.stored_bytes(model, 4, "channel") == weights // 2 + 4 * (rows + rest)
    assert shrinking.stored_bytes(model, 8, "tensor") == weights + 4 * (6 + rest)


@pytest.mark.parametrize("bits", range(1, 17))
def test_packed_bytes_are_numpys(bits):
    for n, groups in ((1, 1), (33, 3), (64, 2)):
        packed = np.packbits(np.ones(n * bits, dtype=bool)).size + np.float32([0] * groups).nbytes
        zeros = np.packbits(np.ones(groups * bits, dtype=bool)).size
        assert shrinking.packed_bytes(n, bits, groups) == packed
        assert shrinking.packed_bytes(n, bits, groups, True) == packed + zeros


def test_pruned_bytes_count_what_is_kept_and_a_bit_a_place():
    model = tiny()
    masks = shrinking.magnitude_masks(model, 0.5)
    weights = sum(mask.numel() for mask in masks.values())
    kept = sum(int(mask.sum()) for mask in masks.values())
    rest = sum(p.numel() for p in model.parameters()) - weights
    assert shrinking.pruned_bytes(model, masks) == weights // 8 + 4 * (kept + rest)


def test_a_plan_gives_each_matrix_its_bits():
    model = tiny()
    names = list(shrinking.matrices(model))
    small = shrinking.by_plan(model, {names[0]: 2, names[1]: 8}, "channel", True)
    for k, name in enumerate(names):
        before, after = (shrinking.matrices(m)[name] for m in (model, small))
        levels = max(row.unique().numel() for row in after)
        assert (levels <= 4, 4 < levels, torch.equal(before, after))[min(k, 2)]


def test_allocated_bits_fit_and_are_near_the_best_where_losses_add_up():
    sizes = {
        name: {2: 20 * n, 3: 30 * n, 4: 40 * n}
        for name, n in zip("abcd", (3, 1, 2, 5), strict=True)
    }
    weight = dict(zip("abcd", (1.0, 50.0, 0.1, 9.0), strict=True))

    def loss(plan):
        return sum(weight[name] * 4.0**-bits for name, bits in plan.items())

    for budget in (220, 260, 300, 360, 440):
        plan = shrinking.allocate_bits(sizes, loss, budget)
        assert sum(sizes[name][bits] for name, bits in plan.items()) <= budget
        plans = [
            dict(zip("abcd", bits, strict=True)) for bits in itertools.product((2, 3, 4), repeat=4)
        ]
        fits = [p for p in plans if sum(sizes[n][b] for n, b in p.items()) <= budget]
        equal = min(loss(p) for p in fits if len(set(p.values())) == 1)
        best = min(map(loss, fits))
        assert loss(plan) <= equal - 0.6 * (equal - best)
    with pytest.raises(ValueError, match="fewest bits"):
        shrinking.allocate_bits(sizes, loss, 219)


# --- Pruning --------------------------------------------------------------------------------------


@pytest.mark.parametrize("sparsity", [0.0, 0.1, 0.37, 0.5, 0.99, 1.0])
def test_the_mask_equals_torchs_pruning(sparsity):
    from torch.nn.utils import prune

    linear = nn.Linear(9, 7)
    mask = shrinking.magnitude_mask(linear.weight, sparsity)
    prune.l1_unstructured(linear, "weight", amount=round(sparsity * 63))
    assert torch.equal(mask, linear.weight_mask.bool())


def test_global_masks_equal_torchs_global_pruning_and_layer_masks_do_not():
    from torch.nn.utils import prune

    model = nn.Sequential(nn.Linear(6, 8), nn.Linear(8, 5))
    with torch.no_grad():
        model[1].weight.mul_(3)
    masks = shrinking.magnitude_masks(model, 0.4)
    layers = shrinking.magnitude_masks(model, 0.4, "layer")
    prune.global_unstructured(
        [(m, "weight") for m in model], prune.L1Unstructured, amount=round(0.4 * 88)
    )
    for name, module in (("0.weight", model[0]), ("1.weight", model[1])):
        assert torch.equal(masks[name], module.weight_mask.bool())
        assert (~layers[name]).sum() == round(0.4 * layers[name].numel())
    with pytest.raises(ValueError, match="global"):
        shrinking.magnitude_masks(model, 0.4, "all")


def test_equal_weights_go_in_order_and_bad_shares_are_refused():
    assert shrinking.magnitude_mask(torch.ones(5), 0.4).tolist() == [False, False, True, True, True]
    for bad in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match="share from 0"):
            shrinking.magnitude_mask(torch.ones(5), bad)


def test_healing_changes_what_is_kept_and_holds_every_zero():
    model = tiny()
    text = stories(3, 2000)
    masks = shrinking.magnitude_masks(model, 0.7)
    healed = shrinking.pruned(model, masks)
    start = {name: w.detach().clone() for name, w in shrinking.matrices(healed).items()}
    train(healed, token_batches(text.tokens, 4, 16, text.starts), 15, lr=1e-2, progress=False)
    for name, w in shrinking.matrices(healed).items():
        assert (w[~masks[name]] == 0).all()
        assert not torch.equal(w, start[name])
    assert healed.lm_head.weight is healed.wte.weight
    # the model itself is whole
    assert all(w.ne(0).float().mean() > 0.99 for name, w in shrinking.matrices(model).items())


# --- Distillation ---------------------------------------------------------------------------------


@pytest.mark.parametrize("T", [0.5, 1.0, 2.0, 7.0])
def test_the_loss_equals_numpys_divergence(T):
    student = 2 * normal(2, 3, 5)
    teacher = 2 * normal(2, 3, 5)
    p, q = (np.exp(x.double().numpy() / T) for x in (student, teacher))
    p = p / p.sum(-1, keepdims=True)
    q = q / q.sum(-1, keepdims=True)
    want = T**2 * (q * np.log(q / p)).sum(-1).mean()
    assert compression.distillation_loss(student, teacher, T).item() == pytest.approx(
        want, rel=1e-4
    )


def test_at_high_temperatures_the_gradient_becomes_that_of_squared_logit_differences():
    """Hinton et al. 2015, section 2.1: T² times the gradient of the KL tends to (z - v) / V for
    logits of mean 0.
    """
    z, v = (x - x.mean(-1, keepdim=True) for x in (normal(1, 6), normal(1, 6)))
    z.requires_grad_()
    (gradient,) = torch.autograd.grad(compression.distillation_loss(z, v, 1000.0), z)
    torch.testing.assert_close(gradient, (z - v).detach() / 6, rtol=2e-3, atol=2e-4)


def test_the_teacher_gets_no_gradient_and_bad_arguments_are_refused():
    teacher = normal(2, 4).requires_grad_()
    compression.distillation_loss(normal(2, 4).requires_grad_(), teacher).backward()
    assert teacher.grad is None
    for arguments in (
        (normal(2, 4), normal(2, 5)),
        (normal(2, 4), normal(2, 4), 0.0),
        (normal(2, 4), normal(2, 4), -1.0),
    ):
        with pytest.raises(ValueError, match="equal shapes"):
            compression.distillation_loss(*arguments)


def test_a_remembered_teacher_answers_as_the_teacher_and_is_asked_once():
    asked = []
    rows = torch.randint(9, (5, 4), generator=DICE)

    def teacher(ids):
        asked.extend(map(tuple, ids.tolist()))
        return F.one_hot(ids, 9).float()

    again = compression.remembered(teacher)
    for index in ([0, 1], [1, 2, 0], [4, 3, 2]):
        assert torch.equal(again(rows[index]), F.one_hot(rows[index], 9).float())
    assert len(asked) == len(set(asked)) == len({tuple(row) for row in rows.tolist()})


def test_a_student_of_a_teacher_reads_no_labels():
    school = compression.School("few")
    inputs, targets = school.batches(torch.Generator().manual_seed(0))
    loss = compression.distilled(school.teacher)
    model = compression.student(0)
    assert loss(model, (inputs, targets)) == loss(model, (inputs, torch.zeros_like(targets)))


# --- What is measured on, and the record ----------------------------------------------------------


def test_windows_share_nothing_and_none_to_choose_by_is_measured_on():
    windows = torch.cat([runs.unseen(), runs.choosing()])
    assert (
        len(windows) == runs.N_UNSEEN + runs.N_CHOOSING == len({tuple(w) for w in windows.tolist()})
    )
    told = stories(UNSEEN, 400 * len(windows)).tokens.tolist()
    text = " ".join(map(str, told))
    last = -1
    for window in windows.tolist():
        at = text.index(" ".join(map(str, window)), last + 1)
        assert at > last
        last = at + len(" ".join(map(str, window))) - 1


def test_the_loss_of_all_windows_is_that_of_each_and_of_evaluate():
    windows = runs.unseen(4)
    each = runs.story_losses(storyteller(), windows)
    whole = evaluate(storyteller(), [(windows[:, :-1], windows[:, 1:])])
    assert each.shape == (4,) and each.mean().item() == pytest.approx(whole, abs=1e-5)
    assert runs.best_possible() < runs.story_losses(storyteller()).mean()


def by_arm(part, *names):
    """{arm: rows} of a part of the record."""
    arms = {}
    for row in runs.recorded(part):
        arms.setdefault(tuple(row[name] for name in names), []).append(row)
    return arms


@pytest.mark.parametrize(
    ("part", "names", "arms"),
    [
        ("distil", ("text", "T", "steps"), 7),
        ("heal", ("way", "sparsity"), 5),
        ("stories", ("bits",), 1),
    ],
)
def test_the_recorded_arms_have_three_seeds_at_the_rate_that_other_stories_chose(part, names, arms):
    found = by_arm(part, *names)
    assert len(found) == arms
    for arm, rows in found.items():
        tried = [row for row in rows if row["seed"] == 0]
        compared = [row for row in rows if row["seed"]]
        assert [row["seed"] for row in compared] == list(runs.SEEDS)
        rates = {row["lr"] for row in compared}
        assert rates == {min(tried, key=lambda row: row["choosing"])["lr"]}, arm


def test_the_recorded_adapters_are_all_there():
    assert all(len(rows) == 3 for rows in by_arm("adapter", "base", "learnt on").values())
    assert len(by_arm("adapter", "base", "learnt on")) == 5
    assert [row["seed"] for row in runs.recorded("rates")] == [0, 1, 2]


@pytest.mark.parametrize("bits", runs.BASES)
def test_an_adapters_base_keeps_its_new_rows_in_floats(bits):
    base = runs.chat_base(bits)
    floats = runs.chat_base("float")
    new = slice(-runs.NEW, None)
    assert torch.equal(base.wte.weight[new], floats.wte.weight[new])
    assert torch.equal(base.wte.weight, floats.wte.weight) == (bits == "float")
    assert base.lm_head.weight is base.wte.weight


def test_an_adapter_that_was_moved_is_the_same_on_the_base_where_it_learnt():
    tuned, _ = runs.adapted("2 bits", seed=0, steps=1)
    again = runs.moved(tuned, runs.chat_base("2 bits"))
    ids = torch.arange(20)[None]
    torch.testing.assert_close(again(ids), tuned(ids))


def test_what_heals_keeps_its_zeros_and_random_masks_are_drawn_by_the_seed():
    for way in ("magnitude", "random"):
        before, after = runs.heal(way, 0.5, 1e-3, steps=1, seed=1)
        for name, w in shrinking.matrices(before).items():
            assert (shrinking.matrices(after)[name][w == 0] == 0).all()
            assert not torch.equal(shrinking.matrices(after)[name], w)
    other, _ = runs.heal("random", 0.5, 1e-3, steps=1, seed=2)
    assert not torch.equal(
        shrinking.matrices(before)["wte.weight"], shrinking.matrices(other)["wte.weight"]
    )


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (
            lambda: shrinking.pruned(nn.Linear(2, 1), {"w": torch.ones(1, 2).bool()}),
            "no parameter w",
        ),
        (lambda: shrinking.pruned(nn.Linear(2, 1), {"weight": torch.ones(3, 2).bool()}), "(3, 2)"),
        (lambda: shrinking.stored_bytes(nn.Linear(2, 2), 4, "row"), "tensor, channel, group"),
        (lambda: compression.School("many"), "few, fresh"),
    ],
)
def test_what_there_is_not_is_refused_with_the_choice(call, said):
    with pytest.raises(ValueError) as caught:
        call()
    assert said in str(caught.value)


@pytest.mark.parametrize("factor", [1.0, 2.0, 4.0])
def test_a_model_that_is_too_sure_is_read_at_a_higher_temperature(factor):
    teller = storyteller()

    class Sure(nn.Module):
        def __init__(self):
            super().__init__()
            self.teller = teller

        def forward(self, ids):
            return factor * self.teller(ids)

    assert runs.own_temperature(Sure()) == factor
    each = runs.story_losses(Sure(), runs.unseen(2), factor)
    torch.testing.assert_close(each, runs.story_losses(teller, runs.unseen(2)))
