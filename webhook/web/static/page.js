/** The page itself: what people type, drop and choose, and where the answers go. Nothing is stored anywhere. */

import { NoPreview, hasToken, preview, useToken } from "./request.js";
import { results, summary } from "./results.js";
import { fromFragment, toFragment } from "./share.js";

const { prefix, written, mostBytes } = document.body.dataset;
const names = { prefix: `${prefix}/`, written: written.split(" ") };
const most = Number(mostBytes);
const [editor, manifest, namespace, example, file, link, credentials, token, status, documents] = [
  "editor",
  "manifest",
  "namespace",
  "example",
  "file",
  "link",
  "credentials",
  "token",
  "status",
  "documents",
].map((id) => document.getElementById(id));
let opened = null;

function tell(text, kind = "") {
  status.textContent = text;
  status.className = `status ${kind}`;
}

async function show() {
  if (!manifest.value.trim()) {
    documents.replaceChildren();
    tell("Paste a manifest, drop a file, or choose an example.");
    return;
  }
  tell("Asking …", "busy");
  try {
    const answer = await preview(manifest.value, namespace.value.trim() || "default", most);
    if (answer) {
      documents.replaceChildren(...results(answer, names));
      tell(summary(answer), answer.some((each) => !each.allowed) ? "problem" : "good");
      bringIntoView();
    }
  } catch (error) {
    if (!(error instanceof NoPreview)) {
      throw error;
    }
    documents.replaceChildren();
    tell(`No preview: ${error.message}`, "problem");
    bringIntoView();
    if (error.status === 401) {
      forget();
      credentials.hidden = false;
      token.focus();
    }
  }
}

/** On narrow screens the result stands below all that has been typed. */
function bringIntoView() {
  const { top } = status.getBoundingClientRect();
  if (top < 0 || top > window.innerHeight - 80) {
    document.getElementById("result").scrollIntoView();
  }
}

function fill(text, place) {
  manifest.value = text;
  if (place) {
    namespace.value = place;
  }
  manifest.scrollTo(0, 0);
  show();
}

async function open(files) {
  const chosen = [...files];
  if (chosen.reduce((sum, each) => sum + each.size, 0) > most) {
    tell(`No preview: that is more than ${most} bytes.`, "problem");
  } else if (chosen.length) {
    example.value = "";
    fill((await Promise.all(chosen.map((each) => each.text()))).join("\n---\n"));
  }
}

async function openLink() {
  if (location.hash === opened) {
    return;
  }
  try {
    const found = await fromFragment(location.hash, most);
    if (found) {
      opened = location.hash;
      example.value = "";
      fill(found.manifest, found.namespace);
    }
  } catch (error) {
    tell(`No preview: ${error.message}.`, "problem");
  }
}

async function openExample() {
  if (!example.value) {
    return;
  }
  const path = example.value;
  try {
    const response = await fetch(path, { cache: "no-cache" });
    if (!response.ok) {
      throw new Error(`HTTP ${response.status}`);
    }
    const text = await response.text();
    if (example.value === path) {
      fill(text);
    }
  } catch (error) {
    tell(`The example can't be read: ${error.message}.`, "problem");
  }
}

async function share() {
  const url = location.href.split("#")[0] + (await toFragment(manifest.value, namespace.value.trim()));
  try {
    await navigator.clipboard.writeText(url);
    link.hidden = true;
    tell("The link is copied. It carries the manifest, and no token.", "good");
  } catch {
    link.hidden = false; // the clipboard is not for this page, as it is for none without TLS
    const field = link.querySelector("input");
    field.value = url;
    field.select();
    tell("The link stands below the buttons. It carries the manifest, and no token.");
  }
}

function held() {
  document.getElementById("ask").hidden = hasToken();
  document.getElementById("held").hidden = !hasToken();
}

function forget() {
  useToken(null);
  token.value = "";
  held();
}

editor.addEventListener("submit", (event) => {
  event.preventDefault();
  show();
});
credentials.addEventListener("submit", (event) => {
  event.preventDefault();
  useToken(token.value.trim());
  token.value = "";
  held();
  document.getElementById("forget").focus();
  show();
});
document.getElementById("forget").addEventListener("click", () => {
  forget();
  token.focus();
  tell("The token is forgotten.");
});
document.getElementById("share").addEventListener("click", share);
example.addEventListener("change", openExample);
manifest.addEventListener("input", () => {
  example.value = "";
});
file.addEventListener("change", async () => {
  await open(file.files);
  file.value = ""; // the same file may be chosen again, once it has been changed
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !credentials.contains(event.target)) {
    event.preventDefault();
    editor.requestSubmit();
  }
});
// Anywhere on the page: a file that misses its target would replace the page otherwise.
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    if (event.dataTransfer?.types.includes("Files")) {
      event.preventDefault();
      editor.classList.toggle("target", kind === "dragover");
      if (kind === "drop") {
        open(event.dataTransfer.files);
      }
    }
  });
}
window.addEventListener("hashchange", openLink);
openLink();
