"""The ``manifest.json`` of a vector store."""

import hashlib
import json

from pydantic import BaseModel, ConfigDict, Field

FORMAT = 1


class Manifest(BaseModel):
    """Description of a vector store: the origin of its vectors and the checksums of its files.

    Attributes:
        format: version of the folder layout.
        encoder, revision, pooling, template: how the texts were encoded; None if unknown.
        encoder_id: fingerprint of all that the encoder's vectors depend on.
        steps: steps applied in order to the raw vectors when they are read.
        rows, dims, dtype: shape and stored type of ``vectors.npy``, which holds the raw vectors.
        files: name -> SHA-256 of every other file of the folder.
        created: UTC time of writing, ISO 8601.
        fingerprint: hash of all the above except ``created``.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    format: int = FORMAT
    encoder: str | None = None
    revision: str | None = None
    pooling: str | None = None
    template: str | None = None
    encoder_id: str | None = None
    steps: tuple[dict, ...] = ()
    rows: int = Field(ge=1)
    dims: int = Field(ge=1)
    dtype: str
    files: dict[str, str]
    created: str
    fingerprint: str

    @classmethod
    def build(cls, created: str, **fields) -> "Manifest":
        """A manifest whose fingerprint is computed from the other fields."""
        unsigned = cls(created=created, fingerprint="", **fields)
        return unsigned.model_copy(update={"fingerprint": unsigned.content_hash()})

    def origin(self) -> dict:
        """How the texts were encoded, as keyword arguments of `build`."""
        names = ("encoder", "revision", "pooling", "template", "encoder_id")
        return {name: getattr(self, name) for name in names}

    def content_hash(self) -> str:
        """SHA-256 (64 hex digits) of the canonical JSON of all fields except ``created``.

        Fields at their defaults are left out, so that adding a field changes no fingerprint.
        """
        content = self.model_dump(exclude={"created", "fingerprint"}, exclude_defaults=True)
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
