import { chart } from "./chart.js";
import { freshId, h, short } from "./dom.js";

const TILES = ["ndcg@10", "recall@20", "hr@10", "mrr@10"];
const DEFAULT = "ndcg@10";

/** Builds the model card of one version, or of two side by side; `versions` are `{name, card, items}`. */
export function modelCard(versions) {
  return [metrics(versions), h("div", { class: "pair" }, ...versions.map((version, place) => about(version, place ? "b" : "a")))];
}

function metrics(versions) {
  const measured = versions
    .map(({ name, card }, place) => ({ name, side: place ? "b" : "a", slices: card.metrics?.slices ?? {} }))
    .filter(({ slices }) => Object.keys(slices).length);
  if (!measured.length) {
    return h("section", { class: "panel" }, h("h2", {}, "Metrics"), h("p", {}, "The card has no metrics: the model was exported without an evaluation."));
  }
  const names = [...new Set(measured.flatMap(({ slices }) => Object.values(slices).flatMap((slice) => Object.keys(slice.metrics ?? {}))))];
  const holder = h("div");
  const id = freshId("metric");
  const select = h(
    "select",
    { id, onchange: () => holder.replaceChildren(chart(select.value, measured)) },
    ...names.map((name) => h("option", { value: name, selected: name === DEFAULT }, name)),
  );
  holder.append(chart(select.value, measured));
  return h(
    "section",
    { class: "panel" },
    h("div", { class: "heading" }, h("h2", {}, "Metrics"), h("label", { for: id }, "Metric ", select)),
    measured.length < versions.length ? h("p", { class: "help" }, `Only ${measured[0].name} was evaluated.`) : "",
    tiles(measured),
    holder,
  );
}

function tiles(measured) {
  const total = ({ slices }) => slices.total ?? Object.values(slices)[0];
  const names = TILES.filter((name) => measured.some((version) => total(version).metrics?.[name] !== undefined));
  return h(
    "dl",
    { class: "tiles" },
    ...names.map((name) =>
      h(
        "div",
        {},
        h("dt", {}, name),
        ...measured.map((version) => h("dd", { class: measured.length > 1 ? `is-${version.side}` : null, title: version.name }, short(total(version).metrics?.[name] ?? null, 3))),
      ),
    ),
  );
}

function about({ name, card, items }, side) {
  const data = card.data ?? {};
  const count = (n) => (n === undefined || n === null ? null : n.toLocaleString("en"));
  const vectors = Object.entries(card.vectors ?? {})
    .map(([key, found]) => `${key}: ${found.dim} dimensions, ${count(found.items)} items`)
    .join("; ");
  const facts = [
    ["Model", card.model],
    ["Exported", time(card.created)],
    ["Events up to", time(data.as_of)],
    ["Events", count(data.events)],
    ["Users", count(data.users)],
    ["Items", count(data.items ?? items)],
    ["Dimensions", card.model_config?.dim],
    ["Fusion", vectors ? card.model_config?.fusion : null],
    ["Item ids", card.model_config?.use_ids === undefined ? null : card.model_config.use_ids ? "used" : "not used"],
    ["Vectors", vectors || "none"],
    ["Filters", (card.filters ?? []).join(", ")],
    ["Evaluated on", card.metrics?.split ? `a ${card.metrics.split} split` : null],
  ].filter(([, value]) => value);
  return h(
    "section",
    { class: `panel column ${side}`, "aria-label": `Card of ${name}` },
    h("h2", {}, name),
    h("dl", { class: "about" }, ...facts.flatMap(([key, value]) => [h("dt", {}, key), h("dd", {}, value)])),
    card.rules ? more("Rules", raw(card.rules)) : "",
    card.semantics ? more("Notes on its answers", h("ul", { class: "semantics" }, ...card.semantics.map((text) => h("li", {}, text)))) : "",
    card.signatures ? more("Signatures", ...Object.entries(card.signatures).map(signature)) : "",
    more("Configuration", raw({ model: card.model_config, run: card.run_config })),
    card.packages ? more("Packages", raw(card.packages)) : "",
  );
}

const more = (title, ...children) => h("details", {}, h("summary", {}, title), ...children);

const time = (text) => text?.replace("T", " ").replace("+00:00", " UTC");

const raw = (value) => h("pre", { tabindex: "0" }, JSON.stringify(value, null, 2));

function signature([name, { does, inputs, outputs }]) {
  const rows = (kind, found) =>
    Object.entries(found ?? {}).map(([key, text]) => h("li", {}, `${kind} `, h("code", {}, key), ` ${text}`));
  return h("div", { class: "signature" }, h("h3", {}, name), h("p", {}, does ?? ""), h("ul", {}, ...rows("in", inputs), ...rows("out", outputs)));
}
