// graphql-yoga with graphql-ws as its documentation has them, with rows that are there already.
// It prints its port; the query `send` sends events, as that of bench/live_plain.py does.
import { createServer } from "node:http";
import { useServer } from "graphql-ws/use/ws";
import { createPubSub, createSchema, createYoga } from "graphql-yoga";
import { WebSocketServer } from "ws";

const ROWS = 50;
const NUMBERS = [
  "position", "rank", "denseRank", "settledRank", "tied", "points", "settledPoints", "provisionalPoints",
  "exactScores", "goalDifferences", "outcomes", "guessedMatches",
];
const turns = createPubSub();
let number = 0;

function row(place, version) {
  const member = { id: "m".repeat(50), nickName: `Member ${place}` };
  const numbers = Object.fromEntries(NUMBERS.map((name) => [name, version]));
  return { id: "r".repeat(90), version, member, ...numbers };
}

function rows() {
  return Array.from({ length: ROWS }, (_, place) => row(place, number));
}

const schema = createSchema({
  typeDefs: `
    type Member { id: ID! nickName: String! }
    type Row { id: ID! version: Int! ${NUMBERS.map((name) => `${name}: Int!`).join(" ")} member: Member! }
    type Query { version: Int! send(times: Int!): Int! }
    type Subscription { rows: [Row!]! }
  `,
  resolvers: {
    Query: {
      version: () => 1,
      send(_, { times }) {
        for (let sent = 0; sent < times; sent++) turns.publish("turn", ++number);
        return number;
      },
    },
    Subscription: {
      rows: {
        async *subscribe() {
          const following = turns.subscribe("turn");
          for (;;) {
            const turned = following.next(); // it listens from now on
            yield rows();
            await turned;
          }
        },
        resolve: (found) => found,
      },
    },
  },
});

const yoga = createYoga({ schema, graphqlEndpoint: "/", logging: false });
const http = createServer(yoga);
const wss = new WebSocketServer({ server: http, path: "/" });
useServer(
  {
    execute: (args) => args.rootValue.execute(args),
    subscribe: (args) => args.rootValue.subscribe(args),
    async onSubscribe(context, _id, params) {
      const enveloped = yoga.getEnveloped({
        ...context,
        req: context.extra.request,
        socket: context.extra.socket,
        params,
      });
      const args = {
        schema: enveloped.schema,
        operationName: params.operationName,
        document: enveloped.parse(params.query),
        variableValues: params.variables,
        contextValue: await enveloped.contextFactory(),
        rootValue: { execute: enveloped.execute, subscribe: enveloped.subscribe },
      };
      const errors = enveloped.validate(args.schema, args.document);
      return errors.length ? errors : args;
    },
  },
  wss,
  0, // no pings, which clients of the bench do not answer
);
http.listen({ port: 0, host: "127.0.0.1", backlog: 4096 }, () => console.log(http.address().port));
