// What the live page knows about one tournament, kept true by two streams. Knows nothing of how it is drawn.

import { ask, jittered, operation, persist } from "./graphql.js";
import { follow, merged } from "./stream.js";

const SHOWN_RESULTS = 8;
const RESULTS_PAUSE = 1_000; // ms; matches that end together are asked for once

/** Follow a tournament; `onChange` gets a new state after each change. Returns a function that ends it. */
export function followTournament(client, id, onChange) {
  let state = { tournament: null, board: null, rows: [], matches: [], results: null, round: null, members: 0, problem: null };
  let rows = new Map();
  let matches = new Map();
  let stopped = false;
  let resultsTimer;
  const ends = [];

  function change(part) {
    if (!stopped) onChange((state = { ...state, ...part }));
  }

  function applyBoard(kind, event) {
    const before = rows;
    rows = merged(kind === "replace" ? [] : before, event.rows, event.removedRowIds ?? []);
    for (const row of rows.values()) mark(row, before.get(row.id));
    change({ board: event.leaderboard, rows: inOrder(rows) });
  }

  function applyMatches(kind, event) {
    const before = matches;
    matches = merged(kind === "replace" ? [] : before, event.matches, event.removedMatchIds ?? []);
    change({ matches: byKickOff(matches) });
    if ([...before.keys()].some((gone) => !matches.has(gone))) refreshResults();
  }

  function refreshResults() {
    resultsTimer ??= setTimeout(async () => {
      resultsTimer = undefined;
      await readResults(id).then(change, () => {}); // the next match that ends asks again
    }, jittered(RESULTS_PAUSE));
  }

  function refused() {
    change({ problem: "Your session has ended. Sign in again, then reload this page." });
  }

  // All that is asked of the server comes first: a server that goes away in between is asked for all of it again.
  async function begin() {
    const [{ tournament }, boardQuery, matchQuery] = await Promise.all(
      [ask("LiveScoreboard", { id }), operation("LeaderboardUpdates"), operation("MatchUpdates")]);
    if (stopped) return;
    change({ problem: null });
    if (!tournament?.leaderboard) return change({ problem: "This tournament does not exist." });
    const { leaderboard } = tournament;
    applyBoard("replace", { leaderboard, rows: nodes(leaderboard.rows) });
    matches = merged([], nodes(tournament.matches), []);
    change({ tournament, round: tournament.currentRound, members: leaderboard.rows.totalCount, matches: byKickOff(matches) });
    refreshResults();
    const common = { refused, renew: () => ask("Viewer").catch(() => {}) };
    ends.push(follow(client, {
      ...common,
      query: boardQuery,
      variables: { board: { tournamentId: id } },
      position: leaderboard.streamPosition,
      apply: applyBoard,
      alive: (event) => event.stalenessMs !== undefined && change({ heardAt: event.at }),
    }));
    ends.push(follow(client, {
      ...common,
      query: matchQuery,
      variables: { scope: { liveOfTournamentId: id } },
      apply: applyMatches,
    }));
  }

  function failed(problem) {
    change({ problem: problem.message });
  }

  persist(begin, failed, () => stopped).catch(failed);
  return () => {
    stopped = true;
    clearTimeout(resultsTimer);
    ends.forEach((end) => end());
  };
}

/** The tournaments to choose from, the one with most matches in play first. */
export async function readTournaments() {
  const { tournaments } = await ask("LiveTournaments");
  const life = (tournament) => (tournament.status === "ACTIVE" ? 1 + tournament.matches.totalCount : 0);
  return nodes(tournaments).sort((a, b) => life(b) - life(a));
}

async function readResults(id) {
  const { tournament } = await ask("LiveRound", { id });
  const round = tournament?.currentRound;
  if (!round) return { round: null, results: [] };
  const slugs = tournament.rounds.filter((one) => one.position <= round.position).map((one) => one.slug);
  const [earlier, before, now] = [slugs.at(-3) ?? slugs[0], slugs.at(-2) ?? slugs[0], slugs.at(-1)];
  const found = (await ask("RoundResults", { id, round: now, before, earlier })).tournament;
  const matches = merged([], [found.round, found.before, found.earlier].flatMap((one) => nodes(one?.matches)), []);
  const over = byKickOff(matches).filter((match) => match.status === "ENDED" && match.result?.goals);
  return { round, results: over.reverse().slice(0, SHOWN_RESULTS) };
}

/** Note the points that a row has just won, for the eye; the same note stays until the next one. */
function mark(row, before) {
  if (!before || before === row) return;
  const won = row.points - before.points;
  row.news = won ? { won, version: row.version } : before.news;
}

function nodes(connection) {
  return (connection?.edges ?? []).map((edge) => edge.node);
}

function inOrder(rows) {
  return [...rows.values()].sort((a, b) => a.position - b.position);
}

function byKickOff(matches) {
  return [...matches.values()].sort((a, b) => (a.kickOff ?? "").localeCompare(b.kickOff ?? "") || a.id.localeCompare(b.id));
}
