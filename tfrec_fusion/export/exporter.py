"""Exports a model as a numbered version that TF Serving can load."""

from __future__ import annotations

import dataclasses
import logging
import math
import numbers
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pandas as pd

from tfrec_fusion._compat import tf
from tfrec_fusion.data import Interactions, Split
from tfrec_fusion.data.given import require_interactions
from tfrec_fusion.disk import disk_errors
from tfrec_fusion.errors import InputError
from tfrec_fusion.export.build import Build
from tfrec_fusion.export.kept_options import NONE_OF_THEM, kept_options, latest_card
from tfrec_fusion.export.model_card import CARD, model_card, with_entries
from tfrec_fusion.export.parity import Parity
from tfrec_fusion.export.parity_limits import ParityLimits
from tfrec_fusion.export.parity_report import REPORT
from tfrec_fusion.export.reference.builder import build_reference, item_events
from tfrec_fusion.export.reference.contexts import context_values, user_values
from tfrec_fusion.export.reference.reference import REFERENCE
from tfrec_fusion.export.saving import save_graph
from tfrec_fusion.export.search import search_entries
from tfrec_fusion.export.search_config import SearchConfig
from tfrec_fusion.export.served_model import ServedModel
from tfrec_fusion.export.served_ranker import ServedRanker
from tfrec_fusion.export.signatures import CATALOGUE_SIGNATURES, RANKER_SIGNATURES
from tfrec_fusion.export.signatures.base import ServedSignature
from tfrec_fusion.export.signatures.feature_inputs import given_features
from tfrec_fusion.export.signatures.recommend import REQUEST_INPUTS
from tfrec_fusion.export.signatures.tensors import ITEM, QUERY, QUERY_VECTOR, neutral_inputs
from tfrec_fusion.export.similarity import AUTO, NONE
from tfrec_fusion.export.versions import check_base
from tfrec_fusion.features.state import State
from tfrec_fusion.models.model import Model
from tfrec_fusion.registry import load
from tfrec_fusion.rerank.business import Business
from tfrec_fusion.rerank.reranker import Reranker
from tfrec_fusion.rerank.reranking import Reranking, rerankers_of
from tfrec_fusion.rerank.reranking import described as described_rerankers
from tfrec_fusion.rerank.rules import Rules
from tfrec_fusion.retrieval.stored_items import PRECISIONS, check_precision
from tfrec_fusion.signature import Signature, card_entries
from tfrec_fusion.times import DAY, time_problem

if TYPE_CHECKING:
    from tfrec_fusion.deploy import DeploymentConfig

TITLES = "assets.extra/items.parquet"
# Imported by name: `deploy` is above `export` in the order of imports.
_DEPLOYMENT = "tfrec_fusion.deploy.deployment"
_MOST_CHOICES = 500  # of an input, in the card
_log = logging.getLogger(__name__)


def export(
    model,
    events: Interactions,
    path: str | os.PathLike,
    *,
    at: float | None = None,
    metrics: Mapping | None = None,
    config: Mapping | None = None,
    deployment: DeploymentConfig | bool | None = None,
    filters: Sequence[str] | None = None,
    rules: Rules | Mapping | str | os.PathLike | None = None,
    items: pd.DataFrame | None = None,
    precision: str | None = None,
    limits: ParityLimits | None = None,
    held_out: Split | None = None,
    explain: bool | None = None,
    any_time: bool = False,
    signatures: Sequence[type[ServedSignature]] = (),
    rerank: Sequence[Reranker | str | Mapping] | None = None,
    similar: str | None = None,
    audience: bool | None = None,
    search: SearchConfig | Mapping | bool | None = None,
) -> Path:
    """Writes `path/1`, or the next integer: a SavedModel, its `model_card.json` and item titles.

    Requests to the version hold string ids, and serving it does not need this package. The card
    describes its signatures; see also `export/signatures` and `export/semantics.py`. The version
    holds users' histories, item vectors and trends as of `at`. The folder appears only when it is
    complete, even if the process is killed, and no version is ever replaced.

    If `filters`, `rules`, `rerank`, `explain`, `similar`, `audience`, `search` or `precision` is
    None, the latest version's value is used, so that a new version answers as the one before; a log
    line and the card's "kept" name these options.

    Args:
      model: a trained `tfrec_fusion.models.Model`, deep or classic.
      events: source of the histories and trends; may include events after training. As in training,
        `Interactions.counted_events` count. They must have the model's catalogue and, if the model
        reads user ids, its users: encode them with `encode_users(train.users)`.
      path: folder of the model's versions, e.g. `saved_models/shop`.
      at: unix time of the export in seconds; later events are left out. Default: just after the
        last event. Needs timestamps.
      metrics, config: entries for the card: numbers, texts, lists and dicts.
      deployment: a `DeploymentConfig`, or whether to write files for TF Serving: warm-up requests
        in the version and, in the folder above `path`, configs and manifests of one server for all
        models there. True writes them with defaults, False writes none. None is True if the extra
        `serving` is installed, else False with a log line.
      filters: item columns that requests to a two-tower may filter by; see `Filters`. () for none.
        A column that the model reads as `Tags` is split as they split it, here and in rules.
      rules: a shop's boosts, blocks, pins and caps for a two-tower: `Rules`, or what `Rules.of` or
        `Rules.load` takes. {} for none.
      items: a frame with the catalogue's item ids in any order. Its columns and titles replace the
        catalogue's in filters, rules and titles. The model still scores with the columns that it
        was trained on.
      precision: of the stored vectors and histories: "float32" (default of a first version),
        "bfloat16", "float16" or "int8". Any other than float32 is compared with float32, and the
        `ParityReport` is written to `parity.json` and the card.
      limits: differences from float32 beyond which the export fails; default `ParityLimits()`.
      held_out: the split that the model was trained on, to report NDCG@10 on its test events. This
        is measured from the histories of its training events, whatever `events` holds.
      explain: whether a two-tower's version gets the signature `explain`, which splits scores into
        shares of the model's inputs; see `evaluation.explain`. For n inputs (ids and kinds of
        vectors) it stores 2^n - 2 more tables of item vectors: three times the size for ids and
        text, seven times with images. A log line and the card's "explain" give the bytes.
      any_time: allow an export as of a time before 1990 or in the future, e.g. if times are not
        unix seconds.
      signatures: your own `ServedSignature` classes, in addition to the standard ones.
      rerank: rerankers of a recommender's lists, applied in this order: `Reranker` objects,
        `"module:Class"` or `{"kind": "module:Class", option: value}`. () for none.
      similar: what the signature `similar` ("more like this") compares items by: "auto" (default of
        a first version) for the model's own item vectors or item-item weights, if it has some, the
        name of vectors of the model or the catalogue, or "none" for no such signature. A name
        stores one more table of these vectors.
      audience: whether the version gets the signature `audience`, the users to whom an item should
        be shown, for models with user vectors. It stores the vectors of all users; a log line and
        the card's "audience" give the bytes.
      search: whether the version gets the signatures `search`, `search_text` and `search_vector`:
        True, or options of `SearchConfig`, e.g. `{"texts": ["title", "brand"]}`. False (default of
        a first version) for none.

    Returns:
      The folder of the new version.

    Raises:
      InputError: vocabularies differ from the model's, no event is before `at`, a time is
        implausible, TF Serving could not serve from `path` or would refuse the deployment files,
        item vectors are not finite, JSON cannot hold the metrics, the precision differs from
        float32 by more than the limits, `limits` are given for float32, `explain` is for a model
        whose scores are not split into shares or for more than 4 kinds of vectors, `filters`,
        `rules`, `rerank`, `similar`, `audience` or `search` are given for a `Ranker`, `similar`
        names no vectors, `audience` is for a model without user vectors or for no users, or an
        option of `search` is invalid.
      ImportError: `deployment` is requested and the extra `serving` is not installed.
      OSError: the disk is full, or the folder cannot be written; no version is left then.

    Example:
      >>> export(model, events, "saved_models/new").name
      '1'
    """
    if not isinstance(model, Model):
        raise InputError(
            "export: model must be one of tfrec_fusion.models, or implement the protocol "
            f"tfrec_fusion.models.Model. Received: {type(model).__name__}"
        )
    require_interactions(events, "export")
    check_base(path)
    given = {"filters": filters, "rules": rules, "explain": explain, "precision": precision}
    if search is not None:
        asked = SearchConfig.of(search)
        search = False if asked is None else asked.model_dump(mode="json")
    given |= {"rerank": rerank, "similar": similar, "audience": audience, "search": search}
    options, kept = kept_options(model, path, given)
    precision, explain = cast(str, options["precision"]), cast(bool, options["explain"])
    if explain and not model.explains:
        raise InputError(
            "export: explain is for a TwoTower, without repeats='all', or a Blend; scores of other "
            f"models are not split into shares. Received: {type(model).__name__}"
        )
    check_precision(precision)
    if limits is not None and precision == "float32":
        raise InputError(
            "export: limits compare a lower precision with float32; set precision to one of "
            f"{', '.join(PRECISIONS[1:])}, or omit limits. Received: precision='float32'"
        )
    model.check(events)
    if model.spec.user_side is not None:
        events = events.with_table_users()
    every = _before(events, at, any_time)
    events = every.counted_events()
    if len(events) == 0:
        raise InputError(
            "export: events must hold a positive event; all of them are impressions (label <= 0)"
        )
    try:
        taken = [tensor.name for tensor in (*REQUEST_INPUTS, ITEM, *given_features(model.spec))]
        taken += [QUERY.name, QUERY_VECTOR.name] if options["search"] else []
        business = Business.of(
            events.catalogue,
            options["filters"],
            options["rules"],
            items,
            taken,
            model.spec.item_side,
        )
    except InputError as error:
        if not {"filters", "rules"} & set(kept):
            raise
        raise InputError(
            f"{error} (the latest version's {' and '.join(kept)} apply unless you pass others; "
            f"pass {NONE_OF_THEM} for none)"
        ) from None
    if not model.ranks_catalogue and (business.attributes or business.rules or options["rerank"]):
        raise InputError(
            "export: filters, rules and rerank are only for models that rank the catalogue; a "
            f"{type(model).__name__} scores the items that a request names"
        )
    by_item = options["similar"] != AUTO or options["audience"] or options["search"]
    if not model.ranks_catalogue and by_item:
        raise InputError(
            "export: similar, audience and search are only for models that rank the catalogue; a "
            f"{type(model).__name__} scores the items that a request names"
        )
    reranking = Reranking(rerankers_of(options["rerank"])) if options["rerank"] else None
    merging = load(f"{_DEPLOYMENT}:merging_of")(deployment)
    state = State.of(every, at)
    own = tuple(signatures)
    similar, audience = cast(str, options["similar"]), cast(bool, options["audience"])
    searched = SearchConfig.of(options["search"])
    build = Build(
        model, state, business, explain, merging, own, reranking, similar, audience, searched
    )
    serving = build.serving(precision)
    if audience and not serving.has_vectors:
        raise InputError(
            "export: audience needs a model whose score is the dot product of a user vector and an "
            f"item vector; leave it out, or pass audience=False. Received: {type(model).__name__}"
        )
    if audience and not len(events.users):
        raise InputError("export: audience needs users, and the events have none")
    of_business = business.card if model.ranks_catalogue else {}
    card = model_card(model, events, state.time, metrics, config, of_business)
    with (
        disk_errors(path, "no version was written"),
        load(f"{_DEPLOYMENT}:new_version_with_deployment")(path, deployment) as (folder, result),
    ):
        # Saving the graph copies these files into the version's assets.
        users_file, items_file = folder.parent / "users.txt", folder.parent / "items.txt"
        events.users.save(users_file)
        events.catalogue.vocabulary.save(items_file)
        served = build.served(serving, users_file, items_file, precision)
        saved = save_graph(served, folder)
        titles = folder / TITLES
        titles.parent.mkdir(exist_ok=True)
        known = {
            "item_id": events.catalogue.vocabulary.ids,
            "title": business.catalogue.titles,
            "events": item_events(events),
        }
        # The shop chose these columns for requests, so callers may see their values.
        shown = {a.name: business.catalogue.frame[a.name].to_numpy() for a in business.attributes}
        pd.DataFrame(shown | known).to_parquet(titles, index=False, compression="zstd")
        requested = served.serving.requested
        reference = build_reference(
            _asked(served),
            every,
            not served.ranks_catalogue,
            context_values(requested, every),
            user_values(requested, every),
        )
        reference.save(folder / REFERENCE)
        entries = card_entries(served.described) | {
            "semantics": served.semantics,
            "precision": precision,
            "kept": kept,
            "similar": similar,
        }
        if requested is not None:
            entries["features"] = [tensor.name for tensor in requested.inputs]
            known = requested.choices
            entries["choices"] = {name: list(v[:_MOST_CHOICES]) for name, v in known.items()}
        _tell_changed_signatures(path, served.described)
        if reranking is not None:
            entries["rerank"] = described_rerankers(options["rerank"])
        explanation = getattr(served, "explanation", None)
        if explanation is not None:
            entries["explain"] = explanation.size
        if explanation is not None and explanation.size:
            _log.warning("export: explain adds %s bytes to the version", f"{entries['explain']:,}")
        if audience and isinstance(served, ServedModel) and served.audience is not None:
            entries["audience"] = served.audience.size
            _log.warning(
                "export: audience adds %s bytes to the version", f"{entries['audience']:,}"
            )
        if isinstance(served, ServedModel):
            entries |= search_entries(served.search)
        if precision != "float32":
            full = build.served(build.serving("float32"), users_file, items_file, "float32")
            more = save_graph(full, folder.parent / "float32") - saved
            report = Parity(full, served, events).report(precision, folder, more)
            if held_out is not None and len(held_out.test):
                ndcg = _held_out_ndcg(build, held_out, folder.parent, precision)
                report = dataclasses.replace(report, ndcg_10=ndcg)
            report.check(limits or ParityLimits())
            report.save(folder / REPORT)
            entries["parity"] = report.to_dict()
        (folder / CARD).write_text(with_entries(card, entries), encoding="utf-8")
    return result[0]


def _asked(served: ServedModel | ServedRanker) -> Callable:
    """The signature `serving_default`, which features of requests may be left out of."""
    function, inputs = served.plain["serving_default"], served.feature_inputs
    if served.ranks_catalogue or not inputs:
        return function
    return lambda user_id, **given: function(
        user_id=user_id, **neutral_inputs(inputs, tf.shape(user_id)[0]) | given
    )


def _tell_changed_signatures(path: str | os.PathLike, described: Sequence[Signature]) -> None:
    """Warns of custom signatures of the latest version that this one lacks, and of new inputs."""
    before = latest_card(path).get("signatures", {})
    known = {one.name for one in (*CATALOGUE_SIGNATURES, *RANKER_SIGNATURES)}
    known |= {one.name for one in described}
    lost = sorted(set(before) - known)
    if lost:
        _log.warning(
            "export: the latest version has the signatures %s, which this one lacks; pass "
            "signatures=[...] to add them",
            ", ".join(lost),
        )
    added = {
        tensor.name: one.name
        for one in described
        for tensor in one.inputs
        if one.name in before and tensor.name not in before[one.name].get("inputs", {})
    }
    if added:
        _log.warning(
            "export: requests need inputs that the latest version had not: %s; clients that send "
            "raw requests must give them, if only their neutral values (docs/serving.md)",
            ", ".join(f"{name} ({signature})" for name, signature in added.items()),
        )


def _held_out_ndcg(build: Build, split: Split, folder: Path, precision: str):
    """NDCG@10 on the split's test events in both precisions, with its training histories."""
    build.model.check(split.train)
    train = split.train.counted_events()
    build = dataclasses.replace(
        build,
        state=State.of(train),
        explain=False,
        merging=None,
        signatures=(),
        similar=NONE,
        audience=False,
        search=None,
    )
    users, items = folder / "known_users.txt", folder / "items.txt"
    train.users.save(users)
    full, smaller = (
        build.served(build.serving(one), users, items, one) for one in ("float32", precision)
    )
    return Parity(full, smaller, train, split.targets()).ndcg()


def _before(events: Interactions, at: float | None, any_time: bool) -> Interactions:
    if at is None:
        if events.timestamp is not None and len(events) and not any_time:
            last = float(events.timestamp.max())
            _check_time("the time of the last event", last, time.time() + DAY)
        return events
    if not isinstance(at, numbers.Real) or isinstance(at, bool) or not math.isfinite(at):
        raise InputError(f"export: at must be a finite unix time in seconds. Received: {at!r}")
    if events.timestamp is None:
        raise InputError(f"export: at needs events with a 'timestamp'. Received: at={at}")
    if not any_time:
        _check_time("at", at, time.time())
    earlier = events.timestamp < at
    if not earlier.any():
        raise InputError(
            f"export: at must be after the first event, {events.timestamp.min():.0f}. "
            f"Received: {at}"
        )
    return events.select(earlier)


def _check_time(name: str, value: float, latest: float) -> None:
    problem = time_problem(value, latest)
    if problem is not None:
        raise InputError(
            f"export: {name} {problem}; any_time=True (--any-time) accepts it. "
            f"Received: {value:.0f}"
        )
