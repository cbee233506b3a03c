import { freshId, h } from "./dom.js";

const PAUSE = 120; // ms after the last key before the server is asked

/**
 * A list that is typed in, with suggestions: arrows and Enter choose, Escape closes, Backspace in
 * the empty field takes the last one away. What is not suggested can be entered as it is.
 *
 * @param {object} options label, help, placeholder, and `suggest(text, signal)`, which gives
 *   `{value, text, hint}`s.
 */
export class Picker {
  constructor({ id, label, help, placeholder, suggest }) {
    this.chosen = new Map();
    this.suggest = suggest;
    this.found = [];
    this.active = -1;
    const listId = freshId("list");
    const helpId = freshId("help");
    this.chips = h("ul", { class: "chips", "aria-label": `${label}: chosen` });
    this.input = h("input", {
      id,
      type: "text",
      role: "combobox",
      autocomplete: "off",
      autocapitalize: "none",
      spellcheck: "false",
      placeholder,
      "aria-autocomplete": "list",
      "aria-expanded": "false",
      "aria-controls": listId,
      "aria-describedby": helpId,
      oninput: () => this.#later(),
      onfocus: () => this.#later(),
      onblur: () => this.#close(),
      onkeydown: (event) => this.#key(event),
    });
    this.list = h("ul", { id: listId, class: "suggestions", role: "listbox", "aria-label": label, hidden: true });
    this.element = h(
      "div",
      { class: "field" },
      h("label", { for: id }, label),
      h("div", { class: "picker" }, this.chips, this.input, this.list),
      h("p", { class: "help", id: helpId }, help),
    );
  }

  get value() {
    return [...this.chosen.keys()];
  }

  clear() {
    this.chosen.clear();
    this.input.value = "";
    this.#draw();
  }

  add(value, text = value) {
    if (!value) return;
    this.chosen.set(value, text);
    this.input.value = "";
    this.#draw();
  }

  #draw() {
    this.chips.replaceChildren(
      ...[...this.chosen].map(([value, text]) =>
        h(
          "li",
          {},
          h("span", { title: value }, text || value),
          h("button", { type: "button", "aria-label": `Remove ${text || value}`, onclick: () => this.#remove(value) }, "×"),
        ),
      ),
    );
  }

  #remove(value) {
    this.chosen.delete(value);
    this.#draw();
    this.input.focus();
  }

  #later() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#look(), PAUSE);
  }

  async #look() {
    this.waiting?.abort();
    this.waiting = new AbortController();
    const { signal } = this.waiting;
    try {
      const found = await this.suggest(this.input.value.trim(), signal);
      if (signal.aborted || document.activeElement !== this.input) return;
      this.found = found.filter(({ value }) => !this.chosen.has(value));
    } catch {
      // Without suggestions an id can still be typed.
      this.found = [];
    }
    this.active = -1;
    this.#show();
  }

  #show() {
    const open = this.found.length > 0;
    this.list.hidden = !open;
    this.input.setAttribute("aria-expanded", String(open));
    this.list.replaceChildren(
      ...this.found.map(({ value, text, hint }, place) =>
        h(
          "li",
          {
            id: `${this.list.id}-${place}`,
            role: "option",
            "aria-selected": String(place === this.active),
            // Before the field loses the focus.
            onmousedown: (event) => {
              event.preventDefault();
              this.#choose(place);
            },
          },
          h("span", { class: "what" }, text || value),
          h("span", { class: "hint" }, hint),
        ),
      ),
    );
    if (this.active < 0) this.input.removeAttribute("aria-activedescendant");
    else {
      this.input.setAttribute("aria-activedescendant", `${this.list.id}-${this.active}`);
      this.list.children[this.active].scrollIntoView({ block: "nearest" });
    }
  }

  #choose(place) {
    const { value, text } = this.found[place];
    this.add(value, text);
    this.#close();
    this.#later();
  }

  #close() {
    clearTimeout(this.timer);
    this.waiting?.abort();
    this.found = [];
    this.active = -1;
    this.#show();
  }

  #key(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      event.preventDefault();
      if (!this.found.length) return this.#later();
      const size = this.found.length + 1; // one more for the field itself
      this.active = ((this.active + 1 + step + size) % size) - 1;
      this.#show();
    } else if (event.key === "Enter") {
      const typed = this.input.value.trim();
      if (this.active >= 0) this.#choose(this.active);
      else if (typed) this.add(typed);
      else return; // sends the form
      event.preventDefault();
    } else if (event.key === "Escape") {
      this.#close();
    } else if (event.key === "Backspace" && !this.input.value && this.chosen.size) {
      this.#remove([...this.chosen.keys()].pop());
    }
  }
}
