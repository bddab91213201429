// The smallest service that Restate can send to: it takes a request and ends.
// Arguments: where the SDK is, and the port to listen at.
import { createRequire } from "node:module";

const [packages, port] = process.argv.slice(2);
const restate = createRequire(packages + "/")("@restatedev/restate-sdk");

const intake = restate.service({
  name: "intake",
  handlers: { take: async (_context, _request) => "taken" },
});

restate.serve({ services: [intake], port: Number(port) });
