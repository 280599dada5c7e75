/** The page's inputs and state: what users type, drop and choose, and where results are shown. Stores nothing. */

import { NoPreview, hasToken, preview, useToken } from "./request.js";
import { results, summary } from "./results.js";
import { fromFragment, toFragment } from "./share.js";

const { prefix, written, mostBytes } = document.body.dataset;
const names = { prefix: `${prefix}/`, written: written.split(" ") };
const maxBytes = Number(mostBytes);
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
  tell("Loading the preview …", "busy");
  try {
    const answer = await preview(manifest.value, namespace.value.trim() || "default", maxBytes);
    if (answer) {
      documents.replaceChildren(...results(answer, names));
      tell(summary(answer), answer.some(({ allowed }) => !allowed) ? "problem" : "good");
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

/** Scrolls to the result if it is out of view. On narrow screens it is below the editor. */
function bringIntoView() {
  const { top } = status.getBoundingClientRect();
  if (top < 0 || top > window.innerHeight - 80) {
    document.getElementById("result").scrollIntoView();
  }
}

function fill(text, defaultNamespace) {
  manifest.value = text;
  if (defaultNamespace) {
    namespace.value = defaultNamespace;
  }
  manifest.scrollTo(0, 0);
  show();
}

async function open(files) {
  const chosen = [...files];
  if (chosen.reduce((sum, item) => sum + item.size, 0) > maxBytes) {
    tell(`No preview: the files are larger than ${maxBytes} bytes; open fewer.`, "problem");
  } else if (chosen.length) {
    example.value = "";
    fill((await Promise.all(chosen.map((item) => item.text()))).join("\n---\n"));
  }
}

async function openLink() {
  if (location.hash === opened) {
    return;
  }
  try {
    const shared = await fromFragment(location.hash, maxBytes);
    if (shared) {
      opened = location.hash;
      example.value = "";
      fill(shared.manifest, shared.namespace);
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
    tell(`The example cannot be loaded: ${error.message}.`, "problem");
  }
}

async function share() {
  const url = location.href.split("#")[0] + (await toFragment(manifest.value, namespace.value.trim()));
  try {
    await navigator.clipboard.writeText(url);
    link.hidden = true;
    tell("The link is copied. It contains the manifest, but no token.", "good");
  } catch {
    link.hidden = false; // browsers deny the clipboard to pages without TLS
    const field = link.querySelector("input");
    field.value = url;
    field.select();
    tell("The link is below the buttons. It contains the manifest, but no token.");
  }
}

function showTokenState() {
  document.getElementById("ask").hidden = hasToken();
  document.getElementById("held").hidden = !hasToken();
}

function forget() {
  useToken(null);
  token.value = "";
  showTokenState();
}

editor.addEventListener("submit", (event) => {
  event.preventDefault();
  show();
});
credentials.addEventListener("submit", (event) => {
  event.preventDefault();
  useToken(token.value.trim());
  token.value = "";
  showTokenState();
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
  file.value = ""; // otherwise, choosing the same file again would not fire `change`
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !credentials.contains(event.target)) {
    event.preventDefault();
    editor.requestSubmit();
  }
});
// On the whole document, because the browser opens a file that is dropped outside of a drop target.
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
