// Who is signed in, in the bar of a page, with a way out.

import { ask } from "./graphql.js";

/** Fill the element `who`; the answer is the viewer, or null. */
export async function showWho() {
  const place = document.getElementById("who");
  const { viewer } = await ask("Viewer").catch(() => ({ viewer: null }));
  place.replaceChildren(viewer ? `Signed in as ${viewer.member.nickName}` : "Not signed in");
  if (viewer) place.append(signOutButton());
  return viewer;
}

function signOutButton() {
  const button = document.createElement("button");
  button.textContent = "Sign out";
  button.addEventListener("click", async () => {
    button.disabled = true;
    await ask("SignOut").catch(() => {});
    location.reload();
  });
  return button;
}
