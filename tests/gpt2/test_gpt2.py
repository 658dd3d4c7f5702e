"""GPT against transformers' GPT2LMHeadModel: logits, gradients, cache, weights from files and from
a hub that is not there.
"""

import copy
import json
import os
import subprocess
import sys
from dataclasses import replace
from importlib import import_module

import bench
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from course_utils.attention.heads import KVCache
from course_utils.gpt2 import model as gpt2
from course_utils.gpt2.model import GPT, GPTConfig
from course_utils.transformer_block.transformer import Transformer, logit_contributions

NAMES = (
    "n_layer",
    "n_head",
    "n_embd",
    "vocab_size",
    "n_positions",
    "n_inner",
    "tie_word_embeddings",
    "activation_function",
)
SMALL = GPTConfig(n_layer=3, n_head=4, n_embd=32, vocab_size=61, n_positions=24)


def theirs_like(config, std=0.1, seed=0, **settings):
    """transformers' model of this shape, without dropout; every parameter is moved, so that no gain
    is 1 and no bias 0.
    """
    shape = {name: getattr(config, name) for name in NAMES}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = GPT2LMHeadModel(
            GPT2Config(
                **shape,
                embd_pdrop=0.0,
                attn_pdrop=0.0,
                resid_pdrop=0.0,
                bos_token_id=0,
                eos_token_id=0,
                **settings,
            )
        )
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += std * torch.randn_like(parameter)
    return model.eval()


def pair(config=SMALL, **settings):
    theirs = theirs_like(config, **settings)
    return GPT.from_hf(theirs).eval(), theirs


def some_ids(config=SMALL, B=2, T=17, seed=0):
    return torch.randint(config.vocab_size, (B, T), generator=torch.Generator().manual_seed(seed))


def close(got, want, tol=1e-4):
    torch.testing.assert_close(got, want, rtol=tol, atol=tol)


def theirs_gradient(name, parameters):
    """The gradient of the parameter that GPT calls so, in the layout of nn.Linear."""
    gradient = parameters[name if name == "lm_head.weight" else f"transformer.{name}"].grad
    return gradient.mT if ".c_" in name and gradient.ndim == 2 else gradient


# --- Parity ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", gpt2.SIZES)
def test_every_presets_shape_gives_transformers_logits_loss_and_gradients(name):
    config = GPTConfig.preset(name, n_layer=1, vocab_size=1009, n_positions=128)
    assert config.n_embd == gpt2.SIZES[name][2]
    ours, theirs = pair(config, std=0.02)
    ids = some_ids(config, T=40)
    with torch.no_grad():
        close(ours(ids), theirs(ids).logits)
    ours.train(), theirs.train()
    logits = ours(ids)
    close(logits, theirs(ids).logits)
    loss = F.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
    want = theirs(ids, labels=ids).loss
    close(loss, want)
    loss.backward(), want.backward()
    others = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        close(parameter.grad, theirs_gradient(name, others))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"n_inner": 50},
        {"activation_function": "relu"},
        {"activation_function": "gelu"},
        {"tie_word_embeddings": False},
        {"n_layer": 6},
    ],
)
def test_the_variants_that_gpt_has_agree_too(changes):
    ours, theirs = pair(replace(SMALL, **changes))
    with torch.no_grad():
        close(ours(some_ids()), theirs(some_ids()).logits)
    assert (ours.lm_head.weight is ours.wte.weight) == ours.config.tie_word_embeddings


def test_training_side_by_side_stays_together():
    ours, theirs = pair()
    ours.train(), theirs.train()
    adams = [torch.optim.AdamW(model.parameters(), lr=1e-2) for model in (ours, theirs)]
    for step in range(5):
        ids = some_ids(seed=step)
        losses = (
            F.cross_entropy(ours(ids)[:, :-1].flatten(0, 1), ids[:, 1:].flatten()),
            theirs(ids, labels=ids).loss,
        )
        close(*losses, tol=1e-3)
        for loss, adam in zip(losses, adams, strict=True):
            adam.zero_grad()
            loss.backward()
            adam.step()


@pytest.mark.parametrize("cuts", [[1] * 17, [9, 1, 1, 6], [16, 1], [2, 15]])
def test_the_cache_gives_transformers_logits_whatever_the_pieces(cuts):
    ours, theirs = pair()
    ids = some_ids()
    cache = ours.cache()
    past = None
    with torch.no_grad():
        for piece in ids.split(cuts, dim=1):
            want = theirs(piece, past_key_values=past, use_cache=True)
            past = want.past_key_values
            close(ours(piece, cache), want.logits)
        close(want.logits, theirs(ids).logits[:, -cuts[-1] :])
    assert [len(layer) for layer in cache] == [17] * SMALL.n_layer


def test_with_last_only_the_last_position_comes_out():
    model = GPT(SMALL, torch.Generator().manual_seed(0))
    close(model(some_ids(), last=True), model(some_ids())[:, -1:], tol=1e-6)


@pytest.mark.parametrize("cached", [False, True])
def test_explicit_attention_equals_fused(cached):
    ours, theirs = pair()
    ids = some_ids()
    with torch.no_grad():
        ours.set_attention("explicit")
        explicit = ours(ids, ours.cache() if cached else None)
        assert not any(block.attn.fused for block in ours.h)
        close(explicit, theirs(ids).logits)
        close(ours.set_attention("fused")(ids), explicit)
    assert all(block.attn.fused for block in ours.h)
    with pytest.raises(ValueError, match="explicit"):
        ours.set_attention("flash")


def test_checkpointing_gives_the_same_loss_and_gradients_and_keeps_less(monkeypatch):
    model = GPT(SMALL, torch.Generator().manual_seed(0)).train()
    ids = some_ids()
    calls = []
    block = model.h[0]
    monkeypatch.setattr(block, "forward", lambda *a, run=block.forward: calls.append(1) or run(*a))
    results = []
    for model.checkpointing in (False, True):
        model.zero_grad()
        loss = model(ids).square().mean()
        loss.backward()
        results.append((loss.detach(), [p.grad.clone() for p in model.parameters()], len(calls)))
    close(results[0][0], results[1][0], tol=1e-6)
    for a, b in zip(results[0][1], results[1][1], strict=True):
        close(a, b, tol=1e-6)
    assert (results[0][2], results[1][2]) == (1, 3)  # once forward; with checkpointing twice
    model.eval()
    model(ids).sum().backward()
    assert len(calls) == 4  # nothing is computed twice in evaluation


def test_the_tools_that_read_the_residual_stream_work_on_it():
    ours, _ = pair()
    parts = logit_contributions(ours, some_ids(), token=7)
    close(sum(parts.values()), ours(some_ids())[:, :, 7].detach(), tol=1e-3)


def test_bfloat16_stays_close_and_gives_bfloat16():
    ours, _ = pair()
    with torch.no_grad():
        want = ours(some_ids())
        got = copy.deepcopy(ours).bfloat16()(some_ids())
    assert got.dtype == torch.bfloat16
    assert (got.float() - want).abs().mean() < 0.03 * want.std()


COMPILES = """
import torch
from course_utils.gpt2.model import GPT, GPTConfig
model = GPT(GPTConfig(n_layer=1, n_head=2, n_embd=16, vocab_size=20, n_positions=8), torch.Generator().manual_seed(0))
ids = torch.arange(8)[None]
for attention in ("fused", "explicit"):
    model.set_attention(attention)
    torch.testing.assert_close(torch.compile(model, backend="aot_eager", fullgraph=True)(ids), model(ids), rtol=1e-4, atol=1e-4)
print("the same")
"""


def test_a_compiled_model_gives_the_same():
    """Traced in one piece, forward; without the last step, C++ and its compiler: that took 25 to 60
    s here.
    """
    run = subprocess.run([sys.executable, "-c", COMPILES], capture_output=True, text=True)
    assert run.stdout.strip() == "the same", run.stderr[-2000:]


# --- The tied head --------------------------------------------------------------------------------


def moved(model, how):
    return {"to": lambda: model.to(torch.float64), "double": model.double, "cpu": model.cpu, "deepcopy": lambda: copy.deepcopy(model),
            "to_empty": lambda: model.to_empty(device="cpu"), "meta": lambda: model.to("meta"),
            "twice": lambda: model.half().float()}[how]()  # fmt: skip


@pytest.mark.parametrize("how", ["to", "double", "cpu", "deepcopy", "to_empty", "meta", "twice"])
def test_the_head_stays_tied_wherever_the_model_goes(how):
    model = moved(GPT(SMALL), how)
    assert model.lm_head.weight is model.wte.weight
    assert len(list(model.parameters())) == len(list(Transformer(SMALL).parameters()))


def test_a_model_from_the_meta_device_is_tied_when_it_gets_memory():
    with torch.device("meta"):
        model = GPT(SMALL)
    model = model.to_empty(device="cpu")
    assert model.lm_head.weight is model.wte.weight and model.wte.weight.device.type == "cpu"


def test_an_untied_head_stays_untied():
    model = GPT(replace(SMALL, tie_word_embeddings=False)).double()
    assert model.lm_head.weight is not model.wte.weight


def test_both_uses_of_the_tied_matrix_add_to_its_gradient():
    ours, theirs = pair()
    ids = some_ids()
    ours(ids).sum().backward(), theirs(ids).logits.sum().backward()
    close(ours.wte.weight.grad, theirs.transformer.wte.weight.grad, tol=1e-3)


# --- Weights from elsewhere -----------------------------------------------------------------------


@pytest.mark.parametrize("tied", [True, False])
def test_what_is_saved_comes_back(tmp_path, tied):
    model = GPT(replace(SMALL, tie_word_embeddings=tied), torch.Generator().manual_seed(0))
    model.save(tmp_path / "m.safetensors", corpus="none")
    back = GPT.load(tmp_path / "m.safetensors")
    assert back.config == model.config and type(back.config) is GPTConfig
    assert torch.equal(back(some_ids()), model(some_ids()))
    assert (back.lm_head.weight is back.wte.weight) == tied
    # a tied head is written once
    assert ("lm_head.weight" in load_file(tmp_path / "m.safetensors")) != tied
    assert all(parameter.requires_grad for parameter in back.parameters())


def test_a_model_from_transformers_is_saved_and_comes_back(tmp_path):
    ours, _ = pair()
    ours.save(tmp_path / "m.safetensors")
    close(GPT.load(tmp_path / "m.safetensors")(some_ids()), ours(some_ids()), tol=1e-5)


def test_a_file_that_is_not_ours_is_refused(tmp_path):
    save_file({"x": torch.zeros(2)}, tmp_path / "x.safetensors")
    with pytest.raises(ValueError, match="no configuration"):
        GPT.load(tmp_path / "x.safetensors")
    with pytest.raises(FileNotFoundError):
        GPT.load(tmp_path / "none.safetensors")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s.pop("ln_f.bias"), r"ln_f\.bias is missing"),
        (lambda s: s.update(extra=torch.zeros(3)), r"extra .* absent"),
        (
            lambda s: s.update({"wpe.weight": torch.zeros(5, 32)}),
            r"wpe\.weight is \(5, 32\) and should be \(24, 32\)",
        ),
    ],
)
def test_weights_that_do_not_fit_are_named(change, said):
    state = GPT(SMALL).state_dict()
    change(state)
    with pytest.raises(ValueError, match=said):
        GPT.from_state(SMALL, state)


def test_weights_from_transformers_are_a_copy():
    theirs = theirs_like(SMALL)
    ours = GPT.from_hf(theirs)
    with torch.no_grad():
        want = ours(some_ids())
        for parameter in theirs.parameters():
            parameter.zero_()
        assert torch.equal(ours(some_ids()), want)
    assert ours.config.n_positions == 24 and ours.config.embd_pdrop == 0


@pytest.mark.parametrize(
    "settings",
    [
        {"scale_attn_weights": False},
        {"scale_attn_by_inverse_layer_idx": True},
        {"add_cross_attention": True},
    ],
)
def test_a_variant_that_gpt_does_not_have_is_refused(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        GPT.from_hf(theirs_like(SMALL, **settings))


def test_another_kind_of_model_is_refused():
    llama = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=9,
            hidden_size=8,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=8,
        )
    )
    with pytest.raises(ValueError, match="not 'llama'"):
        GPT.from_hf(llama)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub of files that transformers' save_pretrained wrote; remembers what was asked for."""
    theirs = theirs_like(SMALL)
    theirs.save_pretrained(tmp_path, safe_serialization=True)
    asked = []

    def hub_file(name, revision, file, kind="dataset", timeout=10.0):
        asked.append((name, revision, file, kind, timeout))
        return tmp_path / file

    monkeypatch.setattr(gpt2, "hub_file", hub_file)
    return tmp_path, theirs, asked


def test_published_weights_give_transformers_logits(hub):
    folder, theirs, asked = hub
    with torch.no_grad():
        close(GPT.from_pretrained("gpt2")(some_ids()), theirs(some_ids()).logits)
    assert [row[:2] for row in asked] == [("openai-community/gpt2", gpt2.REVISIONS["gpt2"])] * 2
    assert {row[2] for row in asked} == {"config.json", "model.safetensors"} and {
        row[3] for row in asked
    } == {"model"}
    GPT.from_pretrained("somebody/some-gpt2", revision="0" * 40, timeout=3.0)
    assert asked[-1][:2] == ("somebody/some-gpt2", "0" * 40) and asked[-1][4] == 3.0


def test_the_published_file_with_its_masks_and_without_prefix_is_read(hub):
    folder, theirs, _ = hub
    state = {
        name.removeprefix("transformer."): x
        for name, x in load_file(folder / "model.safetensors").items()
        if "lm_head" not in name
    }
    state |= {f"h.{n}.attn.bias": torch.ones(1, 1, 24, 24).tril() for n in range(SMALL.n_layer)}
    state |= {f"h.{n}.attn.masked_bias": torch.tensor(-1e4) for n in range(SMALL.n_layer)}
    save_file({name: x.contiguous() for name, x in state.items()}, folder / "model.safetensors")
    with torch.no_grad():
        close(GPT.from_pretrained("gpt2-medium")(some_ids()), theirs(some_ids()).logits)


def test_a_repository_of_another_kind_of_model_is_refused(hub):
    folder, _, _ = hub
    (folder / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(ValueError, match="not 'bert'"):
        GPT.from_pretrained("gpt2")


def test_what_cannot_be_had_says_what_to_do(monkeypatch):
    with pytest.raises(ValueError, match="full commit hash"):
        GPT.from_pretrained("distilgpt2")
    with pytest.raises(ValueError, match="branches and tags move"):
        GPT.from_pretrained("gpt2", revision="main")

    def unreachable(*args, **kwargs):
        raise ConnectionError("could not get config.json of x from the hub")

    monkeypatch.setattr(gpt2, "hub_file", unreachable)
    with pytest.raises(ConnectionError, match="hub"):
        GPT.from_pretrained("gpt2")


def test_the_pinned_revisions_are_full_hashes_of_every_preset():
    assert gpt2.REVISIONS.keys() == gpt2.SIZES.keys()
    assert all(len(r) == 40 and set(r) <= set("0123456789abcdef") for r in gpt2.REVISIONS.values())


# --- Presets and bad input ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("gpt2", (12, 12, 768)),
        ("gpt2-medium", (24, 16, 1024)),
        ("gpt2-large", (36, 20, 1280)),
        ("gpt2-xl", (48, 25, 1600)),
    ],
)
def test_the_presets_are_the_published_sizes(name, shape):
    config = GPTConfig.preset(name)
    assert (config.n_layer, config.n_head, config.n_embd) == shape
    assert (config.vocab_size, config.n_positions, config.tie_word_embeddings) == (
        50257,
        1024,
        True,
    )


def test_the_default_configuration_is_transformers():
    theirs = GPT2Config()
    assert {name: getattr(GPTConfig(), name) for name in NAMES} == {
        name: getattr(theirs, name) for name in NAMES
    }
    assert (
        GPTConfig().layer_norm_epsilon == theirs.layer_norm_epsilon
        and GPTConfig().initializer_range == theirs.initializer_range
    )


def test_an_unknown_preset_lists_those_there_are():
    with pytest.raises(ValueError, match="choose one of gpt2, gpt2-medium, gpt2-large, gpt2-xl"):
        GPTConfig.preset("gpt3")


@pytest.mark.parametrize(
    ("ids", "error", "said"),
    [
        (torch.zeros(5, dtype=torch.long), TypeError, r"must be whole numbers \(B, T\)"),
        (torch.zeros(1, 5), TypeError, "whole numbers"),
        (
            torch.zeros(1, 25, dtype=torch.long),
            ValueError,
            "25 positions, but the model has n_positions=24",
        ),
        (torch.full((1, 3), 61), ValueError, "not in 0 to 60"),
    ],
)
def test_ids_that_make_no_sense_are_refused(ids, error, said):
    with pytest.raises(error, match=said):
        GPT(SMALL)(ids)


def test_a_cache_counts_towards_the_longest_text():
    model = GPT(SMALL)
    cache = model.cache()
    model(torch.zeros(1, 20, dtype=torch.long), cache)
    with pytest.raises(ValueError, match="28 positions"):
        model(torch.zeros(1, 8, dtype=torch.long), cache)


def test_the_preallocated_cache_equals_the_one_that_grows_and_copies_nothing():
    fixed = gpt2.Cache(10)
    growing = KVCache()
    place = None
    for T in (3, 1, 1, 5):
        keys, values = torch.randn(2, 2, 4, T, 8).unbind()
        got = fixed.append(keys, values)
        want = growing.append(keys, values)
        assert all(torch.equal(a, b) for a, b in zip(got, want, strict=True)) and len(fixed) == len(
            growing
        )
        place = place or got[0].data_ptr()
        assert got[0].data_ptr() == place
    with pytest.raises(ValueError, match="room for 10"):
        fixed.append(keys, values)


@pytest.mark.parametrize("shape", [(3, 4, 1, 8), (2, 5, 1, 8), (2, 4, 1, 9)])
def test_a_cache_refuses_another_batch_or_layer(shape):
    cache = gpt2.Cache(10)
    cache.append(torch.zeros(2, 4, 3, 8), torch.zeros(2, 4, 3, 8))
    with pytest.raises(ValueError, match="fresh cache"):
        cache.append(torch.zeros(shape), torch.zeros(shape))


# --- Races ----------------------------------------------------------------------------------------


def test_the_contenders_of_the_races_give_the_same_answers():
    all_races = import_module("races.gpt2").races(
        T=16, prompt=4, n_new=5, n_layer=1, n_head=2, n_embd=16, vocab_size=99, n_positions=32
    )
    rows = [row for race in all_races for row in bench.run(race, repeats=1)]
    assert len(rows) == 10 and {row.agrees for row in rows if row.contender == "transformers"} == {
        True
    }
    assert {row.required for row in rows if row.contender == "transformers"} == {1.0, 1.3}


@pytest.mark.skipif(
    os.environ.get("COURSE_HUB") != "1",
    reason="downloads 550 MB; set COURSE_HUB=1 where the hub is reached",
)
def test_the_published_gpt2_gives_transformers_logits():
    from course_utils.stories.english import hub_file

    files = [
        hub_file("openai-community/gpt2", gpt2.REVISIONS["gpt2"], name, "model")
        for name in ("config.json", "model.safetensors")
    ]
    theirs = GPT2LMHeadModel.from_pretrained(files[0].parent, local_files_only=True).eval()
    ours = GPT.from_pretrained("gpt2").eval()
    ids = some_ids(GPTConfig(), T=64)
    with torch.no_grad():
        close(ours(ids), theirs(ids).logits)
    assert sum(p.numel() for p in ours.parameters()) == 124_439_808
