"""The census against real tensors, autograd's own memory, torch's FLOP counter and published
numbers.
"""

import math
from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import GPT2Config, GPT2LMHeadModel

from course_utils.gpt2.model import GPT, SIZES, GPTConfig
from course_utils.model_budget import census

SMALL = GPTConfig(n_layer=3, n_head=4, n_embd=32, vocab_size=61, n_positions=24)
VARIANTS = [
    SMALL,
    replace(SMALL, n_inner=50),
    replace(SMALL, tie_word_embeddings=False),
    replace(SMALL, n_layer=0),
    replace(SMALL, n_head=1),
]
PUBLISHED = {
    "gpt2": 124_439_808,
    "gpt2-medium": 354_823_168,
    "gpt2-large": 774_030_080,
    "gpt2-xl": 1_557_611_200,
}


@pytest.mark.parametrize(("name", "published"), PUBLISHED.items())
def test_the_four_sizes_have_the_published_number_of_parameters(name, published):
    model = census.on_meta(GPTConfig.preset(name))
    assert (
        sum(p.numel() for p in model.parameters())
        == published
        == census.count_parameters(model.config)
    )
    assert (
        census.counted(model) == census.predicted(model.config)
        and sum(census.predicted(model.config).values()) == published
    )
    assert all(p.is_meta for p in model.parameters())


def test_transformers_counts_the_same():
    with torch.device("meta"):
        theirs = GPT2LMHeadModel(GPT2Config())
    assert theirs.num_parameters() == census.count_parameters(GPTConfig.preset("gpt2"))


@pytest.mark.parametrize("config", VARIANTS)
def test_formula_and_count_agree_component_by_component(config):
    model = GPT(config)
    assert census.counted(model) == census.predicted(config)
    assert (
        census.count_parameters(config)
        == sum(p.numel() for p in model.parameters())
        == sum(census.predicted(config).values())
    )
    parts = {
        "LayerNorm": [m for n, m in model.named_modules() if n.split(".")[-1].startswith("ln_")],
        "attention": [b.attn for b in model.h],
        "MLP": [b.mlp for b in model.h],
    }
    counted = census.counted(model)
    for name, modules in parts.items():
        total = sum(n for component, n in counted.items() if component.startswith(name))
        assert total == sum(p.numel() for module in modules for p in module.parameters()), name


@pytest.mark.parametrize("config", VARIANTS)
def test_the_formulas_as_text_say_what_is_computed(config):
    d = config.n_embd
    V = config.vocab_size
    P = config.n_positions
    L = config.n_layer
    f = config.n_inner or 4 * d
    asked = census.predicted(config)
    values = {"V·d": V * d, "P·d": P * d, "L·4d²": L * 4 * d * d, "L·4d": 4 * L * d, "L·2df": 2 * L * d * f, "L·(f + d)": L * f + L * d,
              "L·4d + 2d": 4 * L * d + 2 * d, "0 if tied, else V·d": V * d * (not config.tie_word_embeddings)}  # fmt: skip
    assert {name: values[text] for name, text in census.FORMULAS.items()} == asked


@pytest.mark.parametrize(
    ("name", "attention", "mlp"), [("gpt2", 22.75, 45.50), ("gpt2-xl", 31.56, 63.11)]
)
def test_the_published_shares_of_attention_and_mlp(name, attention, mlp):
    parts = census.predicted(GPTConfig.preset(name))
    total = sum(parts.values())
    assert 100 * parts["attention weights"] / total == pytest.approx(attention, abs=0.006)
    assert 100 * parts["MLP weights"] / total == pytest.approx(mlp, abs=0.006)


def test_layer_norm_takes_more_than_the_lecture_says():
    shares = [
        census.predicted(c)["LayerNorm"] / census.count_parameters(c)
        for c in map(GPTConfig.preset, SIZES)
    ]
    assert [round(100 * share, 3) for share in (shares[0], shares[-1])] == [0.031, 0.020] and min(
        shares
    ) > 1e-4


def test_an_untied_head_gives_the_number_of_the_public_course():
    assert (
        census.count_parameters(GPTConfig.preset("gpt2", tie_word_embeddings=False)) == 163_037_184
    )


# --- Memory ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", VARIANTS)
@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize(("B", "T"), [(1, 24), (3, 10), (2, 2)])
def test_the_activations_are_to_the_byte_what_autograd_keeps(config, fused, B, T):
    model = GPT(config).train().set_attention("fused" if fused else "explicit")
    memory = census.training_memory(config, B, T, fused=fused)
    kept = census.saved_activations(model, torch.zeros(B, T, dtype=torch.long))
    assert (kept["activations"], 3 * kept["logits"]) == (memory["activations"], memory["logits"])


def test_checkpointing_keeps_the_blocks_inputs_and_one_block():
    model = GPT(SMALL).train()
    model.checkpointing = True
    plain, small = (
        census.training_memory(SMALL, 2, 24, checkpointing=c)["activations"] for c in (False, True)
    )
    kept = census.saved_activations(model, torch.zeros(2, 24, dtype=torch.long))["activations"]
    one_block = (
        plain - census.training_memory(replace(SMALL, n_layer=0), 2, 24)["activations"]
    ) / SMALL.n_layer
    assert small - kept == pytest.approx(one_block, rel=0.02) and small < plain


def test_weights_gradients_and_adam_are_the_tensors_of_a_training_step():
    model = GPT(SMALL)
    adam = torch.optim.AdamW(model.parameters())
    model(torch.zeros(2, 8, dtype=torch.long)).sum().backward()
    adam.step()
    memory = census.training_memory(SMALL, 2, 8)
    assert memory["weights"] == sum(p.nbytes for p in model.parameters())
    assert memory["gradients"] == sum(p.grad.nbytes for p in model.parameters())
    assert memory["Adam"] == sum(
        x.nbytes for state in adam.state.values() for x in state.values() if x.ndim
    )
    half = census.training_memory(SMALL, 2, 8, n_bytes=2)
    assert {name: 2 * size for name, size in half.items()} == memory


def test_memory_grows_with_tokens_and_explicit_attention_with_their_square():
    config = GPTConfig.preset("gpt2")

    def activations(B, T, **settings):
        return census.training_memory(config, B, T, **settings)["activations"]

    assert activations(8, 512) == 2 * activations(4, 512) == 2 * activations(8, 256)
    maps = [activations(1, T, fused=False) - activations(1, T) for T in (256, 512, 1024)]
    assert math.log2(maps[2] / maps[1]) == pytest.approx(2, abs=0.01) and maps[1] > 3.9 * maps[0]


def test_the_cache_takes_what_is_predicted():
    model = GPT(SMALL).eval()
    cache = model.cache(10)
    model(torch.zeros(3, 10, dtype=torch.long), cache)
    assert (
        sum(layer.nbytes for layer in cache)
        == sum(layer.room.nbytes for layer in cache)
        == census.kv_cache_bytes(SMALL, 3, 10)
    )


# --- Arithmetic and money -------------------------------------------------------------------------


@pytest.mark.parametrize("config", VARIANTS)
@pytest.mark.parametrize(("B", "T"), [(1, 24), (3, 10)])
def test_the_flops_are_those_that_torch_counts_forward_and_backward(config, B, T):
    model = GPT(config).train().set_attention("explicit")
    with FlopCounterMode(display=False) as counter:
        logits = model(torch.zeros(B, T, dtype=torch.long))
        forward = counter.get_total_flops()
        logits.sum().backward()
    assert forward == B * T * census.flops_per_token(config, T)
    if config.n_layer:
        assert counter.get_total_flops() == 3 * forward


def test_six_n_is_close_where_the_model_is_large_and_the_context_short():
    for name, T in (("gpt2-xl", 128), ("gpt2", 128)):
        config = GPTConfig.preset(name)
        exact = 3 * census.flops_per_token(config, T)
        assert census.training_flops(census.count_parameters(config), 1) == pytest.approx(
            exact, rel=0.03
        ), name
    long = 3 * census.flops_per_token(GPTConfig.preset("gpt2"), 1024)
    assert long > 1.1 * census.training_flops(census.count_parameters(GPTConfig.preset("gpt2")), 1)


def test_gpt3_has_its_published_size_and_cost():
    n = census.count_parameters(census.GPT3)
    assert n == pytest.approx(175e9, rel=0.005)  # Brown et al. 2020, table 2.1
    flops = census.training_flops(n, census.GPT3_TOKENS)
    assert flops == pytest.approx(3.14e23, rel=0.005)  # the same, table D.1
    reserved = next(machine for machine in census.MACHINES if "reserved" in machine.name)
    assert census.training_cost(3.14e23, reserved) == pytest.approx(4.6e6, rel=0.03)  # Li 2020
    years = 3.14e23 / (reserved.peak * reserved.utilisation) / (365.25 * 24 * 3600)
    assert years == pytest.approx(355, rel=0.03)  # the same


def test_cost_is_hours_times_price():
    machine = census.Machine("m", peak=1e12, utilisation=0.5, price=3.0, source="test")
    assert census.training_cost(0.5e12 * 3600 * 10, machine) == pytest.approx(30.0)  # ten hours
    assert len({machine.name for machine in census.MACHINES}) == len(census.MACHINES) >= 3
    assert all(0 < machine.utilisation < 1 and machine.source for machine in census.MACHINES)


def test_the_largest_batch_is_the_last_that_fits():
    for room in (0, 10**5, 3 * 10**5, 10**6, census.training_peak(SMALL, 4, 24)):
        B = census.largest_batch(SMALL, 24, room)
        assert B == 0 or census.training_peak(SMALL, B, 24) <= room
        assert census.training_peak(SMALL, B + 1, 24) > room


def test_published_trainings_reached_the_published_rates():
    shares = {
        t.name: census.flop_utilization(
            t.n_parameters, t.n_tokens, t.gpu_hours, census.PEAKS[t.gpu]
        )
        for t in census.TRAININGS
    }
    assert shares["GPT-3"] * 125 == pytest.approx(24.6, rel=0.01)  # Patterson et al. 2021, table 4
    # with the forward pass that checkpointing repeats: Narayanan et al. 2021, section 5
    assert shares["GPT-3's shape, Megatron"] * 8 / 6 * 312 == pytest.approx(140, rel=0.01)
    # 38 to 43 % while it ran: Grattafiori et al. 2024, table 4
    assert 0.3 < shares["Llama 3.1 405B"] < 0.43
    assert {m.utilisation for m in census.MACHINES} >= {24.6 / 125}


@pytest.mark.parametrize(
    "call",
    [
        lambda: census.training_memory(SMALL, 0, 5),
        lambda: census.training_memory(SMALL, 1, 25),
        lambda: census.kv_cache_bytes(SMALL, 1, 0),
        lambda: census.flops_per_token(SMALL, 0),
        lambda: census.flops_per_token(SMALL, 25),
        lambda: census.training_flops(-1, 5),
        lambda: census.flop_utilization(1e9, 1e9, 0, 1e12),
        lambda: census.largest_batch(SMALL, 25, 10**9),
    ],
)
def test_sizes_that_make_no_sense_are_refused(call):
    with pytest.raises(ValueError, match="at least one|n_positions=24|negative|above 0"):
        call()
