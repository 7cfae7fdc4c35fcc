// My lessons: what a student can start, what is running.

import { useEffect, useState } from "preact/hooks";
import { api, type ApiError, asApiError, goToSignIn, keepSignedIn, type Lesson, sessionPath, type User } from "./api.ts";
import { ErrorNote, Header, show, signOut } from "./ui.tsx";
import "./style.css";

interface Course { id: string; title: string; lessons: Lesson[] }

/** In the order of the server: running lessons come first, and with them their course. */
function byCourse(lessons: readonly Lesson[]): Course[] {
  const courses = new Map<string, Course>();
  for (const lesson of lessons) {
    const course = courses.get(lesson.course.id) ?? { id: lesson.course.id, title: lesson.course.title, lessons: [] };
    course.lessons.push(lesson);
    courses.set(course.id, course);
  }
  return [...courses.values()];
}

function stateOf(lesson: Lesson): { name: "new" | "starting" | "running"; mark: string } {
  if (lesson.session?.state === "starting") return { name: "starting", mark: "◐" };
  if (lesson.session?.state === "live") return { name: "running", mark: "●" };
  return { name: "new", mark: "○" };
}

function Card({ lesson }: { lesson: Lesson }) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError | null>(null);
  const state = stateOf(lesson);
  const start = async () => {
    if (busy) return;
    setBusy(true);
    setError(null);
    try {
      location.assign(sessionPath((await api.start(lesson.id)).id));
    } catch (failure) {
      setBusy(false);
      const refused = asApiError(failure);
      if (refused.status === 401) goToSignIn();
      setError(refused);
    }
  };
  return (
    <li class="card lesson" data-lesson={lesson.id} data-state={state.name}>
      <h3 id={`lesson-${lesson.id}`}>{lesson.title}</h3>
      <p class="lesson-facts">
        <span>{lesson.minutes} min</span>
        <span class={`badge badge-${state.name}`}><span aria-hidden="true">{state.mark}</span> {state.name}</span>
      </p>
      {error && <ErrorNote error={error} />}
      {state.name === "new"
        ? <button type="button" class="button button-primary" onClick={start} aria-disabled={busy} aria-describedby={`lesson-${lesson.id}`}>
            {busy ? "Starting…" : "Start"}
          </button>
        : <a class="button button-primary" href={sessionPath(lesson.session!.id)} aria-describedby={`lesson-${lesson.id}`}>Continue</a>}
    </li>
  );
}

function Empty() {
  return (
    <section class="card empty">
      <h2>No lessons yet</h2>
      <p>Lessons appear here as soon as a teacher has put you into a course. If you expected one, tell your teacher the e-mail address
        that you signed in with: it must be the one on the course's list.</p>
    </section>
  );
}

function Lessons() {
  const [lessons, setLessons] = useState<Lesson[] | null>(null);
  const [user, setUser] = useState<User | null>(null);
  const [error, setError] = useState<ApiError | null>(null);

  const load = () => {
    api.lessons().then((answer) => { setLessons(answer.lessons); setError(null); }, (failure) => {
      const refused = asApiError(failure);
      if (refused.status === 401) goToSignIn();
      else setError(refused);
    });
  };
  useEffect(() => {
    load();
    api.me().then((answer) => setUser(answer.user), () => undefined);
    keepSignedIn();
    // Coming back by the browser's Back shows the page as it was left: ask again.
    const again = (event: PageTransitionEvent) => event.persisted && location.reload();
    const seen = () => document.visibilityState === "visible" && load();
    addEventListener("pageshow", again);
    document.addEventListener("visibilitychange", seen);
    return () => { removeEventListener("pageshow", again); document.removeEventListener("visibilitychange", seen); };
  }, []);

  return (
    <>
      <Header>
        {user && <span class="user">{user.name}</span>}
        <button type="button" class="button button-quiet" onClick={() => signOut().catch((failure) => setError(asApiError(failure)))}>Sign out</button>
      </Header>
      <main class="page">
        <h1>My lessons</h1>
        {error && <><ErrorNote error={error} /><button type="button" class="button" onClick={load}>Try again</button></>}
        {!lessons && !error && <p class="waiting">Loading your lessons…</p>}
        {lessons?.length === 0 && <Empty />}
        {lessons && byCourse(lessons).map((course) => (
          <section key={course.id} aria-labelledby={`course-${course.id}`}>
            <h2 id={`course-${course.id}`}>{course.title}</h2>
            <ul class="lessons">{course.lessons.map((lesson) => <Card key={lesson.id} lesson={lesson} />)}</ul>
          </section>
        ))}
      </main>
    </>
  );
}

show(<Lessons />, "My lessons");
