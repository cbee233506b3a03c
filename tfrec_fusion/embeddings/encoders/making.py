"""Makes encoders from names, objects and functions."""

import inspect
from collections.abc import Callable
from typing import Any

from tfrec_fusion.embeddings.encoders.base import Encoder
from tfrec_fusion.embeddings.encoders.fitted import FittedEncoder
from tfrec_fusion.embeddings.encoders.function import CallableEncoder
from tfrec_fusion.embeddings.encoders.lexical import LexicalEncoder
from tfrec_fusion.embeddings.encoders.ngrams import NGramEncoder
from tfrec_fusion.errors import InputError

_FITTED: dict[str, type[FittedEncoder]] = {one.name: one for one in (LexicalEncoder, NGramEncoder)}


def as_encoder(encoder) -> Encoder:
    """Converts an `Encoder`, a name, an object with `encode` or a function to an `Encoder`.

    Raises:
      InputError: it is none of these.
    """
    if isinstance(encoder, Encoder):
        return encoder
    if isinstance(encoder, str):
        return make_encoder(encoder)
    if callable(getattr(encoder, "encode", None)):
        name = getattr(encoder, "name", None)
        if not isinstance(name, str):
            raise InputError(
                "encoder: an object with encode() must also have a name, which the store records. "
                f"Received: {type(encoder).__name__}"
            )
        return CallableEncoder(encoder.encode, name, getattr(encoder, "fingerprint", None))
    if callable(encoder):
        return CallableEncoder(encoder)
    raise InputError(
        "encoder: must be an Encoder, an object with name and encode(list of texts), a function of "
        f"a list of texts, or a name. Received: {type(encoder).__name__}"
    )


def make_encoder(name: str, **options) -> Encoder:
    """Makes an encoder from its name.

    Args:
      name: ``"lexical"`` or ``"ngrams"``, or the folder of a fitted one; ``"wordllama"``;
        ``"openai:MODEL"``; the URL of an OpenAI-compatible endpoint, as
        ``"http://localhost:8000/v1#MODEL"`` (without ``#MODEL``, the endpoint must serve exactly
        one model); else a folder with a transformers model, or its name on the Hugging Face hub.
      options: options of the encoder's constructor; None values are ignored.

    Raises:
      InputError: an option that the encoder does not have, or an error of its constructor.
      ImportError: its extra is not installed.

    Example:
      >>> make_encoder("wordllama").name
      'wordllama'
    """
    options = {key: value for key, value in options.items() if value is not None}
    chosen: Callable[..., Encoder]
    arguments: list[Any] = [name]
    if name == "wordllama":
        from tfrec_fusion.embeddings.encoders.static import StaticEncoder

        chosen, arguments = StaticEncoder, []
    elif name in _FITTED:
        chosen, arguments = _FITTED[name], []
    elif name.startswith(("openai:", "http://", "https://")):
        from tfrec_fusion.embeddings.encoders.openai_endpoint import OpenAIEncoder

        chosen = OpenAIEncoder
        if name.startswith("openai:"):
            arguments = [name.removeprefix("openai:")]
        else:
            url, _, model = name.partition("#")
            arguments, options = [model or None], {"base_url": url, **options}
    elif saved := [one for one in _FITTED.values() if one.is_saved(name)]:
        chosen = saved[0].load
    else:
        from tfrec_fusion.embeddings.encoders.huggingface import HuggingFaceEncoder

        chosen = HuggingFaceEncoder
    unknown = sorted(set(options) - set(inspect.signature(chosen).parameters))
    if unknown:
        raise InputError(
            f"{unknown[0]}: the encoder {name!r} has no such option; omit it. "
            f"Received: {options[unknown[0]]!r}"
        )
    return chosen(*arguments, **options)
