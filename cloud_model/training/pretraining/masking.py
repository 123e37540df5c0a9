"""Choose the tokens that the masked-language model has to restore."""

from __future__ import annotations

import torch
from torch import Tensor

from cloud_model.network.tokenizer import MASK, SEPARATOR, SPECIAL_TOKENS, Tokenizer

IGNORED = -100


class Masking:
    """BERT's masking: of the chosen tokens 80% are hidden, 10% replaced and 10% kept.

    An element stands in the string several times, on its sites and in the composition; to restore one copy
    from another teaches nothing, so an element is chosen as a whole.

    Parameters
    ----------
    tokenizer : Tokenizer
        Its special tokens and separators are never chosen.
    rate : float
        Share of the tokens that are chosen.
    whole_elements : bool
        Choose an element as a whole; without it every token is chosen by itself, as published.
    """

    def __init__(self, tokenizer: Tokenizer, rate: float = 0.15, whole_elements: bool = True) -> None:
        self.rate = rate
        self.whole_elements = whole_elements
        self.size = len(tokenizer)
        fixed = {*SPECIAL_TOKENS, SEPARATOR}
        self.eligible = torch.tensor([token not in fixed for token in tokenizer.vocabulary])
        self.grouped = torch.tensor([token.isalpha() for token in tokenizer.vocabulary])

    def __call__(self, ids: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Masked ids and labels, of the shape of `ids`; labels are `IGNORED` where nothing was chosen."""
        chance = torch.rand(ids.shape, generator=generator)
        if self.whole_elements:
            by_element = torch.rand((len(ids), self.size), generator=generator).gather(1, ids)
            chance = torch.where(self.grouped[ids], by_element, chance)
        chosen = (chance < self.rate) & self.eligible[ids]
        labels = ids.masked_fill(~chosen, IGNORED)
        fate = torch.rand(ids.shape, generator=generator)
        random = torch.randint(len(SPECIAL_TOKENS), self.size, ids.shape, generator=generator)
        masked = ids.masked_fill(chosen & (fate < 0.8), MASK)
        return torch.where(chosen & (fate >= 0.9), random, masked), labels
