// The row of tabs: arrow keys move, Delete closes, one tab is in the tab order.

import type { Tab } from "./tab.ts";

export interface TabsProps {
  tabs: readonly Tab[];
  active: Tab | null;
  select: (tab: Tab) => void;
  close: (tab: Tab) => void;
  open: () => void;
  enter: () => void;
  opening: boolean;
}

export const tabId = (tab: Tab) => `tab-${tab.id}`;
export const panelId = (tab: Tab) => `panel-${tab.id}`;

export function Tabs({ tabs, active, select, close, open, enter, opening }: TabsProps) {
  const onKey = (event: KeyboardEvent, tab: Tab) => {
    const at = tabs.indexOf(tab);
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: tabs.length - 1 }[event.key];
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (to !== undefined) {
      const target = tabs[(to + tabs.length) % tabs.length]!;
      select(target);
      document.getElementById(tabId(target))?.focus();
    } else if (event.key === "Delete") close(tab);
    else if (event.key === "ArrowDown" || event.key === "Enter") enter();
    else return;
    event.preventDefault();
  };
  return (
    <div class="tabs">
      <div role="tablist" aria-label="Terminals" class="tablist">
        {tabs.map((tab) => {
          const selected = tab === active;
          const troubled = tab.connection.state.name !== "live";
          return (
            <div key={tab.id} role="presentation" class={selected ? "tab tab-active" : "tab"}>
              <button type="button" role="tab" id={tabId(tab)} class="tab-name" aria-selected={selected} aria-controls={panelId(tab)}
                tabIndex={selected ? 0 : -1} onClick={() => { select(tab); enter(); }} onKeyDown={(event) => onKey(event, tab)}>
                <span class="tab-number">{tab.number}</span> {tab.command}
                {troubled && !selected && <span class="tab-trouble" title="not live">◐<span class="visually-hidden"> not live</span></span>}
              </button>
              <button type="button" class="tab-close" tabIndex={-1} aria-label={`Close terminal ${tab.number}`}
                title="Close (Ctrl+Shift+X)" onClick={() => close(tab)}>×</button>
            </div>
          );
        })}
      </div>
      <button type="button" class="tab-new" aria-label="New terminal" title="New terminal (Ctrl+Shift+Enter)"
        aria-keyshortcuts="Control+Shift+Enter" aria-disabled={opening} onClick={open}>+</button>
    </div>
  );
}
