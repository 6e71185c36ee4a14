// What a server may offer beside plain tools, as the official TypeScript SDK, 1.x or 2.x, sees it; see client.mjs.
//
// `run features` copies it beside the `node_modules` that hold the SDK and starts it there. The plugins are those of
// tests/conformance.

import { openSync, readdirSync, readFileSync, rmSync, symlinkSync, unlinkSync } from "node:fs";

const TASK = JSON.parse(process.argv[2]);
const NEW = TASK.package === "@modelcontextprotocol/client";
const MODERN = TASK.revision >= "2026-07-28";
// By the names of a form's fields.
const FORM = { name: "Alice", color: "blue", username: "alice", email: "alice@example.com", context: "tests" };
const LEVEL = "io.modelcontextprotocol/logLevel";

const { Client, SSEClientTransport, StreamableHTTPClientTransport, StdioClientTransport, types } = await sdk();
const complaints = [];
const logged = [];
let changes = 0;

async function sdk() {
  const parts = NEW
    ? ["@modelcontextprotocol/client", "@modelcontextprotocol/client/stdio"]
    : ["index", "sse", "streamableHttp", "stdio"].map((part) => `@modelcontextprotocol/sdk/client/${part}.js`);
  const found = Object.assign({}, ...(await Promise.all(parts.map((part) => import(part)))));
  return NEW ? found : { ...found, types: await import("@modelcontextprotocol/sdk/types.js") };
}

function transport() {
  if (TASK.transport === "sse") return new SSEClientTransport(new URL(`http://${TASK.address}/sse`));
  if (TASK.transport === "http") return new StreamableHTTPClientTransport(new URL(`http://${TASK.address}/mcp`));
  const [command, ...args] = TASK.command;
  return new StdioClientTransport({ command, args, env: TASK.env, stderr: openSync(TASK.log, "a") });
}

const HANDLERS = {
  "sampling/createMessage": ["CreateMessageRequestSchema", ({ params }) => {
    const text = `answer to ${params.messages[0].content.text}`;
    return { role: "assistant", content: { type: "text", text }, model: "none", stopReason: "endTurn" };
  }],
  "roots/list": ["ListRootsRequestSchema", () => ({ roots: [{ uri: "file:///test/root", name: "Test Root" }] })],
  "elicitation/create": ["ElicitRequestSchema", ({ params }) => {
    const names = Object.keys(params.requestedSchema.properties);
    return { action: "accept", content: Object.fromEntries(names.map((name) => [name, FORM[name]])) };
  }],
};
const HEARD = {
  "notifications/message": ["LoggingMessageNotificationSchema", ({ params }) => logged.push(params)],
  "notifications/tools/list_changed": ["ToolListChangedNotificationSchema", () => { changes += 1; }],
};

/** One connection, with the differences between the two generations of the SDK taken out. */
class Peer {
  async connect() {
    const capabilities = { sampling: {}, elicitation: {}, roots: {} };
    const negotiation = TASK.mode ? { versionNegotiation: { mode: TASK.mode } } : {};
    this.client = new Client({ name: "interop", version: "1" }, { capabilities, ...negotiation });
    this.client.onerror = (error) => {
      // Closing aborts the stream, and the SDK says so.
      if (!this.closing) complaints.push(`${error.name}: ${error.message}`);
    };
    for (const [method, [schema, answer]] of Object.entries(HANDLERS)) {
      this.client.setRequestHandler(NEW ? method : types[schema], async (request) => answer(request));
    }
    for (const [method, [schema, hear]] of Object.entries(HEARD)) {
      this.client.setNotificationHandler(NEW ? method : types[schema], async (message) => { hear(message); });
    }
    this.transport = transport();
    const agreed = this.transport.setProtocolVersion?.bind(this.transport);
    this.transport.setProtocolVersion = (revision) => {
      this.revision = revision;
      agreed?.(revision);
    };
    await this.client.connect(this.transport);
    return this;
  }

  call(name, args = {}, options = {}, more = {}) {
    const request = { name, arguments: args, ...more };
    return NEW ? this.client.callTool(request, options) : this.client.callTool(request, undefined, options);
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

/** Waits until something holds that others make true. */
async function until(seconds, holds) {
  for (let waited = 0; waited < seconds; waited += 0.02) {
    // What held once may look otherwise a moment later: a process has no command line while it becomes a program.
    if (holds()) return true;
    await pause(0.02);
  }
  return holds();
}

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

async function watched(peer, change, there) {
  changes = 0;
  const listening = MODERN ? await peer.client.listen({ toolsListChanged: true }) : undefined;
  change();
  expect(await until(10, () => changes > 0), "no notification");
  await listening?.close();
  const { tools } = await peer.client.listTools(undefined, NEW ? { cacheMode: "bypass" } : undefined);
  expect(tools.some(({ name }) => name === "demo_text__echo") === there, "the list is the old one");
}

const SCENARIOS = {
  async initialize(peer) {
    const name = peer.client.getServerVersion()?.name;
    const revision = peer.client.getNegotiatedProtocolVersion?.() ?? peer.revision;
    expect(name === "smcpd" && revision === TASK.revision, [name, revision]);
  },
  async progress(peer) {
    const steps = [];
    const onprogress = ({ progress, total }) => steps.push(`${progress} of ${total}`);
    const result = await peer.call("test_tool_with_progress", {}, { onprogress });
    expect(textOf(result).includes("successfully"), result);
    expect(steps.join() === "0 of 100,50 of 100,100 of 100", steps);
  },
  async log(peer) {
    if (!MODERN) await peer.client.setLoggingLevel("info");
    logged.length = 0;
    await peer.call("test_tool_with_logging", {}, {}, MODERN ? { _meta: { [LEVEL]: "info" } } : {});
    await until(10, () => logged.length === 3);
    const said = logged.map(({ level, data }) => `${level}: ${data}`).join();
    const lines = ["Tool execution started", "Tool processing data", "Tool execution completed"];
    expect(said === lines.map((line) => `info: ${line}`).join(), logged);
  },
  async cancel(peer) {
    const controller = new AbortController();
    const call = peer.call("slow_compute", { seconds: 30, label: "nothing" }, { signal: controller.signal }).then(
      (result) => ({ result }),
      (error) => ({ error }),
    );
    let early;
    call.then((ended) => (early = ended));
    // A machine that does much else may take its time.
    const seen = await until(20, () => early || processes("tasks").length > 0);
    expect(seen && !early, early ?? "no process");
    controller.abort("no longer wanted");
    expect("error" in (await call), await call);
    expect(await until(15, () => processes("tasks").length === 0), "the process lives on");
    const result = await peer.call("greet", { name: "you" });
    expect(textOf(result) === "Hello, you!", result);
  },
  async sampling(peer) {
    const result = await peer.call("test_sampling", { prompt: "Hi" });
    expect(textOf(result) === "LLM response: answer to Hi", result);
  },
  async roots(peer) {
    const result = await peer.call("test_input_required_result_list_roots");
    expect(textOf(result) === "Roots: Test Root", result);
  },
  async resources(peer) {
    const { resources } = await peer.client.listResources();
    const uris = resources.map(({ uri }) => uri);
    expect(uris[0] === "test://static-text" && uris.includes("test://static-binary"), uris);
    const { resourceTemplates } = await peer.client.listResourceTemplates();
    expect(resourceTemplates.map((one) => one.uriTemplate).join() === "test://template/{id}/data", resourceTemplates);
    for (const [uri, key, begin] of [
      ["test://static-text", "text", "This is the content"],
      ["test://static-binary", "blob", "iVBORw0KGgo"],
      ["test://watched-resource", "text", "Watched resource"],
      ["test://template/7/data", "text", '{"id":"7"'],
    ]) {
      const [content] = (await peer.client.readResource({ uri })).contents;
      expect(content.uri === uri && content[key].startsWith(begin), content);
    }
    const error = await peer.client.readResource({ uri: "test://nowhere" }).catch((refusal) => refusal);
    // The newest SDK tells its users of one code, whatever the revision has.
    expect([-32602, ...(MODERN ? [] : [-32002])].includes(error.code), error);
  },
  async prompts(peer) {
    const { prompts } = await peer.client.listPrompts();
    const wanted = prompts.find(({ name }) => name === "test_prompt_with_arguments").arguments;
    expect(wanted.map(({ name, required }) => `${name} ${required}`).join() === "arg1 true,arg2 true", wanted);
    const args = { name: "test_prompt_with_arguments", arguments: { arg1: "x", arg2: "y" } };
    const filled = await peer.client.getPrompt(args);
    expect(filled.messages[0].content.text === "Prompt with arguments: arg1='x', arg2='y'", filled);
    const image = await peer.client.getPrompt({ name: "test_prompt_with_image" });
    expect(image.messages[0].content.type === "image", image);
  },
  async completion(peer) {
    const ref = { type: "ref/prompt", name: "test_prompt_with_arguments" };
    const { completion } = await peer.client.complete({ ref, argument: { name: "arg1", value: "testi" } });
    expect(completion.values.join() === "testing", completion);
  },
  async "list changed"(peer) {
    const { at, to } = TASK.link;
    await watched(peer, () => symlinkSync(to, at), true);
    await watched(peer, () => unlinkSync(at), false);
  },
  async elicitation(peer) {
    const said = textOf(await peer.call("test_elicitation", { message: "Who are you?" }));
    const [opening, content] = said.split("content=");
    expect(opening === "User response: action=accept, ", said);
    const { username, email } = JSON.parse(content);
    expect(username === "alice" && email === "alice@example.com", said);
  },
  async "two rounds"(peer) {
    const result = await peer.call("test_input_required_result_multi_round");
    expect(textOf(result) === "Alice likes blue", result);
  },
  async "asking prompt"(peer) {
    const { messages } = await peer.client.getPrompt({ name: "test_input_required_result_prompt" });
    expect(messages[0].content.text.endsWith("context: tests"), messages);
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
// One that failed in between may have left it.
rmSync(TASK.link.at, { force: true });
// What the SDK said through `onerror` up to the end of the connection.
tell("no complaint", complaints.length > 0 ? complaints.join("; ") : undefined);
process.exit();
