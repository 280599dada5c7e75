/**
 * Links with a manifest in their fragment, which browsers never send to a server: `#m=` with the manifest as UTF-8,
 * deflated, in base64url, and `&n=` with the namespace.
 */

/** Returns the fragment for a manifest, including `#`. */
export async function toFragment(manifest, namespace) {
  const stream = new Blob([manifest]).stream().pipeThrough(new CompressionStream("deflate-raw"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  return `#${new URLSearchParams({ m: base64(bytes), n: namespace })}`;
}

/**
 * Returns {manifest, namespace}, or null if the fragment has no manifest. Throws an Error with a message for the user
 * if the fragment is broken, or inflates to more than `mostBytes`: a short fragment can inflate to gigabytes.
 */
export async function fromFragment(fragment, mostBytes) {
  const fields = new URLSearchParams(fragment.replace(/^#/, ""));
  const packed = fields.get("m");
  if (!packed) {
    return null;
  }
  const bytes = await unpacked(packed, mostBytes);
  if (bytes === null) {
    throw new Error(`the link's manifest is larger than ${mostBytes} bytes`);
  }
  try {
    return { manifest: new TextDecoder("utf-8", { fatal: true }).decode(bytes), namespace: fields.get("n") };
  } catch {
    throw new Error("the link is broken: its manifest is not UTF-8");
  }
}

async function unpacked(packed, mostBytes) {
  const chunks = [];
  let size = 0;
  try {
    const stream = new Blob([fromBase64(packed)]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
    const reader = stream.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) {
        return await new Blob(chunks).arrayBuffer();
      }
      size += value.length;
      if (size > mostBytes) {
        await reader.cancel();
        return null;
      }
      chunks.push(value);
    }
  } catch {
    throw new Error("the link is broken: it is truncated or was changed; copy it again");
  }
}

function base64(bytes) {
  const chunk = 0x8000; // the number of arguments of a call is limited
  let text = "";
  for (let start = 0; start < bytes.length; start += chunk) {
    text += String.fromCharCode(...bytes.subarray(start, start + chunk));
  }
  return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

function fromBase64(text) {
  return Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (character) => character.charCodeAt(0));
}
