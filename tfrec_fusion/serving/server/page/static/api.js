// What the page asks the server. Addresses are relative, so a prefix of a proxy does no harm.

async function ask(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { ...options, headers: { accept: "application/json", ...options.headers } });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The server does not answer.");
  }
  const text = await response.text();
  let found = {};
  try {
    found = JSON.parse(text);
  } catch {
    // Of a proxy in between; the status says enough.
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
