import { freshId, h } from "./dom.js";
import { Picker } from "./picker.js";

const LABELS = {
  query: "Search for",
  user_id: "User",
  history: "History",
  history_age: "Ages of the history",
  item_id: "Items to score",
  exclude: "Leave out",
  include: "Only these",
  exclude_seen: "Leave out what the user has seen",
  k: "How many",
};
const HELP = {
  query: "A text; with one, the user, how many and the filters apply. Empty recommends.",
  user_id: "A user id; an unknown id means a new user.",
  history: "Search by title; the latest last. It replaces the user's own history.",
  history_age: "How many days ago each item of the history was taken, e.g. 30, 2.5; empty means now.",
  item_id: "Search by title.",
  exclude: "Items that must not be recommended.",
  include: "Only these items may be recommended.",
  exclude_seen: "Also if you give a history here.",
  k: "",
};
const FIRST = ["query", "user_id", "history", "history_age", "item_id", "k"];
const POPULAR = 20;

/** Turns a signature's description of an input into help, without the values that mean "empty". */
function sentence(name, does) {
  const text = does
    .replace(/[,;] (""|NaN|False)[^,;]*$/, "")
    .replace(/^(NaN|"" or any other unknown value) (where|if)/, "empty $2")
    .replace(/^True(:| for) only/, "only")
    .replaceAll(name, name.replaceAll("_", " "));
  return text ? `${text[0].toUpperCase()}${text.slice(1)}.` : "";
}

const words = (name) => {
  const text = name.replaceAll("_", " ");
  return text[0].toUpperCase() + text.slice(1);
};

/** The numbers in a text, between spaces or commas. */
function numbers(label, text) {
  const found = text.split(/[\s,;]+/).filter(Boolean).map(Number);
  if (found.some(Number.isNaN)) throw new Error(`${label} must be numbers.`);
  return found;
}

/**
 * The form with the inputs of a version's signature.
 *
 * @param {HTMLFormElement} element
 * @param {(text, limit, signal) => Promise} search searches items
 * @param {() => void} submit called when the form is submitted
 * @param {() => void} cleared called after the fields have been cleared
 */
export class Form {
  constructor(element, search, submit, cleared) {
    this.element = element;
    this.search = search;
    this.fields = new Map();
    element.addEventListener("submit", (event) => {
      event.preventDefault();
      submit();
    });
    element.addEventListener("reset", (event) => {
      event.preventDefault();
      this.clear();
      cleared();
    });
  }

  /** Draws the fields of `form` (from the API); fields of the same name keep their content. */
  show(form, examples) {
    const before = new Map([...this.fields].map(([name, field]) => [name, field.keep?.()]));
    this.fields = new Map();
    if (!form) {
      this.element.replaceChildren(h("p", { class: "help" }, "This model has no signature that the page can call."));
      return;
    }
    const elements = new Map(
      form.fields.map((field) => [field.name, this.#field(field, examples)]),
    );
    for (const [name, kept] of before) {
      if (kept !== undefined) this.fields.get(name)?.restore?.(kept);
    }
    const first = FIRST.filter((name) => elements.has(name));
    const rest = [...elements.keys()].filter((name) => !first.includes(name));
    const ranks = form.signature === "recommend";
    const details = this.signature === form.signature && this.element.querySelector("details");
    const open = details ? details.open : !ranks;
    this.signature = form.signature;
    this.element.replaceChildren(
      ranks ? "" : h("p", { class: "help" }, form.does ? `Gives ${form.does}.` : ""),
      ...first.map((name) => elements.get(name)),
      rest.length
        ? h(
            "details",
            { open },
            h("summary", {}, ranks ? "Filters and exclusions" : "Context"),
            h("div", { class: "more" }, ...rest.map((name) => elements.get(name))),
          )
        : "",
      h(
        "div",
        { class: "buttons" },
        h("button", { type: "submit", class: "main" }, ranks ? (elements.has("query") ? "Search or recommend" : "Recommend") : "Score"),
        h("button", { type: "reset" }, "Clear"),
      ),
    );
  }

  clear() {
    for (const field of this.fields.values()) field.clear();
  }

  /** Name -> texts of the fields that differ from their cleared state. */
  given() {
    return new Map([...this.fields].map(([name, field]) => [name, field.texts()]).filter(([, texts]) => texts.length));
  }

  /** Fills in the result of `given`; clears all other fields. */
  fill(given) {
    this.clear();
    for (const [name, texts] of given) this.fields.get(name)?.read(texts);
  }

  /** Field -> value for the API. Throws an Error that names an invalid field. */
  values() {
    return Object.fromEntries([...this.fields].map(([name, field]) => [name, field.value()]));
  }

  #field({ name, kind, does, choices }, examples) {
    const id = freshId(name);
    const label = LABELS[name] ?? words(name);
    const help = HELP[name] ?? sentence(name, does);
    if (kind === "items" || kind === "texts") return this.#list(name, kind, id, label, help, choices);
    if (kind === "flag") return this.#flag(name, id, label, help);
    return this.#line(name, kind, id, label, help, choices, examples);
  }

  #list(name, kind, id, label, help, choices) {
    const items = kind === "items";
    const picker = new Picker({
      id,
      label,
      help,
      placeholder: items ? "Search for an item" : "Choose or type",
      suggest: items
        ? async (text, signal) =>
            (await this.search(text, 10, signal)).map((item) => ({ value: item.item_id, text: item.title, hint: item.item_id }))
        : async (text) =>
            choices
              .filter((choice) => choice.toLowerCase().includes(text.toLowerCase()))
              .slice(0, 10)
              .map((choice) => ({ value: choice, text: choice })),
    });
    this.fields.set(name, {
      value: () => {
        picker.add(picker.input.value.trim());
        return picker.value;
      },
      clear: () => picker.clear(),
      texts: () => picker.value,
      read: (texts) => {
        for (const text of texts) picker.add(text);
        if (items) this.#title(picker, texts);
      },
      keep: () => [...picker.chosen],
      restore: (kept) => kept.forEach(([value, text]) => picker.add(value, text)),
    });
    if (name === "item_id") {
      const popular = async () => {
        for (const item of await this.search("", POPULAR)) picker.add(item.item_id, item.title);
      };
      picker.element.append(
        h("button", { type: "button", class: "small", onclick: popular }, `Add the ${POPULAR} most popular`),
      );
    }
    return picker.element;
  }

  /** Looks up the ids' titles, and shows each once it is found. */
  async #title(picker, ids) {
    for (const id of ids) {
      const [item] = await this.search(id, 1).catch(() => []);
      if (item?.item_id === id) picker.name(id, item.title);
    }
  }

  #flag(name, id, label, help) {
    const input = h("input", { id, type: "checkbox", "aria-describedby": `${id}-help` });
    this.fields.set(name, {
      clear: () => (input.checked = false),
      texts: () => (input.checked ? ["true"] : []),
      read: ([text]) => (input.checked = text === "true"),
      value: () => input.checked,
      keep: () => input.checked,
      restore: (kept) => (input.checked = kept),
    });
    return h(
      "div",
      { class: "field flag" },
      h("label", { for: id }, input, label),
      h("p", { class: "help", id: `${id}-help` }, help),
    );
  }

  #line(name, kind, id, label, help, choices, examples) {
    const number = kind === "integer" || kind === "number";
    const listed = choices.length > 0;
    const input = h("input", {
      id,
      type: number ? "number" : "text",
      step: kind === "number" ? "any" : null,
      min: name === "k" ? 1 : null,
      value: name === "k" ? "10" : null,
      list: listed ? `${id}-choices` : null,
      autocomplete: "off",
      autocapitalize: "none",
      spellcheck: "false",
      "aria-describedby": help ? `${id}-help` : null,
    });
    const empty = name === "k" ? "10" : "";
    this.fields.set(name, {
      clear: () => (input.value = empty),
      texts: () => (input.value.trim() === empty ? [] : [input.value.trim()]),
      read: ([text]) => (input.value = text),
      value: () => {
        if (input.validity.badInput) throw new Error(`${label} must be a number.`);
        if (kind === "numbers") return numbers(label, input.value);
        if (!number) return input.value.trim();
        return input.value === "" ? null : Number(input.value);
      },
      keep: () => input.value,
      restore: (kept) => (input.value = kept),
    });
    const tries = name === "user_id" && examples.length ? this.#examples(input, examples) : "";
    return h(
      "div",
      { class: `field ${number ? "number" : ""}` },
      h("label", { for: id }, label),
      input,
      tries,
      listed ? h("datalist", { id: `${id}-choices` }, ...choices.map((choice) => h("option", { value: choice }))) : "",
      help ? h("p", { class: "help", id: `${id}-help` }, help) : "",
    );
  }

  #examples(input, examples) {
    const use = (user) => {
      input.value = user;
      this.element.requestSubmit();
    };
    return h(
      "div",
      { class: "examples" },
      h("span", {}, "Try"),
      ...examples.map((user) => h("button", { type: "button", class: "small", onclick: () => use(user) }, user)),
    );
  }
}
