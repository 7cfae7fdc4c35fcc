// Every word that the pages say, in one place. A translation is another object of this shape.

const english = {
  product: "EduCenter",
  myLessons: "My lessons",
  cancel: "Cancel",
  close: "Close",
  copy: "Copy",
  copied: "Copied.",
  ok: "OK",
  signOut: "Sign out",
  elsewhere: { question: "Still signed in on another computer?", action: "Sign out everywhere" },
  tryAgain: "Try again",
  oneMoment: "One moment…",
  skip: "Skip to the content",

  theme: { label: "Appearance", system: "as the system", light: "light", dark: "dark" },

  errors: {
    unreachable: "The server doesn't answer. Try again in a moment.",
    offline: "You are offline. Check your network, then try again.",
    answered: (status: number) => `The server answered ${status}.`,
  },

  signIn: {
    title: "Sign in",
    email: "E-mail",
    password: "Password",
    action: "Sign in",
    busy: "Signing in…",
    noEmail: "Type the e-mail address of your account.",
    noPassword: "Type your password.",
    wrong: "This e-mail and password don't match. Check both and try again.",
    tooMany: (seconds: number | null) =>
      `Too many attempts. Try again ${seconds === null ? "in a few minutes" : `in ${duration(seconds)}`}.`,
    unavailable: "Signing in isn't possible right now: a part of the server is restarting. Try again in a moment.",
  },

  password: {
    title: "Set your password",
    forWhom: (email: string) => `For ${email}. Wherever you are signed in, you will be signed out.`,
    label: "New password",
    hint: "At least 8 characters. Longer is better than stranger.",
    action: "Set password",
    busy: "Setting it…",
    tooShort: "At least 8 characters.",
    done: "Your password is set. Sign in with it.",
    signIn: "Sign in",
    noLink: "This page needs the whole link that you were sent. Open it again from the message.",
  },

  lessons: {
    loading: "Loading your lessons…",
    minutes: (minutes: number) => `${minutes} min`,
    states: { new: "new", starting: "starting", running: "running", done: "done" },
    since: (seconds: number) => `for ${duration(seconds)}`,
    start: "Start",
    starting: "Starting…",
    resume: "Continue",
    again: "Start again",
    progress: (done: number, all: number) => `${done} of ${all} done`,
    emptyTitle: "No lessons yet",
    empty: "Your teacher gives you a code: type it below, and the course's lessons appear here. If you expected to be on a course's list " +
      "already, tell your teacher the e-mail address that you signed in with.",
    joinTitle: "Join a course",
    joinLabel: "Course code",
    join: "Join",
    joining: "Joining…",
    noCode: "Type the code that your teacher gave you.",
    joined: (title: string) => `You are in: ${title}.`,
    teach: "Live terminals",
    teaching: "You teach this course",
  },

  course: {
    loading: "Loading the course…",
    live: (count: number) => `${count} live`,
    students: (count: number) => plural(count, "student"),
    people: "Live terminals",
    columns: { student: "Student", lesson: "Lesson", terminal: "Terminal", state: "State", quiet: "Last activity", left: "Time left", watch: "Watch" },
    states: { typing: "typing", running: "running", idle: "idle", away: "away", starting: "starting", asleep: "asleep", stopped: "stopped" },
    extend: "Extend",
    extendOf: (student: string) => `Extend ${student}'s lab by an hour`,
    extended: (student: string) => `${student}'s lab ends an hour later.`,
    stateHints: {
      typing: "typed within the last seconds", running: "a program runs", idle: "the shell waits", away: "nobody has it open",
      starting: "the container is being made", asleep: "nobody used it: it wakes when its student opens it",
      stopped: "nobody used it for long: it is started when its student opens it, without what ran in it",
    },
    quiet: (seconds: number | null) => (seconds === null ? "–" : seconds < 5 ? "now" : `${duration(seconds)} ago`),
    noOne: "Nobody is in a lab right now. As soon as a student presses Start, their terminals are listed here.",
    noStudents: "No student is in this course yet.",
    giveCode: "Give your students this code; they type it under “Join a course”:",
    noCode: "This course has no code to join by: whoever runs this server can set one.",
    updated: "The list follows by itself.",
    stale: (seconds: number) => `This is how it was ${duration(seconds)} ago.`,
    filter: "Find a student",
    noMatch: "No one of that name is live.",
  },

  lab: {
    starting: (title: string) => `Starting ${title}`,
    queued: (place: number) => place === 1 ? "You are next" : `Number ${place} in the queue`,
    full: "All places are taken: your lab starts as soon as one is free",
    fullText: "You keep your place if you close this page",
    waited: (seconds: number) => seconds < 120 ? `${seconds} s` : `${Math.floor(seconds / 60)} min`,
    left: (seconds: number) => seconds < 60 ? `about ${seconds} s left` : `about ${Math.round(seconds / 60)} min left`,
    opening: "Opening your lab",
    trying: "Trying again by itself.",
    failed: "The lab could not be started",
    ended: { student: "You ended the lab", idle: "The lab has ended: nobody used it for a long time", deadline: "The lab has ended: its time was over",
      reset: "The lab was reset", other: "The lab has ended" },
    endedBy: (who: string) => `${who} has ended the lab`,
    keptText: (until: Date) => `Files from before a reset are kept until ${day(until)}: start the lesson again, then restore them from the menu.`,
    endedText: "The container and everything in it are deleted. What remains is the lesson's text and that you did it.",
    endedNextLesson: (title: string) => `Next lesson: ${title}`,
    endedAgain: "Starting this lesson again gives you a fresh container.",
    endedLesson: "The lesson's text, to read again",
    unknown: "There is no such lab",
    unknownText: "It doesn't exist, or it belongs to somebody else. Your own labs are under My lessons.",
    end: "End the lab",
    endTitle: "End this lab?",
    endText: "Your container and everything in it is deleted. This can't be undone.",
    lesson: "Lesson",
    terminal: "Terminal",
    terminals: "Terminals",
    panes: "Lesson or terminal",
    hideLesson: "Hide the lesson",
    showLesson: "Show the lesson",
    noLesson: "This lesson has no text. The terminal is all yours.",
    splitter: "Width of the lesson",
    network: "Network",
    networks: { none: "none", closed: (hosts: string) => `only ${hosts}`, internet: "the internet" },
    networkNote: { none: "This lab has no network.", closed: (hosts: string) => `Of the internet this lab reaches only ${hosts}.`, internet: "This lab reaches the internet." },
    noTerminal: "No terminal is open. Your container is still there, with all your files.",
  },

  remake: {
    restart: "Restart the container…",
    restartHint: "Ends all programs. Your files stay.",
    reset: "Reset the lab…",
    resetHint: "Back to the lesson's start. Your files are kept for a week.",
    restore: "Restore earlier files…",
    restoreHint: (at: Date, until: Date) => `From before the reset of ${moment(at)}, kept until ${day(until)}.`,
    titles: { restart: "Restart the container?", reset: "Reset this lab?", restore: "Restore the files from before the reset?" },
    actions: { restart: "Restart", reset: "Reset", restore: "Restore" },
    lost: "What is lost",
    stays: "What stays",
    losses: {
      restart: "Every program that runs in it, in all terminals, and what is in /tmp and other memory. All terminals close and a new one opens.",
      reset: "Every program that runs. All terminals close.",
      restore: "Every program that runs. All terminals close.",
    },
    stayings: {
      restart: "All your files, and the lab itself.",
      reset: (kept: boolean) => "Nothing of yours is in the new lab, but the old one is kept for a week, with all its files: “Restore earlier files” brings it back." +
        (kept ? " What is kept from an earlier reset is deleted now." : ""),
      restore: (at: Date) => `You get the lab back as you left it ${moment(at)}, with all its files. What you have now is kept in its place for a week: restoring once more brings it back.`,
    },
    reload: "If only the page misbehaves, reload it with the browser: that loses nothing at all.",
    busy: { restart: "Restarting your container…", reset: "Resetting your lab…", restore: "Restoring your files…" },
    byOther: (who: string) => `${who} restarts your container…`,
    restarted: "Your container was restarted.",
    done: {
      reset: "This lab is fresh. Your files from before are kept for a week: Menu, Restore earlier files.",
      restore: "Your files are back. What you had in between is kept for a week: Menu, Restore earlier files.",
    },
    resetBy: (who: string) => `${who} has reset this lab for you. Your files from before are kept for a week: Menu, Restore earlier files.`,
    elsewhere: "This lab was reset or restored on another page of yours.",
  },

  files: {
    download: "Download my work",
    downloadHint: "Your home folder with everything in it, as one archive: .tar.gz, or .tar where packing would gain nothing.",
    downloading: "Your browser is downloading your home folder.",
    choose: "Upload files…",
    chooseHint: (most: string) => `Into ~/uploads, at most ${most} each. Or drop them on this page.`,
    upload: (name: string) => `Upload of ${name}`,
    sending: (name: string, sent: string, of: string) => `Uploading ${name}: ${sent} of ${of}`,
    stored: (name: string, path: string) => `${name} is stored as ${path}`,
    failed: (name: string) => `${name} was not uploaded.`,
    tooLarge: (most: string) => `It is larger than ${most}, which is the most that a file may have here`,
    noFolders: "Folders can't be dropped here: pack them into one file first.",
    drop: "Drop files to put them into ~/uploads",
    most: (most: string) => `At most ${most} each. Nothing is overwritten.`,
  },

  acts: {
    column: "For the student",
    buttons: { restart: "Restart…", reset: "Reset…", end: "End…" },
    labels: {
      restart: (student: string) => `Restart ${student}'s container`,
      reset: (student: string) => `Reset ${student}'s lab`,
      end: (student: string) => `End ${student}'s lab`,
    },
    texts: {
      restart: "All programs in it end and its terminals close. Files stay, and a new terminal opens.",
      reset: "The student gets a fresh container at once. The old one is kept for a week with all its files: the student can restore it.",
      end: "The container and everything in it is deleted. This can't be undone.",
    },
    told: "The student is told that it was you, and it is written down for good.",
    actions: { restart: "Restart", reset: "Reset", end: "End the lab" },
    busy: "Working on it…",
    done: {
      restart: (student: string) => `${student}'s container was restarted.`,
      reset: (student: string) => `${student}'s lab was reset.`,
      end: (student: string) => `${student}'s lab was ended.`,
    },
    account: "Who extended, restarted, reset or ended a lab for whom",
    what: "Kept for good, and nobody can change it. What students do themselves isn't listed.",
    none: "Nobody has done that in this course yet.",
    columns: ["When", "Who", "For whom", "Lesson", "What"],
    names: { extend: "extended", restart: "restarted", reset: "reset", end: "ended" },
  },

  code: {
    run: "Run",
    runTitle: "Type it into the terminal and press Enter",
    copyTitle: "Copy to the clipboard",
    notLive: "Not sent: the terminal isn't connected right now. Try again when it is live.",
    noTerminal: "Not sent: no terminal is open.",
    fullScreen: (program: string) => `Not sent: ${program} fills the terminal, and would take the command for its own keys. Leave it first.`,
    busyTitle: (program: string) => `${program} is still running`,
    busy: (program: string) => `The terminal doesn't wait for a command now: ${program} would get what is typed. Send it all the same?`,
    busyAction: "Send it",
    ran: "Sent to the terminal.",
  },

  tabs: {
    new: "New terminal",
    shell: "shell",
    close: (name: string) => `Close terminal ${name}`,
    closeTitle: (name: string) => `Close terminal ${name}?`,
    closeText: (program: string) => `${program} is still running in it and will be stopped.`,
    closeAction: "Close it",
    aProgram: "A program",
    notLive: "not live",
    bell: "rang the bell",
    rename: "Rename",
    renameTitle: (name: string) => `Rename terminal ${name}`,
    renameLabel: "Name (empty: the name of what runs)",
    renameAction: "Rename",
    wasClosed: (name: string) => `Terminal ${name} was closed.`,
  },

  terminal: {
    label: (name: string) => `Terminal ${name}`,
    wayOut: "Ctrl+Shift+Escape or Ctrl+Shift+Up leaves the terminal.",
    left: "Left the terminal. You are at its tab. Press Enter to go back in.",
    gap: (bytes: number) => `${bytes < 10_240 ? `${bytes} bytes` : `${Math.round(bytes / 1024)} KiB`} of output are missing here`,
    linkHint: "Ctrl-click (⌘-click on a Mac) opens",
    link: "Open this address?",
    linkAction: "Open",
    clipboardTitle: "A program offers text for your clipboard",
    clipboard: (characters: number) => `${plural(characters, "character")}:`,
    clipboardAction: "Copy it",
    notNow: "Not now",
    pasteTitle: (count: number) => `Paste ${plural(count, "line")}?`,
    paste: "What runs here would take each line end for Enter, so that the lines run at once:",
    pasteAction: "Paste",
    pasteJoined: "Paste as one line",
    pasteHow: "The browser doesn't let pages read the clipboard. Press Ctrl+Shift+V, or touch the terminal long and choose Paste.",
  },

  search: {
    label: "Find in the terminal",
    next: "Next",
    previous: "Previous",
    matchCase: "Match case",
    regex: "Regular expression",
    badRegex: "not a valid expression",
    found: (at: number, count: number) => (count === 0 ? "nothing found" : at === 0 ? plural(count, "match", "matches") : `${at} of ${count}`),
  },

  transcript: {
    title: "Last output",
    everything: "Everything",
    lastOutput: "Last output",
    all: "Everything",
    of: (command: string) => `of ${command}`,
    cut: "Only the last 2,000 lines are shown.",
    none: "No command has printed anything yet.",
    label: "Output as text",
  },

  state: {
    connecting: "connecting",
    live: "live",
    roundTrip: (ms: number) => `${Math.max(1, Math.round(ms))} ms`,
    reconnecting: "reconnecting",
    reconnectingIn: (seconds: number) => `reconnecting in ${seconds} s`,
    comfort: "your programs keep running",
    now: "now",
    offline: "offline",
    elsewhere: "open elsewhere",
    exited: (code: number) => `ended (code ${code})`,
    lost: "shell lost",
    closed: "closed",
    spoken: {
      connecting: "Connecting.",
      live: "Terminal live.",
      reconnecting: "Connection lost, reconnecting. Your programs keep running.",
      offline: "You are offline. Your programs keep running.",
      elsewhere: "This terminal is used on another page.",
      exited: (code: number) => `The shell ended with code ${code}.`,
      lost: "The shell was lost.",
      closed: "The terminal is closed.",
    },
  },

  bars: {
    elsewhere: "This terminal is now used on another page or device. You can read along here.",
    continueHere: "Continue here",
    exited: (code: number) => `The shell exited with code ${code}.`,
    lost: "Your shell was lost",
    noEmulator: "A part of this page could not be loaded, so the terminal can't be shown. Your programs keep running.",
    reload: "Load the page again",
    closeTab: "Close tab",
    forbidden: "You may not use this terminal.",
    question: "You were away for a while and these keys have not arrived:",
    questionEnd: "Send them now?",
    discard: "Discard",
    send: "Send",
    maybeLost: "These keys may not have arrived:",
    tooLarge: "That paste is too large: 8 MiB can wait here at once. Nothing of it was sent.",
  },

  watching: {
    by: (names: readonly string[]) =>
      names.length === 1 ? `${names[0]} is watching` : names.length === 2 ? `${names[0]} and ${names[1]} are watching` : `${names.length} people are watching`,
    since: (name: string, at: Date) => `${name}, since ${at.toLocaleTimeString("en", { hour: "2-digit", minute: "2-digit" })}`,
    ended: "Nobody is watching any more.",
    action: "Watch",
    actionOf: (student: string, terminal: string) => `Watch ${student}, terminal ${terminal}`,
    note: (student: string) => `You are watching. ${student} sees that you do. Nothing you type here is sent.`,
    back: "Live terminals",
    gone: "This terminal is closed, or its lab has ended.",
  },

  assisting: {
    ask: "Ask to type",
    waiting: (student: string) => `You asked to type. Waiting for ${student} to answer.`,
    youType: (student: string) => `You can type. ${student} sees that you do, and everything is accounted for.`,
    release: "Stop typing",
    reason: (reason: string, student: string) =>
      ({
        refused: `${student} doesn't want help just now. You are still watching.`,
        ended: "Typing is over. You are still watching.",
        off: "In this course nobody types in students' terminals. You are still watching.",
        away: `${student} has been away for a while, so typing is over. You are still watching.`,
      })[reason] ?? "That could not be arranged just now. Try again in a moment.",
    by: (name: string) => `${name} can type`,
    asks: (name: string, where: string | null) => `${name} asks to type ${where ? `in terminal ${where}` : "here"}.`,
    types: (name: string, where: string | null) => `${name} can type ${where ? `in terminal ${where}` : "here"}. You can go on typing, too.`,
    allow: "Allow",
    notNow: "Not now",
    end: "End",
  },

  help: {
    title: "Watching and typing",
    loading: "Loading…",
    rules: "What this course allows",
    watching: "Watching students' terminals",
    watchings: { notice: "Yes; the student always sees who watches", off: "No" },
    assisting: "Typing in them",
    assistings: { ask: "When the student allows it, each time", allow: "Without asking; the student sees it and can end it", off: "No" },
    always: "A change holds at once, for who watches now within ten seconds.",
    saved: "Saved.",
    account: "Who typed for whom",
    what: "Kept for good, and nobody can change it. What was typed is not kept.",
    none: "Nobody has typed in a student's terminal yet.",
    columns: ["When", "Who", "In whose terminal", "For", "Typed"],
    when: (at: Date) => at.toLocaleString("en", { dateStyle: "medium", timeStyle: "short" }),
    bytes: (count: number) => plural(count, "byte"),
  },

  keeping: {
    region: "Time left",
    left: (clock: string) => `${clock} left`,
    label: (left: string) => `${left} left. Extend the lab`,
    ends: (at: Date) => `The lab ends at ${at.toLocaleTimeString("en", { hour: "2-digit", minute: "2-digit" })}.`,
    press: "Press to extend it by an hour.",
    ending: (left: string) => `This lab ends in ${left}, and everything in it is deleted.`,
    endingAtMost: (left: string) => `This lab ends in ${left}, and everything in it is deleted. It can't be extended any further: keep elsewhere what you need.`,
    idle: {
      asleep: (left: string) => `Still here? Nobody uses this lab: in ${left} it is put to sleep, and wakes when you open a terminal.`,
      stopped: (left: string) => `Still here? This lab is asleep: in ${left} it is stopped. Your files stay, what runs in it is lost.`,
      ended: (left: string) => `Still here? Nobody has used this lab for a long time: in ${left} it ends, and everything in it is deleted.`,
    },
    extend: "Extend",
    notNow: "Not now",
    extended: (left: string) => `Extended: ${left} left.`,
    stays: "The lab stays.",
  },

  hand: {
    help: "Help",
    label: "Help: raise your hand",
    raise: "Raise your hand",
    lower: "Lower hand",
    lowerYours: "Lower your hand",
    raised: "Hand raised",
    place: (place: number) => (place === 1 ? "next in line" : `${ordinal(place)} in line`),
    brief: (place: number) => (place === 1 ? "next" : ordinal(place)),
    coming: (name: string) => `${name} is coming`,
    down: "Your hand is down.",
  },

  hands: {
    title: "Hands",
    raised: (count: number) => `${plural(count, "hand is", "hands are")} raised.`,
    mark: "hand raised",
    waiting: (seconds: number) => `waiting for ${duration(seconds)}`,
    claim: "Claim",
    claimOf: (student: string) => `Claim ${student}'s hand`,
    done: "Done",
    doneOf: (student: string) => `Done: ${student} has been helped`,
    watchOf: (student: string) => `Watch ${student}`,
    claimedBy: (name: string) => `Claimed by ${name}`,
  },

  keys: {
    row: "Terminal keys",
    escape: "Esc", tab: "Tab", ctrl: "Ctrl", alt: "Alt", paste: "Paste",
    up: "Up", down: "Down", left: "Left", right: "Right",
    stick: { off: "", once: "for the next key", locked: "locked" },
    hide: "Hide the keyboard",
  },

  menu: {
    open: "Menu",
    find: "Find…",
    lastOutput: "Last output as text",
    fullScreen: "Full screen",
    leaveFullScreen: "Leave full screen",
    keyboard: "Keyboard",
    settings: "Settings",
    rename: "Rename this terminal",
    close: "Close this terminal",
    textSize: "Text size",
    smaller: "Smaller text",
    larger: "Larger text",
    usualSize: "Usual size",
    lessonWidth: "Width of the lesson",
    narrower: "Narrower lesson",
    wider: "Wider lesson",
    usualWidth: "Usual width",
    colours: "Terminal colours",
    colourNames: {
      page: "as the page", dark: "dark", light: "light", contrast: "high contrast", "solarized-dark": "Solarized dark",
      "solarized-light": "Solarized light",
    },
    reader: "Screen reader mode",
    readerHint: "The terminal's text can be read line by line. Costs speed.",
    copyOnSelect: "Copy what is selected",
    keyRow: "Row of keys",
    keyRowNames: { auto: "on touch screens", on: "always", off: "never" },
    end: "End the lab…",
    endHint: "Deletes the container and all files in it.",
  },

  shortcuts: {
    title: "Keyboard",
    labels: {
      open: "New terminal", next: "Next terminal", previous: "Previous terminal", close: "Close this terminal", rename: "Rename this terminal",
      leave: "Leave the terminal", copy: "Copy the selection", paste: "Paste", find: "Find in the terminal", output: "Last output as text",
      lesson: "Show or hide the lesson", toLesson: "Go to the lesson's text", menu: "Menu", larger: "Larger text", smaller: "Smaller text", full: "Full screen",
      hand: "Raise or lower your hand", list: "This list",
    },
    mouse: "Select while a program uses the mouse",
    mouseKeys: "Shift + mouse",
    link: "Open a link",
    linkKeys: "Ctrl + click",
    others: "All other keys go to the shell, but for those that the browser keeps for itself:",
    stolen: (key: string) => `Send ${key}`,
    stolenHint: "In full screen, Chrome and Edge leave these to the shell, too.",
  },
};

export type Strings = typeof english;

export const text: Strings = english;

export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}

/** Of bytes, as people say it. */
export function size(bytes: number): string {
  const units = ["bytes", "KiB", "MiB", "GiB"];
  const at = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10));
  return `${(bytes / 1024 ** at).toLocaleString("en", { maximumFractionDigits: at < 2 ? 0 : 1 })} ${units[at]}`;
}

function ordinal(place: number): string {
  const ends: Partial<Record<Intl.LDMLPluralRule, string>> = { one: "st", two: "nd", few: "rd" };
  return `${place}${ends[new Intl.PluralRules("en", { type: "ordinal" }).select(place)] ?? "th"}`;
}

/** Hours and minutes, the last one not over yet: 0:42. */
export function clock(seconds: number): string {
  const minutes = Math.ceil(seconds / 60);
  return `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}`;
}

function day(at: Date): string {
  return at.toLocaleDateString("en", { weekday: "long", day: "numeric", month: "long" });
}

function moment(at: Date): string {
  return at.toLocaleString("en", { weekday: "short", hour: "2-digit", minute: "2-digit" });
}

/** Roughly, as people say it. */
export function duration(seconds: number): string {
  if (seconds < 90) return plural(Math.round(seconds), "second");
  if (seconds < 5400) return plural(Math.round(seconds / 60), "minute");
  return plural(Math.round(seconds / 3600), "hour");
}
