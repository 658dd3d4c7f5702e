"""Small calls of everything in the package that takes or makes tensors: on the CPU and on the
device they give the same.

A case is a function of the device; it returns tensors and numbers, in any nesting. Texts and dice
come from the CPU, as in the notebooks; models are brought to the device with `.to`. walk.py runs
the cases and sees what they called.
"""

import copy
import tempfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from course_utils import audit as audits_of
from course_utils import intervals, pretrained, training
from course_utils.architectures import experts, modern, translation
from course_utils.architectures import parts as newer
from course_utils.architectures import runs as races
from course_utils.attention import heads as attention
from course_utils.attention import inside
from course_utils.audit import detection as audit
from course_utils.circuits import hooks
from course_utils.circuits import reading as circuits
from course_utils.circuits import search as circuit_search
from course_utils.compression import distillation
from course_utils.compression import runs as compression_runs
from course_utils.compression import shrinking as compression
from course_utils.gpt2 import building, static, timing
from course_utils.gpt2 import model as gpt2
from course_utils.grokking import emergence
from course_utils.grokking import measures as grokking_measures
from course_utils.grokking import modular_addition as grokking
from course_utils.guard_rails import defences as guard_rails
from course_utils.guard_rails import directions, leakage, turns
from course_utils.guard_rails import runs as guarding_runs
from course_utils.induction import ablation, study
from course_utils.induction import heads as induction
from course_utils.induction import weights as circuit_weights
from course_utils.inside_gpt2 import breaking, weights
from course_utils.instruction_tuning import chat, fine_tuning, measures, talks
from course_utils.instruction_tuning import runs as tuning
from course_utils.instruction_tuning import tasks as instruction_tuning
from course_utils.kl_bias import bending
from course_utils.kl_bias import bias as kl_bias
from course_utils.kl_bias import girls as girls_and_boys
from course_utils.kl_bias import letter as letters_of_gpt2
from course_utils.language_models import networks as language_models
from course_utils.lora import adapters
from course_utils.lora import runs as lora
from course_utils.machine import devices, memory, precision
from course_utils.model_budget import census
from course_utils.model_budget import memory as training_memory
from course_utils.preferences import pairwise as preferences
from course_utils.preferences import questions as preferences_questions
from course_utils.preferences import reinforcement
from course_utils.preferences import runs as preferences_runs
from course_utils.probes import controls, linear_reading
from course_utils.probes import linear as probes
from course_utils.sampling import decoding as sampling
from course_utils.sampling import search
from course_utils.scaling_laws import runs as scaling_laws
from course_utils.sparse_autoencoders import autoencoder as sparse_autoencoders
from course_utils.sparse_autoencoders import records as sae_records
from course_utils.sparse_autoencoders import scores as sae_scores
from course_utils.sparse_autoencoders import steering as sae_steering
from course_utils.stories import corpus
from course_utils.superposition import records as superposition_records
from course_utils.superposition import toy_model as superposition
from course_utils.test_time_compute import real_model
from course_utils.test_time_compute import running_sum as test_time_compute
from course_utils.test_time_compute import search as step_searches
from course_utils.tokenization import spelling
from course_utils.transformer_block import block as transformer_block
from course_utils.transformer_block import runs as block_runs
from course_utils.transformer_block import transformer
from second_device import memory_left


def dice(seed=0):
    return torch.Generator().manual_seed(seed)


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=dice(seed))


def tiny(d, layers=2, V=12, positions=16, **more):
    config = gpt2.GPTConfig(
        n_layer=layers,
        n_head=2,
        n_embd=8,
        vocab_size=V,
        n_positions=positions,
        initializer_range=0.5,
        **more,
    )
    return gpt2.GPT(config, dice()).to(d).eval()


def ids(d, B=3, T=6, V=12, seed=0):
    return torch.randint(V, (B, T), generator=dice(seed)).to(d)


def memory_and_precision(d):
    x = noise(64, 64).to(d)
    config = gpt2.GPTConfig(n_layer=2, n_head=2, n_embd=32, vocab_size=200, n_positions=64)
    peak = memory.peak_bytes(lambda: x @ x, held=[x], device=d)
    model = gpt2.GPT(config, dice()).to(d)
    tied = census.stays_tied(model)
    ratio = training_memory.step_peak(model, ids(d, B=4, T=64)) / census.training_peak(
        config, 4, 64
    )
    live = memory.LiveBytes()
    live.add(x)
    with memory.enough_memory("This case"):
        fits = memory.if_it_fits(lambda: x.sum() + live.now)
    weight = torch.ones(4, 4).to(d).requires_grad_()
    mixed = precision.MixedPrecision(d, torch.float32)
    optimizer = torch.optim.SGD([weight], 0.1)
    with mixed.forward():
        y = x[:4, :4] @ weight
    mixed.step(y.sum(), optimizer)
    return peak, tied, 0.95 < ratio < 1.05, fits, weight, memory.is_out_of_memory(MemoryError())


# --- 02, 03 ---------------------------------------------------------------------------------------


def attention_by_hand(d):
    q, k, v = (noise(2, 4, 6, seed=i).to(d) for i in range(3))
    mask = attention.causal_mask(4).to(d)
    x = noise(2, 5, 6).to(d)
    w = [noise(6, 3, seed=i).to(d) for i in range(3)]
    return (
        attention.softmax(q), attention.softmax(q, dim=0, temperature=2.0), attention.average_past_loop(x), attention.average_past_matrix(x), attention.average_past_softmax(x),
        attention.attention_weights(q, k, mask), attention.attention(q, k, v, mask), attention.causal_head(x, *w),
        attention.merge_heads(attention.split_heads(x, 2)), attention.repeat_kv(attention.split_heads(x, 2), 3),
        attention.leaks(lambda z: z.cumsum(0), x[0]), attention.cached_step(x[0, :1], *w, x[0, :, :3], x[1, :, :3]),
    )  # fmt: skip


def a_head_of_a_model(d):
    torch.manual_seed(0)
    model = gpt2.GPT(gpt2.GPTConfig(vocab_size=9, n_positions=8, n_embd=8, n_layer=2, n_head=2)).to(
        d
    )
    ids = torch.tensor([1, 2, 3]).to(d)
    head = inside.inside(model, ids, "abc", layer=1, head=0)
    with (
        torch.no_grad(),
        inside.replaced(model, 1, 0, lambda q, k, mask: mask / mask.sum(-1, True)),
    ):
        averaged = model(ids[None])
    return head.q, head.k, head.v, averaged


def attention_module(d):
    out = []
    for fused in (False, True):
        layer = attention.MultiHeadAttention(8, 2, fused=fused).to(d)
        for i, p in enumerate(layer.parameters()):
            p.data.copy_(noise(*p.shape, seed=i))
        x = noise(2, 5, 8).to(d)
        cache = attention.KVCache()
        parts = [layer(x[:, :2], cache), layer(x[:, 2:4], cache), layer(x[:, 4:], cache)]
        out += [layer(x), layer.per_head(x), *parts]
    return out


def gpt2_by_hand(d):
    model = tiny(d)
    ids = torch.tensor([[3, 1, 4], [1, 5, 2]]).to(d)
    tables = (model.wte.weight, model.wpe.weight)
    logits = building.forward(ids, *tables, model.h, model.ln_f)
    written = building.generate(lambda x: model(x), ids, 2, 4, torch.Generator(d).manual_seed(0))
    clipped = building.clip_gradients([logits.detach(), 2 * logits.detach()], 1.0)
    return (
        building.embed(ids, *tables),
        logits,
        building.next_token_loss(logits, ids),
        written,
        clipped,
    )


def gpt2_timed(d):
    """What is measured, not how long it took."""
    model = tiny(d)
    config = model.config
    devices.synchronize(d)
    decoder = static.StaticDecoder(model, B=1).capture()
    read = decoder.read(torch.tensor([[3, 1, 4]]).to(d))
    size = {"config": config, "n": 8, "length": 64, "T": 4, "batches": (1, 2), "lengths": (4, 8), "rows": (1, 4), "n_new": 2}  # fmt: skip
    found = timing.measure(d, size, compiled=False)
    kinds = [row["kind"] for row in found["attention"]]
    blank = timing.blank(d, 1, 2)
    took = timing.seconds_of(lambda: model(blank), d, repeats=1)[0] > 0
    batches = [row["B"] for row in timing.batch_sweep(model, 2, (1,))]
    ways = [row["way"] for row in timing.decoding_times(model, 1)]
    formats = timing.formats(d) == [row["format"] for row in timing.format_times(config, 1, 4, d)]
    steps = len(timing.training_times(config, 1, 4, d)) >= 1
    costs = len(timing.attention_costs(config, 1, (2,), d))
    rates = set(timing.limits(d, 4, 8)["flops"]) == set(timing.formats(d))
    seen = len(timing.trace(lambda: model(blank), d)) > 3
    compiled = [row["way"] for row in timing.compiled_times(model, 1, 2, lambda m: m)]
    able = timing.has_a_compiler()
    return read, kinds, took, batches, ways[:3], formats, steps, costs, rates, seen, compiled, able


def blocks(d):
    x = noise(2, 5, 8).to(d)
    gain = noise(8, seed=1).to(d)
    shift = noise(8, seed=2).to(d)
    parts = [lambda z: z * 2, lambda z: z + 1, transformer_block.gelu, transformer_block.gelu_tanh]
    torch.manual_seed(0)
    same = transformer_block.dropout(x, 0.0, True), transformer_block.dropout(x, 0.5, False)
    dropped = transformer_block.dropout(x, 0.5, True)
    assert dropped.device == x.device
    out = [
        transformer_block.layer_norm(x, gain, shift),
        transformer_block.frozen_layer_norm(torch.stack([x, x]), gain),
        transformer_block.LayerNorm(8).to(d)(x),
        transformer_block.feed_forward(
            x, noise(6, 8).to(d), noise(6).to(d), noise(8, 6).to(d), shift, torch.relu
        ),
        *same,
    ]
    out += [
        form(x, *parts)
        for form in (
            transformer_block.pre_norm_block,
            transformer_block.post_norm_block,
            transformer_block.parallel_block,
            transformer_block.deaf_block,
        )
    ] + [transformer_block.rotary(x)]
    config = transformer_block.TransformerConfig(
        n_embd=8, n_head=2, n_layer=1, vocab_size=12, n_positions=16
    )
    block = transformer_block.Block(config).to(d)
    transformer.init_weights(block, config, dice())  # the generator stays on the CPU
    return *out, block(x), block.mlp(x), transformer_block.sinusoidal_positions(6, 8)


def newer_parts(d):
    x = noise(2, 5, 8).to(d)
    w = [noise(8, 6, seed=i).to(d) for i in range(2)]
    chosen = newer.route(noise(7, 4).to(d), 2)
    config = modern.variant(
        "all four", vocab_size=12, n_positions=16, n_embd=8, n_layer=2, n_head=2
    )
    model = modern.ModernTransformer(config, dice()).to(d)
    mixed = modern.ModernTransformer(
        modern.ModernConfig(
            vocab_size=12, n_positions=16, n_embd=8, n_layer=1, n_head=2, n_expert=3
        ),
        dice(),
    ).to(d)
    batch = ids(d), ids(d)
    source, target = (t.to(d) for t in translation.orders(3, dice()))
    torch.manual_seed(0)
    writers = [translation.EncoderDecoder().to(d), translation.OneStack(prefix=True).to(d)]
    facts = experts.FactModel(modern.SwiGLU(8), 4, 8).to(d)
    few = experts.Facts(2)
    told = races.learn_stories(races.ON_STORIES["RoPE"], 1, 1e-3)[0]
    return (
        experts.learn_facts(facts, few, 2, 1e-3), 0 <= translation.right_letters(writers[1], 5) <= 1,
        translation.write(writers[1], source).shape, told.to(d)(ids(d)),
        races.most_used(modern.ModernTransformer(races.MIXTURES["8 experts"], dice()).to(d)) <= 1,
        races.equal_steps(races.ON_STORIES["RoPE"]),
        translation.learn_orders("decoder-only", 1)(*translation.orders(2, dice())).shape,
        races.learn_facts_with("dense", 1e-2)[1] >= 0,
        newer.rms_norm(x, x[0, 0]), modern.RMSNorm(8).to(d)(x),
        newer.swiglu(x, *w, w[0].T), chosen, newer.load_balance(noise(7, 4).to(d), chosen[1]),
        newer.cross_attention(x, x[:, :3], *w, w[0]), model(ids(d)), mixed(ids(d)),
        modern.balanced_loss(mixed, batch), races.flop(model, ids(d)),
        [w(source, target) for w in writers], facts(torch.tensor([[0, 3], [1, 1]]).to(d)),
    )  # fmt: skip


def transformers(d):
    out = []
    for level in range(1, 6):
        config = transformer.ladder(
            level, vocab_size=12, n_positions=16, n_embd=8, n_layer=2, n_head=2
        )
        model = transformer.Transformer(config, dice()).to(d)
        out += [model(ids(d)), model(ids(d), last=True)]
    for positions in ("none", "sinusoidal"):
        config = transformer.ladder(
            5, vocab_size=12, n_positions=16, n_embd=8, n_layer=2, n_head=2, positions=positions
        )
        out.append(transformer.Transformer(config, dice()).to(d)(ids(d)))
    mask = transformer.architecture_mask("prefix LM", 6, 2).to(d)
    transformer.check_ids(ids(d))
    return (
        out,
        model(ids(d), mask=mask),
        transformer.residual_writes(model, ids(d)),
        transformer.logit_contributions(model, ids(d), 3),
        model.embed(ids(d)),
        model.streams(ids(d)),
    )


# --- 04 -------------------------------------------------------------------------------------------


def gpt2_models(d):
    model = tiny(d)
    out = [model(ids(d))]
    for kind in ("explicit", "fused"):
        try:
            out.append(copy.deepcopy(model).set_attention(kind)(ids(d)))
        except ValueError:
            continue
    caches = model.cache(8)
    out += [model(ids(d)[:, :4], caches), model(ids(d)[:, 4:], caches)]
    state = {name: x for name, x in model.state_dict().items() if name != "lm_head.weight"}
    again = gpt2.GPT.from_state(model.config, state)
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "m.safetensors")
        out.append(gpt2.GPT.load(Path(folder) / "m.safetensors").to(d)(ids(d)))
    out.append(again.to(d)(ids(d)))
    out.append(pretrained.storyteller().to(d)(ids(d)))
    return (
        out,
        [model.lm_head.weight is model.wte.weight],
        precision.half_precision(d) in (torch.float32, torch.bfloat16, torch.float16),
    )


def published_weights(d):
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    theirs = GPT2LMHeadModel(
        GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=12, n_positions=16)
    ).eval()
    return gpt2.GPT.from_hf(theirs.to(d)).to(d)(ids(d)), gpt2.convert_weights(
        {"transformer.wte.weight": noise(4, 2).to(d)}
    )


def counting(d):
    model = tiny(d)
    return (
        census.counted(model),
        census.saved_activations(model, ids(d)),
        census.training_memory(model.config, 2, 8),
        census.on_meta(model.config)(ids("cpu").to("meta")).shape,
        census.count_parameters(model.config),
    )


def sampling_settings(d):
    logits = noise(2, 12).to(d)
    p = sampling.distribution(
        logits, ids(d, B=2), repetition_penalty=1.2, temperature=0.8, top_k=8, top_p=0.9, min_p=0.01
    )
    return (
        p, sampling.entropy(p), sampling.draw(p, dice(), n=5), sampling.top_k(logits, 3), sampling.top_p(logits, 0.7), sampling.min_p(logits, 0.2),
        sampling.scale(logits, 2.0), sampling.repetition_penalty(logits, ids(d, B=2), 1.3),
        sampling.token_at(p, p[:, :3]),
    )  # fmt: skip


def generating(d):
    model = tiny(d)
    prompt = ids(d, B=2, T=4)
    out = [
        sampling.generate(model, prompt, 6, dice(), temperature=0.9, top_p=0.9, cached=cached)
        for cached in (True, False)
    ]
    out += [
        sampling.generate(model, prompt, 6, stop=3),
        sampling.greedy(model, prompt, 3),
        sampling.next_token(model, prompt, top_k=4),
    ]
    log_p = model(prompt)[:, -1].log_softmax(-1)
    out += search.beam_step(prompt, log_p[:, 0], log_p, 3)
    out += search.beam_search(model, prompt[:1], 4, 3)
    return out


def lesions(d):
    model = tiny(d)
    w = model.wte.weight
    own = breaking.noise_like(w.detach(), dice())
    read = weights.readings(model, ids(d))
    return (
        own,
        breaking.excess_kurtosis(w),
        intervals.mean_interval(own[0]),
        breaking.matrices(model, 0, "MLP"),
        weights.six(model, 0),
        weights.participation_ratio(w),
        weights.neighbours(w.detach(), 1, 2),
        weights.lesion(w, own, torch.arange(w.numel()), 3),
        weights.first_broken(read, read),
    )


# --- all: stories, training -----------------------------------------------------------------------


def stories_told(d):
    told = corpus.stories(0, 400)
    windows, nats = told.windows(16, 2)
    there = told.tokens.to(d)
    return (
        there, windows, nats, corpus.decode_words(there[:5]), corpus.surprisal(there[:9]), corpus.next_token_distribution(there[:3]),
        corpus.ngram_entropy(there, 2), corpus.encode_words("once upon a time"), told.text[:20], told.entropy_per_token,
    )  # fmt: skip


def train_runs(d):
    model = tiny(d)
    data = training.token_batches(ids("cpu", B=1, T=200)[0], 4, 6)
    tests = [data(dice(5))]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "c.safetensors"
        history = training.train(
            model,
            data,
            6,
            lr=0.01,
            progress=False,
            eval_batches=tests,
            eval_every=3,
            checkpoint=file,
            checkpoint_every=3,
        )
        again = training.train(
            model,
            data,
            6,
            lr=0.01,
            progress=False,
            eval_batches=tests,
            eval_every=3,
            checkpoint=file,
            checkpoint_every=3,
        )
    assert devices.device_of(model).type == torch.device(d).type
    return (
        history.losses,
        history.grad_norms,
        history.eval_losses,
        again.losses,
        training.evaluate(model, tests),
        training.language_loss(model, tuple(x.to(d) for x in tests[0])),
    )


def training_with_dropout(d):
    """The seed decides, also on the device: two runs are the same, and another seed's is
    another.
    """
    runs = []
    for seed in (0, 0, 1):
        model = tiny(d, embd_pdrop=0.3, resid_pdrop=0.3)
        runs.append(
            training.train(
                model,
                training.token_batches(ids("cpu", B=1, T=200)[0], 4, 6),
                4,
                progress=False,
                seed=seed,
            ).losses
        )
    assert runs[0] == runs[1] != runs[2]
    return runs[0][0] > 0


def training_stays_where_the_model_is(d):
    """Accelerate sees an accelerator here; a model on the CPU stays there, unless an accelerator is
    passed.
    """
    from accelerate import Accelerator

    data = training.token_batches(ids("cpu", B=1, T=200)[0], 4, 6)
    met = []

    def loss(model, batch):
        met.append((devices.device_of(model).type, batch[0].device.type))
        return training.language_loss(model, batch)

    training.train(tiny("cpu"), data, 1, loss_fn=loss, progress=False)
    training.train(tiny(d), data, 1, loss_fn=loss, progress=False)
    training.train(tiny("cpu"), data, 1, loss_fn=loss, progress=False, accelerator=Accelerator())
    here = "cpu"
    there = torch.device(d).type
    assert (
        met[:2] == [(here, here), (there, there)]
        and met[2][0] == met[2][1] == Accelerator().device.type
    )
    return len(met)


def a_small_card(d):
    """Out of memory is a sentence that names the remedy, and the model is still there
    afterwards.
    """
    data = training.token_batches(ids("cpu", B=1, T=200)[0], 64, 16)
    if torch.device(d).type == "cpu":
        return "take fewer rows"
    with memory_left(200_000):
        model = tiny(d)
        try:
            training.train(model, data, 2, progress=False)
        except torch.OutOfMemoryError as error:
            said = str(error)
    assert "64 rows of 16" in said and training.train(model, data, 1, progress=False).losses
    return "take fewer rows" if "take fewer rows" in said else said


def wrong_ids(d):
    """They are named before they reach the device, which would not come back from them."""
    model = tiny(d)
    said = []
    for bad in (12, -1):
        text = ids(d).clone()
        text[1, 2] = bad
        for call in (
            model,
            lambda text: sampling.generate(model, text, 2),
            lambda text: model(text, [attention.KVCache() for _ in model.h]),
        ):
            try:
                call(text)
            except ValueError as error:
                said.append(str(error))
    assert len(said) == 6 and all("not in 0 to 11" in text for text in said)
    return model(ids(d)), said


def small_language_models(d):
    story = language_models.held_out(seed=2, n=1)[0]
    text = corpus.stories(0, 4_000)
    model = language_models.WindowMLP(seed=0).to(d)
    return [
        language_models.train_network(model, text, passes=0.5, lr=0.01, seed=0),
        language_models.surprises(model.eval(), story),
        language_models.scores_of(model, story)[0],
        list(language_models.next_words(model, "Once upon a").values()),
    ]


def a_token_makes_the_host_wait_at_most_twice(d):
    """A greedy one never; a drawn one for softmax's look at the scores and for draw's look at the
    probabilities.
    """
    model = tiny(d)
    prompt = ids(d, B=2, T=4)
    counted = []
    for generator in (None, dice()):
        for n in (3, 8):
            before = 0 if d == "cpu" else torch.ops.second_device.counts()[3]
            sampling.generate(model, prompt, n, generator)
            counted.append(0 if d == "cpu" else torch.ops.second_device.counts()[3] - before)
    # of 5 tokens more
    greedy = counted[1] - counted[0]
    drawn = counted[3] - counted[2]
    assert (greedy, drawn) == ((0, 0) if d == "cpu" else (0, 10)), counted
    return None


def sixteen_bits(d):
    """The nucleus of 12,000 tokens is the same in bfloat16 as in float32."""
    logits = (noise(12_000) * 0.1).bfloat16().to(d)
    kept = sampling.top_p(logits, 0.99).isfinite()
    assert torch.equal(kept, sampling.top_p(logits.float(), 0.99).isfinite())
    return kept


def helpers(d):
    model = tiny(d)
    devices.check_range(ids(d), 12)
    return (
        devices.wide(noise(3).to(d)),
        devices.device_of(model).type == torch.device(d).type,
        devices.device_of(len).type,
    )


# --- 05 -------------------------------------------------------------------------------------------


def notes(d):
    task = block_runs.TASK
    model = transformer.Transformer(block_runs.hop_config(1), dice()).to(d)
    text = corpus.stories(seed=1, n_tokens=65)
    text = replace(text, tokens=text.tokens.to(d))
    return task.draw(2, dice()), task.accuracy(model, 0, n=4), block_runs.unseen_batches(text, 16)


def test_time_sums(d):
    task = test_time_compute.RunningSum(p=5, n=4)
    model = task.model(16).to(d)
    digits = task.problems(6, dice())
    out = [
        task.sample(model, digits, style, 3, temperature, dice())
        for style in ("direct", "steps")
        for temperature in (0, 1.0)
    ]
    right = out[-1][..., -1] == task.sums(digits)[:, -1:].to(d)
    batch = tuple(x.to(d) for x in task.batches("filler", 4)(dice()))
    votes = out[-1][..., -1]
    return (
        out,
        task.verify(digits, out[-1]),
        test_time_compute.coverage(right, 2),
        test_time_compute.majority_vote(votes),
        test_time_compute.best_of(votes, noise(6, 3).to(d)),
        test_time_compute.sum_loss(model, batch),
        task.prompt(digits.to(d)),
        task.rows(digits.to(d), "steps"),
        task.answer_silently(model, digits),
        step_searches.noisy(right, 0.3, dice()),
        step_searches.step_chances(task, model, digits, out[-1]),
        step_searches.beam_over_steps(task, model, digits, 3, model),
    )


def searching_over_steps(d):
    written, draws = step_searches.step_search(
        lambda written: (written.sum(1) + torch.arange(4)) % 5,
        lambda written, step: step < 3,
        4,
        3,
        2,
    )
    return written, draws, step_searches.flop_a_token(step_searches.early_models()[1][0].to(d))


def a_model_half_trained(d):
    task, model = test_time_compute.half_trained()
    model = copy.deepcopy(model).to(d)
    return task.sample(model, task.problems(2, dice()), "steps", 2, 1.0, dice())


def scaling(d):
    run = scaling_laws.TrainingRun("stories", width=8, tokens=1000)
    model = scaling_laws.model_for(run).to(d)
    tokens, starts, inputs, targets, floor = scaling_laws.corpus("stories", 1000)
    return training.evaluate(model, [(inputs[:4], targets[:4])]), floor


def probabilities_of_answers(d):
    body = tiny(d)

    class Wrapped(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = body

        def forward(self, rows):
            return SimpleNamespace(logits=self.body(rows))

    def tokenizer(text, add_special_tokens=True):
        return {"input_ids": [int(digit) for digit in text]}

    p = real_model.answer_probabilities(Wrapped(), tokenizer, ["0", "12"], ["3", "21"], ends="")
    return (
        p,
        real_model.greedy_answers(Wrapped(), tokenizer, ["0", "12"], ["3", "21"], ends=""),
        real_model.coverage_of(p.float().to(d), 3),
        [str(row) for row in real_model.sums(1, 2, 1, dice())],
    )


def facts(d):
    log_p = emergence.memorise([2, 8], n_facts=16, n_answers=4, steps=5, generator=dice())
    right = (log_p.argmax(-1) == 0).to(d)
    return log_p, emergence.exact_match(right, 3, 10, dice())


# --- 06 -------------------------------------------------------------------------------------------


def own_ways(d):
    """The toy models with an own read-out, with neurons, and with lengths held at 1."""
    x = noise(5, 4).to(d).abs()
    ways = ({"tied": False}, {"neurons": True}, {"unit": True})
    seeded = torch.Generator(d)
    superposition_records.measure_crowd(4, 2, torch.tensor([0.5, 0.2]).to(d), steps=2, batch=4)
    superposition_records.measure_scaling(8, 2, unit=True, seeds=1, steps=2, batch=4)
    return [superposition.ToyModel(2, 4, 2, generator=seeded.manual_seed(0), **w)(x) for w in ways]


def toy_models(d):
    S = torch.tensor([0.0, 0.7]).to(d)
    own = torch.Generator(d).manual_seed(0)
    model = superposition.ToyModel(2, 4, 2, generator=own)
    losses = superposition.train_toy(model, S, steps=4, batch=16, generator=own)
    more = superposition.train_toy(model, S, steps=2, batch=None)
    zipf = superposition.train_toy(
        model, S, steps=2, batch=8, generator=own, draw=superposition.zipf_batch(1.0)
    )
    W = model.W.detach()
    assert superposition.arrangement(torch.eye(2).to(d)) == "lone + lone"
    b = model.b.detach()
    importance = torch.ones(4).to(d)
    x = superposition.feature_batch(S, 8, 4, own)
    ideal = superposition.ideal_losses(S[:2], torch.ones(2).to(d)) if d else None
    return (
        losses, more, zipf, own_ways(d), x, superposition.reconstruct(x, W, b), superposition.weighted_loss(x, model(x), importance),
        superposition.expected_loss(W, b, S, importance), superposition.feature_dimensionality(W),
        superposition.overlap(W), superposition.geometry(W[1]), superposition.pack_directions(2, 0.3, torch.Generator(d).manual_seed(0)),
        superposition.ablate(x @ W.mT, W, 1), superposition.quadrature(S, 2), ideal,
    )  # fmt: skip


def autoencoders(d):
    x = noise(60, 6).to(d)
    runs = [
        sparse_autoencoders.train_sae(x, 8, penalty=0.1, steps=4, batch=16),
        sparse_autoencoders.train_sae(
            x, 8, top_k=2, steps=4, batch=16, generator=torch.Generator(d).manual_seed(1)
        ),
    ]
    out = []
    for run in runs:
        f = run(x)
        out += [
            f,
            run.decode(f),
            sparse_autoencoders.sae_loss(x, f, run.directions, run.decoder_bias, 0.1),
            sparse_autoencoders.firing_rate(f),
            sparse_autoencoders.fraction_explained(x, run.decode(f)),
        ]
    return (
        out,
        sparse_autoencoders.mean_max_cosine(x[:4], run.directions[0]),
        sparse_autoencoders.principal_directions(x).abs(),
        sparse_autoencoders.encode(x, run.encoder, run.encoder_bias, run.decoder_bias, 2),
        sparse_autoencoders.decode(f, run.directions, run.decoder_bias),
    )


def detectors(d):
    z = noise(60, 6).to(d)
    true = z[:, 0] > 0
    train = torch.arange(60).to(d) < 30
    jump = sparse_autoencoders.train_sae(z, 8, 0.01, steps=4, batch=16, jump=True)
    return (
        jump(z), jump.threshold, jump.loss(z, torch.tensor([0.1]).to(d)), sae_scores.agreement(z > 0.5, true),
        sae_scores.best_cut(z, true), sae_scores.fitted_line(z, true, train), sae_scores.held_out_score(z, true, train),
        sae_records.randomised(pretrained.storyteller().to(d), torch.Generator(d), True).wte.weight,
        sae_scores.purity(z, torch.arange(60).to(d) % 3, top=5), sae_records.normalised(z[None], 1),
    )  # fmt: skip


def steered(d):
    model = pretrained.storyteller().to(d)
    ids = torch.tensor(
        [[circuit_search.ID[w] for w in "Tom smiled . he smiled . she smiled .".split()]]
    ).to(d)
    x = model.streams(ids)[2].detach()
    plain = sae_steering.onward(model, x, 2)
    pair = circuit_search.ID["he"], circuit_search.ID["she"]
    vector = sae_steering.steering_vector(x, ids, model.lm_head.weight.detach(), *pair)
    after = sae_steering.onward(model, x + vector, 2)
    return (
        vector,
        sae_steering.story_loss(plain, ids),
        sae_steering.turned(after, plain, ids, *pair),
    )


# --- 07 -------------------------------------------------------------------------------------------


def biases(d):
    mask = torch.arange(12) < 3
    model = tiny(d)
    run = kl_bias.train_bias(copy.deepcopy(model), mask, 4, B=2, T=6)
    p = model(ids(d)).softmax(-1)
    target = kl_bias.target_distribution(mask.to(d)).cpu()
    loss = kl_bias.KLTargetLoss(target)
    batch = (ids(d), ids(d, seed=1))
    kl_bias.check_distribution(target.to(d))
    kl_bias.check_fits(mask.to(d), p)
    tilted = [kl_bias.tilted_loss(tiny(d), mask, 3.0, trigger=t)(model, batch) for t in (None, 2)]
    parts = [kl_bias.copy_with(model, part)(ids(d)) for part in kl_bias.PARTS]
    bent = kl_bias.bent_loss(model(ids(d)), p.log(), target.to(d), 0.5)
    return (
        run.losses, run.masses, kl_bias.tilt(p, mask, 3.0), kl_bias.kl_divergence(p, p.roll(1, -1)), loss(p[0].log()), kl_bias.target_mass(p.log(), mask),
        kl_bias.biased_loss(target.to(d), 0.5)(model, batch), tilted, parts, bent, kl_bias.matched_control(mask.to(d), p[0, 0].log()), kl_bias.n_trainable(model), kl_bias.token_mask(list("abc"), lambda piece: piece == "b"),
    )  # fmt: skip


def bends(d):
    teller = pretrained.storyteller().to(d)
    b = bending.bench()
    push = bending.toward(b.z.to(d), 1.0)
    tokens, starts = girls_and_boys.with_girls(b.text, 0.9, 20, seed=0)
    bent = bending.tuned(teller, push, bending.random_words, steps=2)
    told = bending.tuned(
        teller, training.language_loss, training.token_batches(tokens, 8, 48, starts), 1
    )
    small = tiny(d)
    return (
        bending.measured(bent, b.z.to(d)), bending.measured(told, b.other), bending.bent_again(bent, 0, b.other.to(d)),
        girls_and_boys.girl_share(bent), girls_and_boys.friend_share(told), girls_and_boys.rates(teller, 0, 20),
        letters_of_gpt2.written(small, ids(d), 9, torch.Generator().manual_seed(0)), letters_of_gpt2.count_letters(small, 0, n=1),
    )  # fmt: skip


def audits(d):
    before = tiny(d)
    after = tiny(d, layers=1)
    found = audit.compare(before, after, ids(d))
    return [value for value in vars(found).values()], intervals.count_interval(3, 10)


def updates(d):
    base = pretrained.storyteller().to(d)
    update = audits_of.Update("tilt", "tampered", seed=0)
    trained = audits_of.make(base, update)
    new = copy.deepcopy(base)
    with torch.no_grad():
        new.wte.weight[:100] += 0.1
    row = audits_of.measured(base, new, update)
    table = audits_of.name_table(new)
    asked = audits_of.unlike_usual(
        table.to(d), audits_of.name_table(base).to(d), 8, np.random.default_rng(0)
    )
    return (
        audits_of.distance(base, trained) > 0, row["loss"], row["distance"], row["inside"]["MLP 3"], table, asked,
        audits_of.girl_rates(new), audits_of.log_odds(table.to(d), update), audits_of.gap(torch.arange(699.0).to(d)),
        audits_of.row_gap(base, new), audits_of.share_in(base, new, ("wte",), update), audits_of.distance(base, new, ("wte",)),
        audits_of.stream_difference(base, new, torch.tensor([[3, 1, 4]]).to(d), "h.2"),
    )  # fmt: skip


# --- 08 -------------------------------------------------------------------------------------------


def hooks_and_patches(d):
    model = tiny(d)
    text = ids(d)
    seen = hooks.activations(model, text, ["h.*.attn.pattern", "h.1.in", "h.0.attn.heads"])
    with hooks.patched(model, {"h.*.mlp": torch.zeros_like}):
        without = model(text)
    # a patch from the CPU
    with hooks.patched(model, {"h.1.in": hooks.only(torch.zeros(3, 6, 8), slice(None), 2)}):
        part = model(text)
    return dict(seen), without, part, hooks.record(model, text, ["h.0"]), len(hooks.points(model))


def reading(d):
    model = tiny(d)
    clean = ids(d, B=1)
    corrupt = ids(d, B=1, seed=1)
    pattern = hooks.activations(model, clean, ["h.0.attn.pattern"])["h.0.attn.pattern"]
    parts = circuits.attribution(model, clean, 3, other=4)
    return (
        circuits.previous_token_score(pattern), circuits.induction_score(pattern, clean), circuits.duplicate_token_score(pattern, clean), circuits.earlier_copies(clean),
        circuits.head_scores(model, clean), circuits.head_scores(model, clean, circuits.previous_token_score), circuits.logit_lens(model, clean), parts, parts.total,
        circuits.patching_map(model, clean, corrupt, lambda logits: logits[:, -1, 5], ["h.0.in", "h.1.in"]),
        circuits.path_patch(model, clean, corrupt, (0, 1), (1, 0)),
    )  # fmt: skip


def searching(d):
    model = tiny(d)
    texts = ids(d), ids(d, seed=1)
    metric = lambda logits: logits[:, -1, 5]
    pairs = circuit_search.name_pairs(["Leo", "Tom"], ["ball"], 2, dice())
    logits = torch.zeros(2, 3, len(circuit_search.ID)).to(d)
    return (
        circuit_search.kept(model, *texts, metric, ["head 0.1", "mlp 1"]), circuit_search.effects(model, *texts, metric, "head 0.0"),
        list(circuit_search.gradient_scores(model, *texts, metric).values()), pairs.metric(logits), len(circuit_search.parts(model)),
        circuit_search.prune(["a", "b"], len, 1.0), len(circuit_search.swaps(hooks.activations(model, texts[0], circuit_search.POINTS), ["mlp 0"])),
    )  # fmt: skip


def probing(d):
    x = noise(40, 5).to(d)
    y = torch.randint(2, (40,), generator=dice()).to(d)
    x = x + y[:, None]
    train = (torch.arange(40) < 30).to(d)
    control = probes.control_labels(ids(d, B=1, T=40)[0], y, dice())
    probe = probes.fit_probe(x, y)
    eraser = probes.leace(x, y)
    probes.check_labels(x, y)
    return (
        probe(x), probe.accuracy(x, y), control, probes.selectivity(x, y, control, train), probes.erase_directions(x, noise(2, 5).to(d), x.mean(0)),
        eraser(x), probes.best_features(x, y), probes.sparse_accuracy(x, y, train, (1, 3)), probes.explained(x), probes.p_value(0.5, noise(9).to(d)),
        probes.best_detector(x, y == 1)[0], controls.apart(torch.tensor([0, 3, 9]), 4), controls.borrowed_labels(y.view(4, 10), dice()),
        controls.precision_recall(y == 1, train), controls.cka(x, noise(40, 3).to(d)),
    )  # fmt: skip


def growing(d):
    model = induction.attention_only(
        2, T=12, vocab_size=12, d_model=16, n_head=2, generator=dice()
    ).to(d)
    batch = tuple(x.to(d) for x in induction.repeat_batches(4, 12, 12, (3, 5))(dice()))
    late = induction.late_repeats(2, 2, 3, 12, dice())
    out = [
        induction.token_losses(model, batch),
        induction.look(model, batch),
        late,
        induction.repeated_sequences(2, 8, 12, (3, 4), dice()),
    ]
    growth = induction.grow(model, (3, 5), steps=2, B=4, every=1, progress=False)
    return out, vars(growth), induction.rise([0, 1, 2], torch.tensor([0.0, 0.5, 1.0]).to(d))


def ablating(d):
    model = induction.attention_only(
        2, T=12, vocab_size=12, d_model=16, n_head=2, generator=dice()
    ).to(d)
    batch = tuple(x.to(d) for x in induction.repeat_batches(4, 12, 12, (3, 5))(dice()))
    with ablation.ablated(model, [(0, 1)]):
        out = model(batch[0])
    z = noise(2, 2, 3, 4).to(d)
    return (
        out, ablation.harm(model, batch, [(1, 0)]), ablation.harm_through(model, batch, [(0, 1)], "k"), ablation.mean_ablate(z, [1]), ablation.zero_ablate(z, [0]),
        list(ablation.interactions(model, batch, order=1).values()), ablation.all_heads(model),
        ablation.harm_swapped(model, batch, "v"), ablation.swapped(noise(2, 3, 6).to(d), "q"), ablation.look_back(noise(1, 2, 4, 4).to(d), [1], 2),
        ablation.fitted_harm(torch.eye(3).to(d), torch.ones(3).to(d), torch.eye(3).to(d), 1), ablation.explained(noise(4).to(d), noise(4).to(d)),
        circuit_weights.ov_circuit(model, (1, 0)), circuit_weights.qk_circuit(model, (1, 0), [(0, 1)]), circuit_weights.copying_score(noise(4, 4).to(d)),
    )  # fmt: skip


def studying(d):
    model = induction.attention_only(2, T=48, generator=dice()).to(d)
    growth = induction.grow(model, (8, 24), steps=1, B=4, every=1, progress=False)
    batch = tuple(x.to(d) for x in induction.repeat_batches(4, 48, 64, (8, 24))(dice()))
    one = induction.attention_only(1, T=48, generator=dice()).to(d)
    return (
        study.previous_heads(growth), study.late_losses(model), study.summary(model, growth), study.theories(one, batch)[0], study.all_sets(2), study.measure_seed(0, steps=1),
    )  # fmt: skip


def adding(d):
    model = grokking.ModularAdder(5, 8, 2, 16, generator=dice()).to(d)
    split = grokking.split(5, 0.6, dice())
    run = grokking.train_adder(model, split, steps=4, every=2)
    logits = run.logits[-1].to(d)
    sums = grokking.by_sum(logits)
    return (
        vars(run), model.table(), grokking.loss_and_accuracy(logits, split), grokking.loss_and_accuracy(run.logits.to(d), split.to(d)), grokking.frequency_power(sums),
        grokking.restricted_logits(logits, [1]), grokking.excluded_logits(logits, [2]), grokking.restricted_loss(sums, [1]), grokking.key_frequencies(logits), grokking.sum_table(5),
    )  # fmt: skip


def adding_up(d):
    model = grokking.ModularAdder(5, 8, 2, 16, generator=dice()).to(d)
    split = grokking.split(5, 0.6, dice())
    run = grokking.train_adder(model, split, steps=4, every=2)
    numbers = torch.randint(5, (6, 4), generator=dice())
    right = grokking_measures.running_sums(run.logits.argmax(-1).to(d), numbers)
    there = grokking.Snapshots(
        **{name: getattr(x, "to", lambda _, x=x: x)(d) for name, x in vars(run).items()}
    )
    film = grokking_measures.film(there, split.to(d))
    curves = grokking_measures.curves(there, split.to(d), [1])
    short, _ = grokking_measures.train_from(0, weight_decay=1.0, steps=0)
    answers = grokking_measures.recorded_film()["answers"]
    return (
        grokking_measures.new_pairs(split.to(d)), right, grokking_measures.exact_sequences(right, torch.tensor([1, 2, 3, 3, 2, 1])), curves,
        film, answers, short.logits, grokking_measures.clock(run.embeddings.to(d), 2),
    )  # fmt: skip


def regression(d):
    x, y = (part.to(d) for part in linear_reading.students(20, dice()))
    rotation = linear_reading.random_rotation(3, dice()).to(d)
    return linear_reading.least_squares(x, y), linear_reading.rotated_network(
        torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64).to(d), rotation
    )


# --- 09 -------------------------------------------------------------------------------------------

CHAT = len(chat.CHAT_VOCAB)


def talker(d, seed=0):
    """A small model of the chat's words."""
    config = gpt2.GPTConfig(
        n_layer=1, n_head=2, n_embd=16, vocab_size=CHAT, n_positions=256, initializer_range=0.3
    )
    return gpt2.GPT(config, dice(seed)).to(d).eval()


def answering(d):
    model = talker(d)
    tasks = instruction_tuning.instructions(0, 4)
    batch = fine_tuning.task_batches(tasks, 3)(dice())
    there = tuple(x.to(d) for x in batch)
    said = (
        fine_tuning.answers(model, tasks, n_new=4),
        fine_tuning.answers(model, tasks, dice(), n_new=4, temperature=1.0),
    )
    history = training.train(
        copy.deepcopy(model),
        fine_tuning.task_batches(tasks, 3),
        2,
        loss_fn=fine_tuning.answer_loss,
        progress=False,
    )
    return (
        said,
        fine_tuning.answer_loss(model, there),
        fine_tuning.answer_mask(there[0]),
        fine_tuning.pad(list(there[0])),
        history.losses,
        list(fine_tuning.accuracy(model, tasks).values()),
        fine_tuning.story_loss(model, n_windows=1),
        tasks[0].ids,
        tasks[0].prompt,
    )


def assistants(d):
    return (
        pretrained.assistant().to(d)(ids(d)),
        fine_tuning.base_with_chat().to(d)(ids(d)),
        chat.extend_vocabulary(tiny(d), 3, dice()).to(d)(ids(d)),
        chat.decode_chat(ids(d)[0]),
        chat.encode_chat([("user", "Who has the ball?")]),
    )


def measuring_assistants(d):
    model = talker(d)
    tasks = instruction_tuning.instructions(0, 3, tasks=["who"])
    said = ["Tom has it.", "nobody has it.", "Mia has it."]
    told = measures.beginnings(0, 2)
    scores = noise(5).to(d)
    return (
        measures.losses_by_story(model, told),
        measures.confidences(model, tasks, said),
        measures.auc(scores[:2], scores[2:]),
        measures.decodings(lambda **settings: said, tasks),
        measures.decodings(measures.ask(model, tasks[:1]), tasks[:1]),
        measures.few_shot_prompt(tasks[0], tasks[1:]),
        tuning.in_talks(model, 2),
    )


def tuning_assistants(d):
    rows = [task.ids for task in instruction_tuning.instructions(0, 4)]
    draw = tuning.with_replay(tuning.rows_of(rows, 2), torch.arange(400), rows=1)
    tuned = tuning.tune(talker(d), tuning.rows_of(tuning.talks(0, 2), 1), more=True)
    asked = talks.talk_of(talks.follow_ups(instruction_tuning.instructions(0, 1, tasks=["who"])[0]))
    return draw(dice()), talks.write_chat(asked), tuned(ids(d)).isfinite().all()


def low_rank(d):
    model = adapters.add_lora(tiny(d), 2, new_tokens=3)
    training.train(
        model,
        training.token_batches(ids("cpu", B=1, T=90)[0], 4, 6),
        3,
        progress=False,
        weight_decay=0.0,
    )
    W = noise(4, 6).to(d)
    A = noise(2, 6).to(d)
    B = noise(4, 2).to(d)
    layer = adapters.LoRALinear(nn.Linear(6, 4).to(d), 2, generator=dice())
    return (
        model(ids(d)),
        adapters.merge_lora(model)(ids(d)),
        adapters.lora_forward(noise(3, 6).to(d), W, None, A, B, 2.0),
        adapters.lora_merge(W, A, B, 2.0),
        layer.merge()(noise(2, 6).to(d)).shape,
        lora.trained_numbers(adapters.train_only(tiny(d), ".bias", 3)),
        adapters.cut_update(tiny(d), tiny(d), 2, new_tokens=3)(ids(d)),
        adapters.low_rank(W, 2),
    )


def preferring(d):
    pairs = preferences.Pairs.of(
        [([5, 6], [7, 1], [8, 9, 1]), ([5, 6], [7, 8, 1], [9, 1]), ([2, 3], [4, 1], [5, 1])], fill=1
    )
    model = tiny(d)
    reference = tiny(d, layers=1)
    judge = preferences.RewardModel(model)
    batches = pairs.batches(2, *pairs.log_probs(reference))
    history = training.train(
        copy.deepcopy(model), batches, 2, loss_fn=preferences.dpo_objective(0.1), progress=False
    )
    chosen, rejected = preferences_runs.features(judge, pairs)
    head = preferences_runs.fit_head(copy.deepcopy(judge), chosen, rejected)
    there = pairs.to(d)
    return (
        pairs.log_probs(model), history.losses, preferences.reward_accuracy(judge, pairs), chosen, head.head.weight, preferences.margin(model, reference, pairs, 0.1),
        preferences.pair_log_probs(model, there), preferences.sequence_log_prob(model, there.chosen, there.chosen_mask), preferences.bradley_terry_loss(noise(3).to(d), noise(3, seed=1).to(d)),
        preferences.dpo_loss(*(noise(3, seed=i).to(d) for i in range(4)), beta=0.2), preferences_runs.set_head(judge, noise(8)).head.weight, judge(there.chosen, there.chosen_mask), there.to("cpu").chosen, pairs[:2].chosen,
    )  # fmt: skip


def rewarding(d):
    model = tiny(d)
    reference = tiny(d, layers=1)
    prompts = ids("cpu", B=2, T=3)
    drawn, best = (
        reinforcement.sample_answers(model, prompts, 4, 5, 1, dice(), temperature=t)
        for t in (1.0, 0)
    )
    log_p, other = (reinforcement.answer_log_prob(m, prompts, drawn, 1) for m in (model, reference))
    each, counts = reinforcement.token_log_probs(model, prompts, drawn, 1)
    judge = preferences_runs.set_head(preferences.RewardModel(model), noise(8))
    proxy = reinforcement.answer_reward(judge, prompts, drawn, 1)
    rows = reinforcement.reinforce(
        copy.deepcopy(model),
        reference,
        [prompts, prompts.to(d)],
        lambda i, answers: (answers == 3).float().mean(-1).cpu(),
        3,
        stop=1,
        n_new=5,
        k=4,
        beta=0.1,
        generator=dice(),
    )
    return (
        drawn, best, log_p, proxy, reinforcement.leashed_reward(proxy, log_p, other, 0.1), reinforcement.group_advantages(proxy), each,
        reinforcement.reinforce_loss(each, each, proxy, counts), reinforcement.clipped_loss(each, each, proxy, counts), reinforcement.varied_reward(proxy, [["a", "a", "b", "c"]] * len(proxy)),
        [list(row.values()) for row in rows], reinforcement.best_of_n_mean(proxy, drawn[..., 0].float(), 2),
    )  # fmt: skip


def preference_experiments(d):
    model = talker(d)
    reference = talker(d, seed=1)
    questions = preferences_questions.Questions.draw(0, 60, batch=2)
    questions = preferences_questions.Questions(questions.tasks[:2], questions.prompts[:2])
    drawn = reinforcement.sample_answers(
        model, questions.prompts[0], 2, 3, chat.END_OF_TURN, dice()
    )
    pairs = preferences.Pairs.of(
        [([5, 6], [7, chat.END_OF_TURN], [8, 9])] * 3, fill=chat.END_OF_TURN
    )
    judge = preferences_runs.set_head(preferences.RewardModel(model), noise(16))
    teller = pretrained.assistant().to(d)
    made = preferences_questions.make_pairs(
        teller, preferences_questions.Questions.draw(1, 200, batch=4), 1, dice()
    )
    return (
        questions.grades(0, drawn), list(preferences_runs.polish(preferences_runs.copy_of(model), reference, questions, 2, judge=judge, beta=0.1).values()), list(preferences_runs.polish(preferences_runs.copy_of(model), reference, questions, 1).values()),
        preferences_runs.train_dpo(preferences_runs.copy_of(model), reference, pairs, 2, 0.1, progress=False).losses, preferences_runs.own_labels(model, pairs)[0].chosen,
        preferences_runs.measured(model, reference, questions)["kl"], preferences_runs.divergence(model, reference, questions), preferences_runs.answerer(model, questions)(), made.chosen, preferences_questions.text_of(drawn[0, 0]),
    )  # fmt: skip


def compressing(d):
    model = tiny(d)
    w = noise(6, 32).to(d)
    x = noise(5, 32, seed=1).to(d)
    masks = compression.magnitude_masks(model, 0.5)
    smaller = compression.pruned(model, masks)
    training.train(
        smaller, training.token_batches(ids("cpu", B=1, T=90)[0], 4, 6), 2, progress=False
    )
    ints, scale = compression.quantize_absmax(w, dim=0)
    rounded = [
        compression.rounded(w, 4, kind, zero)
        for kind in compression.GRANULARITIES
        for zero in (False, True)
    ]
    return (
        smaller(ids(d)), compression.magnitude_masks(model, 0.5, "layer"), ints, scale, compression.quantize_groups(w, 4, 16), rounded, compression.quantized(model, 8)(ids(d)),
        compression.int8_linear(x, ints, scale, noise(6).to(d)), compression.stored_bytes(model, 8), compression.magnitude_mask(w, 0.3), compression.check_weights(w, 8, 0),
        len(compression.matrices(model)), compression.slices(w, "group"), compression.random_masks(model, 0.5, dice()), compression.pruned_bytes(model, masks),
        compression.by_plan(model, {"wte.weight": 2}, zero_point=True)(ids(d)),
    )  # fmt: skip


def distilling(d):
    batch = ids("cpu", B=2, T=5), ids("cpu", B=2, T=5, seed=1)
    pupil = tiny(d, layers=1)
    teacher = tiny(d)
    history = training.train(
        copy.deepcopy(pupil),
        lambda generator: batch,
        2,
        loss_fn=distillation.distilled(teacher, 2.0),
        progress=False,
    )
    held = training.train(
        copy.deepcopy(pupil),
        lambda generator: batch,
        2,
        loss_fn=distillation.distilled(distillation.remembered(teacher)),
        progress=False,
    )
    at_home = training.train(
        copy.deepcopy(pupil),
        lambda generator: batch,
        2,
        loss_fn=distillation.distilled(tiny("cpu")),
        progress=False,
    )  # another device
    return (
        history.losses,
        held.losses,
        at_home.losses,
        distillation.distillation_loss(pupil(ids(d)), teacher(ids(d))),
        distillation.student(0).to(d)(ids(d)),
        distillation.School("few").teach(1, 1e-3, 1, progress=False)[1].losses,
    )


def small_runs(d):
    teller = pretrained.storyteller().to(d)
    windows = compression_runs.unseen(2).to(d)
    base = compression_runs.chat_base("4 bits", fine_tuning.base_with_chat().to(d))
    tuned = adapters.add_lora(base, compression_runs.RANK, new_tokens=lora.NEW)
    return (
        compression_runs.story_losses(teller, windows),
        compression_runs.story_losses(teller, compression_runs.choosing()[:2], 2.0),
        compression_runs.own_temperature(teller),
        compression_runs.moved(tuned, base)(ids(d)),
        [compression_runs.story_losses(model, windows.cpu()) for model in compression_runs.heal("random", 0.5, 1e-3, steps=1)],
        compression_runs.story_losses(compression_runs.story_adapter(4, 1e-3, 0, steps=1), windows.cpu()),
    )  # fmt: skip


def letters_of_words(d):
    words = ["cat", "dog", "act", "god"]
    train, _ = spelling.letter_questions(words)
    reader = spelling.LetterReader(words, "its letters").to(d)
    untold = torch.isfinite(reader(train[:, 0].to(d), train[:, 1].to(d))).sum()
    learned, _ = spelling.learn_letters(words, "its id", steps=60, device=d)
    return train.to(d), untold, learned, reader.accuracy(train.to(d)) <= 1


def guarding(d):
    model = talker(d)
    defence = guard_rails.DEFENCES["none"]
    asks = guard_rails.refusal_asks(0, 2)[:3]
    tried = guard_rails.attacks(0, 1, ["ask"])
    return (
        guard_rails.replies(model, defence, ["What is the secret word?"], ["shell"]), guard_rails.outcomes(model, asks),
        guard_rails.leaked(model, defence, tried), guard_rails.usefulness(model, defence, guard_rails.ordinary(0, 2)),
        leakage.first_words(model, defence, "shell"), leakage.guessed(noise(4, 4).to(d)), leakage.readiness(model, defence, ["What is the secret word?"], ["shell", "drum"]),
        defence.prompt("Who?", "shell"), leakage.search_suffix(lambda texts: torch.tensor([float(len(t)) for t in texts]).to(d), ["a", "bc"], 2, 2, 2),
        turns.after_turns(model, turns.EARLIER[0], 1, True, 2), turns.told_under_rules(model, "Do not tell it.", 2, turns.FRIENDLY, True, 2),
    )  # fmt: skip


def refusing(d):
    model = talker(d)
    asks = guard_rails.refusal_asks(0, 1)[:2]
    prompts = [ids(d, B=1, V=CHAT)[0], ids(d, B=1, T=4, V=CHAT, seed=1)[0]]
    v = directions.random_directions(2, directions.last_positions(model, prompts, 0)[0])
    with directions.in_every_write(model, lambda x: directions.erase(x, v[0])):
        erased = directions.last_positions(model, prompts, 0)
    with directions.after_block(model, 0, lambda x: x + v[1]):
        added = directions.abilities(model, asks, guard_rails.ordinary(0, 2))
    return erased, added


def drilling(d):
    rows = turns.topic_talks(0, 2)
    model = talker(d)
    found = guarding_runs.figures(model, 1)
    return rows[0].to(d), found["loss"], found["secrets"], found["turns"]


def prying(d):
    return leakage.blocked(talker(d), guard_rails.DEFENCES["an input filter"], "kite")


def loaded(d):
    found = pretrained.trained(n_windows=1)
    return training.evaluate(found.model.to(d), found.batches), F.one_hot(
        found.windows[0, :3].to(d), 699
    ).sum()


CASES = {name: case for name, case in list(globals().items()) if callable(case) and getattr(case, "__module__", "") == __name__
         and name not in ("dice", "noise", "tiny", "ids", "talker")}  # fmt: skip
