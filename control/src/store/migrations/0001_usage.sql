-- One row for each model call. `at` is milliseconds of Unix time.
CREATE TABLE usage (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    at INTEGER NOT NULL,
    user TEXT NOT NULL,
    agent TEXT,
    project TEXT NOT NULL,
    model TEXT NOT NULL,
    credential TEXT NOT NULL,
    request_id TEXT NOT NULL,
    status INTEGER NOT NULL,
    milliseconds INTEGER NOT NULL,
    input INTEGER NOT NULL,
    output INTEGER NOT NULL,
    cached INTEGER NOT NULL,
    reasoning INTEGER NOT NULL,
    source TEXT NOT NULL,
    -- Whether its events were ever put into the outbox: that happens once.
    queued INTEGER NOT NULL DEFAULT 0
) STRICT;

-- A caller's rows by time; the rest of it so that sums are made from the index alone.
CREATE INDEX usage_by_user ON usage (user, at, project, model, input, output, cached, reasoning);
CREATE INDEX usage_by_time ON usage (at);

-- What must leave and has not yet, in the order of `seq`. Numbers are never given twice.
CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    payload TEXT NOT NULL,
    added_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    next_at INTEGER NOT NULL DEFAULT 0,
    error TEXT,
    UNIQUE (kind, id)
) STRICT;

-- What nobody will take, with the reason: events that were refused, records that could not be read.
CREATE TABLE set_aside (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    payload TEXT NOT NULL,
    error TEXT NOT NULL,
    at INTEGER NOT NULL,
    UNIQUE (kind, id)
) STRICT;

-- How many rows they have: counting a million takes too long to be done for each batch.
CREATE TABLE row_counts (
    name TEXT PRIMARY KEY,
    rows INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO row_counts VALUES ('outbox', 0), ('set_aside', 0);
CREATE TRIGGER outbox_in AFTER INSERT ON outbox
BEGIN UPDATE row_counts SET rows = rows + 1 WHERE name = 'outbox'; END;
CREATE TRIGGER outbox_out AFTER DELETE ON outbox
BEGIN UPDATE row_counts SET rows = rows - 1 WHERE name = 'outbox'; END;
CREATE TRIGGER set_aside_in AFTER INSERT ON set_aside
BEGIN UPDATE row_counts SET rows = rows + 1 WHERE name = 'set_aside'; END;
CREATE TRIGGER set_aside_out AFTER DELETE ON set_aside
BEGIN UPDATE row_counts SET rows = rows - 1 WHERE name = 'set_aside'; END;
