import * as address from "./address.js";
import * as api from "./api.js";
import { answerColumn, errorColumn, overlap } from "./answers.js";
import { modelCard } from "./card.js";
import { byId, h, plural } from "./dom.js";
import { Form } from "./form.js";

const NONE = "";
const loaded = new Map(); // "model/version" -> its card, form, columns and number of items
let all = [];
let asked = 0;
let shown = null; // entry of `loaded` for the chosen version
let drawn = () => {}; // redraws the present answers

const chosen = () => ({
  model: byId("model").value,
  version: byId("version").value,
  other: byId("other").value,
  column: byId("column").value,
});

function numbered(model, number) {
  const found = all.find(({ name }) => name === model)?.versions.find(({ version }) => String(version) === number);
  const labels = found?.labels.length ? ` (${found.labels.join(", ")})` : "";
  return `${number}${labels}`;
}

const title = (model, number) => `Version ${numbered(model, number)}`;

async function about(model, number) {
  const key = `${model}/${number}`;
  if (!loaded.has(key)) loaded.set(key, await api.version(model, number));
  return loaded.get(key);
}

function options(select, values, texts) {
  select.replaceChildren(...values.map((value, place) => h("option", { value }, texts[place])));
}

function listVersions() {
  const model = all.find(({ name }) => name === byId("model").value);
  const numbers = (model?.versions ?? []).map(({ version }) => String(version));
  options(byId("version"), numbers, numbers.map((number) => numbered(model.name, number)));
  listOthers();
}

function listOthers() {
  const { model, version } = chosen();
  const others = [...byId("version").options].map(({ value }) => value).filter((value) => value !== version);
  const select = byId("other");
  const before = select.value;
  options(select, [NONE, ...others], ["nothing", ...others.map((number) => numbered(model, number))]);
  byId("comparing").hidden = !others.length;
  select.value = others.includes(before) ? before : NONE;
}

function listColumns(columns, column) {
  const select = byId("column");
  options(select, [NONE, ...columns], ["nothing", ...columns.map((name) => name.replaceAll("_", " "))]);
  byId("beside").hidden = !columns.length;
  select.value = columns.includes(column) ? column : NONE;
}

/**
 * Draws the form and the card of the chosen versions, and repeats the last question.
 *
 * @param {object} question from the page's address, asked instead of the last one
 */
async function show(question = null) {
  const { model, version, other, column } = chosen();
  const mine = ++asked;
  const again = question !== null || byId("answers").querySelector("article") !== null;
  byId("answers").replaceChildren();
  byId("shares").replaceChildren();
  trouble(version ? null : new Error("No version of this model is loaded."));
  if (!version) return;
  byId("main").setAttribute("aria-busy", "true");
  try {
    const numbers = other ? [version, other] : [version];
    const found = await Promise.all(numbers.map((number) => about(model, number)));
    if (mine !== asked) return;
    [shown] = found;
    form.show(shown.form, shown.card.example_users ?? []);
    listColumns([...new Set(found.flatMap(({ columns }) => columns))], question?.column ?? column);
    if (question) form.fill(question.given);
    status("");
    byId("answers").replaceChildren(welcome(shown));
    byId("panel-model").replaceChildren(...modelCard(found.map((one, place) => ({ name: title(model, numbers[place]), ...one }))));
  } catch (error) {
    if (mine === asked) trouble(error);
    return;
  } finally {
    if (mine === asked) byId("main").removeAttribute("aria-busy");
  }
  if (again) recommend(question?.notice);
}

/** Runs the question in the page's address, or shows the empty form if there is none. */
function open(question) {
  if (!question) {
    form.clear();
    empty();
    return;
  }
  const choose = (id, value) => {
    const there = [...byId(id).options].some((option) => option.value === value);
    if (there) byId(id).value = value;
    return there;
  };
  if (!choose("model", question.model)) {
    form.clear();
    empty();
    show().then(() => trouble(new Error(`The model ${question.model} in the address is not loaded.`)));
    return;
  }
  listVersions();
  const there = choose("version", question.version);
  listOthers();
  if (!choose("other", question.other)) byId("other").value = NONE;
  const notice = there ? "" : `Version ${question.version} in the address is not loaded; this is another version.`;
  show({ ...question, notice });
}

/** Removes the answers. */
function empty() {
  asked += 1;
  trouble(null);
  status("");
  byId("answers").removeAttribute("aria-busy");
  byId("answers").replaceChildren(shown ? welcome(shown) : "");
  byId("shares").replaceChildren();
}

const remember = () => address.go(address.written(chosen(), form.given()));

async function recommend(notice = "") {
  const { model, version, other } = chosen();
  const mine = ++asked;
  const numbers = other ? [version, other] : [version];
  let inputs;
  trouble(null);
  try {
    inputs = form.values();
  } catch (error) {
    trouble(error);
    return;
  }
  remember();
  status("Loading…");
  byId("answers").setAttribute("aria-busy", "true");
  const found = await Promise.allSettled(numbers.map((number) => ask(model, number, inputs)));
  if (mine !== asked) return;
  byId("answers").removeAttribute("aria-busy");
  const good = found.filter((one) => one.status === "fulfilled").map((one) => one.value);
  drawn = () =>
    byId("answers").replaceChildren(
      ...found.map((one, place) => {
        const name = title(model, numbers[place]);
        const side = place ? "b" : "a";
        if (one.status === "rejected") return errorColumn(one.reason, name, side);
        return answerColumn(one.value, name, inputs, side, good.length > 1 ? found[1 - place].value : null, chosen().column);
      }),
    );
  drawn();
  status([notice, good.length > 1 ? overlap(...good) : ""].join(" ").trim());
  // On a phone the answers are below the form, so scroll to them.
  if (byId("answers").getBoundingClientRect().top > innerHeight / 2) byId("answers").scrollIntoView();
  const plain = numbers.filter((_, place) => found[place].value?.items.length && !found[place].value.explained);
  const names = plain.map((number) => title(model, number));
  byId("shares").replaceChildren(...(plain.length ? [withoutShares((await about(model, plain[0])).card, names)] : []));
}

/** Requests a version's answer, without the fields that its form lacks. */
async function ask(model, number, inputs) {
  const { form } = await about(model, number);
  const known = new Set(form?.fields.map(({ name }) => name));
  return api.answers(model, number, Object.fromEntries(Object.entries(inputs).filter(([name]) => known.has(name))));
}

function welcome({ form: fields, items }) {
  const ranks = fields?.signature === "recommend";
  return h(
    "div",
    { class: "empty" },
    h("h2", {}, ranks ? "See what this version recommends" : "See how this version scores items"),
    h(
      "ul",
      {},
      h("li", {}, "A known user: type an id, or try one of the examples."),
      h("li", {}, `A new user: leave the user empty, and search the ${plural(items, "item")} for a history.`),
      byId("comparing").hidden ? "" : h("li", {}, "Two versions side by side: choose the second one above."),
    ),
  );
}

/** Explains how to get the shares of scores that an answer lacks. */
function withoutShares(card, names) {
  const command = (text) => h("code", {}, `tfrec-fusion ${text}`);
  const help =
    card.model === "TwoTower"
      ? [
          `${names.join(" and ")}: exported without shares. To have them in the next version, run `,
          command("export RUN --to DIR --explain"),
          "; to see them for the run it comes from, ",
          command("recommend RUN --user ID --explain"),
          ".",
        ]
      : ["Shares are not available for this kind of model."];
  return h(
    "details",
    { class: "shares" },
    h("summary", {}, "How much of a score is from ids and how much from text?"),
    h("p", {}, ...help),
  );
}

function status(text) {
  byId("status").textContent = text;
}

function trouble(error) {
  const element = byId("trouble");
  element.textContent = error ? error.message : "";
  element.hidden = !error;
  if (error) status("");
}

function openTab(name, focus) {
  for (const tab of document.querySelectorAll("[role=tab]")) {
    const open = tab.id === `tab-${name}`;
    tab.setAttribute("aria-selected", String(open));
    tab.tabIndex = open ? 0 : -1;
    byId(tab.getAttribute("aria-controls")).hidden = !open;
    if (open && focus) tab.focus();
  }
}

const form = new Form(
  byId("form"),
  (text, limit, signal) => api.items(chosen().model, chosen().version, text, limit, signal),
  () => recommend(),
  () => {
    empty();
    address.go("");
  },
);
byId("model").addEventListener("change", () => {
  byId("answers").replaceChildren();
  listVersions();
  show();
});
byId("version").addEventListener("change", () => {
  listOthers();
  show();
});
byId("other").addEventListener("change", () => show());
byId("column").addEventListener("change", () => {
  if (!byId("answers").querySelector("article")) return;
  drawn();
  remember();
});
addEventListener("popstate", () => open(address.read(location.hash)));
const tabs = ["recommend", "model"];
tabs.forEach((name, place) => {
  const tab = byId(`tab-${name}`);
  tab.addEventListener("click", () => openTab(name));
  tab.addEventListener("keydown", ({ key }) => {
    if (key === "ArrowRight" || key === "ArrowLeft") openTab(tabs[(place + 1) % tabs.length], true);
  });
});

try {
  all = await api.models();
  options(byId("model"), all.map(({ name }) => name), all.map(({ name }) => name));
  listVersions();
  const question = address.read(location.hash);
  if (question) open(question);
  else show();
} catch (error) {
  trouble(error);
}
