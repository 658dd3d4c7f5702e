"""Stop, pressed anywhere: whatever the package does with a model or with torch is undone, and the
next run is a whole one.
"""

import copy
import subprocess
import sys
import threading

import pytest
import torch
from common import ROOT
from safetensors.torch import save_file
from test_training import QUIET, TEXT, T, Tiny, V
from torch import nn

import course_utils.training as training
from course_utils.attention.heads import MultiHeadAttention
from course_utils.checking.engine import Exercise
from course_utils.checking.limits import run_limited
from course_utils.circuits.hooks import ActivationCache, activations, patched, record
from course_utils.induction.ablation import ablated
from course_utils.machine import checkpoints
from course_utils.preferences.reinforcement import sample_answers
from course_utils.training import evaluate, language_loss, token_batches, train
from course_utils.transformer_block.block import TransformerConfig
from course_utils.transformer_block.transformer import Transformer


def stop(*args, **options):
    raise KeyboardInterrupt


def state_of(model):
    """All that a run may change for its time and must put back: of the model, and of torch."""
    return {
        "modes": [part.training for part in model.modules()],
        "devices": [str(x.device) for x in model.parameters()],
        "trainable": [x.requires_grad for x in model.parameters()],
        "gradients": [x.grad for x in model.parameters() if x.grad is not None],
        "hooks": [
            (len(m._forward_hooks), len(m._forward_pre_hooks), len(m._backward_hooks))
            for m in model.modules()
        ],
        "gradients are on": torch.is_grad_enabled(),
        "inference": torch.is_inference_mode_enabled(),
        "dtype": torch.get_default_dtype(),
        "random": torch.get_rng_state().tolist(),
    }


# --- Training -------------------------------------------------------------------------------------


def at(count, then=stop):
    """A function that does nothing but for its call number `count`, when Stop is pressed."""
    calls = []

    def hook(*args):
        calls.append(args)
        if len(calls) == count:
            then()

    return hook


def in_batches(model, options):
    draw = token_batches(TEXT, 4, T)
    press = at(4)
    options["batches"] = lambda generator: press() or draw(generator)


def in_the_forward_pass(model, options):
    press = at(4)
    options["loss_fn"] = lambda model, batch: press() or language_loss(model, batch)


def in_the_backward_pass(model, options):
    def loss_fn(model, batch, press=at(4)):  # noqa: B008
        loss = language_loss(model, batch)
        loss.register_hook(lambda gradient: press())
        return loss

    options["loss_fn"] = loss_fn


def after_the_backward_pass(model, options):
    """Each weight has its gradient by then."""
    clip = nn.utils.clip_grad_norm_
    press = at(4)
    options["patch"] = (nn.utils, "clip_grad_norm_", lambda *args: press() or clip(*args))


def in_on_steps(model, options):
    options |= {"on_steps": at(3), "every": 1}


def in_the_evaluation(model, options):
    options |= {
        "eval_batches": [(TEXT[None, :-1], TEXT[None, 1:])],
        "eval_every": 4,
        "on_steps": None,
    }
    options["loss_fn"] = lambda model, batch: (
        language_loss(model, batch) if model.training else stop()
    )


def in_the_checkpoint(model, options):
    options["patch"] = (training, "save_checkpoint", at(2))
    options |= {"checkpoint_every": 2}


PLACES = [
    in_batches,
    in_the_forward_pass,
    in_the_backward_pass,
    after_the_backward_pass,
    in_on_steps,
    in_the_evaluation,
    in_the_checkpoint,
]


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_stopped_training_leaves_nothing_behind_and_the_next_run_is_whole(
    place, tmp_path, monkeypatch
):
    torch.manual_seed(7)
    model = Tiny(dropout=0.3).eval()
    model.mix.train()
    model.norm.requires_grad_(False)
    untouched = copy.deepcopy(model)
    before = state_of(model)
    options = {"batches": token_batches(TEXT, 4, T), "checkpoint": tmp_path / "state.safetensors"}
    place(model, options)
    with monkeypatch.context() as patch:
        if "patch" in options:
            patch.setattr(*options.pop("patch"))
        with pytest.raises(KeyboardInterrupt):
            train(model, options.pop("batches"), 12, lr=1e-2, **QUIET, **options)
    assert state_of(model) == before
    draw = token_batches(TEXT, 4, T)
    model.load_state_dict(untouched.state_dict())
    again = train(model, draw, 12, lr=1e-2, **QUIET)
    first = train(untouched, draw, 12, lr=1e-2, **QUIET)
    assert again.losses == first.losses and again.grad_norms == first.grad_norms


def test_gradients_from_before_do_not_count():
    """A cell with a loop of its own may have been stopped between its backward pass and its
    step.
    """
    clean = Tiny()
    stained = Tiny()
    language_loss(stained, (TEXT[None, :-1], TEXT[None, 1:])).backward()
    draw = token_batches(TEXT, 4, T)
    one, two = (train(model, draw, 3, **QUIET) for model in (clean, stained))
    assert one.grad_norms == two.grad_norms


@pytest.mark.parametrize("when", ["while it is written", "before it takes its name"])
def test_a_checkpoint_stays_whole(when, tmp_path, monkeypatch):
    file = tmp_path / "state.safetensors"
    draw = token_batches(TEXT, 4, T)
    with pytest.raises(KeyboardInterrupt):  # steps 1 to 4 are saved
        train(
            Tiny(0.3),
            draw,
            12,
            checkpoint=file,
            checkpoint_every=4,
            every=1,
            on_steps=at(5),
            **QUIET,
        )
    whole = file.read_bytes()

    def half(tensors, target, metadata):
        save_file(tensors, target, metadata=metadata)
        if when == "while it is written":
            target.write_bytes(target.read_bytes()[:100])
        stop()

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(checkpoints, "save_file", half)
        train(Tiny(0.3), draw, 12, checkpoint=file, checkpoint_every=4, **QUIET)
    assert file.read_bytes() == whole
    resumed = Tiny(0.3, seed=5)
    straight = Tiny(0.3)
    assert (
        train(resumed, draw, 12, checkpoint=file, checkpoint_every=4, **QUIET).losses
        == train(straight, draw, 12, **QUIET).losses
    )
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_a_stopped_evaluation_gives_each_module_its_mode_back():
    model = Tiny(dropout=0.3)
    model.mix.eval()
    before = state_of(model)
    with pytest.raises(KeyboardInterrupt):
        evaluate(model, [(TEXT[None, :-1], TEXT[None, 1:])], stop)
    assert state_of(model) == before


LOADS = """
import sys
import torch
import course_utils.classroom
before = set(sys.modules)
layer = torch.nn.Linear(2, 2)
for kind in (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW, torch.optim.LBFGS):
    optimizer = kind(layer.parameters(), lr=0.1)
    def loss():
        optimizer.zero_grad()
        value = layer(torch.ones(1, 2)).square().sum()
        value.backward()
        return value
    optimizer.step(loss)
print(sum(name.startswith("torch.") for name in set(sys.modules) - before))
"""


def test_the_first_optimizer_loads_nothing_that_stop_could_leave_half_loaded():
    """Stop during the import of torch._dynamo gives "partially initialized module" ever after: it
    is loaded with the course.
    """
    run = subprocess.run(
        [sys.executable, "-c", LOADS], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert int(run.stdout) < 10


# --- Looking into models --------------------------------------------------------------------------


class Stopping(nn.Module):
    """A layer that presses Stop."""

    def forward(self, x):
        raise KeyboardInterrupt


def small():
    torch.manual_seed(0)
    return Transformer(
        TransformerConfig(vocab_size=V, n_positions=8, n_embd=8, n_layer=2, n_head=2),
        torch.Generator().manual_seed(0),
    )


def with_cache(model, ids):
    with ActivationCache(model, ["h.*.attn.heads", "h.*.attn.pattern", "h.1.in"]):
        model(ids)


def with_patch(model, ids):
    with patched(model, {"h.*.mlp": torch.zeros_like, "h.0.attn.pattern": torch.zeros_like}):
        model(ids)


def with_ablation(model, ids):
    with ablated(model, [(0, 1), (1, 0)]):
        model(ids)


LOOKS = {
    "record": lambda model, ids: record(model, ids, ["h.0.mlp", "ln_f"]), "activations": lambda model, ids: activations(model, ids, ["h.*.attn.heads"]),
    "ActivationCache": with_cache, "patched": with_patch, "ablated": with_ablation,
    "sample_answers": lambda model, ids: sample_answers(model, ids, 2, 3, 0, torch.Generator().manual_seed(0)),
}  # fmt: skip


@pytest.mark.parametrize("look", LOOKS)
def test_a_stopped_look_into_a_model_takes_its_hooks_off(look):
    model = small()
    ids = torch.zeros(1, 5, dtype=torch.long)
    model.h[1].mlp = Stopping()
    before = state_of(model)
    with pytest.raises(KeyboardInterrupt):
        LOOKS[look](model, ids)
    assert state_of(model) == before


def test_a_pattern_that_is_replaced_is_put_back_where_stop_is_pressed_inside(monkeypatch):
    """The second look at a layer switches the hooks of its last matrix off for a moment."""
    model = small()
    ids = torch.zeros(1, 5, dtype=torch.long)
    before = state_of(model)
    forward = MultiHeadAttention.forward
    press = at(1)

    def stopped_at_the_second_look(self, *args, return_weights=False, **options):
        if return_weights:
            press()
        return forward(self, *args, return_weights=return_weights, **options)

    monkeypatch.setattr(MultiHeadAttention, "forward", stopped_at_the_second_look)
    with (
        pytest.raises(KeyboardInterrupt),
        ActivationCache(model, ["h.0.attn.heads", "h.0.attn.pattern"]),
    ):
        model(ids)
    assert state_of(model) == before


# --- Checks ---------------------------------------------------------------------------------------


def interrupted_main(work, **limits):
    """Runs work() under limits, and presses Stop in this thread as soon as work() calls what it is
    given.
    """
    import _thread

    with pytest.raises(KeyboardInterrupt):
        run_limited(lambda: work(_thread.interrupt_main), **limits)


def spins(press):
    press()
    while True:
        try:
            while True:
                pass
        except:  # noqa: E722
            pass


def test_stop_during_a_check_ends_its_thread_and_goes_on_its_way():
    before = set(threading.enumerate())
    interrupted_main(spins)
    assert set(threading.enumerate()) - before == set()


def test_stop_during_check_of_an_exercise(capsys):
    def check(student, rng):
        student()

    before = set(threading.enumerate())
    with pytest.raises(KeyboardInterrupt):
        import _thread

        Exercise("x", spins, check, ["h"], 1, 1).grade(lambda: spins(_thread.interrupt_main))
    assert set(threading.enumerate()) - before == set()
    print("seen")
    assert capsys.readouterr().out == "seen\n"  # the page's output is the page's again
