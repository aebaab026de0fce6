-- Version 2: tasks that somebody waits for, and the answers that are not sent yet.
ALTER TABLE tasks ADD COLUMN reply TEXT;       -- JSON: what an answer needs; NULL if nobody waits for one

CREATE TABLE answers (
    seq   INTEGER PRIMARY KEY,
    id    TEXT NOT NULL UNIQUE,
    reply TEXT NOT NULL,                       -- JSON
    body  TEXT NOT NULL,
    due   REAL NOT NULL                        -- until then, in Unix seconds, somebody is sending it
);
