// Drives smcpd with the official TypeScript SDK, 1.x or 2.x, over one transport; one JSON line a scenario.
//
//     node client.mjs '{"transport": "http", "address": "127.0.0.1:1", "command": [...], "env": {...}, ...}'
//
// `run` copies it beside the `node_modules` that hold the SDK, starts it there, and counts what it says.

import { randomInt } from "node:crypto";
import { openSync, readdirSync, readFileSync } from "node:fs";

const TASK = JSON.parse(process.argv[2]);
const NEW = TASK.package === "@modelcontextprotocol/client";
const INVALID_PARAMS = -32602;

const { Client, SSEClientTransport, StreamableHTTPClientTransport, StdioClientTransport } = await sdk();
const complaints = [];
let discovers = 0;

async function sdk() {
  const parts = NEW
    ? ["@modelcontextprotocol/client", "@modelcontextprotocol/client/stdio"]
    : ["index", "sse", "streamableHttp", "stdio"].map((part) => `@modelcontextprotocol/sdk/client/${part}.js`);
  return Object.assign({}, ...(await Promise.all(parts.map((part) => import(part)))));
}

for (const { prototype } of [SSEClientTransport, StreamableHTTPClientTransport, StdioClientTransport]) {
  const { send } = prototype;
  prototype.send = function (message, ...rest) {
    if (message.method === "server/discover") discovers += 1;
    return send.call(this, message, ...rest);
  };
}

function transport() {
  if (TASK.transport === "sse") return new SSEClientTransport(new URL(`http://${TASK.address}/sse`));
  if (TASK.transport === "http") return new StreamableHTTPClientTransport(new URL(`http://${TASK.address}/mcp`));
  const [command, ...args] = TASK.command;
  return new StdioClientTransport({ command, args, env: TASK.env, stderr: openSync(TASK.log, "a") });
}

/** One connection, with the differences between the two generations of the SDK taken out. */
class Peer {
  async connect() {
    const options = TASK.mode ? { versionNegotiation: { mode: TASK.mode } } : {};
    this.client = new Client({ name: "interop", version: "1" }, options);
    this.client.onerror = (error) => {
      // Closing aborts the stream, and the SDK says so.
      if (!this.closing) complaints.push(`${error.name}: ${error.message}`);
    };
    this.transport = transport();
    const agreed = this.transport.setProtocolVersion?.bind(this.transport);
    this.transport.setProtocolVersion = (revision) => {
      this.revision = revision;
      agreed?.(revision);
    };
    await this.client.connect(this.transport);
    return this;
  }

  call(name, args, options = {}) {
    const request = { name, arguments: args };
    return NEW ? this.client.callTool(request, options) : this.client.callTool(request, undefined, options);
  }

  nextId() {
    return this.client._requestMessageId;
  }

  async close() {
    await this.transport.terminateSession?.();
    this.closing = true;
    await this.client.close();
  }
}

function expect(condition, seen) {
  if (!condition) throw new Error(`got ${JSON.stringify(seen)}`);
}

const pause = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));
const textOf = (result) => result.content[0].text;

/** Those that run a call of a plugin; one that waits for a call has dots in place of its id. */
function processes(plugin) {
  return readdirSync("/proc").filter((pid) => {
    try {
      const variables = /^\d+$/.test(pid) ? readFileSync(`/proc/${pid}/environ`, "utf8").split("\0") : [];
      const isOurs = variables.some((one) => one.startsWith(`SMCP_STATE_DIR=${TASK.state}`) && one.endsWith(`/${plugin}`));
      return isOurs && variables.some((one) => /^SMCP_CALL_ID=[^.]/.test(one));
    } catch {
      return false;
    }
  });
}

/** About 30 seconds, in digits that no other command line has. */
const unique = () => Number(`30.${randomInt(100000, 1000000)}1`);

async function refused(answer, word) {
  let result;
  try {
    result = await answer;
  } catch (error) {
    return expect(error.code === INVALID_PARAMS && error.message.includes(word), `${error.code}: ${error.message}`);
  }
  throw new Error(`got ${JSON.stringify(result)} where ${INVALID_PARAMS} is due`);
}

async function badArguments(peer, args, name) {
  const answer = peer.call("demo_math__calculate", args);
  if (TASK.revision < "2025-11-25") return refused(answer, `\`${name}\``);
  const result = await answer;
  expect(result.isError && textOf(result).includes(`\`${name}\``), result);
  expect(result.structuredContent.error.code === "invalid_arguments", result);
}

async function calculate(peer, name = "demo_math__calculate") {
  const result = await peer.call(name, { operation: "add", a: 2, b: 3 });
  expect(!result.isError && JSON.parse(textOf(result)).result === 5 && result.structuredContent.result === 5, result);
}

async function cancelled(peer, after) {
  const seconds = unique();
  const controller = new AbortController();
  // `patient` is `worker` without its timeout: what ends here was cancelled.
  const call = peer.call("patient__sleep", { seconds }, { signal: controller.signal }).then(
    (result) => ({ result }),
    (error) => ({ error }),
  );
  for (let tries = 0; processes("patient").length === 0; tries += 1) {
    expect(tries < 900, "no process");
    await pause(0.02);
  }
  await pause(after);
  controller.abort("no longer wanted");
  expect("error" in (await call), await call);
  for (let tries = 0; processes("patient").length > 0; tries += 1) {
    expect(tries < 700, "the process lives on");
    await pause(0.02);
  }
  await calculate(peer);
}

const SCENARIOS = {
  async initialize(peer) {
    const name = peer.client.getServerVersion()?.name;
    expect(name === "smcpd" && peer.revision === TASK.revision, [name, peer.revision]);
  },
  async discover(peer) {
    expect(discovers > 0 && peer.client.getNegotiatedProtocolVersion() === TASK.revision, discovers);
  },
  async list(peer) {
    const { tools, nextCursor } = await peer.client.listTools();
    expect(nextCursor === undefined, nextCursor);
    const named = Object.fromEntries(tools.map((tool) => [tool.name, tool.inputSchema]));
    for (const name of ["health", "demo_text__echo", "worker__sleep"]) expect(name in named, Object.keys(named));
    const schema = named["demo_math__calculate"];
    const kinds = Object.entries(schema.properties).map(([name, { type }]) => `${name}: ${type}`).join(", ");
    expect(kinds === "operation: string, a: number, b: number", schema);
    expect(schema.required.toSorted().join() === "a,b,operation", schema);
    expect(schema.properties.operation.enum.join() === "add,subtract,multiply,divide", schema);
  },
  call: (peer) => calculate(peer),
  "dotted name": (peer) => calculate(peer, "demo_math.calculate"),
  "unknown tool": (peer) => refused(peer.call("demo_math__nothing", {}), "demo_math__nothing"),
  "missing argument": (peer) => badArguments(peer, { operation: "add", a: 2 }, "b"),
  "wrong type": (peer) => badArguments(peer, { operation: "add", a: "two", b: 3 }, "a"),
  async "20 at once"() {
    const [one, other] = [await new Peer().connect(), await new Peer().connect()];
    expect(one.nextId() === other.nextId(), [one.nextId(), other.nextId()]);
    const calls = [];
    for (let number = 0; number < 10; number += 1) {
      for (const [peer, name] of [[one, "one"], [other, "other"]]) {
        const message = `${name} ${number}`;
        const answer = peer.call("demo_text__echo", { message });
        calls.push(answer.then((result) => [message, result.structuredContent.message]));
      }
    }
    const answers = await Promise.all(calls);
    expect(one.nextId() === other.nextId(), [one.nextId(), other.nextId()]);
    await one.close();
    await other.close();
    const astray = answers.filter(([asked, got]) => asked !== got);
    expect(answers.length === 20 && astray.length === 0, { astray });
  },
  async ping(peer) {
    expect(await peer.client.ping(), null);
  },
  async "failing tool"(peer) {
    const result = await peer.call("worker__fail", { message: "the disk is full" });
    expect(result.isError && textOf(result) === "the disk is full", result);
    expect(result.structuredContent.error.code === "plugin_error", result);
  },
  async timeout(peer) {
    const seconds = unique();
    const started = performance.now();
    const result = await peer.call("worker__sleep", { seconds });
    const took = (performance.now() - started) / 1000;
    const code = result.structuredContent.error.code;
    expect(result.isError && code === "timeout" && took > 1.5 && took < 6, [took, result]);
    expect(processes("worker").length === 0, "the process lives on");
  },
  cancel: (peer) => cancelled(peer, 0),
  // By now a Streamable HTTP answer has become a stream.
  "cancel late": (peer) => cancelled(peer, 2),
  async health(peer) {
    const result = await peer.call("health", {});
    expect(!result.isError && result.structuredContent.status === "ok", result);
  },
};

function tell(scenario, detail) {
  console.log(JSON.stringify({ scenario, ok: detail === undefined, detail }));
}

function within(seconds, work) {
  let timer;
  const late = new Promise((_, fail) => {
    timer = setTimeout(() => fail(new Error(`no end in ${seconds} s`)), seconds * 1000);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}

try {
  const peer = await within(25, new Peer().connect());
  for (const name of TASK.scenarios) {
    if (name === "no complaint") continue;
    await within(25, SCENARIOS[name](peer)).then(
      () => tell(name),
      (error) => tell(name, `${error.name}: ${error.message}`),
    );
  }
  await within(10, peer.close());
} catch (error) {
  complaints.push(`${error.name}: ${error.message}`);
}
// What the SDK said through `onerror` up to the end of the connection.
tell("no complaint", complaints.length > 0 ? complaints.join("; ") : undefined);
process.exit();
