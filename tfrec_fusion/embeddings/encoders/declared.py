"""Reads what a sentence-transformers model declares in addition to its transformer."""

from __future__ import annotations

from dataclasses import dataclass

from tfrec_fusion.embeddings.encoders.heads import Head
from tfrec_fusion.embeddings.encoders.model_files import ModelFiles
from tfrec_fusion.embeddings.encoders.pooling import POOLINGS
from tfrec_fusion.errors import InputError

# sentence-transformers' name -> ours, where they differ
_POOLINGS = {"lasttoken": "last", "mean_sqrt_len_tokens": "mean_sqrt_len"}
_OLD_POOLINGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_HEADS = ("Dense", "LayerNorm", "Normalize")
_TRANSFORMER_CONFIGS = tuple(
    f"sentence_{kind}_config.json"
    for kind in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)


@dataclass(frozen=True)
class Declared:
    """Declared pooling, prompts, limits and modules; the defaults are for a bare transformer.

    Attributes:
      modules: whether the model has a `modules.json`.
      transformer: folder of the transformer within the model; "" is the model's own folder.
      pooling: pooling as in `HuggingFaceEncoder`.
      include_prompt: whether the pooling includes the prompt's tokens.
      max_length: longest text in tokens, if declared.
      lower_case: whether to lower-case texts.
      prompt: default prompt before each text.
      prompts: (name, prompt) pairs to choose from.
      heads: modules after the pooling.
    """

    modules: bool = False
    transformer: str = ""
    pooling: str = "mean"
    include_prompt: bool = True
    max_length: int | None = None
    lower_case: bool = False
    prompt: str = ""
    prompts: tuple[tuple[str, str], ...] = ()
    heads: tuple[Head, ...] = ()

    @classmethod
    def read(cls, files: ModelFiles) -> Declared:
        """Reads a model's files; without `modules.json` returns the defaults.

        Raises:
          InputError: a module, or an option of one, is not supported.
        """
        listed = files.json("modules.json")
        if not listed:
            return cls()
        modules = [(str(one.get("type", "")), str(one.get("path", ""))) for one in listed]
        kinds = [_kind(full, files) for full, _ in modules]
        if kinds[:2] != ["Transformer", "Pooling"]:
            raise _unknown(
                "modules other than a Transformer and its Pooling at the start", kinds, files
            )
        (_, transformer), (_, pooling), *rest = modules
        heads = [
            Head(kind, path, files.json(f"{path}/config.json"))
            for kind, (_, path) in zip(kinds[2:], rest, strict=True)
            if kind != "Dropout"
        ]
        for head in heads:
            if head.kind not in _HEADS:
                raise _unknown("a second", head.kind, files)
            head.check()
        return cls(
            modules=True,
            transformer=transformer,
            heads=tuple(heads),
            **_pooling(files, pooling),
            **_transformer(files, transformer),
            **_prompts(files),
        )


def _kind(full: str, files: ModelFiles) -> str:
    kind = full.rpartition(".")[2]
    known = ("Transformer", "Pooling", "Dropout", *_HEADS)
    if not full.startswith("sentence_transformers.") or kind not in known:
        raise _unknown("the module", full, files)
    return kind


def _unknown(what: str, received, files: ModelFiles) -> InputError:
    return InputError(
        f"encoder: {files.model} declares {what}, which is not supported; use CallableEncoder "
        f"with sentence-transformers' own encode. Received: {received!r}"
    )


def _pooling(files: ModelFiles, path: str) -> dict:
    config = files.json(f"{path}/config.json")
    modes = config.get("pooling_mode")
    if modes is None:
        modes = [mode for key, mode in _OLD_POOLINGS.items() if config.get(key)] or ["mean"]
    names = [_POOLINGS.get(mode, mode) for mode in ([modes] if isinstance(modes, str) else modes)]
    if not set(names) <= set(POOLINGS):
        raise _unknown("a pooling", modes, files)
    return {"pooling": "+".join(names), "include_prompt": config.get("include_prompt", True)}


def _transformer(files: ModelFiles, path: str) -> dict:
    prefix = f"{path}/" if path else ""
    # Only old folders use the other names; models on the hub have the first.
    names = _TRANSFORMER_CONFIGS if files.is_folder else _TRANSFORMER_CONFIGS[:1]
    config = next((c for n in names if (c := files.json(prefix + n))), {})
    task = config.get("transformer_task", "feature-extraction")
    text = config.get("modality_config", {}).get("text", {"method": "forward"})
    output = text.get("method_output_name", "last_hidden_state")
    if (task, text.get("method"), output) != ("feature-extraction", "forward", "last_hidden_state"):
        raise _unknown("how its transformer is called", {"transformer_task": task, **text}, files)
    length = config.get("max_seq_length")
    return {"max_length": length, "lower_case": bool(config.get("do_lower_case"))}


def _prompts(files: ModelFiles) -> dict:
    config = files.json("config_sentence_transformers.json")
    prompts = {name: text for name, text in (config.get("prompts") or {}).items() if text}
    return {
        "prompt": prompts.get(config.get("default_prompt_name"), ""),
        "prompts": tuple(prompts.items()),
    }
