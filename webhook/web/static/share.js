/**
 * Links that carry a manifest in their fragment, which browsers send to no server: `#m=` and the manifest's UTF-8,
 * deflated, as base64url; `&n=` and a namespace.
 */

/** The fragment for a manifest, with its `#`. */
export async function toFragment(manifest, namespace) {
  const stream = new Blob([manifest]).stream().pipeThrough(new CompressionStream("deflate-raw"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  return `#${new URLSearchParams({ m: base64(bytes), n: namespace })}`;
}

/**
 * The manifest and the namespace of a fragment; null where it carries none. Throws an Error in words where it is
 * broken, or would become more than `mostBytes`: a short one can become gigabytes.
 */
export async function fromFragment(fragment, mostBytes) {
  const fields = new URLSearchParams(fragment.replace(/^#/, ""));
  const packed = fields.get("m");
  if (!packed) {
    return null;
  }
  const bytes = await unpacked(packed, mostBytes);
  if (bytes === null) {
    throw new Error(`the link's manifest has more than ${mostBytes} bytes`);
  }
  try {
    return { manifest: new TextDecoder("utf-8", { fatal: true }).decode(bytes), namespace: fields.get("n") };
  } catch {
    throw new Error("the link is broken: it carries no text");
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
    throw new Error("the link is broken: it was cut short, or changed on its way");
  }
}

function base64(bytes) {
  const piece = 0x8000; // functions take a bounded number of arguments
  let text = "";
  for (let start = 0; start < bytes.length; start += piece) {
    text += String.fromCharCode(...bytes.subarray(start, start + piece));
  }
  return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

function fromBase64(text) {
  return Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (sign) => sign.charCodeAt(0));
}
