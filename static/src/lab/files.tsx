// The student's files: taken home as one archive, and brought in by the menu or by dropping them anywhere on the page.

import { useEffect, useRef, useState } from "preact/hooks";
import { api, ApiError, asApiError, type Session, upload } from "../ui/api.ts";
import { size, text } from "../ui/strings.ts";
import { announce, ErrorNote } from "../ui/ui.tsx";

const words = text.files;

/** One file on its way, or what became of it. */
interface Upload { id: number; name: string; sent: number; of: number; stored: string | null; error: ApiError | null; abort: AbortController }

export interface Files { uploads: readonly Upload[]; dropping: boolean; choose: () => void; download: () => void; dismiss: (id: number) => void }

export function useFiles(session: Session, complain: (error: ApiError) => void): Files {
  const [uploads, setUploads] = useState<readonly Upload[]>([]);
  const queue = useRef<Promise<void>>(Promise.resolve());
  const count = useRef(0);
  const change = (id: number, news: Partial<Upload>) =>
    setUploads((all) => all.map((one) => (one.id === id ? { ...one, ...news } : one)));
  const send = async (file: File, one: Upload) => {
    try {
      one.abort.signal.throwIfAborted();
      const most = session.upload_most ?? Infinity;
      if (file.size > most) throw new ApiError(413, "too_large", words.tooLarge(size(most))); // said before it is sent
      const { name, folder } = await upload(session.id, file, (sent) => change(one.id, { sent }), one.abort.signal);
      change(one.id, { stored: `~/${folder}/${name}`, sent: file.size });
      announce(words.stored(file.name, `~/${folder}/${name}`));
    } catch (failure) {
      if (one.abort.signal.aborted) return;
      change(one.id, { error: asApiError(failure) });
    }
  };
  const add = (files: readonly File[]) => {
    for (const file of files) {
      const one: Upload = { id: ++count.current, name: file.name, sent: 0, of: file.size, stored: null, error: null, abort: new AbortController() };
      setUploads((all) => [...all, one]);
      queue.current = queue.current.then(() => send(file, one));
    }
  };
  const dropping = useDrop(add);
  const choose = () => {
    const input = Object.assign(document.createElement("input"), { type: "file", multiple: true });
    input.addEventListener("change", () => add([...input.files!]));
    input.click();
  };
  const download = async () => {
    try {
      await api.homeReady(session.id);
      Object.assign(document.createElement("a"), { href: api.homePath(session.id), download: "" }).click();
      announce(words.downloading);
    } catch (failure) {
      complain(asApiError(failure));
    }
  };
  const dismiss = (id: number) => {
    uploads.find((one) => one.id === id)?.abort.abort();
    setUploads((all) => all.filter((one) => one.id !== id));
  };
  return { uploads, dropping, choose, download: () => void download(), dismiss };
}

/** Whether files hang over the page. A file that is dropped must never replace it, wherever it falls. */
function useDrop(add: (files: readonly File[]) => void): boolean {
  const [over, setOver] = useState(false);
  const latest = useRef(add);
  latest.current = add;
  useEffect(() => {
    let depth = 0; // each element that is entered on the way says so
    const holds = (event: DragEvent) => event.dataTransfer?.types.includes("Files") ?? false;
    const listeners: Partial<Record<"dragenter" | "dragleave" | "dragover" | "drop", (event: DragEvent) => void>> = {
      dragenter: () => { depth += 1; setOver(true); },
      dragleave: () => { depth -= 1; if (depth <= 0) setOver(false); },
      dragover: (event) => { event.dataTransfer!.dropEffect = "copy"; },
      drop: (event) => {
        depth = 0;
        setOver(false);
        const entries = [...event.dataTransfer!.items].filter((item) => item.kind === "file");
        const files = entries.filter((item) => !item.webkitGetAsEntry()?.isDirectory).map((item) => item.getAsFile());
        if (files.length < entries.length) announce(words.noFolders);
        latest.current(files.filter((file) => file !== null));
      },
    };
    const handlers = Object.entries(listeners).map(([name, run]) => {
      const handler = (event: Event) => {
        if (!holds(event as DragEvent)) return;
        event.preventDefault();
        event.stopPropagation(); // the emulator would type the file's name
        run(event as DragEvent);
      };
      document.addEventListener(name, handler, true);
      return [name, handler] as const;
    });
    return () => { for (const [name, handler] of handlers) document.removeEventListener(name, handler, true); };
  }, []);
  return over;
}

export function Uploads({ files, enter }: { files: Files; enter: () => void }) {
  if (files.uploads.length === 0) return null;
  return (
    <div class="bars">
      {files.uploads.map((one) => {
        const over = one.stored !== null || one.error !== null;
        return (
          <div key={one.id} class={`bar bar-${one.error ? "warn" : "info"}`} role="group" aria-label={words.upload(one.name)} data-upload={one.stored ? "stored" : one.error ? "failed" : "sending"}>
            {one.error ? <div class="upload-error"><p>{words.failed(one.name)}</p><ErrorNote error={one.error} /></div>
              : one.stored ? <p>{words.stored(one.name, one.stored)}</p>
              : <p class="upload-progress"><span>{words.sending(one.name, size(one.sent), size(one.of))}</span>
                <progress value={one.sent} max={one.of || 1} aria-label={words.upload(one.name)} /></p>}
            <button type="button" class="button" onClick={() => { files.dismiss(one.id); enter(); }}>{over ? text.ok : text.cancel}</button>
          </div>
        );
      })}
    </div>
  );
}

export function DropHint({ most }: { most: number }) {
  return <div class="drop-hint"><p>{words.drop}</p><p>{words.most(size(most))}</p></div>;
}
