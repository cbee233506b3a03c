import { h, s, short } from "./dom.js";

const ROW = 22;
const GAP = 12;
const LETTER = 7.5; // maximum width of a label's letter
const VALUE = 56;

/**
 * Draws bars of one metric by slice, with intervals; each slice has one bar per version.
 *
 * @param {string} metric e.g. "ndcg@10"
 * @param {{name: string, side: string, slices: object}[]} versions at most two, "a" and "b"
 */
export function chart(metric, versions) {
  const labels = [...new Set(versions.flatMap(({ slices }) => Object.keys(slices)))].filter((label) =>
    versions.some(({ slices }) => value(slices, label, metric) !== null),
  );
  const holder = h("div", { class: "chart" });
  const draw = () => holder.replaceChildren(picture(metric, versions, labels, holder.clientWidth || 480));
  new ResizeObserver(draw).observe(holder);
  return h("figure", {}, holder, legend(versions), h("figcaption", {}, caption(versions)), table(metric, versions, labels));
}

const value = (slices, label, metric) => slices[label]?.metrics?.[metric] ?? null;

function picture(metric, versions, labels, width) {
  const block = ROW * versions.length + GAP;
  const height = block * labels.length;
  const start = Math.max(...labels.map((label) => label.length)) * LETTER + 10;
  const room = Math.max(width - start - VALUE, 40);
  const tops = versions.flatMap(({ slices }) =>
    labels.map((label) => slices[label]?.intervals?.[metric]?.[1] ?? value(slices, label, metric) ?? 0),
  );
  const scale = room / (Math.max(...tops) || 1);
  const picture = s("svg", {
    viewBox: `0 0 ${width} ${height}`,
    width,
    height,
    role: "img",
    "aria-label": `${metric} by slice; the table below has the numbers`,
  });
  labels.forEach((label, row) => {
    const top = row * block;
    picture.append(s("text", { x: 0, y: top + (block - GAP) / 2, class: "label", dy: "0.35em" }, label));
    versions.forEach(({ slices, side }, place) => {
      const found = value(slices, label, metric);
      if (found === null) return;
      const y = top + place * ROW;
      picture.append(s("rect", { x: start, y: y + 3, width: Math.max(found * scale, 1), height: ROW - 6, rx: 3, class: `of-${side}` }));
      const interval = slices[label].intervals?.[metric];
      let end = found;
      if (interval) {
        const [low, high] = interval.map((bound) => start + bound * scale);
        const middle = y + ROW / 2;
        const path = `M${low} ${middle}H${high}M${low} ${middle - 4}v8M${high} ${middle - 4}v8`;
        picture.append(s("path", { d: path, class: "halo" }), s("path", { d: path, class: "whisker" }));
        end = Math.max(found, interval[1]);
      }
      picture.append(s("text", { x: start + end * scale + 6, y: y + ROW / 2, class: "number", dy: "0.35em" }, short(found, 3)));
    });
  });
  return picture;
}

function legend(versions) {
  if (versions.length < 2) return "";
  return h(
    "p",
    { class: "legend" },
    ...versions.map(({ name, side }) => h("span", {}, h("span", { class: `key of-${side}`, "aria-hidden": "true" }), name)),
  );
}

function caption(versions) {
  const drawn = versions.some(({ slices }) => Object.values(slices).some((slice) => slice.intervals));
  return drawn ? "Lines are bootstrap intervals over users." : "";
}

function table(metric, versions, labels) {
  const cells = ({ slices }, label) => {
    const slice = slices[label];
    const interval = slice?.intervals?.[metric];
    const text = short(value(slices, label, metric));
    return [
      h("td", {}, text),
      h("td", {}, interval ? `${short(interval[0])} to ${short(interval[1])}` : "–"),
      h("td", {}, slice?.users?.toLocaleString("en") ?? "–"),
    ];
  };
  return h(
    "details",
    {},
    h("summary", {}, "As a table"),
    h(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": `Table of ${metric}` },
      h(
        "table",
        {},
        h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "slice"), ...versions.flatMap(({ name }) => [
          h("th", { scope: "col" }, versions.length > 1 ? `${metric}, ${name}` : metric),
          h("th", { scope: "col" }, "interval"),
          h("th", { scope: "col" }, "users"),
        ]))),
        h("tbody", {}, ...labels.map((label) => h("tr", {}, h("th", { scope: "row" }, label), ...versions.flatMap((version) => cells(version, label))))),
      ),
    ),
  );
}
