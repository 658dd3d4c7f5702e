"""Sampling against transformers' logits processors and generate(), drawing against the
probabilities it is given.
"""

import itertools

import numpy as np
import pytest
import torch
from scipy import stats
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from course_utils.gpt2.model import GPT, GPTConfig
from course_utils.pretrained import storyteller
from course_utils.sampling import decoding as sampling
from course_utils.sampling import search
from course_utils.sampling.cost import fetched_per_token
from course_utils.transformer_block.transformer import Transformer, ladder

CONFIG = GPTConfig(n_layer=2, n_head=2, n_embd=16, vocab_size=23, n_positions=32)


def dice(seed=0):
    return torch.Generator().manual_seed(seed)


def some_logits(B=5, V=40, seed=0, spread=2.0):
    return spread * torch.randn(B, V, generator=dice(seed))


def some_ids(B=3, T=6, V=23, seed=0):
    return torch.randint(V, (B, T), generator=dice(seed))


@pytest.fixture(scope="module")
def models():
    """A GPT with lively weights, and transformers' model with the same."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        theirs = GPT2LMHeadModel(
            GPT2Config(
                n_layer=2,
                n_head=2,
                n_embd=16,
                vocab_size=23,
                n_positions=32,
                initializer_range=0.5,
                bos_token_id=None,
                eos_token_id=None,
            )
        ).eval()
    return GPT.from_hf(theirs).eval(), theirs


# --- Against transformers' processors -------------------------------------------------------------

ALL = [
    ("temperature", sampling.scale, TemperatureLogitsWarper, (0.1, 0.7, 1.0, 3.0)),
    ("top_k", sampling.top_k, TopKLogitsWarper, (1, 2, 10, 39, 40, 100)),
    ("top_p", sampling.top_p, TopPLogitsWarper, (0.01, 0.3, 0.5, 0.9, 0.999)),
    ("min_p", sampling.min_p, MinPLogitsWarper, (0.01, 0.1, 0.5, 0.99)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("ours", "theirs", "value"), [(o, t, v) for _, o, t, values in ALL for v in values]
)
@pytest.mark.parametrize("spread", [0.1, 2.0, 20.0])
def test_each_setting_equals_transformers(ours, theirs, value, spread):
    for seed in range(10):
        logits = some_logits(seed=seed, spread=spread)
        want = theirs(value)(torch.zeros(5, 1, dtype=torch.long), logits.clone())
        torch.testing.assert_close(ours(logits, value), want, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(ours(logits[0], value), want[0], rtol=1e-6, atol=1e-6)
        # the argument is left as it was
        assert torch.equal(logits, some_logits(seed=seed, spread=spread))


@pytest.mark.parametrize("penalty", [0.5, 1.0, 1.3, 5.0])
def test_the_repetition_penalty_equals_transformers(penalty):
    for seed in range(10):
        logits = some_logits(seed=seed)
        ids = some_ids(B=5, T=12, V=40, seed=seed)
        want = RepetitionPenaltyLogitsProcessor(penalty)(ids, logits.clone())
        torch.testing.assert_close(sampling.repetition_penalty(logits, ids, penalty), want)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"temperature": 0.7, "top_k": 10, "top_p": 0.9},
        {"min_p": 0.1, "temperature": 2.0},
        {"top_p": 0.8, "repetition_penalty": 1.5},
        {"min_p": 0.05, "top_p": 0.95, "top_k": 20, "temperature": 1.3, "repetition_penalty": 1.2},
    ],
)
def test_all_settings_together_in_the_order_of_transformers(settings):
    classes = {"repetition_penalty": RepetitionPenaltyLogitsProcessor} | {
        name: theirs for name, _, theirs, _ in ALL
    }
    chain = LogitsProcessorList(
        [make(settings[name]) for name, make in classes.items() if name in settings]
    )
    for seed in range(10):
        logits = some_logits(seed=seed)
        ids = some_ids(B=5, T=12, V=40, seed=seed)
        want = chain(ids, logits.clone()).softmax(-1)
        torch.testing.assert_close(sampling.distribution(logits, ids, **settings), want)


def test_the_order_is_that_of_transformers_generate(models):
    """Asked of generate() itself: the scores after all processors, for one step."""
    ours, theirs = models
    ids = some_ids()
    settings = {
        "temperature": 1.3,
        "top_k": 9,
        "top_p": 0.9,
        "min_p": 0.05,
        "repetition_penalty": 1.4,
    }
    with torch.random.fork_rng():
        step = theirs.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=1,
            do_sample=True,
            pad_token_id=0,
            return_dict_in_generate=True,
            output_scores=True,
            **settings,
        )
    torch.testing.assert_close(
        sampling.next_token(ours, ids, **settings), step.scores[0].softmax(-1), rtol=1e-4, atol=1e-5
    )


def test_settings_that_cut_nothing_change_nothing():
    p = some_logits().softmax(-1)
    for settings in (
        {},
        {"top_k": 40},
        {"top_p": 1.0},
        {"min_p": 0.0},
        {"temperature": 1.0},
        {"top_k": None, "min_p": None},
    ):
        torch.testing.assert_close(sampling.distribution(some_logits(), **settings), p)


def test_the_nucleus_is_the_smallest_set_that_holds_p():
    for seed, share in ((0, 0.2), (1, 0.5), (2, 0.95)):
        p = some_logits(seed=seed).softmax(-1)
        for row, kept in zip(
            p, sampling.top_p(some_logits(seed=seed), share).isfinite(), strict=True
        ):
            assert row[kept].sum() >= share > row[kept].sum() - row[kept].min()
            assert row[kept].min() >= row[~kept].max()


def test_entropy_is_scipys_and_falls_as_settings_tighten():
    p = some_logits().softmax(-1)
    torch.testing.assert_close(
        sampling.entropy(p), torch.from_numpy(stats.entropy(p.numpy(), axis=-1)).float()
    )
    for name, loose_to_tight in (
        ("temperature", (2.0, 1.0, 0.5)),
        ("top_k", (40, 10, 1)),
        ("top_p", (1.0, 0.7, 0.1)),
        ("min_p", (0.0, 0.05, 1.0)),
    ):
        values = [
            sampling.entropy(sampling.distribution(some_logits(), **{name: value}))
            for value in loose_to_tight
        ]
        assert (values[0] > values[1]).all() and (values[1] > values[2]).all(), name
    assert sampling.entropy(sampling.distribution(some_logits(), top_k=1)).abs().max() == 0


# --- Drawing --------------------------------------------------------------------------------------


def test_draws_come_as_often_as_their_probability_says():
    p = torch.tensor([[0.5, 0.0, 0.3, 0.15, 0.05], [0.0, 0.1, 0.0, 0.0, 0.9]], dtype=torch.float64)
    drawn = sampling.draw(p, dice(), n=20_000)
    assert drawn.shape == (2, 20_000) and drawn.dtype == torch.int64
    for row, ids in zip(p, drawn, strict=True):
        counts = torch.bincount(ids, minlength=5)
        possible = row > 0
        assert counts[~possible].sum() == 0
        assert (
            stats.chisquare(counts[possible].numpy(), 20_000 * row[possible].numpy()).pvalue > 1e-3
        )


def test_a_seed_gives_the_same_draws_and_another_seed_others():
    p = some_logits().softmax(-1)
    assert torch.equal(sampling.draw(p, dice(1), n=50), sampling.draw(p, dice(1), n=50))
    assert not torch.equal(sampling.draw(p, dice(1), n=50), sampling.draw(p, dice(2), n=50))
    torch.manual_seed(0)
    state = torch.random.get_rng_state()
    sampling.draw(p, dice(1))
    assert torch.equal(torch.random.get_rng_state(), state)  # the global dice are not touched


def test_draws_need_no_sum_of_one_and_rows_are_independent():
    p = some_logits().softmax(-1)
    assert torch.equal(sampling.draw(7 * p, dice(), n=9), sampling.draw(p, dice(), n=9))
    same = sampling.draw(p[:1].expand(2, -1), dice(), n=50)
    assert not torch.equal(same[0], same[1])


@pytest.mark.parametrize("p", [[0.0, 0.0], [-0.1, 1.1], [float("nan"), 1.0], [float("inf"), 1.0]])
def test_what_is_no_probability_is_refused(p):
    with pytest.raises(ValueError, match="no probabilities"):
        sampling.draw(torch.tensor(p), dice())


# --- Generating -----------------------------------------------------------------------------------


@pytest.mark.parametrize("B", [1, 3])
@pytest.mark.parametrize("cached", [True, False])
def test_greedy_text_is_transformers_and_that_of_the_plain_loop(models, B, cached):
    ours, theirs = models
    ids = some_ids(B)
    want = theirs.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=20,
        min_new_tokens=20,
        do_sample=False,
        pad_token_id=0,
    )
    got = sampling.generate(ours, ids, 20, cached=cached)
    assert torch.equal(got, want) and torch.equal(sampling.greedy(ours, ids, 20), want)
    assert torch.equal(got[:, :6], ids) and got.dtype == ids.dtype


def test_a_greedy_text_with_a_penalty_is_transformers(models):
    ours, theirs = models
    ids = some_ids()
    want = theirs.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=20,
        min_new_tokens=20,
        do_sample=False,
        pad_token_id=0,
        repetition_penalty=1.7,
    )
    assert torch.equal(sampling.generate(ours, ids, 20, repetition_penalty=1.7), want)
    assert not torch.equal(sampling.generate(ours, ids, 20), want)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"temperature": 0.8, "top_k": 5},
        {"top_p": 0.9, "repetition_penalty": 1.3},
        {"min_p": 0.1},
    ],
)
def test_with_the_cache_the_drawn_text_is_identical_and_a_seed_gives_one_text(models, settings):
    ours, _ = models
    texts = [
        sampling.generate(ours, some_ids(), 26, dice(seed), cached=cached, **settings)
        for seed, cached in ((5, True), (5, False), (5, True), (6, True))
    ]
    assert (
        torch.equal(texts[0], texts[1])
        and torch.equal(texts[0], texts[2])
        and not torch.equal(texts[0], texts[3])
    )


def test_drawn_tokens_follow_the_distribution_of_the_next_token(models):
    ours, _ = models
    ids = some_ids(B=1)
    p = sampling.next_token(ours, ids, temperature=0.9, top_k=6)[0]
    drawn = sampling.generate(ours, ids.expand(4000, -1), 1, dice(), temperature=0.9, top_k=6)[
        :, -1
    ]
    counts = torch.bincount(drawn, minlength=23)
    possible = p > 0
    assert possible.sum() == 6 and counts[~possible].sum() == 0
    assert (
        stats.chisquare(
            counts[possible].numpy(),
            (4000 * p[possible].double() / p[possible].double().sum()).numpy(),
        ).pvalue
        > 1e-3
    )


def test_the_cache_makes_the_model_read_each_token_once(models, monkeypatch):
    ours, _ = models
    read = []
    monkeypatch.setattr(
        ours,
        "forward",
        lambda ids, *a, run=ours.forward, **k: read.append(ids.size(1)) or run(ids, *a, **k),
    )
    sampling.generate(ours, some_ids(), 5)
    assert read == [6, 1, 1, 1, 1]
    read.clear()
    sampling.generate(ours, some_ids(), 5, cached=False)
    assert read == [6, 7, 8, 9, 10]


def test_a_stop_token_ends_each_text_and_at_last_the_work(models):
    ours, _ = models
    ids = some_ids(B=4)
    free = sampling.generate(ours, ids, 20, dice(3))
    stop = int(free[0, 9])  # what the first text says fourth
    got = sampling.generate(ours, ids, 20, dice(3), stop=stop)
    assert (got[0, 9:] == stop).all()
    for row, plain in zip(got, free, strict=True):
        ends = (plain[6:] == stop).nonzero().flatten().tolist()
        n = 6 + ends[0] if ends else got.size(1) - 1
        assert torch.equal(row[: n + 1], plain[: n + 1]) and (row[n + 1 :] == stop).all()
    counted = []
    alone = sampling.generate(
        ours,
        ids[:1],
        20,
        dice(3),
        stop=int(sampling.generate(ours, ids[:1], 20, dice(3))[0, 8]),
        on_token=counted.append,
    )
    assert alone.size(1) <= 9 and counted == list(range(1, alone.size(1) - 6 + 1))


def test_a_stop_token_in_the_prompt_stops_nothing(models):
    ours, _ = models
    ids = some_ids(B=1)
    free = sampling.generate(ours, ids, 8)
    unused = next(i for i in range(23) if i not in free[0, 6:].tolist())
    assert (
        sampling.generate(ours, torch.cat([torch.tensor([[unused]]), ids], 1), 8, stop=unused).size(
            1
        )
        == 15
    )


def test_nothing_new_gives_the_prompt(models):
    assert torch.equal(sampling.generate(models[0], some_ids(), 0), some_ids())
    assert torch.equal(sampling.greedy(models[0], some_ids(), 0), some_ids())


def test_a_model_without_a_cache_generates_too():
    model = Transformer(
        ladder(5, vocab_size=23, n_positions=16, n_embd=8, n_layer=1, n_head=2), dice()
    ).eval()
    assert torch.equal(
        sampling.generate(model, some_ids(), 5), sampling.greedy(model, some_ids(), 5)
    )


def test_the_whole_context_can_be_used_and_not_a_token_more(models):
    ours, _ = models
    assert sampling.generate(ours, some_ids(), 26).shape == (3, 32)
    with pytest.raises(
        ValueError,
        match=r"6 tokens and 27 new ones, but the model has n_positions=32: .* n_new <= 26",
    ):
        sampling.generate(ours, some_ids(), 27)


def test_the_model_of_the_course_tells_stories_that_end():
    # 0 ends a story, so another begins
    model = storyteller()
    starts = torch.zeros(8, 1, dtype=torch.long)
    texts = sampling.generate(model, starts, 255, dice(), temperature=0.7, stop=0)
    lengths = (texts[:, 1:] != 0).sum(1)
    assert (lengths < 255).sum() >= 4 and (lengths > 20).all()
    settings = {"temperature": 0.7, "top_p": 0.95}
    assert torch.equal(
        sampling.generate(model, starts, 60, dice(), **settings),
        sampling.generate(model, starts, 60, dice(), cached=False, **settings),
    )


# --- Bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda x: sampling.scale(x, 0.0), "above 0"),
        (lambda x: sampling.scale(x, -1.0), "above 0"),
        (lambda x: sampling.scale(x, float("nan")), "above 0"),
        (lambda x: sampling.top_k(x, 0), "at least 1"),
        (lambda x: sampling.top_k(x, -3), "at least 1"),
        (lambda x: sampling.top_k(x, 2.5), "whole number"),
        (lambda x: sampling.top_p(x, 0.0), "at most 1"),
        (lambda x: sampling.top_p(x, 1.1), "at most 1"),
        (lambda x: sampling.top_p(x, float("nan")), "at most 1"),
        (lambda x: sampling.min_p(x, -0.1), "at least 0"),
        (lambda x: sampling.min_p(x, 1.1), "at most 1"),
        (
            lambda x: sampling.repetition_penalty(x, torch.zeros(5, 1, dtype=torch.long), 0.0),
            "above 0",
        ),
        (lambda x: sampling.distribution(x, repetition_penalty=1.2), "needs ids"),
    ],
)
def test_settings_that_make_no_sense_say_what_would(call, said):
    with pytest.raises(ValueError, match=said):
        call(some_logits())


def test_an_unknown_setting_lists_those_there_are(models):
    with pytest.raises(TypeError, match="repetition_penalty, temperature, top_k, top_p, min_p"):
        sampling.distribution(some_logits(), topk=3)
    with pytest.raises(TypeError, match="unknown setting 'topp'"):
        sampling.generate(models[0], some_ids(), 3, dice(), topp=0.9)


@pytest.mark.parametrize(
    ("ids", "n_new", "error", "said"),
    [
        (torch.zeros(1, 0, dtype=torch.long), 3, ValueError, "prompt is empty"),
        (torch.zeros(0, 4, dtype=torch.long), 3, ValueError, "prompt is empty"),
        (torch.zeros(4, dtype=torch.long), 3, TypeError, r"must be whole numbers \(B, T\)"),
        (torch.zeros(1, 4), 3, TypeError, "whole numbers"),
        (torch.zeros(1, 4, dtype=torch.long), -1, ValueError, "at least 0"),
        (torch.zeros(1, 4, dtype=torch.long), 2.0, ValueError, "whole number"),
    ],
)
def test_prompts_that_make_no_sense_are_refused(models, ids, n_new, error, said):
    with pytest.raises(error, match=said):
        sampling.generate(models[0], ids, n_new)


@pytest.mark.parametrize(
    "settings", [{"temperature": 0.5}, {"top_k": 3}, {"top_p": 0.9}, {"min_p": 0.1}]
)
def test_settings_without_dice_are_refused(models, settings):
    with pytest.raises(ValueError, match="pass a generator"):
        sampling.generate(models[0], some_ids(), 3, **settings)
    # None is off
    assert sampling.generate(models[0], some_ids(), 3, **dict.fromkeys(settings)).shape == (3, 9)


def test_generation_refuses_a_temperature_of_zero_with_dice(models):
    with pytest.raises(ValueError, match="above 0"):
        sampling.generate(models[0], some_ids(), 3, dice(), temperature=0.0)


# --- On an accelerator ----------------------------------------------------------------------------


class Questions(TorchDispatchMode):
    """Counts what makes the CPU wait for a GPU: asking a tensor for a number."""

    def __init__(self):
        super().__init__()
        self.asked = 0

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        self.asked += operator.name() in (
            "aten::_local_scalar_dense",
            "aten::is_nonzero",
            "aten::equal",
        )
        return operator(*args, **(kwargs or {}))


def test_a_drawn_token_waits_at_most_twice():
    """Once for each thing that may be wrong: the scores, and the probabilities."""
    model = GPT(GPTConfig(n_layer=2, n_head=2, n_embd=8, vocab_size=20, n_positions=32)).eval()
    asked = []
    for n in (4, 12):
        with Questions() as questions:
            sampling.generate(
                model,
                torch.tensor([[3, 1, 4]]),
                n,
                torch.Generator().manual_seed(0),
                temperature=0.8,
            )
        asked.append(questions.asked)
    assert asked[1] - asked[0] <= 2 * 8


# --- Intervals ------------------------------------------------------------------------------------


def test_points_fall_into_intervals_as_numpy_says():
    p = some_logits(B=4, V=30).softmax(-1)
    points = torch.rand(4, 200, generator=dice(1))
    got = sampling.token_at(p, points)
    for row, u, tokens in zip(p.double(), points.double(), got, strict=True):
        want = np.searchsorted(row.cumsum(0).numpy(), u.numpy(), side="right")
        assert tokens.tolist() == want.clip(max=29).tolist()


def test_a_token_without_probability_is_never_found_and_a_point_behind_the_end_is_the_last():
    p = torch.tensor([[0.0, 0.5, 0.0, 0.5]])
    assert sampling.token_at(p, torch.tensor([[0.0, 0.4999, 0.5, 0.9999]])).tolist() == [
        [1, 1, 3, 3]
    ]
    assert sampling.token_at(0.999 * p, torch.tensor([[0.9995]])).tolist() == [[3]]


# --- Beam search ----------------------------------------------------------------------------------


def all_texts(model, prompt, n_new, V):
    """Every continuation with its log-probability, the likeliest first."""
    texts = [[*prompt[0].tolist(), *new] for new in itertools.product(range(V), repeat=n_new)]
    ids = torch.tensor(texts)
    with torch.no_grad():
        log_p = model(ids)[:, :-1].log_softmax(-1).gather(-1, ids[:, 1:, None])[..., 0]
    scores = log_p[:, prompt.size(1) - 1 :].sum(-1)
    order = scores.argsort(descending=True)
    return ids[order], scores[order]


def small_model(seed, V=6):
    config = GPTConfig(n_layer=2, n_head=2, n_embd=8, vocab_size=V, n_positions=16)
    model = GPT(config, dice(seed)).eval()
    with torch.no_grad():
        model.wte.weight.mul_(40)  # so that some continuations are much likelier than others
    return model


@pytest.mark.parametrize("seed", range(4))
def test_with_all_beams_the_search_finds_the_likeliest_text_of_all(seed):
    model = small_model(seed)
    prompt = some_ids(B=1, T=3, V=6, seed=seed)
    texts, scores = all_texts(model, prompt, 3, V=6)
    found, score = search.beam_search(model, prompt, 3, k=36)
    assert torch.equal(found[0], texts[0])
    torch.testing.assert_close(score[:5], scores[:5], atol=1e-4, rtol=0)


def test_one_beam_is_greedy(models):
    ours, _ = models
    prompt = some_ids(B=1, T=4)
    with torch.no_grad():
        plain = sampling.greedy(ours, prompt, 8)
    assert torch.equal(search.beam_search(ours, prompt, 8, k=1)[0], plain)


@pytest.mark.parametrize("k", [2, 4, 7])
@pytest.mark.parametrize("seed", range(3))
def test_beam_search_is_that_of_transformers(models, k, seed):
    ours, theirs = models
    prompt = some_ids(B=1, T=4, seed=seed)
    want = theirs.generate(
        prompt, max_new_tokens=6, num_beams=k, num_return_sequences=k, do_sample=False,
        length_penalty=0.0, eos_token_id=None, pad_token_id=0, output_scores=True,
        return_dict_in_generate=True, attention_mask=torch.ones_like(prompt),
    )  # fmt: skip
    texts, scores = search.beam_search(ours, prompt, 6, k)
    assert torch.equal(texts, want.sequences)
    torch.testing.assert_close(scores, want.sequences_scores, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("B, k", [(2, 3), (1, 0)])
def test_a_search_without_one_prompt_or_beams_is_refused(models, B, k):
    with pytest.raises(ValueError, match="give one prompt"):
        search.beam_search(models[0], some_ids(B=B), 2, k)


# --- What a token costs ---------------------------------------------------------------------------


def test_the_bytes_of_a_token_are_those_of_the_tensors_that_a_step_reads():
    model = GPT(CONFIG, dice(0)).eval()
    weights = sum(x.numel() * x.element_size() for x in model.parameters())
    for B, T in ((1, 9), (5, 20)):
        cache = model.cache(T)
        with torch.no_grad():
            model(some_ids(B=B, T=T), cache)
        held = sum(x.numel() * x.element_size() for c in cache for x in (c.keys, c.values))
        per_position = 2 * CONFIG.n_layer * CONFIG.n_embd * 4
        got = fetched_per_token(weights, per_position, B, T)
        assert got * B == pytest.approx(weights + held)
