"""Preferences and rewards: DPO against its closed form and trl, policy gradients against exact
sums, best-of-n against counting.
"""

import itertools
import json
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import train_preferences
from scipy import special, stats

from course_utils.gpt2.model import GPT, GPTConfig
from course_utils.instruction_tuning.chat import END_OF_TURN
from course_utils.instruction_tuning.grading import grade
from course_utils.preferences import pairwise as preferences
from course_utils.preferences import questions as asking
from course_utils.preferences import reinforcement, runs
from course_utils.pretrained import assistant

STOP = 0


def dice(seed=0):
    return torch.Generator().manual_seed(seed)


def draw(*shape, seed=0, dtype=torch.float32):
    return torch.randn(shape, generator=dice(seed), dtype=dtype)


def tiny(seed=0, spread=0.5):
    config = GPTConfig(
        n_layer=2, n_head=2, n_embd=16, vocab_size=6, n_positions=24, initializer_range=spread
    )
    return GPT(config, dice(seed)).eval()


# --- Log-probabilities of answers -----------------------------------------------------------------


def test_a_sequence_s_log_probability_is_the_sum_over_its_answer_token_by_token():
    model = tiny()
    ids = torch.randint(6, (3, 9), generator=dice(1))
    mask = torch.arange(9) >= torch.tensor([[3], [5], [8]])
    mask[0, 7:] = False  # filled up behind the answer
    got = preferences.sequence_log_prob(model, ids, mask)
    for row, text in enumerate(ids):
        places = mask[row].nonzero().flatten().tolist()
        want = sum(model(text[None, :t])[0, -1].log_softmax(-1)[text[t]].item() for t in places)
        assert got[row].item() == pytest.approx(want, abs=1e-4)


def test_what_stands_behind_an_answer_changes_nothing():
    model = tiny()
    ids = torch.randint(6, (2, 8), generator=dice(2))
    mask = (torch.arange(8) >= 3) & (torch.arange(8) < 6)
    other = ids.clone()
    other[:, 6:] = 5
    mask = mask.expand(2, 8)
    torch.testing.assert_close(
        preferences.sequence_log_prob(model, ids, mask),
        preferences.sequence_log_prob(model, other, mask),
    )


def test_the_probabilities_of_all_answers_sum_to_one():
    model = tiny()
    prompt = [3, 1]
    answers = torch.tensor(list(itertools.product(range(6), repeat=3)))  # (216, 3)
    ids = torch.cat([torch.tensor([prompt]).expand(216, 2), answers], dim=1)
    mask = (torch.arange(5) >= 2).expand(216, 5)
    assert preferences.sequence_log_prob(
        model, ids, mask
    ).double().exp().sum().item() == pytest.approx(1, abs=1e-5)


def test_masks_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="one entry for each token"):
        preferences.sequence_log_prob(tiny(), torch.zeros(2, 4).long(), torch.ones(2, 3).bool())
    with pytest.raises(ValueError, match="first token"):
        preferences.sequence_log_prob(tiny(), torch.zeros(2, 4).long(), torch.ones(2, 4).bool())


def test_answers_that_share_a_prompt_get_the_same_log_probability_and_gradient_as_whole_texts():
    model = tiny()
    prompts = torch.randint(1, 6, (2, 5), generator=dice(3))
    answers = torch.tensor([[[1, 2, 0, 0], [3, 3, 3, 3]], [[0, 0, 0, 0], [5, 4, 2, 0]]])
    whole = torch.cat([prompts[:, None].expand(2, 2, 5), answers], dim=2).view(4, 9)
    lengths = torch.tensor([3, 4, 1, 4])
    mask = (torch.arange(9) >= 5) & (torch.arange(9) < 5 + lengths[:, None])
    results = []
    for log_prob in (
        reinforcement.answer_log_prob(model, prompts, answers, STOP).flatten(),
        preferences.sequence_log_prob(model, whole, mask),
    ):
        model.zero_grad()
        (log_prob * torch.tensor([1.0, -2.0, 3.0, 0.5])).sum().backward()
        results.append([log_prob.detach(), *(p.grad.clone() for p in model.parameters())])
    for ours, want in zip(*results, strict=True):
        torch.testing.assert_close(ours, want, atol=1e-5, rtol=1e-4)


def test_sampled_answers_come_as_often_as_their_probability_says():
    model = tiny()
    prompt = torch.tensor([[3, 1, 2]])
    answers = reinforcement.sample_answers(model, prompt, 20_000, 2, STOP, dice())[0]  # (20000, 2)
    assert (answers[answers[:, 0] == STOP, 1] == STOP).all()  # nothing comes after the end
    seen = torch.bincount(answers[:, 0] * 6 + answers[:, 1], minlength=36)
    kinds = [a for a in itertools.product(range(6), repeat=2) if a[0] != STOP or a[1] == STOP]
    p = (
        reinforcement.answer_log_prob(model, prompt, torch.tensor(kinds)[None], STOP)[0]
        .double()
        .exp()
    )
    assert p.sum().item() == pytest.approx(1, abs=1e-5)
    counts = np.array([seen[a * 6 + b].item() for a, b in kinds])
    assert (
        counts.sum() == 20_000
        and stats.chisquare(counts, (p / p.sum() * 20_000).detach().numpy()).pvalue > 1e-4
    )


def test_a_temperature_of_zero_is_greedy():
    from course_utils.sampling.decoding import generate

    model = tiny(spread=1.0)
    prompts = torch.randint(1, 6, (4, 6), generator=dice(5))
    got = reinforcement.sample_answers(model, prompts, 1, 5, STOP, dice(), temperature=0)[:, 0]
    want = generate(model, prompts, 5, stop=STOP)[:, 6:]
    assert torch.equal(got[:, : want.size(1)], want)


# --- Pairs and reward models ----------------------------------------------------------------------


def test_bradley_terry_is_the_negative_log_of_the_winner_s_share():
    r = draw(50, seed=1, dtype=torch.float64)
    s = draw(50, seed=2, dtype=torch.float64)
    want = -np.log(special.softmax(np.stack([r, s]), axis=0)[0]).mean()
    assert preferences.bradley_terry_loss(r, s).item() == pytest.approx(want, rel=1e-12)
    assert preferences.bradley_terry_loss(r + 7, s + 7).item() == pytest.approx(want, rel=1e-9)


def test_bradley_terry_stays_finite_and_keeps_its_gradient_for_large_differences():
    r = torch.tensor([-2000.0], requires_grad=True)
    loss = preferences.bradley_terry_loss(r, torch.zeros(1))
    loss.backward()
    assert loss.item() == 2000 and r.grad.item() == -1


def test_bradley_terry_recovers_known_strengths():
    strength = torch.tensor([0.0, 1.0, 2.5])
    rewards = torch.zeros(3, requires_grad=True)
    first, second = torch.randint(3, (2, 60_000), generator=dice())
    wins = torch.rand(60_000, generator=dice(1)) < torch.sigmoid(strength[first] - strength[second])
    winner = torch.where(wins, first, second)
    loser = torch.where(wins, second, first)
    optimizer = torch.optim.LBFGS([rewards], max_iter=50)

    def closure():
        optimizer.zero_grad()
        loss = preferences.bradley_terry_loss(rewards[winner], rewards[loser])
        loss.backward()
        return loss

    optimizer.step(closure)
    torch.testing.assert_close(rewards.detach() - rewards[0].item(), strength, atol=0.06, rtol=0)


def test_pairs_keep_their_prompts_and_mark_their_answers():
    pairs = preferences.Pairs.of([([1, 2], [3, 0], [4, 5, 0]), ([1, 2, 3], [4, 0], [0])])
    assert pairs.chosen.tolist() == [[1, 2, 3, 0, 0], [1, 2, 3, 4, 0]]
    assert pairs.rejected.tolist() == [[1, 2, 4, 5, 0], [1, 2, 3, 0, 0]]
    assert pairs.chosen_mask.int().tolist() == [[0, 0, 1, 1, 0], [0, 0, 0, 1, 1]]
    assert pairs.rejected_mask.int().tolist() == [[0, 0, 1, 1, 1], [0, 0, 0, 1, 0]]
    assert len(pairs) == 2 and len(pairs[:1]) == 1
    with pytest.raises(ValueError, match="no pair"):
        preferences.Pairs.of([])


def test_a_reward_is_read_where_the_answer_ends():
    model = preferences.RewardModel(tiny())
    with torch.no_grad():
        model.head.weight.copy_(draw(1, 16, seed=4))
    ids = torch.randint(6, (2, 8), generator=dice(6))
    mask = (torch.arange(8) >= 3) & (torch.arange(8) < torch.tensor([[5], [8]]))
    got = model(ids, mask)
    for row, end in enumerate((5, 8)):
        alone = model(ids[row : row + 1, :end], mask[row : row + 1, :end])
        torch.testing.assert_close(got[row : row + 1], alone, atol=1e-5, rtol=1e-5)
    other = ids.clone()
    other[0, 5:] = 1  # behind the answer
    torch.testing.assert_close(model(other, mask), got)


def test_a_reward_model_learns_which_answer_is_better():
    generator = dice()
    rows = []
    for _ in range(200):
        digit = int(torch.randint(2, 6, (1,), generator=generator))
        # the better answer repeats the prompt
        rows.append(([1, digit], [digit, 0], [2 + (digit - 1) % 4, 0]))
    pairs = preferences.Pairs.of(rows)
    model = preferences.RewardModel(tiny(spread=0.1))
    assert preferences.reward_accuracy(model, pairs) == 0.5
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(60):
        optimizer.zero_grad()
        chosen, chosen_mask, rejected, rejected_mask = pairs.batches(32)(generator)[:4]
        rewards = model(chosen, chosen_mask), model(rejected, rejected_mask)
        preferences.bradley_terry_loss(*rewards).backward()
        optimizer.step()
    assert preferences.reward_accuracy(model, pairs) == 1


def test_answers_that_share_a_prompt_get_the_same_reward_as_whole_texts():
    judge = preferences.RewardModel(tiny())
    with torch.no_grad():
        judge.head.weight.copy_(draw(1, 16, seed=4))
    prompts = torch.tensor([[3, 1, 2], [5, 5, 1]])
    answers = torch.tensor([[[1, 2, 0, 0], [3, 3, 3, 3]], [[0, 0, 0, 0], [5, 4, 2, 0]]])
    whole = torch.cat([prompts[:, None].expand(2, 2, 3), answers], dim=2).view(4, 7)
    mask = (torch.arange(7) >= 3) & (torch.arange(7) < 3 + torch.tensor([[3], [4], [1], [4]]))
    torch.testing.assert_close(
        reinforcement.answer_reward(judge, prompts, answers, STOP).flatten(),
        judge(whole, mask),
        atol=1e-5,
        rtol=1e-5,
    )


# --- DPO ------------------------------------------------------------------------------------------


def test_dpo_is_the_formula_of_the_paper():
    a, b, c, d = (draw(40, seed=s, dtype=torch.float64).numpy() * 3 for s in range(4))
    want = -np.log(
        special.expit(0.3 * (np.log(np.exp(a) / np.exp(c)) - np.log(np.exp(b) / np.exp(d))))
    ).mean()
    assert preferences.dpo_loss(*map(torch.tensor, (a, b, c, d)), 0.3).item() == pytest.approx(
        want, rel=1e-9
    )


def test_dpo_starts_at_log_2_and_pushes_half_of_beta():
    a = torch.zeros(4, requires_grad=True)
    b = torch.zeros(4, requires_grad=True)
    loss = preferences.dpo_loss(a, b, torch.zeros(4), torch.zeros(4), beta=0.2)
    loss.backward()
    assert loss.item() == pytest.approx(math.log(2))
    torch.testing.assert_close(a.grad, torch.full((4,), -0.2 / 2 / 4))
    torch.testing.assert_close(b.grad, -a.grad)


def test_dpo_survives_log_probabilities_of_thousands_of_nats():
    a = torch.tensor([-9000.0], requires_grad=True)
    loss = preferences.dpo_loss(
        a, torch.tensor([-10.0]), torch.tensor([-10.0]), torch.tensor([-10.0]), beta=1.0
    )
    loss.backward()
    assert loss.item() == pytest.approx(8990) and a.grad.item() == -1


@pytest.mark.parametrize("beta", [0.3, 1.0])
def test_a_tabular_policy_trained_by_dpo_becomes_the_reference_times_the_exponential_of_the_reward(
    beta,
):
    """All pairs in proportion to how often they are preferred: the loss's minimum is the closed
    form of equation 4.
    """
    n = 5
    reward = draw(5, seed=1, dtype=torch.float64)
    reference = draw(5, seed=2, dtype=torch.float64).log_softmax(0)
    theta = torch.zeros(n, dtype=torch.float64, requires_grad=True)
    i, j = (x.flatten() for x in torch.meshgrid(torch.arange(n), torch.arange(n), indexing="ij"))
    i, j = i[i != j], j[i != j]
    preferred = torch.sigmoid(reward[i] - reward[j])  # Bradley-Terry
    optimizer = torch.optim.LBFGS(
        [theta], max_iter=500, tolerance_grad=1e-12, tolerance_change=1e-16
    )

    def closure():
        optimizer.zero_grad()
        log_p = theta.log_softmax(0)
        each = torch.stack(
            [
                preferences.dpo_loss(
                    log_p[a : a + 1],
                    log_p[b : b + 1],
                    reference[a : a + 1],
                    reference[b : b + 1],
                    beta,
                )
                for a, b in zip(i.tolist(), j.tolist(), strict=True)
            ]
        )
        loss = (preferred * each).mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    want = (reference + reward / beta).softmax(0)
    torch.testing.assert_close(theta.detach().softmax(0), want, atol=1e-5, rtol=0)


def test_the_dpo_objective_trains_the_model_and_leaves_the_reference_alone():
    reference = tiny(spread=0.2)
    policy = tiny(spread=0.2)
    pairs = preferences.Pairs.of([([1, 2], [3, 0], [4, 5, 0]), ([1, 3], [4, 0], [5, 0])])
    known = pairs.log_probs(reference)
    objective = preferences.dpo_objective(beta=0.5)
    optimizer = torch.optim.Adam(policy.parameters(), 0.01)
    batch = pairs.batches(16, *known)(dice())
    assert objective(policy, batch).item() == pytest.approx(math.log(2), abs=1e-5)
    for _ in range(40):
        optimizer.zero_grad()
        objective(policy, batch).backward()
        optimizer.step()
    assert (preferences.margin(policy, reference, pairs, 0.5) > 1).all()
    torch.testing.assert_close(pairs.log_probs(reference)[0], known[0])


def test_dpo_is_what_trl_computes(tmp_path):
    pytest.importorskip("trl", reason="trl is not among the pinned packages; pip install trl")
    from datasets import IterableDataset
    from transformers import GPT2Config, GPT2LMHeadModel
    from trl import DPOConfig, DPOTrainer
    from trl.trainer.dpo_trainer import DataCollatorForPreference

    from course_utils.tokenization.published import gpt2_tokenizer

    def model(seed):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return GPT2LMHeadModel(
                GPT2Config(
                    n_layer=2,
                    n_head=2,
                    n_embd=16,
                    n_positions=32,
                    initializer_range=0.3,
                    embd_pdrop=0,
                    attn_pdrop=0,
                    resid_pdrop=0,
                )
            )

    policy = model(1)
    reference = model(2)
    rows = [
        ([11, 12, 13], [14, 15, 16], [17]),
        ([21, 22], [23, 24], [25, 26, 27]),
        ([31], [32], [33, 34]),
    ]
    examples = [
        dict(zip(("prompt_ids", "chosen_ids", "rejected_ids"), row, strict=True)) for row in rows
    ]
    settings = DPOConfig(
        str(tmp_path), beta=0.3, max_steps=1, report_to="none", use_cpu=True, bf16=False
    )
    texts = [{"prompt": "a", "chosen": " b", "rejected": " c"}]  # never read: the batch below is
    with torch.random.fork_rng():
        trainer = DPOTrainer(
            policy,
            reference,
            settings,
            train_dataset=IterableDataset.from_generator(lambda: iter(texts)),
            processing_class=gpt2_tokenizer(),
        )
        theirs = trainer.compute_loss(
            trainer.model, DataCollatorForPreference(pad_token_id=0)(examples)
        )
        theirs.backward()
    pairs = preferences.Pairs.of(rows)
    ours_policy = GPT.from_hf(policy)
    ours_reference = GPT.from_hf(reference)
    for parameter in ours_policy.parameters():
        parameter.requires_grad_(True)
    ours = preferences.dpo_loss(
        *preferences.pair_log_probs(ours_policy, pairs), *pairs.log_probs(ours_reference), beta=0.3
    )
    ours.backward()
    assert abs(theirs.item() - math.log(2)) > 0.1
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(
        ours_policy.wpe.weight.grad, policy.transformer.wpe.weight.grad, atol=1e-5, rtol=1e-3
    )


# --- Rewards on a leash ---------------------------------------------------------------------------


def test_the_leash_takes_beta_nats_for_each_nat_of_divergence_on_average():
    p = draw(6, seed=1, dtype=torch.float64).softmax(0)
    q = draw(6, seed=2, dtype=torch.float64).softmax(0)
    got = (p * reinforcement.leashed_reward(torch.zeros(6), p.log(), q.log(), beta=0.4)).sum()
    assert got.item() == pytest.approx(-0.4 * stats.entropy(p, q))


def test_the_leash_passes_no_gradient_and_is_never_a_push():
    log_prob = torch.tensor([-1.0], requires_grad=True)
    assert not reinforcement.leashed_reward(
        torch.ones(1), log_prob, torch.zeros(1), 0.1
    ).requires_grad
    with pytest.raises(ValueError, match="0 or more"):
        reinforcement.leashed_reward(torch.ones(1), torch.zeros(1), torch.zeros(1), -0.1)


def test_an_advantage_is_the_distance_from_the_mean_of_the_others():
    rewards = draw(3, 5, seed=3, dtype=torch.float64)
    want = torch.tensor(
        [[row[i] - np.delete(row.numpy(), i).mean() for i in range(5)] for row in rewards]
    )
    torch.testing.assert_close(reinforcement.advantages(rewards), want)
    with pytest.raises(ValueError, match="at least 2"):
        reinforcement.advantages(torch.ones(3, 1))


def pushed(log_prob, weight):
    """The loss of answers of one token each."""
    each = log_prob[..., None]
    return reinforcement.reinforce_loss(each, each, weight, torch.ones_like(each))


def exact_gradient(theta, reward, baseline=None):
    """The gradient of E[reward] of a softmax policy, by a sum over all actions."""
    p = theta.detach().softmax(0)
    return p * (reward - p @ reward)


@pytest.mark.parametrize(
    "weigh", [lambda r: r, reinforcement.advantages], ids=["no baseline", "leave one out"]
)
def test_reinforce_has_the_exact_gradient_on_average(weigh):
    n, k = 4, 3
    theta = draw(n, seed=5, dtype=torch.float64).requires_grad_()
    reward = draw(n, seed=6, dtype=torch.float64)
    total = torch.zeros(n, dtype=torch.float64)
    # every sample that there is, by its probability
    for actions in itertools.product(range(n), repeat=k):
        chosen = torch.tensor([actions])  # (1, k)
        log_p = theta.log_softmax(0)
        (gradient,) = torch.autograd.grad(pushed(log_p[chosen], weigh(reward[chosen])), theta)
        total += log_p.detach()[chosen].sum().exp() * -gradient
    torch.testing.assert_close(total, exact_gradient(theta, reward))


def test_a_baseline_makes_the_gradient_less_noisy():
    theta = torch.zeros(4, dtype=torch.float64)
    reward = torch.tensor([3.0, 3.1, 3.2, 4.0], dtype=torch.float64)
    theta.requires_grad_()
    actions = torch.randint(4, (500, 6), generator=dice())

    def spread(weigh):
        rows = [
            torch.autograd.grad(
                pushed(theta.log_softmax(0)[a][None], weigh(reward[a][None])),
                theta,
            )[0]
            for a in actions
        ]
        return torch.stack(rows).var(0).sum().item()

    assert spread(reinforcement.advantages) < spread(lambda r: r) / 10


def test_reinforce_on_a_leash_ends_where_the_closed_form_says():
    """Exact gradients of the leashed reward on a bandit: the policy becomes reference · exp(reward
    / beta).
    """
    n, beta = 5, 0.5
    reward = draw(n, seed=1, dtype=torch.float64)
    reference = draw(n, seed=2, dtype=torch.float64).log_softmax(0)
    theta = reference.clone().requires_grad_()
    optimizer = torch.optim.Adam([theta], 0.05)
    for _ in range(1500):
        log_p = theta.log_softmax(0)
        leashed = reinforcement.leashed_reward(reward, log_p, reference, beta)
        optimizer.zero_grad()
        pushed(log_p[None], (log_p.detach().exp() * leashed * n)[None]).backward()
        optimizer.step()
    torch.testing.assert_close(
        theta.detach().softmax(0), (reference + reward / beta).softmax(0), atol=1e-4, rtol=0
    )


def test_reinforce_teaches_a_small_model_and_the_leash_holds_it_back():
    reference = tiny(spread=0.2)
    prompts = [torch.tensor([[1, 2], [1, 3]])]
    likes_five = lambda i, answers: (answers == 5).float().mean(-1)
    ends = {}
    for beta in (0.0, 1.0):
        policy = tiny(spread=0.2)
        rows = reinforcement.reinforce(
            policy,
            reference,
            prompts,
            likes_five,
            60,
            stop=STOP,
            n_new=3,
            k=16,
            beta=beta,
            lr=0.01,
            generator=dice(),
        )
        assert [row["step"] for row in rows] == list(range(1, 61)) and rows[0][
            "kl"
        ] == pytest.approx(0, abs=1e-5)
        ends[beta] = {key: sum(row[key] for row in rows[-10:]) / 10 for key in ("reward", "kl")}
    assert ends[0.0]["reward"] > 0.8 and ends[0.0]["kl"] > 2
    assert ends[1.0]["reward"] < ends[0.0]["reward"] - 0.2 and ends[1.0]["kl"] < ends[0.0]["kl"] / 4


def test_reinforce_stops_when_it_is_told_to():
    rows = reinforcement.reinforce(
        tiny(),
        tiny(),
        [torch.tensor([[1, 2]])],
        lambda i, a: torch.zeros(a.shape[:2]),
        50,
        stop=STOP,
        n_new=2,
        k=2,
        generator=dice(),
        on_step=lambda row: row["step"] == 3,
    )
    assert len(rows) == 3


# --- Best of n ------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 5, 30])
def test_the_divergence_of_best_of_n_is_that_of_its_distribution(n):
    # many equally likely answers, ranked: the best of n is the i-th with probability (i^n - (i -
    # 1)^n) / m^n
    m = 200_000
    edges = (np.arange(m + 1) / m) ** n
    assert reinforcement.best_of_n_kl(n) == pytest.approx(
        stats.entropy(np.diff(edges), np.full(m, 1 / m)), abs=1e-3
    )


def test_best_of_none_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        reinforcement.best_of_n_kl(0)


@pytest.mark.parametrize("levels", [1000, 3], ids=["no ties", "ties"])
@pytest.mark.parametrize("n", [1, 2, 4, 6])
def test_the_mean_of_best_of_n_counts_every_choice(n, levels):
    proxy = torch.randint(levels, (2, 6), generator=dice(n)).double()
    value = draw(2, 6, seed=n, dtype=torch.float64)
    for row in range(2):
        best = []
        for chosen in itertools.combinations(range(6), n):
            top = max(proxy[row, list(chosen)])
            best.append(np.mean([value[row, i] for i in chosen if proxy[row, i] == top]))
        assert reinforcement.best_of_n_mean(proxy, value, n)[row].item() == pytest.approx(
            np.mean(best)
        )
    with pytest.raises(ValueError, match="number of samples"):
        reinforcement.best_of_n_mean(proxy, value, 7)


def test_best_of_n_by_the_truth_is_coverage():
    from course_utils.test_time_compute.running_sum import coverage

    right = torch.rand(20, 16, generator=dice()) < 0.2
    for n in (1, 4, 16):
        assert reinforcement.best_of_n_mean(
            right.double(), right.double(), n
        ).mean().item() == pytest.approx(coverage(right, n))


@pytest.mark.parametrize(
    ("kind", "second"), [("best of n", lambda d: d), ("reinforcement", np.log)]
)
def test_the_fit_finds_the_curve_that_made_the_points(kind, second):
    kl = np.linspace(0.1, 20, 30)
    d = np.sqrt(kl)
    assert reinforcement.overoptimisation_fit(
        [0, *kl], [0, *(d * (1.5 - 0.4 * second(d)))], kind
    ) == pytest.approx((1.5, 0.4))
    with pytest.raises(ValueError, match="choose"):
        reinforcement.overoptimisation_fit(kl, d, "worst of n")


def test_the_fit_is_the_least_squares_of_a_general_solver():
    from scipy.optimize import curve_fit

    kl = np.linspace(0.1, 9, 25)
    gain = np.sqrt(kl) * (1 - 0.3 * np.sqrt(kl)) + 0.05 * np.random.default_rng(0).normal(size=25)
    want, _ = curve_fit(lambda x, a, b: np.sqrt(x) * (a - b * np.sqrt(x)), kl, gain)
    assert reinforcement.overoptimisation_fit(kl, gain, "best of n") == pytest.approx(
        tuple(want), rel=1e-4
    )


def test_log_sigmoid_and_torch_agree_that_the_losses_are_the_same_idea():
    """DPO is Bradley-Terry with implicit rewards."""
    a, b, c, d = (draw(10, seed=s) for s in range(4))
    torch.testing.assert_close(
        preferences.dpo_loss(a, b, c, d, 0.7),
        preferences.bradley_terry_loss(0.7 * (a - c), 0.7 * (b - d)),
    )
    torch.testing.assert_close(preferences.bradley_terry_loss(a, b), F.softplus(b - a).mean())


# --- The runs of the notebook ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def helper():
    return assistant().requires_grad_(False)


@pytest.fixture(scope="module")
def questions():
    return asking.Questions.draw(5, 120, batch=4)


@pytest.fixture(scope="module")
def pairs(helper, questions):
    return asking.make_pairs(helper, questions, 12, dice())


def test_questions_of_a_batch_have_one_length_and_no_task_comes_twice(questions):
    assert all(
        prompts.shape[0] == len(tasks) == 4
        for tasks, prompts in zip(questions.tasks, questions.prompts, strict=True)
    )
    users = [task.user for tasks in questions.tasks for task in tasks]
    assert len(set(users)) > 0.95 * len(users)


def test_grades_are_those_of_the_grader_one_by_one(helper, questions):
    answers = reinforcement.sample_answers(
        helper, questions.prompts[0], 5, asking.N_NEW, END_OF_TURN, dice()
    )
    want = [
        [float(grade(task, asking.text_of(answer))) for answer in some]
        for task, some in zip(questions.tasks[0], answers, strict=True)
    ]
    assert questions.grades(0, answers).tolist() == want and 0 < np.mean(want) < 1


def right_and_wrong(tasks, pairs):
    """Whether the grader accepts the preferred answer, and whether the other; a row for each
    pair.
    """
    by_prompt = {tuple(task.prompt.tolist()): task for batch in tasks for task in batch}
    for i in range(len(pairs)):
        start = int(pairs.chosen_mask[i].int().argmax())
        task = by_prompt[tuple(pairs.chosen[i, :start].tolist())]
        sides = (pairs.chosen[i][pairs.chosen_mask[i]], pairs.rejected[i][pairs.rejected_mask[i]])
        yield tuple(grade(task, asking.text_of(side)) for side in sides)


def test_in_every_pair_a_right_answer_is_preferred_to_a_wrong_one(questions, pairs):
    assert list(right_and_wrong(questions.tasks, pairs)) == [(True, False)] * 12


@pytest.mark.parametrize(("which", "n"), [("seen", asking.PAIRS), ("unseen", 300)])
def test_the_stored_pairs_are_pairs_of_the_questions_that_they_name(which, n):
    stored = asking.stored_pairs(which)
    assert list(right_and_wrong(asking._asked(which).tasks, stored)) == [(True, False)] * n
    few = asking.stored_pairs(which, 5)
    assert torch.equal(few.chosen, stored[:5].chosen[:, : few.chosen.size(1)])


def test_the_heads_in_the_record_are_those_of_the_stored_pairs(helper):
    """On every processor: features differ in the last digits, and the loss has one minimum."""
    judge = preferences.RewardModel(helper)
    record = runs.recorded()
    seen, unseen = (
        runs.features(judge, asking.stored_pairs(which)) for which in ("seen", "unseen")
    )
    for name, (start, end) in train_preferences.HEADS.items():
        mine = [x[start:end] for x in seen]
        runs.fit_head(judge, *mine)
        head = judge.head.weight[0].detach()
        assert torch.cosine_similarity(head, torch.tensor(record["heads"][name]), dim=0) > 0.9999
        for key, (right, wrong) in (("seen", mine), ("unseen", unseen)):
            share = ((right - wrong) @ head > 0).float().mean().item()
            assert share == pytest.approx(record["accuracy"][name][key], abs=0.01)


def test_stored_pairs_that_there_are_not_are_named():
    with pytest.raises(ValueError, match="choose 'seen' or 'unseen'"):
        asking.stored_pairs("few")
    with pytest.raises(ValueError, match="5000 pairs wanted, and 300 are stored"):
        asking.stored_pairs("unseen", 5000)


def test_the_tool_stores_what_it_draws_and_keeps_what_is_stored(monkeypatch, tmp_path, helper):
    file = tmp_path / "preference_pairs.json"
    monkeypatch.setattr(asking, "PAIRS_ASSET", file)
    monkeypatch.setattr(train_preferences, "DRAWN", {"seen": (3, 0), "unseen": (2, 1)})
    train_preferences.draw_pairs(file)
    drawn = asking.make_pairs(helper, asking.Questions.draw(*asking.ASKED["seen"]), 3, dice())
    assert all(
        torch.equal(*sides)
        for sides in zip(
            vars(asking.stored_pairs("seen")).values(), vars(drawn).values(), strict=True
        )
    )
    assert len(asking.stored_pairs("unseen")) == 2
    before = file.read_bytes()
    train_preferences.draw_pairs(file)
    assert file.read_bytes() == before


def test_too_few_questions_for_the_pairs_are_named(helper, questions):
    with pytest.raises(ValueError, match="of 5000 pairs"):
        asking.make_pairs(
            helper, asking.Questions(questions.tasks[:1], questions.prompts[:1]), 5000, dice()
        )


def test_the_head_is_the_minimum_that_another_solver_finds():
    from scipy.optimize import minimize

    chosen = draw(40, 16, seed=1) + 0.3
    rejected = draw(40, 16, seed=2)
    model = runs.fit_head(preferences.RewardModel(tiny()), chosen, rejected, l2=0.05)
    gap = (chosen - rejected).double().numpy()
    best = minimize(lambda w: np.logaddexp(0, -gap @ w).mean() + 0.05 * w @ w, np.zeros(16)).x
    got = model.head.weight[0].detach().double().numpy()
    assert got @ best / np.linalg.norm(got) / np.linalg.norm(best) == pytest.approx(1, abs=1e-4)
    assert (torch.cat([chosen, rejected]) @ model.head.weight[0]).std().item() == pytest.approx(
        1, rel=1e-4
    )


def test_dpo_parts_the_pairs_and_own_labels_are_those_of_the_likelier_answer(helper, pairs):
    before = pairs.log_probs(helper)
    policy = runs.copy_of(helper)
    runs.train_dpo(policy, helper, pairs, 6, 0.1, progress=False)
    after = pairs.log_probs(policy)
    assert ((after[0] - before[0]) - (after[1] - before[1])).mean() > 0.2
    own, agrees = runs.own_labels(helper, pairs)
    chosen, rejected = own.log_probs(helper)
    assert (chosen >= rejected).all() and torch.equal(agrees, before[0] >= before[1])
    assert torch.equal(own.chosen[~agrees], pairs.rejected[~agrees])
    assert torch.equal(own.rejected_mask[~agrees], pairs.chosen_mask[~agrees])


def test_the_divergence_of_a_cooled_model_is_that_of_all_its_answers(helper):
    """One token, so that all answers can be summed."""
    model = tiny()
    prompts = torch.randint(1, 6, (1, 4), generator=dice(5))
    answers = reinforcement.sample_answers(model, prompts, 4000, 1, -1, dice(), temperature=0.5)
    logits = model(prompts)[0, -1]
    cold = (logits / 0.5).log_softmax(-1)
    want = (cold.exp() * (cold - logits.log_softmax(-1))).sum().item()
    near = reinforcement.answer_log_prob(model, prompts, answers, -1, 0.5)
    far = reinforcement.answer_log_prob(model, prompts, answers, -1)
    assert (near - far).mean().item() == pytest.approx(want, abs=0.05)


def test_group_advantages_have_mean_0_and_spread_1_and_none_where_all_are_equal():
    rewards = draw(3, 8, seed=1)
    rewards[2] = 0.5
    got = reinforcement.group_advantages(rewards)
    want = stats.zscore(rewards[:2].double().numpy(), axis=1, ddof=1)
    np.testing.assert_allclose(got[:2].numpy(), want, atol=2e-3)
    assert got[2].abs().max() < 1e-4


def test_the_first_pass_of_the_clipped_loss_has_the_gradient_of_reinforce():
    log_probs = draw(2, 3, 4, seed=1).requires_grad_()
    weight = draw(2, 3, seed=2)
    mask = torch.ones(2, 3, 4).bool()
    grads = [
        torch.autograd.grad(loss(log_probs, log_probs.detach(), weight, mask), log_probs)[0]
        for loss in (reinforcement.clipped_loss, reinforcement.reinforce_loss)
    ]
    torch.testing.assert_close(grads[0] * 4, grads[1])  # the mean over 4 tokens, and their sum


def test_a_clipped_token_has_no_gradient_where_the_clip_holds():
    ratio = torch.tensor([[[1.5]], [[1.5]], [[0.5]], [[0.5]]], requires_grad=True)
    gain = torch.tensor([[1.0], [-1.0], [1.0], [-1.0]])
    mask = torch.ones(4, 1, 1).bool()
    loss = reinforcement.clipped_loss(ratio.log(), torch.zeros(4, 1, 1), gain, mask)
    (got,) = torch.autograd.grad(loss, ratio)
    assert got.flatten().tolist() == pytest.approx([0, 0.25, -0.25, 0], abs=1e-6)


def test_a_reward_for_variety_halves_what_comes_twice(helper, questions):
    right = torch.tensor([[1.0, 1.0, 1.0, 0.0]])
    got = reinforcement.varied_reward(right, [["a", "a", "b", "c"]])
    assert got.tolist() == [[0.5, 0.5, 1.0, 0.0]]
    seen = []

    def reward(right, texts):
        seen.append((right.shape, len(texts), len(texts[0])))
        return reinforcement.varied_reward(right, texts)

    runs.polish(runs.copy_of(helper), helper, questions, 1, reward=reward, **runs.GRPO)
    assert seen == [(torch.Size([4, 8]), 4, 8)]


def test_what_a_record_measures_lies_where_counting_puts_it(helper, questions):
    few = asking.Questions(questions.tasks[:2], questions.prompts[:2])
    found = runs.measured(helper, helper, few)
    texts = runs.answerer(helper, few)()
    tasks = [task for group in few.tasks for task in group]
    hits = [grade(task, text) for task, text in zip(tasks, texts, strict=True)]
    assert found["right"]["0.0"] == pytest.approx(np.mean(hits)) and found["kl"] == 0
    assert not {task.user for group in runs.measuring().tasks for task in group} & {
        task.user for group in asking.Questions.draw(202, 1500).tasks for task in group
    }


def test_a_live_run_begins_as_the_record_does(helper):
    record = runs.recorded()
    run = next(run for run in record["runs"] if run["method"] == "judged")
    judge = runs.set_head(preferences.RewardModel(helper), torch.tensor(record["heads"]["few"]))
    live = runs.polish(
        runs.copy_of(helper),
        helper,
        asking.Questions.draw(202, 1500),
        3,
        judge=judge,
        beta=run["beta"],
        seed=run["seed"],
    )
    assert live["reward"] == pytest.approx(run["reward"][:3], abs=0.15)
    assert live["truth"] == pytest.approx(run["truth"][:3], abs=0.15)
    assert live["kl"][0] == pytest.approx(0, abs=1e-4)


def test_the_records_are_whole():
    record = runs.recorded()
    assert {"judged", "best of n"} == {run["method"] for run in record["runs"]}
    judged = [run for run in record["runs"] if run["method"] == "judged"]
    assert {(run["beta"], run["seed"]) for run in judged} == set(train_preferences.JUDGED)
    for run in judged:
        lengths = {len(run[key]) for key in ("reward", "truth", "kl", "distinct")}
        assert lengths == {100} and abs(run["kl"][0]) < 1e-3
    for some in runs.methods().values():
        assert [run["seed"] for run in some] == [0, 1, 2]
    assert record["command"] == train_preferences.COMMAND


def test_the_tool_trains_each_method_and_keeps_what_it_holds(monkeypatch, tmp_path):
    monkeypatch.setattr(runs, "STEPS", 1)
    monkeypatch.setattr(runs, "TAUGHT", 4)
    monkeypatch.setattr(runs, "METHODS", {"DPO, own labels": {}, "GRPO": runs.GRPO})
    monkeypatch.setattr(runs, "measured", lambda policy, reference, test: {"right": 1.0})
    monkeypatch.setattr(train_preferences, "SEEDS", (0,))
    for _ in range(2):
        assert train_preferences.main(["--out", str(tmp_path / "long.json"), "methods"]) == 0
        rows = json.loads((tmp_path / "methods.json").read_text(encoding="utf-8"))["runs"]
        assert [row["method"] for row in rows] == ["DPO, own labels", "GRPO"]


@pytest.mark.parametrize(
    ("sizes", "beta"),
    [((3, 3, 2, 2), 0.1), ((3, 3, 1, 1), 0.1), ((3, 3, 3, 3), 0.0), ((3, 3, 3, 3), -1.0)],
)
def test_dpo_refuses_shapes_that_would_be_spread_out_and_a_leash_that_is_none(sizes, beta):
    with pytest.raises(ValueError, match="one shape"):
        preferences.dpo_loss(*(torch.zeros(n) for n in sizes), beta)
