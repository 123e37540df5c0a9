"""The encoder is BERT: the same hidden states as transformers' BertModel for the same weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from cloud_model.checkpoints.checkpoint import Checkpoint
from cloud_model.errors import CheckpointError
from cloud_model.network.encoder import Encoder, EncoderConfig
from cloud_model.network.tokenizer import SPECIAL_TOKENS, TokenBatch

transformers = pytest.importorskip("transformers")

SALT = "1 6 a O D D a D O D b O O O c O O O d O O O e O O O 0 | 4a 4b | Na 0.5 Cl 0.5"
WORDS = [*SPECIAL_TOKENS, *dict.fromkeys(w for w in SALT.split() if "." not in w), "8c", "Ca", "F"]
FRACTIONS = [str(round(0.01 * i, 2)) for i in range(101)]


def published(
    directory: Path, *, layers: int, hidden: int, heads: int, prefix: bool, pickled: bool
) -> object:
    """Write a checkpoint with the published layout and random weights; return the BertModel."""
    torch.manual_seed(1)
    config = transformers.BertConfig(
        vocab_size=30522 if hidden == 768 else 200,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * hidden,
        max_position_embeddings=64,
        type_vocab_size=1,
        attn_implementation="eager",
    )
    bert = transformers.BertModel(config).eval()
    directory.mkdir()
    config.save_pretrained(directory)
    state = {("bert." if prefix else "") + name: tensor for name, tensor in bert.state_dict().items()}
    if pickled:
        torch.save(state, directory / "pytorch_model.bin")
    else:
        from safetensors.torch import save_file

        save_file(state, directory / "model.safetensors")
    (directory / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    added = {token: len(WORDS) + i for i, token in enumerate(FRACTIONS)}
    (directory / "added_tokens.json").write_text(json.dumps(added))
    return bert


@pytest.mark.parametrize(
    ("layers", "hidden", "heads", "prefix", "pickled"),
    [(2, 32, 4, False, False), (2, 32, 2, True, True), (12, 768, 12, True, False)],
)
def test_published_layout_gives_the_hidden_states_of_bert(tmp_path, layers, hidden, heads, prefix, pickled):
    directory = tmp_path / "CLOUD"
    bert = published(directory, layers=layers, hidden=hidden, heads=heads, prefix=prefix, pickled=pickled)
    checkpoint = Checkpoint.load(directory)
    fluorite = SALT.replace("4b", "8c").replace("Na 0.5 Cl 0.5", "Ca 0.33 F 0.67")
    texts = [SALT, fluorite, SALT.replace(" 4b", "").replace("Na 0.5 Cl 0.5", "Ca 1.0")]
    batch = TokenBatch.collate([checkpoint.tokenizer.encode(text) for text in texts])
    assert checkpoint.config.dialect == "reference"
    with torch.inference_mode():
        ours = checkpoint.members[0].hidden_states(batch)
        theirs = bert(input_ids=batch.ids, attention_mask=batch.mask.long()).last_hidden_state
    torch.testing.assert_close(ours[batch.mask], theirs[batch.mask], atol=1e-5, rtol=0)


def test_added_tokens_may_stand_in_the_tokenizer_configuration(tmp_path):
    published(tmp_path / "CLOUD", layers=1, hidden=8, heads=2, prefix=False, pickled=False)
    (tmp_path / "CLOUD" / "added_tokens.json").unlink()
    added = {str(len(WORDS) + i): {"content": token} for i, token in enumerate(FRACTIONS)}
    (tmp_path / "CLOUD" / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": added}))
    tokens = Checkpoint.load(tmp_path / "CLOUD").tokenizer.encode(SALT)
    assert [tokens.ids[0], tokens.ids[-1]] == [0, 2]
    assert tokens.ids[-2] == len(WORDS) + 50


@pytest.mark.parametrize(
    ("folder", "name"),
    [("CLOUD", "CLOUD"), ("models--ChangwenXu--CLOUD/snapshots/6ab8d8a", "ChangwenXu/CLOUD")],
)
def test_a_published_checkpoint_is_named_by_its_folder_or_its_repository(tmp_path, folder, name):
    (tmp_path / folder).parent.mkdir(parents=True, exist_ok=True)
    published(tmp_path / folder, layers=1, hidden=8, heads=2, prefix=False, pickled=False)
    assert Checkpoint.load(tmp_path / folder).config.name == name


def test_a_pickle_that_runs_code_is_refused_and_not_run(tmp_path):
    published(tmp_path / "CLOUD", layers=1, hidden=8, heads=2, prefix=False, pickled=True)

    class Payload:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "executed",))

    torch.save({"weight": Payload()}, tmp_path / "CLOUD" / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="nothing else is ever unpickled"):
        Checkpoint.load(tmp_path / "CLOUD")
    assert not (tmp_path / "executed").exists()


def test_padding_does_not_change_a_hidden_state():
    torch.manual_seed(0)
    config = EncoderConfig(vocab_size=20, hidden_size=16, num_attention_heads=2, intermediate_size=32)
    encoder = Encoder(config).eval()
    ids = torch.randint(5, 20, (3, 7))
    padded = torch.cat([ids, torch.ones(3, 5, dtype=torch.int64)], dim=1)
    mask = torch.arange(12) < 7
    with torch.inference_mode():
        torch.testing.assert_close(
            encoder(padded, mask.expand(3, 12))[:, :7], encoder(ids), atol=1e-6, rtol=0
        )
