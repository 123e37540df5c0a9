"""BERT encoder (Devlin et al., arXiv 1810.04805) with the parameter names of Hugging Face's ``BertModel``.

The names are the same so that a published ``state_dict`` loads without translation; the computation is plain
torch. The pooler of BERT is left out: no property of CLOUD uses it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from cloud_model.network.precision import kernel_rows, padded_to


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """Shape of an encoder, in the terms of a BERT ``config.json``."""

    vocab_size: int
    hidden_size: int = 256
    num_hidden_layers: int = 4
    num_attention_heads: int = 4
    intermediate_size: int = 1024
    max_position_embeddings: int = 512
    type_vocab_size: int = 3
    layer_norm_eps: float = 1e-12
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1

    def __post_init__(self) -> None:
        for name in ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads",
                     "intermediate_size", "max_position_embeddings", "type_vocab_size"):  # fmt: skip
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}")
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(f"{self.hidden_size} units do not divide among {self.num_attention_heads} heads")
        if not all(0 <= p < 1 for p in (self.hidden_dropout_prob, self.attention_probs_dropout_prob)):
            raise ValueError("a dropout probability is not in [0, 1)")
        if not 0 <= self.layer_norm_eps < 1:
            raise ValueError(f"layer_norm_eps is {self.layer_norm_eps}")


class Embeddings(nn.Module):
    """Sum of word, position and token-type embeddings, normalised."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, ids: Tensor, types: Tensor | None = None) -> Tensor:
        """Ids and types (batch, length) to (batch, length, hidden_size); types are zero if there is one or none."""
        if types is None or self.token_type_embeddings.num_embeddings == 1:
            types = torch.zeros_like(ids)
        positions = self.position_embeddings.weight[: ids.shape[1]]
        if padding := ids.shape[1] - len(positions):  # beyond the longest string
            positions = functional.pad(positions, (0, 0, 0, padding))
        summed = self.word_embeddings(ids) + self.token_type_embeddings(types) + positions
        return self.dropout(self.LayerNorm(summed))


class SelfAttention(nn.Module):
    """Multi-head scaled dot-product attention."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.heads = config.num_attention_heads
        self.dropout = config.attention_probs_dropout_prob
        self.query = nn.Linear(config.hidden_size, config.hidden_size)
        self.key = nn.Linear(config.hidden_size, config.hidden_size)
        self.value = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, hidden: Tensor, shape: torch.Size, mask: Tensor | None) -> Tensor:
        """Hidden states to hidden states; the mask broadcasts to (batch, heads, length, length)."""
        query, key, value = (
            projection(hidden)[: shape.numel()].view(*shape, self.heads, -1).transpose(1, 2)
            for projection in (self.query, self.key, self.value)
        )
        dropout = self.dropout if self.training else 0.0
        if query.device.type == "cpu":  # whose bfloat16 attention kernels are five times slower than float32
            with torch.autocast("cpu", enabled=False):
                attended = functional.scaled_dot_product_attention(
                    query.float(), key.float(), value.float(), mask, dropout
                )
        else:
            attended = functional.scaled_dot_product_attention(query, key, value, mask, dropout)
        return padded_to(len(hidden), attended.transpose(1, 2).flatten(2).flatten(0, 1))


class ResidualOutput(nn.Module):
    """Linear map, dropout, residual sum, layer normalisation."""

    def __init__(self, inputs: int, config: EncoderConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(inputs, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, hidden: Tensor, residual: Tensor) -> Tensor:
        """Hidden states of any width, and the residual, to hidden states."""
        return self.LayerNorm(self.dropout(self.dense(hidden)) + residual)


class Layer(nn.Module):
    """One transformer layer, normalised after each residual sum as in BERT.

    Its hidden states are those of all tokens of a batch of a shape (batch, length), one after the other, and rows of
    no token behind them.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.attention = nn.ModuleDict(
            {"self": SelfAttention(config), "output": ResidualOutput(config.hidden_size, config)}
        )
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(config.hidden_size, config.intermediate_size)})
        self.output = ResidualOutput(config.intermediate_size, config)

    def forward(self, hidden: Tensor, shape: torch.Size, mask: Tensor | None) -> Tensor:
        """Hidden states to hidden states."""
        hidden = self.attention["output"](self.attention["self"](hidden, shape, mask), hidden)
        return self.output(functional.gelu(self.intermediate["dense"](hidden)), hidden)


class Encoder(nn.Module):
    """Token ids to hidden states.

    Parameters
    ----------
    config : EncoderConfig
        Shape of the network.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = Embeddings(config)
        self.encoder = nn.ModuleDict(
            {"layer": nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))}
        )
        self.apply(_initialise)

    def forward(self, ids: Tensor, mask: Tensor | None = None, types: Tensor | None = None) -> Tensor:
        """Hidden states of the last layer.

        Parameters
        ----------
        ids : Tensor
            Token ids, int64, shape (batch, length).
        mask : Tensor, optional
            True for tokens, False for padding, shape (batch, length). None if nothing is padded.
        types : Tensor, optional
            Token types, int64, shape (batch, length); zero if left out, or if the encoder knows no other.

        Returns
        -------
        Tensor
            Shape (batch, length, hidden_size).
        """
        hidden = self.embeddings(ids, types).flatten(0, 1)
        hidden = padded_to(kernel_rows(len(hidden), hidden.device), hidden)
        attention_mask = None if mask is None else mask[:, None, None, :]
        for layer in cast(nn.ModuleList, self.encoder["layer"]):
            hidden = layer(hidden, ids.shape, attention_mask)
        return hidden[: ids.numel()].unflatten(0, ids.shape)


class MaskedLanguageHead(nn.Module):
    """BERT's masked-language-model head; its output weights are the encoder's word embeddings.

    Parameters
    ----------
    config : EncoderConfig
        Shape of the encoder.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))
        self.apply(_initialise)

    def forward(self, hidden: Tensor, word_embeddings: Tensor) -> Tensor:
        """Logits over the vocabulary, shape (..., vocab_size), from hidden states of shape (..., hidden_size)."""
        hidden = self.LayerNorm(functional.gelu(self.dense(hidden)))
        return functional.linear(hidden, word_embeddings, self.bias)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)
