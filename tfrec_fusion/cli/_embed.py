"""`tfrec-fusion embed`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tfrec_fusion.cli._output import Json, Output
from tfrec_fusion.cli._reading import ItemColumns, Lists, reading


def embed(
    items: Annotated[
        Path, typer.Option("--items", metavar="FILE", help="Items, Parquet file or folder, or CSV.")
    ],
    encoder: Annotated[
        str,
        typer.Option(
            "--encoder",
            metavar="NAME|PATH|URL",
            help="A Hugging Face hub model, a folder with one, lexical, ngrams, wordllama, "
            "openai:MODEL, or the URL of an OpenAI-compatible endpoint, e.g. http://host:8000/v1#MODEL.",
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="STORE", help="Folder of the vector store.")
    ],
    template: Annotated[
        str | None,
        typer.Option(
            "--template", help="How to build an item's text, e.g. '{title}. {description}'."
        ),
    ] = None,
    pooling: Annotated[
        str | None,
        typer.Option(
            "--pooling",
            help="mean, cls, last, max, mean_sqrt_len, weightedmean, or several, e.g. cls+mean.  "
            "[default: what the model declares, else mean]",
        ),
    ] = None,
    prompt: Annotated[
        str | None,
        typer.Option(
            "--prompt",
            help="Instruction to prepend to each text.  [default: the model's default prompt, if "
            "any]",
        ),
    ] = None,
    max_length: Annotated[
        int | None,
        typer.Option(
            "--max-length",
            help="Truncate texts to this many tokens.  [default: what the model declares, else "
            "512]",
        ),
    ] = None,
    precision: Annotated[
        str | None, typer.Option("--precision", help="auto (default), fp32, bf16 or fp16.")
    ] = None,
    batch_tokens: Annotated[
        int | None, typer.Option("--batch-tokens", help="Tokens per batch.")
    ] = None,
    dims: Annotated[
        int | None,
        typer.Option(
            "--dims",
            help="Vector length of the encoders lexical and ngrams.  [default: 1024, and 256]",
        ),
    ] = None,
    dtype: Annotated[
        str | None,
        typer.Option("--dtype", help="Stored type: float16 (default), float32 or int8."),
    ] = None,
    item_columns: ItemColumns = None,
    lists: Lists = None,
    json: Json = None,
) -> None:
    """Encode item texts into a vector store. Encodes only new texts; resumes after a kill."""
    output = Output(json)
    from tfrec_fusion.data import Catalogue
    from tfrec_fusion.embeddings import encode, make_encoder

    how = reading(item_columns=item_columns, lists=lists)
    frame = Catalogue.from_file(
        items, columns=how.get("item_columns"), lists=how.get("lists")
    ).frame
    made = make_encoder(
        encoder,
        pooling=pooling,
        prompt=prompt,
        max_length=max_length,
        precision=precision,
        batch_tokens=batch_tokens,
        dims=dims,
    )
    result = encode(frame, made, out, template=template, dtype=dtype, progress=output.console)
    output.print(
        f"{out}: {len(result.store):,} x {result.store.dims} {result.store.dtype} by {made.name}; "
        f"{result.encoded:,} texts encoded ({result.texts_per_second:,.0f} texts/s), "
        f"{result.reused:,} reused, {result.without_text:,} items without a text, "
        f"{result.seconds:.1f} s"
    )
    output.write({"store": str(out), "encoder": made.name, **result.to_dict()})
