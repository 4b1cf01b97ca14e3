// Questions to the server. Of pictures, one is under way at a time and only the newest waits.

const page = crypto.randomUUID();

export class Refused extends Error {}

export async function ask(path, body) {
  const options = body === undefined ? {} : {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  };
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Refused("The explorer's server does not answer; is `primitives explore` still running?");
  }
  const answer = await response.json().catch(() => ({ error: `the server answered ${response.status}` }));
  if (!response.ok) {
    const refused = new Refused(answer.error ?? `the server answered ${response.status}`);
    refused.superseded = response.status === 409;
    throw refused;
  }
  return answer;
}

export class Pictures {
  // show(answer, question) is called for the newest question only; failed(error) when it is refused.
  constructor(show, failed) {
    this.show = show;
    this.failed = failed;
    this.busy = false;
    this.next = null;
    this.waiting = [];
  }

  // Wait until no picture is under way: what is less urgent comes after.
  async idle() {
    while (this.busy) await new Promise((resolve) => this.waiting.push(resolve));
  }

  async ask(question) {
    this.next = question;
    if (this.busy) return;
    this.busy = true;
    try {
      while (this.next) {
        const asked = this.next;
        this.next = null;
        try {
          const answer = await ask(`/api/runs/${asked.run}/picture`, { state: asked.state, page });
          if (!this.next) await this.show(answer, asked);
        } catch (error) {
          if (!(error instanceof Refused)) throw error;
          if (!this.next && !error.superseded) this.failed(error);
        }
      }
    } finally {
      this.busy = false;
      for (const resume of this.waiting.splice(0)) resume();
    }
  }
}
