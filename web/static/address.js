/** What the address names behind the page; what cannot be decoded stays as it is, and names nothing that exists. */
export function named() {
  const part = location.pathname.split("/")[2] ?? "";
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
