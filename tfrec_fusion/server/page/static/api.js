// Requests to the server. URLs are relative, so the page works behind a proxy's path prefix.

import { askForKey } from "./key.js";

// In memory only, as browsers write sessionStorage to the disk to restore tabs after a crash.
let key = "";
let asking = null; // promise of the key while the page asks the user for it

async function send(path, options, withKey) {
  const headers = { accept: "application/json", "x-requested-with": "XMLHttpRequest", ...options.headers };
  if (withKey) headers["x-api-key"] = withKey;
  try {
    return await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The server does not answer.");
  }
}

// Only printable ASCII can be a header value, and so a key.
const isRight = async (text) => /^[ -~]+$/.test(text) && (await send("api/models", {}, text)).status !== 401;

/** Sends a request; on 401 asks the user for the key and tries again. */
async function answerTo(path, options) {
  for (;;) {
    const withKey = key;
    const response = await send(path, options, withKey);
    if (response.status !== 401) return response;
    if (withKey === key) {
      asking ??= askForKey(isRight);
      key = await asking;
      asking = null;
    }
  }
}

async function ask(path, options = {}) {
  const response = await answerTo(path, options);
  const text = await response.text();
  let found = {};
  try {
    found = JSON.parse(text);
  } catch {
    // An error page of a proxy; the status is reported below.
  }
  if (!response.ok) throw new Error(found.error || `The server answered ${response.status}.`);
  return found;
}

const base = (model, version) =>
  `api/models/${encodeURIComponent(model)}/versions/${encodeURIComponent(version)}`;

export const models = async () => (await ask("api/models")).models;

export const version = (model, number) => ask(base(model, number));

export async function items(model, number, text, limit, signal) {
  const query = new URLSearchParams({ q: text, limit });
  return (await ask(`${base(model, number)}/items?${query}`, { signal })).items;
}

export const answers = (model, number, inputs) =>
  ask(`${base(model, number)}/answers`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ inputs }),
  });
