// The open tabs of a live session and what can be done with them.

import { useEffect, useLayoutEffect, useReducer, useRef, useState } from "preact/hooks";
import { api, type ApiError, asApiError, goToSignIn, type Session } from "../ui/api.ts";
import { Tab } from "./tab.ts";
import { text } from "../ui/strings.ts";
import { announce } from "../ui/ui.tsx";

export function useDesk(session: Session, refresh: () => void) {
  const [, redraw] = useReducer<number, void>((count) => count + 1, 0);
  const [opening, setOpening] = useState(false);
  const [error, setError] = useState<ApiError | null>(null);
  const alive = useRef(false);
  const entering = useRef(true);
  const gone = useRef(new Set<string>()); // closed here: an older answer may still name them
  const desk = useRef<{ tabs: Tab[]; active: Tab | null } | null>(null);

  const changed = () => {
    if (alive.current) redraw();
  };
  const add = (id: string, name: string | null, position: number | null = null): Tab => {
    const tabs = desk.current!.tabs;
    const number = position ?? Math.max(0, ...tabs.map((tab) => tab.number)) + 1;
    const tab: Tab = new Tab({ id, number, name }, () => { changed(); queueMicrotask(() => attend(tab)); });
    tabs.push(tab);
    return tab;
  };
  /** What another device opened, and what it renamed. What it closed is told by that terminal's own socket. */
  const follow = (terminals: Session["terminals"]) => {
    for (const { id, title, position } of terminals) {
      const known = desk.current!.tabs.find((tab) => tab.id === id);
      if (known) known.name = title;
      else if (!gone.current.has(id)) add(id, title, position);
    }
    // After a restart, say: whoever isn't elsewhere on the page goes on typing in the new one.
    const free = document.activeElement === document.body;
    if (!desk.current!.active && desk.current!.tabs[0]) select(desk.current!.tabs[0], free);
    changed();
  };
  const remove = (tab: Tab) => {
    gone.current.add(tab.id);
    const { tabs, active } = desk.current!;
    const at = tabs.indexOf(tab);
    if (at < 0) return;
    tabs.splice(at, 1);
    tab.dispose();
    if (tab === active) select(tabs[Math.min(at, tabs.length - 1)] ?? null, true);
    else if (document.activeElement === document.body) enter(); // the button that closed it is gone
    changed();
  };
  const select = (tab: Tab | null, focus: boolean) => {
    desk.current!.active?.show(false);
    desk.current!.active = tab;
    tab?.show(true);
    changed();
    if (focus) enter();
  };
  /** Focus goes into the selected terminal, after the redraw: what is inert can't be focused. */
  const enter = () => {
    entering.current = true;
    changed();
  };
  useLayoutEffect(() => {
    if (!entering.current) return;
    entering.current = false;
    desk.current!.active?.focus();
  });
  /** What the page does by itself when the server has closed a terminal for good. */
  const attend = (tab: Tab) => {
    const { state } = tab.connection;
    if (state.name !== "closed") return;
    if (state.code === 4401) goToSignIn();
    if (state.code === 4408) refresh();
    if (state.code === 4404) {
      remove(tab);
      announce(text.tabs.wasClosed(String(tab.number)));
      refresh();
    }
  };

  if (!desk.current) {
    // While rendering for the first time: sockets can't open too early.
    desk.current = { tabs: [], active: null };
    for (const { id, title, position } of session.terminals) add(id, title, position);
    desk.current.active = desk.current.tabs[0] ?? null;
    desk.current.active?.show(true);
  }
  useEffect(() => {
    alive.current = true;
    const wake = () => {
      if (document.visibilityState !== "visible") return;
      for (const tab of desk.current!.tabs) tab.connection.wake();
      desk.current!.active?.show(true);
      refresh(); // another device may have opened and renamed terminals meanwhile
      changed();
    };
    const events = ["online", "pageshow", "focus"];
    for (const name of events) addEventListener(name, wake);
    document.addEventListener("visibilitychange", wake);
    return () => {
      alive.current = false;
      for (const name of events) removeEventListener(name, wake);
      document.removeEventListener("visibilitychange", wake);
      for (const tab of desk.current!.tabs) tab.dispose();
    };
  }, []);

  useEffect(() => follow(session.terminals), [session.terminals]);

  return {
    tabs: desk.current.tabs,
    active: desk.current.active,
    opening, error, select, enter,
    complain: setError,
    forgive: () => setError(null),
    async open() {
      if (opening) return;
      setOpening(true);
      try {
        select(add((await api.openTerminal(session.id)).id, null), true);
      } catch (failure) {
        setError(asApiError(failure));
      } finally {
        setOpening(false);
      }
    },
    async rename(tab: Tab, name: string) {
      const before = tab.name;
      tab.name = name || null;
      changed();
      try {
        await api.renameTerminal(session.id, tab.id, name);
      } catch (failure) {
        tab.name = before;
        setError(asApiError(failure));
      }
    },
    async close(tab: Tab) {
      try {
        await api.closeTerminal(session.id, tab.id);
        remove(tab);
      } catch (failure) {
        const refused = asApiError(failure);
        if (refused.status === 404) remove(tab);
        else setError(refused);
      }
    },
  };
}
