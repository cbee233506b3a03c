// The question in the page's address, after the #, which browsers send to no server:
// #model=shop&version=2&compare=1&column=brand&.user_id=U1&.history=P1&.history=P2

const FIELD = "."; // prefix of field names, so that they cannot collide with the other keys

/** The part of the address after the # for a question; `given` is field -> texts. */
export function written({ model, version, other, column }, given) {
  const found = new URLSearchParams({ model, version });
  if (other) found.set("compare", other);
  if (column) found.set("column", column);
  for (const [name, texts] of given) for (const text of texts) found.append(FIELD + name, text);
  return `#${found}`;
}

/** Parses what `written` wrote; null if the address has no question. */
export function read(hash) {
  const found = new URLSearchParams(hash.slice(1));
  if (!found.has("model")) return null;
  const names = new Set([...found.keys()].filter((key) => key.startsWith(FIELD)));
  return {
    model: found.get("model"),
    version: found.get("version") ?? "",
    other: found.get("compare") ?? "",
    column: found.get("column") ?? "",
    given: new Map([...names].map((key) => [key.slice(FIELD.length), found.getAll(key)])),
  };
}

/** Makes `hash` the page's address and adds a history entry. */
export function go(hash) {
  if (location.hash === hash) return;
  history.pushState(null, "", hash || location.pathname + location.search);
}
