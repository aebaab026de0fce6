-- The queue's schema, version 1. Claiming needs (type, due) of the waiting only, so these indexes stay as small as the backlog.
CREATE TABLE tasks (
    seq      INTEGER PRIMARY KEY,
    id       TEXT NOT NULL UNIQUE,
    type     TEXT NOT NULL,
    payload  TEXT NOT NULL,                    -- JSON
    key      TEXT,                             -- what makes two tasks the same
    window   REAL NOT NULL,                    -- seconds after its end for which the key still counts
    source   TEXT NOT NULL,
    created  REAL NOT NULL,                    -- Unix seconds, as due, started and finished
    state    TEXT NOT NULL DEFAULT 'waiting',
    due      REAL NOT NULL,
    attempt  INTEGER NOT NULL DEFAULT 0,
    crashes  INTEGER NOT NULL DEFAULT 0,
    fence    INTEGER NOT NULL DEFAULT 0,       -- raised at every claim
    holder   TEXT,
    lease    REAL,                             -- on the machine's boot clock, which no clock change moves
    started  REAL,
    finished REAL,
    reason   TEXT NOT NULL DEFAULT '',
    result   TEXT,                             -- JSON
    history  TEXT                              -- JSON list of the attempts that did not end in done
);
CREATE INDEX tasks_waiting ON tasks (type, due) WHERE state = 'waiting';
CREATE INDEX tasks_running ON tasks (lease) WHERE state = 'running';
CREATE INDEX tasks_failed ON tasks (type, finished) WHERE state = 'failed';
CREATE INDEX tasks_done ON tasks (finished) WHERE state = 'done';
CREATE INDEX tasks_key ON tasks (key) WHERE key IS NOT NULL;

CREATE TABLE holders (
    id      TEXT PRIMARY KEY,
    pid     INTEGER NOT NULL,
    started REAL NOT NULL
) WITHOUT ROWID;

CREATE TABLE owners (
    what TEXT PRIMARY KEY,
    who  TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE counters (
    name  TEXT PRIMARY KEY,
    value REAL NOT NULL
) WITHOUT ROWID;
