// The few lines that make elements. Text becomes text nodes and attributes, and
// is never parsed: whatever a server or a client sent stays harmless.

export function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((c) => c !== null && c !== undefined && c !== false));
  return node;
}

// duration is a time as people say it, with its unit.
export function duration(ns) {
  const ms = ns / 1e6;
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  if (ms < 1000) return `${ms.toFixed(0)} ms`;
  return `${(ms / 1000).toFixed(1)} s`;
}

export function amount(bytes) {
  if (bytes < 10_000) return `${bytes}`;
  if (bytes < 10_000_000) return `${Math.round(bytes / 1024)} KiB`;
  return `${Math.round(bytes / (1 << 20))} MiB`;
}
