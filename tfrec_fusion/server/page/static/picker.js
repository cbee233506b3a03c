import { freshId, h } from "./dom.js";

const PAUSE = 120; // ms between the last keystroke and the search
const HIGHEST = 320; // maximum height of the suggestions in px
const LEAST = 120; // px; with less room below the field the suggestions open above it
const GAP = 8;

/**
 * Input for a list of values, with suggestions: arrows and Enter choose, Escape closes, Backspace in
 * the empty field removes the last value. Values that are not suggested can be typed too. The
 * suggestions close after a choice and never cover the form's buttons.
 *
 * @param {object} options label, help, placeholder, and `suggest(text, signal)`, which
 *   resolves to a list of `{value, text, hint}`.
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
      onclick: () => this.list.hidden && this.#later(),
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
    this.#close();
    this.#draw();
  }

  /** Sets the text of a chosen value, once it is known. */
  name(value, text) {
    if (this.chosen.has(value)) this.add(value, text);
  }

  add(value, text = value) {
    if (!value) return;
    this.chosen.set(value, text);
    if (this.input.value.trim() === value) this.input.value = "";
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
      // The search failed; an id can still be typed.
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
            // mousedown, as it comes before the field loses the focus.
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
    if (open) this.#place();
    if (this.active < 0) this.input.removeAttribute("aria-activedescendant");
    else {
      this.input.setAttribute("aria-activedescendant", `${this.list.id}-${this.active}`);
      this.list.children[this.active].scrollIntoView({ block: "nearest" });
    }
  }

  /** Places the list below the field if it fits above the buttons, else above the field. */
  #place() {
    const { top, bottom } = this.input.getBoundingClientRect();
    const buttons = this.element.closest("form")?.querySelector(".buttons");
    const below = (buttons?.getBoundingClientRect().top ?? Infinity) - bottom - 2 * GAP;
    const above = below < LEAST && top > below;
    this.list.classList.toggle("above", above);
    this.list.style.maxHeight = `${Math.min(HIGHEST, Math.max(above ? top - 2 * GAP : below, 0))}px`;
  }

  #choose(place) {
    const { value, text } = this.found[place];
    this.input.value = "";
    this.add(value, text);
    this.#close();
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
      const size = this.found.length + 1; // plus one for the field itself
      this.active = ((this.active + 1 + step + size) % size) - 1;
      this.#show();
    } else if (event.key === "Enter") {
      const typed = this.input.value.trim();
      if (this.active >= 0) this.#choose(this.active);
      else if (typed) {
        this.add(typed);
        this.#close();
      } else return; // submits the form
      event.preventDefault();
    } else if (event.key === "Escape") {
      this.#close();
    } else if (event.key === "Backspace" && !this.input.value && this.chosen.size) {
      this.#remove([...this.chosen.keys()].pop());
    }
  }
}
