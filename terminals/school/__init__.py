"""School: what students and instructors do with labs, and how long those are kept."""
