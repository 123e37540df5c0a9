"""A pretraining run described by one TOML file: the implementation of ``cloud pretrain``."""

from __future__ import annotations

import tomllib
from dataclasses import asdict, dataclass, field, replace
from itertools import chain, islice
from pathlib import Path

import tomli_w

from cloud_model.arguments import checked_path
from cloud_model.checkpoints.checkpoint import Checkpoint, CheckpointConfig
from cloud_model.checkpoints.registry import resolve
from cloud_model.crystal.elements import SYMBOLS
from cloud_model.errors import ArgumentError, DataError
from cloud_model.network.encoder import Encoder, EncoderConfig
from cloud_model.network.predictor import Predictor
from cloud_model.network.tokenizer import Tokenizer, build_vocabulary
from cloud_model.scope import DEFAULT_SYMPREC
from cloud_model.scope.description import Dialect
from cloud_model.training.loop import Schedule
from cloud_model.training.pretraining.masking import Masking
from cloud_model.training.pretraining.pretrain import Interrupted, pretrain
from cloud_model.training.pretraining.strings import COLUMN, Corpus, ParquetCorpus
from cloud_model.untrusted_json import from_record

SETTINGS = "pretrain.toml"


@dataclass(frozen=True, kw_only=True)
class CorpusSettings:
    """Where the strings are.

    Attributes
    ----------
    shards : list of str
        Parquet files, or folders of such; relative paths begin at the folder of the TOML file.
    validation : list of str
        The same, for the validation loss; may be empty.
    validation_strings : int
        Most strings that are taken from these.
    column : str
        The strings.
    dialect, symprec
        How they were made.
    elements : list of str
        The elements of the vocabulary; those of the corpus, for which it is read once, if empty.
    """

    shards: list[str]
    validation: list[str] = field(default_factory=list)
    validation_strings: int = 2000
    column: str = COLUMN
    dialect: Dialect = "sites"
    symprec: float = DEFAULT_SYMPREC
    elements: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class EncoderSettings:
    """Shape of the encoder, in the terms of `EncoderConfig`."""

    hidden_size: int = 256
    num_hidden_layers: int = 4
    num_attention_heads: int = 4
    intermediate_size: int = 1024
    max_position_embeddings: int = 128
    hidden_dropout_prob: float = 0.0
    attention_probs_dropout_prob: float = 0.0


@dataclass(frozen=True, kw_only=True)
class MaskingSettings:
    """Which tokens are masked, as in `Masking`."""

    rate: float = 0.15
    whole_elements: bool = True


@dataclass(frozen=True, kw_only=True)
class PretrainingRun:
    """Everything that a pretraining run depends on.

    Attributes
    ----------
    output : str
        The checkpoint directory.
    corpus, encoder, masking, schedule
        Tables of the TOML file.
    model : str
        Checkpoint to go on from, a name or a directory, which then gives vocabulary and encoder; empty to begin
        from scratch.
    tokens_per_batch : int
        Upper bound of rows times longest row of a batch, over all processes.
    tensorboard : bool
        Write the metrics for TensorBoard too.
    """

    output: str
    corpus: CorpusSettings
    encoder: EncoderSettings = EncoderSettings()
    masking: MaskingSettings = MaskingSettings()
    schedule: Schedule = field(default_factory=lambda: Schedule(epochs=5, learning_rate=6e-4))
    model: str = ""
    tokens_per_batch: int = 4096
    tensorboard: bool = False

    @classmethod
    def read(cls, path: Path) -> PretrainingRun:
        """Read a TOML file; what it leaves out has its default.

        Raises
        ------
        ArgumentError
            If it is not TOML, or an entry is unknown, missing or of the wrong type.
        """
        try:
            document = tomllib.loads(path.read_text())
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
            raise ArgumentError(str(path), f"cannot be read as TOML ({error})", "Repair it.") from error
        try:
            run = from_record(cls, document, only_known=True)
        except ValueError as error:
            raise ArgumentError(str(path), f"has a wrong entry: {error}", "Correct it.") from None
        here = path.resolve().parent
        corpus = replace(
            run.corpus,
            shards=[str(here / shard) for shard in run.corpus.shards],
            validation=[str(here / shard) for shard in run.corpus.validation],
        )
        model = str(here / run.model) if run.model and (here / run.model).is_dir() else run.model
        return replace(run, output=str(here / run.output), corpus=corpus, model=model)

    def execute(self) -> Path:
        """Pretrain, resuming if it was begun, and write the checkpoint.

        Returns
        -------
        Path
            The checkpoint directory.

        Raises
        ------
        KeyboardInterrupt
            If it was interrupted; the checkpoint as it is, and the state to resume from, are written.
        """
        output = checked_path("output", self.output)
        output.mkdir(parents=True, exist_ok=True)
        corpus = ParquetCorpus([Path(shard) for shard in self.corpus.shards], self.corpus.column)
        base = Checkpoint.load(resolve(self.model)) if self.model else None
        tokenizer = base.tokenizer if base else self._tokenizer(output, corpus)
        config = (
            base.config.encoder if base else EncoderConfig(vocab_size=len(tokenizer), **asdict(self.encoder))
        )
        (output / SETTINGS).write_text(tomli_w.dumps(asdict(self)))
        try:
            encoder = pretrain(
                corpus,
                tokenizer,
                config,
                self.schedule,
                output / "training",
                validation=self._validation(),
                tokens_per_batch=self.tokens_per_batch,
                masking=Masking(tokenizer, self.masking.rate, self.masking.whole_elements),
                start=base.members[0].encoder if base else None,
                tensorboard=self.tensorboard,
            )
        except Interrupted as interruption:
            self._write(tokenizer, interruption.encoder, sum(corpus.sizes), "interrupted, not finished")
            raise
        self._write(tokenizer, encoder, sum(corpus.sizes), "finished")
        return output

    def _tokenizer(self, output: Path, corpus: Corpus) -> Tokenizer:
        """The tokenizer of an earlier start of this run, or one for the elements of the corpus."""
        length = self.encoder.max_position_embeddings
        vocabulary = output / "vocab.txt"
        if vocabulary.exists():
            return Tokenizer(vocabulary.read_text().splitlines(), length)
        elements = self.corpus.elements or corpus_elements(corpus)
        tokenizer = Tokenizer(build_vocabulary(elements), length)
        vocabulary.write_text("\n".join(tokenizer.vocabulary) + "\n")
        return tokenizer

    def _validation(self) -> list[str]:
        if not self.corpus.validation:
            return []
        held_out = ParquetCorpus([Path(shard) for shard in self.corpus.validation], self.corpus.column)
        texts = chain.from_iterable(held_out.read(group).to_pylist() for group in range(len(held_out.sizes)))
        return list(islice(texts, self.corpus.validation_strings))

    def _write(self, tokenizer: Tokenizer, encoder: Encoder, strings: int, state: str) -> None:
        from accelerate import PartialState

        if not PartialState().is_main_process:
            return
        output = Path(self.output)
        predictor = Predictor(encoder.config, 0, 0)
        predictor.encoder.load_state_dict(encoder.state_dict())
        config = CheckpointConfig(
            name=output.name, dialect=self.corpus.dialect, symprec=self.corpus.symprec, encoder=encoder.config
        )
        card = (
            f"# {output.name}\n\nEncoder pretrained by masked-language modelling on {strings} SCOPE strings of the "
            f"dialect `{self.corpus.dialect}`, {self.schedule.epochs} epochs ({state}). It has no properties yet: "
            f"`cloud finetune` adds them. Every setting is in `{SETTINGS}`, the metrics in `training/`.\n"
        )
        Checkpoint(config, tokenizer, [predictor.eval()]).save(output, card)


def corpus_elements(corpus: Corpus) -> list[str]:
    """Elements that occur in a corpus, in the order of the periodic table."""
    found: set[str] = set()
    for group in range(len(corpus.sizes)):
        for text in corpus.read(group).to_pylist():
            found.update(text.rpartition("|")[2].split()[::2])
    unknown = found - set(SYMBOLS)
    if unknown:
        raise DataError("the corpus", f"holds {min(unknown)!r} in place of elements", "Give SCOPE strings.")
    return [symbol for symbol in SYMBOLS if symbol in found]
