// The sign-in page.

import { useEffect, useRef, useState } from "preact/hooks";
import { api, type ApiError, asApiError } from "./api.ts";
import { Header, plural, sentence, show } from "./ui.tsx";
import "./style.css";

/** Where to go afterwards: a path of this site, whatever the address bar says. */
function next(): string {
  const asked = new URLSearchParams(location.search).get("next") ?? "/";
  try {
    const url = new URL(asked, location.origin);
    if (asked.startsWith("/") && url.origin === location.origin) return url.pathname + url.search + url.hash;
  } catch {
    // Not an address: go home.
  }
  return "/";
}

function explain(error: ApiError): string {
  const wait = error.retryAfter;
  const when = wait === null ? "in a few minutes" : wait < 90 ? `in ${plural(wait, "second")}` : `in ${plural(Math.ceil(wait / 60), "minute")}`;
  switch (error.code) {
    case "bad_credentials": return "This e-mail and password don't match. Check both and try again.";
    case "too_many_attempts": return `Too many attempts. Try again ${when}.`;
    case "unavailable": return "Signing in isn't possible right now: a part of the server is restarting. Try again in a moment.";
    default: return sentence(error.message);
  }
}

function SignIn() {
  const [error, setError] = useState<ApiError | null>(null);
  const [missing, setMissing] = useState<"email" | "password" | null>(null);
  const [busy, setBusy] = useState(false);
  const email = useRef<HTMLInputElement>(null);
  const password = useRef<HTMLInputElement>(null);
  useEffect(() => email.current?.focus(), []);

  const submit = async (event: Event) => {
    event.preventDefault();
    if (busy) return;
    const empty = !email.current!.value.trim() ? "email" : !password.current!.value ? "password" : null;
    setError(null);
    setMissing(empty);
    if (empty) return (empty === "email" ? email : password).current!.focus();
    setBusy(true);
    try {
      await api.login(email.current!.value.trim(), password.current!.value);
      location.assign(next());
    } catch (failure) {
      const refused = asApiError(failure);
      setError(refused);
      setBusy(false);
      if (refused.code === "bad_credentials") password.current!.select();
    }
  };

  const wrong = error?.code === "bad_credentials";
  return (
    <>
      <Header />
      <main class="page page-narrow">
        <form class="card form" onSubmit={submit} noValidate aria-labelledby="title">
          <h1 id="title">Sign in</h1>
          <label class="field">
            <span>E-mail</span>
            <input ref={email} name="email" type="email" autocomplete="username" autocapitalize="none" spellcheck={false} required
              aria-invalid={missing === "email" || wrong} aria-describedby="email-error" />
          </label>
          <p id="email-error" class="field-error" role="alert">{missing === "email" && "Type the e-mail address of your account."}</p>
          <label class="field">
            <span>Password</span>
            <input ref={password} name="password" type="password" autocomplete="current-password" required
              aria-invalid={missing === "password" || wrong} aria-describedby="password-error" />
          </label>
          <p id="password-error" class="field-error" role="alert">
            {missing === "password" ? "Type your password." : error && <>{explain(error)} <code class="error-code">{error.code}</code></>}
          </p>
          <button type="submit" class="button button-primary" aria-disabled={busy}>{busy ? "Signing in…" : "Sign in"}</button>
        </form>
      </main>
    </>
  );
}

show(<SignIn />, "Sign in");
