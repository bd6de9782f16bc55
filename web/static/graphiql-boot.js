// Starts GraphiQL with an example a tab, whose variables name things that exist here.

import { ask, operation, post, socketAddress } from "./graphql.js";
import { readTournaments } from "./scoreboard.js";
import { showWho } from "./who.js";

const EXAMPLES = [
  "Tournaments", "LiveBoard", "MyDashboard", "SaveGuess", "MyLeagues", "AdminExecutions", "LeaderboardUpdates", "MatchUpdates",
];
const WORKERS = { editorWorkerService: "editor.worker", json: "json.worker", graphql: "graphql.worker." };
const STORE = "graphiql:"; // GraphiQL's own prefix in localStorage
const SEEN = "palpite:installation";

self.MonacoEnvironment = {
  getWorkerUrl: (_, label) => `/assets/graphiql/monacoeditorwork/${WORKERS[label]}.bundle.js`,
};

/** What the variables of the examples may be; nothing is filled in on an empty installation. */
async function known() {
  const [tournament] = await readTournaments();
  if (!tournament) return {};
  const found = (await ask("ExampleVariables", { tournament: tournament.id })).tournament;
  // The last of them, so that there is time to read before its lock.
  const open = found.matches.edges.map((edge) => edge.node).findLast((match) => !match.isLocked);
  return { tournament: tournament.id, match: open?.id, epoch: found.leaderboard?.streamPosition?.epoch };
}

async function example(name, { tournament = "", match = "" }) {
  const query = await operation(`examples/${name}`);
  const variables = query.includes("$match") ? { match, home: 2, away: 1 } : query.includes("$tournament") ? { tournament } : null;
  return { query, variables: variables && JSON.stringify(variables, null, 2) };
}

/** Tabs kept from another installation name things that do not exist here: begin anew then. */
function forgetOtherInstallation(epoch) {
  if (!epoch || localStorage.getItem(SEEN) === epoch) return;
  Object.keys(localStorage).filter((key) => key.startsWith(STORE)).forEach((key) => localStorage.removeItem(key));
  localStorage.setItem(SEEN, epoch);
}

/** The tab that was on top when the page was left; null on a first visit. */
function activeTab() {
  try {
    const { tabs, activeTabIndex } = JSON.parse(localStorage.getItem(`${STORE}tabState`));
    return tabs[activeTabIndex] ?? null;
  } catch {
    return null;
  }
}

const LOST = "The connection was lost. Run the operation again when the server is back.";

/** GraphiQL's own would show the raw event of a lost socket. Here a socket also takes the token from the headers. */
function fetcher(payload, { headers, documentAST } = {}) {
  const { operationName } = payload;
  const isStream = documentAST?.definitions.some(
    (one) => one.operation === "subscription" && (!operationName || one.name?.value === operationName));
  return isStream ? stream(payload, headers) : post(payload, headers).catch(tell);
}

function stream(payload, connectionParams) {
  const events = globalThis.graphqlWs.createClient({ url: socketAddress(), connectionParams }).iterate(payload);
  return {
    [Symbol.asyncIterator]() { return this; },
    next: () => events.next().catch(tell),
    return: () => events.return(),
  };
}

/** Throw something with a message alone: of an Error GraphiQL shows the stack too. */
function tell(problem) {
  throw Array.isArray(problem) ? problem : { message: problem.reason || problem.message || LOST };
}

async function start() {
  const ids = await known().catch(() => ({}));
  forgetOtherInstallation(ids.epoch);
  const tabs = await Promise.all(EXAMPLES.map((name) => example(name, ids)));
  const { query, variables } = activeTab() ?? tabs[0];
  const root = document.getElementById("graphiql");
  root.replaceChildren();
  globalThis.YogaGraphiQL.renderYogaGraphiQL(root, {
    fetcher,
    title: "Palpite",
    logo: "",
    shouldPersistHeaders: false, // a pasted token must not stay in the browser
    defaultTabs: tabs,
    initialQuery: query ?? "", // must be those of the tab on top, else GraphiQL opens another
    initialVariables: variables ?? "",
    onEditQuery: () => {}, // else each key stroke would rewrite the address
  });
}

showWho();
start();
