"""LoRA against peft, the merge against the forward pass, and the recorded runs."""

import copy

import pytest
import sweep_fine_tuning
import torch
import torch.nn.functional as F
from peft import LoraConfig, inject_adapter_in_model
from torch import nn

from course_utils.gpt2.model import GPT, GPTConfig
from course_utils.instruction_tuning import fine_tuning as instruction_tuning
from course_utils.instruction_tuning.chat import CHAT_VOCAB
from course_utils.instruction_tuning.tasks import instructions
from course_utils.lora import adapters, runs
from course_utils.pretrained import storyteller
from course_utils.stories.grammar import VOCAB
from course_utils.training import train


def dice(seed=0):
    return torch.Generator().manual_seed(seed)


def tiny(vocabulary=734):
    sizes = dict(
        n_layer=2,
        n_head=2,
        n_embd=16,
        n_positions=128,
        vocab_size=vocabulary,
        initializer_range=0.2,
    )
    return GPT(GPTConfig(**sizes), dice()).eval()


@pytest.fixture(scope="module")
def tasks():
    return instructions(5, 21)


def peft_copy(model, ours, rank, alpha):
    """The same model in peft, with the thin matrices of ours."""
    theirs = copy.deepcopy(model).requires_grad_(False)
    theirs = inject_adapter_in_model(
        LoraConfig(r=rank, lora_alpha=alpha, target_modules=list(adapters.MATRICES)), theirs
    )
    state = dict(theirs.named_parameters())
    with torch.no_grad():
        for name, module in ours.named_modules():
            if isinstance(module, adapters.LoRALinear):
                state[f"{name}.lora_A.default.weight"].copy_(module.A)
                state[f"{name}.lora_B.default.weight"].copy_(module.B)
    return theirs


@pytest.mark.parametrize(("rank", "alpha"), [(1, 1), (3, 6), (4, 32)])
def test_lora_equals_peft_in_outputs_and_gradients(rank, alpha):
    model = tiny(50)
    ours = adapters.add_lora(model, rank, alpha)
    with torch.no_grad():
        for name, p in ours.named_parameters():
            if name.endswith(".B"):
                p.normal_(generator=dice(1), std=0.3)
    theirs = peft_copy(model, ours, rank, alpha)
    ids = torch.randint(50, (3, 12), generator=dice(2))
    torch.testing.assert_close(ours(ids), theirs(ids), rtol=0, atol=1e-6)
    for each in (ours, theirs):
        F.cross_entropy(each(ids).flatten(0, 1), ids.flatten()).backward()
    gradients = 0
    theirs_by_name = dict(theirs.named_parameters())
    for name, p in ours.named_parameters():
        if p.requires_grad:
            path, which = name.rsplit(".", 1)
            torch.testing.assert_close(
                p.grad,
                theirs_by_name[f"{path}.lora_{which}.default.weight"].grad,
                rtol=0,
                atol=1e-6,
            )
            gradients += p.grad.abs().sum() > 0
    assert gradients == 2 * 2 * 4  # A and B, two blocks, four matrices
    assert {n for n, p in theirs.named_parameters() if p.requires_grad} == {
        n for n in theirs_by_name if "lora_" in n
    }


def test_lora_changes_nothing_at_the_start_and_merging_changes_nothing_at_the_end():
    model = tiny(50)
    ids = torch.randint(50, (2, 9), generator=dice())
    ours = adapters.add_lora(model, 2)
    assert torch.equal(ours(ids), model(ids))
    before = {name: p.clone() for name, p in model.named_parameters()}
    with torch.no_grad():
        for name, p in ours.named_parameters():
            if name.endswith(".B"):
                p.normal_(generator=dice(1))
    merged = adapters.merge_lora(ours)
    assert (ours(ids) - model(ids)).abs().max() > 0.1
    torch.testing.assert_close(merged(ids), ours(ids), rtol=1e-5, atol=1e-5)
    # merging twice is merging once
    torch.testing.assert_close(adapters.merge_lora(ours)(ids), merged(ids))
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())
    assert (
        type(merged.h[0].mlp.c_fc) is nn.Linear and type(ours.h[0].mlp.c_fc) is adapters.LoRALinear
    )


@pytest.mark.parametrize("bias", [True, False])
def test_a_merged_layer_is_a_new_linear_layer_with_the_same_bias(bias):
    linear = nn.Linear(5, 3, bias=bias)
    lora = adapters.LoRALinear(linear, rank=2, alpha=3, generator=dice())
    nn.init.normal_(lora.B, generator=dice(1))
    x = torch.randn(4, 5, generator=dice(2))
    old = linear.weight.clone()
    merged = lora.merge()
    assert (
        type(merged) is nn.Linear
        and (merged.bias is not None) == bias
        and torch.equal(linear.weight, old)
    )
    torch.testing.assert_close(merged(x), lora(x))
    want = old.double() + 1.5 * lora.B.double() @ lora.A.double()
    torch.testing.assert_close(merged.weight.double(), want, rtol=1e-6, atol=1e-6)
    assert torch.linalg.matrix_rank(merged.weight - old) == 2


def test_the_thin_matrix_a_is_drawn_as_torch_draws_a_linear_layer():
    lora = adapters.LoRALinear(nn.Linear(400, 8), rank=8, generator=dice())
    assert lora.A.abs().max() <= 1 / 20 and lora.A.std().item() == pytest.approx(
        1 / 20 / 3**0.5, rel=0.05
    )
    assert not lora.B.any() and lora.alpha == 16
    assert [name for name, p in lora.named_parameters() if p.requires_grad] == ["A", "B"]


@pytest.mark.parametrize("rank", [1, 4, 16])
def test_the_formula_counts_what_is_trained(rank):
    model = adapters.add_lora(storyteller(), rank)
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == adapters.lora_size(
        128, 4, rank
    )
    only = adapters.add_lora(storyteller(), rank, where=["c_attn"])
    assert sum(p.numel() for p in only.parameters() if p.requires_grad) == adapters.lora_size(
        128, 4, rank, ["c_attn"]
    )


def test_of_the_embedding_only_the_new_rows_are_trained(tasks):
    base = instruction_tuning.base_with_chat()
    new = len(CHAT_VOCAB) - len(VOCAB)
    model = adapters.add_lora(base, 2, new_tokens=new)
    train(
        model,
        instruction_tuning.task_batches(tasks, 4),
        3,
        lr=1e-2,
        weight_decay=0.0,
        loss_fn=instruction_tuning.answer_loss,
        progress=False,
    )
    assert torch.equal(model.wte.weight[: len(VOCAB)], base.wte.weight[: len(VOCAB)])
    assert (model.wte.weight[len(VOCAB) :] != base.wte.weight[len(VOCAB) :]).any(1).sum() > 5
    assert model.lm_head.weight is model.wte.weight
    assert torch.equal(model.h[0].attn.c_attn.linear.weight, base.h[0].attn.c_attn.weight)


def test_lora_wraps_linear_layers_only():
    with pytest.raises(TypeError, match="Embedding"):
        adapters.LoRALinear(nn.Embedding(3, 2), 1)


def test_merging_twice_gives_the_same_without_a_bias_and_in_double_precision():
    lora = adapters.LoRALinear(nn.Linear(4, 6, bias=False, dtype=torch.float64), 2, alpha=3)
    lora.B.data.normal_(generator=torch.Generator().manual_seed(0))
    x = torch.randn(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    once = lora.merge()
    twice = lora.merge()
    torch.testing.assert_close(once(x), lora(x), atol=1e-12, rtol=0)
    assert torch.equal(once.weight, twice.weight) and once.bias is None


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: adapters.LoRALinear(nn.Linear(3, 2), 0), "rank 0"),
        (lambda: adapters.LoRALinear(nn.Linear(3, 2), 4), "rank 4"),
        (lambda: adapters.LoRALinear(nn.Linear(3, 2), 1.5), "rank 1.5"),
        (lambda: adapters.add_lora(tiny(), 2, where=["q_proj"]), "q_proj"),
        (lambda: adapters.add_lora(tiny(), 2, where="q_proj"), "called q_proj"),
        (lambda: adapters.add_lora(adapters.add_lora(tiny(), 2), 2), "merge_lora first"),
        (lambda: instruction_tuning.task_batches(instructions(0, 2), 0), "0 a batch"),
        (
            lambda: instruction_tuning.answer_loss(
                tiny(),
                (torch.zeros(1, 3).long(), torch.zeros(1, 3).long(), torch.zeros(1, 3).bool()),
            ),
            "marks no token",
        ),
        (lambda: runs.FineTuningRun(rank=-1), "rank of 0"),
        (lambda: runs.FineTuningRun(rank=2, only=".bias"), "without a rank"),
    ],
)
def test_bad_requests_are_refused(call, said):
    with pytest.raises(ValueError, match=said):
        call()


@pytest.fixture(scope="module")
def rows():
    return runs.recorded()["rows"]


def test_the_record_says_how_it_was_made_and_holds_every_arm_with_three_seeds(rows):
    record = runs.recorded()
    assert record["command"].endswith("tools/record/sweep_fine_tuning.py")
    assert {"torch", "python"} <= set(record["versions"])
    assert {(row["arm"], row["seed"]) for row in rows} == {
        (arm, seed) for arm in runs.ARMS for seed in runs.SEEDS
    }
    for row in rows:
        assert row["trained"] == runs.trained_numbers(runs.ARMS[row["arm"]].model())
        steps = [mark["step"] for mark in row["curve"]]
        assert steps == list(range(runs.EVERY, runs.STEPS + 1, runs.EVERY))
        assert ("cuts" in row) == row["arm"].startswith("all weights,")
    assert {arm for arms in runs.METHODS.values() for arm in arms} <= set(runs.ARMS)


def test_an_arm_that_was_not_run_is_refused():
    with pytest.raises(KeyError, match="LoRA 8, 0.01"):
        runs.rows_of_arm("LoRA 3, 1")


def test_the_recorder_keeps_what_it_has_and_adds_what_is_missing(tmp_path, monkeypatch, capsys):
    done = []

    def measured(arm, seed):
        done.append((arm, seed))
        return {"arm": arm, "seed": seed, "curve": [{"step": 1}]}

    monkeypatch.setattr(sweep_fine_tuning, "measure_run", measured)
    out = tmp_path / "record.json"
    arm = "biases, 0.02"
    assert sweep_fine_tuning.main(["--out", str(out), arm]) == 0
    assert done == [(arm, seed) for seed in runs.SEEDS]
    assert sweep_fine_tuning.main(["--out", str(out), arm]) == 0 and len(done) == 3


def test_only_the_named_parameters_and_the_new_rows_are_trained(tasks):
    base = instruction_tuning.base_with_chat()
    model = adapters.train_only(base, ".bias", runs.NEW)
    assert (
        runs.trained_numbers(model)
        == sum(p.numel() for name, p in base.named_parameters() if name.endswith(".bias"))
        + runs.NEW * base.config.n_embd
    )
    draw = instruction_tuning.task_batches(tasks, 4)
    train(model, draw, 2, lr=1e-2, weight_decay=0.0, loss_fn=instruction_tuning.answer_loss, progress=False)  # fmt: skip
    for (name, after), before in zip(model.named_parameters(), base.parameters(), strict=True):
        assert torch.equal(after, before) == (not name.endswith(".bias") and "wte" not in name), (
            name
        )
    with pytest.raises(ValueError, match="ends in"):
        adapters.train_only(base, ".gain")


def test_a_cut_update_keeps_what_it_may_and_nothing_else():
    base = tiny(50)
    tuned = tiny(50)
    with torch.no_grad():
        for p in tuned.parameters():
            p += 0.1 * torch.randn(p.shape, generator=dice(p.numel()))
    whole = adapters.cut_update(tuned, base, 99, new_tokens=3)
    torch.testing.assert_close(whole.h[0].mlp.c_fc.weight, tuned.h[0].mlp.c_fc.weight)
    assert torch.equal(whole.wte.weight[-3:], tuned.wte.weight[-3:])
    assert torch.equal(whole.wte.weight[:-3], base.wte.weight[:-3])
    assert torch.equal(whole.ln_f.weight, base.ln_f.weight)
    thin = adapters.cut_update(tuned, base, 2)
    change = thin.h[1].attn.c_attn.weight - base.h[1].attn.c_attn.weight
    assert torch.linalg.matrix_rank(change, rtol=1e-4) == 2
    asked = []
    adapters.cut_update(tuned, base, 2, cut=lambda update, rank: asked.append(rank) or update)
    assert asked == [2] * 8


@pytest.mark.parametrize("rank", [1, 3, 6])
def test_no_other_matrix_of_that_rank_lies_nearer(rank):
    update = torch.randn(8, 6, generator=dice(), dtype=torch.float64)
    best = (adapters.low_rank(update, rank) - update).square().sum()
    assert best.item() == pytest.approx(torch.linalg.svdvals(update)[rank:].square().sum().item())
    for seed in range(5):
        left = torch.randn(8, rank, generator=dice(seed), dtype=torch.float64)
        other = left @ torch.linalg.lstsq(left, update).solution
        assert (other - update).square().sum() >= best - 1e-12


def test_a_class_of_ones_own_computes_and_merges():
    class Doubled(adapters.LoRALinear):
        compute = staticmethod(
            lambda x, W, b, A, B, alpha: 2 * adapters.lora_forward(x, W, b, A, B, alpha)
        )
        merged = staticmethod(lambda W, A, B, alpha: 2 * W)

    model = adapters.add_lora(tiny(50), 2, layer=Doubled)
    layer = model.h[0].mlp.c_fc
    x = torch.randn(3, 16, generator=dice())
    assert torch.equal(layer(x), 2 * layer.linear(x))
    merged = adapters.merge_lora(model).h[0].mlp.c_fc
    assert torch.equal(merged.weight, 2 * layer.linear.weight)


def test_the_change_of_the_first_steps_follows_alpha_by_the_root_of_the_rank():
    known = runs.first_steps(4, 8.0)
    for rank in (1, 16):
        moved = runs.first_steps(rank, adapters.alpha_for(rank, 4, 8.0))
        assert moved == pytest.approx(known, rel=0.1)
