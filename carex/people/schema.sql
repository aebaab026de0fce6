-- people.db: employees, the ledger of decisions, and who changed what. Times are Unix seconds.

CREATE TABLE users (
    id INTEGER PRIMARY KEY,              -- the portal's user id
    name TEXT NOT NULL,
    excluded INTEGER NOT NULL DEFAULT 0,
    excluded_until REAL,                 -- NULL: for good
    reason TEXT NOT NULL DEFAULT '',
    added REAL NOT NULL
);

CREATE TABLE home (id TEXT NOT NULL);   -- one row: which of several homes on one queue this is
INSERT INTO home VALUES (lower(hex(randomblob(8))));

CREATE TABLE decisions (
    id INTEGER PRIMARY KEY,
    task_id TEXT NOT NULL,
    entity TEXT NOT NULL,                -- what was given away, as in deal:123
    round INTEGER NOT NULL,              -- the first decision about an entity is round 1
    user_id INTEGER NOT NULL,            -- no foreign key: a decision outlives the employee's entry
    user_name TEXT NOT NULL,
    strategy TEXT NOT NULL,
    draw INTEGER NOT NULL,               -- the random number; with candidates and strategy it gives user_id again
    candidates TEXT NOT NULL,            -- JSON: [id, ...], ascending
    skipped TEXT NOT NULL,               -- JSON: {id: reason}
    decided_at REAL NOT NULL,
    again INTEGER NOT NULL,              -- a new decision was asked for
    reused_from INTEGER                  -- the decision this one repeats, for another task about the same entity
);
CREATE INDEX decisions_by_task ON decisions (task_id);
CREATE INDEX decisions_by_entity ON decisions (entity);
CREATE INDEX decisions_by_user ON decisions (user_id, decided_at) WHERE reused_from IS NULL;

CREATE TABLE audit (
    id INTEGER PRIMARY KEY,
    at REAL NOT NULL,
    what TEXT NOT NULL,                  -- added, renamed, excluded, included, removed
    user_id INTEGER NOT NULL,
    detail TEXT NOT NULL,
    actor TEXT NOT NULL                  -- the operating system's user
);
