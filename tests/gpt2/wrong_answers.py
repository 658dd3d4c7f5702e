"""Wrong answers to the exercises of lesson 04: mistakes that people make. Every checker must reject
every one.
"""

import math

import torch
import torch.nn.functional as F
from answers import DIFFERS, WrongAnswers

wrong = WrongAnswers()


# --- convert_weights ------------------------------------------------------------------------------

MASKS = (".attn.bias", ".attn.masked_bias")


TURNED = ("c_attn.weight", "c_proj.weight", "c_fc.weight")


def plain_name(name):
    return name.removeprefix("transformer.")


@wrong("convert_weights", says="It is not transposed: Conv1D keeps (in, out)")
def convert_names_only(state):
    """Transposes nothing."""
    return {plain_name(n): x for n, x in state.items() if not n.endswith(MASKS)}


@wrong("convert_weights", says="It is transposed, but is no Conv1D")
def convert_all_matrices(state):
    """Transposes embeddings and head, too."""
    return {
        plain_name(n): x.t() if x.ndim == 2 else x
        for n, x in state.items()
        if not n.endswith(MASKS)
    }


@wrong(
    "convert_weights",
    says="has the right shape because it is square, but its values must be transposed, too.",
)
def convert_by_shape(state):
    """Leaves square matrices as they are: no error, and a model that talks nonsense."""
    return {
        plain_name(n): x.t() if n.endswith(TURNED) and x.size(0) != x.size(1) else x
        for n, x in state.items()
        if not n.endswith(MASKS)
    }


@wrong(
    "convert_weights",
    says="has the right shape because it is square, but its values must be transposed, too.",
)
def convert_no_projection(state):
    """Forgets c_proj."""
    return {
        plain_name(n): x.t() if n.endswith(("c_attn.weight", "c_fc.weight")) else x
        for n, x in state.items()
        if not n.endswith(MASKS)
    }


@wrong("convert_weights", says="It is not transposed: Conv1D keeps (in, out)")
def convert_attention_only(state):
    return {
        plain_name(n): x.t() if ".attn." in n and n.endswith(TURNED) else x
        for n, x in state.items()
        if not n.endswith(MASKS)
    }


@wrong("convert_weights", says="is the stored causal mask, not a weight: leave it out.")
def convert_keeps_masks(state):
    """Right for today's state_dict(), wrong for the published file."""
    return {plain_name(n): x.t() if n.endswith(TURNED) else x for n, x in state.items()}


@wrong("convert_weights", says='still begins with "transformer.": our names do not.')
def convert_keeps_prefix(state):
    return {
        n: x.t() if n.endswith(TURNED) else x for n, x in state.items() if not n.endswith(MASKS)
    }


@wrong("convert_weights", says='It is learned, and no mask: a mask ends with ".attn.bias" or')
def convert_drops_biases(state):
    """`.bias` finds masks and biases."""
    return {
        plain_name(n): x.t() if n.endswith(TURNED) else x
        for n, x in state.items()
        if not n.endswith("bias")
    }


@wrong(
    "convert_weights",
    says='as a mask does, but is learned: a mask ends with ".attn.bias", with a dot',
)
def convert_drops_attention_biases(state):
    """ "attn.bias" without its dot also finds c_attn.bias."""
    return {
        plain_name(n): x.t() if n.endswith(TURNED) else x
        for n, x in state.items()
        if not n.endswith(("attn.bias", "masked_bias"))
    }


@wrong(
    "convert_weights",
    says="its values are in the old order: reshape and view only cut the rows anew",
)
def convert_reshapes(state):
    """reshape instead of a transpose: right shapes, shuffled values."""
    return {
        plain_name(n): x.reshape(x.shape[::-1]) if n.endswith(TURNED) else x
        for n, x in state.items()
        if not n.endswith(MASKS)
    }


@wrong("convert_weights", says="is turned by a quarter, as rot90 does")
def convert_flips(state):
    return {
        plain_name(n): x.t().flip(0) if n.endswith(TURNED) else x
        for n, x in state.items()
        if not n.endswith(MASKS)
    }


@wrong(
    "convert_weights", says="where the head is not tied to the embedding, it has weights of its own"
)
def convert_drops_head(state):
    """Leaves the head out: right as long as it is tied."""
    return {
        plain_name(n): x.t() if n.endswith(TURNED) else x
        for n, x in state.items()
        if not n.endswith(MASKS) and "lm_head" not in n
    }


@wrong(
    "convert_weights",
    says='In this file its name has no "transformer." in front: keep such names as they are',
)
def convert_drops_short(state):
    """Skips names without the prefix: the published file has none."""
    return {
        plain_name(n): x.t() if n.endswith(TURNED) else x
        for n, x in state.items()
        if n.startswith(("transformer.", "lm_head")) and not n.endswith(MASKS)
    }


@wrong("convert_weights", says="is missing. It is a weight: keep it")
def convert_blocks_only(state):
    """Only what is in the blocks: no embeddings, no last LayerNorm."""
    return {
        plain_name(n): x.t() if n.endswith(TURNED) else x
        for n, x in state.items()
        if ".h." in n and not n.endswith(MASKS)
    }


# --- what several of the answers below share ------------------------------------------------------


def start(ids, wte, wpe):
    return wte[ids] + wpe[: ids.size(1)]


def plainly(model, ids, n_new, n_positions, generator):
    for _ in range(n_new):
        p = model(ids[:, -n_positions:])[:, -1].softmax(-1)
        ids = torch.cat([ids, torch.multinomial(p, 1, generator=generator)], dim=1)
    return ids


def again(generator):
    """A source that gives what this one is about to give."""
    copy = torch.Generator()
    copy.set_state(generator.get_state())
    return copy


# --- embed -----------------------------------------------------------------------------------------


@wrong("embed", says="you took the place's vector by the token's id")
def embed_place_of_the_id(ids, wte, wpe):
    return wte[ids] + wpe[ids % wpe.shape[0]]


@wrong("embed", says="you left out the places")
def embed_tokens_only(ids, wte, wpe):
    return F.embedding(ids, wte)


@wrong("embed", says="you left out the tokens")
def embed_places_only(ids, wte, wpe):
    B, T = ids.shape
    return wpe[:T].repeat(B, 1, 1)


@wrong("embed", says="you multiplied the two vectors; add them")
def embed_product(ids, wte, wpe):
    return wte[ids] * wpe[: ids.shape[1]]


@wrong("embed", says="you put the two vectors behind each other; add them")
def embed_behind(ids, wte, wpe):
    B, T = ids.shape
    return torch.cat([wte[ids], wpe[:T].repeat(B, 1, 1)], dim=2)


@wrong("embed", says="you counted the places from 1; the first is place 0")
def embed_from_one(ids, wte, wpe):
    T = ids.shape[1]
    return wte[ids] + wpe[1 : T + 1]


@wrong("embed", says="you took the last rows of wpe; the places begin with row 0")
def embed_last_rows(ids, wte, wpe):
    return wte[ids] + wpe[len(wpe) - ids.shape[1] :]


@wrong("embed", says="you counted the places on from text to text; each text begins at place 0")
def embed_counting_on(ids, wte, wpe):
    B, T = ids.shape
    n = torch.arange(B * T) % wpe.shape[0]
    return wte[ids] + wpe[n].view(B, T, -1)


@wrong("embed", says="all positions got the vector of place 0")
def embed_place_zero(ids, wte, wpe):
    return wte[ids] + wpe[torch.zeros_like(ids)]


@wrong("embed", says="all positions of a text got one place; each has a place of its own")
def embed_one_place_a_text(ids, wte, wpe):
    x = wte[ids]
    for b in range(len(ids)):
        x[b] = x[b] + wpe[b % len(wpe)]
    return x


@wrong("embed", says="you took the mean of the two vectors; add them")
def embed_mean(ids, wte, wpe):
    return 0.5 * (wte[ids] + wpe[: ids.size(1)])


@wrong("embed", says="changed its argument in place")
def embed_adds_into_the_table(ids, wte, wpe):
    x = wte
    x += 0.001
    return x[ids] + wpe[: ids.size(1)]


# --- forward ---------------------------------------------------------------------------------------


@wrong("forward", says="you left out the blocks")
def forward_without_blocks(ids, wte, wpe, blocks, ln_f):
    return ln_f(start(ids, wte, wpe)) @ wte.T


@wrong("forward", says="you ran the blocks from the last to the first")
def forward_backwards(ids, wte, wpe, blocks, ln_f):
    x = start(ids, wte, wpe)
    for block in reversed(blocks):
        x = block(x)
    return ln_f(x) @ wte.T


@wrong("forward", says="only the first block ran; run all of them")
def forward_returns_in_the_loop(ids, wte, wpe, blocks, ln_f):
    x = start(ids, wte, wpe)
    for block in blocks:
        x = block(x)
        return ln_f(x) @ wte.T


@wrong("forward", says="the last block did not run")
def forward_but_the_last(ids, wte, wpe, blocks, ln_f):
    x = start(ids, wte, wpe)
    for n in range(len(blocks) - 1):
        x = blocks[n](x)
    return ln_f(x) @ wte.T


@wrong(
    "forward", says="each block got the first vectors; give it what the block before it returned"
)
def forward_each_from_the_start(ids, wte, wpe, blocks, ln_f):
    x = start(ids, wte, wpe)
    for block in blocks:
        y = block(x)
    return ln_f(y) @ wte.T


@wrong("forward", says="you added what a block returns; a block adds by itself")
def forward_adds_again(ids, wte, wpe, blocks, ln_f):
    x = start(ids, wte, wpe)
    for block in blocks:
        x = x + block(x)
    return ln_f(x) @ wte.T


@wrong("forward", says="you left out ln_f, the last LayerNorm")
def forward_without_norm(ids, wte, wpe, blocks, ln_f):
    x = start(ids, wte, wpe)
    for block in blocks:
        x = block(x)
    return x @ wte.T


@wrong("forward", says="ln_f ran before the blocks; it comes once, after the last")
def forward_norm_first(ids, wte, wpe, blocks, ln_f):
    x = ln_f(start(ids, wte, wpe))
    for block in blocks:
        x = block(x)
    return x @ wte.T


@wrong("forward", says="ln_f ran after each block; it comes once, after the last")
def forward_norm_in_the_loop(ids, wte, wpe, blocks, ln_f):
    x = start(ids, wte, wpe)
    for block in blocks:
        x = ln_f(block(x))
    return x @ wte.T


@wrong("forward", says="you returned the vectors; score them with the rows of wte")
def forward_no_head(ids, wte, wpe, blocks, ln_f):
    x = start(ids, wte, wpe)
    for block in blocks:
        x = block(x)
    return ln_f(x)


@wrong("forward", says="you returned probabilities; return the scores")
def forward_probabilities(ids, wte, wpe, blocks, ln_f):
    x = start(ids, wte, wpe)
    for block in blocks:
        x = block(x)
    return torch.softmax(ln_f(x) @ wte.T, dim=-1)


@wrong("forward", says="you left out the places; begin with embed(ids, wte, wpe)")
def forward_without_places(ids, wte, wpe, blocks, ln_f):
    x = wte[ids]
    for block in blocks:
        x = block(x)
    return ln_f(x) @ wte.T


@wrong("forward", says="only the last position was scored; score all")
def forward_last_only(ids, wte, wpe, blocks, ln_f):
    x = start(ids, wte, wpe)
    for block in blocks:
        x = block(x)
    return ln_f(x[:, -1:]) @ wte.T


@wrong("forward", says="you multiplied with wte; the rows are the tokens, so turn it: wte.T")
def forward_table_not_turned(ids, wte, wpe, blocks, ln_f):
    x = start(ids, wte, wpe)
    for block in blocks:
        x = block(x)
    return ln_f(x) @ wte


# --- next_token_loss -------------------------------------------------------------------------------


@wrong(
    "next_token_loss",
    says="you compared with the token that was just read; compare with the next one",
)
def loss_of_itself(logits, ids):
    return F.cross_entropy(logits.flatten(0, 1), ids.flatten())


@wrong("next_token_loss", says="you shifted the wrong way")
def loss_shifted_back(logits, ids):
    V = logits.size(-1)
    return F.cross_entropy(logits[:, 1:].reshape(-1, V), ids[:, :-1].reshape(-1))


@wrong(
    "next_token_loss",
    says="the last position was judged by the first token of the text; it has no next token",
)
def loss_in_a_circle(logits, ids):
    return F.cross_entropy(logits.flatten(0, 1), torch.roll(ids, -1, 1).flatten())


@wrong("next_token_loss", says="you added up; take the mean")
def loss_sum(logits, ids):
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten(), reduction="sum")


@wrong(
    "next_token_loss",
    says="you divided by the number of texts only; take the mean over all positions",
)
def loss_mean_of_sums(logits, ids):
    log_p = logits.log_softmax(-1)[:, :-1].gather(-1, ids[:, 1:, None])[..., 0]
    return -log_p.sum(1).mean()


@wrong("next_token_loss", says="you divided by T; only T - 1 positions of each text count")
def loss_divided_by_all(logits, ids):
    log_p = logits.log_softmax(-1)[:, :-1].gather(-1, ids[:, 1:, None])
    return -log_p.sum() / ids.numel()


@wrong("next_token_loss", says="the sign is wrong: the loss is minus the logarithm")
def loss_without_minus(logits, ids):
    return logits.log_softmax(-1)[:, :-1].gather(-1, ids[:, 1:, None]).mean()


@wrong("next_token_loss", says="these are bits; give nats, with the natural logarithm")
def loss_in_bits(logits, ids):
    log_p = logits.log_softmax(-1)[:, :-1].gather(-1, ids[:, 1:, None])
    return -(log_p / math.log(2)).mean()


@wrong(
    "next_token_loss",
    says="you took the scores for logarithms of probabilities; they need a log_softmax first",
)
def loss_of_scores(logits, ids):
    return F.nll_loss(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())


@wrong("next_token_loss", says="the softmax was taken twice: F.cross_entropy takes one by itself")
def loss_two_softmaxes(logits, ids):
    p = logits.softmax(-1)
    return F.cross_entropy(p[:, :-1].flatten(0, 1), ids[:, 1:].flatten())


@wrong("next_token_loss", says="you gave the perplexity; the loss is its logarithm")
def loss_perplexity(logits, ids):
    return torch.exp(F.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten()))


@wrong(
    "next_token_loss",
    says="you averaged probabilities and then took the logarithm; take the mean of the logarithms",
)
def loss_log_of_mean(logits, ids):
    p = logits.softmax(-1)[:, :-1].gather(-1, ids[:, 1:, None])
    return -torch.log(p.mean())


@wrong(
    "next_token_loss",
    says="only the last token was judged; judge each token that has one before it",
)
def loss_last_only(logits, ids):
    return F.cross_entropy(logits[:, -2], ids[:, -1])


@wrong("next_token_loss", says="one number for each text; take the mean over all")
def loss_of_each_text(logits, ids):
    log_p = logits.log_softmax(-1)[:, :-1].gather(-1, ids[:, 1:, None])[..., 0]
    return -log_p.mean(1)


@wrong("next_token_loss", says="one number for each position; take the mean over all")
def loss_of_each_position(logits, ids):
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten(), reduction="none")


@wrong(
    "next_token_loss",
    says="the probability of a token as small as exp(-1000) is 0, and its logarithm infinite: use log_softmax",
)
def loss_log_of_softmax(logits, ids):
    p = torch.softmax(logits[:, :-1], dim=-1)
    return -p.gather(-1, ids[:, 1:, None]).log().mean()


# --- clip_gradients --------------------------------------------------------------------------------


@wrong(
    "clip_gradients",
    says="you shrank each tensor by its own norm; the norm is that of all numbers together",
)
def clip_each(gradients, most):
    return [g * min(1.0, most / float(g.norm())) if g.norm() > 0 else g * 1 for g in gradients]


@wrong(
    "clip_gradients",
    says="you cut single numbers, which turns the direction; shrink all by one factor",
)
def clip_numbers(gradients, most):
    return [torch.clamp(g, -most, most) for g in gradients]


@wrong("clip_gradients", says="a step that is short enough was made longer; leave it as it is")
def clip_always(gradients, most):
    norm = sum(g.pow(2).sum() for g in gradients) ** 0.5
    return [g * most / norm if norm > 0 else g * 1 for g in gradients]


@wrong("clip_gradients", says="the norm is the root of the sum of squares; you left out the root")
def clip_no_root(gradients, most):
    norm = float(sum(g.pow(2).sum() for g in gradients))
    return [g * min(1.0, most / norm) if norm > 0 else g * 1 for g in gradients]


@wrong(
    "clip_gradients",
    says="you added up absolute values; the norm is the root of the sum of squares",
)
def clip_absolute(gradients, most):
    norm = float(sum(g.abs().sum() for g in gradients))
    return [g * min(1.0, most / norm) if norm > 0 else g * 1 for g in gradients]


@wrong(
    "clip_gradients",
    says="you took the largest number for the norm; it is the root of the sum of squares",
)
def clip_largest(gradients, most):
    norm = max(float(g.abs().max()) for g in gradients)
    return [g * min(1.0, most / norm) if norm > 0 else g * 1 for g in gradients]


@wrong(
    "clip_gradients",
    says="you added up the norms of the tensors; take the root of the sum of all squares",
)
def clip_sum_of_norms(gradients, most):
    norm = float(sum(g.norm() for g in gradients))
    return [g * min(1.0, most / norm) if norm > 0 else g * 1 for g in gradients]


@wrong("clip_gradients", says="you multiplied by most; the factor is most / norm")
def clip_times_most(gradients, most):
    norm = math.sqrt(sum(float(g.pow(2).sum()) for g in gradients))
    return [g * most if norm > most else g * 1 for g in gradients]


@wrong(
    "clip_gradients", says="you divided by the norm, so that the new norm is 1; it should be most"
)
def clip_to_one(gradients, most):
    norm = math.sqrt(sum(float(g.pow(2).sum()) for g in gradients))
    return [g / norm if norm > most else g * 1 for g in gradients]


@wrong("clip_gradients", says="nothing was shrunk")
def clip_nothing(gradients, most):
    return [g.clone() for g in gradients]


@wrong(
    "clip_gradients",
    says="you divided by a norm of 0; where there is no step, there is nothing to shrink",
)
def clip_zero_by_zero(gradients, most):
    norm = torch.sqrt(sum(g.pow(2).sum() for g in gradients))
    return [g * torch.clamp(most / norm, max=1.0) if norm > 0 else g / norm for g in gradients]


@wrong("clip_gradients", says="changed its argument in place")
def clip_in_place(gradients, most):
    norm = math.sqrt(sum(float(g.pow(2).sum()) for g in gradients))
    for g in gradients:
        if norm > most:
            g *= most / norm
    return gradients


# --- generate --------------------------------------------------------------------------------------


@wrong("generate", says="the model was shown ")
def generate_shows_all(model, ids, n_new, n_positions, generator):
    for _ in range(n_new):
        p = model(ids)[:, -1].softmax(-1)
        ids = torch.cat([ids, torch.multinomial(p, 1, generator=generator)], dim=1)
    return ids


@wrong("generate", says="you showed the first n_positions tokens; show the last ones")
def generate_first_ones(model, ids, n_new, n_positions, generator):
    for _ in range(n_new):
        p = model(ids[:, :n_positions])[:, -1].softmax(-1)
        ids = torch.cat([ids, torch.multinomial(p, 1, generator=generator)], dim=1)
    return ids


@wrong(
    "generate", says="you showed only the last token; show the whole text, up to n_positions tokens"
)
def generate_last_token(model, ids, n_new, n_positions, generator):
    for _ in range(n_new):
        p = model(ids[:, -1:])[:, -1].softmax(-1)
        ids = torch.cat([ids, torch.multinomial(p, 1, generator=generator)], dim=1)
    return ids


@wrong("generate", says="you showed only the prompt; show what was written, too")
def generate_prompt_only(model, ids, n_new, n_positions, generator):
    text = ids
    for _ in range(n_new):
        p = model(ids[:, -n_positions:])[:, -1].softmax(-1)
        text = torch.cat([text, torch.multinomial(p, 1, generator=generator)], dim=1)
    return text


@wrong("generate", says="you returned only what is new; return the whole text")
def generate_new_only(model, ids, n_new, n_positions, generator):
    T = ids.size(1)
    return plainly(model, ids, n_new, n_positions, generator)[:, T:]


@wrong("generate", says="the new token was put in front; append it")
def generate_in_front(model, ids, n_new, n_positions, generator):
    for _ in range(n_new):
        p = model(ids[:, -n_positions:])[:, -1].softmax(-1)
        ids = torch.cat([torch.multinomial(p, 1, generator=generator), ids], dim=1)
    return ids


@wrong("generate", says="one token too many")
def generate_one_more(model, ids, n_new, n_positions, generator):
    return plainly(model, ids, n_new + 1 if n_new else 0, n_positions, generator)


@wrong("generate", says="one token too few")
def generate_one_less(model, ids, n_new, n_positions, generator):
    return plainly(model, ids, max(n_new - 1, 0), n_positions, generator)


@wrong("generate", says="nothing was written")
def generate_forgets_the_name(model, ids, n_new, n_positions, generator):
    for _ in range(n_new):
        p = model(ids[:, -n_positions:])[:, -1].softmax(-1)
        torch.cat([ids, torch.multinomial(p, 1, generator=generator)], dim=1)
    return ids


@wrong("generate", says="you read what the model said at the first position; take the last")
def generate_first_position(model, ids, n_new, n_positions, generator):
    for _ in range(n_new):
        p = model(ids[:, -n_positions:])[:, 0].softmax(-1)
        ids = torch.cat([ids, torch.multinomial(p, 1, generator=generator)], dim=1)
    return ids


@wrong(
    "generate", says="the same seed gives another text; draw with the generator that you are given"
)
def generate_global_source(model, ids, n_new, n_positions, generator):
    for _ in range(n_new):
        p = model(ids[:, -n_positions:])[:, -1].softmax(-1)
        ids = torch.cat([ids, torch.multinomial(p, 1)], dim=1)
    return ids


@wrong(
    "generate",
    says="you always took the most likely token; draw one, with the probabilities of softmax",
)
def generate_greedy(model, ids, n_new, n_positions, generator):
    for _ in range(n_new):
        best = model(ids[:, -n_positions:])[:, -1].argmax(-1, keepdim=True)
        ids = torch.cat([ids, best], dim=1)
    return ids


@wrong(
    "generate", says="another seed gives the same text; draw with the generator that you are given"
)
def generate_own_source(model, ids, n_new, n_positions, generator):
    mine = torch.Generator().manual_seed(0)
    return plainly(model, ids, n_new, n_positions, mine)


@wrong("generate", says="all texts got the same tokens; draw for each text by itself")
def generate_one_for_all(model, ids, n_new, n_positions, generator):
    for _ in range(n_new):
        p = model(ids[:, -n_positions:])[:, -1].softmax(-1)
        drawn = torch.stack([torch.multinomial(row, 1, generator=again(generator)) for row in p])
        torch.rand(1, generator=generator)
        ids = torch.cat([ids, drawn], dim=1)
    return ids


@wrong("generate", says="all tokens came equally often; draw with the probabilities of softmax")
def generate_evenly(model, ids, n_new, n_positions, generator):
    for _ in range(n_new):
        logits = model(ids[:, -n_positions:])[:, -1]
        even = (logits > -100).float() if logits.max() < 100 else logits.softmax(-1)
        ids = torch.cat([ids, torch.multinomial(even, 1, generator=generator)], dim=1)
    return ids


@wrong("generate", says="you drew in proportion to the scores; take their softmax first")
def generate_from_scores(model, ids, n_new, n_positions, generator):
    for _ in range(n_new):
        logits = model(ids[:, -n_positions:])[:, -1]
        ids = torch.cat([ids, torch.multinomial(logits, 1, generator=generator)], dim=1)
    return ids


@wrong("generate", says="its probability is 0.82")
def generate_cold(model, ids, n_new, n_positions, generator):
    return plainly(lambda x: 2 * model(x), ids, n_new, n_positions, generator)


# --- seconds_per_call ------------------------------------------------------------------------------


@wrong(
    "seconds_per_call",
    says="the clock was read when the work was only ordered; wait() before you read it again",
)
def seconds_ordered(work, wait, clock, repeats=5):
    work()
    wait()
    begun = clock()
    for _ in range(repeats):
        work()
    return (clock() - begun) / repeats


@wrong(
    "seconds_per_call",
    says="the first call, which prepares, is in your time; call work() once before you begin",
)
def seconds_cold(work, wait, clock, repeats=5):
    begun = clock()
    for _ in range(repeats):
        work()
    wait()
    return (clock() - begun) / repeats


@wrong(
    "seconds_per_call",
    says="the call that prepares is in your time; wait() after it, and read the clock then",
)
def seconds_with_the_first(work, wait, clock, repeats=5):
    begun = clock()
    work()
    wait()
    for _ in range(repeats):
        work()
    wait()
    return (clock() - begun) / repeats


@wrong(
    "seconds_per_call",
    says="the call that prepares is in your time; wait() after it, and read the clock then",
)
def seconds_full_queue(work, wait, clock, repeats=5):
    work()
    begun = clock()
    for _ in range(repeats):
        work()
    wait()
    return (clock() - begun) / repeats


@wrong(
    "seconds_per_call",
    says="the clock was read when the work was only ordered; wait() before you read it again",
)
def seconds_never_waits(work, wait, clock, repeats=5):
    work()
    begun = clock()
    for _ in range(repeats):
        work()
    return (clock() - begun) / repeats


@wrong("seconds_per_call", says="divide by repeats: how long does one call take?")
def seconds_of_all(work, wait, clock, repeats=5):
    work()
    wait()
    begun = clock()
    for _ in range(repeats):
        work()
    wait()
    return clock() - begun


@wrong("seconds_per_call", says="you divided by repeats + 1; the call that prepares does not count")
def seconds_by_one_more(work, wait, clock, repeats=5):
    work()
    wait()
    begun = clock()
    for _ in range(repeats):
        work()
    wait()
    return (clock() - begun) / (repeats + 1)


@wrong("seconds_per_call", says=DIFFERS)
def seconds_wrong_way(work, wait, clock, repeats=5):
    work()
    wait()
    begun = clock()
    for _ in range(repeats):
        work()
    wait()
    return (begun - clock()) / repeats


# --- learning_rate --------------------------------------------------------------------------------


def down(done, of, final):
    return final + (1 - final) * (1 + math.cos(math.pi * done / max(1, of))) / 2


@wrong("learning_rate", says="there is no warm-up")
def rate_no_warmup(step, steps, lr, warmup=0.1, final=0.1):
    done = step / max(1, steps - 1)
    return lr * (final + (1 - final) * (1 + math.cos(math.pi * done)) / 2)


@wrong("learning_rate", says="the first step has the rate 0, so it is lost; begin with lr / warm")
def rate_from_zero(step, steps, lr, warmup=0.1, final=0.1):
    warm = round(warmup * steps)
    if step < warm:
        return lr * step / warm
    return lr * down(step - warm, steps - 1 - warm, final)


@wrong("learning_rate", says="it falls along a straight line; let it fall along a cosine")
def rate_line(step, steps, lr, warmup=0.1, final=0.1):
    warm = round(warmup * steps)
    if step < warm:
        return lr * (step + 1) / warm
    return lr + (final * lr - lr) * (step - warm) / max(1, steps - 1 - warm)


@wrong("learning_rate", says="it falls to 0; the last rate is final * lr")
def rate_to_zero(step, steps, lr, warmup=0.1, final=0.1):
    warm = round(warmup * steps)
    if step < warm:
        return lr * (step + 1) / warm
    return lr * down(step - warm, steps - 1 - warm, 0.0)


@wrong(
    "learning_rate",
    says="the last step does not reach final * lr; the steps count from 0 to steps - 1",
)
def rate_one_too_long(step, steps, lr, warmup=0.1, final=0.1):
    warm = round(warmup * steps)
    if step < warm:
        return lr * (step + 1) / warm
    return lr * down(step - warm, steps - warm, final)


@wrong("learning_rate", says="1 + cos goes from 2 to 0; halve it")
def rate_not_halved(step, steps, lr, warmup=0.1, final=0.1):
    warm = round(warmup * steps)
    if step < warm:
        return lr * (step + 1) / warm
    done = (step - warm) / max(1, steps - 1 - warm)
    return lr * (final + (1 - final) * (1 + math.cos(math.pi * done)))


@wrong("learning_rate", says="final is added to the whole cosine")
def rate_final_added(step, steps, lr, warmup=0.1, final=0.1):
    warm = round(warmup * steps)
    if step < warm:
        return lr * (step + 1) / warm
    return final * lr + lr * down(step - warm, steps - 1 - warm, 0.0)


@wrong("learning_rate", says="the cosine began at the first step; it begins after the warm-up")
def rate_cosine_from_the_start(step, steps, lr, warmup=0.1, final=0.1):
    warm = round(warmup * steps)
    if step < warm:
        return lr * (step + 1) / warm
    return lr * down(step, steps - 1, final)


@wrong("learning_rate", says="the rate is the share alone; multiply it by lr")
def rate_share_alone(step, steps, lr, warmup=0.1, final=0.1):
    warm = round(warmup * steps)
    if step < warm:
        return (step + 1) / warm
    return down(step - warm, steps - 1 - warm, final)


@wrong("learning_rate", says="warmup is a share of the steps, not their number")
def rate_warmup_as_a_number(step, steps, lr, warmup=0.1, final=0.1):
    if step < warmup:
        return lr * (step + 1) / warmup
    return lr * down(step - warmup, steps - 1 - warmup, final)
