"""tools/glossary.py: which words are terms, and that none is missing."""

import glossary
import pytest
from common import Problem, sources

# What each lesson must explain.
NEEDED = {
    "06_superposition": {
        "feature", "interference", "monosemantic", "polysemantic", "privileged basis", "sparsity",
        "superposition",
    },
    "15_induction": {
        "ablation", "additive", "composition", "induction-head score",
        "mean ablation", "output-value circuit", "prefix matching", "query-key circuit",
    },
    "10_inside_gpt2": {
        "cosine similarity", "excess kurtosis", "lesion", "participation ratio",
        "random-matrix baseline", "singular values",
    },
    "03_transformer_block": {
        "activation function", "dropout", "feed-forward network", "initialization",
        "layer normalization", "post-norm", "pre-norm", "residual connection", "warm-up",
    },
    "00_language_models": {
        "black box", "corpus", "grey box", "held out", "language model", "loss", "n-gram", "open weights",
        "perplexity", "probability", "recurrent network", "rule-based system", "smoothing",
    },
    "01_tokenization": {
        "byte-pair encoding", "embedding", "id", "one-hot", "pre-tokenization", "special token", "token", "vocabulary",
    },
    "04_gpt2": {
        "arithmetic intensity", "fused", "kernels", "learning rate", "logits", "loss scaling", "model FLOP utilization",
        "optimizer", "residual stream", "roofline", "tied",
    },
    "02_attention": {
        "attention head", "autoregressive", "causal mask", "entropy", "key", "key-value cache",
        "multi-head attention", "nat", "query", "scaled dot-product attention", "self-attention",
        "softmax", "temperature", "value",
    },
    "05_scaling_laws": {
        "bigram model", "compute-optimal", "floor", "model collapse", "over-training", "power law",
    },
    "08_model_budget": {
        "activations", "checkpointing", "floating-point operations", "gradient accumulation",
        "meta device", "mixed precision", "parameters",
    },
    "11_architectures": {
        "active parameters", "cross-attention", "decoder", "encoder", "grouped-query attention", "load-balancing loss",
        "gated linear unit", "mixture of experts", "prefix language model", "root mean square norm",
        "rotary position embedding", "router", "sliding window",
    },
    "12_test_time_compute": {
        "best-of-n", "chain of thought", "coverage", "frontier", "self-consistency", "step search", "verifier",
    },
    "16_probes": {
        "control task", "kurtosis", "majority baseline", "precision", "probe", "recall", "regression coefficient",
        "representational similarity", "selectivity",
    },
    "19_lora": {"low-rank adaptation", "merge"},
    "18_instruction_tuning": {
        "catastrophic forgetting", "chat template", "cloze", "few-shot", "hallucination", "instruction tuning",
        "replay", "supervised fine-tuning", "synthetic data",
    },
    "14_circuits": {
        "activation patching", "attribution patching", "circuit", "complete", "direct effect",
        "direct logit attribution", "faithful", "hook", "indirect effect", "logit lens", "minimal",
        "path patching", "total effect",
    },
    "17_grokking": {
        "discrete Fourier transform", "early stopping", "emergence", "exact match", "excluded loss", "frequency",
        "grokking", "leak", "power", "progress measure", "restricted loss", "weight decay",
    },
    "09_sampling": {
        "beam search", "greedy decoding", "min-p", "multinomial", "repetition penalty", "top-k", "top-p",
    },
    "23_audit": {"audit", "false alarms", "p-value", "statistical power", "white-box access"},
    "20_preferences": {
        "advantage", "baseline", "direct preference optimisation", "policy", "preference pair", "probability ratio", "proxy reward", "reference model", "reinforcement learning", "reward model",
        "reward over-optimisation", "verifiable reward",
    },
    "07_kl_bias": {
        "cross-entropy", "forward KL", "relative entropy", "reverse KL", "soft targets",
        "target distribution",
    },
    "22_guard_rails": {
        "adversarial suffix", "directional ablation", "jailbreak", "many-shot jailbreaking", "over-refusal", "prompt injection", "refusal", "system prompt", "unlearning",
    },
    "13_sparse_autoencoders": {
        "dead unit", "feature absorption", "feature splitting",
        "shrinkage", "side effect", "sparse autoencoder",
    },
    "21_compression": {
        "absmax quantization", "distillation", "heal", "outlier", "pruning", "quantized", "zero point",
    },
}  # fmt: skip


def test_the_glossary_is_what_the_lessons_say():
    assert not glossary.is_stale()


def test_every_term_that_is_needed_is_explained_in_its_lesson():
    assert set(NEEDED) == {source.stem for source in sources()}
    found = {(term.stem, term.name) for term in glossary.terms()}
    assert found >= {(stem, name) for stem, names in NEEDED.items() for name in names}


def lessons(folder, **texts):
    (folder / "src").mkdir()
    for stem, text in texts.items():
        lines = "\n".join(f"# {line}".rstrip() for line in text.split("\n"))
        path = folder / "src" / f"{stem}.py"
        path.write_text(f"# %% [markdown]\n{lines}\n", encoding="utf-8")
    return glossary.terms(folder)


DOOR = "00_language_models"
LESSON = "02_attention"


def test_a_term_has_its_sentence_from_paragraphs_lists_and_formulas(tmp_path):
    found = lessons(
        tmp_path,
        **{
            DOOR: "## Heads\n\nFirst this. A **head**\nlooks. Then that.\n\n- the **key** k: it offers;\n- more",
            LESSON: "**Question.** What now? The **mean** of $x_1$ and $x_2$:\n\n$$x$$",
        },
    )
    assert [(term.name, term.sentence, term.stem[:2]) for term in found] == [
        ("head", "A head looks.", "00"),
        ("key", "The key k: it offers.", "00"),
        ("mean", "The mean of $x_1$ and $x_2$.", "02"),
    ]
    assert "| **mean** | The mean of $x_1$ and $x_2$. | [02](02_attention.ipynb) |" in (
        glossary.page(found)
    )


def test_headings_in_bold_are_no_terms(tmp_path):
    text = "**Time.** Short. **Click a word, and choose.** Go. **what you see:** it."
    assert lessons(tmp_path, **{DOOR: text}) == []


@pytest.mark.parametrize(
    "said, text",
    [
        ("in bold in 00_language_models already", "A **head** is a part."),
        ("leans on the one before: This is a mask.", "It hides. This is a **mask**."),
    ],
)
def test_a_term_is_explained_once_and_by_itself(tmp_path, said, text):
    with pytest.raises(Problem, match=said):
        lessons(tmp_path, **{DOOR: "A **head** looks.", LESSON: text})
