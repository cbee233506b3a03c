import { byId, h, plural, short } from "./dom.js";
import { splitScores } from "./shares.js";

const DECIMALS = { score: 3, probability: 4 };

const SHORTEST = 4; // percent of the bar's width, so that the shortest bar is visible

let folded = false; // whether the shares of all columns are folded away

/**
 * Builds the column with one version's answer.
 *
 * @param {object} other answer of the other version in a comparison, if any
 * @param {string} column item column to show beside the titles, if any
 */
export function answerColumn(answer, title, asked, side, other, column) {
  return h(
    "article",
    { class: `column ${side}`, "aria-label": title },
    h("header", {}, h("h2", {}, title), facts(answer, asked)),
    warnings(answer, asked),
    answer.items.length ? list(answer, other, column) : h("p", { class: "nothing" }, asked.query ? "No item matches." : "No items: filters and exclusions leave none."),
  );
}

/** Builds the column with a version's error. */
export function errorColumn(error, title, side) {
  return h(
    "article",
    { class: `column ${side}`, "aria-label": title },
    h("header", {}, h("h2", {}, title)),
    h("p", { class: "trouble", role: "alert" }, error.message),
  );
}

function facts(answer, asked) {
  const given = (asked.history ?? []).length > 0;
  const from = given
    ? "from the history given here"
    : answer.known_user
      ? "from the user's own history"
      : "item_id" in asked
        ? "without a history"
        : "no history: popular items";
  const who = answer.known_user === null || !asked.user_id ? "" : answer.known_user ? "known user" : "unknown user";
  return h(
    "p",
    { class: "facts" },
    "user_id" in asked ? h("span", { class: "user" }, asked.user_id ? `For user ${asked.user_id}` : "For no particular user") : "",
    who ? h("span", { class: `badge ${answer.known_user ? "good" : "new"}` }, who) : "",
    h("span", {}, asked.query ? `found for “${asked.query}”` : "history" in asked ? from : ""),
    h("span", { class: "time" }, `${short(answer.milliseconds, 3)} ms`),
  );
}

function warnings(answer, asked) {
  const found = Object.entries(answer.unknown_items).map(
    ([field, ids]) => `${plural(ids.length, "id")} of ${field.replaceAll("_", " ")} not in the catalogue: ${ids.join(", ")}`,
  );
  const wanted = asked.k;
  if (answer.items.length && wanted > answer.items.length && !("item_id" in asked)) {
    const reason = asked.query ? "no more items match" : "filters and exclusions leave no more";
    found.push(`Only ${answer.items.length} of ${wanted}: ${reason}.`);
  }
  if (answer.explained && answer.items.length && !answer.items[0].shares) {
    found.push("The shares of the scores were not ready in time; try again.");
  }
  return found.map((text) => h("p", { class: "note" }, text));
}

function list(answer, other, column) {
  const name = answer.items[0].probability === undefined ? "score" : "probability";
  const scores = answer.items.map((item) => item[name] ?? 0);
  const low = Math.min(...scores, name === "probability" ? 0 : Infinity);
  const high = Math.max(...scores);
  // Items beyond the server's maximum list length have no shares.
  const split = answer.items[0].shares && splitScores(answer.items.filter((item) => item.shares));
  const ranks = other && new Map(other.items.map((item, place) => [item.item_id, place]));
  const items = h(
    "ol",
    { class: "items" },
    ...answer.items.map((item, place) => {
      const share = high > low ? (scores[place] - low) / (high - low) : 1;
      const bar = h("span", { class: "bar", "aria-hidden": "true", title: "bars span from the lowest to the highest score of this list" }, h("span"));
      bar.firstChild.style.width = `${SHORTEST + (100 - SHORTEST) * share}%`;
      return h(
        "li",
        {},
        h("span", { class: "rank", "aria-hidden": "true" }, place + 1),
        h(
          "span",
          { class: "what" },
          h("span", { class: "title" }, item.title || item.item_id),
          h(
            "span",
            { class: "meta" },
            h("span", { class: "id" }, { "": "no title", [item.item_id]: "" }[item.title] ?? item.item_id),
            item.columns?.[column] ? h("span", { class: "beside", title: column }, item.columns[column]) : "",
            ranks ? move(place, ranks.get(item.item_id)) : "",
          ),
        ),
        h("span", { class: "score", title: name }, item[name]?.toFixed(DECIMALS[name]) ?? "–"),
        bar,
        item.shares ? split.of(item) : "",
      );
    }),
  );
  return split ? [foldable(split.legend), items] : items;
}

/** Builds the legend of the shares; folding it shows plain bars instead of shares in all columns. */
function foldable(legend) {
  const element = h("details", { class: "fold", open: !folded }, h("summary", {}, "What the scores are made of"), legend);
  const columns = byId("answers");
  columns.classList.toggle("folded", folded);
  element.addEventListener("toggle", () => {
    folded = !element.open;
    columns.classList.toggle("folded", folded);
    for (const one of columns.querySelectorAll(".fold")) one.open = !folded;
  });
  return element;
}

/** Shows how much higher or lower the item ranks than in the other version's answer. */
function move(place, there) {
  if (there === undefined) return h("span", { class: "move only" }, "only here");
  const by = there - place;
  if (!by) return h("span", { class: "move", title: "the same place" }, "=");
  const text = `${Math.abs(by)} ${by > 0 ? "higher" : "lower"} than in the other`;
  return h(
    "span",
    { class: `move ${by > 0 ? "up" : "down"}`, title: text },
    h("span", { "aria-hidden": "true" }, `${by > 0 ? "▲" : "▼"} ${Math.abs(by)}`),
    h("span", { class: "hidden" }, text),
  );
}

/** Says how many items two answers have in common. */
export function overlap(first, second) {
  const there = new Set(second.items.map((item) => item.item_id));
  const both = first.items.filter((item) => there.has(item.item_id)).length;
  const most = Math.max(first.items.length, second.items.length);
  return `${both} of ${plural(most, "item")} in both.`;
}
