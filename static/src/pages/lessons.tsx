// My lessons: what a student can start, what runs, what is done; for teachers, their courses.

import { useEffect, useState } from "preact/hooks";
import { api, type ApiError, asApiError, type Course, goToSignIn, keepSignedIn, type Lesson, sessionPath } from "../ui/api.ts";
import { enterLab, prepare } from "../ui/crossing.ts";
import { text } from "../ui/strings.ts";
import { Account, announce, ErrorNote, Header, show, SignOutEverywhere } from "../ui/ui.tsx";
import "../css/pages.css";

type LessonState = "new" | "starting" | "running" | "done";

const MARKS: Record<LessonState, string> = { new: "○", starting: "◐", running: "●", done: "✓" };

/** In the order of the server: running lessons come first, and with them their course. */
function byCourse(lessons: readonly Lesson[]): { course: Lesson["course"]; lessons: Lesson[] }[] {
  const courses = new Map<string, { course: Lesson["course"]; lessons: Lesson[] }>();
  for (const lesson of lessons) {
    const found = courses.get(lesson.course.id) ?? { course: lesson.course, lessons: [] };
    found.lessons.push(lesson);
    courses.set(lesson.course.id, found);
  }
  return [...courses.values()];
}

function stateOf(lesson: Lesson): LessonState {
  if (lesson.session?.state === "starting") return "starting";
  if (lesson.session?.state === "live") return "running";
  return lesson.done ? "done" : "new";
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
      await enterLab((await api.start(lesson.id)).id);
    } catch (failure) {
      setBusy(false);
      const refused = asApiError(failure);
      if (refused.status === 401) goToSignIn();
      setError(refused);
    }
  };
  const resume = (event: MouseEvent) => {
    if (event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return; // a tab of its own, or a download
    event.preventDefault();
    void enterLab(lesson.session!.id);
  };
  return (
    <li class="card lesson" data-lesson={lesson.id} data-state={state}>
      <h3 id={`lesson-${lesson.id}`}><span class="lesson-number">{lesson.position}</span> {lesson.title}</h3>
      <p class="lesson-facts">
        <span>{text.lessons.minutes(lesson.minutes)}</span>
        <span class={`badge badge-${state}`}>
          <span aria-hidden="true">{MARKS[state]}</span> {text.lessons.states[state]}
          {lesson.session && state === "running" && <> {text.lessons.since(lesson.session.seconds)}</>}
        </span>
      </p>
      {error && <ErrorNote error={error} />}
      {lesson.session
        ? <a class="button button-primary" href={sessionPath(lesson.session.id)} onClick={resume} aria-describedby={`lesson-${lesson.id}`}>{text.lessons.resume}</a>
        : <button type="button" class={state === "done" ? "button" : "button button-primary"} onClick={start} aria-disabled={busy}
            aria-describedby={`lesson-${lesson.id}`}>
            {busy ? text.lessons.starting : state === "done" ? text.lessons.again : text.lessons.start}
          </button>}
    </li>
  );
}

/** A ring that fills with the lessons that are done; the words beside it say the same. */
function Progress({ done, all }: { done: number; all: number }) {
  const round = 2 * Math.PI * 9;
  return (
    <span class="progress-ring">
      <svg viewBox="0 0 24 24" aria-hidden="true">
        <circle cx="12" cy="12" r="9" />
        {done > 0 && <circle class="progress-done" cx="12" cy="12" r="9" stroke-dasharray={`${(round * done) / all} ${round}`} />}
      </svg>
      {text.lessons.progress(done, all)}
    </span>
  );
}

function CourseSection({ course, lessons }: { course: Lesson["course"]; lessons: readonly Lesson[] }) {
  const done = lessons.filter((lesson) => lesson.done).length;
  return (
    <section aria-labelledby={`course-${course.id}`}>
      <div class="course-head">
        <h2 id={`course-${course.id}`}>{course.title}</h2>
        {course.role === "student" && <Progress done={done} all={lessons.length} />}
      </div>
      <ul class="lessons">{lessons.map((lesson) => <Card key={lesson.id} lesson={lesson} />)}</ul>
    </section>
  );
}

function Teaching({ courses }: { courses: readonly Course[] }) {
  return (
    <section aria-labelledby="teaching">
      <h2 id="teaching">{text.lessons.teaching}</h2>
      <ul class="lessons">
        {courses.map((course) => (
          <li key={course.id} class="card lesson" data-course={course.id}>
            <h3 id={`teach-${course.id}`}>{course.title}</h3>
            <p class="lesson-facts"><span>{text.course.students(course.students)}</span><span>{text.course.live(course.live)}</span></p>
            <a class="button button-primary" href={`/courses/${course.id}`} aria-describedby={`teach-${course.id}`}>{text.lessons.teach}</a>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Join({ joined }: { joined: () => void }) {
  const [error, setError] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const submit = async (event: Event) => {
    event.preventDefault();
    const field = (event.currentTarget as HTMLFormElement).querySelector("input")!;
    if (busy) return;
    if (!field.value.trim()) {
      setError(text.lessons.noCode);
      return field.focus();
    }
    setBusy(true);
    setError(null);
    try {
      const { course } = await api.join(field.value);
      field.value = "";
      announce(text.lessons.joined(course.title));
      joined();
    } catch (failure) {
      const refused = asApiError(failure);
      if (refused.status === 401) goToSignIn();
      setError(refused.message);
      field.select();
    } finally {
      setBusy(false);
    }
  };
  return (
    <form class="join" onSubmit={submit} noValidate aria-labelledby="join">
      <h2 id="join">{text.lessons.joinTitle}</h2>
      <div class="join-row">
        <label class="field"><span>{text.lessons.joinLabel}</span>
          <input name="code" autocomplete="off" autocapitalize="characters" spellcheck={false} maxLength={40}
            aria-invalid={error !== null} aria-describedby="join-error" />
        </label>
        <button type="submit" class="button" aria-disabled={busy}>{busy ? text.lessons.joining : text.lessons.join}</button>
      </div>
      <p id="join-error" class="field-error" role="alert">{error}</p>
    </form>
  );
}

function Lessons() {
  const [lessons, setLessons] = useState<Lesson[] | null>(null);
  const [courses, setCourses] = useState<Course[]>([]);
  const [error, setError] = useState<ApiError | null>(null);

  const load = () => {
    Promise.all([api.lessons(), api.courses()]).then(
      ([mine, taught]) => { setLessons(mine.lessons); setCourses(taught.courses); setError(null); },
      (failure) => {
        const refused = asApiError(failure);
        if (refused.status === 401) goToSignIn();
        else setError(refused);
      });
  };
  useEffect(() => {
    load();
    keepSignedIn();
    prepare();
    // Coming back by the browser's Back shows the page as it was left: ask again.
    const again = (event: PageTransitionEvent) => event.persisted && location.reload();
    const seen = () => document.visibilityState === "visible" && load();
    addEventListener("pageshow", again);
    document.addEventListener("visibilitychange", seen);
    return () => { removeEventListener("pageshow", again); document.removeEventListener("visibilitychange", seen); };
  }, []);

  const nothing = lessons?.length === 0 && courses.length === 0;
  return (
    <>
      <Header><Account onError={setError} /></Header>
      <main class="page">
        <h1>{text.myLessons}</h1>
        {error && <><ErrorNote error={error} /><div><button type="button" class="button" onClick={load}>{text.tryAgain}</button></div></>}
        {!lessons && !error && <p class="waiting">{text.lessons.loading}</p>}
        {courses.length > 0 && <Teaching courses={courses} />}
        {nothing && <section class="card empty"><h2>{text.lessons.emptyTitle}</h2><p>{text.lessons.empty}</p></section>}
        {lessons && byCourse(lessons).map((found) => <CourseSection key={found.course.id} {...found} />)}
        {lessons && <Join joined={load} />}
        {lessons && <SignOutEverywhere onError={setError} />}
      </main>
    </>
  );
}

show(<Lessons />, text.myLessons);
