"""Encodes with endpoints that speak OpenAI's embeddings protocol."""

import itertools
import math
import os
import random
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from tfrec_fusion._compat import optional
from tfrec_fusion.embeddings.encoders.base import Batch, Encoder
from tfrec_fusion.embeddings.encoders.pace import Pace
from tfrec_fusion.errors import InputError

_OPENAI = "https://api.openai.com/v1"
# Dollars per million tokens at api.openai.com; other hosts and models need `price`.
_PRICES = {
    "text-embedding-3-small": 0.02,
    "text-embedding-3-large": 0.13,
    "text-embedding-ada-002": 0.10,
}
_LONGEST_WAIT = 60.0


class OpenAIEncoder(Encoder):
    """Encodes with OpenAI, or with vLLM, TEI, llama.cpp, Ollama and others that speak its protocol.

    Requests run concurrently. Temporary errors (429, 408, 409, 5xx, a broken or timed-out
    connection) are retried after an increasing wait, or the one in the server's Retry-After;
    permanent errors (a wrong key, no quota, a text too long) end the run, and the vectors received
    so far are kept. The key is read from the environment when the run starts, and stored nowhere.
    Needs the extra `openai`.

    Example:
      >>> encoder = OpenAIEncoder("text-embedding-3-small", dimensions=512)  # key  # doctest: +SKIP
      >>> encoder.encode(["a red mug"]).shape  # a service  # doctest: +SKIP
      (1, 512)
    """

    def __init__(
        self,
        model: str | None = None,
        *,
        base_url: str | None = None,
        dimensions: int | None = None,
        prompt: str = "",
        batch_texts: int = 128,
        batch_tokens: int = 32_768,
        concurrency: int = 8,
        retries: int = 6,
        first_wait: float = 1.0,
        timeout: float = 60.0,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        price: float | None = None,
        key_variable: str = "OPENAI_API_KEY",
    ):
        """
        Args:
          model: name of the model; None if the endpoint serves exactly one.
          base_url: URL of the endpoint; None is OPENAI_BASE_URL, else OpenAI itself.
          dimensions: length of the vectors, if the model can shorten them.
          prompt: instruction before each text.
          batch_texts, batch_tokens: most texts and (estimated) tokens of a request.
          concurrency: concurrent requests.
          retries: most retries of a request.
          first_wait: seconds before the first retry; doubled for each further one, up to a minute.
          timeout: seconds of a request.
          requests_per_minute, tokens_per_minute: rate limits to keep; None for no limit.
          price: dollars per million tokens, for the estimate; None is OpenAI's list price.
          key_variable: environment variable with the key; endpoints with a base_url may need none.

        Raises:
          ImportError: the extra is not installed.
          InputError: the model is not given and not unique, or a number is out of range.
        """
        self._openai = optional("openai", extra="openai")
        self._url = (base_url or os.environ.get("OPENAI_BASE_URL") or _OPENAI).rstrip("/")
        self._host = _host(self._url)
        limits = {"batch_texts": batch_texts, "batch_tokens": batch_tokens}
        limits |= {"concurrency": concurrency, "requests_per_minute": requests_per_minute}
        limits |= {"tokens_per_minute": tokens_per_minute, "dimensions": dimensions}
        for field, value in limits.items():
            if value is not None and value < 1:
                raise InputError(f"{field}: must be at least 1. Received: {value!r}")
        self._key_variable, self._timeout = key_variable, timeout
        self._batch_texts, self._batch_tokens = batch_texts, batch_tokens
        self._concurrency, self._retries, self._first_wait = concurrency, retries, first_wait
        self._pace = Pace(requests_per_minute, tokens_per_minute)
        self.prompt, self.dimensions = prompt, dimensions
        self.model = model or self._only_model()
        self.name = f"{self.model} at {self._host}"
        listed = _PRICES.get(self.model) if self._url == _OPENAI else None
        self._price = listed if price is None else price

    def identity(self) -> dict:
        identity = {"kind": "openai", "host": self._host, "model": self.model}
        return identity | {"dimensions": self.dimensions, "prompt": self.prompt}

    def estimate(self, texts: Sequence[str]) -> str:
        tokens = sum(self._tokens(text) for text in texts)
        requests = sum(1 for _ in self._requests(texts))
        cost = (
            "price unknown"
            if self._price is None
            else f"about ${tokens * self._price / 1e6:,.4f} at ${self._price:g} per million"
        )
        return f"{self.name}: about {tokens:,} tokens in {requests:,} requests, {cost}"

    def stream(self, texts: Sequence[str]) -> Iterator[Batch]:
        client, stop = self._client(), threading.Event()
        workers = ThreadPoolExecutor(self._concurrency)
        running: dict[Future, np.ndarray] = {}
        dims, failure = self.dimensions, None
        requests = self._requests(texts)
        try:
            while True:
                free = 0 if failure else self._concurrency - len(running)
                for rows in itertools.islice(requests, free):
                    batch = [f"{self.prompt}{texts[row]}" for row in rows]
                    running[workers.submit(self._request, client, batch, stop)] = rows
                if not running:
                    break
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    rows = running.pop(future)
                    try:
                        vectors = future.result()
                        dims = self._check_dims(vectors, dims)
                    except InputError as error:
                        # Waits for the running requests, as their vectors are already paid for.
                        failure = failure or error
                        stop.set()
                    else:
                        yield rows, vectors
            if failure:
                raise failure
        finally:
            stop.set()
            client.close()
            workers.shutdown(cancel_futures=True)

    def _requests(self, texts: Sequence[str]) -> Iterator[np.ndarray]:
        """Positions of the texts of each request."""
        rows, tokens = [], 0
        for row, text in enumerate(texts):
            size = self._tokens(text)
            if rows and (len(rows) == self._batch_texts or tokens + size > self._batch_tokens):
                yield np.array(rows, np.int64)
                rows, tokens = [], 0
            rows.append(row)
            tokens += size
        if rows:
            yield np.array(rows, np.int64)

    def _tokens(self, text: str) -> int:
        """Estimated tokens of a text with the prompt, at 4 bytes each as in English."""
        return math.ceil(len((self.prompt + text).encode()) / 4)

    def _request(self, client, batch: list[str], stop: threading.Event) -> np.ndarray:
        options = {} if self.dimensions is None else {"dimensions": self.dimensions}
        tokens = sum(self._tokens(text) for text in batch)
        for attempt in range(self._retries + 1):
            if stop.wait(self._pace.delay(tokens)):
                break
            try:
                answer = client.embeddings.create(model=self.model, input=batch, **options)
            except (self._openai.OpenAIError, ValueError) as error:
                if not self._passing(error) or attempt == self._retries:
                    raise self._told(error, attempt + 1) from None
                seconds = self._wait(error, attempt)
                if getattr(error, "status_code", None) == 429:
                    self._pace.pause(seconds)
                elif stop.wait(seconds):
                    break
            else:
                return self._vectors(answer, len(batch))
        raise InputError(
            f"{self.name}: the run was stopped. Received: {len(batch)} texts to encode"
        )

    def _passing(self, error: Any) -> bool:
        """Whether the error is temporary, so that a retry may help."""
        if isinstance(error, self._openai.APIStatusError):
            for_good = getattr(error, "code", None) == "insufficient_quota"
            status = error.status_code
            return not for_good and (status in (408, 409, 429) or status >= 500)
        # A truncated answer is not valid JSON, which raises a ValueError.
        return isinstance(error, (self._openai.APIConnectionError, ValueError))

    def _wait(self, error: Exception, attempt: int) -> float:
        response = getattr(error, "response", None)
        asked = response.headers.get("retry-after") if response is not None else None
        try:
            return min(max(float(asked or ""), 0.0), _LONGEST_WAIT)
        except (TypeError, ValueError):
            grown = min(self._first_wait * 2.0**attempt, _LONGEST_WAIT)
            # Random, so that threads rejected at the same time do not retry at the same time.
            return grown * random.uniform(0.5, 1.0)

    def _vectors(self, answer, count: int) -> np.ndarray:
        data = getattr(answer, "data", None) or []
        places = sorted(getattr(one, "index", -1) for one in data)
        if places != list(range(count)):
            raise InputError(
                f"{self.name}: must return one vector per text, each with its index; check the "
                f"server. Received: {len(data)} vectors for {count} texts"
            )
        data = sorted(data, key=lambda one: one.index)
        lengths = {len(one.embedding) for one in data}
        if len(lengths) > 1:
            raise InputError(
                f"{self.name}: the vectors must have the same length; check the server. "
                f"Received: lengths {sorted(lengths)}"
            )
        return np.array([one.embedding for one in data], np.float32)

    def _check_dims(self, vectors: np.ndarray, dims: int | None) -> int:
        if dims is not None and vectors.shape[1] != dims:
            raise InputError(
                f"{self.name}: the vectors must have {dims} dims; check the server. "
                f"Received: {vectors.shape[1]} dims"
            )
        return vectors.shape[1]

    def _client(self):
        key = os.environ.get(self._key_variable)
        if not key and self._url == _OPENAI:
            raise InputError(
                f"encoder: OpenAI needs a key; set the environment variable {self._key_variable}. "
                "Received: it is not set"
            )
        return self._openai.OpenAI(
            api_key=key or "none", base_url=self._url, max_retries=0, timeout=self._timeout
        )

    def _only_model(self) -> str:
        with self._client() as client:
            try:
                models = [model.id for model in client.models.list()]
            except (self._openai.OpenAIError, ValueError) as error:
                raise self._told(error, 1) from None
        if len(models) != 1:
            raise InputError(
                "encoder: name one of the endpoint's models, as URL#MODEL. "
                f"Received: {self._host}, which serves {models[:10]}"
            )
        return models[0]

    def _told(self, error: Exception, tries: int) -> InputError:
        text = " ".join(str(error).split())
        key = os.environ.get(self._key_variable)
        if key:
            text = text.replace(key, "***")
        what = getattr(self, "name", self._host)
        return InputError(
            f"{what}: no vectors after {tries} {'try' if tries == 1 else 'tries'} ({text:.300}); "
            "the vectors received so far are kept, and the same call resumes. "
            f"Received: {type(error).__name__}"
        )


def _host(url: str) -> str:
    """Host, port and path of a URL, without user and password."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputError(f"base_url: must be an http or https URL. Received: {parts.scheme!r}")
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.hostname}{port}{parts.path.rstrip('/')}"
