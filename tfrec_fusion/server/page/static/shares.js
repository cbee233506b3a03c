import { h } from "./dom.js";

const NAMES = { id: "ids", bias: "base" };
const MEANINGS = {
  id: "who bought what",
  text: "what the texts say",
  initial: "vectors that item vectors were initialised with",
  context: "recency, trend and numeric features of the item; length and recency of the history",
  bias: "score of an average item without any of these inputs",
  rules: "boosts of rules",
};
const COLOURS = { id: "of-id", context: "of-context", bias: "of-base", rules: "of-rules" };
const VECTORS = 4; // number of colours for vectors

const own = (table, input) => (Object.hasOwn(table, input) ? table[input] : undefined);
const nameOf = (input) => own(NAMES, input) ?? input.replaceAll("_", " ");
const signed = (value) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(3)}`;

/**
 * Prepares the drawing of the shares in the scores of items.
 *
 * @param {object[]} items with `shares`: input -> its share
 * @returns {{legend: Element, of: function(object): Element[]}} the legend, and a function that builds an item's bar and numbers
 */
export function splitScores(items) {
  const inputs = [...new Set(items.flatMap((item) => Object.keys(item.shares)))];
  const vectors = inputs.filter((input) => !Object.hasOwn(COLOURS, input));
  const colour = (input) => own(COLOURS, input) ?? `of-vector-${1 + (vectors.indexOf(input) % VECTORS)}`;
  const key = (input) => h("span", { class: `key ${colour(input)}`, "aria-hidden": "true" });
  const sum = (item, sign) => Object.values(item.shares).reduce((total, share) => total + Math.max(sign * share, 0), 0);
  const below = Math.max(...items.map((item) => sum(item, -1)));
  const width = below + Math.max(...items.map((item) => sum(item, 1))) || 1;
  const percent = (value) => `${(100 * value) / width}%`;

  function bar(item) {
    const element = h("span", { class: "split", "aria-hidden": "true" });
    const ends = { left: below, right: below };
    for (const [input, share] of Object.entries(item.shares)) {
      const part = h("span", { class: colour(input), title: `${nameOf(input)} ${signed(share)}` });
      if (share < 0) ends.left += share;
      part.style.left = percent(share < 0 ? ends.left : ends.right);
      part.style.width = percent(Math.abs(share));
      if (share >= 0) ends.right += share;
      element.append(part);
    }
    const zero = h("span", { class: "zero" });
    zero.style.left = percent(below);
    element.append(zero);
    return element;
  }

  const numbers = (item) =>
    h(
      "dl",
      { class: "amounts" },
      ...Object.entries(item.shares).map(([input, share]) =>
        h("div", {}, key(input), h("dt", {}, `${nameOf(input)} `), h("dd", {}, signed(share))),
      ),
    );

  const legend = h(
    "div",
    { class: "made-of" },
    h("p", { class: "help" }, "Parts to the right of the line raise the score, parts to the left lower it."),
    h(
      "ul",
      { class: "legend" },
      ...inputs.map((input) => h("li", {}, key(input), nameOf(input), h("span", { class: "help" }, ` ${own(MEANINGS, input) ?? "what these vectors say"}`))),
    ),
  );
  return { legend, of: (item) => [bar(item), numbers(item)] };
}
