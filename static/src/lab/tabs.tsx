// The row of tabs: arrow keys move, Delete closes, one tab is in the tab order.

import { text } from "../ui/strings.ts";
import type { Tab } from "./tab.ts";

export interface TabsProps {
  tabs: readonly Tab[];
  active: Tab | null;
  select: (tab: Tab) => void;
  close: (tab: Tab) => void;
  rename: (tab: Tab) => void;
  open: () => void;
  enter: () => void;
  opening: boolean;
}

export const tabId = (tab: Tab) => `tab-${tab.id}`;
export const panelId = (tab: Tab) => `panel-${tab.id}`;

export function Tabs({ tabs, active, select, close, rename, open, enter, opening }: TabsProps) {
  const onKey = (event: KeyboardEvent, tab: Tab) => {
    const at = tabs.indexOf(tab);
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: tabs.length - 1 }[event.key];
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (to !== undefined) {
      const target = tabs[(to + tabs.length) % tabs.length]!;
      select(target);
      document.getElementById(tabId(target))?.focus();
    } else if (event.key === "Delete") close(tab);
    else if (event.key === "F2") rename(tab);
    else if (event.key === "ArrowDown" || event.key === "Enter") enter();
    else return;
    event.preventDefault();
  };
  return (
    <div class="tabs">
      <div role="tablist" aria-label={text.lab.terminals} class="tablist">
        {tabs.map((tab) => {
          const selected = tab === active;
          const troubled = tab.connection.state.name !== "live";
          return (
            <div key={tab.id} role="presentation" class={selected ? "tab tab-active" : "tab"}>
              <button type="button" role="tab" id={tabId(tab)} class="tab-name" data-running={tab.running ?? undefined} aria-selected={selected} aria-controls={panelId(tab)}
                aria-keyshortcuts="Delete F2" tabIndex={selected ? 0 : -1} title={tab.title || undefined}
                onClick={() => { select(tab); enter(); }} onDblClick={() => rename(tab)} onKeyDown={(event) => onKey(event, tab)}>
                <span class="tab-number">{tab.number}</span> <span class="tab-caption">{tab.caption}</span>
                {tab.rang && <Dot mark="●" kind="bell" says={text.tabs.bell} />}
                {troubled && !selected && <Dot mark="◐" kind="trouble" says={text.tabs.notLive} />}
              </button>
              {/* For pointers: a tab list holds nothing but tabs. Delete on the tab, Ctrl+Shift+X and the menu close it as well. */}
              <button type="button" class="tab-close" tabIndex={-1} aria-hidden="true"
                title={`${text.tabs.close(String(tab.number))} (Ctrl+Shift+X)`} onMouseDown={(event) => event.preventDefault()} onClick={() => close(tab)}>×</button>
            </div>
          );
        })}
      </div>
      <button type="button" class="tab-new" aria-label={text.tabs.new} title={`${text.tabs.new} (Ctrl+Shift+Enter)`}
        aria-keyshortcuts="Control+Shift+Enter" aria-disabled={opening} onClick={open}>+</button>
    </div>
  );
}

function Dot({ mark, kind, says }: { mark: string; kind: "bell" | "trouble"; says: string }) {
  return <span class={`tab-${kind}`} title={says}><span aria-hidden="true">{mark}</span><span class="visually-hidden"> {says}</span></span>;
}
