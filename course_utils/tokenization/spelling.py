"""What a small network can say about the letters of a word that it knows by its id: lesson 01."""

import random
import string
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LETTERS = string.ascii_lowercase
SIGHTS = ("its id", "its length", "its letters")  # what a network may know of a word
WIDTH = 32  # features of a word, and of a letter


def letter_questions(words: Sequence[str], seed: int = 0) -> tuple[Tensor, Tensor]:
    """Questions "is this letter in this word?", to learn from and to be tested on.

    Both sets are about the same words, and no pair of word and letter is in both. For each letter
    half of the answers are yes, so that the letter alone says nothing. Shapes: -> (n, 3), (n, 3),
    int64; a row is the number of the word, that of the letter, and 1 for yes. Raises: ValueError
    where a word is not made of small English letters.

    >>> train, test = letter_questions(["cat", "dog", "act", "god"])
    >>> len(train), len(test), train[:, 2].float().mean().item()
    (12, 12, 0.5)
    """
    if bad := [word for word in words if not word or set(word) - set(LETTERS)]:
        raise ValueError(f"{bad[0]!r} is not made of small English letters only.")
    rng = random.Random(seed)
    sets = ([], [])
    for number, letter in enumerate(LETTERS):
        having = [i for i, word in enumerate(words) if letter in word]
        lacking = [i for i, word in enumerate(words) if letter not in word]
        half = min(len(having), len(lacking)) // 2
        for answer, those in ((1, having), (0, lacking)):
            drawn = rng.sample(those, 2 * half)
            for rows, part in zip(sets, (drawn[:half], drawn[half:]), strict=True):
                rows += [(i, number, answer) for i in part]
    train, test = (torch.tensor(rows).view(-1, 3) for rows in sets)
    return train, test


class LetterReader(nn.Module):
    """A small network that answers "is this letter in this word?" from one sight of the word.

    sees: one of SIGHTS. The part behind the word's features is the same for all three.

    >>> reader = LetterReader(["cat", "dog"], "its id")
    >>> reader(torch.tensor([0, 1]), torch.tensor([2, 2])).shape
    torch.Size([2])
    """

    def __init__(self, words: Sequence[str], sees: str):
        super().__init__()
        if sees not in SIGHTS:
            raise ValueError(f"sees is {sees!r}; a network sees one of {SIGHTS}.")
        rows = {
            "its id": [[i] for i in range(len(words))],
            "its length": [[len(word)] for word in words],
            "its letters": [[LETTERS.index(letter) for letter in word] for word in words],
        }[sees]
        longest = max(map(len, rows))
        size = 1 + max(map(max, rows))
        filled = [row + [size] * (longest - len(row)) for row in rows]  # `size` stands for nothing
        self.register_buffer("seen", torch.tensor(filled))  # (words, longest)
        self.word = nn.EmbeddingBag(size + 1, WIDTH, mode="sum", padding_idx=size)
        self.letter = nn.Embedding(len(LETTERS), WIDTH)
        self.answer = nn.Sequential(nn.Linear(2 * WIDTH, 64), nn.ReLU(), nn.Linear(64, 1))

    def forward(self, word: Tensor, letter: Tensor) -> Tensor:
        """The score for yes. Shapes: word (B,), letter (B,) -> (B,)."""
        both = torch.cat([self.word(self.seen[word]), self.letter(letter)], dim=-1)  # (B, 2 WIDTH)
        return self.answer(both).squeeze(-1)

    @torch.no_grad()
    def accuracy(self, questions: Tensor) -> float:
        """The share of questions that are answered right. Shapes: questions (n, 3)."""
        word, letter, answer = questions.unbind(1)
        return ((self(word, letter) > 0) == (answer > 0)).float().mean().item()


def learn_letters(
    words: Sequence[str], sees: str, seed: int = 0, steps: int = 240, device: str = "cpu"
) -> tuple[float, float]:
    """Train a `LetterReader` and test it on other letters of the same words.

    Returns the accuracy on the questions of the training after the last step, and the best accuracy
    on the test at any of the stops on the way: what is best for whoever learns too much by heart.

    >>> learned, told = learn_letters(["cat", "dog", "act", "god"], "its id", steps=60)
    >>> learned
    1.0
    """
    train, test = (part.to(device) for part in letter_questions(words, seed))
    draw = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        reader = LetterReader(words, sees).to(device)
    optimizer = torch.optim.AdamW(reader.parameters(), lr=5e-3)
    best = 0.0
    for step in range(1, steps + 1):
        batch = torch.randint(len(train), (1024,), generator=draw).to(device)
        word, letter, answer = train[batch].unbind(1)
        loss = F.binary_cross_entropy_with_logits(reader(word, letter), answer.float())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 20 == 0:
            best = max(best, reader.accuracy(test))
    return reader.accuracy(train), best
