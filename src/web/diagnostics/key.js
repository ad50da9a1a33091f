// The key of this tab: from the address or the field, in sessionStorage, never in a cookie.

const PLACE = "turnbell.admin-key";

/** The key, if this tab has one. */
export const known = () => sessionStorage.getItem(PLACE);

export function keep(key) {
  sessionStorage.setItem(PLACE, key);
}

export function forget() {
  sessionStorage.removeItem(PLACE);
}

/** The key behind `#k=`, which is gone from the address and the history when this returns. */
export function fromAddress() {
  const key = new URLSearchParams(location.hash.slice(1)).get("k");
  if (key !== null) history.replaceState(null, "", location.pathname + location.search);
  return key;
}

/** Takes the key of a link for one of this page; other keys are good as they are. */
export async function exchange(key) {
  if (!key.startsWith("tbl_")) return key;
  const response = await fetch("api/diagnostics/open", { method: "POST", headers: bearer(key) });
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refused(body.error);
  return body.key;
}

export const bearer = (key) => (key ? { Authorization: `Bearer ${key}` } : {});

/** The server does not let this page in, and says why. */
export class Refused extends Error {
  constructor(error) {
    super([error?.message, error?.hint].filter(Boolean).join(": ") || "the server does not say why");
  }
}
