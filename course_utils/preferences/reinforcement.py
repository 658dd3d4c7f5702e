"""Learning from a reward, as lesson 20 builds it: sampled answers, REINFORCE with a baseline, a
leash, best-of-n.

B prompts of P tokens each, k answers to each prompt, at most A tokens an answer. A reward is one
number an answer: from a program that checks it (a verifiable reward), or from a learnt reward
model. The leash is the divergence from the reference, the model that training began with; in nats.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from course_utils.attention.heads import KVCache
from course_utils.machine.devices import device_of
from course_utils.preferences.pairwise import RewardModel
from course_utils.sampling.decoding import draw

# --- Answers --------------------------------------------------------------------------------------


def _read(model: nn.Module, prompts: Tensor, k: int) -> tuple[Tensor, list[KVCache]]:
    """Read each prompt once: the logits (B · k, V) of the first answer token, and caches for k
    answers each.
    """
    caches = [KVCache() for _ in model.h]
    logits = model(prompts.to(device_of(model)), caches)[:, -1]  # (B, V)
    return logits.repeat_interleave(k, dim=0), _repeat(caches, k)


def _repeat(caches: list[KVCache], k: int) -> list[KVCache]:
    """The same caches, now for k answers to each prompt."""
    for cache in caches:
        cache.keys, cache.values = (
            x.repeat_interleave(k, dim=0) for x in (cache.keys, cache.values)
        )
    return caches


@torch.no_grad()
def sample_answers(
    model: nn.Module,
    prompts: Tensor,
    k: int,
    n_new: int,
    stop: int,
    generator: torch.Generator,
    temperature: float = 1.0,
) -> Tensor:
    """Draw k answers to each prompt, of at most n_new tokens; each prompt is read once, whatever k
    is.

    Shapes: prompts (B, P), all of one length -> (B, k, n_new), filled up with `stop`, the id that
    ends an answer. A temperature of 0 takes the likeliest token.

    >>> from course_utils.gpt2 import GPT, GPTConfig
    >>> model = GPT(GPTConfig(n_layer=1, n_head=2, n_embd=8, vocab_size=10, n_positions=8))
    >>> sample_answers(
    ...     model, torch.tensor([[3, 1], [4, 1]]), 5, 4, stop=0, generator=torch.Generator()
    ... ).shape
    torch.Size([2, 5, 4])
    """
    logits, caches = _read(model, prompts, k)  # (B · k, V)
    ended = torch.zeros(len(logits), dtype=torch.bool, device=logits.device)
    written = []
    for _ in range(n_new):
        if temperature:
            token = draw((logits / temperature).softmax(-1), generator)[:, 0]  # (B · k,)
        else:
            token = logits.argmax(-1)
        written.append(token.masked_fill(ended, stop))
        ended = ended | (token == stop)
        if ended.all() or len(written) == n_new:
            break
        logits = model(written[-1][:, None], caches)[:, -1]  # (B · k, V)
    written += [torch.full_like(written[0], stop)] * (n_new - len(written))
    return torch.stack(written, dim=1).view(len(prompts), k, n_new)


def token_log_probs(
    model: nn.Module, prompts: Tensor, answers: Tensor, stop: int, temperature: float = 1.0
) -> tuple[Tensor, Tensor]:
    """The log-probability of each token of each answer, in nats, and a mask of the tokens that
    count: up to and with the first `stop`. Each prompt is read once; what does not count is 0.

    Shapes: prompts (B, P), answers (B, k, A) -> (B, k, A) and (B, k, A), bool. Logits are divided
    by the temperature first, as `sample_answers` does.

    >>> from course_utils.gpt2 import GPT, GPTConfig
    >>> model = GPT(GPTConfig(n_layer=1, n_head=2, n_embd=8, vocab_size=10, n_positions=8))
    >>> model.wte.weight.data.zero_()[0, 0].item()  # all tokens are equally likely
    0.0
    >>> each, counts = token_log_probs(
    ...     model, torch.tensor([[3, 1]]), torch.tensor([[[4, 0, 0], [5, 6, 7]]]), stop=0
    ... )
    >>> each.detach(), counts.int().tolist()
    (tensor([[[-2.3026, -2.3026, -0.0000],
             [-2.3026, -2.3026, -2.3026]]]), [[[1, 1, 0], [1, 1, 1]]])
    """
    B, k, A = answers.shape
    answers = answers.reshape(B * k, A).to(device_of(model))
    first, caches = _read(model, prompts, k)  # (B · k, V)
    logits = torch.cat([first[:, None], model(answers[:, :-1], caches)], dim=1)  # (B · k, A, V)
    each = (
        (logits / temperature).log_softmax(-1).gather(2, answers[..., None])[..., 0]
    )  # (B · k, A)
    counts = (answers == stop).cumsum(1) - (answers == stop).int() == 0  # no stop before this token
    return (each * counts).view(B, k, A), counts.view(B, k, A)


def answer_log_prob(
    model: nn.Module, prompts: Tensor, answers: Tensor, stop: int, temperature: float = 1.0
) -> Tensor:
    """The log-probability of each answer, in nats: the sum of `token_log_probs`.

    Shapes: prompts (B, P), answers (B, k, A) -> (B, k). The same as
    `preferences.pairwise.sequence_log_prob`, in less time.

    >>> from course_utils.gpt2 import GPT, GPTConfig
    >>> model = GPT(GPTConfig(n_layer=1, n_head=2, n_embd=8, vocab_size=10, n_positions=8))
    >>> model.wte.weight.data.zero_()[0, 0].item()  # all tokens are equally likely
    0.0
    >>> answer_log_prob(
    ...     model, torch.tensor([[3, 1]]), torch.tensor([[[4, 0, 0], [5, 6, 7]]]), stop=0
    ... ).detach()
    tensor([[-4.6052, -6.9078]])
    """
    return token_log_probs(model, prompts, answers, stop, temperature)[0].sum(-1)


@torch.no_grad()
def answer_reward(judge: RewardModel, prompts: Tensor, answers: Tensor, stop: int) -> Tensor:
    """What a reward model says about each answer, read at its first `stop`, or else at its end.

    Shapes: prompts (B, P), answers (B, k, A) -> (B, k). The same as judge(ids, mask), in less time.

    >>> from course_utils.gpt2 import GPT, GPTConfig
    >>> judge = RewardModel(
    ...     GPT(GPTConfig(n_layer=1, n_head=2, n_embd=8, vocab_size=10, n_positions=8))
    ... )
    >>> answer_reward(judge, torch.tensor([[3, 1]]), torch.tensor([[[4, 0, 0], [5, 6, 7]]]), stop=0)
    tensor([[0., 0.]])
    """
    B, k, A = answers.shape
    caches = [KVCache() for _ in judge.body.h]
    device = device_of(judge)
    answers = answers.to(device)
    judge.body.streams(prompts.to(device), caches)
    x = judge.body.streams(answers.view(B * k, A), _repeat(caches, k))[-1].view(B, k, A, -1)
    stops = (answers == stop).int()
    last = torch.where(stops.any(-1), stops.argmax(-1), A - 1)  # (B, k)
    x = x.gather(2, last[..., None, None].expand(B, k, 1, x.size(-1)))[:, :, 0]  # (B, k, d_model)
    return judge.head(judge.body.ln_f(x))[..., 0]


# --- Rewards on a leash ---------------------------------------------------------------------------


def leashed_reward(
    reward: Tensor, policy_log_prob: Tensor, reference_log_prob: Tensor, beta: float
) -> Tensor:
    """The reward minus beta · log(policy / reference): what is gained, less the price of going
    away.

    On average over the policy's own answers the price is beta · KL(policy‖reference).
    The result is a plain number to weigh with: no gradient flows through it.
    Shapes: all (...,) -> (...,). Units: log-probabilities in nats, beta in reward a nat.
    Raises: ValueError for a negative beta. Source: Ouyang et al. 2022, equation 2.

    >>> reward = torch.ones(2)
    >>> policy = torch.tensor([-1.0, -4.0])
    >>> reference = torch.tensor([-3.0, -4.0])
    >>> leashed_reward(reward, policy, reference, beta=0.25)
    tensor([0.5000, 1.0000])
    """
    if beta < 0:
        raise ValueError(f"beta is {beta}: a leash pulls back, so beta is 0 or more")
    return reward - beta * (policy_log_prob - reference_log_prob).detach()


def advantages(rewards: Tensor) -> Tensor:
    """How much better each answer is than the mean of the other answers to the same prompt.

    The baseline leaves the answer itself out, so that it does not depend on it, and the mean
    gradient stays what it was. Shapes: rewards (B, k) -> (B, k). Raises: ValueError for k < 2.
    Source: Kool et al. 2019, "Buy 4 REINFORCE Samples, Get a Baseline for Free!", section 2.

    >>> advantages(torch.tensor([[1.0, 0.0, 0.0], [5.0, 5.0, 5.0]]))
    tensor([[ 1.0000, -0.5000, -0.5000],
            [ 0.0000,  0.0000,  0.0000]])
    """
    k = rewards.size(-1)
    if k < 2:
        raise ValueError(
            "one answer has no others to be compared with: draw at least 2 for each prompt"
        )
    # (B, k): the mean without this one
    others = (rewards.sum(-1, keepdim=True) - rewards) / (k - 1)
    return rewards - others


def group_advantages(rewards: Tensor) -> Tensor:
    """GRPO's advantage: the distance of each reward from its group's mean, in units of the group's
    spread. A group is the answers to one prompt.

    A group with equal rewards gets zeros. Shapes: rewards (B, k) -> (B, k). Raises: ValueError for
    k < 2. Source: Shao et al. 2024 (DeepSeekMath), outcome supervision.

    >>> group_advantages(torch.tensor([[1.0, 0.0, 1.0, 0.0], [5.0, 5.0, 5.0, 5.0]])).round(
    ...     decimals=2
    ... )
    tensor([[ 0.8700, -0.8700,  0.8700, -0.8700],
            [ 0.0000,  0.0000,  0.0000,  0.0000]])
    """
    k = rewards.size(-1)
    return advantages(rewards) * (k - 1) / k / (rewards.std(-1, keepdim=True) + 1e-4)


def clipped_loss(
    log_probs: Tensor, old_log_probs: Tensor, advantage: Tensor, mask: Tensor, clip: float = 0.2
) -> Tensor:
    """The loss of PPO and GRPO: minus the mean over answers of the mean over their tokens of
    min(ratio · advantage, clipped ratio · advantage).

    The ratio is exp(log_probs - old_log_probs): how much likelier a token is than when it was
    drawn. The clipped ratio is cut to the range 1 - clip to 1 + clip. All tokens of an answer have
    its advantage. Only tokens that the mask marks count; each answer has one at least.
    Shapes: log_probs, old_log_probs and mask (B, k, A), advantage (B, k) -> ().
    Raises: ValueError unless clip > 0.
    Source: Schulman et al. 2017 (PPO), equation 7; Shao et al. 2024 (DeepSeekMath), equation 3,
    without its leash.

    >>> old = torch.zeros(1, 2, 1)
    >>> new = torch.tensor([[[1.5], [1.1]]]).log()  # the ratios are 1.5, which is cut, and 1.1
    >>> clipped_loss(new, old, torch.ones(1, 2), torch.ones(1, 2, 1).bool())
    tensor(-1.1500)
    """
    if not clip > 0:
        raise ValueError(f"clip is {clip}: give a number above 0")
    ratio = (log_probs - old_log_probs.detach()).exp()  # (B, k, A)
    advantage = advantage.detach()[..., None]  # (B, k, 1)
    gain = torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage)
    return -((gain * mask).sum(-1) / mask.sum(-1)).mean()


def reinforce_loss(
    log_probs: Tensor, old_log_probs: Tensor, advantage: Tensor, mask: Tensor
) -> Tensor:
    """A loss whose gradient is minus the policy gradient: the mean of -advantage · log-probability
    of the answer. What was drawn long ago needs a ratio, which this has not: old_log_probs is
    unused.

    Its value means nothing; only its gradient does. Shapes: as `clipped_loss`.
    Source: Williams 1992, "Simple Statistical Gradient-Following Algorithms", section 3.

    >>> log_probs = torch.tensor([[[-1.0], [-2.0]]])
    >>> reinforce_loss(log_probs, log_probs, torch.tensor([[1.0, -1.0]]), log_probs < 0)
    tensor(-0.5000)
    """
    return -(advantage.detach() * (log_probs * mask).sum(-1)).mean()


def varied_reward(right: Tensor, texts: Sequence[Sequence[str]]) -> Tensor:
    """A reward for the answers to each prompt that asks for right answers *and* for variety.

    A right answer gets more than any wrong one. A right text that was given once gets more than a
    right one that was given several times to the same prompt. No reward is below 0 or above 1, and
    equal texts get equal rewards. Shapes: right (B, k), 1.0 or 0.0; texts: B rows of k strings ->
    (B, k).

    >>> right = torch.tensor([[1.0, 1.0, 1.0, 0.0]])
    >>> yes, again, sure, no = varied_reward(right, [["Yes.", "Yes.", "Sure.", "No."]])[0].tolist()
    >>> 1 >= sure > yes == again > no >= 0
    True
    """
    times = [[row.count(text) for text in row] for row in texts]
    return right / torch.tensor(times, device=right.device)  # (B, k)


def reinforce(
    policy: nn.Module,
    reference: nn.Module,
    prompts: Sequence[Tensor],
    reward: Callable[[int, Tensor], Tensor],
    steps: int,
    *,
    stop: int,
    n_new: int,
    k: int = 8,
    beta: float = 0.0,
    lr: float = 1e-3,
    clip: float = 1.0,
    generator: torch.Generator,
    weigh: Callable[[Tensor], Tensor] = advantages,
    leash: Callable[[Tensor, Tensor, Tensor, float], Tensor] = leashed_reward,
    objective: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor] = reinforce_loss,
    passes: int = 1,
    on_step: Callable[[dict[str, float]], object] | None = None,
) -> list[dict[str, float]]:
    """Train the policy in place: draw k answers a prompt, reward them, make the better ones
    likelier.

    prompts: batches (B, P), used in turn; reward(i, answers (B, k, A)) -> (B, k) rewards the
    answers to prompts[i]. Prompts and rewards may be on any device, and the two models on two.
    As it stands it is REINFORCE. GRPO: weigh=group_advantages, objective=clipped_loss, and several
    `passes` over the same answers.
    A row a step: "reward" (mean, without the leash), "kl" (k1), "step" from 1; measured before the
    step is made. on_step(row) is called each time; training stops where it returns True.
    Units: "kl" in nats an answer; `lr` is Adam's, `clip` the greatest norm of the gradient.
    Raises: ValueError for k < 2 or a negative beta, before the policy changes.
    Source: Williams 1992, with the baseline of `advantages`; Shao et al. 2024.

    >>> from course_utils.gpt2 import GPT, GPTConfig
    >>> tiny = GPTConfig(n_layer=1, n_head=2, n_embd=8, vocab_size=5, n_positions=4)
    >>> policy, reference = (GPT(tiny, torch.Generator().manual_seed(0)) for _ in range(2))
    >>> likes_two = lambda i, answers: (
    ...     answers[..., 0] == 2
    ... ).float()  # the reward: 1 for the token 2
    >>> rows = reinforce(
    ...     policy,
    ...     reference,
    ...     [torch.tensor([[3, 1], [4, 1]])],
    ...     likes_two,
    ...     steps=20,
    ...     stop=0,
    ...     n_new=1,
    ...     lr=0.03,
    ...     generator=torch.Generator().manual_seed(0),
    ... )
    >>> # learnt, and gone far
    >>> (rows[0]["kl"], rows[0]["reward"] < 0.6, rows[-1]["reward"] > 0.8, rows[-1]["kl"] > 0.5)
    (0.0, True, True, True)
    """
    learnt = [p for p in policy.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(learnt, lr)
    rows = []
    for step in range(steps):
        i = step % len(prompts)
        answers = sample_answers(policy, prompts[i], k, n_new, stop, generator)  # (B, k, A)
        rewards = reward(i, answers).to(answers.device)  # (B, k)
        with torch.no_grad():
            far = answer_log_prob(reference, prompts[i], answers, stop).to(answers.device)
        for turn in range(passes):
            each, counts = token_log_probs(policy, prompts[i], answers, stop)  # (B, k, A)
            if turn == 0:
                old = each.detach()
                weight = weigh(leash(rewards, old.sum(-1), far, beta))  # (B, k)
            optimizer.zero_grad()  # first: a run that was stopped may have left gradients
            objective(each, old, weight, counts).backward()
            nn.utils.clip_grad_norm_(learnt, clip)
            optimizer.step()
        kl = (old.sum(-1) - far).mean().item()
        rows.append({"step": step + 1, "reward": rewards.mean().item(), "kl": kl})
        if on_step and on_step(rows[-1]):
            break
    optimizer.zero_grad()
    return rows


# --- Best of n ------------------------------------------------------------------------------------


def best_of_n_kl(n: int) -> float:
    """How far the best of n answers is from one answer: KL in nats, the same for every reward
    without ties.

    Source: Stiennon et al. 2020, appendix G.3.

    >>> [round(best_of_n_kl(n), 3) for n in (1, 2, 64)]
    [0.0, 0.193, 3.175]
    """
    if n < 1:
        raise ValueError(f"n is {n}: take the best of at least 1 answer")
    return math.log(n) - (n - 1) / n


def best_of_n_mean(proxy: Tensor, value: Tensor, n: int) -> Tensor:
    """The mean value of the answer that has the highest proxy among n, over all choices of n of the
    k samples.

    It uses all k samples of a prompt, without bias: the i-th lowest proxy is the highest of n in
    C(i - 1, n - 1) of the C(k, n) choices. Equal proxies share their chances. With value = proxy it
    is the mean of the proxy itself.
    Shapes: proxy and value (B, k) -> (B,), float64 on the CPU. Raises: ValueError unless 1 <= n <=
    k.
    Source: the idea of `test_time_compute.pass_at_k` (Chen et al. 2021, section 2.1), for a proxy
    instead of the truth.

    >>> proxy, right = torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[0.0, 1.0, 0.0]])
    >>> # the middle one wins 1 choice of 3
    >>> [best_of_n_mean(proxy, right, n).item() for n in (1, 2, 3)]
    [0.3333333333333333, 0.3333333333333333, 0.0]
    """
    k = proxy.size(-1)
    proxy = proxy.cpu()
    value = value.cpu()
    if not 1 <= n <= k:
        raise ValueError(
            f"n is {n}, with {k} samples: n is at least 1 and at most the number of samples"
        )
    at_most = torch.tensor(
        [math.comb(i, n) / math.comb(k, n) for i in range(k + 1)], dtype=torch.float64
    )
    below = (proxy[:, None, :] < proxy[:, :, None]).sum(-1)  # (B, k): how many have a lower proxy
    # (B, k): how many have the same, itself among them
    ties = (proxy[:, None, :] == proxy[:, :, None]).sum(-1)
    chance = (at_most[below + ties] - at_most[below]) / ties  # (B, k)
    return (chance * value).sum(-1)


def overoptimisation_fit(
    kl: Sequence[float], gain: Sequence[float], kind: str
) -> tuple[float, float]:
    """Fit Gao's form of the true reward's gain against d = √KL, by least squares: (alpha, beta).

    "best of n": d · (alpha - beta · d). "reinforcement": d · (alpha - beta · log d). Both are
    linear in alpha and beta.
    Raises: ValueError for another kind. Source: Gao et al. 2023, section 1.

    >>> kl = np.array([1.0, 4.0, 9.0])
    >>> alpha, beta = overoptimisation_fit(kl, np.sqrt(kl) * (2 - 0.5 * np.sqrt(kl)), "best of n")
    >>> round(alpha, 6), round(beta, 6)
    (2.0, 0.5)
    """
    if kind not in ("best of n", "reinforcement"):
        raise ValueError(f'kind {kind!r} is unknown: choose "best of n" or "reinforcement"')
    kl = np.asarray(kl, float)
    gain = np.asarray(gain, float)
    d = np.sqrt(kl[kl > 0])
    gain = gain[kl > 0]
    second = d * d if kind == "best of n" else d * np.log(d)
    (alpha, minus_beta), *_ = np.linalg.lstsq(np.stack([d, second], axis=1), gain, rcond=None)
    return float(alpha), float(-minus_beta)
