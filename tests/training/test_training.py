"""The training loop against a loop written out by hand, against itself resumed, and on two
processes.
"""

import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from launching import two_processes
from safetensors import safe_open
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from course_utils import training
from course_utils.training import (
    History,
    adamw,
    evaluate,
    language_loss,
    learning_rate,
    token_batches,
    train,
)

V, T = 11, 6
# long runs: learnable
TEXT = torch.randint(V, (400,), generator=torch.Generator().manual_seed(0)).sort().values
QUIET = {"progress": False, "accelerator": Accelerator(cpu=True)}


class Tiny(nn.Module):
    """A model with a matrix, a bias, a gain, tied weights, dropout and a buffer."""

    def __init__(self, dropout=0.0, seed=0):
        super().__init__()
        with torch.random.fork_rng([]):
            torch.manual_seed(seed)
            self.embed = nn.Embedding(V, 8)
            self.mix = nn.Linear(8, 8)
            self.norm = nn.LayerNorm(8)
            self.head = nn.Linear(8, V, bias=False)
        self.head.weight = self.embed.weight
        self.drop = nn.Dropout(dropout)
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))

    def forward(self, ids):
        if self.training:
            self.seen += 1
        return self.head(self.norm(self.drop(self.mix(self.embed(ids)))))


def run(steps=30, dropout=0.0, seed=0, model=None, **options):
    model = model or Tiny(dropout)
    return model, train(
        model, token_batches(TEXT, 4, T), steps, seed=seed, **{**QUIET, "lr": 1e-2, **options}
    )


def same(a, b):
    return all(
        torch.equal(x, y)
        for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    )


# --- One run --------------------------------------------------------------------------------------


def test_one_seed_gives_one_run_and_another_seed_another():
    a, one = run(dropout=0.3)
    b, two = run(dropout=0.3)
    _, three = run(dropout=0.3, seed=1)
    assert one.losses == two.losses and one.grad_norms == two.grad_norms and same(a, b)
    assert one.losses != three.losses


def test_the_losses_are_those_of_a_loop_written_out_by_hand():
    model, history = run(steps=12, warmup=0.25, final=0.0, weight_decay=0.5, clip=0.3)
    other = Tiny()
    batches = token_batches(TEXT, 4, T)
    generator = torch.Generator()
    first = {name: p.detach().clone() for name, p in other.named_parameters()}
    m, v = ({name: torch.zeros_like(p) for name, p in first.items()} for _ in range(2))
    for step, loss in enumerate(history.losses):
        inputs, targets = batches(generator.manual_seed(step))
        logits = other(inputs)
        expected = -logits.log_softmax(-1).gather(-1, targets.unsqueeze(-1)).mean()
        assert loss == pytest.approx(expected.item(), abs=1e-5)
        grads = dict(zip(first, torch.autograd.grad(expected, [*other.parameters()]), strict=True))
        norm = math.sqrt(sum(g.square().sum().item() for g in grads.values()))
        assert history.grad_norms[step] == pytest.approx(norm, rel=1e-4)
        rate = 1e-2 * ((step + 1) / 3 if step < 3 else (1 + math.cos(math.pi * (step - 3) / 8)) / 2)
        assert history.rates[step] == pytest.approx(rate, abs=1e-12)
        with torch.no_grad():
            for name, p in other.named_parameters():
                g = grads[name] * min(1.0, 0.3 / (norm + 1e-6))
                m[name], v[name] = 0.9 * m[name] + 0.1 * g, 0.95 * v[name] + 0.05 * g**2
                p *= 1 - rate * (0.5 if p.dim() == 2 else 0.0)
                p -= (
                    rate
                    * (m[name] / (1 - 0.9 ** (step + 1)))
                    / ((v[name] / (1 - 0.95 ** (step + 1))).sqrt() + 1e-8)
                )
    for name, p in model.named_parameters():
        torch.testing.assert_close(p, dict(other.named_parameters())[name], atol=1e-5, rtol=1e-4)
        assert not torch.equal(p, first[name])


def test_a_model_learns_and_the_history_says_how():
    model, history = run(
        steps=150, lr=3e-2, eval_batches=[(TEXT[None, :-1], TEXT[None, 1:])], eval_every=60
    )
    assert history.losses[0] > 2 and history.losses[-1] < 0.8
    assert history.steps == list(range(1, 151)) and history.tokens == [
        4 * T * step for step in history.steps
    ]
    assert history.eval_steps == [60, 120, 150] and sorted(history.seconds) == history.seconds
    exact = F.cross_entropy(model(TEXT[:-1]), TEXT[1:]).item()
    assert history.eval_losses[-1] == pytest.approx(exact, abs=1e-5)


def test_evaluating_in_between_changes_nothing():
    batches = [token_batches(TEXT, 4, T)(torch.Generator().manual_seed(9))]
    a, one = run(dropout=0.3)
    b, two = run(dropout=0.3, eval_batches=batches, eval_every=7, every=3)
    assert one.losses == two.losses and all(
        torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True)
    )


def test_frozen_parameters_stay_and_the_rest_moves():
    model = Tiny()
    model.mix.requires_grad_(False)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    run(model=model, weight_decay=1.0)
    changed = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert changed == {"embed.weight", "norm.weight", "norm.bias"} and model.mix.weight.grad is None


def test_each_module_gets_its_mode_back_also_after_an_error():
    model = Tiny().eval()
    model.mix.train()
    run(model=model, steps=2)
    assert [model.training, model.mix.training, model.drop.training] == [False, True, False]
    with pytest.raises(RuntimeError, match="stop here"):
        train(model, lambda generator: (_ for _ in ()).throw(RuntimeError("stop here")), 2, **QUIET)
    assert [model.training, model.mix.training] == [False, True]


def test_the_hidden_random_state_is_left_alone():
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    run(steps=5, dropout=0.5)
    assert torch.equal(torch.rand(4), expected)


def test_a_callback_sees_the_losses_and_can_stop():
    seen = []
    _, history = run(
        steps=50,
        every=10,
        on_steps=lambda history: seen.append(len(history.losses)) or len(history.losses) >= 30,
    )
    assert seen == [10, 20, 30] and len(history.losses) == 30


def test_another_loss_can_be_trained():
    def to_zero(model, batch):
        return model(batch[0]).square().mean()

    model, history = run(steps=60, loss_fn=to_zero, lr=3e-2)
    assert history.losses[-1] < 0.1 * history.losses[0]


def test_the_bar_is_silent_when_the_course_is_quiet(monkeypatch, capfd):
    monkeypatch.setenv("COURSE_QUIET", "1")
    run(steps=3, progress=True)
    assert capfd.readouterr().err == ""
    monkeypatch.delenv("COURSE_QUIET")
    run(steps=3, progress=True)
    assert "3/3" in capfd.readouterr().err


def test_a_notebook_gets_the_classrooms_bar_and_a_cluster_needs_no_notebook(monkeypatch):
    """The file keeps a widget of tqdm, dead; the classroom's bar leaves nothing
    (tests/test_frontend.py).
    """
    from course_utils.classroom import bars

    assert isinstance(training._bar(total=1, disable=True), bars.Bar)
    monkeypatch.delitem(sys.modules, "course_utils.classroom.bars")
    assert type(training._bar(total=1, disable=True)).__module__ == "tqdm.std"


# --- Resuming -------------------------------------------------------------------------------------


def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(tmp_path):
    whole, expected = run(steps=40, dropout=0.3)
    file = tmp_path / "run" / "state.safetensors"
    model = Tiny(0.3)

    def power_cut(history):
        if len(history.losses) == 30:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(steps=40, model=model, checkpoint=file, checkpoint_every=20, on_steps=power_cut)
    resumed, history = run(steps=40, model=Tiny(0.3, seed=5), checkpoint=file, checkpoint_every=20)
    assert (
        history.losses == expected.losses
        and same(resumed, whole)
        and history.tokens == expected.tokens
    )
    assert (
        sorted(history.seconds) == history.seconds and resumed.head.weight is resumed.embed.weight
    )
    done, again = run(steps=40, model=Tiny(0.3, seed=6), checkpoint=file)  # nothing is left to do
    assert again == history and same(done, whole)


def test_a_checkpoint_is_one_safe_file_with_tied_weights_once(tmp_path):
    file = tmp_path / "state.safetensors"
    run(steps=3, checkpoint=file)
    with safe_open(file, framework="pt") as stored:
        names = set(stored.keys())
        assert History(**json.loads(stored.metadata()["history"])).steps == [1, 2, 3]
    own = {name for name in names if name.startswith("model.")}
    assert own == {
        "model.embed.weight",
        "model.mix.weight",
        "model.mix.bias",
        "model.norm.weight",
        "model.norm.bias",
        "model.seen",
    }
    assert len(names - own) == 3 * 5 and [path.name for path in tmp_path.iterdir()] == [
        "state.safetensors"
    ]


def test_a_checkpoint_of_another_run_or_model_is_refused(tmp_path):
    file = tmp_path / "state.safetensors"
    run(steps=3, checkpoint=file)
    with pytest.raises(ValueError, match=r"another run.*'lr': \(0.01, 0.02\)"):
        run(steps=3, lr=2e-2, checkpoint=file)
    model = Tiny()
    model.mix = nn.Linear(8, 8, bias=False)
    with pytest.raises(ValueError, match=r"another model: \['mix.bias'\]"):
        run(steps=3, model=model, checkpoint=file)


# --- Several processes ----------------------------------------------------------------------------

SCRIPT = """
import json, sys
sys.path[:0] = {folders!r}
from accelerate import Accelerator
from test_training import TEXT, Tiny, T, language_loss, token_batches, train
accelerator, rows = Accelerator(), []
assert accelerator.num_processes == 2

def noted_loss(model, batch):
    rows.append(len(batch[0]))
    return language_loss(model, batch)

history = train(Tiny(), token_batches(TEXT, 4, T), 25, lr=1e-2, eval_batches=[(TEXT[None, :-1], TEXT[None, 1:])],
                checkpoint={file!r}, accelerator=accelerator, progress=False, loss_fn=noted_loss)
assert rows == [2] * 25 + [1], rows  # half of each batch, and the evaluation
try:
    train(Tiny(), token_batches(TEXT, 3, T), 1, accelerator=accelerator, progress=False)
except ValueError as error:
    refused = str(error)
if accelerator.is_main_process:
    print(json.dumps([history.losses, history.grad_norms, history.eval_losses, refused]))
accelerator.wait_for_everyone()
accelerator.end_training()
"""


def test_two_processes_give_the_loss_curve_of_one(tmp_path):
    root = Path(__file__).resolve().parents[2]
    folders = [str(root / name) for name in ("tests/training", "tests", "tools", "")]
    script = tmp_path / "script.py"
    script.write_text(
        SCRIPT.format(folders=folders, file=str(tmp_path / "two.safetensors")), encoding="utf-8"
    )
    losses, norms, evals, refused = json.loads(two_processes(script).strip().splitlines()[-1])
    model, one = run(steps=25, eval_batches=[(TEXT[None, :-1], TEXT[None, 1:])])
    np.testing.assert_allclose(losses, one.losses, atol=1e-5)
    np.testing.assert_allclose(norms, one.grad_norms, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(evals, one.eval_losses, atol=1e-5)
    with safe_open(tmp_path / "two.safetensors", framework="pt") as stored:
        torch.testing.assert_close(
            stored.get_tensor("model.mix.weight"), model.mix.weight.detach(), atol=1e-4, rtol=1e-3
        )
    assert "3 rows do not split evenly over 2 processes" in refused


# --- Parts ----------------------------------------------------------------------------------------


def test_batches_are_windows_of_the_text_and_targets_are_one_further():
    text = torch.arange(50)
    inputs, targets = token_batches(text, 200, 5)(torch.Generator().manual_seed(0))
    assert inputs.shape == targets.shape == (200, 5)
    assert torch.equal(inputs - inputs[:, :1], torch.arange(5).expand(200, 5)) and torch.equal(
        targets, inputs + 1
    )
    assert (inputs[:, 0].min(), inputs[:, 0].max()) == (0, 44)  # every window that fits


def test_batches_can_begin_at_chosen_places_only():
    inputs, _ = token_batches(torch.arange(50), 100, 5, starts=torch.tensor([3, 20, 47]))(
        torch.Generator().manual_seed(0)
    )
    assert set(inputs[:, 0].tolist()) == {3, 20}  # from 47 on, 5 + 1 tokens do not fit


def test_the_rate_rises_in_a_line_and_falls_along_a_cosine():
    rates = np.array(
        [learning_rate(step, 100, lr=2.0, warmup=0.2, final=0.1) for step in range(100)]
    )
    assert np.allclose(np.diff(rates[:20]), 0.1) and rates[19] == rates[20] == rates.max() == 2.0
    assert rates[-1] == pytest.approx(0.2) and (np.diff(rates[20:]) < 0).all()
    assert rates[20 + 79 // 2 : 20 + 79 // 2 + 2].mean() == pytest.approx((2.0 + 0.2) / 2)
    assert learning_rate(0, 1, 1.0) == 1.0 and learning_rate(0, 10, 1.0, warmup=0.0) == 1.0


def test_only_matrices_decay():
    groups = adamw(Tiny(), 1e-3, 0.1, (0.9, 0.95)).param_groups
    assert {p.dim(): group["weight_decay"] for group in groups for p in group["params"]} == {
        2: 0.1,
        1: 0.0,
    }
    assert sum(len(group["params"]) for group in groups) == 5


def test_evaluation_weighs_batches_by_their_targets_without_dropout_or_gradients():
    model = Tiny(dropout=0.5)
    model.mix.eval()
    batches = [(TEXT[None, :9], TEXT[None, 1:10]), (TEXT[None, 50:250], TEXT[None, 51:251])]
    mean = evaluate(model, batches)
    assert [model.training, model.drop.training, model.mix.training] == [True, True, False] and all(
        p.grad is None for p in model.parameters()
    )
    losses = [language_loss(model.eval(), batch).item() for batch in batches]
    assert mean == pytest.approx((9 * losses[0] + 200 * losses[1]) / 209, abs=1e-6)


class Counting(TorchDispatchMode):
    """Counts what torch is asked to do."""

    asked = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.asked += 1
        return function(*args, **(kwargs or {}))


def test_a_step_asks_torch_for_little_more_than_a_bare_loop():
    """The loss and the norm are kept for the history: a handful of operations."""

    def bare(steps):
        model = Tiny()
        batches = token_batches(TEXT, 4, T)
        generator = torch.Generator().manual_seed(0)
        optimizer = adamw(model, 1e-2, 0.1, (0.9, 0.95))
        for _ in range(steps):
            loss = language_loss(model, batches(generator))
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()

    def asked(turn):
        counts = []
        for steps in (10, 30):
            with Counting() as counting:
                turn(steps)
            counts.append(counting.asked)
        return (counts[1] - counts[0]) / 20  # for each step

    ours = asked(lambda steps: run(steps=steps))
    theirs = asked(bare)
    assert 0 < theirs <= ours <= theirs + 7


# --- Bad input ------------------------------------------------------------------------------------


def test_a_loss_that_is_not_finite_is_named_with_step_rate_and_remedy():
    def bad_at_step_14(model, batch):
        return language_loss(model, batch) * (math.nan if model.seen == 14 else 1)

    message = r"the loss of step 14 is nan \(learning rate 0.00\d+; the loss before: \d.*a rate 3 to 10 times lower"
    with pytest.raises(FloatingPointError, match=message):
        run(steps=40, loss_fn=bad_at_step_14)


def test_too_high_a_rate_ends_in_that_error():
    def steep(model, batch):
        return language_loss(model, batch).exp() ** 8

    with pytest.raises(FloatingPointError, match="step \\d+ is (inf|nan)"):
        run(steps=60, lr=1e6, clip=1e9, loss_fn=steep)


def frozen():
    model = Tiny()
    model.requires_grad_(False)
    return model


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: run(steps=0), "1 or more"),
        (lambda: run(every=0), "1 or more"),
        (lambda: run(model=frozen()), "every parameter is frozen"),
        (lambda: token_batches(torch.arange(5), 2, 5), r"no window of 5 \+ 1 tokens fits in 5"),
        (lambda: token_batches(torch.arange(50), 2, 5, starts=torch.tensor([47])), "no window"),
        (lambda: evaluate(Tiny(), []), "no batch"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
