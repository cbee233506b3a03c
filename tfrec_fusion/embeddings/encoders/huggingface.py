"""Encodes with transformers from the Hugging Face hub or a folder."""

import inspect
import logging
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import cached_property
from pathlib import Path

import numpy as np

from tfrec_fusion._compat import optional
from tfrec_fusion.embeddings.encoders.base import Batch, Encoder, longest_first, unit_rows
from tfrec_fusion.embeddings.encoders.declared import Declared
from tfrec_fusion.embeddings.encoders.model_files import ModelFiles
from tfrec_fusion.embeddings.encoders.pooling import check_pooling, pool
from tfrec_fusion.embeddings.hashing import file_hash, text_hash
from tfrec_fusion.errors import InputError

PRECISIONS = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
_WINDOW = 1024  # texts tokenized at once
_MAX_WORKERS = 8
_LONGEST = 512  # max_length of a model that declares none
_LEAST_TOKENS = 256  # of a batch that is made smaller so that every worker gets one


class HuggingFaceEncoder(Encoder):
    """Encodes texts as a transformer's pooled hidden states, scaled to length 1.

    For a sentence-transformers model (with a `modules.json`) it applies what the model declares:
    the pooling, Dense and LayerNorm modules after it, the token limit, lower-casing and the default
    prompt. Its vectors have length 1 as well, even without a Normalize module.

    Texts are sorted by length and batched by a budget of tokens, to reduce padding. On CPUs several
    batches run concurrently, each on some of the cores, which is faster for small matrices than
    many threads per matrix. Needs the extra `text`.

    Example:
      >>> name = "sentence-transformers/all-MiniLM-L6-v2"
      >>> minilm = HuggingFaceEncoder(name)  # downloads it  # doctest: +SKIP
      >>> minilm.encode(["a red mug", "a lamp"]).shape  # of 384 dims  # doctest: +SKIP
      (2, 384)
    """

    def __init__(
        self,
        model: str | os.PathLike,
        *,
        pooling: str | None = None,
        prompt: str | None = None,
        max_length: int | None = None,
        precision: str = "auto",
        device: str | None = None,
        batch_tokens: int | None = None,
    ):
        """
        Args:
          model: a folder with a transformers model and its tokenizer, or its name on the hub.
          pooling: "mean", "cls", "last" (which pads on the left), "max", "mean_sqrt_len",
            "weightedmean", or several joined by "+"; None is what the model declares, else "mean".
          prompt: instruction before each text, as the model's card gives it; None is the default
            prompt that the model declares, else none.
          max_length: longest text in tokens, including the prompt; longer ones are truncated. At
            most the model's limit. None is what the model declares, else 512.
          precision: "fp32", "bf16" or "fp16" for weights and activations; "auto" is bf16 if the
            hardware supports it, else fp16 on a GPU and fp32 on a CPU. Precisions may share a
            store: with MiniLM the cosine between bf16 and fp32 is above .9999.
          device: torch's name of the device; None is a GPU if there is one.
          batch_tokens: most tokens of a batch, with padding; None is 4,096 on a CPU, else 32,768.

        Raises:
          ImportError: the extra is not installed.
          InputError: no such model, no network to download it, or an unsupported module in it.
        """
        if pooling is not None:
            check_pooling(pooling)
        if precision not in ("auto", *PRECISIONS):
            raise InputError(
                f"precision: must be auto, {', '.join(PRECISIONS)}. Received: {precision!r}"
            )
        for field, value in (("max_length", max_length), ("batch_tokens", batch_tokens)):
            if value is not None and value < 1:
                raise InputError(f"{field}: must be at least 1. Received: {value!r}")
        self._torch = optional("torch", extra="text")
        self._transformers = optional("transformers", extra="text")
        self._model = os.fspath(model)
        self._files = ModelFiles(self._model)
        self.name = Path(self._model).resolve().name if self._files.is_folder else self._model
        self._declared = Declared.read(self._files)
        self._config = self._load("AutoConfig")
        self.pooling = pooling or self._declared.pooling
        self.prompt = self._declared.prompt if prompt is None else prompt
        self.max_length = max_length or self._declared_length()
        self.precision = precision
        self.device = device or _best_device(self._torch)
        on_cpu = self.device.startswith("cpu")
        self.batch_tokens = batch_tokens or (4096 if on_cpu else 32_768)
        self._threads = self._torch.get_num_threads()
        self._workers = min(self._threads, _MAX_WORKERS) if on_cpu else 1
        self._say_what_is_open(prompt)

    @cached_property
    def revision(self) -> str | None:
        """The hub's commit; for a folder, the hash of its files, independent of its path."""
        if not self._files.is_folder:
            return self._files.commit(os.path.join(self._declared.transformer, "config.json"))
        return _hash_of_files(Path(self._model, self._declared.transformer))

    def identity(self) -> dict:
        identity = {"kind": "transformers", "weights": self.revision, "pooling": self.pooling}
        if not self._files.is_folder:
            identity["model"] = self._model
        identity |= {"prompt": self.prompt, "max_length": self.max_length}
        if self.prompt and not self._declared.include_prompt:
            identity["include_prompt"] = False
        if self._declared.lower_case:
            identity["lower_case"] = True
        heads = [head.identity(self._files) for head in self._declared.heads]
        # All vectors are scaled to length 1 anyway.
        while heads and heads[-1]["kind"] == "Normalize":
            heads.pop()
        return identity | ({"heads": heads} if heads else {})

    def _declared_length(self) -> int:
        if self._declared.max_length or not self._declared.modules:
            return self._declared.max_length or _LONGEST
        return min(limit for limit in self._limits if limit)

    def _say_what_is_open(self, prompt: str | None) -> None:
        log = logging.getLogger(__name__)
        if self._files.unsure:
            log.warning(
                "encoder: without network it is unknown whether %s has %s; continuing without",
                self.name,
                ", ".join(self._files.unsure),
            )
        if prompt is None and self._declared.prompts and not self.prompt:
            log.warning(
                "encoder: %s declares prompts but no default one, so none is used; choose one "
                "with prompt= (--prompt): %s",
                self.name,
                ", ".join(f"{name} {text!r}" for name, text in self._declared.prompts),
            )

    def stream(self, texts: Sequence[str]) -> Iterator[Batch]:
        # Loads everything here, so that errors are raised here and not in a thread.
        _ = self.network, self._heads, self._prompt_tokens
        workers = ThreadPoolExecutor(self._workers, initializer=self._start_worker)
        running: dict[Future, np.ndarray] = {}
        try:
            for rows, tokens in self._batches(texts):
                running[workers.submit(self._encode_batch, tokens)] = rows
                if len(running) >= 2 * self._workers:
                    yield from _finished(running)
            while running:
                yield from _finished(running)
        finally:
            workers.shutdown(cancel_futures=True)
            # Restores the number, as new threads inherit what any thread set last.
            self._torch.set_num_threads(self._threads)

    def _start_worker(self) -> None:
        if self._workers > 1:
            self._torch.set_num_threads(max(self._threads // self._workers, 1))

    def _batches(self, texts: Sequence[str]) -> Iterator[tuple[np.ndarray, list[list[int]]]]:
        order = longest_first(texts)
        for start in range(0, len(order), _WINDOW):
            window = order[start : start + _WINDOW]
            tokens = self.tokenizer(
                [f"{self.prompt}{texts[row]}" for row in window],
                truncation=True,
                max_length=self._limit,
                return_attention_mask=False,
                return_token_type_ids=False,
            )["input_ids"]
            lengths = np.array([len(ids) for ids in tokens])
            by_tokens = np.argsort(-lengths, kind="stable")
            # Divides even a few texts among all workers.
            share = max(int(lengths.sum()) // (2 * self._workers), _LEAST_TOKENS)
            budget = min(self.batch_tokens, share) if self._workers > 1 else self.batch_tokens
            first = 0
            while first < len(by_tokens):
                count = max(budget // max(lengths[by_tokens[first]], 1), 1)
                batch = by_tokens[first : first + count]
                yield window[batch], [tokens[row] for row in batch]
                first += count

    def _encode_batch(self, tokens: list[list[int]]) -> np.ndarray:
        torch = self._torch
        left = self.pooling == "last"
        ids = np.full((len(tokens), max(max(map(len, tokens)), 1)), self._pad_id, np.int64)
        mask = np.zeros_like(ids)
        for row, values in enumerate(tokens):
            part = slice(ids.shape[1] - len(values), None) if left else slice(len(values))
            ids[row, part], mask[row, part] = values, 1
        batch = {"input_ids": ids, "attention_mask": mask}
        if left and self._takes_positions:
            # Positions start at the first real token, after the padding.
            batch["position_ids"] = np.maximum(mask.cumsum(1) - 1, 0)
        with torch.inference_mode():
            batch = {key: torch.from_numpy(part).to(self.device) for key, part in batch.items()}
            hidden = self.network(**batch).last_hidden_state
            vectors = pool(hidden, batch["attention_mask"], str(self.pooling), self._prompt_tokens)
            for head in self._heads:
                vectors = head(vectors)
            return unit_rows(vectors.cpu().numpy())

    @cached_property
    def tokenizer(self):
        """The model's tokenizer."""
        tokenizer = self._load("AutoTokenizer")
        if self._declared.lower_case:
            kinds = optional("tokenizers", extra="text").normalizers
            inner = tokenizer.backend_tokenizer
            present = [] if inner.normalizer is None else [inner.normalizer]
            inner.normalizer = kinds.Sequence([kinds.Lowercase(), *present])
        return tokenizer

    @cached_property
    def network(self):
        """The model, loaded on first use, in evaluation mode."""
        name = PRECISIONS.get(self.precision) or _best_precision(self._torch, self.device)
        dtype = getattr(self._torch, name)
        return self._load("AutoModel", dtype=dtype).eval().to(self.device)

    @cached_property
    def _heads(self) -> list:
        """The functions after the pooling."""
        dims = self._config.hidden_size * len(str(self.pooling).split("+"))
        made = []
        for head in self._declared.heads:
            function, dims = head.build(self._files, dims, self.device)
            made.append(function)
        return made

    @cached_property
    def _prompt_tokens(self) -> int:
        """Number of first tokens, those of the prompt, that the pooling ignores."""
        if not self.prompt or self._declared.include_prompt:
            return 0
        tokens = self.tokenizer([self.prompt])["input_ids"][0]
        return len(tokens) - (tokens[-1] in self.tokenizer.all_special_ids)

    @property
    def _limits(self) -> tuple[int | None, int | None]:
        """Token limits of the tokenizer and of the transformer."""
        positions = getattr(self._config, "max_position_embeddings", None)
        return self.tokenizer.model_max_length, positions

    @cached_property
    def _limit(self) -> int:
        tokenizer, positions = self._limits
        if self.max_length == self._declared.max_length:
            tokenizer = None  # the model's declared limit overrides the tokenizer's
        return min(limit for limit in (self.max_length, tokenizer, positions) if limit)

    @cached_property
    def _pad_id(self) -> int:
        # Decoders often have no padding token; any id works, as it is masked.
        ids = (self.tokenizer.pad_token_id, self.tokenizer.eos_token_id, 0)
        return next(value for value in ids if value is not None)

    @cached_property
    def _takes_positions(self) -> bool:
        return "position_ids" in inspect.signature(self.network.forward).parameters

    def _load(self, kind: str, **options):
        model = self._model
        if self._declared.transformer and self._files.is_folder:
            model = os.path.join(model, self._declared.transformer)
        elif self._declared.transformer:
            options["subfolder"] = self._declared.transformer
        try:
            return getattr(self._transformers, kind).from_pretrained(model, **options)
        except (OSError, ValueError) as error:
            reason = str(error).strip().split("\n")[0]
            raise InputError(
                f"encoder: the model could not be loaded ({reason}); check the network, or give a "
                f"folder that holds it. Received: {self._model!r}"
            ) from None


def _finished(running: dict[Future, np.ndarray]) -> Iterator[Batch]:
    """Waits for at least one batch; yields the finished ones and removes them from `running`."""
    done, _ = wait(running, return_when=FIRST_COMPLETED)
    for future in done:
        yield running.pop(future), future.result()


def _best_device(torch) -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _best_precision(torch, device: str) -> str:
    if device.startswith("cuda"):
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float16"
    if not device.startswith("cpu"):
        return "float16"
    can = torch.cpu.get_capabilities()
    return "bfloat16" if can.get("avx512_bf16") or can.get("amx_bf16") else "float32"


def _hash_of_files(folder: Path) -> str:
    """Hash of a model's files in a folder; other files are ignored."""
    kinds = (".json", ".safetensors", ".bin", ".txt", ".model", ".tiktoken")
    files = sorted(file for file in folder.iterdir() if file.suffix in kinds)
    return text_hash("\n".join(f"{file.name} {file_hash(file)}" for file in files))
