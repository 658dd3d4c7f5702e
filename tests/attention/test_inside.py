"""One head of a model from inside: read as the model computes it, and replaced without harm."""

import pytest
import torch

from course_utils import pretrained
from course_utils.attention import attention_weights, causal_mask
from course_utils.attention.inside import hidden_things, inside, replaced

TEXT = "Her best friend was Leo. Mia hid the kite under the bed. She looked under the"


@pytest.fixture(scope="module")
def talker():
    return pretrained.trained(n_windows=1)


def test_the_head_is_the_models_own(talker):
    """Its weights are those that the layer returns, on the text at hand."""
    ids = talker.encode(TEXT)
    seen = []
    hook = talker.model.h[3].attn.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    with torch.no_grad():
        talker.model(ids[None])
    hook.remove()
    _, maps = talker.model.h[3].attn(seen[0], return_weights=True)
    head = inside(talker.model, ids, talker.words, 3, 2)
    ours = attention_weights(head.q, head.k, causal_mask(len(ids)))
    torch.testing.assert_close(ours, maps[0, 2].detach())


def test_a_head_that_is_not_there_is_named(talker):
    with pytest.raises(ValueError, match="no head 4.0: the model has 4 layers of 4 heads"):
        inside(talker.model, talker.encode(TEXT), talker.words, 4, 0)


def test_the_models_own_weights_change_nothing_and_others_do(talker):
    ids = talker.encode(TEXT)[None]
    with torch.no_grad():
        before = talker.model(ids)
        with replaced(talker.model, 3, 0, attention_weights):
            torch.testing.assert_close(talker.model(ids), before)
        with replaced(talker.model, 3, 0, lambda q, k, mask: mask / mask.sum(-1, keepdim=True)):
            assert (talker.model(ids) - before).abs().max() > 0.1
        torch.testing.assert_close(talker.model(ids), before)


@pytest.mark.parametrize("work", [inside, replaced])
def test_no_hook_stays_where_something_fails(talker, work):
    hooks = [
        len(part._forward_hooks) + len(part._forward_pre_hooks) for part in talker.model.modules()
    ]
    with pytest.raises(Exception, match="."):
        if work is inside:
            inside(talker.model, torch.tensor([10**6]), talker.words, 0, 0)
        else:
            with replaced(talker.model, 0, 0, lambda q, k, mask: 1 / 0):
                talker.model(talker.encode(TEXT)[None])
    assert hooks == [
        len(part._forward_hooks) + len(part._forward_pre_hooks) for part in talker.model.modules()
    ]


def test_the_texts_are_in_the_models_words_and_end_before_their_place(talker):
    for text, place in hidden_things(50, seed=3):
        words = [talker.words[i] for i in talker.encode(text)]
        assert place in talker.words and words[12] == place and len(words) == 18
