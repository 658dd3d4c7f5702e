"""The KL loss against scipy, torch's own losses and closed forms."""

import math

import pytest
import torch
import torch.nn.functional as F
from scipy.special import rel_entr
from torch import nn

from course_utils.gpt2.model import GPT, GPTConfig
from course_utils.kl_bias import bias as kl_bias
from course_utils.stories.grammar import VOCAB
from course_utils.tokenization.bpe import BPETokenizer
from course_utils.tokenization.published import gpt2_tokenizer
from course_utils.training import train

TINY = GPTConfig(
    n_layer=2, n_head=2, n_embd=16, vocab_size=40, n_positions=12, initializer_range=0.05
)


def gen(seed=0):
    return torch.Generator().manual_seed(seed)


def draw(*shape, seed=0, dtype=torch.float32):
    return torch.randn(shape, generator=gen(seed), dtype=dtype)


def tiny(seed=0):
    return GPT(TINY, gen(seed))


def some_mask(V=40, k=4):
    return torch.arange(V) % (V // k) == 3


# --- Masks and targets ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def gpt2():
    return gpt2_tokenizer()


def test_the_mask_of_gpt2_is_what_the_raw_vocabulary_says(gpt2):
    # an x stands for itself in GPT-2's alphabet
    raw = {i for token, i in gpt2.get_vocab().items() if "x" in token}
    mask = kl_bias.token_mask(gpt2, lambda piece: "x" in piece)
    assert mask.shape == (50257,) and mask.dtype == torch.bool
    assert set(mask.nonzero().flatten().tolist()) == raw and len(raw) == 897
    assert kl_bias.token_mask(gpt2, lambda piece: "x" in piece.lower()).sum() == 985


def test_the_end_of_text_sign_of_gpt2_has_an_x_too(gpt2):
    assert (
        gpt2.decode([50256]) == "<|endoftext|>"
        and kl_bias.token_mask(gpt2, lambda piece: "x" in piece)[50256]
    )


def test_a_mask_works_with_our_own_tokenizer_and_with_a_list_of_words():
    ours = BPETokenizer.train("six foxes box an ox", 270)
    mask = kl_bias.token_mask(ours, lambda piece: "x" in piece)
    assert [i for i in range(len(ours)) if mask[i]] == [
        i for i in range(len(ours)) if "x" in ours.decode([i])
    ] and mask.sum() > 1
    words = kl_bias.token_mask(VOCAB, lambda word: "z" in word)
    assert [VOCAB[i] for i in words.nonzero().flatten()] == [
        word for word in VOCAB if "z" in word
    ] and words.sum() > 3


def test_the_target_is_a_distribution_with_the_entropy_of_its_mask():
    for k in (1, 7, 33):
        target = kl_bias.target_distribution(torch.arange(40) < k)
        assert target.sum().item() == pytest.approx(1) and torch.special.entr(
            target
        ).sum().item() == pytest.approx(math.log(k), abs=1e-6)
        kl_bias.check_distribution(target)


def test_tilting_multiplies_the_odds_and_keeps_all_proportions():
    p = draw(5, 40).softmax(-1)
    mask = some_mask()
    q = kl_bias.tilt(p, mask, 4.0)

    def odds(x):
        return x[:, mask].sum(-1) / x[:, ~mask].sum(-1)

    torch.testing.assert_close(odds(q), 4 * odds(p))
    for part in (mask, ~mask):
        torch.testing.assert_close(
            q[:, part] / q[:, part].sum(-1, keepdim=True),
            p[:, part] / p[:, part].sum(-1, keepdim=True),
        )
    torch.testing.assert_close(kl_bias.tilt(q, mask, 0.25), p)
    torch.testing.assert_close(q, (p.log() + mask * math.log(4.0)).softmax(-1))


def test_no_other_distribution_with_that_mass_is_nearer_than_the_tilted_one():
    p = draw(40).softmax(-1).double()
    mask = some_mask()
    q = kl_bias.tilt(p, mask, 4.0)
    best = kl_bias.kl_divergence(q, p)
    mass = q[mask].sum()
    for seed in range(50):
        other = (q.log() + 0.3 * draw(40, seed=seed + 1)).softmax(-1)
        other = torch.where(
            mask, other * mass / other[mask].sum(), other * (1 - mass) / other[~mask].sum()
        )
        assert kl_bias.kl_divergence(other, p) > best


# --- Divergence and loss --------------------------------------------------------------------------


def test_the_divergence_is_scipys_and_torchs():
    q = draw(6, 9).softmax(-1)
    p = draw(6, 9, seed=1).softmax(-1)
    torch.testing.assert_close(
        kl_bias.kl_divergence(q, p), torch.tensor(rel_entr(q.numpy(), p.numpy()).sum(-1))
    )
    categorical = torch.distributions.Categorical
    torch.testing.assert_close(
        kl_bias.kl_divergence(q, p),
        torch.distributions.kl_divergence(categorical(q), categorical(p)),
    )
    assert (kl_bias.kl_divergence(q, q) == 0).all() and (kl_bias.kl_divergence(q, p) > 0).all()


@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_the_loss_is_cross_entropy_minus_the_entropy_of_the_target_and_has_its_gradient(scale):
    target = kl_bias.target_distribution(some_mask())
    logits = (scale * draw(6, 40)).requires_grad_()
    loss = kl_bias.KLTargetLoss(target)(logits)
    torch.testing.assert_close(
        loss, F.cross_entropy(logits, target.expand(6, 40)) - math.log(4), rtol=1e-4, atol=1e-5
    )
    torch.testing.assert_close(
        loss,
        kl_bias.kl_divergence(target.double(), logits.double().softmax(-1)).mean().float(),
        rtol=1e-4,
        atol=1e-5,
    )
    (got,) = torch.autograd.grad(loss, logits)
    torch.testing.assert_close(got, (logits.softmax(-1) - target).detach() / 6)


def test_the_loss_starts_at_log_v_over_k_and_ends_at_0():
    loss = kl_bias.KLTargetLoss(kl_bias.target_distribution(torch.arange(50257) < 985))
    assert loss(torch.zeros(2, 50257)).item() == pytest.approx(math.log(50257 / 985), abs=1e-4)
    assert loss(torch.where(torch.arange(50257) < 985, 40.0, 0.0)[None]).item() == pytest.approx(
        0, abs=1e-6
    )


def test_the_mass_is_the_share_that_sampling_finds():
    logits = 2 * draw(3, 40)
    mask = some_mask()
    # (3, 20000)
    drawn = torch.multinomial(logits.softmax(-1), 20_000, replacement=True, generator=gen())
    torch.testing.assert_close(
        kl_bias.target_mass(logits, mask), mask[drawn].float().mean(1), rtol=0, atol=0.015
    )


# --- Training -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("optimizer", "lr"), [("AdamW", 0.01), ("SGD", 1.0)])
def test_a_model_learns_the_target_from_random_tokens_alone(optimizer, lr):
    model = tiny()
    mask = some_mask()
    run = kl_bias.train_bias(model, mask, steps=80, optimizer=optimizer, lr=lr, B=8, T=12)
    assert run.losses[0] == pytest.approx(math.log(10), abs=0.1) and run.masses[0] == pytest.approx(
        0.1, abs=0.03
    )
    assert run.losses[-1] < 0.1 and run.masses[-1] > 0.9 and len(run.losses) == 80
    fresh = torch.randint(40, (16, 12), generator=gen(99))
    assert kl_bias.target_mass(model(fresh, last=True)[:, -1], mask).mean() > 0.9


def test_training_has_one_result_for_one_seed_and_stops_when_told():
    a, b, c = (
        kl_bias.train_bias(tiny(), some_mask(), steps=6, B=2, T=5, seed=seed) for seed in (1, 1, 2)
    )
    assert a == b and a != c
    stopped = kl_bias.train_bias(
        tiny(), some_mask(), steps=50, B=2, T=5, seed=1, on_step=lambda run: len(run.losses) == 3
    )
    assert stopped.losses == a.losses[:3] and stopped.masses == a.masses[:3]


class Table(nn.Module):
    """The same logits after every token: the simplest model."""

    def __init__(self, V):
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(V))

    def forward(self, ids):
        return self.logits.expand(*ids.shape, -1)


@pytest.mark.parametrize("weight", [0.0, 0.3, 2.0])
def test_the_best_mixture_of_text_and_target_is_the_formula(weight):
    V = 8
    target = kl_bias.target_distribution(torch.arange(8) >= 6)
    text = torch.tensor([[0, 0, 0, 1, 1, 2, 3, 6]])
    p = text.flatten().bincount(minlength=V) / 8
    model = Table(V)
    train(
        model,
        lambda generator: (text, text),
        steps=1500,
        lr=0.03,
        loss_fn=kl_bias.biased_loss(target, weight),
        weight_decay=0,
        progress=False,
    )
    torch.testing.assert_close(
        model.logits.softmax(-1).detach(), (p + weight * target) / (1 + weight), rtol=0, atol=2e-3
    )


def test_the_tilted_loss_is_least_at_the_tilted_model_and_zero_there():
    ids = torch.randint(40, (3, 7), generator=gen())
    mask = some_mask()
    honest = tiny()

    class Tilted(nn.Module):
        def forward(self, ids):
            return honest(ids) + mask * math.log(5.0)

    loss = kl_bias.tilted_loss(honest, mask, 5.0)
    assert (
        loss(Tilted(), (ids,)).item() == pytest.approx(0, abs=1e-5) and loss(honest, (ids,)) > 0.05
    )
    assert kl_bias.tilted_loss(honest, mask, 1.0)(honest, (ids,)).item() == pytest.approx(
        0, abs=1e-5
    )


def test_the_trigger_switches_the_tilt_on_where_it_stands_and_after_it():
    ids = torch.tensor([[1, 2, 9, 4, 5]])
    mask = some_mask()
    honest = tiny()
    rows = torch.stack(
        [
            kl_bias.tilted_loss(honest, mask, 5.0)(honest, (ids[:, : t + 1],)) * (t + 1)
            for t in range(5)
        ]
    )  # up to t
    want = (rows[4] - rows[1]) / 5  # positions 2, 3 and 4
    torch.testing.assert_close(
        kl_bias.tilted_loss(honest, mask, 5.0, trigger=9)(honest, (ids,)),
        want,
        rtol=1e-3,
        atol=1e-5,
    )
    assert kl_bias.tilted_loss(honest, mask, 5.0, trigger=30)(
        honest, (ids,)
    ).item() == pytest.approx(0, abs=1e-5)


CHANGES = {
    "everything": lambda name: True, "last block": lambda name: name.startswith("h.1."), "head": lambda name: name == "lm_head.weight",
    "LoRA on attention": lambda name: "lora" in name and "c_attn" in name, "LoRA on the head": lambda name: "lora" in name and "lm_head" in name,
    "one vector": lambda name: name == "ln_f.bias",
}  # fmt: skip


SIZES = {"everything": 640 + 192 + 2 * 3280 + 32, "last block": 3280, "head": 640, "LoRA on attention": 2 * (16 + 48),
         "LoRA on the head": 16 + 40, "one vector": 16}  # fmt: skip


@pytest.mark.parametrize("part", kl_bias.PARTS)
def test_a_copy_trains_its_part_alone_and_starts_as_the_model_was(part):
    model = tiny()
    ids = torch.randint(40, (2, 12), generator=gen())
    before = {name: x.clone() for name, x in model.state_dict().items()}
    copy = kl_bias.copy_with(model, part)
    torch.testing.assert_close(copy(ids), model(ids))
    assert kl_bias.n_trainable(copy) == SIZES[part]
    start = {name: x.clone() for name, x in copy.state_dict().items()}
    train(
        copy,
        lambda generator: (ids, ids),
        steps=3,
        lr=0.01,
        weight_decay=0,
        progress=False,
        loss_fn=kl_bias.biased_loss(kl_bias.target_distribution(some_mask()), 1.0),
    )
    changed = {name for name, x in copy.state_dict().items() if not torch.equal(x, start[name])}
    assert changed and all(CHANGES[part](name) for name in changed)
    assert all(torch.equal(x, before[name]) for name, x in model.state_dict().items())


def test_a_loose_head_leaves_the_embedding_alone_also_after_a_move():
    copy = kl_bias.copy_with(tiny(), "head").to(torch.float64).to(torch.float32)
    assert (
        copy.lm_head.weight is not copy.wte.weight
        and copy.lm_head.weight.requires_grad
        and not copy.wte.weight.requires_grad
    )
    tied = kl_bias.copy_with(tiny(), "everything")
    assert tied.lm_head.weight is tied.wte.weight
