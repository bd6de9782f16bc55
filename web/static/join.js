// The page behind an invite: what the league is, an account if there is none, and the button that joins.

import { html, render, useEffect, useState } from "/assets/htm/preact-standalone.module.js";
import { named } from "./address.js";
import { ask } from "./graphql.js";

const code = named();

/** The payload of a mutation; a broken connection becomes an error like any other. */
async function send(name, field, input) {
  try {
    return (await ask(name, { input }))[field];
  } catch (problem) {
    return { errors: [{ message: problem.message, field: null }] };
  }
}

function App() {
  const [invite, setInvite] = useState(undefined);
  const [viewer, setViewer] = useState(null);
  const [league, setLeague] = useState(null);
  const [problem, setProblem] = useState(null);

  useEffect(() => {
    Promise.all([ask("LeagueInvite", { code }), ask("Viewer")]).then(([found, me]) => {
      setViewer(me.viewer);
      setInvite(found.leagueInvite);
    }, (failure) => setProblem(failure.message));
  }, []);

  if (problem) return html`<h1>Something went wrong.</h1><p class="lead" role="alert">${problem}</p>`;
  if (invite === undefined) return html`<p class="note">Looking at the invite.</p>`;
  if (invite === null) {
    return html`<h1>This invite cannot be used.</h1><p class="lead">It was typed wrong, has expired, or was withdrawn. Ask for a new one.</p>`;
  }
  if (league) return html`<${Joined} league=${league} />`;
  return html`
    <${Invite} invite=${invite} />
    ${viewer ? html`<${Join} viewer=${viewer} onJoin=${setLeague} />` : html`<${Account} onViewer=${setViewer} />`}
  `;
}

function Invite({ invite }) {
  useEffect(() => { document.title = `Join ${invite.leagueName} | Palpite`; }, [invite]);
  return html`
    <h1>Join ${invite.leagueName}</h1>
    ${invite.description ? html`<p class="lead">${invite.description}</p>` : null}
    <p class="facts">
      <span>Founded by ${invite.founderNickName}</span>
      <span>${invite.memberCount} ${invite.memberCount === 1 ? "member" : "members"}</span>
    </p>
  `;
}

function Join({ viewer, onJoin }) {
  const [busy, setBusy] = useState(false);
  const [errors, setErrors] = useState([]);

  async function join() {
    setBusy(true);
    const answer = await send("JoinLeague", "joinLeague", { code });
    setBusy(false);
    setErrors(answer.errors);
    if (answer.league) onJoin(answer.league);
  }

  return html`
    <div class="actions">
      <button class="main" disabled=${busy} onClick=${join}>Join the league</button>
      <span class="quiet">as ${viewer.member.nickName}</span>
    </div>
    <${Faults} errors=${errors} />
  `;
}

function Account({ onViewer }) {
  const [isNew, setNew] = useState(true);
  const [busy, setBusy] = useState(false);
  const [errors, setErrors] = useState([]);

  async function submit(event) {
    event.preventDefault();
    const fields = Object.fromEntries(new FormData(event.target));
    setBusy(true);
    const answer = isNew ? await send("SignUp", "signUp", { ...fields, timeZone: zone() }) : await send("SignIn", "signIn", fields);
    setBusy(false);
    setErrors(answer.errors);
    if (answer.viewer) onViewer(answer.viewer);
  }

  const of = (name) => errors.find((error) => error.field?.[0] === name);
  const rest = errors.filter((error) => !["nickName", "email", "password"].includes(error.field?.[0]));
  return html`
    <section class="panel card" aria-label="Your account">
      <div class="switch">
        <button type="button" aria-pressed=${isNew} onClick=${() => { setNew(true); setErrors([]); }}>I am new here</button>
        <button type="button" aria-pressed=${!isNew} onClick=${() => { setNew(false); setErrors([]); }}>I have an account</button>
      </div>
      <form class="fields" onSubmit=${submit} noValidate>
        ${isNew ? html`<${Field} name="nickName" label="Nick name" autocomplete="nickname" error=${of("nickName")} />` : null}
        <${Field} name="email" label="E-mail" type="email" autocomplete="email" error=${of("email")} />
        <${Field} name="password" label=${isNew ? "Password (at least 10 characters)" : "Password"} type="password"
          autocomplete=${isNew ? "new-password" : "current-password"} error=${of("password")} />
        <${Faults} errors=${rest} />
        <div><button class="main" disabled=${busy}>${isNew ? "Create the account" : "Sign in"}</button></div>
      </form>
    </section>
  `;
}

function Field({ name, label, type = "text", autocomplete, error }) {
  const fault = error ? `${name}-fault` : undefined;
  return html`
    <label>${label}
      <input name=${name} type=${type} autocomplete=${autocomplete} required aria-invalid=${error ? "true" : undefined} aria-describedby=${fault} />
      ${error ? html`<span class="fault" id=${fault} role="alert">${error.message}</span>` : null}
    </label>
  `;
}

function Faults({ errors }) {
  return errors.map((error) => html`<p class="fault" role="alert">${error.message}</p>`);
}

function Joined({ league }) {
  return html`
    <h1>You are in ${league.name}.</h1>
    <p class="lead">${league.tournaments.length ? "It plays:" : "It plays no tournament yet."}</p>
    <ul class="doors">
      ${league.tournaments.map(({ id, tournament }) => html`<li key=${id}>
        <a href=${`/live/${encodeURIComponent(tournament.id)}`}><strong>${tournament.label} ${tournament.season}</strong><span>Watch its board live</span></a>
      </li>`)}
    </ul>
  `;
}

function zone() {
  return Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
}

const root = document.getElementById("join");
root.replaceChildren();
render(html`<${App} />`, root);
