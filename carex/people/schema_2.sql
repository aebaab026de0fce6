-- What the employees' hours, shares and limits are, and what a decision was made from.

ALTER TABLE users ADD COLUMN active INTEGER NOT NULL DEFAULT 1;      -- in the portal
ALTER TABLE users ADD COLUMN departments TEXT NOT NULL DEFAULT '';   -- names or ids, separated by commas
ALTER TABLE users ADD COLUMN weight REAL NOT NULL DEFAULT 1;
ALTER TABLE users ADD COLUMN schedule TEXT NOT NULL DEFAULT '';      -- '': the installation's
ALTER TABLE users ADD COLUMN time_zone TEXT NOT NULL DEFAULT '';      -- '': the installation's
ALTER TABLE users ADD COLUMN daily_cap INTEGER;                      -- NULL: no limit
ALTER TABLE users ADD COLUMN hourly_cap INTEGER;
ALTER TABLE users ADD COLUMN open_cap INTEGER;
ALTER TABLE users ADD COLUMN paused_until REAL;

ALTER TABLE decisions ADD COLUMN pool TEXT NOT NULL DEFAULT '';      -- '': no pool's rule fitted
ALTER TABLE decisions ADD COLUMN chosen_by TEXT NOT NULL DEFAULT ''; -- which part of a chain of strategies chose
ALTER TABLE decisions ADD COLUMN note TEXT NOT NULL DEFAULT '';      -- the strategy's own words
ALTER TABLE decisions ADD COLUMN inputs TEXT NOT NULL DEFAULT '{}';  -- JSON: what else the strategy went by
ALTER TABLE decisions ADD COLUMN told_at REAL;                       -- when the portal answered
ALTER TABLE decisions ADD COLUMN reply TEXT NOT NULL DEFAULT '';     -- what it answered
CREATE INDEX decisions_by_reply ON decisions (user_id, told_at, decided_at) WHERE reused_from IS NULL;

CREATE TABLE turns (                     -- what a strategy has to remember; written with the decision
    pool TEXT NOT NULL,
    strategy TEXT NOT NULL,
    user_id INTEGER NOT NULL,
    turn INTEGER NOT NULL DEFAULT 0,     -- the decision by which it last chose them
    credit REAL NOT NULL DEFAULT 0,
    PRIMARY KEY (pool, strategy, user_id)
) WITHOUT ROWID;

CREATE TABLE sources (                   -- what the portal said about the employees, for all processes
    name TEXT PRIMARY KEY,
    asked_at REAL NOT NULL,
    error TEXT NOT NULL,                 -- '': it answered
    answer TEXT NOT NULL                 -- JSON: {id: why they are away, or how many items they have open}
);
