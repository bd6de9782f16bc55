// Talks to /graphql: operations by name over HTTP, and one websocket for all streams of a page.

const texts = new Map();

/** The text of a file in /operations, fetched once. */
export function operation(name) {
  if (!texts.has(name)) {
    const text = reach(`/operations/${name}.graphql`).then((answer) => {
      if (answer.status >= 500) throw new Unreachable(`The server answered ${answer.status}.`);
      if (!answer.ok) throw new Error(`The operation ${name} is not there.`);
      return answer.text();
    });
    texts.set(name, text);
    text.catch(() => texts.delete(name)); // a server that was away is asked again
  }
  return texts.get(name);
}

/** No answer, or none that can be read: the server is away, and waiting helps. */
export class Unreachable extends Error {}

function reach(address, options) {
  return fetch(address, options).catch((problem) => {
    throw new Unreachable("The server cannot be reached.", { cause: problem });
  });
}

/** The server's whole answer to a query or mutation, errors included. */
export async function post(payload, headers = {}) {
  const sent = new Headers(headers); // of any case: what is sent twice is refused
  sent.set("content-type", "application/json");
  sent.set("accept", "application/json");
  const answer = await reach("/graphql", { method: "POST", headers: sent, body: JSON.stringify(payload) });
  return answer.json().catch(() => {
    throw new Unreachable(`The server answered ${answer.status}.`);
  });
}

/** The data of an operation; throws with the server's first message when there are errors. */
export async function ask(name, variables = {}) {
  const query = await operation(name);
  const body = await post({ query, variables, operationName: name.split("/").at(-1) });
  if (body.errors?.length) {
    const [{ message, extensions }] = body.errors;
    throw extensions?.code === "UNAVAILABLE" ? new Unreachable(message) : new Error(message);
  }
  return body.data;
}

const SILENCE = 25_000; // ms without any message, pongs included, after which a socket counts as dead
const HOPELESS = 5; // attempts in a row, then the page says that the server is away; it goes on trying

const FINAL = new Set([4401, 4403]); // no such session, or no right: waiting does not help

function pause(ms) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    addEventListener("online", () => { clearTimeout(timer); resolve(); }, { once: true });
  });
}

const FIRST_TRY_PAUSE = 500; // ms
const LONGEST_TRY_PAUSE = 10_000;

/** Do `once`, again and again while the server cannot be reached; `waiting(problem)` hears of each failure. */
export async function persist(once, waiting, isOver = () => false) {
  for (let tries = 0; ; tries += 1) {
    try {
      return await once();
    } catch (problem) {
      if (!(problem instanceof Unreachable) || isOver()) throw problem;
      waiting(problem);
      await pause(jittered(Math.min(LONGEST_TRY_PAUSE, FIRST_TRY_PAUSE * 2 ** tries)));
    }
  }
}

/** Half to one and a half times `ms`, so that clients of a restarted server do not come back all at once. */
export function jittered(ms) {
  return ms * (0.5 + Math.random());
}

/** Where sockets are opened. */
export function socketAddress() {
  return `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/graphql`;
}

/** A websocket client; `onState` hears connecting, live, reconnecting, away. */
export function connect(onState) {
  let attempts = 0;
  let watchdog;
  const heard = () => {
    clearTimeout(watchdog);
    watchdog = setTimeout(() => client.terminate(), SILENCE);
  };
  const client = globalThis.graphqlWs.createClient({
    url: socketAddress(),
    keepAlive: 10_000,
    connectionAckWaitTimeout: 10_000,
    retryAttempts: Infinity,
    shouldRetry: (problem) => !FINAL.has(problem?.code),
    retryWait: (retries) => pause(jittered(Math.min(30_000, 500 * 2 ** retries))),
    on: {
      connecting: (again) => onState(!again ? "connecting" : attempts >= HOPELESS ? "away" : "reconnecting"),
      connected: () => { attempts = 0; heard(); onState("live"); },
      message: heard,
      closed: (event) => {
        clearTimeout(watchdog);
        attempts += 1;
        if (event.code === 1000) return;
        onState(attempts >= HOPELESS || !navigator.onLine ? "away" : "reconnecting");
      },
    },
  });
  addEventListener("offline", () => client.terminate());
  return client;
}
