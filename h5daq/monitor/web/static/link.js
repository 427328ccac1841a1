// The connection to the server: it says hello, hands on what comes, asks questions by number, and
// comes back by itself. The token goes into the first message and nowhere else; it is kept for this
// tab, so that a reload goes on, and taken out of the address bar at once.

const AGAIN_MS = [500, 1000, 2000, 5000];

export function numbers(text) {
  return new Float64Array(bytes(text).buffer);
}

export function singles(text) {
  return new Float32Array(bytes(text).buffer);
}

function bytes(text) {
  const raw = atob(text), found = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) found[i] = raw.charCodeAt(i);
  return found;
}

export class Link {
  constructor(on) {
    this.on = on;
    this.tries = 0;
    this.next = 1;
    this.waiting = new Map();
    this.received = 0;
    const given = new URLSearchParams(location.hash.slice(1)).get("token");
    if (given) {
      this.keep(given);
      history.replaceState(null, "", location.pathname + location.search);
    }
    this.connect();
  }

  get token() {
    return sessionStorage.getItem("h5daq-token") || "";
  }

  keep(token) {
    if (token) sessionStorage.setItem("h5daq-token", token);
    else sessionStorage.removeItem("h5daq-token");
  }

  use(token) {
    this.keep(token);
    this.socket.close();
  }

  connect() {
    const address = new URL("socket", location.href);
    address.protocol = address.protocol.replace("http", "ws");
    this.socket = new WebSocket(address);
    this.socket.onopen = () => this.say({ k: "hello", token: this.token || undefined });
    this.socket.onmessage = (event) => this.take(event.data);
    this.socket.onclose = (event) => this.lost(event);
  }

  take(text) {
    this.received += text.length;
    for (const message of JSON.parse(text)) {
      if (message.k === "reply") this.answer(message);
      else {
        if (message.k === "welcome") this.tries = 0;
        this.on(message);
      }
    }
  }

  answer(message) {
    const [yes, no] = this.waiting.get(message.id) || [];
    this.waiting.delete(message.id);
    if (yes && message.ok) yes(message.result);
    else if (no) no(new Error(message.error));
  }

  lost(event) {
    for (const [, no] of this.waiting.values()) no(new Error("the connection was lost"));
    this.waiting.clear();
    this.on({ k: "lost", wanted: event.code === 4003 });
    if (event.code === 4003) this.keep("");
    const pause = AGAIN_MS[Math.min(this.tries++, AGAIN_MS.length - 1)];
    if (event.code !== 4003) setTimeout(() => this.connect(), pause);
    else this.socket = { readyState: 3, close: () => this.connect() };
  }

  say(message) {
    if (this.socket.readyState === 1) this.socket.send(JSON.stringify(message));
  }

  ask(message) {
    return new Promise((yes, no) => {
      if (this.socket.readyState !== 1) return no(new Error("there is no connection to the server"));
      const id = this.next++;
      this.waiting.set(id, [yes, no]);
      this.say({ ...message, id });
    });
  }
}
