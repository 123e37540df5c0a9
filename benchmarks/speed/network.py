"""The encoder beside Hugging Face's, on the same weights, and beside a bare matrix multiplication."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from crystals import sample
from measure import Row, in_turn, milliseconds, ratio, row

from cloud_model import CloudModel
from cloud_model.checkpoints.checkpoint import Checkpoint, CheckpointConfig
from cloud_model.crystal.elements import SYMBOLS
from cloud_model.errors import CloudError
from cloud_model.network.encoder import EncoderConfig
from cloud_model.network.ensemble import embed as embed_tokens
from cloud_model.network.precision import choose_precision
from cloud_model.network.predictor import Predictor
from cloud_model.network.tokenizer import PAD, SPECIAL_TOKENS, Tokenizer, Tokens, build_vocabulary
from cloud_model.scope.batches import scopes

LENGTH = 64  # tokens, to which the published code pads
BATCH = 64


def embeddings(data: Path, rows: int, rounds: int) -> list[Row]:
    atoms = sample(data, rows)
    published_size = EncoderConfig(
        vocab_size=30522,
        hidden_size=768,
        num_hidden_layers=12,
        num_attention_heads=12,
        intermediate_size=3072,
        max_position_embeddings=LENGTH,
    )
    sites = Tokenizer(build_vocabulary(SYMBOLS[:94]), LENGTH)
    few = max(1, rows // 4)
    return [
        compare("the shipped weights", CloudModel.from_pretrained(), atoms, rounds),
        compare("768 x 12, random", model(published_size, sites, "sites"), atoms[:few], rounds),
        compare(
            "768 x 12, random, published strings",
            model(published_size, words(atoms), "reference"),
            atoms[:few],
            rounds,
        ),
    ]


def lower_precision(data: Path, rows: int, rounds: int) -> list[Row]:
    """The shipped weights in bfloat16 beside float32: speed, and what it does to predictions."""
    models = {dtype: CloudModel.from_pretrained(dtype=dtype) for dtype in ("float32", "bfloat16")}
    exact, lower = models.values()
    described = [scope for scope in exact.scopes(sample(data, rows)) if not isinstance(scope, CloudError)]
    tokens = list(dict.fromkeys(exact.tokens(described)))

    def run(network: CloudModel) -> Callable[[], None]:
        def embed() -> None:
            embed_tokens(network.checkpoint.members, tokens, "mean", network.dtype)

        return embed

    seconds = in_turn({dtype: run(network) for dtype, network in models.items()}, rounds)
    change = {
        name: float(
            (exact.predict(described, name)[name] - lower.predict(described, name)[name]).abs().mean()
        )
        / info.test_error
        for name, info in exact.properties.items()
        if info.test_error
    }
    return [
        row(
            "embeddings in bfloat16, the shipped weights",
            "the same in float32",
            ">= 1.5",
            ratio(seconds, "float32", "bfloat16"),
            per_second={dtype: 1e3 / ms for dtype, ms in milliseconds(seconds, len(tokens)).items()},
            chosen=choose_precision("auto", exact.checkpoint.config.encoder.hidden_size, torch.device("cpu")),
        ),
        row(
            "predictions in bfloat16: largest mean change of a property",
            "its test error",
            "<= 0.01",
            max(change.values()),
            change=change,
        ),
    ]


def model(config: EncoderConfig, tokenizer: Tokenizer, dialect: str) -> CloudModel:
    torch.manual_seed(0)
    members = [Predictor(config, scalars=0, spectra=0).eval()]
    settings = CheckpointConfig(name="random", dialect=dialect, symprec=0.01, encoder=config)
    return CloudModel(Checkpoint(settings, tokenizer, members))


def words(atoms: list) -> Tokenizer:
    """Tokenizer of the published kind: one word, one token."""
    texts = [str(scope) for scope in scopes(atoms, "reference") if not isinstance(scope, CloudError)]
    return Tokenizer([*SPECIAL_TOKENS, *dict.fromkeys(" ".join(texts).split())], LENGTH)


def compare(name: str, ours: CloudModel, atoms: list, rounds: int) -> Row:
    texts = [str(scope) for scope in ours.scopes(atoms) if not isinstance(scope, CloudError)]
    tokens = [found for found in map(ours.checkpoint.tokenizer.encode, texts) if len(found.ids) <= LENGTH]
    encoder = ours.checkpoint.members[0].encoder
    theirs = bert(encoder)
    found = {}

    def run_ours() -> None:
        found["ours"] = embed_tokens(ours.checkpoint.members, list(dict.fromkeys(tokens)), "mean")

    def run_theirs() -> None:
        found["theirs"] = torch.cat(
            [padded(theirs, tokens[i : i + BATCH]) for i in range(0, len(tokens), BATCH)]
        )

    seconds = in_turn({"ours": run_ours, "BertModel": run_theirs}, rounds)
    place = {distinct: i for i, distinct in enumerate(dict.fromkeys(tokens))}
    difference = (found["ours"][[place[t] for t in tokens]] - found["theirs"]).abs().max().item()
    assert difference < 1e-5
    weights = sum(p.numel() for p in encoder.encoder.parameters())
    read = {"ours": sum(len(t.ids) for t in place), "BertModel": LENGTH * len(tokens)}
    return row(
        f"embeddings, {name}",
        f"Hugging Face BertModel, batches of {BATCH} padded to {LENGTH}",
        ">= 3",
        ratio(seconds, "BertModel", "ours"),
        per_second={key: 1e3 / ms for key, ms in milliseconds(seconds, len(tokens)).items()},
        gflops={key: 2e-9 * weights * read[key] / median(values) for key, values in seconds.items()},
        gflops_of_matrix_multiplication=peak(encoder.config),
        fewer_tokens=read["BertModel"] / read["ours"],
        strings=len(tokens),
        distinct=len(place),
        largest_difference=difference,
        threads=torch.get_num_threads(),
    )


def bert(encoder: torch.nn.Module) -> torch.nn.Module:
    from transformers import BertConfig, BertModel

    config = encoder.config
    names = (
        "vocab_size",
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "intermediate_size",
        "max_position_embeddings",
        "type_vocab_size",
        "layer_norm_eps",
    )
    theirs = BertModel(BertConfig(**{name: getattr(config, name) for name in names}))
    missing = theirs.load_state_dict(encoder.state_dict(), strict=False)
    assert not missing.unexpected_keys
    assert all("pooler" in key or "position_ids" in key for key in missing.missing_keys)
    return theirs.eval()


@torch.no_grad()
def padded(theirs: torch.nn.Module, batch: list[Tokens]) -> torch.Tensor:
    """Mean over the tokens of each string, from batches padded to `LENGTH`."""

    def tensor(rows: list[tuple[int, ...]], fill: int) -> torch.Tensor:
        return torch.tensor([(*values, *(fill,) * (LENGTH - len(values))) for values in rows])

    mask = tensor([(1,) * len(t.ids) for t in batch], 0)
    hidden = theirs(
        input_ids=tensor([t.ids for t in batch], PAD),
        attention_mask=mask,
        token_type_ids=tensor([t.types for t in batch], 0),
    ).last_hidden_state
    return (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)


def peak(config: EncoderConfig) -> float:
    """GFLOP/s of a matrix multiplication of the shape that the encoder spends most time on."""
    rows, width = 2048, config.hidden_size
    a, b = torch.randn(rows, width), torch.randn(width, config.intermediate_size)
    seconds = []
    for _ in range(10):
        start = time.process_time()
        a @ b
        seconds.append(time.process_time() - start)
    return 2e-9 * rows * width * config.intermediate_size / min(seconds)
