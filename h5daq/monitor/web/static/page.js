// The page: ties the connection to what is shown, and buttons to questions.

import { Link } from "./link.js";
import { Plots } from "./plots.js";
import { Jobs, Log, Tree, at, pairs, set, showRun } from "./lists.js";
import { Dataset } from "./dataset.js";

const FIRST_PLOTS = 4; // that a page opens by itself when nobody has chosen any

let operator = false, run = null, begun = false;
const link = new Link(take);
const plots = new Plots(link, Number(at("seconds").value));
const dataset = new Dataset(link, plots);
const jobs = new Jobs(chooseJob, order);
const tree = new Tree(link, choosePath);
const log = new Log();
window.h5daq = { link, plots, jobs };

function take(message) {
  const { k } = message;
  if (k === "welcome") welcome(message);
  else if (k === "refused") set(at("connection"), "that was not the token");
  else if (k === "lost") lost(message);
  else if (k === "news") news(message.values);
  else if (k === "happened") happened(message.what);
  else plots.take(message);
}

function welcome(message) {
  operator = message.operator;
  set(at("connection"), operator ? "live, in control" : "live, only looking");
  at("connection").className = "live";
  jobs.allow(operator);
  dataset.allow(operator);
  at("run-orders").hidden = !operator;
  log.list.replaceChildren();
  tree.fill("");
  if (plots.all.size) plots.again();
}

function lost(message) {
  at("connection").className = "bad";
  set(at("connection"), message.wanted ? "the server wants its token" : "no connection to the server");
  if (message.wanted) askForToken();
}

function news(values) {
  for (const [name, value] of Object.entries(values)) {
    if (name === "run") {
      const other = !run || run.id !== value.id || run.file !== value.file;
      run = value;
      showRun(run);
      if (other) showAttributes();
    } else if (name.startsWith("job:")) jobs.take(name.slice(4), value);
  }
  if (!begun && jobs.rows.size) firstPlots();
}

async function showAttributes() {
  const said = [["directory", run.directory], ["file", run.file], ["durability", run.durability],
    ["run", run.id]].filter(([, value]) => value);
  const attrs = await link.ask({ k: "run" }).catch(() => ({}));
  pairs(at("run-attributes"), [...said, ...Object.entries(attrs)]);
}

function happened(what) {
  log.take(what);
  what.forEach((one) => tree.happened(one));
  what.forEach((one) => dataset.happened(one, run));
}

// -- plots ----------------------------------------------------------------------------------------

async function firstPlots() {
  begun = true;
  if (plots.all.size) return;
  const kept = plots.kept().filter((about) => about.of !== "job" || jobs.rows.has(about.path.join("/")));
  for (const about of kept) plots.add(about);
  if (kept.length) return;
  for (const name of [...jobs.rows.keys()].sort().slice(0, FIRST_PLOTS)) {
    await dataset.plotJob(name).catch(() => {});
  }
}

function chooseJob(name) {
  dataset.show("job", name.split("/"));
}

function choosePath(path) {
  const above = run && run.path ? `${run.path}/` : "", whole = path.join("/");
  const job = above && whole.startsWith(above) ? whole.slice(above.length) : "";
  if (jobs.rows.has(job)) chooseJob(job);
  else dataset.show("vault", path);
}

at("seconds").addEventListener("change", () => plots.span(Number(at("seconds").value)));
at("close-plots").addEventListener("click", () => plots.each((plot) => plots.remove(plot.about)));

// -- control --------------------------------------------------------------------------------------

async function order(verb, name) {
  try {
    await link.ask({ k: "order", verb, jobs: name ? [name] : [] });
    set(at("connection"), `${verb} ${name || "all"}: ordered`);
  } catch (error) {
    set(at("connection"), `${verb}: ${error.message}`);
  }
}

at("run-orders").addEventListener("click", (event) => {
  const verb = event.target.dataset.verb;
  if (verb) order(verb, "");
});

function askForToken() {
  set(at("token-state"), operator ? "This page is in control." : "This page can only look.");
  at("token").value = "";
  if (!at("token-dialog").open) at("token-dialog").showModal();
}

at("control").addEventListener("click", askForToken);
at("token-form").addEventListener("submit", (event) => {
  if (event.submitter?.value !== "cancel" && at("token").value) link.use(at("token").value.trim());
});

// A slash goes to the search, as in many other pages; not while something is being typed.
addEventListener("keydown", (event) => {
  const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName);
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    at("filter").focus();
  }
});
