// The rules of a resumable stream: when an event may be applied, and what to do when something was lost.

import { jittered } from "./graphql.js";

/**
 * What an event asks of a client that stands at `position` ({epoch, version}, or null before the first snapshot):
 * "replace" all it has, "merge" the event, do "nothing", or subscribe anew because of a "gap".
 */
export function verdict(position, event) {
  const here = position !== null && event.epoch === position.epoch;
  switch (event.__typename) {
    case "LeaderboardSnapshot":
    case "MatchSnapshot":
      return "replace";
    case "LeaderboardDelta":
    case "MatchDelta":
      return here && event.fromVersion === position.version ? "merge" : "gap";
    case "Heartbeat":
      return here && event.version === position.version ? "nothing" : "gap";
    default: // Resync: a snapshot follows at once
      return "nothing";
  }
}

/** Merge whole objects by id and take out those that left; the same event twice does no harm. */
export function merged(objects, changed, removedIds) {
  const all = new Map(objects);
  for (const object of changed) all.set(object.id, object);
  for (const id of removedIds) all.delete(id);
  return all;
}

const FIRST_PAUSE = 250; // ms before subscribing anew after a gap; doubles while gaps follow each other
const LONGEST_PAUSE = 15_000;
const PATIENCE = 3; // refusals that end a session or name a missing right, before the page gives up

/**
 * Follow a stream for ever: resumes after a lost socket from the last event applied, and after a gap at once.
 * `apply(kind, event)` gets "replace" and "merge" events; `refused(problem)` is called when trying again is of no use.
 * Returns a function that ends it.
 */
export function follow(client, { query, variables, position = null, apply, alive = () => {}, refused, renew }) {
  let failures = 0;
  let refusals = 0;
  let stopped = false;
  let leave = () => {};
  let timer;

  function subscribe() {
    let open = true;
    // The client sends `payload` again after each lost socket, so keeping `after` in it true is all that resuming takes.
    const payload = { query, variables: { ...variables, after: failures < 2 ? position : null } };
    const end = client.subscribe(payload, {
      next(answer) {
        if (!open) return;
        const event = answer.data && Object.values(answer.data)[0];
        const kind = event ? verdict(position, event) : "gap";
        if (kind === "gap") return anew();
        alive(event);
        if (kind === "nothing") return;
        position = { epoch: event.epoch, version: event.version };
        payload.variables.after = position;
        failures = refusals = 0;
        apply(kind, event);
      },
      error: (problem) => open && (problem?.code === 4401 || problem?.code === 4403 ? lost(problem) : anew()),
      complete: () => open && anew(),
    });
    leave = () => {
      open = false;
      end();
    };
  }

  function anew() {
    leave();
    timer = setTimeout(subscribe, jittered(Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** failures)));
    failures += 1;
  }

  async function lost(problem) {
    leave();
    refusals += 1;
    if (refusals > PATIENCE) return refused(problem);
    await renew(); // an answer over HTTP takes an ended session's cookie away, and then the board is open to anyone
    if (!stopped) anew();
  }

  subscribe();
  return () => {
    stopped = true;
    clearTimeout(timer);
    leave();
  };
}
