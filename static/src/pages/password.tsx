// A new password, by the link of an administrator: what permits it stands behind "#", where no server's log sees it.

import { useRef, useState } from "preact/hooks";
import { api, type ApiError, asApiError } from "../ui/api.ts";
import { text } from "../ui/strings.ts";
import { ErrorNote, Header, sentence, show, ThemeSwitch } from "../ui/ui.tsx";
import "../css/pages.css";

const SHORTEST = 8;

/** The address that the link is for; null: this is no such link. The server alone says whether it is good. */
function whose(token: string): string | null {
  try {
    const packed = token.split(".")[0]!.replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
    const parts: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return Array.isArray(parts) && typeof parts[2] === "string" ? parts[2] : null;
  } catch {
    return null;
  }
}

function NewPassword({ token }: { token: string }) {
  const email = whose(token);
  const [error, setError] = useState<ApiError | null>(null);
  const [short, setShort] = useState(false);
  const [busy, setBusy] = useState(false);
  const [done, setDone] = useState(false);
  const field = useRef<HTMLInputElement>(null);

  const submit = async (event: Event) => {
    event.preventDefault();
    if (busy) return;
    const password = field.current!.value;
    setError(null);
    setShort(password.length < SHORTEST);
    if (password.length < SHORTEST) return field.current!.focus();
    setBusy(true);
    try {
      await api.setPassword(token, password);
      history.replaceState(null, "", location.pathname); // it is spent: nobody needs it in the address bar
      setDone(true);
    } catch (failure) {
      setError(asApiError(failure));
      setBusy(false);
    }
  };

  if (done) {
    return (
      <div class="card form" role="status">
        <h1>{text.password.title}</h1>
        <p>{text.password.done}</p>
        <a class="button button-primary" href="/signin">{text.password.signIn}</a>
      </div>
    );
  }
  return (
    <form class="card form" onSubmit={submit} noValidate aria-labelledby="title">
      <h1 id="title">{text.password.title}</h1>
      {email === null ? <ErrorNote error={{ code: "no_link", message: text.password.noLink }} /> : <>
        <p>{text.password.forWhom(email)}</p>
        <input class="visually-hidden" type="email" autocomplete="username" value={email} readOnly tabIndex={-1} aria-hidden="true" />
        <label class="field"><span>{text.password.label}</span>
          <input ref={field} id="password" name="password" type="password" autocomplete="new-password" required minLength={SHORTEST}
            aria-invalid={short || error !== null} aria-describedby="password-hint password-error" />
        </label>
        <p id="password-hint" class="hint">{text.password.hint}</p>
        <p id="password-error" class="field-error" role="alert">
          {short ? text.password.tooShort : error && <>{sentence(error.message)} <code class="error-code">{error.code}</code></>}
        </p>
        <button type="submit" class="button button-primary" aria-disabled={busy}>{busy ? text.password.busy : text.password.action}</button>
      </>}
    </form>
  );
}

show(
  <>
    <Header><ThemeSwitch /></Header>
    <main class="page page-narrow"><NewPassword token={location.hash.slice(1)} /></main>
  </>,
  text.password.title,
);
document.getElementById("password")?.focus();
