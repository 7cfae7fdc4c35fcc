// What the lab may reach, in a few quiet words.

import type { Session } from "../ui/api.ts";
import { text } from "../ui/strings.ts";

export function reach({ kind, hosts }: Session["network"]): string {
  const words = text.lab.networks;
  return kind === "closed" ? words.closed(hosts.join(", ")) : words[kind];
}

/** Below the lesson's text. */
export function NetworkNote({ network }: { network: Session["network"] }) {
  return <footer class="network-note">{reach(network)}</footer>;
}
