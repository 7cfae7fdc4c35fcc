// The sign-in page.

import { useRef, useState } from "preact/hooks";
import { api, type ApiError, asApiError } from "../ui/api.ts";
import { text } from "../ui/strings.ts";
import { Header, sentence, show, ThemeSwitch } from "../ui/ui.tsx";
import "../css/pages.css";

/** Where to go afterwards: a path of this site, whatever the address bar says. */
function next(): string {
  const asked = new URLSearchParams(location.search).get("next") ?? "/";
  try {
    const url = new URL(asked, location.origin);
    if (asked.startsWith("/") && url.origin === location.origin) return url.href; // the very address that was checked: its path alone may begin with two slashes
  } catch {
    // Not an address: go home.
  }
  return "/";
}

function explain(error: ApiError): string {
  switch (error.code) {
    case "bad_credentials": return text.signIn.wrong;
    case "too_many_attempts": return text.signIn.tooMany(error.retryAfter);
    case "unavailable": return text.signIn.unavailable;
    default: return sentence(error.message);
  }
}

function SignIn() {
  const [error, setError] = useState<ApiError | null>(null);
  const [missing, setMissing] = useState<"email" | "password" | null>(null);
  const [busy, setBusy] = useState(false);
  const form = useRef<HTMLFormElement>(null);

  const submit = async (event: Event) => {
    event.preventDefault();
    if (busy) return;
    const email = form.current!.querySelector<HTMLInputElement>("#email")!;
    const password = form.current!.querySelector<HTMLInputElement>("#password")!;
    const empty = !email.value.trim() ? email : !password.value ? password : null;
    setError(null);
    setMissing(empty === null ? null : empty === email ? "email" : "password");
    if (empty) return empty.focus();
    setBusy(true);
    try {
      await api.login(email.value.trim(), password.value);
      location.assign(next());
    } catch (failure) {
      const refused = asApiError(failure);
      setError(refused);
      setBusy(false);
      if (refused.code === "bad_credentials") password.select();
    }
  };

  const wrong = error?.code === "bad_credentials";
  return (
    <>
      <Header><ThemeSwitch /></Header>
      <main class="page page-narrow">
        <form ref={form} class="card form" onSubmit={submit} noValidate aria-labelledby="title">
          <h1 id="title">{text.signIn.title}</h1>
          <label class="field"><span>{text.signIn.email}</span>
            <input id="email" name="email" type="email" autocomplete="username" autocapitalize="none" spellcheck={false} required
              aria-invalid={missing === "email" || wrong} aria-describedby="email-error" />
          </label>
          <p id="email-error" class="field-error" role="alert">{missing === "email" && text.signIn.noEmail}</p>
          <label class="field"><span>{text.signIn.password}</span>
            <input id="password" name="password" type="password" autocomplete="current-password" required
              aria-invalid={missing === "password" || wrong} aria-describedby="password-error" />
          </label>
          <p id="password-error" class="field-error" role="alert">
            {missing === "password" ? text.signIn.noPassword : error && <>{explain(error)} <code class="error-code">{error.code}</code></>}
          </p>
          <button type="submit" class="button button-primary" aria-disabled={busy}>{busy ? text.signIn.busy : text.signIn.action}</button>
        </form>
      </main>
    </>
  );
}

show(<SignIn />, text.signIn.title);
document.getElementById("email")?.focus();
