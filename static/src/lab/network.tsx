// What the lab may reach, in a few quiet words.

import type { Session } from "../ui/api.ts";
import { text } from "../ui/strings.ts";

type Words = typeof text.lab.networks | typeof text.lab.networkNote;

export function reach({ kind, hosts }: Session["network"], words: Words = text.lab.networks): string {
  return kind === "closed" ? words.closed(hosts.join(", ")) : words[kind];
}

/** Below the lesson's text. */
export function NetworkNote({ network }: { network: Session["network"] }) {
  return <footer class="network-note">{reach(network, text.lab.networkNote)}</footer>;
}
