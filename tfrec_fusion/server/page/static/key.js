import { byId } from "./dom.js";

const WRONG = "The API key is wrong.";

/** Asks the user for the API key until `isRight` accepts it; resolves to that key. */
export function askForKey(isRight) {
  const form = byId("key-form");
  const field = byId("key");
  const trouble = byId("key-trouble");
  const before = document.activeElement;
  const say = (text) => {
    trouble.textContent = text;
    trouble.hidden = !text;
    field.setAttribute("aria-invalid", String(text === WRONG));
  };
  say("");
  form.hidden = false;
  field.focus();
  return new Promise((resolve) => {
    form.onsubmit = async (event) => {
      event.preventDefault();
      const key = field.value.trim();
      say("");
      try {
        if (await isRight(key)) {
          form.reset();
          form.hidden = true;
          (before?.isConnected && before !== document.body ? before : byId("main")).focus();
          resolve(key);
          return;
        }
        say(WRONG);
      } catch (error) {
        say(error.message);
      }
      field.select();
    };
  });
}
