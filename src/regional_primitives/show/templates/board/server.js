// The source of the explorer's board: the server, which generates each picture.

import { nameOf, ranks } from "./board.js";
import { inWords } from "./edits.js";
import { percent } from "./words.js";

export const page = crypto.randomUUID();

export async function ask(path, body) {
  const options = body && { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
  let response;
  try {
    response = await fetch(`/api/${path}`, options);
  } catch {
    throw new Error("The explorer's server does not answer; is `primitives explore` still running?");
  }
  const answer = await response.json().catch(() => ({ error: `the server answered ${response.status}` }));
  if (response.ok) return answer;
  throw Object.assign(new Error(answer.error), { superseded: response.status === 409 });
}

export class Server {
  static async open(name) {
    const found = await ask(`runs/${name}`);
    const all = [...found.fields.keys()];
    return Object.assign(new Server(), { run: {
      ...found,
      total: all.length,
      listed: all,
      rank: { strength: all, visible: ranks(found.visible) },
      page: 40,
      milliseconds: 110,
      called: (k) => nameOf(found, k),
    } });
  }

  async picture(state) {
    const found = await ask(`runs/${this.run.name}/picture`, { state: state.question(), page });
    return {
      ...found,
      readings: [
        ["on", "Components on", `${found.on.toLocaleString("en")} of ${this.run.total.toLocaleString("en")}`],
        ["cost", "Cost in the feature", percent(found.cost)],
        ["inside", "Error where asked", percent(found.inside)],
        ["leak", "Leak elsewhere", percent(found.leak)],
        ["distance", "Distance from before", percent(found.distance)],
      ],
    };
  }

  edited(edits) {
    return inWords(this.run, edits);
  }

  patterns(components) {
    return ask(`runs/${this.run.name}/patterns?${components.map((k) => `component=${k}`).join("&")}`);
  }

  steps(order) {
    return ask(`runs/${this.run.name}/build-up?order=${order}`);
  }
}
