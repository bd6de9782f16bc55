// Draws the live page: the choice of a tournament, its board, its matches in play, the state of the connection.

import { html, render, useEffect, useLayoutEffect, useRef, useState } from "/assets/htm/preact-standalone.module.js";
import { named } from "./address.js";
import { settle } from "./flip.js";
import { connect, persist } from "./graphql.js";
import { followTournament, readTournaments } from "./scoreboard.js";

const CONNECTION = { connecting: "Connecting", live: "Live", reconnecting: "Reconnecting", away: "Server away, trying again" };
const STALE_MS = 2_000; // from which age the page says that the board lags behind

function App() {
  const [tournaments, setTournaments] = useState(null);
  const [chosen, setChosen] = useState(named() || null);
  const [connection, setConnection] = useState("connecting");
  const [board, setBoard] = useState(null);
  const [listProblem, setListProblem] = useState(null);
  const client = useRef(null);
  client.current ??= connect(setConnection);

  useEffect(() => {
    const back = () => setChosen(named() || null);
    addEventListener("popstate", back);
    const failed = (problem) => setListProblem(problem.message);
    persist(readTournaments, failed).then((all) => {
      setListProblem(null);
      setTournaments(all);
      setChosen((now) => now ?? all[0]?.id ?? null);
    }).catch(failed);
    return () => removeEventListener("popstate", back);
  }, []);
  useEffect(() => {
    setBoard(null);
    return chosen ? followTournament(client.current, chosen, setBoard) : undefined;
  }, [chosen]);

  function choose(id) {
    history.pushState(null, "", `/live/${encodeURIComponent(id)}`);
    setChosen(id);
  }

  const problem = board?.problem ?? (board ? null : listProblem);
  if (tournaments?.length === 0) {
    return html`<div class="empty"><h1>No tournament yet</h1><p>As soon as one is ingested, its board is here. Reload this page then.</p></div>`;
  }
  return html`
    <${Head} board=${board} connection=${problem ? null : connection} tournaments=${tournaments ?? []} chosen=${chosen} choose=${choose} />
    ${problem
      ? html`<div class="empty" role="alert"><p>${problem}</p><p><a href="/live">All tournaments</a></p></div>`
      : html`<div class="columns"><${Board} board=${board} /><${Matches} board=${board} /></div>`}
  `;
}

function Head({ board, connection, tournaments, chosen, choose }) {
  const { tournament, round, board: counts } = board ?? {};
  const isUnknown = chosen && tournaments.length > 0 && !tournaments.some((one) => one.id === chosen);
  useEffect(() => {
    document.title = tournament ? `${tournament.label} ${tournament.season} live | Palpite` : "Live board | Palpite";
  }, [tournament]);
  return html`
    <section class="head" aria-label="Tournament">
      <div class="head-title">
        <h1>${tournament?.label ?? "Live board"}</h1>
        <p class="sub">${tournament ? `${tournament.season}${round ? ` · ${round.label}` : ""}` : "\u00a0"}</p>
      </div>
      <label class="choice"><span class="quiet">Tournament</span>
        <select value=${chosen} onChange=${(event) => choose(event.target.value)}>
          ${isUnknown ? html`<option value=${chosen} disabled selected>Choose one</option>` : null}
          ${tournaments.map((one) => html`<option key=${one.id} value=${one.id} selected=${one.id === chosen}>${one.label} ${one.season}</option>`)}
        </select>
      </label>
      <p class="connection" data-state=${connection} role="status" aria-live="polite">${connection ? html`<span class="dot" aria-hidden="true"></span>${CONNECTION[connection]}` : null}</p>
      <div class="progress">
        <progress max=${counts?.matches || 1} value=${counts?.settledMatches ?? 0} aria-label="Matches settled"></progress>
        <p>${counts ? progressText(counts) : "\u00a0"}</p>
      </div>
    </section>
  `;
}

function progressText({ settledMatches, matches, freshness }) {
  if (matches === 0) return "No match yet";
  const settled = `${settledMatches} of ${matches} matches settled`;
  if (!freshness.provisional) return settled;
  const live = freshness.liveMatches === 1 ? "1 more counts as it stands" : `${freshness.liveMatches} more count as they stand`;
  return `${settled}, ${live}: points won so far are underlined`;
}

function Board({ board }) {
  const body = useRef(null);
  const places = useRef(new Map());
  useLayoutEffect(() => settle(body.current?.children ?? [], places.current), [board?.rows]);
  const rows = board?.rows ?? [];
  return html`
    <section class="panel board" aria-labelledby="board-title">
      <h2 id="board-title">Leaderboard</h2>
      <table>
        <caption class="hidden">Members by rank. Rows move with every goal and as matches are settled.</caption>
        <thead>
          <tr>
            <th scope="col" class="rank">Rank</th>
            <th scope="col" class="move"><span class="hidden">Movement in this round</span></th>
            <th scope="col" class="member">Member</th>
            <th scope="col" class="count">Exact</th>
            <th scope="col" class="count">Difference</th>
            <th scope="col" class="count">Outcome</th>
            <th scope="col" class="points">Points</th>
          </tr>
        </thead>
        <tbody ref=${body}>
          ${rows.map((row) => html`<${Row} key=${row.id} row=${row} />`)}
        </tbody>
      </table>
      ${board?.tournament && rows.length === 0 ? html`<p class="note">Nobody has joined this tournament yet.</p>` : null}
      <${Foot} board=${board} />
    </section>
  `;
}

function Row({ row }) {
  const { news } = row;
  return html`
    <tr data-row=${row.id} class=${row.rank <= 3 ? "top" : ""}>
      <td class="rank">${row.rank}${row.tied > 1 ? html`<span class="tied" aria-hidden="true">=</span><span class="hidden"> shared</span>` : null}</td>
      <td class="move"><${Movement} ranks=${row.movement} /></td>
      <th scope="row" class="member">
        <span class="nick" dir="auto" title=${row.member.nickName}>${row.member.nickName}</span>
        <span class="small-counts">${row.exactScores} exact, ${row.goalDifferences} diff., ${row.outcomes} out.</span>
      </th>
      <td class="count">${row.exactScores}</td>
      <td class="count">${row.goalDifferences}</td>
      <td class="count">${row.outcomes}</td>
      <td class="points">
        ${news ? html`<span key=${news.version} class="won" aria-hidden="true">${news.won > 0 ? "+" : "\u2212"}${Math.abs(news.won)}</span>` : null}
        <strong class=${row.provisionalPoints ? "provisional" : ""} title=${provisionalText(row)}>${row.points}</strong>
        ${row.provisionalPoints ? html`<span class="hidden">, ${provisionalText(row)}</span>` : null}
      </td>
    </tr>
  `;
}

function provisionalText({ provisionalPoints }) {
  return provisionalPoints ? `${provisionalPoints} of them provisional` : undefined;
}

function Movement({ ranks }) {
  if (!ranks) return html`<span class="still" aria-hidden="true"></span>`;
  const up = ranks > 0;
  return html`<span class=${up ? "up" : "down"}>
    <svg viewBox="0 0 10 8" aria-hidden="true"><path d=${up ? "M5 0 10 8H0z" : "M5 8 0 0h10z"} /></svg>
    <span class="hidden">${up ? "up" : "down"} </span>${Math.abs(ranks)}
  </span>`;
}

function Foot({ board }) {
  const counts = board?.board;
  if (!counts) return html`<p class="foot">\u00a0</p>`;
  const { freshness, streamPosition } = counts;
  const read = freshness.source === "PROJECTION" ? "from the projection" : "from the database";
  const late = freshness.stalenessMs > STALE_MS ? `, ${Math.round(freshness.stalenessMs / 1000)} s behind` : "";
  return html`<p class="foot">
    <span>${membersText(board)}</span>
    <span>Computed ${clock(freshness.computedAt)} ${read}${late}</span>
    <span>Version <span data-version>${streamPosition?.version ?? counts.settledVersion}</span></span>
  </p>`;
}

function membersText({ rows, members }) {
  if (members > rows.length) return `${rows.length} of ${members} members`;
  return rows.length === 1 ? "1 member" : `${rows.length} members`;
}

function Matches({ board }) {
  const matches = board?.matches ?? [];
  const results = board?.results; // unknown at first
  return html`
    <aside class="side">
      <section class="panel" aria-labelledby="play-title">
        <h2 id="play-title">In play${matches.length ? html` <span class="how-many">${matches.length}</span>` : null}</h2>
        <ul class=${matches.length ? "matches in-play" : "matches"} tabindex=${matches.length ? 0 : undefined} aria-labelledby="play-title">
          ${matches.map((match) => html`<${InPlay} key=${match.id} match=${match} />`)}
          ${matches.length === 0 ? html`<li class="note">No match is being played.</li>` : null}
        </ul>
      </section>
      <section class="panel" aria-labelledby="results-title">
        <h2 id="results-title">Last results</h2>
        <ul class="matches">
          ${results?.map((match) => html`<${Result} key=${match.id} match=${match} />`)}
          ${results?.length ? null : html`<li class="note">${results ? "No recent result." : "\u00a0"}</li>`}
        </ul>
      </section>
    </aside>
  `;
}

function InPlay({ match }) {
  const goals = match.result?.goals;
  return html`<li class="match" data-match=${match.id}>
    <span class="minute">${match.minute === null ? "Live" : html`${match.minute}<span aria-hidden="true">\u2032</span><span class="hidden"> minutes</span>`}</span>
    <${Sides} match=${match} goals=${goals} />
  </li>`;
}

function Result({ match }) {
  const { goals, kind, shootOut } = match.result;
  return html`<li class="match">
    <span class="minute" title=${kind === "AWARDED" ? "Awarded" : "Full time"}>${kind === "AWARDED" ? "Awd" : "FT"}</span>
    <${Sides} match=${match} goals=${goals} />
    ${shootOut ? html`<span class="shoot-out">Shoot-out ${shootOut.home}\u2013${shootOut.away}</span>` : null}
  </li>`;
}

function Sides({ match, goals }) {
  const score = goals ? `${goals.home}\u2013${goals.away}` : "\u2013";
  const { current: first } = useRef(score); // only what changes before the eye is a goal
  return html`
    <span class="side-name home" dir="auto" title=${match.home.label}>${match.home.label}</span>
    <strong class=${score === first ? "score" : "score goal"} key=${score}>${score}</strong>
    <span class="side-name" dir="auto" title=${match.away.label}>${match.away.label}</span>
  `;
}

function clock(instant) {
  return new Date(instant).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
}

const root = document.getElementById("live");
root.replaceChildren();
render(html`<${App} />`, root);
